from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from longshot import checkpoints
from longshot.errors import ModelError


def write_weights(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """A safetensors file by hand: length of the header, header, bytes."""
    header, body = {}, b""
    for name, array in tensors.items():
        data = np.ascontiguousarray(array, np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "model"
    home.mkdir()
    (home / "config.json").write_text(json.dumps({"architectures": ["Qwen2VLForConditionalGeneration"]}))
    write_weights(home / "model.safetensors", {"lm_head.weight": np.ones((2, 3)), "norm.weight": np.ones(3)})
    checkpoints.find.cache_clear()
    return home


def test_a_folder_says_what_it_holds(folder: Path) -> None:
    found = checkpoints.find(str(folder))
    found.check()
    assert found.architecture == "Qwen2VLForConditionalGeneration"
    assert found.tensors() == {"lm_head.weight": ("F32", (2, 3)), "norm.weight": ("F32", (3,))}
    assert len(found.revision) == 12


def test_other_weights_are_another_revision(folder: Path) -> None:
    before = checkpoints.find(str(folder)).revision
    write_weights(folder / "model.safetensors", {"lm_head.weight": np.full((2, 3), 2), "norm.weight": np.ones(3)})
    checkpoints.find.cache_clear()
    assert checkpoints.find(str(folder)).revision != before


def broken(folder: Path, how: str) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    match how:
        case "no config":
            config.unlink()
        case "config is no JSON":
            config.write_text("{")
        case "config is a list":
            config.write_text("[]")
        case "no weights":
            weights.unlink()
        case "pickled":
            weights.rename(folder / "pytorch_model.bin")
        case "torn":
            weights.write_bytes(weights.read_bytes()[:-4])
        case "empty weights":
            weights.write_bytes(b"")
        case "header is no JSON":
            weights.write_bytes(struct.pack("<Q", 4) + b"nope" + b"\0" * 40)
        case "a shard is missing":
            index = {"weight_map": {"norm.weight": "model.safetensors", "lm_head.weight": "model-2.safetensors"}}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no config", r"no config\.json \(it holds model\.safetensors\)"),
        ("config is no JSON", r"config\.json cannot be read as JSON"),
        ("config is a list", r"should hold a JSON object, and holds a list"),
        ("no weights", r"no weights in .*\*\.safetensors were looked for"),
        ("pickled", r"pickled \(pytorch_model\.bin\).*longshot convert"),
        ("torn", r"model\.safetensors is torn: \d+ bytes of \d+"),
        ("empty weights", r"torn or no safetensors file \(0 bytes\)"),
        ("header is no JSON", r"its header cannot be read"),
        ("a shard is missing", r"1 of 2 weight files are missing \(model-2\.safetensors\)"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(folder: Path, how: str, said: str) -> None:
    broken(folder, how)
    with pytest.raises(ModelError, match=said) as caught:
        checkpoints.find(str(folder)).check()
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/nowhere/at/all", "there is no such folder"),
        ("./model", "there is no such folder"),
        ("two words", "no hub id looks like that"),
        ("127.0.0.1:8000/v1#x", "begins with http:// or https://: http://127.0.0.1:8000/v1#x"),
        ("a/b/c", "no hub id looks like that"),
        ("nobody/nothing", "not in the hub's cache, and fetching is off"),
    ],
)
def test_names_that_are_no_model(name: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match=said):
        checkpoints.find(name)


def test_a_file_is_no_model(folder: Path) -> None:
    with pytest.raises(ModelError, match="is a file; a model is a folder"):
        checkpoints.find(str(folder / "config.json"))


def test_code_beside_the_weights_is_named(folder: Path) -> None:
    auto = {"AutoModel": "other/repo--modeling_mine.Mine", "AutoProcessor": ["processing_mine.P", None]}
    (folder / "config.json").write_text(json.dumps({"architectures": ["Mine"], "auto_map": auto}))
    found = checkpoints.find(str(folder))
    with pytest.raises(
        ModelError, match=rf"modeling_mine\.py, processing_mine\.py, revision {found.revision}.*--remote"
    ):
        found.check_code(allowed=False, why="this architecture")
    found.check_code(allowed=True, why="this architecture")

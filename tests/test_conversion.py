"""Pickled weights to safetensors: what is kept, what is refused, and what a kill in the middle leaves behind."""

from __future__ import annotations

import argparse
import collections
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from longshot import conversion
from longshot.checkpoints import find
from longshot.contracts import Frames, Loading
from longshot.conversion import convert
from longshot.errors import LongshotError, ModelError, UsageError
from longshot.models import open_encoder
from tests.tiny.internvideo2 import write_internvideo2
from tests.tiny.languagebind import write_clip_merges, write_languagebind
from tests.tiny.videoclip import write_longclip, write_videoclip_xl

CLIP = Frames(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8), np.arange(4.0))


def weights_of(seed: int = 0) -> dict[str, torch.Tensor]:
    made = torch.Generator().manual_seed(seed)
    return {"a.weight": torch.randn(3, 4, generator=made), "a.bias": torch.arange(3).half(), "n": torch.tensor(7)}


def same(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    held = load_file(path)
    assert held.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert held[name].dtype == tensor.dtype and torch.equal(held[name], tensor)


def test_a_folder_is_converted_whole(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    torch.save(collections.OrderedDict(weights_of()), old / "pytorch_model.bin")
    torch.save({"lr": 0.1}, old / "training_args.bin")
    for name in ("config.json", "vocab.json"):
        (old / name).write_text('{"architectures": ["CLIPModel"]}', encoding="utf-8")
    for name in ("vocab.txt", "merges.txt", "README.md", "LICENSE", "requirements.txt", "modeling.py"):
        (old / name).write_text("text", encoding="utf-8")
    (old / ".git").mkdir()
    torch.save({}, old / ".git" / "x.bin")
    said = convert(old, new)
    same(new / "model.safetensors", weights_of())
    assert said[0].startswith("pytorch_model.bin -> model.safetensors: 3 weights")
    assert said[-1] == "config.json: copied"
    beside = ["LICENSE", "README.md", "config.json", "merges.txt", "vocab.json", "vocab.txt"]
    assert sorted(path.name for path in new.iterdir()) == sorted([*beside, "model.safetensors"])
    assert sorted(path.name for path in old.rglob("*.safetensors")) == []


def test_subfolders_are_converted_too(tmp_path: Path) -> None:
    """As in a folder of sentence-transformers, where each part has its own weights."""
    old = tmp_path / "old"
    (old / "2_Dense").mkdir(parents=True)
    (old / "modules.json").write_text("[]")
    torch.save(weights_of(), old / "pytorch_model.bin")
    torch.save(weights_of(1), old / "2_Dense" / "pytorch_model.bin")
    (old / "2_Dense" / "config.json").write_text("{}")
    convert(old, tmp_path / "new")
    same(tmp_path / "new" / "2_Dense" / "model.safetensors", weights_of(1))
    assert (tmp_path / "new" / "2_Dense" / "config.json").exists()
    same(tmp_path / "new" / "model.safetensors", weights_of())


def test_shards_keep_their_places_and_get_an_index(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    torch.save({"a": torch.ones(2)}, old / "pytorch_model-00001-of-00002.bin")
    torch.save({"b": torch.zeros(3)}, old / "pytorch_model-00002-of-00002.bin")
    (old / "pytorch_model.bin.index.json").write_text("{}")
    (old / "config.json").write_text("{}")
    convert(old, new)
    index = json.loads((new / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    assert not (new / "pytorch_model.bin.index.json").exists()
    (old / "pytorch_model-00001-of-00002.bin").unlink()
    with pytest.raises(ModelError, match=r"1 of 2 files of weights are missing \(number 00001"):
        convert(old, tmp_path / "other")


def test_shared_and_sliced_weights_come_apart(tmp_path: Path) -> None:
    table = torch.arange(12.0).reshape(3, 4)
    held = {"head": table, "embedding": table, "corner": table[:2, :2], "turned": table.T, "none": torch.zeros(0)}
    torch.save({**held, "bool": torch.tensor([True])}, tmp_path / "model.pt")
    said = convert(tmp_path / "model.pt", tmp_path / "new")
    same(tmp_path / "new" / "model.safetensors", {**held, "bool": torch.tensor([True])})
    assert "shared ones written out twice" in said[0]


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "module", "model_state_dict"])
def test_a_training_checkpoint_gives_its_weights_only(tmp_path: Path, wrapper: str) -> None:
    kept = {f"module.{name}": tensor for name, tensor in weights_of().items()}
    optimizer = {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 0.1}]}
    args = argparse.Namespace(lr=0.1, name="x")
    torch.save({wrapper: {**kept, "epoch": 3}, "optimizer": optimizer, "args": args}, tmp_path / "last.ckpt")
    said = convert(tmp_path / "last.ckpt", tmp_path / "new")
    same(tmp_path / "new" / "model.safetensors", weights_of())
    assert said[0].endswith("left out: optimizer, args, epoch")
    assert said[-1].startswith("config.json: there is none")


def test_a_prefix_of_some_names_stays(tmp_path: Path) -> None:
    held = {"module.a": torch.ones(1), "b": torch.ones(1)}
    torch.save(held, tmp_path / "m.pt")
    convert(tmp_path / "m.pt", tmp_path / "new")
    same(tmp_path / "new" / "model.safetensors", held)


def test_the_old_pickle_format_is_read(tmp_path: Path) -> None:
    torch.save(weights_of(), tmp_path / "m.pth", _use_new_zipfile_serialization=False)
    convert(tmp_path / "m.pth", tmp_path / "new")
    same(tmp_path / "new" / "model.safetensors", weights_of())


class Trap:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_pickle_runs(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"a": torch.ones(1), "b": Trap(sprung)}, tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap(sprung)))
    for name in ("zip.pt", "plain.pt"):
        with pytest.raises(ModelError, match=rf"{name} needs (posix|nt|os)\.mkdir to be unpickled, and that could run"):
            convert(tmp_path / name, tmp_path / "new")
    assert not sprung.exists() and not list(tmp_path.rglob("*.safetensors"))


def _whole_module(path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), path)


def _program(path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2).requires_grad_(False), torch.ones(1, 2)), path)


def _torn(path: Path) -> None:
    torch.save(weights_of(), path)
    path.write_bytes(path.read_bytes()[:-200])


def _torn_inside(path: Path) -> None:
    torch.save(weights_of(), path)
    data = bytearray(path.read_bytes())
    data[60:130] = b"x" * 70
    path.write_bytes(bytes(data))


def _over_two_disks(path: Path) -> None:
    torch.save(weights_of(), path)
    data = path.read_bytes()
    locator = data.rindex(b"PK\x06\x07")
    path.write_bytes(data[: locator + 16] + (2).to_bytes(4, "little") + data[locator + 20 :])


MALFORMED: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.write_bytes(b""), "is torn, or holds no weights"),
    (lambda path: path.write_text("<html>not found</html>"), "is torn, or holds no weights"),
    (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "is torn, or holds"),
    (lambda path: path.write_bytes(bytes(range(256)) * 20), "is torn, or holds no weights"),
    (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(200)), "is torn, or holds no weights"),
    (_torn, "is torn, or holds no weights"),
    (_torn_inside, "is torn, or holds no weights"),
    (_over_two_disks, "is torn, or holds no weights .zipfiles that span multiple disks"),
    (lambda path: torch.save([torch.ones(1)], path), "holds a list, and weights by name were looked for"),
    (lambda path: torch.save(torch.ones(1), path), "holds a Tensor, and weights by name were looked for"),
    (lambda path: torch.save({}, path), "holds no weights: nothing"),
    (lambda path: torch.save({"epoch": 1, "model": {"x": 2}}, path), "holds no weights: epoch, model"),
    (lambda path: torch.save({"a": torch.eye(2).to_sparse()}, path), "a is torch.sparse_coo, which safetensors cannot"),
    (lambda path: torch.save({"a": torch.ones(1, dtype=torch.cfloat)}, path), "a is torch.complex64, which"),
    (_whole_module, r"needs torch.nn.modules.linear.Linear to be unpickled"),
    (lambda path: torch.save({"a": torch.ones(1), "b": np.float64(1)}, path), "multiarray.scalar to be unpickled"),
    (
        lambda path: torch.save({"a": collections.defaultdict(list)}, path),
        "needs collections.defaultdict to be unpickl",
    ),
    (_program, "is a TorchScript program, not weights"),
]


@pytest.mark.filterwarnings(r"ignore:`torch\.jit\.\w+` is deprecated")
@pytest.mark.parametrize("row", range(len(MALFORMED)))
def test_what_is_no_weights_is_refused_in_one_line(tmp_path: Path, row: int) -> None:
    write, reason = MALFORMED[row]
    write(tmp_path / "model.bin")
    with pytest.raises(ModelError, match=reason) as caught:
        convert(tmp_path / "model.bin", tmp_path / "new")
    assert "\n" not in str(caught.value) and "model.bin" in str(caught.value)
    assert not list((tmp_path / "new").iterdir())


def test_a_folder_of_pickles_says_how_to_convert_it(tmp_path: Path) -> None:
    """With a config.json or, as VideoCLIP-XL is published, without."""
    torch.save(weights_of(), tmp_path / "VideoCLIP-XL.bin")
    for written in (False, True):
        if written:
            (tmp_path / "config.json").write_text('{"architectures": ["VideoCLIP_XL"]}')
        find.cache_clear()
        with pytest.raises(
            ModelError, match=rf"pickled \(VideoCLIP-XL.bin\).*longshot convert {tmp_path} {tmp_path}-safe"
        ):
            open_encoder(str(tmp_path))


def test_folders_that_cannot_be_meant(tmp_path: Path) -> None:
    old = tmp_path / "old"
    with pytest.raises(UsageError, match="there is no such file or folder"):
        convert(old, tmp_path / "new")
    old.mkdir()
    with pytest.raises(UsageError, match=r"no file in it ends in \.bin, \.pt, \.pth, \.ckpt"):
        convert(old, tmp_path / "new")
    save_file({"a": torch.ones(1)}, old / "model.safetensors")
    torch.save({"a": torch.ones(1)}, old / "pytorch_model.bin")
    with pytest.raises(UsageError, match="it holds safetensors, which need none"):
        convert(old, tmp_path / "new")
    with pytest.raises(UsageError, match="is a safetensors file already"):
        convert(old / "model.safetensors", tmp_path / "new")
    (old / "model.safetensors").unlink()
    for inside in (old, old / "deeper"):
        with pytest.raises(UsageError, match="give a folder outside"):
            convert(old, inside)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file; give a new folder"):
        convert(old, tmp_path / "file")
    torch.save({"a": torch.ones(1)}, old / "ema.bin")
    with pytest.raises(UsageError, match=r"holds 2 files of weights \(ema.bin, pytorch_model.bin\): name the one"):
        convert(old, tmp_path / "new")
    taken = tmp_path / "taken"
    taken.mkdir()
    save_file({"a": torch.ones(1)}, taken / "model.safetensors")
    with pytest.raises(UsageError, match=r"is there already and was not made from ema.bin"):
        convert(old / "ema.bin", taken)
    (old / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config.json cannot be read as JSON"):
        convert(old / "ema.bin", tmp_path / "torn")


def test_too_little_room_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(weights_of(), tmp_path / "m.pt")
    monkeypatch.setattr("shutil.disk_usage", lambda path: argparse.Namespace(free=100))
    with pytest.raises(ModelError, match=r"needs 0.0 GB more in .*, and 0.0 GB are free"):
        convert(tmp_path / "m.pt", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_leaves_no_piece_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(weights_of(), tmp_path / "m.pt")

    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion, "save_file", full)
    with pytest.raises(LongshotError, match="No space left on device"):
        convert(tmp_path / "m.pt", tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


KILLED = """
import os, sys
from pathlib import Path
import longshot.conversion as conversion
write, left = conversion.save_file, [int(sys.argv[3])]
def dying(tensors, path, metadata):
    left[0] -= 1
    if left[0] < 0:
        Path(path).write_bytes(b"half a file")
        os.kill(os.getpid(), 9)
    write(tensors, path, metadata)
conversion.save_file = dying
conversion.convert(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_conversion_goes_on_where_it_stopped(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "config.json").write_text("{}")
    for number in (1, 2, 3):
        torch.save({f"w{number}": torch.full((2,), number)}, old / f"pytorch_model-0000{number}-of-00003.bin")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(old), str(new), "1"], timeout=120, check=False)
    assert ended.returncode == -9
    # No config.json yet: what is there is not taken for a checkpoint.
    assert [path.name for path in sorted(new.glob("*"))] == [".model-00002-of-00003.safetensors.part", *_shards(1)]
    written = (new / _shards(1)[0]).stat().st_mtime_ns
    said = convert(old, new)
    assert said[0] == "pytorch_model-00001-of-00003.bin: converted before"
    assert (new / _shards(1)[0]).stat().st_mtime_ns == written
    assert sorted(path.name for path in new.glob("*.safetensors")) == _shards(3)
    assert not list(new.glob(".*")) and (new / "config.json").exists()
    assert [line for line in convert(old, new) if "converted before" in line] == said[:1] + [
        f"pytorch_model-0000{number}-of-00003.bin: converted before" for number in (2, 3)
    ]


def _shards(count: int) -> list[str]:
    return [f"model-0000{number}-of-00003.safetensors" for number in range(1, count + 1)]


@pytest.mark.parametrize("write", [write_videoclip_xl, write_longclip, write_languagebind, write_internvideo2])
def test_published_pickles_open_after_conversion(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    """Each family from the file that its makers publish: the same vectors as from the safetensors of the tests."""
    safe = write(tmp_path / "safe")
    config = json.loads((safe / "config.json").read_text())
    held = load_file(safe / "model.safetensors")
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    # InternVideo2's file is a DeepSpeed checkpoint.
    torch.save({"module": held, "epoch": 1} if write is write_internvideo2 else held, old / "published.bin")
    if write in (write_videoclip_xl, write_longclip):
        write_clip_merges(old / "utils" / "text_encoder" / "bpe_simple_vocab_16e6.txt.gz")
    else:
        for name in ("vocab.json", "merges.txt", "vocab.txt"):
            if (safe / name).exists():
                (old / name).write_bytes((safe / name).read_bytes())
    if write is write_languagebind:
        config["architectures"] = ["CLIPModel"]
        (old / "config.json").write_text(json.dumps(config))
    said = convert(old, new)
    assert said[-1].startswith("config.json: architecture ")
    made = json.loads((new / "config.json").read_text())
    assert made["architectures"] == json.loads((safe / "config.json").read_text())["architectures"]
    # Tiny heads: the published sizes need nothing of this.
    (new / "config.json").write_text(json.dumps({**config, **made}))
    how = Loading(device="cpu")
    before, after = (open_encoder(str(folder), loading=how) for folder in (safe, new))
    np.testing.assert_array_equal(before.encode_frames([CLIP]), after.encode_frames([CLIP]))
    texts = ["Two people wrestle, with their arms", "0 1 2"]
    np.testing.assert_array_equal(before.encode_text(texts), after.encode_text(texts))


def test_clips_words_are_those_of_open_clip(tmp_path: Path) -> None:
    """From the true list of merges, which open_clip installs: 49,408 words, and the same ids as its own tokenizer."""
    from open_clip.tokenizer import SimpleTokenizer

    from longshot.encoders._video_text import clip_tokenizer
    from tests.tiny.videoclip import longclip_shapes

    shapes = longclip_shapes(49_408)
    torch.save(
        {name: torch.zeros(shape, dtype=torch.half) for name, shape in shapes.items()}, tmp_path / "longclip-L.pt"
    )
    said = convert(tmp_path / "longclip-L.pt", tmp_path / "new")
    assert any(line.startswith("vocab.json, merges.txt: 49408 words") for line in said)
    ours, theirs = clip_tokenizer(find(str(tmp_path / "new"))), SimpleTokenizer()
    for text in ("A man's slicing 12 tomatoes, quickly!", "naïve café, Žižek — 東京", "hello    world"):
        assert ours(text)["input_ids"] == [49406, *theirs.encode(text), 49407]


def test_merges_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    from tests.tiny.videoclip import longclip_shapes

    old = tmp_path / "old"
    words = write_clip_merges(old / "bpe_simple_vocab_16e6.txt.gz")
    torch.save({name: torch.zeros(shape) for name, shape in longclip_shapes(words + 5).items()}, old / "longclip.pt")
    with pytest.raises(ModelError, match=rf"gives {words} words, and the weights have {words + 5}"):
        convert(old, tmp_path / "new")
    (old / "bpe_simple_vocab_16e6.txt.gz").write_bytes(b"no gzip")
    with pytest.raises(ModelError, match=r"bpe_simple_vocab_16e6.txt.gz cannot be read"):
        convert(old, tmp_path / "new")

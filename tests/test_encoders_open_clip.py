"""open_clip's models as encoders, against arithmetic written out here (and timm's bare tower for EVA and PE-Core)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from longshot.contracts import Frames, Loading
from longshot.encoders import open_clip
from longshot.errors import ModelError, UsageError
from longshot.models import encoder_engine
from tests import plain
from tests.tiny import open_clip as tiny

ON_CPU = Loading(device="cpu")
TEXTS = ("A man slices tomatoes", "the smoke", "a")
WEIGHTS = "open_clip_model.safetensors"
# open_clip's names of a layer's parts -> those of tests/plain.py.
NAMES = (
    ("attn.in_proj_weight", "self_attn.qkv.weight"),
    ("attn.in_proj_bias", "self_attn.qkv.bias"),
    ("attn.out_proj", "self_attn.projection"),
    ("ln_1", "layer_norm1"),
    ("ln_2", "layer_norm2"),
    ("c_fc", "fc1"),
    ("c_proj", "fc2"),
)


def picture(seed: int, height: int = 32, width: int = 32) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def weights_of(folder: Path) -> plain.Weights:
    found = {}
    for name, value in load_file(folder / WEIGHTS).items():
        for theirs, ours in NAMES if "resblocks" in name else ():
            name = name.replace(theirs, ours)
        found[name] = value.double()
    return found


def text_row(w: plain.Weights, prefix: str, text: str, limit: int) -> NDArray[np.float64]:
    from open_clip import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    ids = [49406, *tokenizer.encode(text)[: limit - 2], 49407]
    x = w[f"{prefix}token_embedding.weight"][ids] + w[f"{prefix}positional_embedding"][: len(ids)]
    x = plain.before_norm(w, f"{prefix}transformer.resblocks.", x, heads=3, act=plain.gelu, causal=True)
    return plain.unit(plain.norm(w, f"{prefix}ln_final", x[-1]) @ w[f"{prefix}text_projection"])


def clip_row(w: plain.Weights, values: torch.Tensor) -> NDArray[np.float64]:
    x = torch.cat([w["visual.class_embedding"][None], plain.patches(w["visual.conv1.weight"], values)])
    x = plain.norm(w, "visual.ln_pre", x + w["visual.positional_embedding"])
    x = plain.before_norm(w, "visual.transformer.resblocks.", x, heads=4, act=plain.gelu)
    return plain.unit(plain.norm(w, "visual.ln_post", x[0]) @ w["visual.proj"])


def timm_row(folder: Path, tower: dict[str, Any], values: torch.Tensor) -> NDArray[np.float64]:
    from timm.models.eva import Eva

    trunk = Eva(**tower, num_classes=20).double().eval()
    held = load_file(folder / WEIGHTS)
    front = "visual.trunk."
    trunk.load_state_dict({name.removeprefix(front): v for name, v in held.items() if name.startswith(front)})
    with torch.inference_mode():
        return plain.unit(trunk(values[None])[0])


def test_clip_is_the_arithmetic_of_its_paper(tmp_path: Path) -> None:
    folder = tiny.write_clip(tmp_path)
    assert encoder_engine(str(folder), ON_CPU) == ("open_clip", str(folder))
    encoder = open_clip.load(str(folder), loading=ON_CPU)
    w = weights_of(folder)
    shown = Frames(np.stack([picture(seed) for seed in range(3)]), np.arange(3) / 2)
    each = [clip_row(w, plain.scaled(frame)) for frame in shown.pixels]
    np.testing.assert_allclose(encoder.encode_pictures(shown.pixels), each, atol=1e-5)
    pooled = plain.unit(torch.from_numpy(np.mean(each, axis=0)))
    np.testing.assert_allclose(encoder.encode_frames([shown])[0], pooled, atol=1e-5)
    said = (*TEXTS, "tomatoes " * 100)
    told = [text_row(w, "", text, 77) for text in said]
    np.testing.assert_allclose(encoder.encode_text(said), told, atol=1e-5)
    assert (encoder.dimension, encoder.height, encoder.text_limit) == (20, 32, 77)


@pytest.mark.parametrize("kind", ["eva", "pe_core"])
def test_towers_of_timm(tmp_path: Path, kind: str) -> None:
    """PE-Core squeezes pictures and reads 32 tokens; its file says how pictures are scaled."""
    pe = kind == "pe_core"
    look = {"mean": plain.HALF, "std": plain.HALF, "interpolation": "bilinear", "resize_mode": "squash"} if pe else {}
    config, tower = (tiny.PE_CORE, tiny.PE_CORE_TOWER) if pe else (tiny.EVA, tiny.EVA_TOWER)
    folder = tiny.write_timm(tmp_path, config, look=look)
    encoder = open_clip.load(str(folder), loading=ON_CPU)
    w = weights_of(folder)
    wide = picture(7, 48, 96)
    scaled = Image.fromarray(wide)
    if pe:
        values = plain.scaled(np.asarray(scaled.resize((32, 32), Image.Resampling.BILINEAR)), plain.HALF, plain.HALF)
    else:
        half = scaled.resize((64, 32), Image.Resampling.BICUBIC)
        values = plain.scaled(np.asarray(half.crop((16, 0, 48, 32))))
    (row,) = encoder.encode_pictures([wide])
    np.testing.assert_allclose(row, timm_row(folder, tower, values), atol=1e-5)
    limit = 32 if pe else 77
    said = (*TEXTS, "tomatoes " * 100)
    told = [text_row(w, "text.", text, limit) for text in said]
    np.testing.assert_allclose(encoder.encode_text(said), told, atol=1e-5)
    assert (encoder.dimension, encoder.height, encoder.text_limit) == (20, 32, limit)


def test_a_listed_model_takes_weights_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip as theirs

    folder = tiny.write_clip(tmp_path)
    by_folder = open_clip.load(str(folder), loading=ON_CPU).encode_text(TEXTS)
    monkeypatch.setitem(theirs.factory._MODEL_CONFIGS, "ViT-B-32", json.loads(json.dumps(tiny.CLIP)))
    encoder = open_clip.load(f"ViT-B-32={folder / WEIGHTS}", loading=ON_CPU)
    np.testing.assert_array_equal(encoder.encode_text(TEXTS), by_folder)
    assert encoder.source.model == "ViT-B-32"


def test_listed_models_know_how_pictures_are_prepared() -> None:
    look = open_clip._usual_look("PE-Core-B-16")
    assert (look["mean"], look["resize_mode"], look["interpolation"]) == ((0.5, 0.5, 0.5), "squash", "bilinear")
    look = open_clip._usual_look("EVA02-B-16")
    assert (look["mean"], look["resize_mode"], look["interpolation"]) == (plain.CLIP_MEAN, "shortest", "bicubic")


def test_missing_weights_are_named(tmp_path: Path) -> None:
    folder = tiny.write_clip(tmp_path)
    held = load_file(folder / WEIGHTS)
    del held["visual.ln_post.weight"]
    save_file(held, folder / WEIGHTS)
    with pytest.raises(ModelError, match=re.escape("1 weights are missing (visual.ln_post.weight)")):
        open_clip.load(str(folder), loading=ON_CPU)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    folder = tiny.write_clip(tmp_path / "folder")
    (folder / WEIGHTS).rename(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelError, match="its weights are pickled"):
        open_clip.load(str(folder), loading=ON_CPU)
    with pytest.raises(ModelError, match="pickles are not opened"):
        open_clip.load(f"ViT-B-32={folder / 'open_clip_pytorch_model.bin'}", loading=ON_CPU)


def test_a_pickle_beside_safetensors_is_passed_over(tmp_path: Path) -> None:
    folder = tiny.write_clip(tmp_path)
    (folder / WEIGHTS).rename(folder / "model.safetensors")
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    assert open_clip.load(str(folder), loading=ON_CPU).dimension == 20


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ViT-B-32", "names a model of open_clip, and no weights: open_clip:ViT-B-32=FILE.safetensors"),
        ("ViT-B-33=some.safetensors", "open_clip lists no such model; near it are ViT-B-32"),
        ("ViT-B-32=none.safetensors", "must be a [*].safetensors file, and none.safetensors is none"),
    ],
)
def test_names_that_cannot_be_meant(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        open_clip.load(name, loading=ON_CPU)


def test_options_that_it_does_not_have(tmp_path: Path) -> None:
    folder = tiny.write_clip(tmp_path)
    with pytest.raises(UsageError, match="in 4 bits"):
        open_clip.load(str(folder), loading=Loading(device="cpu", bits=4))
    with pytest.raises(UsageError, match="leave out eager"):
        open_clip.load(str(folder), loading=Loading(device="cpu", attention="eager"))
    (folder / "open_clip_config.json").write_text("{}")
    with pytest.raises(ModelError, match="with a model_cfg, which open_clip needs"):
        open_clip.load(str(folder), loading=ON_CPU)

"""VideoCLIP-XL and Long-CLIP in their own layouts: OpenAI's names, heads of 8, 4 frames of 32 x 32."""

from __future__ import annotations

import json
from pathlib import Path

from tests.tiny.languagebind import random_tensors, save, write_clip_tokenizer

FRAMES, SIDE, PATCH, WIDTH, LAYERS, HEAD, MADE, PLACES = 4, 32, 8, 16, 2, 8, 12, 248


def write_videoclip_xl(folder: Path, *, seed: int = 0) -> Path:
    """A checkpoint as `longshot convert` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    words = write_clip_tokenizer(folder)
    save(folder, random_tensors(videoclip_shapes(words), seed))
    _write_config(folder, "VideoCLIP_XL")
    return folder


def write_longclip(folder: Path, *, seed: int = 0) -> Path:
    """A checkpoint as `longshot convert` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    words = write_clip_tokenizer(folder)
    save(folder, random_tensors(longclip_shapes(words), seed))
    _write_config(folder, "LongCLIP")
    return folder


def _write_config(folder: Path, architecture: str) -> None:
    # head_size: the published ones have heads of 64 and do not say so.
    config = {"architectures": [architecture], "head_size": HEAD}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def videoclip_shapes(words: int) -> dict[str, tuple[int, ...]]:
    """Every weight of VideoCLIP-XL.bin and its shape."""
    vision = _vision("vision_model.vision_encoder.", (1, PATCH, PATCH))
    vision["vision_model.vision_encoder.temporal_positional_embedding"] = (1, FRAMES, WIDTH)
    return _text("text_model.", words) | vision | {"vision_model.temp": ()}


def longclip_shapes(words: int) -> dict[str, tuple[int, ...]]:
    """Every weight of longclip-L.pt and its shape."""
    return _text("", words) | _vision("visual.", (PATCH, PATCH))


def _text(prefix: str, words: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}positional_embedding": (PLACES, WIDTH),
        f"{prefix}positional_embedding_res": (PLACES, WIDTH),
        f"{prefix}text_projection": (WIDTH, MADE),
        f"{prefix}logit_scale": (),
        f"{prefix}token_embedding.weight": (words, WIDTH),
        **_layers(prefix),
        **_norm(f"{prefix}ln_final"),
    }


def _vision(prefix: str, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}class_embedding": (WIDTH,),
        f"{prefix}positional_embedding": (1 + (SIDE // PATCH) ** 2, WIDTH),
        f"{prefix}proj": (WIDTH, MADE),
        f"{prefix}conv1.weight": (WIDTH, 3, *kernel),
        **_norm(f"{prefix}ln_pre"),
        **_layers(prefix),
        **_norm(f"{prefix}ln_post"),
    }


def _layers(prefix: str) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for number in range(LAYERS):
        block = f"{prefix}transformer.resblocks.{number}."
        found |= {f"{block}attn.in_proj_weight": (3 * WIDTH, WIDTH), f"{block}attn.in_proj_bias": (3 * WIDTH,)}
        found |= {f"{block}attn.out_proj.weight": (WIDTH, WIDTH), f"{block}attn.out_proj.bias": (WIDTH,)}
        found |= _norm(f"{block}ln_1") | _norm(f"{block}ln_2")
        found |= {f"{block}mlp.c_fc.weight": (4 * WIDTH, WIDTH), f"{block}mlp.c_fc.bias": (4 * WIDTH,)}
        found |= {f"{block}mlp.c_proj.weight": (WIDTH, 4 * WIDTH), f"{block}mlp.c_proj.bias": (WIDTH,)}
    return found


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}

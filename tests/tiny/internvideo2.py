"""InternVideo2 Stage 2: true names of both towers, tiny widths, 4 frames of 32 x 32, and a layer that joins them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tiny.languagebind import random_tensors, save
from tests.tiny.words import CORPUS

FRAMES, SIDE, PATCH, WIDTH, INNER, LAYERS, HEADS, SPACE = 4, 32, 8, 16, 40, 2, 2, 12
POOLED, TEXT_WIDTH, TEXT_INNER, TEXT_LAYERS, TEXT_HEADS = 20, 16, 24, 2, 2
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_internvideo2(folder: Path, *, seed: int = 0, fused: bool = True) -> Path:
    """A checkpoint with the layers that join text and video, and the training's heads, beside what an encoder needs."""
    folder.mkdir(parents=True, exist_ok=True)
    words = write_words(folder)
    save(folder, random_tensors(shapes(words), seed))
    vision = {"num_heads": HEADS, "attn_pool_num_heads": HEADS, "num_frames": FRAMES, "use_fused_mlp": fused}
    text = {"num_attention_heads": TEXT_HEADS, "fusion_layer": TEXT_LAYERS}
    config: dict[str, Any] = {
        "architectures": ["InternVideo2_Stage2"],
        "model": {"vision_encoder": vision, "text_encoder": text},
        "max_txt_l": 40,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def write_words(folder: Path) -> int:
    """vocab.txt for BERT's tokenizer: whole words, and letters for all others; gives their number."""
    import re

    known = sorted({word for line in CORPUS for word in re.findall(r"\w+|[^\w\s]", line.lower())} - set("abc"))
    letters = [f"{front}{letter}" for front in ("", "##") for letter in "abcdefghijklmnopqrstuvwxyz"]
    words = [*MARKS, *dict.fromkeys([*letters, *known])]
    (folder / "vocab.txt").write_text("\n".join([*words, ""]), encoding="utf-8")
    return len(words)


def shapes(words: int) -> dict[str, tuple[int, ...]]:
    """Every weight that the tests need to be there, and some that an encoder must leave out."""
    return _vision() | _text(words) | _outside()


def _vision() -> dict[str, tuple[int, ...]]:
    base, still = "vision_encoder.", (SIDE // PATCH) ** 2
    found: dict[str, tuple[int, ...]] = {
        f"{base}patch_embed.proj.weight": (WIDTH, 3, 1, PATCH, PATCH),
        f"{base}patch_embed.proj.bias": (WIDTH,),
        f"{base}cls_token": (1, 1, WIDTH),
    }
    for front in ("", "clip_"):
        found[f"{base}{front}pos_embed"] = (1, 1 + FRAMES * still, WIDTH)
        found[f"{base}{front}img_pos_embed"] = (1, 1 + still, WIDTH)
    for number in range(LAYERS):
        block = f"{base}blocks.{number}."
        for norm in ("norm1", "norm2", "attn.q_norm", "attn.k_norm"):
            found[f"{block}{norm}.weight"] = (WIDTH,)
        found |= {f"{block}ls1.gamma": (WIDTH,), f"{block}ls2.gamma": (WIDTH,)}
        found[f"{block}attn.qkv.weight"] = (3 * WIDTH, WIDTH)
        found |= _linear(f"{block}attn.proj", WIDTH, WIDTH)
        found |= _linear(f"{block}mlp.fc1", INNER, WIDTH) | _linear(f"{block}mlp.fc2", WIDTH, INNER)
    for made in "qkv":
        found |= _norm(f"{base}clip_projector.norm1_{made}", WIDTH)
        found[f"{base}clip_projector.cross_attn.{made}.weight"] = (WIDTH, WIDTH)
        found[f"{base}clip_projector.cross_attn.{made}_bias"] = (WIDTH,)
    return found | _linear(f"{base}clip_projector.cross_attn.proj", POOLED, WIDTH)


def _text(words: int) -> dict[str, tuple[int, ...]]:
    base = "text_encoder.bert."
    found: dict[str, tuple[int, ...]] = {
        f"{base}embeddings.word_embeddings.weight": (words, TEXT_WIDTH),
        f"{base}embeddings.position_embeddings.weight": (64, TEXT_WIDTH),
        f"{base}embeddings.token_type_embeddings.weight": (2, TEXT_WIDTH),
        **_norm(f"{base}embeddings.LayerNorm", TEXT_WIDTH),
    }
    for number in range(TEXT_LAYERS + 1):
        layer = f"{base}encoder.layer.{number}."
        for attention in ("attention", "crossattention")[: 1 if number < TEXT_LAYERS else 2]:
            for made in ("query", "key", "value"):
                found |= _linear(f"{layer}{attention}.self.{made}", TEXT_WIDTH, TEXT_WIDTH)
            found |= _linear(f"{layer}{attention}.output.dense", TEXT_WIDTH, TEXT_WIDTH)
            found |= _norm(f"{layer}{attention}.output.LayerNorm", TEXT_WIDTH)
        found |= _linear(f"{layer}intermediate.dense", TEXT_INNER, TEXT_WIDTH)
        found |= _linear(f"{layer}output.dense", TEXT_WIDTH, TEXT_INNER) | _norm(f"{layer}output.LayerNorm", TEXT_WIDTH)
    return found


def _outside() -> dict[str, tuple[int, ...]]:
    found = _linear("vision_proj", SPACE, POOLED) | _linear("text_proj", SPACE, TEXT_WIDTH)
    found |= _linear("itm_head", 2, TEXT_WIDTH) | _linear("vision_encoder.clip_decoder.0.head", 24, WIDTH)
    found |= _linear("vision_encoder.final_clip_decoder.head", 24, POOLED)
    return found | {"temp": (), "text_encoder.cls.predictions.bias": (9,)}


def _linear(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}

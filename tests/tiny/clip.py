"""CLIP, Long-CLIP, MetaCLIP 2 and Chinese-CLIP: true layout, tiny widths, tokenizers of the true kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tiny.folders import seeded
from tests.tiny.words import CORPUS

VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 3}
PIXELS = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}


def write_clip(folder: Path, *, positions: int = 77, old_end: bool = False, seed: int = 0) -> Path:
    """`CLIPModel`. positions: 248 makes a Long-CLIP. old_end: eos_token_id 2, as configs of 2021 to 2023 say."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    tokenizer = clip_tokenizer()
    end = tokenizer.eos_token_id
    config = CLIPConfig(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": positions,
            "eos_token_id": 2 if old_end else end,
            "bos_token_id": 0 if old_end else tokenizer.bos_token_id,
            "pad_token_id": 1 if old_end else end,
        },
        vision_config=VISION,
        projection_dim=20,
    )
    seeded(CLIPModel, config, seed=seed, scale=0.2).save_pretrained(folder)
    CLIPImageProcessor(**PIXELS).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_metaclip2(folder: Path, *, seed: int = 0) -> Path:
    """`MetaClip2Model`: CLIP with a vocabulary of many languages, whose texts end with token 2."""
    from transformers import CLIPImageProcessor, MetaClip2Config, MetaClip2Model, XLMRobertaTokenizer

    words = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *_pieces()]
    tokenizer = XLMRobertaTokenizer(vocab=words, model_max_length=77)
    config = MetaClip2Config(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "eos_token_id": 2,
            "bos_token_id": 0,
            "pad_token_id": 1,
        },
        vision_config=VISION,
        projection_dim=20,
    )
    seeded(MetaClip2Model, config, seed=seed, scale=0.2).save_pretrained(folder)
    CLIPImageProcessor(**PIXELS).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_chinese_clip(folder: Path, *, seed: int = 0) -> Path:
    """`ChineseCLIPModel`: CLIP's vision tower with BERT, read at its first token."""
    from transformers import BertTokenizer, ChineseCLIPConfig, ChineseCLIPImageProcessor, ChineseCLIPModel

    tokenizer = BertTokenizer(vocab=bert_words(), do_lower_case=True)
    config = ChineseCLIPConfig(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 64,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        vision_config=VISION,
        projection_dim=20,
    )
    seeded(ChineseCLIPModel, config, seed=seed, scale=0.2).save_pretrained(folder)
    ChineseCLIPImageProcessor(**PIXELS).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def clip_tokenizer() -> Any:
    """CLIP's own tokenizer class: bytes, the end-of-word mark, and the two tokens around a text as the highest ids."""
    from tokenizers import pre_tokenizers
    from transformers import CLIPTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(letter + "</w>" for letter in letters)]
    merges = [("t", "h"), ("th", "e</w>"), ("m", "a"), ("ma", "n</w>"), ("i", "n</w>"), ("o", "n</w>")]
    pieces += ["".join(pair) for pair in merges]
    words = {piece: place for place, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=words, merges=merges, model_max_length=77)


def bert_words() -> dict[str, int]:
    """A word-piece vocabulary with every letter of the corpus and some Chinese."""
    letters = sorted(
        {letter for line in CORPUS for letter in line.lower() if not letter.isspace()} | set("一个人在切番茄")
    )
    listed = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    return {word: place for place, word in enumerate(listed)}


def edit_config(folder: Path, **changes: Any) -> None:
    """Change top-level fields of a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _pieces() -> list[tuple[str, float]]:
    letters = sorted({letter for line in CORPUS for letter in line if not letter.isspace()})
    return [("▁", -3.0), *((letter, -4.0 - place / 100) for place, letter in enumerate(letters))]

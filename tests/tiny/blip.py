"""BLIP's matching checkpoints (`BlipForImageTextRetrieval`): true layout, tiny widths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny.clip import bert_words
from tests.tiny.folders import seeded


def write_blip(folder: Path, *, seed: int = 0) -> Path:
    """32 pixels, 16 numbers a vector."""
    from transformers import BlipConfig, BlipForImageTextRetrieval, BlipImageProcessor

    words = tokenizer()
    config = BlipConfig(
        text_config={
            "hidden_size": 24,
            "encoder_hidden_size": 32,
            "intermediate_size": 40,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "vocab_size": len(words),
            "bos_token_id": 2,
            "sep_token_id": 3,
            "max_position_embeddings": 64,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 32,
            "patch_size": 8,
        },
        image_text_hidden_size=16,
    )
    seeded(BlipForImageTextRetrieval, config, seed=seed, scale=0.2).save_pretrained(folder)
    BlipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def tokenizer() -> Any:
    """BERT's, for lower case."""
    from transformers import BertTokenizer

    return BertTokenizer(vocab=bert_words(), do_lower_case=True, model_max_length=512)

"""sentence-transformers folders as they lie on the hub: BERT with mean pooling, and CLIP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tiny.clip import bert_words, write_clip
from tests.tiny.folders import seeded

TRANSFORMER, POOLING, NORMALIZE = (
    f"sentence_transformers.models.{kind}" for kind in ("Transformer", "Pooling", "Normalize")
)


def write_texts(folder: Path, *, limit: int = 32, prompt: str = "", seed: int = 0) -> Path:
    """all-MiniLM-L6-v2 made small: BERT, the mean of its tokens, unit length. prompt: put before every text."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=3,
        vocab_size=len(tokenizer()),
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    seeded(BertModel, config, seed=seed, scale=0.2).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    rows = [("", TRANSFORMER), ("1_Pooling", POOLING), ("2_Normalize", NORMALIZE)]
    _write(folder / "modules.json", _rows(rows))
    _write(folder / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
    prompts = {"prompts": {"passage": prompt}, "default_prompt_name": "passage"} if prompt else {}
    _write(folder / "config_sentence_transformers.json", {"__version__": {"sentence_transformers": "2.0.0"}, **prompts})
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 24, "pooling_mode_mean_tokens": True})
    return folder


def write_clip_model(folder: Path, *, seed: int = 0) -> Path:
    """clip-ViT-B-32 made small: CLIP in a folder of its own."""
    write_clip(folder / "0_CLIPModel", seed=seed)
    _write(folder / "modules.json", _rows([("0_CLIPModel", "sentence_transformers.models.CLIPModel")]))
    return folder


def tokenizer() -> Any:
    """BERT's, for lower case."""
    from transformers import BertTokenizer

    return BertTokenizer(vocab=bert_words(), do_lower_case=True, model_max_length=64)


def _rows(parts: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"idx": place, "name": str(place), "path": path, "type": kind} for place, (path, kind) in enumerate(parts)]


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))

"""all-MiniLM-L6-v2 made small, to be opened without torch: the folder of tests/tiny/sentence_transformers.py."""

from __future__ import annotations

from pathlib import Path

from tests.tiny import sentence_transformers


def write_minilm(folder: Path, *, limit: int = 32, seed: int = 0) -> Path:
    """BERT with mean pooling; `limit` tokens of a text count."""
    return sentence_transformers.write_texts(folder, limit=limit, seed=seed)

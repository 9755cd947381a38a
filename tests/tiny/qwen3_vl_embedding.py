"""Qwen3-VL-Embedding: a Qwen3-VL under a name that says what it is for."""

from __future__ import annotations

from pathlib import Path

from tests.tiny.qwen import qwen3_vl


def qwen3_vl_embedding(folder: Path, *, seed: int = 0) -> Path:
    """`Qwen3VLForConditionalGeneration`; the folder must be called qwen3-vl-embedding-… to be known."""
    assert folder.name.startswith("qwen3-vl-embedding")
    return qwen3_vl(folder, seed=seed)

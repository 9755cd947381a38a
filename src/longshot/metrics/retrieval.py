"""Retrieval: how far up the right videos stand for a text, and the right texts for a video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from longshot.metrics._ranking import BLOCK, Gallery, Ranking, rank

__all__ = ["Ranking", "Ranks", "rank", "ranks"]


class Ranks(NamedTuple):
    """Ranks from 1, sorted: of the right videos of each text, and of the right texts of each video."""

    forward: list[list[int]]
    backward: list[list[int]]


def ranks(texts: NDArray[Any], videos: Gallery, truth: Sequence[Sequence[int]], *, block: int = BLOCK) -> Ranks:
    """Only the ranks of `rank`, without its ties."""
    found = rank(texts, videos, truth, block=block)
    return Ranks(found.forward, found.backward)

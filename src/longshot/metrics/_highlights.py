"""Highlights of QVHighlights: how well scores of two-second clips fit the ratings of three people.

A clip is right for a rater who gave it at least the level: 2 "Fair", 3 "Good", 4 "VeryGood"; what was not rated has 0.
All queries are scored at once, clips padded to the longest video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longshot.errors import UsageError

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}
CLIP = 2  # seconds
_RATERS = 3


@dataclass(frozen=True)
class Rated:
    """What is right. clips: how many each video has, (N,). ratings: (N, C, 3), 0 for none."""

    clips: NDArray[np.int64]
    ratings: NDArray[np.int8]

    @classmethod
    def of(cls, golds: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> Rated:
        """From gold values with "duration", "clips" and "ratings". Raises UsageError naming the item."""
        for gold, id in zip(golds, ids, strict=True):
            if not {"duration", "clips"} <= gold.keys():
                raise UsageError(f"item {id!r}: gold['ratings'] needs gold['clips'] and gold['duration'] beside it")
        # A rated clip beyond the last whole one (odd durations) is a clip, too; the official script stops at it.
        clips = np.array(
            [max(int(gold["duration"] / CLIP), max(gold["clips"], default=-1) + 1) for gold in golds], dtype=np.int64
        )
        ratings = np.zeros((len(golds), int(clips.max(initial=0)), _RATERS), dtype=np.int8)
        for place, (gold, id) in enumerate(zip(golds, ids, strict=True)):
            given = np.asarray(gold["ratings"])
            if given.shape != (len(gold["clips"]), _RATERS) and len(gold["clips"]):
                raise UsageError(f"item {id!r}: gold['ratings'] must hold three ratings for each of gold['clips']")
            if len(gold["clips"]):
                ratings[place, gold["clips"]] = given
        return cls(clips, ratings)


def saliency(told: Sequence[Numbers | None], clips: NDArray[np.int64], *, unscored: float) -> Numbers:
    """Scores of clips, (N, C): `unscored` for clips that a list is too short for, NaN beyond the video.

    What goes beyond the video is cut off; None is a list of which nothing is known.
    """
    width = int(clips.max(initial=0))
    scores = np.full((len(told), width), unscored)
    for place, one in enumerate(told):
        if one is not None:
            some = one[:width]
            scores[place, : len(some)] = some
    scores[np.arange(width) >= clips[:, None]] = np.nan
    return scores


def hits(told: Sequence[Numbers | None], rated: Rated) -> dict[str, Numbers]:
    """HIT@1: 1 where a rater finds the best-scored clip right, (N,), by name of the level.

    The first of equals is the best. A best clip beyond the end of the video is a miss, and so is no list.
    """
    best = np.array([-1 if one is None else one.argmax() for one in told], dtype=np.int64)
    rows = np.flatnonzero((best >= 0) & (best < rated.clips))
    highest = np.zeros(len(best), dtype=np.int64)
    highest[rows] = rated.ratings[rows, best[rows]].max(axis=1)
    return {name: (highest >= level).astype(np.float64) for name, level in LEVELS.items()}


def precision(scores: Numbers, rated: Rated) -> dict[str, Numbers]:
    """Average precision over clips, the mean of the three raters, (N,), by name of the level.

    By the official script: precision at every distinct score, made non-decreasing towards higher scores, is averaged
    without weights over the scores at which recall changes. With equal scores this is not the usual average precision.
    Without a right clip it is 0. scores: (N, C) as `saliency` gives them.
    """
    order = np.argsort(-scores, axis=1, kind="stable")  # NaN, beyond the video, stands last
    ranked = np.take_along_axis(scores, order, axis=1)
    rows, width = scores.shape
    last_of_equals = np.ones((rows, width), dtype=bool)
    last_of_equals[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
    looked = np.arange(1, width + 1)
    rank = np.take_along_axis(rated.ratings, order[:, :, None], axis=1)
    return {
        name: np.mean(
            [_one_rater(rank[:, :, rater] >= level, last_of_equals, looked) for rater in range(_RATERS)], axis=0
        )
        if rows
        else np.zeros(0)
        for name, level in LEVELS.items()
    }


def _one_rater(right: Mask, last_of_equals: Mask, looked: NDArray[np.int64]) -> Numbers:
    """right, last_of_equals: (N, C) in falling order of score. looked: 1..C."""
    found = np.cumsum(right, axis=1, dtype=np.int32)
    precise = np.where(last_of_equals, found / looked, 0.0)
    precise = np.maximum.accumulate(precise[:, ::-1], axis=1)[:, ::-1]
    at_ends = np.maximum.accumulate(np.where(last_of_equals, found, 0), axis=1)
    before = np.zeros_like(at_ends)
    before[:, 1:] = at_ends[:, :-1]
    changes = last_of_equals & (found > before)
    count = changes.sum(axis=1)
    area: Numbers = (precise * changes).sum(axis=1) / np.maximum(count, 1)
    return area

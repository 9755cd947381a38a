"""Windows of many queries at once: how they overlap, which claims which, and what precision follows.

Nothing is padded: the windows of all queries stand one after another, with the query that each is of. Every function
takes all queries in a few passes over such arrays.

    said = Ragged.of([[[12, 20, 0.9], [31, 40, 0.5]], []])       # two queries, the second without a window
    right = Ragged.of([[[10, 20]], [[0, 5], [8, 9]]])
    pairs = paired(said.ranked(), right, overlap)
    precision(claims(pairs, ...), ...)                           # (queries, thresholds)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
Mask = NDArray[np.bool_]
Overlap = Callable[[Numbers, Numbers, Numbers, Numbers], Numbers]

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Of IoU: 0.5, 0.55, ..., 0.95."""
KEPT = 10  # windows of a query that precision looks at
_ALMOST = 1e-9  # an IoU that equals a threshold on paper can be this far below it in floating point


@dataclass(frozen=True)
class Ragged:
    """Windows of `count` queries, (M,) each: the query, ascending, start and end in seconds, and score."""

    count: int
    query: Places
    start: Numbers
    end: Numbers
    score: Numbers

    @classmethod
    def of(cls, windows: Sequence[Sequence[Sequence[Any]]]) -> Ragged:
        """From [[[start, end, score], ...], ...]; without a score the n-th window of a query has 1 / n.

        Raises ValueError or TypeError for what is no number.
        """
        lengths = np.fromiter(map(len, windows), np.int64, len(windows))
        query = np.repeat(np.arange(len(windows)), lengths)
        flat = list(chain.from_iterable(windows))
        sizes = set(map(len, flat))
        if sizes <= {3}:
            array = np.array(flat, dtype=np.float64).reshape(-1, 3)
        elif min(sizes) < 2:
            raise ValueError("a window needs a start and an end")
        else:
            array = np.array([(*window[:3], np.nan)[:3] for window in flat], dtype=np.float64)
            bare = np.fromiter((len(window) == 2 for window in flat), bool, len(flat))
            array[bare, 2] = 1.0 / (1 + _places(query, len(windows))[bare])
        return cls(len(windows), query, array[:, 0], array[:, 1], array[:, 2])

    @cached_property
    def lengths(self) -> Places:
        """How many windows each query has, (count,)."""
        return np.bincount(self.query, minlength=self.count)

    @cached_property
    def place(self) -> Places:
        """The place of each window among those of its query, (M,)."""
        return _places(self.query, self.count)

    @cached_property
    def proper(self) -> Mask:
        """Which windows are finite and end after they start, (M,)."""
        return np.isfinite(self.start) & np.isfinite(self.end) & (self.end > self.start)

    def some(self, which: Mask | Places) -> Ragged:
        """Some of the windows, of as many queries."""
        return Ragged(self.count, self.query[which], self.start[which], self.end[which], self.score[which])

    def ranked(self, *, cut_first: bool = False) -> Ragged:
        """The best KEPT windows of each query, best first, equal ones in their order; one without a score is last.

        cut_first: the first KEPT of the list instead, then sorted.
        """
        windows = self.some(self.place < KEPT) if cut_first else self
        falling = np.where(np.isnan(windows.score), np.inf, -windows.score)
        best = windows.some(np.lexsort((windows.place, falling, windows.query)))
        return best.some(best.place < KEPT)


def _places(query: Places, count: int) -> Places:
    lengths = np.bincount(query, minlength=count)
    return np.arange(len(query)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def overlap(start: Numbers, end: Numbers, other_start: Numbers, other_end: Numbers) -> Numbers:
    """Temporal IoU, 0..1; 0 wherever a window is not finite or does not end after its start."""
    with np.errstate(invalid="ignore"):
        shared = np.minimum(end, other_end) - np.maximum(start, other_start)
        proper = np.isfinite(end - start) & np.isfinite(other_end - other_start) & (end > start)
        meet = proper & (other_end > other_start) & (shared > 0)
    union = (end - start) + (other_end - other_start) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(start), where=meet), dtype=np.float64)


def official_overlap(start: Numbers, end: Numbers, other_start: Numbers, other_end: Numbers) -> Numbers:
    """IoU as the official script matches windows by: over the sum of both lengths less what they share.

    No window is refused: two empty ones give 0 / 0 = NaN, and NaN ends give NaN.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        shared = np.clip(np.minimum(end, other_end) - np.maximum(start, other_start), 0, None)
        return np.asarray(shared / ((end - start) + (other_end - other_start) - shared), dtype=np.float64)


def official_hull_overlap(start: Numbers, end: Numbers, other_start: Numbers, other_end: Numbers) -> Numbers:
    """IoU as the official script counts R1 by: over the stretch from the first start to the last end."""
    with np.errstate(invalid="ignore"):
        shared = np.maximum(0, np.minimum(end, other_end) - np.maximum(start, other_start))
        hull = np.maximum(end, other_end) - np.minimum(start, other_start)
        return np.asarray(np.divide(shared, hull, out=np.zeros_like(shared), where=hull != 0), dtype=np.float64)


@dataclass(frozen=True)
class Pairs:
    """Each window said with each right one of its query, (K,): their places in the two lists, and IoU.

    Sorted by place in the ranking, then query, then falling IoU.
    """

    said: Ragged
    right: Ragged
    one: Places
    other: Places
    iou: Numbers


def paired(said: Ragged, right: Ragged, how: Overlap) -> Pairs:
    """All pairs. Where `how` gives NaN it stands before every number, and of equal ones the later right one first."""
    partners = right.lengths[said.query]
    one = np.repeat(np.arange(len(said.query)), partners)
    first = (np.cumsum(right.lengths) - right.lengths)[said.query]
    other = np.repeat(first, partners) + _places(one, len(said.query))
    iou = how(said.start[one], said.end[one], right.start[other], right.end[other])
    falling = np.where(np.isnan(iou), -np.inf, -iou)
    order = np.lexsort((-other, falling, said.query[one], said.place[one]))
    return Pairs(said, right, one[order], other[order], iou[order])


def claims(pairs: Pairs, *, rights: Mask | None = None, strict: bool = True) -> Places:
    """Which right window each one said claims at each threshold, (M, T); -1 for none.

    Down the ranking each window takes, of the right ones not yet claimed and with an IoU of at least the threshold,
    the one with the highest. rights: only these right windows, (R,). strict: what equals the threshold on paper
    counts; else comparison is exact, and NaN is not below any threshold, as in the official script.
    """
    claimed = np.full((len(pairs.said.query), len(THRESHOLDS)), -1, dtype=np.int64)
    free = np.ones((len(pairs.right.query), len(THRESHOLDS)), dtype=bool)
    with np.errstate(invalid="ignore"):
        near = pairs.iou >= THRESHOLDS[0] - _ALMOST if strict else ~(pairs.iou < THRESHOLDS[0])
    if rights is not None:
        near &= rights[pairs.other]
    one, other, iou = pairs.one[near], pairs.other[near], pairs.iou[near]
    query, place = pairs.said.query[one], pairs.said.place[one]
    edges = np.searchsorted(place, np.arange(KEPT + 1))
    for rank in range(KEPT):
        now = slice(edges[rank], edges[rank + 1])
        if now.start == now.stop:
            continue
        for step, threshold in enumerate(THRESHOLDS):
            with np.errstate(invalid="ignore"):
                enough = iou[now] >= threshold - _ALMOST if strict else ~(iou[now] < threshold)
            able = np.flatnonzero(enough & free[other[now], step]) + now.start
            if not len(able):
                continue
            chosen = able[np.diff(query[able], prepend=-1) != 0]
            free[other[chosen], step] = False
            claimed[one[chosen], step] = other[chosen]
    return claimed


def precision(said: Ragged, claimed: Places, rights: Places, *, ignored: Mask | None = None) -> Numbers:
    """Average precision of each query at each threshold, (count, T); NaN for a query without a right window.

    The area under the precision-recall curve, precision made non-increasing from the right (PASCAL VOC 2011, all
    points). rights: how many right windows each query has, (count,). ignored: windows that count neither for nor
    against, (M, T).
    """
    shape = (said.count, KEPT, len(THRESHOLDS))
    hits, misses = np.zeros(shape), np.ones(shape)
    hits[said.query, said.place] = claimed >= 0
    if ignored is not None:
        hits[said.query, said.place] *= ~ignored
        misses[said.query, said.place] = ~ignored
    found = np.cumsum(hits, axis=1)
    looked = np.cumsum(misses, axis=1)
    precise = np.divide(found, looked, out=np.zeros(shape), where=looked > 0)
    precise = np.maximum.accumulate(precise[:, ::-1], axis=1)[:, ::-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = found / rights[:, None, None]
    area = (np.diff(recall, axis=1, prepend=0.0) * precise).sum(axis=1)
    area[rights == 0] = np.nan
    return np.asarray(area, dtype=np.float64)


def best_overlap(pairs: Pairs) -> Numbers:
    """The highest IoU of the first window said of each query with a right one, (count,); 0 without one."""
    best = np.zeros(pairs.said.count)
    first = pairs.said.place[pairs.one] == 0
    np.maximum.at(best, pairs.said.query[pairs.one[first]], pairs.iou[first])
    return best


def official_first_overlap(said: Ragged, right: Ragged) -> Numbers:
    """R1's IoU by the official script: of the list's first window with the right one that is nearest to it, (count,).

    Which is nearest is decided by one formula, and how near by the other; NaN for a query without windows.
    """
    first = said.some(said.place == 0)
    pairs = paired(first, right, official_overlap)
    falling = np.where(np.isnan(pairs.iou), -np.inf, -pairs.iou)
    query = first.query[pairs.one]
    order = np.lexsort((pairs.other, falling, query))
    nearest = order[np.diff(query[order], prepend=-1) != 0]
    one, other = pairs.one[nearest], pairs.other[nearest]
    iou = np.full(said.count, np.nan)
    iou[first.query[one]] = official_hull_overlap(
        first.start[one], first.end[one], right.start[other], right.end[other]
    )
    return iou


def reaches(iou: Numbers, threshold: float) -> Numbers:
    """1.0 where an IoU is at least the threshold, on paper."""
    return (iou >= threshold - _ALMOST).astype(np.float64)


def set_overlap(said: Ragged, right: Ragged) -> Numbers:
    """IoU of all that is said with all that is right, each taken as one set of seconds, (count,)."""
    both = Ragged(
        said.count,
        *(np.concatenate([getattr(said, name), getattr(right, name)]) for name in ("query", "start", "end", "score")),
    )
    one, other, together = _covered(said), _covered(right), _covered(both)
    return np.divide(one + other - together, together, out=np.zeros(said.count), where=together > 0)


def _covered(windows: Ragged) -> Numbers:
    """Seconds that the proper windows of each query cover together, (count,)."""
    proper = windows.some(windows.proper)
    sorted_ = proper.some(np.lexsort((proper.start, proper.query)))
    order = np.argsort(sorted_.place, kind="stable")
    edges = np.searchsorted(sorted_.place[order], np.arange(int(sorted_.lengths.max(initial=0)) + 1))
    covered, reached = np.zeros(windows.count), np.full(windows.count, -np.inf)
    for first, last in pairwise(edges):
        now = order[first:last]
        query, end = sorted_.query[now], sorted_.end[now]
        covered[query] += np.maximum(0.0, end - np.maximum(sorted_.start[now], reached[query]))
        reached[query] = np.maximum(reached[query], end)
    return covered

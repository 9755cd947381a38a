"""Ranks of the right ones, from vectors: the score matrix is looked at in tiles and never kept.

A rank is one more than the number of candidates that come before, so nothing is sorted: the tile is compared with the
score of the right one, and what is greater is counted.

Two products of the same two rows can differ in the last digits when they stand at different places of a matrix. Ranks
must not depend on that, nor on the size of a block. So the scores that decide are dot products in float64, and the
matrix product in float32 only decides where it is safe: with a bound on its rounding, `D u |t| |v|` (Higham, Accuracy
and Stability of Numerical Algorithms, 2002, section 3.1), a candidate is surely before, surely behind, or is looked at
again in float64. Few are, unless scores are alike.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longshot.errors import UsageError

BLOCK = 4096
TIED = 1e-12
_TIED_DUAL = 1e-9
_TEXTS = 2048  # of a tile
_ROWS = 128  # of a tile, compared at once
_FEW = 64  # one in so many is looked at by itself
_PAIRS = 1024  # multiplied in float64 at once
_UNIT = 2.0**-24  # half a step of float32 at 1
_LANES = 128  # words of eight truth values whose sum has no carry between bytes
_WIDEST = 700.0  # exp of it is still a float64

Vectors = NDArray[np.float32]
Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]
Gallery = NDArray[Any] | Iterable[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Where the right ones stand.

    forward: for each text, the ranks from 1 of all its right videos, sorted. backward: for each video, the ranks of all
    its right texts. forward_ties, backward_ties: for each text and each video, how many wrong ones have the same score
    as its best right one; they were counted before it, so the best rank could also be that much lower.
    """

    forward: list[list[int]]
    backward: list[list[int]]
    forward_ties: list[int]
    backward_ties: list[int]


def rank(
    texts: NDArray[Any],
    videos: Gallery,
    truth: Sequence[Sequence[int]],
    *,
    block: int = BLOCK,
    temperature: float | None = None,
) -> Ranking:
    """Rank all videos for each text, and all texts for each video, by the dot product of their rows.

    texts: (N, D), finite, as float32. videos: (M, D), also mapped from a file; or blocks (m, D) of it in order, as
    something that can be gone through more than once (a list, or an object whose `__iter__` begins anew). truth: for
    each text, the rows of its right videos; none is allowed. block: videos of a tile. temperature: of the dual softmax;
    None for plain dot products.

    Ties count before the right one: with scores .9 .7 .7 and the last one right, its rank is 3. Right ones that are
    tied take the last of those ranks in turn.

    Raises UsageError for rows that are not finite, shapes that do not fit, and truth outside of the gallery.
    """
    if block < 1:
        raise UsageError(f"a block has at least one video, got {block}")
    rows = _matrix(texts, "texts", 0)
    if len(truth) != len(rows):
        raise UsageError(f"{len(rows)} texts need as many lists of right videos, got {len(truth)}")
    blocks = _Blocks(videos, block, rows.shape[1])
    pairs = _Pairs.of(truth)
    size, longest = _look(blocks, rows, pairs)
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    tied = TIED
    bias = np.zeros(len(rows)), np.zeros(size)
    if temperature is not None:
        bias = _dual(blocks, rows, size, temperature, float(norms.max(initial=0.0)) * longest)
        tied = _TIED_DUAL
    forward = _Side(pairs, pairs.text, len(rows), bias[1], pairs.score - bias[1][pairs.video])
    order = np.argsort(pairs.video, kind="stable")
    turned = pairs.take(order)
    backward = _Side(turned, turned.video, size, bias[0], turned.score - bias[0][turned.text])
    slack = rows.shape[1] * _UNIT * longest * float(norms.max(initial=0.0)) * 1.01
    largest = float(np.abs(np.concatenate(bias)).max(initial=0.0))
    slack += 8 * _UNIT * (longest * float(norms.max(initial=0.0)) + largest) + 2 * tied
    tile = np.empty((min(_TEXTS, max(1, len(rows))), block), np.float32)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start, videos_here in blocks:
            for low in range(0, len(rows), _TEXTS):
                texts_here = rows[low : low + _TEXTS]
                scores = tile[: len(texts_here), : len(videos_here)]
                np.matmul(texts_here, videos_here.T, out=scores)
                work = [
                    *forward.work(scores, texts_here, videos_here, low, start),
                    *backward.work(scores, videos_here, texts_here, start, low, turn=True),
                ]
                for _ in pool.map(lambda one: one.count(slack, tied), work):
                    pass
    ahead, ahead_ties = forward.ranks(tied)
    back, back_ties = backward.ranks(tied)
    return Ranking(ahead, back, ahead_ties, back_ties)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Every text with each of its right videos: (P,) each. score: their dot product."""

    text: Counts
    video: Counts
    score: Numbers

    @classmethod
    def of(cls, truth: Sequence[Sequence[int]]) -> _Pairs:
        text: list[int] = []
        video: list[int] = []
        for row, right in enumerate(truth):
            columns = sorted({int(column) for column in right})
            text.extend([row] * len(columns))
            video.extend(columns)
        if video and min(video) < 0:
            raise UsageError(f"right videos are rows of the gallery from 0, got {min(video)}")
        return cls(np.array(text, np.int64), np.array(video, np.int64), np.zeros(len(text)))

    def take(self, order: Counts) -> _Pairs:
        return _Pairs(self.text[order], self.video[order], self.score[order])


class _Blocks:
    """The gallery in blocks of at most `block` rows, float32, with the row that each begins at; any number of times."""

    def __init__(self, videos: Gallery, block: int, dimension: int) -> None:
        if not isinstance(videos, np.ndarray) and iter(videos) is videos:
            raise UsageError(
                "the blocks of a gallery are read more than once: give a list, or an object whose __iter__ begins anew"
            )
        self._videos = videos
        self._block = block
        self._dimension = dimension

    def __iter__(self) -> Iterator[tuple[int, Vectors]]:
        videos = self._videos
        start = 0
        for given in [videos] if isinstance(videos, np.ndarray) else videos:
            if given.ndim != 2 or given.shape[1] != self._dimension:
                raise UsageError(f"videos have the {self._dimension} numbers a row of the texts, got {given.shape}")
            for low in range(0, len(given), self._block):
                yield start, _single(given[low : low + self._block])
                start += min(self._block, len(given) - low)
                _let_go(given)


def _let_go(array: NDArray[Any]) -> None:
    """Give the pages of a mapped file back, so that going through it does not fill the memory."""
    if not isinstance(array, np.memmap) or array.mode == "c" or not hasattr(mmap, "MADV_DONTNEED"):
        return  # "c" would lose what was written into it
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


def _matrix(given: NDArray[Any], name: str, start: int) -> Vectors:
    """Rows as float32, all finite."""
    if given.ndim != 2:
        raise UsageError(f"{name} are rows of a matrix, got the shape {given.shape}")
    rows = _single(given)
    _squares(rows, name, start)
    return rows


def _single(rows: NDArray[Any]) -> Vectors:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        return np.ascontiguousarray(rows, dtype=np.float32)


def _squares(rows: Vectors, name: str, start: int) -> Numbers:
    """The squared length of each row; raises UsageError where it is no number."""
    squares: Numbers = np.einsum("nd,nd->n", rows, rows).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(squares))
    if len(bad):
        raise UsageError(f"row {start + int(bad[0])} of the {name} is not finite ({len(bad)} such rows here)")
    return squares


def _look(blocks: _Blocks, texts: Vectors, pairs: _Pairs) -> tuple[int, float]:
    """Check every row, fill in the scores of the pairs; the number of videos, and the length of the longest row."""
    order = np.argsort(pairs.video, kind="stable")
    columns = pairs.video[order]
    size, longest = 0, 0.0
    for start, videos in blocks:
        longest = max(longest, float(_squares(videos, "videos", start).max()))
        first, last = np.searchsorted(columns, [start, start + len(videos)])
        here = order[first:last]
        pairs.score[here] = _dots(texts, pairs.text[here], videos, pairs.video[here] - start)
        size = start + len(videos)
    if len(columns) and columns[-1] >= size:
        raise UsageError(f"right videos are rows of the gallery, 0 to {size - 1}, got {int(columns[-1])}")
    return size, float(np.sqrt(longest))


def _dots(left: Vectors, i: Counts, right: Vectors, j: Counts) -> Numbers:
    """The dot products of rows i and j, in float64."""
    found = np.empty(len(i))
    for low in range(0, len(i), _PAIRS):
        here = slice(low, low + _PAIRS)
        found[here] = np.einsum("pd,pd->p", left[i[here]].astype(np.float64), right[j[here]].astype(np.float64))
    return found


def _dual(blocks: _Blocks, texts: Vectors, size: int, temperature: float, largest: float) -> tuple[Numbers, Numbers]:
    """What the dual softmax takes from the score of each text and of each video.

    The product of both softmaxes of the scores s over a temperature T is exp(2 s / T - A - B), with A the log of the
    sum of exp(s / T) over the videos of the text and B that over the texts of the video. Within a text A is the same
    for all, so its videos rank as s - T B / 2 does.

    The products are made in float64: in float32 two videos of one vector would be told apart by the place they have in
    a matrix, by the size of a block and by the machine.
    """
    if not temperature > 0 or 2 * largest / temperature > _WIDEST:
        raise UsageError(f"the temperature is more than {2 * largest / _WIDEST:.3g} here, got {temperature:g}")
    shift = largest / temperature
    of_texts, of_videos = np.zeros(len(texts)), np.zeros(size)
    for start, videos in blocks:
        columns = videos.T.astype(np.float64)
        for low in range(0, len(texts), _ROWS):
            weights = texts[low : low + _ROWS].astype(np.float64) @ columns
            weights /= temperature
            weights -= shift
            np.exp(weights, out=weights)
            of_texts[low : low + _ROWS] += weights.sum(axis=1)
            of_videos[start : start + len(videos)] += weights.sum(axis=0)
    with np.errstate(divide="ignore"):
        half = temperature / 2
        a, b = half * (shift + np.log(of_texts)), half * (shift + np.log(of_videos))
    return np.where(np.isfinite(a), a, 0.0), np.where(np.isfinite(b), b, 0.0)


class _Side:
    """One direction: for each pair, how many of the others have a greater score, and how many the same.

    asked: (P,) the row that asks, ascending: a text forward, a video backward. bias: (others,) taken from each score.
    level: (P,) the score of the pair, less its bias.
    """

    def __init__(self, pairs: _Pairs, asked: Counts, rows: int, bias: Numbers, level: Numbers) -> None:
        self._pairs = pairs
        self._asked = asked
        self._rows = rows
        self.bias = bias
        self.level = level
        self.greater = np.zeros(len(asked), np.int64)
        self.same = np.zeros(len(asked), np.int64)

    def work(
        self, scores: Vectors, own: Vectors, others: Vectors, low: int, start: int, *, turn: bool = False
    ) -> list[_Chunk]:
        """What is to be compared in one tile: `own` rows from `low` ask, `others` from `start` are counted."""
        first, last = (int(place) for place in np.searchsorted(self._asked, [low, low + len(own)]))
        if first == last:
            return []
        rows = self._asked[first:last] - low
        if turn:
            columns, rows = np.unique(rows, return_inverse=True)
            scores, own = np.ascontiguousarray(scores.take(columns, axis=1).T), own[columns]
        bias = self.bias[start : start + len(others)]
        return [
            _Chunk(self, slice(first + k, min(first + k + _ROWS, last)), rows[k : k + _ROWS], scores, own, others, bias)
            for k in range(0, last - first, _ROWS)
        ]

    def ranks(self, tied: float) -> tuple[list[list[int]], list[int]]:
        """The ranks of each row, sorted, and how many wrong ones are tied with its best right one."""
        found: list[list[int]] = [[] for _ in range(self._rows)]
        ties = [0] * self._rows
        edges = np.flatnonzero(np.diff(self._asked, prepend=-1, append=-1))
        alone = edges[:-1][np.diff(edges) == 1]
        last_places = (self.greater + self.same)[alone].tolist()
        for row, place, same in zip(self._asked[alone].tolist(), last_places, self.same[alone].tolist(), strict=True):
            found[row], ties[row] = [place], same - 1
        for first, last in pairwise(edges.tolist()):
            if last - first == 1:
                continue
            order = first + np.argsort(-self.level[first:last], kind="stable")
            falling = -self.level[order]  # ascends, as searchsorted wants it
            right_above = np.searchsorted(falling, falling + tied, side="right")
            before = self.greater[order] + self.same[order] - right_above
            row = int(self._asked[first])
            found[row] = sorted((before + np.arange(1, last - first + 1)).tolist())
            right_same = right_above[0] - np.searchsorted(falling, falling[0] - tied)
            ties[row] = int(self.same[order[0]] - right_same)
        return found, ties


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some pairs of one tile. rows: (p,) of `scores` and `own`, the rows that ask. bias: (others,)."""

    side: _Side
    pairs: slice
    rows: Counts
    scores: Vectors
    own: Vectors
    others: Vectors
    bias: Numbers

    def count(self, slack: float, tied: float) -> None:
        """Add what the tile holds to the counts of the pairs; no two chunks have a pair in common."""
        rows, side = self.rows, self.side
        first, last = int(rows[0]), int(rows[-1])
        in_order = last - first + 1 == len(rows) and bool((np.diff(rows) == 1).all())
        values = self.scores[first : last + 1] if in_order else self.scores[rows]
        if self.bias.any():
            values = values - self.bias.astype(np.float32)
        least = (side.level[self.pairs] - slack).astype(np.float32)
        left = np.flatnonzero(values.max(axis=1) >= least)  # of good models few: the best of a tile is far behind
        if not len(left):
            return
        values, least, pairs, rows = values[left], least[left, None], self.pairs.start + left, rows[left]
        level = side.level[pairs]
        surely, i, j = _compared(values, least, (level + slack).astype(np.float32)[:, None])
        side.greater[pairs] += surely
        if not len(i):
            return
        # What float32 cannot tell.
        if len(i) > values.size // 16:  # a model that finds everything alike: the whole product is cheaper
            exact = (self.own[rows].astype(np.float64) @ self.others.astype(np.float64).T)[i, j]
        else:
            exact = _dots(self.own, rows[i], self.others, j)
        away = exact - self.bias[j] - level[i]
        side.greater[pairs] += np.bincount(i[away > tied], minlength=len(left))
        side.same[pairs] += np.bincount(i[np.abs(away) <= tied], minlength=len(left))


def _compared(values: Vectors, least: Vectors, sure: Vectors) -> tuple[Counts, Counts, Counts]:
    """How many values of each row are above `sure`, (p,); and where the others stand that are at least `least`."""
    width = values.shape[1]
    padded = -(-width // (8 * _LANES)) * 8 * _LANES
    near = np.zeros((len(values), padded), bool)
    np.greater_equal(values, least, out=near[:, :width])
    if int(_trues(near).sum()) <= near.size // _FEW:
        i, j = np.divmod(np.flatnonzero(near), padded)
        above = values[i, j] > sure[i, 0]
        return np.bincount(i[above], minlength=len(values)).astype(np.int64), i[~above], j[~above]
    surely = np.zeros_like(near)
    np.greater(values, sure, out=surely[:, :width])
    return _trues(surely), *np.divmod(np.flatnonzero(near ^ surely), padded)


def _trues(table: NDArray[np.bool_]) -> Counts:
    """How many are true in each row: eight at a time, as bytes of a word."""
    words = table.view(np.uint64).reshape(len(table), -1, _LANES).sum(axis=2)
    found: Counts = words.view(np.uint8).reshape(len(table), -1).sum(axis=1, dtype=np.int64)
    return found

"""Retrieval: how far up the right videos stand for a text, and the right texts for a video.

    found = rank(texts, videos, truth)          # unit rows; the score matrix is never held
    found.forward                               # [[1], [3, 8], ...]: ranks of the right videos of each text
    scores(rows)                                # R@K, pass@K, MedR, MeanR, MRR, nDCG@10, mAP, both ways, with intervals
    rebias(spatial_rows, temporal_rows)         # how much less a model finds by what happens than by what is seen

With r1 < r2 < ... the ranks of the right ones of one query, and N of them right in truth:

    R@K        is r1 <= K                       MRR      1 / r1
    MedR       the median of r1                 nDCG@10  sum of 1 / log2(r + 1) over r <= 10, over its largest value,
    MeanR      the mean of r1                            the sum over r = 1 ... min(N, 10)
    pass@K     R@K as LoVR divides it           mAP      the mean over all N of i / ri, 0 for one that was not ranked

A query that was not done counts as not found: 0, and for MedR and MeanR one place behind the last. Text to video, a
query is an item; video to text, it is a gallery id that at least one text is of, told at its first item. Sources:
Järvelin and Kekäläinen 2002 for nDCG; Manning, Raghavan and Schütze, Introduction to Information Retrieval, 2008,
chapter 8 for the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longshot.errors import FormatError, UsageError
from longshot.items import Row, Score, gallery_id
from longshot.journal import State
from longshot.metrics._ranking import BLOCK, Gallery, Ranking, rank
from longshot.metrics.intervals import LEVEL, Resampler, bounds

__all__ = ["KS", "Ranking", "Ranks", "ReBias", "rank", "ranks", "rebias", "scores", "values"]

KS = (1, 5, 10)
FORWARD, BACKWARD = "text to video", "video to text"
MEAN = "mean R@1 of both directions"
_CUT = 10

_Values = NDArray[np.float64]


class Ranks(NamedTuple):
    """Ranks from 1, sorted: of the right videos of each text, and of the right texts of each video."""

    forward: list[list[int]]
    backward: list[list[int]]


def ranks(
    texts: NDArray[Any],
    videos: Gallery,
    truth: Sequence[Sequence[int]],
    *,
    block: int = BLOCK,
    temperature: float | None = None,
) -> Ranks:
    """What `rank` finds, without its ties."""
    found = rank(texts, videos, truth, block=block, temperature=temperature)
    return Ranks(found.forward, found.backward)


# --- queries of one direction


@dataclass(frozen=True, slots=True)
class _Direction:
    """The queries of one direction, one for each row; what stands at rows without a query means nothing.

    first: (N,) the best rank, infinite where nothing right was ranked. gain, precision: (N,) nDCG@10 and the average
    precision. asked: which rows are queries. done: which of them were answered. size: candidates.
    """

    name: str
    first: _Values
    gain: _Values
    precision: _Values
    asked: NDArray[np.bool_]
    done: NDArray[np.bool_]
    size: int

    def hits(self, k: int) -> _Values:
        return np.where(self.first <= k, 1.0, 0.0)

    def reciprocal(self) -> _Values:
        return np.asarray(1.0 / self.first, dtype=np.float64)

    def places(self) -> _Values:
        """The best rank, one behind the last where there is none."""
        return np.where(np.isfinite(self.first), self.first, self.size + 1.0)

    def means(self) -> dict[str, _Values]:
        """Each number that is a mean over queries, 0..1, by its name."""
        found = {f"R@{k}": self.hits(k) for k in KS}
        return found | {"MRR": self.reciprocal(), f"nDCG@{_CUT}": self.gain, "mAP": self.precision}


def _directions(rows: Sequence[Row]) -> list[_Direction]:
    """Text to video, and video to text unless it was told for no item at all."""
    stands = [gallery_id(row.item.video, row.item.span) for row in rows]
    right = [_right(row) for row in rows]
    texts_of = Counter(video for videos in right for video in videos)
    gallery = len({*stands, *texts_of})
    forward = _direction(FORWARD, rows, [len(videos) for videos in right], [_told(row, 0) for row in rows], gallery)
    wanted = [0] * len(rows)
    told: list[list[int] | None] = [None] * len(rows)
    first: dict[str, int] = {}
    for place, (row, video) in enumerate(zip(rows, stands, strict=True)):
        at = first.setdefault(video, place)
        wanted[at] = texts_of[video]
        if told[at] is None:
            told[at] = _told(row, 1)
    if any(one is not None for one in told) or not forward.done.any():
        return [forward, _direction(BACKWARD, rows, wanted, told, len(rows))]
    return [forward]


def _right(row: Row) -> list[str]:
    videos = row.item.gold.get("videos")
    if not isinstance(videos, list | tuple):
        raise FormatError(f"{row.item.id}: the truth of a retrieval item is a list of gallery ids, got {videos!r:.80}")
    return list(dict.fromkeys(videos))


def _told(row: Row, side: int) -> list[int] | None:
    """The ranks that a done prediction tells of one direction; raises FormatError for what are none."""
    name = ("text_to_video", "video_to_text")[side]
    if row.state is not State.DONE or row.prediction is None:
        return None
    value = row.prediction.value
    if not isinstance(value, Mapping) or "text_to_video" not in value:
        raise FormatError(f"{row.item.id}: a prediction holds text_to_video and video_to_text, got {value!r:.80}")
    found = value.get(name)
    if found is None and side == 1:
        return None
    if not _are_ranks(found):
        raise FormatError(f"{row.item.id}: {name} is a list of ranks from 1 that rise, got {found!r:.80}")
    return [int(r) for r in found or ()]


def _are_ranks(found: object) -> bool:
    if not isinstance(found, list | tuple) or any(isinstance(r, bool) or not isinstance(r, int) for r in found):
        return False
    return all(a < b for a, b in pairwise([0, *found]))


def _direction(
    name: str, rows: Sequence[Row], wanted: Sequence[int], told: Sequence[list[int] | None], size: int
) -> _Direction:
    first = np.full(len(rows), np.inf)
    gain, precision = np.zeros(len(rows)), np.zeros(len(rows))
    discount = 1.0 / np.log2(np.arange(2, _CUT + 2))
    best = np.cumsum(discount)
    for place, (right, found) in enumerate(zip(wanted, told, strict=True)):
        if not found or not right:
            continue
        if len(found) > right or found[-1] > size:
            raise FormatError(
                f"{rows[place].item.id}: {right} right of {size} candidates {name}, got the ranks {found!r:.80}"
            )
        first[place] = found[0]
        gain[place] = sum(discount[r - 1] for r in found if r <= _CUT) / best[min(right, _CUT) - 1]
        precision[place] = sum(i / r for i, r in enumerate(found, start=1)) / right
    asked = np.array([right > 0 for right in wanted], dtype=bool)
    done = np.array([found is not None for found in told], dtype=bool) & asked
    return _Direction(name, first, gain, precision, asked, done, size)


# --- numbers


def values(rows: Sequence[Row]) -> dict[str, _Values]:
    """Each number that is a mean over queries, for every row: 0..1, 0 for what is not done, NaN for no query."""
    return {
        f"{name} {way.name}": np.where(way.asked, found, np.nan)
        for way in _directions(rows)
        for name, found in way.means().items()
    }


def scores(
    rows: Sequence[Row],
    *,
    seed: int = 0,
    resamples: int = 1000,
    passes: Sequence[int] = KS,
    divisor: int | None = None,
) -> list[Score]:
    """Every number both ways: strict, then legacy, then strict of each group.

    Legacy: R@K as CaReBench counts, over done queries only, and pass@K as LoVR does, hits over the number of texts (its
    CLIP_NUM) in both directions. passes: the K of pass@K, `range(1, 21)` for LoVR's own list. divisor: another
    CLIP_NUM, such as the 1000 of LoVR's script. A group holds the queries whose item is in it. Video to text is left
    out where predictions are done and none tells of it.

    Raises FormatError for truth and predictions that are not what `items` says.
    """
    if divisor is not None and divisor < 1:
        raise UsageError(f"the divisor of pass@K is at least 1, got {divisor}")
    if any(k < 1 for k in passes):
        raise UsageError(f"the K of pass@K are at least 1, got {', '.join(map(str, passes))}")
    if not rows:
        return []
    ways = _directions(rows)
    book = _Book(rows, Resampler([row.item.video for row in rows], seed=seed, resamples=resamples))
    everything = np.ones(len(rows), dtype=bool)
    found = book.strict(ways, everything, {})
    found += book.legacy(ways)
    found += book.passes(ways, passes, divisor or len(rows), given=divisor is not None)
    for key in dict.fromkeys(key for row in rows for key in row.item.groups):
        for value in sorted({row.item.groups[key] for row in rows if key in row.item.groups}):
            members = np.array([row.item.groups.get(key) == value for row in rows], dtype=bool)
            found += book.strict(ways, members, {key: value})
    return found


class _Book:
    """Writes scores of the same rows, with the same draws."""

    def __init__(self, rows: Sequence[Row], draws: Resampler) -> None:
        self._draws = draws
        self._states = [row.state for row in rows]
        self._videos = np.unique([row.item.video for row in rows], return_inverse=True)[1]

    def strict(self, ways: Sequence[_Direction], members: NDArray[np.bool_], group: Mapping[str, str]) -> list[Score]:
        found: list[Score] = []
        tops = []
        for way in ways:
            counted = way.asked & members
            means = way.means()
            samples = self._sampled(np.column_stack(list(means.values())), counted)
            for column, (name, array) in enumerate(means.items()):
                value = 100 * _mean(array, counted)
                found.append(self._score(f"{name} {way.name}", value, 100 * samples[:, column], counted, group, way))
            tops.append((100 * _mean(way.hits(1), counted), 100 * samples[:, 0], counted))
            found += self._places(way, counted, group)
        if len(ways) == 2:
            value = (tops[0][0] + tops[1][0]) / 2
            counted = tops[0][2]
            found.append(self._score(MEAN, value, (tops[0][1] + tops[1][1]) / 2, counted, group, *ways))
        return found

    def legacy(self, ways: Sequence[_Direction]) -> list[Score]:
        found: list[Score] = []
        tops = []
        for way in ways:
            hits = np.column_stack([way.hits(k) for k in KS])
            samples = 100 * self._sampled(hits, way.done)
            for column, k in enumerate(KS):
                value = 100 * _mean(hits[:, column], way.done)
                found.append(
                    self._score(f"R@{k} {way.name}", value, samples[:, column], way.done, {}, way, legacy="done only")
                )
            tops.append((100 * _mean(hits[:, 0], way.done), samples[:, 0]))
        if len(ways) == 2:
            both = (tops[0][1] + tops[1][1]) / 2
            value = (tops[0][0] + tops[1][0]) / 2
            found.append(self._score(MEAN, value, both, ways[0].done, {}, *ways, legacy="done only"))
        return found

    def passes(self, ways: Sequence[_Direction], ks: Sequence[int], divisor: int, *, given: bool) -> list[Score]:
        found: list[Score] = []
        said = f"hits / {divisor}{'' if given else ' texts'}"
        for way in ways:
            if not ks:
                continue
            hits = np.column_stack([way.hits(k) for k in ks])
            scale = 100 * int(way.asked.sum()) / divisor
            samples = scale * self._sampled(hits, way.asked)
            for column, k in enumerate(ks):
                value = scale * _mean(hits[:, column], way.asked)
                name = f"pass@{k} {way.name}"
                found.append(self._score(name, value, samples[:, column], way.asked, {}, way, legacy=said))
        return found

    def _places(self, way: _Direction, counted: NDArray[np.bool_], group: Mapping[str, str]) -> list[Score]:
        """MedR and MeanR, which have no unit."""
        places = way.places()
        middle = float(np.median(places[counted])) if counted.any() else float("nan")
        mean = self._score(
            f"MeanR {way.name}", _mean(places, counted), self._sampled(places, counted), counted, group, way, unit=""
        )
        # Woodruff 1952: the interval of the share up to the median, read off as ranks.
        below = (places <= middle).astype(np.float64)
        low, high = bounds(self._sampled(below, counted))
        median = self._score(f"MedR {way.name}", middle, np.zeros(0), counted, group, way, unit="")
        if low is not None and high is not None:
            share = _mean(below, counted)
            edges = np.clip([0.5 - (high - share), 0.5 + (share - low)], 0, 1)
            ends = np.quantile(places[counted], edges, method="inverted_cdf")
            median = replace(median, low=min(float(ends[0]), middle), high=max(float(ends[1]), middle))
        return [median, mean]

    def _sampled(self, array: _Values, counted: NDArray[np.bool_]) -> _Values:
        samples = self._draws.means(array, counted=counted)
        alone = len(set(self._videos[counted].tolist())) < 2  # one video says nothing about others
        return np.full_like(samples, np.nan) if alone else samples

    def _score(
        self,
        name: str,
        value: float,
        samples: _Values,
        counted: NDArray[np.bool_],
        group: Mapping[str, str],
        *ways: _Direction,
        unit: str = "%",
        legacy: str = "",
    ) -> Score:
        states = Counter(state for state, counts in zip(self._states, counted.tolist(), strict=True) if counts)
        low, high = bounds(samples)
        sizes = " and ".join(f"{way.size} {'videos' if way.name == FORWARD else 'texts'}" for way in ways)
        lost = int(counted.sum()) - states[State.DONE]
        # Ranks are among what could be read, which is easier than the whole gallery: that must be said.
        easier = f"; {lost} not done, whose videos stood in nobody's way" if lost else ""
        return Score(
            name,
            None if np.isnan(value) else value,
            int(counted.sum()),
            {state.value: states[state] for state in State},
            low,
            high,
            dict(group),
            bool(legacy),
            unit,
            f"among {sizes}{easier}" + (f"; {legacy}" if legacy else ""),
        )


def _mean(array: _Values, counted: NDArray[np.bool_]) -> float:
    return float(array[counted].mean()) if counted.any() else float("nan")


# --- ReBias


@dataclass(frozen=True, slots=True)
class ReBias:
    """|1 - temporal / spatial| x 100, and the six recalls that each is the mean of, in percent.

    low, high: the 95 % interval, None without rows. spatial, temporal: the means. terms: for "R@1 text to video" and so
    on, the spatial recall and the temporal one.
    """

    value: float | None
    spatial: float
    temporal: float
    terms: Mapping[str, tuple[float, float]]
    low: float | None = None
    high: float | None = None


TERMS = tuple(f"R@{k} {way}" for way in (FORWARD, BACKWARD) for k in KS)


def rebias(
    spatial: Mapping[str, float] | Sequence[Row],
    temporal: Mapping[str, float] | Sequence[Row],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> ReBias:
    """How far retrieval by temporal captions falls behind retrieval by spatial ones: lower is less biased.

    spatial, temporal: the recalls of TERMS in percent, or the rows of both runs, and then there is an interval: videos
    are drawn, the same for both. With spatial recalls of mean 90 and temporal ones of mean 72 it is 20. The value is
    None where nothing is found by spatial captions. Source: CaReBench (arXiv 2501.00513); the mean over R@1, 5 and 10
    in both directions is the reading that fits its published number.

    Raises UsageError where a recall is missing, or only one of the two has rows.
    """
    if isinstance(spatial, Mapping) and isinstance(temporal, Mapping):
        missing = [name for name in TERMS if name not in spatial or name not in temporal]
        if missing:
            raise UsageError(f"ReBias needs {', '.join(TERMS)} of both; {missing[0]} is missing")
        return _rebias({name: (float(spatial[name]), float(temporal[name])) for name in TERMS})
    if isinstance(spatial, Mapping) or isinstance(temporal, Mapping):
        raise UsageError("ReBias takes recalls of both or rows of both")
    tables = [values(spatial), values(temporal)]
    if any(name not in table for table in tables for name in TERMS):
        raise UsageError("ReBias needs ranks video to text, too")
    # One set of draws over both runs: a video that is drawn is drawn for both.
    videos = [row.item.video for row in (*spatial, *temporal)]
    draws = Resampler(videos, seed=seed, resamples=resamples)
    terms: dict[str, tuple[float, float]] = {}
    sampled = np.zeros((2, resamples))
    for name in TERMS:
        padded = [
            np.concatenate([tables[0][name], np.full(len(temporal), np.nan)]),
            np.concatenate([np.full(len(spatial), np.nan), tables[1][name]]),
        ]
        counted = [np.isfinite(array) for array in padded]
        pair = [100 * _mean(array, some) for array, some in zip(padded, counted, strict=True)]
        terms[name] = pair[0], pair[1]
        for side in range(2):
            sampled[side] += draws.means(padded[side], counted=counted[side])
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = bounds(np.abs(1 - sampled[1] / sampled[0]) * 100, level=LEVEL)
    return _rebias(terms, low, high)


def _rebias(terms: Mapping[str, tuple[float, float]], low: float | None = None, high: float | None = None) -> ReBias:
    spatial = sum(one for one, _ in terms.values()) / len(terms)
    temporal = sum(one for _, one in terms.values()) / len(terms)
    value = abs(1 - temporal / spatial) * 100 if spatial > 0 else None
    return ReBias(value, spatial, temporal, terms, low, high)

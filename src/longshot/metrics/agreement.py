"""Whether judges agree: Krippendorff's alpha, Cohen's kappa, and rank correlations, each with its interval.

    alpha([["yes", "no", None], ["yes", "yes", "no"]])        # one list a judge, None where it said nothing
    kappa(first, second)                                      # two judges, labels
    spearman(first, second), kendall(first, second)           # two judges, numbers

1 is full agreement, 0 what chance would give. Alpha compares the disagreement Do within units with De, that of values
paired by chance: alpha = 1 - Do / De, where each of the m values of a unit is paired with the others and counts
1 / (m - 1). Two values c and k are apart by 0 or 1 (nominal), by (c - k)^2 (interval), or, of ordered categories, by
the square of how many values lie from c to k, those at either end counted half (ordinal). Source: Krippendorff,
Computing Krippendorff's Alpha-Reliability, 2011.

Intervals are of the bootstrap: units are drawn, all of one video together (`clusters`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from longshot.errors import UsageError
from longshot.metrics.intervals import bounds

Level = Literal["nominal", "ordinal", "interval"]
LEVELS = ("nominal", "ordinal", "interval")

_Numbers = NDArray[np.float64]
_Statistic = Callable[[_Numbers], _Numbers]
_BLOCK = 1 << 22  # numbers of a block of weights
_ROWS = 256  # of a table of all pairs of items


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well judges agree.

    value: None where it is not defined, such as when all say the same always. low, high: the 95 % interval, None for
    fewer than two videos. n: units that at least two judges rated.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


def alpha(
    ratings: Sequence[Sequence[object]],
    *,
    level: Level = "nominal",
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Agreement:
    """Krippendorff's alpha of any number of judges.

    ratings: for each judge, one value a unit, None or NaN for a missing one; labels when nominal, else numbers.
    clusters: the video of each unit, each its own when None. Units with fewer than two values are not counted.

    Raises UsageError for rows of different lengths, and for what is no number where there should be one.
    """
    if level not in LEVELS:
        raise UsageError(f"the level is one of {', '.join(LEVELS)}, got {level!r}")
    units = len(ratings[0]) if ratings else 0
    if any(len(row) != units for row in ratings):
        raise UsageError(f"judges rate the same units, got rows of {', '.join(str(len(row)) for row in ratings)}")
    said = [(unit, value) for row in ratings for unit, value in enumerate(row) if not _missing(value)]
    codes, places = _coded([value for _, value in said], level)
    counts = np.zeros((units, len(codes)))
    np.add.at(counts, ([unit for unit, _ in said], places), 1.0)
    kept = np.flatnonzero(counts.sum(axis=1) >= 2)
    counts = counts[kept]
    return _agreement(
        lambda weights: _alphas(counts, codes, level, weights), _videos(clusters, units)[kept], seed, resamples
    )


def kappa(
    first: Sequence[object],
    second: Sequence[object],
    *,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Agreement:
    """Cohen's kappa of two judges' labels: (agreed - by chance) / (1 - by chance), over units that both rated.

    Source: Cohen, A coefficient of agreement for nominal scales, 1960.
    """
    _same_length(first, second)
    kept = np.array([k for k, pair in enumerate(zip(first, second, strict=True)) if not any(map(_missing, pair))], int)
    codes, places = _coded([first[k] for k in kept] + [second[k] for k in kept], "nominal")
    one, other = (np.eye(len(codes))[part] for part in np.split(np.array(places, int), [len(kept)]))
    agreed = (one * other).sum(axis=1)

    def statistic(weights: _Numbers) -> _Numbers:
        total = weights.sum(axis=1)
        chance = ((weights @ one) * (weights @ other)).sum(axis=1) / total**2
        return _over(weights @ agreed / total - chance, 1 - chance)

    return _agreement(statistic, _videos(clusters, len(first))[kept], seed, resamples)


def spearman(
    first: ArrayLike,
    second: ArrayLike,
    *,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Agreement:
    """Spearman's rank correlation of two judges' numbers: ties share their mean rank, and NaN is not counted."""
    one, other, kept = _both(first, second)

    def statistic(weights: _Numbers) -> _Numbers:
        a, b = _mean_ranks(one, weights), _mean_ranks(other, weights)
        total = weights.sum(axis=1, keepdims=True)
        a -= (weights * a).sum(axis=1, keepdims=True) / total
        b -= (weights * b).sum(axis=1, keepdims=True) / total
        spread = np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1))
        return _over((weights * a * b).sum(axis=1), spread)

    return _agreement(statistic, _videos(clusters, len(np.asarray(first)))[kept], seed, resamples)


def kendall(
    first: ArrayLike,
    second: ArrayLike,
    *,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Agreement:
    """Kendall's tau-b of two judges' numbers, with its correction for ties; NaN is not counted.

    Source: Kendall, The treatment of ties in ranking problems, 1945. Time grows with the square of the items.
    """
    one, other, kept = _both(first, second)

    def statistic(weights: _Numbers) -> _Numbers:
        sums = np.zeros((3, len(weights)))
        for low in range(0, len(one), _ROWS):
            here = slice(low, low + _ROWS)
            a = np.sign(one[here, None] - one[None, :])
            b = np.sign(other[here, None] - other[None, :])
            for place, table in enumerate((a * b, a * a, b * b)):
                sums[place] += (weights[:, here] * (weights @ table.T)).sum(axis=1)
        return _over(sums[0], np.sqrt(sums[1] * sums[2]))

    return _agreement(statistic, _videos(clusters, len(np.asarray(first)))[kept], seed, resamples)


# --- what is counted


def _alphas(counts: _Numbers, codes: _Numbers, level: Level, weights: _Numbers) -> _Numbers:
    """Alpha for each row of weights. counts: (U, V) how often each unit got each value."""
    size = counts.sum(axis=1)
    totals = weights @ counts
    n = totals.sum(axis=1)
    if level == "ordinal":
        observed, expected = _ordinal(counts, weights, totals)
    elif level == "interval":
        squares, sums = counts @ codes**2, counts @ codes
        observed = weights @ (2 * (size * squares - sums**2) / (size - 1))
        expected = 2 * (n * (totals @ codes**2) - (totals @ codes) ** 2)
    else:
        observed = weights @ ((size**2 - (counts**2).sum(axis=1)) / (size - 1))
        expected = n**2 - (totals**2).sum(axis=1)
    # Rounding leaves a little of what is nothing; without any disagreement by chance alpha is not defined.
    expected[expected <= 1e-12 * n**2 * max(1.0, float((codes**2).max(initial=0.0)))] = 0.0
    return 1 - _over((n - 1) * observed, expected)


def _ordinal(counts: _Numbers, weights: _Numbers, totals: _Numbers) -> tuple[_Numbers, _Numbers]:
    """How far values are apart depends on how often each is used, so every row of weights has its own table."""
    observed, expected = np.zeros(len(weights)), np.zeros(len(weights))
    shares = counts / (counts.sum(axis=1, keepdims=True) - 1)
    for row, (weight, total) in enumerate(zip(weights, totals, strict=True)):
        middle = np.cumsum(total) - total / 2
        apart = (middle[:, None] - middle[None, :]) ** 2
        observed[row] = float((((shares * weight[:, None]).T @ counts) * apart).sum())  # apart is 0 on the diagonal
        expected[row] = float(total @ apart @ total)
    return observed, expected


def _mean_ranks(values: _Numbers, weights: _Numbers) -> _Numbers:
    """(R, N): the rank of each value when it stands there as often as its weight says."""
    distinct, places = np.unique(values, return_inverse=True)
    table = np.zeros((len(values), len(distinct)))
    table[np.arange(len(values)), places] = 1.0
    often = weights @ table
    return np.asarray((np.cumsum(often, axis=1) - (often - 1) / 2)[:, places], dtype=np.float64)


def _over(above: _Numbers, below: _Numbers) -> _Numbers:
    """A ratio, NaN where it is not defined."""
    found = np.full(len(below), np.nan)
    np.divide(above, below, out=found, where=below > 0)
    return found


# --- what is read


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def _coded(values: Sequence[object], level: Level) -> tuple[_Numbers, list[int]]:
    """The distinct values, ascending, and the place of each value among them; labels become 0, 1, 2, ..."""
    if level == "nominal":
        labels = {label: place for place, label in enumerate(dict.fromkeys(values))}
        return np.arange(len(labels), dtype=np.float64), [labels[value] for value in values]
    numbers = []
    for value in values:
        if not isinstance(value, int | float | np.integer | np.floating) or not np.isfinite(float(value)):
            raise UsageError(f"{level} ratings are numbers, got {value!r}")
        numbers.append(float(value))
    codes, places = np.unique(np.array(numbers), return_inverse=True)
    return codes.astype(np.float64), places.tolist()


def _same_length(first: Sequence[object] | _Numbers, second: Sequence[object] | _Numbers) -> None:
    if len(first) != len(second):
        raise UsageError(f"judges rate the same units, got {len(first)} and {len(second)}")


def _both(first: ArrayLike, second: ArrayLike) -> tuple[_Numbers, _Numbers, NDArray[np.int64]]:
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    _same_length(one, other)
    kept = np.flatnonzero(~(np.isnan(one) | np.isnan(other)))
    return one[kept], other[kept], kept


def _videos(clusters: Sequence[str] | None, units: int) -> NDArray[np.str_]:
    if clusters is None:
        return np.arange(units).astype(np.str_)
    if len(clusters) != units:
        raise UsageError(f"every unit is of a video: {units} units, {len(clusters)} videos")
    return np.asarray(clusters, dtype=np.str_)


def _agreement(statistic: _Statistic, videos: NDArray[np.str_], seed: int, resamples: int) -> Agreement:
    if not len(videos):
        return Agreement(None, None, None, 0)
    value = float(statistic(np.ones((1, len(videos))))[0])
    names, places = np.unique(videos, return_inverse=True)
    low, high = None, None
    if len(names) > 1:
        drawn = [statistic(counts[:, places]) for counts in _draws(len(names), len(videos), seed, resamples)]
        low, high = bounds(np.concatenate(drawn))
    return Agreement(None if np.isnan(value) else value, low, high, len(videos))


def _draws(clusters: int, items: int, seed: int, resamples: int) -> Iterator[_Numbers]:
    """How often each video is drawn, in blocks."""
    random = np.random.default_rng(seed)
    rows = max(1, _BLOCK // items)
    for first in range(0, resamples, rows):
        size = min(rows, resamples - first)
        yield random.multinomial(clusters, np.full(clusters, 1.0 / clusters), size=size).astype(np.float64)

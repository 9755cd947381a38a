"""Two runs of the same items: whether they differ, and what difference a run could show at all.

    found = paired(values(rows_a)["R@1"], values(rows_b)["R@1"], [row.item.video for row in rows_a])
    found.difference, found.low, found.high, found.p          # a - b, its 95 % interval, and its p value
    smallest_difference(spread(0.6), 1000)                    # before a run: what 1,000 videos would show

Items of one video are alike, so the video is what is drawn and what is flipped.

The interval is that of the cluster bootstrap (`metrics.intervals`). The p value is of a sign-flip permutation test: if
the two runs are the same, then the sum of the differences of each video could as well have the other sign. C videos
with a sum other than 0 have 2^C ways to choose the signs, and p is the share of them whose total is at least as far
from 0 as the one that came out. Up to C = 16 all are counted, and p is exact; above, `resamples` of them are drawn, and
the one that came out counts as one more: p = (1 + hits) / (1 + resamples). Sources: Fisher, The Design of Experiments,
1935, section 21; Phipson and Smyth 2010 (Statistical Applications in Genetics and Molecular Biology 9:39) for the 1.

    sums of five videos      2, 1, 1, 3, -1: a total of 6; with every sign plus it is 8
    of 32 ways, 6 or more    8: none minus, or one of the three ones minus, and each of these four turned round
    p                        8 / 32 = 0.25

What a run can show: where the mean difference has the standard error e, the difference that a two-sided test at `level`
finds with the probability `power` is (t(1 - level / 2) + t(power)) e, with t the quantiles of Student's distribution of
C - 1 degrees of freedom. Source: Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, chapter 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from longshot.errors import UsageError
from longshot.metrics.intervals import Resampler, bounds

EXACT = 16
_BLOCK = 1 << 22  # signs drawn at once


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much more one run scores than another, in the unit of the values.

    difference: the mean of a - b over the items that both count, None where there is none. low, high: its 95 %
    interval, None for fewer than two videos. p: of no difference, two-sided. n: items. clusters: videos.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    clusters: int


def paired(
    a: ArrayLike, b: ArrayLike, clusters: Sequence[str], *, seed: int = 0, resamples: int = 10_000
) -> Comparison:
    """Compare the values of two runs, item by item.

    a, b: (N,), of the same items in the same order; an item that is NaN in one of them is not counted. clusters: (N,)
    the video of each. Raises UsageError for other shapes, and for values that are infinite.
    """
    one, other = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if one.ndim != 1 or one.shape != other.shape or len(one) != len(clusters):
        raise UsageError(
            f"a comparison takes as many values as videos, got {one.shape}, {other.shape}, {len(clusters)}"
        )
    if np.isinf(one).any() or np.isinf(other).any():
        raise UsageError("a comparison takes finite values, or NaN for what is not counted")
    both = ~(np.isnan(one) | np.isnan(other))
    if not both.any():
        return Comparison(None, None, None, None, 0, 0)
    differences = (one - other)[both]
    names = np.asarray(clusters, dtype=str)[both]
    low, high = bounds(Resampler(names.tolist(), seed=seed, resamples=resamples).means(differences))
    places = np.unique(names, return_inverse=True)[1]
    sums = np.bincount(places, weights=differences).astype(np.float64)
    return Comparison(float(differences.mean()), low, high, _sign_flips(sums, seed, resamples), len(names), len(sums))


def _sign_flips(sums: NDArray[np.float64], seed: int, resamples: int) -> float:
    """The p value of the total of some sums, each of which could have either sign."""
    told = sums[sums != 0]
    # Totals that are equal on paper differ in the last digit: what is that close counts as equal.
    limit = abs(float(told.sum())) - 1e-12 * float(np.abs(told).sum())
    if len(told) <= EXACT:
        signs = 1.0 - 2.0 * ((np.arange(2 ** len(told))[:, None] >> np.arange(len(told))) & 1)
        return float((np.abs(signs @ told) >= limit).mean())
    random = np.random.default_rng(seed)
    rows = max(1, _BLOCK // len(told))
    hits = 0
    for first in range(0, resamples, rows):
        flipped = random.integers(0, 2, size=(min(rows, resamples - first), len(told)), dtype=np.int8)
        hits += int((np.abs((1.0 - 2.0 * flipped) @ told) >= limit).sum())
    return (1 + hits) / (1 + resamples)


def spread(share: float = 0.5, *, correlation: float = 0.5) -> float:
    """The standard deviation of an item's difference between two runs that are right in `share` of the items.

    correlation: of right and wrong between the runs, item by item: 0 for runs that have nothing in common, 1 for runs
    that are right on the same items. The deviation is sqrt(2 share (1 - share) (1 - correlation)).
    """
    if not 0 <= share <= 1 or not -1 <= correlation <= 1:
        raise UsageError(f"a share is in 0..1 and a correlation in -1..1, got {share:g} and {correlation:g}")
    return sqrt(2 * share * (1 - share) * (1 - correlation))


def smallest_difference(
    values: ArrayLike | float,
    clusters: int | Sequence[str],
    *,
    alike: float = 0.0,
    power: float = 0.8,
    level: float = 0.05,
) -> float:
    """The smallest mean difference that a run would show, in the unit of the values.

    values: differences of a pilot run, one an item, whose standard error is taken from the sums of its videos (Cochran,
    Sampling Techniques, 1977, section 9A.1); or the standard deviation of an item's difference, such as `spread` gives.
    clusters: the video of each item; a number stands for so many videos of one item each. alike: with a standard
    deviation, the correlation of two items of one video; items of videos with m items then count as if there were
    fewer, by the design effect 1 + (sum m^2 / sum m - 1) alike (Kish, Survey Sampling, 1965, section 5.4).

    Infinite where so few videos can show nothing: the p of C videos is never below 2 / 2^C.
    """
    if not 0 < level < 1 or not 0 < power < 1:
        raise UsageError(f"level and power are between 0 and 1, got {level:g} and {power:g}")
    sizes = np.ones(clusters) if isinstance(clusters, int) else np.array(list(Counter(clusters).values()), dtype=float)
    error = _standard_error(np.asarray(values, dtype=np.float64), clusters, sizes, alike)
    videos = len(sizes)
    if videos < 2 or 2.0 ** (1 - videos) > level:
        return inf
    return (_student(1 - level / 2, videos - 1) + _student(power, videos - 1)) * error


def _standard_error(
    values: NDArray[np.float64], clusters: int | Sequence[str], sizes: NDArray[np.float64], alike: float
) -> float:
    if not np.isfinite(values).all():
        raise UsageError("the smallest difference is of finite values")
    if values.ndim == 0:
        if values < 0 or not 0 <= alike <= 1:
            raise UsageError(f"a deviation is at least 0 and a likeness in 0..1, got {float(values):g} and {alike:g}")
        total = float(sizes.sum())
        effect = 1 + (float((sizes**2).sum()) / total - 1) * alike if total else 1.0
        return float(values) * sqrt(effect / total) if total else inf
    names = [str(k) for k in range(clusters)] if isinstance(clusters, int) else list(clusters)
    if values.shape != (len(names),):
        raise UsageError(f"values are one an item: got {values.shape} for {len(names)} items")
    if len(sizes) < 2:
        return inf
    places = np.unique(np.asarray(names, dtype=str), return_inverse=True)[1]
    rest = np.bincount(places, weights=values - values.mean())
    return sqrt(len(sizes) / (len(sizes) - 1) * float((rest**2).sum())) / len(names)


def _student(share: float, degrees: int) -> float:
    """The quantile of Student's t from that of the normal distribution.

    Source: Abramowitz and Stegun 1964, 26.7.5, four terms: off by less than 0.1 % from 5 degrees
    on, for shares of 0.5 to 0.99.
    """
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    found = z + sum(term / degrees**power for power, term in enumerate(terms, start=1))
    return found if isfinite(found) else inf

"""How far a number can be trusted: the bootstrap over videos.

Items of one video are alike, so videos are drawn, not items (the cluster bootstrap): each of R resamples draws as many
videos as there are, with replacement, and takes all items of each. Percentiles of the R numbers bound the interval.
Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.

    draws = Resampler([row.item.video for row in rows], seed=0)
    low, high = bounds(draws.means(hits))                    # of a mean
    r, p = draws.means(recalls), draws.means(precisions)     # the same draws, so numbers made of both can be bounded
    low, high = bounds(2 * r * p / (r + p))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from longshot.errors import UsageError

LEVEL = 0.95
_BLOCK = 1 << 22  # numbers of a block of weights


class Resampler:
    """The same random draws of videos for every number of one set of items.

    clusters: for each item, the video that it is of. resamples: R.
    """

    def __init__(self, clusters: Sequence[str], *, seed: int = 0, resamples: int = 1000) -> None:
        if resamples < 1:
            raise UsageError(f"an interval needs resamples, got {resamples}")
        names, places = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
        self.clusters = len(names)
        self.resamples = resamples
        self._places = places
        self._seed = seed

    def means(self, values: ArrayLike, *, counted: ArrayLike | None = None) -> NDArray[np.float64]:
        """The mean of `values` in each resample: (R,) from (N,), (R, K) from (N, K).

        counted: (N,), which items count at all (all when None). NaN for a resample in which none does.
        """
        array = np.asarray(values, dtype=np.float64)
        if self.clusters < 2:  # one video says nothing about others
            return np.full((self.resamples, *array.shape[1:]), np.nan)
        weight = np.ones(len(array)) if counted is None else np.asarray(counted, dtype=np.float64)
        columns = array.reshape(len(array), -1)
        # 0 * NaN would spread; what is not counted is not looked at.
        columns = np.where(weight[:, None] > 0, columns, 0.0)
        sums = np.zeros((self.clusters, columns.shape[1] + 1))
        np.add.at(sums, self._places, np.column_stack([columns * weight[:, None], weight]))
        drawn = (
            np.concatenate([draws @ sums for draws in self._draws()]) if len(array) else np.zeros((0, sums.shape[1]))
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            means = drawn[:, :-1] / drawn[:, -1:]
        return np.asarray(means[:, 0] if array.ndim == 1 else means, dtype=np.float64)

    def _draws(self) -> Iterator[NDArray[np.float64]]:
        """How often each cluster is drawn, (rows, C) in blocks; R rows in all, the same at every call."""
        random = np.random.default_rng(self._seed)
        rows = max(1, _BLOCK // max(1, self.clusters))
        even = np.full(self.clusters, 1.0 / self.clusters)
        sizes = [min(rows, self.resamples - first) for first in range(0, self.resamples, rows)]
        for size in sizes:
            yield random.multinomial(self.clusters, even, size=size).astype(np.float64)


def bounds(samples: NDArray[np.float64], *, level: float = LEVEL) -> tuple[float, float] | tuple[None, None]:
    """The percentile interval of resampled numbers; (None, None) where there are none."""
    finite = samples[np.isfinite(samples)]
    if len(finite) < 2:
        return None, None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

"""The watch for dissolves: pictures on an even grid of seconds, measured stretch by stretch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from longshot.segmenters import _gradual
from longshot.segmenters._changes import Change
from longshot.segmenters._likeness import Looks, unmatched

_CENTRES = 32  # grid steps that are measured at once
_LONGEST_HOLD = 3 * _gradual.REACH  # grid steps for which one picture is repeated; a slide may stay for an hour

# Logistic weights over _gradual.NAMES, fitted on the tuning half of the ground-truth set by
# benchmarks/shots_accuracy.py --fit (see docs/shots.md).
WEIGHTS = np.array([0.343, -2.08, -3.565, -0.989, 3.387, -4.525], np.float32)
BIAS = -22.942
LEAST_ODDS = -1.0  # log odds from which a stretch is taken for a dissolve: a chance of 0.27
MOST_CARRIED = 0.45  # share of the change that a moving camera explains; a mix reached 0.41 in 98 of 100 cases
LEAST_NEW = 0.3  # shape that moving blocks leave unexplained between the two ends; less is one scene in other light


class Mixes:
    """Finds dissolves and ramps to or from a blank; keeps about six seconds of pictures."""

    def __init__(self) -> None:
        self._last: Looks | None = None
        self._grid: Looks | None = None  # `times` are the grid's
        self._next = 0  # the grid step that is filled next
        self._done = 0  # centres measured, among the kept ones
        self._found: list[Change] = []

    def see(self, looks: Looks) -> None:
        """Take the next pictures."""
        looks = looks if self._last is None else self._last.joined(looks)
        self._last = looks[-1:]
        ticks = self._ticks(looks)
        if not len(ticks):
            return
        shown = np.searchsorted(looks.times, ticks + 1e-6, side="right") - 1
        fresh = looks[np.maximum(shown, 0)].at(ticks)
        self._grid = fresh if self._grid is None else self._grid.joined(fresh)
        while len(self._grid) >= self._done + _CENTRES + _gradual.REACH:
            self._measure(self._done + _CENTRES)

    @property
    def since(self) -> float:
        """The time of the oldest picture kept."""
        return float(self._grid.times[0]) if self._grid is not None else np.inf

    def renew(self, looks: Looks) -> None:
        """Take the kept pictures once more; `looks` has them all, and maybe older ones."""
        assert self._grid is not None
        self._last = looks[-1:]
        shown = np.searchsorted(looks.times, self._grid.times + 1e-6, side="right") - 1
        self._grid = looks[np.maximum(shown, 0)].at(self._grid.times)

    def finish(self) -> list[Change]:
        """All that was found; claims about the same seconds are still among them."""
        if self._grid is not None:
            self._measure(len(self._grid))
        return self._found

    def _ticks(self, looks: Looks) -> NDArray[np.float64]:
        """Grid seconds up to the newest picture. Inside a very long hold, the middle is left out."""
        borders = np.ceil(looks.times * _gradual.RATE - 1e-6).astype(np.int64)
        last = int(np.floor(float(looks.times[-1]) * _gradual.RATE + 1e-6))
        borders = np.clip(np.append(borders, last + 1), self._next, last + 1)
        pieces = [np.arange(self._next, borders[0])]
        for begin, stop in pairwise(borders.tolist()):
            if stop - begin > _LONGEST_HOLD:
                pieces += [np.arange(begin, begin + _LONGEST_HOLD // 2), np.arange(stop - _LONGEST_HOLD // 2, stop)]
            else:
                pieces.append(np.arange(begin, stop))
        self._next = last + 1
        return np.concatenate(pieces) / _gradual.RATE

    def _measure(self, last: int) -> None:
        """Look for mixes around the kept grid steps up to `last` (not included), then forget what is not needed."""
        grid = self._grid
        assert grid is not None
        product = _gradual.products(_gradual.vectors(grid.shade, grid.colour))
        likeness = _gradual.products(_gradual.halved(grid.shape))
        best = np.full(len(grid), -np.inf)
        widths = np.zeros(len(grid), np.int64)
        for half in _gradual.HALVES:
            centres = np.arange(max(self._done, half), min(last, len(grid) - half))
            if len(centres):
                odds = _gradual.measure(product, likeness, grid.contrast, centres, half) @ WEIGHTS + BIAS
                better = odds > best[centres]
                best[centres[better]], widths[centres[better]] = odds[better], half
        for k in np.flatnonzero(best > LEAST_ODDS).tolist():
            half = int(widths[k])
            around = slice(k - half, k + half + 1)
            # A slow pan moves along a straight line as well, as long as it stays within a cell.
            if (
                unmatched(grid.shape[around][:1], grid.shape[around][-1:]).mean() > LEAST_NEW
                and _gradual.carried(grid.shade[around]) < MOST_CARRIED
            ):
                self._found.append(Change(float(grid.times[k]), half / _gradual.RATE, float(best[k])))
        keep = max(0, last - _gradual.REACH)
        self._grid, self._done = grid[keep:], last - keep

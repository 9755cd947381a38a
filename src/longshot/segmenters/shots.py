"""Shots: hard cuts, dissolves and fades, found in one pass without a neural network."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from longshot.segmenters import _sudden
from longshot.segmenters._blanks import Blanks
from longshot.segmenters._changes import Change, settle
from longshot.segmenters._likeness import Looks, look, steps
from longshot.segmenters._mixes import Mixes
from longshot.timeline import Source, Span

if TYPE_CHECKING:
    from longshot.contracts import Glance
    from longshot.video import Video

_BLOCK = 64  # pictures taken at once, however long the glances are, so that batching changes no bit of the result
_BEHIND = 1.0  # seconds of pictures kept before the first undecided one
_AHEAD = 0.5  # seconds after a picture that must be known before it is decided

# Logistic weights over _sudden.NAMES, fitted on the tuning half of the ground-truth set by
# benchmarks/shots_accuracy.py --fit (see docs/shots.md).
WEIGHTS = np.array([4.691, 8.559, 0.792, 0.0, 0.418, 2.147, 1.756], np.float32)
BIAS = -10.639
LEAST_ODDS = -0.4  # log odds from which a picture is taken for the first of a shot: a chance of 0.4


class Shots:
    """Finds the shots of edited video. There is nothing to set."""

    @property
    def source(self) -> Source:
        """`segment shots`."""
        return Source("segment", "shots", revision="1")

    def watch(self, video: Video) -> ShotWatcher:
        """Start on one video."""
        return ShotWatcher()


class ShotWatcher:
    """Looks at every picture of one video once and keeps a few seconds of them."""

    def __init__(self) -> None:
        self._waiting: list[Glance] = []
        self._waiting_count = 0
        self._sudden = _CutWatcher()
        self._mixes = Mixes()
        self._blanks = Blanks()

    def see(self, glance: Glance) -> None:
        """Take the next stretch."""
        at = 0
        while at < len(glance):
            piece = slice(at, at + _BLOCK - self._waiting_count)
            self._waiting.append(_part(glance, piece))
            self._waiting_count += len(self._waiting[-1])
            at += len(self._waiting[-1])
            if self._waiting_count == _BLOCK:
                self._take()

    def finish(self, end: float) -> list[Span]:
        """The shots from 0 to `end`.

        A hard cut is where the first picture of the new shot appears, a dissolve or fade is divided in its middle.
        """
        if self._waiting_count:
            self._take()
        changes = settle(self._sudden.finish(), self._mixes.finish(), self._blanks.finish(end), end)
        edges = [0.0, *(second for second in changes if 0 < second < end), end]
        return [Span(first, last) for first, last in pairwise(edges)] if end > 0 else []

    def _take(self) -> None:
        looks = look(
            np.concatenate([glance.times for glance in self._waiting]),
            np.concatenate([glance.luma for glance in self._waiting]),
            np.concatenate([glance.chroma for glance in self._waiting]),
        )
        self._waiting, self._waiting_count = [], 0
        self._sudden.see(looks)
        self._mixes.see(looks)
        self._blanks.see(looks)


class _CutWatcher:
    """Decides of each picture whether a shot begins with it, half a second later."""

    def __init__(self) -> None:
        self._looks: Looks | None = None
        self._step = np.zeros(1, np.float32)  # shape change from the picture before, 0 for the first of all
        self._next = 1  # the first picture not yet decided, among the kept ones
        self._found: list[Change] = []

    def see(self, looks: Looks) -> None:
        """Take the next pictures."""
        if self._looks is None:
            self._looks, self._step = looks, np.append(self._step, steps(looks.shape))
        else:
            joined = Looks.joined(self._looks[-1:], looks)
            self._looks, self._step = self._looks.joined(looks), np.append(self._step, steps(joined.shape))
        times = self._looks.times
        self._decide(int(np.searchsorted(times, times[-1] - _AHEAD)))
        keep = int(np.searchsorted(times, times[min(self._next, len(times) - 1)] - _BEHIND))
        self._looks, self._step, self._next = self._looks[keep:], self._step[keep:], self._next - keep

    def finish(self) -> list[Change]:
        """All cuts of the video; of two very near ones both are still there."""
        if self._looks is not None:
            self._decide(len(self._looks))
        return self._found

    def _decide(self, last: int) -> None:
        looks = self._looks
        assert looks is not None
        for k in _sudden.candidates(looks.times, self._step, self._next, last):
            odds = float(_sudden.features(looks, self._step, k) @ WEIGHTS) + BIAS
            if odds > LEAST_ODDS:
                self._found.append(Change(float(looks.times[k]), 0.0, odds))
        self._next = max(self._next, last)


def _part(glance: Glance, which: slice) -> Glance:
    return replace(glance, times=glance.times[which], luma=glance.luma[which], chroma=glance.chroma[which])


def load() -> Shots:
    """The built-in shot detector."""
    return Shots()

"""Shots: hard cuts, dissolves and fades, found in one pass without a neural network."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from longshot.contracts import Frames, Glance
from longshot.segmenters import _sudden
from longshot.segmenters._blanks import Blanks
from longshot.segmenters._changes import Change, settle
from longshot.segmenters._fast import fast_spans
from longshot.segmenters._likeness import Area, Looks, look, steps
from longshot.segmenters._mixes import Mixes
from longshot.timeline import Source, Span

if TYPE_CHECKING:
    from longshot.video import Video

_BLOCK = 64  # pictures taken at once, however long the glances are, so that batching changes no bit of the result
_NO_FRAMES = Frames(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0))
_BEHIND = 1.0  # seconds of pictures kept before the first undecided one
_AHEAD = 0.5  # seconds after a picture that must be known before it is decided

# Logistic weights over _sudden.NAMES, fitted on the tuning half of the ground-truth set by
# benchmarks/shots_accuracy.py --fit (see docs/shots.md).
WEIGHTS = np.array([1.823, 8.578, 0.066, 0.0, 1.407, 1.86, 1.073, 0.0, 1.082], np.float32)
BIAS = -6.789
LEAST_ODDS = -0.8  # log odds from which a picture is taken for the first of a shot: a chance of 0.31


class Shots:
    """Finds the shots of edited video.

    fast: decode only where the sizes of the compressed pictures or two keyframes hint at a change.
    """

    def __init__(self, *, fast: bool = False) -> None:
        self._fast = fast

    @property
    def source(self) -> Source:
        """`segment shots`, and whether it was fast."""
        return Source("segment", "shots", revision="1", settings={"fast": True} if self._fast else {})

    def spans(self, video: Video) -> list[Span] | None:
        """The shots without a pass over the whole video; None when only a pass can tell."""
        return fast_spans(video, ShotWatcher) if self._fast else None

    def watch(self, video: Video) -> ShotWatcher:
        """Start on one video."""
        return ShotWatcher()


class ShotWatcher:
    """Looks at every picture of one video once and keeps a few seconds of them."""

    def __init__(self) -> None:
        self._waiting: list[Glance] = []
        self._waiting_count = 0
        self._area = Area()
        self._raw: list[Glance] = []
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
        edges = [0.0, *self.starts(end), end]
        return [Span(first, last) for first, last in pairwise(edges)] if end > 0 else []

    def starts(self, end: float) -> list[float]:
        """The seconds at which the second and all further shots begin."""
        if self._waiting_count:
            self._take()
        changes = settle(self._sudden.finish(), self._mixes.finish(), self._blanks.finish(end), end)
        return [second for second in changes if 0 < second < end]

    def _take(self) -> None:
        times, luma, chroma = (
            np.concatenate([getattr(glance, name) for glance in self._waiting]) for name in ("times", "luma", "chroma")
        )
        self._raw = [glance for glance in self._raw if glance.times[-1] >= self._since()]
        bars = self._area.bars
        self._area.see(luma)
        if self._raw and self._area.bars != bars:
            self._look_again()
        self._raw.append(Glance(times, luma, chroma, _NO_FRAMES))
        looks = look(times, luma, chroma, self._area.bars)
        self._waiting, self._waiting_count = [], 0
        self._sudden.see(looks)
        self._mixes.see(looks)
        self._blanks.see(looks)

    def _since(self) -> float:
        """The time of the oldest picture that anybody still compares."""
        return min(self._sudden.since, self._mixes.since)

    def _look_again(self) -> None:
        """A bar turned out to be picture: what is still compared is prepared anew, without it."""
        times, luma, chroma = (
            np.concatenate([getattr(glance, name) for glance in self._raw]) for name in ("times", "luma", "chroma")
        )
        looks = look(times, luma, chroma, self._area.bars)
        self._sudden.renew(looks)
        self._mixes.renew(looks)


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
        # The picture before the first undecided one may have stayed for long; it and what led to it are compared.
        previous = max(min(self._next, len(times) - 1) - 1, 0)
        keep = int(np.searchsorted(times, times[previous] - _BEHIND))
        self._looks, self._step, self._next = self._looks[keep:], self._step[keep:], self._next - keep

    @property
    def since(self) -> float:
        """The time of the oldest picture kept."""
        return float(self._looks.times[0]) if self._looks is not None else np.inf

    def renew(self, looks: Looks) -> None:
        """Take the kept pictures once more; `looks` has them all, and maybe older ones."""
        assert self._looks is not None
        first = self._step[0]
        self._looks = looks[int(np.searchsorted(looks.times, self.since)) :]
        self._step = np.append(first, steps(self._looks.shape))

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
    return Glance(glance.times[which], glance.luma[which], glance.chroma[which], _NO_FRAMES)


def load(*, fast: bool = False) -> Shots:
    """The built-in shot detector; `fast` looks only where something may happen."""
    return Shots(fast=fast)

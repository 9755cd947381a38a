"""Stretches without a picture: black, white or one colour, and the fades that lead there and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longshot.segmenters._changes import Blank
from longshot.segmenters._likeness import Looks, distances
from longshot.timeline import Span

_EMPTY = 3.0  # shades: below this contrast and tint there is no picture
_SIDE = 1.5  # seconds around a blank in which its fades are looked for
_FADE = 0.15  # seconds that a fade takes at least; a flash or a strobe is faster
_JOINED = 0.1  # seconds: blanks nearer than that are one
_WHOLE = 0.85  # share of contrast from which the picture counts as whole
_TRACE = 0.12  # share of contrast below which hardly anything is seen
_SAME = 0.35  # shape distance up to which the picture that comes back is the one that went
_SHAPES = 12  # pictures on each side that are compared for that


@dataclass(slots=True)
class _Run:
    """A blank that is not settled yet: what was before, and what has come after."""

    before: Looks
    start: float
    end: float | None = None


class Blanks:
    """Watches for blanks; remembers a second and a half of pictures."""

    def __init__(self) -> None:
        self._recent: Looks | None = None  # pictures since the last settled blank, at most _SIDE seconds
        self._run: _Run | None = None
        self._found: list[Blank] = []

    def see(self, looks: Looks) -> None:
        """Take the next pictures."""
        empty = (looks.contrast < _EMPTY) & (looks.tint < _EMPTY)
        edges = np.flatnonzero(np.diff(empty)) + 1
        for piece in np.split(np.arange(len(looks)), edges):
            stretch = looks[slice(piece[0], piece[-1] + 1)]
            if empty[piece[0]]:
                self._open(stretch)
            else:
                self._show(stretch)

    def finish(self, end: float) -> list[Blank]:
        """All blanks of a video that ends at `end`."""
        if self._run is not None:
            self._settle(end)
        return self._found

    def _open(self, blank: Looks) -> None:
        if self._run is not None and self._run.end is None:
            return  # it goes on from the last batch
        start = float(blank.times[0])
        if self._run is not None and self._run.end is not None and start - self._run.end <= _JOINED:
            self._run.end, self._recent = None, None
            return
        if self._run is not None:
            self._settle(start)
        before = self._recent if self._recent is not None else blank[:0]
        self._run, self._recent = _Run(before, start), None

    def _show(self, pictures: Looks) -> None:
        if self._run is not None and self._run.end is None:
            self._run.end = float(pictures.times[0])
        self._recent = pictures if self._recent is None else self._recent.joined(pictures)
        last = float(pictures.times[-1])
        if self._run is not None and self._run.end is not None and last >= self._run.end + _SIDE:
            self._settle(last)
        if self._run is None:
            self._recent = self._recent[np.flatnonzero(self._recent.times >= last - _SIDE)]

    def _settle(self, now: float) -> None:
        run = self._run
        assert run is not None
        end = now if run.end is None else run.end
        before = run.before
        after = None
        if run.end is not None and self._recent is not None:
            after = self._recent[: int(np.searchsorted(self._recent.times, end + _SIDE, side="right"))]
        self._run = None
        if after is None or not len(after) or not len(before):
            start = run.start if len(before) else 0.0
            self._found.append(Blank(Span(start, end), start, end, True))
            return
        away = before.contrast[::-1]
        leaving = float(before.times[::-1][_whole_at(away)])
        coming = float(after.times[_whole_at(after.contrast)])
        slow = run.start - leaving >= _FADE and coming - end >= _FADE
        faded = slow and _gradual(away) and _gradual(after.contrast)
        parts = faded or not _alike(before, after)
        self._found.append(Blank(Span(leaving, coming), run.start, end, parts))


def _whole_at(contrast: NDArray[np.float32]) -> int:
    """Steps away from the blank at which the picture is whole."""
    return int(np.argmax(contrast >= _WHOLE * contrast.max()))


def _gradual(contrast: NDArray[np.float32]) -> bool:
    """Whether the way from the blank to the whole picture leads over half-faded ones; a strobe's does not."""
    way = contrast[: _whole_at(contrast)] / contrast.max()
    return bool(len(way)) and bool(np.mean((way > _TRACE) & (way < _WHOLE)) >= 0.5)


def _alike(before: Looks, after: Looks) -> bool:
    return bool(distances(before.shape[-_SHAPES:], after.shape[:_SHAPES]).min() < _SAME)

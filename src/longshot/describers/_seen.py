"""What the observer keeps of one pass: small numbers for every frame, a little more for every sampled picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from longshot import colours, places
from longshot.contracts import Glance
from longshot.motion import Tracker

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLACK = 14.0
"""Mean brightness (0..255) below which a picture without contrast is black."""

_BAR = 24.0  # brightest level of a letterbox bar


@dataclass(frozen=True, slots=True)
class FrameTable:
    """One row per frame: times float64 (T,); the rest float32 (T,).

    level: mean brightness. spread: its standard deviation over the picture. change: mean absolute difference to
    the frame before, levels. tint: mean distance from grey in the chroma plane.
    """

    times: NDArray[np.float64]
    level: NDArray[np.float32]
    spread: NDArray[np.float32]
    change: NDArray[np.float32]
    tint: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.times)

    def within(self, start: float, end: float) -> FrameTable:
        """The frames shown from `start` up to `end` seconds."""
        first, last = np.searchsorted(self.times, [start - 1e-6, end - 1e-6])
        part = slice(int(first), int(last))
        return FrameTable(self.times[part], self.level[part], self.spread[part], self.change[part], self.tint[part])


@dataclass(frozen=True, slots=True)
class SampleTable:
    """One row per sampled picture, S of them.

    times: float64 (S,). dark, light: float32 (S,), the 5th and 95th percentile of brightness. counts: uint8
    (S, 3, 3, names) as `colours.survey`. thumbs: uint8 (S, 864) as `places.thumbnail`.
    """

    times: NDArray[np.float64]
    dark: NDArray[np.float32]
    light: NDArray[np.float32]
    counts: NDArray[np.uint8]
    thumbs: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.times)

    def within(self, start: float, end: float) -> SampleTable:
        """The pictures sampled from `start` up to `end` seconds."""
        first, last = np.searchsorted(self.times, [start - 1e-6, end - 1e-6])
        part = slice(int(first), int(last))
        return SampleTable(self.times[part], self.dark[part], self.light[part], self.counts[part], self.thumbs[part])


class Seen:
    """Watches a pass and keeps some 3 kB per second of video (about 35 MB for three hours)."""

    def __init__(self) -> None:
        self.tracker = Tracker()
        self._frames: list[FrameTable] = []
        self._samples: list[SampleTable] = []
        self._last: NDArray[np.float32] | None = None
        self._aspect = 16 / 9

    def see(self, glance: Glance) -> None:
        """Take the next stretch."""
        if not len(glance):
            return
        if len(glance.frames):
            height, width = glance.frames.pixels.shape[1:3]
            self._aspect = width / height
        self._frames.append(self._measure(glance))
        self._last = glance.luma[-1].copy()
        self.tracker.see(glance.times, glance.luma, aspect=self._aspect)
        places_of = np.searchsorted(glance.times, glance.frames.times - 1e-6)
        for index, second, picture in zip(
            places_of.tolist(), glance.frames.times.tolist(), glance.frames.pixels, strict=True
        ):
            at = min(index, len(glance) - 1)
            self._samples.append(_sample(second, picture, glance.luma[at], glance.chroma[at]))

    def frames(self) -> FrameTable:
        """All frames so far."""
        if len(self._frames) != 1:
            none = np.zeros(0, np.float32)
            pieces = [FrameTable(none.astype(np.float64), none, none, none, none), *self._frames]
            self._frames = [
                FrameTable(
                    np.concatenate([piece.times for piece in pieces]),
                    np.concatenate([piece.level for piece in pieces]),
                    np.concatenate([piece.spread for piece in pieces]),
                    np.concatenate([piece.change for piece in pieces]),
                    np.concatenate([piece.tint for piece in pieces]),
                )
            ]
        return self._frames[0]

    def samples(self) -> SampleTable:
        """All sampled pictures so far."""
        if len(self._samples) != 1:
            none = np.zeros(0, np.float32)
            counts = np.zeros((0, 3, 3, len(colours.NAMES)), np.uint8)
            pieces = [
                SampleTable(none.astype(np.float64), none, none, counts, np.zeros((0, places.SIZE), np.uint8)),
                *self._samples,
            ]
            self._samples = [
                SampleTable(
                    np.concatenate([piece.times for piece in pieces]),
                    np.concatenate([piece.dark for piece in pieces]),
                    np.concatenate([piece.light for piece in pieces]),
                    np.concatenate([piece.counts for piece in pieces]),
                    np.concatenate([piece.thumbs for piece in pieces]),
                )
            ]
        return self._samples[0]

    def _measure(self, glance: Glance) -> FrameTable:
        luma = glance.luma.reshape(len(glance), -1)
        before = glance.luma[:1] if self._last is None else self._last[None]
        change = np.abs(np.diff(np.concatenate([before, glance.luma]), axis=0)).mean(axis=(1, 2))
        tint = np.hypot(glance.chroma[..., 0], glance.chroma[..., 1]).mean(axis=(1, 2))
        return FrameTable(glance.times.copy(), luma.mean(axis=1), luma.std(axis=1), change, tint)


def _sample(
    second: float, picture: NDArray[np.uint8], luma: NDArray[np.float32], chroma: NDArray[np.float32]
) -> SampleTable:
    dark, light = np.percentile(luma, [5, 95])
    return SampleTable(
        np.array([second]),
        np.array([dark], np.float32),
        np.array([light], np.float32),
        colours.survey(_without_bars(picture, luma))[None],
        places.thumbnail(luma, chroma)[None],
    )


def _without_bars(picture: NDArray[np.uint8], luma: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture without black bars at its edges, so that letterboxing is not reported as a colour."""
    height, width = picture.shape[:2]
    top, bottom = _shown(luma.max(axis=1) >= _BAR)
    left, right = _shown(luma.max(axis=0) >= _BAR)
    rows, columns = luma.shape
    cut = picture[
        -(-top * height // rows) : bottom * height // rows, -(-left * width // columns) : right * width // columns
    ]
    return cut if min(cut.shape[:2]) >= 12 else picture


def _shown(lit: NDArray[np.bool_]) -> tuple[int, int]:
    """First and one past the last lit line; everything when the dark edges are not bars (uneven or too thick)."""
    where = np.flatnonzero(lit)
    if not len(where):
        return 0, len(lit)
    first, last = int(where[0]), int(where[-1]) + 1
    even = abs(first - (len(lit) - last)) <= 1
    return (min(first + 1, last - 1), max(last - 1, first + 1)) if even and first > 0 else (0, len(lit))

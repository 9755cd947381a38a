"""Which sampled pictures are worth reading, and whether a known line is still there, without any OCR.

Text is dense, strong, upright edges that stay where they are. So each picture is reduced to the signs of its
horizontal gradient on a small copy, and asked three cheap questions: which edges stand still since the picture
before, which of those are not yet accounted for by the last reading, and does a known line's own pattern of edges
still lie in its box. A still slide answers "nothing new" for ten minutes; a subtitle over a moving street shows
up as the only edges that stand still.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from longshot.readers._merging import Box, Moment

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GATE_ROWS = 270  # the small copy has at least this many rows when the picture does
_STRONG = 28  # grey levels across two pixels of the small copy: surely an edge
_WEAK = 14  # still an edge of something that was one; the gap between both keeps noise from coming and going
_CELL = 8  # pixels of the small copy
_ENOUGH = 8  # new edge pixels in two neighbouring cells: about half a letter
_PRESENT = 0.55  # share of a line's edges that must be found again ...
_ABOVE_CHANCE = 0.2  # ... and by how much more than a shifted copy of them finds
_PART = 0.4  # share that every quarter of the line needs, so that half a line is not taken for the whole
_TEMPLATE = 12  # edge pixels needed to recognise a line again
_CUT = 25.0  # mean grey levels between two frames
_ASIDE = 5  # pixels of the small copy: further than an edge is wide, so that what still matches does so by chance
_REMEMBERED = 8  # samples kept to find where a line began
_STAYING = 0.6  # share of a cell's new edges that must have stood still: water and leaves do so only here and there
_FALSE_CALLS = 6  # cells: the most that calls in vain can add to what the next call needs; a short word has as many
_DULL_FADE = 0.96  # per sample: how long a cell that made us read in vain stays distrusted


@dataclass(frozen=True, slots=True)
class Edges:
    """Signed upright edges of one picture on the small copy; each array is bool (2, rows, columns).

    strong: rising and falling edges above the high threshold. weak: those above the low one.
    """

    strong: NDArray[np.bool_]
    weak: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Look:
    """What one sampled picture says before it is read.

    still: new edges that have stood still for two samples, enough for text. moving: new edges that have not.
    """

    edges: Edges
    still: bool
    moving: bool


def edges_of(pixels: NDArray[np.uint8]) -> Edges:
    """The signed upright edges of an RGB picture, uint8 (H, W, 3)."""
    grey = _small_grey(pixels)
    slope = np.zeros(grey.shape, np.int16)
    if grey.shape[1] > 2:
        np.subtract(grey[:, 2:], grey[:, :-2], out=slope[:, 1:-1])
    strong = np.stack([slope >= _STRONG, slope <= -_STRONG])
    return Edges(strong, np.stack([slope >= _WEAK, slope <= -_WEAK]))


def _small_grey(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Grey (rows, columns), averaged over squares so that about `_GATE_ROWS` rows are left."""
    step = max(1, min(pixels.shape[0] // _GATE_ROWS, pixels.shape[1] // 64))
    rows, columns = pixels.shape[0] // step * step, pixels.shape[1] // step * step
    total = np.zeros((rows // step, columns // step), np.uint16)
    for channel, weight in ((0, 1), (1, 2), (2, 1)):
        plane = pixels[:rows, :columns, channel]
        for y in range(step):
            for x in range(step):
                total += plane[y::step, x::step] * np.uint16(weight)
    grey: NDArray[np.int16] = (total // (4 * step * step)).astype(np.int16)
    return grey


class Template:
    """The edges of one line, to recognise it in later and earlier pictures."""

    def __init__(self, edges: Edges, box: Box) -> None:
        rows, columns = edges.strong.shape[1:]
        self._top, self._left = int(box.top * rows), int(box.left * columns)
        self._bottom = max(self._top + 1, min(rows, int(np.ceil(box.bottom * rows))))
        self._right = max(self._left + 1, min(columns, int(np.ceil(box.right * columns))))
        self._bits = edges.strong[:, self._top : self._bottom, self._left : self._right]
        self._count = int(self._bits.sum())

    def found_in(self, edges: Edges) -> float:
        """Share of the line's edges found in place, 0..1; 0.0 when no more than a shifted copy would find.

        A line with too few edges to be recognised is never found: it has to be read again.
        """
        if self._count < _TEMPLATE:
            return 0.0
        here = self._share(edges, 0, 0)
        if here < _PRESENT or self._weakest_part(edges) < _PART:
            return 0.0
        height = self._bottom - self._top
        chance = [self._share(edges, down, right) for down, right in ((height, 0), (-height, 0), (0, 7), (0, -7))]
        # Foliage or a page of print answers almost as well everywhere; a line that is there does not.
        return here if here >= min(0.95, sum(chance) / len(chance) + _ABOVE_CHANCE) else 0.0

    def _weakest_part(self, edges: Edges) -> float:
        """The smallest share found in any quarter of the line's width that has edges enough to tell."""
        there = self._bits & edges.weak[:, self._top : self._bottom, self._left : self._right]
        shares = [1.0]
        for bits, found in zip(np.array_split(self._bits, 4, 2), np.array_split(there, 4, 2), strict=True):
            count = int(bits.sum())
            if count >= _TEMPLATE // 2:
                shares.append(float(found.sum()) / count)
        return min(shares)

    def _share(self, edges: Edges, down: int, right: int) -> float:
        rows, columns = edges.weak.shape[1:]
        top = min(max(self._top + down, 0), rows - self._bits.shape[1])
        left = min(max(self._left + right, 0), columns - self._bits.shape[2])
        there = edges.weak[:, top : top + self._bits.shape[1], left : left + self._bits.shape[2]]
        return float((self._bits & there).sum()) / self._count


class Gate:
    """Looks at every sampled picture and says whether it holds something unread."""

    def __init__(self) -> None:
        self.history: deque[tuple[float, Edges]] = deque(maxlen=_REMEMBERED)
        self._known: NDArray[np.bool_] | None = None
        self._dull: NDArray[np.float32] | None = None
        self._new: NDArray[np.float32] | None = None
        self._calls = 0
        self._false_calls = 0.0

    def look(self, time: float, pixels: NDArray[np.uint8]) -> Look:
        """Compare a picture with the one before and with the last one read."""
        edges = edges_of(pixels)
        if self._known is None or self._known.shape != edges.weak.shape:
            self._known = np.zeros_like(edges.weak)
            self._dull = np.zeros(_cells(edges.strong).shape[1:], np.float32)
        self._known &= edges.weak
        unread = edges.strong & ~self._known
        before = self.history[-1][1].weak if self.history else None
        if before is None or before.shape != unread.shape:
            before = np.zeros_like(unread)
        stays = unread & before
        self.history.append((time, edges))
        staying, all_new = _cells(stays), _cells(unread)
        # A letter has a falling edge for each rising one; the outline of an arm or a wall has only one of them.
        self._new = 2 * (staying - self._by_chance(unread, before)).min(0)
        assert self._dull is not None
        self._dull *= _DULL_FADE
        loud = self._new >= np.maximum(_ENOUGH, 1.5 * self._dull)
        calling = loud & (staying.sum(0) >= _STAYING * all_new.sum(0))
        self._calls = int(calling.sum())
        self._false_calls *= _DULL_FADE
        return Look(edges, self._calls > 1.5 * self._false_calls, bool((2 * all_new.min(0) >= _ENOUGH).sum() >= 2))

    @staticmethod
    def _by_chance(unread: NDArray[np.bool_], before: NDArray[np.bool_]) -> NDArray[np.float32]:
        """How many edges of each cell would seem to stand still if the picture before had nothing to do with it."""
        if not before.any():
            return np.zeros(_cells(unread).shape, np.float32)
        aside = np.roll(before, _ASIDE, axis=2)
        below = np.roll(before, _ASIDE, axis=1)
        chance: NDArray[np.float32] = (_cells(unread & aside) + _cells(unread & below)) * np.float32(0.5)
        return chance

    def has_read(self, edges: Edges, *, in_vain: bool) -> None:
        """Take the edges of a picture that was read as accounted for.

        `in_vain`: nothing new was written there, so the cells that called must call louder next time.
        """
        self._known = edges.weak.copy()
        if in_vain and self._dull is not None and self._new is not None:
            np.maximum(self._dull, self._new, out=self._dull)
            self._false_calls = min(_FALSE_CALLS, max(self._false_calls, self._calls))


def _cells(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Set pixels in each pair of neighbouring cells, float32 (2, cell rows, cell columns), from (2, rows, columns)."""
    rows, columns = -(-mask.shape[1] // _CELL), -(-mask.shape[2] // _CELL) + 1
    padded = np.zeros((2, rows * _CELL, columns * _CELL), np.uint8)
    padded[:, : mask.shape[1], : mask.shape[2]] = mask
    counts = padded.reshape(2, rows, _CELL, columns, _CELL).sum((2, 4), dtype=np.uint16)
    pairs: NDArray[np.float32] = (counts[..., :-1] + counts[..., 1:]).astype(np.float32)
    return pairs


class Changes:
    """The coarse brightness of the last frames: tells the exact frame at which something appeared or went."""

    def __init__(self, seconds: float = 8.0) -> None:
        self._seconds = seconds
        self._times: deque[float] = deque()
        self._luma: deque[NDArray[np.float32]] = deque()

    def add(self, times: NDArray[np.float64], luma: NDArray[np.float32]) -> None:
        """Take frames in order: times (T,), luma (T, 36, 64)."""
        self._times.extend(float(time) for time in times)
        self._luma.extend(luma)
        while self._times and self._times[0] < self._times[-1] - self._seconds:
            self._times.popleft()
            self._luma.popleft()

    def between(self, earlier: float, later: float, box: Box) -> Moment:
        """When the picture inside `box` changed after the frame at `earlier` and up to the one at `later`.

        The one frame that stands out, exact to its distance from the frame before; else the middle, exact to
        half the distance of both.
        """
        times, steps = self._steps(earlier, later, box)
        if len(steps) >= 1:
            most = int(np.argmax(steps))
            others = np.delete(steps, most)
            quiet = float(np.median(others)) if len(others) else 0.0
            if steps[most] >= max(1.5, 4 * quiet) and (not len(others) or steps[most] >= 2 * others.max()):
                return Moment(times[most + 1], times[most + 1] - times[most])
        return Moment((earlier + later) / 2, (later - earlier) / 2)

    def shown_for(self, time: float) -> float:
        """Seconds from the frame at `time` to the frame after it; 0.0 while none has come."""
        return next((later - time for later in self._times if later > time + 1e-6), 0.0)

    def cut_between(self, earlier: float, later: float) -> bool:
        """Whether the whole picture changed at once after `earlier` and up to `later`."""
        _, steps = self._steps(earlier, later, Box(0.0, 0.0, 1.0, 1.0))
        return bool(len(steps) and float(steps.max()) >= _CUT)

    def _steps(self, earlier: float, later: float, box: Box) -> tuple[list[float], NDArray[np.float32]]:
        """Frame times from `earlier` to `later`, and the mean change inside `box` from each to the next."""
        kept = [i for i, time in enumerate(self._times) if earlier - 1e-6 <= time <= later + 1e-6]
        if len(kept) < 2:
            return [self._times[i] for i in kept], np.zeros(0, np.float32)
        rows, columns = self._luma[0].shape
        top, left = int(box.top * rows), int(box.left * columns)
        bottom, right = max(top + 1, round(box.bottom * rows)), max(left + 1, round(box.right * columns))
        window = np.stack([self._luma[i][top:bottom, left:right] for i in kept])
        return [self._times[i] for i in kept], np.abs(np.diff(window, axis=0)).mean((1, 2))

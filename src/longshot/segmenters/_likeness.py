"""How alike two coarse pictures are, whatever the light and whatever moved.

A picture is kept as `shape` (18 x 32 brightness with its mean taken out and its contrast set to one, so light
that comes and goes leaves it as it was) and as `colour` (9 x 16 chroma). Everything is vectorised over pictures.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

ROWS, COLUMNS = 18, 32
_BLOCK_ROWS, _BLOCK_COLUMNS = 6, 8
_REACH_ROWS, _REACH_COLUMNS = 3, 6  # how far a block is looked for: a sixth of the picture each way
_COLUMN_SUMS = np.repeat(np.eye(COLUMNS // _BLOCK_COLUMNS, dtype=np.float32), _BLOCK_COLUMNS, axis=0)
_BLACK = 5.0  # shades: darker cells may be a bar
_MOST_ROWS, _MOST_COLUMNS = 10, 22  # widest bars, in luma cells: what remains is 16 x 20 of 36 x 64
_FAINT = 6.0  # shades: below this contrast, noise is not blown up to a picture

Pictures = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Looks:
    """T coarse pictures, ready to be compared.

    shade: (T, 576) brightness 0..255. shape: (T, 576) the same with mean 0 and contrast near 1. colour: (T, 288).
    contrast: (T,) standard deviation of the brightness. brightness: (T,) its mean. tint: (T,) spread of the colour.
    """

    times: NDArray[np.float64]
    shade: Pictures
    shape: Pictures
    colour: Pictures
    contrast: Pictures
    brightness: Pictures
    tint: Pictures

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, which: slice | NDArray[np.intp]) -> Looks:
        return Looks(*(getattr(self, name)[which] for name in self.__slots__))

    def at(self, times: NDArray[np.float64]) -> Looks:
        """The same pictures at other times."""
        return replace(self, times=times)

    def joined(self, other: Looks) -> Looks:
        """These pictures, then the others."""
        return Looks(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__))


class Area:
    """The part of the picture that is used: black bars at the sides or above and below are left out.

    Bars are what has been black in all pictures so far, equally on both sides, so the area only grows.
    """

    def __init__(self) -> None:
        self.rows, self.columns = _MOST_ROWS, _MOST_COLUMNS  # bars, in cells of the luma picture
        self._seen = False

    def see(self, luma: Pictures) -> None:
        """Take the next pictures, (T, 36, 64)."""
        lit = luma.max(0) > _BLACK
        if lit.any():
            self._seen = True
            self.rows = min(self.rows, _margin(lit.any(1)))
            self.columns = min(self.columns, _margin(lit.any(0)))

    @property
    def bars(self) -> tuple[int, int]:
        """Rows and columns of luma cells to leave out on each side."""
        if not self._seen:
            return 0, 0
        # The cell next to a bar may be half bar, and would outline every blank.
        return self.rows + (self.rows > 0), self.columns + (self.columns > 0)


def _margin(lit: NDArray[np.bool_]) -> int:
    return int(min(np.argmax(lit), np.argmax(lit[::-1])))


def look(times: NDArray[np.float64], luma: Pictures, chroma: Pictures, bars: tuple[int, int] = (0, 0)) -> Looks:
    """Prepare the pictures of a glance: luma (T, 36, 64), chroma (T, 18, 32, 2), without bars (rows, columns)."""
    count = len(times)
    down, across = _halving(2 * ROWS, bars[0]), _halving(2 * COLUMNS, bars[1])
    shade = np.asarray(down.T @ luma @ across, np.float32).reshape(count, ROWS * COLUMNS)
    down, across = _halving(ROWS, bars[0] / 2), _halving(COLUMNS, bars[1] / 2)
    planes = np.ascontiguousarray(np.moveaxis(chroma, 3, 1))
    colour = np.moveaxis(np.asarray(down.T @ planes @ across, np.float32), 1, 3).reshape(count, -1)
    brightness = shade.mean(1)
    centred = np.asarray(shade - brightness[:, None], np.float32)
    squares = np.einsum("ij,ij->i", centred, centred) / np.float32(ROWS * COLUMNS)
    contrast = np.sqrt(np.asarray(squares, np.float32))
    shape = np.asarray(centred / (contrast + np.float32(_FAINT))[:, None], np.float32)
    return Looks(times, shade, shape, colour, contrast, brightness, colour.std(1))


@functools.lru_cache(maxsize=256)
def _halving(size: int, bar: float) -> Pictures:
    """(size, size // 2) weights that average what lies between two bars into half as many cells."""
    edges = bar + np.arange(size // 2 + 1) * (size - 2 * bar) / (size // 2)
    cells = np.arange(size)[:, None]
    shared = np.clip(np.minimum(cells + 1, edges[1:]) - np.maximum(cells, edges[:-1]), 0, None)
    weights: Pictures = (shared / (edges[1] - edges[0])).astype(np.float32)
    return weights


def steps(pictures: Pictures) -> Pictures:
    """Mean absolute difference of neighbours, (T - 1,)."""
    apart: Pictures = np.abs(pictures[1:] - pictures[:-1]).mean(1)
    return apart


def distances(some: Pictures, others: Pictures) -> Pictures:
    """Mean absolute difference of every pair, (S, O)."""
    apart: Pictures = np.abs(some[:, None] - others[None]).mean(2)
    return apart


def unmatched(old: Pictures, new: Pictures) -> Pictures:
    """What is new in `new` even when the camera or things moved: (N, 12), one number for each block of the picture.

    old, new: (N, 576) shapes of N pairs. Each block of one picture is looked for in the other, up to a sixth of
    the picture away; the worse of both directions counts, so that a picture which swallows the other is new too.
    """
    there = _search(old.reshape(-1, ROWS, COLUMNS), new.reshape(-1, ROWS, COLUMNS))
    back = _search(new.reshape(-1, ROWS, COLUMNS), old.reshape(-1, ROWS, COLUMNS))
    return np.maximum(there, back)


def _search(within: Pictures, wanted: Pictures) -> Pictures:
    """For each block of `wanted` the mean difference to the best place in `within`; both (N, 18, 32)."""
    sides = ((0, 0), (_REACH_ROWS, _REACH_ROWS), (_REACH_COLUMNS, _REACH_COLUMNS))
    moved = sliding_window_view(np.pad(within, sides, mode="edge"), (ROWS, COLUMNS), axis=(1, 2))
    best = np.empty((len(wanted), ROWS // _BLOCK_ROWS, COLUMNS // _BLOCK_COLUMNS), np.float32)
    for k in range(len(wanted)):
        apart = np.abs(moved[k] - wanted[k])  # (7, 13, 18, 32): every shift of one pair
        across = apart.reshape(-1, COLUMNS) @ _COLUMN_SUMS
        blocks = across.reshape(-1, *best.shape[1:2], _BLOCK_ROWS, best.shape[2]).sum(2)
        best[k] = blocks.min(0)
    return best.reshape(len(wanted), -1) / np.float32(_BLOCK_ROWS * _BLOCK_COLUMNS)

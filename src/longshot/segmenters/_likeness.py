"""How alike two coarse pictures are, whatever the light and whatever moved.

A picture is kept as `shape` (18 x 32 brightness with its mean taken out and its contrast set to one, so light
that comes and goes leaves it as it was) and as `colour` (9 x 16 chroma). Everything is vectorised over pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

ROWS, COLUMNS = 18, 32
_BLOCK_ROWS, _BLOCK_COLUMNS = 6, 8
_REACH_ROWS, _REACH_COLUMNS = 3, 6  # how far a block is looked for: a sixth of the picture each way
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


def look(times: NDArray[np.float64], luma: Pictures, chroma: Pictures) -> Looks:
    """Prepare the pictures of a glance: luma (T, 36, 64), chroma (T, 18, 32, 2)."""
    count = len(times)
    halved = luma.reshape(count, ROWS, 2, 2 * COLUMNS).sum(2).reshape(count, ROWS, COLUMNS, 2).sum(3)
    shade = halved.reshape(count, ROWS * COLUMNS) * np.float32(0.25)
    quartered = chroma.reshape(count, 9, 2, 2 * COLUMNS).sum(2).reshape(count, 9, 16, 2, 2).sum(3)
    colour = quartered.reshape(count, -1) * np.float32(0.25)
    brightness = shade.mean(1)
    centred = shade - brightness[:, None]
    contrast = np.sqrt(np.einsum("ij,ij->i", centred, centred) / np.float32(ROWS * COLUMNS))
    shape = centred / (contrast + np.float32(_FAINT))[:, None]
    return Looks(times, shade, shape, colour, contrast, brightness, colour.std(1))


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
    sides = ((0, 0), (_REACH_ROWS, _REACH_ROWS), (_REACH_COLUMNS, _REACH_COLUMNS))
    padded = np.pad(within, sides, mode="edge")
    best = np.full((len(wanted), ROWS // _BLOCK_ROWS, COLUMNS // _BLOCK_COLUMNS), np.inf, np.float32)
    apart = np.empty_like(wanted)
    for down in range(2 * _REACH_ROWS + 1):
        for right in range(2 * _REACH_COLUMNS + 1):
            np.subtract(padded[:, down : down + ROWS, right : right + COLUMNS], wanted, out=apart)
            np.abs(apart, out=apart)
            rows = np.add.reduce(apart.reshape(-1, ROWS // _BLOCK_ROWS, _BLOCK_ROWS, COLUMNS), axis=2)
            blocks = rows.reshape(-1, ROWS // _BLOCK_ROWS, COLUMNS // _BLOCK_COLUMNS, _BLOCK_COLUMNS).sum(3)
            np.minimum(best, blocks, out=best)
    return best.reshape(len(wanted), -1) / np.float32(_BLOCK_ROWS * _BLOCK_COLUMNS)

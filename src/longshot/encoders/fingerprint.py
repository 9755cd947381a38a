"""Near-duplicate fingerprints of pictures, with no model: finds the same picture again, not one of its kind.

A picture that was scaled, compressed again, made lighter, darker or tinted, cut a little at its edges, put between
black bars or written on has nearly the vector it had; a picture of something else has another.

What is compared is the pattern of light and, less, of colour at coarse scales: the lowest frequencies of a cosine
transform, the mean left out (brightness does not count), each divided by how strong it usually is in pictures (else the
one or two lowest would decide alone), the whole of length 1 (contrast does not count).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from longshot import pooling as policies
from longshot.contracts import Frames, Loading
from longshot.errors import UsageError
from longshot.timeline import Source

NEEDS = ()
EXTRA = ""

SAME = 0.70
"""Cosine from which two pictures are called the same.

Set on 17 frames of 12 shots and 80 drawn scenes: of 1,940 altered copies (scaled to 96 x 54, JPEG at quality 20,
blurred, brightness x 0.5 and x 1.4, contrast, gamma 0.5 and 2, tinted, grey, 5 % cut off, barred, subtitled, a logo,
several at once) 97.8 % reach it, and of 4,631 pairs of different videos none does; the likest is at 0.58.
"""

_SIDE = 32  # cells of the picture that is transformed
_LIGHT, _COLOUR = 8, 3  # frequencies kept along each side
_TINT = 0.7  # how much colour counts beside light
_RISE = 0.5  # pictures are the weaker the higher the frequency, about by this power
_FLAT = 2.0  # levels of pattern below which a picture has more of "nothing to see" than of itself
_DARK, _QUIET = 28.0, 8.0  # levels: as dark, and varying as little, are black bars
_WIDEST_BAR = 0.35  # of the picture on either side


def load(name: str = "", *, loading: Loading | None = None, pooling: str = "") -> Fingerprint:
    """The fingerprint encoder; there is one. Raises UsageError for a name or an unknown pooling."""
    if name:
        raise UsageError(f"there is one fingerprint, and it takes no name; got {name[:60]!r}")
    return Fingerprint(policies.check(pooling or "mean"))


class Fingerprint:
    """A `PictureEncoder` of pictures alone."""

    frames = 8
    height = 96
    dimension = _LIGHT * _LIGHT - 1 + 2 * (_COLOUR * _COLOUR - 1) + 1

    def __init__(self, pooling: str = "mean") -> None:
        self.pooling = pooling
        self.source = Source("", "fingerprint", "1", {"pooling": pooling})

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Raises UsageError: it knows pictures only."""
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        raise UsageError("a fingerprint is of pictures only; texts need an encoder such as CLIP or SigLIP")

    def encode_pictures(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Unit rows (N, D), one for each picture (H, W, 3). Raises UsageError for another shape or type."""
        for picture in pixels:
            if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
                raise UsageError(f"a picture is uint8 (H, W, 3), got {picture.dtype} {tuple(picture.shape)}")
        rows = [_features(picture) for picture in pixels]
        return policies.unit(np.stack(rows)) if rows else np.zeros((0, self.dimension), np.float32)

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        """Unit rows (N, D), one for each clip. Raises UsageError for one without frames, and under "max"."""
        if self.pooling == "max":
            raise UsageError("'max' keeps one vector a frame: ask encode_pictures for them, not encode_frames")
        rows = [policies.pool(self.encode_pictures(list(clip.pixels)), self.pooling) for clip in clips]
        return np.stack(rows) if rows else np.zeros((0, self.dimension), np.float32)


def is_plain(row: NDArray[np.float32]) -> bool:
    """Whether the picture behind a row was of one colour, or nearly: it looks like every other one."""
    return bool(row[-1] > 0.5)


def _features(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(D,): frequencies of light, of blue and red difference, and how little there is to see."""
    cells = _cells(_inside(picture))
    light = cells @ np.array([0.299, 0.587, 0.114])
    blue, red = (cells[:, :, 2] - light) * 0.564, (cells[:, :, 0] - light) * 0.713
    parts = [_frequencies(light, _LIGHT), *(_TINT * _frequencies(tint, _COLOUR) for tint in (blue, red))]
    found = np.concatenate(parts)
    # Soft signs: one bright sign or line of writing is a few large numbers, and must not outweigh the rest.
    size = np.sqrt(np.mean(found**2)) + 1e-9
    soft = np.sign(found) * np.minimum(np.abs(found), 2 * size)
    return np.asarray(np.append(soft, _FLAT), np.float32)


def _inside(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture without black bars around it."""
    grey = picture[:, :, 1].astype(np.float32)
    top, bottom = _bars(grey)
    left, right = _bars(grey[top : len(grey) - bottom].T)
    return picture[top : picture.shape[0] - bottom, left : picture.shape[1] - right]


def _bars(grey: NDArray[np.float32]) -> tuple[int, int]:
    """How many rows at either end are dark and all alike."""
    quiet = (grey.max(axis=1) < _DARK) & (np.ptp(grey, axis=1) < _QUIET)
    most = int(_WIDEST_BAR * len(grey))
    ends = [int(np.argmin(side)) if not side.all() else 0 for side in (quiet, quiet[::-1])]
    return (min(ends[0], most), min(ends[1], most))


def _cells(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The picture as 32 x 32 cells of mean colour, whatever its shape: float64 (32, 32, 3)."""
    height, width, _ = picture.shape
    rows = _averages(height).astype(np.float32) @ picture.reshape(height, -1).astype(np.float32)
    found: NDArray[np.float64] = _averages(width) @ rows.reshape(_SIDE, width, 3)
    return found


def _averages(count: int) -> NDArray[np.float64]:
    """(32, count): from pixels to the means of 32 equal parts, a pixel counting in each by its share of it."""
    edges = np.arange(_SIDE + 1) * (count / _SIDE)
    low, high = edges[:-1, None], edges[1:, None]
    pixels = np.arange(count)[None, :]
    shares = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, None)
    found: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return found


def _frequencies(cells: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The lowest frequencies but the mean, evened out: (count * count - 1,)."""
    steps = (np.arange(_SIDE) + 0.5) * np.pi / _SIDE
    waves = np.cos(np.arange(count)[:, None] * steps) * (2 / _SIDE)
    found = (waves @ cells @ waves.T) * np.hypot(*np.indices((count, count))) ** _RISE
    return np.asarray(found.ravel()[1:])

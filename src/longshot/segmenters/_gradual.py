"""Dissolves and fades: stretches of pictures that lie on a straight line between their two ends.

While one shot dissolves into another, every picture is a mix of a picture of each: seen as a vector it moves at an even
pace along the line from the first to the last. Nothing else does: a pan or a walking person leaves the line
at once, a cut jumps along it, a flash comes back. All that is needed are the inner products of nearby
pictures, one small matrix product for each stretch of 1.6 s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 20  # pictures a second that are compared, on an even grid of the video's clock
HALVES = (3, 4, 6, 8, 11, 15, 20, 26, 34)  # half-lengths tried, in grid steps: 0.3 to 3.4 s in all
SIDE = 6  # grid steps looked at beyond each end
REACH = HALVES[-1] + SIDE
_SINGLE_THREADED = 250_000  # multiplications in one product
_PAIR = 2  # grid steps between the pictures in which movement is looked for
_FROM_CENTRE = np.stack(
    [axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 16), np.linspace(-1, 1, 30), indexing="ij")]
)
_SHADE, _COLOUR = 24.0, 8.0  # what counts as an equally visible difference
NAMES = ("size", "off the line", "uneven", "restless", "unlike", "contrast kept")

Numbers = NDArray[np.float32]


def vectors(shade: Numbers, colour: Numbers) -> Numbers:
    """One vector for each picture, with unit mean square where pictures differ by a visible amount.

    shade: (G, 576) brightness, colour: (G, 288). Halved once more, so that small movements count for little.
    """
    joined: Numbers = np.concatenate([halved(shade) / np.float32(_SHADE), colour / np.float32(_COLOUR)], axis=1)
    scaled: Numbers = joined * np.float32(joined.shape[1] ** -0.5)
    return scaled


def halved(pictures: Numbers) -> Numbers:
    """Pictures of 18 x 32 as pictures of 9 x 16: (G, 576) to (G, 144)."""
    small: Numbers = pictures.reshape(-1, 9, 2, 16, 2).mean((2, 4)).reshape(len(pictures), -1)
    return small


def products(vector: Numbers) -> Numbers:
    """Inner products of all pairs, (G, G), in pieces too small to wake the matrix library's threads.

    Those would wait for the decoder's, which keep every core busy.
    """
    count, length = vector.shape
    rows = max(1, _SINGLE_THREADED // (count * length))
    pieces = [vector[k : k + rows] @ vector.T for k in range(0, count, rows)]
    return np.concatenate(pieces)


def carried(shade: Numbers) -> float:
    """Share of the change between pictures (N, 576) that a pan, tilt or zoom explains, 0..1.

    Where the whole picture moves by less than a cell, brightness changes by its slope times the movement; the best
    movement is found for each pair by least squares. What a dissolve brings in has nothing to do with the slopes.
    """
    pictures = shade.reshape(-1, 18, 32)
    change = (pictures[_PAIR:] - pictures[:-_PAIR])[:, 1:-1, 1:-1].reshape(-1, 480)
    if not len(change):
        return 0.0
    middle = (pictures[_PAIR:] + pictures[:-_PAIR]) / 2
    down = ((middle[:, 2:, 1:-1] - middle[:, :-2, 1:-1]) / 2).reshape(-1, 480)
    across = ((middle[:, 1:-1, 2:] - middle[:, 1:-1, :-2]) / 2).reshape(-1, 480)
    outward = across * _FROM_CENTRE[1] + down * _FROM_CENTRE[0]
    slopes = np.stack([across, down, outward], axis=2).astype(np.float64)
    normal = np.einsum("npi,npj->nij", slopes, slopes) + 1e-3 * np.eye(3)
    aim = np.einsum("npi,np->ni", slopes, change)
    movement = np.linalg.solve(normal, aim[..., None])
    left = change - (slopes @ movement)[..., 0]
    return float(1 - np.square(left).sum() / max(float(np.square(change).sum()), 1e-6))


def measure(product: Numbers, likeness: Numbers, contrast: Numbers, centres: NDArray[np.intp], half: int) -> Numbers:
    """Measure the stretches of `half` steps to each side of each centre: a row of NAMES for each.

    product, likeness: (G, G) inner products of the vectors and of the shapes. contrast: (G,).
    """
    start, stop = centres - half, centres + half
    own = np.diagonal(product)

    def apart(a: NDArray[np.intp], b: NDArray[np.intp]) -> Numbers:
        squared: Numbers = np.maximum(own[a] + own[b] - 2 * product[a, b], 0)
        return squared

    size = apart(start, stop)
    scale = np.maximum(size, np.float32(1e-4))
    inner = start[:, None] + np.arange(1, 2 * half)
    first, last = start[:, None], stop[:, None]
    along = (product[inner, last] - product[inner, first] + (own[start] - product[start, stop])[:, None]) / scale[
        :, None
    ]
    off = apart(inner, np.broadcast_to(first, inner.shape)) / scale[:, None] - along**2
    even = np.arange(1, 2 * half, dtype=np.float32) / (2 * half)
    side = min(half, SIDE)
    before = apart(np.maximum(start - side, 0), start) / scale
    after = apart(stop, np.minimum(stop + side, len(own) - 1)) / scale
    norms = np.sqrt(np.maximum(np.diagonal(likeness), 1e-3))
    alike = likeness[start, stop] / (norms[start] * norms[stop])
    kept = contrast[centres] / np.maximum(1, (contrast[start] + contrast[stop]) / 2)
    columns = (
        np.log(size + 0.1),
        np.log(np.clip(off.mean(1), 0, 3) + 0.02),
        np.log(np.minimum(((along - even) ** 2).mean(1), 3) + 0.005),
        np.log((np.minimum(before, 5) + 0.1) * (np.minimum(after, 5) + 0.1)),
        np.log(np.clip(1 - alike, 0, 2) + 0.05),
        np.minimum(kept, 1.2),
    )
    return np.stack(columns, axis=1).astype(np.float32)

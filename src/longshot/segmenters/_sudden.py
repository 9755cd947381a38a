"""Hard cuts: a picture that nothing shortly before resembles, in light, in place or in colour.

Most pictures are dismissed by one number, how much their shape differs from the last one's. What remains is
measured against the half second around it: a pan or a shaking camera differs at every step, a flash, a strobe
or a falling bright object brings back what was there before, and a moved block is found again next door.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longshot.segmenters._likeness import Looks, distances, steps, unmatched

AROUND = 0.4  # seconds on each side whose own changes a cut must exceed
MEMORY = 0.3  # seconds on each side in which nothing of the other side may be seen
LEAST = 0.2  # smallest shape change of a cut
_MOST_KEPT = 12  # pictures of the memory that are compared, evenly chosen
_RIVALS = 4  # neighbouring changes that are measured with motion taken out
NAMES = (
    "new",
    "new in most blocks",
    "above rivals",
    "above the third",
    "unseen",
    "unlike the flow",
    "colour",
    "raw",
    "raw above rivals",
)

Numbers = NDArray[np.float32]


def candidates(times: NDArray[np.float64], step: Numbers, first: int, last: int) -> list[int]:
    """Pictures from `first` up to `last` (not included) that may begin a shot.

    step: (T,) shape change from the picture before, 0 for the first. At most two of the changes around may be
    larger.
    """
    found = []
    for k in (np.flatnonzero(step[first:last] > LEAST) + first).tolist():
        near = _near(times, k)
        if np.count_nonzero(step[near] > step[k]) <= 2:
            found.append(k)
    return found


def features(looks: Looks, step: Numbers, k: int) -> Numbers:
    """Measure the change between pictures k - 1 and k: a row of NAMES."""
    near = np.array([j for j in range(*_near(looks.times, k).indices(len(step))) if j != k and j > 0], np.intp)
    rivals = near[np.argsort(-step[near], kind="stable")[:_RIVALS]]
    which = np.concatenate([[k], rivals]).astype(np.intp)
    blocks = unmatched(looks.shape[which - 1], looks.shape[which])
    fresh = blocks.mean(1)
    others = np.sort(np.concatenate([fresh[1:], np.zeros(3, np.float32)]))[::-1]
    before, after = _sides(looks.times, k)
    unseen = distances(looks.shape[before], looks.shape[after]).min()
    colour = distances(looks.colour[before], looks.colour[after]).min()
    flow = max(_drift(looks.shape[before]), _drift(looks.shape[after]))
    window = _near(looks.times, k)
    raw = _raw_steps(looks[window.start - 1 : window.stop])
    louder = np.sort(np.concatenate([np.delete(raw, k - window.start), np.zeros(2, np.float32)]))[::-1]
    row = (
        fresh[0],
        np.median(blocks[0]),
        np.log((fresh[0] + 0.02) / (others[0] + 0.02)),
        np.log((fresh[0] + 0.02) / (others[2] + 0.02)),
        np.log(unseen + 0.05),
        np.log((unseen + 0.05) / (flow + 0.05)),
        np.log(colour + 0.5),
        np.log(raw[k - window.start] + 0.05),
        np.log((raw[k - window.start] + 0.05) / (louder[0] + 0.05)),
    )
    return np.array(row, np.float32)


def _raw_steps(looks: Looks) -> Numbers:
    """Change of brightness and colour from picture to picture, near 1 where it is plain to see."""
    return steps(looks.shade) / np.float32(24) + steps(looks.colour) / np.float32(8)


def _near(times: NDArray[np.float64], k: int) -> slice:
    """The changes within AROUND seconds of the change at picture k."""
    return slice(
        max(1, int(np.searchsorted(times, times[k] - AROUND))),
        int(np.searchsorted(times, times[k] + AROUND, side="right")),
    )


def _sides(times: NDArray[np.float64], k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pictures up to MEMORY seconds before and after the change at picture k."""
    first = int(np.searchsorted(times, times[k - 1] - MEMORY))
    last = int(np.searchsorted(times, times[k] + MEMORY, side="right"))
    return _thinned(first, k), _thinned(k, last)


def _thinned(first: int, last: int) -> NDArray[np.intp]:
    count = min(last - first, _MOST_KEPT)
    return np.linspace(first, last - 1, count).round().astype(np.intp)


def _drift(shapes: Numbers) -> float:
    return float(np.abs(shapes[0] - shapes[-1]).mean())

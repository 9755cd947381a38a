"""Recognises a setting that returns: the same place seen in the same way, some scenes later.

A picture is kept as 864 bytes: 18 x 32 brightness and 9 x 16 x 2 colour. Two pictures show one setting when their
brightness patterns agree cell by cell once shifted by at most two cells, over most of the picture and in colour.
People may move in front of it; another view of the same place is another setting.

    thumb = thumbnail(luma, chroma)                     # uint8 (864,)
    likeness(thumb, earlier)                            # 0..1; from SAME on it is called the same setting
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS, COLUMNS = 18, 32
SIZE = ROWS * COLUMNS + 2 * (ROWS // 2) * (COLUMNS // 2)
SAME = 0.72
"""Likeness from which two pictures are called one setting; see docs/observer.md for the pairs it was set on."""

_REACH = 2  # cells of shift allowed each way
_FIRST_LOOK = 0.45  # correlation of the unshifted patterns below which no closer look is taken
_CLOSER_LOOKS = 6  # earlier scenes compared closely
_PLAIN = 6.0  # levels of structure below which a picture has nothing to be known by


@dataclass(frozen=True, slots=True)
class Return:
    """Scene `earlier` (an index) was the same setting, with this likeness."""

    earlier: int
    likeness: float


def thumbnail(luma: NDArray[np.float32], chroma: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What is kept of one coarse picture: luma (36, 64) 0..255, chroma (18, 32, 2) around 0; uint8 (864,)."""
    small = luma.reshape(ROWS, 2, COLUMNS, 2).mean(axis=(1, 3))
    tint = chroma.reshape(ROWS // 2, 2, COLUMNS // 2, 2, 2).mean(axis=(1, 3)) + 128
    both = np.concatenate([small.ravel(), tint.ravel()])
    return np.asarray(np.clip(np.rint(both), 0, 255), np.uint8)


def _split(thumb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    values = thumb.astype(np.float32)
    luma, tint = values[: ROWS * COLUMNS], values[ROWS * COLUMNS :]
    return luma.reshape(ROWS, COLUMNS), tint.reshape(ROWS // 2, COLUMNS // 2, 2)


def _pattern(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brightness against its neighbourhood: light falling differently changes levels more than patterns."""
    return np.asarray(_blur(luma, 3) - _blur(luma, 7), np.float32)


def _blur(luma: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Means over squares of an odd width."""
    sums = np.pad(luma, (width // 2 + 1, width // 2), mode="edge").cumsum(axis=0).cumsum(axis=1)
    boxes = sums[width:, width:] - sums[:-width, width:] - sums[width:, :-width] + sums[:-width, :-width]
    return np.asarray(boxes / (width * width), np.float32)


def structure(thumb: NDArray[np.uint8]) -> float:
    """How much pattern a picture has, in levels: a black or plain picture cannot be recognised."""
    return float(_pattern(_split(thumb)[0]).std())


def likeness(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """How much two thumbnails look like one setting, 0..1, the better of all small shifts."""
    if min(structure(first), structure(second)) < _PLAIN:
        return 0.0
    (luma_a, tint_a), (luma_b, tint_b) = _split(first), _split(second)
    pattern_a, pattern_b = _pattern(luma_a), _pattern(luma_b)
    best = 0.0
    for down in range(-_REACH, _REACH + 1):
        for right in range(-_REACH, _REACH + 1):
            best = max(best, _agreement(_overlap(pattern_a, down, right), _overlap(pattern_b, -down, -right)))
    colour = np.abs(tint_a - tint_b).mean()
    level = abs(float(luma_a.mean() - luma_b.mean()))
    return best * float(np.clip(1.35 - colour / 20 - level / 130, 0, 1))


def _overlap(pattern: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    return pattern[max(0, down) : ROWS + min(0, down), max(0, right) : COLUMNS + min(0, right)]


def _agreement(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Median over six parts of the picture of the normalised correlation there: a part may hold something new."""
    halves = [half for rows in (slice(None, 8), slice(8, None)) for half in _thirds(a[rows], b[rows])]
    return float(np.median(halves)) if halves else 0.0


def _thirds(a: NDArray[np.float32], b: NDArray[np.float32]) -> list[float]:
    found = []
    for columns in (slice(None, 10), slice(10, 20), slice(20, None)):
        one, other = a[:, columns], b[:, columns]
        energy = float(np.sqrt((one * one).sum() * (other * other).sum()))
        # A plain part of the picture neither speaks for a return nor against it.
        if energy / one.size > _PLAIN:
            found.append(float((one * other).sum()) / energy)
    return found if len(found) >= 2 else []


def returns(scenes: Sequence[NDArray[np.uint8]]) -> list[Return | None]:
    """For each scene the earliest scene of the same setting, where it comes back after another one.

    scenes: for each scene its thumbnails, uint8 (K, 864), K may be 0. Scenes are compared directly and never by way
    of a third, which might show two settings. A scene that only goes on where the one before was is no return.
    """
    counts = [len(thumbs) for thumbs in scenes]
    patterns = np.concatenate([_normalised(thumbs) for thumbs in scenes]) if scenes else np.zeros((0, 0), np.float32)
    owners = np.repeat(np.arange(len(scenes)), counts)
    ends = np.cumsum(counts)
    found: list[Return | None] = []
    for index, thumbs in enumerate(scenes):
        first = int(ends[index]) - len(thumbs)
        looks = patterns[:first] @ patterns[first : first + len(thumbs)].T
        found.append(_earliest(index, scenes, looks, owners[:first]))
    return found


def _normalised(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows = [_pattern(_split(thumb)[0]).ravel() for thumb in thumbs]
    if not rows:
        return np.zeros((0, ROWS * COLUMNS), np.float32)
    stacked = np.stack(rows)
    return np.asarray(stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-3), np.float32)


def _earliest(
    index: int, scenes: Sequence[NDArray[np.uint8]], looks: NDArray[np.float32], owners: NDArray[np.int64]
) -> Return | None:
    """The earliest of the few scenes that look most alike, unless the scene just before is one of them.

    looks: correlation of the unshifted patterns, (earlier thumbnails, own thumbnails). owners: the scene of each
    earlier thumbnail.
    """
    if not looks.size:
        return None
    best: dict[int, float] = {}
    for row in np.argsort(-looks.max(axis=1), kind="stable").tolist():
        owner = int(owners[row])
        before = owner == index - 1
        if owner in best or not (before or (looks[row].max() >= _FIRST_LOOK and len(best) < _CLOSER_LOOKS)):
            continue
        own = int(looks[row].argmax())
        place = row - int(np.searchsorted(owners, owner))
        best[owner] = likeness(scenes[owner][place], scenes[index][own])
    same = [owner for owner, value in best.items() if value >= SAME]
    if not same or index - 1 in same:
        return None
    return Return(min(same), round(best[min(same)], 3))

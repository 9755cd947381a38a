"""From the vectors of frames to the vector of a clip, by named policies.

    mean    the mean of the unit vectors, made unit again (CLIP4Clip's mean pooling; what LoVR's protocol uses)
    first   the first frame's
    max     none is made: a clip keeps one row a frame, and its score is that of its best frame

A text at cosine 0.2, 0.6, 0.4 to the three frames of a clip scores 0.6 under "max".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from longshot.errors import UsageError

POLICIES = ("mean", "first", "max")


def check(policy: str) -> str:
    """The policy, when there is one of that name. Raises UsageError."""
    if policy not in POLICIES:
        raise UsageError(f"no pooling called {policy!r}: there are {', '.join(POLICIES)}")
    return policy


def unit(rows: ArrayLike) -> NDArray[np.float32]:
    """Rows of length 1: float32, the shape of `rows`, normalised in float32 or better along the last axis.

    Raises UsageError for a row that is zero or not finite: it has no direction.
    """
    wide = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(wide, axis=-1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise UsageError("a vector of zeros, or with a number that is not finite, has no direction")
    return np.asarray(wide / lengths, dtype=np.float32)


def pool(rows: NDArray[np.float32], policy: str) -> NDArray[np.float32]:
    """One unit vector (D,) from the unit rows (T, D) of a clip's frames; for "mean" and "first".

    Raises UsageError for "max", which makes none, and for a clip without frames.
    """
    if check(policy) == "max":
        raise UsageError("'max' keeps one vector a frame: there is no single one to give")
    if not len(rows):
        raise UsageError("a clip without frames has no vector")
    return unit(rows[0] if policy == "first" else rows.astype(np.float64).mean(axis=0))


def scores(
    texts: NDArray[np.float32], rows: NDArray[np.float32], owners: Sequence[int], items: int
) -> NDArray[np.float32]:
    """Cosine of each text with each item, float32 (N, items): that of an item's best row.

    texts: unit rows (N, D). rows: unit rows (M, D). owners: for each row its item, 0..items-1. An item without a row
    scores -inf.
    """
    found = np.full((len(texts), items), -np.inf, dtype=np.float32)
    for column, owner in zip((texts @ rows.T).T, owners, strict=True):
        np.maximum(found[:, owner], column, out=found[:, owner])
    return found

"""Colours and light by their common English names, measured in OKLab.

Naming follows lightness, chroma and hue (B. Ottosson's OKLab, public domain): below a chroma that people see as
grey there are five greys, above it twelve hues with "dark" and "light"; dim oranges are brown, pale ones beige.

    name_of((70, 130, 180))                         # "blue"
    counts = survey(frame)                          # uint8 (3, 3, len(NAMES)) of one RGB picture
    palette(counts.sum(axis=(0, 1)))                # [Swatch("blue", 0.55), Swatch("brown", 0.31)]
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from longshot.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

GREYS = ("black", "dark grey", "grey", "light grey", "white")
HUES = ("red", "orange", "brown", "yellow", "olive", "green", "teal", "blue", "purple", "pink", "beige")
SHADES = ("dark ", "", "light ")
NAMES: tuple[str, ...] = (*GREYS, *(shade + hue for hue in HUES for shade in SHADES))
FAMILIES: tuple[str, ...] = ("black", "grey", "grey", "grey", "white", *(hue for hue in HUES for _ in SHADES))
"""The plain name of each of NAMES."""

_GREY_ENDS = (0.235, 0.44, 0.70, 0.90)  # OKLab lightness where the next grey begins
_BINS = 32  # levels per channel of the look-up table

# Hue in degrees where each family ends, going round from red (OKLCh: red 29, yellow 110, green 142, blue 264).
_HUE_ENDS = (
    (14.0, "pink"), (41.0, "red"), (78.0, "orange"), (116.0, "yellow"), (168.0, "green"), (212.0, "teal"),
    (283.0, "blue"), (325.0, "purple"), (360.0, "pink"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Swatch:
    """A colour by name and how much of the looked-at area it covers, 0..1."""

    name: str
    share: float


def oklab(rgb: NDArray[np.uint8] | NDArray[np.float64]) -> NDArray[np.float64]:
    """OKLab (..., 3) of sRGB values 0..255 (..., 3): lightness 0..1, green-red, blue-yellow."""
    value = np.asarray(rgb, np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(linear @ _TO_CONES)
    return np.asarray(cones @ _TO_LAB, np.float64)


_TO_CONES = np.array([
    [0.4122214708, 0.2119034982, 0.0883024619],
    [0.5363325363, 0.6806995451, 0.2817188376],
    [0.0514459929, 0.1073969566, 0.6299787005],
])  # fmt: skip
_TO_LAB = np.array([
    [0.2104542553, 1.9779984951, 0.0259040371],
    [0.7936177850, -2.4285922050, 0.7827717662],
    [-0.0040720468, 0.4505937099, -0.8086757660],
])  # fmt: skip


def name_of(rgb: Sequence[int]) -> str:
    """The common name of one sRGB colour 0..255."""
    if len(rgb) != 3 or not all(0 <= value <= 255 for value in rgb):
        raise UsageError(f"a colour is three numbers 0..255, got {tuple(rgb)}")
    lightness, a, b = oklab(np.asarray(rgb, np.float64)).tolist()
    return _name(lightness, float(np.hypot(a, b)), float(np.degrees(np.arctan2(b, a)) % 360))


def _name(lightness: float, chroma: float, hue: float) -> str:
    # Chroma that reads as grey grows towards white and black, where the eye (and the encoder) tells tints apart badly.
    if lightness < 0.19 or chroma < 0.032 + (0.012 if lightness < 0.4 else 0.0):
        return GREYS[sum(lightness >= end for end in _GREY_ENDS)]
    family = next(name for end, name in _HUE_ENDS if hue <= end)
    shade = "dark " if lightness < 0.42 else "light " if lightness >= 0.78 else ""
    return _warm(family, lightness, chroma, hue) or shade + family


def _warm(family: str, lightness: float, chroma: float, hue: float) -> str:
    """Names that depend on more than hue: brown, beige, olive, pink; empty when the plain family fits."""
    if family in ("red", "orange", "yellow") and lightness >= 0.70 and chroma < 0.085:
        return "light beige" if lightness >= 0.88 else "beige" if hue > 41 else "light pink"
    if family == "orange" and (lightness < 0.56 or chroma < 0.12):
        if lightness >= 0.78:
            return "light orange"
        return "dark brown" if lightness < 0.40 else "light brown" if lightness >= 0.62 else "brown"
    if family == "pink" and lightness < 0.45 and (hue <= 14 or hue >= 345):
        return "dark red"
    if family == "red" and chroma < 0.10:
        return "dark brown" if lightness < 0.40 else "brown" if lightness < 0.70 else "pink"
    if family == "red":
        return "pink" if lightness >= 0.71 else "dark red" if lightness < 0.44 else "red"
    if family == "yellow" and hue < 92 and chroma < 0.10:
        return "beige" if lightness >= 0.80 else "light brown" if lightness >= 0.60 else "brown"
    if family == "yellow" and lightness < 0.72:
        if hue < 100 and chroma < 0.12:
            return "dark brown" if lightness < 0.40 else "light brown" if lightness >= 0.60 else "brown"
        return "dark olive" if lightness < 0.42 else "olive"
    if family == "yellow":
        return "light yellow" if lightness >= 0.93 and chroma < 0.15 else "yellow"
    if family == "orange":
        return "orange"
    return ""


@functools.cache
def _table() -> NDArray[np.uint8]:
    """Index into NAMES for each of 32 x 32 x 32 colours."""
    middle = (np.arange(_BINS) + 0.5) * 256 / _BINS
    cube = np.stack(np.meshgrid(middle, middle, middle, indexing="ij"), axis=-1).reshape(-1, 3)
    lightness, a, b = oklab(cube).T
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    place = {name: index for index, name in enumerate(NAMES)}
    rows = zip(lightness.tolist(), chroma.tolist(), hue.tolist(), strict=True)
    return np.array([place[_name(*row)] for row in rows], np.uint8)


def survey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Count the colours of an RGB picture (H, W, 3) in nine fields: uint8 (3, 3, len(NAMES)).

    Blocks of 4 x 4 pixels are averaged first, so grain and compression noise do not become colours. Each field's
    counts add up to about 250 whatever the picture's size.
    """
    height, width = picture.shape[:2]
    block = max(1, min(4, height // 12, width // 12))
    rows, columns = height // block, width // block
    # Up to four pixels of each block, spread over it: they average grain nearly as well as all of them.
    steps = sorted({0, block // 2})
    views = [
        picture[down : rows * block : block, right : columns * block : block].astype(np.uint16)
        for down in steps
        for right in steps
    ]
    small = sum(views[1:], start=views[0]) // np.uint16(len(views))
    shifted = (small >> 3).astype(np.int32)
    index = (shifted[..., 0] * _BINS + shifted[..., 1]) * _BINS + shifted[..., 2]
    field = (np.arange(rows) * 3 // rows)[:, None] * 3 + (np.arange(columns) * 3 // columns)[None]
    both = field * len(NAMES) + _table()[index]
    counts = np.bincount(both.ravel(), minlength=9 * len(NAMES)).reshape(9, -1)
    scaled = np.rint(counts * (250 / np.maximum(counts.sum(axis=1, keepdims=True), 1)))
    return np.asarray(scaled.reshape(3, 3, -1), np.uint8)


def palette(counts: NDArray[np.generic], *, least: float = 0.0) -> list[Swatch]:
    """The colours of one row of counts (len(NAMES),), largest first, each family once under its commonest shade.

    A family spread over all its shades goes by its plain name. Families below `least` are left out.
    """
    total = float(counts.sum()) or 1.0
    by_family: dict[str, dict[str, float]] = {}
    for name, family, count in zip(NAMES, FAMILIES, counts.tolist(), strict=True):
        if count:
            by_family.setdefault(family, {})[name] = count / total
    swatches = [Swatch(_shade(family, names), sum(names.values())) for family, names in by_family.items()]
    return sorted((s for s in swatches if s.share >= least), key=lambda s: (-s.share, s.name))


def _shade(family: str, names: dict[str, float]) -> str:
    best = max(names, key=lambda name: names[name])
    return best if names[best] >= 0.6 * sum(names.values()) else family


def is_dark(name: str) -> bool:
    """Whether a colour name says by itself that it is dark."""
    return name == "black" or name.startswith("dark ")

"""What one scene measures: light, colours, movement, stillness. Numbers in, named facts out; no sentences here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from longshot import colours, places
from longshot.colours import FAMILIES, NAMES, Swatch, palette
from longshot.describers._camera import Camera, camera
from longshot.describers._seen import BLACK, FrameTable, SampleTable, Seen
from longshot.motion import STRIDE, Moves
from longshot.timeline import Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOVES = 7.0  # levels left in a cell, after the camera's part, from which something moved there
_FROZEN = 0.22  # mean difference of two frames, levels, up to which they are the same picture
_GREY = 2.6  # mean distance from grey in the chroma plane below which a picture is black and white
_FAMILY_NAMES = tuple(dict.fromkeys(FAMILIES))
_EDGE = 0.09  # seconds at either end of a scene from which no sampled picture is taken
_DULL = ("black", "grey", "white", "brown", "beige")


@dataclass(frozen=True, slots=True)
class Light:
    """Brightness of a scene, 0..255: mean, 5th and 95th percentile, near its start and near its end."""

    mean: float
    dark: float
    light: float
    first: float
    last: float

    @property
    def word(self) -> str:
        """dark, dim, bright, contrasty, pale or nothing special."""
        if self.mean < 45:
            return "very dark" if self.light < 60 else "dark"
        if self.mean > 185:
            return "bright"
        if self.light - self.dark > 190:
            return "high-contrast"
        return "dim" if self.mean < 62 and self.light < 150 else ""

    @property
    def turns(self) -> str:
        """darker, brighter or nothing."""
        gap = self.last - self.first
        if abs(gap) < max(22.0, 0.22 * max(self.first, self.last)):
            return ""
        return "brighter" if gap > 0 else "darker"


@dataclass(frozen=True, slots=True)
class Layout:
    """Named colours of a scene: the leading ones, an arrangement when there is one, small accents with a place.

    parts: ("above", Swatch) pairs of an arrangement, two or none. fields: (3, 3, families) shares.
    """

    leading: tuple[Swatch, ...]
    parts: tuple[tuple[str, Swatch], ...]
    accents: tuple[tuple[str, Swatch], ...]
    fields: NDArray[np.float64]

    def unlike(self, other: Layout) -> float:
        """How far the colours of two scenes are apart, field by field: 0 alike, 1 nothing in common."""
        return float(np.abs(self.fields - other.fields).sum(axis=2).mean() / 2)


@dataclass(frozen=True, slots=True)
class Movement:
    """What moves by itself: area, the mean share of the picture; place, where most of it is ("" for spread out)."""

    area: float
    place: str
    concentration: float


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is measured of one scene; None where the pass gave too little to tell."""

    span: Span
    light: Light | None
    layout: Layout | None
    camera: Camera | None
    movement: Movement | None
    frozen: float  # share of the time in which the picture does not change at all
    colourless: bool
    black: bool
    blank: str  # the colour of a plain picture, else ""
    fade_in: tuple[str, float] | None  # from which colour, over how many seconds
    fade_out: tuple[str, float] | None
    flashes: tuple[float, ...]
    thumbs: NDArray[np.uint8]


def family_of(name: str) -> str:
    """The plain colour of a name: "dark blue" is blue."""
    return FAMILIES[NAMES.index(name)] if name in NAMES else name


def measure(seen: Seen, span: Span) -> Facts:
    """The facts of one scene."""
    frames = seen.frames().within(span.start, span.end)
    # A cut found a frame or two off must not bring the neighbour's picture in.
    inner = seen.samples().within(span.start + _EDGE, span.end - _EDGE)
    samples = inner if len(inner) else seen.samples().within(span.start, span.end)
    steps, strides = seen.tracker.steps().within(span), seen.tracker.strides().within(span)
    black = bool(len(frames)) and bool(np.mean((frames.level < BLACK) & (frames.spread < 8)) > 0.9)
    lit = _lit(samples)
    found = camera(steps, strides, span)
    frozen = 0.0 if _drifts(samples) else _frozen(frames)
    layout = _layout(samples.counts[lit]) if lit.any() else None
    return Facts(
        span=span,
        light=_light(frames, samples),
        layout=layout,
        camera=found if frozen < 0.5 else None,
        movement=_movement(strides if _covers(strides, span) else steps),
        frozen=frozen,
        colourless=bool(len(frames)) and float(np.median(frames.tint)) < _GREY,
        black=black,
        blank=_blank(frames, layout),
        fade_in=None if black else _fade(frames, span.start, forwards=True),
        fade_out=None if black else _fade(frames, span.end, forwards=False),
        flashes=_flashes(frames),
        thumbs=_thumbs(samples, lit),
    )


def _lit(samples: SampleTable) -> NDArray[np.bool_]:
    """The samples that show something: not black, as in the middle of a fade."""
    return samples.light >= 16


def _light(frames: FrameTable, samples: SampleTable) -> Light | None:
    if not len(frames.level):
        return None
    edge = max(1, min(len(frames.level) // 6, 24))
    spread = float(np.median(frames.spread))
    mean = float(np.median(frames.level))
    dark = float(np.median(samples.dark)) if len(samples.dark) else mean - 1.6 * spread
    light = float(np.median(samples.light)) if len(samples.light) else mean + 1.6 * spread
    return Light(mean, dark, light, float(np.median(frames.level[:edge])), float(np.median(frames.level[-edge:])))


def _frozen(frames: FrameTable) -> float:
    """Share of the time in which the picture stays the same for at least half a second on end."""
    if len(frames.change) < 2 or frames.times[-1] - frames.times[0] < 0.6:
        return 0.0
    edges = np.flatnonzero(frames.change >= _FROZEN)
    stops = np.concatenate([frames.times[:1], frames.times[edges[edges > 0]], frames.times[-1:]])
    pauses = np.diff(stops)
    # Animation drawn on every second frame repeats pictures too; nobody calls that still.
    return float(pauses[pauses >= 0.5].sum() / (frames.times[-1] - frames.times[0]))


def _drifts(samples: SampleTable) -> bool:
    """Whether first and last picture differ: a slow move changes each frame too little to be noticed."""
    if len(samples) < 2:
        return False
    first, last = samples.thumbs[[0, -1], : places.ROWS * places.COLUMNS].astype(np.int16)
    return bool(np.abs(first - last).max() > 10)


def _blank(frames: FrameTable, layout: Layout | None) -> str:
    """The colour of a picture that shows nothing but one colour."""
    if layout is None or not len(frames.spread) or float(np.median(frames.spread)) > 2.5:
        return ""
    return layout.leading[0].name if layout.leading[0].share > 0.95 else ""


def _fade(frames: FrameTable, edge: float, *, forwards: bool) -> tuple[str, float] | None:
    """From which colour the scene fades in at its start (or into which it fades out), and for how long."""
    if len(frames.level) < 6:
        return None
    level, spread, times = (
        column if forwards else column[::-1] for column in (frames.level, frames.spread, frames.times)
    )
    near = np.abs(times - edge) < 0.5
    for colour, plain in (("black", (level < BLACK) & (spread < 8)), ("white", (level > 236) & (spread < 8))):
        blank = np.flatnonzero(plain & near)
        if not len(blank):
            continue
        first = int(blank[-1])
        settled = float(np.median(level[len(level) // 2 :])) if len(level) < 60 else float(np.median(level[30:]))
        goal = level[first] + 0.8 * (settled - level[first])
        reached = np.flatnonzero((level[first:] - goal) * np.sign(settled - level[first]) >= 0)
        if abs(settled - float(level[first])) < 15 or not len(reached):
            continue
        seconds = abs(float(times[first + int(reached[0])] - times[first]))
        steady = np.diff(level[first : first + int(reached[0]) + 1]) * np.sign(settled - level[first])
        # A cut from black jumps: its largest single rise is most of the way.
        if 0.2 <= seconds <= 6 and len(steady) >= 4 and steady.max() < 0.5 * abs(settled - level[first]):
            return colour, seconds
    return None


def _flashes(frames: FrameTable) -> tuple[float, ...]:
    """Seconds at which the picture is suddenly brighter for less than a third of a second."""
    level, times = frames.level, frames.times
    found: list[float] = []
    for index in np.flatnonzero(np.diff(level) > 28).tolist():
        onset = float(times[index + 1])
        before = level[(times < onset) & (times > onset - 0.5)]
        after = level[(times > onset) & (times <= onset + 0.4)]
        if len(before) < 2 or not len(after) or onset - float(times[0]) < 0.2:
            continue
        calm = float(np.median(before)) + 12
        if after.min() < calm and float(before.max()) < calm + 12 and (not found or onset - found[-1] > 0.2):
            found.append(onset)
    return tuple(found)


def _covers(rows: Moves, span: Span) -> bool:
    """Whether strides fill the scene: none reaches across a jump, and a jump is movement too."""
    return float((rows.ends - rows.starts).sum()) >= 0.6 * max(span.length - STRIDE, 0.01)


def _movement(rows: Moves) -> Movement | None:
    if not len(rows):
        return None
    # Where no one movement explains the picture, everything that differs counts as moving.
    moved = rows.moving > _MOVES
    area = float(moved.mean())
    heat = moved.mean(axis=0)
    total = float(heat.sum())
    if not total:
        return Movement(0.0, "", 0.0)
    place, share = _place(heat)
    return Movement(area, place, share)


def _place(heat: NDArray[np.float64]) -> tuple[str, float]:
    """Where most of a (6, 8) map lies, and which share of it; "" when it lies all over."""
    total = float(heat.sum())
    columns, rows = heat.sum(axis=0) / total, heat.sum(axis=1) / total
    # The parts overlap: a part needs clearly more than its share of the area, 3/8 or 1/2 of the picture.
    across = {"left": columns[:3].sum(), "centre": columns[2:6].sum(), "right": columns[5:].sum()}
    along = {"top": rows[:2].sum(), "middle": rows[1:5].sum(), "bottom": rows[4:].sum()}
    side = max(("left", "right"), key=lambda name: across[name])
    level = max(("top", "bottom"), key=lambda name: along[name])
    if along[level] > 0.7 and across[side] > 0.75:
        return f"{level} {side}", float(min(along[level], across[side]))
    if across[side] > 0.66:
        return side, float(across[side])
    if along[level] > 0.66:
        return level, float(along[level])
    if across["centre"] > 0.78:
        return "centre", float(across["centre"])
    return "", float(max(across.values()))


def _layout(counts: NDArray[np.uint8]) -> Layout | None:
    """Named colours from the counts of a scene's samples, (S, 3, 3, names)."""
    fields = counts.astype(np.float64).sum(axis=0)
    if not fields.sum():
        return None
    overall = palette(fields.sum(axis=(0, 1)))
    leading = tuple(swatch for swatch in overall if swatch.share >= 0.12)[:3] or tuple(overall[:1])
    return Layout(leading, _arrangement(fields), _accents(fields, overall, leading), _by_family(fields))


def _by_family(fields: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts (3, 3, names) as shares of each field, (3, 3, families)."""
    member = np.array([[family == name for name in _FAMILY_NAMES] for family in FAMILIES], np.float64)
    return np.asarray(fields @ member / np.maximum(fields.sum(axis=2, keepdims=True), 1), np.float64)


def _arrangement(fields: NDArray[np.float64]) -> tuple[tuple[str, Swatch], ...]:
    """Two halves of clearly different colour, upper and lower or left and right."""
    halves = (
        (("above", fields[0].sum(axis=0)), ("below", fields[2].sum(axis=0))),
        (("left", fields[:, 0].sum(axis=0)), ("right", fields[:, 2].sum(axis=0))),
    )
    for first, second in halves:
        ones, others = palette(first[1]), palette(second[1])
        one, other = ones[0], others[0]
        if min(one.share, other.share) < 0.5 or family_of(one.name) == family_of(other.name):
            continue
        if _share(ones, other.name) < 0.2 and _share(others, one.name) < 0.2:
            return (first[0], one), (second[0], other)
    return ()


def _share(swatches: list[Swatch], name: str) -> float:
    return sum(swatch.share for swatch in swatches if family_of(swatch.name) == family_of(name))


def _accents(
    fields: NDArray[np.float64], overall: list[Swatch], leading: tuple[Swatch, ...]
) -> tuple[tuple[str, Swatch], ...]:
    """Small areas of a lively colour, with the part of the picture that holds most of each."""
    taken = {family_of(swatch.name) for swatch in leading}
    # Against black, grey or white alone, brown is a colour too.
    dull = _DULL[:3] if taken <= set(_DULL[:3]) else _DULL
    found = []
    for swatch in overall:
        family = family_of(swatch.name)
        if family in taken or family in dull or not 0.02 <= swatch.share < 0.12:
            continue
        mask = np.array([other == family for other in FAMILIES])
        dark = np.array([colours.is_dark(name) for name in NAMES])
        area = fields[:, :, mask].sum(axis=2)
        if fields[:, :, mask & dark].sum() > 0.5 * area.sum() and family not in _DULL:
            continue
        found.append((_field(area), swatch))
    return tuple(found[:2])


def _field(area: NDArray[np.float64]) -> str:
    """The part of the picture that holds most of a (3, 3) map; "" when none does."""
    share = area / area.sum()
    columns, rows = share.sum(axis=0), share.sum(axis=1)
    if columns[1] > 0.6 and rows[1] > 0.6:
        return "centre"
    across = "left" if columns[0] > 0.62 else "right" if columns[2] > 0.62 else ""
    along = "top" if rows[0] > 0.62 else "bottom" if rows[2] > 0.62 else ""
    if across or along:
        return " ".join(part for part in (along, across) if part)
    return "centre" if columns[1] > 0.62 or share[1, 1] > 0.5 else ""


def _thumbs(samples: SampleTable, lit: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """First, middle and last picture of the scene, for recognising its setting."""
    thumbs = samples.thumbs[lit]
    if len(thumbs) <= 3:
        return thumbs
    return thumbs[[0, len(thumbs) // 2, len(thumbs) - 1]]

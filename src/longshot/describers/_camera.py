"""From measured movement to what the camera does: a sequence of moves, and how steady it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from longshot.motion import STRIDE, Moves
from longshot.timeline import Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_AXES = ("pan", "tilt", "zoom", "roll")
# What one unit of each rate moves the picture's content on average, in picture widths: pan and tilt 1, zoom (natural
# log of scale) the mean distance from the centre, roll (degrees) the same along the arc.
_REACH = np.array([1.0, 1.0, 0.29, 0.29 * np.pi / 180])
_SLOWEST = 0.011  # widths per second; slower drift is called still
_SHORTEST = 0.028  # widths; a move that goes less far is called still
_MOST_ROWS = 200
_STEADY, _SHAKY = 0.0022, 0.009  # widths of sway: below steady, above shaky
_HAND = 9.0  # a move goes at least this many times as far as the camera sways
_WINDOW = 5  # steps averaged as the path the camera means to take


@dataclass(frozen=True, slots=True)
class Leg:
    """One stretch in which the camera keeps doing one thing.

    rates, per second: pan (to the right, picture widths), tilt (up, picture widths), zoom (in, natural logarithm of
    scale), roll (content clockwise, degrees). axes: those of them worth a word, strongest first; empty for still.
    """

    span: Span
    rates: tuple[float, float, float, float]
    axes: tuple[str, ...]

    def rate(self, axis: str) -> float:
        """The signed rate of one axis."""
        return self.rates[_AXES.index(axis)]

    @property
    def strength(self) -> float:
        """How fast the content goes, picture widths per second."""
        return float(np.abs(np.array(self.rates) * _REACH).max())

    def measured(self) -> dict[str, Any]:
        """The numbers behind it as plain values."""
        pan, tilt, zoom, roll = self.rates
        return {
            "start": round(self.span.start, 2),
            "end": round(self.span.end, 2),
            "pan_widths_per_second": round(pan, 4),
            "tilt_widths_per_second": round(tilt, 4),
            "zoom_factor_per_second": round(float(np.exp(zoom)), 4),
            "roll_degrees_per_second": round(roll, 2),
        }


@dataclass(frozen=True, slots=True)
class Camera:
    """What the camera does in a scene.

    legs: in order; one still leg for a static camera. sway: median unmeant displacement in picture widths. known:
    share of the measured time in which most of the picture agreed on one movement.
    """

    legs: tuple[Leg, ...]
    sway: float
    known: float

    @property
    def still(self) -> bool:
        """No move worth a word."""
        return all(not leg.axes for leg in self.legs)

    @property
    def handheld(self) -> bool:
        """It sways as a hand does."""
        return self.sway >= _STEADY

    @property
    def shaky(self) -> bool:
        """It sways so much that a viewer would call it shaky."""
        return self.sway >= _SHAKY


def camera(steps: Moves, strides: Moves, span: Span) -> Camera | None:
    """What the camera does in a scene, from its rows; None where the pictures do not tell."""
    rows = strides if len(strides) else steps
    if not len(rows):
        return None
    lengths = rows.ends - rows.starts
    # Up to one stride at either end of a scene lies across its edge and is missing without meaning anything.
    measurable = max(float(lengths.sum()), span.length - 2 * STRIDE)
    known = float((lengths * rows.known).sum()) / measurable
    if known < 0.5:
        return None
    sway = _sway(steps)
    found = Camera(_legs(rows, sway), sway, known)
    # Strides leave out jumps; a view is called fixed only where the steps between them agree.
    restless = len(steps) > 0 and float(steps.known.mean()) < 0.75
    return None if found.still and restless else found


def _legs(rows: Moves, sway: float) -> tuple[Leg, ...]:
    lengths = rows.ends - rows.starts
    gone = np.stack([-rows.right, rows.down, rows.growth, rows.turn], axis=1).astype(np.float64)
    rates = gone / lengths[:, None]
    good = np.flatnonzero(rows.known)
    if len(good) < len(rates):  # where nothing is known the nearest known rate stands in
        nearest = good[np.abs(np.arange(len(rates))[:, None] - good[None]).argmin(axis=1)]
        rates = rates[nearest]
    edges = np.append(rows.starts, rows.ends[-1])
    edges, rates = _thin(edges, _smooth(rates))
    pieces = _segment(edges, rates)
    # A hand's own sway is no move, however far it carries for a second.
    least = max(_SHORTEST, _HAND * sway)
    legs = [
        _leg(Span(float(edges[a]), float(edges[b])), rates[a:b], np.diff(edges[a : b + 1]), least) for a, b in pieces
    ]
    return tuple(_join(_settle(legs)))


def _smooth(rates: Floats) -> Floats:
    """A running median of three: one odd row is no move."""
    if len(rates) < 4:
        return rates
    padded = np.concatenate([rates[:1], rates, rates[-1:]])
    return np.asarray(np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0), np.float64)


def _thin(edges: Floats, rates: Floats) -> tuple[Floats, Floats]:
    """At most 200 rows, neighbours averaged: an hour-long scene is told in its large moves."""
    step = -(-len(rates) // _MOST_ROWS)
    if step == 1:
        return edges, rates
    starts = np.arange(0, len(rates), step)
    mean = np.add.reduceat(rates, starts) / np.diff(np.append(starts, len(rates)))[:, None]
    return np.append(edges[starts], edges[-1]), mean


def _segment(edges: Floats, rates: Floats) -> list[tuple[int, int]]:
    """Runs of rows with one steady movement: neighbours are merged while little is lost (Ward's criterion)."""
    runs = [(index, index + 1) for index in range(len(rates))]
    means = [rate * _REACH for rate in rates]
    seconds = np.diff(edges).tolist()
    while len(runs) > 1:
        costs = [_loss(means[k], means[k + 1], seconds[k], seconds[k + 1]) for k in range(len(runs) - 1)]
        cheapest = int(np.argmin(costs))
        if costs[cheapest] > 1.0:
            break
        both = seconds[cheapest] + seconds[cheapest + 1]
        means[cheapest] = (means[cheapest] * seconds[cheapest] + means[cheapest + 1] * seconds[cheapest + 1]) / both
        seconds[cheapest] = both
        runs[cheapest] = (runs[cheapest][0], runs[cheapest + 1][1])
        del means[cheapest + 1], seconds[cheapest + 1], runs[cheapest + 1]
    return runs


def _loss(one: Floats, other: Floats, seconds: float, more: float) -> float:
    """What merging loses; above 1 the two movements are told apart.

    Worked row: still for 2 s, then a pan of 0.05 widths per second for 2 s: shared weight 1 s, gap 0.05, tolerance
    0.012 + 0.3 * 0.05 = 0.027, loss 3.4: two legs. A pan from 0.04 to 0.05: tolerance 0.027, loss 0.14: one leg.
    """
    gap = float(np.linalg.norm(one - other))
    fastest = float(max(np.linalg.norm(one), np.linalg.norm(other)))
    return seconds * more / (seconds + more) * (gap / (0.012 + 0.3 * fastest)) ** 2


def _leg(span: Span, rates: Floats, seconds: Floats, least: float) -> Leg:
    mean = (rates * seconds[:, None]).sum(axis=0) / seconds.sum()
    strength = np.abs(mean * _REACH)
    enough = (strength >= max(_SLOWEST, 0.4 * float(strength.max()))) & (strength * span.length >= least)
    axes = tuple(_AXES[k] for k in np.argsort(-strength, kind="stable") if enough[k])[:2]
    pan, tilt, zoom, roll = mean.tolist()
    return Leg(span, (pan, tilt, zoom, roll), axes)


def _settle(legs: list[Leg]) -> list[Leg]:
    """Stretches too short to notice go to their longer neighbour."""
    total = legs[-1].span.end - legs[0].span.start
    least = min(0.8, 0.25 * total)
    while len(legs) > 1:
        shortest = min(range(len(legs)), key=lambda k: legs[k].span.length)
        whip = legs[shortest].strength * legs[shortest].span.length > 0.2
        if legs[shortest].span.length >= least or whip:
            break
        sides = [k for k in (shortest - 1, shortest + 1) if 0 <= k < len(legs)]
        host = max(sides, key=lambda k: legs[k].span.length)
        first, last = min(shortest, host), max(shortest, host)
        legs[first : last + 1] = [Leg(_hull(legs[first], legs[last]), legs[host].rates, legs[host].axes)]
    return legs


def _join(legs: list[Leg]) -> list[Leg]:
    """Neighbours that would be told in the same words become one."""
    joined = [legs[0]]
    for leg in legs[1:]:
        last = joined[-1]
        if _same(last, leg):
            a, b = last.span.length, leg.span.length
            pan, tilt, zoom, roll = ((x * a + y * b) / (a + b) for x, y in zip(last.rates, leg.rates, strict=True))
            joined[-1] = Leg(_hull(last, leg), (pan, tilt, zoom, roll), last.axes)
        else:
            joined.append(leg)
    return joined


def _same(one: Leg, other: Leg) -> bool:
    if bool(one.axes) != bool(other.axes):
        return False
    return not one.axes or (one.axes[0] == other.axes[0] and one.rate(one.axes[0]) * other.rate(one.axes[0]) > 0)


def _hull(one: Leg, other: Leg) -> Span:
    return Span(min(one.span.start, other.span.start), max(one.span.end, other.span.end))


def _sway(steps: Moves) -> float:
    """Median distance of the path from its own running mean, in picture widths; 0.0 when too short to tell."""
    if len(steps) < 2 * _WINDOW or float(steps.known.mean()) < 0.7:
        return 0.0
    gone = np.stack([steps.right, steps.down, np.radians(steps.turn) * 0.3], axis=1) * steps.known[:, None]
    path = np.cumsum(gone, axis=0, dtype=np.float64)
    kernel = np.ones(_WINDOW) / _WINDOW
    meant = np.stack([np.convolve(path[:, k], kernel, mode="valid") for k in range(3)], axis=1)
    off = np.linalg.norm(path[_WINDOW // 2 : -(_WINDOW // 2)] - meant, axis=1)
    return float(np.median(off))

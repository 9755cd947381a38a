"""Makes longshot-demo.mp4 and longshot-demo.json: a small film about a day by the sea, drawn by arithmetic alone.

    python samples/make_sample.py [FOLDER]

Needs numpy, PyAV (av 18 or later) and the program espeak-ng, which speaks the narration (Debian: apt-get install
espeak-ng). Nothing is filmed, photographed or taken from elsewhere: hills, trees, moon, waves, houses and letters
are computed below. The JSON file holds what is true of the film: shots, transitions, camera moves, texts on screen and
narration, each with its seconds.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import math
import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 640, 360, 25
SOUND_RATE = 22050

Picture = NDArray[np.float32]  # (rows, columns, 3), 0..1
Layer = NDArray[np.float32]  # (rows, columns, 4), colour and cover, 0..1
Plane = NDArray[np.float32]  # (rows, columns)

Y, X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)


# The story --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """Words on screen: `size` is the height of a capital in pixels, `left` None centres the line."""

    text: str
    start: float
    end: float
    top: float
    size: float
    left: float | None = None
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shadow: float = 0.6
    fade: float = 0.0


@dataclass(frozen=True)
class Shot:
    """One shot: when, where it plays, how the camera moves, and in which chapter it stands."""

    start: float
    end: float
    setting: str
    camera: str
    moving: tuple[float, float] | None
    chapter: str | None


SHOTS = (
    Shot(0.0, 6.0, "title card", "static", None, "Opening"),
    Shot(6.0, 16.0, "lighthouse coast", "pan left", (7.0, 15.0), "Morning on the coast"),
    Shot(16.0, 24.0, "pine forest", "handheld", (16.0, 24.0), "The pine path"),
    Shot(24.0, 34.0, "slide", "static", None, "Why the tide rises"),
    Shot(34.0, 42.0, "moon", "zoom in", (34.0, 42.0), None),
    Shot(42.0, 50.0, "sunset sea", "static", None, "Evening and night"),
    Shot(50.0, 58.0, "night street", "tilt up", (53.0, 57.5), None),
    Shot(58.0, 64.0, "lighthouse coast", "static", None, "The next morning"),
    Shot(64.0, 70.0, "end card", "static", None, None),
)
LENGTH = SHOTS[-1].end

TRANSITIONS = (
    ("fade from black", 0.0, 1.0),
    ("cut", 6.0, 6.0),
    ("cut", 16.0, 16.0),
    ("cut", 24.0, 24.0),
    ("cut", 34.0, 34.0),
    ("dissolve", 41.4, 42.6),
    ("fade through black", 49.4, 50.6),
    ("cut", 58.0, 58.0),
    ("cut", 64.0, 64.0),
    ("fade to black", 69.0, 70.0),
)

NAVY = (0.10, 0.17, 0.33)
TEXTS = (
    Text("A DAY BY THE SEA", 0.0, 6.0, 150, 34),
    Text("A SHORT FILM MADE TO TEST LONGSHOT", 2.0, 6.0, 212, 13, colour=(0.95, 0.9, 0.8)),
    Text("MORNING: THE LIGHTHOUSE COAST", 8.0, 13.0, 318, 16, left=32),
    Text("THE PINE PATH", 18.0, 22.0, 318, 16, left=32),
    Text("WHY THE TIDE RISES", 24.0, 34.0, 26, 24, left=40, shadow=0),
    Text("1. THE MOON PULLS THE WATER", 25.6, 34.0, 104, 13, left=40, colour=NAVY, shadow=0),
    Text("2. THE EARTH TURNS BENEATH IT", 28.0, 34.0, 136, 13, left=40, colour=NAVY, shadow=0),
    Text("3. TWO HIGH TIDES EACH DAY", 30.8, 34.0, 168, 13, left=40, colour=NAVY, shadow=0),
    Text("THE MOON, 384,400 KM AWAY", 36.0, 40.0, 318, 16, left=32),
    Text("EVENING: THE SUN GOES DOWN", 43.4, 48.0, 318, 16, left=32),
    Text(
        "HARBOUR CAFE", 50.3, 55.2, 0, 0
    ),  # a neon sign in the street: out of the dark, until the camera has tilted up
    Text("NIGHT IN THE HARBOUR", 51.2, 55.2, 318, 16, left=32),
    Text("THE NEXT MORNING", 59.2, 63.0, 318, 16, left=32),
    Text("THE END", 64.0, 70.0, 150, 34),
    Text("EVERY FRAME DRAWN BY A SCRIPT", 65.0, 70.0, 212, 13, colour=(0.95, 0.9, 0.8)),
)

NARRATION = (
    (1.0, "This is a short film about a day by the sea, made to test Longshot."),
    (6.5, "In the morning we look along the coast, past green hills, to the white lighthouse."),
    (12.2, "The fishing boats are already out on the water."),
    (16.6, "Then a path leads us through a dark pine forest, down to the beach."),
    (24.5, "Why does the tide rise? The moon pulls the water, and the Earth turns beneath it."),
    (30.3, "So most coasts have two high tides each day."),
    (34.6, "Here is the moon itself, grey and full of craters, coming slowly closer."),
    (42.9, "In the evening the sun sinks into the sea, and the waves turn to gold."),
    (50.8, "At night the harbour street is lit by windows, and cars pass below the tall houses."),
    (58.5, "The next morning we are back at the lighthouse, where the day began."),
    (64.6, "That was a day by the sea. Thank you for watching."),
)


# Arithmetic of pictures -------------------------------------------------------------------------------------------


def smooth(low: float, high: float, value: Any) -> Any:
    """0 below `low`, 1 above `high`, a soft step between."""
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def blend(under: Picture, over: Any, cover: Plane) -> Picture:
    """`over` laid on `under` where `cover` says so."""
    return under + (np.asarray(over, np.float32) - under) * cover[..., None]


def ramp(positions: Sequence[float], colours: Sequence[Sequence[float]], value: Plane) -> Picture:
    """Colours along `value`, straight between the given positions."""
    table = np.asarray(colours, np.float32)
    channels = [np.interp(value, positions, table[:, i]) for i in range(3)]
    return np.stack(channels, -1).astype(np.float32)


def cloud(rows: int, columns: int, *, cell: float, octaves: int, seed: int, stretch: float = 1.0) -> Plane:
    """Soft noise around 0.5: octaves of random values, each half as large and twice as fine."""
    random = np.random.default_rng(seed)
    total, weight, sum_of_weights = np.zeros((rows, columns), np.float32), 1.0, 0.0
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        y, x = np.arange(rows) / step, np.arange(columns) / (step * stretch)
        values = random.random((int(y[-1]) + 2, int(x[-1]) + 2))
        y0, x0 = y.astype(int), x.astype(int)
        v, u = smooth(0.0, 1.0, y - y0)[:, None], smooth(0.0, 1.0, x - x0)[None]
        top = values[y0][:, x0] * (1 - u) + values[y0][:, x0 + 1] * u
        bottom = values[y0 + 1][:, x0] * (1 - u) + values[y0 + 1][:, x0 + 1] * u
        total += weight * (top * (1 - v) + bottom * v).astype(np.float32)
        sum_of_weights += weight
        weight *= 0.5
    noise: Plane = total / np.float32(sum_of_weights)
    return noise


def ridge(columns: int, *, height: float, rough: float, cell: float, seed: int) -> NDArray[np.float32]:
    """The skyline of hills: rows from the top, one for each column."""
    line = cloud(2, columns, cell=cell, octaves=5, seed=seed)[0]
    skyline: NDArray[np.float32] = (height - rough * (line - 0.5)).astype(np.float32)
    return skyline


def window(layer: NDArray[np.float32], left: float, top: float) -> NDArray[np.float32]:
    """The part of a large layer that the camera sees, at fractions of a pixel; its edges are repeated."""
    y0, x0 = math.floor(top), math.floor(left)
    rows = np.clip(np.arange(y0, y0 + HEIGHT + 1), 0, layer.shape[0] - 1)
    columns = np.clip(np.arange(x0, x0 + WIDTH + 1), 0, layer.shape[1] - 1)
    part = layer[rows[0] : rows[-1] + 1] if rows[-1] - rows[0] == HEIGHT else layer[rows]
    part = part[:, columns]
    v, u = np.float32(top - y0), np.float32(left - x0)
    part = part[:-1] * (1 - v) + part[1:] * v
    seen: NDArray[np.float32] = part[:, :-1] * (1 - u) + part[:, 1:] * u
    return seen


def zoomed(picture: Picture, scale: float, centre: tuple[float, float]) -> Picture:
    """The picture enlarged around a centre (x, y) given in its own pixels."""
    x = centre[0] + (X[0] - WIDTH / 2) / scale
    y = centre[1] + (Y[:, 0] - HEIGHT / 2) / scale
    x = np.clip(x, 0, picture.shape[1] - 1.001)
    y = np.clip(y, 0, picture.shape[0] - 1.001)
    x0, y0 = x.astype(int), y.astype(int)
    u, v = (x - x0)[None, :, None].astype(np.float32), (y - y0)[:, None, None].astype(np.float32)
    top = picture[y0][:, x0] * (1 - u) + picture[y0][:, x0 + 1] * u
    bottom = picture[y0 + 1][:, x0] * (1 - u) + picture[y0 + 1][:, x0 + 1] * u
    result: Picture = top * (1 - v) + bottom * v
    return result


def lay(under: Picture, layer: Layer) -> Picture:
    """A layer with its own cover on top of a picture."""
    return blend(under, layer[..., :3], layer[..., 3])


def eased(second: float, start: float, end: float) -> float:
    """How far a camera move has come, 0..1; slow at both ends."""
    share = min(max((second - start) / (end - start), 0.0), 1.0)
    # Constant speed in the middle with a short ease, so that the move is one move.
    edge = 0.12
    if share < edge:
        travelled = share * share / (2 * edge)
    elif share > 1 - edge:
        travelled = (1 - edge) - (1 - share) ** 2 / (2 * edge)
    else:
        travelled = share - edge / 2
    return travelled / (1 - edge)


# Letters ----------------------------------------------------------------------------------------------------------

Point = tuple[float, float]


def _arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float) -> list[Point]:
    """Points along an ellipse, degrees clockwise from the right."""
    turns = np.radians(np.linspace(start, end, 12))
    return [(cx + rx * math.cos(turn), cy + ry * math.sin(turn)) for turn in turns]


@functools.cache
def letters() -> dict[str, tuple[float, list[list[Point]]]]:
    """Width and strokes of each capital, digit and mark; height 1 from the top (0) to the base line (1)."""
    o = _arc(0.36, 0.5, 0.36, 0.5, 0, 360)
    bowl = [(0.0, 0.0), *_arc(0.3, 0.26, 0.28, 0.26, -90, 90), (0.0, 0.52)]
    upper, lower = _arc(0.3, 0.25, 0.28, 0.25, 200, 450), _arc(0.3, 0.74, 0.3, 0.26, 270, 520)
    s = [*_arc(0.3, 0.255, 0.27, 0.255, -25, -270), *_arc(0.3, 0.745, 0.29, 0.255, -90, 155)]
    return {
        "A": (0.72, [[(0, 1), (0.36, 0), (0.72, 1)], [(0.13, 0.66), (0.59, 0.66)]]),
        "B": (0.6, [[(0, 0), (0, 1)], bowl, [(0, 0.52), *_arc(0.32, 0.76, 0.29, 0.24, -90, 90), (0, 1)]]),
        "C": (0.66, [_arc(0.36, 0.5, 0.36, 0.5, -45, -315)]),
        "D": (0.66, [[(0, 0), *_arc(0.26, 0.5, 0.4, 0.5, -90, 90), (0, 1), (0, 0)]]),
        "E": (0.54, [[(0.54, 0), (0, 0), (0, 1), (0.54, 1)], [(0, 0.49), (0.46, 0.49)]]),
        "F": (0.52, [[(0.52, 0), (0, 0), (0, 1)], [(0, 0.5), (0.44, 0.5)]]),
        "G": (0.7, [[*_arc(0.36, 0.5, 0.36, 0.5, -45, -360), (0.4, 0.5)]]),
        "H": (0.64, [[(0, 0), (0, 1)], [(0.64, 0), (0.64, 1)], [(0, 0.49), (0.64, 0.49)]]),
        "I": (0.0, [[(0, 0), (0, 1)]]),
        "J": (0.44, [[(0.44, 0), *_arc(0.22, 0.76, 0.22, 0.24, 0, 170)]]),
        "K": (0.6, [[(0, 0), (0, 1)], [(0.58, 0), (0, 0.6)], [(0.2, 0.42), (0.6, 1)]]),
        "L": (0.5, [[(0, 0), (0, 1), (0.5, 1)]]),
        "M": (0.78, [[(0, 1), (0.02, 0), (0.39, 0.72), (0.76, 0), (0.78, 1)]]),
        "N": (0.66, [[(0, 1), (0, 0), (0.66, 1), (0.66, 0)]]),
        "O": (0.72, [o]),
        "P": (0.58, [[(0, 0), (0, 1)], bowl]),
        "Q": (0.72, [o, [(0.44, 0.72), (0.72, 1.04)]]),
        "R": (0.6, [[(0, 0), (0, 1)], bowl, [(0.26, 0.52), (0.6, 1)]]),
        "S": (0.58, [s]),
        "T": (0.62, [[(0, 0), (0.62, 0)], [(0.31, 0), (0.31, 1)]]),
        "U": (0.64, [[(0, 0), *_arc(0.32, 0.68, 0.32, 0.32, 180, 0), (0.64, 0)]]),
        "V": (0.68, [[(0, 0), (0.34, 1), (0.68, 0)]]),
        "W": (0.96, [[(0, 0), (0.24, 1), (0.48, 0.1), (0.72, 1), (0.96, 0)]]),
        "X": (0.62, [[(0, 0), (0.62, 1)], [(0.62, 0), (0, 1)]]),
        "Y": (0.64, [[(0, 0), (0.32, 0.5), (0.64, 0)], [(0.32, 0.5), (0.32, 1)]]),
        "Z": (0.6, [[(0, 0), (0.6, 0), (0, 1), (0.6, 1)]]),
        "0": (0.58, [_arc(0.29, 0.5, 0.29, 0.5, 0, 360)]),
        "1": (0.26, [[(0, 0.2), (0.24, 0), (0.24, 1)]]),
        "2": (0.56, [[*_arc(0.28, 0.28, 0.28, 0.28, 190, 385), (0.0, 1), (0.56, 1)]]),
        "3": (0.58, [upper, lower]),
        "4": (0.62, [[(0.46, 1), (0.46, 0), (0, 0.7), (0.62, 0.7)]]),
        "8": (0.58, [_arc(0.29, 0.25, 0.24, 0.25, 0, 360), _arc(0.29, 0.75, 0.29, 0.25, 0, 360)]),
        ".": (0.04, [[(0.02, 0.98), (0.03, 0.98)]]),
        ",": (0.08, [[(0.06, 0.96), (0.0, 1.14)]]),
        ":": (0.04, [[(0.02, 0.34), (0.03, 0.34)], [(0.02, 0.96), (0.03, 0.96)]]),
        " ": (0.26, []),
    }


@functools.cache
def lettering(text: str, size: float, weight: float) -> Plane:
    """How much ink lies on each pixel, 0..1; the capitals are `size` pixels high, strokes `weight` pixels wide.

    A margin of `size` / 2 is left on every side.
    """
    margin, gap = size / 2, 0.26
    strokes: list[list[Point]] = []
    pen = 0.0
    for letter in text:
        wide, lines = letters()[letter]
        strokes += [[(pen + x, y) for x, y in line] for line in lines]
        pen += wide + gap
    shape = (math.ceil(size * 1.2 + 2 * margin), math.ceil((pen - gap) * size + 2 * margin))
    far = np.full(shape, 1e9, np.float32)
    for line in strokes:
        points = [(x * size + margin, y * size + margin) for x, y in line]
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            top, bottom = max(0, int(min(y0, y1) - 8)), int(max(y0, y1) + 9)
            left, right = max(0, int(min(x0, x1) - 8)), int(max(x0, x1) + 9)
            y, x = np.mgrid[top : min(bottom, shape[0]), left : min(right, shape[1])]
            length = (x1 - x0) ** 2 + (y1 - y0) ** 2
            along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / max(length, 1e-6), 0, 1)
            away = np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
            part = far[top:bottom, left:right]
            np.minimum(part, away, out=part)
    ink: Plane = np.clip(weight / 2 + 0.5 - far, 0, 1).astype(np.float32)
    return ink


def soft(plane: Plane, reach: int) -> Plane:
    """The plane blurred: three box averages in both directions."""
    for _ in range(3):
        for axis in (0, 1):
            padded = np.concatenate([plane, np.zeros_like(plane)], axis)
            rolled = [np.roll(padded, shift, axis) for shift in range(-reach, reach + 1)]
            plane = np.split(np.mean(rolled, axis=0), 2, axis)[0].astype(np.float32)
    return plane


def write(picture: Picture, text: Text, second: float) -> Picture:
    """The text on the picture, if it is shown at this second."""
    if not text.size or not text.start <= second < text.end:
        return picture
    ink = lettering(text.text, text.size, max(1.9, text.size / 7.5))
    left = (WIDTH - ink.shape[1]) / 2 if text.left is None else text.left - text.size / 2
    top, left_pixel = round(text.top - text.size / 2), round(left)
    area = np.s_[max(top, 0) : top + ink.shape[0], left_pixel : left_pixel + ink.shape[1]]
    ink = ink[: picture[area].shape[0]]
    if text.shadow:
        dark = np.clip(soft(ink, max(1, round(text.size / 12))) * 1.6, 0, 1) * text.shadow
        picture[area] *= 1 - dark[..., None]
    picture[area] = blend(picture[area], text.colour, ink)
    return picture


# Scenes -----------------------------------------------------------------------------------------------------------


def sea(second: float, columns: NDArray[np.float32], depth: Plane, seed: float = 0.0) -> Plane:
    """Height of the waves around 0 at world columns (W,) and depth (rows, 1): 0 at the horizon, 1 at our feet."""
    away = 1.0 / (depth + 0.06)
    x, y = columns[None, :] * 0.012 * away, 18.0 * away
    swell = np.sin(x * 0.9 + y * 1.7 + second * 1.1 + seed) + 0.7 * np.sin(-x * 1.3 + y * 2.9 + second * 1.6)
    ripple = 0.5 * np.sin(x * 3.1 + y * 5.3 - second * 2.3) + 0.35 * np.sin(-x * 5.7 + y * 7.1 + second * 2.9)
    return ((swell + ripple) / 2.5).astype(np.float32)


@functools.cache
def coast_layers() -> dict[str, NDArray[np.float32]]:
    """The lighthouse coast, wider than the picture: clouds, far hills, near hills, the cliff with its tower."""
    clouds = cloud(170, 1100, cell=46, octaves=5, seed=3, stretch=2.4)
    rows = np.arange(HEIGHT, dtype=np.float32)[:, None]
    far = np.zeros((HEIGHT, 1000, 4), np.float32)
    line = ridge(1000, height=166, rough=90, cell=150, seed=5)
    far[..., :3] = ramp([110, 205], [(0.47, 0.60, 0.72), (0.66, 0.76, 0.80)], np.broadcast_to(rows, (HEIGHT, 1000)))
    far[..., 3] = np.clip(rows - line, 0, 1) * (rows < 206)
    near = np.zeros((HEIGHT, 1400, 4), np.float32)
    x = np.arange(1400, dtype=np.float32)
    line = ridge(1400, height=172, rough=95, cell=120, seed=8) + 90 * smooth(330, 240, x) - 6
    grass = cloud(HEIGHT, 1400, cell=26, octaves=4, seed=9)
    fields = cloud(HEIGHT, 1400, cell=90, octaves=2, seed=10, stretch=2.0)
    shade = 0.72 + 0.5 * (grass - 0.5) + 0.9 * np.gradient(line)[None] * 0.25
    green = np.where((fields > 0.52)[..., None], (0.42, 0.58, 0.24), (0.27, 0.47, 0.22))
    near[..., :3] = np.clip(green * shade[..., None] * 1.15, 0, 1)
    near[..., 3] = np.clip(rows - line, 0, 1) * np.clip(214 + 3 * np.sin(x / 37) - rows, 0, 1)
    return {"clouds": clouds, "far": far, "near": near, "cliff": _cliff()}


def _cliff() -> Layer:
    """A headland with a white lighthouse, red bands and a lamp room."""
    layer = np.zeros((HEIGHT, 1400, 4), np.float32)
    y, x = np.mgrid[0:HEIGHT, 0:1400].astype(np.float32)
    top = 196 - 26 * smooth(330, 60, x[0]) + 6 * np.sin(x[0] / 23) + 80 * smooth(300, 372, x[0])
    rock = cloud(HEIGHT, 1400, cell=22, octaves=5, seed=12, stretch=0.5)
    stone = np.stack([0.46 * rock + 0.20, 0.40 * rock + 0.17, 0.36 * rock + 0.15], -1)
    turf = np.stack([0.30 + 0 * rock, 0.34 + 0.3 * rock, 0.14 + 0 * rock], -1)
    layer[..., :3] = np.where((y < top[None] + 12 + 16 * rock)[..., None], turf, stone)
    layer[..., 3] = np.clip(y - top[None], 0, 1) * np.clip(262 + 5 * np.sin(x / 17) - y, 0, 1)
    half = 15 + 9 * (y - 74) / 100
    across = (x - 190) / half
    band = (np.floor((y - 74) / 25) % 2) == 1
    paint = np.where(band[..., None], (0.80, 0.20, 0.16), (0.96, 0.95, 0.92))
    light = np.clip(0.98 - 0.34 * np.clip(across, -1, 1), 0, 1.0)
    _stamp(layer, paint * light[..., None], np.clip((1 - np.abs(across)) * half, 0, 1) * ((y > 74) & (y < 176)))
    _stamp(layer, (0.22, 0.22, 0.25), ((np.abs(x - 190) < 21) & (np.abs(y - 73) < 3)).astype(np.float32))
    _stamp(layer, (0.98, 0.88, 0.52), ((np.abs(x - 190) < 11) & (y > 52) & (y < 71)).astype(np.float32))
    bars = (np.abs((x - 190) % 11 - 5.5) > 4.6) & (np.abs(x - 190) < 12) & (y > 52) & (y < 71)
    _stamp(layer, (0.2, 0.2, 0.22), bars.astype(np.float32))
    _stamp(layer, (0.70, 0.16, 0.14), np.clip(14 - np.abs(x - 190) - 1.0 * (52 - y), 0, 1) * ((y < 53) & (y > 38)))
    for down in (96, 121, 146):
        _stamp(layer, (0.16, 0.2, 0.28), ((np.abs(x - 187) < 3) & (np.abs(y - down) < 5)).astype(np.float32))
    return layer


def _stamp(layer: Layer, colour: Any, cover: NDArray[Any]) -> None:
    cover = cover.astype(np.float32)
    layer[..., :3] = blend(layer[..., :3], colour, cover)
    layer[..., 3] = np.maximum(layer[..., 3], cover)


def coast(second: float, *, left: float) -> Picture:
    """The coast in the morning, seen from world column `left`."""
    layers = coast_layers()
    picture = ramp([0, 110, 205], [(0.36, 0.60, 0.88), (0.66, 0.82, 0.94), (0.98, 0.91, 0.80)], Y)
    white = window(layers["clouds"][..., None], 0.30 * left + second * 1.5, 0)[..., 0]
    picture = blend(picture, (1.0, 0.99, 0.97), 0.85 * smooth(0.50, 0.78, white) * smooth(185, 90, Y))
    picture = lay(picture, window(layers["far"], 0.35 * left, 0))
    depth = np.clip((Y[:, :1] - 204) / (HEIGHT - 204), 0, 1)
    waves = sea(second, X[0] + left, depth)
    water = ramp([204, 250, 360], [(0.62, 0.78, 0.84), (0.22, 0.52, 0.66), (0.06, 0.30, 0.44)], Y)
    water = (
        water
        + (0.10 * waves * (0.25 + depth))[..., None]
        + 0.25 * smooth(0.72, 1.0, waves)[..., None] * depth[..., None]
    )
    picture = blend(picture, water, (Y >= 204).astype(np.float32))
    picture = lay(picture, window(layers["near"], 0.8 * left, 0))
    for home, size, speed in ((560.0, 1.0, 5.0), (880.0, 1.35, -4.0), (330.0, 0.8, 6.0)):
        picture = _boat(picture, home + speed * second - left, 226 + 16 * size + math.sin(second * 1.7 + home), size)
    return np.clip(lay(picture, window(layers["cliff"], left, 0)), 0, 1)


def _boat(picture: Picture, x: float, y: float, size: float) -> Picture:
    hull = np.clip(1 - np.abs(X - x) / (26 * size - 1.2 * (Y - y)), 0, 1) * 30 * ((y <= Y) & (y + 8 * size > Y))
    picture = blend(picture, (0.52, 0.17, 0.13), np.clip(hull, 0, 1))
    for side, tall, tone in ((1, 46, (0.98, 0.97, 0.93)), (-1, 36, (0.90, 0.88, 0.84))):
        up = (y - 3 - Y) / (tall * size)
        sail = (side * (X - x) > 1) & (up > 0) & (side * (X - x) < 20 * size * (1 - up))
        picture = blend(picture, tone, sail.astype(np.float32))
    return picture


@functools.cache
def forest_layers() -> list[Layer]:
    """Three depths of pine trees, wider and higher than the picture."""
    layers = []
    tones = ((0.50, 0.62, 0.56), (0.26, 0.40, 0.34), (0.10, 0.17, 0.13))
    for depth, (tone, count, tall) in enumerate(zip(tones, (46, 26, 12), (190, 260, 400), strict=True)):
        random = np.random.default_rng(20 + depth)
        layer = np.zeros((HEIGHT + 60, WIDTH + 80, 4), np.float32)
        y, x = np.mgrid[0 : HEIGHT + 60, 0 : WIDTH + 80].astype(np.float32)
        grain = cloud(HEIGHT + 60, WIDTH + 80, cell=9, octaves=3, seed=30 + depth, stretch=0.6)
        base = 262 + 34 * depth
        for i in range(count):
            at = (i + 0.2 + 0.6 * random.random()) * (WIDTH + 80) / count
            if depth == 2 and abs(at - 360) < 130:
                continue  # the path stays open
            high = tall * (0.75 + 0.4 * random.random())
            up = (base - y) / high
            tiers = 0.55 + 0.45 * ((up * (7 + depth)) % 1.0 * -1 + 1)
            half = high * 0.20 * np.clip(1.02 - up, 0, 1) * tiers * (up > 0.16) + high * 0.014
            cover = np.clip((half - np.abs(x - at)) + 2.4 * (grain - 0.5), 0, 1) * ((up > -0.04) & (up < 1.0))
            shade = (0.80 + 0.5 * (grain - 0.5) + 0.20 * np.clip((at - x) / (half + 1), -1, 1))[..., None]
            _stamp(layer, np.asarray(tone, np.float32) * shade, cover)
        layers.append(layer)
    return layers


@functools.cache
def forest_ground() -> Picture:
    """The light behind the trees, the moss and the path between them."""
    y, x = np.mgrid[0 : HEIGHT + 60, 0 : WIDTH + 80].astype(np.float32)
    sky = ramp([0, 150, 270], [(0.60, 0.76, 0.74), (0.88, 0.92, 0.80), (0.95, 0.95, 0.82)], y)
    moss = cloud(HEIGHT + 60, WIDTH + 80, cell=16, octaves=4, seed=41, stretch=2.2)
    near = np.clip((y - 262) / 158, 0, 1)
    ground = ramp([0, 1], [(0.44, 0.52, 0.32), (0.13, 0.20, 0.09)], near) * (0.6 + 0.8 * moss)[..., None]
    middle = 360 + 40 * np.sin(near * 3.0) * (1 - near)
    path = smooth(1.0, 0.75, np.abs(x - middle) / (10 + 150 * near**1.3) + 0.3 * (moss - 0.5))
    sand = np.asarray((0.72, 0.60, 0.42), np.float32) * (0.72 + 0.55 * moss)[..., None]
    return blend(sky, blend(ground.astype(np.float32), sand.astype(np.float32), path), (y > 262).astype(np.float32))


def forest(second: float) -> Picture:
    """A path among pines, filmed by hand."""
    shake_x = 6.0 * math.sin(second * 5.1) + 4.0 * math.sin(second * 8.7 + 1) + 2.2 * math.sin(second * 14.3)
    shake_y = 4.5 * math.sin(second * 6.3 + 2) + 3.0 * math.sin(second * 10.9) + 2.0 * math.sin(second * 16.1 + 1)
    picture = window(forest_ground(), 40 + 0.8 * shake_x, 30 + 0.8 * shake_y)
    for depth, layer in enumerate(forest_layers()):
        picture = lay(picture, window(layer, 40 + (0.8 + 0.1 * depth) * shake_x, 30 + (0.8 + 0.1 * depth) * shake_y))
        if depth == 0:
            beams = smooth(0.55, 0.95, 0.5 + 0.5 * np.sin((X + 0.55 * Y + 0.8 * shake_x) / 34))
            picture = picture + (0.16 * beams * smooth(300, 60, Y))[..., None] * np.asarray(
                (1.0, 0.95, 0.7), np.float32
            )
    return np.clip(picture, 0, 1)


def slide(second: float) -> Picture:
    """A page with a curve that is drawn while the points appear."""
    picture = np.full((HEIGHT, WIDTH, 3), (0.97, 0.955, 0.915), np.float32)
    picture[:72] = ramp([0, 640], [(0.09, 0.20, 0.40), (0.12, 0.36, 0.52)], X[:72])
    picture[72:75] = (0.93, 0.68, 0.25)
    right, low = 600.0, 330.0
    x = (X - 40) / (right - 40)
    curve = 268 - 34 * np.sin(x * 4 * math.pi - 0.7)
    shown = (x >= 0) & (x <= eased(second, 25.0, 32.5)) & (low > Y)
    fill = np.clip(Y - curve, 0, 1) * shown
    picture = blend(picture, (0.55, 0.77, 0.86), 0.75 * fill)
    picture = blend(picture, (0.10, 0.38, 0.58), np.clip(2.0 - np.abs(Y - curve), 0, 1) * shown)
    axis = ((np.abs(Y - low) < 1.1) & (X >= 40) & (right >= X)) | ((np.abs(X - 40) < 1.1) & (Y > 214) & (low >= Y))
    return blend(picture, NAVY, axis.astype(np.float32))


@functools.cache
def moon_picture() -> Picture:
    """The moon among stars, twice as large as the picture."""
    rows, columns = 2 * HEIGHT, 2 * WIDTH
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    random = np.random.default_rng(50)
    picture = ramp([0, rows], [(0.015, 0.02, 0.05), (0.03, 0.04, 0.09)], y)
    for _ in range(420):
        at_y, at_x, bright = random.random() * rows, random.random() * columns, random.random() ** 3
        part = np.s_[max(0, int(at_y) - 3) : int(at_y) + 4, max(0, int(at_x) - 3) : int(at_x) + 4]
        spot = np.exp(-((y[part] - at_y) ** 2 + (x[part] - at_x) ** 2) / (0.9 + bright))
        picture[part] += ((0.25 + 0.75 * bright) * spot)[..., None]
    cx, cy, radius = 660.0, 350.0, 235.0
    u, v = (x - cx) / radius, (y - cy) / radius
    inside = np.clip((1 - np.hypot(u, v)) * radius, 0, 1)
    w = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
    seas = cloud(rows, columns, cell=120, octaves=5, seed=51)
    fine = cloud(rows, columns, cell=14, octaves=4, seed=52)
    height = 0.6 * fine
    for _ in range(95):
        a, b, size = random.normal(0, 0.42), random.normal(0, 0.42), 0.02 + 0.11 * random.random() ** 3
        away = np.hypot(u - a, (v - b)) / size
        height += size * 14 * (np.exp(-((away - 1.0) ** 2) / 0.05) - 0.8 * np.exp(-(away**2) / 0.55))
    slope_y, slope_x = np.gradient(height)
    light = np.clip(0.62 * w + 0.55 * (-0.75 * u - 0.4 * v) - 2.2 * (0.75 * slope_x + 0.4 * slope_y) / 3, 0.015, 1.2)
    tone = (0.86 - 0.34 * smooth(0.44, 0.60, seas)) * (0.86 + 0.28 * fine)
    surface = (tone * light)[..., None] * np.asarray((1.0, 0.97, 0.91), np.float32)
    glow = 0.20 * np.exp(-np.clip(np.hypot(u, v) - 1, 0, 9) * 7)
    picture = picture + glow[..., None] * np.asarray((0.7, 0.75, 0.9), np.float32)
    return np.clip(blend(picture.astype(np.float32), surface, inside.astype(np.float32)), 0, 1)


def moon(second: float) -> Picture:
    """The moon, coming closer."""
    scale = 0.62 * (1.95 / 0.62) ** ((second - 34.0) / 8.0)
    return zoomed(moon_picture(), scale, (650.0, 352.0))


@functools.cache
def evening_clouds() -> Plane:
    """Long bars of cloud, wider than the picture."""
    return cloud(220, 900, cell=40, octaves=5, seed=60, stretch=4.0)


def sunset(second: float) -> Picture:
    """The sun goes down over the sea; the camera stands still."""
    gone = (second - 41.0) / 9.5
    sun_x, sun_y, horizon = 400.0, 128 + 92 * gone, 214.0
    warm, cold = (
        [(0.20, 0.24, 0.46), (0.80, 0.46, 0.40), (1.0, 0.76, 0.40)],
        [(0.10, 0.11, 0.28), (0.58, 0.26, 0.34), (0.96, 0.50, 0.26)],
    )
    colours = np.asarray(warm) * (1 - gone) + np.asarray(cold) * gone
    sky = ramp([0, 130, 214], colours.tolist(), Y)
    away = np.hypot(X - sun_x, Y - sun_y)
    sky = sky + (0.55 * np.exp(-away / 70) + 0.12 * np.exp(-away / 240))[..., None] * np.asarray(
        (1.0, 0.72, 0.36), np.float32
    )
    bars = window(evening_clouds()[..., None], 60 + second * 2.0, 0)[..., 0]
    bars = smooth(0.50, 0.72, bars) * smooth(205, 120, Y) * smooth(-40, 60, Y)
    lit = np.exp(-np.abs(X - sun_x) / 170)[..., None] * np.asarray((0.55, 0.28, 0.12), np.float32)
    sky = blend(sky, np.asarray((0.42, 0.24, 0.36), np.float32) + lit, (0.75 * bars).astype(np.float32))
    sky = blend(sky, (1.0, 0.93, 0.70), np.clip(27 - away, 0, 1))
    depth = np.clip((Y[:, :1] - horizon) / (HEIGHT - horizon), 0, 1)
    waves = sea(second, X[0], depth, seed=2.0)
    water = ramp([214, 260, 360], (colours[[2, 1, 0]] * np.asarray([[0.72], [0.50], [0.45]])).tolist(), Y)
    path = np.exp(-(((X - sun_x) / (26 + 150 * depth)) ** 2)) * smooth(0.05, 0.75, waves + 0.25)
    water = water + (0.09 * waves * (0.3 + depth))[..., None]
    water = water + (0.85 * path * (1.0 - 0.45 * gone))[..., None] * np.asarray((1.0, 0.70, 0.34), np.float32)
    picture = blend(sky.astype(np.float32), water.astype(np.float32), np.clip(Y - horizon, 0, 1))
    for i in range(5):
        x, y = 90 + 34 * i + 13 * (second - 42), 92 + 17 * math.sin(i * 2.1) + 5 * math.sin(second * 1.3 + i)
        wing = 4.5 * math.sin(second * 6 + i * 1.7)
        away_x = np.abs(X - x)
        gull = np.clip(1.5 - np.abs(Y - y + wing * away_x / 9 - 0.05 * away_x**2), 0, 1) * (away_x < 10)
        picture = blend(picture, (0.12, 0.09, 0.15), gull.astype(np.float32))
    return np.clip(picture, 0, 1)


STREET = 2 * HEIGHT  # rows of the night street's world
_SIGN = (150, STREET - 176)  # left and top of the neon sign


@functools.cache
def street_picture() -> Picture:
    """Houses by night, twice as high as the picture: the street below, moon and stars above."""
    y, x = np.mgrid[0:STREET, 0:WIDTH].astype(np.float32)
    random = np.random.default_rng(70)
    picture = ramp([0, 420, STREET], [(0.02, 0.03, 0.10), (0.10, 0.10, 0.24), (0.22, 0.15, 0.26)], y)
    for _ in range(150):
        at_y, at_x = int(random.random() * 330), int(random.random() * WIDTH)
        picture[at_y : at_y + 1 + int(random.random() > 0.8), at_x : at_x + 1] = 0.45 + 0.5 * random.random()
    away = np.hypot(x - 470, y - 92)
    picture = picture + (0.35 * np.exp(-away / 60))[..., None] * np.asarray((0.8, 0.85, 1.0), np.float32)
    picture = blend(picture, (0.96, 0.95, 0.86), np.clip(34 - away, 0, 1))
    picture = blend(picture, (0.05, 0.06, 0.15), np.clip(34 - np.hypot(x - 456, y - 84), 0, 1))
    for back in (True, False):
        left = -20
        while left < WIDTH:
            wide = int(random.integers(66, 118))
            top = int(random.integers(190, 360) if back else random.integers(330, 500))
            picture = _house(picture, left, wide, top, random, back)
            left += wide + (0 if back else 2)
    picture[STREET - 86 :] = ramp([STREET - 86, STREET], [(0.16, 0.15, 0.19), (0.05, 0.05, 0.08)], y[STREET - 86 :])
    picture[STREET - 90 : STREET - 84] = (0.26, 0.24, 0.27)
    for post in (60, 330, 590):
        picture[STREET - 200 : STREET - 86, post : post + 3] = (0.07, 0.07, 0.09)
        halo = np.exp(-np.hypot(x - post - 1, y - STREET + 202) / 26) + 0.4 * np.exp(
            -np.hypot(x - post - 1, (y - STREET + 60) * 2) / 40
        )
        picture = picture + (0.75 * halo)[..., None] * np.asarray((1.0, 0.78, 0.42), np.float32)
    return np.clip(picture, 0, 1).astype(np.float32)


def _house(picture: Picture, left: int, wide: int, top: int, random: np.random.Generator, back: bool) -> Picture:
    tone = np.asarray((0.10, 0.10, 0.19) if back else (0.13, 0.10, 0.13), np.float32)
    wall = np.s_[top:STREET, max(left, 0) : max(left + wide, 0)]
    picture[wall] = tone * (0.8 + 0.5 * random.random())
    picture[top : top + 3, max(left, 0) : max(left + wide, 0)] = tone * 1.7
    bottom = STREET - (150 if back else 190)
    for row in range(top + 14, bottom, 22):
        for column in range(left + 9, left + wide - 12, 18):
            if column < 0:
                continue
            lit = random.random() < (0.34 if back else 0.46)
            glow = np.asarray((1.0, 0.80, 0.45) if random.random() < 0.8 else (0.65, 0.80, 1.0), np.float32)
            pane = glow * (0.45 + 0.5 * random.random()) * (0.6 if back else 1.0) if lit else tone * 0.6
            picture[row : row + 12, column : column + 9] = pane
            picture[row : row + 12, column + 4 : column + 5] = tone
    return picture


def street(second: float) -> Picture:
    """A harbour street by night with passing cars; the camera looks up to the moon."""
    world = street_picture().copy()
    ink = lettering("HARBOUR CAFE", 22.0, 3.0)
    left, top = _SIGN
    board = np.s_[top - 8 : top + ink.shape[0] + 4, left - 6 : left + ink.shape[1] + 6]
    world[board] = (0.05, 0.03, 0.06)
    area = np.s_[top - 2 : top - 2 + ink.shape[0], left : left + ink.shape[1]]
    world[area] = np.clip(world[area] + soft(ink, 3)[..., None] * np.asarray((0.75, 0.10, 0.30), np.float32), 0, 1)
    world[area] = blend(world[area], (1.0, 0.80, 0.88), ink)
    y0 = STREET - HEIGHT
    part = world[y0:]
    for lane, start, speed in ((312.0, -160, 120), (312.0, -520, 135), (338.0, 760, -150), (338.0, 1180, -140)):
        at = start + speed * (second - 49.0)
        facing = 1 if speed > 0 else -1
        body = (np.abs(X - at) < 38) & (np.abs(Y - lane) < 8) | (np.abs(X - at + 3 * facing) < 21) & (
            np.abs(Y - lane + 13) < 6
        )
        part[:] = blend(part, (0.08, 0.09, 0.13), body.astype(np.float32))
        head = np.exp(-np.hypot((X - at - 40 * facing) / 1.6, Y - lane) / 9)
        beam = np.exp(-np.hypot((X - at - 80 * facing) / 3.6, (Y - lane - 12) * 1.6) / 14)
        tail = np.exp(-np.hypot((X - at + 39 * facing) / 1.2, Y - lane) / 6)
        part += (1.1 * head + 0.5 * beam)[..., None] * np.asarray((1.0, 0.93, 0.70), np.float32)
        part += (0.9 * tail)[..., None] * np.asarray((1.0, 0.12, 0.08), np.float32)
    return np.clip(window(world, 0, y0 * (1 - eased(second, 53.0, 57.5))), 0, 1)


@functools.cache
def _card_ground(seed: int) -> Picture:
    sky = ramp([0, 190, 360], [(0.06, 0.10, 0.24), (0.36, 0.26, 0.42), (0.93, 0.58, 0.42)], Y)
    mist = cloud(HEIGHT, WIDTH, cell=70, octaves=4, seed=seed, stretch=3.0)
    sky = blend(sky, (0.98, 0.74, 0.56), 0.35 * smooth(0.45, 0.75, mist) * smooth(120, 320, Y))
    for height, tone, place in (
        (292, (0.30, 0.20, 0.34), 81),
        (318, (0.16, 0.12, 0.24), 82),
        (342, (0.07, 0.06, 0.14), 83),
    ):
        line = ridge(WIDTH, height=height, rough=60, cell=120, seed=place)
        sky = blend(sky, tone, np.clip(Y - line[None], 0, 1))
    return sky


def card(second: float) -> Picture:
    """A quiet ground for words: hills at dusk and a few stars."""
    picture = _card_ground(80).copy()
    random = np.random.default_rng(84)
    for _ in range(60):
        y, x, beat = int(random.random() * 130), int(random.random() * WIDTH), random.random() * 6
        picture[y, x] += 0.30 + 0.15 * math.sin(second * 1.5 + beat)
    return np.clip(picture, 0, 1)


SCENES: tuple[Callable[[float], Picture], ...] = (
    card,
    lambda second: coast(second, left=650 * (1 - eased(second, 7.0, 15.0)) + 20),
    forest,
    slide,
    moon,
    sunset,
    street,
    lambda second: coast(second, left=20),
    card,
)


# The film ---------------------------------------------------------------------------------------------------------


def frame(index: int) -> NDArray[np.uint8]:
    """One finished frame, uint8 (HEIGHT, WIDTH, 3)."""
    second = index / RATE
    shot = max(i for i, shot in enumerate(SHOTS) if second >= shot.start)
    picture = _scene(shot, second)
    for kind, start, end in TRANSITIONS:
        if not start <= second < end:
            continue
        share = (second - start) / (end - start)
        if kind == "dissolve":
            early = next(i for i, one in enumerate(SHOTS) if start < one.end < end)
            share = float(smooth(0.0, 1.0, share))
            picture = _scene(early, second) * (1 - share) + _scene(early + 1, second) * share
        elif kind == "fade from black":
            picture = picture * share
        elif kind == "fade to black":
            picture = picture * (1 - share)
        elif kind == "fade through black":
            picture = picture * abs(2 * share - 1)
    finished: NDArray[np.uint8] = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    return finished


def _scene(shot: int, second: float) -> Picture:
    picture = np.ascontiguousarray(SCENES[shot](second), np.float32)
    for text in TEXTS:
        if SHOTS[shot].start <= text.start < SHOTS[shot].end:
            picture = write(picture, text, second)
    return picture


def speak(text: str) -> NDArray[np.float32]:
    """The sentence spoken by espeak-ng, float32 mono at `SOUND_RATE`."""
    command = ["espeak-ng", "-v", "en-us", "-s", "150", "-p", "42", "-a", "90", "--stdout", text]
    spoken = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(spoken)) as sound:
        if sound.getframerate() != SOUND_RATE:
            raise SystemExit(f"espeak-ng speaks at {sound.getframerate()} Hz; {SOUND_RATE} was expected")
        # A stream has no length in its header, so the frames are counted by what is there.
        samples = np.frombuffer(sound.readframes(1 << 24), np.int16)
    heard = np.flatnonzero(np.abs(samples) > 200)
    voice: NDArray[np.float32] = samples[: heard[-1] + SOUND_RATE // 20].astype(np.float32) / np.float32(32768)
    return voice


def soundtrack() -> tuple[NDArray[np.float32], list[tuple[float, float, str]]]:
    """The whole sound, float32 mono, and the narration as it was timed: start, end, text."""
    sound = _surf()
    timed = []
    for i, (start, text) in enumerate(NARRATION):
        voice = speak(text)
        end = start + len(voice) / SOUND_RATE
        limit = NARRATION[i + 1][0] if i + 1 < len(NARRATION) else LENGTH
        if end > limit - 0.1:
            raise SystemExit(f"sentence {i + 1} ends at {end:.2f} s, after {limit} s: {text}")
        first = round(start * SOUND_RATE)
        sound[first : first + len(voice)] += 0.8 * voice
        timed.append((start, round(end, 3), text))
    return np.clip(sound, -1, 1), timed


def _surf() -> NDArray[np.float32]:
    """Quiet surf in the scenes by the sea: noise without its highs, coming and going."""
    count = round(LENGTH * SOUND_RATE)
    noise = np.random.default_rng(90).normal(0, 1, count + 40)
    total = np.cumsum(noise)
    low = ((total[40:] - total[:-40]) / 40).astype(np.float32)
    second = np.arange(count) / SOUND_RATE
    breath = 0.5 + 0.5 * np.sin(second * 2 * math.pi / 5.2)
    by_the_sea = ((5.9, 6.4, 15.6, 16.0), (41.5, 42.5, 49.4, 50.0), (58.0, 58.4, 63.8, 64.2))
    near = sum(smooth(a, b, second) * (1 - smooth(c, d, second)) for a, b, c, d in by_the_sea)
    surf: NDArray[np.float32] = (0.05 * low * (0.3 + 0.7 * breath) * near).astype(np.float32)
    return surf


def film(path: Path) -> list[tuple[float, float, str]]:
    """Draw, speak and write the film; returns the narration as it was timed."""
    sound, timed = soundtrack()
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        container.metadata.update(
            title="A day by the sea", comment="Made by samples/make_sample.py; nothing is filmed."
        )
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # A fixed number of threads: the bytes would depend on the machine's otherwise.
        video.options = {"crf": "28", "preset": "veryslow", "threads": "2", "g": "125", "flags": "+bitexact"}
        context = video.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        audio = container.add_stream("aac", rate=SOUND_RATE, layout="mono", bit_rate=36000)
        audio.codec_context.flags |= av.codec.context.Flags.bitexact
        words = container.add_stream("mov_text")
        words.metadata["language"] = "eng"
        audio.metadata["language"] = "eng"
        words.codec_context.subtitle_header = _SUBTITLE_HEADER
        words.time_base = words.codec_context.time_base = Fraction(1, 1000)
        container.set_chapters(_chapters())
        packets = [*_subtitles(words, timed)]
        for index, picture in enumerate(_pictures()):
            picture.pts, picture.time_base = index, Fraction(1, RATE)
            container.mux(video.encode(picture))
            second = (index + 1) / RATE
            while packets and packets[0].pts / 1000 <= second:
                container.mux(packets.pop(0))
            _encode_sound(container, audio, sound, index)
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return timed


_SUBTITLE_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, "
    b"SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, "
    b"BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\nStyle: Default,Arial,16,&Hffffff,"
    b"&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\n\n[Events]\nFormat: Layer, Start, End, Style, Name, "
    b"MarginL, MarginR, MarginV, Effect, Text\n"
)


def _pictures() -> Iterator[av.VideoFrame]:
    for index in range(round(LENGTH * RATE)):
        picture = av.VideoFrame.from_ndarray(frame(index), format="rgb24")
        yield picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def _encode_sound(container: Any, audio: Any, sound: NDArray[np.float32], index: int) -> None:
    """Give the encoder the sound of one frame's time."""
    first, last = (round(i * SOUND_RATE / RATE) for i in (index, index + 1))
    piece = av.AudioFrame.from_ndarray(sound[None, first:last], format="fltp", layout="mono")
    piece.sample_rate, piece.pts, piece.time_base = SOUND_RATE, first, Fraction(1, SOUND_RATE)
    container.mux(audio.encode(piece))


def _subtitles(stream: Any, timed: Sequence[tuple[float, float, str]]) -> Iterator[Any]:
    """One packet for each sentence: the length of the text in two bytes, then the text."""
    for start, end, text in timed:
        payload = text.encode()
        packet = av.Packet(len(payload).to_bytes(2, "big") + payload)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = round(start * 1000)
        packet.duration = round(end * 1000) - round(start * 1000)
        yield packet


def _chapters() -> list[Any]:
    named = [shot for shot in SHOTS if shot.chapter]
    ends = [*(shot.start for shot in named[1:]), LENGTH]
    return [
        {
            "id": i,
            "start": round(shot.start * 1000),
            "end": round(end * 1000),
            "time_base": Fraction(1, 1000),
            "metadata": {"title": shot.chapter},
        }
        for i, (shot, end) in enumerate(zip(named, ends, strict=True))
    ]


def truth(timed: Sequence[tuple[float, float, str]]) -> dict[str, Any]:
    """What is true of the film, as plain values."""
    return {
        "file": "longshot-demo.mp4",
        "duration": LENGTH,
        "fps": RATE,
        "size": [WIDTH, HEIGHT],
        "shots": [{"start": shot.start, "end": shot.end, "setting": shot.setting} for shot in SHOTS],
        "transitions": [{"kind": kind, "start": start, "end": end} for kind, start, end in TRANSITIONS],
        "camera": [
            {
                "shot": i,
                "move": shot.camera,
                "start": (shot.moving or (shot.start, 0))[0],
                "end": (shot.moving or (0, shot.end))[1],
            }
            for i, shot in enumerate(SHOTS)
        ],
        "returns": [{"shot": 7, "to": 1}],
        "texts": [{"text": text.text, "start": text.start, "end": text.end} for text in TEXTS],
        "narration": [{"start": start, "end": end, "text": text} for start, end, text in timed],
        "chapters": [
            {"start": chapter["start"] / 1000, "end": chapter["end"] / 1000, "title": chapter["metadata"]["title"]}
            for chapter in _chapters()
        ],
    }


def main(folder: Path) -> None:
    """Write both files into `folder`."""
    if shutil.which("espeak-ng") is None:
        raise SystemExit("espeak-ng is missing: it speaks the narration. On Debian: apt-get install espeak-ng")
    timed = film(folder / "longshot-demo.mp4")
    text = json.dumps(truth(timed), indent=2) + "\n"
    (folder / "longshot-demo.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)

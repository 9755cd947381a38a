"""Pictures filmed by a scripted camera from a painted plane, so that what it does is known exactly.

A `Shot` says where the camera looks at each second; `film` gives the Glances that a pass over it would give.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longshot.contracts import Frames, Glance

WIDTH, HEIGHT = 256, 144


@dataclass(frozen=True)
class View:
    """Where the camera looks: right and down in picture widths, zoom (2: everything twice as large), roll in
    degrees by which the content stands turned clockwise."""

    right: float = 0.0
    down: float = 0.0
    zoom: float = 1.0
    roll: float = 0.0


Shot = Callable[[float], View]
Painter = Callable[[NDArray[np.float64], float], NDArray[np.float64]]


@functools.cache
def plane(seed: int, *, size: int = 1024, colour: tuple[int, int, int] = (120, 120, 120)) -> NDArray[np.float64]:
    """A painted plane (size, size, 3) that tiles: cloudy noise around one colour, as structured as a photograph."""
    random = np.random.default_rng(seed)
    frequency = np.fft.fftfreq(size)
    distance = np.sqrt(frequency[:, None] ** 2 + frequency[None] ** 2)
    spectrum = np.maximum(distance, 2 / size) ** -1.4 * np.exp(2j * np.pi * random.random((size, size)))
    clouds = np.fft.ifft2(spectrum).real
    clouds = (clouds - clouds.mean()) / clouds.std() * 42
    return np.clip(np.asarray(colour, np.float64) + clouds[..., None], 0, 255)


def look_at(painted: NDArray[np.float64], view: View) -> NDArray[np.float64]:
    """The picture (144, 256, 3) that the camera sees of a plane."""
    if not view.roll:
        columns = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / view.zoom + view.right * WIDTH
        rows = (np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / view.zoom + view.down * WIDTH
        return _between(_between(painted, rows, 0), columns, 1)
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5 - WIDTH / 2, np.arange(HEIGHT) + 0.5 - HEIGHT / 2)
    angle = np.radians(view.roll)
    column = (np.cos(angle) * x + np.sin(angle) * y) / view.zoom + view.right * WIDTH
    row = (-np.sin(angle) * x + np.cos(angle) * y) / view.zoom + view.down * WIDTH
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    across, along = (column - left)[..., None], (row - top)[..., None]
    size = len(painted)
    corner = [[painted[(top + j) % size, (left + i) % size] for i in (0, 1)] for j in (0, 1)]
    upper = corner[0][0] * (1 - across) + corner[0][1] * across
    lower = corner[1][0] * (1 - across) + corner[1][1] * across
    return np.asarray(upper * (1 - along) + lower * along)


def _between(values: NDArray[np.float64], where: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Values at fractional places along one axis of a tiling plane."""
    first = np.floor(where).astype(int)
    shape = [1, 1, 1]
    shape[axis] = -1
    part = (where - first).reshape(shape)
    size = values.shape[axis]
    return values.take(first % size, axis) * (1 - part) + values.take((first + 1) % size, axis) * part


def pictures(
    painted: NDArray[np.float64],
    shot: Shot,
    seconds: float,
    *,
    fps: float = 25.0,
    grain: float = 3.0,
    paint: Painter | None = None,
    seed: int = 0,
) -> Iterator[NDArray[np.uint8]]:
    """The frames of one shot as RGB pictures; `paint(picture, second)` may draw over each."""
    random = np.random.default_rng(seed)
    for index in range(round(seconds * fps)):
        picture = look_at(painted, shot(index / fps))
        if paint is not None:
            picture = paint(picture, index / fps)
        yield np.clip(picture + random.normal(0, grain, picture.shape[:2])[..., None], 0, 255).astype(np.uint8)


def film(
    frames: Iterable[NDArray[np.uint8]], *, fps: float = 25.0, every: float = 0.5, stretch: int = 16
) -> Iterator[Glance]:
    """The Glances of a pass over RGB pictures (144, 256, 3)."""
    batch: list[NDArray[np.uint8]] = []
    start, due = 0, 0.0
    for index, picture in enumerate(frames):
        batch.append(picture)
        if len(batch) == stretch:
            glance, due = _glance(batch, start, fps, every, due)
            yield glance
            batch, start = [], index + 1
    if batch:
        yield _glance(batch, start, fps, every, due)[0]


def _glance(batch: list[NDArray[np.uint8]], start: int, fps: float, every: float, due: float) -> tuple[Glance, float]:
    times = (start + np.arange(len(batch))) / fps
    rgb = np.stack(batch).astype(np.float32)
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    blue, red = (rgb[..., 2] - luma) * 0.564, (rgb[..., 0] - luma) * 0.713
    chroma = np.stack([_mean(blue, 18, 32), _mean(red, 18, 32)], axis=-1)
    kept = []
    for index, second in enumerate(times.tolist()):
        if second >= due - 1e-9:
            kept.append(index)
            due += every
    sampled = Frames(np.stack(batch)[kept], times[kept])
    return Glance(times, _mean(luma, 36, 64), chroma, sampled), due


def _mean(values: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    count, height, width = values.shape
    shape = (count, rows, height // rows, columns, width // columns)
    return np.asarray(values.reshape(shape).mean(axis=(2, 4)), np.float32)

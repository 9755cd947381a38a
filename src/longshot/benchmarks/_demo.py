"""Small made-up videos for the demo benchmarks: one coloured shape at a time, moving on a plain ground, no text.

    folder = make_videos(data, CLIPS)          # data/longshot-demo/red-square-right.mp4 …, those there are kept
    CLIPS[0].parts[0].told                     # "A red square moves from left to right on a grey ground."

They are drawn here, so nobody owns them, and what they show is known exactly. A clip has one part, a story three that
follow each other without a pause.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from longshot.errors import UsageError
from longshot.timeline import Span

# With a number, because videos that are there are kept: a drawing that changes gets the next one.
FOLDER = "longshot-demo-1"
SIZE = (160, 120)  # width, height
FPS = 12
COLOURS = {
    "red": (210, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (235, 210, 50),
    "white": (240, 240, 240),
    "black": (15, 15, 15),
    "grey": (110, 110, 110),
}
FORMS = ("square", "circle", "triangle")
# Where a shape begins and ends, in parts of the free width and height.
WAYS = {
    "from left to right": ((0.0, 0.5), (1.0, 0.5)),
    "from right to left": ((1.0, 0.5), (0.0, 0.5)),
    "from top to bottom": ((0.5, 0.0), (0.5, 1.0)),
    "from bottom to top": ((0.5, 1.0), (0.5, 0.0)),
}
STILL = "in the middle"


@dataclass(frozen=True, slots=True)
class Part:
    """One shape for some seconds. way: one of WAYS, or STILL for one that stands in the middle."""

    colour: str
    form: str
    way: str
    ground: str = "grey"
    seconds: float = 3.0

    @property
    def shape(self) -> str:
        """Colour and form: "red square"."""
        return f"{self.colour} {self.form}"

    @property
    def event(self) -> str:
        """What happens, without where: "A red square moves from left to right."."""
        return f"A {self.shape} {'stands' if self.way == STILL else 'moves'} {self.way}."

    @property
    def told(self) -> str:
        """What is seen, as one sentence."""
        return f"{self.event[:-1]} on a {self.ground} ground."


@dataclass(frozen=True, slots=True)
class Clip:
    """One video. name: of its file, without the ending."""

    name: str
    parts: tuple[Part, ...]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return sum(part.seconds for part in self.parts)

    @property
    def spans(self) -> list[Span]:
        """When each part is seen."""
        ends = [sum(part.seconds for part in self.parts[: k + 1]) for k in range(len(self.parts))]
        return [Span(end - part.seconds, end) for end, part in zip(ends, self.parts, strict=True)]

    @property
    def told(self) -> str:
        """What is seen, a sentence for each part."""
        return " ".join(part.told for part in self.parts)


def _clip(name: str, *parts: tuple[str, str, str, str]) -> Clip:
    return Clip(name, tuple(Part(*part) for part in parts))


CLIPS = (
    _clip("red-square-right", ("red", "square", "from left to right", "grey")),
    _clip("red-square-left", ("red", "square", "from right to left", "grey")),
    _clip("blue-circle-down", ("blue", "circle", "from top to bottom", "white")),
    _clip("blue-circle-up", ("blue", "circle", "from bottom to top", "white")),
    _clip("yellow-triangle-right", ("yellow", "triangle", "from left to right", "black")),
    _clip("green-triangle-still", ("green", "triangle", STILL, "white")),
    _clip("white-circle-left", ("white", "circle", "from right to left", "black")),
    _clip("green-square-down", ("green", "square", "from top to bottom", "black")),
)
STORIES = (
    _clip(
        "story-one",
        ("red", "square", "from left to right", "grey"),
        ("blue", "circle", "from top to bottom", "white"),
        ("yellow", "triangle", "from bottom to top", "black"),
    ),
    _clip(
        "story-two",
        ("green", "triangle", STILL, "white"),
        ("white", "circle", "from right to left", "black"),
        ("red", "circle", "from left to right", "grey"),
    ),
    _clip(
        "story-three",
        ("yellow", "square", "from top to bottom", "black"),
        ("black", "triangle", "from left to right", "white"),
        ("blue", "square", STILL, "grey"),
    ),
)


def make_videos(data: Path, clips: Sequence[Clip] = CLIPS) -> Path:
    """The folder in `data` that holds these clips as NAME.mp4, drawn now where they are not there yet.

    Raises UsageError when the folder cannot be written.
    """
    folder = data / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for clip in clips:
            path = folder / f"{clip.name}.mp4"
            if not path.exists():
                _write(clip, path)
    except OSError as error:
        raise UsageError(
            f"{folder}: the demo's videos cannot be written ({error.strerror}); name another folder"
        ) from (error)
    return folder


def digest(clips: Iterable[Clip]) -> str:
    """16 hex digits over what some clips show: the fingerprint of a demo benchmark."""
    told = json.dumps([asdict(clip) for clip in clips], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def draw(part: Part, progress: float) -> NDArray[np.uint8]:
    """A part's picture (H, W, 3), RGB, at `progress` from 0 to 1."""
    width, height = SIZE
    side = height // 4
    start, end = WAYS.get(part.way, ((0.5, 0.5), (0.5, 0.5)))
    x, y = (one + (other - one) * progress for one, other in zip(start, end, strict=True))
    left, top = x * (width - side), y * (height - side)
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    u, v = (columns - left) / side, (rows - top) / side  # 0..1 inside the shape's box
    inside = (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
    if part.form == "circle":
        inside = (u - 0.5) ** 2 + (v - 0.5) ** 2 <= 0.25
    elif part.form == "triangle":
        inside &= np.abs(u - 0.5) <= v / 2
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = COLOURS[part.ground]
    picture[inside] = COLOURS[part.colour]
    return picture


def _write(clip: Clip, path: Path) -> None:
    """Encode into another name first, so that a kill leaves no half video under the right one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    # The same bytes each time: not so with threads, nor with x264's assembly (one run in ten came out otherwise).
    options = {"threads": "1"} | ({"x264-params": "asm=0"} if codec == "libx264" else {})
    with av.open(str(unfinished), "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(FPS), options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for part in clip.parts:
            count = round(part.seconds * FPS)
            for number in range(count):
                frame = VideoFrame.from_ndarray(draw(part, number / (count - 1)), format="rgb24")
                container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    os.replace(unfinished, path)

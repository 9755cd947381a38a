"""Text on screen by RapidOCR: Chinese, Japanese, English and 45 more Latin-script languages, offline.

The models come inside the rapidocr wheel; nothing is downloaded. Only pictures in which something text-like has
changed and stands still are read: a slide that stays ten minutes is read once or twice.
"""

from __future__ import annotations

import importlib.util
import os
import time as clocks
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from longshot.contracts import Glance
from longshot.errors import LongshotError, UsageError
from longshot.readers._gating import Changes, Edges, Gate, Look, Template
from longshot.readers._merging import Box, Line, Moment, Reading, captions_of, same_line
from longshot.timeline import Caption, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longshot.video import Video

NEEDS = ("rapidocr", "onnxruntime")
EXTRA = "ocr"

_HEIGHT = 540
_ROUTINE = 1.5  # seconds between two readings while text moves, the first wait while only textures do
_PATIENCE = 12.0  # seconds: the longest wait between two readings of a picture that moves and holds no text
_CONFIRM = 0.9  # a line read once with less is read again while it stays
_OVERWRITTEN = 0.6  # share of a line's box that another line may cover before the first must be gone
_STEADY = 0.8  # a line that a reading misses stays when this share of its edges is in place
_SLIDE = 0.6  # seconds: a single frame shown this long (a slide show has one frame per slide) is read by itself

Engine = Callable[["NDArray[np.uint8]"], Sequence[Reading]]


def load(*, height: int = _HEIGHT, threads: int | None = None) -> Reader:
    """The reader on this shelf.

    height: rows of the pictures it asks for; 540 reads text down to about 1/45 of the picture's height, 720 finer
    at twice the cost. threads: CPU threads of the engine, all cores when not given.
    """
    if height < 120:
        raise UsageError(f"height={height}: text cannot be read from fewer than 120 rows; 540 is usual")
    return Reader(lambda: bundled_engine(height=height, threads=threads), height=height)


@dataclass(slots=True)
class Cost:
    """What reading has cost: pictures offered, pictures read, seconds in the OCR engine and in choosing."""

    seen: int = 0
    read: int = 0
    reading_seconds: float = 0.0
    choosing_seconds: float = 0.0


class Reader:
    """A TextReader around any OCR engine; `start_engine` is called when the first picture is to be read."""

    def __init__(self, start_engine: Callable[[], Engine], *, height: int = _HEIGHT) -> None:
        self._start_engine = start_engine
        self._engine: Engine | None = None
        self._height = height

    @property
    def source(self) -> Source:
        """Who reads, and from which picture height."""
        try:
            revision = version("rapidocr")
        except PackageNotFoundError:
            revision = ""
        return Source("read", "rapidocr", revision, {"height": self._height})

    @property
    def height(self) -> int:
        """The picture height in pixels that it wants to see."""
        return self._height

    def watch(self, video: Video) -> ScreenWatcher:
        """Start on one video."""
        return ScreenWatcher(self._read)

    def _read(self, pixels: NDArray[np.uint8]) -> Sequence[Reading]:
        if self._engine is None:
            self._engine = self._start_engine()
        return self._engine(pixels)


@dataclass(slots=True)
class _Tracked:
    """A line that is on screen now."""

    line: Line
    template: Template
    last_seen: float
    read_again: bool = False


class ScreenWatcher:
    """Follows the text of one video through its single pass. `cost` says what that has taken so far."""

    def __init__(self, engine: Engine) -> None:
        self.cost = Cost()
        self._engine = engine
        self._gate = Gate()
        self._changes = Changes()
        self._active: list[_Tracked] = []
        self._ended: list[Line] = []
        self._unread: tuple[float, NDArray[np.uint8], Look] | None = None
        self._times: list[float] = []
        self._last_read = float("-inf")
        self._wait = _ROUTINE
        self._restless = False
        self._aspect = 16 / 9

    def see(self, glance: Glance) -> None:
        """Take the next stretch of the video."""
        began = clocks.perf_counter()
        reading_before = self.cost.reading_seconds
        self._changes.add(glance.times, glance.luma)
        for second, pixels in zip(glance.frames.times, glance.frames.pixels, strict=True):
            self._sample(float(second), pixels)
        spent = clocks.perf_counter() - began
        self.cost.choosing_seconds += spent - (self.cost.reading_seconds - reading_before)

    def finish(self, end: float) -> list[Caption]:
        """The text of the whole video up to `end` seconds, merged over time, in order."""
        if self._unread is not None and (not self.cost.read or end - self._unread[0] >= _SLIDE):
            self._read(*self._unread)
        for tracked in self._active:
            tracked.line.end = Moment(end, max(0.0, end - tracked.last_seen))
            self._ended.append(tracked.line)
        self._active = []
        return captions_of(
            self._ended, end=end, interval=self._interval, aspect=self._aspect, reach=_ROUTINE + 2 * self._interval
        )

    @property
    def _interval(self) -> float:
        """Seconds between two sampled pictures, as they came."""
        return float(np.median(np.diff(self._times))) if len(self._times) > 1 else 0.5

    def _sample(self, second: float, pixels: NDArray[np.uint8]) -> None:
        before = self._times[-1] if self._times else second
        self.cost.seen += 1
        self._times.append(second)
        self._aspect = pixels.shape[1] / pixels.shape[0]
        if self._unread is not None and self._changes.shown_for(self._unread[0]) >= _SLIDE:
            self._read(*self._unread)
        look = self._gate.look(second, pixels)
        self._follow(second, look.edges)
        if self._changes.cut_between(before, second):
            self._wait = min(self._wait, _ROUTINE)
        self._unread = (second, pixels, look) if look.moving or look.still else None
        # What has only just come may stand still by the next sample, and is better read then.
        restless = look.moving and self._restless and second - self._last_read >= self._wait
        self._restless = look.moving
        if look.still or restless or self._must_confirm(second):
            self._read(second, pixels, look)

    def _follow(self, second: float, edges: Edges) -> None:
        """See which known lines are still there; end those that are not."""
        staying = []
        for tracked in self._active:
            if tracked.template.found_in(edges) > 0:
                tracked.last_seen = second
                staying.append(tracked)
            else:
                self._end(tracked, second)
        self._active = staying

    def _end(self, tracked: _Tracked, gone: float) -> None:
        tracked.line.end = self._changes.between(tracked.last_seen, gone, tracked.line.box)
        self._ended.append(tracked.line)

    def _must_confirm(self, second: float) -> bool:
        """Whether a doubtful line has stayed for a second and was read only once."""
        return second - self._last_read >= 1.0 and any(
            not tracked.read_again and tracked.line.score < _CONFIRM for tracked in self._active
        )

    def _read(self, second: float, pixels: NDArray[np.uint8], look: Look) -> None:
        began = clocks.perf_counter()
        readings = [reading for reading in self._engine(pixels) if reading.text.strip()]
        self.cost.reading_seconds += clocks.perf_counter() - began
        self.cost.read += 1
        for tracked in self._active:
            tracked.read_again = True
        found_more = self._match(second, readings, look.edges)
        self._gate.has_read(look.edges, in_vain=not found_more)
        self._last_read = second
        self._unread = None
        self._wait = _ROUTINE if found_more else min(_PATIENCE, 2 * self._wait)

    def _match(self, second: float, readings: Sequence[Reading], edges: Edges) -> bool:
        """Give each reading to the line it continues, or begin a line; returns whether a sure one has begun."""
        confirmed: set[int] = set()
        begun: list[_Tracked] = []
        for reading in readings:
            same = self._line_of(reading, confirmed)
            if same is None:
                begun.append(self._begin(second, reading, edges, self._rivals(reading.box)))
            else:
                confirmed.add(id(same))
                same.line.readings.append((second, reading))
        staying = []
        for tracked in self._active:
            rival = next((new for new in begun if tracked.line.box.covered_by(new.line.box) > _OVERWRITTEN), None)
            if id(tracked) in confirmed or (rival is None and tracked.template.found_in(edges) >= _STEADY):
                staying.append(tracked)
            elif rival is not None and rival.line.start.second > tracked.line.start.second:
                tracked.line.end = rival.line.start
                self._ended.append(tracked.line)
            else:
                tracked.last_seen = max((time for time in self._times if time < second), default=second)
                self._end(tracked, second)
        self._active = staying + begun
        return any(tracked.line.trustworthy for tracked in begun)

    def _rivals(self, box: Box) -> list[_Tracked]:
        """The lines on screen that cannot stay when another is written in `box`."""
        return [tracked for tracked in self._active if tracked.line.box.covered_by(box) > _OVERWRITTEN]

    def _line_of(self, reading: Reading, taken: set[int]) -> _Tracked | None:
        """The line on screen that this reading is one more of: in its place, and much the same text."""
        for tracked in self._active:
            if id(tracked) in taken or not tracked.line.box.same_place(reading.box):
                continue
            if any(same_line(earlier, reading) for _, earlier in tracked.line.readings):
                return tracked
        return None

    def _begin(self, second: float, reading: Reading, edges: Edges, rivals: Sequence[_Tracked]) -> _Tracked:
        """A new line; its start is looked for in the samples that came before the reading.

        `rivals` are the lines it overwrites: "Step 2" is much like "Step 1", so it began where it fits better.
        """
        template = Template(edges, reading.box)
        earlier = [(time, seen) for time, seen in self._gate.history if time < second]
        first = second
        start: Moment | None = None
        for time, seen in reversed(earlier):
            fits = template.found_in(seen)
            if fits == 0 or any(rival.template.found_in(seen) > fits for rival in rivals):
                start = self._changes.between(time, first, reading.box)
                break
            first = time
        if start is None:
            at_opening = first <= self._times[0]
            start = Moment(0.0 if at_opening else first, first if at_opening else self._interval)
        return _Tracked(Line(start, Moment(second, 0.0), [(second, reading)]), template, second)


def bundled_engine(*, height: int = _HEIGHT, threads: int | None = None) -> Engine:
    """RapidOCR on the models inside its own wheel, quiet, never downloading.

    Raises LongshotError when the installed rapidocr carries no models.
    """
    from rapidocr import RapidOCR

    cores = threads or os.cpu_count() or 1
    params = {
        "Global.log_level": "critical",
        "Global.text_score": 0.5,
        # Turned-over lines do not occur in video, and the classifier costs a model.
        "Global.use_cls": False,
        "Det.model_path": str(_bundled_model("det")),
        "Rec.model_path": str(_bundled_model("rec")),
        # The shorter side as the detector sees it, a multiple of 32: no enlarging beyond what was asked for.
        "Det.limit_side_len": max(32, round(height / 32) * 32),
        "Det.limit_type": "min",
        "EngineConfig.onnxruntime.intra_op_num_threads": cores,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    engine = RapidOCR(params=params)

    def read(pixels: NDArray[np.uint8]) -> list[Reading]:
        found = engine(np.ascontiguousarray(pixels[..., ::-1]))
        if found.txts is None or found.boxes is None:
            return []
        return [
            Reading(text.strip(), float(score), _box(corners, pixels.shape))
            for text, score, corners in zip(found.txts, found.scores, found.boxes, strict=True)
        ]

    return read


def _bundled_model(task: str) -> Path:
    """The model file of a task ("det", "rec") inside the installed package.

    Given as a path, because an engine that is left to find its own model fetches it when the file is not as
    expected.
    """
    found = importlib.util.find_spec("rapidocr")
    folder = Path(next(iter(found.submodule_search_locations or [""]))) / "models" if found else Path()
    models = sorted(folder.glob(f"*_{task}_*.onnx"))
    if not models:
        raise LongshotError(
            f"the installed rapidocr carries no {task} model in {folder}; reinstall it: "
            "pip install --force-reinstall 'longshot[ocr]'"
        )
    return models[-1]


def _box(corners: NDArray[np.float32], shape: tuple[int, ...]) -> Box:
    """Fractions of the picture from four corner points, (4, 2) in pixels."""
    rows, columns = shape[:2]
    xs, ys = corners[:, 0] / columns, corners[:, 1] / rows
    return Box(float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))

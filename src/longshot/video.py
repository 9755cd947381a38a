"""Open a video and look at it by the second. The only place where frame numbers exist.

    video = open_video("talk.mp4")                   # reads the header
    video.duration, video.size, video.id             # 63.4, (1920, 1080), "9f2c..."
    video.frames([0.5, 12.0, 3.25], height=336)      # the frames on screen then, in the asked order
    for frames in video.stream(every=0.5): ...       # a regular grid, in batches, with bounded memory
    for glance in video.scan(every=0.5): ...         # every frame coarsely and some well, in one decode

The video's clock starts when its first frame is shown. At t the frame on screen is the one with the greatest
presentation time <= t (to a microsecond): frames shown at 0, 0.04 and 0.5 s give, asked at -1, 0.3, 0.5 and 99,
those of 0, 0.04, 0.5 and 0.5 s.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np

from longshot.contracts import Frames, Glance
from longshot.decoding import Damage, Footage, open_container
from longshot.errors import MediaError, NoPictures, UsageError
from longshot.pictures import Coarsener, Painter, Turn, fit, shown_size, turn_of
from longshot.timeline import Caption, Span

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import ArrayLike, NDArray

_MICROSECOND = Fraction(1, 1_000_000)
_BATCH_BYTES = 32 << 20  # pixels that one batch of a stream may hold
LAST_FRAMES = 48  # how many frames at the end tell how long the last one stays on screen
_GLANCE_FRAMES = 64  # frames that one glance of a sequential pass covers
_LONGEST = 10 * 365 * 86400  # seconds; a header that says more is not believed
_SAMPLED_WHOLE = 32 << 20  # files up to this size are hashed whole for their id
_SAMPLES, _SAMPLE_BYTES = 64, 256 << 10


@dataclass(frozen=True, slots=True)
class SubtitleStream:
    """One subtitle stream inside the file. `codec` tells text ("mov_text", "subrip") from pictures."""

    index: int
    language: str
    codec: str
    title: str = ""
    default: bool = False
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Packets:
    """What the container says of its pictures without decoding one; all in presentation order, shape (N,).

    times: float64 seconds on the video's clock. sizes: int64 bytes. keys: bool, decodable alone.
    """

    times: NDArray[np.float64]
    sizes: NDArray[np.int64]
    keys: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.times)


def open_video(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, fps: float = 1.0) -> Video:
    """Open a video, a picture, a sound file, or a list of pictures shown `fps` a second.

    Only the header is read; the type is found from the content, not from the name. Raises MediaError, with one
    line, for anything that cannot be used.
    """
    if isinstance(path, str | os.PathLike):
        return Video(_regular_file(Path(path)))
    paths = [Path(one) for one in path]
    if not paths:
        raise UsageError("a list of pictures needs at least one picture, got none")
    if not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"fps must be a number above 0, got {fps}")
    return PictureList(paths, fps=fps)


class Video:
    """One video file, addressed by seconds. Made by `open_video`; safe to use from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = Damage()
        self._opened_as = path.stat()
        with open_container(path) as container:
            self._read_header(container)

    @property
    def name(self) -> str:
        """The file's name, for people."""
        return self.path.name

    @cached_property
    def id(self) -> str:
        """Content id: 16 hex digits that survive renaming and moving (see `content_id`)."""
        return content_id(self.path)

    @cached_property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last, as the header says; 0.0 when it says nothing.

        Files whose header is silent (raw streams) are measured by reading their packets.
        """
        stated = self._stated_duration
        if stated is not None:
            return stated
        if not self.has_video:
            return 0.0
        packets = self.packets()
        if not len(packets):
            return 0.0
        if not packets.times[-1] and len(packets) > 1:  # no times either: count
            return len(packets) / (self.fps or 25.0)
        return float(packets.times[-1]) + (1 / self.fps if self.fps else 0.04)

    @cached_property
    def size(self) -> tuple[int, int]:
        """(width, height) as shown: upright, with square pixels. Decodes the first frame to know which way is up."""
        frame = self.footage.first_frame
        return shown_size(frame.width, frame.height, self._pixel_shape, self._turn)

    @cached_property
    def _turn(self) -> Turn:
        return turn_of(self.footage.first_frame)

    @property
    def origin(self) -> float:
        """Container seconds at which the first frame is shown; subtract it from times of sound and subtitles."""
        if not self.has_video:
            return self._container_start
        return float(self.footage.first * self.footage.base)

    def frames(self, times: ArrayLike, *, height: int | None = None, width: int | None = None) -> Frames:
        """The frame on screen at each of the seconds, in the asked order, repeats allowed.

        Args:
            times: seconds on the video's clock, shape (T,). Before 0 gives the first frame, past the end the last.
            height: scale to this height in pixels, keeping the shape; None keeps the size as shown.
            width: scale to this width; with height, exactly both.

        Returns pixels uint8 (T, H, W, 3) RGB and the true presentation times (T,).
        """
        asked = np.asarray(times, dtype=np.float64).reshape(-1)
        if not np.isfinite(asked).all():
            raise UsageError("times must be finite seconds; got NaN or infinity among them")
        _check_size(height=height, width=width)
        self._need_pictures()
        seconds, places = np.unique(asked, return_inverse=True)
        found = self._look(seconds.tolist(), height=height, width=width)
        if (np.diff(places) == 1).all():  # in order already: no second copy of the pixels
            return found
        return Frames(found.pixels[places], found.times[places])

    def stream(
        self, *, every: float | None = None, height: int | None = None, start: float = 0.0, end: float | None = None
    ) -> Iterator[Frames]:
        """Frames in order, in batches of bounded size.

        Args:
            every: seconds from one look to the next, from `start` on; None gives every frame of the stretch.
            height: scale to this height in pixels.
            start: second to begin at.
            end: second to stop before; None is the end of the video.

        With `every`, the frame on screen at each of start, start + every, ... is given, so a frame that stays on
        screen longer comes again.
        """
        _check_size(height=height, width=None)
        _check_stretch(every, start, end)
        self._need_pictures()
        if every is None:
            yield from self._stream_all(height, start, end)
            return
        yield from self._stream_grid(
            every, height, start, min(end, self.duration) if end is not None else self.duration
        )

    def scan(
        self,
        *,
        every: float | None = 0.5,
        height: int | None = 256,
        start: float = 0.0,
        end: float | None = None,
    ) -> Iterator[Glance]:
        """One decode of the video: every frame coarsely, and the frame on screen at every `every` seconds in RGB.

        `every=None` gives no RGB frames. A height above the video's own is lowered to it. Glances come in order
        and do not overlap; their lengths vary.
        """
        _check_size(height=height, width=None)
        _check_stretch(every, start, end)
        self._need_pictures()
        tall = self.size[1] if height is None else min(height, self.size[1])
        look = _Look(self, every=every, height=tall, start=start)
        begin = self._tick(start) if start > 0 else None
        stop = self._tick(end) if end is not None else None
        last = 0.0
        for glance in self._glances(look, begin, stop):
            if len(glance):
                last = float(glance.times[-1])
                yield glance
        if stop is None:
            self._note_end(last)

    def packets(self) -> Packets:
        """Times, sizes and keyframe marks of all pictures, read without decoding."""
        self._need_pictures()
        table = self.footage.table
        first = self.footage.first
        base = float(self.footage.base)
        times = (np.array(table.ticks, np.float64) - first) * base
        return Packets(times, np.array(table.sizes, np.int64), np.array(table.keys, np.bool_))

    def pictures_end(self) -> float:
        """The second at which the pictures end, from packet times alone: nothing is decoded but the first frame.

        The same as a whole pass finds in an undamaged file; packets that would not decode are believed here.
        """
        times = self.packets().times
        if not len(times):
            return 0.0
        if len(times) > 1 and times[-1] <= 0:  # packets without times: they are counted instead
            return self.duration
        return end_of_pictures(times[-LAST_FRAMES:].tolist(), header=self.duration, fps=self.fps)

    def keyframes(self) -> NDArray[np.float64]:
        """Seconds of the frames that can be reached without decoding others, as the container tells, shape (K,)."""
        self._need_pictures()
        first, base = self.footage.first, self.footage.base
        return np.array([float((key - first) * base) for key in self.footage.keys], np.float64)

    def close(self) -> None:
        """Give open files and decoder memory back; the next look opens them again."""
        footage = self.__dict__.pop("footage", None)
        if footage is not None:
            footage.close()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        # Between processes a video travels as its path.
        return open_video, (str(self.path),)

    def __repr__(self) -> str:
        return f"<Video {self.name}: {self.duration:.2f} s>"

    # How it is done -------------------------------------------------------------------------------------------

    @cached_property
    def footage(self) -> Footage:
        """The packets and decoders behind the pictures, for work that copies or cuts them."""
        self._need_pictures()
        assert self._index is not None
        return Footage(self.path, self._index, self.damage)

    def _read_header(self, container: InputContainer) -> None:
        picture = _best_picture_stream(container)
        sounds = [stream.codec_context.name for stream in container.streams.audio if stream.codec_context is not None]
        self.format = container.format.name
        self.has_video = picture is not None
        self.has_audio = bool(sounds)
        if not (self.has_video or self.has_audio):
            known = len(container.streams.video) + len(container.streams.audio)
            raise MediaError(self.path, "no decoder knows its streams" if known else "holds neither pictures nor sound")
        self._index = picture.index if picture is not None else None
        rate = (picture.average_rate or picture.guessed_rate) if picture is not None else None
        self.fps = float(rate) if rate else 0.0
        self.codec = picture.codec_context.name if picture is not None else sounds[0]
        self._pixel_shape = picture.sample_aspect_ratio if picture is not None else None
        self._container_start = (container.start_time or 0) / 1_000_000
        self._stated_duration = _stated_duration(container, picture)
        self.subtitles = tuple(_subtitle(stream) for stream in container.streams.subtitles)
        self._chapters = container.chapters()
        if picture is not None:
            self._check_picture_stream(container, picture)

    def _check_picture_stream(self, container: InputContainer, stream: VideoStream) -> None:
        if _is_encrypted(container, stream):
            raise MediaError(self.path, "is encrypted; decrypt it first")
        if stream.codec_context.width <= 0 or stream.codec_context.height <= 0:
            raise MediaError(self.path, "has a picture stream without a size, so nothing can be decoded from it")

    @cached_property
    def chapters(self) -> tuple[Caption, ...]:
        """The chapters that the file carries, on the video's clock; titles as text."""
        origin = self.origin if self._chapters else 0.0
        return tuple(_chapter(chapter, origin) for chapter in self._chapters)

    def _need_pictures(self) -> None:
        if not self.has_video:
            raise NoPictures(self.path, "holds sound but no pictures; its speech can be transcribed")

    def _tick(self, second: float) -> int:
        """The last tick at or before a second, to a microsecond."""
        footage = self.footage
        return footage.first + math.floor((Fraction(second) + _MICROSECOND) / footage.base)

    def _second(self, tick: int) -> float:
        return float((tick - self.footage.first) * self.footage.base)

    def _look(self, seconds: list[float], *, height: int | None, width: int | None) -> Frames:
        """Frames at sorted seconds, each scaled as soon as it is decoded."""
        footage = self.footage
        wide, tall = fit(self.size, width=width, height=height)
        pixels = np.empty((len(seconds), tall, wide, 3), np.uint8)
        times = np.empty(len(seconds), np.float64)
        painted: dict[int, int] = {}
        painters = threading.local()
        lock = threading.Lock()

        def use(k: int, tick: int, frame: VideoFrame) -> None:
            with lock:
                again = painted.get(tick)
            if again is None:
                if not hasattr(painters, "own"):
                    painters.own = self._painter(wide, tall)
                pixels[k] = painters.own.paint(frame)
                with lock:
                    painted[tick] = k
            else:
                pixels[k] = pixels[again]
            times[k] = self._second(tick)

        footage.pick([self._tick(second) for second in seconds], use)
        self._note_growth()
        return Frames(pixels, times)

    def _painter(self, width: int, height: int) -> Painter:
        return Painter(width=width, height=height, pixel_shape=self._pixel_shape, turn=self._turn, threads=1)

    def _stream_grid(self, every: float, height: int | None, start: float, stop: float) -> Iterator[Frames]:
        width, tall = fit(self.size, width=None, height=height)
        batch = max(1, min(256, _BATCH_BYTES // (width * tall * 3)))
        first, believed = 0, True
        while first == 0 or start + every * first < stop - 1e-9:
            grid = [start + every * k for k in range(first, first + batch)]
            grid = [second for second in grid if second < stop - 1e-9] or grid[:1]
            frames = self._look(grid, height=height, width=None)
            if believed and len(grid) > 1 and frames.times[-1] == frames.times[-2]:
                # A picture that stays, or a header that promises more than there is: the packets know.
                believed, stop = False, min(stop, self.pictures_end())
                frames = frames[: max(1, sum(second < stop - 1e-9 for second in grid))]
            yield frames
            first += batch

    def _stream_all(self, height: int | None, start: float, end: float | None) -> Iterator[Frames]:
        width, tall = fit(self.size, width=None, height=height)
        painter = self._painter(width, tall)
        batch = max(1, min(256, _BATCH_BYTES // (width * tall * 3)))
        pixels: list[NDArray[np.uint8]] = []
        times: list[float] = []
        for tick, frame in self._sequence(start, end):
            pixels.append(painter.paint(frame))
            times.append(self._second(tick))
            if len(pixels) == batch:
                yield Frames(np.stack(pixels), np.array(times))
                pixels, times = [], []
        if pixels:
            yield Frames(np.stack(pixels), np.array(times))

    def _sequence(self, start: float, end: float | None) -> Iterator[tuple[int, VideoFrame]]:
        begin = self._tick(start) if start > 0 else None
        stop = self._tick(end) if end is not None else None
        return self.footage.frames(begin, stop)

    def _glances(self, look: _Look, begin: int | None, stop: int | None) -> Iterator[Glance]:
        shared = self.footage.stretches(look.at_stretch, begin, stop)
        if shared is not None:
            yield from look.joined(shared)
            return
        yield from look.in_passing(self.footage.frames(begin, stop))

    def _note_end(self, last: float) -> None:
        """After a whole pass: say so when the pictures end well before what the header promises."""
        self._note_growth()
        stated = self._stated_duration
        shown = 1 / self.fps if self.fps else 0.04
        if stated is not None and last + shown < stated - max(1.0, 2 * shown, 0.02 * stated):
            self.damage.ends_early, self.damage.promised = last + shown, stated

    def _note_growth(self) -> None:
        now = self.path.stat()
        if (now.st_size, now.st_mtime_ns) != (self._opened_as.st_size, self._opened_as.st_mtime_ns):
            self.damage.outgrown = True


class PictureList(Video):
    """Pictures shown one after the other, `fps` a second; all scaled to the size of the first."""

    def __init__(self, paths: Sequence[Path], *, fps: float) -> None:
        self.paths = [_regular_file(path) for path in paths]
        self._pictures = [Video(path) for path in self.paths]
        for picture in self._pictures:
            picture._need_pictures()
        first = self._pictures[0]
        self.path, self.damage, self.format = self.paths[0], Damage(), "pictures"
        self.has_video, self.has_audio, self.fps = True, False, fps
        self.codec, self.subtitles, self._chapters = first.codec, (), []
        self._stated_duration, self._container_start, self._pixel_shape = len(paths) / fps, 0.0, None

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(open_video, fps=self.fps), ([str(path) for path in self.paths],)

    @property
    def name(self) -> str:
        """The first picture's name and how many follow."""
        return self.path.name if len(self.paths) == 1 else f"{self.path.name} +{len(self.paths) - 1}"

    @cached_property
    def id(self) -> str:
        """Content id over all pictures and their rate."""
        digest = hashlib.blake2b(f"pictures {self.fps!r}".encode(), digest_size=8)
        for picture in self._pictures:
            digest.update(picture.id.encode())
        return digest.hexdigest()

    @cached_property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first picture as shown."""
        return self._pictures[0].size

    @property
    def origin(self) -> float:
        """0.0: pictures have no other clock."""
        return 0.0

    def packets(self) -> Packets:
        """One keyframe for each picture, its file's size in bytes."""
        times = np.arange(len(self.paths)) / self.fps
        sizes = np.array([path.stat().st_size for path in self.paths], np.int64)
        return Packets(times, sizes, np.ones(len(times), np.bool_))

    def keyframes(self) -> NDArray[np.float64]:
        """Every picture stands alone."""
        return self.packets().times

    def close(self) -> None:
        """Close every picture's file."""
        for picture in self._pictures:
            picture.close()

    def _look(self, seconds: list[float], *, height: int | None, width: int | None) -> Frames:
        wide, tall = fit(self.size, width=width, height=height)
        which = [min(max(math.floor(second * self.fps + 1e-6), 0), len(self.paths) - 1) for second in seconds]
        pixels = np.empty((len(which), tall, wide, 3), np.uint8)
        for k, index in enumerate(which):
            repeated = k > 0 and index == which[k - 1]
            pixels[k] = pixels[k - 1] if repeated else self._upright(index, wide, tall)
        return Frames(pixels, np.array(which, np.float64) / self.fps)

    def _first_of(self, index: int) -> VideoFrame:
        """One picture as a frame of the list's size: upright already, so that each may be turned its own way."""
        return av.VideoFrame.from_ndarray(self._upright(index, *self.size), format="rgb24")

    def _upright(self, index: int, width: int, height: int) -> NDArray[np.uint8]:
        with self._pictures[index] as picture:
            return picture._painter(width, height).paint(picture.footage.first_frame)

    @cached_property
    def _turn(self) -> Turn:
        return Turn()

    def _tick(self, second: float) -> int:
        return math.floor(second * self.fps + 1e-6)

    def _second(self, tick: int) -> float:
        return tick / self.fps

    def _sequence(self, start: float, end: float | None) -> Iterator[tuple[int, VideoFrame]]:
        stop = len(self.paths) if end is None else min(len(self.paths), math.ceil(end * self.fps - 1e-6))
        return ((k, self._first_of(k)) for k in range(max(0, math.ceil(start * self.fps - 1e-6)), stop))

    def _glances(self, look: _Look, begin: int | None, stop: int | None) -> Iterator[Glance]:
        end = None if stop is None else self._second(stop)
        yield from look.in_passing(self._sequence(0.0 if begin is None else self._second(begin), end))

    def _note_growth(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class _Piece:
    """One stretch of a scan as one thread saw it, with its last frame and its second.

    `late`: a moment of the grid lies between the stretch's edge and its first frame, so that the stretch before
    has to answer it. That happens when a container's index misjudges where a keyframe is shown.
    """

    glance: Glance
    last: tuple[float, VideoFrame] | None
    late: bool


class _Look:
    """How a scan looks: which frames are painted in full, and how frames become glances."""

    def __init__(self, video: Video, *, every: float | None, height: int, start: float) -> None:
        self._video = video
        self._every = every
        self._start = start
        self._width, self._height = fit(video.size, width=None, height=height)
        self._own = threading.local()

    def at_stretch(self, frames: Iterator[tuple[int, VideoFrame]], begin: int | None, end: int | None) -> _Piece:
        """A whole stretch between keyframes as one glance."""
        last: tuple[int, VideoFrame] | None = None

        def remembered() -> Iterator[tuple[int, VideoFrame]]:
            nonlocal last
            for last in frames:  # noqa: UP028 - the last one is kept
                yield last

        glance = next(self.in_passing(remembered(), end=end, batch=None), self._nothing())
        late = (
            begin is not None and len(glance) > 0 and self._on_grid(self._video._second(begin), float(glance.times[0]))
        )
        return _Piece(glance, None if last is None else (self._video._second(last[0]), last[1]), late)

    def joined(self, pieces: Iterator[_Piece]) -> Iterator[Glance]:
        """The glances of pieces in order, each completed by what only the next one shows to be missing."""
        held: _Piece | None = None
        for piece in pieces:
            if held is not None:
                yield self._completed(held) if piece.late else held.glance
            held = piece
        if held is not None:
            yield held.glance

    def _completed(self, piece: _Piece) -> Glance:
        glance = piece.glance
        if piece.last is None or (len(glance.frames) and glance.frames.times[-1] == piece.last[0]):
            return glance
        second, frame = piece.last
        pixels = np.concatenate([glance.frames.pixels, self._painter.paint(frame)[None]])
        frames = Frames(pixels, np.append(glance.frames.times, second))
        return Glance(glance.times, glance.luma, glance.chroma, frames)

    def in_passing(
        self, frames: Iterator[tuple[int, VideoFrame]], *, end: int | None = None, batch: int | None = _GLANCE_FRAMES
    ) -> Iterator[Glance]:
        """Glances of `batch` frames (None: one of all). Each frame is judged once its successor's time is known."""
        gathered = _Gathered()
        held: tuple[int, VideoFrame] | None = None
        for tick, frame in frames:
            if held is not None:
                self._take(gathered, *held, until=self._video._second(tick))
                if batch is not None and len(gathered.times) >= batch:
                    yield gathered.glance(self._nothing())
                    gathered = _Gathered()
            held = tick, frame
        if held is not None:
            self._take(gathered, *held, until=math.inf if end is None else self._video._second(end))
            yield gathered.glance(self._nothing())

    def _take(self, gathered: _Gathered, tick: int, frame: VideoFrame, *, until: float) -> None:
        second = self._video._second(tick)
        luma, chroma = self._coarsener.coarse(frame)
        gathered.times.append(second)
        gathered.luma.append(luma)
        gathered.chroma.append(chroma)
        if self._on_grid(second, until):
            gathered.pixels.append(self._painter.paint(frame))
            gathered.painted.append(second)

    def _on_grid(self, second: float, until: float) -> bool:
        """Whether a moment of the grid falls while the frame shown from `second` to `until` is on screen."""
        if self._every is None:
            return False
        following = max(0, math.ceil((second - self._start - 1e-6) / self._every)) * self._every + self._start
        if math.isinf(until):
            return following <= second + 1e-6
        return following < until - 1e-6

    @property
    def _painter(self) -> Painter:
        if not hasattr(self._own, "painter"):
            self._own.painter = self._video._painter(self._width, self._height)
        painter: Painter = self._own.painter
        return painter

    @property
    def _coarsener(self) -> Coarsener:
        if not hasattr(self._own, "coarsener"):
            self._own.coarsener = Coarsener(self._video._turn)
        coarsener: Coarsener = self._own.coarsener
        return coarsener

    def _nothing(self) -> Glance:
        empty = np.empty((0, self._height, self._width, 3), np.uint8)
        no_times = np.empty(0, np.float64)
        luma, chroma = np.empty((0, 36, 64), np.float32), np.empty((0, 18, 32, 2), np.float32)
        return Glance(no_times, luma, chroma, Frames(empty, no_times))


class _Gathered:
    """Lists that become one glance."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.luma: list[NDArray[np.float32]] = []
        self.chroma: list[NDArray[np.float32]] = []
        self.pixels: list[NDArray[np.uint8]] = []
        self.painted: list[float] = []

    def glance(self, nothing: Glance) -> Glance:
        frames = Frames(np.stack(self.pixels), np.array(self.painted)) if self.pixels else nothing.frames
        return Glance(np.array(self.times), np.stack(self.luma), np.stack(self.chroma), frames)


def end_of_pictures(times: Sequence[float], *, header: float, fps: float) -> float:
    """The second at which the last frame leaves the screen.

    The last frame stays as long as its recent predecessors did (the median). The header knows better when it
    agrees within 1.5 of the longest recent frame; a header that promises more belongs to a longer sound track or
    to a file that was cut off.

        frames at 9.88, 9.92, 9.96; header 10.0   ->  10.0
        frames at 9.88, 9.92, 9.96; header 10.02  ->  10.02
        frames at 9.88, 9.92, 9.96; header 63.0   ->  10.0    (9.96 + 0.04)
        frames at 0, 4, 8, 12; header 17.5        ->  17.5    (pictures that stay long; the header is near enough)

    Args:
        times: seconds of the last frames, in order, at least one.
        header: duration that the header states, 0.0 when it states none.
        fps: stated frame rate, 0.0 when there is none; it speaks for a video of one frame.
    """
    last = times[-1]
    spacings = [later - earlier for earlier, later in pairwise(times) if later > earlier]
    if not spacings:
        spacings = [1 / fps if fps > 0 else 0.04]
    end = last + median(spacings)
    if math.isfinite(header) and header > last and abs(header - end) <= 1.5 * max(spacings):
        return header
    return end


def content_id(path: Path) -> str:
    """16 hex digits from a file's content: the whole of it up to 32 MiB, else its size and 64 spread samples.

    Two files with one id are taken for the same video. Above 32 MiB a change that touches none of the 64 samples
    of 256 KiB and leaves the size alone is not noticed; any re-encoding or trimming is.
    """
    size = path.stat().st_size
    digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=8)
    with path.open("rb") as file:
        if size <= _SAMPLED_WHOLE:
            while block := file.read(1 << 20):
                digest.update(block)
        else:
            for sample in range(_SAMPLES):
                file.seek((size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _regular_file(path: Path) -> Path:
    """The path, if it is a file that can be read. Raises MediaError with what it is instead."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(path, "is a folder, not a video; name the files in it")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(path, "is not a regular file (a pipe or a device cannot be searched); copy it to a file")
        if status.st_size == 0:
            raise MediaError(path, "is empty (0 bytes)")
        with path.open("rb"):
            return path
    except FileNotFoundError as error:
        raise MediaError(path, "there is no such file") from error
    except PermissionError as error:
        raise MediaError(path, "may not be read by this user") from error
    except (OSError, ValueError) as error:
        raise MediaError(path, f"cannot be opened ({error})") from error


def _best_picture_stream(container: InputContainer) -> VideoStream | None:
    """The moving pictures a player would show: not a cover, the default stream first, then the largest."""
    from av.stream import Disposition

    def rank(stream: VideoStream) -> tuple[bool, int]:
        area = (stream.codec_context.width or 0) * (stream.codec_context.height or 0)
        return bool(stream.disposition & Disposition.default), area

    moving = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None
    ]
    return max(moving, key=rank, default=None)


def _stated_duration(container: InputContainer, stream: VideoStream | None) -> float | None:
    start = 0.0
    candidates: list[float | None] = []
    if stream is not None:
        base = float(stream.time_base or 0)
        start = (stream.start_time or 0) * base
        candidates.append(stream.duration * base if stream.duration else None)
        tagged = next((v for k, v in stream.metadata.items() if k.upper().startswith("DURATION")), None)
        tagged_seconds = _clock_seconds(tagged) if tagged else None
        candidates.append(tagged_seconds - start if tagged_seconds is not None else None)
    if container.duration:
        end = (container.start_time or 0) / 1_000_000 + container.duration / 1_000_000
        candidates.append(end - start)
    return next((seconds for seconds in candidates if seconds is not None and 0 < seconds < _LONGEST), None)


def _clock_seconds(text: str) -> float | None:
    """Seconds of "HH:MM:SS.fraction", as Matroska tags write lengths; None for anything else."""
    parts = text.strip().split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _is_encrypted(container: InputContainer, stream: VideoStream) -> bool:
    """Whether the pictures are locked: the header hides it behind the codec's usual name, the packets say it."""
    try:
        packet = next(container.demux(stream), None)
    except (av.error.FFmpegError, ValueError, IndexError):
        return False  # damage, which reading the pictures will report
    locked = stream.codec_context.codec_tag in ("encv", "drmi")
    return locked or (packet is not None and packet.has_sidedata("encryption_info"))


def _subtitle(stream: Any) -> SubtitleStream:
    from av.stream import Disposition

    codec = stream.codec_context.name if stream.codec_context is not None else "unknown"
    flags = stream.disposition
    return SubtitleStream(
        stream.index,
        stream.language or stream.metadata.get("language", "") or "",
        codec,
        stream.metadata.get("title", "") or stream.metadata.get("handler_name", ""),
        bool(flags & Disposition.default),
        bool(flags & Disposition.forced),
    )


def _chapter(chapter: Any, origin: float) -> Caption:
    base = Fraction(chapter["time_base"])
    start = max(0.0, float(chapter["start"] * base) - origin)
    end = max(start, float(chapter["end"] * base) - origin)
    return Caption(Span(start, end), str(chapter.get("metadata", {}).get("title", "")))


def _check_size(*, height: int | None, width: int | None) -> None:
    for name, value in (("height", height), ("width", width)):
        if value is not None and not 1 <= value <= 16384:
            raise UsageError(f"{name} must be 1 to 16384 pixels, got {value}")


def _check_stretch(every: float | None, start: float, end: float | None) -> None:
    if every is not None and not (math.isfinite(every) and every > 0):
        raise UsageError(f"every must be seconds above 0, got {every}")
    if not (math.isfinite(start) and start >= 0):
        raise UsageError(f"start must be a second at or after 0, got {start}")
    if end is not None and not (math.isfinite(end) and end > start):
        raise UsageError(f"end must be a second after start ({start}), got {end}")


__all__ = [
    "Damage",
    "Packets",
    "PictureList",
    "SubtitleStream",
    "Video",
    "content_id",
    "end_of_pictures",
    "open_video",
]

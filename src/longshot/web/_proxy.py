"""What a browser can play, and a proxy for what it cannot: the same film as H.264 and AAC, frame by frame at its times.

A proxy is made when it is first asked for, one at a time, and kept by content id. While it is being made it can
already be played from the start, since it is written in fragments; when it is done it is written once more in the
order that lets a player seek at once.
"""

from __future__ import annotations

import heapq
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error

from longshot.captioning.cut import Sound, Timed
from longshot.decoding import Reader, open_container
from longshot.errors import LongshotError, MediaError
from longshot.video import Video, open_video
from longshot.web._media import OpenFile
from longshot.web._parts import part_of, sweep

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from longshot.contracts import Progress

TALLEST = 720  # pixels of a proxy's height: made on a laptop while somebody waits
LARGEST_STORE = 20 << 30  # bytes of proxies that are kept, the ones used last
_REVISION = 1  # raise it when proxies are made otherwise, so that old ones are made again
_IDLE = 30.0  # seconds without anybody asking, after which a proxy makes way for one that is waited for
_LONG = Fraction(10**7)  # seconds; no sound is longer
_MICROSECOND = Fraction(1, 1_000_000)

# What every browser of the last years plays, by container. Only 8-bit 4:2:0 H.264 is safe to assume.
_PICTURES = {"mp4": {"h264", "av1", "vp9"}, "webm": {"vp8", "vp9", "av1"}}
_SOUND = {"mp4": {"aac", "mp3", "opus", "flac"}, "webm": {"opus", "vorbis"}, "ogg": {"opus", "vorbis", "flac"}}
_SOUND |= {"mp3": {"mp3"}, "flac": {"flac"}, "aac": {"aac"}}
_SOUND |= {"wav": {"pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_f32le"}}
_MIME = {"mp3": "mpeg"}
_FORMATS = {"yuv420p", "yuvj420p"}
_NAMES = {"hevc": "HEVC", "mpeg4": "MPEG-4 Part 2", "mpeg2video": "MPEG-2", "mpeg1video": "MPEG-1", "gif": "GIF"}
_NAMES |= {"h264": "H.264", "ac3": "AC-3", "eac3": "E-AC-3", "dts": "DTS", "theora": "Theora", "mp4": "MP4"}
_NAMES |= {"webm": "WebM", "matroska": "Matroska", "mjpeg": "Motion JPEG", "prores": "ProRes"}


@dataclass(frozen=True, slots=True)
class Playable:
    """What a browser can do with a file.

    direct: play it as it is. mime: its type, as it is or as a proxy. why: what stands in the way, in words. pictures,
    sound: whether a proxy can copy them. offset: seconds by which the player's clock is ahead of the video's.
    """

    direct: bool
    mime: str
    why: str = ""
    pictures: bool = False
    sound: bool = False
    offset: float = 0.0


def playable(path: Path) -> Playable:
    """Whether browsers play a file, from its container and codecs. Raises MediaError for one that cannot be read."""
    with open_video(path) as video, open_container(path) as container:
        kind = _kind(path, container.format.name)
        trouble = [] if kind else [f"{_called(container.format.name)} files"]
        pictures = sound = True
        if video.has_video:
            context: Any = container.streams[video.footage.index].codec_context
            name, form = context.name, context.pix_fmt or ""
            named = f"{_shade(form) if name == 'h264' else ''}{_called(name)}"
            pictures = name in _PICTURES["mp4"] and (name != "h264" or form in _FORMATS)
            if not (pictures or name == "vp8") or (kind and name not in _PICTURES.get(kind, ())):
                trouble.append(f"{named} pictures")
        best = container.streams.best("audio")
        if best is not None and best.codec_context is not None:
            name = best.codec_context.codec.canonical_name
            sound = name in _SOUND["mp4"]
            if kind and name not in _SOUND[kind]:
                trouble.append(f"{_called(name)} sound")
        mime = f"{'video' if video.has_video else 'audio'}/{_MIME.get(kind, kind) or 'mp4'}"
        if not trouble:
            return Playable(True, mime, offset=video.origin)
        mime = "video/mp4" if video.has_video else "audio/mp4"
        untimed = video.has_video and video.footage.untimed
        return Playable(False, mime, " and ".join(trouble), pictures and not untimed, sound)


def _kind(path: Path, container: str) -> str:
    """The container as browsers know it; "" for one that they do not."""
    if "mp4" in container.split(","):
        return "mp4"
    if "webm" in container.split(","):
        with path.open("rb") as file:
            return "webm" if b"webm" in file.read(64) else ""  # else Matroska, which not every browser opens
    return container if container in _SOUND else ""


def _shade(form: str) -> str:
    """What is unusual about a pixel format, in words: "10-bit ", "4:4:4 "."""
    deep = "10-bit " if "10" in form else ""
    return deep or next((f"{':'.join(shape)} " for shape in ("422", "444") if shape in form), "")


def _called(name: str) -> str:
    first = name.partition(",")[0]
    return _NAMES.get(first, first.upper())


# Making one ----------------------------------------------------------------------------------------------------


class _NoCopy(Exception):
    """A packet that cannot be copied as it is, for want of its times."""


def write_proxy(source: Path, target: Path, way: Playable, *, progress: Progress | None = None) -> None:
    """Write `source` as a fragmented MP4 whose frames are shown at the same seconds, the first at 0.

    What a browser takes is copied, the rest encoded. Raises MediaError, also for a full disk.
    """
    try:
        if way.pictures:
            with suppress(_NoCopy):
                _write(source, target, copies=True, progress=progress)
                return
        _write(source, target, copies=False, progress=progress)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(source, f"no proxy could be made ({reason})") from error


def _write(source: Path, target: Path, *, copies: bool, progress: Progress | None) -> None:
    # A first fragment that waits for the first packets knows where sound and pictures begin (delay_moov).
    flags = {"movflags": "frag_keyframe+delay_moov+default_base_moof", "movie_timescale": str(10**6)}
    with ExitStack() as things:
        video = things.enter_context(open_video(source))
        output = things.enter_context(av.open(str(target), "w", format="mp4", options=flags))
        pictures: Iterator[Timed] = iter(())
        begin = Fraction(video.origin)
        if video.has_video:
            begin = Fraction(video.footage.first) * video.footage.base
            if copies:
                footage = video.footage
                reader = things.enter_context(closing(Reader(source, footage.index, threads=1, damage=video.damage)))
                pictures = _copied(output, reader, footage.first)
            else:
                pictures = _Encoder(output, video).packets()
        sounds: Iterator[Timed] = iter(())
        if video.has_audio:
            own = things.enter_context(open_container(source))
            sound = Sound(own, begin=begin, end=begin + _LONG, damage=video.damage)
            sounds = sound.into(output, copies=_SOUND["mp4"])
        for second, packet in heapq.merge(pictures, sounds, key=lambda timed: timed[0]):
            output.mux(packet)
            if progress is not None:
                progress(second, video.duration)


def _copied(output: OutputContainer, reader: Reader, first: int) -> Iterator[Timed]:
    """The picture packets as they are, moved to begin at 0."""
    target = output.add_stream_from_template(reader.stream, opaque=True)
    return _moved(reader, target, first)


def _moved(reader: Reader, target: VideoStream, first: int) -> Iterator[Timed]:
    for packet in reader.packets():
        if packet.pts is None or packet.dts is None:
            raise _NoCopy
        packet.pts -= first
        packet.dts -= first
        packet.stream = target
        yield _timed(packet)


def _timed(packet: Packet[Any]) -> Timed:
    return float((packet.dts or 0) * (packet.time_base or 0)), packet


class _Encoder:
    """The pictures as a viewer sees them (upright, square pixels, ordinary colours), as H.264."""

    def __init__(self, output: OutputContainer, video: Video) -> None:
        self._video = video
        self._base = video.footage.base
        width, height = video.size
        self._height = min(height, TALLEST)
        wide = round(width * self._height / height)
        # Without frames that lean on later ones times need no shift; a keyframe every two seconds makes seeking quick;
        # superfast takes a third less work than veryfast, and somebody waits.
        options = {"crf": "23", "preset": "superfast", "bf": "0", "g": str(min(250, max(12, round(2 * video.fps))))}
        rate = Fraction(video.fps or 25).limit_denominator(1001)
        self._stream = output.add_stream("libx264", rate=rate, options=options)
        context = self._stream.codec_context
        # H.264 in 4:2:0 wants even sides.
        context.width, context.height = max(2, wide - wide % 2), max(2, self._height - self._height % 2)
        context.pix_fmt = "yuv420p"
        context.time_base = self._stream.time_base = self._base
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1  # BT.709, limited

    def packets(self) -> Iterator[Timed]:
        """Packets with the frames' own times."""
        lasting: dict[int, int] = {}
        held: int | None = None
        for tick, frame in self._frames():
            if held is not None:
                lasting[held] = tick - held
            held = tick
            yield from self._ready(self._stream.encode(frame), lasting)
        if held is not None:
            lasting[held] = max(1, round(Fraction(self._video.pictures_end()) / self._base) - held)
        yield from self._ready(self._stream.encode(None), lasting)

    def _frames(self) -> Iterator[tuple[int, VideoFrame]]:
        context = self._stream.codec_context
        for batch in self._video.stream(height=self._height):
            for pixels, second in zip(batch.pixels, batch.times, strict=True):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame = frame.reformat(
                    context.width, context.height, "yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
                )
                tick = round(Fraction(float(second)) / self._base)
                frame.pts, frame.time_base = tick, self._base
                yield tick, frame

    def _ready(self, packets: list[Packet[VideoStream]], lasting: dict[int, int]) -> Iterator[Timed]:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = lasting.pop(packet.pts, 1)
            yield _timed(packet)


def settle(fragments: Path, target: Path) -> None:
    """Write a fragmented file once more with its index in front, whole or not at all. Raises MediaError."""
    part = part_of(target.parent, f"{target.stem}.settled")
    try:
        with av.open(str(fragments)) as source:
            _rewrap(source, part)
        os.replace(part, target)
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(target, f"could not be written ({getattr(error, 'strerror', None) or error})") from error
    finally:
        part.unlink(missing_ok=True)


def _rewrap(source: InputContainer, part: Path) -> None:
    options = {"movflags": "+faststart", "movie_timescale": str(_MICROSECOND.denominator)}
    with av.open(str(part), "w", format="mp4", options=options) as output:
        streams: dict[int, Any] = {
            stream.index: output.add_stream_from_template(stream, opaque=True)
            for stream in (*source.streams.video, *source.streams.audio)
        }
        for packet in source.demux(*source.streams.video, *source.streams.audio):
            if packet.size and packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                output.mux(packet)


# Making them when they are asked for -----------------------------------------------------------------------------


class Stage(StrEnum):
    """How far a proxy is."""

    NONE = "none"
    WAITING = "waiting"
    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


@dataclass(slots=True)
class _Job:
    id: str
    source: Path
    way: Playable
    stage: Stage = Stage.WAITING
    done: float = 0.0
    reason: str = ""
    asked: float = 0.0


class _Stopped(Exception):
    """Nobody waits for it any more."""


class Proxies:
    """The proxies of one folder, made one at a time by a thread that runs while there is something to make."""

    def __init__(self, folder: Path, *, room: int = LARGEST_STORE) -> None:
        self._folder = folder
        self._room = room
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def path(self, id: str) -> Path:
        """Where the finished proxy of a video lies, or would."""
        return self._folder / f"{id}.{_REVISION}.mp4"

    def open(self, id: str) -> OpenFile:
        """The finished proxy of a video, open, and noted as used now. Raises MediaError."""
        path = self.path(id)
        file = OpenFile.of(path)
        with suppress(OSError):  # on a disk that is not to be written it is simply not noted
            os.utime(path, ns=(time.time_ns(), file.changed))
        return file

    def growing(self, id: str) -> Path:
        """Where it lies while it is made."""
        return part_of(self._folder, f"{id}.{_REVISION}")

    def state(self, id: str) -> tuple[Stage, float, str]:
        """Stage, share that is done (0..1), and why it failed. Asking says that somebody waits for it."""
        if self.path(id).is_file():
            return Stage.READY, 1.0, ""
        with self._lock:
            job = self._jobs.get(id)
            if job is None:
                return Stage.NONE, 0.0, ""
            job.asked = time.monotonic()
            return job.stage, job.done, job.reason

    def want(self, id: str, source: Path, way: Playable) -> Stage:
        """Have it made if it is not there; returns at once."""
        stage, _, _ = self.state(id)
        if stage in (Stage.READY, Stage.WAITING, Stage.MAKING):
            return stage
        with self._lock:
            if self._closed:
                return Stage.NONE
            self._jobs[id] = _Job(id, source, way, asked=time.monotonic())
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="longshot-proxies")
                self._thread.start()
        return Stage.WAITING

    def close(self) -> None:
        """Stop making; what is unfinished is thrown away."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._make(job)
            except _Stopped:
                with self._lock:
                    self._jobs.pop(job.id, None)
            except LongshotError as error:
                self._note(job, Stage.FAILED, str(error))
            else:
                self._note(job, Stage.READY)

    def _next(self) -> _Job | None:
        with self._lock:
            waiting = [job for job in self._jobs.values() if job.stage is Stage.WAITING]
            if self._closed or not waiting:
                self._thread = None
                return None
            job = max(waiting, key=lambda job: job.asked)  # what is being looked at now
            job.stage = Stage.MAKING
            return job

    def _make(self, job: _Job) -> None:
        part = self.growing(job.id)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            sweep(self._folder)
            self._make_room(job.source)
            write_proxy(job.source, part, job.way, progress=self._watched(job))
            settle(part, self.path(job.id))
        except OSError as error:
            raise MediaError(job.source, f"no proxy could be made ({error.strerror or error})") from error
        finally:
            part.unlink(missing_ok=True)

    def _watched(self, job: _Job) -> Callable[[float, float], None]:
        def progress(second: float, total: float) -> None:
            with self._lock:
                job.done = min(0.99, max(job.done, second / total)) if total > 0 else 0.0
                waited_for = any(other.stage is Stage.WAITING for other in self._jobs.values())
                left = waited_for and time.monotonic() - job.asked > _IDLE
                if self._closed or left:
                    raise _Stopped

        return progress

    def _note(self, job: _Job, stage: Stage, reason: str = "") -> None:
        with self._lock:
            job.stage, job.reason = stage, reason
            if stage is Stage.READY:
                del self._jobs[job.id]

    def _make_room(self, source: Path) -> None:
        """Remove the proxies that were used longest ago, so that a further one of the source's size has room."""
        there = sorted(self._folder.glob("*.mp4"), key=lambda path: path.stat().st_atime)
        used = sum(path.stat().st_size for path in there) + source.stat().st_size
        for path in there:
            if used <= self._room:
                return
            used -= path.stat().st_size
            path.unlink(missing_ok=True)

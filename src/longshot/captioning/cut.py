"""Write the spans of a track as video files of their own.

A clip holds the frames that begin inside its span, so the clips of a segmentation hold every frame of the video
exactly once. It is copied without loss when it begins on a keyframe and no frame in it leans on a later one
(first choice), else encoded again, close to lossless. Sound is copied where the file format takes it.
"""

from __future__ import annotations

import heapq
import math
import os
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import PictureType

from longshot.decoding import Damage, Footage, Reader, open_container
from longshot.errors import MediaError, UsageError
from longshot.timeline import Caption, Span, Track
from longshot.video import Video, open_video

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from longshot.contracts import Progress

# A little over half a millisecond: subtitles keep milliseconds, so a cut on a frame may come back this far off it.
_SLACK = Fraction(6, 10_000)
# A frame on screen longer than this before the next one begins is shown in the clip that starts meanwhile.
_HELD = Fraction(1, 10)
_MP4_PICTURES = {"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video"}
_MKV_PICTURES = {"vp8", "theora", "ffv1", "mjpeg", "prores", "dnxhd", "huffyuv", "ffvhuff", "msmpeg4v3", "wmv2", "vc1"}
_MP4_SOUND = {"aac", "mp3", "ac3", "eac3", "opus", "alac"}
_MKV_SOUND = _MP4_SOUND | {"vorbis", "flac", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "mp2", "dts"}
# Packets that a sound decoder must have had before it sounds right.
_LEAD = {"aac": 2, "mp3": 6, "opus": 5}
_AAC_RATES = {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000}
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
# Without frames that lean on later ones, decode times are presentation times: a clip begins at 0 with no edit list,
# and its length is right in every player, however the frame rate varies.
_QUALITY = {"crf": "18", "preset": "veryfast", "bf": "0"}

Timed = tuple[float, "Packet[Any]"]


def cut(
    video_path: str | os.PathLike[str],
    track: Track,
    out_dir: str | os.PathLike[str],
    *,
    exact: bool = True,
    progress: Progress | None = None,
) -> list[Path]:
    """Write each span of a track as a file; returns the files in the track's order.

    A file appears under its name only when it is complete, and one that is already there is kept, so a run that
    was stopped goes on where it was.

    Args:
        video_path: the video that the track describes.
        track: the spans; their words are not used.
        out_dir: folder for the clips, made when it is not there.
        exact: cut on the exact frame, encoding again where needed; False moves every cut to the nearest keyframe
            and copies, which loses nothing and takes no time. Clips still touch, but their times differ.
        progress: told now and then how many seconds of clips are written.
    """
    folder = Path(out_dir)
    with open_video(video_path) as video:
        if track.video != video.id:
            raise UsageError(f"the track describes the video {track.video}, but {video.name} is {video.id}")
        work = _Work(video, exact=exact, progress=progress, total=sum(caption.span.length for caption in track))
        pieces = [work.piece(number, caption) for number, caption in enumerate(track, start=1)]
        folder.mkdir(parents=True, exist_ok=True)
        return [work.write(piece, folder) for piece in pieces]


@dataclass(frozen=True, slots=True)
class Piece:
    """One clip to be written, in ticks of the video stream.

    begin, end: the first tick shown and the first not shown any more. held: the picture at `begin` began earlier.
    """

    number: int
    begin: int
    end: int
    held: bool = False


def place(ticks: Sequence[int], base: Fraction, begin: Fraction, end: Fraction, *, number: int = 1) -> Piece:
    """Where a clip from `begin` to `end` (seconds in the container) lies among the frames shown at `ticks`.

    Both edges move to the next frame that begins there or later, so that the frame on screen stays whole with the
    clip in which it began. Where the next frame is more than 0.1 s away (pictures that stay for long), the edge
    stays, and the clip begins with the picture that is on screen.

        frames every 0.04 s, 3.99 to 8.01 s      ->  4.00 to 8.04, frames 100 to 200
        frames at 0, 5, 10 s, 3 to 7 s           ->  3 to 7, the frame of 0 held from 3, then that of 5
    """
    first, held = _edge(ticks, base, begin)
    last, _ = _edge(ticks, base, end)
    if last <= first:  # no frame begins in it: what is on screen stays
        return Piece(number, _tick(begin, base), max(_tick(end, base), _tick(begin, base) + 1), held=True)
    return Piece(number, first, last, held)


def _tick(second: Fraction, base: Fraction) -> int:
    return round(second / base)


def _edge(ticks: Sequence[int], base: Fraction, second: Fraction) -> tuple[int, bool]:
    """The tick at which a clip may begin or end at `second`, and whether a picture is held across it."""
    following = bisect_left(ticks, math.ceil((second - _SLACK) / base))
    if following < len(ticks) and ticks[following] * base - second <= _HELD:
        return ticks[following], False
    return _tick(second, base), following > 0


class _Work:
    """The video being cut, and how far the cutting is."""

    def __init__(self, video: Video, *, exact: bool, progress: Progress | None, total: float) -> None:
        self.video = video
        video.frames([0.0], height=2)  # finds the first frame, or says in one line why there is none
        self.footage: Footage = video.footage
        self.ticks = self.footage.table.ticks
        self.keys = [tick for tick, key in zip(self.ticks, self.footage.table.keys, strict=True) if key]
        self.exact = exact
        self._progress = progress
        self._total = total
        self._done = 0.0
        mp4 = video.codec in _MP4_PICTURES or video.codec not in _MKV_PICTURES
        self.format, self.ending = ("mp4", "mp4") if mp4 else ("matroska", "mkv")
        self.copies = video.codec in _MP4_PICTURES | _MKV_PICTURES and not self.footage.untimed

    def piece(self, number: int, caption: Caption) -> Piece:
        """What to write for one caption. Raises UsageError for a span without pictures."""
        span = caption.span
        if span.length <= 0 or span.start < 0:
            raise UsageError(f"caption {number} of the track ({span.start} to {span.end} s) has no length to cut")
        origin = Fraction(self.footage.first) * self.footage.base
        begin, end = origin + Fraction(span.start), origin + Fraction(span.end)
        if begin > self.ticks[-1] * self.footage.base and span.start >= self.video.duration:
            raise UsageError(
                f"caption {number} of the track starts at {span.start} s, after the end of {self.video.name} "
                f"({self.video.duration:.2f} s)"
            )
        piece = place(self.ticks, self.footage.base, begin, end, number=number)
        return piece if self.exact else self._on_keyframes(piece)

    def _on_keyframes(self, piece: Piece) -> Piece:
        """The piece with its edges on the nearest keyframes; the whole group of pictures when both fall on one."""
        beyond = self.ticks[-1] < piece.end
        begin = _nearest(self.keys, piece.begin)
        end = piece.end if beyond else _nearest(self.keys, piece.end)
        if end <= begin:
            later = bisect_left(self.keys, begin + 1)
            end = self.keys[later] if later < len(self.keys) else self.ticks[-1] + 1
        return Piece(piece.number, begin, max(end, begin + 1))

    def write(self, piece: Piece, folder: Path) -> Path:
        """The file of a piece, written now unless it is already there."""
        path = folder / self._name(piece)
        if not _is_complete(path, self._mark(piece)):
            temporary = path.with_name(f".{path.name}.part")
            try:
                self._write(piece, temporary)
                os.replace(temporary, path)
            except (av.error.FFmpegError, OSError) as error:
                raise MediaError(path, f"could not be written ({error})") from error
            finally:
                temporary.unlink(missing_ok=True)
        self._done += self._seconds(piece.end - piece.begin)
        self._tell(0.0)
        return path

    def _write(self, piece: Piece, target: Path) -> None:
        copied = self.copies and not piece.held
        if copied:
            plan = _closed(self.footage, piece)
            if plan and self._attempt(piece, target, plan):
                return
        self._mux(piece, target, None)

    def _attempt(self, piece: Piece, target: Path, plan: Sequence[int]) -> bool:
        """Copy, and look whether the first picture really decodes alone; some keyframe marks are wrong."""
        try:
            self._mux(piece, target, plan)
        except (av.error.FFmpegError, ValueError):
            return False
        return _starts_well(target)

    def _mux(self, piece: Piece, target: Path, plan: Sequence[int] | None) -> None:
        options = {"movflags": "+faststart"} if self.format == "mp4" else {}
        with ExitStack() as open_things:
            output = open_things.enter_context(av.open(str(target), "w", format=self.format, options=options))
            output.metadata["comment"] = self._mark(piece)
            reader = open_things.enter_context(closing(Reader(*self._stream(), threads=0, damage=self.video.damage)))
            if plan is None:
                pictures = _encoded(output, self.footage, piece, reader.stream)
            else:
                pictures = _copied(output, reader, piece, plan)
            sounds = self._sounds(output, piece, open_things)
            for second, packet in heapq.merge(pictures, sounds, key=lambda timed: timed[0]):
                self._put(output, packet)
                self._tell(second)

    def _put(self, output: OutputContainer, packet: Packet[Any]) -> None:
        try:
            output.mux(packet)
        except av.error.InvalidDataError:
            if packet.stream.type != "audio":
                raise
            self.video.damage.skip(None)  # damaged sound leaves a gap; the pictures go on

    def _stream(self) -> tuple[Path, int]:
        return self.footage.path, self.footage.index

    def _sounds(self, output: OutputContainer, piece: Piece, open_things: ExitStack) -> Iterator[Timed]:
        if not self.video.has_audio:
            return iter(())
        base = self.footage.base
        source = open_things.enter_context(open_container(self.video.path))
        sound = Sound(source, begin=piece.begin * base, end=piece.end * base, damage=self.video.damage)
        return sound.into(output, copies=_MP4_SOUND if self.format == "mp4" else _MKV_SOUND)

    def _seconds(self, ticks: int) -> float:
        return float(ticks * self.footage.base)

    def _tell(self, second: float) -> None:
        if self._progress is not None:
            self._progress(min(self._done + max(second, 0.0), self._total), self._total)

    def _span(self, piece: Piece) -> Span:
        return Span(*(max(0.0, self._seconds(tick - self.footage.first)) for tick in (piece.begin, piece.end)))

    def _name(self, piece: Piece) -> str:
        """`talk-0a1b2c3d-0001-00m12.480s-00m19.520s.mp4`."""
        # A name must survive other systems and shells, and leave room for the times in 255 bytes.
        stem = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", Path(self.video.name).stem).encode()[:150].decode(errors="ignore")
        span = self._span(piece)
        times = f"{_clock(span.start)}-{_clock(span.end)}"
        return f"{stem}-{self.video.id[:8]}-{piece.number:04d}-{times}.{self.ending}"

    def _mark(self, piece: Piece) -> str:
        """What a finished clip says of itself: enough to know it again."""
        how = "exact" if self.exact else "on keyframes"
        return f"longshot cut {self.video.id} {piece.begin}-{piece.end} of {self.footage.base} {how}"


def _clock(second: float) -> str:
    """Seconds as they stand in a file name: 75.48 gives 01m15.480s, an hour more 1h01m15.480s."""
    minutes, millis = divmod(round(second * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}h' if hours else ''}{minutes:02d}m{millis // 1000:02d}.{millis % 1000:03d}s"


def _nearest(keys: Sequence[int], tick: int) -> int:
    after = bisect_left(keys, tick)
    return min(keys[max(after - 1, 0) : after + 1], key=lambda key: abs(key - tick), default=tick)


def _is_complete(path: Path, mark: str) -> bool:
    """Whether the file is a clip that an earlier run finished with the same edges, and still whole."""
    if not path.exists():
        return False
    try:
        with open_container(path) as container:
            if container.metadata.get("comment", container.metadata.get("COMMENT")) != mark:
                return False
            reach = max(map(_end, container.demux()), default=0.0)
            return reach >= (container.duration or 0) / 1_000_000 - 0.1
    except (MediaError, av.error.FFmpegError):
        return False


def _end(packet: Packet[Any]) -> float:
    """Second at which a packet ends; 0.0 for one that is empty, damaged or has no time."""
    if not packet.size or packet.is_corrupt or packet.pts is None:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * (packet.time_base or 0))


def _starts_well(path: Path) -> bool:
    """Whether the first picture of a written clip decodes, undamaged, as the very first."""
    with open_container(path) as container:
        stream = container.streams.video[0]
        try:
            frame = next(container.decode(stream), None)
        except (av.error.FFmpegError, ValueError):
            return False
        return frame is not None and not frame.is_corrupt and frame.pts == 0


# Copying -------------------------------------------------------------------------------------------------------


def _closed(footage: Footage, piece: Piece) -> list[int] | None:
    """Presentation ticks, in decode order, of the packets that make the piece alone; None when they cannot.

    They can when the piece begins on a keyframe that no earlier frame follows in the file, and ends where no
    frame of it comes later in the file than one beyond it: then nothing in it is predicted from outside.
    """
    with closing(Reader(footage.path, footage.index, threads=1, damage=footage.damage)) as reader:
        inside: list[int] = []
        beyond = False
        for packet in _from(reader, piece.begin):
            if packet.pts is None or packet.is_discard or packet.is_corrupt:
                return None
            if not (inside or packet.is_keyframe):
                return None
            if packet.pts < piece.begin or (beyond and packet.pts < piece.end):
                return None
            if packet.pts < piece.end:
                inside.append(packet.pts)
            beyond = beyond or packet.pts >= piece.end
            if packet.dts is not None and packet.dts >= piece.end:
                break
    return inside if inside and len(set(inside)) == len(inside) else None


def _from(reader: Reader, begin: int) -> Iterator[Packet[VideoStream]]:
    """Packets in decode order from the one shown at `begin` on; a seek may land well before it."""
    reader.seek(begin)
    return dropwhile(lambda packet: packet.pts != begin, reader.packets())


def _copied(output: OutputContainer, reader: Reader, piece: Piece, plan: Sequence[int]) -> Iterator[Timed]:
    """The packets of a plan, moved to begin at 0."""
    target = output.add_stream_from_template(reader.stream, opaque=True)
    if reader.stream.codec_context.name == "hevc" and output.format.name == "mp4":
        target.codec_tag = "hvc1"  # the tag that Apple's players want
    return _moved(reader, target, piece, plan)


def _moved(reader: Reader, target: VideoStream, piece: Piece, plan: Sequence[int]) -> Iterator[Timed]:
    base = reader.stream.time_base or Fraction(1, 1000)
    shown = sorted(plan)
    lasting = dict(zip(shown, (after - now for now, after in pairwise([*shown, piece.end])), strict=True))
    # Decode times are made anew, since containers leave some out: those shown, as much earlier as it takes.
    delay = max(when - pts for when, pts in zip(shown, plan, strict=True))
    for packet, (pts, when) in zip(_from(reader, piece.begin), zip(plan, shown, strict=True), strict=False):
        if packet.pts != pts:
            raise MediaError(reader.path, "changed while it was read")
        packet.pts, packet.dts = pts - piece.begin, when - delay - piece.begin
        packet.duration = lasting[pts]
        packet.stream = target
        packet.time_base = base
        yield _timed(packet)


# Encoding again ------------------------------------------------------------------------------------------------


def _encoded(output: OutputContainer, footage: Footage, piece: Piece, source: VideoStream) -> Iterator[Timed]:
    """The frames of a piece, encoded again with their own times."""
    frames = _shown(footage, piece)
    first = next(frames, None)
    if first is None:
        raise MediaError(footage.path, f"no picture of clip {piece.number} can be decoded")
    encoder = _Encoder(output, first[1], footage.base, source)
    return encoder.run(_with_ends(first, frames, piece.end), piece.begin)


def _shown(footage: Footage, piece: Piece) -> Iterator[tuple[int, VideoFrame]]:
    """(tick, frame) of a piece; a held picture first, at the piece's begin."""
    if piece.held:
        held: list[VideoFrame] = []
        footage.pick([piece.begin], lambda k, tick, frame: held.append(frame))
        yield piece.begin, held[0]
        yield from footage.frames(piece.begin + 1, piece.end)
    else:
        yield from footage.frames(piece.begin, piece.end)


def _with_ends(
    first: tuple[int, VideoFrame], rest: Iterator[tuple[int, VideoFrame]], end: int
) -> Iterator[tuple[int, VideoFrame, int]]:
    """(tick, frame, tick of the next)."""
    held = first
    for following in rest:
        yield *held, following[0]
        held = following
    yield *held, max(end, held[0] + 1)


class _Encoder:
    """H.264 close to lossless, in the pixel format, shape, colours and turn of the source."""

    def __init__(self, output: OutputContainer, frame: VideoFrame, base: Fraction, source: VideoStream) -> None:
        rate = source.average_rate or source.guessed_rate or Fraction(25)
        self._stream = output.add_stream("libx264", rate=Fraction(rate).limit_denominator(1 << 16), options=_QUALITY)
        self._base = base
        context = self._stream.codec_context
        context.width, context.height = frame.width, frame.height
        context.pix_fmt = self._format = _pixel_format(frame)
        context.time_base = self._stream.time_base = base
        context.thread_count = 0
        if source.sample_aspect_ratio:
            context.sample_aspect_ratio = source.sample_aspect_ratio
        if frame.interlaced_frame:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        self._set_colours(frame)
        matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)  # type: ignore[call-overload]
        if matrix is not None:
            self._stream.set_display_matrix(np.frombuffer(bytes(matrix), np.int32)[:9].tolist())

    def _set_colours(self, frame: VideoFrame) -> None:
        context = self._stream.codec_context
        self._to_yuv: dict[str, Any] = {}
        if frame.format.is_rgb:
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1
            self._to_yuv = {"dst_colorspace": "ITU709", "dst_color_range": "MPEG"}
            return
        context.colorspace, context.color_primaries = frame.colorspace, frame.color_primaries
        context.color_trc, context.color_range = frame.color_trc, frame.color_range

    def run(self, frames: Iterator[tuple[int, VideoFrame, int]], begin: int) -> Iterator[Timed]:
        """Packets of (tick, frame, end tick), moved to begin at 0."""
        lasting: dict[int, int] = {}
        for tick, frame, end in frames:
            lasting[tick - begin] = end - tick
            yield from self._packets(self._stream.encode(self._fitted(frame, tick - begin)), lasting)
        yield from self._packets(self._stream.encode(None), lasting)

    def _fitted(self, frame: VideoFrame, tick: int) -> VideoFrame:
        context = self._stream.codec_context
        if (frame.width, frame.height, frame.format.name) != (context.width, context.height, self._format):
            frame = frame.reformat(context.width, context.height, self._format, **self._to_yuv)
        frame.pts, frame.time_base = tick, self._base
        frame.pict_type = PictureType.NONE  # else the encoder repeats the source's choice of frame types
        return frame

    def _packets(self, packets: Sequence[Packet[Any]], lasting: dict[int, int]) -> Iterator[Timed]:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = lasting.pop(packet.pts, 1)
            yield _timed(packet)


def _pixel_format(frame: VideoFrame) -> str:
    """The source's own pixel format if H.264 takes it, else the nearest that loses least."""
    name = frame.format.name
    accepted = {one.name for one in av.Codec("libx264", "w").video_formats or ()}
    odd = bool(frame.width % 2 or frame.height % 2)
    if name in accepted and not (odd and ("420" in name or "422" in name or name.startswith("nv"))):
        return name
    deep = max(component.bits for component in frame.format.components) > 8
    # Only 4:4:4 can have an odd number of rows or columns.
    shape = "yuv444p" if odd or "444" in name else "yuv422p" if "422" in name else "yuv420p"
    return f"{shape}10le" if deep else shape


# Sound ---------------------------------------------------------------------------------------------------------


class Sound:
    """The sound from `begin` to `end` (seconds in the container), from a container opened for it alone.

    Its packets begin at 0, so they fit pictures that begin at `begin`. The viewer's proxies use it too.
    """

    def __init__(self, source: InputContainer, *, begin: Fraction, end: Fraction, damage: Damage) -> None:
        self._source = source
        self._damage = damage
        self._begin, self._end = begin, end
        best = source.streams.best("audio")
        self._stream: AudioStream = best if best is not None else source.streams.audio[0]  # type: ignore[assignment]
        self._base = Fraction(self._stream.time_base or Fraction(1, 48000))

    def into(self, output: OutputContainer, *, copies: set[str]) -> Iterator[Timed]:
        """Packets for the output: copied when it takes this codec, else AAC. Adds the stream at once."""
        if self._stream.codec_context is None or not self._stream.codec_context.sample_rate:
            return iter(())
        name = self._stream.codec_context.codec.canonical_name
        if name in copies:
            lead = _LEAD.get(name, 0) if output.format.name == "mp4" else 0
            return self._copied(output.add_stream_from_template(self._stream), lead)
        return self._encoded(output)

    def _copied(self, target: AudioStream, lead: int) -> Iterator[Timed]:
        begin, end = self._begin / self._base, self._end / self._base
        waiting: list[Packet[AudioStream]] = []
        started = False
        latest: int | None = None
        for packet in self._packets():
            pts = packet.pts if packet.pts is not None else packet.dts
            if pts is None or (latest is not None and pts <= latest):
                self._damage.skip(None)  # no file can hold sound that steps back in time
                continue
            if pts >= end:
                break
            latest = pts
            waiting.append(packet)
            # Packets before the begin prime the decoder; players leave them out, as negative times say.
            overlapping = pts + (packet.duration or 1) > begin if lead else pts >= begin
            if not (started or overlapping):
                del waiting[: max(0, len(waiting) - lead)]
                continue
            started = True
            while waiting:
                yield self._move(waiting.pop(0), target, round(begin))

    def _move(self, packet: Packet[AudioStream], target: AudioStream, begin: int) -> Timed:
        pts = packet.pts if packet.pts is not None else packet.dts or 0
        packet.pts = packet.dts = pts - begin
        packet.stream = target
        packet.time_base = self._base
        return _timed(packet)

    def _packets(self) -> Iterator[Packet[AudioStream]]:
        """Packets from at least a second before `begin`, to the end of the file."""
        first = self._stream.start_time or 0
        packets = self._demuxed()
        for back in (1, 8):
            goal = math.floor((self._begin - back) / self._base)
            if goal <= first:
                break
            self._source.seek(goal, stream=self._stream, backward=True)
            landed = next(packets, None)
            if landed is not None and landed.pts is not None and landed.pts <= goal + 1 / self._base / 2:
                yield landed
                yield from packets
                return
            packets = self._demuxed()
        else:
            self._source.seek(first, stream=self._stream, backward=True)
        yield from packets

    def _demuxed(self) -> Iterator[Packet[AudioStream]]:
        failures = 0
        while failures < 64:
            try:
                yield from (packet for packet in self._source.demux(self._stream) if packet.size)
                return
            except (av.error.FFmpegError, ValueError, IndexError):  # IndexError: PyAV, when a stream appears late
                failures += 1
                self._damage.skip(None)

    def _encoded(self, output: OutputContainer) -> Iterator[Timed]:
        context = self._stream.codec_context
        rate = context.sample_rate if context.sample_rate in _AAC_RATES else 48000
        layout = _LAYOUTS.get(context.layout.nb_channels, "stereo")
        target = output.add_stream("aac", rate=rate, layout=layout, options={"b": f"{96000 * len(layout)}"})
        return self._filled(target, rate, layout)

    def _filled(self, target: AudioStream, rate: int, layout: str) -> Iterator[Timed]:
        """The decoded sound on an unbroken line of samples: gaps become silence, overlaps are left out."""
        cursor, length = 0, round((self._end - self._begin) * rate)
        for second, samples in self._samples(rate, layout):
            at = round((second - self._begin) * rate)
            if at >= length:
                break
            line = _continue(samples, at, cursor, length, near=rate // 50)
            if line.shape[1]:
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(line), format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, cursor, Fraction(1, rate)
                yield from map(_timed, target.encode(frame))
                cursor += line.shape[1]
        yield from map(_timed, target.encode(None))

    def _samples(self, rate: int, layout: str) -> Iterator[tuple[Fraction, NDArray[np.float32]]]:
        """(second in the container, samples (channels, N)) of the decoded sound."""
        resampler, form = None, None
        for packet in self._packets():
            for frame in self._decoded(packet):
                if resampler is None or form != (frame.format.name, frame.layout.name, frame.sample_rate):
                    form = frame.format.name, frame.layout.name, frame.sample_rate
                    resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
                for part in resampler.resample(frame):
                    if part.pts is not None and part.time_base is not None:
                        yield part.pts * Fraction(part.time_base), part.to_ndarray().astype(np.float32, copy=False)

    def _decoded(self, packet: Packet[AudioStream]) -> list[AudioFrame]:
        try:
            return packet.decode()
        except (av.error.FFmpegError, ValueError):
            self._damage.skip(None)  # it leaves a gap, which is filled with silence
            return []


def _timed(packet: Packet[Any]) -> Timed:
    return float((packet.dts or 0) * (packet.time_base or 0)), packet


def _continue(samples: NDArray[np.float32], at: int, cursor: int, length: int, *, near: int) -> NDArray[np.float32]:
    """What to append at `cursor` of a line of `length` samples, given samples (channels, N) that belong at `at`.

    A difference below `near` is the rounding of container times, and the line simply goes on.
    """
    gap = at - cursor
    if cursor and abs(gap) <= near:
        gap = 0
    samples = np.pad(samples, ((0, 0), (gap, 0))) if gap > 0 else samples[:, -gap:]
    return samples[:, : max(length - cursor, 0)]

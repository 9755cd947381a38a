"""Sound as samples and text subtitle streams, both on the video's clock.

    for sound in listen("talk.mp4"): ...             # blocks of mono sound at 16 kHz, bounded memory
    sound.samples, sound.rate, sound.start           # float32 (480000,), 16000, 30.0
    subtitle_captions(video, video.subtitles[0])     # the captions of an embedded subtitle stream

Sample i of a block is heard at `start + i / rate`, always: where the file's timestamps leave a gap there is silence,
where they overlap the repeated part is left out. Sound that begins 0.5 s after the first picture comes after 8000
zeros at 16 kHz; sound from before the first picture is left out.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from longshot import languages
from longshot.decoding import Damage, open_container
from longshot.errors import MediaError, NoSound, UsageError
from longshot.timeline import Caption, Span
from longshot.video import SubtitleStream, Video, open_video

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from numpy.typing import NDArray

_JITTER = 0.04  # seconds; muxers round and live recorders wobble less, and lips are seen to be off above it
_OVERLAP = 10.0  # seconds; a jump back by more is a clock that was set anew, not sound that comes twice
_LATEST = 60.0  # seconds after the promised end; a timestamp beyond is wrong, not a gap
_GAP = 3600.0  # seconds; the longest gap that is believed when the file promises no end
_PREROLL = 1.0  # seconds decoded before the asked start, so that the decoder has settled
_NEAR = 20.0  # seconds; up to here reading from the beginning is as fast as seeking
_BAD_READS = 64  # failed reads in a row that count as the end of the file
_COUNTED_CLOCK = {"mp3", "aac", "ac3", "eac3", "dts", "amr", "loas", "truehd"}  # no stored times: a seek only guesses
_HELD = 5.0  # seconds; how long a subtitle without a stated end stays, at most
_PICTURED = {"hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub"}
_ASS_BREAK = re.compile(r"\\[Nn]")
_ASS_CODE = re.compile(r"\{\\[^}]*\}|\{[^}\\]*\}")
_DRAWING = re.compile(r"\{[^}]*\\p[1-9][^}]*\}")
_MARKUP = re.compile(r"</?[A-Za-z][^<>]{0,100}>")


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A stretch of mono sound.

    samples: float32 (N,), -1..1. rate: samples a second. start: second of the first sample on the video's clock.
    """

    samples: NDArray[np.float32]
    rate: int
    start: float

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def end(self) -> float:
        """The second after the last sample."""
        return self.start + len(self.samples) / self.rate


def listen(
    source: Video | str | os.PathLike[str],
    *,
    rate: int = 16000,
    start: float = 0.0,
    end: float | None = None,
    block: float = 30.0,
    language: str | None = None,
) -> Listening:
    """The sound of a video or a sound file, in order, in blocks of `block` seconds (the last is shorter).

    Args:
        source: an open video, or a path.
        rate: samples a second to resample to.
        start: second of the first sample given.
        end: second to stop before; None is the end of the sound.
        block: seconds in one block; memory grows with it and with nothing else.
        language: prefer the sound stream of this language; else the default stream.

    Channels are averaged. The result says after reading what was skipped (`damage`) and how much silence stands for
    gaps (`filled`). Raises NoSound when there is none, MediaError for a file that cannot be read.
    """
    if rate <= 0 or not block > 0:
        raise UsageError(f"rate and block must be above 0, got rate={rate} and block={block}")
    if not (math.isfinite(start) and start >= 0) or (end is not None and not end >= start):
        raise UsageError(f"listen from a second >= 0 to a later one, got start={start} and end={end}")
    video = source if isinstance(source, Video) else open_video(source)
    if not video.has_audio:
        raise NoSound(video.path, "holds pictures but no sound, so there is nothing to listen to")
    return Listening(video, rate=rate, start=start, end=end, block=block, language=language)


class Listening(Iterator[Sound]):
    """One reading of a sound stream. Made by `listen`.

    damage: what could not be decoded so far. filled: seconds of silence put in for gaps so far.
    """

    def __init__(
        self, video: Video, *, rate: int, start: float, end: float | None, block: float, language: str | None
    ) -> None:
        self.damage = Damage()
        self.filled = 0.0
        self._video = video
        self._rate = rate
        self._start = start
        self._limit = math.inf if end is None else round((end - start) * rate)
        self._block = max(1, round(block * rate))
        with open_container(video.path) as container:
            stream = _choose(container, language)
            if stream is None:
                raise NoSound(video.path, "holds sound in a form that is not known here, so it cannot be heard")
            self._index = stream.index
            self._promised = _promised_end(container)
        self._origin = video.origin if video.has_video else _first_second(video.path, self._index)
        self._blocks = self._read()

    def __next__(self) -> Sound:
        return next(self._blocks)

    def close(self) -> None:
        """Stop before the end and close the file."""
        self._blocks.close()

    def _read(self) -> Generator[Sound]:
        """Whole blocks, cut from the samples as they come."""
        held: list[NDArray[np.float32]] = []
        count = given = 0
        for samples in self._placed():
            while count + len(samples) >= self._block:
                taken, samples = np.split(samples, [self._block - count])
                yield self._sound([*held, taken], given)
                given += self._block
                held, count = [], 0
            if len(samples):
                held.append(samples)
                count += len(samples)
        if held:
            yield self._sound(held, given)

    def _sound(self, parts: list[NDArray[np.float32]], given: int) -> Sound:
        return Sound(np.concatenate(parts), self._rate, self._start + given / self._rate)

    def _placed(self) -> Iterator[NDArray[np.float32]]:
        """Samples in order, each at its own place: gaps filled, overlaps and what lies before the start cut off."""
        written = 0
        for second, samples in self._resampled():
            place = round((second - self._start) * self._rate)
            while place > written and written < self._limit:
                gap = int(min(place - written, self._block, self._limit - written))
                self.filled += gap / self._rate
                written += gap
                yield np.zeros(gap, np.float32)
            fresh = samples[max(0, written - place) :]
            fresh = fresh[: int(min(len(fresh), self._limit - written))]
            if len(fresh):
                written += len(fresh)
                yield fresh
            if written >= self._limit:
                return

    def _resampled(self) -> Iterator[tuple[float, NDArray[np.float32]]]:
        """(second of the first sample, samples): within a run each piece begins where the one before ended."""
        for run in self._runs():
            second, frames = run
            done = 0
            for samples in _resample(frames, self._rate):
                yield second + done / self._rate, samples
                done += len(samples)

    def _runs(self) -> Iterator[tuple[float, Iterator[AudioFrame]]]:
        """Stretches of frames that follow each other without a gap and have one form, with their first second."""
        frames = _Peekable(self._frames())
        clock = _RunClock(None if self._promised is None else self._promised + _LATEST - self._origin)
        while (frame := frames.peek()) is not None:
            yield clock.begin(frame, self._origin), self._run(frames, clock, _form(frame))

    def _run(self, frames: _Peekable, clock: _RunClock, form: tuple[object, ...]) -> Iterator[AudioFrame]:
        while (frame := frames.peek()) is not None and _form(frame) == form and clock.follows(frame, self._origin):
            clock.heard(frame)
            yield frames.take(frame)

    def _frames(self) -> Iterator[AudioFrame]:
        """Decoded frames from shortly before the start to the end of the stream."""
        if self._start > _NEAR and self._video.format not in _COUNTED_CLOCK:
            with closing(self._decoded(self._start - _PREROLL)) as frames:
                first = next(frames, None)
                if first is not None and self._early_enough(first):
                    yield first
                    yield from frames
                    return
        yield from self._decoded(None)

    def _early_enough(self, frame: AudioFrame) -> bool:
        # Files without an index land anywhere: sound after the start would leave a false silence before it.
        return frame.time is not None and frame.time - self._origin <= self._start - _PREROLL / 2

    def _decoded(self, seek_to: float | None) -> Generator[AudioFrame]:
        with open_container(self._video.path) as container:
            stream = container.streams[self._index]
            _keep_only(container, stream)
            if seek_to is not None:
                try:
                    container.seek(int((seek_to + self._origin) / (stream.time_base or 1)), stream=stream)
                except av.error.FFmpegError:
                    return  # cannot seek here; the caller reads from the beginning
            for packet in _packets(container, stream):
                yield from _decode(packet, self.damage, self._origin)


class _RunClock:
    """Follows the timestamps of frames and tells where a new run begins. Seconds are on the video's clock."""

    def __init__(self, latest: float | None) -> None:
        self._latest = latest
        self._expected: float | None = None

    def begin(self, frame: AudioFrame, origin: float) -> float:
        """The second at which a run that begins with this frame is heard."""
        stated = self._stated(frame, origin)
        self._expected = stated if stated is not None else self._expected or 0.0
        return self._expected

    def follows(self, frame: AudioFrame, origin: float) -> bool:
        """Whether the frame goes on where the one before ended."""
        stated = self._stated(frame, origin)
        return stated is None or self._expected is None or abs(stated - self._expected) <= _JITTER

    def heard(self, frame: AudioFrame) -> None:
        """Move on by one frame."""
        self._expected = (self._expected or 0.0) + frame.samples / frame.sample_rate

    def _stated(self, frame: AudioFrame, origin: float) -> float | None:
        """What the timestamp says, None when it says nothing that can be true."""
        if frame.time is None:
            return None
        stated = float(frame.time) - origin
        if self._expected is None:
            return stated if self._latest is None or stated <= self._latest else None
        latest = self._latest if self._latest is not None else self._expected + _GAP
        return stated if self._expected - _OVERLAP <= stated <= latest else None


class _Peekable:
    """Frames one at a time, with a look at the next one."""

    def __init__(self, frames: Iterator[AudioFrame]) -> None:
        self._frames = frames
        self._next: AudioFrame | None = None

    def peek(self) -> AudioFrame | None:
        if self._next is None:
            self._next = next(self._frames, None)
        return self._next

    def take(self, frame: AudioFrame) -> AudioFrame:
        self._next = None
        return frame


def _form(frame: AudioFrame) -> tuple[object, ...]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def _resample(frames: Iterator[AudioFrame], rate: int) -> Iterator[NDArray[np.float32]]:
    """Mono float32 at `rate`. By way of 16 bits: only there does the mixer keep the sum of the channels within 1."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    for frame in frames:
        frame.pts = None  # inside a run samples are counted; the wobble of timestamps must not reach the resampler
        yield from map(_samples, resampler.resample(frame))
    yield from (_samples(frame) for frame in resampler.resample(None) if frame is not None)


def _samples(frame: AudioFrame) -> NDArray[np.float32]:
    return frame.to_ndarray().reshape(-1).astype(np.float32) / np.float32(32768)


def _choose(container: InputContainer, language: str | None) -> AudioStream | None:
    """The sound stream of the language when there is one, else the file's default, else the first that can be heard."""
    streams = [s for s in container.streams.audio if s.codec_context is not None]  # None: no decoder knows it
    spoken = [s for s in streams if language and languages.same(_language(s), language)]
    defaults = [s for s in spoken or streams if s.disposition & av.stream.Disposition.default]
    return next(iter(defaults or spoken or streams), None)


def spoken_language(video: Video) -> str:
    """The language tag of the default sound stream ("eng"), "" when there is none."""
    if not video.has_audio:
        return ""
    with open_container(video.path) as container:
        stream = _choose(container, None)
        tag = _language(stream) if stream is not None else ""
        return "" if languages.unsaid(tag) else tag


def _language(stream: Stream) -> str:
    return stream.metadata.get("language", "")


def _keep_only(container: InputContainer, stream: Stream) -> None:
    for other in container.streams:
        other.discard = av.stream.Discard.default if other.index == stream.index else av.stream.Discard.all


def _packets(container: InputContainer, stream: Stream) -> Iterator[Packet[Any]]:
    """All packets of a stream; failed reads are passed until they come in a row."""
    failed = 0
    while failed < _BAD_READS:
        try:
            for packet in container.demux(stream):
                failed = 0
                yield packet
            return
        except av.error.FFmpegError:
            failed += 1


def _decode(packet: Packet[AudioStream], damage: Damage, origin: float) -> list[AudioFrame]:
    try:
        frames: list[AudioFrame] = packet.decode()
        return [frame for frame in frames if frame.samples and frame.sample_rate]
    except av.error.EOFError:  # the decoder was flushed already
        return []
    except av.error.FFmpegError:
        second = None if packet.pts is None else float(packet.pts * packet.time_base) - origin
        damage.skip(second)
        return []


def _promised_end(container: InputContainer) -> float | None:
    """Container seconds at which the file says it ends, None when it says nothing."""
    if not container.duration or container.duration < 0:
        return None
    return (container.start_time or 0) / 1e6 + container.duration / 1e6


def _first_second(path: Path, index: int) -> float:
    """Container seconds of the first sample heard, encoder delay left out; 0.0 when frames carry no times."""
    with open_container(path) as container:
        stream = container.streams[index]
        for packet in _packets(container, stream):
            for frame in _decode(packet, Damage(), 0.0):
                return float(frame.time or 0.0)
    return 0.0


def subtitle_captions(video: Video, stream: SubtitleStream | int) -> list[Caption]:
    """The captions of an embedded text subtitle stream, on the video's clock, without tags; no picture is decoded.

    `stream` is one of `video.subtitles`, or its index. Captions that lie outside the video are left out. Raises
    UsageError for an unknown stream and MediaError for one that holds pictures of text.
    """
    chosen = _subtitle_stream(video, stream)
    if is_pictured(chosen):
        raise MediaError(
            video.path, f"its subtitle stream {chosen.index} ({chosen.codec}) holds pictures of text, not text"
        )
    with open_container(video.path) as container:
        found = container.streams[chosen.index]
        _keep_only(container, found)
        cues = list(_cues(_packets(container, found), video.origin))
    return _timed(sorted(cues, key=lambda cue: cue.start), video.duration or math.inf)


def is_pictured(stream: SubtitleStream) -> bool:
    """Whether a subtitle stream holds pictures of text, as Blu-rays and DVDs do."""
    return stream.codec in _PICTURED


def _subtitle_stream(video: Video, stream: SubtitleStream | int) -> SubtitleStream:
    index = stream if isinstance(stream, int) else stream.index
    found = next((one for one in video.subtitles if one.index == index), None)
    if found is None:
        there = ", ".join(str(one.index) for one in video.subtitles) or "none"
        raise UsageError(f"{video.path}: no subtitle stream {index}; its subtitle streams are: {there}")
    return found


@dataclass(frozen=True, slots=True)
class _Cue:
    """One subtitle as stored: container times less the origin; `end` is None when it stays until the next."""

    start: float
    end: float | None
    text: str


def _cues(packets: Iterator[Packet[Any]], origin: float) -> Iterator[_Cue]:
    for packet in packets:
        if packet.pts is None or not packet.size:
            continue
        start = float(packet.pts * packet.time_base) - origin
        length = float(packet.duration * packet.time_base) if packet.duration else 0.0
        yield _Cue(start, start + length if length > 0 else None, _subtitle_text(packet))


def _subtitle_text(packet: Packet[Any]) -> str:
    """The words of one packet; "" for one that only clears the screen or cannot be decoded."""
    try:
        decoded = packet.decode()
    except av.error.FFmpegError:
        return ""
    lines = (plain_ass(part.dialogue.decode("utf-8", "replace")) for part in decoded if hasattr(part, "dialogue"))
    return "\n".join(line for line in lines if line)


def plain_ass(dialogue: str) -> str:
    r"""Text of an ASS dialogue without codes: "{\i1}Hello\Nworld" gives two plain lines. Drawings give ""."""
    if _DRAWING.search(dialogue):
        return ""
    text = _ASS_CODE.sub("", dialogue.replace("\\{", "\0").replace("\\}", "\1")).replace("\0", "{").replace("\1", "}")
    text = _MARKUP.sub("", _ASS_BREAK.sub("\n", text).replace("\\h", " "))
    return "\n".join(line for line in (" ".join(line.split()) for line in text.split("\n")) if line)


def _timed(cues: list[_Cue], duration: float) -> list[Caption]:
    """Captions with an end each, inside the video. An empty cue ends the one before it when that states no end."""
    captions = []
    for i, cue in enumerate(cues):
        following = next((later.start for later in cues[i + 1 :] if later.start > cue.start), math.inf)
        end = cue.end if cue.end is not None else min(following, cue.start + _HELD)
        start, end = max(cue.start, 0.0), min(end, duration)
        if cue.text and end > start:
            captions.append(Caption(Span(round(start, 6), round(end, 6)), cue.text))
    return captions

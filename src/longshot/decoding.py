"""One file's pictures by presentation time: packets in, frames out, as few decoded as the answer needs.

Times here are integers in the stream's own time base. A `Reader` is one open file with one decoder; it belongs to
one thread. `Footage` knows the file as a whole (where its keyframes lie, which frame is shown first) and shares
stretches of it among readers.

Which frame is on screen at t is decided from packet times alone, before decoding: decode order and decode times
are known, and no packet shows before its decode time, so once a packet with decode time > t has been seen, the
greatest presentation time <= t is known. Frames that no answer and no other frame needs are then skipped.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import av
import av.error

from longshot.errors import MediaError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet as AnyPacket
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    Packet = AnyPacket[VideoStream]

Result = TypeVar("Result")
Job = TypeVar("Job")

# A file must not make us reach for anything but itself, so formats that name other files are refused.
_REFUSED_FORMATS = {
    "concat",
    "hls",
    "dash",
    "sdp",
    "rtsp",
    "lavfi",
    "tty",
    "bin",
    "xbin",
    "adf",
    "idf",
    "ffmetadata",
}
# Containers whose presentation times cannot be trusted with reordered frames (AVI, raw streams carry none).
_UNTIMED_FORMATS = {"avi", "h264", "hevc", "m4v", "mpegvideo", "vc1", "av1", "obu", "mjpeg"}
# MPEG program streams carry a time only now and then; what is filled in after a seek can be off by frames.
_UNSEEKABLE_FORMATS = {"mpeg", "vobsub", "dvd"}
_LARGEST_PICTURE = 1 << 28  # pixels; above, a damaged header is the likelier reading
_PATIENCE = 60.0  # seconds of work without one picture before a file is given up
_BAD_READS = 64  # failed packet reads in a row that count as the end of the file


@dataclass(slots=True)
class Damage:
    """What could not be read, counted while reading; falsy when nothing is wrong.

    skipped: packets that did not decode. first: second of the first of them. ends_early: the second at which the
    pictures end although the header promises more. outgrown: the file changed while it was read.
    """

    skipped: int = 0
    first: float | None = None
    ends_early: float | None = None
    promised: float | None = None
    outgrown: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def skip(self, second: float | None) -> None:
        """Count one packet that did not decode."""
        with self._lock:
            self.skipped += 1
            if second is not None and (self.first is None or second < self.first):
                self.first = max(second, 0.0)

    def __bool__(self) -> bool:
        return bool(self.skipped or self.ends_early is not None or self.outgrown)

    def __str__(self) -> str:
        parts = []
        if self.skipped:
            where = f", the first near {self.first:.2f} s" if self.first is not None else ""
            parts.append(f"{self.skipped} damaged packet{'s' if self.skipped > 1 else ''} skipped{where}")
        if self.ends_early is not None:
            promised = f" of the {self.promised:.2f} s its header promises" if self.promised else ""
            parts.append(f"pictures end at {self.ends_early:.2f} s{promised}")
        if self.outgrown:
            parts.append("the file changed while it was read")
        return "; ".join(parts)


class _Unordered(Exception):
    """Packet times cannot be used here; frames must be read as they come."""


def open_container(path: Path) -> InputContainer:
    """Open a media file for reading, whatever its extension. Raises MediaError with one clear reason."""
    try:
        container = av.open(
            f"file:{path}",
            metadata_errors="replace",
            options={"protocol_whitelist": "file", "fflags": "+genpts"},
        )
    except (av.error.FFmpegError, ValueError, OverflowError, MemoryError) as error:
        raise MediaError(path, f"not a video or sound file that can be read ({_reason(error)})") from error
    if container.format.name in _REFUSED_FORMATS:
        name = container.format.name
        container.close()
        raise MediaError(path, f"{name} files are not opened: only files that hold their own video or sound are")
    return container


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", "") or error or type(error).__name__).strip().rstrip(".")


class Reader:
    """One open file and one decoder: seeks, and yields frames in presentation order. For one thread."""

    def __init__(self, path: Path, index: int, *, threads: int, damage: Damage) -> None:
        self.path = path
        self.threads = threads
        self._damage = damage
        self._waiting_since = time.monotonic()
        self._open(index)

    def _open(self, index: int) -> None:
        self._container = open_container(self.path)
        self.container_format = self._container.format.name
        self.stream: VideoStream = self._container.streams[index]  # type: ignore[assignment]
        context = self.stream.codec_context
        context.thread_count = self.threads
        context.thread_type = "SLICE" if self.threads == 1 else "AUTO"
        context.options = {"max_pixels": str(_LARGEST_PICTURE)}
        self._base = float(self.stream.time_base or 0)
        self._fresh = True
        self._landed: Packet | None = None

    def close(self) -> None:
        """Give the file and the decoder's memory back."""
        self._container.close()

    def seek(self, goal: int) -> None:
        """Go to a keyframe shown at or before `goal`, or to the start of the file when there is none."""
        back = 0
        step = max(1, round(1 / self._base)) if self._base else 1
        first = self.stream.start_time or 0
        while goal - back > first:
            self._container.seek(goal - back, stream=self.stream, backward=True)
            self._fresh = False
            self._landed = self._next_keyframe()
            if self._landed is not None and _time_of(self._landed, default=goal + 1) <= goal:
                return
            back = max(step, back * 4)
        self.rewind()

    def rewind(self) -> None:
        """Go to the first packet of the file."""
        self._landed = None
        if self._fresh:
            return
        # Seeking cannot be trusted to reach the very first packet in every container; opening again can.
        index = self.stream.index
        self._container.close()
        self._open(index)

    def packets(self) -> Iterator[Packet]:
        """Packets of the stream from here in decode order; unreadable stretches are counted and passed."""
        if self._landed is not None:
            landed, self._landed = self._landed, None
            yield landed
        self._fresh = False
        failures = 0
        while failures < _BAD_READS:
            try:
                for packet in self._container.demux(self.stream):
                    if packet.size:
                        failures = 0
                        yield packet
                return
            except (av.error.FFmpegError, ValueError, IndexError):  # IndexError: a stream that turns up late
                failures += 1
                self._damage.skip(None)

    def decode(self, packet: Packet | None, *, needed: bool = True) -> list[VideoFrame]:
        """Frames that come out when this packet goes in; None drains. An unneeded packet may be passed over."""
        context = self.stream.codec_context
        context.skip_frame = "DEFAULT" if needed else "NONREF"
        try:
            frames: list[VideoFrame] = context.decode(packet)
        except av.error.EOFError:
            return []
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, av.error.MemoryError | MemoryError):
                raise MediaError(self.path, "a picture needs more memory than there is") from error
            self._damage.skip(self.second(packet.pts) if packet is not None and packet.pts is not None else None)
            frames = []
        now = time.monotonic()
        if frames:
            self._waiting_since = now
        elif now - self._waiting_since > _PATIENCE:
            raise MediaError(self.path, f"no picture came out in {_PATIENCE:.0f} s of work; the file is damaged")
        return frames

    def second(self, pts: int) -> float:
        """Container seconds of a time in the stream's base."""
        return pts * self._base

    def stretch(self, begin: int | None, end: int | None, *, untimed: bool = False) -> Iterator[VideoFrame]:
        """Frames shown from `begin` up to `end` (not included); None is the edge of the file.

        `untimed` gives frames without a presentation time too; then there are no edges.
        """
        self._waiting_since = time.monotonic()
        if begin is None:
            self.rewind()
        else:
            self.seek(begin)
        for packet in self.packets():
            sent = _decode_time(packet)
            if end is not None and sent is not None and sent >= end:
                break
            # What is shown before the stretch is decoded only as far as the stretch is predicted from it.
            needed = begin is None or packet.pts is None or packet.pts >= begin
            frames = self.decode(packet, needed=needed)
            yield from (frame for frame in frames if untimed or _inside(frame.pts, begin, end))
        yield from (frame for frame in self.decode(None) if untimed or _inside(frame.pts, begin, end))

    def pick(self, targets: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        """(k, frame on screen at targets[k]) for sorted targets, from one seek and no frame more than it takes.

        Raises _Unordered when packets carry no presentation time. A target whose frame did not decode is left out.
        """
        self._waiting_since = time.monotonic()
        self.seek(targets[0])
        plan = _Plan(targets)
        held: deque[Packet] = deque()
        for packet in self.packets():
            held.append(packet)
            yield from plan.note(packet)
            yield from self._feed(plan, held)
            if plan.fed:
                break
        else:
            yield from plan.note_end()
            yield from self._feed(plan, held)
        if not plan.answered:
            for frame in self.decode(None):
                yield from plan.answers(frame)

    def _feed(self, plan: _Plan, held: deque[Packet]) -> Iterator[tuple[int, VideoFrame]]:
        """Decode the held packets whose worth is known, oldest first."""
        while held and not plan.fed and (needed := plan.verdict(held[0])) is not None:
            packet = held.popleft()
            plan.feed(packet)
            for frame in self.decode(packet, needed=needed):
                yield from plan.answers(frame)

    def indexed_keys(self) -> list[int]:
        """Presentation ticks of the keyframes as far as the container's own index tells; [] when it has none."""
        self.rewind()
        packet = next(self.packets(), None)
        if packet is None or packet.pts is None:
            return []
        if not self.stream.index_entries or len(self.stream.index_entries) < 2:
            # Matroska reads its index at the first seek.
            self._container.seek(packet.pts, stream=self.stream, backward=True)
        # The index of MP4 holds decode times; a keyframe is shown later by the depth of reordering, the same for
        # all of them in practice. A wrong guess costs a longer way to the frame, never a wrong frame.
        delay = packet.pts - packet.dts if packet.dts is not None and "mp4" in self.container_format else 0
        keys = [entry.timestamp + delay for entry in self.stream.index_entries if entry.is_keyframe]
        self.rewind()
        return keys

    def _next_keyframe(self) -> Packet | None:
        for packet in self.packets():
            if packet.is_keyframe and packet.pts is not None:
                return packet
        return None


def _decode_time(packet: Packet) -> int | None:
    # Nothing is shown before it is decoded; a later decode time than presentation time is damage.
    if packet.dts is None or packet.pts is None:
        return packet.dts
    return min(packet.dts, packet.pts)


def _time_of(packet: Packet, *, default: int) -> int:
    return packet.pts if packet.pts is not None else default


def _inside(pts: int | None, begin: int | None, end: int | None) -> bool:
    return pts is not None and (begin is None or pts >= begin) and (end is None or pts < end)


class _Plan:
    """Which packets have to be decoded to answer sorted targets, worked out while packets arrive.

    With frames shown at 0 1 2 3 4 and targets 1.5 and 3, the packets of 1 and 3 are wanted; those of 0 and 2 are
    decoded only if another frame is predicted from them.
    """

    def __init__(self, targets: Sequence[int]) -> None:
        self._targets = targets
        self._resolved = 0  # targets before this one know their frame
        self._seen: list[int] = []  # times of packets that may still be an answer, sorted
        self._wanted: deque[tuple[int, int]] = deque()  # (time, k) still to come out of the decoder
        self._unfed: set[int] = set()  # wanted times whose packet has not gone in
        self._gone_in: set[int] = set()
        self._recent: list[VideoFrame] = []  # frames that came out before anybody knew to want them

    @property
    def fed(self) -> bool:
        """Everything that has to go into the decoder has gone in."""
        return self._resolved == len(self._targets) and not self._unfed

    @property
    def answered(self) -> bool:
        """Every target has its frame."""
        return self._resolved == len(self._targets) and not self._wanted

    def note(self, packet: Packet) -> Iterator[tuple[int, VideoFrame]]:
        """Learn of a packet; yields answers that this settles."""
        if packet.pts is None:
            raise _Unordered
        if not packet.is_discard:
            insort(self._seen, packet.pts)
        sent = _decode_time(packet)
        while self._next is not None and sent is not None and sent > self._next:
            yield from self._resolve()

    def note_end(self) -> Iterator[tuple[int, VideoFrame]]:
        """Learn that no packet follows; yields answers that this settles."""
        while self._next is not None:
            yield from self._resolve()

    def verdict(self, packet: Packet) -> bool | None:
        """True: decode it. False: only if others are predicted from it. None: wait, it is not known yet."""
        pts = packet.pts
        if pts is None or pts in self._unfed:
            return True
        if packet.is_discard or self._next is None:
            return False
        if pts > self._next:
            return True
        if self._resolved and pts <= self._targets[self._resolved - 1]:
            return False
        newest = self._seen[bisect_right(self._seen, self._next) - 1]
        return False if newest > pts else None

    def feed(self, packet: Packet) -> None:
        """Take note that the packet goes into the decoder now."""
        if packet.pts is not None:
            self._unfed.discard(packet.pts)
            self._gone_in.add(packet.pts)

    def answers(self, frame: VideoFrame) -> Iterator[tuple[int, VideoFrame]]:
        """The targets that this frame answers. One whose frame was passed unseen (damage) gets none."""
        if frame.pts is None:
            return
        while self._wanted and self._wanted[0][0] <= frame.pts:
            time_wanted, k = self._wanted.popleft()
            if time_wanted == frame.pts:
                yield k, frame
        if self._next is not None:
            self._recent.append(frame)
            while len(self._recent) > 1 and (self._recent[1].pts or 0) <= self._next:
                del self._recent[0]

    @property
    def _next(self) -> int | None:
        return self._targets[self._resolved] if self._resolved < len(self._targets) else None

    def _resolve(self) -> Iterator[tuple[int, VideoFrame]]:
        k, target = self._resolved, self._targets[self._resolved]
        self._resolved += 1
        if not self._seen:
            return
        newest = max(bisect_right(self._seen, target) - 1, 0)
        wanted = self._seen[newest]
        self._gone_in.difference_update(self._seen[:newest])
        del self._seen[:newest]
        early = next((frame for frame in self._recent if frame.pts == wanted), None)
        if early is not None:
            yield k, early
            return
        self._wanted.append((wanted, k))
        if wanted not in self._gone_in:
            self._unfed.add(wanted)


@dataclass(frozen=True, slots=True)
class PacketTable:
    """Every picture packet of a file in presentation order: ticks, bytes, keyframe or not."""

    ticks: tuple[int, ...]
    sizes: tuple[int, ...]
    keys: tuple[bool, ...]


class Footage:
    """The pictures of one file, addressed by time. Opens as many readers as the work is worth."""

    def __init__(self, path: Path, index: int, damage: Damage) -> None:
        self.path = path
        self.index = index
        self.damage = damage
        self._lock = threading.Lock()
        with_header = Reader(path, index, threads=1, damage=damage)
        stream, context = with_header.stream, with_header.stream.codec_context
        self.base = Fraction(stream.time_base or Fraction(1, 1000))
        self._format = with_header.container_format
        self._step = _frame_ticks(stream, self.base)
        self._reordered = bool(getattr(context, "has_b_frames", False))
        self._idle: list[Reader] = [with_header]
        self._first: VideoFrame | None = None
        self._untimed: bool | None = None
        self._keys: tuple[int, ...] | None = None
        self._table: PacketTable | None = None

    def close(self) -> None:
        """Close every reader."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    @property
    def first_frame(self) -> VideoFrame:
        """The first shown frame. Raises MediaError when not one frame decodes."""
        if self._first is None:
            with self._borrowed(threads=1) as reader:
                self._first = next(reader.stretch(None, None, untimed=True), None)
            if self._first is None:
                raise MediaError(self.path, "no picture in it can be decoded")
        return self._first

    @property
    def first(self) -> int:
        """Tick at which the first frame is shown: the zero of the video's clock."""
        frame = self.first_frame
        if self.untimed:
            return frame.dts or 0
        return frame.pts or 0

    @property
    def untimed(self) -> bool:
        """Whether packets carry no presentation times to rely on, so that frames are timed as they come."""
        if self._untimed is None:
            missing = self.first_frame.pts is None
            self._untimed = missing or (self._format in _UNTIMED_FORMATS and self._reordered)
        return self._untimed

    def frames(self, begin: int | None = None, end: int | None = None) -> Iterator[tuple[int, VideoFrame]]:
        """(tick, frame) shown from `begin` up to `end`, in order, by one reader whose decoder uses every core."""
        with self._borrowed(threads=0) as reader:
            if not self.untimed:
                yield from self._timed(reader.stretch(begin, end))
                return
            for tick, frame in self._timed(reader.stretch(None, None, untimed=True)):
                if end is not None and tick >= end:
                    return
                if begin is None or tick >= begin:
                    yield tick, frame

    def pick(self, targets: Sequence[int], use: Callable[[int, int, VideoFrame], None]) -> None:
        """Call `use(k, tick, frame)` for the frame on screen at each of the sorted targets; from several threads.

        Each group of targets behind one keyframe is one seek. Raises MediaError when there is no frame at all.
        """
        first = self.first
        if self.untimed or self._format in _UNSEEKABLE_FORMATS:
            self._pick_in_passing(targets, use)
            return
        inside = [k for k, target in enumerate(targets) if target > first]
        for k in range(len(targets) - len(inside)):
            use(k, first, self.first_frame)
        groups = self._groups(targets, inside)
        threads = 0 if len(groups) == 1 else 1

        def answer(group: list[int], reader: Reader) -> None:
            missing = set(group)
            # Packets without times in the middle of a timed file are damage: the plain way is left.
            with suppress(_Unordered):
                for position, frame in reader.pick([targets[k] for k in group]):
                    missing.discard(group[position])
                    use(group[position], frame.pts or 0, frame)
            for k in sorted(missing):
                frame = self._last_resort(reader, targets[k])
                use(k, frame.pts or 0, frame)

        for _ in self._shared(groups, answer, threads=threads):
            pass

    def stretches(
        self,
        work: Callable[[Iterator[tuple[int, VideoFrame]], int | None, int | None], Result],
        begin: int | None,
        end: int | None,
    ) -> Iterator[Result] | None:
        """`work(frames, begin, end)` over consecutive stretches between keyframes, several at a time, results in order.

        None when the file does not allow it (unknown or too rare keyframes); read `frames` instead.
        """
        edges = self._edges(begin, end)
        if edges is None:
            return None

        def run(edge: tuple[int | None, int | None], reader: Reader) -> Result:
            return work(self._timed(reader.stretch(*edge)), *edge)

        return self._shared(list(pairwise(edges)), run, threads=1)

    @property
    def keys(self) -> tuple[int, ...]:
        """Ticks of the keyframes, as the container's index or, without one, its packets tell."""
        if self._keys is None:
            with self._borrowed(threads=1) as reader:
                keys = reader.indexed_keys()
            if len(keys) < 2 and self._step and self.path.stat().st_size <= 1 << 31:
                table = self.table
                keys = [tick for tick, key in zip(table.ticks, table.keys, strict=True) if key]
            self._keys = tuple(sorted(set(keys)))
        return self._keys

    @property
    def table(self) -> PacketTable:
        """All packets, by reading the file without decoding."""
        if self._table is None:
            with self._borrowed(threads=1) as reader:
                reader.rewind()
                rows = [
                    (
                        packet.pts if packet.pts is not None else packet.dts or 0,
                        packet.size,
                        packet.is_keyframe,
                    )
                    for packet in reader.packets()
                    if not packet.is_discard
                ]
            rows.sort()
            ticks, sizes, keys = zip(*rows, strict=True) if rows else ((), (), ())
            self._table = PacketTable(ticks, sizes, keys)
        return self._table

    def _packet_tick(self, packet: Packet, k: int) -> int:
        given = packet.dts if self.untimed else packet.pts
        return given if given is not None else k * self._step

    def _timed(self, frames: Iterator[VideoFrame]) -> Iterator[tuple[int, VideoFrame]]:
        """Frames with rising ticks; one that steps back in time is not on the clock and is counted as damage."""
        latest: int | None = None
        for frame in frames:
            tick = self._tick(frame, latest)
            if latest is not None and tick <= latest:
                self.damage.skip(None)
                continue
            latest = tick
            yield tick, frame

    def _tick(self, frame: VideoFrame, latest: int | None) -> int:
        given = frame.dts if self.untimed else frame.pts
        if given is not None:
            return given
        return latest + self._step if latest is not None else 0

    def _pick_in_passing(self, targets: Sequence[int], use: Callable[[int, int, VideoFrame], None]) -> None:
        held: tuple[int, VideoFrame] | None = None
        k = 0
        for tick, frame in self.frames():
            while held is not None and k < len(targets) and targets[k] < tick:
                use(k, *held)
                k += 1
            held = tick, frame
            if k == len(targets):
                return
        for rest in range(k, len(targets)):
            if held is None:
                raise MediaError(self.path, "no picture in it can be decoded")
            use(rest, *held)

    def _groups(self, targets: Sequence[int], which: list[int]) -> list[list[int]]:
        """Targets that one seek serves together: same keyframe, or close together when keyframes are unknown."""
        near = round(2 / self.base)
        groups: list[list[int]] = []
        previous: tuple[int, int] | None = None
        for k in which:
            place = bisect_right(self.keys, targets[k]) if self.keys else -1
            joined = previous is not None and (previous[0] == place if self.keys else targets[k] - previous[1] <= near)
            if joined:
                groups[-1].append(k)
            else:
                groups.append([k])
            previous = place, targets[k]
        return groups

    def _edges(self, begin: int | None, end: int | None) -> list[int | None] | None:
        """Where a pass may be divided: about every four seconds, at keyframes; None when that cannot be done."""
        if self.untimed or self._format in _UNSEEKABLE_FORMATS or cores() < 2:
            return None
        apart, too_far = round(4 / self.base), round(60 / self.base)
        edges: list[int | None] = [begin]
        last = begin if begin is not None else self.first
        for key in self.keys:
            if end is not None and key >= end:
                break
            if key - last >= apart:
                if key - last > too_far:
                    return None
                edges.append(key)
                last = key
        edges.append(end)
        return edges if len(edges) > 3 else None

    def _last_resort(self, reader: Reader, target: int) -> VideoFrame:
        """The newest frame at or before `target` that decodes, found the plain way: for damaged stretches."""
        for back in (0.0, 2.0, 10.0, 60.0, float("inf")):
            begin = None if back == float("inf") else target - round(back / self.base)
            found: VideoFrame | None = None
            for frame in reader.stretch(begin if begin is None or begin > self.first else None, target + 1):
                if found is None or (frame.pts or 0) >= (found.pts or 0):  # damage can put times out of order
                    found = frame
            if found is not None:
                return found
        return self.first_frame

    def _shared(self, jobs: Sequence[Job], work: Callable[[Job, Reader], Result], *, threads: int) -> Iterator[Result]:
        """Results of `work(job, reader)` in the jobs' order, a few jobs ahead on as many threads as cores."""
        workers = min(cores(), len(jobs))

        def run(job: Job) -> Result:
            with self._borrowed(threads=threads) as reader:
                return work(job, reader)

        if workers <= 1:
            yield from map(run, jobs)
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="longshot-decode")
        try:
            ahead: deque[Future[Result]] = deque()
            for job in jobs:
                ahead.append(pool.submit(run, job))
                if len(ahead) > workers + 1:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    @contextmanager
    def _borrowed(self, *, threads: int) -> Iterator[Reader]:
        """A reader for this thread alone, from those lying idle or new."""
        with self._lock:
            fitting = next((reader for reader in self._idle if reader.threads == threads), None)
            if fitting is not None:
                self._idle.remove(fitting)
        reader = fitting or Reader(self.path, self.index, threads=threads, damage=self.damage)
        try:
            yield reader
        finally:
            with self._lock:
                self._idle.append(reader)


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _frame_ticks(stream: VideoStream, base: Fraction) -> int:
    """Ticks from one frame to the next where the file does not say: its stated rate, else 25 a second."""
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
    return max(1, round(1 / (Fraction(rate) * base)))

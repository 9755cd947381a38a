"""Frames to be decoded later: which seconds of which file, as a value; and decoding many of them ahead of their use.

    look = Look("talk.mp4", (0.5, 12.0), height=336)
    look.key                                          # what it will show, by content: "9f2c…:4be1…:336"
    look.frames()                                     # Frames, decoded now
    for frames in ahead(looks):                       # in order, decoded in threads while the last ones are used
        ...                                           # a MediaError stands in the place of what cannot be decoded

Everything here decodes through `Video.frames`, so times and pixels are those it gives.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from threading import Condition, local
from typing import NamedTuple

from longshot.contracts import Frames
from longshot.errors import MediaError, UsageError
from longshot.pictures import fit
from longshot.video import PictureList, Video, open_video

AHEAD_BYTES = 256 << 20  # pixels that wait for their use
_MOST_WAITING = 64  # looks that are decoded or being decoded, however small


class Place(NamedTuple):
    """Where pictures come from: one file, or (`fps` above 0) a list of pictures shown `fps` a second."""

    paths: tuple[str, ...]
    fps: float = 0.0

    def open(self) -> Video:
        """The video. Raises MediaError."""
        return open_video(self.paths, fps=self.fps) if self.fps else open_video(self.paths[0])


@dataclass(frozen=True, slots=True)
class Look:
    """Frames of a video that are decoded when they are needed; a plain value that threads and processes may share.

    video: a path or an open video; only the path (or the list of pictures and its rate) is kept. times: seconds on the
    video's clock, as `Video.frames` takes them. height: of the pictures in pixels, at most; None for their own.
    """

    video: str | os.PathLike[str] | Video | Place
    times: tuple[float, ...]
    height: int | None = None

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.times)):
            raise UsageError("times must be finite seconds; got NaN or infinity among them")
        if self.height is not None and self.height < 1:
            raise UsageError(f"height must be 1 pixel or more, got {self.height}")
        object.__setattr__(self, "video", _place(self.video))
        object.__setattr__(self, "times", tuple(map(float, self.times)))

    @property
    def place(self) -> Place:
        """The file, or the list of pictures."""
        assert isinstance(self.video, Place)
        return self.video

    @property
    def key(self) -> str:
        """What it shows, by content: two looks with one key give the same pixels.

        Made of the video's content id, the times to a microsecond, and the height. A file is read for its id once in a
        process, and again when its size or date changes. Raises MediaError.
        """
        moments = struct.pack(f"<{len(self.times)}q", *(round(second * 1e6) for second in self.times))
        digest = hashlib.blake2b(moments, digest_size=8).hexdigest()
        return f"{_content(self.place, _stamps(self.place))}:{digest}:{self.height or 'own'}"

    def frames(self) -> Frames:
        """The frames, decoded now; the file is opened for it and closed again. Raises MediaError."""
        with Eye() as eye:
            return eye.frames(self)


class Eye:
    """One thread's open video: looks at the same file, one after the other, open it once."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self._video: Video | None = None

    def size(self, look: Look) -> int:
        """Bytes that the pixels of a look will take. Raises MediaError."""
        with _readable(look.place):
            width, height = self._fit(self._open(look.place), look)
        return width * height * 3 * len(look.times)

    def frames(self, look: Look) -> Frames:
        """The frames of a look. Raises MediaError."""
        with _readable(look.place):
            video = self._open(look.place)
            return video.frames(look.times, height=self._fit(video, look)[1])

    def close(self) -> None:
        """Give the open file back."""
        video, self._video, self.place = self._video, None, None
        if video is not None:
            video.close()

    def __enter__(self) -> Eye:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, place: Place) -> Video:
        if self._video is None or self.place != place:
            self.close()
            self._video, self.place = place.open(), place
        return self._video

    def _fit(self, video: Video, look: Look) -> tuple[int, int]:
        tall = video.size[1]
        return fit(video.size, width=None, height=tall if look.height is None else min(look.height, tall))


def ahead(
    looks: Iterable[Look], *, threads: int | None = None, bytes: int = AHEAD_BYTES
) -> Iterator[Frames | MediaError]:
    """The frames of each look, in order, decoded in threads while the caller works on earlier ones.

    What cannot be decoded gives its MediaError instead. Looks are taken from `looks` as they are needed, in the
    caller's thread.

    Args:
        looks: what to decode.
        threads: how many decode at once; None is one for each core, four at most.
        bytes: pixels that may be decoded and not yet used up; a single look may need more and then goes alone.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be 1 or more, got {threads}")
    many = threads or decoders()
    room = _Room(bytes)
    own = local()
    eyes: list[Eye] = []

    def decode(turn: int, look: Look) -> tuple[Frames | MediaError, int]:
        if not hasattr(own, "eye"):
            own.eye = Eye()
            eyes.append(own.eye)
        taken = 0
        try:
            taken = own.eye.size(look)
        except MediaError as error:
            room.take(turn, 0)
            return error, 0
        if not room.take(turn, taken):
            return MediaError(look.place.paths[0], "nobody waits for its frames any more"), 0
        try:
            return own.eye.frames(look), taken
        except MediaError as error:
            return error, taken

    pool = ThreadPoolExecutor(many, thread_name_prefix="longshot-look")
    waiting: deque[Future[tuple[Frames | MediaError, int]]] = deque()
    turns = zip(count(), looks, strict=False)
    try:
        while True:
            while len(waiting) < max(_MOST_WAITING, many) and (following := next(turns, None)) is not None:
                waiting.append(pool.submit(decode, *following))
            if not waiting:
                return
            found, taken = waiting.popleft().result()
            yield found
            del found
            room.give(taken)
    finally:
        room.close()
        pool.shutdown(wait=True, cancel_futures=True)
        for eye in eyes:
            eye.close()


def decoders() -> int:
    """How many threads decode at once unless told otherwise."""
    return max(1, min(4, os.cpu_count() or 1))


class _Room:
    """Bytes that may be in use, given out strictly in turn, so that what is waited for is never shut out."""

    def __init__(self, size: int) -> None:
        self._size, self._used, self._turn, self._closed = size, 0, 0, False
        self._changed = Condition()

    def take(self, turn: int, size: int) -> bool:
        """Wait for one's turn and for room; False when there is no use in it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (self._turn == turn and self._fits(size)))
            self._turn += 1
            self._used += size
            self._changed.notify_all()
            return not self._closed

    def give(self, size: int) -> None:
        """Bytes that are used up."""
        with self._changed:
            self._used -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Let everybody go who waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fits(self, size: int) -> bool:
        return not self._used or self._used + size <= self._size


def _place(video: str | os.PathLike[str] | Video | Place) -> Place:
    if isinstance(video, Place):
        return video
    if isinstance(video, PictureList):
        return Place(tuple(map(str, video.paths)), video.fps)
    return Place((str(video.path) if isinstance(video, Video) else os.fspath(video),))


def _stamps(place: Place) -> tuple[tuple[int, int], ...]:
    """Date and size of each file. Raises MediaError."""
    stamps = []
    for path in place.paths:
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:
            raise MediaError(path, f"cannot be opened ({getattr(error, 'strerror', None) or error})") from error
        stamps.append((status.st_mtime_ns, status.st_size))
    return tuple(stamps)


@lru_cache(maxsize=1 << 16)
def _content(place: Place, stamps: tuple[tuple[int, int], ...]) -> str:
    """The content id of a file as it was at these dates. Raises MediaError."""
    with _readable(place), place.open() as video:
        return video.id


@contextmanager
def _readable(place: Place) -> Iterator[None]:
    """Make a MediaError of a disk that fails or a file that goes away while it is read."""
    try:
        yield
    except OSError as error:
        raise MediaError(place.paths[0], f"cannot be read ({error.strerror or error})") from error

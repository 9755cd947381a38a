"""Tracks on disk: the files are the truth, and everything else can be made from them again.

<folder>/tracks/<video id>/video.json        what is known about the video
<folder>/tracks/<video id>/<level>.jsonl     one track for each level

write_track(track, "talk.srt")               # the ending chooses the format
read_track("talk.srt")                       # the content does
read_subtitles("talk.srt").trouble           # "2 of 640 cues skipped (line 7: ends before it starts, …)"
Library("out").tracks("3f2a9c")              # every level of one video
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longshot import registry
from longshot.contracts import Format, Reading
from longshot.errors import FormatError, LongshotError, UsageError
from longshot.formats._cues import collapse_rolling, is_rolling
from longshot.formats._encodings import decode
from longshot.formats._header import VERSION, check_keys, check_version, dump, parse_object
from longshot.timeline import Track

if TYPE_CHECKING:
    from longshot.video import Video

LARGEST_TEXT = 256 * 2**20  # bytes; the speech of a week is smaller

_SAFE = re.compile(r"\w[\w.-]*")
_LONGEST_PART = 128
# Windows opens a device for these, whatever follows the dot.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """What a library keeps of a video.

    id: content id. name: the file's name. path: as it was given. duration: seconds. size: width and height in
    pixels as shown. fps: average frames a second. What is unknown is "" or None.
    """

    id: str
    name: str = ""
    path: str = ""
    duration: float | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    codec: str = ""

    @classmethod
    def of(cls, video: Video) -> VideoRecord:
        """The record of an open video."""
        size = (video.size[0], video.size[1]) if video.has_video else None
        return cls(video.id, video.name, str(video.path), video.duration, size, video.fps or None, video.codec or "")


def formats() -> dict[str, Format]:
    """Every format on the shelf by name, those left out whose package is not installed."""
    return {
        name: registry.load("formats", name) for name, way in registry.choices("formats").items() if not way.missing
    }


def write_track(track: Track, path: str | os.PathLike[str], *, kind: str = "", media: str = "") -> Path:
    """Write a track to a file, whole or not at all; the name's ending chooses the format.

    kind: for WebVTT captions, descriptions, chapters or metadata. media: the video's address, for links. Folders
    on the way are made. Raises UsageError for an unknown ending and for what the format cannot carry, LongshotError
    when the disk refuses.
    """
    path = Path(path)
    ways = [way for way in formats().values() if way.write and path.name.lower().endswith(way.suffix)]
    if not ways:
        known = ", ".join(way.suffix for way in formats().values() if way.write)
        raise UsageError(f"{path}: no format is written to files with this ending: use one of {known}")
    way = max(ways, key=lambda way: len(way.suffix))
    write_text(path, way.text_of([track], kind=kind, media=media))
    return path


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all: into a new file beside it, to the disk, then renamed over it.

    Raises LongshotError when the disk refuses; nothing is left behind then.
    """
    part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                file.write(text.encode("utf-8", "replace"))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise LongshotError(f"{path}: cannot be written: {error.strerror or error}; choose another folder") from error


def _sync_folder(folder: Path) -> None:
    # A rename is on the disk only when its folder is. Windows cannot open folders and needs no such thing.
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_track(path: str | os.PathLike[str], *, level: str = "") -> Track:
    """The track in a file of any format that can be read, whatever its name.

    level: which one, when the file holds several. What could not be read in a file of another program stands in
    `track.source.note`. Raises FormatError for a file without any, UsageError for a level that is not there.
    """
    tracks = read_tracks(path)
    chosen = [track for track in tracks if track.level == level] if level else list(tracks)
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(f"{track.level!r}" for track in tracks)
    raise UsageError(f"{path}: holds the levels {there}; {'no ' + repr(level) if level else 'name one of them'}")


def read_tracks(path: str | os.PathLike[str]) -> tuple[Track, ...]:
    """Every track in a file; see `read_track`."""
    reading = _read(path)
    if reading.trouble:
        return tuple(
            replace(track, source=replace(track.source, note=track.source.note or reading.trouble))
            for track in reading.tracks
        )
    return reading.tracks


def read_subtitles(source: str | os.PathLike[str] | bytes, *, collapse: bool | None = None) -> Reading:
    """Read subtitles of any kind and encoding, a file or its bytes; the content tells the format.

    collapse: write the lines of rolling captions (YouTube's automatic ones) once; None does so where a file looks
    like that. Raises FormatError when there is no readable cue. What was skipped stands in `.skipped`.
    """
    reading = _read(source)
    return replace(reading, tracks=tuple(_collapsed(track, collapse) for track in reading.tracks))


def _collapsed(track: Track, collapse: bool | None) -> Track:
    rolling = is_rolling(track.captions) if collapse is None else collapse
    return track.replace(collapse_rolling(track.captions)) if rolling else track


def _read(source: str | os.PathLike[str] | bytes) -> Reading:
    where = "these bytes" if isinstance(source, bytes) else str(Path(source))
    try:
        text = decode(source if isinstance(source, bytes) else _bytes_of(Path(source)))
        return _reader_of(text)(text)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from error


def _reader_of(text: str) -> Callable[[str], Reading]:
    likely = [(way.likeness(text), way.read) for way in formats().values() if way.read and way.likeness]
    best = max(likely, key=lambda pair: pair[0], default=None)
    if best is None or best[0] <= 0:
        kinds = ", ".join(way.name for way in formats().values() if way.read)
        raise FormatError(f"neither a track nor subtitles: {kinds} can be read")
    return best[1]


def _bytes_of(path: Path) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise FormatError("not a file: give a track or a subtitle file")
        if found.st_size > LARGEST_TEXT:
            raise FormatError(f"{found.st_size / 2**20:.0f} MiB: no track or subtitle file is as large")
        with path.open("rb") as file:
            head = file.read(8192)
            decode(head)  # a video given by mistake is refused here, not after it was read whole
            return head + file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FormatError(f"cannot be read: {reason}") from error


def video_beside(path: Path) -> VideoRecord | None:
    """The record in the folder of a track file; None when there is none. Raises FormatError for a torn one."""
    path = path.with_name("video.json")
    if not path.exists():
        return None
    try:
        return _record(parse_object(_bytes_of(path).decode("utf-8")))
    except (FormatError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: {error}; delete it, or make it again from the video") from error


class Library:
    """A folder of tracks. Looking at it never creates anything; saving makes the folders on the way."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def save(self, track: Track) -> Path:
        """Write a track to its place, over an earlier one of its level. Raises UsageError for an unsafe id or level."""
        return write_track(track, self.path_of(track.video, track.level))

    def save_video(self, video: Video | VideoRecord) -> Path:
        """Write down what is known about a video."""
        record = video if isinstance(video, VideoRecord) else VideoRecord.of(video)
        path = self._home(record.id) / "video.json"
        write_text(path, dump({"longshot": VERSION, **asdict(record)}) + "\n")
        return path

    def path_of(self, video_id: str, level: str) -> Path:
        """Where the track of a level lies, or would. Raises UsageError for an unsafe id or level."""
        return self._home(video_id) / f"{safe_part(level, 'level')}.jsonl"

    def tracks(self, video_id: str) -> list[Track]:
        """Every saved track of a video, by level; none for an unknown video. Raises FormatError for a torn file."""
        home = self._home(video_id)
        paths = sorted(home.glob("*.jsonl")) if home.is_dir() else []
        return [read_track(path) for path in paths if not path.name.startswith(".")]

    def video(self, video_id: str) -> VideoRecord:
        """What is known about a video; at least its id. Raises FormatError for a torn `video.json`."""
        return video_beside(self._home(video_id) / "video.jsonl") or self._from_tracks(video_id)

    def videos(self) -> list[VideoRecord]:
        """Every video that has something here, by id."""
        root = self.folder / "tracks"
        homes = sorted(root.iterdir()) if root.is_dir() else []
        return [self.video(home.name) for home in homes if home.is_dir() and _is_safe(home.name)]

    def _from_tracks(self, video_id: str) -> VideoRecord:
        tracks = self.tracks(video_id)
        name = next((track.name for track in tracks if track.name), "")
        duration = next((track.duration for track in tracks if track.duration is not None), None)
        return VideoRecord(video_id, name, duration=duration)

    def _home(self, video_id: str) -> Path:
        return self.folder / "tracks" / safe_part(video_id, "video id")


def safe_part(part: str, what: str) -> str:
    """`part` if it can be the name of one file or folder anywhere. Raises UsageError otherwise."""
    if not _is_safe(part):
        raise UsageError(
            f"{what} {part[:60]!r} cannot name a file: use letters, digits, '_', '-' and '.', a letter or digit "
            f"first, no '.' last, {_LONGEST_PART} bytes at most"
        )
    return part


def _is_safe(part: str) -> bool:
    device = part.partition(".")[0].lower() in _DEVICES
    fits = len(part.encode("utf-8", "replace")) <= _LONGEST_PART
    return fits and not device and not part.endswith(".") and _SAFE.fullmatch(part) is not None


def _record(row: dict[str, Any]) -> VideoRecord:
    check_version(row)
    check_keys(row, {"longshot", "id", "name", "path", "duration", "size", "fps", "codec"}, "id")
    for key, kinds in _RECORD_KINDS.items():
        if key in row and (isinstance(row[key], bool) or not isinstance(row[key], kinds)):
            raise FormatError(f"{key!r} is {row[key]!r:.60}")
    size = row.get("size")
    if size is not None and not (len(size) == 2 and all(type(side) is int for side in size)):
        raise FormatError(f"'size' is {size!r:.60}, width and height were meant")
    values = {key: row[key] for key in _RECORD_KINDS if key in row}
    return VideoRecord(**{**values, "size": None if size is None else (size[0], size[1])})


_RECORD_KINDS: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "name": (str,),
    "path": (str,),
    "duration": (int, float, type(None)),
    "size": (list, type(None)),
    "fps": (int, float, type(None)),
    "codec": (str,),
}

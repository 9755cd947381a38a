"""Tracks on disk: the files are the truth, and everything else can be made from them again.

<folder>/tracks/<video id>/video.json        what is known about the video
<folder>/tracks/<video id>/<level>.jsonl     one track for each level

write_track(track, "talk.srt")               # the ending chooses the format
read_track("talk.srt")                       # the content does
read_subtitles("talk.srt").trouble           # "2 of 640 cues skipped (line 7: ends before it starts, …)"
Library("out").tracks("3f2a9c")              # every level of one video
Library.open().one("talk.mp4")               # the record of one video of the library that this user has

A video is known by its content. Files of one content are one video with several `files`; a file whose content
changed is another video, and the old one is marked as replaced.
"""

from __future__ import annotations

import fnmatch
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from longshot import registry
from longshot.contracts import Format, Reading
from longshot.errors import FormatError, LongshotError, UsageError
from longshot.formats._cues import collapse_rolling, is_rolling
from longshot.formats._encodings import decode
from longshot.formats._header import VERSION, check_keys, check_version, dump, parse_object
from longshot.settings import cache_folder
from longshot.stores import Store, is_address
from longshot.timeline import Track

if TYPE_CHECKING:
    from longshot.video import Video

PLACE_VARIABLE = "LONGSHOT_LIBRARY"
LARGEST_TEXT = 256 * 2**20  # bytes; the speech of a week is smaller

_SHORTEST_ID = 4  # characters of an id that may stand for it
_LONGEST_HEADER = 2**20  # bytes
_STATES = ("here", "missing", "replaced", "removed")
_SAFE = re.compile(r"\w[\w.-]*")
_LONGEST_PART = 128
# Windows opens a device for these, whatever follows the dot.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file as it was when its content was read: while size and time of change stay, so does the content.

    path: absolute. bytes: its size. changed: the time of its last change, in nanoseconds as the file system says.
    """

    path: str
    bytes: int
    changed: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Sighting | None:
        """How a file looks now; None where there is no regular file, or none that may be looked at."""
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return None
        return cls(os.fspath(path), found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None

    @property
    def stands(self) -> bool:
        """Whether the file is there and still looks so."""
        return Sighting.of(self.path) == self


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """What a library keeps of a video.

    id: content id. name: the file's name. path: as it was given. duration: seconds. size: width and height in
    pixels as shown. fps: average frames a second. What is unknown is "" or None.

    Of a video that was added to a library: files: every file that holds it, the first seen first; `path` is the
    first of them that is there. state: "here"; "missing" when no file was there at the last look, which can still be
    searched; "replaced" when its file has another content now, that of the video `by`; "removed" when only its
    tracks were kept.
    """

    id: str
    name: str = ""
    path: str = ""
    duration: float | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    codec: str = ""
    files: tuple[Sighting, ...] = ()
    state: str = "here"
    by: str = ""

    @property
    def searchable(self) -> bool:
        """Whether it belongs into the index."""
        return self.state in ("here", "missing")

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
    return _record_at(os.path.join(os.path.dirname(path), "video.json"))


def _record_at(path: str) -> VideoRecord | None:
    # A library has thousands of these, and all are read to say what is in it: nothing is done twice here.
    try:
        with open(path, "rb") as file:
            return _record(parse_object(file.read(_LONGEST_HEADER).decode("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, FormatError, UnicodeDecodeError) as error:
        reason = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else error
        raise FormatError(f"{path}: {reason}; delete it, or make it again from the video") from error


class Library:
    """A folder of tracks. Looking at it never creates anything; saving makes the folders on the way."""

    def __init__(self, folder: str | os.PathLike[str], *, store: Store | None = None) -> None:
        self.folder = Path(folder)
        self.behind = False
        self._store = store

    @classmethod
    def open(cls, place: str | os.PathLike[str] | None = None, *, create: bool = False) -> Library:
        """The library at a place; without one, at LONGSHOT_LIBRARY, or where this user's data lies.

        Of a library in an object store ("s3://bucket/videos") it is the working copy, after what changed there has
        come here; `behind` says whether anything did, and then its index must be brought up to date. create: it need
        not be there yet; nothing is made before something is saved. Raises UsageError where there is none, and for a
        file; LongshotError for a store that does not answer.
        """
        said = os.fspath(place or os.environ.get(PLACE_VARIABLE) or default_place())
        if said.startswith("file://"):
            said = unquote(said.removeprefix("file://"))
        if is_address(said):
            return cls._in_store(said, create)
        folder = Path(said).expanduser()
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file, and a library is a folder; name another place with --library")
        if not create and not (folder / "tracks").is_dir():
            raise UsageError(
                f"there is no library at {folder}: make it with `longshot add VIDEO... --library {folder}`, or name "
                f"another place with --library or {PLACE_VARIABLE}"
            )
        return cls(folder)

    @classmethod
    def _in_store(cls, address: str, create: bool) -> Library:
        store = Store.open(address, copies=cache_folder() / "libraries")
        changed = store.pull()
        if not create and not (store.folder / "tracks").is_dir():
            raise UsageError(
                f"there is no library at {address}: make it with `longshot add VIDEO... --library {address}`"
            )
        library = cls(store.folder, store=store)
        library.behind = changed
        return library

    def push(self, *parts: str) -> None:
        """Send what changed here to the store that this is the working copy of, if it is one.

        parts: files and folders of the library; all of it when none are named. Raises LongshotError for a store that
        does not take it.
        """
        if self._store is not None:
            self._store.push(*parts)

    def save(self, track: Track) -> Path:
        """Write a track to its place, over an earlier one of its level. Raises UsageError for an unsafe id or level."""
        return write_track(track, self.path_of(track.video, track.level))

    def save_video(self, video: Video | VideoRecord) -> Path:
        """Write down what is known about a video."""
        record = video if isinstance(video, VideoRecord) else VideoRecord.of(video)
        path = self._home(record.id) / "video.json"
        write_text(path, dump({"longshot": VERSION, **_object_of(record)}) + "\n")
        return path

    def path_of(self, video_id: str, level: str) -> Path:
        """Where the track of a level lies, or would. Raises UsageError for an unsafe id or level."""
        return self._home(video_id) / f"{safe_part(level, 'level')}.jsonl"

    def track_paths(self, video_id: str) -> list[Path]:
        """The files of a video's tracks, by level; none for an unknown video."""
        home = self._home(video_id)
        return sorted(path for path in home.glob("*.jsonl") if not path.name.startswith(".")) if home.is_dir() else []

    def track(self, path: Path) -> Track:
        """The track in one of `track_paths`. Raises FormatError that names the line which is torn."""
        try:
            (track,) = registry.load("formats", "jsonl").read(decode(_bytes_of(path))).tracks
        except FormatError as error:
            raise FormatError(f"{path}: {error}") from error
        assert isinstance(track, Track)
        return track

    def tracks(self, video_id: str) -> list[Track]:
        """Every saved track of a video, by level; none for an unknown video. Raises FormatError for a torn file."""
        return [self.track(path) for path in self.track_paths(video_id)]

    def levels(self, video_id: str) -> dict[str, int]:
        """How many captions each level of a video has, as the first lines of its tracks say.

        Raises FormatError for a track that cannot be read.
        """
        return {path.name.removesuffix(".jsonl"): _count(path) for path in self.track_paths(video_id)}

    def video(self, video_id: str) -> VideoRecord:
        """What is known about a video; at least its id. Raises FormatError for a torn `video.json`."""
        return video_beside(self._home(video_id) / "video.jsonl") or self._from_tracks(video_id)

    def ids(self) -> list[str]:
        """The id of every video that has something here, in order."""
        root = self.folder / "tracks"
        try:
            with os.scandir(root) as found:
                return sorted(entry.name for entry in found if _is_safe(entry.name) and entry.is_dir())
        except FileNotFoundError:
            return []

    def videos(self) -> list[VideoRecord]:
        """Every video that has something here, by id; of one whose `video.json` is torn, what its tracks say."""
        root = os.path.join(self.folder, "tracks")
        return [self._at_least(video_id, os.path.join(root, video_id, "video.json")) for video_id in self.ids()]

    def find(self, name: str) -> list[VideoRecord]:
        """The videos that a name means: by id or how it begins, by path, by folder, by file name, by a pattern.

        A pattern ("*.mp4", "talks/**") is held against names and whole paths. Raises UsageError when nothing fits.
        """
        known = self.videos()
        place = os.path.abspath(os.path.expanduser(name)) if name else ""
        ways: list[Callable[[VideoRecord], bool]] = [
            lambda record: record.id == name,
            lambda record: place in _places(record),
            lambda record: record.name == name,
            lambda record: name in {os.path.basename(path) for path in _places(record)},
            lambda record: len(name) >= _SHORTEST_ID and record.id.startswith(name),
            lambda record: any(path.startswith(place.rstrip(os.sep) + os.sep) for path in _places(record)),
            lambda record: (
                fnmatch.fnmatchcase(record.name, name)
                or any(fnmatch.fnmatchcase(path, place) for path in _places(record))
            ),
        ]
        for fits in ways if name else ():
            found = [record for record in known if fits(record)]
            if found:
                return found
        close = get_close_matches(name, [record.name for record in known], n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(
            f"no video {name[:200]!r} in the library at {self.folder}: {hint}give an id, a name, a path or a pattern "
            "of a video that was added"
        )

    def one(self, name: str) -> VideoRecord:
        """The one video that a name means; see `find`. Raises UsageError when it means none, or several."""
        found = self.find(name)
        if len(found) > 1:
            # What a file holds now comes before what it held once.
            found = [record for record in found if record.searchable] or found
        if len(found) > 1:
            some = ", ".join(f"{record.id} ({record.path or record.name})" for record in found[:3])
            raise UsageError(f"{name[:200]!r} means {len(found)} videos: name one by its id: {some}")
        return found[0]

    def _at_least(self, video_id: str, path: str) -> VideoRecord:
        # One file that was spoilt does not hide all other videos; adding the video again mends it, `verify` names it.
        with suppress(FormatError):
            return _record_at(path) or self._from_tracks(video_id)
        with suppress(FormatError):
            return self._from_tracks(video_id)
        return VideoRecord(video_id)

    def _from_tracks(self, video_id: str) -> VideoRecord:
        tracks = self.tracks(video_id)
        name = next((track.name for track in tracks if track.name), "")
        duration = next((track.duration for track in tracks if track.duration is not None), None)
        return VideoRecord(video_id, name, duration=duration)

    def _home(self, video_id: str) -> Path:
        return self.folder / "tracks" / safe_part(video_id, "video id")


def default_place() -> Path:
    """Where a user's library is when nobody said: among the data of this user, `~/.local/share` on Linux."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "longshot" / "library"


def _places(record: VideoRecord) -> Iterator[str]:
    """Every path at which a video was seen."""
    yield from (file.path for file in record.files)
    if record.path:
        yield os.path.abspath(record.path)


def _count(path: Path) -> int:
    """How many captions a track has: as its header promises, else its lines."""
    try:
        with path.open("rb") as file:
            header = parse_object(file.readline(_LONGEST_HEADER).decode("utf-8-sig"))
            promised = header.get("captions")
            return promised if type(promised) is int else sum(1 for line in file if line.strip())
    except (OSError, UnicodeDecodeError, FormatError) as error:
        raise FormatError(f"{path}: line 1: {error}; the first line is the track's header") from error


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
    check_keys(row, {"longshot", "size", "files", *_RECORD_KINDS}, "id")
    for key, kinds in _RECORD_KINDS.items():
        if key in row and (isinstance(row[key], bool) or not isinstance(row[key], kinds)):
            raise FormatError(f"{key!r} is {row[key]!r:.60}")
    size = row.get("size")
    if size is not None and not (isinstance(size, list) and len(size) == 2 and all(type(n) is int for n in size)):
        raise FormatError(f"'size' is {size!r:.60}, width and height were meant")
    if row.get("state", "here") not in _STATES:
        raise FormatError(f"'state' is {row['state']!r:.60}, one of {', '.join(_STATES)} was meant")
    values = {key: row[key] for key in _RECORD_KINDS if key in row}
    return VideoRecord(**values, size=None if size is None else (size[0], size[1]), files=_files(row.get("files", [])))


def _files(rows: Any) -> tuple[Sighting, ...]:
    kinds = {"path": str, "bytes": int, "changed": int}
    if not isinstance(rows, list):
        raise FormatError(f"'files' is {rows!r:.60}, a list was meant")
    for row in rows:
        if not (isinstance(row, dict) and row.keys() == kinds.keys()):
            raise FormatError(f"'files' holds {row!r:.60}, {', '.join(kinds)} were meant")
        if any(type(row[key]) is not kind for key, kind in kinds.items()):
            raise FormatError(f"'files' holds {row!r:.60}, a path and two whole numbers were meant")
    return tuple(Sighting(row["path"], row["bytes"], row["changed"]) for row in rows)


def _object_of(record: VideoRecord) -> dict[str, Any]:
    """A record as plain JSON; what only a library knows is left out where there is nothing to say."""
    row = asdict(record)
    for key, nothing in (("files", ()), ("state", "here"), ("by", "")):
        if row[key] == nothing:
            del row[key]
    return row


_RECORD_KINDS: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "name": (str,),
    "path": (str,),
    "duration": (int, float, type(None)),
    "fps": (int, float, type(None)),
    "codec": (str,),
    "state": (str,),
    "by": (str,),
}

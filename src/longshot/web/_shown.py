"""What the viewer shows of a folder of tracks: the list of videos, one video's page, pictures of it.

The only key to anything is a video id that has a folder under `tracks/`. A file is sent only when its content still
has that id, so no link, moved or replaced, leads to another file.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from longshot import registry
from longshot.captioning.export import export, way_of
from longshot.chat_models._endpoint_media import jpegs
from longshot.errors import FormatError, LongshotError, MediaError, UsageError
from longshot.formats._format import LABELS, LEAVES, coarse_first, label_of
from longshot.library import Library, VideoRecord, formats, safe_part
from longshot.looks import Eye, Look
from longshot.timeline import Caption, Span, Track
from longshot.video import content_id
from longshot.web._media import OpenFile
from longshot.web._proxy import Playable, playable
from longshot.web._safety import without_folders

SMALLEST_THUMB, TALLEST_THUMB = 16, 720  # pixels
_THUMB_QUALITY = 80
_THUMBS = 32 << 20  # bytes of pictures that are kept
_EYES = 4  # videos that are kept open for pictures
_PAGES = 8  # videos whose tracks are kept
_OUTLINES = ("chapter", "segment")

Key = TypeVar("Key")
Kept = TypeVar("Kept")


class Unknown(LongshotError):
    """There is no such video, level or format here."""


def clean(error: LongshotError) -> str:
    """An error in one line for whoever looks on, without the folders of this machine."""
    return f"{Path(error.path).name}: {error.reason}" if isinstance(error, MediaError) else without_folders(str(error))


class _Kept(Generic[Key, Kept]):
    """The values used last, up to a number of bytes (or of values); safe between threads."""

    def __init__(self, room: int, size: Callable[[Kept], int] = lambda _: 1) -> None:
        self._room, self._size, self._used = room, size, 0
        self._values: OrderedDict[Key, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Kept | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Key, value: Kept) -> list[Kept]:
        """Keep a value; returns those that made room."""
        gone: list[Kept] = []
        with self._lock:
            if key in self._values:
                gone.append(self._values.pop(key))
            self._values[key] = value
            self._used += self._size(value) - sum(map(self._size, gone))
            while self._used > self._room and len(self._values) > 1:
                _, oldest = self._values.popitem(last=False)
                self._used -= self._size(oldest)
                gone.append(oldest)
        return gone

    def take(self, key: Key) -> Kept | None:
        """The value, no longer kept."""
        with self._lock:
            value = self._values.pop(key, None)
            self._used -= self._size(value) if value is not None else 0
            return value

    def clear(self) -> list[Kept]:
        """Every value, none kept any longer."""
        with self._lock:
            gone = list(self._values.values())
            self._values.clear()
            self._used = 0
        return gone


@dataclass(frozen=True, slots=True)
class Read:
    """One video's record and tracks, read at one moment."""

    record: VideoRecord
    tracks: tuple[Track, ...]

    @property
    def name(self) -> str:
        """What people call it."""
        return self.record.name or next((track.name for track in self.tracks if track.name), "") or self.record.id

    @property
    def duration(self) -> float:
        """Seconds: of the record, else as long as the tracks."""
        if self.record.duration is not None:
            return self.record.duration
        ends = [track.duration or max((c.span.end for c in track), default=0.0) for track in self.tracks]
        return max(ends, default=0.0)


class Shown:
    """A library, or another folder with `tracks/`; `only` leaves one video of it to be seen."""

    def __init__(self, folder: Path, *, only: str | None = None) -> None:
        self.library, self.only = Library(folder), only
        self._records: _Kept[str, tuple[tuple[int, ...], VideoRecord, dict[str, int]]] = _Kept(100_000)
        self._read: _Kept[str, tuple[tuple[int, ...], Read]] = _Kept(_PAGES)
        self._files: _Kept[tuple[str, tuple[int, ...]], Playable | MediaError] = _Kept(10_000)
        self._thumbs: _Kept[tuple[str, int, int], bytes] = _Kept(_THUMBS, len)
        self._eyes: _Kept[str, Eye] = _Kept(_EYES)

    def close(self) -> None:
        """Close the videos that were opened for pictures."""
        for eye in self._eyes.clear():
            eye.close()

    # Records and tracks

    def ids(self) -> list[str]:
        """Every video that is shown."""
        return [id for id in self.library.ids() if self._has(id)]

    def _has(self, id: str) -> bool:
        if self.only is not None and id != self.only:
            return False
        try:
            home = self.library.folder / "tracks" / safe_part(id, "video id")
        except UsageError:
            return False
        # A link to a folder elsewhere would show what lies there.
        return home.is_dir() and not home.is_symlink()

    def _home(self, id: str) -> Path:
        if not self._has(id):
            raise Unknown("there is no such video here")
        home = self.library.folder / "tracks" / id
        for path in (home / "video.json", *self.library.track_paths(id)):
            if path.is_symlink():
                raise FormatError(f"{path.name} of {id} is a link: what the viewer shows must lie in the library")
        return home

    def videos(self) -> list[dict[str, Any]]:
        """One row for each video, by name. A torn record or track is a row that says so."""
        rows = [row for id in self.ids() if (row := self._row(id)) is not None]
        return sorted(rows, key=lambda row: (row["name"].lower(), row["id"]))

    def _row(self, id: str) -> dict[str, Any] | None:
        try:
            record, levels = self._counted(id)
        except LongshotError as error:
            return {"id": id, "name": id, "duration": None, "state": "damaged", "levels": {}, "note": clean(error)}
        if not record.searchable:  # removed, or replaced by another video
            return None
        width, height = record.size or (None, None)
        return {
            "id": id,
            "name": record.name or id,
            "duration": record.duration,
            "state": "here" if any(map(os.path.isfile, self._places(record))) else "missing",
            "levels": levels,
            "width": width,
            "height": height,
        }

    def _counted(self, id: str) -> tuple[VideoRecord, dict[str, int]]:
        """The record, and how many captions each level has."""
        stamp = _stamp(self._home(id))
        known = self._records.get(id)
        if known is None or known[0] != stamp:
            known = stamp, self.library.video(id), _in_order(self.library.levels(id))
            self._records.put(id, known)
        return known[1], known[2]

    def read(self, id: str) -> Read:
        """A video's record and tracks, read again when a file has changed. Raises Unknown and FormatError."""
        home = self._home(id)
        stamp = _stamp(home)
        known = self._read.get(id)
        if known is None or known[0] != stamp:
            known = stamp, Read(self.library.video(id), tuple(coarse_first(self.library.tracks(id))))
            self._read.put(id, known)
        return known[1]

    def name(self, id: str) -> str:
        """What people call a video; its id where nothing is known."""
        try:
            return self._counted(id)[0].name or id
        except LongshotError:
            return id

    # The file

    def judged(self, id: str) -> tuple[Path, Playable]:
        """Where the file lies and what a browser can do with it. Raises MediaError when it is not to be had."""
        record, _ = self._counted(id)
        errors: list[MediaError] = []
        for path in self._places(record):
            found = self._judged(id, path)
            if not isinstance(found, MediaError):
                return path, found
            errors.append(found)
        if errors:
            raise next((error for error in errors if Path(error.path).exists()), errors[0])
        raise MediaError(record.name or id, "has no known place")

    def opened(self, id: str, path: Path) -> OpenFile:
        """The file that was judged, open. Raises MediaError when it is not that one any more."""
        file = OpenFile.of(path)
        if isinstance(self._files.get((id, _file_stamp(os.fstat(file.handle)))), Playable):
            return file
        file.close()
        raise MediaError(path, "has changed just now; try again")

    def _places(self, record: VideoRecord) -> list[Path]:
        """Where its file may lie: where it was seen, and beside the tracks, should all have moved together."""
        folder = self.library.folder
        known = [*(file.path for file in record.files), *([record.path] if record.path else [])]
        beside = [folder / record.path, folder / record.name, folder.parent / record.name] if record.name else []
        return list(dict.fromkeys((*map(Path, known), *beside)))

    def _judged(self, id: str, path: Path) -> Playable | MediaError:
        try:
            stamp = _file_stamp(path.stat())
        except (OSError, ValueError):
            return MediaError(path, "is not there any more")
        known = self._files.get((id, stamp))
        if known is None:
            known = _judge(id, path)
            self._files.put((id, stamp), known)
        return known

    def thumb(self, id: str, second: float, height: int) -> bytes:
        """The picture on screen at `second`, as a JPEG at most `height` pixels high. Raises MediaError, UsageError."""
        path, _ = self.judged(id)
        key = id, round(second * 1000), height
        picture = self._thumbs.get(key)
        if picture is None:
            # An open file belongs to one thread at a time: taken for the while, and put back.
            eye = self._eyes.take(id) or Eye()
            try:
                picture = jpegs(eye.frames(Look(path, (second,), height=height)).pixels, quality=_THUMB_QUALITY)[0]
            finally:
                for idle in self._eyes.put(id, eye):
                    idle.close()
            self._thumbs.put(key, picture)
        return picture

    # Texts

    def page(self, id: str) -> dict[str, Any]:
        """All that the page of one video needs."""
        read = self.read(id)
        media, note, proxy, offset = self._media(id)
        return {
            "id": id,
            "name": read.name,
            "duration": read.duration,
            "size": list(read.record.size) if read.record.size else None,
            "media": media,
            "mediaNote": note,
            "proxy": proxy,
            "offset": offset,
            "levels": [_level(track) for track in read.tracks],
            "exports": _exports(id, read.tracks),
            "tracks": _text_tracks(id, read.tracks),
        }

    def _media(self, id: str) -> tuple[str | None, str, bool, float]:
        """Address, note, whether a proxy is played, and seconds by which the player's clock is ahead of ours."""
        try:
            path, way = self.judged(id)
        except MediaError as error:
            return None, f"The video cannot be played: {Path(error.path).name} {error.reason}.", False, 0.0
        if way.direct:
            return f"/media/{id}", "", False, way.offset
        note = (
            f"{path.name} is played as a proxy made for the browser, which does not play {way.why}; times are the same."
        )
        return f"/media/{id}", note, True, 0.0

    def captions(self, id: str, level: str, *, kind: str) -> str:
        """A level as WebVTT on the clock of what is played."""
        read = self.read(id)
        track = next((track for track in read.tracks if track.level == level), None)
        if track is None:
            raise Unknown("this video has no such level")
        offset = self._media(id)[3]
        return export([_shifted(track, offset)], "vtt", kind=kind, level=level)

    def exported(self, id: str, format: str, level: str) -> tuple[str, str]:
        """A file name and its text. Raises UsageError for what the format cannot carry."""
        read = self.read(id)
        way, kind = way_of(format)
        if not level and kind not in way.together and len(read.tracks) == 1:
            level = read.tracks[0].level
        text = export(read.tracks, format, level=level, media=read.name)
        parts = [Path(read.name).stem, *([level] if level else []), *([kind] if kind != way.kinds[0] else [])]
        return ".".join(parts) + way.suffix, text


def _judge(id: str, path: Path) -> Playable | MediaError:
    try:
        if not os.path.isfile(path):
            return MediaError(path, "is no regular file")
        if content_id(path) != id:
            return MediaError(path, "is another file than the one that was added; add it again")
        return playable(path)
    except MediaError as error:
        return error
    except OSError as error:
        return MediaError(path, f"cannot be read ({error.strerror or error})")


def _file_stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _stamp(home: Path) -> tuple[int, ...]:
    """Changes when a track or the record does."""
    stamps: list[int] = []
    for entry in sorted(os.scandir(home), key=lambda entry: entry.name):
        found = entry.stat()
        stamps += [hash(entry.name), found.st_size, found.st_mtime_ns]
    return tuple(stamps)


def _in_order(counts: dict[str, int]) -> dict[str, int]:
    order = [*LABELS]
    names = sorted(counts, key=lambda level: order.index(level) if level in order else len(order))
    return {name: counts[name] for name in names}


def _level(track: Track) -> dict[str, Any]:
    captions = [
        # Microseconds: a time rounded down to a millisecond would show the frame before.
        [round(c.span.start, 6), round(c.span.end, 6), c.text, c.details.get("title"), track.id_of(index)]
        for index, c in enumerate(track)
    ]
    note = track.source.note
    return {
        "level": track.level,
        "label": label_of(track.level),
        "source": str(track.source),
        "note": note,
        "captions": captions,
    }


def _exports(id: str, tracks: Sequence[Track]) -> list[dict[str, str]]:
    """Every file that can be downloaded: one for each format and level, or for all levels together."""
    found = []
    for name, way in sorted(formats().items()):
        if way.write is None or not tracks:
            continue
        for kind in way.kinds:
            format = name if kind == way.kinds[0] else f"{name}:{kind}"
            levels = [""] if kind in way.together else [track.level for track in tracks]
            for level in levels:
                if way.kinds[0] == "chapters" and not _is_possible(tracks, format, level):
                    continue
                what = label_of(level) if level else kind if kind != way.kinds[0] else "everything"
                href = f"/export/{id}?format={format}" + (f"&level={level}" if level else "")
                found.append({"format": format, "level": level, "label": f"{name.upper()}: {what}", "href": href})
    return found


def _is_possible(tracks: Sequence[Track], format: str, level: str) -> bool:
    """Whether tracks keep the rules of a format that has its own: YouTube's, say."""
    try:
        export(tracks, format, level=level)
    except UsageError:
        return False
    return True


def _text_tracks(id: str, tracks: Sequence[Track]) -> list[dict[str, str]]:
    """The captions that the player can show, what is said first, and its chapters."""
    there = {track.level: track for track in tracks if any(caption.text for caption in track)}
    order = [level for level in (*LEAVES, *reversed(LABELS)) if level in there]
    found = [
        {
            "kind": "captions",
            "label": label_of(level),
            "src": f"/captions/{id}/{level}.vtt",
            "lang": _language(there[level]),
        }
        for level in dict.fromkeys((*order, *there))
        if level != "video"
    ]
    outline = next((level for level in _OUTLINES if level in there), None)
    if outline is not None:
        source = f"/captions/{id}/{outline}.vtt?kind=chapters"
        found.append({"kind": "chapters", "label": label_of(outline), "src": source, "lang": _language(there[outline])})
    return found


def _language(track: Track) -> str:
    found = track.source.settings.get("language")
    return found if isinstance(found, str) else ""


def _shifted(track: Track, seconds: float) -> Track:
    if not seconds:
        return track
    moved = (
        Caption(Span(max(0.0, c.span.start + seconds), max(0.0, c.span.end + seconds)), c.text, c.score, c.details)
        for c in track
    )
    return track.replace(moved)


def check_format(name: str) -> None:
    """Raises Unknown for a format that is not on the shelf, without naming what else the server has."""
    if name.partition(":")[0] not in registry.choices("formats"):
        raise Unknown("there is no such format")

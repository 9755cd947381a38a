"""Compare all that a library holds with each other and with the video files; nothing is changed.

for finding in verify(Library.open()):
    print(finding)                   # "…/tracks/3f2a/clip.jsonl: line 7: no JSON object (…); correct it, …"
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from longshot import registry
from longshot.captioning.recap import check_children
from longshot.contracts import PictureEncoder, Progress
from longshot.errors import FormatError, LongshotError
from longshot.journal import read_journal
from longshot.library import Library, Sighting, VideoRecord
from longshot.scaling.verbs import JOURNAL, content_of
from longshot.searching.index import digest_of
from longshot.searching.remove import DOOMED
from longshot.tables import Index, Indexed
from longshot.terms import terms
from longshot.timeline import Track
from longshot.vectors import read_vectors

_ADD = "add it again with `longshot add`"
_INDEX = "bring the index up to date with `longshot index`"
_REBUILD = "make it again with `longshot index --rebuild`"
_TRIED = 200  # characters of a text, and texts, that the index is asked for


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    what: "torn" (cannot be read), "links" (between captions), "stale" (the index holds something else), "file" (the
    video file), "vectors", "leftover" (of a run that was killed), "index", "journal" or "busy". where: the file or
    folder. reason, todo: the rest of the sentence.
    """

    what: str
    where: str
    reason: str
    todo: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" + (f"; {self.todo}" if self.todo else "")


def verify(library: Library, *, hashes: bool = True, progress: Progress | None = None) -> list[Finding]:
    """Check a library: tracks, journal, index, vectors, and the video files against what is known of them.

    Args:
        library: which one.
        hashes: read the video files, too; without, only their size and time of change are looked at.
        progress: called with the videos done so far and their number.

    Returns what is not as it should be, each with what to do about it; an empty list says that all is well.
    """
    ids = library.ids()
    indexed, findings = _indexed(library)
    findings += [*_journal(library), *_leftovers(library)]
    for done, video_id in enumerate(ids):
        if progress is not None:
            progress(done, len(ids))
        findings += _video(library, video_id, indexed, hashes)
    gone = indexed.keys() - set(ids) if indexed else set()
    findings += [Finding("stale", video_id, "is in the index, and has no tracks", _INDEX) for video_id in sorted(gone)]
    findings += _vectors(library, set(ids))
    if progress is not None and ids:
        progress(len(ids), len(ids))
    return findings


def _indexed(library: Library) -> tuple[dict[str, Indexed] | None, list[Finding]]:
    """What the index holds, None where it cannot be read: every row of it is, and it is searched in every way."""
    place = str(library.folder / "index")
    try:
        index = Index.open(library.folder)
        known = index.videos()
        findings, texts = [], []
        for one in known.values():
            entries = index.entries(one.video)
            if len(entries) != one.rows and not _writer(library):
                said = f"holds {len(entries)} captions of {one.name or one.video}, and {one.rows} were put in"
                findings.append(Finding("index", place, said, _REBUILD))
            texts += [entry.text[:_TRIED] for entry in entries if terms(entry.text[:_TRIED])][:1]
        if texts and not index.words(" ".join(texts[:_TRIED]), limit=1):
            findings.append(Finding("index", place, "does not find the words that stand in it", _REBUILD))
        maker = cast("PictureEncoder", registry.load("encoders", "fingerprint"))
        index.near_looks(np.eye(1, maker.dimension, dtype=np.float32)[0], limit=1)
    except LongshotError as error:
        return None, [Finding("index", place, _line(error).removeprefix(f"{library.folder}: "))]
    return known, findings


def _journal(library: Library) -> Iterator[Finding]:
    path = library.folder / JOURNAL
    if path.exists():
        try:
            read_journal(path)
        except FormatError as error:
            yield Finding("journal", str(path), _without(path, error))


def _leftovers(library: Library) -> Iterator[Finding]:
    """What a killed run left behind, unless a run is going on, whose files they may be."""
    writer = _writer(library)
    if writer:
        yield Finding(
            "busy", str(library.folder), f"process {writer} is writing here", "verify again when it has ended"
        )
        return
    tracks = library.folder / "tracks"
    for path in [*tracks.glob("*/.*.part"), *(library.folder / "vectors").glob(".*.part")]:
        yield Finding("leftover", str(path), "half of a file, left by a run that was killed", "it can be deleted")
    for path in tracks.glob(f"{DOOMED}*"):
        yield Finding("leftover", str(path), "a video that was being removed", "it can be deleted")
    for path in (library.folder / "index.new", library.folder / "index.old"):
        if path.exists():
            said = "an index of a rebuild that was killed"
            yield Finding("leftover", str(path), said, "`longshot index --rebuild` clears it away")


def _writer(library: Library) -> int:
    """The process that holds the library; 0 for none. The lock itself is not touched: that would be in its way."""
    try:
        number = int((library.folder / f"{JOURNAL}.lock").read_text(encoding="ascii"))
        os.kill(number, 0)
    except PermissionError:  # it is there, and somebody else's
        return number
    except (OSError, ValueError):
        return 0
    return number if number != os.getpid() else 0


def _video(library: Library, video_id: str, indexed: Mapping[str, Indexed] | None, hashes: bool) -> Iterator[Finding]:
    tracks, torn = _tracks(library, video_id)
    yield from torn
    try:
        record = library.video(video_id) if not torn or _record_path(library, video_id).exists() else None
    except FormatError as error:
        path = _record_path(library, video_id)
        yield Finding("torn", str(path), _without(path, error))
        record = None
    if not tracks and not torn:
        yield Finding("torn", str(_record_path(library, video_id).parent), "no track of this video is there", _ADD)
    if not torn:
        try:
            check_children(tracks)
        except FormatError as error:
            yield Finding("links", str(_record_path(library, video_id).parent), _line(error), "correct the track")
    if indexed is not None and not torn:
        yield from _stale(library, video_id, record, indexed.get(video_id))
    if record is not None:
        yield from _files(record, hashes)


def _tracks(library: Library, video_id: str) -> tuple[list[Track], list[Finding]]:
    tracks, torn = [], []
    for path in library.track_paths(video_id):
        try:
            track = library.track(path)
        except LongshotError as error:
            torn.append(Finding("torn", str(path), _without(path, error)))
            continue
        level = path.name.removesuffix(".jsonl")
        if (track.video, track.level) != (video_id, level):
            said = f"line 1: is level {track.level!r} of {track.video!r}, and lies where {level!r} of {video_id!r} is"
            torn.append(Finding("torn", str(path), said, "correct the header, or the file's name"))
        tracks.append(track)
    return tracks, torn


def _stale(library: Library, video_id: str, record: VideoRecord | None, known: Indexed | None) -> Iterator[Finding]:
    where = str(_record_path(library, video_id).parent)
    if record is not None and not record.searchable:
        if known is not None:
            yield Finding("stale", where, f"is in the index, and was {record.state}", _INDEX)
    elif known is None:
        yield Finding("stale", where, "is not in the index", _INDEX)
    elif known.digest != digest_of(library, video_id):
        yield Finding("stale", where, "the tracks were edited after they were indexed", _INDEX)


def _files(record: VideoRecord, hashes: bool) -> Iterator[Finding]:
    if not record.searchable or (any(file.stands for file in record.files) and not hashes):
        return
    gone = []
    for file in record.files:
        now = Sighting.of(file.path)
        if now is None:
            gone.append(file.path)
        elif hashes and content_of(file.path) != record.id:
            yield Finding("file", file.path, f"is no longer the video {record.id}", _ADD)
        elif now != file and not hashes:
            yield Finding("file", file.path, "was changed since it was read", _ADD)
    if gone and len(gone) == len(record.files):
        todo = "add it from where it is now, or take it out with `longshot remove`"
        yield Finding("file", gone[0], f"is gone, and no other file of the video {record.id} is known", todo)


def _vectors(library: Library, ids: set[str]) -> Iterator[Finding]:
    for path in sorted((library.folder / "vectors").glob("*.parquet")):
        if path.name.split(".")[0] not in ids:
            yield Finding("vectors", str(path), "are of a video that is not here", "it can be deleted")
            continue
        try:
            rows = read_vectors(path).rows
        except FormatError as error:
            yield Finding("vectors", str(path), _without(path, error), "delete it; `longshot add` makes it again")
            continue
        if len(rows) and not np.allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-3):
            yield Finding("vectors", str(path), "are not all of length 1", "delete it; `longshot add` makes it again")


def _record_path(library: Library, video_id: str) -> Path:
    return library.path_of(video_id, "video").with_name("video.json")


def _without(path: Path, error: Exception) -> str:
    """What an error says, without the path that it begins with."""
    return _line(error).removeprefix(f"{path}: ").removeprefix(f"{path}, ")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

"""Bring the tracks of a library into its index.

index(library)                                   # what is new or was edited since, and out with what is gone
index(library, rebuild=True)                     # the whole index again, from the tracks
index_video(library, opened, "3f2a9c…")          # one video, in place of what was there
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from longshot.contracts import Progress
from longshot.errors import FormatError
from longshot.journal import Journal
from longshot.library import Library, VideoRecord
from longshot.scaling.verbs import JOURNAL
from longshot.tables import Index, Indexed, Putting, made_anew
from longshot.terms import is_bare
from longshot.timeline import Track

if TYPE_CHECKING:
    from longshot.searching.fill import Fill


@dataclass(frozen=True, slots=True)
class Brought:
    """What came into an index: how many videos and captions. problems: one line for each video that could not."""

    videos: int
    rows: int
    problems: tuple[str, ...] = ()


def index(
    library: Library, *, rebuild: bool = False, fill: Fill | None = None, progress: Progress | None = None
) -> Brought:
    """Bring the index of a library up to date with its tracks.

    Args:
        library: an open library.
        rebuild: make the index anew: after damage, or for a new version. The old one stays until the new one is whole.
        fill: makes the vectors; without it, the index can be searched for words alone.
        progress: called with videos done and in all.

    A video whose tracks cannot be read is told of, and the others go on. Raises Busy when another process writes the
    library, NoIndex never, IndexDamaged when the index cannot be read (rebuild it), LongshotError for a full disk.
    """
    with Journal(library.folder / JOURNAL):
        if rebuild:
            with made_anew(library.folder) as opened:
                return _bring(library, opened, fill, progress)
        return _bring(library, Index.open(library.folder, create=True), fill, progress)


def rebuild(library: Library, *, fill: Fill | None = None, progress: Progress | None = None) -> Brought:
    """Make the whole index again from the tracks; the old one stays until the new one is whole."""
    return index(library, rebuild=True, fill=fill, progress=progress)


def index_video(library: Library, index: Index, video_id: str, *, fill: Fill | None = None) -> int:
    """Bring one video into the index as its tracks are now; how many captions.

    fill: makes the vectors. Raises FormatError for a torn track, and then the index keeps what it had.
    """
    record, digest = library.video(video_id), digest_of(library, video_id)
    if fill is not None:
        fill.columns(index)
    return index.put_all([_putting(library, record, digest, fill)])


def is_current(known: Indexed | None, record: VideoRecord, digest: str, wanted: Collection[str] = ()) -> bool:
    """Whether the index knows a video as it is now, with vectors in all `wanted` columns."""
    if known is None or (known.digest, known.name, known.path) != (digest, *_names(record)):
        return False
    return set(wanted) <= set(known.columns)


def digest_of(library: Library, video_id: str) -> str:
    """What the tracks of a video are now, as one word: another one when any of their files changes."""
    digest = hashlib.sha256()
    home = library.path_of(video_id, "any").parent
    for path in sorted(path for path in home.glob("*.jsonl") if not path.name.startswith(".")):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise FormatError(f"{path}: cannot be read ({error.strerror})") from error
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:32]


def _bring(library: Library, index: Index, fill: Fill | None, progress: Progress | None) -> Brought:
    before = index.videos()
    problems: list[str] = []
    records = [record for record in library.videos() if record.searchable]
    new = list[str]()
    rows = index.put_all(_changed(library, index, records, fill, progress, new, problems))
    for video in before.keys() - {record.id for record in records}:
        index.drop(video)
    index.finish()
    return Brought(len(new), rows, tuple(problems))


def _changed(
    library: Library,
    index: Index,
    records: list[VideoRecord],
    fill: Fill | None,
    progress: Progress | None,
    new: list[str],
    problems: list[str],
) -> Iterator[Putting]:
    """The videos whose tracks, name or path are not what the index knows; notes which, and what is wrong."""
    known = index.videos()
    wanted = fill.columns(index).values() if fill is not None else ()
    for done, record in enumerate(records):
        if progress:
            progress(done, len(records))
        try:
            digest = digest_of(library, record.id)
            if is_current(known.get(record.id), record, digest, wanted):
                continue
            putting = _putting(library, record, digest, fill)
        except FormatError as error:
            problems.append(str(error))
            continue
        new.append(record.id)
        yield putting
    if progress:
        progress(len(records), len(records))


def _putting(library: Library, record: VideoRecord, digest: str, fill: Fill | None) -> Putting:
    tracks = tuple(_saying(track) for track in library.tracks(record.id))
    name, path = _names(record)
    known = replace(record, name=name, path=path)
    if fill is None:
        return Putting(known, tracks, digest, {})
    return Putting(known, tracks, digest, fill.vectors(library, record, tracks), looks=fill.looks(library, record))


def _names(record: VideoRecord) -> tuple[str, str]:
    """Name and path as the index can hold them: of bytes that are no text, which a disk allows, question marks."""
    return _written(record.name), _written(record.path)


def _written(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def _saying(track: Track) -> Track:
    """The track as it is searched: a caption that only numbers a shot has no text, or "shot" would find all of them."""
    if not any(caption.text and is_bare(track.level, caption.text) for caption in track):
        return track
    return track.replace(replace(one, text="") if is_bare(track.level, one.text) else one for one in track)

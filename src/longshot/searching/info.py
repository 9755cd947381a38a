"""What a library holds, in numbers: of all of it, or of one video. No track is read for it.

info(Library.open()).videos
info(Library.open(), "talk.mp4").captions        # {"clip": 12, "speech": 40, …}
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from longshot.errors import FormatError, LongshotError
from longshot.library import Library, VideoRecord
from longshot.tables import Index
from longshot.timeline import Source


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of one video. captions: how many, by level. rows: those in the index. bytes: of its tracks."""

    record: VideoRecord
    captions: Mapping[str, int]
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Info:
    """What a library holds.

    videos: how many can be searched or could. seconds: their length. states: how many are here, missing, replaced,
    removed. captions: how many the index has, by level, or the tracks
    where there is none. vectors: the index's columns, and who made them. bytes: on
    disk, by part. index: "" when it has all that it should, else what is wrong with it, in one line.
    """

    folder: str
    videos: int
    seconds: float
    states: Mapping[str, int]
    captions: Mapping[str, int]
    vectors: Mapping[str, Source]
    bytes: Mapping[str, int]
    index: str


@overload
def info(library: Library) -> Info: ...
@overload
def info(library: Library, name: str) -> VideoInfo: ...
def info(library: Library, name: str | None = None) -> Info | VideoInfo:
    """Say what a library holds, or what it knows of one video.

    Args:
        library: which one.
        name: one video, by id, path or file name; without one, all are summed up.

    Raises UsageError for a name that means no video, or several.
    """
    return _of_all(library) if name is None else _of_one(library, library.one(name))


def _of_one(library: Library, record: VideoRecord) -> VideoInfo:
    home = library.path_of(record.id, "video").parent
    try:
        known = Index.open(library.folder).videos().get(record.id)
    except LongshotError:  # the sum over all says what is wrong with it
        known = None
    return VideoInfo(record, library.levels(record.id), known.rows if known else 0, _bytes(home))


def _of_all(library: Library) -> Info:
    records = library.videos()
    searchable = {record.id for record in records if record.searchable}
    captions: Mapping[str, int] = {}
    vectors: Mapping[str, Source] = {}
    try:
        index = Index.open(library.folder)
        captions, vectors, trouble = index.levels(), index.columns, _difference(searchable, set(index.videos()))
    except LongshotError as error:
        trouble = " ".join(str(error).split())
        captions = _counted(library, searchable)
    with os.scandir(library.folder) as parts:
        sizes = {part.name: _bytes(Path(part.path)) for part in parts if part.is_dir(follow_symlinks=False)}
    return Info(
        str(library.folder),
        len(searchable),
        sum(record.duration or 0.0 for record in records if record.searchable),
        Counter(record.state for record in records),
        captions,
        vectors,
        sizes,
        trouble,
    )


def _counted(library: Library, videos: Iterable[str]) -> dict[str, int]:
    """How many captions of each level the tracks hold; torn ones, which `verify` names, count for nothing."""
    counts: Counter[str] = Counter()
    for video in videos:
        with suppress(FormatError):
            counts.update(library.levels(video))
    return dict(sorted(counts.items()))


def _difference(searchable: set[str], indexed: set[str]) -> str:
    """What the index lacks or has too much, one line; "" when it fits."""
    lacking, extra = len(searchable - indexed), len(indexed - searchable)
    said = [f"{lacking} videos are not in the index"] * bool(lacking) + [f"{extra} in it are gone"] * bool(extra)
    return " and ".join(said) + "; bring it up to date with `longshot index`" if said else ""


def _bytes(folder: Path) -> int:
    """The size of all files below a folder; what vanishes meanwhile counts for nothing."""
    total, waiting = 0, [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:
            continue
    return total

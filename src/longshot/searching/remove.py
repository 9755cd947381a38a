"""Take videos out of a library. The video files themselves are never touched.

remove(Library.open(), ["talk.mp4", "3f2a9c", "holiday/*"])
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from longshot.errors import LongshotError
from longshot.journal import Journal
from longshot.library import Library, VideoRecord
from longshot.scaling.verbs import ANSWERS, JOURNAL
from longshot.tables import Index, IndexDamaged, NoIndex

DOOMED = ".removed-"
"""How the folder of a video begins that is being removed; one that a kill left behind goes with the next removal."""
_MADE_OF_VIDEOS = ("vectors", ANSWERS, "proxies")


@dataclass(frozen=True, slots=True)
class Removed:
    """One video after `remove`.

    captions: by level, those that were told of it. kept: whether its tracks are still there. note: what could not be
    done, one line or "".
    """

    record: VideoRecord
    captions: dict[str, int]
    kept: bool = False
    note: str = ""


def remove(library: Library, names: Iterable[str], *, keep_tracks: bool = False) -> list[Removed]:
    """Take videos out of a library: out of the index, and all that was told or made of them.

    Args:
        library: where from.
        names: ids or how they begin, file names, paths, folders, patterns.
        keep_tracks: leave what was told, for reading and exporting; only search no longer finds it.

    The video files, and clips that were cut from them, stay where they are; adding a file again brings its video back.
    Raises UsageError, before anything is removed, for a name that means no video; Busy when another process writes the
    library.
    """
    with Journal(library.folder / JOURNAL):
        chosen = {record.id: record for name in names for record in library.find(name)}
        index, note = _index(library)
        for rest in (library.folder / "tracks").glob(f"{DOOMED}*"):
            _delete(rest)
        removed = [_remove(library, index, record, keep_tracks, note) for record in chosen.values()]
        if index is not None and removed:
            index.finish()
        library.push()
        return removed


def _index(library: Library) -> tuple[Index | None, str]:
    """The index, if there is one that can be used, and what to say when there is not."""
    try:
        return Index.open(library.folder), ""
    except NoIndex:
        return None, ""
    except IndexDamaged as error:  # what is not in the library any more will not be in the index that is made again
        return None, " ".join(str(error).split())


def _remove(library: Library, index: Index | None, record: VideoRecord, keep_tracks: bool, note: str) -> Removed:
    captions = _captions(library, record.id)
    if keep_tracks:
        # Marked first: a kill in between leaves a video that `add` takes out of the index.
        library.save_video(replace(record, state="removed"))
    if index is not None:
        index.drop(record.id)
    if not keep_tracks:
        for path in _made_of(library, record.id):
            _delete(path)
        _delete_folder(library.path_of(record.id, "video").parent)
    return Removed(record, captions, keep_tracks, note)


def _captions(library: Library, video_id: str) -> dict[str, int]:
    """How many captions there are; a torn track, which can be removed as well, counts for none."""
    with suppress(LongshotError):
        return library.levels(video_id)
    return {path.name.removesuffix(".jsonl"): 0 for path in library.track_paths(video_id)}


def _made_of(library: Library, video_id: str) -> Iterator[Path]:
    """The files and folders outside of `tracks` that were made of a video."""
    for part in _MADE_OF_VIDEOS:
        folder = library.folder / part
        if folder.is_dir():
            yield from (path for path in folder.iterdir() if path.name.split(".")[0] == video_id)


def _delete_folder(home: Path) -> None:
    """Delete a folder so that it is there whole or not at all, whenever the process ends."""
    doomed = home.with_name(f"{DOOMED}{home.name[:64]}-{secrets.token_hex(4)}")
    try:
        os.rename(home, doomed)
    except OSError as error:
        raise LongshotError(f"{home}: cannot be removed ({error.strerror or error})") from error
    _delete(doomed)


def _delete(path: Path) -> None:
    try:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    except OSError as error:
        raise LongshotError(f"{path}: cannot be removed ({error.strerror or error}); remove it by hand") from error

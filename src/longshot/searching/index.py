"""Bring the tracks of a library into its index.

index_video(library, index, "3f2a9c…")          # one video, in place of what was there
rebuild(library)                                 # the whole index again, from the tracks
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from longshot.contracts import Progress
from longshot.library import Library
from longshot.tables import Index, Putting

if TYPE_CHECKING:
    from longshot.searching.fill import Fill


def digest_of(library: Library, video_id: str) -> str:
    """What the tracks of a video are now, as one word: another one when any of their files changes."""
    digest = hashlib.sha256()
    home = library.path_of(video_id, "any").parent
    for path in sorted(path for path in home.glob("*.jsonl") if not path.name.startswith(".")):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:32]


def index_video(library: Library, index: Index, video_id: str, *, fill: Fill | None = None) -> int:
    """Bring one video into the index as its tracks are now; how many captions.

    fill: makes the vectors. Raises FormatError for a torn track, and then the index keeps what it had.
    """
    return index.put_all([_putting(library, index, video_id, fill)])


def rebuild(library: Library, *, fill: Fill | None = None, progress: Progress | None = None) -> int:
    """Bring every video into the index; how many captions."""
    index = Index.open(library.folder, create=True)
    total = index.put_all(_all(library, index, fill, progress))
    index.finish()
    return total


def _all(library: Library, index: Index, fill: Fill | None, progress: Progress | None) -> Iterator[Putting]:
    records = library.videos()
    for done, record in enumerate(records):
        if progress:
            progress(done, len(records))
        yield _putting(library, index, record.id, fill)


def _putting(library: Library, index: Index, video_id: str, fill: Any) -> Putting:
    record = library.video(video_id)
    digest = digest_of(library, video_id)
    tracks = tuple(library.tracks(video_id))
    vectors = {}
    if fill is not None:
        fill.columns(index)
        vectors = fill.vectors(library, record, tracks)
    return Putting(record, tracks, digest, vectors)

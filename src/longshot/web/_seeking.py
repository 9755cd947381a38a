"""Search and find, as the page asks for them: by the index where there is one, else by a look through every track."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longshot import contracts, registry
from longshot.errors import LongshotError, UsageError
from longshot.searching.moments import Found, link
from longshot.timeline import Caption, Hit
from longshot.web._safety import without_folders
from longshot.web._shown import Shown, clean

if TYPE_CHECKING:
    from longshot.contracts import Finder, Progress
    from longshot.tables import Index

MOST_LOOKED_THROUGH = 200
"""Videos without an index that one search looks through."""
_LONGEST_TEXT = 1000  # characters of a caption that a hit shows


class Seeking:
    """The questions about one folder."""

    def __init__(self, folder: Path, shown: Shown) -> None:
        self._place = folder / "index"
        self._shown = shown
        self._index: Index | None = None
        self._lock = threading.Lock()
        # A finder remembers the video that it was asked about last, so no two threads may share one.
        self._own = threading.local()

    @property
    def searchable(self) -> bool:
        """Whether all videos can be searched."""
        return self._place.is_dir() or len(self._shown.ids()) <= MOST_LOOKED_THROUGH

    @property
    def likeable(self) -> bool:
        """Whether a picture can be searched for: the index holds looks."""
        return (self._place / "looks.lance").is_dir()

    def warm(self) -> None:
        """Load what the first question needs, LanceDB and the model of texts, before it comes."""
        if self._place.is_dir():
            with suppress(LongshotError):  # whoever asks is told
                from longshot.searching.search import search

                search(self._opened(), "telescope", limit=1)

    def search(
        self, query: str, *, videos: Sequence[str], levels: Sequence[str], limit: int, progress: Progress
    ) -> dict[str, Any]:
        """Moments of all videos, or of some, the best first. Raises UsageError for a query that cannot be meant."""
        if not self._place.is_dir():
            return self._answer(self._looked_through(query, videos, levels, limit, progress))
        # These bring LanceDB, which a folder without an index can do without.
        from longshot.searching.search import search

        return self._answer(search(self._opened(), query, videos=self._allowed(videos), levels=levels, limit=limit))

    def like(self, picture: Path, *, limit: int) -> dict[str, Any]:
        """Moments that look like a picture."""
        from longshot.searching.search import search

        return self._answer(search(self._opened(), like=picture, videos=self._allowed(()), limit=limit))

    def find(self, id: str, query: str, *, limit: int, progress: Progress) -> dict[str, Any]:
        """Moments of one video, the best first."""
        from longshot.searching.find import find

        self._shown.read(id)  # says in its own way what is not there
        # Without an index every caption would be encoded anew for each question.
        vectors = "auto" if self._place.is_dir() else "none"
        library, finder = self._shown.library, self._finder()
        return self._answer(
            find(id, query, finder=finder, library=library, vectors=vectors, limit=limit, progress=progress)
        )

    def _opened(self) -> Index:
        """The index as it is now; it stays open between questions."""
        from longshot.tables import Index

        with self._lock:
            if self._index is None:
                self._index = Index.open(self._shown.library.folder)
            try:
                self._index.refresh()
            except LongshotError:  # made anew meanwhile: the next question opens it again
                self._index = None
                raise
            return self._index

    def _allowed(self, videos: Sequence[str]) -> list[str]:
        """The videos to search, by id; none for all of them."""
        only = self._shown.only
        if only is None:
            return list(videos)
        if videos and only not in videos:
            raise UsageError("there is no such video here")
        return [only]

    def _finder(self) -> Finder:
        if not hasattr(self._own, "finder"):
            self._own.finder = registry.load("finders", "matching")
        finder: Finder = self._own.finder
        return finder

    def _looked_through(
        self, query: str, videos: Sequence[str], levels: Sequence[str], limit: int, progress: Progress
    ) -> Found:
        """Without an index: every track of every video, one after the other."""
        chosen = [id for id in self._shown.ids() if not videos or id in videos]
        if len(chosen) > MOST_LOOKED_THROUGH:
            raise UsageError(f"{len(chosen)} videos without an index: make one with `longshot index`")
        hits: list[Hit] = []
        notes: list[str] = []
        for number, id in enumerate(chosen):
            progress(number, len(chosen))
            try:
                read = self._shown.read(id)
            except LongshotError as error:
                notes.append(clean(error))
                continue
            tracks = tuple(track for track in read.tracks if not levels or track.level in levels)
            hits += self._finder().find(contracts.Told(id, read.name, read.duration, tracks), query)
        hits.sort(key=lambda hit: (-hit.score, hit.video, hit.span))
        return Found(tuple(hits[:limit]), "every track was looked through, as there is no index", tuple(notes))

    def _answer(self, found: Found) -> dict[str, Any]:
        notes = [without_folders(note) for note in found.notes]
        return {"hits": [self._hit(hit) for hit in found.hits], "how": found.how, "notes": notes}

    def _hit(self, hit: Hit) -> dict[str, Any]:
        name = self._shown.name(hit.video)
        return {
            "video": hit.video,
            "name": name,
            "start": hit.span.start,
            "end": hit.span.end,
            "score": round(hit.score, 4),
            # Of the name, not the path: whoever looks on need not know the folders of this machine.
            "link": link(name, hit.span),
            "evidence": [_evidence(caption) for caption in hit.evidence],
        }


def _evidence(caption: Caption) -> dict[str, Any]:
    details: Mapping[str, Any] = caption.details
    text = caption.text[:_LONGEST_TEXT]
    return {
        "level": details.get("level", ""),
        "id": details.get("id", ""),
        "start": caption.span.start,
        "end": caption.span.end,
        "text": text,
        "matched": [[start, end] for start, end in details.get("matched", ()) if end <= len(text)],
    }

"""Search and find, as the page asks for them: by the index where there is one, else by a look through every track."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longshot import contracts, registry
from longshot.errors import LongshotError, UsageError
from longshot.timeline import Caption, Hit, Span
from longshot.web._shown import Shown, Unknown, clean

if TYPE_CHECKING:
    from longshot.contracts import Finder, Progress

MOST_LOOKED_THROUGH = 200
"""Videos without an index that one search looks through."""
_LONGEST_TEXT = 1000  # characters of a caption that a hit shows


class Seeking:
    """The questions about one folder."""

    def __init__(self, folder: Path, shown: Shown) -> None:
        self._folder = folder
        self._shown = shown
        self._finder: Finder | None = None
        self._lock = threading.Lock()

    @property
    def searchable(self) -> bool:
        """Whether all videos can be searched."""
        return (self._folder / "index").is_dir() or len(self._shown.ids()) <= MOST_LOOKED_THROUGH

    @property
    def likeable(self) -> bool:
        """Whether a picture can be searched for."""
        return False

    def close(self) -> None:
        """Give back what was opened."""

    def search(
        self, query: str, *, videos: Sequence[str], levels: Sequence[str], limit: int, progress: Progress
    ) -> dict[str, Any]:
        """Moments of all videos, or of some, the best first. Raises UsageError for a query that cannot be meant."""
        chosen = [id for id in self._shown.ids() if not videos or id in videos]
        if len(chosen) > MOST_LOOKED_THROUGH:
            raise UsageError(f"{len(chosen)} videos without an index: make it with `longshot index`")
        hits: list[Hit] = []
        notes: list[str] = []
        for number, id in enumerate(chosen):
            progress(number, len(chosen))
            try:
                hits += self._looked_through(id, query, levels)
            except UsageError:
                raise
            except LongshotError as error:
                notes.append(clean(error))
        hits.sort(key=lambda hit: (-hit.score, hit.video, hit.span))
        return self._answer(hits[:limit], "every track was looked through, without an index", notes)

    def find(self, id: str, query: str, *, limit: int, progress: Progress) -> dict[str, Any]:
        """Moments of one video, the best first."""
        hits = self._looked_through(id, query, (), progress=progress)
        return self._answer(hits[:limit], "words of every track", [])

    def like(self, picture: Path, *, limit: int) -> dict[str, Any]:
        """Moments that look like a picture."""
        raise Unknown("pictures cannot be searched here")

    def _looked_through(
        self, id: str, query: str, levels: Sequence[str], progress: Progress | None = None
    ) -> list[Hit]:
        read = self._shown.read(id)
        tracks = tuple(track for track in read.tracks if not levels or track.level in levels)
        told = contracts.Told(id, read.name, read.duration, tracks)
        with self._lock:  # it remembers the video it was asked about last
            if self._finder is None:
                self._finder = registry.load("finders", "matching")
            return self._finder.find(told, query, progress=progress)

    def _answer(self, hits: Sequence[Hit], how: str, notes: Sequence[str]) -> dict[str, Any]:
        return {"hits": [self._hit(hit) for hit in hits], "how": how, "notes": list(notes)}

    def _hit(self, hit: Hit) -> dict[str, Any]:
        name = self._shown.name(hit.video)
        return {
            "video": hit.video,
            "name": name,
            "start": hit.span.start,
            "end": hit.span.end,
            "score": round(hit.score, 4),
            # The name, not the path: whoever looks on need not know the folders of this machine.
            "link": link(name, hit.span),
            "evidence": [_evidence(caption) for caption in hit.evidence],
        }


def link(name: str, span: Span) -> str:
    return f"{name}#t={span.start:.1f},{span.end:.1f}"


def _evidence(caption: Caption) -> dict[str, Any]:
    details: Mapping[str, Any] = caption.details
    text = caption.text[:_LONGEST_TEXT]
    return {
        "level": details.get("level", ""),
        "id": details.get("id", ""),
        "start": caption.span.start,
        "end": caption.span.end,
        "text": text,
        "matched": [[a, b] for a, b in details.get("matched", ()) if b <= len(text)],
    }

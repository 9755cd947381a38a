"""Find moments inside one video, of a library or any file.

    find("talk.mp4", "the two questions at the end")                     # a file: it is told first, and that is kept
    find("talk.mp4", '"one small step"', library="videos")               # what the library holds of it
    find("talk.mp4", "a red car", finder="asking", model="http://127.0.0.1:8000/v1#name")

Of a video in a library, captions and vectors come from the index; without an index, or of any other file, from the
tracks. A file without tracks is told by `recap` once.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from longshot import registry
from longshot.contracts import ChatModel, Encoder, Finder, Progress, Told
from longshot.errors import LongshotError, UsageError
from longshot.library import Library, VideoRecord
from longshot.searching.moments import Found
from longshot.terms import is_bare
from longshot.timeline import Caption, Source, Track
from longshot.video import Video, open_video

if TYPE_CHECKING:
    from longshot.asking import Desk
    from longshot.tables import Index, Indexed

LONGEST = 10_000  # characters of a query
NEAREST = 512
"""How many captions of a video are weighed by meaning: those nearest to the query. Others do not come near it."""
_TOLD = "told"  # the folder of a cache that holds tracks of files that are in no library
_LEVELS = {"speech": "speech", "screen": "text on screen"}


def find(
    video: str | os.PathLike[str],
    query: str,
    *,
    finder: str | Finder = "matching",
    model: str | ChatModel | Desk | None = None,
    library: str | os.PathLike[str] | Library | None = None,
    index: Index | None = None,
    cache: str | os.PathLike[str] | None = None,
    vectors: str = "auto",
    limit: int = 10,
    asking: Mapping[str, Any] | None = None,
    telling: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Found:
    """Find the moments of one video that a sentence means.

    Args:
        video: a file, or the id or name of a video in the library.
        query: what the moment shows or what is said in it; in quotes, what is said or written exactly so.
        finder: who finds; a name from `longshot list finders`.
        model: the chat model that `asking` asks: a folder, a hub id, or a server such as http://127.0.0.1:8000/v1#name.
        library: a library that may know the video.
        index: its index, when that is open already.
        cache: a folder that keeps what had to be made of a file that is in no library.
        vectors: who makes vectors of texts: auto, none, or an encoder.
        limit: how many moments.
        asking: more options of the finder.
        telling: options of `recap`, for a file that has no tracks yet.
        progress: called with seconds done and in all while a file is told, and by finders that take long.

    Returns moments, the best first, their scores 0..1; none when the video does not show it. Raises UsageError for a
    query without a telling word and for a video that nobody knows, MediaError for a file that cannot be used.
    """
    began = time.perf_counter()
    if limit < 1:
        raise UsageError(f"limit is a number from 1 up, got {limit}")
    notes = (
        [f"the query has {len(query)} characters: the first {LONGEST} are looked for"] if len(query) > LONGEST else []
    )
    query = query[:LONGEST]
    options = {**({} if model is None else {"model": model}), **(asking or {})}
    made = _finder(finder, options) if isinstance(finder, str) else finder
    if isinstance(finder, str) and not options:
        # A query that cannot be meant is refused before minutes of work on the file.
        made.find(Told("", "", 0.0, ()), query)
    place = library if library is None or isinstance(library, Library) else Library.open(library)
    kept = Path(cache) if cache is not None else None
    held = _held(os.fspath(video), place, index, kept, vectors, telling or {}, progress)
    hits = made.find(held.told, query, progress=progress)
    notes += [*held.notes, *held.meaning.notes, *getattr(made, "notes", ())]
    if not hits:
        notes.append(_looked_through(held.told))
    elif all(caption.details.get("whole_video") for caption in hits[0].evidence) and hits[0].evidence:
        notes.append("it is the whole video that matches: no part of it says more")
    found = tuple(hits[:limit])
    names, paths = {held.told.video: held.told.name}, {held.told.video: held.told.path}
    return Found(found, _how(made, held), tuple(notes), time.perf_counter() - began, names, paths)


def _finder(name: str, options: Mapping[str, Any]) -> Finder:
    # One without options is kept: it remembers the captions of the video that it was asked about last.
    if not options:
        return _plain_finder(name)
    unknown = set(options) - set(inspect.signature(registry.module("finders", name).load).parameters)
    if unknown:
        raise UsageError(f"the finder {name} has no option {', '.join(sorted(unknown))}; `asking` asks a model")
    made: Finder = registry.load("finders", name, **options)
    return made


@lru_cache(maxsize=4)
def _plain_finder(name: str) -> Finder:
    made: Finder = registry.load("finders", name)
    return made


@dataclass(frozen=True, slots=True)
class _Held:
    """What is known of the video that is asked about."""

    told: Told
    meaning: _Meaning
    notes: tuple[str, ...] = ()


def _held(
    video: str,
    library: Library | None,
    index: Index | None,
    cache: Path | None,
    vectors: str,
    telling: Mapping[str, Any],
    progress: Progress | None,
) -> _Held:
    """Look a video up: in the library, beside the file, in the cache; else have it told."""
    if library is not None and not os.path.exists(video):
        return _of_library(library, library.one(video), vectors, index)
    with open_video(video) as opened:
        # What a file holds says which video it is, wherever it lies now.
        if library is not None and library.track_paths(opened.id):
            return _of_library(library, replace(library.video(opened.id), path=video), vectors, index)
        record = VideoRecord.of(opened)
        told = Library(cache / _TOLD / _digest(telling)) if cache is not None else None
        home = next((home for home in (Library(Path(video).parent), told) if _complete(home, record.id)), None)
        tracks = tuple(home.tracks(record.id)) if home is not None else _tell(opened, telling, progress)
        notes = [str(opened.damage)] if opened.damage else []
        if home is None and told is not None:
            notes += _kept(told, record, tracks)
    meaning = _Meaning(vectors, _own_cosines(told, record, tracks))
    return _Held(_told_of(record, tracks, meaning), meaning, tuple(notes))


def _tell(video: Video, telling: Mapping[str, Any], progress: Progress | None) -> tuple[Track, ...]:
    # Most questions are about what was told before, and need nothing of what telling needs.
    from longshot.captioning.recap import recap

    return tuple(recap(video, **telling, progress=progress))


def _complete(home: Library | None, video: str) -> bool:
    """Whether a folder holds the tracks of a video; its record is written last."""
    return (
        home is not None and (home.folder / "tracks" / video / "video.json").is_file() and bool(home.track_paths(video))
    )


def _kept(home: Library, record: VideoRecord, tracks: Sequence[Track]) -> list[str]:
    """Keep what was told for the next question; why it could not be kept, if so."""
    try:
        for track in tracks:
            home.save(track)
        home.save_video(record)
    except LongshotError as error:
        return [f"what was told of it was not kept, so the next question takes as long: {error}"]
    return []


def _digest(telling: Mapping[str, Any]) -> str:
    """Other options tell another story, which is kept apart."""
    said = json.dumps(dict(telling), sort_keys=True, default=str)
    return hashlib.blake2b(said.encode(), digest_size=4).hexdigest() if telling else "recap"


def _told_of(record: VideoRecord, tracks: Sequence[Track], meaning: _Meaning) -> Told:
    ends = [track.captions[-1].span.end for track in tracks if len(track)]
    duration = record.duration if record.duration is not None else max(ends, default=0.0)
    paths = [record.path, *(seen.path for seen in record.files)]
    there = next((path for path in paths if path and os.path.exists(path)), "")
    return Told(record.id, record.name, duration, tuple(tracks), there, meaning if meaning.wanted else None)


# --- from a library


def _of_library(library: Library, record: VideoRecord, vectors: str, index: Index | None) -> _Held:
    """A video of a library: by the index, or, where that does not help, by its tracks."""
    from longshot.tables import Index

    notes = []
    paths = [path for path in (record.path, *(seen.path for seen in record.files)) if path]
    if paths and not any(map(os.path.exists, paths)):
        notes.append(f"the file is not there any more ({record.path}); `longshot add` finds it where it is now")
    try:
        index = index or Index.open(library.folder)
        indexed = index.videos().get(record.id)
        if indexed is not None:
            meaning = _Meaning(vectors, _index_cosines(index, record.id))
            tracks = _tracks(index, indexed)
            return _Held(_told_of(record, tracks, meaning), meaning, tuple(notes))
        notes.append("the index does not hold this video yet; `longshot index` puts it in")
    except LongshotError as error:
        notes.append(f"read from the tracks: {' '.join(str(error).split())}")
    tracks = tuple(library.tracks(record.id))
    meaning = _Meaning(vectors, _own_cosines(library, record, tracks))
    return _Held(_told_of(record, tracks, meaning), meaning, tuple(notes))


def _tracks(index: Index, indexed: Indexed) -> tuple[Track, ...]:
    """The rows of a video in the index as tracks again; those of the last few videos are kept until they change."""
    key = (index.place, indexed.video, indexed.digest)
    with _LOCK:
        if key in _READ:
            return _READ[key]
    levels: dict[str, list[Caption]] = {}
    sources: dict[str, str] = {}
    for entry in index.entries(indexed.video):
        levels.setdefault(entry.level, []).append(Caption(entry.span, entry.text, None, {"id": entry.id}))
        sources.setdefault(entry.level, entry.source)
    tracks = tuple(
        Track(indexed.video, level, Source(sources[level]), tuple(captions), indexed.name, indexed.duration)
        for level, captions in levels.items()
    )
    with _LOCK:
        while len(_READ) >= _MOST_READ:
            del _READ[next(iter(_READ))]
        _READ[key] = tracks
    return tracks


# --- what means about the same


_READ: dict[tuple[str, str, str], tuple[Track, ...]] = {}
_MOST_READ = 4
_LOCK = Lock()

Cosines = Callable[[str, str, "list[str]"], tuple[Mapping[str, float], str]]
"""Of (query, who makes vectors, notes to add to): the cosine to each caption by id, and who made the vectors."""


@dataclass(slots=True)
class _Meaning:
    """The `near` of a video, which opens the encoder when it is asked, and remembers who it was."""

    vectors: str
    cosines: Cosines
    by: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        """Whether vectors are to be used at all."""
        return self.vectors != "none"

    def __call__(self, query: str) -> Mapping[str, float]:
        """The cosine of a query to captions, by id; empty where there is no encoder, which is then noted."""
        near, self.by = self.cosines(query, self.vectors, self.notes)
        return near


def _index_cosines(index: Index, video: str) -> Cosines:
    """Cosines to the nearest captions of a video in the index."""

    def cosines(query: str, vectors: str, notes: list[str]) -> tuple[Mapping[str, float], str]:
        from longshot.tables import Filter

        columns = {name: source for name, source in index.columns.items() if name.startswith("text_")}
        encoder = _encoder(vectors, notes) if columns else None
        if not columns:
            notes.append("the index has no text vectors: words alone were looked for")
        if encoder is None:
            return {}, ""
        mine = [name for name, source in columns.items() if _same(source, encoder.source)]
        if not mine:
            made = ", ".join(str(source.model) for source in columns.values())
            notes.append(f"words alone were looked for: the vectors of the index are by {made}, not {encoder.source}")
            return {}, ""
        row = encoder.encode_text([query])[0]
        near = index.near(mine[0], row, where=Filter(videos=(video,)), limit=NEAREST)
        return {entry.id: entry.score for entry in near}, encoder.source.model

    return cosines


def _own_cosines(home: Library | None, record: VideoRecord, tracks: Sequence[Track]) -> Cosines:
    """Cosines to every caption of some tracks, whose vectors are kept in `home`."""

    def cosines(query: str, vectors: str, notes: list[str]) -> tuple[Mapping[str, float], str]:
        encoder = _encoder(vectors, notes)
        if encoder is None:
            return {}, ""
        rows = _rows(encoder, home, record, [track for track in tracks if track.level != "shot"], notes)
        row = encoder.encode_text([query])[0]
        near = (np.stack(list(rows.values())) @ row).tolist() if rows else []
        return dict(zip(rows, near, strict=True)), encoder.source.model

    return cosines


def _rows(
    encoder: Encoder, home: Library | None, record: VideoRecord, tracks: Sequence[Track], notes: list[str]
) -> dict[str, NDArray[np.float32]]:
    """The vector of every caption by id: those that are kept, when there is a place for them; else made now."""
    if home is not None:
        from longshot.searching.fill import Fill

        fill = Fill(home.folder, text="none")
        fill.text = encoder
        fill.columns(_NO_INDEX)
        try:
            return fill.vectors(home, record, tracks).get("text", {})
        except LongshotError as error:
            notes.append(f"vectors were not kept, so the next question takes as long: {error}")
    named = {
        track.id_of(i): caption.text
        for track in tracks
        for i, caption in enumerate(track)
        if not is_bare(track.level, caption.text)
    }
    texts = list(dict.fromkeys(named.values()))
    made = dict(zip(texts, encoder.encode_text(texts), strict=True))
    return {id: made[text] for id, text in named.items()}


class _Columns:
    """Stands where `Fill` asks an index for the names of columns; here there is none."""

    def add_column(self, source: Source, kind: str, dimension: int) -> str:
        return kind


_NO_INDEX: Any = _Columns()


def _encoder(name: str, notes: list[str]) -> Encoder | None:
    """Who makes vectors of texts, or None with a note of why nobody does."""
    encoder, why = _open_text_encoder("" if name == "auto" else name)
    if encoder is None:
        notes.append(f"words alone were looked for: {why}")
    return encoder


def _open_text_encoder(name: str) -> tuple[Encoder | None, str]:
    from longshot.searching.fill import open_text_encoder

    return open_text_encoder(name)


def _same(one: Source, other: Source) -> bool:
    return (one.model, one.revision) == (other.model, other.revision)


# --- in words


def _how(finder: Finder, held: _Held) -> str:
    """How it was looked for, in words."""
    ways = f"{finder.source.model} over {_counted(held.told) or 'nothing'}"
    return f"{ways}, and text vectors of {held.meaning.by}" if held.meaning.by else ways


def _counted(told: Told) -> str:
    """What there is to look through: "12 lines of speech, 9 clips"."""
    counts = {track.level: len(track) for track in told.tracks if len(track) and track.level not in ("shot", "video")}
    lines = [f"{_some(counts.pop(level), 'line')} of {name}" for level, name in _LEVELS.items() if level in counts]
    return ", ".join([*lines, *(_some(count, level) for level, count in sorted(counts.items()))])


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _looked_through(told: Told) -> str:
    """What was looked through in vain, and what is not there to look through."""
    there = _counted(told)
    if not there:
        return "nothing is written down about this video, so there is nothing to find in it"
    levels = {track.level for track in told.tracks if len(track)}
    lacking = [name for level, name in _LEVELS.items() if level not in levels]
    return f"nothing like it in {there}" + (f"; there is no {' and no '.join(lacking)}" if lacking else "")

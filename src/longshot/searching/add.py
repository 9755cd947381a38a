"""Add videos to a library: everything that is told of them, and the index in which that is found.

    for added in add(["~/talks"], Library.open(create=True)):
        print(added.path, added.state, added.what)

Videos are known by content. What is written down here about a file (`Sighting`) lets the next run pass over it without
reading it; a file that moved is found again, one that changed is done anew and its old content leaves the index, one
that is gone is marked and stays searchable. Each step can be repeated, so a run that was killed is simply run again:
the journal says what was told, and the index says of each video which tracks it holds.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from longshot.contracts import Progress
from longshot.errors import FormatError, LongshotError, MediaError
from longshot.journal import Journal, State
from longshot.library import Library, Sighting, VideoRecord
from longshot.scaling.gather import gather
from longshot.scaling.verbs import JOURNAL, Done, ModelChoice, Shelf, Verb, content_of, each
from longshot.searching.index import digest_of, index_video, is_current
from longshot.tables import Index
from longshot.timeline import Track

if TYPE_CHECKING:
    from longshot.searching.fill import Fill

OWN_FOLDERS = ("tracks", "index", "vectors", "answers", "clips", "proxies")
"""Folders of a library in which nobody's videos are."""


@dataclass(frozen=True, slots=True)
class Added:
    """One video after `add`.

    path: as it was found. what: "new"; "again" when there was nothing to do; "redone" when it was told anew, because
    settings or subtitles changed; "moved" when its file was elsewhere before; "copy" of a file that is still there;
    "changed" when the path held another video before, `replaced`; "returned" when it had been gone; "missing" when
    its file is gone now. rows: captions that the index has of it. tracks: those that were made now.
    """

    path: str
    state: State
    what: str
    reason: str = ""
    trace: str = ""
    record: VideoRecord | None = None
    tracks: tuple[Track, ...] = ()
    rows: int = 0
    damage: str = ""
    replaced: str = ""


def add(
    names: Iterable[str],
    library: Library,
    *,
    describer: str = "observer",
    model: ModelChoice | None = None,
    segmenter: str = "shots",
    speech: str = "auto",
    language: str | None = None,
    screen: str = "auto",
    segment_seconds: float | None = None,
    device: str = "",
    fill: Fill | None = None,
    workers: int | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Iterator[Added]:
    """Add every new or changed video to a library: shots, captions, speech, screen text, recap, index.

    Args:
        names: videos, folders of videos, and patterns.
        library: where to.
        describer: as in `recap`, as are segmenter, speech, language, screen and segment_seconds.
        model: a chat model that tells instead of the describer.
        segmenter: who finds the shots.
        speech: where speech comes from.
        language: the language of the speech, when it is known.
        screen: who reads text on screen.
        segment_seconds: the length to aim at for segments.
        device: where engines run that can choose.
        fill: makes the vectors for the index; without one it can be searched for words alone.
        workers: videos at once.
        seconds: the time that one video may take.
        progress: called with the videos done so far, running ones in part, and their number.

    Raises before the first video: Busy when another process writes the library, UsageError when it cannot be written,
    LongshotError when its index is damaged. What is wrong with one video is said of it, and the others go on.
    """
    options = {
        "describer": describer,
        "segmenter": segmenter,
        "speech": speech,
        "language": language,
        "screen": screen,
        "segment_seconds": segment_seconds,
    }
    verb = Verb("recap", options, device, model=model)
    verb.check()
    names = list(names)
    found = gather(names, without=[library.folder / own for own in OWN_FOLDERS])
    given = {os.path.abspath(path): path for path in found.paths}
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(library.folder / JOURNAL))
        books = _Books(library, Index.open(library.folder, create=True), fill)
        shelf = Shelf(library.folder, journal, verb, identify=books.identify, reread=False)
        stack.enter_context(books.finishing())
        for problem in found.problems:
            yield Added("", State.UNREADABLE, "new", problem)
        results = each(verb, list(given), out=shelf, workers=workers, seconds=seconds, progress=progress)
        for done in stack.enter_context(closing(results)):
            added = replace(books.added(done), path=given[done.path])
            if added.record is not None and added.what != "again":
                library.push(f"tracks/{added.record.id}", JOURNAL)
            yield added
        yield from books.missing(_Scope.of(names))
        yield from books.rest()


@dataclass(frozen=True, slots=True)
class _Scope:
    """The places that the names of one command speak of, absolute."""

    files: Collection[str]
    folders: Sequence[str]
    patterns: Sequence[str]

    @classmethod
    def of(cls, names: Sequence[str]) -> _Scope:
        # What is gone may have been a folder.
        folders = [n for n in names if os.path.isdir(n) or not (os.path.lexists(n) or glob.has_magic(n))]
        patterns = [os.path.abspath(n) for n in names if glob.has_magic(n) and not os.path.lexists(n)]
        return cls(
            {os.path.abspath(name) for name in names},
            [os.path.join(os.path.abspath(folder), "") for folder in folders],
            patterns,
        )

    def __contains__(self, path: str) -> bool:
        return (
            path in self.files
            or any(path.startswith(folder) for folder in self.folders)
            or any(fnmatch.fnmatchcase(path, pattern) for pattern in self.patterns)
        )


class _Books:
    """What one run knows of the library's videos and their files, and writes down."""

    def __init__(self, library: Library, index: Index, fill: Fill | None) -> None:
        self._library = library
        self._index = index
        self._fill = fill
        self._records: dict[str, VideoRecord] = {}
        self._owners: dict[str, list[str]] = {}  # path: the videos that were seen there
        for video_id in library.ids():
            with suppress(
                FormatError
            ):  # a torn video.json is made again when its video comes up, and `verify` names it
                self._know(library.video(video_id))
        self._indexed = index.videos()
        self._columns = tuple(fill.columns(index).values()) if fill is not None else ()
        self._seen: dict[str, tuple[Sighting | None, str]] = {}

    def identify(self, path: str) -> str:
        """The content id of a file, which is not read when it looks as it did when it was; "" for none."""
        # Looked at before it is read: should it change meanwhile, it will look different next time.
        now = Sighting.of(path)
        for video_id in self._owners.get(path, ()):
            if now is not None and now in self._records[video_id].files:
                self._seen[path] = now, video_id
                return video_id
        self._seen[path] = now, content_of(path)
        return self._seen[path][1]

    def added(self, done: Done) -> Added:
        """Write down what became of a path, and index its video."""
        if done.record is None:
            return self._not_done(done)
        now, content = self._seen[done.path]
        before = self._records.get(done.record.id)
        # When it changed between our look and the work, nothing is known of how it looks.
        record = _placed(done.record, before, done.path, now if content == done.record.id else None)
        ousted = [self._records[other] for other in self._owners.get(done.path, ()) if other != record.id]
        what = "changed" if ousted else _what(before, done)
        self._save(record)
        added = Added(done.path, done.state, what, done.reason, done.trace, record, done.tracks, damage=done.damage)
        try:
            added = replace(added, rows=self._put(record))
        except (FormatError, MediaError) as error:
            added = replace(added, state=State.UNREADABLE, reason=_line(error))
        for other in ousted:
            if self._oust(other, done.path, record.id):
                added = replace(added, replaced=other.id)
        return added

    def missing(self, scope: _Scope) -> Iterator[Added]:
        """Mark the videos in a scope of which no file is there any more."""
        for record in list(self._records.values()):
            seen = [file.path for file in record.files]
            if record.state == "here" and any(path in scope for path in seen) and not any(map(os.path.exists, seen)):
                yield self._mark_missing(record, State.DONE, f"{record.path}: the file is gone")

    def rest(self) -> Iterator[Added]:
        """Bring the index in line with the library where a run was killed, or the index was made anew."""
        # A video whose video.json is torn is in the library all the same.
        torn = set(self._library.ids()) - self._records.keys()
        kept = {record.id for record in self._records.values() if record.searchable}
        for video_id in self._indexed.keys() - kept - torn:
            self._drop(video_id)
        for record in list(self._records.values()):
            if record.searchable and record.id not in self._indexed:
                try:
                    self._put(record)
                except (FormatError, MediaError) as error:
                    yield Added(record.path, State.UNREADABLE, "again", _line(error), record=record)

    def finishing(self) -> ExitStack:
        """On leaving, whatever happened, bring the search indexes up to date."""
        stack = ExitStack()
        stack.push(self._finish)
        return stack

    def _finish(self, kind: object, error: BaseException | None, trace: object) -> None:
        first_trouble = error is not None and not isinstance(error, GeneratorExit)
        with suppress(LongshotError) if first_trouble else nullcontext():  # the first is the one to tell of
            self._index.finish()
            self._library.push()

    def _not_done(self, done: Done) -> Added:
        now, content = self._seen.get(done.path, (None, ""))
        known = [self._records[owner] for owner in self._owners.get(done.path, ()) if owner != content]
        added = Added(done.path, done.state, "changed" if known else "new", done.reason, done.trace, damage=done.damage)
        for record in known:
            if now is None and not os.path.lexists(done.path) and not any(f.stands for f in record.files):
                return self._mark_missing(record, done.state, done.reason)
            self._oust(record, done.path, "")
        return added

    def _mark_missing(self, record: VideoRecord, state: State, reason: str) -> Added:
        record = replace(record, state="missing")
        self._save(record)
        rows = self._indexed[record.id].rows if record.id in self._indexed else 0
        said = f"{reason}; what was told of it can still be searched"
        return Added(record.path, state, "missing", said, record=record, rows=rows)

    def _oust(self, record: VideoRecord, path: str, by: str) -> bool:
        """Take a path from a video that is no longer there; whether the video was replaced by another one then."""
        left = tuple(file for file in record.files if file.path != path and file.stands)
        if left:
            self._save(replace(record, files=left, path=left[0].path, name=Path(left[0].path).name, state="here"))
            self._put(self._records[record.id])
        elif by:
            self._save(replace(record, files=(), state="replaced", by=by))
            self._drop(record.id)
        else:
            self._save(replace(record, state="missing"))
        return bool(by) and not left

    def _put(self, record: VideoRecord) -> int:
        """Index a video unless the index has it as it is; how many captions that are."""
        known = self._indexed.get(record.id)
        if known and is_current(known, record, digest_of(self._library, record.id), self._columns):
            return known.rows
        index_video(self._library, self._index, record.id, fill=self._fill)
        self._indexed = self._index.videos()
        return self._indexed[record.id].rows

    def _drop(self, video_id: str) -> None:
        if self._indexed.pop(video_id, None) is not None:
            self._index.drop(video_id)

    def _save(self, record: VideoRecord) -> None:
        if self._records.get(record.id) != record:
            self._library.save_video(record)
        self._know(record)

    def _know(self, record: VideoRecord) -> None:
        before = self._records.get(record.id)
        for file in before.files if before else ():
            self._owners[file.path].remove(record.id)
        for file in record.files:
            self._owners.setdefault(file.path, []).append(record.id)
        self._records[record.id] = record


def _placed(made: VideoRecord, before: VideoRecord | None, path: str, now: Sighting | None) -> VideoRecord:
    """A video's record with its file at `path`, besides the others of it that are still there."""
    files = {file.path: file for file in (before.files if before else ()) if os.path.exists(file.path)}
    files.pop(path, None) if now is None else files.update({path: now})
    first = next((file.path for file in files.values() if file.stands), path)
    return replace(made, files=tuple(files.values()), path=first, name=Path(first).name, state="here", by="")


def _what(before: VideoRecord | None, done: Done) -> str:
    """What a video that is done was to the library before."""
    if before is None:
        return "new"
    seen = [file.path for file in before.files]
    if seen and done.path not in seen:
        return "copy" if any(map(os.path.exists, seen)) else "moved"
    if before.state != "here":
        return "returned"
    return "again" if done.again else "redone"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())

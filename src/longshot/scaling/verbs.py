"""One verb over many videos, kept in a library, with a journal so that a second run does only what is missing.

    verb = Verb("recap", {"speech": "none"})
    for done in each(verb, ["a.mp4", "b.mp4"], out="library"):
        print(done.path, done.state, [track.level for track in done.tracks])

With `out`, tracks lie in `<out>/tracks/<video id>/`, the journal in `<out>/journal.jsonl`. Work is known by the
video's content, the verb and its settings: a renamed file is not done again, changed settings are.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import os
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from longshot import __version__, languages, registry
from longshot.contracts import Loading, Progress
from longshot.errors import FormatError, LongshotError, MediaError, MissingPackage, ModelError, UsageError
from longshot.journal import Journal, Result, State
from longshot.library import Library, VideoRecord, video_beside
from longshot.prompts import load_prompt
from longshot.scaling.local import Outcome, run
from longshot.timeline import Track

if TYPE_CHECKING:
    from longshot.asking import Desk
    from longshot.captioning.describe import Watched
    from longshot.video import Video

JOURNAL = "journal.jsonl"
ANSWERS = "answers"
"""The folder of a library that keeps what models answered, one journal a video."""
SHELF_OF = {"segmenter": "segmenters", "describer": "describers", "speech": "transcribers", "screen": "readers"}
"""Which shelf an option of a verb chooses from."""
_LOOK_OPTIONS = ("segmenter", "speech", "language", "screen")
_TELL_OPTIONS = ("every", "clips", "segment_seconds")
_EVERY_SHELF_ALSO_HAS = {"transcribers": ("auto", "none"), "readers": ("auto", "none")}


@dataclass(frozen=True, slots=True)
class Made:
    """What a verb made of one video. damage: what could not be read of it, one line or "". clips: files cut."""

    record: VideoRecord
    tracks: tuple[Track, ...]
    damage: str = ""
    clips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A chat model that tells: its name, how it is put on this machine, its generation options, what it is shown.

    prompt, frames: as in `describe`. answers: a folder for the journals of its answers; without one, and without a
    library to write into, nothing that was answered outlives the process.
    """

    name: str
    loading: Loading = field(default_factory=Loading)
    settings: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = "clip"
    frames: int = -1
    answers: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """All of it that changes what is said."""
        said = {"name": self.name, "settings": dict(self.settings), "frames": self.frames, "bits": self.loading.bits}
        return said | {"dtype": self.loading.dtype, "prompt": load_prompt(self.prompt).digest}


@dataclass(frozen=True)
class Verb:
    """A verb with its settings, to be called on one path after the other, in any process.

    name: "segment", "describe", "transcribe" or "recap". options: keyword arguments of that function. device: where
    engines that can choose run; not part of the settings, because it does not change what is meant. cut: also write
    the spans as files, into `<out>/clips/<video id>`; exact: as in `cut`.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str = ""
    cut: str = ""
    exact: bool = True
    model: ModelChoice | None = None

    def __call__(self, path: str, progress: Progress) -> Made:
        """Do it. Raises what the verb raises."""
        from longshot.video import open_video

        function = getattr(importlib.import_module(f"longshot.captioning.{self.name}"), self.name)
        options = dict(self.options)
        if self.device and "device" in inspect.signature(function).parameters:
            options["device"] = self.device
        with open_video(path) as video:
            made = function(video, **options, progress=progress)
            tracks = (made,) if isinstance(made, Track) else tuple(made)
            clips = self._clips(video, tracks[0], progress) if self.cut else ()
            return Made(VideoRecord.of(video), tracks, str(video.damage) if video.damage else "", clips)

    def look(self, path: str, progress: Progress) -> tuple[Watched, str]:
        """The part that needs no model: watch and hear one video. Also what was damaged in it, one line or ""."""
        from longshot.captioning import describe as describing
        from longshot.video import open_video

        with open_video(path) as video:
            if self.name == "describe":
                describing.need_pictures(video)
            wanted = {name: self.options[name] for name in _LOOK_OPTIONS if name in self.options}
            watched = describing.look(video, describer=None, **wanted, progress=progress)
            return watched, str(video.damage) if video.damage else ""

    def tell(self, watched: Watched, damage: str, desk: Desk, answers: Path | None) -> Made:
        """The part that asks: every caption of one video that was watched."""
        assert self.model is not None
        how = self.model
        module = importlib.import_module(f"longshot.captioning.{self.name}")
        chat = registry.load("describers", "chat", model=desk, prompt=how.prompt, frames=how.frames, answers=answers)
        wanted = {name: self.options[name] for name in _TELL_OPTIONS if name in self.options}
        made = module.tell(replace(watched, describer=chat), **wanted)
        tracks = (made,) if isinstance(made, Track) else tuple(made)
        return Made(VideoRecord.of(watched.video), tracks, damage)

    def check(self) -> None:
        """Refuse what no video could be done with. Raises UsageError or MissingPackage."""
        if self.model is not None:
            load_prompt(self.model.prompt)
        for option, shelf in SHELF_OF.items():
            name = self.options.get(option)
            if isinstance(name, str) and name not in _EVERY_SHELF_ALSO_HAS.get(shelf, ()):
                _check_choice(shelf, name, option)
        language = self.options.get("language")
        if language is not None and not languages.known(language):
            raise UsageError(f"no language called {language!r}: give a code or an English name, as en, pt-BR or German")

    @cached_property
    def settings(self) -> str:
        """The settings as 16 hex digits. Longshot's version is one: another version may say something else.

        So is what "auto" may choose from here: after an install the same command has more to say.
        """
        ready = {
            option: [name for name, choice in registry.choices(SHELF_OF[option]).items() if not choice.missing]
            for option in self._left_open
        }
        said = {**self.options, "version": __version__, "cut": bool(self.cut), "exact": self.exact, "ready": ready}
        said |= {"model": self.model.identity} if self.model else {}
        text = json.dumps(said, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def key(self, path: str, content: str | None = None) -> str:
        """The journal's name for this verb on this video; the path stands in for the content of what is no file.

        content: its id, where it is known already.
        """
        key = f"{(content_of(path) if content is None else content) or path}/{self.name}/{self.settings}"
        if "speech" not in self._left_open and self.options.get("speech") != "sidecar":
            return key
        files = registry.module("transcribers", "sidecar").beside(Path(path))
        return "/".join([key, *(content_of(str(file)) for file in files)])

    @property
    def _left_open(self) -> list[str]:
        """The options in which the program chooses by itself."""
        choosing = {"recap": ("speech", "screen"), "describe": ("speech", "screen"), "transcribe": ("speech",)}
        return [name for name in choosing.get(self.name, ()) if self.options.get(name, "auto") == "auto"]

    def _clips(self, video: Video, track: Track, progress: Progress) -> tuple[str, ...]:
        from longshot.captioning.cut import cut

        folder = Path(self.cut) / video.id
        return tuple(str(clip) for clip in cut(video.path, track, folder, exact=self.exact, progress=progress))


@dataclass(frozen=True, slots=True)
class Done:
    """One video after the work. again: it was finished by an earlier run. reason: why it is not done, one line."""

    path: str
    state: State
    reason: str = ""
    trace: str = ""
    again: bool = False
    record: VideoRecord | None = None
    tracks: tuple[Track, ...] = ()
    damage: str = ""
    clips: tuple[str, ...] = ()


def each(
    verb: Verb,
    paths: Sequence[str],
    *,
    out: str | os.PathLike[str] | Shelf | None = None,
    workers: int | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Generator[Done, None, None]:
    """Do a verb on every video and give the results in the order of the paths.

    Args:
        verb: what to do.
        paths: video files.
        out: a library to write into and to resume from, or one that the caller holds open as a `Shelf`; without one
            everything is only returned.
        workers: processes; by default as many as cores and free memory allow.
        seconds: the time that one video may take.
        progress: called with the videos done so far, running ones in part, and their number.

    Raises UsageError or MissingPackage before the first video when the verb cannot be done at all, Busy when another
    process writes into `out`.
    """
    verb.check()
    if verb.model is not None:
        yield from each_told(verb, paths, out=out, workers=workers, seconds=seconds, progress=progress)
        return
    with ExitStack() as stack:
        shelf = _shelf(verb, out, stack)
        outcomes = run(
            verb,
            paths,
            identify=shelf.key if shelf else str,
            journal=shelf.journal if shelf else None,
            keep=shelf.keep if shelf else None,
            valid=shelf.stands if shelf else None,
            workers=workers,
            seconds=seconds,
            progress=progress,
        )
        for outcome in stack.enter_context(closing(outcomes)):
            yield _done(outcome, shelf)


def each_told(
    verb: Verb,
    paths: Sequence[str],
    *,
    out: str | os.PathLike[str] | Shelf | None,
    workers: int | None,
    seconds: float | None,
    progress: Progress | None,
) -> Generator[Done, None, None]:
    """As `each`, for a verb that asks a chat model.

    Videos are watched in processes of their own, as many as suit the machine; the model is in this process, once, and
    is asked about several videos at the same time, so that its batches and slots are full. Each answer is on the disk
    as soon as it has come.
    """
    from longshot.asking import Desk
    from longshot.models import open_chat_model

    choice = verb.model
    assert choice is not None
    with ExitStack() as stack:
        shelf = _shelf(verb, out, stack)
        known = {path: shelf.finished(path) for path in paths} if shelf else {}
        waiting = [path for path in dict.fromkeys(paths) if known.get(path) is None]
        desk = None
        if waiting:
            model = open_chat_model(choice.name, loading=choice.loading, settings=choice.settings)
            desk = stack.enter_context(Desk(model))
        teller = _Teller(verb, desk, shelf, _answers_folder(choice, shelf), len(paths), progress)
        teller.done = len(paths) - len(waiting)
        pool = stack.enter_context(ThreadPoolExecutor(max_workers=teller.width))
        outcomes = stack.enter_context(
            closing(run(verb.look, waiting, workers=workers, seconds=seconds, progress=teller.watched))
        )
        told: dict[str, Future[Done]] = {}
        due = deque(paths)

        def finished() -> Iterator[Done]:
            while due and (known.get(due[0]) is not None or (due[0] in told and told[due[0]].done())):
                path = due.popleft()
                result = known.get(path)
                if result is not None and shelf is not None:
                    yield _done(Outcome(path, result, again=True), shelf)
                else:
                    yield told.pop(path).result()

        yield from finished()
        for outcome in outcomes:
            told[outcome.item] = pool.submit(teller, outcome)
            unfinished = [future for future in told.values() if not future.done()]
            if len(unfinished) >= 4 * teller.width:  # watched videos that wait take memory
                wait(unfinished, return_when=FIRST_COMPLETED)
            yield from finished()
        while due:
            wait([told[due[0]]])
            yield from finished()


class _Teller:
    """Tells videos that were watched, each in a thread, and writes down what became of it."""

    def __init__(
        self,
        verb: Verb,
        desk: Desk | None,
        shelf: Shelf | None,
        answers: Path | None,
        total: int,
        progress: Progress | None,
    ) -> None:
        self.verb = verb
        self.desk = desk
        self.shelf = shelf
        self.answers = answers
        self.total = total
        self.done = 0
        self._progress = progress
        self._seen = 0.0
        self._lock = Lock()

    @property
    def width(self) -> int:
        """How many videos are told at once: enough to fill the model even when each has one question."""
        model = self.desk.model if self.desk else None
        return min(64, max(4, 2 * model.slots * model.batch)) if model else 1

    def __call__(self, outcome: Outcome[str]) -> Done:
        """Tell one video; what `look` could not open stays what it was."""
        path = outcome.item
        if outcome.result.state is not State.DONE:
            return self._end(
                path, outcome.result, Done(path, outcome.result.state, outcome.result.reason, outcome.trace)
            )
        watched, damage = outcome.result.value
        assert self.desk is not None
        answers = self.answers / f"{watched.video.id}.jsonl" if self.answers else None
        try:
            with watched.video:
                made = self.verb.tell(watched, damage, self.desk, answers)
        except ModelError:
            raise
        except LongshotError as error:
            state = State.UNREADABLE if isinstance(error, MediaError) else State.FAILED
            result = Result(state, None, " ".join(str(error).split()))
            return self._end(path, result, Done(path, state, result.reason))
        return self._keep(path, made)

    def watched(self, done: float, total: float, /) -> None:
        """The progress of watching, which is half of the way."""
        self._seen = done
        self._report()

    def _keep(self, path: str, made: Made) -> Done:
        """Write the tracks; a video whose model left some captions out is not done, but keeps those that came."""
        state, reason = _state_of(path, made)
        with self._lock:
            value = self.shelf.keep(path, made) if self.shelf else None
        result = Result(state, value if state is State.DONE else None, reason)
        done = Done(path, state, reason, "", False, made.record, made.tracks, made.damage)
        return self._end(path, result, done)

    def _end(self, path: str, result: Result, done: Done) -> Done:
        with self._lock:
            if self.shelf is not None:
                self.shelf.journal.record(self.shelf.key(path), result)
            self.done += 1
        self._report()
        return done

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(min(self.total, 0.5 * self._seen + 0.5 * self.done), self.total)


def _state_of(path: str, made: Made) -> tuple[State, str]:
    """What became of a video whose captions a model gave, or did not give.

    Some that failed: the video failed, and the next run asks for them alone. All refused, or unreadable: so is the
    video. Otherwise it is done, and its tracks say what is not there.
    """
    asked = [c for track in made.tracks if track.level not in ("shot", "speech", "screen") for c in track]
    lost = [caption for caption in asked if caption.details.get("state")]
    failed = [caption for caption in lost if caption.details["state"] == State.FAILED.value]
    # Tracks go from coarse to fine, and a level fails with the one below it: the last names the cause.
    if failed:
        why = failed[-1].details.get("reason", "")
        return (
            State.FAILED,
            f"{path}: {len(failed)} of {len(asked)} captions failed ({why}); repeat the command to ask again",
        )
    if lost and len(lost) == len(asked):
        return State(lost[-1].details["state"]), f"{path}: no caption was given ({lost[-1].details.get('reason', '')})"
    return State.DONE, ""


def _answers_folder(choice: ModelChoice, shelf: Shelf | None) -> Path | None:
    if choice.answers:
        return Path(choice.answers)
    return shelf.library.folder / ANSWERS if shelf is not None else None


def _shelf(verb: Verb, out: str | os.PathLike[str] | Shelf | None, stack: ExitStack) -> Shelf | None:
    if out is None or isinstance(out, Shelf):
        return out
    return Shelf(Path(out), stack.enter_context(Journal(Path(out) / JOURNAL)), verb)


class Shelf:
    """The library of one run with its journal: what is written, and whether an earlier result still stands.

    identify: gives the content id of a path, where the caller knows it without reading the file. reread: give the
    tracks of videos that an earlier run finished; without, they are not even opened.
    """

    def __init__(
        self,
        out: Path,
        journal: Journal,
        verb: Verb,
        *,
        identify: Callable[[str], str] | None = None,
        reread: bool = True,
    ) -> None:
        self.library = Library(out)
        self.journal = journal
        # The journal's lock is held, so a partly written file here belongs to a run that was killed.
        for partial in (out / "tracks").glob("*/.*.part"):
            partial.unlink(missing_ok=True)
        self._verb = verb
        self._identify = content_of if identify is None else identify
        self.reread = reread
        # Two verbs, or two settings, may write one level; the later one owns the file.
        self._owners: dict[tuple[str, str], str] = {}
        for key, result in journal.done().items():
            self._own(key, result.value)
        self._keys: dict[str, str] = {}

    def key(self, path: str) -> str:
        """The verb's key for a path, its content read once."""
        if path not in self._keys:
            self._keys[path] = self._verb.key(path, self._identify(path))
        return self._keys[path]

    def finished(self, path: str) -> Result | None:
        """The result of an earlier run that still stands, or None."""
        result = self.journal.result(self.key(path))
        return result if result and result.state is State.DONE and self.stands(path, result) else None

    def keep(self, path: str, made: Made) -> dict[str, Any]:
        """Write what was made, and say in plain JSON what that was."""
        for track in made.tracks:
            self.library.save(track)
        self.library.save_video(self._still_known(made.record))
        value: dict[str, Any] = {
            "video": made.record.id,
            "path": path,
            "levels": [track.level for track in made.tracks],
        }
        value |= {"device": self._verb.device} if self._verb.device else {}
        value |= {"damage": made.damage} if made.damage else {}
        value |= {"clips": list(made.clips)} if made.clips else {}
        self._own(self.key(path), value)
        return value

    def stands(self, path: str, result: Result) -> bool:
        """Whether the files of a finished result are there and are still its own."""
        key, video = self.key(path), result.value["video"]
        return all(
            self._owners.get((video, level)) == key and self.library.path_of(video, level).exists()
            for level in result.value["levels"]
        ) and all(Path(clip).exists() for clip in result.value.get("clips", ()))

    def tracks(self, result: Result) -> tuple[Track, ...]:
        """The tracks of a finished result, from the library, in their order."""
        by_level = {track.level: track for track in self.library.tracks(result.value["video"])}
        return tuple(by_level[level] for level in result.value["levels"])

    def record(self, path: str, video_id: str) -> VideoRecord:
        """What the library knows of a video that is done; where that is torn or gone, the file at `path` tells again.

        Raises MediaError when it does not.
        """
        from longshot.video import open_video

        known = self._known(video_id)
        if known is None:
            with open_video(path) as video:
                known = replace(VideoRecord.of(video), id=video_id)
        return known

    def _known(self, video_id: str) -> VideoRecord | None:
        with suppress(FormatError):  # torn: what it said is to be had again from the video
            return video_beside(self.library.path_of(video_id, "video"))
        return None

    def _still_known(self, record: VideoRecord) -> VideoRecord:
        """A new record with what the library knew of the files before."""
        known = self._known(record.id)
        return record if known is None else replace(record, files=known.files, state=known.state, by=known.by)

    def _own(self, key: str, value: Mapping[str, Any]) -> None:
        for level in value["levels"]:
            self._owners[value["video"], level] = key


def _done(outcome: Outcome[str], shelf: Shelf | None) -> Done:
    path, result = outcome.item, outcome.result
    if result.state is not State.DONE:
        return Done(path, result.state, result.reason, outcome.trace)
    if shelf is None:
        made: Made = result.value
        return Done(path, State.DONE, "", "", False, made.record, made.tracks, made.damage, made.clips)
    value = result.value
    return Done(
        path,
        State.DONE,
        again=outcome.again,
        record=shelf.record(path, value["video"]),
        tracks=shelf.tracks(result) if shelf.reread or not outcome.again else (),
        damage=value.get("damage", ""),
        clips=tuple(value.get("clips", ())),
    )


def content_of(path: str) -> str:
    """The video's id; "" for what is no regular file or cannot be read: opening it will say why."""
    from longshot.video import content_id

    try:
        return content_id(Path(path)) if stat.S_ISREG(os.stat(path).st_mode) else ""
    except (OSError, ValueError):
        return ""


def _check_choice(shelf: str, name: str, option: str) -> None:
    known = registry.choices(shelf)
    if name not in known:
        names = [*_EVERY_SHELF_ALSO_HAS.get(shelf, ()), *sorted(known)]
        close = get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"no {option} called {name!r}: there are {', '.join(names)}{hint}")
    if known[name].missing:
        raise MissingPackage(known[name].missing[0], known[name].extra)

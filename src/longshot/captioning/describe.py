"""Put a video into words: one description of all of it, or a track of them.

    describe("talk.mp4")                             # one caption over the whole video, level "video"
    describe("talk.mp4", every="shot")               # one for each shot
    describe("talk.mp4", every=4.0)                  # one for every four seconds, level "clip"
    describe("talk.mp4", model="Qwen/Qwen2-VL-2B-Instruct")   # in the words of a chat model

The file is decoded once: shots, the describer's statistics, the reading of text and the sampled pictures all come
from the same pass, with the speech transcribed beside it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

import numpy as np

from longshot import registry
from longshot.captioning.segment import as_track
from longshot.captioning.transcribe import hear
from longshot.captioning.watch import watch
from longshot.clips import ClipRules, apply, preset
from longshot.contracts import (
    ChatModel,
    Describer,
    Frames,
    Glance,
    Progress,
    Scene,
    Segmenter,
    TextReader,
    TextWatcher,
    Watcher,
)
from longshot.errors import MediaError, NoPictures, UsageError
from longshot.looks import Look
from longshot.timeline import Caption, Source, Span, Track
from longshot.video import PictureList, Video, open_video

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longshot.asking import Desk

_FRAME = 0.05  # seconds; what is left of a frame at each end of a text that was read
_KEPT_BYTES = 128 << 20  # pictures that are held for a describer that looks at them


@runtime_checkable
class LooksAtPictures(Protocol):
    """A describer that wants pictures in its scenes says how many, and how high."""

    @property
    def pictures(self) -> int:
        """How many pictures of a scene it wants at most."""
        ...

    @property
    def height(self) -> int:
        """The height in pixels that it wants them to have."""
        ...


@runtime_checkable
class ChoosesMoments(Protocol):
    """A describer that says which moments of a scene it wants to see, later, when it describes it."""

    @property
    def height(self) -> int:
        """The height in pixels that it wants the pictures to have."""
        ...

    def sample(self, span: Span) -> list[float]:
        """The seconds of a scene that it wants to see; none for a describer that only reads."""
        ...


@dataclass(frozen=True, slots=True)
class Watched:
    """What one pass over a video, and one hearing of it, gave.

    end: the exact end of the pictures in seconds (of the sound, when there are none). shots: None without pictures.
    strengths: how sure each boundary between shots is, when the segmenter tells. speech, screen: None when not looked
    for or not to be had; `notes` then says why, one sentence each.
    """

    video: Video
    end: float
    shots: Track | None
    speech: Track | None
    screen: Track | None
    describer: Describer | None
    pictures: PictureKeeper | None = None
    strengths: Sequence[float] | None = None
    notes: tuple[str, ...] = ()

    def scene(self, span: Span, finer: Sequence[Caption] = ()) -> Scene:
        """Everything known about a span, as a describer wants it."""
        return Scene(
            span=span,
            frames=self.pictures.within(span, self.video) if self.pictures else None,
            look=self._look(span),
            speech=self.speech.overlapping(span) if self.speech else (),
            screen_text=tuple(text for text in self.screen.overlapping(span) if _is_shown(text, span))
            if self.screen
            else (),
            finer=tuple(finer),
        )

    def _look(self, span: Span) -> Look | None:
        describer: object = self.describer
        if self.shots is None or not isinstance(describer, ChoosesMoments):
            return None
        times = describer.sample(span)
        return Look(self.video, tuple(times), describer.height) if times else None

    def track(self, level: str, source: Source, captions: Sequence[Caption]) -> Track:
        """A track of this video."""
        return Track(self.video.id, level, source, tuple(captions), self.video.name, self.end)


def _is_shown(text: Caption, span: Span) -> bool:
    """Whether a text on screen is surely seen in a span: a slide that begins with the next shot may seem to begin a
    little before it, by as much as its times are unsure.
    """
    within = (float(text.details.get(f"{side}_within", 0.0)) for side in ("start", "end"))
    early, late = (unsure + _FRAME if unsure else 0.0 for unsure in within)
    if text.span.length <= early + late:
        return text.span.middle in span or text.span.overlap(span) > text.span.length / 2
    return Span(text.span.start + early, text.span.end - late).overlap(span) > 0


def describe(
    video: str | os.PathLike[str] | Video,
    *,
    every: str | float = "video",
    describer: str | Describer = "observer",
    model: str | ChatModel | Desk | None = None,
    prompt: str = "clip",
    frames: int = -1,
    answers: str | os.PathLike[str] | None = None,
    segmenter: str | Segmenter = "shots",
    speech: str = "auto",
    language: str | None = None,
    screen: str | bool = "auto",
    progress: Progress | None = None,
) -> Track:
    """Describe a video: as a whole, shot by shot, clip by clip, or every so many seconds.

    Args:
        video: a file, or a video that is already open.
        every: "video", "shot", "clip" (shots made even in length), or seconds such as 4.0.
        describer: who puts scenes into words; a name from `longshot list describers`.
        model: a chat model to ask: a folder, a hub id, or a server such as http://127.0.0.1:8000/v1#name.
        prompt: what the model is asked; a name such as clip or describe, or a text file.
        frames: how many frames of a scene the model sees; -1 is one a second, 8 at least and 32 at most.
        answers: a journal of the model's answers, so that none is asked for twice.
        segmenter: who finds the shots.
        speech: where speech comes from; "auto" takes the best there is, "none" takes none.
        language: the language of the speech, such as "en", when it is known.
        screen: who reads text on screen; "auto" reads when a reader is installed, "none" does not.
        progress: called with seconds done and in all.

    Returns a track of level "video", "shot" or "clip". A caption that a model did not give is empty, and its details
    say its state and reason. Raises UsageError for an `every` that cannot be meant, NoPictures for a file without
    pictures, MediaError for one that cannot be used, ModelError for a model that cannot be asked.
    """
    _rules(every)
    video = video if isinstance(video, Video) else open_video(video)
    need_pictures(video)
    teller = teller_of(describer, model, prompt=prompt, frames=frames, answers=answers)
    watched = look(
        video,
        describer=teller,
        segmenter=segmenter,
        speech=speech,
        language=language,
        screen=screen,
        progress=progress,
    )
    return tell(watched, every=every)


def tell(watched: Watched, *, every: str | float = "video") -> Track:
    """The description of a video that was watched, by its describer; `every` as in `describe`."""
    describer = watched.describer
    assert describer is not None
    rules = _rules(every)
    level = every if isinstance(every, str) else "clip"
    captions = describe_spans(watched, _spans(watched, level, rules))
    made = describer.source
    notes = (made.note, *watched.notes, *lost(captions))
    settings = {**made.settings, "every": every}
    source = replace(made, verb="describe", settings=settings, note="; ".join(note for note in notes if note))
    return watched.track(level, source, captions)


def teller_of(
    describer: str | Describer,
    model: str | ChatModel | Desk | None,
    *,
    prompt: str = "clip",
    frames: int = -1,
    answers: str | os.PathLike[str] | None = None,
) -> Describer:
    """Who describes: the describer, or the one that asks the model when there is one."""
    if model is not None and describer in ("observer", "chat"):
        chat = registry.load("describers", "chat", model=model, prompt=prompt, frames=frames, answers=answers)
        return cast(Describer, chat)
    return cast(Describer, registry.load("describers", describer)) if isinstance(describer, str) else describer


def lost(captions: Iterable[Caption]) -> tuple[str, ...]:
    """What a model did not answer, in words: ("2 of 40 captions failed",)."""
    states = [str(caption.details.get("state", "")) for caption in captions]
    counts = Counter(state for state in states if state)
    return tuple(f"{count} of {len(states)} captions {state}" for state, count in sorted(counts.items()))


def need_pictures(video: Video) -> None:
    """Refuse a file of sound alone. Raises NoPictures."""
    if not video.has_video:
        raise NoPictures(video.path, "holds sound but no pictures to describe; its speech can be transcribed")


def look(
    video: Video,
    *,
    describer: str | Describer | None = "observer",
    segmenter: str | Segmenter = "shots",
    speech: str = "auto",
    language: str | None = None,
    screen: str | bool = "auto",
    progress: Progress | None = None,
) -> Watched:
    """Watch a video once and hear it once, at the same time; arguments as in `describe`.

    describer: None when it is to be described by one that need not watch. A file without pictures is only heard.
    """
    teller = registry.load("describers", describer) if isinstance(describer, str) else describer
    parts = _Parts(progress, video.duration)
    with ThreadPoolExecutor(max_workers=1) as beside:
        hearing = beside.submit(_hear, video, speech=speech, language=language, progress=parts.part())
        if not video.has_video:
            heard = hearing.result()
            end = video.duration or max((caption.span.end for caption in heard.track or ()), default=0.0)
            return Watched(video, end, None, heard.track, None, teller, notes=heard.notes)
        seen = _see(video, teller, segmenter=segmenter, screen=screen, progress=parts.part())
        heard = hearing.result()
    return replace(seen, speech=heard.track, notes=(*heard.notes, *seen.notes))


def describe_spans(watched: Watched, spans: Sequence[Span]) -> list[Caption]:
    """One caption for each span, in order, by the describer that watched the pass."""
    assert watched.describer is not None
    captions: list[Caption] = []
    batch = _BATCH if watched.pictures else max(len(spans), 1)
    for first in range(0, len(spans), batch):
        some = spans[first : first + batch]
        scenes = [watched.scene(span, watched.shots.overlapping(span) if watched.shots else ()) for span in some]
        told = watched.describer.describe(scenes)
        captions += [
            Caption(span, description.text, description.score, description.details)
            for span, description in zip(some, told, strict=True)
        ]
    return captions


_BATCH = 64  # scenes with pictures that are put to a describer at once; without pictures all are, for it to compare


def clip_spans(watched: Watched, rules: ClipRules) -> list[Span]:
    """The clips of a watched video by the given rules: from 0 to the end, at least one."""
    shots = [caption.span for caption in watched.shots or ()]
    return apply(shots, rules, end=watched.end, strengths=watched.strengths) or [Span(0.0, watched.end)]


@dataclass(frozen=True, slots=True)
class _Speech:
    track: Track | None
    notes: tuple[str, ...] = ()


def _hear(video: Video, *, speech: str, language: str | None, progress: Progress | None) -> _Speech:
    if speech == "none":
        return _Speech(None)
    # A Video serves one thread at a time, and the other one is busy looking at this one.
    shared = isinstance(video, PictureList) or not video.has_video
    own = video if shared else open_video(video.path)
    track = hear(own, speech=speech, language=language, progress=progress).track
    if not shared:
        own.close()
    if len(track):
        return _Speech(track)
    # A silent file needs no list of everybody who could not hear it.
    why = track.source.note if video.has_audio else track.source.note.partition(";")[0]
    return _Speech(None, (f"no speech: {why or 'nobody speaks'}",))


def _see(
    video: Video, teller: Describer | None, *, segmenter: str | Segmenter, screen: str | bool, progress: Progress | None
) -> Watched:
    cutter = registry.load("segmenters", segmenter) if isinstance(segmenter, str) else segmenter
    reader, notes = _reader(screen)
    cuts = cutter.watch(video)
    words = reader.watch(video) if reader else None
    pictures = PictureKeeper(teller.pictures) if isinstance(teller, LooksAtPictures) else None
    heights = [256, reader.height if reader else 0, teller.height if isinstance(teller, LooksAtPictures) else 0]
    watchers: list[Watcher] = [cuts, *(other for other in (teller, words, pictures) if other is not None)]
    end = watch(video, watchers, every=0.5, height=max(heights), progress=progress)
    spans = cuts.finish(end)
    if not spans:
        raise MediaError(video.path, "not one picture in it can be decoded, so there is nothing to describe")
    strengths = getattr(cuts, "strengths", None)
    text = _screen(video, reader, words, end)
    unread = ("no text on screen was found",) if text is not None and not text else ()
    damage = (str(video.damage),) if video.damage else ()
    return Watched(
        video,
        end,
        shots=as_track(video, spans, cutter.source),
        speech=None,
        screen=text,
        describer=teller,
        pictures=pictures,
        strengths=strengths if strengths is not None and len(strengths) == len(spans) - 1 else None,
        notes=(*notes, *unread, *damage),
    )


def _screen(video: Video, reader: TextReader | None, watcher: TextWatcher | None, end: float) -> Track | None:
    if reader is None or watcher is None:
        return None
    return Track(video.id, "screen", reader.source, tuple(watcher.finish(end)), video.name, end)


def _reader(screen: str | bool) -> tuple[TextReader | None, tuple[str, ...]]:
    """The reader of text on screen, or none and why."""
    if screen is False or screen == "none":
        return None, ()
    if screen != "auto" and screen is not True:
        return registry.load("readers", screen), ()
    name = "rapidocr"
    choice = registry.choices("readers")[name]
    if choice.missing and screen == "auto":
        return None, (f"text on screen was not read, its reader comes with: {choice.install}",)
    return registry.load("readers", name), ()


def _rules(every: str | float) -> ClipRules | None:
    """The clip rules behind `every`; None where there is nothing to divide."""
    if every in ("video", "shot"):
        return None
    if every == "clip":
        return preset("clips")
    if isinstance(every, str | bool) or not every > 0:
        raise UsageError(f"every={every!r}: a description can be of every 'video', 'shot', 'clip' or so many seconds")
    return ClipRules(grid=float(every))


def _spans(watched: Watched, level: str, rules: ClipRules | None) -> list[Span]:
    if rules is not None:
        return clip_spans(watched, rules)
    if level == "shot":
        return [caption.span for caption in watched.shots or ()]
    return [Span(0.0, watched.end)]


class PictureKeeper:
    """A watcher that holds some pictures of a whole video in bounded memory, evenly over time.

    When they weigh more than 128 MB, every second one goes and from then on half as many are taken.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._times: list[float] = []
        self._pixels: list[NDArray[np.uint8]] = []
        self._stride = 1
        self._seen = 0

    def see(self, glance: Glance) -> None:
        """Keep what falls on the stride."""
        for second, pixels in zip(glance.frames.times, glance.frames.pixels, strict=True):
            if self._seen % self._stride == 0:
                self._times.append(float(second))
                self._pixels.append(pixels.copy())
            self._seen += 1
            if len(self._pixels) > 1 and len(self._pixels) * pixels.nbytes > _KEPT_BYTES:
                self._times, self._pixels = self._times[::2], self._pixels[::2]
                self._stride *= 2

    def within(self, span: Span, video: Video) -> Frames:
        """Pictures of a span, evenly spread; one is fetched from the file when none was kept."""
        kept = [i for i, second in enumerate(self._times) if second in span]
        if not kept:
            return video.frames([span.middle], height=self._pixels[0].shape[0] if self._pixels else None)
        places = np.linspace(0, len(kept) - 1, min(self._each, len(kept))).round().astype(int)
        chosen = [kept[i] for i in places]
        return Frames(np.stack([self._pixels[i] for i in chosen]), np.array([self._times[i] for i in chosen]))


class _Parts:
    """One progress made of several that run at once: as far as the slowest of those that have begun."""

    def __init__(self, progress: Progress | None, seconds: float) -> None:
        self._progress = progress
        self._seconds = seconds
        self._shares: dict[int, float] = {}
        self._told = 0.0
        self._count = 0
        self._lock = Lock()

    def part(self) -> Progress | None:
        """The progress to give to one of them."""
        if self._progress is None:
            return None
        place, self._count = self._count, self._count + 1
        return lambda done, total: self._report(place, done / total if total > 0 else 1.0)

    def _report(self, place: int, share: float) -> None:
        with self._lock:
            self._shares[place] = min(1.0, share)
            self._told = max(self._told, min(self._shares.values()))
            if self._progress is not None:
                self._progress(self._told * self._seconds, self._seconds)

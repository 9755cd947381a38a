"""Ask a chat model, about pictures with their times or about the numbered lines of all tracks; needs --model.

Pictures: the video is looked at in parts of a few minutes that overlap, a picture every two seconds; what the model
names is looked at again closely, and new ends are taken when the model, asked yes or no about them alone, agrees. Text:
the model sees every line that is said, written or described, each with a number, and names runs of numbers; so it is
where pictures are not to be had, or a model answers nothing about them.

A score says how sure the model is (0..1, the mean over the parts that saw the moment; 0.5 where it does not say). An
empty list is its answer, too: a part that got no answer is never taken for "not there" but told in `notes`, and when no
part got one, `find` raises ModelError.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from longshot import queries
from longshot.asking import Desk, Question, Unreadable
from longshot.contracts import ChatModel, Progress, Told
from longshot.errors import UsageError
from longshot.finders._asked import Asked, Unanswered
from longshot.finders._lines import KINDS, Line, lines_of, numbered, spanned, timed
from longshot.finders._parts import Found, Moment, fuse, plan, runs
from longshot.finders._replies import read_runs, read_yes, shares
from longshot.looks import Look
from longshot.metrics.moments import NoWindows, Stretches, read_stretches
from longshot.models import open_chat_model
from longshot.prompts import load_prompt
from longshot.sampling import at_rate
from longshot.terms import matched, terms
from longshot.timeline import Caption, Hit, Source, Span, clock
from longshot.video import open_video

HEIGHT = 480  # pixels: about what the chat models of today take in
MOST_FRAMES = 96  # pictures a question; three minutes at a step of 2 s need 90
_LEAST_FRAMES = 4
_PICTURE = 256  # tokens that one may take: 64 to 256 in most families, a few hundred in the oldest
_TIME = 6  # tokens of its time in words
_LEAST_ROOM = 64
_REPLY = 512  # tokens kept free for the reply
_CONTEXT = 8192  # tokens, of a model that does not tell
_MOST_LINES = 12_000  # tokens of lines a question: models overlook things in longer ones
_CLOSER = 12  # moments that are looked at again
_AROUND, _LEAST_AROUND = 0.4, 4.0  # what is seen beside a moment: a share of its length, seconds
_RATE = 4.0  # pictures a second when looking closely, where there is room for them
_GAIN = 1.2  # times as many pictures a second as before, or looking again is not worth it
_WHOLE = 0.95  # a moment with this share of the video is all of it
_EVIDENCE = 5


def load(
    *,
    model: str | ChatModel | Desk = "",
    text: bool = False,
    frames: int = 0,
    step: float = 2.0,
    window: float = 180.0,
    overlap: float = 0.25,
    refine: bool = True,
    height: int = HEIGHT,
    answers: str | os.PathLike[str] | None = None,
) -> Asking:
    """The finder. model: a name that `longshot.models` opens, an open model, or a desk that several share.

    text: ask about the tracks alone, for a model that sees no pictures. frames: pictures a question at most; 0 takes as
    many as the model's context has room for, 96 at most. step, window: seconds between pictures, and of one part of the
    video. overlap: the share of a part that the next one repeats. refine: look again closely at what was found. height:
    of the pictures in pixels. answers: a journal file, so that nothing is asked twice.
    """
    if not model:
        raise UsageError("the finder asking puts the question to a model: say which, with --model NAME")
    if frames < 0 or height < 1:
        raise UsageError(f"frames is a number from 0 up, height from 1 up, got {frames} and {height}")
    if not (math.isfinite(step) and step > 0 and math.isfinite(window) and window >= step):
        raise UsageError(f"step is seconds above 0 and window no less than that, got {step} and {window}")
    if not 0 <= overlap <= 0.9:
        raise UsageError(f"overlap is a share of a part from 0 to 0.9, got {overlap}")
    desk = model if isinstance(model, Desk) else Desk(open_chat_model(model) if isinstance(model, str) else model)
    sampling = _Sampling(frames, step, window, overlap, height)
    return Asking(desk, sampling, text=text, refine=refine, answers=Path(answers) if answers else None)


class _Sampling(NamedTuple):
    """How pictures are taken: see `load`."""

    frames: int
    step: float
    window: float
    overlap: float
    height: int


@dataclass(frozen=True, slots=True)
class _Named:
    """A moment in seconds. lines: those that were named (none where pictures were asked about); way: how it was found.

    closer: what became of looking again: "" where that was not done, "kept", "moved".
    """

    span: Span
    moment: Moment
    way: str
    lines: tuple[Line, ...] = ()
    closer: str = ""


class Asking:
    """Finds moments by asking a model; see the head of this file.

    notes: what a user must know of the last `find`: parts without an answer, replies that were put right, moments that
    are the whole video.
    """

    def __init__(self, desk: Desk, sampling: _Sampling, *, text: bool, refine: bool, answers: Path | None) -> None:
        self.desk = desk
        self.notes: tuple[str, ...] = ()
        self._sampling = sampling
        self._text = text
        self._refine = refine
        self._answers = answers

    @property
    def source(self) -> Source:
        """The model, with its settings, the prompts, and how pictures are taken."""
        model = self.desk.model.source
        settings: dict[str, Any] = {**model.settings, "finder": "asking", "overlap": self._sampling.overlap}
        names = ["moments-read"]
        if not self._text:
            settings |= {**self._sampling._asdict(), "refine": self._refine}
            names = ["moments-see", "moments-check"] if self._refine else ["moments-see"]
        settings["prompts"] = {prompt.name: prompt.digest for prompt in map(load_prompt, names)}
        return Source("find", model.model, model.revision, settings, model.note)

    def find(self, told: Told, query: str, *, progress: Progress | None = None) -> list[Hit]:
        """Moments, the surest first; see `contracts.Finder`.

        Raises UsageError for a query without a word or too long for the model, ModelError when no question got an
        answer, MediaError for a file that is no video.
        """
        self.notes = ()
        asked = Asked(self.desk, self._answers, progress)
        inquiry = _Inquiry(told, " ".join(query.split()), asked, _Room(self.desk.model), self._sampling)
        unseen = "" if self._text else _unseen(told)
        if unseen:
            asked.notes.append(f"{unseen}: the model was asked about the tracks, not the pictures")
        named = inquiry.by_lines() if self._text or unseen else self._looked(inquiry)
        asked.finish()
        hits = [inquiry.hit(one) for one in named]
        if any(_is_whole(hit.span, told.duration) for hit in hits):
            asked.notes.append("the model says that it is the whole video")
        self.notes = tuple(asked.notes)
        return hits

    def _looked(self, inquiry: _Inquiry) -> list[_Named]:
        """Moments that the model sees, or reads of where it answers no question that has pictures."""
        try:
            return inquiry.by_pictures(refine=self._refine)
        except Unanswered as error:
            if not inquiry.lines:
                raise
            inquiry.asked.notes.append(f"{error.reason}: the model was asked about the tracks instead")
            return inquiry.by_lines()


class _Inquiry:
    """One query put to a model about one video."""

    def __init__(self, told: Told, question: str, asked: Asked, room: _Room, sampling: _Sampling) -> None:
        self.told, self.question, self.asked, self.room, self.sampling = told, question, asked, room, sampling
        self.telling = _telling(question)
        self.lines = lines_of(told)
        self.spoken = [line for line in self.lines if line.level in KINDS]

    # Lines ----------------------------------------------------------------------------------------------------

    def by_lines(self) -> list[_Named]:
        """Moments as runs of lines, whose numbers cannot drift as seconds do."""
        if not self.lines:
            self.asked.notes.append("there is no text to read: the tracks hold nothing said, written or described")
            return []
        texts = [numbered(number, line) for number, line in enumerate(self.lines, start=1)]
        room = min(_MOST_LINES, self.room.beside(self._reading(range(len(texts)), [""] * len(texts))))
        cut = [self.room.cut(text, room) for text in texts]
        if shorter := sum(map(operator.ne, cut, texts)):
            self.asked.notes.append(f"the model saw only the beginning of {shorter} lines, which are very long")
        sizes = [self.room.tokens(text) + 1 for text in cut]
        chunks = runs(sizes, room=room, overlap=self.sampling.overlap)
        questions = [
            Question(
                f"lines {chunk.start + 1} to {chunk.stop}",
                self._reading(chunk, cut),
                read=partial(read_runs, first=chunk.start + 1, last=chunk.stop),
            )
            for chunk in chunks
        ]
        answers = self.asked.parts(questions, [spanned(self.lines, chunk.start, chunk.stop - 1) for chunk in chunks])
        found = [
            Found(Span(run.first - 1, run.last), run.sure, place)
            for place, answer in answers.items()
            for run in answer.value.found
        ]
        moments = fuse(found, [Span(chunk.start, chunk.stop) for chunk in chunks], answered=answers)
        return [self._named(one, range(int(one.span.start), int(one.span.end))) for one in moments]

    def _reading(self, chunk: range, texts: Sequence[str]) -> str:
        span = spanned(self.lines, chunk.start, chunk.stop - 1)
        return load_prompt("moments-read").fill(
            question=self.question,
            first=str(chunk.start + 1),
            last=str(chunk.stop),
            start=clock(span.start),
            end=clock(span.end),
            duration=clock(self.told.duration),
            lines="\n".join(texts[chunk.start : chunk.stop]),
        )

    def _named(self, one: Moment, places: range) -> _Named:
        lines = tuple(self.lines[places.start : places.stop])
        return _Named(spanned(self.lines, places.start, places.stop - 1), one, "lines", lines)

    # Pictures -------------------------------------------------------------------------------------------------

    def by_pictures(self, *, refine: bool) -> list[_Named]:
        """Moments that a model sees, looked at once more closely where `refine` says so."""
        way, budget = self.sampling, self._budget()
        coarse = plan(self.told.duration, step=way.step, window=way.window, overlap=way.overlap, frames=budget)
        questions = [
            self._seeing(f"part {place}", part, coarse.times(part)) for place, part in enumerate(coarse.parts, start=1)
        ]
        answers = self.asked.parts(questions, coarse.parts)
        found = [
            Found(Span(start, end), sure, place)
            for place, answer in answers.items()
            for start, end, sure in _stretches(answer.value)
        ]
        named = [_Named(one.span, one, "pictures") for one in fuse(found, coarse.parts, answered=answers)]
        return self._closer(named, step=coarse.step, budget=budget) if refine else named

    def _closer(self, named: Sequence[_Named], *, step: float, budget: int) -> list[_Named]:
        """The moments, with ends that were looked at closely where the model agrees with itself about them."""
        if len(named) > _CLOSER:
            self.asked.notes.append(f"{len(named) - _CLOSER} of {len(named)} moments were not looked at again")
        around = {place: _around(one.span, self.told.duration) for place, one in enumerate(named[:_CLOSER])}
        rates = {place: min(_RATE, budget / part.length) for place, part in around.items()}
        # A moment so long that there is no room for closer pictures than before gains nothing.
        places = [place for place, rate in rates.items() if rate * step > _GAIN]
        questions = [
            self._seeing(f"again {place}", around[place], at_rate(around[place], rates[place])[:budget])
            for place in places
        ]
        moved = {}
        for place, answer in zip(places, self.asked.all(questions), strict=True):
            old = named[place].span
            spans = [Span(start, end) for start, end, _ in _stretches(answer.value)]
            best = max(spans, key=old.iou, default=old)
            if best.overlap(old) > 0 and best != old:
                moved[place] = best
        agreed = self._agreed(moved, budget)
        return [
            replace(one, span=moved[place], closer="moved")
            if place in agreed
            else replace(one, closer="kept" if place in places else "")
            for place, one in enumerate(named)
        ]

    def _agreed(self, moved: Mapping[int, Span], budget: int) -> set[int]:
        """Which of the new spans show it, says the model when it is asked yes or no about each alone."""
        questions = [
            Question(
                f"check {place}",
                load_prompt("moments-check").fill(
                    question=self.question,
                    start=f"{span.start:.1f}",
                    end=f"{span.end:.1f}",
                    context=self._context(span),
                ),
                look=Look(self.told.path, tuple(_some(span, budget)), height=self.sampling.height),
                read=read_yes,
            )
            for place, span in moved.items()
        ]
        return {place for place, answer in zip(moved, self.asked.all(questions), strict=True) if answer.value is True}

    def _seeing(self, id: str, part: Span, seconds: Sequence[float]) -> Question:
        return Question(
            id,
            load_prompt("moments-see").fill(
                question=self.question,
                start=f"{part.start:.1f}",
                end=f"{part.end:.1f}",
                duration=f"{self.told.duration:.1f}",
                times=self.room.times(seconds),
                context=self._context(part),
            ),
            look=Look(self.told.path, tuple(seconds), height=self.sampling.height),
            read=partial(_read_stretches, part=part),
        )

    def _context(self, part: Span) -> str:
        """What is said and written in a part, in order of time: all of it, or what is nearest to the question."""
        some = [line for line in self.spoken if line.caption.span.overlap(part) > 0]
        if not some:
            return ""
        texts = [timed(line) for line in some]
        kept = self.room.chosen(texts, lambda place: len(matched(some[place].caption.text, self.telling)))
        share = f" ({len(kept)} of {len(some)} lines)" if len(kept) < len(some) else ""
        self.asked.trimmed += bool(share)
        return "\n".join([f"What is said and written meanwhile{share}:", *(texts[place] for place in kept)])

    def _budget(self) -> int:
        """Pictures that a question has room for. Raises UsageError when there is none for a few."""
        most = "00000.0"
        words = load_prompt("moments-see").fill(
            question=self.question, start=most, end=most, duration=most, times=self.room.times([0.0]), context=""
        )
        self.room.beside(words)
        return self.sampling.frames or min(MOST_FRAMES, self.room.pictures(words))

    # Hits -----------------------------------------------------------------------------------------------------

    def hit(self, one: _Named) -> Hit:
        """A moment with the captions that stand in it, and what the model said of it."""
        inside = one.lines or [line for line in self.lines if line.caption.span.overlap(one.span) > 0]
        marked = [(line, matched(line.caption.text, self.telling)) for line in inside]
        best = sorted(range(len(marked)), key=lambda place: (-len(marked[place][1]), place))[:_EVIDENCE]
        captions = tuple(_evidence(*marked[place]) for place in sorted(best))
        said = _said(one, _is_whole(one.span, self.told.duration), self.room.model)
        evidence = (*captions, said) if one.lines else (said, *captions)
        return Hit(self.told.video, one.span, round(one.moment.score, 4), evidence)


class _Room:
    """What a model has room for, in tokens."""

    def __init__(self, model: ChatModel) -> None:
        self.model = model
        self.context = model.context or _CONTEXT
        self.tokens = model.count_tokens

    def beside(self, words: str) -> int:
        """Tokens left beside these words and a reply. Raises UsageError when there are hardly any."""
        room = self.context - min(_REPLY, self.context // 4) - self.tokens(words)
        if room < _LEAST_ROOM:
            raise UsageError(
                f"the question is too long for {self.model.source.model}, whose context is {self.context} tokens: "
                "ask a shorter one"
            )
        return room

    def pictures(self, words: str) -> int:
        """How many pictures fit beside these words. A quarter of all is for what is said and written meanwhile."""
        fitting = (self.beside(words) - self.context // 4) // (_PICTURE + _TIME)
        if fitting < _LEAST_FRAMES:
            raise UsageError(
                f"{self.model.source.model} has no room for {_LEAST_FRAMES} pictures beside this question, with a "
                f"context of {self.context} tokens: ask a shorter one, or about the tracks alone"
            )
        return fitting

    def times(self, seconds: Sequence[float]) -> str:
        """The times of pictures in words, for a model that does not see them with the pictures."""
        if getattr(self.model, "tells_times", False):
            return ""
        return f"They were taken at these seconds: {', '.join(f'{second:.1f}' for second in seconds)}."

    def chosen(self, texts: Sequence[str], worth: Callable[[int], int]) -> list[int]:
        """The places of the texts that fit a quarter of the context: all, or those of most worth, in their order."""
        sizes = [self.tokens(text) + 1 for text in texts]
        room = self.context // 4
        if sum(sizes) <= room:
            return list(range(len(texts)))
        kept: list[int] = []
        for place in sorted(range(len(texts)), key=lambda place: (-worth(place), place)):
            if sizes[place] <= room:
                kept.append(place)
                room -= sizes[place]
        return sorted(kept)

    def cut(self, text: str, room: int) -> str:
        """A text that fits: itself, or its beginning."""
        kept = text
        while self.tokens(kept) + 1 > room and len(kept) > 1:
            kept = kept[: len(kept) // 2].rstrip() + "…"
        return kept


def _read_stretches(text: str, *, part: Span) -> Stretches:
    try:
        return read_stretches(text, start=part.start, end=part.end)
    except NoWindows as error:
        raise Unreadable(f"{error}; seconds count from the start of the video") from error


def _stretches(value: Stretches | None) -> list[tuple[float, float, float | None]]:
    """What a reply names, with how sure it is as a share of one; nothing for no reply."""
    found = value.found if value else []
    sure = shares([score for _, _, score in found])
    return [(start, end, share) for (start, end, _), share in zip(found, sure, strict=True)]


def _telling(question: str) -> frozenset[str]:
    """The terms of a question that tell something. Raises UsageError for one without a word."""
    every = frozenset(term.text for term in terms(question))
    if not every:
        raise UsageError(f"{question[:60]!r} has no word to look for: say what the moment shows, or what is said in it")
    try:
        wanted = queries.read(question)
    except UsageError:  # only words that stand everywhere: a model may still know what is meant
        return every
    return frozenset(wanted.terms + wanted.extras) or every


def _unseen(told: Told) -> str:
    """Why there are no pictures to look at; "" when there are."""
    if not told.path:
        return "the file is not at hand"
    with open_video(told.path) as video:
        return "" if video.has_video and told.duration > 0 else "the file has no pictures"


def _around(span: Span, duration: float) -> Span:
    beside = max(_AROUND * span.length, _LEAST_AROUND)
    return Span(max(0.0, span.start - beside), min(duration, span.end + beside))


def _some(span: Span, budget: int) -> list[float]:
    """Seconds of a span to look at: four a second as far as there is room, four at least."""
    rate = max(min(_RATE, budget / span.length), min(_LEAST_FRAMES, budget) / span.length)
    return at_rate(span, rate)[:budget]


def _is_whole(span: Span, duration: float) -> bool:
    return duration > 0 and span.length >= _WHOLE * duration


def _evidence(line: Line, places: Sequence[tuple[int, int]]) -> Caption:
    details = {"id": line.id, "level": line.level, "matched": [list(place) for place in places]}
    return replace(line.caption, details=details)


def _said(one: _Named, whole: bool, model: ChatModel) -> Caption:
    """The model's own answer as a caption of level "answer"."""
    moment = one.moment
    sure = "" if moment.sure is None else f", sure to {moment.sure:.2f}"
    parts = f", in {len(moment.parts)} of {moment.seen} parts that show it" if moment.seen > 1 else ""
    name = model.source.model.rstrip("/").rpartition("/")[2]
    details: dict[str, Any] = {"id": "", "level": "answer", "matched": [], "way": one.way, "sure": moment.sure}
    details |= {"parts": len(moment.parts), "seen": moment.seen}
    if one.way == "pictures":
        details |= {"closer": one.closer, "first": [moment.span.start, moment.span.end]}
    if whole:
        details["whole"] = True
    text = f"{name} names {clock(one.span.start)} to {clock(one.span.end)}{sure}{parts}"
    return Caption(one.span, text, moment.sure, details)

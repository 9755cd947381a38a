"""Let a chat model write the levels above the clips, each from the one below, and check what it rests on.

The levels are divided as `recap` divides them; the model is shown frames, the finer captions, the speech and the text
on screen of each stretch, every one with a mark (c1, s4, t2), and ends each sentence with the marks that it rests on.
Marks that do not exist count for nothing. A sentence without a mark is given the notes that share most of its words,
when they share enough, and says that it was "matched", not "cited"; one that shares too little rests on nothing and
says so.

A stretch whose notes do not fit half of the model's context is told in parts first, and then from the parts: nothing
is cut.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from longshot.asking import Answer, Desk, Question, Unreadable
from longshot.captioning.describe import Watched, lost
from longshot.captioning.summarise import TITLE_LENGTH, shorten, split_sentences, telling_words
from longshot.journal import State
from longshot.looks import Look
from longshot.prompts import PromptText, load_prompt
from longshot.timeline import Caption, Source, Span, Track, clock

_UNKNOWN_CONTEXT = 8192
_ENOUGH = 0.5  # the share of a sentence's telling words that notes must hold for it to rest on them
_LITTLE = 0.2  # a sentence that shares less with what it cites is pointed out
_MARKS = re.compile(r"\s*[\[(]\s*([cstp]\d+(?:\s*[,;&/ -]\s*[cstp]?\d+)*)\s*[\])]", re.IGNORECASE)
_MARK = re.compile(r"([cstp])?(\d+)", re.IGNORECASE)
_TITLE = re.compile(r"\s*(?:[*#_]+\s*)?title\s*(?:[*_]+)?\s*[:：]\s*(?:[*_]+)?(.+)", re.IGNORECASE)
_LENGTHS: Mapping[str, str] = {"scene": "one to three", "segment": "two to four", "video": "four to eight"}
_OTHER_LENGTH = "three to six"


@runtime_checkable
class AsksModel(Protocol):
    """A describer that asks a chat model, and lends it for the levels above."""

    desk: Desk
    answers: Path | None
    height: int

    @property
    def source(self) -> Source:
        """The model, with its settings and prompt."""
        ...

    def sample(self, span: Span) -> list[float]:
        """The seconds of a span that the model is to see."""
        ...


@dataclass(frozen=True, slots=True)
class Note:
    """One line of what is known: its mark, when, the words, and the ids of the captions behind it."""

    mark: str
    span: Span
    text: str
    ids: tuple[str, ...]

    def __str__(self) -> str:
        return f"[{self.mark}] {clock(self.span.start)} {self.text}"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a model. marks: what it names as its grounds, as written, lower case."""

    text: str
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A model's reply, read: a title ("" when it gave none) and at least one sentence."""

    title: str
    sentences: tuple[Sentence, ...]


def read_told(text: str) -> Told:
    """The title and the sentences of a reply, with the marks of each. Raises Unreadable when it has no words."""
    title, body = "", list[str]()
    for line in text.splitlines():
        found = _TITLE.match(line)
        if found and not title and not body:
            title = _MARKS.sub("", found[1]).strip(' *_"“”#.')
        elif line.strip():
            body.append(line.strip().lstrip("-*#> ").strip())
    sentences: list[Sentence] = []
    rest = " ".join(body)
    while found := _MARKS.search(rest):
        # A full stop after the marks belongs to the sentence before them.
        after = rest[found.end() :]
        stop = re.match(r"[.!?。]+", after)
        said = rest[: found.start()] + (stop[0] if stop else "")
        sentences += _cited(said, _marks(found[1]))
        rest = after[stop.end() :] if stop else after
    sentences += [Sentence(said, ()) for said in split_sentences(rest) if _has_words(said)]
    if not sentences:
        raise Unreadable("there is no sentence in it")
    return Told(shorten(title, TITLE_LENGTH), tuple(sentences))


def _cited(said: str, marks: tuple[str, ...]) -> list[Sentence]:
    """The sentences before some marks: the last one rests on them."""
    parts = [part for part in split_sentences(said) if _has_words(part)]
    return [Sentence(part, marks if part is parts[-1] else ()) for part in parts]


def _marks(text: str) -> tuple[str, ...]:
    """The marks of a list: c1, 3; s2 gives c1, c3, s2, for a bare number goes on with the letter before it."""
    marks, letter = [], ""
    for found in _MARK.finditer(text):
        letter = (found[1] or letter).lower()
        marks.append(f"{letter}{int(found[2])}")
    return tuple(dict.fromkeys(marks))


def _has_words(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


def retell(watched: Watched, told: Sequence[Track], clips: Track | None, describer: AsksModel) -> list[Track]:
    """The same levels in the words of a model: same spans, same children; told is coarse to fine, and so is the result.

    A stretch that got no answer is empty, and its details say its state and reason.
    """
    known: dict[str, Caption] = {}
    for track in (clips, watched.speech, watched.screen):
        known |= {track.id_of(i): caption for i, caption in enumerate(track)} if track else {}
    prompt = load_prompt("level")
    made: list[Track] = []
    for track in reversed(told):
        captions = _retold(watched, track, known, describer, prompt, lowest=not made)
        source = _source(describer, watched, prompt, captions)
        made.append(replace(track, source=source, captions=tuple(captions)))
        known |= {made[-1].id_of(i): caption for i, caption in enumerate(made[-1])}
    return made[::-1]


def _retold(
    watched: Watched,
    track: Track,
    known: Mapping[str, Caption],
    describer: AsksModel,
    prompt: PromptText,
    *,
    lowest: bool,
) -> list[Caption]:
    captions: list[Caption] = list(track)
    notes: dict[int, list[Note]] = {}
    for place, caption in enumerate(captions):
        children = caption.details["children"]
        only = known.get(children[0]) if len(children) == 1 and not lowest else None
        if only is not None and only.span == caption.span:
            # One stretch is not told in two ways.
            told = {**only.details, "children": children}
            captions[place] = Caption(caption.span, only.text, None, told)
        else:
            notes[place] = _notes(watched, caption, known, lowest=lowest)
    asker = _Asker(watched, describer, prompt, track.level)
    for place, outcome in asker.tell({place: (captions[place].span, some) for place, some in notes.items()}).items():
        captions[place] = _caption(captions[place], outcome, known)
    return captions


def _notes(watched: Watched, caption: Caption, known: Mapping[str, Caption], *, lowest: bool) -> list[Note]:
    """All that is known of a stretch: its children, and the speech and writing in it, or what its children rest on."""
    children: list[str] = list(caption.details["children"])
    spoken, written = _ids(watched.speech, caption.span), _ids(watched.screen, caption.span)
    if not lowest:
        cited = {id for child in children if child in known for id in known[child].details.get("rests_on", ())}
        spoken, written = [id for id in spoken if id in cited], [id for id in written if id in cited]
    finer = [id for id in children if id not in spoken]
    notes = []
    for letter, ids in (("c", finer), ("s", spoken), ("t", written)):
        telling = [(id, known[id]) for id in ids if id in known and _has_words(known[id].text)]
        for number, (id, one) in enumerate(telling, start=1):
            text = " ".join(one.text.split())
            kind = {"c": "", "s": "said: ", "t": "on screen: "}[letter]
            notes.append(Note(f"{letter}{number}", one.span, kind + text, (id,)))
    return sorted(notes, key=lambda note: (note.span.start, note.mark[0]))


def _ids(track: Track | None, span: Span) -> list[str]:
    return [track.id_of(i) for i, one in enumerate(track) if one.span.start in span] if track else []


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one stretch: the model's words with the notes they were made from, or why there are none."""

    told: Told | None
    notes: tuple[Note, ...]
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class _Asker:
    watched: Watched
    describer: AsksModel
    prompt: PromptText
    level: str

    def tell(self, wanted: Mapping[int, tuple[Span, list[Note]]]) -> dict[int, _Outcome]:
        """Every stretch told, in parts first where its notes are too many for one prompt."""
        pending = dict(wanted)
        done = {place: _Outcome(None, ()) for place, (_, notes) in pending.items() if not notes}
        pending = {place: parts for place, parts in pending.items() if place not in done}
        whole: set[int] = set()  # told at once, because telling its parts did not make it shorter
        while pending:
            asked = {
                f"{place}.{number}": (
                    place,
                    Span(part[0].span.start, _end(part, span)) if len(parts) > 1 else span,
                    part,
                )
                for place, (span, notes) in pending.items()
                for parts in [[notes] if place in whole else self._parts(notes)]
                for number, part in enumerate(parts)
            }
            answers = self._ask({name: (span, part) for name, (_, span, part) in asked.items()})
            parts_of: dict[int, list[str]] = {}
            for name, (place, _, _) in asked.items():
                parts_of.setdefault(place, []).append(name)
            following: dict[int, tuple[Span, list[Note]]] = {}
            for place, names in parts_of.items():
                unanswered = next((name for name in names if answers[name].state is not State.DONE), None)
                if unanswered or len(names) == 1:
                    name = unanswered or names[0]
                    told = None if unanswered else answers[name].value
                    done[place] = _Outcome(told, tuple(asked[name][2]), answers[name])
                else:
                    notes = [
                        note
                        for name in names
                        for note in _as_notes(answers[name].value, asked[name][2], asked[name][1])
                    ]
                    following[place] = (pending[place][0], _numbered(notes))
                    if self._size(notes) > 0.8 * self._size(pending[place][1]):
                        whole.add(place)
            pending = following
        return done

    def _parts(self, notes: Sequence[Note]) -> list[list[Note]]:
        """Notes in runs that each fit half of the model's context; a note that does not fit alone is one run."""
        model = self.describer.desk.model
        room = max(256, (model.context or _UNKNOWN_CONTEXT) // 2 - model.count_tokens(self.prompt.text))
        parts: list[list[Note]] = []
        left = 0
        for note in notes:
            size = model.count_tokens(f"{note}\n")
            if not parts or size > left:
                parts.append([])
                left = room
            parts[-1].append(note)
            left -= size
        # Parts of one note each would never become fewer.
        return [list(notes)] if len(parts) == len(notes) else parts

    def _size(self, notes: Sequence[Note]) -> int:
        return self.describer.desk.model.count_tokens("\n".join(map(str, notes)))

    def _ask(self, wanted: Mapping[str, tuple[Span, list[Note]]]) -> dict[str, Answer]:
        questions = [
            Question(name, self._text(span, notes), look=self._look(span)) for name, (span, notes) in wanted.items()
        ]
        asked = self.describer.desk.ask(questions, read=read_told, journal=self.describer.answers)
        return {answer.id: answer for answer in asked}

    def _text(self, span: Span, notes: Sequence[Note]) -> str:
        return self.prompt.fill(
            start=clock(span.start),
            end=clock(span.end),
            notes="\n".join(map(str, notes)),
            sentences=_LENGTHS.get(self.level, _OTHER_LENGTH),
        )

    def _look(self, span: Span) -> Look | None:
        times = self.describer.sample(span) if self.watched.shots is not None else []
        return Look(self.watched.video, tuple(times), self.describer.height) if times else None


def _end(part: Sequence[Note], span: Span) -> float:
    return min(span.end, max(note.span.end for note in part))


def _as_notes(told: Told, notes: Sequence[Note], span: Span) -> list[Note]:
    """The sentences of a part as notes for the whole; each stands on the captions that it rested on."""
    return [
        Note("p0", Span(_start(grounds, span), span.end), sentence.text, _ids_of(grounds))
        for sentence in told.sentences
        for _, grounds in [_grounds(sentence, notes)]
    ]


def _start(grounds: Sequence[Note], span: Span) -> float:
    return min((note.span.start for note in grounds), default=span.start)


def _numbered(notes: Sequence[Note]) -> list[Note]:
    return [replace(note, mark=f"p{number}") for number, note in enumerate(notes, start=1)]


def _ids_of(notes: Sequence[Note]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(id for note in notes for id in note.ids))


def _grounds(sentence: Sentence, notes: Sequence[Note]) -> tuple[str, list[Note]]:
    """What a sentence rests on, and how that is known: "cited", "matched" by its words, or "none"."""
    by_mark = {note.mark: note for note in notes}
    cited = [by_mark[mark] for mark in sentence.marks if mark in by_mark]
    if cited:
        return "cited", cited
    shares = [(support(sentence.text, [note]), note) for note in notes]
    best = sorted(shares, key=lambda pair: -pair[0])[:3]
    enough = [note for share, note in best if share >= _ENOUGH]
    return ("matched", sorted(enough, key=lambda note: note.span)) if enough else ("none", [])


def support(sentence: str, notes: Sequence[Note]) -> float:
    """The share of a sentence's telling words that stand in the notes too, 0..1; their first five letters must agree.

    A rough measure, by words alone: it finds what was made up, not what was turned round.
    """
    said = {word[:5] for word in telling_words(sentence)}
    held = {word[:5] for note in notes for word in telling_words(note.text)}
    return len(said & held) / len(said) if said else 0.0


def _caption(caption: Caption, outcome: _Outcome, known: Mapping[str, Caption]) -> Caption:
    details: dict[str, Any] = {"title": caption.details.get("title", ""), "children": caption.details["children"]}
    if outcome.told is None:
        answer = outcome.answer
        state = answer.state.value if answer else _state_below(caption, known)
        reason = answer.reason if answer else "nothing below it was told"
        return Caption(caption.span, "", None, {**details, "rests_on": [], "state": state, "reason": reason})
    checked = [(sentence, *_grounds(sentence, outcome.notes)) for sentence in outcome.told.sentences]
    details["title"] = outcome.told.title or details["title"]
    details["rests_on"] = list(dict.fromkeys(id for _, _, grounds in checked for id in _ids_of(grounds)))
    details["sentences"] = [
        {
            "text": sentence.text,
            "rests_on": list(_ids_of(grounds)),
            "how": how,
            "support": round(support(sentence.text, grounds), 2),
        }
        for sentence, how, grounds in checked
    ]
    if outcome.answer and outcome.answer.note:
        details["note"] = outcome.answer.note
    return Caption(caption.span, " ".join(sentence.text for sentence, _, _ in checked), None, details)


def _state_below(caption: Caption, known: Mapping[str, Caption]) -> str:
    """The state of a stretch that was not asked about: refused where all below it was, failed where anything failed."""
    below = [known[child].details.get("state") for child in caption.details["children"] if child in known]
    states = [state for state in below if state]
    return states[0] if states and State.FAILED.value not in states else State.FAILED.value


def _source(describer: AsksModel, watched: Watched, prompt: PromptText, captions: Sequence[Caption]) -> Source:
    made = describer.source
    settings = {**made.settings, "prompt": prompt.name, "prompt_digest": prompt.digest}
    said = [one for caption in captions for one in caption.details.get("sentences", ())]
    unfounded = sum(one["how"] == "none" for one in said)
    strange = sum(one["how"] == "cited" and one["support"] < _LITTLE for one in said)
    checks = [f"{unfounded} of {len(said)} sentences rest on nothing below them"] if unfounded else []
    checks += [f"{strange} of {len(said)} sentences have few words of what they cite"] if strange else []
    notes = (made.note, *watched.notes, *lost(captions), *checks)
    return Source("recap", made.model, made.revision, settings, "; ".join(note for note in notes if note))

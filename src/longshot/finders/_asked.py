"""The questions of one search put to a model, and what a user must know of the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from longshot.asking import Answer, Desk, Question
from longshot.contracts import Progress
from longshot.errors import ModelError
from longshot.journal import State
from longshot.timeline import Span, clock

_NAMED = 3  # parts that a note names


class Unanswered(ModelError):
    """Not one question was answered."""


class Asked:
    """The questions of one `find`, with what is to be told about their answers."""

    def __init__(self, desk: Desk, journal: Path | None, progress: Progress | None) -> None:
        self.notes: list[str] = []
        self._mended: Counter[str] = Counter()
        self.trimmed = 0
        self._desk, self._journal, self._progress = desk, journal, progress
        self._model_notes: Counter[str] = Counter()
        self._done = self._known = 0

    def all(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer for each question, in the order of the questions."""
        self._known += len(questions)
        told: dict[str, Answer] = {}
        for answer in self._desk.ask(questions, journal=self._journal) if questions else ():
            told[answer.id] = answer
            self._mended.update(getattr(answer.value, "mended", ()))
            if answer.note:
                self._model_notes[answer.note] += 1
            self._done += 1
            if self._progress:
                self._progress(self._done, self._known)
        return [told[question.id] for question in questions]

    def parts(self, questions: Sequence[Question], parts: Sequence[Span]) -> dict[int, Answer]:
        """The answers of the parts that got one, by place; the others are noted. Raises Unanswered when none did."""
        answers = self.all(questions)
        missed = [place for place, answer in enumerate(answers) if answer.state is not State.DONE]
        if missed:
            first = answers[missed[0]]
            why = f"{first.state.value}: {first.reason}"
            if len(missed) == len(answers):
                asked = f"none of {len(answers)} questions about the video was answered"
                raise Unanswered(self._desk.model.source.model, f"{asked} ({why})")
            where = [f"{clock(parts[place].start)}-{clock(parts[place].end)}" for place in missed]
            more = f" and {len(where) - _NAMED} more" if len(where) > _NAMED else ""
            self.notes.append(
                f"{len(missed)} of {len(answers)} parts of the video got no answer, so what they hold is not known: "
                f"{', '.join(where[:_NAMED])}{more} ({why})"
            )
        return {place: answer for place, answer in enumerate(answers) if answer.state is State.DONE}

    def finish(self) -> None:
        """Put what was counted into the notes."""
        if self.trimmed:
            self.notes.append(f"{self.trimmed} questions had no room for every line that is said or written meanwhile")
        self.notes += [f"{count} answers: {note}" for note, count in sorted(self._model_notes.items())]
        self.notes += [f"put right in {count} replies: {what}" for what, count in sorted(self._mended.items())]

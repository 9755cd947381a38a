"""Answers: how often a question about a video is answered rightly, by choice or in the model's own words.

    score = scores(rows)[0]
    score.name, score.value, score.n, score.states      # "accuracy", 61.5, 2525, {"done": 2490, ..., "unreadable": 31}

Choices are read from replies here (`read_choice`), so a better grammar needs no new replies. Answers in own words are
right or wrong by the verdict of a judge, {"correct": true, "score": 4}. Strict: what is not done, cannot be read or was
not judged is wrong. Legacy, for choices: Tarsier's rule for letters, and correct ones over valid ones; where items tell
"duration" and "domain" (Video-MME), all questions of a video with an invalid answer are left out. Legacy, for answers
in own words: over those that were judged. `docs/metrics-answers.md` has the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longshot.errors import UsageError
from longshot.items import Row, Score
from longshot.journal import State
from longshot.metrics._choices import LETTERS, legacy_choice, read_choice
from longshot.metrics._means import Mean, grouped, told

__all__ = ["LETTERS", "legacy_choice", "read_choice", "scores", "values"]

BEST = 5  # of a judge's score, which begins at 0
_VIDEO_MME = {"duration", "domain"}
_Values = NDArray[np.float64]


def scores(rows: Sequence[Row], *, seed: int = 0, resamples: int = 1000, zero: bool = False) -> list[Score]:
    """Accuracy in percent and, for judged answers, the mean score from 0 to 5: strict, legacy, then of each group.

    "accuracy" is over questions (micro); "macro accuracy", where items tell a "task", is the mean over tasks.
    zero: let legacy accuracy read the digit 0 as A, as Tarsier2 does. Raises UsageError for an item whose right option
    is none of its own.
    """
    read = _read(rows, zero=zero)
    strict = read.strict()
    legacy = read.legacy(rows)
    both = [*strict, *legacy]
    # An average over tasks of a group that is a task, or part of one, says nothing new.
    micro = [mean for mean in both if mean.strata is None]
    return told(
        [*both, *grouped(micro, rows)],
        videos=[row.item.video for row in rows],
        states=read.states,
        seed=seed,
        resamples=resamples,
    )


def values(rows: Sequence[Row]) -> Mapping[str, _Values]:
    """The "accuracy" (0 or 1) and, for judged answers, "score" (0 to 5) of every row; 0 for what is not done."""
    return {mean.name: mean.values for mean in _read(rows, zero=False).strict() if mean.strata is None}


@dataclass(frozen=True)
class _Read:
    """What rows answered. right, points: strict, of every row. loosely: the same by the legacy rule, NaN if invalid."""

    states: tuple[State, ...]
    right: _Values
    points: _Values
    loosely: _Values
    tasks: NDArray[np.int64] | None
    chosen: bool

    def strict(self) -> list[Mean]:
        found = [Mean("accuracy", self.right)]
        if self.tasks is not None:
            found.append(Mean("macro accuracy", self.right, strata=self.tasks, note="mean of the tasks' accuracies"))
        if not np.isnan(self.points).all():
            found.append(Mean("score", self.points, of=1.0, unit="", note=f"by the judge, 0 to {BEST}"))
        return found

    def legacy(self, rows: Sequence[Row]) -> list[Mean]:
        right, note = self.loosely, "correct of valid, letters by Tarsier's rule"
        if not self.chosen:
            note = "of those judged"
        elif any(row.item.groups.keys() >= _VIDEO_MME for row in rows):
            flagged = {row.item.video for row, one in zip(rows, right, strict=True) if np.isnan(one)}
            right = np.where([row.item.video in flagged for row in rows], np.nan, right)
            note = "letters by Tarsier's rule; videos with an invalid answer left out with all their questions"
        found = [Mean("accuracy", right, legacy=True, note=note)]
        if self.tasks is not None:
            found.append(Mean("macro accuracy", right, strata=self.tasks, legacy=True, note=f"mean of tasks; {note}"))
        if not np.isnan(self.points).all():
            judged = np.array([state is State.DONE for state in self.states])
            points = np.where(judged, self.points, np.nan)
            found.append(Mean("score", points, legacy=True, of=1.0, unit="", note="of those judged"))
        return found


def _read(rows: Sequence[Row], *, zero: bool) -> _Read:
    count = len(rows)
    right, points, loosely = np.zeros(count), np.full(count, np.nan), np.full(count, np.nan)
    states: list[State] = []
    for place, row in enumerate(rows):
        if "option" in row.item.gold:
            state, right[place], loosely[place] = _choice(row, zero=zero)
        else:
            state, right[place], points[place] = _judged(row)
            loosely[place] = right[place] if state is State.DONE else np.nan
        states.append(state)
    named = [row.item.groups.get("task") for row in rows]
    tasks = None
    if len(set(named)) > 1 and None not in named:
        tasks = np.unique(np.array(named, dtype=str), return_inverse=True)[1].astype(np.int64)
    return _Read(tuple(states), right, points, loosely, tasks, any("option" in row.item.gold for row in rows))


def _choice(row: Row, *, zero: bool) -> tuple[State, float, float]:
    """How a multiple choice ended, 1 for right, and the same by the legacy rule, NaN for an invalid answer."""
    item = row.item
    option = item.gold["option"]
    if not isinstance(option, int) or isinstance(option, bool) or not 0 <= option < len(item.options):
        raise UsageError(
            f"item {item.id!r}: gold['option'] must be the place of one of its {len(item.options)} options, from 0, "
            f"got {option!r:.40}"
        )
    if row.prediction is None or row.prediction.state is not State.DONE:
        return row.state, 0.0, np.nan
    text = row.prediction.value
    if not isinstance(text, str):
        return State.UNREADABLE, 0.0, np.nan
    letter = legacy_choice(text, zero=zero)
    loosely = np.nan if letter is None else float(letter == LETTERS[option : option + 1])
    chosen = read_choice(text, item.options)
    return (State.UNREADABLE if chosen is None else State.DONE), float(chosen == option), loosely


def _judged(row: Row) -> tuple[State, float, float]:
    """How an answer in own words ended, 1 for right, and its points."""
    if row.state is not State.DONE:
        return row.state, 0.0, 0.0
    if row.verdict is None:
        return State.FAILED, 0.0, 0.0
    found = row.verdict.value
    if not isinstance(found, Mapping) or not isinstance(found.get("correct"), bool):
        return State.UNREADABLE, 0.0, 0.0
    points = found.get("score", BEST if found["correct"] else 0)
    if isinstance(points, bool) or not isinstance(points, int | float) or not 0 <= points <= BEST:
        return State.UNREADABLE, 0.0, 0.0
    return State.DONE, float(found["correct"]), float(points)

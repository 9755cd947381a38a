"""Does a model know what time it is in a video? Clips that show their own time, questions about it, and the error.

Two things are asked, because two can go wrong:

    read    one frame with a clock burned in: which time does it show? (can the pictures be read at all)
    place   a clip in which a square is red in one frame only: at which second? (do the true times reach the model)

The frames lie at irregular times, so counting frames, or taking them for evenly spaced, gives a wrong answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from longshot.asking import Answer, Desk, Question, Unreadable
from longshot.contracts import ChatModel, Frames
from longshot.journal import State

_TIMES = (0.0, 0.4, 2.5, 3.0, 7.2, 11.0, 11.6, 18.4)
_SIZE = (224, 448)
# The segments of a digit, in the order top, upper right, lower right, bottom, lower left, upper left, middle.
_SEGMENTS = {
    "0": "1111110",
    "1": "0110000",
    "2": "1101101",
    "3": "1111001",
    "4": "0110011",
    "5": "1011011",
    "6": "1011111",
    "7": "1110000",
    "8": "1111111",
    "9": "1111011",
}
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_CLOCK = re.compile(r"(\d+):(\d{2})(?:[:.,](\d+))?")


@dataclass(frozen=True, slots=True)
class Reading:
    """One question: its kind ("read" or "place"), the true second, and the second answered, or why there is none."""

    kind: str
    true: float
    answered: float | None
    reason: str = ""

    @property
    def error(self) -> float | None:
        """Seconds between the answer and the truth."""
        return None if self.answered is None else abs(self.answered - self.true)


def clock_check(model: ChatModel) -> list[Reading]:
    """Ask a model 16 questions about the time, and say what it answered to each."""
    questions, truth = [], {}
    for place, second in enumerate(_TIMES):
        truth[f"read {place}"] = ("read", second)
        one = Frames(paint_clock(second)[None], np.array([second]))
        text = "The picture shows a clock that counts seconds. Which number does it show? Answer with the number alone."
        questions.append(Question(f"read {place}", text, frames=one))
        truth[f"place {place}"] = ("place", second)
        text = (
            "In one moment of this video the square at the left is red; in all others it is grey. At how many seconds "
            "after the start of the video is it red? Answer with the number of seconds alone."
        )
        questions.append(Question(f"place {place}", text, frames=_marked(place)))
    with Desk(model) as desk:
        answers = {answer.id: answer for answer in desk.ask(questions, read=read_seconds)}
    return [_reading(*truth[question.id], answers[question.id]) for question in questions]


def summary(readings: Sequence[Reading], kind: str) -> str:
    """The errors of one kind in words: "median 0.1 s, worst 2.3 s, 7 of 8 answered"."""
    some = [one for one in readings if one.kind == kind]
    errors = [one.error for one in some if one.error is not None]
    if not errors:
        why = next((one.reason for one in some if one.reason), "nothing was asked")
        return f"0 of {len(some)} answered ({why})"
    return f"median error {median(errors):.1f} s, worst {max(errors):.1f} s, {len(errors)} of {len(some)} answered"


def read_seconds(text: str) -> float:
    """The seconds of a reply: "12.4", "at 12.4 seconds", "0:12". Raises Unreadable without a number."""
    if found := _CLOCK.search(text):
        return int(found[1]) * 60 + float(f"{found[2]}.{found[3] or 0}")
    if number := _NUMBER.search(text):
        return float(number[0].replace(",", "."))
    raise Unreadable("there is no number of seconds in it")


def paint_clock(second: float) -> NDArray[np.uint8]:
    """A picture (224, 448, 3) of white digits on dark ground: the second with one decimal, such as 12.4."""
    picture = np.full((*_SIZE, 3), 24, np.uint8)
    left = 60
    for letter in f"{second:.1f}":
        if letter == ".":
            picture[156:172, left : left + 16] = 240
            left += 36
        else:
            _paint_digit(picture[52:172, left : left + 64], letter)
            left += 88
    return picture


def _paint_digit(part: NDArray[np.uint8], digit: str) -> None:
    height, width = part.shape[:2]
    thick, half = 14, height // 2
    bars = (
        part[:thick, :],
        part[:half, width - thick :],
        part[half:, width - thick :],
        part[height - thick :, :],
        part[half:, :thick],
        part[:half, :thick],
        part[half - thick // 2 : half + thick // 2, :],
    )
    for bar, lit in zip(bars, _SEGMENTS[digit], strict=True):
        if lit == "1":
            bar[...] = 240


def _marked(red: int) -> Frames:
    """The clip: grey squares, and a red one in the frame `red`."""
    pixels = np.full((len(_TIMES), *_SIZE, 3), 24, np.uint8)
    pixels[:, 40:184, 40:184] = 128
    pixels[red, 40:184, 40:184] = (220, 20, 20)
    return Frames(pixels, np.array(_TIMES))


def _reading(kind: str, true: float, answer: Answer) -> Reading:
    if answer.state is State.DONE:
        return Reading(kind, true, float(answer.value))
    return Reading(kind, true, None, f"{answer.state.value}: {answer.reason}")

"""Open answers: whether one means the same as the true one, and how close it is, 0 to 5 (1 question).

After the protocol of Video-ChatGPT (Maaz et al., arXiv:2306.05424), which MSVD-QA, MSR-VTT-QA, TGIF-QA and
ActivityNet-QA are scored by, in our own words. A verdict is

    {"correct": true, "score": 4, "reason": "…"}

An empty answer is wrong, with score 0, and is not asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longshot.asking import Unreadable
from longshot.items import Ask, Item, Row
from longshot.judges._replies import read_value
from longshot.judges._words import wording

HIGHEST = 5
_PLACES = ("question", "answers", "prediction")
_VERDICTS = ("correct", "pred", "prediction", "match", "verdict")
_TRUTH = {"yes": True, "true": True, "correct": True, "no": False, "false": False, "incorrect": False, "wrong": False}


def load(*, prompts: Path | None = None) -> AnswerJudge:
    """The judge. prompts: a folder with grade-answer.txt ($question, $answers, $prediction)."""
    return AnswerJudge(prompts)


class AnswerJudge:
    """Yes or no, and a score."""

    def __init__(self, prompts: Path | None = None) -> None:
        self._grade = wording("grade-answer", prompts, places=_PLACES)

    @property
    def name(self) -> str:
        """Which judge, asking with which words."""
        return f"answers ({self._grade.name})"

    def calls(self, item: Item) -> int:
        """One."""
        return 1

    def asks(self, row: Row, said: Mapping[str, Any]) -> list[Ask]:
        """One question, unless the answer is empty."""
        given = _given(row)
        if "grade" in said or not given:
            return []
        answers = " / ".join(str(answer).strip() for answer in row.item.gold.get("answers", ()))
        values = {"question": row.item.ask, "answers": answers, "prediction": given}
        return [Ask("grade", self._grade.text(**values), read_grade, self._grade.system(**values))]

    def verdict(self, row: Row, said: Mapping[str, Any]) -> dict[str, Any]:
        """As the docstring of the file shows."""
        return dict(said.get("grade") or {"correct": False, "score": 0, "reason": "there is no answer"})


def read_grade(reply: str) -> dict[str, Any]:
    """{"correct": bool, "score": 0..5, "reason": text} from a judge's reply. Raises Unreadable."""
    return read_value(reply, _grade)


def _grade(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Unreadable("it must be one JSON object with correct and score")
    fields = {str(key).casefold().strip(): one for key, one in value.items()}
    named = next((fields[name] for name in _VERDICTS if name in fields), None)
    correct = named if isinstance(named, bool) else _TRUTH.get(str(named).strip(" .\"'").casefold())
    if correct is None:
        raise Unreadable('correct must be "yes" or "no"')
    reason = fields.get("reason", "")
    said = " ".join(reason.split()) if isinstance(reason, str) else ""
    return {"correct": correct, "score": _score(fields.get("score")), "reason": said}


def _score(value: Any) -> int | float:
    try:
        number = float(value) if not isinstance(value, bool) else -1.0
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if not 0 <= number <= HIGHEST:
        raise Unreadable(f"score must be a number from 0 to {HIGHEST}")
    return int(number) if number == int(number) else number


def _given(row: Row) -> str:
    value = row.prediction.value if row.prediction else ""
    return str(value or "").strip()

"""The ask loop: every question gets one answer, and nothing that was answered is asked again."""

from __future__ import annotations

from pathlib import Path

from longshot.asking import Desk, Question, ask
from tests.fakes import ScriptedModel


def questions(count: int, first: int = 0) -> list[Question]:
    return [Question(f"q{number}", f"say {number}") for number in range(first, first + count)]


def test_every_question_gets_its_own_answer_and_the_second_run_asks_nothing(tmp_path: Path) -> None:
    model = ScriptedModel(slots=3, batch=4)
    told = {answer.id: answer for answer in ask(model, questions(50), journal=tmp_path / "answers.jsonl")}
    assert {id: answer.value for id, answer in told.items()} == {f"q{k}": f"say {k} [0]" for k in range(50)}
    assert not any(answer.again for answer in told.values())
    again = ScriptedModel()
    with Desk(again) as desk:
        second = {answer.id: answer for answer in desk.ask(questions(50), journal=tmp_path / "answers.jsonl")}
        assert desk.usage.asked == 0
    assert all(answer.again for answer in second.values())
    assert {id: answer.value for id, answer in second.items()} == {id: answer.value for id, answer in told.items()}
    assert again.asked == []

"""What every judge must keep. New files on the shelf join by existing."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from longshot import registry
from longshot.asking import Unreadable
from longshot.items import Ask, Item, Judge, Prediction, Row
from longshot.journal import State

NAMES = sorted(registry.choices("judges"))
# Those that ask nobody; `tests/test_judges.py` holds them to the same form of verdict.
OFFLINE = {"nli"}
ASKING = [name for name in NAMES if name not in OFFLINE]
SAID = "Some caption or answer with $dollar and {braces}."


def judge_called(name: str) -> Judge:
    choice = registry.choices("judges")[name]
    if choice.missing:
        pytest.skip(choice.install)
    judging: Judge = registry.load("judges", name)
    return judging


def row(prediction: str = SAID, **gold: Any) -> Row:
    held = {"references": ["What is true."], "answers": ["true"], **gold}
    return Row(Item("a", "v", ask="What?", gold=held), Prediction("a", State.DONE, prediction))


ROWS = {
    "plain": row(),
    "with lists": row(events=["A dog runs."], objects=["There is a dog."]),
    "with empty lists": row(events=[], objects=[]),
    "with repeats": row(events=["A dog runs."] * 2, objects=["There is a dog."] * 2),
    "empty": row(""),
    "without gold": Row(Item("a", "v"), Prediction("a", State.DONE, SAID)),
    "no text": Row(Item("a", "v"), Prediction("a", State.DONE, None)),
}


def answer(ask: Ask) -> Any:
    """What the first of some likely replies becomes that the question's reader takes."""
    if ask.read is None:
        return "yes"
    label = '{"label": "entailment", "reason": "so"}'
    replies = [f"[{', '.join([label] * count)}]" for count in (1, 2)]
    for reply in [*replies, '["A cat sits.", "A cat runs."]', '{"correct": "yes", "score": 5}', '{"label": "yes"}']:
        try:
            return ask.read(reply)
        except Unreadable as error:
            assert error.reason
    raise AssertionError(f"{ask.name}: no reply can be read")


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    choice = registry.choices("judges")[name]
    assert choice.summary.endswith(".") and len(choice.summary) < 110
    assert not choice.needs or choice.extra


@pytest.mark.parametrize("name", ASKING)
def test_its_prompts_can_be_replaced(name: str) -> None:
    parameter = inspect.signature(registry.module("judges", name).load).parameters["prompts"]
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is None
    assert judge_called(name).name.startswith(f"{name} (")


@pytest.mark.parametrize("about", ROWS.values(), ids=list(ROWS))
@pytest.mark.parametrize("name", ASKING)
def test_a_conversation_ends_in_plain_json_within_the_calls_it_states(name: str, about: Row) -> None:
    judging = judge_called(name)
    said: dict[str, Any] = {}
    for _ in range(5):
        asks = judging.asks(about, said)
        assert asks == [] or [(a.name, a.text) for a in asks] == [(a.name, a.text) for a in judging.asks(about, said)]
        if not asks:
            break
        assert len({ask.name for ask in asks}) == len(asks)
        for ask in asks:
            assert ask.name not in said and "\n" not in ask.name and ask.text.strip()
            said[ask.name] = answer(ask)
    else:
        raise AssertionError("it never stops asking")
    assert len(said) <= judging.calls(about.item)
    verdict = judging.verdict(about, said)
    assert json.loads(json.dumps(verdict, allow_nan=False)) == verdict
    assert not {"of", "by"} & set(verdict), "these say what a verdict is about"


@pytest.mark.parametrize("name", ASKING)
def test_it_neither_sees_the_answer_of_another_row_nor_keeps_its_own(name: str) -> None:
    judging = judge_called(name)
    first = [ask.text for ask in judging.asks(ROWS["plain"], {})]
    judging.asks(row("Something else."), {})
    assert [ask.text for ask in judging.asks(ROWS["plain"], {})] == first
    assert any(SAID in text for text in first)


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize("reply", ["", "I think so.", "{}", "[", "null", '{"labels": 3}', "\x00", "[[[[[]]]]]"])
def test_nonsense_is_unreadable_and_no_other_error(name: str, reply: str) -> None:
    for ask in judge_called(name).asks(ROWS["with lists"], {}):
        if ask.read is not None:
            with pytest.raises(Unreadable):
                ask.read(reply)


def test_shelf_names_are_the_judges_that_benchmarks_name(tmp_path: Path) -> None:
    assert {"events", "facts", "answers", "nli"} <= set(NAMES)

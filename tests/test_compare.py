"""Two runs item by item, and what a run would take: worked numbers, refusals, what only one run has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from longshot.errors import UsageError
from longshot.evaluating import plan as planning
from longshot.evaluating.compare import compare, compare_rows, only_one
from longshot.evaluating.evaluate import Order
from longshot.evaluating.plan import plan
from longshot.evaluating.runs import Run, manifest, record
from longshot.items import Benchmark, Item, Prediction, Row
from longshot.journal import Journal, State
from longshot.sampling import Sampler
from longshot.timeline import Source, Span

QUIZ = Benchmark(
    "quiz",
    "mc-qa",
    "answers",
    tuple(Item(f"q{n}", f"v{n}", "Who?", {"option": 0}, options=("the cook", "the maid")) for n in range(10)),
    "a" * 16,
)


def run_of(folder: Path, answers: str, benchmark: Benchmark = QUIZ) -> Run:
    """A run with one letter for each item; "-" is one that failed, " " one that was never asked."""
    run = Run(folder)
    run.begin(manifest(benchmark, data="quiz.json", model=Source("chat", "m"), name="m", how={}, videos={}))
    with Journal(run.predictions_path()) as journal:
        for item, letter in zip(benchmark.items, answers, strict=False):
            if letter == "-":
                record(journal, Prediction(item.id, State.FAILED, reason="broke"))
            elif letter != " ":
                record(journal, Prediction(item.id, State.DONE, letter))
    return run


def test_a_difference_worked_by_hand(tmp_path: Path) -> None:
    # 8 of 10 right and 4 of 10 right; the five items that differ are +1 (four times more than the other way, +5 -1).
    one, two = run_of(tmp_path / "a", "AAAAAAAABB"), run_of(tmp_path / "b", "AAABBBBBAB")
    [row] = compare(QUIZ, one, two)
    assert (row.name, row.a, row.b, row.difference, row.n, row.unit) == ("accuracy", 80, 40, 40, 10, "%")
    # Six videos differ: |sum| >= 4 in 2 x (1 + 6) of 2^6 ways.
    assert row.p == pytest.approx(14 / 64)
    assert row.low is not None and row.high is not None and row.low < 40 < row.high
    assert row.note == ""


def test_the_other_way_round_everything_turns_its_sign(tmp_path: Path) -> None:
    one, two = run_of(tmp_path / "a", "AAAAAAAABB"), run_of(tmp_path / "b", "AAABBBBBAB")
    [there], [back] = compare(QUIZ, one, two), compare(QUIZ, two, one)
    assert (back.difference, back.low, back.high, back.p) == (-there.difference, -there.high, -there.low, there.p)


def test_a_run_does_not_differ_from_itself(tmp_path: Path) -> None:
    run = run_of(tmp_path / "a", "AAAAA-BBB ")
    [row] = compare(QUIZ, run, run)
    assert (row.difference, row.low, row.high, row.p) == (0, 0, 0, 1)


def test_what_only_one_run_has_is_wrong_in_the_other_and_said(tmp_path: Path) -> None:
    one, two = run_of(tmp_path / "a", "AAAA-AAAAA"), run_of(tmp_path / "b", "AAAAAAA-  ")
    [row] = compare(QUIZ, one, two)
    assert (row.a, row.b, row.only_a, row.only_b) == (90, 70, 3, 1)
    assert row.note == "3 done in the first alone, such as q7; 1 done in the second alone, such as q4"
    assert only_one(one.rows(QUIZ), two.rows(QUIZ)) == (["q7", "q8", "q9"], ["q4"])


def test_of_a_run_that_was_cut_short_the_shared_items_count(tmp_path: Path) -> None:
    short = replace(QUIZ, items=QUIZ.items[:4])
    one, two = run_of(tmp_path / "a", "AAAAAAAAAA"), run_of(tmp_path / "b", "AABB", short)
    [row] = compare(QUIZ, one, two)
    assert (row.n, row.a, row.b, row.note) == (4, 100, 50, "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "b" * 16}, f"not runs of the same benchmark: fingerprint: {'a' * 16} and {'b' * 16}"),
        ({"name": "other"}, "name: quiz and other"),
        ({"options": {"split": "val"}}, "options.split: nothing and val"),
    ],
)
def test_runs_of_something_else_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    other = run_of(tmp_path / "b", "A", replace(QUIZ, **change))
    with pytest.raises(UsageError, match=message):
        compare(QUIZ, run_of(tmp_path / "a", "A"), other)


def test_another_annotation_than_that_of_the_runs_is_refused(tmp_path: Path) -> None:
    run = run_of(tmp_path / "a", "A")
    with pytest.raises(UsageError, match="the annotation of quiz is another one"):
        compare(replace(QUIZ, fingerprint="c" * 16), run, run)


def test_rows_of_other_items_are_refused() -> None:
    rows = [Row(item) for item in QUIZ.items]
    with pytest.raises(UsageError, match="different items"):
        compare_rows(rows, rows[1:], QUIZ)
    assert compare_rows([], [], QUIZ) == []


# --- a plan


def planned(monkeypatch: pytest.MonkeyPatch, benchmark: Benchmark, **order: Any) -> planning.Plan:
    monkeypatch.setattr(planning, "open_benchmark", lambda order: benchmark)
    seconds = order.pop("seconds_per_call", 3.6)
    return plan(Order("quiz", **{"model": "m", **order}), seconds_per_call=seconds)


def test_a_plan_counts_calls_tokens_and_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    found = planned(monkeypatch, replace(QUIZ, sampler=Sampler("middle", count=4)))
    assert (found.items, found.videos, found.model_calls, found.judge_calls) == (10, 10, 10, 0)
    # "Who?" and two options of 8 letters with 5 around each: 30 letters, 8 tokens; 60 for the prompt; 4 frames.
    assert found.tokens_in == 10 * (8 + 60 + 4 * 256)
    assert found.tokens_out == 10 * 4
    assert found.hours == 0.01


def test_frames_by_length(monkeypatch: pytest.MonkeyPatch) -> None:
    items = (Item("a", "a", span=Span(0, 10)), Item("b", "b", gold={"duration": 20.0}), Item("c", "c"))
    benchmark = Benchmark("x", "caption", "captions", items, "d" * 16, sampler=Sampler("fps", rate=2, at_most=50))
    assert planned(monkeypatch, benchmark).tokens_in == 3 * 60 + 256 * (20 + 40 + 50)
    assert planned(monkeypatch, benchmark, frames=1).tokens_in == 3 * (60 + 256)


def test_judges_say_what_they_cost_and_those_on_this_machine_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = replace(QUIZ, kind="caption", measure="events", judge="events")
    found = planned(monkeypatch, benchmark)
    assert found.judge_calls == sum(4 for _ in QUIZ.items)  # without a list of events in the annotation
    assert "scores need a judge" in found.note
    assert planned(monkeypatch, benchmark, judge="nli:small").judge_calls == 0


def test_the_observer_asks_nobody_and_retrieval_encodes_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert planned(monkeypatch, QUIZ, model="observer").model_calls == 0
    texts = tuple(Item(f"t{n}", f"v{n // 2}", "x", {"videos": [f"v{n // 2}"]}) for n in range(6))
    found = planned(monkeypatch, Benchmark("r", "retrieval", "retrieval", texts, "e" * 16))
    assert (found.model_calls, found.tokens_in) == (6 + 3, 0)


def test_the_smallest_difference_shrinks_with_videos(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(count: int) -> float | None:
        items = tuple(Item(str(n), f"v{n}", gold={"option": 0}, options=("a",)) for n in range(count))
        return planned(monkeypatch, replace(QUIZ, items=items)).smallest_difference

    few, many = of(100), of(10_000)
    assert of(2) is None
    assert few is not None and many is not None
    assert 1.3 < many < 1.5 and 9.5 < few / many < 11  # 2.8 x 0.5 / sqrt(10,000) is 1.4 points

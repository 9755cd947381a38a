from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot.errors import UsageError
from longshot.items import Item, Prediction, Row, Score, Verdict
from longshot.journal import State
from longshot.metrics.answers import LETTERS, legacy_choice, read_choice, scores, values

OPTIONS = ("a red car", "a dog", "a man runs", "nothing")

READ = {
    "the whole reply is an option": {
        "a red car": 0,
        "A Dog.": 1,
        "A man runs": 2,
        '"nothing"': 3,
    },
    "letter": {
        "B": 1,
        "b": 1,
        "(B)": 1,
        "(b)": 1,
        "B.": 1,
        "B)": 1,
        "[B]": 1,
        "B:": 1,
        "**B**": 1,
        "B) a dog": 1,
        "B. A dog.": 1,
        "B a dog": 1,
        "B) A dog runs.": 1,
        "B, because it barks": 1,
        "B. not A": 1,
        "B.\nIt barks.": 1,
        "C because he is fast": 2,
        "A": 0,
        "a": 0,
        "A.": 0,
        "A. a red car": 0,
        "D. Nothing.": 3,
    },
    "number, from 1": {"2": 1, "2.": 1, "Option 2": 1, "(4)": 3},
    "announced": {
        "Answer: C": 2,
        "answer is (C)": 2,
        "The answer is C.": 2,
        "The answer is a dog.": 1,
        "The answer is A man runs": 2,
        "the correct option is C": 2,
        "Option C": 2,
        "option C: a man runs": 2,
        "choice c": 2,
        "The best choice is C": 2,
        "Answer:\nB": 1,
        "Answer: (B": 1,
        "Answer: A red car": 0,
        "Based on the video, the answer is: (D) nothing": 3,
        "The correct answer is B) a dog": 1,
        "the answer would be B.": 1,
        "I choose B": 1,
        "B is correct": 1,
        "A is the answer": 0,
        "The answer to the question is A.": 0,
        "**Answer:** B": 1,
        "Answer: A. Wait. Final answer: B": 1,
    },
    "wrapped": {
        "\\boxed{B}": 1,
        "<answer>B</answer>": 1,
        "<think>A or C?</think>B": 1,
        "$\\boxed{\\text{C}}$": 2,
    },
    "alone or in brackets": {"It's B.": 1, "It must be A.": 0, "I think it is D": 3, "That shows (C), clearly": 2},
    "contained": {
        "The video shows a dog.": 1,
        "It is not a dog but nothing": 3,
        "A man runs away": 2,
    },
}
UNREAD = (
    "",
    "   ",
    "E",
    "(E)",
    "0",
    "7",
    "A or B",
    "A, B",
    "A and B",
    "A/B",
    "Both A and B",
    "The answer is either A or B",
    "Among the options, (B) and (C) fit",
    "(B) a red car",
    "Answer: A. Wait, the answer is B",
    "The answer is not A",
    "not a dog",
    "The video shows a dog and a red car.",
    "A. a red car\nB. a dog\nC. a man runs\nD. nothing",
    "(A) a red car (B) a dog",
    "None of the above",
    "I cannot tell",
    "I",
    "D-day",
    "C.E.O.",
    "vitamin A helps",
    "3 men",
    "dog",
    "<error>",
    "The answer is B or C",
    "<think>Perhaps B, or",
)


@pytest.mark.parametrize(("text", "place"), [pair for table in READ.values() for pair in table.items()])
def test_a_reply_names_an_option(text: str, place: int) -> None:
    assert read_choice(text, OPTIONS) == place


@pytest.mark.parametrize("text", UNREAD)
def test_a_reply_that_names_none_or_several_is_unreadable(text: str) -> None:
    assert read_choice(text, OPTIONS) is None


def test_numbers_that_are_options_are_not_places() -> None:
    assert read_choice("3", ["2", "3", "1"]) == 1
    assert read_choice("1", ["12", "13"]) is None
    assert read_choice("(3)", ["3 times", "4 times"]) is None
    assert read_choice("3 times", ["4 times", "3 times"]) == 1


def test_a_letter_is_a_letter_even_where_options_are_letters() -> None:
    assert read_choice("B", ["B", "A"]) == 1


def test_short_options() -> None:
    assert read_choice("Yes, he does.", ["yes", "no"]) == 0
    assert read_choice("No, he is not", ["yes", "no"]) == 1
    assert read_choice("left", ["left", "left"]) is None
    assert read_choice("B", []) is None


def test_a_longer_option_hides_the_shorter_one_in_it() -> None:
    assert read_choice("I see a red car there", ["a red car", "a red", "car"]) == 0


@given(
    st.sampled_from(OPTIONS),
    st.sampled_from(["{}", "({}) {}", "{}. {}", "Answer: {}", "The answer is ({}).", "{}: {}"]),
)
def test_every_way_of_naming_an_option_is_read(option: str, form: str) -> None:
    place = OPTIONS.index(option)
    assert read_choice(form.format(LETTERS[place], option), OPTIONS) == place


@pytest.mark.parametrize("piece", ["A or ", "(A", "answer is ", "A, ", "a dog ", "not ", "<think>", "\\boxed{", "1 "])
def test_a_model_that_repeats_itself_is_read_in_no_time(piece: str) -> None:
    began = time.perf_counter()
    read_choice(piece * (40_000 // len(piece)), OPTIONS)
    assert time.perf_counter() - began < 5


@given(st.text(max_size=200), st.lists(st.text(max_size=12), max_size=5))
def test_any_reply_gets_an_answer(text: str, options: list[str]) -> None:
    place = read_choice(text, options)
    assert place is None or 0 <= place < len(options)
    assert legacy_choice(text) is None or len(legacy_choice(text) or "") == 1


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("C", "C"),
        ("(C) a man", "C"),
        (" ( C", "C"),
        ("Answer: C", "A"),
        ("1", "B"),
        ("5", "F"),
        ("0", None),
        ("6", None),
        ("c", None),
        ("", None),
        ("()", None),
        ("<error>", None),
        ("Zebra", "Z"),
    ],
)
def test_tarsiers_rule(text: str, letter: str | None) -> None:
    assert legacy_choice(text) == letter


def test_tarsier2_reads_a_zero() -> None:
    assert legacy_choice("0", zero=True) == "A"
    assert legacy_choice("1", zero=True) == "B"


def question(id: str, reply: str | None, option: int = 0, *, video: str = "", **groups: str) -> Row:
    item = Item(id, video or id, "what?", {"option": option}, options=OPTIONS, groups=groups)
    if reply is None:
        return Row(item, Prediction(id, State.FAILED, reason="broke"))
    return Row(item, Prediction(id, State.DONE, reply))


def one(found: list[Score], name: str, *, legacy: bool = False, **group: str) -> Score:
    fitting = [score for score in found if (score.name, score.legacy, score.group) == (name, legacy, group)]
    assert len(fitting) == 1, [(score.name, score.legacy, score.group) for score in found]
    return fitting[0]


def test_strict_counts_everything_and_legacy_what_is_valid() -> None:
    # Right, right by text (no capital letter first, so invalid before), wrong, unreadable, failed, refused.
    rows = [
        question("1", "A"),
        question("2", "it is a red car"),
        question("3", "B"),
        question("4", "A or B"),
        question("5", None),
        Row(Item("6", "6", gold={"option": 0}, options=OPTIONS), Prediction("6", State.REFUSED, reason="no")),
        Row(Item("7", "7", gold={"option": 0}, options=OPTIONS)),
    ]
    found = scores(rows)
    strict = one(found, "accuracy")
    assert strict.value == pytest.approx(100 * 2 / 7) and strict.n == 7 and strict.unit == "%"
    assert strict.states == {"done": 3, "failed": 2, "refused": 1, "unreadable": 1}
    legacy = one(found, "accuracy", legacy=True)
    # "A" right, "B" wrong, and "A or B" begins with A: right.
    assert legacy.value == pytest.approx(100 * 2 / 3) and legacy.n == 3
    assert strict.low is not None and strict.high is not None and strict.low <= strict.value <= strict.high
    np.testing.assert_array_equal(values(rows)["accuracy"], [1, 1, 0, 0, 0, 0, 0])
    assert [score.legacy for score in found] == [False, True]


# Tarsier2-Recap on TVBench: questions and accuracy of each task.
TVBENCH = {
    "AA": (320, 91.2),
    "AC": (536, 43.1),
    "AL": (160, 42.5),
    "AS": (437, 70.5),
    "ES": (200, 22.0),
    "MD": (232, 37.1),
    "OC": (148, 46.6),
    "OS": (225, 36.9),
    "ST": (185, 85.9),
    "UA": (82, 28.0),
}


def test_tvbench_micro_and_macro() -> None:
    rows = []
    for task, (count, accuracy) in TVBENCH.items():
        hits = round(count * accuracy / 100)
        rows += [
            question(f"{task}{i}", "A" if i < hits else "B", video=f"{task}{i % 50}", task=task) for i in range(count)
        ]
    found = scores(rows, resamples=50)
    for legacy in (False, True):
        assert round(one(found, "accuracy", legacy=legacy).value or 0, 1) == 54.0
        assert round(one(found, "macro accuracy", legacy=legacy).value or 0, 1) == 50.4
    for task, (count, accuracy) in TVBENCH.items():
        score = one(found, "accuracy", task=task)
        assert score.n == count and round(score.value or 0, 1) == accuracy
    macro = one(found, "macro accuracy")
    assert macro.low is not None and macro.high is not None and macro.low < (macro.value or 0) < macro.high


def test_macro_legacy_leaves_out_a_task_without_a_valid_answer() -> None:
    rows = [question("1", "A", task="x"), question("2", "B", task="x"), question("3", "?", task="y")]
    found = scores(rows)
    assert one(found, "macro accuracy").value == pytest.approx(25.0)
    assert one(found, "macro accuracy", legacy=True).value == pytest.approx(50.0)


def test_video_mme_drops_flagged_videos_in_legacy() -> None:
    groups = {"duration": "short", "domain": "Sports"}
    rows = [
        *(question(f"a{i}", "A", video="a", **groups) for i in range(3)),
        *(question(f"b{i}", reply, video="b", **groups) for i, reply in enumerate(["A", "hmm", "A"])),
        *(question(f"c{i}", "B", video="c", duration="long", domain="Arts") for i in range(3)),
    ]
    found = scores(rows)
    assert one(found, "accuracy").value == pytest.approx(100 * 5 / 9)
    assert one(found, "accuracy", legacy=True).value == pytest.approx(50.0)
    assert one(found, "accuracy", legacy=True).n == 6
    assert one(found, "accuracy", duration="short").value == pytest.approx(100 * 5 / 6)
    assert one(found, "accuracy", legacy=True, duration="short").value == pytest.approx(100.0)
    assert one(found, "accuracy", domain="Arts").value == 0.0


def judged(id: str, value: object, state: State = State.DONE) -> Row:
    item = Item(id, id, "what?", {"answers": ["car"]})
    return Row(item, Prediction(id, State.DONE, "a car"), Verdict(id, state, value))


def test_judged_answers() -> None:
    rows = [
        judged("1", {"correct": True, "score": 5}),
        judged("2", {"correct": False, "score": 1}),
        judged("3", None, State.UNREADABLE),
        judged("4", {"correct": "yes"}),
        judged("5", {"correct": True, "score": 9}),
        Row(Item("6", "6", gold={"answers": ["x"]}), Prediction("6", State.DONE, "not judged yet")),
    ]
    found = scores(rows)
    assert one(found, "accuracy").value == pytest.approx(100 / 6)
    assert one(found, "score").value == pytest.approx(1.0) and one(found, "score").unit == ""
    assert one(found, "accuracy").states == {"done": 2, "failed": 1, "refused": 0, "unreadable": 3}
    assert one(found, "accuracy", legacy=True).value == pytest.approx(50.0)
    assert one(found, "score", legacy=True).value == pytest.approx(3.0)
    np.testing.assert_array_equal(values(rows)["score"], [5, 1, 0, 0, 0, 0])


@pytest.mark.parametrize("option", [4, -1, True, "A", None])
def test_a_right_option_that_is_none_is_an_error(option: object) -> None:
    row = Row(Item("q7", "v", gold={"option": option}, options=OPTIONS), Prediction("q7", State.DONE, "A"))
    with pytest.raises(UsageError, match="q7"):
        scores([row])


def test_no_rows() -> None:
    assert [score.value for score in scores([])] == [None, None]
    assert len(values([])["accuracy"]) == 0


@given(
    st.lists(
        st.tuples(st.sampled_from(["A", "B", "(C)", "x", "Answer: D", "1"]), st.integers(0, 3)), min_size=1, max_size=30
    )
)
def test_scores_are_means_of_values(replies: list[tuple[str, int]]) -> None:
    rows = [question(str(i), reply, option) for i, (reply, option) in enumerate(replies)]
    strict = one(scores(rows, resamples=10), "accuracy")
    assert strict.value == pytest.approx(100 * values(rows)["accuracy"].mean())
    assert sum(strict.states.values()) == len(rows)

"""The ask loop: every question gets one answer, nothing that was answered is asked again, and a kill loses nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot import asking
from longshot.asking import Answer, Desk, Question, Unreadable, ask, is_refusal
from longshot.contracts import Exchange, Finish, Frames, Prompt, Reply
from longshot.errors import Busy, FormatError, LongshotError, ModelError, UsageError
from longshot.journal import Journal, Result, State, read_journal
from longshot.looks import Look
from tests.fakes import ScriptedModel, failed, refused
from tests.videos import read_number, write_video

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("asking") / "numbers.mp4"
    write_video(path, count=50)
    return path


def questions(count: int, first: int = 0) -> list[Question]:
    return [Question(f"q{number}", f"say {number}") for number in range(first, first + count)]


def pictures(number: int, count: int = 1) -> Frames:
    return Frames(np.full((count, 4, 6, 3), number, np.uint8), np.arange(count, dtype=np.float64))


def by_id(answers: Iterator[Answer]) -> dict[str, Answer]:
    told = {}
    for answer in answers:
        assert answer.id not in told
        told[answer.id] = answer
    return told


def whole_number(text: str) -> int:
    if not text.strip().isdigit():
        raise Unreadable("it is no whole number")
    return int(text)


def number_shown(prompt: Prompt) -> str:
    assert prompt.frames is not None
    return " ".join(str(read_number(picture)) for picture in prompt.frames.pixels)


# Answers and ids ----------------------------------------------------------------------------------------------


@given(
    count=st.integers(0, 60),
    slots=st.integers(1, 5),
    batch=st.integers(1, 7),
    distinct=st.integers(1, 60),
    delays=st.lists(st.sampled_from([0.0, 0.0, 0.001, 0.003]), min_size=1, max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_every_question_gets_its_own_answer(
    count: int, slots: int, batch: int, distinct: int, delays: list[float]
) -> None:
    def answer(prompt: Prompt) -> str:
        time.sleep(delays[len(prompt.text) % len(delays)])
        return f"<{prompt.text}>"

    model = ScriptedModel(answer, slots=slots, batch=batch)
    asked = [Question(f"q{number}", f"say {number % distinct}") for number in range(count)]
    told = by_id(ask(model, asked))
    assert {id: one.value for id, one in told.items()} == {f"q{k}": f"<say {k % distinct}>" for k in range(count)}
    assert all(one.state is State.DONE and one.text == one.value for one in told.values())
    assert sorted(model.texts) == sorted({question.text for question in asked}), "one call for one content"
    assert sum(not one.again for one in told.values()) == len(model.asked)
    assert max(model.batches, default=0) <= batch
    assert model.most_at_once <= slots


def test_answers_come_as_they_are_finished() -> None:
    slow = threading.Event()
    model = ScriptedModel(lambda prompt: str(prompt.text == "say 0" and slow.wait(10)), slots=2)
    answers = ask(model, questions(9))
    first = [next(answers).id for _ in range(8)]
    slow.set()
    assert "q0" not in first
    assert [answer.id for answer in answers] == ["q0"]


def test_all_of_a_question_reaches_the_model(video: Path) -> None:
    model = ScriptedModel()
    history = (Exchange("what is it", "a clip"),)
    frames = pictures(7, 3)
    told = by_id(
        ask(
            model,
            [
                Question("seen", "and now?", frames=frames, system="Be brief.", history=history),
                Question("looked", "which?", look=Look(video, (1.0, 0.2), 48)),
            ],
        )
    )
    assert set(told) == {"seen", "looked"}
    seen, looked = sorted(model.asked, key=lambda prompt: prompt.text)
    assert seen == Prompt("and now?", frames, "Be brief.", history)
    assert looked.frames is not None
    assert number_shown(looked) == "25 5"
    assert looked.frames.times.tolist() == [1.0, 0.2]
    assert looked.frames.pixels.shape == (2, 48, 80, 3)


def test_a_question_has_a_look_or_frames_and_an_id_of_its_own(video: Path) -> None:
    with pytest.raises(UsageError, match="'both' has a look and frames"):
        Question("both", "?", look=Look(video, (0.0,)), frames=pictures(1))
    with pytest.raises(UsageError, match="two questions have the id 'q1'"):
        list(ask(ScriptedModel(), [*questions(2), Question("q1", "other")]))


def test_nothing_asked_is_nothing_answered(tmp_path: Path) -> None:
    assert list(ask(ScriptedModel(), [])) == []
    assert list(ask(ScriptedModel(), iter(()), journal=tmp_path / "a.jsonl")) == []


def test_progress_counts_answers() -> None:
    seen: list[tuple[float, float]] = []
    list(ask(ScriptedModel(), questions(5), progress=lambda done, total: seen.append((done, total))))
    assert seen == [(k, 5) for k in range(1, 6)]
    seen.clear()
    list(ask(ScriptedModel(), iter(questions(5)), progress=lambda done, total: seen.append((done, total))))
    assert [done for done, _ in seen] == [1, 2, 3, 4, 5]
    assert seen[-1] == (5, 5)


# Batches, slots, bounds ---------------------------------------------------------------------------------------


def test_batches_are_full(video: Path) -> None:
    model = ScriptedModel(slots=2, batch=4, delay=0.002)
    list(ask(model, (Question(f"q{k}", f"{k}", look=Look(video, (k / 25,), 32)) for k in range(50))))
    assert sorted(model.batches) == [2] + [4] * 12


def test_a_slow_source_does_not_hold_up_what_is_there() -> None:
    model = ScriptedModel(batch=8)
    began = time.perf_counter()

    def slow() -> Iterator[Question]:
        yield from questions(3)
        while len(model.asked) < 3 and time.perf_counter() < began + 20:
            time.sleep(0.01)
        yield from questions(1, first=3)

    assert len(list(ask(model, slow()))) == 4
    assert model.batches == [3, 1]
    assert time.perf_counter() - began < 10


def test_slots_are_kept_busy() -> None:
    shares = []
    for _ in range(3):  # other work on the machine may take the processor away
        times: list[float] = []
        model = ScriptedModel(slots=16, delay=0.08, on_ask=lambda _, times=times: times.append(time.perf_counter()))
        list(ask(model, questions(320)))
        shares.append(model.busy / (16 * (time.perf_counter() - times[0])))
        if shares[-1] >= 0.95:
            break
    assert model.most_at_once == 16
    assert max(shares) >= 0.95


def test_questions_are_taken_a_bounded_number_ahead() -> None:
    taken = answered = most = 0

    def many() -> Iterator[Question]:
        nonlocal taken, most
        for question in questions(3000):
            taken += 1
            most = max(most, taken - answered)
            yield question

    model = ScriptedModel(slots=2, batch=4, keep=False)
    for _ in ask(model, many()):
        answered += 1
    assert answered == 3000
    assert most <= 2 * (3 * 2 * 4 + 16) + 1


@pytest.mark.parametrize("inline", [True, False])
def test_pixels_are_let_go(video: Path, inline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = threading.Lock()
    alive = most = made = 0

    def counted(frames: Frames) -> Frames:
        nonlocal alive, most, made
        with lock:
            alive, made = alive + 1, made + 1
            most = max(most, alive)
        weakref.finalize(frames.pixels, gone)
        return frames

    def gone() -> None:
        nonlocal alive
        with lock:
            alive -= 1

    def source() -> Iterator[Question]:
        for number in range(200):
            if inline:
                pixels = np.full((1, 96, 160, 3), number, np.uint8)
                yield Question(f"q{number}", "?", frames=counted(Frames(pixels, np.zeros(1))))
            else:
                yield Question(f"q{number}", "?", look=Look(video, (number / 100,)))

    if not inline:
        real = asking.Eye.frames
        monkeypatch.setattr(asking.Eye, "frames", lambda eye, look: counted(real(eye, look)))
    one = 160 * 96 * 3
    model = ScriptedModel(slots=2, batch=2, delay=0.002, keep=False)
    with Desk(model, bytes=6 * one) as desk:
        told = list(desk.ask(source()))
    assert len(told) == 200
    # Waiting, in the hands of two slots, in the batch being filled, and one in passing.
    assert most <= 6 + 4 + 2 + 2
    assert made >= 50
    assert alive == 0


# Four states --------------------------------------------------------------------------------------------------


def test_an_unreadable_reply_is_asked_once_more_with_what_is_wrong() -> None:
    def answer(prompt: Prompt) -> str:
        return "12" if len(prompt.history) == 2 else "twelve"

    model = ScriptedModel(answer)
    frames = pictures(1, 2)
    earlier = (Exchange("hello", "yes?"),)
    (told,) = ask(model, [Question("a", "how many?", frames=frames, history=earlier)], read=whole_number)
    assert (told.state, told.value, told.text, told.reason) == (State.DONE, 12, "12", "")
    first, second = model.asked
    assert first.history == earlier
    assert second.history == (*earlier, Exchange("how many?", "twelve"))
    assert second.frames is not None
    assert second.frames.pixels is frames.pixels
    assert "it is no whole number" in second.text
    assert told.tokens_in == 2 + len(second.text.split())
    assert told.tokens_out == 2


def test_asked_once_more_and_no_oftener() -> None:
    model = ScriptedModel(lambda prompt: "many" if prompt.history else "some")
    (told,) = ask(model, [Question("a", "how many?")], read=whole_number)
    assert (told.state, told.value, told.text) == (State.UNREADABLE, None, "many")
    assert told.reason == "it is no whole number"
    assert len(model.asked) == 2


def test_an_empty_reply_is_unreadable_to_everybody() -> None:
    model = ScriptedModel(lambda prompt: "well, a cat" if prompt.history else "  ")
    (told,) = ask(model, questions(1))
    assert (told.state, told.value) == (State.DONE, "well, a cat")
    (told,) = ask(ScriptedModel(lambda prompt: ""), questions(1))
    assert (told.state, told.reason) == (State.UNREADABLE, "the reply was empty")


def test_the_four_states_side_by_side(video: Path, tmp_path: Path) -> None:
    replies: dict[str, Any] = {
        "good": "7",
        "filtered": refused(),
        "away": failed("time out\nafter 60 s"),
        "odd": "seven",
        "declines": "I'm sorry, but I can't help with that.",
    }
    model = ScriptedModel(lambda prompt: replies["odd" if prompt.history else prompt.text], slots=2, batch=2)
    asked = [Question(name, name) for name in replies]
    asked.insert(2, Question("gone", "gone", look=Look(tmp_path / "gone.mp4", (0.0,))))
    asked.insert(0, Question("sees", "good", look=Look(video, (0.0,))))
    told = by_id(ask(model, asked, read=whole_number, journal=tmp_path / "answers.jsonl"))
    assert {id: answer.state.value for id, answer in told.items()} == {
        **{"good": "done", "sees": "done", "filtered": "refused", "away": "failed", "odd": "unreadable"},
        **{"declines": "refused", "gone": "unreadable"},
    }
    assert told["filtered"].reason == "the filter said no"
    assert told["away"].reason == "time out after 60 s"
    assert told["declines"].reason == "it says: I'm sorry, but I can't help with that."
    assert "gone.mp4" in told["gone"].reason
    assert all(told[name].value is None for name in ("filtered", "away", "odd", "declines", "gone"))
    assert "gone" not in model.texts
    assert Counter(model.texts)["declines"] == 1, "a refusal is not asked again"
    # Only what failed is asked by a later run; the file that could not be read is looked at again.
    model.asked.clear()
    again = by_id(ask(model, asked, read=whole_number, journal=tmp_path / "answers.jsonl"))
    assert model.texts == ["away"]
    assert {id: (answer.state, answer.value) for id, answer in again.items()} == {
        id: (answer.state, answer.value) for id, answer in told.items()
    }
    assert [id for id, answer in again.items() if not answer.again and id != "gone"] == ["away"]


def test_a_reply_that_was_cut_counts_when_it_can_be_read() -> None:
    def answer(prompt: Prompt) -> Reply:
        return Reply("12" if "easy" in prompt.text else "1 2", Finish.LENGTH, note="4 of 8 frames used")

    told = by_id(ask(ScriptedModel(answer), [Question("a", "easy"), Question("b", "hard")], read=whole_number))
    assert (told["a"].state, told["a"].value) == (State.DONE, 12)
    assert told["a"].note == "4 of 8 frames used; the reply was cut at the limit on new tokens"
    assert told["b"].state is State.UNREADABLE
    assert "cut at the limit" in told["b"].note


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry, but I can\u2019t assist with that request.",
        "Sorry, I cannot describe the people in this video.",
        "I cannot provide a description of this content.",
        "I can't assist with that.",
        "I'm unable to help with identifying people in images.",
        "I am not able to comply with this request.",
        "Unfortunately, I am unable to process this video.",
        "I apologize, but I will not be able to assist with this.",
        "As an AI language model, I can't participate in this.",
        "I must decline this request.",
        "I won't describe this.",
        "\"I'm sorry, I can't help with that.\"",
    ],
)
def test_refusals_in_words_are_known(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A man says: I'm sorry, I can't help with that.",
        "Sorry, says the man at the counter, and closes the shop.",
        "I cannot see who holds the cup, but a hand reaches for it.",
        "I can't tell whether it is day or night.",
        "Unfortunately, the runner falls just before the finish.",
        "I'm sorry, I cannot describe every detail, but a dog runs across a field.",
        "I can help with that. A dog runs.",
        "I can't identify people in images. The clip shows a man in red who opens a door.",
        "I cannot identify the speaker; however, the caption below names her.",
        "Sorry! That was the title of the film.",
        "I'm unable to find any person in these frames.",
        "I can't help but notice the red car.",
        "I'm sorry, but I can't help with that. " + "A long and full description follows. " * 20,
        "No",
        "12",
    ],
)
def test_answers_are_not_taken_for_refusals(text: str) -> None:
    assert not is_refusal(text)


def test_a_reply_that_can_be_read_is_no_refusal() -> None:
    text = "I can't help with that."
    (told,) = ask(ScriptedModel(lambda prompt: text), questions(1), read=str.upper)
    assert (told.state, told.value) == (State.DONE, text.upper())
    (told,) = ask(ScriptedModel(lambda prompt: text), questions(1))
    assert (told.state, told.value, told.text) == (State.REFUSED, None, text)


def test_a_question_may_bring_its_own_reader() -> None:
    asked = [Question("number", "12"), Question("words", "12", read=str.split)]
    told = by_id(ask(ScriptedModel(lambda prompt: prompt.text), asked, read=whole_number))
    assert {id: answer.value for id, answer in told.items()} == {"number": 12, "words": ["12"]}


# The journal --------------------------------------------------------------------------------------------------


def test_what_is_in_the_journal_is_not_asked(tmp_path: Path, video: Path) -> None:
    asked = [
        *questions(20),
        Question("look", "which?", look=Look(video, (1.0,), 48)),
        Question("frames", "which?", frames=pictures(9)),
    ]
    path = tmp_path / "answers.jsonl"
    first = by_id(ask(ScriptedModel(batch=4), asked, journal=path))
    model = ScriptedModel(batch=4)
    with Desk(model) as desk:
        second = by_id(desk.ask(asked, journal=path))
        assert desk.usage == asking.Usage()
    assert model.asked == []
    assert all(answer.again for answer in second.values())
    assert not any(answer.again for answer in first.values())
    without = [(a.id, a.state, a.value, a.text, a.tokens_in, a.tokens_out, a.cost, a.note) for a in second.values()]
    assert sorted(without) == sorted(
        (a.id, a.state, a.value, a.text, a.tokens_in, a.tokens_out, a.cost, a.note) for a in first.values()
    )


def test_all_that_changes_a_reply_is_in_its_key(tmp_path: Path, video: Path) -> None:
    path = tmp_path / "answers.jsonl"
    base = Question("a", "say", frames=pictures(1, 2), system="s", history=(Exchange("x", "y"),))
    changed = [
        Question("a", "say ", frames=base.frames, system="s", history=base.history),
        Question("a", "say", frames=pictures(2, 2), system="s", history=base.history),
        Question("a", "say", frames=pictures(1, 3), system="s", history=base.history),
        Question("a", "say", frames=Frames(pictures(1, 2).pixels, np.array([0.0, 2.0])), system="s"),
        Question("a", "say", system="s", history=base.history),
        Question("a", "say", look=Look(video, (0.0,)), system="s", history=base.history),
        Question("a", "say", look=Look(video, (0.5,)), system="s", history=base.history),
        Question("a", "say", frames=base.frames, system="t", history=base.history),
        Question("a", "say", frames=base.frames, system="s"),
        Question("a", "say", frames=base.frames, system="s", history=(Exchange("xy", ""),)),
    ]
    models = [
        ScriptedModel(name="other"),
        ScriptedModel(revision="2"),
        ScriptedModel(settings={"temperature": 0.5}),
        ScriptedModel(),
    ]
    for question in [base, *changed]:
        (told,) = ask(models[-1], [question], journal=path)
        assert not told.again
    for model in models[:-1]:
        (told,) = ask(model, [base], journal=path)
        assert not told.again
    assert len(read_journal(path)) == 1 + len(changed) + 3
    (told,) = ask(models[-1], [Question("another id", "say", frames=base.frames, system="s", history=base.history)],
                  journal=path)  # fmt: skip
    assert told.again


def test_the_journal_keeps_what_was_said_and_reading_is_done_anew(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    reply = Reply("the number is 12", tokens_in=5, tokens_out=4, cost=0.25, note="resized")
    (told,) = ask(ScriptedModel(lambda prompt: reply), questions(1), read=whole_number, journal=path)
    assert told.state is State.UNREADABLE
    assert (told.tokens_in, told.tokens_out, told.cost, told.note) == (10, 8, 0.5, "resized")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["value"] for line in lines] == [
        {"text": "the number is 12", "finish": "stop", "tokens_in": 5, "tokens_out": 4, "cost": 0.25, "note": "resized"}
    ] * 2
    assert [line["state"] for line in lines] == ["done", "done"]
    model = ScriptedModel()
    (told,) = ask(model, questions(1), read=lambda text: int(text.split()[-1]), journal=path)
    assert (told.value, told.again, told.cost) == (12, True, 0.25)

    # A reader that finds another fault finds the same second reply.
    def picky(text: str) -> int:
        raise Unreadable("I say it in other words")

    (told,) = ask(model, questions(1), read=picky, journal=path)
    assert (told.state, told.again) == (State.UNREADABLE, True)
    assert model.asked == []


def test_a_kill_between_a_reply_and_its_second_asks_only_the_second(tmp_path: Path, video: Path) -> None:
    path = tmp_path / "answers.jsonl"
    model = ScriptedModel(lambda prompt: "12" if prompt.history else "twelve")
    asked = [Question("a", "how many?", look=Look(video, (1.0,), 48))]
    list(ask(model, asked, read=whole_number, journal=path))
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    model.asked.clear()
    (told,) = ask(model, asked, read=whole_number, journal=path)
    assert (told.value, told.again) == (12, False)
    (prompt,) = model.asked
    assert prompt.history == (Exchange("how many?", "twelve"),)
    assert number_shown(prompt) == "25", "the pictures come along again"


def test_an_answer_is_on_the_disk_before_it_is_given_out(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    for answer in ask(ScriptedModel(slots=3, batch=2), questions(30), journal=path):
        assert answer.text in {result.value["text"] for result in read_journal(path).values()}


def test_an_open_journal_is_used_and_left_open(tmp_path: Path) -> None:
    with Journal(tmp_path / "answers.jsonl") as journal:
        list(ask(ScriptedModel(), questions(3), journal=journal))
        journal.record("mine", Result(State.DONE))
        assert len(journal.results()) == 4


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    list(ask(ScriptedModel(), questions(1), journal=path))
    line = json.loads(path.read_text())
    for value in (None, 7, {"levels": []}, {"text": "a", "finish": "so"}):
        path.write_text(json.dumps({**line, "value": value}) + "\n")
        with pytest.raises(FormatError, match="another kind of journal"):
            list(ask(ScriptedModel(), questions(1), journal=path))


def test_a_journal_that_somebody_else_writes_is_busy(tmp_path: Path) -> None:
    with Journal(tmp_path / "answers.jsonl"), pytest.raises(Busy):
        list(ask(ScriptedModel(), questions(1), journal=tmp_path / "answers.jsonl"))


def test_a_full_disk_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(journal: Journal, results: object) -> None:
        raise LongshotError("no room")

    monkeypatch.setattr(Journal, "record_all", full)
    with pytest.raises(LongshotError, match="no room"):
        list(ask(ScriptedModel(slots=4), questions(40), journal=tmp_path / "answers.jsonl"))


# What goes wrong ----------------------------------------------------------------------------------------------


def test_a_model_that_cannot_be_asked_ends_the_run_after_what_is_under_way(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    broken = threading.Event()

    def fail(call: int) -> None:
        if call == 3:
            broken.set()
            raise ModelError("scripted", "the key is wrong")
        if call in (4, 5):
            broken.wait(10)
            time.sleep(0.05)  # and is still answered

    model = ScriptedModel(lambda prompt: prompt.text, slots=3, fail=fail)
    told = []
    with pytest.raises(ModelError, match="the key is wrong"):
        for answer in ask(model, questions(100), journal=path):
            told.append(answer.text)
    kept = {result.value["text"] for result in read_journal(path).values()}
    assert set(told) == kept
    assert len(kept) == len(model.asked) - 1
    assert len(model.asked) < 20
    lost = set(model.texts) - kept
    model = ScriptedModel(lambda prompt: prompt.text)
    assert len(list(ask(model, questions(100), journal=path))) == 100
    assert set(model.texts).isdisjoint(kept)
    assert lost <= set(model.texts)


def test_a_bug_in_a_model_is_raised_to_the_caller(tmp_path: Path) -> None:
    def fail(call: int) -> None:
        if call == 5:
            raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(ask(ScriptedModel(slots=2, fail=fail), questions(50), journal=tmp_path / "answers.jsonl"))
    assert len(read_journal(tmp_path / "answers.jsonl")) >= 4


def test_a_model_that_miscounts_is_named() -> None:
    class Short(ScriptedModel):
        def generate(self, prompts: Any) -> list[Reply]:
            return super().generate(prompts)[1:]

    with pytest.raises(ModelError, match="gave 2 replies to 3 prompts"):
        list(ask(Short(batch=3), questions(3)))


def test_a_bug_in_a_reader_is_raised_to_the_caller(tmp_path: Path) -> None:
    def read(text: str) -> str:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        list(ask(ScriptedModel(slots=2), questions(50), read=read, journal=tmp_path / "answers.jsonl"))
    assert len(read_journal(tmp_path / "answers.jsonl")) >= 1


def test_a_failing_source_is_the_callers_error_and_loses_nothing(tmp_path: Path) -> None:
    def source() -> Iterator[Question]:
        yield from questions(10)
        raise RuntimeError("no more")

    model = ScriptedModel(lambda prompt: prompt.text, slots=2, delay=0.01)
    with pytest.raises(RuntimeError, match="no more"):
        list(ask(model, source(), journal=tmp_path / "answers.jsonl"))
    kept = read_journal(tmp_path / "answers.jsonl")
    assert {result.value["text"] for result in kept.values()} == set(model.texts)


def test_left_early_what_is_under_way_is_kept(tmp_path: Path, video: Path) -> None:
    model = ScriptedModel(lambda prompt: prompt.text, slots=3, batch=2, delay=0.02)
    source = (Question(f"q{k}", f"{k}", look=Look(video, (k / 25,))) for k in range(1000))
    for count, _ in enumerate(ask(model, source, journal=tmp_path / "answers.jsonl")):
        if count == 5:
            break
    # The generator is closed here: its threads are gone and the journal can be opened again.
    kept = read_journal(tmp_path / "answers.jsonl")
    assert {result.value["text"] for result in kept.values()} == set(model.texts)
    assert len(kept) < 40
    with Journal(tmp_path / "answers.jsonl"):
        pass


CTRL_C = """
import os, sys
from longshot.asking import Question, ask
from tests.fakes import ScriptedModel

model = ScriptedModel(lambda prompt: prompt.text, slots=2, delay=0.3, on_ask=lambda prompt: os.write(1, b"asked\\n"))
questions = (Question(f"q{k}", f"say {k}") for k in range(1000))
try:
    for answer in ask(model, questions, journal=sys.argv[1]):
        pass
except KeyboardInterrupt:
    print("stopped", len(model.asked), flush=True)
    sys.exit(130)
"""


def child(script: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def test_ctrl_c_waits_for_the_calls_under_way_and_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    process = child(CTRL_C, str(path))
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == ["asked\n"] * 3
    process.send_signal(signal.SIGINT)
    began = time.perf_counter()
    out, err = process.communicate(timeout=30)
    assert time.perf_counter() - began < 5
    assert process.returncode == 130, err
    assert out.splitlines()[-1] == f"stopped {len(read_journal(path))}"


# One desk, several threads ------------------------------------------------------------------------------------


def test_threads_share_a_desk_and_fill_batches_together(tmp_path: Path) -> None:
    together = threading.Barrier(6)
    model = ScriptedModel(slots=1, batch=6, delay=0.01)
    told: dict[int, dict[str, Answer]] = {}

    def work(number: int) -> None:
        together.wait()
        mine = [Question(f"q{k}", f"thread {number} asks {k}") for k in range(10)]
        told[number] = by_id(desk.ask(mine, journal=tmp_path / f"{number % 2}.jsonl", read=lambda text: (number, text)))

    with Desk(model) as desk:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert desk.usage.asked == 60
        assert desk.usage.tokens_in == 60 * 4
    for number in range(6):
        assert {id: answer.value for id, answer in told[number].items()} == {
            f"q{k}": (number, f"thread {number} asks {k} [0]") for k in range(10)
        }
    assert len(model.batches) <= 13, "fuller than six threads alone could make them"
    assert len(read_journal(tmp_path / "0.jsonl")) == len(read_journal(tmp_path / "1.jsonl")) == 30


def test_a_desk_is_asked_again_and_again_without_being_closed() -> None:
    before = set(threading.enumerate())
    desk = Desk(ScriptedModel(slots=2))
    for first in range(0, 30, 10):
        assert len(list(desk.ask(questions(10, first)))) == 10
        assert set(threading.enumerate()) <= before
    assert desk.usage.asked == 30
    assert len(list(ask(desk, questions(3)))) == 3
    assert desk.usage.asked == 30, "it remembers what was just asked"


def test_one_readers_bug_leaves_the_other_threads_alone() -> None:
    model = ScriptedModel(lambda prompt: prompt.text, slots=2, delay=0.005)
    caught: list[str] = []

    def bad() -> None:
        try:
            list(desk.ask(questions(20), read=lambda text: {}[text]))
        except KeyError as error:
            caught.append(str(error))

    with Desk(model) as desk:
        thread = threading.Thread(target=bad)
        thread.start()
        told = by_id(desk.ask(questions(40)))
        thread.join(30)
    assert len(told) == 40
    assert len(caught) == 1


def test_a_thread_that_rests_does_not_hold_up_the_others() -> None:
    model = ScriptedModel(batch=4)
    with Desk(model) as desk:
        resting = desk.ask(Question(f"r{k}", f"rest {k}") for k in range(1000))
        next(resting)
        began = time.perf_counter()
        assert len(list(desk.ask(questions(6)))) == 6
        assert time.perf_counter() - began < 10
        resting.close()  # type: ignore[attr-defined]


def mixed(choose: random.Random, video: Path, nowhere: Path, count: int) -> Iterator[Question]:
    for place in range(count):
        number, kind = choose.randrange(30), choose.random()
        look = Look(choose.choice([video, nowhere]), (number / 25,), 24) if kind < 0.4 else None
        frames = pictures(number) if kind > 0.7 else None
        yield Question(f"q{place}", f"say {number}", look=look, frames=frames)


@pytest.mark.parametrize("seed", range(60))
def test_any_mixture_of_threads_ends(tmp_path: Path, video: Path, seed: int) -> None:
    choose = random.Random(seed)
    fatal = choose.choice([None, None, choose.randrange(20)])

    def answer(prompt: Prompt) -> Reply | str:
        kind = sum(prompt.text.encode()) % 6
        return failed() if kind == 1 else "seven" if kind == 0 and not prompt.history else "7"

    def fail(call: int) -> None:
        if call == fatal:
            raise ModelError("scripted", "no more")

    def work(choose: random.Random) -> None:
        count, stop = choose.randint(0, 50), choose.choice([None, None, 0, choose.randint(0, 20)])
        journal = choose.choice([None, tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
        answers = desk.ask(mixed(choose, video, tmp_path / "none.mp4", count), read=whole_number, journal=journal)
        given: list[str] = []
        try:
            for told in answers:
                given.append(told.id)
                if len(given) == stop:
                    answers.close()  # type: ignore[attr-defined]
                    break
            ends.append(len(given) == min(count, stop or count) and len(set(given)) == len(given))
        except ModelError:
            ends.append(fatal is not None)

    slots, batch = choose.randint(1, 4), choose.randint(1, 4)
    model = ScriptedModel(answer, slots=slots, batch=batch, delay=choose.choice([0, 0.001]), fail=fail)
    ends: list[bool] = []
    with Desk(model, bytes=choose.choice([1, 20_000, 1 << 24])) as desk:
        workers = [random.Random(choose.random()) for _ in range(choose.randint(1, 4))]
        threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert ends == [True] * len(threads)
        assert (desk._used, desk._inline, desk._flights, len(desk._ready)) == (0, 0, {}, 0), "nothing is left behind"


def test_a_closed_desk_says_so() -> None:
    desk = Desk(ScriptedModel())
    answers = desk.ask(questions(1000))
    next(answers)
    desk.close()
    with pytest.raises(UsageError, match="closed while it was asked"):
        list(answers)
    with pytest.raises(UsageError, match="is closed"):
        list(desk.ask(questions(1)))
    desk.close()


# SIGKILL ------------------------------------------------------------------------------------------------------

WORKER = """
import os, random, sys, time
from longshot.asking import Question, Unreadable, ask
from tests.fakes import ScriptedModel

journal, log, count, slots, batch = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
asked = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def note(prompt):
    text = f"{prompt.text if not prompt.history else prompt.history[0].asked + ' again'}\\n"
    os.write(asked, text.encode())
    os.fsync(asked)

def answer(prompt):
    time.sleep(random.random() * 0.004)
    if prompt.history:
        return f"{prompt.history[0].asked} again"
    return prompt.text

def read(text):
    if text.endswith("7"):
        raise Unreadable("it ends with a seven")
    return text

model = ScriptedModel(answer, slots=slots, batch=batch, delay=0.008, on_ask=note)
questions = (Question(f"q{k}", f"say {k}") for k in range(count))
for told in ask(model, questions, read=read, journal=journal):
    print(told.id, told.state.value, told.value)
"""


def check_kills(folder: Path, *, kills: int, seed: int, slots: int = 3, batch: int = 2, count: int = 200) -> None:
    choose = random.Random(seed)
    journal, log = folder / "answers.jsonl", folder / "asked.txt"
    log.touch()
    kept: dict[str, str] = {}
    bound = landed = 0
    while True:
        before = log.read_text().split("\n")[:-1]
        process = child(WORKER, str(journal), str(log), str(count), str(slots), str(batch))
        if landed < kills:
            target = len(before) + choose.randint(1, 2 * count // kills)
            while len(log.read_text().split("\n")) - 1 < target and process.poll() is None:
                time.sleep(0.001)
            time.sleep(choose.random() * 0.02)
            process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=120)
        asked = log.read_text().split("\n")[:-1]
        assert set(asked[len(before) :]).isdisjoint(kept.values()), "what the journal had was asked again"
        now = {id: result.value["text"] for id, result in read_journal(journal).items()} if journal.exists() else {}
        assert kept.items() <= now.items(), "a recorded answer was lost"
        kept = now
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, err
        landed += 1
        bound += slots * batch
    assert landed >= kills // 2, "too few kills landed in the middle of the work to prove anything"
    sevens = [f"say {k}" for k in range(count) if k % 10 == 7]
    expected = {f"say {k}" for k in range(count)} | {f"{text} again" for text in sevens}
    assert set(kept.values()) == expected
    counts = Counter(asked)
    assert set(counts) == expected
    assert sum(counts.values()) - len(expected) <= bound, "only calls under way at a kill are repeated"
    told = [line.split(" ", 2) for line in out.splitlines()]
    assert {id: value for id, _, value in told} == {
        f"q{k}": f"say {k} again" if k % 10 == 7 else f"say {k}" for k in range(count)
    }
    assert {state for _, state, _ in told} == {"done"}


def test_sigkill_loses_nothing_and_repeats_only_what_was_under_way(tmp_path: Path) -> None:
    check_kills(tmp_path, kills=4, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_sigkill_many_times(tmp_path: Path, seed: int) -> None:
    check_kills(tmp_path, kills=20, seed=seed, slots=1 + 3 * seed, batch=4 - seed, count=400)

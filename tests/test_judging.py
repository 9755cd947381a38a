"""Judging a run: every prediction gets one verdict, what was judged is not judged again, and a kill loses nothing."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from longshot import registry
from longshot.asking import Desk
from longshot.contracts import Prompt, Reply
from longshot.errors import ModelError, UsageError
from longshot.evaluating.agree import agreement
from longshot.evaluating.evaluate import judge_run, open_judge
from longshot.evaluating.judge import decide, judge
from longshot.evaluating.orders import Order
from longshot.evaluating.runs import Run, record
from longshot.evaluating.score import score
from longshot.items import Benchmark, Item, Prediction, Row, Verdict
from longshot.journal import Journal, State, read_journal
from tests.fake_server import FakeServer, error
from tests.fakes import ScriptedModel, failed, refused

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-very-secret-0123456789"


def benchmark(count: int = 4, judged_by: str = "events") -> Benchmark:
    items = tuple(
        Item(
            f"i{place}",
            f"v{place}",
            ask=f"What is {place}?",
            gold={
                "references": [f"Dog {place} runs and cat {place} sits."],
                "events": [f"Dog {place} runs.", f"Cat {place} sits."],
                "answers": [f"dog {place}"],
            },
        )
        for place in range(count)
    )
    return Benchmark("toy", "caption", "events", items, "0" * 16, judge=judged_by)


def predicted(folder: Path, texts: dict[str, str | State]) -> Run:
    """A run with these predictions; a state in place of a text is one that did not end well."""
    run = Run(folder)
    with Journal(run.predictions_path()) as journal:
        for id, text in texts.items():
            done = isinstance(text, str) and not isinstance(text, State)
            state = State.DONE if done else State(text)
            record(journal, Prediction(id, state, text if done else None, "" if done else "why"))
    return run


def captions(count: int = 4) -> dict[str, str | State]:
    return {f"i{place}": f"Dog {place} runs." for place in range(count)}


def reply(prompt: Prompt) -> str:
    """A judge that takes sentences for events, and what a text says word for word for entailed."""
    (text,) = re.findall(r"<description>\n(.*)\n</description>", prompt.text, re.DOTALL)
    if "<statements>" not in prompt.text:
        return json.dumps({"events": [f"{part.strip()}." for part in text.split(".") if part.strip()]})
    statements = re.findall(r"^\d+\. (.*)\.$", prompt.text, re.MULTILINE)
    labels = ["entailment" if one.casefold() in text.casefold() else "neutral" for one in statements]
    return json.dumps({"labels": [{"item": place + 1, "label": label} for place, label in enumerate(labels)]})


def judged(run: Run, model: ScriptedModel, of: Benchmark | None = None, **options: Any) -> dict[str, Verdict]:
    wanted = of or benchmark()
    with Desk(model) as desk:
        made = judge(wanted, run, registry.load("judges", wanted.judge), desk, **options)
        return {verdict.id: verdict for verdict in made}


def test_a_run_is_judged_and_scored(tmp_path: Path) -> None:
    run = predicted(tmp_path, captions())
    model = ScriptedModel(reply, slots=2)
    verdicts = judged(run, model)
    assert set(verdicts) == {"i0", "i1", "i2", "i3"}
    assert len(model.asked) == 3 * 4
    assert verdicts["i2"].value["events"]["recall"] == ["entailment", "neutral"]
    assert run.verdicts()["i2"] == verdicts["i2"]
    said = score(benchmark(), run.rows(benchmark()), resamples=20)
    strict = {one["name"]: one["value"] for one in said["scores"][:3]}
    assert strict == {"F1": pytest.approx(200 / 3), "recall": 50.0, "precision": 100.0}


def test_what_was_judged_is_not_judged_again(tmp_path: Path) -> None:
    run = predicted(tmp_path, captions())
    judged(run, ScriptedModel(reply))
    again = ScriptedModel(reply)
    told: list[tuple[float, float]] = []
    assert judged(run, again, progress=lambda done, total: told.append((done, total))) == {}
    assert not again.asked and told == [(4, 4)]


def test_verdicts_that_are_lost_cost_no_call(tmp_path: Path) -> None:
    run = predicted(tmp_path, captions())
    first = judged(run, ScriptedModel(reply))
    run.verdicts_path.unlink()
    again = ScriptedModel(reply)
    assert judged(run, again) == first
    assert not again.asked


def test_a_prediction_that_changed_is_judged_anew(tmp_path: Path) -> None:
    run = predicted(tmp_path, captions())
    judged(run, ScriptedModel(reply))
    predicted(tmp_path, {"i1": "Cat 1 sits."})
    row = run.rows(benchmark())[1]
    assert row.verdict is None, "the old verdict is about another prediction"
    again = ScriptedModel(reply)
    assert set(judged(run, again)) == {"i1"}
    assert len(again.asked) == 3
    assert run.rows(benchmark())[1].verdict.value["events"]["predicted"] == ["Cat 1 sits."]  # type: ignore[union-attr]


@pytest.mark.parametrize("other", ["model", "revision", "settings", "words"])
def test_another_judge_judges_anew(tmp_path: Path, other: str) -> None:
    run = predicted(tmp_path / "run", captions())
    judged(run, ScriptedModel(reply))
    model = ScriptedModel(
        reply,
        name="other" if other == "model" else "scripted",
        revision="2" if other == "revision" else "1",
        settings={"temperature": 1} if other == "settings" else None,
    )
    prompts = tmp_path / "words" if other == "words" else None
    if prompts:
        prompts.mkdir()
        (prompts / "entail.txt").write_text(
            "<description>\n$text\n</description>\n<statements>\n$statements\n</statements>"
        )
    with Desk(model) as desk:
        verdicts = list(judge(benchmark(), run, registry.load("judges", "events", prompts=prompts), desk))
    assert len(verdicts) == 4
    assert len(model.asked) == (2 * 4 if prompts else 3 * 4)  # the extraction's words are the same
    assert len({verdict.value["by"] for verdict in run.verdicts().values()}) == 1


def test_only_predictions_that_are_done_are_judged(tmp_path: Path) -> None:
    run = predicted(tmp_path, {"i0": "Dog 0 runs.", "i1": State.FAILED, "i2": State.REFUSED})
    model = ScriptedModel(reply)
    assert set(judged(run, model)) == {"i0"}
    assert [row.state.value for row in run.rows(benchmark())] == ["done", "failed", "refused", "failed"]
    said = score(benchmark(), run.rows(benchmark()), resamples=20)
    assert said["states"] == {"done": 1, "failed": 2, "refused": 1, "unreadable": 0}
    assert said["scores"][1]["value"] == 12.5  # recall: one half of one item in four


def test_an_empty_prediction_costs_nothing_and_gains_nothing(tmp_path: Path) -> None:
    run = predicted(tmp_path, {"i0": "", **{id: text for id, text in captions().items() if id != "i0"}})
    model = ScriptedModel(reply)
    judged(run, model)
    assert len(model.asked) == 3 * 3
    said = score(benchmark(), run.rows(benchmark()), resamples=20)
    precision = {one["legacy"]: one["value"] for one in said["scores"] if one["name"] == "precision"}
    assert precision == {False: 75.0, True: 100.0}


def ending(first: str, bad: Reply | str) -> Callable[[Prompt], Reply | str]:
    """A judge that fails in one way wherever a text stands, and is well otherwise."""
    return lambda prompt: bad if any(first in text for text in texts_of(prompt)) else reply(prompt)


def texts_of(prompt: Prompt) -> list[str]:
    return [prompt.text, *(turn.asked for turn in prompt.history)]


@pytest.mark.parametrize(
    ("bad", "state", "reason", "again"),
    [
        (refused(), State.REFUSED, "events predicted: the filter said no", 0),
        ("I'm sorry, but I can't assist with that.", State.REFUSED, "events predicted: it says: I'm sorry", 0),
        ("Dogs, mostly.", State.UNREADABLE, "events predicted: ", 0),
        (failed(), State.FAILED, "events predicted: the server was away", 3),
    ],
)
def test_how_a_judge_can_fail(tmp_path: Path, bad: Reply | str, state: State, reason: str, again: int) -> None:
    run = predicted(tmp_path, captions())
    verdicts = judged(run, ScriptedModel(ending("Dog 1 runs.\n</description>", bad)))
    assert verdicts["i1"].state is state
    assert verdicts["i1"].reason.startswith(reason)
    assert [verdicts[id].state for id in ("i0", "i2", "i3")] == [State.DONE] * 3
    said = score(benchmark(), run.rows(benchmark()), resamples=20)
    assert said["states"][state.value] == 1 and said["states"]["done"] == 3
    assert said["scores"][1]["value"] == pytest.approx(37.5)
    # Only a failed call is tried again by a later run, and then the item is done.
    later = ScriptedModel(reply)
    judged(run, later)
    assert len(later.asked) == again
    assert run.verdicts()["i1"].state is (State.DONE if again else state)


def test_a_failure_in_the_second_round(tmp_path: Path) -> None:
    run = predicted(tmp_path, captions())
    verdicts = judged(run, ScriptedModel(ending("1. Dog 2 runs.\n2.", failed())))
    assert verdicts["i2"].state is State.FAILED
    assert verdicts["i2"].reason == "events recall: the server was away"
    later = ScriptedModel(reply)
    assert set(judged(run, later)) == {"i2"}
    assert len(later.asked) == 1, "the extraction and the other labels are known"


def test_a_reply_that_cannot_be_read_is_asked_for_once_more(tmp_path: Path) -> None:
    def second_time(prompt: Prompt) -> str:
        if not prompt.history:
            return "Well, let me see."
        assert "no JSON" in prompt.text
        return reply(Prompt(prompt.history[0].asked))

    run = predicted(tmp_path, captions(1))
    model = ScriptedModel(second_time)
    assert judged(run, model, benchmark(1))["i0"].state is State.DONE
    assert len(model.asked) == 6


def test_a_wrong_key_stops_at_once(tmp_path: Path) -> None:
    def stop(call: int) -> None:
        if call == 2:
            raise ModelError("judge", "the key is wrong; set OPENAI_API_KEY")

    run = predicted(tmp_path, captions(40))
    model = ScriptedModel(reply, fail=stop)
    with pytest.raises(ModelError, match="the key is wrong"):
        judged(run, model, benchmark(40))
    assert len(model.batches) <= 4
    assert not read_journal(run.verdicts_path)
    assert len(judged(run, ScriptedModel(reply), benchmark(40))) == 40


def test_a_server_judges_and_its_key_is_in_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    run = predicted(tmp_path, captions(2))
    with FakeServer() as server:
        server.script = [error(401, f"Incorrect key {KEY} given")] * 8
        with Desk(open_judge(f"{server.address}#tiny")) as desk, pytest.raises(ModelError) as caught:
            list(judge(benchmark(2), run, registry.load("judges", "events"), desk))
        assert KEY not in str(caught.value)
        assert len(server.bodies) <= 8
        asked = len(server.bodies)
        server.script = []
        server.answer = lambda body: server_answer(body)
        with Desk(open_judge(f"{server.address}#tiny")) as desk:
            verdicts = list(judge(benchmark(2), run, registry.load("judges", "events"), desk))
        assert {verdict.state for verdict in verdicts} == {State.DONE}
        assert len(server.bodies) - asked == 6, "a judge is not tried out with pictures"
        assert set(server.keys) == {f"Bearer {KEY}"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(KEY.encode() in path.read_bytes() for path in files)


def server_answer(body: dict[str, Any]) -> Any:
    from tests.fake_server import Answer

    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    return Answer(reply(Prompt(text)))


def test_open_answers_are_judged(tmp_path: Path) -> None:
    of = benchmark(3, "answers")
    run = predicted(tmp_path, {"i0": "a dog 0", "i1": "a cat", "i2": ""})
    model = ScriptedModel(lambda prompt: json.dumps({"correct": "yes" if "a dog" in prompt.text else "no", "score": 4}))
    verdicts = judged(run, model, of)
    assert [verdicts[f"i{place}"].value["correct"] for place in range(3)] == [True, False, False]
    assert len(model.asked) == 2


# Several judges -------------------------------------------------------------------------------------------------


def strict(prompt: Prompt) -> str:
    """A judge that entails nothing."""
    said = json.loads(reply(prompt))
    for one in said.get("labels", ()):
        one["label"] = "neutral"
    return json.dumps(said)


def test_several_judges_lie_side_by_side_and_their_agreement_is_measured(tmp_path: Path) -> None:
    run = predicted(tmp_path, {f"i{place}": f"Dog {place} runs." if place % 2 else "It rains." for place in range(6)})
    of = benchmark(6)
    for name, model in (("one", reply), ("two", reply), ("none", strict)):
        judged(run, ScriptedModel(model, name=name), of, name=name)
    assert not run.verdicts_path.exists()
    assert len(run.verdicts("one")) == 6
    assert score(of, run.rows(of, judge="none"), resamples=20)["scores"][0]["value"] == 0.0
    rows = {row["what"]: row for row in agreement(of, run, ["one", "two"], resamples=50)}
    told = rows["recall events: is each gold fact told"]
    assert (told["alpha"], told["n"], told["judges"]) == (1.0, 12, {"one": 6, "two": 6})
    assert rows["recall events of each item"]["spearman"] == pytest.approx(1.0)
    assert set(rows) == {
        "recall events: is each gold fact told",
        "recall events: label of each gold fact",
        "recall events of each item",
        "precision events of each item",
    }
    rows = {row["what"]: row for row in agreement(of, run, ["one", "none", "two"], resamples=50)}
    # By hand: 12 units of three values; 3 are (1, 0, 1), 9 are (0, 0, 0). Do = 3 * 2 * 2 / 2 = 6 of 36 pairs,
    # De = (36 ^ 2 - 6 ^ 2 - 30 ^ 2) / 35 = 360 / 35, so alpha = 1 - 6 * 35 / 360.
    assert rows["recall events: is each gold fact told"]["alpha"] == pytest.approx(1 - 6 * 35 / 360)
    json.dumps(list(rows.values()), allow_nan=False)


def test_what_one_judge_could_not_say_is_missing(tmp_path: Path) -> None:
    run = predicted(tmp_path, captions())
    judged(run, ScriptedModel(reply), name="one")
    judged(run, ScriptedModel(ending("Dog 1 runs.\n</description>", refused()), name="b"))
    row = agreement(benchmark(), run, ["one", "-"], resamples=20)[0]
    assert row["judges"] == {"one": 4, "-": 3} and row["n"] == 6


def test_agreement_on_open_answers(tmp_path: Path) -> None:
    of = benchmark(3, "answers")
    run = predicted(tmp_path, captions(3))
    for name, points in (("a", 4), ("b", 3)):
        grade = json.dumps({"correct": "yes", "score": points})
        judged(run, ScriptedModel(lambda prompt, grade=grade: grade, name=name), of, name=name)
    right, points = agreement(of, run, ["a", "b"], resamples=20)
    assert right["what"] == "is each answer right" and right["alpha"] is None  # nobody ever said no
    assert points["n"] == 3 and points["alpha"] < 0


def test_agreement_of_judges_that_are_not_there(tmp_path: Path) -> None:
    run = predicted(tmp_path, captions())
    judged(run, ScriptedModel(reply), name="one")
    with pytest.raises(UsageError, match="two judges at least"):
        agreement(benchmark(), run, ["one", "one"])
    with pytest.raises(UsageError, match="no verdicts of two; there are those of: one"):
        agreement(benchmark(), run, ["one", "two"])
    with pytest.raises(UsageError, match="no verdicts of -"):
        agreement(benchmark(), run, ["-", "one"])
    with pytest.raises(UsageError, match="letters, digits"):
        judged(run, ScriptedModel(reply), name="../one")


# A judge that asks nobody -----------------------------------------------------------------------------------------


class Everything:
    """Finds everything right."""

    name = "everything 1"

    def __init__(self) -> None:
        self.rows: list[str] = []

    def decide(self, rows: Sequence[Row]) -> Iterator[Verdict]:
        for row in rows:
            self.rows.append(row.item.id)
            labels = ["entailment"] * 2
            part = {"gold": row.item.gold["events"], "predicted": ["a", "b"], "recall": labels, "precision": labels}
            yield Verdict(row.item.id, State.DONE, {"events": part})


def test_a_decider_goes_on_where_it_stopped(tmp_path: Path) -> None:
    run = predicted(tmp_path, captions())
    decider = Everything()
    made = decide(benchmark(), run, decider)
    assert [next(made).id, next(made).id] == ["i0", "i1"]
    made.close()
    assert [verdict.id for verdict in decide(benchmark(), run, decider)] == ["i2", "i3"]
    assert score(benchmark(), run.rows(benchmark()), resamples=20)["scores"][0]["value"] == 100.0
    decider.name = "everything 2"
    assert len(list(decide(benchmark(), run, decider))) == 4


def test_an_order_names_the_offline_judge(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    from tests.test_judges import cross_encoder

    model = cross_encoder(tmp_path / "nli", ("neutral", "entailment", "contradiction"), bias=[0.0, 2.0, 0.0])
    run = predicted(tmp_path / "run", captions())
    judge_run(Order("toy", model="m", judge=f"nli:{model}"), benchmark(), run)
    verdict = run.verdicts()["i1"]
    assert verdict.value["events"]["recall"] == ["entailment"] * 2
    assert verdict.value["by"].startswith("nli events (clauses.1), ")
    assert score(benchmark(), run.rows(benchmark()), resamples=20)["scores"][0]["value"] == 100.0
    with pytest.raises(UsageError, match="leave the folder of prompts out"):
        judge_run(Order("toy", model="m", judge=f"nli:{model}", prompts=str(tmp_path)), benchmark(), run)
    with pytest.raises(UsageError, match="toy needs no judge"):
        judge_run(Order("toy", model="m", judge=f"nli:{model}"), benchmark(judged_by=""), run)
    with pytest.raises(UsageError, match="answers cannot be judged offline"):
        judge_run(Order("toy", model="m", judge=f"nli:{model}"), benchmark(judged_by="answers"), run)


# SIGKILL ----------------------------------------------------------------------------------------------------------

WORKER = """
import os, sys, time
from pathlib import Path
from longshot import registry
from longshot.asking import Desk
from longshot.evaluating.judge import judge
from longshot.evaluating.runs import Run
from tests.fakes import ScriptedModel
from tests.test_judging import benchmark, reply

log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def note(prompt):
    os.write(log, (repr(prompt.text) + "\\n").encode())

model = ScriptedModel(reply, slots=3, delay=0.004, on_ask=note)
of = benchmark(int(sys.argv[3]))
with Desk(model) as desk:
    for verdict in judge(of, Run(Path(sys.argv[1])), registry.load("judges", "events"), desk):
        pass
"""


@pytest.mark.slow
def test_kills_lose_no_verdict_and_repeat_only_what_was_under_way(tmp_path: Path) -> None:
    count, kills, choose = 60, 12, random.Random(4)
    of = benchmark(count)
    plain = predicted(tmp_path / "plain", captions(count))
    expected = judged(plain, ScriptedModel(reply), of)
    run = predicted(tmp_path / "run", captions(count))
    log = tmp_path / "asked.txt"
    log.touch()
    kept: dict[str, Verdict] = {}
    landed = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(run.folder), str(log), str(count)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        if landed < kills:
            target = len(log.read_text().splitlines()) + choose.randint(1, 2 * 3 * count // kills)
            while len(log.read_text().splitlines()) < target and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=120)
        now = run.verdicts()
        assert kept.items() <= now.items(), "a verdict was lost"
        kept = now
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, err
        landed += 1
    assert landed >= kills // 2
    assert kept == expected
    counts = Counter(log.read_text().splitlines())
    assert len(counts) == 3 * count
    assert sum(counts.values()) - len(counts) <= 3 * landed, "only calls under way at a kill are repeated"
    scores = [score(of, one.rows(of), resamples=50) for one in (plain, run)]
    assert scores[0] == scores[1]

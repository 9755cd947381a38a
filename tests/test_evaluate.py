"""`longshot eval` and its kin, end to end on the demo benchmarks: every kind, resumed, killed, done again."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from longshot import checkpoints
from longshot.cli import OK, SOME_FAILED, USAGE, run
from longshot.errors import UsageError
from longshot.evaluating.runs import Run
from longshot.evaluating.sources import benchmarks_meant
from tests import telling
from tests.videos import write_video

WORDS = ["demo-caption", "demo-choices", "demo-answers", "demo-moments"]
QUICK = ["--json", "--quiet"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the demo benchmarks draw their videos."""
    return str(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    checkpoints.find.cache_clear()
    return telling.model_folder(tmp_path / "model", say="B: from 0.5 to 2.0 seconds, a red circle")


def scores_of(captured: str) -> list[dict]:
    return [json.loads(line) for line in captured.splitlines()]


@pytest.mark.parametrize("name", [*WORDS, "demo-retrieval"])
def test_the_observer_is_measured_on_every_kind(
    name: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", name, "-d", data, "-o", str(tmp_path / "run"), *QUICK]
    assert run(command) == OK
    (said,) = scores_of(capsys.readouterr().out)
    assert said["benchmark"].replace("_", "-") == name and said["n"] > 3
    assert said["states"]["done"] == said["n"] or name == "demo-answers"
    strict = [one for one in said["scores"] if not one["legacy"] and not one["group"]]
    assert strict and all(one["n"] and sum(one["states"].values()) for one in strict)
    assert json.loads((tmp_path / "run" / "scores.json").read_text()) == said
    strictly = {one["name"]: one["value"] for one in strict}
    assert run(["compare", str(tmp_path / "run"), str(tmp_path / "run"), "--json"]) == OK
    for one in scores_of(capsys.readouterr().out):
        # On the scale of the score that it is a difference of.
        assert one["a"] == one["b"] == pytest.approx(strictly[one["name"]]), one["name"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<html" in page and "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize("name", WORDS)
def test_a_model_is_measured_and_not_asked_again(
    name: str, data: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", name, "-d", data, "-m", str(model), "-o", str(tmp_path / "run"), *QUICK]
    assert run(command) == OK
    (said,) = scores_of(capsys.readouterr().out)
    asked = telling.asked(model)
    assert len(asked) == said["n"]
    assert run(command) == OK
    assert scores_of(capsys.readouterr().out) == [said]
    assert telling.asked(model) == asked
    assert run(["score", str(tmp_path / "run"), *QUICK]) == OK
    assert scores_of(capsys.readouterr().out) == [said]
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["model"]["asked"] == str(model) and manifest["benchmark"]["fingerprint"]


def test_an_encoder_is_measured_by_retrieval(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.test_embed import Bright

    checkpoints.find.cache_clear()
    folder = tmp_path / "bright"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": [Bright.ARCHITECTURE]}))
    assert run(["eval", "demo-retrieval", "-d", data, "-m", str(folder), "-o", str(tmp_path / "run"), *QUICK]) == OK
    (said,) = scores_of(capsys.readouterr().out)
    assert {"R@1 text to video", "R@1 video to text"} <= {one["name"] for one in said["scores"]}


def test_a_judge_comes_in_a_step_of_its_own(
    data: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.fakes import ScriptedModel

    folder = str(tmp_path / "run")
    assert run(["eval", "demo-answers", "-d", data, "-m", str(model), "-o", folder, *QUICK]) == OK
    capsys.readouterr()
    judge = ScriptedModel(lambda prompt: '{"correct": "yes", "score": 4}', name="judge")
    monkeypatch.setattr("longshot.evaluating.evaluate.open_chat_model", lambda *given, **options: judge)
    code = run(["judge", folder, "--judge", "any", *QUICK])
    assert len(scores_of(capsys.readouterr().out)) == 1
    assert judge.asked, "the judge was asked"
    assert code in (OK, SOME_FAILED)
    assert (tmp_path / "run" / "verdicts.jsonl").exists()
    before = len(judge.asked)
    run(["judge", folder, "--judge", "any", *QUICK])
    assert len(judge.asked) == before
    assert run(["judge", folder, "--judge", "any", "--name", "second", *QUICK]) == code
    capsys.readouterr()
    assert run(["judge", folder, "--agreement", "second", "--agreement", "", *QUICK]) in (OK, USAGE)


def test_a_run_is_done_again_and_compared(
    data: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert run(["eval", "demo-choices", "-d", data, "-m", str(model), "-o", one, *QUICK]) == OK
    capsys.readouterr()
    assert run(["rerun", one, "-o", two, "--quiet"]) == OK
    assert capsys.readouterr().out == "nothing differs\n"
    assert run(["compare", one, two, "--json"]) == OK
    rows = scores_of(capsys.readouterr().out)
    assert rows and all(row["difference"] == 0 for row in rows)
    (model / "behave.json").write_text(json.dumps({"say": "A"}))
    assert run(["rerun", one, "-o", str(tmp_path / "three"), "--quiet"]) == OK
    assert "differ" in capsys.readouterr().out
    assert run(["rerun", one, "-o", one, "--quiet"]) == USAGE


def test_a_run_goes_to_other_programs(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "run")
    assert run(["eval", "demo-retrieval", "-d", data, "-o", folder, *QUICK]) == OK
    capsys.readouterr()
    for form, count in (("lmms-eval", 2), ("mteb", 2), ("html", 1)):
        place = tmp_path / ("page.html" if form == "html" else "out")
        assert run(["report", folder, "--to", form, "-o", str(place)]) == OK
        written = capsys.readouterr().out.splitlines()
        assert len(written) == count and all(Path(path).stat().st_size for path in written)
    assert run(["report", folder, "--to", "pdf"]) == USAGE


def test_a_plan_asks_nobody(data: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "demo-choices", "-d", data, "-m", str(model), "--plan", "--json"]) == OK
    assert scores_of(capsys.readouterr().out)[0]
    assert not telling.asked(model)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({}, "there is no order in it"),
        ({"order": 5}, "there is no order in it"),
        ({"order": {"benchmark": "demo-choices"}}, "there is no order in it"),
        ({"order": {"benchmark": "b", "model": "m", "modle": 1}}, "no field 'modle'"),
        ({"order": {"benchmark": "b", "model": "m", "loading": {"devise": 1}}}, "there is no order in it"),
    ],
)
@pytest.mark.parametrize("command", [["score"], ["report"], ["rerun", "-o", "new"]])
def test_a_manifest_without_an_order_is_told(
    command: list[str], order: dict, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"format": 1, **order}))
    assert run([*command, str(tmp_path)]) != OK
    errors = capsys.readouterr().err
    assert said in errors and "bug" not in errors and len(errors.splitlines()) == 1


def test_a_run_that_cannot_be_kept_is_told(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(["eval", "demo-choices", "-d", data, "-o", str(tmp_path / "file"), *QUICK]) != OK
    assert (
        capsys.readouterr().err
        == f"longshot: {tmp_path / 'file'}: cannot be written: File exists; choose another folder\n"
    )


def test_what_scores_count_as_unreadable_is_no_answer_that_is_done(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints.find.cache_clear()
    model = telling.model_folder(tmp_path / "model", say="I would rather not say.")
    command = ["eval", "demo-choices", "-d", data, "-m", str(model), "-o", str(tmp_path / "run"), *QUICK]
    assert run(command) == OK
    (said,) = scores_of(capsys.readouterr().out)
    assert said["states"] == said["scores"][0]["states"] and said["states"]["unreadable"] == said["n"]


def test_what_nobody_judged_is_not_called_done(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", "demo-answers", "-d", data, "-o", str(tmp_path / "run"), *QUICK]) == OK
    (said,) = scores_of(capsys.readouterr().out)
    assert said["states"] == said["scores"][0]["states"] and said["states"]["done"] == 0


def test_a_shard_that_did_its_part_has_not_failed(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for shard, left in (("1/2", True), ("2/2", False)):
        command = ["eval", "demo-choices", "-d", data, "-o", str(tmp_path / "run"), "--shard", shard, *QUICK]
        assert run(command) == OK
        assert bool(scores_of(capsys.readouterr().out)[0]["states"]["failed"]) == left


KITCHEN = {
    "mc-qa": {"question": "What?", "options": ["a red circle", "a pan"], "answer": "a pan"},
    "caption": {"references": ["a pan"]},
    "retrieval": {"query": "a pan"},
}


@pytest.mark.parametrize("kind", KITCHEN)
def test_a_broken_video_is_unreadable_and_the_others_are_asked_about(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "good.mp4")
    (tmp_path / "videos" / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "videos" / "empty.mp4").touch()
    names = ["good", "noise", "empty", "absent"]
    lines = (json.dumps({"id": name, "video": name, **KITCHEN[kind]}) + "\n" for name in names)
    (tmp_path / "kitchen.jsonl").write_text("".join(lines))
    (tmp_path / "kitchen.toml").write_text(f'name = "kitchen"\nkind = "{kind}"\ndata = "kitchen.jsonl"\n')
    where = [str(tmp_path / "kitchen.toml"), "--videos", str(tmp_path / "videos"), "-o", str(tmp_path / "run")]
    assert run(["eval", *where, *QUICK]) == OK
    expected = {"done": 1, "failed": 0, "refused": 0, "unreadable": 3}
    assert scores_of(capsys.readouterr().out)[0]["states"] == expected
    if kind == "retrieval":
        from tests.test_embed import Bright

        checkpoints.find.cache_clear()
        folder = tmp_path / "bright"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"architectures": [Bright.ARCHITECTURE]}))
        assert run(["eval", *where[:-1], str(tmp_path / "encoded"), "-m", str(folder), *QUICK]) == OK
        assert scores_of(capsys.readouterr().out)[0]["states"] == expected


@pytest.mark.parametrize("command", [["score"], ["report"], ["judge", "--judge", "x"], ["rerun", "-o", "new"]])
def test_a_folder_without_a_run_is_told_in_one_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, str(tmp_path)]) != OK
    assert capsys.readouterr().err == f"longshot: {tmp_path}: holds no run; there is no run.json\n"


def test_of_several_one_without_its_files_is_left_out(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["demo-choices", "dream-1k"]
    assert run(["eval", *names, "-d", data, "-o", str(tmp_path / "runs"), *QUICK]) == SOME_FAILED
    captured = capsys.readouterr()
    assert [one["benchmark"].replace("_", "-") for one in scores_of(captured.out)] == ["demo-choices"]
    assert "dream-1k is left out" in captured.err
    assert run(["eval", *names, "-d", data, "--plan", "--json"]) == OK
    assert len(scores_of(capsys.readouterr().out)) == 1


def test_the_first_reason_is_said(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = telling.model_folder(tmp_path / "refusing", say="I'm sorry, but I can't help with that.")
    run(["eval", "demo-answers", "-d", data, "-m", str(model), "-o", str(tmp_path / "run"), *QUICK])
    assert "24 of 24 items are not done" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing-like-it", "-o", "OUT"], "no benchmark and no kind called 'nothing-like-it'"),
        (["demo-choices"], "a run needs a folder"),
        (["demo-choices", "-o", "OUT", "--shard", "3/2"], "a shard is one of so many"),
        (["demo-choices", "-o", "OUT", "--limit", "-3"], "a limit is a number of items, 0 for all, got -3"),
        (["demo-choices", "-o", "OUT", "--frames", "-7"], "frames are at least 0, or -1 for the protocol's, got -7"),
        (["demo-choices", "-o", "OUT", "--option", "x"], "KEY=VALUE"),
        (["demo-choices", "-o", "OUT", "-m", "/nowhere/at/all"], "there is no such folder"),
        (["demo-retrieval", "-o", "OUT", "-m", "http://127.0.0.1:1/v1"], "an encoder is a folder or a hub id"),
    ],
)
def test_orders_that_cannot_be_meant(
    arguments: list[str], said: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(tmp_path / "out") if word == "OUT" else word for word in arguments]
    assert run(["eval", *given, "-d", data, *QUICK]) == USAGE
    errors = capsys.readouterr().err
    assert said in errors and len(errors.splitlines()) == 1


def test_benchmarks_are_meant_by_name_kind_or_all() -> None:
    assert benchmarks_meant(["demo-caption", "mine.toml", "demo-caption"]) == ["demo-caption", "mine.toml"]
    moments = benchmarks_meant(["moments"])
    assert "qvhighlights" in moments and not any(name.startswith("demo-") for name in moments)
    everything = benchmarks_meant(["all"])
    assert benchmarks_meant(["dream_1k", "MVBench"]) == ["dream-1k", "mvbench"], "as `longshot list` writes them"
    with pytest.raises(UsageError, match=r"^no benchmark and no kind called 'dreem-1k': is 'dream-1k' it\?"):
        benchmarks_meant(["dreem-1k"])
    assert set(moments) < set(everything) and {"dream-1k", "carebench", "lovr", "mvbench"} <= set(everything)


@pytest.mark.slow
def test_killed_at_random_it_ends_in_the_same_scores(data: str, tmp_path: Path) -> None:
    quick = telling.model_folder(tmp_path / "quick")
    slow = telling.model_folder(tmp_path / "slow", delay=0.05)
    words = ["demo-choices", "demo-moments", "demo-caption", "-d", data, "--quiet", "--json"]
    program = [sys.executable, "-m", "tests.telling", "eval", *words]
    subprocess.run([*program, "-m", str(quick), "-o", str(tmp_path / "a")], check=True, capture_output=True)
    dice, kills = random.Random(3), 0
    for wait in [dice.uniform(0.5, 2.5) for _ in range(50)] + [120.0]:
        job = subprocess.Popen(
            [*program, "-m", str(slow), "-o", str(tmp_path / "b")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _, errors = job.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            job.send_signal(signal.SIGKILL)
            job.communicate()
            kills += 1
            continue
        assert job.returncode == OK, errors
    assert kills > 3
    for name in ("demo-choices", "demo-moments", "demo-caption"):
        one, two = (json.loads((tmp_path / side / name / "scores.json").read_text()) for side in "ab")
        assert one == two
        predictions = [Run(tmp_path / side / name).predictions() for side in "ab"]
        assert {id: p.value for id, p in predictions[0].items()} == {id: p.value for id, p in predictions[1].items()}
    assert len(telling.asked(slow)) <= len(telling.asked(quick)) + 8 * kills

"""Verbs that ask a model, over many videos: answers kept, nothing asked twice, honest ends."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from longshot import checkpoints
from longshot.cli import NOTHING_USABLE, OK, SOME_FAILED, USAGE, run
from longshot.library import Library
from tests import telling
from tests.fake_server import Answer, FakeServer
from tests.videos import write_video

QUICK = ["--speech", "none", "--screen", "none", "--json", "--quiet"]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    home = tmp_path_factory.mktemp("films")
    for number in range(3):
        write_video(home / f"film{number}.mp4", count=60 + 20 * number, fps=5, size=(64, 48))
    return [str(home / f"film{number}.mp4") for number in range(3)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    checkpoints.find.cache_clear()
    return telling.model_folder(tmp_path / "model")


def lines(captured: str) -> list[dict]:
    return [json.loads(line) for line in captured.splitlines()]


def test_videos_are_told_in_order_and_not_asked_again(
    films: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["describe", *films, "--every", "4", "-m", str(model), "-o", str(tmp_path / "out"), *QUICK]
    assert run(command) == OK
    rows = lines(capsys.readouterr().out)
    assert [row["path"] for row in rows] == films
    first = telling.asked(model)
    assert len(first) == sum(len(row["tracks"][0]["captions"]) for row in rows)
    assert all(caption["text"] for row in rows for caption in row["tracks"][0]["captions"])
    assert run(command) == OK
    assert lines(capsys.readouterr().out) == rows
    assert telling.asked(model) == first


def test_lost_tracks_come_back_without_a_question(
    films: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["recap", films[0], "-m", str(model), "-o", str(out), *QUICK]
    assert run(command) == OK
    rows, first = capsys.readouterr().out, telling.asked(model)
    (video,) = Library(out).videos()
    Library(out).path_of(video.id, "clip").unlink()
    assert run(command) == OK
    assert capsys.readouterr().out == rows
    assert telling.asked(model) == first


def test_another_prompt_or_setting_asks_again(films: list[str], model: Path, tmp_path: Path) -> None:
    command = ["describe", films[0], "-m", str(model), "-o", str(tmp_path / "out"), *QUICK]
    for number, more in enumerate(([], ["--prompt", "describe"], ["--frames", "3"]), start=1):
        assert run([*command, *more]) == OK
        assert len(telling.asked(model)) == number
    assert run(command) == OK
    assert len(telling.asked(model)) == 3


def test_one_bad_file_among_good_ones(
    films: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a film")
    paths = [films[0], str(bad), films[1]]
    assert run(["describe", *paths, "-m", str(model), "-o", str(tmp_path / "out"), *QUICK]) == SOME_FAILED
    rows = lines(capsys.readouterr().out)
    assert [row["state"] for row in rows] == ["done", "unreadable", "done"]
    assert "not a video" in rows[1]["reason"]
    assert run(["describe", str(bad), "-m", str(model), *QUICK]) == NOTHING_USABLE


@pytest.mark.parametrize(
    ("say", "state", "code"),
    [("", "done", OK), ("I'm sorry, but I can't help with that.", "refused", SOME_FAILED)],
)
def test_the_end_of_a_video_is_that_of_its_answers(
    films: list[str], tmp_path: Path, say: str, state: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    model = telling.model_folder(tmp_path / "model", say=say or "A wall.")
    assert run(["describe", films[0], "-m", str(model), "-o", str(tmp_path / "out"), *QUICK]) == code
    (row,) = lines(capsys.readouterr().out)
    assert row["state"] == state
    if state != "done":
        assert "no caption was given" in row["reason"]


def test_frames_are_needed_by_a_model_that_only_sees(
    films: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["describe", films[0], "-m", str(model), "-o", str(tmp_path / "out"), *QUICK]
    assert run([*command, "--frames", "0"]) == SOME_FAILED
    (row,) = lines(capsys.readouterr().out)
    assert row["state"] == "failed" and "1 of 1 captions failed (this model describes videos only" in row["reason"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "/nowhere/at/all"], "there is no such folder"),
        (["-m", "MODEL", "--describer", "sleeper"], "leave one of them out"),
        (["--describer", "chat"], "say which, with --model NAME"),
        (["--prompt", "describe"], "add --model NAME"),
        (["-m", "MODEL", "--prompt", "nothing-like-it"], "no prompt called"),
        (["-m", "MODEL", "--set", "temperature"], "--set takes KEY=VALUE"),
        (["-m", "MODEL", "--set", "bits=x"], "whole number"),
        (["-m", "MODEL", "--frames", "-5"], "--frames is a number from 0 up"),
        (["-m", "http://127.0.0.1:1/v1#x", "--set", "bits=4"], "loads its model by itself: leave out bits"),
    ],
)
def test_flags_that_cannot_be_meant(
    films: list[str], model: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(model) if word == "MODEL" else word for word in arguments]
    assert run(["describe", films[0], *arguments, *QUICK]) == USAGE
    errors = capsys.readouterr().err
    assert said in errors and len(errors.splitlines()) == 1


def test_without_a_folder_answers_are_kept_in_the_cache(
    films: list[str], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):
        assert run(["describe", films[0], "-m", str(model), *QUICK]) == OK
    assert len(telling.asked(model)) == 1
    assert list((tmp_path / "cache" / "longshot" / "answers").glob("*.jsonl"))


def test_merge_reads_a_library_and_writes_into_one(
    films: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert run(["describe", films[0], "--every", "2", "-m", str(model), "-o", out, *QUICK]) == OK
    assert run(["merge", out, "-m", str(model), "-o", out, "--json", "--quiet"]) == SOME_FAILED
    row = lines(capsys.readouterr().out)[-1]
    assert [track["level"] for track in row["tracks"]] == ["full", "cluster"]
    # This model only describes videos: the texts stay as they are, and say so.
    assert row["tracks"][0]["captions"][0]["text"].count("Something happens") == 6
    (video,) = Library(out).videos()
    assert {"clip", "cluster", "full"} <= {track.level for track in Library(out).tracks(video.id)}
    assert run(["merge", out, "-m", str(model), "--level", "shot", "--quiet"]) == USAGE
    assert "no captions of level 'shot'" in capsys.readouterr().err


def test_a_checkpoint_does_it_all(films: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from longshot.vectors import read_vectors
    from tests.tiny.qwen import qwen2_vl

    tiny = str(qwen2_vl(tmp_path / "tiny"))
    out = str(tmp_path / "out")
    short = ["--set", "max_new_tokens=6", *QUICK]
    assert run(["describe", films[0], "--every", "4", "-m", tiny, "-o", out, *short]) == OK
    (row,) = lines(capsys.readouterr().out)
    assert row["tracks"][0]["source"]["model"] == tiny
    assert len({caption["text"] for caption in row["tracks"][0]["captions"]}) > 1
    assert run(["recap", films[0], "-m", tiny, "-o", out, *short]) == OK
    (row,) = lines(capsys.readouterr().out)
    assert {"video", "segment", "clip", "shot"} <= {track["level"] for track in row["tracks"]}
    assert run(["embed", films[0], "-e", tiny, "--every", "4", "-o", str(tmp_path / "v.parquet"), "--quiet"]) == OK
    vectors = read_vectors(tmp_path / "v.parquet")
    assert vectors.rows.shape == (3, 64) and vectors.source.model == tiny


@pytest.mark.slow
def test_killed_anywhere_no_answer_is_lost_or_asked_for_twice(films: list[str], tmp_path: Path) -> None:
    model = telling.model_folder(tmp_path / "model", delay=0.02)
    whole = telling.model_folder(tmp_path / "whole")
    words = ["recap", *films, "--segment-seconds", "6", "--speech", "none", "--screen", "none", "--quiet"]
    program = [sys.executable, "-m", "tests.telling"]
    subprocess.run([*program, *words, "-m", str(whole), "-o", str(tmp_path / "a")], check=True, capture_output=True)
    dice, kills = random.Random(7), 0
    for wait in [dice.uniform(0.8, 3.0) for _ in range(6)] + [120.0]:
        job = subprocess.Popen(
            [*program, *words, "-m", str(model), "-o", str(tmp_path / "b")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _, errors = job.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            job.send_signal(signal.SIGKILL)
            job.communicate()
            kills += 1
            time.sleep(0.2)
            continue
        assert job.returncode == OK, errors
        break
    else:
        pytest.fail("it never came to its end")
    assert kills
    counts = Counter(telling.asked(model))
    assert set(counts) == set(telling.asked(whole))
    assert counts.total() - len(counts) <= 8 * kills, "at most a batch in flight at each kill"
    one, two = (Library(tmp_path / name) for name in "ab")
    for video in one.videos():
        assert [t.captions for t in one.tracks(video.id)] == [t.captions for t in two.tracks(video.id)]


def test_videos_of_one_question_each_fill_the_slots_of_a_server(
    films: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeServer(slots=8) as server:
        server.answer = Answer("A cat.", delay=1.0)
        shown = ["-m", f"{server.address}#tiny", "--set", "video=images", "--set", "slots=8"]
        assert run(["describe", *films, *shown, *QUICK, "-j", "1"]) == OK
    assert [row["path"] for row in lines(capsys.readouterr().out)] == films
    assert server.most_busy == len(films)


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        (Answer(status=400, raw=b'{"error": {"message": "too many pictures"}}'), "failed", "too many pictures"),
        (Answer("I'm sorry, but I can't help with that."), "refused", "I'm sorry, but I can't help with that."),
    ],
)
def test_a_recap_without_captions_says_what_befell_the_clips(
    films: list[str], answer: Answer, state: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeServer() as server:
        server.answer = answer
        assert run(["recap", films[0], "-m", f"{server.address}#tiny", "--set", "video=images", *QUICK]) != OK
    (row,) = lines(capsys.readouterr().out)
    assert row["state"] == state
    assert said in row["reason"]
    assert {c["details"]["state"] for t in row["tracks"] if t["level"] != "shot" for c in t["captions"]} == {state}

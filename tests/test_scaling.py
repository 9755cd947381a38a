"""Many items at once: each ends in its own state, none takes another down, nothing finished is done again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot.errors import MissingPackage, UsageError
from longshot.journal import Journal, Result, State, read_journal
from longshot.scaling.gather import Gathered, gather, kind_of, natural
from longshot.scaling.local import default_workers, run
from longshot.scaling.verbs import Verb
from tests.chores import behave, log_and_wait


def test_results_come_in_the_order_of_the_items() -> None:
    items = ["slow:1", "fast:2", "fast:3", "slow:4", "fast:5"]
    outcomes = list(run(behave, items, workers=3))
    assert [outcome.item for outcome in outcomes] == items
    assert [outcome.result for outcome in outcomes] == [Result(State.DONE, item.upper()) for item in items]
    assert not any(outcome.again for outcome in outcomes)


def test_each_item_ends_in_its_own_state() -> None:
    expected = {
        "fine:1": (State.DONE, ""),
        "unreadable:2": (State.UNREADABLE, "unreadable:2: holds neither pictures nor sound"),
        "failed:3": (State.FAILED, "failed:3: the second pass could not be made"),
        "bug:4": (State.FAILED, "bug:4: KeyError: 'surprise' (this is a bug in longshot)"),
        "exit:5": (State.FAILED, "exit:5: its worker ended by itself (exit code 7)"),
        "segfault:6": (State.FAILED, "segfault:6: its worker crashed (SIGSEGV)"),
        "killed:7": (State.FAILED, "killed:7: its worker was killed (SIGKILL), most often because memory ran out"),
        "memory:8": (State.FAILED, "memory:8: there is not enough memory; try fewer workers"),
        "unsendable:9": (State.FAILED, "unsendable:9: its result cannot be sent between processes"),
        "system exit:10": (State.FAILED, "system exit:10: its worker ended by itself (exit code 3)"),
        "fine:11": (State.DONE, ""),
    }
    outcomes = list(run(behave, list(expected), workers=2))
    assert len(outcomes) == len(expected)
    for outcome, (item, (state, reason)) in zip(outcomes, expected.items(), strict=True):
        assert outcome.item == item
        assert outcome.result.state is state
        assert outcome.result.reason.startswith(reason), outcome.result.reason
        assert "\n" not in outcome.result.reason
    traces = {outcome.item: outcome.trace for outcome in outcomes}
    assert "KeyError: 'surprise'" in traces["bug:4"]
    assert traces["failed:3"] == ""


def test_time_that_is_up_fails_only_that_item() -> None:
    started = time.monotonic()
    outcomes = list(run(behave, ["hang:1", "fine:2"], workers=1, seconds=2.0))
    assert time.monotonic() - started < 20
    assert outcomes[0].result == Result(State.FAILED, None, "hang:1: took longer than 2 s and was stopped")
    assert outcomes[1].result == Result(State.DONE, "FINE:2")


def test_what_is_finished_is_not_done_again(tmp_path: Path) -> None:
    path, log = tmp_path / "journal.jsonl", tmp_path / "log"
    items = [f"{log}|{number}" for number in range(4)]
    with Journal(path) as journal:
        list(run(log_and_wait, items[:2], journal=journal, workers=1))
    with Journal(path) as journal:
        outcomes = list(run(log_and_wait, items, journal=journal, workers=1))
    assert [outcome.again for outcome in outcomes] == [True, True, False, False]
    assert [outcome.result.value for outcome in outcomes] == ["0", "1", "2", "3"]
    assert log.read_text().split() == ["0", "1", "2", "3"]
    assert list(read_journal(path)) == items


def test_failed_items_are_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.record("fine:1", Result(State.FAILED, None, "no room then"))
        (outcome,) = run(behave, ["fine:1"], journal=journal, workers=1)
    assert outcome.result == Result(State.DONE, "FINE:1")
    assert read_journal(path)["fine:1"].state is State.DONE


def test_a_finished_result_that_no_longer_stands_is_made_again(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.record("fine:1", Result(State.DONE, "stale"))
        (outcome,) = run(behave, ["fine:1"], journal=journal, workers=1, valid=lambda item, result: False)
    assert outcome.result.value == "FINE:1"
    assert not outcome.again


def test_items_of_one_name_are_worked_on_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    items = [f"{log}|{number}" for number in (0, 1, 0, 0)]
    with Journal(tmp_path / "journal.jsonl") as journal:
        outcomes = list(run(log_and_wait, items, journal=journal, workers=2))
    assert [outcome.result.value for outcome in outcomes] == ["0", "1", "0", "0"]
    assert sorted(log.read_text().split()) == ["0", "1"]


def test_the_journal_is_keyed_by_identity_and_holds_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    kept = []

    def keep(item: str, value: str) -> dict[str, int]:
        kept.append((item, value))
        return {"length": len(value)}

    with Journal(path) as journal:
        (outcome,) = run(
            behave, ["fine:1"], identify=lambda item: f"id of {item}", journal=journal, keep=keep, workers=1
        )
    assert kept == [("fine:1", "FINE:1")]
    assert outcome.result.value == {"length": 6}
    assert read_journal(path) == {"id of fine:1": Result(State.DONE, {"length": 6})}


def test_progress_counts_running_items_in_part() -> None:
    seen: list[tuple[float, float]] = []
    list(run(behave, ["slow:1", "fine:2"], workers=1, progress=lambda done, total: seen.append((done, total))))
    assert all(total == 2 for _, total in seen)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert any(0 < done < 1 for done, _ in seen)
    assert seen[-1] == (2, 2)


def test_no_items_give_no_outcomes() -> None:
    assert list(run(behave, [])) == []


@pytest.mark.parametrize(
    ("options", "message"), [({"workers": 0}, "workers is 1 or more, got 0"), ({"seconds": 0.0}, "above 0")]
)
def test_senseless_numbers_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(behave, ["fine:1"], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("items", "cores", "memory", "expected"),
    [(10, 8, 3 << 30, 4), (2, 8, 3 << 30, 2), (10, 2, 64 << 30, 2), (10, 8, 100 << 20, 1), (0, 8, 64 << 30, 1)],
)
def test_workers_fit_cores_and_memory(items: int, cores: int, memory: int, expected: int) -> None:
    assert default_workers(items, cores=cores, memory=memory) == expected


def test_leaving_early_stops_the_workers() -> None:
    outcomes = run(behave, ["fine:1", "hang:2", "hang:3"], workers=2)
    assert next(outcomes).item == "fine:1"
    started = time.monotonic()
    outcomes.close()
    assert time.monotonic() - started < 10


# --- which videos are meant


def test_names_become_files_in_order_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b10.gif", "b2.gif", "B1.gif", "deep/a.gif", ".hidden.gif", ".dir/x.gif", "out/clips/c.gif"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"GIF89a...")
    Path("notes.txt").write_text("words")
    Path("bracket[1].gif").write_bytes(b"GIF89a")
    assert gather(["."], without=["out/clips"]) == Gathered(
        ("./B1.gif", "./b2.gif", "./b10.gif", "./bracket[1].gif", "./deep/a.gif"), ("./notes.txt",)
    )
    assert gather(["b10.gif", "b*.gif"]).paths == ("b10.gif", "b2.gif", "bracket[1].gif")
    assert gather(["bracket[1].gif"]).paths == ("bracket[1].gif",)
    assert gather(["**/a.gif"]).paths == ("deep/a.gif",)
    assert gather(["notes.txt", "gone.mp4"]).paths == ("notes.txt", "gone.mp4")
    assert gather(["x*.mp4"]) == Gathered((), (), ("x*.mp4: no file matches",))
    assert gather(["out"], without=["out/clips"]).problems == ("out: no video in this folder (it is empty)",)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x00\x00\x00\x20ftypisom", "video"),
        (b"\x00\x00\x00\x20ftypM4A ", "sound"),
        (b"\x00\x00\x00\x20ftypavif", "picture"),
        (b"\x00\x00\x10\x00moov", "video"),
        (b"\x1a\x45\xdf\xa3 matroska", "video"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "video"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "sound"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "picture"),
        (b"OggS" + b"\x00" * 24 + b"\x80theora", "video"),
        (b"OggS" + b"\x00" * 24 + b"OpusHead", "sound"),
        ((b"G" + b"\x00" * 187) * 3, "video"),
        ((b"\x00" * 4 + b"G" + b"\x00" * 187) * 3, "video"),
        (b"GIF89a", "video"),
        (b"\x89PNG\r\n\x1a\n", "picture"),
        (b"\x89PNG\r\n\x1a\n....IHDR....acTL", "video"),
        (b"\xff\xd8\xff\xe0", "picture"),
        (b"fLaC", "sound"),
        (b"ID3\x04", "sound"),
        (b"G is for goose" * 40, ""),
        (b"#!/bin/sh", ""),
        (b"", ""),
    ],
)
def test_the_type_is_in_the_content(tmp_path: Path, head: bytes, kind: str) -> None:
    path = tmp_path / "anything.mp4"
    path.write_bytes(head)
    assert kind_of(path) == kind


def test_what_is_no_file_has_no_type(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    assert [kind_of(tmp_path / name) for name in ("pipe", "gone", "")] == ["", "", ""]


def test_sound_is_taken_from_folders_when_asked(tmp_path: Path) -> None:
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    assert gather([str(tmp_path)]).paths == ()
    assert gather([str(tmp_path)], sound=True).paths == (str(tmp_path / "a.flac"),)


@given(st.lists(st.text(max_size=8), max_size=8))
def test_natural_order_never_fails(names: list[str]) -> None:
    sorted(names, key=natural)
    assert sorted(["a10", "a2", "A3", "a"], key=natural) == ["a", "a2", "A3", "a10"]


# --- verbs


def test_settings_name_the_work(tmp_path: Path) -> None:
    first, second = tmp_path / "a.gif", tmp_path / "b.gif"
    first.write_bytes(b"GIF89a one")
    second.write_bytes(b"GIF89a one")
    verb = Verb("recap", {"speech": "none", "screen": "auto"})
    same = Verb("recap", {"screen": "auto", "speech": "none"}, device="cpu")
    assert verb.key(str(first)) == verb.key(str(second)) == same.key(str(first))
    assert re.fullmatch(r"[0-9a-f]{16}/recap/[0-9a-f]{16}", verb.key(str(first)))
    others = [
        Verb("describe", verb.options),
        Verb("recap", {"speech": "auto", "screen": "auto"}),
        Verb("recap", verb.options, cut="clips"),
    ]
    assert len({verb.key(str(first)), *(other.key(str(first)) for other in others)}) == 4
    second.write_bytes(b"GIF89a two")
    assert verb.key(str(first)) != verb.key(str(second))
    assert Verb("recap").key(str(tmp_path)).startswith(str(tmp_path))


def test_a_verb_says_at_once_what_it_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    Verb("recap", {"segmenter": "fixed", "speech": "none", "screen": "auto", "language": "de"}).check()
    with pytest.raises(UsageError, match=r"no segmenter called 'fixt': there are .*; did you mean 'fixed'"):
        Verb("segment", {"segmenter": "fixt"}).check()
    monkeypatch.setattr("longshot.registry._installed", lambda package: False)
    with pytest.raises(MissingPackage, match="pip install 'longshot\\[sphinx\\]'"):
        Verb("transcribe", {"speech": "sphinx"}).check()


# --- a whole batch, killed

BATCH = """
import sys
from longshot.journal import Journal
from longshot.scaling.local import run
from tests.chores import log_and_wait

if __name__ == "__main__":
    folder, count = sys.argv[1], int(sys.argv[2])
    with Journal(f"{folder}/journal.jsonl") as journal:
        items = [f"{folder}/log|{number}" for number in range(count)]
        for outcome in run(log_and_wait, items, journal=journal, workers=2, identify=lambda item: item.split("|")[1]):
            print(outcome.result.value, flush=True)
"""


def start_batch(folder: Path, count: int) -> subprocess.Popen[bytes]:
    script = folder / "batch.py"
    script.write_text(BATCH)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        bufsize=0,
        start_new_session=True,
    )


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.02)


def session_of(leader: int) -> list[int]:
    members = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            members.append(int(entry.parent.name))
    return members


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for left-over processes in /proc")
def test_a_killed_batch_resumes_where_it_was(tmp_path: Path) -> None:
    count, rounds = 16, 2
    for _ in range(rounds):
        batch = start_batch(tmp_path, count)
        assert batch.stdout is not None
        batch.stdout.readline()
        batch.stdout.readline()
        workers = session_of(batch.pid)
        assert len(workers) >= 2
        batch.kill()
        batch.communicate()
        wait_until_gone(workers)
    last = start_batch(tmp_path, count)
    out, err = last.communicate(timeout=60)
    assert last.returncode == 0, err.decode()
    assert out.split() == [str(number).encode() for number in range(count)]
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert sorted(int(line["id"]) for line in lines) == list(range(count)), "no line is lost or doubled"
    worked = (tmp_path / "log").read_text().split()
    assert set(worked) == {str(number) for number in range(count)}
    assert len(worked) - count <= 2 * rounds, "only what the two workers had in hand is done again"


def test_ctrl_c_keeps_what_is_done_and_says_nothing_of_the_workers(tmp_path: Path) -> None:
    batch = start_batch(tmp_path, 200)
    assert batch.stdout is not None
    batch.stdout.readline()
    os.killpg(batch.pid, signal.SIGINT)  # as a terminal does: parent and workers alike
    _, err = batch.communicate(timeout=20)
    assert err.decode().count("Traceback") <= 1, err.decode()
    assert err.decode().rstrip().endswith("KeyboardInterrupt")
    assert 1 <= len(read_journal(tmp_path / "journal.jsonl")) < 200
    assert not (tmp_path / "journal.jsonl.lock").exists()


def test_new_subtitles_or_a_new_reader_make_it_new_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = tmp_path / "talk.mp4"
    video.write_bytes(b"any bytes")
    verb = Verb("recap", {"speech": "auto", "screen": "none"})
    before, silent = verb.key(str(video)), Verb("recap", {"speech": "none", "screen": "none"})
    silent_before = silent.key(str(video))
    (tmp_path / "talk.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    assert verb.key(str(video)) != before and silent.key(str(video)) == silent_before
    settings = Verb("recap", {"screen": "auto"}).settings
    monkeypatch.setattr("longshot.registry.choices", lambda shelf: {})
    assert Verb("recap", {"screen": "auto"}).settings != settings

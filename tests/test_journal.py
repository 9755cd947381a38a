"""The journal keeps every whole line through a kill at any byte."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot.errors import Busy, FormatError, LongshotError, UsageError
from longshot.journal import Journal, Result, State, read_journal

DONE = Result(State.DONE, {"levels": ["clip"]})

# A job of `count` items; it names each item on stdout before working on it, so redone work can be counted.
WORKER = """
import os, sys
from longshot.journal import Journal, Result, State

path, count = sys.argv[1], int(sys.argv[2])
with Journal(path) as journal:
    for number in range(count):
        item = f"item-{number}"
        if not journal.finished(item):
            os.write(1, f"{item}\\n".encode())
            journal.record(item, Result(State.DONE, {"number": number, "text": "é" * (number % 97)}))
"""


def fill(path: Path, count: int) -> bytes:
    with Journal(path) as journal:
        for number in range(count):
            journal.record(f"item-{number}", Result(State.DONE, {"number": number, "text": "Ünïcode\nline"}))
    return path.read_bytes()


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "journal.jsonl"
    failed = Result(State.FAILED, None, "broken.mp4: the worker crashed (signal 11)")
    with Journal(path) as journal:
        journal.record("a", DONE)
        journal.record("b", failed)
        assert journal.finished("a")
        assert not journal.finished("b")
        assert not journal.finished("never seen")
    with Journal(path) as again:
        assert again.results() == {"a": DONE, "b": failed}
        assert again.done() == {"a": DONE}
    assert read_journal(path) == {"a": DONE, "b": failed}
    assert [json.loads(line)["state"] for line in path.read_text().splitlines()] == ["done", "failed"]


def test_several_results_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    synced: list[int] = []
    with Journal(path) as journal:
        monkeypatch.setattr(os, "fsync", synced.append)
        journal.record_all({f"item-{number}": Result(State.DONE, number) for number in range(5)})
        journal.record_all({})
        assert len(synced) <= 2
        assert len(path.read_text().splitlines()) == 5
        with pytest.raises(TypeError):
            journal.record_all({"good": DONE, "bad": Result(State.DONE, object())})
        assert journal.result("good") is None
    assert {id: result.value for id, result in read_journal(path).items()} == {f"item-{k}": k for k in range(5)}


def test_the_last_line_of_an_id_counts(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.record("a", Result(State.FAILED, None, "no room"))
        journal.record("b", DONE)
        journal.record("a", DONE)
        assert list(journal.done()) == ["b", "a"]
    assert read_journal(path) == {"a": DONE, "b": DONE}
    assert list(read_journal(path)) == ["b", "a"]
    assert len(path.read_text().splitlines()) == 3


def test_every_state_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        for state in State:
            journal.record(state.value, Result(state, None, f"why {state}"))
    assert {id: result.state.value for id, result in read_journal(path).items()} == {
        word: word for word in ("done", "failed", "refused", "unreadable")
    }


def test_a_journal_cut_at_every_byte_keeps_its_whole_lines(tmp_path: Path) -> None:
    whole = fill(tmp_path / "whole.jsonl", 3)
    path = tmp_path / "journal.jsonl"
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        lines = whole[:size].count(b"\n")
        assert len(read_journal(path)) == lines
        with Journal(path) as journal:
            assert list(journal.done()) == [f"item-{number}" for number in range(lines)]
            for number in range(3):
                if not journal.finished(f"item-{number}"):
                    journal.record(f"item-{number}", Result(State.DONE, {"number": number, "text": "Ünïcode\nline"}))
        assert path.read_bytes() == whole, f"cut at byte {size}"


@given(tail=st.binary(max_size=60).filter(lambda tail: b"\n" not in tail))
@settings(max_examples=60, deadline=None)
def test_any_torn_tail_is_cut_off(tmp_path_factory: pytest.TempPathFactory, tail: bytes) -> None:
    path = tmp_path_factory.mktemp("torn") / "journal.jsonl"
    whole = fill(path, 2)
    path.write_bytes(whole + tail)
    with Journal(path) as journal:
        assert list(journal.done()) == ["item-0", "item-1"]
    assert path.read_bytes() == whole


@given(
    st.lists(
        st.tuples(
            st.text(min_size=1, max_size=8),
            st.sampled_from(State),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers()
                | st.floats(allow_nan=False, allow_infinity=False)
                | st.text(),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
                max_leaves=6,
            ),
            st.text(max_size=20),
        ),
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_results_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, State, object, str]]
) -> None:
    path = tmp_path_factory.mktemp("any") / "journal.jsonl"
    expected = {}
    with Journal(path) as journal:
        for id, state, value, reason in rows:
            expected[id] = Result(state, value, reason)
            journal.record(id, expected[id])
        assert journal.results() == expected
    assert read_journal(path) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"garbage",
        b"{}",
        b"[]",
        b"null",
        b'"id"',
        b"\x00\x00\x00",
        b"\xff\xfe",
        b'{"id":"a"}',
        b'{"state":"done"}',
        b'{"id":"a","state":"finished"}',
        b'{"id":"","state":"done"}',
        b'{"id":7,"state":"done"}',
        b'{"id":"a","state":"done"}{"id":"b","state":"done"}',
        b'{"id":"a","state":"do',
        b"[" * 100_000,
    ],
)
def test_garbage_in_the_middle_is_reported_with_its_line_and_left_alone(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    whole = fill(path, 3).splitlines(keepends=True)
    spoilt = whole[0] + line + b"\n" + whole[2]
    path.write_bytes(spoilt)
    with pytest.raises(FormatError, match=r"journal\.jsonl, line 2: not a line of a journal") as caught:
        Journal(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(FormatError, match="line 2"):
        read_journal(path)
    assert path.read_bytes() == spoilt
    path.write_bytes(whole[0])
    with Journal(path) as journal:  # and the lock was let go
        assert list(journal.done()) == ["item-0"]


def test_a_second_writer_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path):
        with pytest.raises(Busy, match=rf"is being written by process {os.getpid()}; wait for it") as caught:
            Journal(path)
        assert "\n" not in str(caught.value)
    with Journal(path) as journal:
        journal.record("a", DONE)
    assert [file.name for file in tmp_path.iterdir()] == ["journal.jsonl"]


def test_another_process_cannot_write_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path):
        child = subprocess.run([sys.executable, "-c", WORKER, str(path), "3"], capture_output=True, text=True)
    assert child.returncode == 1
    assert f"being written by process {os.getpid()}" in child.stderr
    assert path.read_bytes() == b""


def test_a_lock_left_by_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    (tmp_path / "journal.jsonl.lock").write_text("999999\n")
    with Journal(path) as journal:
        journal.record("a", DONE)
        assert (tmp_path / "journal.jsonl.lock").read_text() == f"{os.getpid()}\n"


def test_misuse_is_named(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        with pytest.raises(UsageError, match="needs an id"):
            journal.record("", DONE)
        with pytest.raises(TypeError):
            journal.record("a", Result(State.DONE, object()))
        with pytest.raises(ValueError, match="JSON"):
            journal.record("a", Result(State.DONE, float("nan")))
    with pytest.raises(UsageError, match="is closed"):
        journal.record("a", DONE)
    assert (tmp_path / "journal.jsonl").read_bytes() == b""
    journal.close()


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be written"):
        Journal(tmp_path / "file" / "journal.jsonl")
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        Journal(tmp_path / "journal.jsonl")


def test_a_missing_journal_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        read_journal(tmp_path / "none.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.jsonl"
    whole = fill(path, 2)
    real = os.write

    def half(file: int, data: bytes | memoryview) -> int:
        if len(data) > 10:
            return real(file, data[:10])
        raise OSError(28, "No space left on device")

    with Journal(path) as journal:
        monkeypatch.setattr(os, "write", half)
        with pytest.raises(LongshotError, match=r"cannot be written \(No space left on device\)"):
            journal.record("b", Result(State.DONE, "short" * 2))
        monkeypatch.undo()
        assert path.read_bytes() == whole
        assert not journal.finished("b")
        journal.record("b", DONE)
    assert list(read_journal(path)) == ["item-0", "item-1", "b"]


def kill_and_resume(path: Path, count: int, rounds: int, seed: int) -> list[str]:
    """Run the job, kill it at random moments, then let it finish; the items worked on, in order."""
    choose = random.Random(seed)
    worked: list[str] = []
    killed = 0
    for attempt in range(rounds + 1):
        command = [sys.executable, "-c", WORKER, str(path), str(count)]
        # Unbuffered, because communicate() does not see what readline() has read ahead.
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        assert child.stdout is not None
        if attempt < rounds:
            worked += [child.stdout.readline().decode().strip() for _ in range(choose.randint(1, 3))]
            time.sleep(choose.random() * 0.001)  # somewhere inside the next records
            child.send_signal(signal.SIGKILL)
        out, err = child.communicate(timeout=60)
        worked += out.decode().split()
        assert err == b"", err.decode()
        killed += child.returncode == -signal.SIGKILL
    assert child.returncode == 0
    assert killed >= rounds // 2, "too few kills landed in the middle of the work to prove anything"
    return worked


def check_kills(tmp_path: Path, *, rounds: int, seed: int) -> None:
    count = 12 * rounds
    path = tmp_path / "journal.jsonl"
    worked = kill_and_resume(path, count, rounds, seed)
    names = [f"item-{number}" for number in range(count)]
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == names, "no line is lost or doubled"
    assert [line["value"]["number"] for line in lines] == list(range(count))
    assert set(worked) == set(names)
    # Only the item in hand at a kill may be worked on twice.
    assert len(worked) - len(names) <= rounds
    assert path.read_bytes().endswith(b"\n")


def test_sigkill_loses_doubles_and_redoes_nothing(tmp_path: Path) -> None:
    check_kills(tmp_path, rounds=6, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_sigkill_many_times(tmp_path: Path, seed: int) -> None:
    check_kills(tmp_path, rounds=40, seed=seed)

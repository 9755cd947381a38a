"""Many items at once: each ends in its own state, none takes another down, nothing finished is done again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from longshot.contracts import Progress
from longshot.errors import LongshotError, MediaError, UsageError
from longshot.journal import Journal, Result, State, read_journal
from longshot.scaling.local import default_workers, run

# Called in worker processes, so this module must be importable there: spawn hands sys.path on.


def behave(item: str, progress: Progress) -> str:
    """Do what the item says; the rest of the item is its name."""
    match item.split(":")[0]:
        case "unreadable":
            raise MediaError(item, "holds neither pictures nor sound")
        case "failed":
            raise LongshotError("the second pass\ncould not be made")
        case "bug":
            raise KeyError("surprise")
        case "exit":
            os._exit(7)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(60)
        case "memory":
            raise MemoryError
        case "unsendable":
            return lambda: item  # type: ignore[return-value]
        case "noisy":
            print("a library prints this")
        case "slow":
            for step in range(5):
                progress(step, 5)
                time.sleep(0.12)
        case "system exit":
            sys.exit(3)
    return item.upper()


def log_and_wait(item: str, progress: Progress) -> str:
    """Note in a file that the item was worked on; `item` is its path and a number."""
    path, number = item.split("|")
    with open(path, "a", encoding="ascii") as file:
        file.write(f"{number}\n")
    time.sleep(0.02)
    return number


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


# --- a whole batch, killed

BATCH = """
import sys
from longshot.journal import Journal
from longshot.scaling.local import run
from test_scaling import log_and_wait

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
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
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

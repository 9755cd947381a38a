"""Many items at once on this machine: one process each, so that none can take another down.

    for outcome in run(work, ["a.mp4", "b.mp4"], journal=journal):
        print(outcome.item, outcome.result.state)

`work(item, progress)` runs in worker processes. An error there is a result, not an end: a file that cannot be used
is "unreadable", any other error "failed" with its one line. A worker that crashes, is killed by the system or
overruns its time fails only the item that it had in hand. Finished work is in the journal before it is reported,
and is not done again. Workers end when their parent does, however that ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.process import parent_process
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Generic, TypeVar

from longshot.contracts import Progress
from longshot.errors import LongshotError, MediaError, UsageError
from longshot.journal import Journal, Result, State

Item = TypeVar("Item")
Work = Callable[[Item, Progress], Any]

# What `recap` of a long video may need; the default number of workers keeps to the memory that is free.
WORKER_BYTES = 700 << 20
_START_SECONDS = 120.0  # a new process may take this long to begin
_PROGRESS_SECONDS = 0.1  # workers report at most this often


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Item]):
    """How one item ended.

    again: it was finished by an earlier run and taken from the journal. trace: the traceback of an unforeseen error.
    """

    item: Item
    result: Result
    again: bool = False
    trace: str = ""


def run(
    work: Work[Item],
    items: Sequence[Item],
    *,
    identify: Callable[[Item], str] = str,
    journal: Journal | None = None,
    keep: Callable[[Item, Any], Any] | None = None,
    valid: Callable[[Item, Result], bool] | None = None,
    workers: int | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Generator[Outcome[Item], None, None]:
    """Do `work` on every item and give the outcomes in the order of the items, whichever ends first.

    Args:
        work: called in another process, so it and what it returns can be pickled.
        items: what to work on.
        identify: the name of an item's result in the journal; with one, items of one name are worked on once.
        journal: where finished results are kept, and found again by the next run.
        keep: called here with what `work` returned, before it is journalled; what it returns is the result's value.
        valid: whether a finished result of the journal still stands (its files may be gone); by default it does.
        workers: how many processes; by default as many as cores and free memory allow.
        seconds: the time that one item may take.
        progress: called with the items done so far, running ones in part, and their number.

    Raises UsageError for a senseless number. On Ctrl-C, or when the caller stops asking, the workers are stopped and
    what is done stays done.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"the number of workers is 1 or more, got {workers}")
    if seconds is not None and not seconds > 0:
        raise UsageError(f"the time for one video is a number of seconds above 0, got {seconds}")
    count = default_workers(len(items)) if workers is None else min(workers, len(items))
    return _Batch(work, items, identify, journal, keep, valid, count, seconds, progress).outcomes()


def default_workers(items: int, *, cores: int | None = None, memory: int | None = None) -> int:
    """How many processes suit this machine: a core and 700 MB each, no more than items, at least one.

    8 cores and 3 GB free give four for ten items and two for two.
    """
    cores = available_cores() if cores is None else cores
    memory = available_memory() if memory is None else memory
    return max(1, min(items, cores, memory // WORKER_BYTES))


def available_cores() -> int:
    """The cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _first_line(Path("/sys/fs/cgroup/cpu.max")).split()
    if len(limit) == 2 and limit[0].isdecimal():
        cores = min(cores, max(1, round(int(limit[0]) / int(limit[1]))))
    return cores


def available_memory() -> int:
    """Bytes that can be used without swapping; a very large number where the system does not say."""
    free = [sys.maxsize]
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            free.append(int(line.split()[1]) * 1024)
    limit = _first_line(Path("/sys/fs/cgroup/memory.max"))
    used = _first_line(Path("/sys/fs/cgroup/memory.current"))
    if limit.isdecimal() and used.isdecimal():
        free.append(max(0, int(limit) - int(used)))
    return min(free)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux, or not in a container: then nothing is limited there
        return []


def _first_line(path: Path) -> str:
    return next(iter(_lines(path)), "")


# --- the parent's side


@dataclass(slots=True)
class _Worker:
    """One process with what it has in hand: `index` of the item, None when it waits for one.

    begun: it has taken the item up, after importing what it needs; the item's time runs from then.
    """

    process: SpawnProcess
    pipe: Connection
    index: int | None = None
    deadline: float | None = None
    share: float = 0.0
    begun: bool = False


@dataclass
class _Batch(Generic[Item]):
    work: Work[Item]
    items: Sequence[Item]
    identify: Callable[[Item], str]
    journal: Journal | None
    keep: Callable[[Item, Any], Any] | None
    valid: Callable[[Item, Result], bool] | None
    count: int
    seconds: float | None
    progress: Progress | None
    crew: list[_Worker] = field(default_factory=list)
    ended: dict[int, Outcome[Item]] = field(default_factory=dict)
    finished: int = 0
    names: dict[int, str] = field(default_factory=dict)
    followers: dict[str, list[int]] = field(default_factory=dict)

    def outcomes(self) -> Generator[Outcome[Item], None, None]:
        waiting = deque(range(len(self.items)))
        try:
            for index in range(len(self.items)):
                while index not in self.ended:
                    self._hand_out(waiting)
                    if index not in self.ended:
                        self._listen()
                yield self.ended.pop(index)
        finally:
            self._dismiss()

    def _hand_out(self, waiting: deque[int]) -> None:
        """Give waiting items to idle workers, hiring some while there is room."""
        while waiting:
            worker = next((worker for worker in self.crew if worker.index is None), None)
            if worker is None and len(self.crew) >= self.count:
                return
            index = waiting.popleft()
            if not self._needs_work(index):
                continue
            self._assign(worker, index)

    def _needs_work(self, index: int) -> bool:
        """False when the item is finished, or is being worked on under the same name."""
        item = self.items[index]
        name = self.names[index] = self.identify(item)
        known = self.journal.result(name) if self.journal is not None else None
        if known is not None and known.state is State.DONE and (self.valid is None or self.valid(item, known)):
            self._end(index, known, again=True)
            return False
        self.followers.setdefault(name, []).append(index)
        return len(self.followers[name]) == 1

    def _assign(self, worker: _Worker | None, index: int) -> None:
        if worker is not None and not _send(worker, self.items[index]):  # it was killed while idle
            self.crew.remove(worker)
            _release(worker, kill=True)
            worker = None
        if worker is None:
            worker = _hire(self.work)
            self.crew.append(worker)
            _send(worker, self.items[index])  # when this one is gone too, `_listen` finds out and says why
        worker.index = index
        worker.share = 0.0
        worker.begun = False
        worker.deadline = None if self.seconds is None else time.monotonic() + self.seconds + _START_SECONDS

    def _listen(self) -> None:
        """Wait until a worker says something, ends, or runs out of time."""
        pipes = {worker.pipe: worker for worker in self.crew if worker.index is not None}
        deadlines = [worker.deadline for worker in pipes.values() if worker.deadline is not None]
        patience = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        for pipe in connection.wait(list(pipes), patience):
            assert isinstance(pipe, Connection)
            self._hear(pipes[pipe])
        now = time.monotonic()
        for worker in list(pipes.values()):
            if worker.index is not None and worker.deadline is not None and now >= worker.deadline:
                self._give_up(worker, f"took longer than {self.seconds:g} s and was stopped", kill=True)

    def _hear(self, worker: _Worker) -> None:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):  # nothing more comes: it is gone
            worker.process.join(5.0)
            self._give_up(worker, _cause(worker.process.exitcode))
            return
        if isinstance(message, float):
            if not worker.begun and self.seconds is not None:
                worker.deadline = time.monotonic() + self.seconds
            worker.begun = True
            worker.share = message
            self._report()
            return
        state, value, reason, trace = message
        index = worker.index
        assert index is not None
        worker.index = None
        self._settle(index, self._kept(index, Result(state, value, reason)), trace)

    def _kept(self, index: int, result: Result) -> Result:
        if self.keep is None or result.state is not State.DONE:
            return result
        return Result(State.DONE, self.keep(self.items[index], result.value))

    def _give_up(self, worker: _Worker, reason: str, *, kill: bool = False) -> None:
        """Fail the item that a worker had in hand, and let the worker go."""
        index = worker.index
        assert index is not None
        self.crew.remove(worker)
        _release(worker, kill=kill)
        self._settle(index, Result(State.FAILED, None, f"{self.items[index]}: {reason}"))

    def _settle(self, index: int, result: Result, trace: str = "") -> None:
        name = self.names[index]
        if self.journal is not None and self.journal.result(name) != result:  # it may fail as it did before
            self.journal.record(name, result)
        for follower in self.followers.pop(name):
            self._end(follower, result, trace=trace)

    def _end(self, index: int, result: Result, *, again: bool = False, trace: str = "") -> None:
        self.ended[index] = Outcome(self.items[index], result, again, trace)
        self.finished += 1
        self._report()

    def _report(self) -> None:
        if self.progress is not None:
            running = sum(worker.share for worker in self.crew if worker.index is not None)
            self.progress(min(self.finished + running, len(self.items)), len(self.items))

    def _dismiss(self) -> None:
        busy = [worker for worker in self.crew if worker.index is not None]
        for worker in busy:
            worker.process.kill()
        for worker in self.crew:
            _release(worker, kill=False)
        self.crew.clear()


def _hire(work: Work[Any]) -> _Worker:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, work), daemon=True)
    with _interrupts_held():
        process.start()
    there.close()
    return _Worker(process, here)


def _send(worker: _Worker, item: Any) -> bool:
    try:
        worker.pipe.send(item)
    except OSError:
        return False
    return True


def _release(worker: _Worker, *, kill: bool) -> None:
    """Close the pipe, on which an idle worker ends, and wait for the process."""
    if kill:
        worker.process.kill()
    worker.pipe.close()
    worker.process.join(2.0)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.process.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C from processes started inside: only the parent answers it, and then stops them in order."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # the first process would start it, and that lifts the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cause(code: int | None) -> str:
    if code is None:
        return "its worker stopped answering"
    if code >= 0:
        return f"its worker ended by itself (exit code {code})"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if name == "SIGKILL":
        return "its worker was killed (SIGKILL), most often because memory ran out; try fewer workers"
    return f"its worker crashed ({name})"


# --- the worker's side


def _serve(pipe: Connection, work: Work[Any]) -> None:
    """Work on what comes through the pipe until the other end closes it."""
    _end_with_parent()
    # What a library prints must not land among the results.
    os.dup2(2, 1)
    with suppress(EOFError, OSError):
        while True:
            item = pipe.recv()
            pipe.send(0.0)
            pipe.send_bytes(_packed(item, _attempt(work, item, _Reporter(pipe))))


def _packed(item: Any, end: tuple[State, Any, str, str]) -> memoryview:
    """The end of an item as bytes; an end that says so when its value cannot be sent."""
    try:
        return ForkingPickler.dumps(end)
    except Exception as error:
        reason = f"{item}: its result cannot be sent between processes ({_one_line(error)})"
        return ForkingPickler.dumps((State.FAILED, None, reason, traceback.format_exc()))


def _attempt(work: Work[Any], item: Any, progress: Progress) -> tuple[State, Any, str, str]:
    try:
        return State.DONE, work(item, progress), "", ""
    except MediaError as error:
        return State.UNREADABLE, None, _one_line(error), ""
    except LongshotError as error:
        return State.FAILED, None, f"{item}: {_one_line(error)}", ""
    except MemoryError:
        return State.FAILED, None, f"{item}: there is not enough memory; try fewer workers", traceback.format_exc()
    except Exception as error:
        reason = f"{item}: {type(error).__name__}: {_one_line(error)} (this is a bug in longshot)"
        return State.FAILED, None, reason, traceback.format_exc()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


class _Reporter:
    """A `Progress` that sends the share done home, not more often than anybody looks."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._next = 0.0

    def __call__(self, done: float, total: float, /) -> None:
        now = time.monotonic()
        if now >= self._next and total > 0:
            self._next = now + _PROGRESS_SECONDS
            self._pipe.send(float(min(max(done / total, 0.0), 1.0)))


def _end_with_parent() -> None:
    """End this process when its parent is gone, in the middle of any work: nobody waits for it."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

"""Append-only results by id, in a file that survives a kill at any byte.

    with Journal("out/journal.jsonl") as journal:
        for item in items:
            if not journal.finished(item.id):
                journal.record(item.id, Result(State.DONE, work(item)))

One JSON line for each result:

    {"id":"3f0c…/recap/91ab…","state":"done","value":{"levels":["clip","segment","video"]}}

A line counts once its newline is on the disk (`record` returns after fsync), so a kill loses at most the
line being written, and the next open cuts that torn line off. The last line of an id is the one that counts: a
failed item that is done again later is done.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from longshot.errors import Busy, FormatError, LongshotError, UsageError


class State(StrEnum):
    """How an item ended. Every item ends in one of these, and every count names all four."""

    DONE = "done"
    """There is a result."""
    FAILED = "failed"
    """The work broke: an error, a crash, its time was up."""
    REFUSED = "refused"
    """A model declined to answer."""
    UNREADABLE = "unreadable"
    """What came cannot be read: a file that is no video, a reply in no known form."""


@dataclass(frozen=True, slots=True)
class Result:
    """The end of one item: `value` (plain JSON) when it is done, `reason` (one line) when it is not."""

    state: State
    value: Any = None
    reason: str = ""


class Journal:
    """The results of one folder of work, open for writing by one process at a time.

    Raises Busy when another process writes it, UsageError when the folder cannot be written, and FormatError
    (with the line number) when a whole line cannot be read: no kill leaves that behind, and guessing would
    lose work.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = _Lock(self.path.with_name(self.path.name + ".lock"))
        self._file = -1
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.take()
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._results = _parse(self.path, self._repair())
            _sync_folder(self.path.parent)
        except OSError as error:
            self.close()
            raise UsageError(f"{self.path}: cannot be written ({error.strerror}); name another folder") from error
        except LongshotError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def record(self, id: str, result: Result) -> None:
        """Write one result; it is on the disk when this returns.

        Raises UsageError when `id` is empty or the journal closed, LongshotError when the disk does not take
        the line (the file then holds no part of it).
        """
        self.record_all({id: result})

    def record_all(self, results: Mapping[str, Result]) -> None:
        """Write several results with one wait for the disk; raises as `record`, and then none is written."""
        if self._file < 0:
            raise UsageError(f"{self.path} is closed: a result can only be recorded inside its `with`")
        lines = b"".join(_line(id, result) for id, result in results.items())
        size = os.fstat(self._file).st_size
        try:
            _write_all(self._file, lines)
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, size)
            raise LongshotError(
                f"{self.path}: cannot be written ({error.strerror}); make room and repeat the command"
            ) from error
        for id, result in results.items():
            _put(self._results, id, result)

    def result(self, id: str) -> Result | None:
        """The latest result of an item, whatever its state; None when there is none."""
        return self._results.get(id)

    def finished(self, id: str) -> bool:
        """Whether this item is done; failed ones may be tried again."""
        return id in self._results and self._results[id].state is State.DONE

    def done(self) -> dict[str, Result]:
        """The finished items by id, the one written last at the end."""
        return {id: result for id, result in self._results.items() if result.state is State.DONE}

    def results(self) -> dict[str, Result]:
        """Every item by id with its latest result, whatever its state."""
        return dict(self._results)

    def close(self) -> None:
        """Let go of the file and of its lock; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._lock.release()

    def _repair(self) -> bytes:
        """The whole lines of the file, after cutting off a last one without its newline."""
        text = self.path.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole < len(text):
            os.ftruncate(self._file, whole)
            os.fsync(self._file)
        return text[:whole]


def read_journal(path: str | os.PathLike[str]) -> dict[str, Result]:
    """Every item of a journal by id with its latest result, without touching the file or its lock.

    A torn last line is left out. Raises FormatError as `Journal` does, and for a file that is not there.
    """
    path = Path(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from error
    return _parse(path, text[: text.rfind(b"\n") + 1])


def _line(id: str, result: Result) -> bytes:
    if not id:
        raise UsageError("a result needs an id, got an empty one")
    fields: dict[str, Any] = {"id": id, "state": result.state.value}
    if result.value is not None:
        fields["value"] = result.value
    if result.reason:
        fields["reason"] = result.reason
    # JSON escapes newlines inside strings, so a line never breaks in two.
    return (
        json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        + b"\n"
    )


def _parse(path: Path, text: bytes) -> dict[str, Result]:
    results: dict[str, Result] = {}
    for number, line in enumerate(text.split(b"\n")[:-1], start=1):
        try:
            fields = json.loads(line.decode("utf-8", "surrogatepass"))
            _put(results, _id_of(fields), _result_of(fields))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise FormatError(
                f"{path}, line {number}: not a line of a journal ({_excerpt(line)}); mend or remove this "
                "line, or use another folder"
            ) from error
    return results


def _put(results: dict[str, Result], id: str, result: Result) -> None:
    results.pop(id, None)  # so that the order is that of the lines that count
    results[id] = result


def _result_of(fields: Mapping[str, Any]) -> Result:
    return Result(State(fields["state"]), fields.get("value"), fields.get("reason", ""))


def _id_of(fields: Mapping[str, Any]) -> str:
    if not isinstance(fields["id"], str) or not fields["id"]:
        raise ValueError("the id must be a text that is not empty")
    return fields["id"]


def _excerpt(line: bytes) -> str:
    shown = line[:40].decode("utf-8", "replace")
    return repr(shown if len(line) <= 40 else shown + "…") if line else "it is empty"


def _write_all(file: int, data: bytes) -> None:
    # One write() may take only a part: a full disk, a signal, more than 2 GB.
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _sync_folder(folder: Path) -> None:
    """Make a new file's name as durable as its content."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some network file systems do not sync folders; the lines themselves are safe
            os.fsync(handle)
    finally:
        os.close(handle)


class _Lock:
    """One writer at a time, by a lock that the system drops with its holder; the file names the holder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = -1

    def take(self) -> None:
        """Hold the lock. Raises Busy when another process does."""
        while self._file < 0:
            self._file = self._try()

    def release(self) -> None:
        """Let go, and remove the file while nobody else can hold it."""
        if self._file >= 0:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
            os.close(self._file)
            self._file = -1

    def _try(self) -> int:
        """The locked file, or -1 when its former holder removed it between our open and our lock."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._still_named(file):
                os.close(file)
                return -1
            os.ftruncate(file, 0)
            os.write(file, f"{os.getpid()}\n".encode("ascii"))
        except BlockingIOError as error:
            holder = os.read(file, 32).decode("ascii", "replace").strip()
            os.close(file)
            who = f"process {holder}" if holder else "another process"
            raise Busy(f"{self.path.parent} is being written by {who}; wait for it, or use another folder") from error
        except OSError:
            os.close(file)
            raise
        return file

    def _still_named(self, file: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(file))
        except FileNotFoundError:
            return False

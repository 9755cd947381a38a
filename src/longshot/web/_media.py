"""Files sent in ranges: what a player asks for when it seeks."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from longshot.errors import MediaError

_BLOCK = 1 << 20  # bytes read at once
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.IGNORECASE | re.ASCII)


class Stretch(NamedTuple):
    """Bytes `start` to `stop` of a file, the last one not included."""

    start: int
    stop: int


class Unsatisfiable(Exception):
    """A range that begins after the end of the file."""


def range_of(header: str | None, size: int) -> Stretch | None:
    """What a Range header asks of a file of `size` bytes; None for the whole of it.

        "bytes=0-99", 1000     ->  0 to 100
        "bytes=900-", 1000     ->  900 to 1000
        "bytes=-100", 1000     ->  900 to 1000
        "bytes=0-9,20-29"      ->  None: a server may answer several ranges with the whole, and players ask for one
        "bytes=1000-", 1000    ->  Unsatisfiable

    What is no range at all is passed over, as RFC 9110 wants it.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        length = min(int(found[2]), size)
        if length == 0:
            raise Unsatisfiable
        return Stretch(size - length, size)
    start, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and last < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return Stretch(start, min(last + 1, size))


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file that is open for reading; whoever has it must close it."""

    handle: int
    size: int
    changed: int  # ns

    @classmethod
    def of(cls, path: Path) -> OpenFile:
        """Open a file. Raises MediaError, also for what is no regular file (a pipe would never end)."""
        try:
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        except (OSError, ValueError) as error:
            raise MediaError(path, f"cannot be opened ({getattr(error, 'strerror', None) or error})") from error
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            os.close(handle)
            raise MediaError(path, "is no regular file")
        return cls(handle, found.st_size, found.st_mtime_ns)

    def close(self) -> None:
        """Give the file back."""
        os.close(self.handle)


class FileBytes:
    """The answer to a request for a file, or for one range of it. Closes the file when it is done.

    tag: what changes when the file's content does. limiter: how many reads may run at once.
    """

    def __init__(self, file: OpenFile, *, mime: str, tag: str, limiter: CapacityLimiter) -> None:
        self._file = file
        self._mime = mime
        self._tag = f'"{tag}"'
        self._dated = formatdate(file.changed // 10**9, usegmt=True)
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, stretch, more = self._answer(Headers(scope=scope))
            headers = {"accept-ranges": "bytes", "etag": self._tag, "last-modified": self._dated, **more}
            headers |= {"cache-control": "private, no-cache"}
            if status in (200, 206):
                headers |= {"content-type": self._mime, "content-length": str(stretch.stop - stretch.start)}
            elif status == 416:
                headers |= {"content-length": "0"}
            raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": raw})
            if scope["method"] == "HEAD" or status in (304, 416):
                await send({"type": "http.response.body", "body": b""})
                return
            async with anyio.create_task_group() as group:
                group.start_soon(self._send, stretch, send, group.cancel_scope)
                await until_gone(receive)
                group.cancel_scope.cancel()
        finally:
            self._file.close()

    def _answer(self, asked: Headers) -> tuple[int, Stretch, dict[str, str]]:
        """Status, bytes and further headers."""
        whole = Stretch(0, self._file.size)
        known = asked.get("if-none-match")
        if known is not None and (known.strip() == "*" or self._tag in [one.strip() for one in known.split(",")]):
            return 304, whole, {}
        condition = asked.get("if-range")
        if condition is not None and condition.strip() not in (self._tag, self._dated):
            return 200, whole, {}
        try:
            part = range_of(asked.get("range"), self._file.size)
        except Unsatisfiable:
            return 416, whole, {"content-range": f"bytes */{self._file.size}"}
        if part is None:
            return 200, whole, {}
        return 206, part, {"content-range": f"bytes {part.start}-{part.stop - 1}/{self._file.size}"}

    async def _send(self, stretch: Stretch, send: Send, scope: anyio.CancelScope) -> None:
        at = stretch.start
        while at < stretch.stop:
            count = min(_BLOCK, stretch.stop - at)
            block = await to_thread.run_sync(os.pread, self._file.handle, count, at, limiter=self._limiter)
            if not block:
                # Cut short meanwhile. Ending without the promised bytes closes the connection, which the player sees.
                break
            at += len(block)
            await send({"type": "http.response.body", "body": block, "more_body": at < stretch.stop})
        scope.cancel()


async def until_gone(receive: Receive) -> None:
    """Wait until the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass

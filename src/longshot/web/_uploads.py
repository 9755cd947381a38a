"""Videos that are sent to the server: written to the library's `uploads/`, then added by a process of its own."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from longshot.errors import LongshotError, MediaError, UsageError
from longshot.video import open_video
from longshot.web._parts import part_of, sweep

LARGEST_UPLOAD = 8 << 30  # bytes
_TYPES = ("video/", "audio/", "application/octet-stream", "image/gif")
_LONGEST_NAME = 120  # bytes; tracks and clips made of it add to it
_MOST_WAITING = 100


class TooLarge(LongshotError):
    """More bytes than an upload may have."""


class Stage(StrEnum):
    """What has become of an upload."""

    WAITING = "waiting"
    ADDING = "adding"
    ADDED = "added"
    FAILED = "failed"


@dataclass(slots=True)
class Upload:
    """One file that was sent. reason: one line, when it FAILED."""

    name: str
    path: Path
    stage: Stage = Stage.WAITING
    reason: str = ""


def adding(library: Path) -> Callable[[Path], Sequence[str]]:
    """The command that adds a file to a library."""
    return lambda path: [sys.executable, "-m", "longshot", "add", str(path), "--library", str(library), "--quiet"]


class Uploads:
    """The uploads of one library. command: given a file, what adds it."""

    def __init__(
        self, library: Path, *, largest: int = LARGEST_UPLOAD, command: Callable[[Path], Sequence[str]]
    ) -> None:
        self.largest = largest
        self._folder = library / "uploads"
        self._command = command
        self._lock = threading.Lock()
        self._uploads: list[Upload] = []
        self._waiting: deque[Upload] = deque()
        self._thread: threading.Thread | None = None
        self._running: subprocess.Popen[str] | None = None
        self._closed = False

    def check(self, *, type: str, length: int | None) -> None:
        """Refuse by what the request says of itself. Raises UsageError or TooLarge."""
        if not type.lower().startswith(_TYPES):
            raise UsageError(f"{type[:60] or 'no type'!r} is neither video nor sound: send a video file")
        if length is not None and length > self.largest:
            raise TooLarge(f"{length / 2**20:.0f} MiB are more than the {self.largest / 2**20:.0f} MiB that are taken")
        with self._lock:
            if len(self._waiting) >= _MOST_WAITING:
                raise UsageError(f"{_MOST_WAITING} uploads wait to be added already: send it later")

    def part(self) -> Path:
        """A new file to write an upload to; whoever gets it removes it or hands it to `take`."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            sweep(self._folder)
            path = part_of(self._folder, secrets.token_hex(8))
            path.touch(exist_ok=False)
        except OSError as error:
            raise LongshotError(f"uploads cannot be kept here ({error.strerror or error})") from error
        return path

    def take(self, part: Path, name: str) -> Upload:
        """Give a whole upload its name and have it added. Raises UsageError when it is no video."""
        try:
            with open_video(part):
                pass
        except MediaError as error:
            raise UsageError(f"{safe_name(name)}: {error.reason}") from error
        try:
            upload = Upload(name, self._place(part, name))
        except OSError as error:
            raise LongshotError(f"uploads cannot be kept here ({error.strerror or error})") from error
        with self._lock:
            self._uploads.append(upload)
            self._waiting.append(upload)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="longshot-uploads")
                self._thread.start()
        return upload

    def states(self) -> list[Upload]:
        """Every upload since the server started."""
        with self._lock:
            return list(self._uploads)

    def close(self) -> None:
        """Stop adding. What was being added goes on where it was at the next `add`."""
        with self._lock:
            self._closed = True
            running, thread = self._running, self._thread
        if running is not None:
            running.terminate()
        if thread is not None:
            thread.join()

    def _place(self, part: Path, name: str) -> Path:
        safe = safe_name(name)
        for number in range(1, 10_000):
            target = self._folder / (safe if number == 1 else f"{Path(safe).stem}-{number}{Path(safe).suffix}")
            try:
                target.touch(exist_ok=False)  # so that no other upload takes the name
            except FileExistsError:
                continue
            try:
                os.replace(part, target)
            except OSError:
                target.unlink()
                raise
            return target
        raise UsageError(f"there are 9999 uploads called {safe!r}: send it under another name")

    def _work(self) -> None:
        while (upload := self._next()) is not None:
            reason = self._add(upload.path)
            with self._lock:
                upload.stage, upload.reason = (Stage.FAILED, reason) if reason else (Stage.ADDED, "")

    def _next(self) -> Upload | None:
        with self._lock:
            if self._closed or not self._waiting:
                self._thread = None
                return None
            upload = self._waiting.popleft()
            upload.stage = Stage.ADDING
            return upload

    def _add(self, path: Path) -> str:
        """Why it could not be added, or nothing."""
        try:
            process = subprocess.Popen(
                self._command(path),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            return f"could not be added ({error.strerror or error})"
        with self._lock:
            self._running = process
            if self._closed:
                process.terminate()
        _, errors = process.communicate()
        with self._lock:
            self._running = None
        if process.returncode == 0:
            return ""
        said = errors.strip().splitlines()
        return said[-1][:500] if said else f"could not be added (exit {process.returncode})"


def safe_name(name: str) -> str:
    """A file name that is one part of a path anywhere and hides nothing: "../../.ssh/x y?.mp4" becomes "x y_.mp4"."""
    last = re.split(r"[/\\]", name)[-1]
    clean = re.sub(r'[\x00-\x1f\x7f:*?"<>|\ud800-\udfff]', "_", last).strip(" .") or "video"
    stem, suffix = os.path.splitext(clean)
    suffix = suffix if re.fullmatch(r"\.\w{1,8}", suffix, re.ASCII) else ""
    room = _LONGEST_NAME - len(suffix)
    return (stem or "video").encode()[:room].decode(errors="ignore").rstrip(" .") + suffix

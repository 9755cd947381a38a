"""Libraries in an object store: the files that are the truth lie there, and a working copy of them here.

    store = Store.open("s3://bucket/videos", copies=Path("~/.cache/longshot/libraries").expanduser())
    store.pull()                                          # what is new or other there comes here
    store.push("tracks/3f2a9c", "journal.jsonl")          # and what is new or other here goes there

The working copy is a library like any other. Its index is its own: made from the tracks, and never sent. `synced.json`
keeps how each file looked on both sides when they were last the same, so nothing is sent twice, and an edit by hand is
not lost. Where both sides changed a file, ours goes out with the next push; the lines of both journals are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from longshot.errors import FormatError, LongshotError, UsageError

SCHEMES = ("s3", "gs", "gcs", "az", "abfs", "abfss")
PARTS = ("tracks", "vectors", "answers", "journal.jsonl")
"""What of a library is the truth, or was too dear to make twice."""
_SYNCED = "synced.json"
_AT_ONCE = 16  # files on their way together: each waits for the network most of its time

Look = tuple[int, int]
"""Size and time of change in nanoseconds (0 where a store has none)."""
_UNSENT: Look = (-1, -1)


def is_address(place: str) -> bool:
    """Whether a place is an address ("s3://bucket/videos") and no folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", place) is not None


@dataclass
class Store:
    """A folder in an object store, and the working copy of it here.

    files: a pyarrow file system. root: the folder in it. address: as the user wrote it.
    """

    files: Any
    root: str
    address: str
    folder: Path
    _synced: dict[str, tuple[Look, Look]] = field(default_factory=dict)

    @classmethod
    def open(cls, address: str, *, copies: Path) -> Store:
        """The store at an address, whose working copy lies in a folder of its own among `copies`.

        Nothing is fetched yet. Raises UsageError for an address that cannot be meant, LongshotError for a store that
        does not answer.
        """
        files, root = _file_system(address)
        name = re.sub(r"\W+", "-", address.partition("://")[2]).strip("-")[:40]
        digest = hashlib.blake2b(address.rstrip("/").encode(), digest_size=6).hexdigest()
        return cls(files, root.rstrip("/"), address, copies / f"{name}-{digest}")

    def pull(self) -> bool:
        """Fetch what changed there since the last time; whether anything did.

        Raises LongshotError when the store does not answer.
        """
        self._load()
        there, here = self._there(), self._here()
        wanted = [name for name, look in there.items() if self._is_new_there(name, look, here.get(name))]
        gone = [
            name
            for name, (_, ours) in self._synced.items()
            if name not in there and here.get(name) in (None, ours)  # what was edited here since is kept
        ]
        with self._answering(), ThreadPoolExecutor(_AT_ONCE) as pool:
            for name, same in pool.map(self._fetch, wanted):
                self._synced[name] = there[name], _look(self.folder / name) if same else _UNSENT
        for name in gone:
            (self.folder / name).unlink(missing_ok=True)
            del self._synced[name]
        self._prune(gone)
        if wanted or gone:
            self._save()
        return bool(wanted or gone)

    def push(self, *parts: str) -> int:
        """Send what changed here since the last time, in some files and folders or in all; how many files that were.

        Raises LongshotError when the store does not take it; the next push sends what is left.
        """
        chosen = parts or PARTS
        here = self._here(chosen)
        wanted = [name for name, look in here.items() if name not in self._synced or self._synced[name][1] != look]
        gone = [name for name in self._synced if name not in here and _is_below(name, chosen)]
        # Tracks before the journal, which says that they are there.
        wanted.sort(key=lambda name: "/" not in name)
        with self._answering(), ThreadPoolExecutor(_AT_ONCE) as pool:
            sent = pool.map(self._send, (name for name in wanted if "/" in name))
            for name, theirs in [*sent, *(self._send(name) for name in wanted if "/" not in name)]:
                self._synced[name] = theirs, here[name]
            for name in gone:
                if self._info(name) is not None:
                    self.files.delete_file(f"{self.root}/{name}")
                del self._synced[name]
        if wanted or gone:
            self._save()
        return len(wanted) + len(gone)

    def _is_new_there(self, name: str, look: Look, ours: Look | None) -> bool:
        """Whether a file is to be fetched: it is not here, or only theirs changed; a journal also when both did."""
        before = self._synced.get(name)
        if ours is None:
            return True
        if before is None:
            return "/" not in name
        return before[0] != look and (before[1] == ours or "/" not in name)

    def _fetch(self, name: str) -> tuple[str, bool]:
        """Bring a file here; its name, and whether it is the same on both sides now."""
        place = self.folder / name
        with self.files.open_input_stream(f"{self.root}/{name}") as stream:
            theirs: bytes = stream.read()
        data = _joined(theirs, place.read_bytes()) if "/" not in name and place.exists() else theirs
        part = place.with_name(f".{place.name}.part")
        place.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(place)
        return name, data == theirs

    def _send(self, name: str) -> tuple[str, Look]:
        path = f"{self.root}/{name}"
        if self._is_folders():
            self.files.create_dir(str(PurePosixPath(path).parent), recursive=True)
        with self.files.open_output_stream(path) as stream:
            stream.write((self.folder / name).read_bytes())
        return name, self._info(name) or (0, 0)

    def _is_folders(self) -> bool:
        """Whether folders must be made: in object stores there are none."""
        return str(self.files.type_name) in ("local", "subtree", "mock")

    def _there(self) -> dict[str, Look]:
        from pyarrow import fs

        found: dict[str, Look] = {}
        with self._answering():
            for info in self.files.get_file_info(fs.FileSelector(self.root, recursive=True, allow_not_found=True)):
                name = info.path.removeprefix(f"{self.root}/")
                if info.type == fs.FileType.File and _is_below(name, PARTS) and _is_plain(name):
                    found[name] = info.size, info.mtime_ns or 0
        return found

    def _info(self, name: str) -> Look | None:
        from pyarrow import fs

        info = self.files.get_file_info(f"{self.root}/{name}")
        return None if info.type == fs.FileType.NotFound else (info.size, info.mtime_ns or 0)

    def _here(self, parts: Iterable[str] = PARTS) -> dict[str, Look]:
        return {path.relative_to(self.folder).as_posix(): _look(path) for path in _files_below(self.folder, parts)}

    def _prune(self, gone: Iterable[str]) -> None:
        """Remove the folders of videos that hold nothing any more."""
        for home in {(self.folder / name).parent for name in gone}:
            if home != self.folder and home.is_dir() and not any(home.iterdir()):
                home.rmdir()

    def _load(self) -> None:
        path = self.folder / _SYNCED
        if not path.exists():
            return
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            self._synced = {name: ((a, b), (c, d)) for name, (a, b, c, d) in rows.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise FormatError(f"{path}: cannot be read ({error}); delete it: files are compared anew then") from error

    def _save(self) -> None:
        path = self.folder / _SYNCED
        part = path.with_name(f".{path.name}.part")
        self.folder.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({name: [*a, *b] for name, (a, b) in self._synced.items()}), encoding="utf-8")
        part.replace(path)

    def _answering(self) -> _Answering:
        return _Answering(self.address)


@dataclass(frozen=True, slots=True)
class _Answering:
    """What a store says when it fails, as one line of ours."""

    address: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | ValueError):
            said = " ".join(str(error).split())[:300]
            raise LongshotError(f"{self.address}: the store did not do it ({said}); check it, and repeat") from error


def _file_system(address: str) -> tuple[Any, str]:
    from pyarrow import fs

    scheme, _, path = address.partition("://")
    if scheme not in SCHEMES or not path.strip("/"):
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise UsageError(f"{address[:200]!r} is no place for a library: use a folder, or an address with {known}")
    try:
        if scheme == "az":  # as LanceDB has it: the account is in the environment
            account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
            if not account:
                raise UsageError(f"{address}: set AZURE_STORAGE_ACCOUNT_NAME to say whose storage it is")
            return fs.AzureFileSystem(account, os.environ.get("AZURE_STORAGE_ACCOUNT_KEY")), path
        files, root = fs.FileSystem.from_uri(address)
        return files, str(root)
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        raise LongshotError(f"{address}: cannot be reached ({said}); check the address and who you are") from error


def _joined(theirs: bytes, ours: bytes) -> bytes:
    """Two journals as one: their lines, then those of ours that they lack. The last line of an id counts."""
    known = set(theirs.splitlines())
    return theirs + b"".join(line + b"\n" for line in ours.splitlines() if line not in known)


def _files_below(folder: Path, parts: Iterable[str]) -> Iterator[Path]:
    for part in parts:
        place = folder / part
        if place.is_file():
            yield place
        for home, _, names in os.walk(place):
            yield from (Path(home, name) for name in names if not name.startswith("."))


def _is_below(name: str, parts: Iterable[str]) -> bool:
    return any(name == part or name.startswith(f"{part}/") for part in parts)


def _is_plain(name: str) -> bool:
    """Whether a name can only mean a file inside of the working copy."""
    return not any(part in ("", ".", "..") or "\\" in part or part.startswith(".") for part in name.split("/"))


def _look(path: Path) -> Look:
    found = path.stat()
    return found.st_size, found.st_mtime_ns

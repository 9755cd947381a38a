"""A name -> the file or entry point that provides it. The only place that opens engine files.

A shelf is a folder of this package. Each file on it is one choice: its first docstring line is what
`longshot list` shows, `NEEDS` the packages that it imports (import names), `EXTRA` the install extra that
brings them, each on one line; `load(**options)` makes the thing. Another package adds a choice with an entry
point in the group `longshot.<shelf>` whose value is a module of the same form. Nothing is imported to list it.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from longshot.errors import LongshotError, MissingPackage, UsageError

# One line each, so that they can be found without parsing the file.
_CONSTANT = re.compile(r"^(NEEDS|EXTRA)(?:: [^=]+)? = (.+)$", re.MULTILINE)
_SUMMARY = re.compile(r'"""(.+?)(?:"""|$)', re.MULTILINE)

SHELVES = (
    "segmenters",
    "transcribers",
    "readers",
    "describers",
    "chat_models",
    "encoders",
    "finders",
    "judges",
    "benchmarks",
    "formats",
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing on a shelf.

    summary: its first docstring line. needs: import names of optional packages. extra: the extra that brings
    them. provider: "longshot", or the distribution of an entry point.
    """

    shelf: str
    name: str
    summary: str
    needs: tuple[str, ...]
    extra: str
    provider: str = "longshot"

    @property
    def missing(self) -> tuple[str, ...]:
        """The needed packages that are not installed here."""
        return tuple(package for package in self.needs if not _installed(package))

    @property
    def install(self) -> str:
        """The line that installs what is missing; empty when nothing is."""
        return f"pip install 'longshot[{self.extra}]'" if self.missing and self.extra else ""


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of checkpoint that a file on a shelf can load; one `[[family]]` in `<shelf>/<file>.toml`.

    engine: the shelf's file. id: a checkpoint of it on the hub. architectures: what `architectures[0]` of its
    config.json says. names: patterns for the last part of an id, where the architecture alone does not tell. files:
    names of files that mark such a folder. dimension: of its vectors, 0 where checkpoints differ or it has none.
    frames: how many, in words. licence: of the weights of `id`. checked: "published weights", "tiny weights" (random
    ones of the true layout, against an independent computation) or "not". note: what a user must know.
    """

    shelf: str
    engine: str
    name: str
    id: str
    architectures: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    dimension: int = 0
    frames: str = ""
    licence: str = ""
    checked: str = "not"
    note: str = ""


@functools.cache
def families(shelf: str) -> tuple[Family, ...]:
    """Every family of checkpoints that a shelf can load, by file and in the order of their tables."""
    return tuple(
        Family(shelf, path.stem, **{name: _as_field(value) for name, value in row.items()})
        for path in _files(shelf)
        if (table := path.with_suffix(".toml")).exists()
        for row in tomllib.loads(table.read_text(encoding="utf-8"))["family"]
    )


def _as_field(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the parent of a dotted name is absent
        return False


@functools.cache
def choices(shelf: str) -> dict[str, Choice]:
    """Everything on a shelf by name: our own files, then entry points of other packages.

    Raises UsageError for an unknown shelf and LongshotError when two providers claim one name.
    """
    found = {choice.name: choice for choice in map(_read_file, _files(shelf))}
    for point in entry_points(group=f"longshot.{shelf}"):
        if point.name in found:
            raise LongshotError(
                f"two packages provide the {shelf} name {point.name!r}: {found[point.name].provider} and "
                f"{_provider(point)}; uninstall one of them"
            )
        found[point.name] = Choice(shelf, point.name, f"from {point.value}", (), "", _provider(point))
    return found


def load(shelf: str, name: str, /, **options: Any) -> Any:
    """Import the file behind a name and call its `load` with `options`.

    Raises UsageError for an unknown name (naming the close ones) and MissingPackage when an optional package
    is absent.
    """
    return module(shelf, name).load(**options)


def module(shelf: str, name: str) -> ModuleType:
    """The module behind a name, imported now. Raises as `load` does."""
    known = choices(shelf)
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"no {shelf} called {name!r}: there are {', '.join(sorted(known))}{hint}")
    choice = known[name]
    if choice.missing:
        raise MissingPackage(choice.missing[0], choice.extra)
    if choice.provider != "longshot":
        (point,) = entry_points(group=f"longshot.{shelf}", name=name)
        return importlib.import_module(point.module)
    return importlib.import_module(f"longshot.{shelf}.{name}")


def _files(shelf: str) -> list[Path]:
    if shelf not in SHELVES:
        raise UsageError(f"no shelf called {shelf!r}: there are {', '.join(SHELVES)}")
    folder = Path(__file__).parent / shelf
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))


def _read_file(path: Path) -> Choice:
    """Read a shelf file's own account of itself without importing it (its engine may be heavy).

    A look for three lines, not a parse: `longshot list` reads every shelf each time.
    """
    text = path.read_text(encoding="utf-8")
    said = {name: ast.literal_eval(value) for name, value in _CONSTANT.findall(text)}
    summary = _SUMMARY.match(text)
    return Choice(
        path.parent.name,
        path.stem,
        summary.group(1).strip() if summary else "",
        said.get("NEEDS", ()),
        said.get("EXTRA", ""),
    )


def _provider(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "unknown"

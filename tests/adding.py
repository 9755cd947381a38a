"""A library in a test: tiny films, and `add` without processes of its own, which would cost a second each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from longshot.errors import LongshotError, MediaError
from longshot.journal import Journal, Result, State
from longshot.library import Library
from longshot.scaling import verbs
from longshot.scaling.local import Outcome
from longshot.searching.add import Added, add
from tests.videos import write_video

QUICK = {"speech": "none", "screen": "none"}


def write_films(folder: Path, count: int = 3, *, first: int = 0) -> list[Path]:
    """Films of four seconds and more, each with another content: "film0.mp4", …"""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"film{number}.mp4" for number in range(first, first + count)]
    for number, path in enumerate(paths, start=first):
        write_video(path, count=20 + number, fps=5, size=(64, 48))
    return paths


def added(names: Iterable[str | Path], library: Library, **more: Any) -> list[Added]:
    """Everything that `add` tells, in order."""
    return list(add(map(str, names), library, **{**QUICK, **more}))


def said(names: Iterable[str | Path], library: Library, **more: Any) -> list[tuple[str, str]]:
    """File name and what it was, of everything that `add` tells."""
    return [(Path(one.path).name, one.what) for one in added(names, library, **more)]


def run_here(
    work: Any,
    items: Iterable[str],
    *,
    identify: Any = str,
    journal: Journal | None = None,
    keep: Any = None,
    valid: Any = None,
    **others: Any,
) -> Iterator[Outcome[str]]:
    """What `scaling.local.run` does, in this process and one after the other."""
    for item in items:
        name = identify(item)
        known = journal.result(name) if journal else None
        if known and known.state is State.DONE and (valid is None or valid(item, known)):
            yield Outcome(item, known, again=True)
            continue
        try:
            made = work(item, lambda done, total: None)
            result = Result(State.DONE, keep(item, made) if keep else made)
        except MediaError as error:
            result = Result(State.UNREADABLE, None, str(error))
        except LongshotError as error:
            if isinstance(error.__cause__, OSError):
                raise
            result = Result(State.FAILED, None, str(error))
        if journal:
            journal.record(name, result)
        yield Outcome(item, result)


@pytest.fixture
def without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process."""
    monkeypatch.setattr(verbs, "run", run_here)

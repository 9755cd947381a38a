"""SIGKILL at any moment of `add`, then the same command again: the library is that of a run that nobody disturbed."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longshot.journal import State, read_journal
from longshot.library import Library
from longshot.scaling import verbs
from longshot.searching.fill import Fill
from longshot.searching.verify import verify
from longshot.tables import Entry, Index
from longshot.vectors import read_vectors
from tests.adding import added, run_here, write_films

# "begun" stands where `add` begins: what is imported before is nobody's work.
RUN = """
import json, sys
import longshot.tables
from longshot.library import Library
from longshot.searching.add import add
from longshot.searching.fill import Fill
fill = Fill(sys.argv[1])
print("begun", flush=True)
for one in add([sys.argv[2]], Library(sys.argv[1]), speech="sidecar", screen="none", workers=2, fill=fill):
    print(json.dumps([one.path, one.state, one.what, len(one.tracks), one.reason]), flush=True)
"""
SAID = (
    "1\n00:00:00,200 --> 00:00:01,500\nThe {} telescope is shown.\n\n2\n00:00:02,000 --> 00:00:03,000\nAny questions?\n"
)


@dataclass
class Scene:
    """What is added: a folder of films, and the library as it was before; and what a run without a kill makes of it."""

    films: Path
    before: Path | None
    undisturbed: Path


def run(library: Path, films: Path, *, kill: tuple[int, float] | None = None) -> list[list[Any]]:
    """Run `add` in a process of its own; what it told.

    kill: after so many lines of it, and so many seconds more.
    """
    command = [sys.executable, "-c", RUN, str(library), str(films)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.readline() == "begun\n", running.stderr.read()
        told = []
        if kill is not None:
            told = [running.stdout.readline() for _ in range(kill[0])]
            time.sleep(kill[1])
            running.kill()
        told += running.stdout.readlines()
        trouble = running.stderr.read()
    assert kill is not None or running.returncode == 0, trouble
    # The last line may be cut off by the kill.
    return [json.loads(line) for line in told if line.endswith("]\n")]


def run_in_process(library: Path, films: Path) -> list[list[Any]]:
    """The same without a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs, "run", run_here)
        return [
            [one.path, one.state, one.what, len(one.tracks), one.reason]
            for one in added([films], Library(library), speech="sidecar", fill=Fill(library))
        ]


def subtitled(films: list[Path]) -> None:
    for number, path in enumerate(films):
        path.with_suffix(".srt").write_text(SAID.format(["first", "second", "third", "fourth", "fifth"][number % 5]))


@pytest.fixture(scope="module", params=["first", "again"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A first run on four films; or a second one, after which one is moved, one changed, one gone and one new."""
    home = tmp_path_factory.mktemp(request.param)
    films = write_films(home / "films", 4)
    subtitled(films)
    before = None
    if request.param == "again":
        before = home / "before"
        run_in_process(before, films[0].parent)
        (fresh, other) = write_films(home / "more", 2, first=7)
        subtitled([fresh, other])
        (home / "films" / "deep").mkdir()
        for ending in (".mp4", ".srt"):
            name = films[0].with_suffix(ending).name
            films[0].with_suffix(ending).rename(home / "films" / "deep" / name)
            fresh.with_suffix(ending).rename(home / "films" / f"new{ending}")
            films[2].with_suffix(ending).unlink()
        other.replace(films[1])
    undisturbed = home / "undisturbed"
    if before:
        shutil.copytree(before, undisturbed)
    run_in_process(undisturbed, films[0].parent)
    return Scene(films[0].parent, before, undisturbed)


def files_of(library: Path) -> dict[str, bytes]:
    """Every file that is the truth, with its bytes: tracks and records."""
    root = library / "tracks"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def scores_of(entries: list[Entry]) -> dict[tuple[str, str], float]:
    """What was found, whatever the order of equals, with its score."""
    return {(entry.video, entry.id): round(entry.score, 4) for entry in entries}


def assert_same(library: Path, wanted: Path) -> None:
    """One library holds what the other does: every byte of the tracks, every row of the index, every answer."""
    assert files_of(library) == files_of(wanted)
    assert read_journal(library / "journal.jsonl") == read_journal(wanted / "journal.jsonl")
    assert sorted(path.name for path in library.glob("vectors/*")) == sorted(
        path.name for path in wanted.glob("vectors/*")
    )
    ours, theirs = Index.open(library), Index.open(wanted)
    assert ours.columns == theirs.columns
    assert ours.videos() == theirs.videos()
    for video in theirs.videos():
        assert ours.entries(video) == theirs.entries(video)
    for query in ("telescope", "any question", "fourth", "still picture", "nowhere"):
        assert [(hit.id, hit.video) for hit in ours.words(query)] == [
            (hit.id, hit.video) for hit in theirs.words(query)
        ]
        assert [hit.score for hit in ours.words(query)] == pytest.approx([hit.score for hit in theirs.words(query)])
    for column in theirs.columns:
        row = np.full(384, 384**-0.5, np.float32)
        assert scores_of(ours.near(column, row)) == scores_of(theirs.near(column, row))
    for path in wanted.glob("vectors/*.parquet"):
        made, meant = read_vectors(library / "vectors" / path.name), read_vectors(path)
        # Sums of floats may end in other digits from one process to the next.
        assert np.allclose(made.rows, meant.rows, atol=1e-6)
        assert replace(made, rows=meant.rows) == meant
    assert [str(finding) for finding in verify(Library(library)) if finding.what != "file"] == []


def check_kills(scene: Scene, library: Path, kills: Sequence[tuple[int, float]], rerun: Any) -> None:
    """Kill a run at some moment, and the one after it, then let one go to its end."""
    if scene.before:
        shutil.copytree(scene.before, library)
    for kill in kills:
        run(library, scene.films, kill=kill)
    journal = library / "journal.jsonl"
    results = read_journal(journal) if journal.exists() else {}
    finished = {result.value["path"] for result in results.values() if result.state is State.DONE}
    for path, state, what, tracks, reason in rerun(library, scene.films):
        assert state == "done" or what == "missing", reason
        if path in finished and scene.before is None:
            assert tracks == 0, f"{path} was finished, and was told again"
    assert_same(library, scene.undisturbed)


@pytest.mark.parametrize("number", range(2))
def test_a_run_that_is_killed_ends_as_if_it_was_not(scene: Scene, number: int, tmp_path: Path) -> None:
    moments = random.Random(f"{scene.films} {number}")
    check_kills(scene, tmp_path / "library", [(moments.randint(0, 2), moments.uniform(0.0, 0.2))], run_in_process)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(25))
def test_killed_at_any_moment(scene: Scene, number: int, tmp_path: Path) -> None:
    """25 moments each of a first run and of a second one, all over it; every fifth one is killed twice."""
    moments = random.Random(number)
    kills = [(number % 5, moments.uniform(0.0, 1.0) if number < 10 else moments.uniform(0.0, 0.1))]
    if number % 5 == 4:
        kills.append((0, moments.uniform(0.0, 1.0)))
    check_kills(scene, tmp_path / "library", kills, run)

"""Tracks of a library come into its index: new, edited, torn and gone ones, after kills too."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from longshot.errors import Busy, FormatError
from longshot.journal import Journal
from longshot.library import Library, VideoRecord
from longshot.scaling.verbs import JOURNAL
from longshot.searching.index import digest_of, index, index_video, rebuild
from longshot.tables import Index, IndexDamaged, NoIndex, _column_name
from longshot.timeline import Caption, Source, Span, Track


class Fill:
    """Vectors of two numbers, and looks, that say how long a text is."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def columns(self, index: Index) -> dict[str, str]:
        return {"text": index.add_column(Source("embed", "length"), "text", 2)}

    def vectors(
        self, library: Library, record: VideoRecord, tracks: tuple[Track, ...]
    ) -> dict[str, dict[str, NDArray[np.float32]]]:
        self.asked.append(record.id)
        column = _column_name(Source("embed", "length"), "text")
        return {column: {track.id_of(i): row(c.text) for track in tracks for i, c in enumerate(track.captions)}}

    def looks(self, library: Library, record: VideoRecord) -> tuple[list[float], NDArray[np.float32]]:
        return [0.0], np.array([[1.0, 0.0]], np.float32)


def row(text: str) -> NDArray[np.float32]:
    angle = min(len(text), 90) * np.pi / 180
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def save(library: Library, video: str, *texts: str, level: str = "speech") -> Path:
    captions = tuple(Caption(Span(i, i + 1), text) for i, text in enumerate(texts))
    library.save_video(VideoRecord(video, f"{video}.mp4", f"/films/{video}.mp4", 9.0))
    return library.save(Track(video, level, Source("transcribe", "fake"), captions, f"{video}.mp4", 9.0))


def found(library: Library, query: str = "telescope") -> list[tuple[str, str]]:
    return [(entry.video, entry.text) for entry in Index.open(library.folder).words(query)]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    made = Library(tmp_path)
    save(made, "aa", "a red telescope", "something else")
    save(made, "bb", "a blue dog")
    save(made, "bb", "the dog and the telescope", level="clip")
    return made


def test_the_first_time_everything_comes_in_and_later_what_changed(library: Library) -> None:
    done = index(library)
    assert (done.videos, done.rows, done.problems) == (2, 4, ())
    assert sorted(found(library)) == [("aa", "a red telescope"), ("bb", "the dog and the telescope")]
    assert index(library).videos == 0
    save(library, "aa", "no more of it")
    save(library, "cc", "one more telescope")
    steps: list[tuple[float, float]] = []
    assert index(library, progress=lambda done, total: steps.append((done, total))).videos == 2
    assert steps[-1] == (3, 3)
    assert sorted(found(library)) == [("bb", "the dog and the telescope"), ("cc", "one more telescope")]


def test_what_is_gone_leaves(library: Library) -> None:
    index(library)
    for path in (library.folder / "tracks" / "aa").iterdir():
        path.unlink()
    (library.folder / "tracks" / "aa").rmdir()
    assert index(library).videos == 0
    assert list(Index.open(library.folder).videos()) == ["bb"]
    assert found(library) == [("bb", "the dog and the telescope")]


def test_a_moved_video_has_its_new_name(library: Library) -> None:
    index(library)
    library.save_video(VideoRecord("aa", "other.mp4", "/films/other.mp4", 9.0))
    assert index(library).videos == 1
    known = Index.open(library.folder).videos()["aa"]
    assert (known.name, known.path) == ("other.mp4", "/films/other.mp4")


def test_a_torn_track_is_told_by_line_and_the_others_go_on(library: Library) -> None:
    index(library)
    path = save(library, "aa", "a new telescope", "torn")
    path.write_text(path.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    save(library, "cc", "one more telescope")
    for again in (False, True):
        done = index(library, rebuild=again)
        (problem,) = done.problems
        assert "line 3" in problem
        assert str(path) in problem
        assert ("aa", "a red telescope") in found(library) or again
        assert ("cc", "one more telescope") in found(library)
    with pytest.raises(FormatError, match="line 3"):
        index_video(library, Index.open(library.folder), "aa")


def test_the_digest_is_of_every_track(library: Library) -> None:
    before = digest_of(library, "bb")
    assert before == digest_of(library, "bb") != digest_of(library, "aa")
    save(library, "bb", "a blue dog", level="screen")
    assert digest_of(library, "bb") != before
    assert digest_of(library, "never") == digest_of(library, "none")


def test_vectors_are_filled_in_when_they_can_be_had(library: Library) -> None:
    assert index(library).videos == 2
    fill = Fill()
    assert index(library, fill=fill).videos == 2  # type: ignore[arg-type]
    assert index(library, fill=fill).videos == 0  # type: ignore[arg-type]
    assert fill.asked == ["aa", "bb"]
    opened = Index.open(library.folder)
    (column,) = opened.columns
    best = opened.near(column, row("a blue dog"), limit=1)[0]
    assert (best.text, round(best.score, 5)) == ("a blue dog", 1.0)
    assert {video for video, *_ in opened.near_looks(np.array([1, 0], np.float32))} == {"aa", "bb"}
    assert opened.videos()["aa"].columns == (column, "looks")


def test_rebuilding_mends_a_damaged_index(library: Library) -> None:
    index(library)
    for path in (library.folder / "index").rglob("*.manifest"):
        path.write_bytes(b"torn")
    with pytest.raises(IndexDamaged, match="--rebuild"):
        index(library)
    assert rebuild(library).rows == 4
    assert len(found(library)) == 2


def test_two_at_once_are_refused(library: Library) -> None:
    with Journal(library.folder / JOURNAL), pytest.raises(Busy):
        index(library)


def test_an_empty_library_has_an_empty_index(tmp_path: Path) -> None:
    assert index(Library(tmp_path)).videos == 0
    assert found(Library(tmp_path)) == []


KILLED = """
import sys
from longshot.library import Library
from longshot.searching.index import index
print("go", flush=True)
index(Library(sys.argv[1]), rebuild=sys.argv[2] == "rebuild")
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["rebuild", "update"])
def test_a_kill_at_any_moment_leaves_what_the_next_run_completes(tmp_path: Path, how: str) -> None:
    library = Library(tmp_path)
    for number in range(150):
        save(library, f"v{number:03d}", *(f"line {i} of telescope {number}" for i in range(40)))
    whole = index(library).rows
    for delay in np.linspace(0.0, 1.2, 8):
        for number in range(0, 150, 2):
            save(library, f"v{number:03d}", *(f"line {i} of telescope {delay:.3f}" for i in range(40)))
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), how], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(delay))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        try:
            half = Index.open(tmp_path)
            assert len(half.words("telescope", limit=10_000)) <= whole
        except NoIndex:  # in the moment between two names
            assert how == "rebuild"
        index(library)
        opened = Index.open(tmp_path)
        assert {known.rows for known in opened.videos().values()} == {40}
        entries = [entry for number in range(150) for entry in opened.entries(f"v{number:03d}")]
        expected = [caption.text for record in library.videos() for caption in library.tracks(record.id)[0]]
        assert [entry.text for entry in entries] == expected
        assert len(opened.words("telescope", limit=10_000)) == whole


def test_shots_that_nobody_described_are_not_found_by_their_number(library: Library) -> None:
    save(library, "aa", "Shot 1", "A red shot of 2", "Shot 3", level="shot")
    save(library, "bb", "Shot 1", level="screen")  # this one stands in the picture
    index(library)
    assert sorted(found(library, "shot")) == [("aa", "A red shot of 2"), ("bb", "Shot 1")]
    assert [entry.text for entry in Index.open(library.folder).entries("aa", ["shot"])] == ["", "A red shot of 2", ""]

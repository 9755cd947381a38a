"""A library is added to: known by content, done once, never in doubt after a kill, a full disk or a second `add`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longshot.errors import Busy, LongshotError, UsageError
from longshot.journal import Journal, State, read_journal
from longshot.library import Library
from longshot.scaling.verbs import Verb, each
from longshot.searching import add as adding_module
from longshot.searching.add import Added, add
from longshot.searching.fill import Fill
from longshot.searching.index import index
from longshot.tables import Index, IndexDamaged
from tests.adding import QUICK, added, said, without_workers, write_films  # noqa: F401
from tests.videos import write_video

in_process = pytest.mark.usefixtures("without_workers")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_films(tmp_path_factory.mktemp("films"), 4)


@pytest.fixture
def films(drawn: list[Path], tmp_path: Path) -> Path:
    """A folder with film0.mp4 and film1.mp4, free to be changed."""
    folder = tmp_path / "films"
    folder.mkdir()
    for path in drawn[:2]:
        shutil.copy(path, folder)
    return folder


def rows_of(library: Library) -> dict[str, int]:
    """File name and rows of each video in the index, with its rows counted."""
    index = Index.open(library.folder)
    known = index.videos()
    for one in known.values():
        assert len(index.entries(one.video)) == one.rows
    return {one.name: one.rows for one in known.values()}


@in_process
def test_new_videos_are_told_and_indexed_and_then_passed_over(
    films: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = added([films], library)
    assert [(Path(one.path).name, one.state, one.what) for one in first] == [
        ("film0.mp4", State.DONE, "new"),
        ("film1.mp4", State.DONE, "new"),
    ]
    for one in first:
        assert one.record and one.record.path == str(films / one.record.name)
        assert [track.level for track in one.tracks] == ["video", "segment", "clip", "shot"]
        assert 0 < one.rows <= sum(map(len, one.tracks))
    assert rows_of(library) == {"film0.mp4": first[0].rows, "film1.mp4": first[1].rows}
    monkeypatch.setattr(adding_module, "content_of", lambda path: pytest.fail(f"{path} was read again"))
    second = added([films], library)
    assert [(one.what, one.rows, one.tracks) for one in second] == [("again", one.rows, ()) for one in first]
    assert [one.record for one in second] == [one.record for one in first]


@in_process
def test_a_touched_file_is_read_once_more(films: Path, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    added([films], library)
    os.utime(films / "film0.mp4", ns=(1, 1))
    assert said([films], library) == [("film0.mp4", "again"), ("film1.mp4", "again")]
    monkeypatch.setattr(adding_module, "content_of", lambda path: pytest.fail(f"{path} was read again"))
    assert said([films], library) == [("film0.mp4", "again"), ("film1.mp4", "again")]


@in_process
def test_a_moved_file_is_found_again(films: Path, library: Library) -> None:
    (before, _) = added([films], library)
    (films / "deep").mkdir()
    (films / "film0.mp4").rename(films / "deep" / "renamed.mp4")
    assert before.record is not None
    moved = {one.what: one for one in added([films], library)}
    assert set(moved) == {"again", "moved"}
    record = library.video(before.record.id)
    assert record.path == str(films / "deep" / "renamed.mp4")
    assert [file.path for file in record.files] == [record.path]
    assert set(rows_of(library)) == {"renamed.mp4", "film1.mp4"}
    assert Index.open(library.folder).videos()[record.id].path == record.path
    assert library.one("renamed.mp4") == record
    assert len(read_journal(library.folder / "journal.jsonl")) == 2


@in_process
def test_two_files_of_one_content_are_one_video(films: Path, library: Library) -> None:
    shutil.copy(films / "film0.mp4", films / "twin.mp4")
    assert said([films], library) == [("film0.mp4", "new"), ("film1.mp4", "new"), ("twin.mp4", "copy")]
    video = library.one("film0.mp4")
    assert [Path(file.path).name for file in video.files] == ["film0.mp4", "twin.mp4"]
    assert library.one(str(films / "twin.mp4")) == video
    assert said([films], library) == [("film0.mp4", "again"), ("film1.mp4", "again"), ("twin.mp4", "again")]
    (films / "film0.mp4").unlink()
    assert said([films], library) == [("film1.mp4", "again"), ("twin.mp4", "again")]
    assert library.video(video.id).path == str(films / "twin.mp4")
    assert set(rows_of(library)) == {"film1.mp4", "twin.mp4"}


@in_process
def test_a_changed_file_is_another_video(films: Path, library: Library, drawn: list[Path]) -> None:
    added([films], library)
    old = library.one("film0.mp4")
    shutil.copy(drawn[3], films / "film0.mp4")
    (changed, _) = added([films], library)
    assert changed.what == "changed"
    assert changed.replaced == old.id
    assert changed.record and changed.record.id != old.id
    assert library.video(old.id).state == "replaced"
    assert library.video(old.id).by == changed.record.id
    assert library.tracks(old.id)
    assert set(Index.open(library.folder).videos()) == {changed.record.id, library.one("film1.mp4").id}
    assert library.one("film0.mp4").id == changed.record.id

    shutil.copy(drawn[0], films / "film0.mp4")
    (back, _) = added([films], library)
    assert (back.what, back.replaced, back.tracks) == ("changed", changed.record.id, ())
    assert library.video(old.id).state == "here"
    assert set(rows_of(library)) == {"film0.mp4", "film1.mp4"}


@in_process
def test_a_copy_that_changes_leaves_the_other(films: Path, library: Library, drawn: list[Path]) -> None:
    shutil.copy(films / "film0.mp4", films / "twin.mp4")
    added([films], library)
    shutil.copy(drawn[3], films / "film0.mp4")
    (changed, _, _) = added([films], library)
    assert (changed.what, changed.replaced) == ("changed", "")
    assert {Path(video.path).name: video.state for video in library.videos()} == dict.fromkeys(
        ["film0.mp4", "film1.mp4", "twin.mp4"], "here"
    )
    assert set(rows_of(library)) == {"film0.mp4", "film1.mp4", "twin.mp4"}


@in_process
@pytest.mark.parametrize("name", ["{}", "{}/film*.mp4", "{}/film0.mp4"])
def test_a_file_that_is_gone_is_marked_and_comes_back(name: str, films: Path, library: Library) -> None:
    added([films], library)
    rows = rows_of(library)
    (films / "film0.mp4").rename(films.parent / "away.mp4")
    gone = [one for one in added([name.format(films)], library) if one.what == "missing"]
    assert [Path(one.path).name for one in gone] == ["film0.mp4"]
    assert gone[0].rows == rows["film0.mp4"]
    assert "can still be searched" in gone[0].reason
    assert library.one("film0.mp4").state == "missing"
    assert rows_of(library) == rows
    assert "missing" not in [what for _, what in said([films], library)], "it is said once"
    (films.parent / "away.mp4").rename(films / "film0.mp4")
    assert said([films], library) == [("film0.mp4", "returned"), ("film1.mp4", "again")]
    assert library.one("film0.mp4").state == "here"


@in_process
def test_what_lies_elsewhere_is_not_looked_at(films: Path, library: Library, drawn: list[Path]) -> None:
    added([films, drawn[2]], library)
    (films / "film0.mp4").unlink()
    assert said([drawn[2]], library) == [("film2.mp4", "again")]
    assert library.one("film0.mp4").state == "here"


@in_process
def test_what_cannot_be_read_does_not_stop_the_rest(films: Path, library: Library) -> None:
    (films / "film00.mp4").write_bytes(b"\0\0\0\x20ftypisom" + b"no film" * 40)
    ends = added([films, "gone.mp4", films / "x*.mp4"], library)
    assert [(Path(one.path).name, one.state.value) for one in ends] == [
        ("", "unreadable"),
        ("film0.mp4", "done"),
        ("film00.mp4", "unreadable"),
        ("film1.mp4", "done"),
        ("gone.mp4", "unreadable"),
    ]
    assert ends[0].reason.endswith("x*.mp4: no file matches")
    assert ends[-1].reason.endswith("gone.mp4: there is no such file")
    assert all("\n" not in one.reason for one in ends)
    assert set(rows_of(library)) == {"film0.mp4", "film1.mp4"}


@in_process
def test_a_file_that_was_spoilt_keeps_what_was_told_of_it(films: Path, library: Library, drawn: list[Path]) -> None:
    added([films], library)
    (films / "film0.mp4").write_bytes(b"\0\0\0\x20ftypisom half a copy")
    (spoilt, _) = added([films], library)
    assert (spoilt.state, spoilt.what) == (State.UNREADABLE, "changed")
    assert library.one("film0.mp4").state == "missing"
    assert set(rows_of(library)) == {"film0.mp4", "film1.mp4"}
    shutil.copy(drawn[0], films / "film0.mp4")
    assert said([films], library) == [("film0.mp4", "returned"), ("film1.mp4", "again")]


@in_process
def test_an_index_that_was_deleted_is_made_for_all(films: Path, library: Library, drawn: list[Path]) -> None:
    added([films], library)
    rows = rows_of(library)
    shutil.rmtree(library.folder / "index")
    added([drawn[2]], library)
    assert {name: count for name, count in rows_of(library).items() if name != "film2.mp4"} == rows


@in_process
def test_the_index_forgets_what_is_gone_from_the_library(films: Path, library: Library) -> None:
    added([films], library)
    shutil.rmtree(library.path_of(library.one("film0.mp4").id, "clip").parent)
    assert said([films / "film1.mp4"], library) == [("film1.mp4", "again")]
    assert set(rows_of(library)) == {"film1.mp4"}


@in_process
def test_a_track_edited_by_hand_is_the_truth(films: Path, library: Library) -> None:
    added([films], library)
    clips = library.path_of(library.one("film0.mp4").id, "clip")
    lines = clips.read_text(encoding="utf-8").splitlines()
    row = json.loads(lines[1])
    lines[1] = json.dumps({**row, "text": "A zebra plays the ukulele."})
    clips.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert said([films], library) == [("film0.mp4", "again"), ("film1.mp4", "again")]
    assert "zebra" in clips.read_text(encoding="utf-8")
    (found,) = Index.open(library.folder).words("ukulele")
    assert found.text == "A zebra plays the ukulele."


@in_process
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda lines: [lines[0], "{nonsense", *lines[2:]], "line 2: no JSON object"),
        (lambda lines: [lines[0], lines[1][: len(lines[1]) // 2], *lines[2:]], "line 2: no JSON object"),
        (lambda lines: ["hello", *lines[1:]], "line 1: no JSON object"),
        (lambda lines: ["1", "00:00:01,000 --> 00:00:02,000", "subtitles"], "line 1: no JSON object"),
        (lambda lines: [lines[0].replace('"longshot"', '"shortlong"'), *lines[1:]], "line 1: "),
        (lambda lines: lines[:-1], "the file lost its end"),
        (lambda lines: [], "empty"),
        (lambda lines: [lines[0], '{"start": 3, "end": 1, "text": "x"}', *lines[2:]], "line 2: "),
    ],
)
def test_a_track_edited_into_nonsense_is_named(
    spoil: Callable[[list[str]], list[str]], reason: str, films: Path, library: Library
) -> None:
    added([films], library)
    rows = rows_of(library)
    clips = library.path_of(library.one("film0.mp4").id, "clip")
    clips.write_text("".join(line + "\n" for line in spoil(clips.read_text().splitlines())))
    torn, fine = added([films], library)
    assert torn.state is State.UNREADABLE
    assert torn.reason.startswith(f"{clips}: ")
    assert reason in torn.reason
    assert "\n" not in torn.reason
    assert (fine.state, fine.what) == (State.DONE, "again")
    assert rows_of(library) == rows, "what was indexed before can still be found"
    clips.unlink()
    assert said([films], library) == [("film0.mp4", "redone"), ("film1.mp4", "again")]


@in_process
@pytest.mark.parametrize("text", ["", "{", '{"longshot":1,"id":"x","state":"elsewhere"}', None])
def test_a_torn_record_is_made_again(text: str | None, films: Path, library: Library) -> None:
    added([films], library)
    before = library.one("film0.mp4")
    path = library.path_of(before.id, "clip").with_name("video.json")
    path.unlink() if text is None else path.write_text(text)
    ends = added([films], library)
    assert [(one.state, one.tracks) for one in ends] == [(State.DONE, ()), (State.DONE, ())]
    assert library.video(before.id) == before


@in_process
def test_other_settings_tell_anew_and_the_same_ones_do_not(films: Path, library: Library) -> None:
    (first, _) = added([films], library)
    assert said([films], library, segment_seconds=2.0) == [("film0.mp4", "redone"), ("film1.mp4", "redone")]
    assert said([films], library, segment_seconds=2.0) == [("film0.mp4", "again"), ("film1.mp4", "again")]
    assert first.record and library.video(first.record.id) == first.record


@in_process
def test_what_recap_wrote_is_not_told_again(films: Path, library: Library) -> None:
    options = {"describer": "observer", "segmenter": "shots", "language": None, "segment_seconds": None, **QUICK}
    list(each(Verb("recap", options), [str(films / "film0.mp4")], out=library.folder))
    assert said([films], library) == [("film0.mp4", "again"), ("film1.mp4", "new")]
    assert set(rows_of(library)) == {"film0.mp4", "film1.mp4"}


@in_process
def test_a_library_among_the_videos_is_not_added_to_itself(films: Path) -> None:
    library = Library(films / "library")
    (films / "library" / "clips").mkdir(parents=True)
    (films / "library" / "uploads").mkdir(parents=True)
    shutil.copy(films / "film0.mp4", films / "library" / "clips" / "cut.mp4")
    write_video(films / "library" / "uploads" / "sent.mp4", count=11, fps=5, size=(64, 48))
    assert [name for name, _ in said([films], library)] == ["film0.mp4", "film1.mp4", "sent.mp4"]


@in_process
def test_leaving_early_leaves_an_index_that_can_be_searched(films: Path, library: Library) -> None:
    results = add([str(films)], library, **QUICK)
    assert next(iter(results)).what == "new"
    results.close()  # type: ignore[attr-defined]
    assert set(rows_of(library)) == {"film0.mp4"}
    with Journal(library.folder / "journal.jsonl"):
        pass
    assert said([films], library) == [("film0.mp4", "again"), ("film1.mp4", "new")]


# --- places that do not take it


def holding(library: Path) -> subprocess.Popen[str]:
    """A process that holds a library, and says so."""
    code = (
        "import sys; from longshot.journal import Journal\n"
        f"with Journal({str(library / 'journal.jsonl')!r}):\n    print('held', flush=True); sys.stdin.read()"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_adds_at_once_are_refused_in_one_line(films: Path, library: Library) -> None:
    holder = holding(library.folder)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=f"is being written by process {holder.pid}") as refused:
            added([films], library)
        assert "\n" not in str(refused.value)
        assert sorted(path.name for path in library.folder.iterdir()) == ["journal.jsonl", "journal.jsonl.lock"]
    finally:
        holder.communicate()


@in_process
def test_a_library_in_a_place_that_cannot_be(films: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written") as refused:
        added([films], Library(tmp_path / "file" / "library"))
    assert "\n" not in str(refused.value)


@in_process
def test_a_damaged_index_is_named_before_any_work(films: Path, library: Library) -> None:
    added([films / "film0.mp4"], library)
    for path in (library.folder / "index" / "videos.lance" / "_versions").iterdir():
        path.write_bytes(b"")
    before = {path: path.read_bytes() for path in (library.folder / "tracks").rglob("*") if path.is_file()}
    with pytest.raises(IndexDamaged, match="longshot index --rebuild") as refused:
        added([films], library)
    assert "\n" not in str(refused.value)
    assert {path: path.read_bytes() for path in before} == before
    index(library, rebuild=True)
    assert said([films], library) == [("film0.mp4", "again"), ("film1.mp4", "new")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "longshot-test", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@in_process
def test_a_read_only_library_says_so_and_can_be_searched(films: Path, small_disk: Path) -> None:
    library = Library(small_disk / "library")
    added([films], library)
    rows = rows_of(library)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(UsageError, match=r"cannot be written \(Read-only file system\)") as refused:
        added([films], library)
    assert "\n" not in str(refused.value)
    assert rows_of(library) == rows
    assert Index.open(library.folder).words("film0") is not None


@in_process
@pytest.mark.parametrize("room", [0, 2000, 8000, 20_000, 60_000])
def test_a_full_disk_loses_nothing(room: int, films: Path, small_disk: Path) -> None:
    library = Library(small_disk / "library")
    added([films / "film0.mp4"], library)
    rows = rows_of(library)
    ballast = small_disk / "ballast"
    free = shutil.disk_usage(small_disk).free
    ballast.write_bytes(b"\0" * (free - room))
    try:
        added([films], library)
    except LongshotError as error:
        assert "\n" not in str(error)
    assert rows_of(library)["film0.mp4"] == rows["film0.mp4"]
    ballast.unlink()
    assert [name for name, _ in said([films], library)] == ["film0.mp4", "film1.mp4"]
    assert set(rows_of(library)) == {"film0.mp4", "film1.mp4"}
    assert not list(library.folder.glob("**/*.part"))


# --- as a user runs it: in processes


def test_in_processes_and_stopped_by_ctrl_c(films: Path, library: Library, drawn: list[Path]) -> None:
    code = (
        "import sys; from longshot.library import Library; from longshot.searching.add import add\n"
        "for one in add(sys.argv[2:], Library(sys.argv[1]), speech='none', screen='none', workers=1):\n"
        "    print(one.path, one.what, flush=True)"
    )
    command = [sys.executable, "-c", code, str(library.folder), str(films), str(drawn[2])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline().endswith("film0.mp4 new\n")
        running.send_signal(signal.SIGINT)
        started = time.monotonic()
        running.wait(20)
        assert time.monotonic() - started < 10
    assert "film0.mp4" in rows_of(library)
    ends: list[Added] = added([films, drawn[2]], library)
    assert (ends[0].what, ends[0].tracks) == ("again", ())
    assert set(rows_of(library)) == {"film0.mp4", "film1.mp4", "film2.mp4"}


@pytest.mark.usefixtures("without_workers")
def test_a_folder_that_is_gone_takes_its_videos_along(tmp_path: Path) -> None:
    films, library = write_films(tmp_path / "films", 2), Library(tmp_path / "library")
    other = write_films(tmp_path / "films more", 1, first=7)
    assert said([*films, *other], library) == [("film0.mp4", "new"), ("film1.mp4", "new"), ("film7.mp4", "new")]
    shutil.rmtree(tmp_path / "films")
    gone = added([tmp_path / "films"], library)
    assert [one.what for one in gone if one.record] == ["missing", "missing"]
    assert sorted(record.state for record in library.videos()) == ["here", "missing", "missing"]


@pytest.mark.usefixtures("without_workers")
def test_a_name_that_is_no_text_can_be_added(tmp_path: Path) -> None:
    (film,) = write_films(tmp_path, 1)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.mp4"))
    film.rename(odd)
    library = Library(tmp_path / "library")
    fill = Fill(library.folder, text="none")
    assert said([odd], library, fill=fill) == [(odd.name, "new")]
    assert said([odd], library, fill=fill) == [(odd.name, "again")]
    assert index(library, fill=fill).videos == 0
    (known,) = Index.open(library.folder).videos().values()
    assert known.name == "b?.mp4"
    assert library.one(str(odd)).path == str(odd)

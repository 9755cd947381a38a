"""A library is opened, asked for its videos, counted, checked and cleared; records survive hands that edit them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from longshot.errors import Busy, FormatError, UsageError
from longshot.journal import Journal
from longshot.library import Library, Sighting, VideoRecord
from longshot.searching.info import Info, VideoInfo, info
from longshot.searching.remove import remove
from longshot.searching.search import search
from longshot.searching.verify import Finding, verify
from longshot.tables import Index
from longshot.timeline import Caption, Source, Span, Track
from longshot.vectors import Vectors, write_vectors
from tests.adding import added, said, without_workers, write_films  # noqa: F401


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Library]:
    """Two films, and the library to which they were added."""
    from longshot.scaling import verbs
    from tests.adding import run_here

    home = tmp_path_factory.mktemp("upkeep")
    films, library = write_films(home / "films", 2), Library(home / "library")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs, "run", run_here)
        added(films, library)
    return home, library


@pytest.fixture
def library(drawn: tuple[Path, Library], tmp_path: Path) -> Library:
    """A library of film0.mp4 and film1.mp4, free to be spoilt; its videos lie in `films` beside it."""
    shutil.copytree(drawn[1].folder, tmp_path / "library")
    shutil.copytree(drawn[0] / "films", tmp_path / "films")
    library = Library(tmp_path / "library")
    for record in library.videos():
        path = str(tmp_path / "films" / record.name)
        seen = Sighting.of(path)
        assert seen is not None
        library.save_video(replace(record, path=path, files=(seen,)))
    added([tmp_path / "films"], library)
    return library


@pytest.fixture
def known(library: Library) -> VideoRecord:
    """The record of film0.mp4."""
    return library.one("film0.mp4")


# --- opening


def test_a_library_is_where_it_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("asked", "variable", "data/longshot/library"):
        (tmp_path / name / "tracks").mkdir(parents=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("LONGSHOT_LIBRARY", raising=False)
    assert Library.open().folder == tmp_path / "data" / "longshot" / "library"
    monkeypatch.setenv("LONGSHOT_LIBRARY", str(tmp_path / "variable"))
    assert Library.open().folder == tmp_path / "variable"
    assert Library.open(tmp_path / "asked").folder == tmp_path / "asked"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.delenv("LONGSHOT_LIBRARY")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Library.open(create=True).folder == tmp_path / ".local" / "share" / "longshot" / "library"
    assert Library.open("~/asked").folder == tmp_path / "asked"


def test_a_place_without_a_library_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no library at .*none: make it with `longshot add") as refused:
        Library.open(tmp_path / "none")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "none").exists()
    assert Library.open(tmp_path / "none", create=True).ids() == []
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file, and a library is a folder"):
        Library.open(tmp_path / "file", create=True)


# --- what people call a video


def test_a_video_is_found_by_what_people_call_it(library: Library, known: VideoRecord) -> None:
    films = library.folder.parent / "films"
    for name in (known.id, known.id[:6], "film0.mp4", known.path, os.path.relpath(known.path), "*0.mp4", "f*0*"):
        assert library.find(name) == [known], name
    assert [record.name for record in sorted(library.find(str(films)), key=lambda r: r.name)] == [
        "film0.mp4",
        "film1.mp4",
    ]
    assert len(library.find(f"{films}/*")) == 2
    with pytest.raises(UsageError, match=r"means 2 videos: name one by its id: "):
        library.one(str(films))
    with pytest.raises(UsageError, match=r"no video 'film8.mp4' in the library .*: did you mean 'film\d.mp4'\?"):
        library.one("film8.mp4")
    for nothing in ("", "x" * 10_000, "../../etc/passwd", known.id[:2], "\0", "[", "'; DROP TABLE captions; --"):
        with pytest.raises(UsageError, match="no video") as refused:
            library.find(nothing)
        assert len(str(refused.value)) < 1000


def test_a_copy_is_called_by_its_own_name(library: Library, known: VideoRecord) -> None:
    copy = Path(known.path).with_name("the copy.mp4")
    shutil.copy(known.path, copy)
    added([copy], library)
    for name in ("the copy.mp4", str(copy), os.path.relpath(copy)):
        assert [record.id for record in library.find(name)] == [known.id], name
        found = search(library, "picture", videos=[name], how="words")
        assert {hit.video for hit in found.hits} <= {known.id}
    with pytest.raises(UsageError, match=r"no video 'another\.mp4'"):
        search(library, "picture", videos=["another.mp4"])


def test_what_a_file_held_once_does_not_stand_in_the_way(library: Library, known: VideoRecord) -> None:
    library.save_video(replace(known, id="aaaabbbb", state="replaced", by=known.id, files=()))
    assert len(library.find("film0.mp4")) == 2
    assert library.one("film0.mp4") == known


# --- what is known of a video


def test_what_a_library_knows_of_a_file_comes_back(tmp_path: Path) -> None:
    library = Library(tmp_path)
    files = (Sighting("/a/talk \udcff.mp4", 2**40, 1_700_000_000_123_456_789), Sighting("/b/ä.mp4", 0, -1))
    record = VideoRecord("3f2a", "talk.mp4", "/a/talk.mp4", 2.5, (64, 48), 25.0, "h264", files, "missing", "")
    library.save_video(record)
    assert library.video("3f2a") == record
    library.save_video(replace(record, files=(), state="replaced", by="77ab"))
    assert library.video("3f2a").by == "77ab"


def test_a_record_of_before_is_read(tmp_path: Path) -> None:
    home = tmp_path / "tracks" / "3f2a"
    home.mkdir(parents=True)
    (home / "video.json").write_text(
        '{"longshot": 1, "id": "3f2a", "name": "a.mp4", "path": "a.mp4", "duration": 2, "size": [64, 48], "fps": 5.0, '
        '"codec": "h264"}\n'
    )
    record = Library(tmp_path).video("3f2a")
    assert record == VideoRecord("3f2a", "a.mp4", "a.mp4", 2, (64, 48), 5.0, "h264")
    assert record.searchable
    Library(tmp_path).save_video(record)
    assert "files" not in (home / "video.json").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": "lost"}, "'state' is 'lost', one of here, missing, replaced, removed was meant"),
        ({"state": 1}, "'state' is 1"),
        ({"files": {}}, "'files' is {}, a list was meant"),
        ({"files": ["a.mp4"]}, "'files' holds 'a.mp4', path, bytes, changed were meant"),
        ({"files": [{"path": "a"}]}, "path, bytes, changed were meant"),
        ({"files": [{"path": "a", "bytes": 1.5, "changed": 1}]}, "two whole numbers were meant"),
        ({"files": [{"path": "a", "bytes": True, "changed": 1}]}, "two whole numbers were meant"),
        ({"files": [{"path": "a", "bytes": 1, "changed": 1, "hash": 1}]}, "path, bytes, changed were meant"),
        ({"by": None}, "'by' is None"),
        ({"size": [1]}, "width and height were meant"),
        ({"longshot": 2}, "written by a newer longshot"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_record_edited_into_nonsense_is_named(change: dict[str, object], message: str, tmp_path: Path) -> None:
    home = tmp_path / "tracks" / "3f2a"
    home.mkdir(parents=True)
    (home / "video.json").write_text(json.dumps({"longshot": 1, "id": "3f2a", **change}))
    with pytest.raises(FormatError) as refused:
        Library(tmp_path).video("3f2a")
    assert str(refused.value).startswith(f"{home / 'video.json'}: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_torn_record_does_not_hide_the_other_videos(library: Library, known: VideoRecord) -> None:
    library.path_of(known.id, "x").with_name("video.json").write_text("{")
    torn = next(record for record in library.videos() if record.id == known.id)
    assert (torn.name, torn.duration) == (known.name, known.duration)
    for path in library.track_paths(known.id):
        path.write_text("{")
    assert VideoRecord(known.id) in library.videos()
    assert len(library.videos()) == 2
    assert [gone.record.id for gone in remove(library, [known.id])] == [known.id]


def test_levels_are_counted_from_the_first_lines(library: Library, known: VideoRecord) -> None:
    counted = {track.level: len(track) for track in library.tracks(known.id)}
    assert library.levels(known.id) == counted
    clips = library.path_of(known.id, "clip")
    clips.write_text(clips.read_text().replace(f'"captions": {counted["clip"]}, ', "", 1))
    assert library.levels(known.id) == counted
    clips.write_text("nonsense\n")
    with pytest.raises(FormatError, match=r"clip.jsonl: line 1: "):
        library.levels(known.id)
    assert library.levels("ffff") == {}


# --- numbers


def test_a_library_is_summed_up(library: Library, known: VideoRecord) -> None:
    told = info(library)
    assert isinstance(told, Info)
    assert (told.videos, told.states, told.index) == (2, {"here": 2}, "")
    assert told.seconds == pytest.approx(20 / 5 + 21 / 5)
    assert told.captions["clip"] == sum(library.levels(record.id)["clip"] for record in library.videos())
    tracks = [path for path in (library.folder / "tracks").rglob("*") if path.is_file()]
    assert told.bytes["tracks"] == sum(path.stat().st_size for path in tracks)
    assert told.bytes["index"] > 0

    one = info(library, "film0.mp4")
    assert isinstance(one, VideoInfo)
    assert (one.record, one.captions) == (known, library.levels(known.id))
    assert one.rows == Index.open(library.folder).videos()[known.id].rows

    library.save_video(replace(known, state="missing"))
    assert info(library).states == {"here": 1, "missing": 1}
    shutil.rmtree(library.folder / "index")
    told = info(library)
    assert told.videos == 2
    assert "longshot index" in told.index
    assert told.captions["clip"] == sum(library.levels(record.id)["clip"] for record in library.videos())
    assert info(library, known.id).rows == 0


def test_an_index_that_lacks_videos_is_said_to(library: Library, known: VideoRecord) -> None:
    index = Index.open(library.folder)
    index.drop(known.id)
    assert info(library).index == "1 videos are not in the index; bring it up to date with `longshot index`"
    library.save_video(replace(library.one("film1.mp4"), state="removed"))
    assert info(library).index.startswith("1 videos are not in the index and 1 in it are gone; ")


# --- taking out


def test_a_video_is_removed_and_its_file_stays(library: Library, known: VideoRecord) -> None:
    (library.folder / "answers").mkdir()
    (library.folder / "answers" / f"{known.id}.jsonl").write_text("{}\n")
    (library.folder / "vectors").mkdir(exist_ok=True)
    (library.folder / "vectors" / f"{known.id}.minilm.abcd.parquet").write_text("")
    (library.folder / "vectors" / f"{known.id}0.minilm.abcd.parquet").write_text("")
    counts = library.levels(known.id)
    (gone,) = remove(library, ["film0.mp4"])
    assert (gone.record, gone.captions, gone.kept, gone.note) == (known, counts, False, "")
    assert [record.name for record in library.videos()] == ["film1.mp4"]
    assert set(Index.open(library.folder).videos()) == {library.one("film1.mp4").id}
    left = [path for path in library.folder.rglob("*") if path.name.startswith(known.id)]
    assert [path.name for path in left] == [f"{known.id}0.minilm.abcd.parquet"]
    assert Path(known.path).exists()
    assert [one for one in verify(library) if one.what != "vectors"] == []


@pytest.mark.usefixtures("without_workers")
def test_a_removed_video_can_be_added_again(library: Library, known: VideoRecord) -> None:
    before = library.tracks(known.id)
    remove(library, [known.id[:8]])
    assert said([known.path], library) == [("film0.mp4", "new")]
    assert library.tracks(known.id) == before
    remove(library, [known.path], keep_tracks=True)
    assert library.video(known.id).state == "removed"
    assert library.tracks(known.id) == before
    assert known.id not in Index.open(library.folder).videos()
    assert said([library.folder.parent / "films" / "film1.mp4"], library) == [("film1.mp4", "again")]
    assert known.id not in Index.open(library.folder).videos()
    assert said([known.path], library) == [("film0.mp4", "returned")]
    assert library.video(known.id) == known
    assert known.id in Index.open(library.folder).videos()


def test_nothing_is_removed_when_one_name_means_none(library: Library) -> None:
    with pytest.raises(UsageError, match="no video 'nothing'"):
        remove(library, ["film0.mp4", "nothing"])
    assert len(library.videos()) == 2
    with Journal(library.folder / "journal.jsonl"), pytest.raises(Busy):
        remove(library, ["film0.mp4"])


def test_removing_works_without_an_index_and_with_a_torn_track(library: Library, known: VideoRecord) -> None:
    records = library.videos()
    library.path_of(known.id, "clip").write_text("nonsense")
    shutil.rmtree(library.folder / "index")
    (library.folder / "tracks" / ".removed-abcd-12345678").mkdir()
    assert [gone.record for gone in remove(library, ["film?.mp4"])] == records
    assert list((library.folder / "tracks").iterdir()) == []


# --- checking


def test_a_sound_library_has_no_findings(library: Library) -> None:
    for name in ("cache", "uploads", "proxies"):
        (library.folder / name).mkdir()
    seen: list[tuple[float, float]] = []
    assert verify(library, progress=lambda done, total: seen.append((done, total))) == []
    assert verify(library, hashes=False) == []
    assert seen == [(0, 2), (1, 2), (2, 2)]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def unit_rows(library: Library, video: str, scale: float = 1.0) -> Vectors:
    rows = np.full((1, 4), 0.5 * scale, np.float32)
    return Vectors(rows, (video,), ("film0.mp4",), (Span(0, 1),), ((0.0,),), Source("embed", "m", "1", {}))


SPOILING: dict[str, tuple[Callable[[Library, VideoRecord], object], str, str]] = {
    "a torn line": (
        lambda library, video: edit(library.path_of(video.id, "clip"), '{"id": "clip-0001"', '{"id": "clip-00'),
        "torn",
        "clip.jsonl: line 2: no JSON object",
    ),
    "a track of another video": (
        lambda library, video: edit(library.path_of(video.id, "clip"), video.id, "ffff"),
        "torn",
        "clip.jsonl: line 1: is level 'clip' of 'ffff'",
    ),
    "a torn record": (
        lambda library, video: library.path_of(video.id, "x").with_name("video.json").write_text("{"),
        "torn",
        "video.json: no JSON object",
    ),
    "no tracks": (
        lambda library, video: [path.unlink() for path in library.track_paths(video.id)],
        "torn",
        "no track of this video is there; add it again",
    ),
    "a broken link": (
        lambda library, video: library.path_of(video.id, "shot").unlink(),
        "links",
        "which is in none of the tracks",
    ),
    "an edited text": (
        lambda library, video: library.save(
            Track(video.id, "speech", Source("transcribe"), (Caption(Span(0, 1), "Hello."),))
        ),
        "stale",
        "the tracks were edited after they were indexed",
    ),
    "a video out of the index": (
        lambda library, video: Index.open(library.folder).drop(video.id),
        "stale",
        "is not in the index",
    ),
    "tracks that are gone": (
        lambda library, video: shutil.rmtree(library.path_of(video.id, "clip").parent),
        "stale",
        "is in the index, and has no tracks",
    ),
    "a replaced video": (
        lambda library, video: library.save_video(replace(video, state="replaced", by="ffff")),
        "stale",
        "is in the index, and was replaced",
    ),
    "a file that is gone": (
        lambda library, video: Path(video.path).unlink(),
        "file",
        "film0.mp4: is gone, and no other file",
    ),
    "another content": (
        lambda library, video: Path(video.path).write_bytes(b"something else"),
        "file",
        "film0.mp4: is no longer the video",
    ),
    "half of a file": (
        lambda library, video: (library.path_of(video.id, "x").parent / ".clip.jsonl.12ab.part").write_text("{"),
        "leftover",
        "half of a file, left by a run that was killed; it can be deleted",
    ),
    "half of a removal": (
        lambda library, video: (library.folder / "tracks" / ".removed-abcd-1234").mkdir(),
        "leftover",
        "a video that was being removed",
    ),
    "a torn journal": (
        lambda library, video: edit(library.folder / "journal.jsonl", '{"id"', '"id"'),
        "journal",
        "journal.jsonl: line 1: not a line of a journal",
    ),
    "vectors of nobody": (
        lambda library, video: write_vectors(unit_rows(library, "ffff"), library.folder / "vectors" / "ffff.m.parquet"),
        "vectors",
        "are of a video that is not here",
    ),
    "torn vectors": (
        lambda library, video: (
            (library.folder / "vectors").mkdir(exist_ok=True),
            (library.folder / "vectors" / f"{video.id}.m.parquet").write_bytes(b"PAR1"),
        ),
        "vectors",
        "is no file of vectors",
    ),
    "vectors of another length": (
        lambda library, video: write_vectors(
            unit_rows(library, video.id, 2.0), library.folder / "vectors" / f"{video.id}.m.parquet"
        ),
        "vectors",
        "are not all of length 1",
    ),
    "no index": (lambda library, video: shutil.rmtree(library.folder / "index"), "index", "longshot index"),
    "a cut index": (
        lambda library, video: [
            os.truncate(path, 100) for path in (library.folder / "index/captions.lance/data").glob("*.lance")
        ],
        "index",
        "longshot index --rebuild",
    ),
    "no words in the index": (
        lambda library, video: shutil.rmtree(library.folder / "index/captions.lance/_indices"),
        "index",
        "longshot index --rebuild",
    ),
    "no list of videos in the index": (
        lambda library, video: shutil.rmtree(library.folder / "index/videos.lance/data"),
        "index",
        "longshot index --rebuild",
    ),
    "half of a rebuild": (
        lambda library, video: (library.folder / "index.new").mkdir(),
        "leftover",
        "index.new: an index of a rebuild that was killed; `longshot index --rebuild` clears it away",
    ),
    "what a rebuild replaced": (
        lambda library, video: (library.folder / "index.old").mkdir(),
        "leftover",
        "index.old: an index of a rebuild",
    ),
}


@pytest.mark.parametrize("case", SPOILING)
def test_what_is_wrong_is_named(case: str, library: Library, known: VideoRecord) -> None:
    spoil, what, message = SPOILING[case]
    spoil(library, known)
    before = {path: path.read_bytes() for path in library.folder.rglob("*") if path.is_file()}
    found = verify(library)
    assert [str(one) for one in found if one.what == what and message in str(one)], [str(one) for one in found]
    assert all("\n" not in str(one) for one in found)
    assert {path: path.read_bytes() for path in library.folder.rglob("*") if path.is_file()} == before


def test_without_hashes_files_are_looked_at_only(library: Library, known: VideoRecord) -> None:
    os.utime(known.path, ns=(1, 1))
    assert verify(library) == []
    assert [(one.what, one.reason) for one in verify(library, hashes=False)] == [
        ("file", "was changed since it was read")
    ]


def test_half_of_a_file_may_belong_to_who_writes_now(library: Library, known: VideoRecord) -> None:
    (library.path_of(known.id, "x").parent / ".clip.jsonl.12ab.part").write_text("{")
    lock = library.folder / "journal.jsonl.lock"
    lock.write_text(f"{os.getppid()}\n")
    assert [one.what for one in verify(library)] == ["busy"]
    lock.write_text("999999999\n")
    assert [one.what for one in verify(library)] == ["leftover"]
    assert str(Finding("x", "here", "is odd", "mend it")) == "here: is odd; mend it"

"""A library in a store: its working copy and the store become the same, whoever writes in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow import fs

from longshot import stores
from longshot.errors import FormatError, LongshotError, UsageError
from longshot.journal import Journal, Result, State, read_journal
from longshot.library import Library, VideoRecord
from longshot.searching.remove import remove
from longshot.stores import Store, is_address
from longshot.tables import Index
from longshot.timeline import Caption, Source, Span, Track
from tests.adding import said, without_workers, write_films  # noqa: F401


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    (tmp_path / "bucket").mkdir()
    return tmp_path / "bucket"


def copy_of(bucket: Path, name: str = "here") -> Store:
    """A store in a folder, as one machine sees it."""
    files = fs.SubTreeFileSystem(str(bucket), fs.LocalFileSystem())
    return Store(files, "videos", "s3://bucket/videos", bucket.parent / name)


def tell(store: Store, video: str, text: str, *, level: str = "clip") -> Library:
    """Write a track and a line of the journal, as `add` does."""
    library = Library(store.folder)
    library.save(Track(video, level, Source("recap"), (Caption(Span(0, 1), text),)))
    library.save_video(VideoRecord(video, f"{video}.mp4"))
    with Journal(store.folder / "journal.jsonl") as journal:
        journal.record(f"{video}/recap", Result(State.DONE, {"video": video}))
    return library


def text_of(store: Store, video: str) -> str:
    return Library(store.folder).tracks(video)[0].captions[0].text


def test_what_is_written_here_is_found_there(bucket: Path) -> None:
    here, there = copy_of(bucket), copy_of(bucket, "there")
    assert here.pull() is False
    assert not here.folder.exists()
    tell(here, "3f2a", "A dog runs.")
    (here.folder / "index").mkdir()
    (here.folder / "index" / "rows").write_text("cache")
    (here.folder / "tracks" / "3f2a" / ".clip.jsonl.part").write_text("half")
    assert here.push() == 3
    assert here.push() == 0
    assert sorted(str(path.relative_to(bucket)) for path in bucket.rglob("*") if path.is_file()) == [
        "videos/journal.jsonl",
        "videos/tracks/3f2a/clip.jsonl",
        "videos/tracks/3f2a/video.json",
    ]
    assert there.pull() is True
    assert there.pull() is False
    assert text_of(there, "3f2a") == "A dog runs."
    assert Library(there.folder).videos() == Library(here.folder).videos()
    assert list(read_journal(there.folder / "journal.jsonl")) == ["3f2a/recap"]


def test_what_is_removed_here_is_gone_there(bucket: Path) -> None:
    here, there = copy_of(bucket), copy_of(bucket, "there")
    library = tell(here, "3f2a", "A dog runs.")
    tell(here, "77ab", "A cat sleeps.")
    here.push()
    there.pull()
    for path in library.path_of("3f2a", "clip").parent.iterdir():
        path.unlink()
    library.path_of("3f2a", "clip").parent.rmdir()
    assert here.push("tracks/3f2a") == 2
    assert there.pull() is True
    assert Library(there.folder).ids() == ["77ab"]


def test_one_video_is_sent_alone(bucket: Path) -> None:
    here = copy_of(bucket)
    tell(here, "3f2a", "A dog runs.")
    tell(here, "77ab", "A cat sleeps.")
    assert here.push("tracks/77ab", "journal.jsonl") == 3
    assert not (bucket / "videos" / "tracks" / "3f2a").exists()
    assert here.push() == 2


def test_both_machines_may_add(bucket: Path) -> None:
    here, there = copy_of(bucket), copy_of(bucket, "there")
    tell(here, "3f2a", "A dog runs.")
    tell(there, "77ab", "A cat sleeps.")
    here.push()
    there.pull()
    assert there.push() == 3
    here.pull()
    for store in (here, there):
        assert Library(store.folder).ids() == ["3f2a", "77ab"]
        assert set(read_journal(store.folder / "journal.jsonl")) == {"3f2a/recap", "77ab/recap"}


def test_an_edit_by_hand_is_not_lost(bucket: Path) -> None:
    here, there = copy_of(bucket), copy_of(bucket, "there")
    tell(here, "3f2a", "A dog runs.")
    here.push()
    there.pull()
    tell(there, "3f2a", "A wolf runs, said a person.")
    assert there.pull() is False
    assert text_of(there, "3f2a") == "A wolf runs, said a person."
    there.push()
    here.pull()
    assert text_of(here, "3f2a") == "A wolf runs, said a person."


def test_a_push_that_was_killed_is_made_good(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = copy_of(bucket)
    tell(here, "3f2a", "A dog runs.")
    send = Store._send

    def breaks(self: Store, name: str) -> tuple[str, tuple[int, int]]:
        if name == "journal.jsonl":
            raise OSError("the line\nis cut")
        return send(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_send", breaks)
        with pytest.raises(LongshotError, match=r"s3://bucket/videos: the store did not do it \(the line is cut\)"):
            here.push()
    again = copy_of(bucket)
    again.pull()
    again.push()
    assert (bucket / "videos" / "journal.jsonl").read_bytes() == (here.folder / "journal.jsonl").read_bytes()


def test_names_that_lead_elsewhere_are_left_there(bucket: Path) -> None:
    for name in ("tracks/a/.hidden", "tracks/a\\b", "secret", "tracks/ok/clip.jsonl"):
        (bucket / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (bucket / "videos" / name).write_text("x")
    here = copy_of(bucket)
    here.pull()
    found = sorted(str(path.relative_to(here.folder)) for path in here.folder.rglob("*") if path.is_file())
    assert found == ["synced.json", "tracks/ok/clip.jsonl"]


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": [1]}'])
def test_a_torn_list_of_what_was_sent_is_named(text: str, bucket: Path) -> None:
    here = copy_of(bucket)
    tell(here, "3f2a", "A dog runs.")
    (here.folder / "synced.json").write_text(text)
    with pytest.raises(FormatError, match=r"synced.json: cannot be read .*; delete it") as refused:
        here.pull()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ftp://host/videos", "'ftp://host/videos' is no place for a library: use a folder, or an address with s3://"),
        ("s3://", "is no place for a library"),
        ("az://container/videos", "set AZURE_STORAGE_ACCOUNT_NAME"),
    ],
)
def test_addresses_that_cannot_be_meant(
    address: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(UsageError) as refused:
        Store.open(address, copies=tmp_path)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_each_address_has_a_copy_of_its_own(tmp_path: Path) -> None:
    places = [Store.open(f"gs://bucket/{name}", copies=tmp_path).folder for name in ("a/b", "a/b/", "a-b")]
    assert places[0] == places[1] != places[2]
    assert all(place.parent == tmp_path for place in places)
    assert [is_address(place) for place in ("s3://a/b", "/a/b", "C:\\videos", "a//b")] == [True, False, False, False]


@pytest.fixture
def cloud(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store at any address: the bucket's folder."""
    files = fs.SubTreeFileSystem(str(bucket), fs.LocalFileSystem())
    monkeypatch.setattr(stores, "_file_system", lambda address: (files, address.partition("://")[2]))
    return bucket


@pytest.mark.usefixtures("without_workers")
def test_a_library_at_an_address(cloud: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    with pytest.raises(UsageError, match="there is no library at s3://talks/2026: make it with `longshot add"):
        Library.open("s3://talks/2026")
    films = write_films(tmp_path / "films", 2)
    library = Library.open("s3://talks/2026", create=True)
    assert said(films, library) == [("film0.mp4", "new"), ("film1.mp4", "new")]
    there = cloud / "talks" / "2026"
    assert {path.name for path in there.iterdir()} == {"tracks", "journal.jsonl"}

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    other = Library.open("s3://talks/2026")
    assert other.folder != library.folder
    assert other.videos() == library.videos()
    assert said(films, other) == [("film0.mp4", "again"), ("film1.mp4", "again")]
    assert len(Index.open(other.folder).videos()) == 2
    remove(other, ["film0.mp4"])
    assert len(list((there / "tracks").glob("*/clip.jsonl"))) == 1

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    assert [record.name for record in Library.open("s3://talks/2026").videos()] == ["film1.mp4"]


def test_a_file_address_is_a_folder(tmp_path: Path) -> None:
    assert Library.open(f"file://{tmp_path}/my%20videos", create=True).folder == tmp_path / "my videos"

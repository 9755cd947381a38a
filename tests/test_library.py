"""Tracks on disk: whole or not at all, and never outside their folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from longshot.errors import FormatError, LongshotError, UsageError
from longshot.library import Library, VideoRecord, read_subtitles, read_track, read_tracks, safe_part, write_track
from longshot.timeline import Caption, Source, Span, Track

MADE = Source("segment", "shots", "1", {"every": 0.5})


def track_of(level: str = "shot", video: str = "3f2a9c", **more: Any) -> Track:
    captions = (Caption(Span(0, 1 / 3), "one", 0.25, {"n": 1}), Caption(Span(1 / 3, 2), "two"))
    return Track(video, level, MADE, captions, "talk.mp4", 2.0, **more)


@pytest.mark.parametrize("name", ["a.jsonl", "a.vtt", "a.csv", "a.srt", "a.ffmetadata", "deep/er/A.SRT"])
def test_a_track_comes_back_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    path = write_track(track_of(), tmp_path / name)
    renamed = path.rename(tmp_path / "no suffix at all")
    back = read_track(renamed)
    assert [caption.text for caption in back] == ["one", "two"]
    if name.endswith("jsonl"):
        assert back == track_of()


def test_several_levels_in_one_file_need_a_choice(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_text("level,start,end,text\nshot,0,1,a\nclip,0,2,b\n")
    assert [track.level for track in read_tracks(path)] == ["shot", "clip"]
    assert read_track(path, level="clip").captions[0].text == "b"
    with pytest.raises(UsageError, match="holds the levels 'shot', 'clip'; name one"):
        read_track(path)
    with pytest.raises(UsageError, match="no 'word'"):
        read_track(path, level="word")


def test_what_was_skipped_stands_in_the_track(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:05 --> 00:00:01\nx\n\n2\n00:00:01 --> 00:00:02\na\n")
    assert read_track(path).source.note == "1 of 2 cues skipped (line 2: ends before it starts)"


@pytest.mark.parametrize("name", ["a.txt", "a", "a.ass", ".srt.bak"])
def test_an_unknown_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"use one of .*\.jsonl"):
        write_track(track_of(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_track(track_of(), tmp_path / "a.jsonl")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, full)
            with pytest.raises(LongshotError, match="cannot be written: No space left"):
                write_track(track_of("clip"), path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["a.jsonl"]
        assert path.read_bytes() == before


def test_what_json_cannot_say_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_track(track_of(), tmp_path / "a.jsonl")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="plain JSON"):
        write_track(track_of().replace([Caption(Span(0, 1), "x", details={"n": {1}})]), path)
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="permission bits")
def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    path = write_track(track_of(), tmp_path / "a.jsonl")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_a_folder_in_the_way_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "a.srt").mkdir()
    with pytest.raises(LongshotError, match="cannot be written"):
        write_track(track_of(), tmp_path / "a.srt")
    (tmp_path / "file").touch()
    with pytest.raises(LongshotError, match="cannot be written"):
        write_track(track_of(), tmp_path / "file" / "a.srt")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.mkdir(), "not a file"),
        (lambda path: os.mkfifo(path), "not a file"),
        (lambda path: path.touch(), "neither a track nor subtitles"),
        (lambda path: path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(range(30)) * 99), "not a text file"),
        (lambda path: path.write_text('{"longshot": 1'), "line 1"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**40), "no track or subtitle file is as"),
    ],
)
def test_files_that_cannot_be_read_are_one_clear_line(tmp_path: Path, make: Any, message: str) -> None:
    path = tmp_path / "a.srt"
    make(path)
    for reader in (read_track, read_subtitles):
        with pytest.raises(FormatError, match=message) as caught:
            reader(path)
        assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_name_no_disk_has() -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        read_track("a\0b")


def test_library_keeps_tracks_and_videos(tmp_path: Path) -> None:
    library = Library(tmp_path / "out")
    assert library.videos() == [] and library.tracks("3f2a9c") == []
    assert not (tmp_path / "out").exists()
    path = library.save(track_of("shot"))
    library.save(track_of("clip"))
    library.save(track_of("shot"))
    assert path == tmp_path / "out" / "tracks" / "3f2a9c" / "shot.jsonl"
    assert library.tracks("3f2a9c") == [track_of("clip"), track_of("shot")]
    assert library.videos() == [VideoRecord("3f2a9c", "talk.mp4", duration=2.0)]
    record = VideoRecord("3f2a9c", "talk.mp4", "../in/talk\udce9.mp4", 2.0, (1920, 1080), 29.97, "h264")
    library.save_video(record)
    library.save_video(VideoRecord("aa"))
    assert library.videos() == [record, VideoRecord("aa")]


class OpenVideo:
    """What a library reads of an open video."""

    id, name, path, duration, size, fps, codec = "aa", "v.mp4", Path("in/v.mp4"), 12.5, (640, 360), 25.0, "h264"
    has_video = True


class OpenSound(OpenVideo):
    has_video, fps, codec = False, 0.0, ""

    @property
    def size(self) -> tuple[int, int]:  # type: ignore[override]
        raise AssertionError("sound has no size")


def test_library_takes_open_videos(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.save_video(OpenVideo())  # type: ignore[arg-type]
    assert library.video("aa") == VideoRecord("aa", "v.mp4", "in/v.mp4", 12.5, (640, 360), 25.0, "h264")
    library.save_video(OpenSound())  # type: ignore[arg-type]
    assert library.video("aa") == VideoRecord("aa", "v.mp4", "in/v.mp4", 12.5)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"id": "aa"}', '{"longshot": 2, "id": "aa"}', '{"longshot": 1, "id": 7}', '{"longshot": 1}',
        '{"longshot": 1, "id": "aa", "size": [1]}', '{"longshot": 1, "id": "aa", "size": ["a", "b"]}',
        '{"longshot": 1, "id": "aa", "fps": "x"}', '{"longshot": 1, "id": "aa", "more": 1}', "\udcff",
    ],
)  # fmt: skip
def test_a_torn_video_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tracks" / "aa" / "video.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FormatError, match=r"video\.json.*delete it"):
        Library(tmp_path).video("aa")


def test_a_torn_track_is_named(tmp_path: Path) -> None:
    library = Library(tmp_path)
    path = library.save(track_of())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FormatError, match=r"shot\.jsonl: line 3"):
        library.tracks("3f2a9c")


@pytest.mark.parametrize("part", ["3f2a9c", "shot", "clip-2", "a.b", "_x", "镜头", "x" * 128, "CONcert"])
def test_parts_that_are_safe(part: str) -> None:
    assert safe_part(part, "level") == part


@pytest.mark.parametrize(
    "part",
    [
        "", ".", "..", "../x", "a/b", "a\\b", "/etc", ".hidden", "a.", "-rf", "a b", "a\0", "a\n", "c:", "con",
        "NUL.x", "~", "x" * 129, "é" * 65, "\udcff", "*", "a/../../b",
    ],
)  # fmt: skip
def test_parts_that_would_leave_their_folder(tmp_path: Path, part: str) -> None:
    library = Library(tmp_path / "in")
    for track in (track_of(video=part), track_of(level=part)):
        with pytest.raises(UsageError, match="cannot name a file"):
            library.save(track)
    with pytest.raises(UsageError, match="video id"):
        library.save_video(VideoRecord(part))
    with pytest.raises(UsageError, match="video id"):
        library.tracks(part)
    assert not list(tmp_path.rglob("*"))

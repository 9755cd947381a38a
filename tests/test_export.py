"""Export: one text, or the files of a whole library."""

from __future__ import annotations

from pathlib import Path

import pytest

from longshot.captioning.export import export, export_files
from longshot.errors import FormatError, UsageError
from longshot.library import Library, VideoRecord, read_subtitles, read_track, read_tracks, write_track
from longshot.timeline import Caption, Source, Span, Track

MADE = Source("recap", "observer", "1", {"every": 0.5}, "made up")


def track_of(level: str, step: float, *, video: str = "3f2a9c", name: str = "talk.mp4", end: float = 60.0) -> Track:
    spans = [Span(start * step, min((start + 1) * step, end)) for start in range(int(-(-end // step)))]
    captions = tuple(Caption(span, f"{level} at {span.start:g}") for span in spans)
    return Track(video, level, MADE, captions, name, end)


LEVELS = [track_of("shot", 5), track_of("segment", 20), track_of("video", 60), track_of("speech", 2.5)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    library = Library(tmp_path / "out")
    for track in LEVELS:
        library.save(track)
    library.save(track_of("shot", 30, video="aa", name="TALK.mov"))
    (tmp_path / "out" / "journal.jsonl").write_text('{"id": "3f2a9c", "state": "done"}\n')
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("format", "kind"), [("jsonl", ""), ("vtt", ""), ("vtt", "chapters"), ("vtt:metadata", ""), ("ffmetadata", "")]
)
@pytest.mark.parametrize("track", LEVELS, ids=lambda track: track.level)
def test_export_and_reading_again_is_exact(tmp_path: Path, format: str, kind: str, track: Track) -> None:
    path = tmp_path / "text"
    path.write_text(export(LEVELS, format, kind=kind, level=track.level), newline="")
    assert read_track(path) == track


def test_export_of_all_levels_comes_apart_again(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text(export(LEVELS, "vtt:metadata"), newline="")
    assert read_tracks(path) == tuple(LEVELS)
    path.write_text(export(LEVELS, "csv"), newline="")
    assert [track.captions for track in read_tracks(path)] == [track.captions for track in LEVELS]
    path.write_text(export(LEVELS, "srt", level="speech"), newline="")
    assert read_subtitles(path).captions == LEVELS[3].captions


def test_chapters_leave_out_what_is_said() -> None:
    assert "speech-" not in export(LEVELS, "vtt", kind="chapters")
    assert "speech-0001" in export(LEVELS, "vtt", kind="chapters", level="speech")
    assert export(LEVELS, "youtube").splitlines() == ["0:00 segment at 0", "0:20 segment at 20", "0:40 segment at 40"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "srt"}, "one srt file holds one level: choose one of shot, segment, video, speech"),
        ({"format": "docx"}, "no formats called 'docx'"),
        ({"format": "srt", "level": "word"}, "no level 'word' here: there are shot, segment, video, speech"),
        ({"format": "vtt:songs"}, "vtt has no kind 'songs': there are captions, descriptions, chapters, metadata"),
        ({"format": "vtt:chapters", "kind": "metadata"}, "two kinds for one file"),
        ({"format": "ass"}, "read but not written"),
        ({"format": "youtube", "level": "shot"}, "12 of 12 shorter than 10 s"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        export(LEVELS, **arguments)
    assert "\n" not in str(caught.value)


def test_export_files_of_a_library(tmp_path: Path, folder: Path) -> None:
    paths = export_files(folder, tmp_path / "views", ["srt", "vtt:chapters", "markdown", "srt"])
    names = sorted(path.name for path in paths)
    assert names == sorted(path.name for path in (tmp_path / "views").iterdir())
    assert names == sorted(
        [f"talk.3f2a9c.{level}.srt" for level in ("shot", "segment", "video", "speech")]
        + ["talk.3f2a9c.chapters.vtt", "talk.3f2a9c.md"]
        + ["TALK.aa.shot.srt", "TALK.aa.shot.chapters.vtt", "TALK.aa.shot.md"]
    )
    outline = (tmp_path / "views" / "talk.3f2a9c.md").read_text()
    assert outline.index("video at 0") < outline.index("segment at 0") < outline.index("shot at 0")
    assert "      - 0:00–0:02 speech: speech at 0" in outline
    assert "](" not in outline


def test_outlines_link_to_a_video_that_is_there(tmp_path: Path, folder: Path) -> None:
    video = tmp_path / "in put" / "talk.mp4"
    video.parent.mkdir()
    video.touch()
    Library(folder).save_video(VideoRecord("3f2a9c", "talk.mp4", str(video)))
    (path,) = export_files([*(folder / "tracks" / "3f2a9c").glob("*.jsonl")], tmp_path / "views", ["markdown"])
    assert "[0:00–0:05](../in%20put/talk.mp4#t=0,5)" in path.read_text()


def test_export_of_one_foreign_file(tmp_path: Path) -> None:
    source = tmp_path / "my talk.en.srt"
    source.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    (path,) = export_files(source, tmp_path, ["vtt"])
    assert path.name == "my talk.en.speech.vtt"
    assert read_track(path).captions == (Caption(Span(1, 2), "Hello"),)


def test_an_error_leaves_no_half_of_an_export(tmp_path: Path, folder: Path) -> None:
    for formats, error in ((["srt", "youtube"], UsageError), ([], UsageError), (["srt", "docx"], UsageError)):
        with pytest.raises(error):
            export_files(folder, tmp_path / "views", formats)
    (folder / "tracks" / "aa" / "shot.jsonl").write_text('{"longshot": 1, "video"')
    with pytest.raises(FormatError, match=r"shot\.jsonl"):
        export_files(folder, tmp_path / "views", ["srt"])
    assert not (tmp_path / "views").exists()


def test_names_stay_inside_the_folder(tmp_path: Path) -> None:
    track = track_of("../../x", 30, name="../../../etc/passwd")
    source = write_track(track, tmp_path / "in" / "a.jsonl")
    (path,) = export_files(source, tmp_path / "views", ["srt"])
    assert path.parent == tmp_path / "views" and path.name == "passwd.x.srt"


def test_nothing_to_export_and_two_of_a_kind(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "empty").mkdir()
    for nothing in ([tmp_path / "empty"], []):
        with pytest.raises(UsageError, match="no track to export"):
            export_files(nothing, tmp_path, ["srt"])
    with pytest.raises(FormatError, match="cannot be read"):
        export_files(tmp_path / "gone", tmp_path, ["srt"])
    again = write_track(LEVELS[0], tmp_path / "again.jsonl")
    with pytest.raises(UsageError, match="second track of level 'shot'"):
        export_files([folder, again], tmp_path, ["srt"])

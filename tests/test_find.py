from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longshot.contracts import Told
from longshot.errors import MediaError, UsageError
from longshot.library import Library, VideoRecord
from longshot.searching import find as finding
from longshot.searching.fill import Fill
from longshot.searching.find import find
from longshot.searching.index import index_video
from longshot.tables import Index
from longshot.timeline import Caption, Hit, Source, Span, Track
from tests.videos import write_video

CUES = """1
00:00:00,500 --> 00:00:02,000
Welcome to the harbour.

2
00:00:04,000 --> 00:00:06,500
The lighthouse was built of granite.

3
00:00:08,000 --> 00:00:09,500
Any questions?
"""
QUICK: dict[str, Any] = {"screen": "none"}


class Words:
    """A text encoder whose vectors say which of a few meanings a text has."""

    source = Source("", "meanings", "1")
    dimension, frames, height = 4, 1, 16

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        self.texts += texts
        rows = np.full((len(texts), 4), 1e-3, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for place, words in enumerate((("lighthouse", "tower"), ("harbour", "port"), ("questions", "ask"))):
                row[place] += any(word in text.lower() for word in words)
            row[3] += not row[:3].max() > 0.5
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def encode_frames(self, clips: Any) -> np.ndarray:
        raise UsageError("meanings has no frames")


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Words:
    made = Words()
    monkeypatch.setattr(finding, "_open_text_encoder", lambda name: (made, ""))
    return made


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_open_text_encoder", lambda name: (None, "no encoder is installed here"))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "harbour.mp4"
    write_video(path, count=100, fps=10)
    path.with_suffix(".srt").write_text(CUES, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def cache(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left by a first question."""
    folder = tmp_path_factory.mktemp("cache")
    find(film, "lighthouse", cache=folder, telling=QUICK, vectors="none")
    return folder


def track(level: str, *lines: tuple[float, float, str], video: str = "0123456789abcdef") -> Track:
    captions = tuple(Caption(Span(start, end), text) for start, end, text in lines)
    return Track(video, level, Source("recap", "observer", "1"), captions, "harbour.mp4", 60.0)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    made = Library(tmp_path / "library")
    made.save_video(VideoRecord("0123456789abcdef", "harbour.mp4", str(tmp_path / "gone.mp4"), 60.0))
    made.save(track("shot", (0.0, 30.0, "Shot 1"), (30.0, 60.0, "Shot 2")))
    made.save(track("clip", (0.0, 30.0, ""), (30.0, 60.0, "A grey ship.")))
    made.save(track("speech", (2.0, 5.0, "The lighthouse is of granite."), (40.0, 44.0, "Any questions?")))
    return made


def indexed(library: Library, encoder: Words | None = None) -> Index:
    index = Index.open(library.folder, create=True)
    fill = Fill(library.folder, text="none")
    fill.text = encoder
    index_video(library, index, "0123456789abcdef", fill=fill)
    index.finish()
    return index


# --- a file


def test_a_file_is_told_and_found_in(film: Path, tmp_path: Path) -> None:
    told: list[float] = []
    found = find(film, "the lighthouse", telling=QUICK, progress=lambda done, of: told.append(done))
    assert found.hits[0].span == Span(4.0, 6.5)
    assert found.hits[0].evidence[0].text == "The lighthouse was built of granite."
    assert found.names[found.hits[0].video] == "harbour.mp4" and found.paths[found.hits[0].video] == str(film)
    assert "matching" in found.how and "3 lines of speech, 4 clips" in found.how
    assert told, "no progress while a file is told"
    assert found.notes == ("words alone were looked for: no encoder is installed here",)


def test_the_second_question_is_quick(film: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def again(*_: Any, **__: Any) -> None:
        raise AssertionError("told again")

    monkeypatch.setattr(finding, "_tell", again)
    found = find(film, "harbour", cache=cache, telling=QUICK)
    assert found.hits[0].span == Span(0.5, 2.0)
    with pytest.raises(AssertionError, match="told again"):
        find(film, "harbour", cache=cache, telling={"screen": "none", "speech": "none"})


def test_what_was_half_kept_is_told_again(film: Path, cache: Path, tmp_path: Path) -> None:
    copy = tmp_path / "cache"
    shutil.copytree(cache, copy)
    (record,) = copy.rglob("video.json")
    record.unlink()
    (next(copy.rglob("speech.jsonl"))).unlink()
    assert find(film, "harbour", cache=copy, telling=QUICK).hits
    assert record.exists()


def test_tracks_beside_the_file_are_used(
    film: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "_tell", lambda *_, **__: pytest.fail("told again"))
    shutil.copy(film, tmp_path / "other name.mp4")
    (tracks,) = cache.rglob("tracks")
    shutil.copytree(tracks, tmp_path / "tracks")
    assert find(tmp_path / "other name.mp4", "lighthouse").hits[0].span == Span(4.0, 6.5)


def test_not_in_this_video_is_an_answer(film: Path, cache: Path) -> None:
    found = find(film, "an elephant in a circus", cache=cache, telling=QUICK)
    assert found.hits == ()
    assert any("there is no text on screen" in note and "3 lines of speech" in note for note in found.notes)


def test_a_query_that_cannot_be_meant_is_refused_before_the_work(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_tell", lambda *_, **__: pytest.fail("told for nothing"))
    for query in ("", "?", "the of"):
        with pytest.raises(UsageError):
            find(film, query)


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"not a video" * 100)
    with pytest.raises(MediaError) as error:
        find(tmp_path / "bad.mp4", "moon")
    assert "\n" not in str(error.value)
    with pytest.raises(MediaError):
        find(tmp_path / "absent.mp4", "moon")


def test_a_video_without_speech_or_writing(tmp_path: Path) -> None:
    write_video(tmp_path / "mute.mp4", count=20, fps=10)
    found = find(tmp_path / "mute.mp4", "where she talks about the moon", telling=QUICK)
    assert found.hits == ()
    assert "there is no speech and no text on screen" in found.notes[-1]


def test_limit(film: Path, cache: Path) -> None:
    found = find(film, "harbour or lighthouse", cache=cache, telling=QUICK, limit=1)
    assert len(found.hits) == 1
    with pytest.raises(UsageError, match="limit"):
        find(film, "harbour", limit=0)


def test_a_very_long_query_is_cut_and_said_so(film: Path, cache: Path) -> None:
    found = find(film, "lighthouse " * 2000, cache=cache, telling=QUICK)
    assert found.hits and "22000 characters" in found.notes[0]


# --- a library


@pytest.mark.parametrize("name", ["harbour.mp4", "0123456789abcdef", "01234567"])
def test_a_video_of_a_library_through_its_index(library: Library, name: str) -> None:
    indexed(library)
    for path in library.track_paths("0123456789abcdef"):
        path.rename(path.with_suffix(".away"))  # only the index knows them now
    found = find(name, "lighthouse", library=library)
    assert found.hits[0].span == Span(2.0, 5.0)
    assert found.hits[0].evidence[0].details["id"] == "speech-0001"
    assert "gone.mp4" in found.notes[0]


def test_without_an_index_the_tracks_are_read(library: Library) -> None:
    found = find("harbour.mp4", "grey ship", library=library)
    assert found.hits[0].span == Span(30.0, 60.0) and found.hits[0].evidence[0].details["id"] == "clip-0002"
    assert any("index" in note for note in found.notes)
    Index.open(library.folder, create=True)
    found = find("harbour.mp4", "grey ship", library=library.folder)
    assert found.hits and any("does not hold this video yet" in note for note in found.notes)


def test_a_damaged_index_is_said_and_does_without(library: Library) -> None:
    indexed(library)
    for path in (library.folder / "index").rglob("*"):
        if path.is_file():
            path.write_bytes(b"garbage")
    found = find("harbour.mp4", "grey ship", library=library)
    assert found.hits and any("--rebuild" in note for note in found.notes)


def test_the_index_and_the_tracks_say_the_same(library: Library) -> None:
    by_tracks = [find("harbour.mp4", query, library=library).hits for query in ("granite", "questions", '"grey ship"')]
    indexed(library)
    by_index = [find("harbour.mp4", query, library=library).hits for query in ("granite", "questions", '"grey ship"')]
    assert by_index == by_tracks


def test_a_file_is_known_by_its_content(film: Path, tmp_path: Path, cache: Path) -> None:
    (home,) = cache.rglob("tracks")
    library = Library(tmp_path / "library")
    shutil.copytree(home, library.folder / "tracks")
    shutil.copy(film, tmp_path / "renamed.mp4")
    found = find(tmp_path / "renamed.mp4", "lighthouse", library=library)
    assert found.hits[0].span == Span(4.0, 6.5)
    assert list(found.paths.values()) == [str(tmp_path / "renamed.mp4")]


def test_a_name_that_nobody_knows(library: Library) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'harbour\.mp4'"):
        find("harbor.mp4", "moon", library=library)
    with pytest.raises(UsageError, match="no library"):
        find("harbour.mp4", "moon", library=library.folder / "nowhere")


# --- meaning


def test_vectors_of_the_index_find_other_words(library: Library, encoder: Words) -> None:
    indexed(library, encoder)
    encoder.texts.clear()
    found = find("harbour.mp4", "the tall tower", library=library)
    assert encoder.texts == ["the tall tower"], "captions are embedded once, when they are indexed"
    assert found.hits[0].span == Span(2.0, 5.0)
    assert "text vectors of meanings" in found.how
    assert find("harbour.mp4", "the tall tower", library=library, vectors="none").hits == ()


def test_vectors_of_another_model_are_not_mixed(library: Library, encoder: Words) -> None:
    indexed(library, encoder)
    encoder.source = Source("", "meanings", "2")
    found = find("harbour.mp4", "the tall tower", library=library)
    assert found.hits == () and any("not meanings@2" in note for note in found.notes)


def test_an_index_without_vectors_says_so(library: Library, encoder: Words) -> None:
    indexed(library)
    found = find("harbour.mp4", "granite", library=library)
    assert found.hits and any("no text vectors" in note for note in found.notes)


def test_vectors_of_a_file(film: Path, cache: Path, encoder: Words) -> None:
    found = find(film, "the old port", cache=cache, telling=QUICK)
    assert found.hits[0].span.overlap(Span(0.5, 2.0)) == 1.5 and "text vectors of meanings" in found.how


# --- finders


class Scripted:
    """A finder that says what it was given."""

    source = Source("find", "scripted")
    notes = ("a part was not answered",)

    def __init__(self) -> None:
        self.told: list[Told] = []

    def find(self, told: Told, query: str, *, progress: Any = None) -> list[Hit]:
        self.told.append(told)
        whole = Caption(Span(0.0, told.duration), "all", None, {"id": "video-0001", "whole_video": True})
        return [Hit(told.video, Span(0.0, told.duration), 0.4, (whole,))]


def test_a_finder_is_given_the_file_and_the_tracks(film: Path, cache: Path) -> None:
    finder = Scripted()
    found = find(film, "moon", finder=finder, cache=cache, telling=QUICK)
    (told,) = finder.told
    assert told.path == str(film) and told.duration == pytest.approx(10.0)
    assert {track.level for track in told.tracks} >= {"shot", "clip", "speech", "video"}
    assert found.notes == ("a part was not answered", "it is the whole video that matches: no part of it says more")


def test_a_finder_by_name(film: Path, cache: Path) -> None:
    with pytest.raises(UsageError, match=r"no finders called 'matchin'.*did you mean 'matching'"):
        find(film, "moon", finder="matchin", cache=cache)
    with pytest.raises(UsageError, match="--model"):
        find(film, "moon", finder="asking", cache=cache)
    with pytest.raises(UsageError, match="matching has no option model"):
        find(film, "moon", model="some/model", cache=cache)


def test_progress_and_hits_are_plain(film: Path, cache: Path) -> None:
    found = find(film, '"granite"', cache=cache, telling=QUICK)
    (caption,) = found.hits[0].evidence
    assert json.dumps(dict(caption.details))
    assert [caption.text[a:b] for a, b in caption.details["matched"]] == ["granite"]
    assert found.seconds > 0


def test_a_read_only_cache_does_not_lose_the_answer(film: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, no folder", encoding="utf-8")
    found = find(film, "lighthouse", cache=tmp_path / "cache", telling=QUICK)
    assert found.hits and any("was not kept" in note for note in found.notes)

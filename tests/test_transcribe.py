from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longshot import registry
from longshot.captioning.transcribe import ORDER, Heard, PassedOver, hear, transcribe
from longshot.errors import FormatError, LongshotError, MissingPackage, UsageError
from longshot.timeline import Caption, Source, Span, Track
from tests.test_audio import SRT, clicks, with_subtitles, write


class Scripted:
    """A transcriber that does what the test says."""

    def __init__(self, name: str, words: str | None = None, *, why: str = "", error: Exception | None = None) -> None:
        self.name, self.words, self.why, self.error = name, words, why, error
        self.asked: list[str | None] = []

    def why_not(self, video: Any, *, language: str | None = None) -> str:
        return self.why

    def transcribe(self, video: Any, *, language: str | None, progress: Any = None) -> Track | None:
        self.asked.append(language)
        if self.error:
            raise self.error
        if self.words is None:
            return None
        captions = (Caption(Span(0.0, 1.0), self.words),) if self.words else ()
        return Track(video.id, "speech", Source("transcribe", self.name, note="as told"), captions)


def shelf(monkeypatch: pytest.MonkeyPatch, *ways: Scripted | MissingPackage) -> dict[str, dict[str, Any]]:
    """Put these in place of the real four; returns the options that each was loaded with."""
    there = dict(zip(ORDER, ways, strict=True))
    loaded: dict[str, dict[str, Any]] = {}

    def load(kind: str, name: str, **options: Any) -> Any:
        assert kind == "transcribers"
        loaded[name] = options
        way = there[name]
        if isinstance(way, MissingPackage):
            raise way
        return way

    monkeypatch.setattr(registry, "load", load)
    return loaded


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("talk") / "talk.wav", [(0.0, clicks(1.0))])


def test_the_first_that_serves_is_chosen_and_the_others_are_told(monkeypatch: pytest.MonkeyPatch, talk: Path) -> None:
    loaded = shelf(
        monkeypatch,
        Scripted("sidecar", why="no talk.srt beside it"),
        Scripted("embedded", ""),
        MissingPackage("faster_whisper", "speech"),
        Scripted("sphinx", "hello"),
    )
    heard = hear(talk)
    assert heard.chosen == "sphinx"
    assert heard.passed_over == (
        PassedOver("sidecar", "no talk.srt beside it"),
        PassedOver("embedded", "as told"),
        PassedOver("whisper", "not installed: pip install 'longshot[speech]'"),
    )
    assert heard.track.source.note == (
        "as told; passed over: sidecar (no talk.srt beside it), embedded (as told), "
        "whisper (not installed: pip install 'longshot[speech]')"
    )
    assert str(heard).startswith("speech from sphinx: as told; passed over: sidecar")
    assert loaded["whisper"] == {"download": False}


def test_what_comes_after_the_choice_is_not_even_opened(monkeypatch: pytest.MonkeyPatch, talk: Path) -> None:
    ways = [Scripted(name, name) for name in ORDER]
    loaded = shelf(monkeypatch, *ways)
    assert hear(talk, language="de").chosen == "sidecar"
    assert list(loaded) == ["sidecar"]
    assert ways[0].asked == ["de"]


def test_a_way_that_fails_is_passed_over(monkeypatch: pytest.MonkeyPatch, talk: Path) -> None:
    shelf(
        monkeypatch,
        Scripted("sidecar", error=FormatError("talk.srt: no readable cue")),
        Scripted("embedded", None),
        Scripted("whisper", ""),
        Scripted("sphinx", "hello"),
    )
    heard = hear(talk)
    assert heard.passed_over[0] == PassedOver("sidecar", "talk.srt: no readable cue")
    assert heard.passed_over[1] == PassedOver("embedded", "it has nothing to offer for this video")
    assert heard.chosen == "whisper" and len(heard.track) == 0  # it listened and heard nothing: that is an answer


def test_a_bug_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, talk: Path) -> None:
    shelf(monkeypatch, Scripted("sidecar", error=ZeroDivisionError()), *(Scripted(n, n) for n in ORDER[1:]))
    with pytest.raises(ZeroDivisionError):
        hear(talk)


def test_a_name_overrides(monkeypatch: pytest.MonkeyPatch, talk: Path) -> None:
    loaded = shelf(monkeypatch, *(Scripted(name, name) for name in ORDER))
    heard = hear(talk, speech="whisper")
    assert (heard.chosen, heard.passed_over, loaded) == ("whisper", (), {"whisper": {}})


def test_a_named_way_that_cannot_is_an_error(monkeypatch: pytest.MonkeyPatch, talk: Path) -> None:
    shelf(
        monkeypatch,
        Scripted("sidecar", why="no talk.srt beside it"),
        Scripted("embedded", None),
        MissingPackage("faster_whisper", "speech"),
        Scripted("sphinx", "hello"),
    )
    with pytest.raises(LongshotError, match=r"talk\.wav: sidecar cannot give the speech: no talk\.srt beside it"):
        hear(talk, speech="sidecar")
    with pytest.raises(LongshotError, match="embedded cannot give the speech: it has nothing to offer"):
        hear(talk, speech="embedded")
    with pytest.raises(MissingPackage, match=r"pip install 'longshot\[speech\]'"):
        hear(talk, speech="whisper")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speech": "wisper"}, "no speech called 'wisper': there are auto, none, "),
        ({"language": "klingon"}, "no language called 'klingon'"),
        ({"language": ""}, "no language called ''"),
    ],
)
def test_arguments_that_cannot_be_meant(talk: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        transcribe(talk, **options)  # type: ignore[arg-type]


def test_none_is_an_empty_track(talk: Path) -> None:
    heard = hear(talk, speech="none")
    assert (heard.chosen, len(heard.track), heard.track.level) == ("none", 0, "speech")
    assert str(heard) == "speech from none: speech was not asked for"


def test_a_video_without_sound_and_subtitles_is_an_empty_track_with_the_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "mute.mkv", [(0.0, np.zeros(0, np.float32))], picture_at=0.0, languages=())
    heard = hear(path)
    assert isinstance(heard, Heard) and heard.chosen == "none" and len(heard.track) == 0
    assert heard.track.source.note.startswith("no sound and no subtitles; passed over: sidecar (no mute.srt")
    assert [passed.name for passed in heard.passed_over] == list(ORDER)


def test_the_real_shelf_prefers_the_file_beside_to_the_stream_inside(tmp_path: Path) -> None:
    path = with_subtitles(tmp_path / "talk.mkv", SRT, ".srt")
    assert hear(path).chosen == "sidecar"
    path.with_suffix(".srt").unlink()
    track = transcribe(path)
    assert track.source.model == "embedded"
    assert [caption.text for caption in track] == ["Hello\nworld", "Again & again"]
    assert track.source.note == "passed over: sidecar (no talk.srt, .vtt or .ass beside it)"

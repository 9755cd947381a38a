"""Every transcriber keeps this contract; a new file on the shelf joins by being there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.test_audio import SRT, with_subtitles, write

from longshot import registry
from longshot.contracts import Transcriber
from longshot.timeline import Track
from longshot.video import open_video

NAMES = sorted(registry.choices("transcribers"))
OPTIONS: dict[str, dict[str, Any]] = {"whisper": {"download": False}}  # tests fetch nothing


@pytest.fixture(params=NAMES)
def transcriber(request: pytest.FixtureRequest) -> Transcriber:
    choice = registry.choices("transcribers")[request.param]
    if choice.missing:
        pytest.skip(f"{choice.missing[0]} is not installed")
    made: Transcriber = registry.load("transcribers", request.param, **OPTIONS.get(request.param, {}))
    return made


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of pictures and clicks, subtitles inside and beside."""
    return with_subtitles(tmp_path_factory.mktemp("talk") / "talk.mkv", SRT, ".srt")


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    choice = registry.choices("transcribers")[name]
    assert choice.summary.endswith((".", ")")) and len(choice.summary) < 100
    assert bool(choice.needs) == bool(choice.extra)


def test_it_keeps_the_protocol(transcriber: Transcriber) -> None:
    assert isinstance(transcriber, Transcriber)


def test_it_gives_a_speech_track_or_nothing(transcriber: Transcriber, talk: Path) -> None:
    video = open_video(talk)
    told: list[tuple[float, float]] = []
    track = transcriber.transcribe(video, language=None, progress=lambda *at: told.append(at))
    if track is None:
        return
    assert isinstance(track, Track)
    assert (track.level, track.video, track.name, track.duration) == ("speech", video.id, video.name, video.duration)
    assert track.source.verb == "transcribe" and track.source.model
    assert all(caption.text.strip() and caption.span.start >= 0 for caption in track)
    assert all(caption.score is None or 0 <= caption.score <= 1 for caption in track)
    assert told == sorted(told) and all(0 <= done <= total for done, total in told)


def test_asked_twice_it_gives_the_same(transcriber: Transcriber, talk: Path) -> None:
    first, second = (transcriber.transcribe(open_video(talk), language="en") for _ in range(2))
    assert first == second


def test_it_offers_nothing_for_a_video_without_words_or_sound(transcriber: Transcriber, tmp_path: Path) -> None:
    path = write(tmp_path / "mute.mkv", [(0.0, np.zeros(0, np.float32))], picture_at=0.0, languages=())
    assert transcriber.transcribe(open_video(path), language=None) is None


def test_why_not_agrees_with_what_it_gives(transcriber: Transcriber, talk: Path) -> None:
    why_not = getattr(transcriber, "why_not", None)
    if why_not is None:
        pytest.skip("it gives no reasons")
    video = open_video(talk)
    for language in (None, "en", "ja"):
        given = transcriber.transcribe(video, language=language) is not None
        assert given == (why_not(video, language=language) == "")

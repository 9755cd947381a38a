"""One description of a video or a track of them, from one pass."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from longshot.captioning import describe as describing
from longshot.captioning.describe import PictureKeeper, describe, look
from longshot.captioning.transcribe import Heard
from longshot.contracts import Description, Frames, Glance, Progress, Scene
from longshot.errors import LongshotError, MediaError, NoPictures, UsageError
from longshot.timeline import Caption, Source, Span, Track
from longshot.video import Video, open_video
from tests.videos import read_number, write_video

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Teller:
    """A describer that tells what it is given."""

    source = Source("describe", "teller", "1", {"tone": "dry"}, "a fake")

    def __init__(self) -> None:
        self.times: list[float] = []
        self.batches: list[int] = []
        self.scenes: list[Scene] = []

    def see(self, glance: Glance) -> None:
        self.times += glance.times.tolist()

    def describe(self, scenes: Sequence[Scene]) -> list[Description]:
        self.batches.append(len(scenes))
        self.scenes += scenes
        return [
            Description(f"{len(s.speech)} said, {len(s.screen_text)} written", {"finer": len(s.finer)}) for s in scenes
        ]


class Painter(Teller):
    """A describer that looks at two pictures of each scene."""

    pictures, height = 2, 48


class Thirds:
    """A segmenter that makes three shots."""

    source = Source("segment", "thirds")

    def __init__(self) -> None:
        self.seen = 0

    def spans(self, video: Video) -> None:
        return None

    def watch(self, video: Video) -> Thirds:
        return self

    def see(self, glance: Glance) -> None:
        self.seen += len(glance)

    def finish(self, end: float) -> list[Span]:
        return [Span(end * i / 3, end * (i + 1) / 3) for i in range(3)] if end else []


class Reader:
    """A reader that reads one word in the first second."""

    source = Source("read", "reader")
    height = 32

    def __init__(self) -> None:
        self.pictures = 0

    def watch(self, video: Video) -> Reader:
        return self

    def see(self, glance: Glance) -> None:
        self.pictures += len(glance.frames)

    def finish(self, end: float) -> list[Caption]:
        return [Caption(Span(0.0, 1.0), "TITLE")]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    write_video(path, count=60, fps=5, size=(64, 48))
    return path


@pytest.fixture(autouse=True)
def speech(monkeypatch: pytest.MonkeyPatch) -> None:
    cues = (Caption(Span(1, 3), "Hello."), Caption(Span(9, 11), "Goodbye."))
    track = Track("v", "speech", Source("transcribe", "sidecar"), cues, "film.mp4", 12.0)
    monkeypatch.setattr(describing, "hear", lambda video, **_: Heard(track, "sidecar", ()))


def test_one_description_of_all_of_it(film: Path) -> None:
    teller, cutter = Teller(), Thirds()
    made = describe(film, describer=teller, segmenter=cutter, screen=False)
    assert (made.level, [c.span for c in made], made.captions[0].text) == ("video", [Span(0, 12)], "2 said, 0 written")
    assert made.captions[0].details == {"finer": 3}
    assert made.source == Source("describe", "teller", "1", {"tone": "dry", "every": "video"}, "a fake")
    assert (made.name, made.duration) == ("film.mp4", 12.0)
    assert len(teller.times) == cutter.seen == 60
    assert teller.times == sorted(set(teller.times))


@pytest.mark.parametrize(
    ("every", "level", "edges"),
    [
        ("shot", "shot", [0, 4, 8, 12]),
        ("clip", "clip", [0, 4, 8, 12]),
        (5.0, "clip", [0, 5, 10, 12]),
        (100, "clip", [0, 12]),
    ],
)
def test_a_track_of_descriptions(film: Path, every: str | float, level: str, edges: list[float]) -> None:
    made = describe(film, every=every, describer=Teller(), segmenter=Thirds(), screen=False)
    assert made.level == level
    assert [c.span.start for c in made] + [made.captions[-1].span.end] == pytest.approx(edges)
    assert made.captions[0].text == f"{2 if len(edges) == 2 else 1} said, 0 written"


@pytest.mark.parametrize("every", ["shots", "", 0, -1.0, float("nan"), True])
def test_an_every_that_cannot_be_meant(film: Path, every: str | float) -> None:
    with pytest.raises(UsageError, match="every"):
        describe(film, every=every, describer=Teller(), segmenter=Thirds())


def test_text_on_screen_reaches_the_describer(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    monkeypatch.setattr(describing.registry, "load", lambda shelf, name: reader)
    made = describe(film, every="shot", describer=Teller(), segmenter=Thirds(), screen="fake")
    assert [c.text for c in made] == ["1 said, 1 written", "0 said, 0 written", "1 said, 0 written"]
    assert reader.pictures == 24


def test_pictures_come_from_the_same_pass(film: Path) -> None:
    painter = Painter()
    describe(film, every="shot", describer=painter, segmenter=Thirds(), screen=False)
    for scene in painter.scenes:
        assert scene.frames is not None
        assert len(scene.frames) == 2
        for second, picture in zip(scene.frames.times, scene.frames.pixels, strict=True):
            assert second in scene.span
            assert read_number(picture) == round(second * 5)


def test_a_describer_that_wants_no_pictures_gets_none(film: Path) -> None:
    teller = Teller()
    describe(film, every="shot", describer=teller, segmenter=Thirds(), screen=False)
    assert [scene.frames for scene in teller.scenes] == [None] * 3


def test_pictures_kept_are_bounded(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describing, "_KEPT_BYTES", 50 * 32 * 32 * 3)
    keeper = PictureKeeper(4)
    for first in range(0, 4000, 10):
        times = np.arange(first, first + 10) * 0.5
        pixels: NDArray[np.uint8] = np.zeros((10, 32, 32, 3), np.uint8)
        keeper.see(
            Glance(
                times, np.zeros((10, 36, 64), np.float32), np.zeros((10, 18, 32, 2), np.float32), Frames(pixels, times)
            )
        )
    with open_video(film) as video:
        found = keeper.within(Span(0, 2000), video)
        fetched = keeper.within(Span(7.01, 7.2), video)
    assert len(found) == 4
    assert found.times[0] == 0.0
    assert found.times[-1] > 1800
    assert len(fetched) == 1


@pytest.mark.parametrize(("teller", "batches"), [(Teller(), [120]), (Painter(), [64, 56])])
def test_scenes_with_pictures_are_told_in_batches(film: Path, teller: Teller, batches: list[int]) -> None:
    made = describe(film, every=0.1, describer=teller, segmenter=Thirds(), screen=False)
    assert len(made) == 120
    assert teller.batches == batches


def test_a_missing_reader_is_a_note_unless_it_was_asked_for(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longshot.registry._installed", lambda package: False)
    made = describe(film, describer=Teller(), segmenter=Thirds())
    assert "pip install 'longshot[ocr]'" in made.source.note
    with pytest.raises(LongshotError, match="ocr"):
        describe(film, describer=Teller(), segmenter=Thirds(), screen=True)


def test_why_there_is_no_speech_stands_in_the_note(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Track("v", "speech", Source("transcribe", "none", note="no sound and no subtitles"), ())
    monkeypatch.setattr(describing, "hear", lambda video, **_: Heard(silent, "none", ()))
    made = describe(film, describer=Teller(), segmenter=Thirds(), screen=False)
    assert made.source.note == "a fake; no speech: no sound and no subtitles"
    assert made.captions[0].text == "0 said, 0 written"


def test_sound_alone_cannot_be_described(tmp_path: Path) -> None:
    import wave

    path = tmp_path / "talk.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    with pytest.raises(NoPictures, match="no pictures to describe"):
        describe(path, describer=Teller())


@pytest.mark.parametrize("content", [b"", b"not a video at all"])
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError):
        describe(path, describer=Teller(), segmenter=Thirds())
    with pytest.raises(MediaError):
        describe(tmp_path / "missing.mp4", describer=Teller(), segmenter=Thirds())


def test_an_error_of_a_watcher_ends_the_pass_and_comes_out(film: Path) -> None:
    class Broken(Teller):
        def see(self, glance: Glance) -> None:
            raise LongshotError("cannot look")

    with pytest.raises(LongshotError, match="cannot look"):
        describe(film, describer=Broken(), segmenter=Thirds(), screen=False)


@pytest.mark.parametrize("speech", ["none", "auto"])
def test_progress_is_that_of_the_slowest_and_never_goes_back(
    film: Path, monkeypatch: pytest.MonkeyPatch, speech: str
) -> None:
    told: list[tuple[float, float]] = []

    def listen(video: Video, *, progress: Progress, **_: object) -> Heard:
        for second in range(7):
            progress(float(second), 6.0)
        return Heard(Track("v", "speech", Source("transcribe"), ()), "sphinx", ())

    monkeypatch.setattr(describing, "hear", listen)
    look_on = lambda done, total: told.append((done, total))  # noqa: E731
    describe(film, describer=Teller(), segmenter=Thirds(), speech=speech, screen=False, progress=look_on)
    assert told == sorted(told)
    assert {total for _, total in told} == {12.0}
    assert told[-1][0] == pytest.approx(12.0, abs=0.5)


def test_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "one.mp4"
    write_video(path, times=[Fraction(0)], size=(64, 48))
    made = describe(path, every="clip", describer=Teller(), segmenter=Thirds(), speech="none", screen=False)
    assert made.captions[0].span.start == 0.0
    assert made.captions[-1].span.end == made.duration


def test_a_list_of_pictures(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.mp4" for name in "abc"]
    for path in paths:
        write_video(path, times=[Fraction(0)], size=(64, 48))
    with open_video(paths) as video:
        watched = look(video, describer=Teller(), segmenter=Thirds(), screen=False)
    assert watched.end == pytest.approx(3.0)
    assert watched.shots is not None
    assert len(watched.shots) == 3


@pytest.mark.parametrize(
    ("start", "end", "within", "shown"),
    [
        (59.74, 80.0, 0.25, (False, True)),  # a slide of the second clip, read a little before the cut
        (40.0, 60.2, 0.25, (True, False)),  # one of the first, held a little too long
        (59.74, 80.0, 0.0, (True, True)),  # times that are exact, as those of a subtitle are
        (50.0, 70.0, 0.25, (True, True)),  # over the cut
        (59.9, 60.3, 0.25, (False, True)),  # shorter than it is sure of: where its middle is
        (59.6, 60.2, 0.5, (True, False)),
    ],
)
def test_a_text_is_in_the_clip_in_which_it_is_surely_shown(
    start: float, end: float, within: float, shown: tuple[bool, bool]
) -> None:
    text = Caption(Span(start, end), "words", None, {"start_within": within, "end_within": within})
    assert tuple(describing._is_shown(text, Span(a, a + 60)) for a in (0.0, 60.0)) == shown

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from longshot import registry
from longshot.captioning.segment import as_track, segment
from longshot.clips import ClipRules
from longshot.contracts import Glance
from longshot.errors import MediaError, UsageError
from longshot.timeline import Source, Span
from longshot.video import Video, open_video
from tests.videos import write_video


class Watching:
    """Cuts at the given seconds; knows how sure it is of each."""

    def __init__(self, cuts: dict[float, float]) -> None:
        self.cuts = cuts
        self.frames = 0
        self.strengths: list[float] = []

    def see(self, glance: Glance) -> None:
        self.frames += len(glance)
        assert not len(glance.frames)

    def finish(self, end: float) -> list[Span]:
        edges = [0.0, *self.cuts, end]
        self.strengths = list(self.cuts.values())
        return [Span(start, stop) for start, stop in itertools.pairwise(edges)] if end else []


@dataclass
class Cutter:
    cuts: dict[float, float]
    quick: list[Span] | None = None
    fast: bool = False
    watching: Watching | None = None

    @property
    def source(self) -> Source:
        return Source("segment", "cutter", "3", {"cuts": len(self.cuts)}, "made up")

    def watch(self, video: Video) -> Watching:
        self.watching = Watching(self.cuts)
        return self.watching

    def spans(self, video: Video) -> list[Span] | None:
        return self.quick if self.fast else None


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A shelf with one segmenter, "cutter"; `made` is the last one loaded."""
    state: dict[str, Any] = {"cuts": {0.8: 0.9, 1.2: 0.1, 1.4: 0.8}, "quick": None}

    def load(*, fast: bool = False) -> Cutter:
        state["made"] = Cutter(state["cuts"], state["quick"], fast)
        return state["made"]

    monkeypatch.setattr(registry, "module", lambda shelf, name: SimpleNamespace(load=load))
    return state


@pytest.fixture
def film(tmp_path: Path) -> Path:
    write_video(tmp_path / "film.mp4", count=50)
    return tmp_path / "film.mp4"


def test_shots_become_a_track(shelf: dict[str, Any], film: Path) -> None:
    track = segment(film, segmenter="cutter")
    assert track.level == "shot"
    assert [caption.span for caption in track] == [Span(0, 0.8), Span(0.8, 1.2), Span(1.2, 1.4), Span(1.4, 2.0)]
    assert [caption.text for caption in track] == ["Shot 1", "Shot 2", "Shot 3", "Shot 4"]
    assert track.duration == 2.0
    assert track.name == "film.mp4"
    assert track.video == open_video(film).id
    assert track.source == Source("segment", "cutter", "3", {"cuts": 3}, "made up")
    assert shelf["made"].watching.frames == 50


def test_rules_make_clips_and_stand_in_the_source(shelf: dict[str, Any], film: Path) -> None:
    track = segment(film, segmenter="cutter", rules=ClipRules(shortest=0.5))
    assert track.level == "clip"
    # 1.2-1.4 joins across its weaker boundary, at 1.2.
    assert [caption.span for caption in track] == [Span(0, 0.8), Span(0.8, 1.4), Span(1.4, 2.0)]
    assert track.captions[0].text == "Clip 1"
    assert track.source.settings == {"cuts": 3, "rules": {"shortest": 0.5}}
    counted = segment(film, segmenter="cutter", rules=ClipRules(count=(1, 2)))
    assert counted.source.settings["rules"] == {"count": [1, 2]}
    assert len(counted) == 2


def test_rules_by_name(shelf: dict[str, Any], film: Path) -> None:
    assert [caption.span for caption in segment(film, segmenter="cutter", rules="lovr")] == [Span(0, 2.0)]
    with pytest.raises(UsageError, match="did you mean 'lovr'"):
        segment(film, segmenter="cutter", rules="lovrr")


def test_a_grid_needs_no_segmenter_and_no_pass(shelf: dict[str, Any], film: Path) -> None:
    track = segment(film, segmenter="cutter", rules=ClipRules(grid=0.75))
    assert [caption.span for caption in track] == [Span(0, 0.75), Span(0.75, 1.5), Span(1.5, 2.0)]
    assert track.source == Source("segment", "grid", settings={"rules": {"grid": 0.75}})
    assert "made" not in shelf


def test_a_fast_segmenter_needs_no_pass(shelf: dict[str, Any], film: Path) -> None:
    shelf["quick"] = [Span(0, 1), Span(1, 2)]
    track = segment(film, segmenter="cutter", fast=True)
    assert [caption.span for caption in track] == [Span(0, 1), Span(1, 2)]
    assert shelf["made"].watching is None


def test_fast_without_a_shortcut_watches(shelf: dict[str, Any], film: Path) -> None:
    assert len(segment(film, segmenter="cutter", fast=True)) == 4


def test_an_open_video_is_taken_too_and_stays_open(shelf: dict[str, Any], film: Path) -> None:
    with open_video(film) as video:
        assert len(segment(video, segmenter="cutter")) == 4
        assert len(video.frames([0.5])) == 1


def test_options_that_the_segmenter_does_not_take(shelf: dict[str, Any], film: Path) -> None:
    with pytest.raises(UsageError, match="'cutter' does not take 'every'; its options: fast"):
        segment(film, segmenter="cutter", every=4.0)


def test_damage_stands_in_the_note(shelf: dict[str, Any], tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    write_video(whole, count=250, options={"g": "10"})
    (tmp_path / "half.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    track = segment(tmp_path / "half.mkv", segmenter="cutter")
    assert track.source.note.startswith("made up; pictures end at")
    assert track.duration is not None
    assert track.duration < 9
    assert track.captions[-1].span.end == track.duration


def test_nothing_decodable_is_an_error(shelf: dict[str, Any], film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Video, "scan", lambda *args, **kwargs: iter(()))
    with pytest.raises(MediaError, match="not one picture"):
        segment(film, segmenter="cutter")


def test_shots_of_another_pass_become_a_track(film: Path) -> None:
    with open_video(film) as video:
        track = as_track(video, [Span(0, 1), Span(1, 2)], Source("segment", "shots"), rules=ClipRules(shortest=1.5))
    assert [caption.span for caption in track] == [Span(0, 2)]


def test_progress_is_told(shelf: dict[str, Any], film: Path) -> None:
    seen: list[tuple[float, float]] = []
    segment(film, segmenter="cutter", progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert seen[-1] == (pytest.approx(1.96), 2.0)


def test_equal_pieces_by_the_built_in_segmenter(film: Path) -> None:
    track = segment(film, segmenter="fixed", every=0.75)
    assert [caption.span for caption in track] == [Span(0, 0.75), Span(0.75, 1.5), Span(1.5, 2.0)]
    assert track.level == "shot"

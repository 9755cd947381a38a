"""The tree of a video: levels that partition it, links that hold, summaries at every timescale."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot.captioning import describe as describing
from longshot.captioning.describe import Watched
from longshot.captioning.recap import (
    MOST_CHILDREN,
    Tier,
    Unit,
    boundary_strengths,
    check_children,
    group,
    outline,
    pauses,
    plan,
    recap,
    segment_length,
)
from longshot.captioning.transcribe import Heard
from longshot.contracts import Description, Glance, Progress, Scene
from longshot.errors import FormatError, NoPictures
from longshot.timeline import Caption, Source, Span, Track
from tests.videos import write_video

if TYPE_CHECKING:
    from longshot.video import Video


class Teller:
    """A describer that says when a scene is and how much it was shown."""

    source = Source("describe", "teller", "1")

    def __init__(self, words: Sequence[str] = ()) -> None:
        self.words = words
        self.frames_seen = 0
        self.asked = 0

    def see(self, glance: Glance) -> None:
        self.frames_seen += len(glance)

    def describe(self, scenes: Sequence[Scene]) -> list[Description]:
        told = []
        for scene in scenes:
            word = self.words[self.asked % len(self.words)] if self.words else "A still shot"
            self.asked += 1
            told.append(Description(f"{word} of {scene.span.length:.0f} seconds.", {"said": len(scene.speech)}))
        return told


class Cutter:
    """A segmenter that cuts where it is told."""

    source = Source("segment", "cutter")

    def __init__(self, *cuts: float) -> None:
        self.cuts = cuts

    def spans(self, video: Video) -> None:
        return None

    def watch(self, video: Video) -> Cutter:
        return self

    def see(self, glance: Glance) -> None:
        pass

    def finish(self, end: float) -> list[Span]:
        edges = [0.0, *(cut for cut in self.cuts if 0 < cut < end), end]
        return [Span(a, b) for a, b in itertools.pairwise(edges)] if end else []


def track(level: str, captions: Sequence[Caption], duration: float, *, note: str = "") -> Track:
    return Track("v1", level, Source("test", "test", note=note), tuple(captions), "reef.mp4", duration)


class Stand:
    """What stands in for a Video when only its names are asked for."""

    id, name, path, has_video = "v1", "reef.mp4", "reef.mp4", True


def watched(
    duration: float, cuts: Sequence[float], *, speech: Track | None = None, screen: Track | None = None
) -> tuple[Watched, Track]:
    spans = Cutter(*cuts).finish(duration)
    shots = track("shot", [Caption(span, f"Shot {i}") for i, span in enumerate(spans, start=1)], duration)
    clips = track("clip", [Caption(span, f"A still shot, number {i}.") for i, span in enumerate(spans)], duration)
    return Watched(cast("Video", Stand()), duration, shots, speech, screen, Teller()), clips


def check_partition(made: Sequence[Track], clips: Track, duration: float) -> None:
    """Every level runs from 0 to the end without gap or overlap, and holds each finer line exactly once."""
    finer = clips
    for level in reversed(made):
        assert level.captions[0].span.start == 0.0
        assert level.captions[-1].span.end == duration
        for one, two in zip(level.captions, level.captions[1:], strict=False):
            assert one.span.end == two.span.start
        children = [child for caption in level for child in caption.details["children"]]
        assert children == [finer.id_of(i) for i in range(len(finer))]
        finer = level
    assert next(t.level for t in made) == "video"
    assert len(made[0]) == 1


# --- dividing


@pytest.mark.parametrize(
    ("duration", "seconds"), [(0, 12), (10, 12), (60, 23.2), (600, 73.5), (3600, 180), (10800, 180)]
)
def test_segments_grow_with_the_video(duration: float, seconds: float) -> None:
    assert segment_length(duration) == pytest.approx(seconds, abs=0.1)


def test_a_row_without_changes_divides_evenly() -> None:
    assert group([5.0] * 12, np.zeros(11), target=20.0, most=12) == [(0, 4), (4, 8), (8, 12)]


def test_a_group_ends_where_most_changes() -> None:
    strengths = np.zeros(11)
    strengths[4] = 0.8
    assert group([5.0] * 12, strengths, target=30.0, most=12) == [(0, 5), (5, 12)]


def test_a_group_never_holds_more_than_most() -> None:
    assert all(last - first <= 3 for first, last in group([1.0] * 20, np.zeros(19), target=100.0, most=3))


def test_strength_peaks_where_the_talk_and_the_picture_change() -> None:
    topics = [("coral", "reef", "algae")] * 5 + [("engine", "piston", "oil")] * 5
    looks = [("blue",)] * 5 + [("grey",)] * 5
    units = [
        Unit(Span(5 * i, 5 * i + 5), topic, look) for i, (topic, look) in enumerate(zip(topics, looks, strict=True))
    ]
    strengths = boundary_strengths(units, reach=15)
    assert strengths.argmax() == 4
    assert strengths[4] > 1.5 * np.delete(strengths, 4).max()


def test_pauses_speak_for_a_boundary_and_sentences_against() -> None:
    said = [Span(0, 4), Span(5, 11), Span(20, 24)]
    spans = [Span(0, 4.5), Span(4.5, 8), Span(8, 15), Span(15, 24)]
    assert pauses(said, spans).tolist() == [1.0, -3.0, 3.0]


def test_file_chapters_are_kept() -> None:
    units = [Unit(Span(4 * i, 4 * i + 4)) for i in range(30)]
    segments = next(tier for tier in plan(units, marks=[0.0, 16.3, 100.0]) if tier.level == "segment")
    starts = {units[first].span.start for first, _ in segments.groups}
    assert {0.0, 16.0, 100.0} <= starts


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.04, 25.0), min_size=1, max_size=400), st.integers(0, 5))
def test_every_level_divides_the_one_below_exactly_once(lengths: list[float], seed: int) -> None:
    chance = random.Random(seed)
    edges = [0.0, *np.cumsum(lengths).tolist()]
    words = ["coral", "engine", "night", "rain", "song"]
    units = [
        Unit(Span(a, b), tuple(chance.choices(words, k=3)), (chance.choice(words),))
        for a, b in itertools.pairwise(edges)
    ]
    tiers = plan(units)
    count = len(units)
    for tier in tiers:
        flat = [i for first, last in tier.groups for i in range(first, last)]
        assert flat == list(range(count))
        assert all(last > first for first, last in tier.groups)
        count = len(tier.groups)
    assert tiers[-1].level == "video"
    assert count == 1
    names = [tier.level for tier in tiers]
    assert len(set(names)) == len(names)
    for tier in tiers[1:]:
        assert all(last - first <= MOST_CHILDREN for first, last in tier.groups)
    assert all(last - first <= MOST_CHILDREN for first, last in tiers[0].groups)


@pytest.mark.parametrize(
    ("count", "seconds", "levels"),
    [
        (1, 5.0, ["segment", "video"]),
        (12, 5.0, ["segment", "video"]),
        (150, 4.0, ["scene", "segment", "video"]),
        (1300, 8.0, ["scene", "segment", "chapter", "video"]),
        (9000, 8.0, ["scene", "segment", "chapter", "part", "video"]),
    ],
)
def test_levels_appear_when_children_would_not_fit(count: int, seconds: float, levels: list[str]) -> None:
    tiers: list[Tier] = plan([Unit(Span(seconds * i, seconds * (i + 1))) for i in range(count)])
    assert [tier.level for tier in tiers] == levels


# --- the outline of known tracks


def test_an_outline_of_a_talk_divides_at_its_topics() -> None:
    topics = [
        ["Corals are animals.", "Corals live with algae.", "Algae feed the corals."],
        ["Engines burn oil.", "The piston moves in the engine.", "Oil cools the piston."],
        ["Bread needs yeast.", "Yeast makes dough rise.", "The dough becomes bread."],
    ]
    cues = [Caption(Span(5 * i + 0.2, 5 * i + 4.5), text) for i, text in enumerate(t for some in topics for t in some)]
    seen, clips = watched(45.0, [5 * i for i in range(1, 9)], speech=track("speech", cues, 45.0))
    made = outline(seen, clips, segment_seconds=15)
    check_partition(made, clips, 45.0)
    video, segments = made
    assert [caption.span for caption in segments] == [Span(0, 15), Span(15, 30), Span(30, 45)]
    for caption, topic in zip(segments, ("coral", "piston", "dough"), strict=True):
        assert topic in caption.text.casefold()
        assert caption.details["title"]
    quoted = video.captions[0].text.casefold()
    assert all(any(word in quoted for word in own) for own in (("coral",), ("oil", "piston"), ("yeast", "dough")))
    check_children([*made, clips, cast(Track, seen.shots), cast(Track, seen.speech)])


def test_titles_come_from_the_file_then_from_the_screen() -> None:
    screen = track("screen", [Caption(Span(20.2, 23), "Night shift", 0.99, {"box": [0.2, 0.4, 0.8, 0.55]})], 40.0)
    seen, clips = watched(40.0, [5.0 * i for i in range(1, 8)], screen=screen)
    chapters = [Caption(Span(0, 20), "Morning"), Caption(Span(20, 40), "Evening")]
    plain = outline(seen, clips, segment_seconds=20)[1]
    named = outline(seen, clips, segment_seconds=20, chapters=chapters)[1]
    assert plain.captions[1].details["title"] == "Night shift"
    assert [caption.details["title"] for caption in named] == ["Morning", "Evening"]


def test_a_video_is_called_by_its_opening_title_or_its_file() -> None:
    box = {"box": [0.2, 0.4, 0.8, 0.55]}
    late = Caption(Span(20.2, 23), "Night shift", 0.99, box)
    early = Caption(Span(1, 4), "The living reef", 0.99, box)
    for captions, title in (([late], "reef"), ([early, late], "The living reef")):
        seen, clips = watched(40.0, [10.0, 20.0, 30.0], screen=track("screen", captions, 40.0))
        assert outline(seen, clips)[0].captions[0].details["title"] == title


def test_an_only_segment_is_told_as_the_video_is() -> None:
    seen, clips = watched(10.0, [5.0])
    video, segments = outline(seen, clips)
    assert video.captions[0].text == segments.captions[0].text
    assert video.captions[0].details["rests_on"] == segments.captions[0].details["rests_on"]


def test_titles_differ_where_they_can() -> None:
    seen, clips = watched(200.0, [5.0 * i for i in range(1, 40)])
    titles = [caption.details["title"] for caption in outline(seen, clips)[1]]
    assert len(set(titles)) == len(titles)


def test_sound_alone_is_divided_between_sentences() -> None:
    cues = [Caption(Span(4 * i, 4 * i + 3), f"Sentence number {i} is here.") for i in range(30)]
    speech = track("speech", cues, 120.0)
    seen = Watched(cast("Video", Stand()), 120.0, None, speech, None, Teller())
    made = outline(seen, None)
    assert [t.level for t in made] == ["video", "segment"]
    assert made[1].captions[0].span.start == 0.0
    assert made[1].captions[-1].span.end == 120.0
    children = [child for caption in made[1] for child in caption.details["children"]]
    assert children == [speech.id_of(i) for i in range(30)]
    check_children([*made, speech])


@pytest.mark.parametrize(
    "texts",
    [
        ["今天我们学习珊瑚。", "珊瑚是动物。", "它们和海藻一起生活。"],
        ["الشعاب المرجانية حيوانات.", "تعيش مع الطحالب.", "الماء يسخن."],
        ["प्रवाल जीव हैं।", "वे शैवाल के साथ रहते हैं।", "पानी गरम हो रहा है।"],
        ["ปะการังเป็นสัตว์", "มันอยู่กับสาหร่าย", "น้ำกำลังอุ่นขึ้น"],
    ],
)
def test_speech_in_other_scripts_is_quoted_whole(texts: list[str]) -> None:
    cues = [Caption(Span(4 * i, 4 * i + 3), text) for i, text in enumerate(texts)]
    seen, clips = watched(12.0, [4.0, 8.0], speech=track("speech", cues, 12.0))
    video = outline(seen, clips)[0].captions[0]
    assert any(text in video.text for text in texts)
    assert video.details["title"]


def test_hours_stay_quick_and_every_part_is_told() -> None:
    count, chance = 3000, random.Random(7)
    cuts = np.cumsum([chance.uniform(2.0, 6.0) for _ in range(count)]).tolist()
    duration = float(cuts[-1])
    vocabulary = [f"word{i}" for i in range(2000)]
    cues = [
        Caption(
            Span(i * duration / count, (i + 0.9) * duration / count), " ".join(chance.choices(vocabulary, k=9)) + "."
        )
        for i in range(count)
    ]
    seen, clips = watched(duration, cuts[:-1], speech=track("speech", cues, duration))
    began = time.process_time()
    made = outline(seen, clips)
    spent = time.process_time() - began
    check_partition(made, clips, duration)
    check_children([*made, clips, cast(Track, seen.speech)])
    quoted = [cues[int(rest[7:]) - 1].span.start / duration for rest in made[0].captions[0].details["rests_on"]]
    assert min(quoted) < 0.34
    assert max(quoted) > 0.66
    assert spent < 3.0
    assert made == outline(seen, clips)


# --- checking links


def links(**details: object) -> list[Track]:
    clips = track("clip", [Caption(Span(0, 5), "a"), Caption(Span(5, 10), "b")], 10.0)
    return [track("segment", [Caption(Span(0, 5), "s", None, dict(details)), Caption(Span(5, 10), "t")], 10.0), clips]


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ({"children": ["clip-0009"]}, "names clip-0009, which is in none"),
        ({"children": ["clip-0002"]}, "child clip-0002 lies outside"),
        ({"children": ["clip-0001", "clip-0001"]}, "also belongs to segment-0001"),
        ({"children": "clip-0001"}, "must be a list"),
        ({"children": [1]}, "must be a list"),
        ({"children": 3}, "must be a list"),
        ({"rests_on": ["speech-0001"]}, "names speech-0001"),
    ],
)
def test_a_broken_link_is_named(details: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        check_children(links(**details))


def test_good_links_pass() -> None:
    check_children(links(children=["clip-0001"], rests_on=["clip-0001"]))
    check_children([])


# --- whole files


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    write_video(path, count=24 * 5, fps=5, size=(64, 48))
    return path


def hear(monkeypatch: pytest.MonkeyPatch, speech: Track) -> None:
    monkeypatch.setattr(describing, "hear", lambda video, **_: Heard(speech, "sidecar", ()))


def test_recap_of_a_file(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cues = [Caption(Span(1, 4), "Corals are animals."), Caption(Span(14, 18), "The water is warm.")]
    hear(monkeypatch, track("speech", cues, 24.0))
    teller, told = Teller(["A blue picture", "A red picture"]), list[tuple[float, float]]()
    tracks = recap(
        film,
        describer=teller,
        segmenter=Cutter(4.0, 8.0, 12.0, 13.0, 16.0, 20.0),
        screen=False,
        progress=cast(Progress, lambda done, total: told.append((done, total))),
    )
    by_level = {t.level: t for t in tracks}
    assert list(by_level) == ["video", "segment", "clip", "shot", "speech"]
    assert teller.frames_seen == 24 * 5
    clips = by_level["clip"]
    assert [c.span for c in clips] == [Span(0, 4), Span(4, 8), Span(8, 12), Span(12, 16), Span(16, 20), Span(20, 24)]
    assert clips.captions[3].details["children"] == ["shot-0004", "shot-0005"]
    check_partition(tracks[:2], clips, 24.0)
    assert "“Corals are animals.”" in by_level["video"].captions[0].text
    assert "extractive" in by_level["video"].source.note
    assert told[-1][0] <= told[-1][1]
    assert [a <= b for (a, _), (b, _) in itertools.pairwise(told)].count(False) == 0


def test_a_long_shot_is_split_and_its_clips_say_so(film: Path) -> None:
    tracks = recap(film, describer=Teller(), segmenter=Cutter(), speech="none", screen=False)
    clips = next(t for t in tracks if t.level == "clip")
    assert [c.details["children"] for c in clips] == [[], []]
    assert [c.details["part_of"] for c in clips] == [["shot-0001"], ["shot-0001"]]


def test_one_frame(tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    write_video(path, times=[Fraction(0)], size=(64, 48))
    tracks = recap(path, describer=Teller(), segmenter=Cutter(), speech="none", screen=False)
    assert [(t.level, len(t)) for t in tracks] == [("video", 1), ("segment", 1), ("clip", 1), ("shot", 1)]
    assert len({t.captions[0].span for t in tracks}) == 1
    assert tracks[0].captions[0].text


def test_sound_without_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wave

    path = tmp_path / "talk.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(2 * 8000 * 3))
    hear(monkeypatch, track("speech", [Caption(Span(0, 2), "Corals are animals.")], 3.0))
    tracks = recap(path, describer=Teller())
    assert [t.level for t in tracks] == ["video", "segment", "speech"]
    assert tracks[0].captions[0].span == Span(0, 3)
    hear(monkeypatch, track("speech", [], 3.0, note="nothing here can hear"))
    with pytest.raises(NoPictures, match=r"sound but no pictures.*nothing here can hear"):
        recap(path, describer=Teller())

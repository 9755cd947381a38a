from __future__ import annotations

import itertools
import math
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot.clips import PRESETS, TOLERANCE, ClipRules, apply, preset
from longshot.errors import UsageError
from longshot.timeline import Span


def spans_of(*edges: float) -> list[Span]:
    return [Span(start, stop) for start, stop in itertools.pairwise(edges)]


def edges_of(spans: list[Span]) -> list[float]:
    return [spans[0].start, *(span.end for span in spans)]


def assert_whole(spans: list[Span], end: float) -> None:
    assert spans[0].start == 0
    assert spans[-1].end == end
    assert all(first.end == second.start for first, second in itertools.pairwise(spans))
    assert all(span.length > 0 for span in spans)


def test_no_rules_keep_the_shots() -> None:
    shots = spans_of(0, 1.5, 9, 40)
    assert apply(shots, ClipRules(), end=40) == shots


def test_a_short_shot_joins_its_shorter_neighbour() -> None:
    assert edges_of(apply(spans_of(0, 6, 7, 10), ClipRules(shortest=2), end=10)) == [0, 6, 10]


def test_a_short_shot_joins_across_the_weaker_boundary() -> None:
    shots = spans_of(0, 6, 7, 10)
    assert edges_of(apply(shots, ClipRules(shortest=2), end=10, strengths=[0.2, 0.9])) == [0, 7, 10]


def test_a_join_that_keeps_to_the_longest_goes_first() -> None:
    shots = spans_of(0, 9.5, 10.5, 19)
    rules = ClipRules(shortest=2, longest=10)
    assert edges_of(apply(shots, rules, end=19, strengths=[0.1, 0.9])) == [0, 9.5, 19]


def test_a_long_shot_is_split_evenly() -> None:
    assert edges_of(apply(spans_of(0, 5, 30), ClipRules(longest=10), end=30)) == [
        0,
        5,
        pytest.approx(5 + 25 / 3),
        pytest.approx(5 + 50 / 3),
        30,
    ]


def test_the_example_of_the_docstring() -> None:
    shots = spans_of(0, 7, 7.5, 33)
    assert edges_of(apply(shots, ClipRules(shortest=2, longest=10), end=33)) == [0, 7.5, 16, 24.5, 33]


def test_a_video_shorter_than_the_shortest_is_one_clip() -> None:
    assert apply(spans_of(0, 1, 2), ClipRules(shortest=5), end=2) == [Span(0, 2)]


def test_no_pictures_give_no_clips() -> None:
    assert apply([], ClipRules(shortest=5), end=0) == []


def test_no_cut_gives_one_clip_and_never_none() -> None:
    for name in PRESETS:
        assert_whole(apply([Span(0, 300)], preset(name), end=300), 300)
    assert apply([Span(0, 300)], preset("lovr"), end=300) == [Span(0, 300)]


def test_spans_are_cut_or_stretched_to_the_end() -> None:
    assert edges_of(apply(spans_of(0, 4, 8, 12), ClipRules(), end=7.5)) == [0, 4, 7.5]
    assert edges_of(apply(spans_of(0, 4, 8), ClipRules(), end=8.25)) == [0, 4, 8.25]
    assert edges_of(apply([Span(2, 4), Span(4, 8)], ClipRules(), end=8)) == [0, 4, 8]


def test_too_many_clips_lose_the_weakest_boundaries() -> None:
    shots = spans_of(0, 10, 20, 30, 40)
    rules = ClipRules(count=(1, 2))
    assert edges_of(apply(shots, rules, end=40, strengths=[0.3, 0.9, 0.1])) == [0, 20, 40]
    assert edges_of(apply(spans_of(0, 10, 11, 12, 40), rules, end=40)) == [0, 12, 40]


def test_too_few_clips_split_the_longest() -> None:
    assert edges_of(apply(spans_of(0, 10, 40), ClipRules(count=(4, 9)), end=40)) == [0, 10, 20, 30, 40]


def test_the_lengths_come_before_the_number() -> None:
    assert len(apply([Span(0, 40)], ClipRules(shortest=10, count=(64, 100)), end=40)) == 4
    assert len(apply([Span(0, 400)], ClipRules(longest=2, count=(64, 100)), end=400)) == 200


def test_a_grid_ignores_the_shots() -> None:
    assert edges_of(apply(spans_of(0, 3, 10), preset("recap-clip"), end=10)) == [0, 4, 8, 10]
    assert edges_of(apply([Span(0, 8)], preset("recap-clip"), end=8)) == [0, 4, 8]
    assert edges_of(apply([Span(0, 2)], preset("recap-clip"), end=2)) == [0, 2]
    assert edges_of(apply([], preset("recap-segment"), end=400)) == [0, 180, 360, 400]


def test_a_short_rest_of_a_grid_joins_the_last_clip() -> None:
    assert edges_of(apply([], ClipRules(grid=4, shortest=1), end=8.5)) == [0, 4, 8.5]
    assert edges_of(apply([], ClipRules(grid=4, shortest=1), end=9)) == [0, 4, 8, 9]


@pytest.mark.parametrize(
    ("cuts", "kept"),
    [
        ([3, 20, 22, 40], [20, 40]),  # the row of the docstring
        ([10, 20, 30], [10, 20, 30]),
        ([4.9], []),  # too near the start: LoVR drops it
        ([5.0], [5.0]),
        ([10, 11, 12], [10]),  # a burst shorter than 5 s leaves only the cut before it
        ([10, 12, 14, 16, 18], [10, 18]),  # a burst of 6 s: its last cut passes
        ([10, 12, 14, 16, 58], [10]),  # no quiet 5 s before the end of the video
        ([10, 12, 30], [10, 30]),  # an unfinished burst swallows the next cut as its last
    ],
)
def test_lovr_joins_as_its_flash_filter_did(cuts: list[float], kept: list[float]) -> None:
    assert edges_of(apply(spans_of(0, *cuts, 60), preset("lovr"), end=60)) == [0, *kept, 60]


def test_lovr_agrees_with_pyscenedetect_on_random_cuts() -> None:
    detector = pytest.importorskip("scenedetect.detector")
    from scenedetect import FrameTimecode

    rng = random.Random(7)
    for _ in range(30):
        frames = 25 * 60
        cuts = sorted(rng.sample(range(1, frames), rng.randint(1, 25)))
        oracle = detector.FlashFilter(detector.FlashFilter.Mode.MERGE, 5 * 25)
        passed = [
            found.frame_num
            for frame in range(frames)
            for found in oracle.filter(FrameTimecode(frame, fps=25.0), frame in set(cuts))
        ]
        ours = apply(spans_of(0, *(cut / 25 for cut in cuts), frames / 25), preset("lovr"), end=frames / 25)
        assert [round(span.start * 25) for span in ours[1:]] == passed


def test_lovr_count_reaches_the_target_that_lovr_switched_off() -> None:
    rng = random.Random(3)
    for shots in (5, 80, 500):
        cuts = sorted(rng.uniform(0, 3000) for _ in range(shots))
        clips = apply(spans_of(0, *cuts, 3000), preset("lovr-count"), end=3000)
        assert 64 <= len(clips) <= 100
        assert min(span.length for span in clips) >= 5 - TOLERANCE


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shortest": -1}, "shortest clip"),
        ({"shortest": math.nan}, "shortest clip"),
        ({"shortest": math.inf}, "shortest clip"),
        ({"shortest": 3, "longest": 5}, "at least twice"),
        ({"longest": 0}, "at least twice"),
        ({"longest": math.nan}, "at least twice"),
        ({"count": (0, 4)}, "range from 1 up"),
        ({"count": (9, 4)}, "range from 1 up"),
        ({"grid": 0}, "above 0"),
        ({"grid": math.inf}, "above 0"),
        ({"grid": 4, "count": (1, 2)}, "a grid takes only"),
        ({"grid": 4, "longest": 8}, "a grid takes only"),
        ({"grid": 4, "shortest": 5}, "a grid takes only"),
    ],
)
def test_rules_that_cannot_be_meant(fields: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ClipRules(**fields)  # type: ignore[arg-type]


def test_arguments_that_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match="end of a video"):
        apply([], ClipRules(), end=-1)
    with pytest.raises(UsageError, match="end of a video"):
        apply([], ClipRules(), end=math.inf)
    with pytest.raises(UsageError, match="2 spans have 1 boundaries, got 2"):
        apply(spans_of(0, 1, 2), ClipRules(), end=2, strengths=[1, 2])
    with pytest.raises(UsageError, match="did you mean 'lovr'"):
        preset("lovrr")


def test_twenty_thousand_shots_take_no_time() -> None:
    shots = spans_of(*(index * 0.1 for index in range(20001)))
    began = time.perf_counter()
    clips = apply(shots, ClipRules(shortest=2, count=(64, 100)), end=2000.0)
    assert len(clips) == 100
    assert time.perf_counter() - began < 5


lengths = st.lists(st.floats(0.0, 60.0, allow_nan=False), min_size=1, max_size=30)


@st.composite
def shots_with_strengths(draw: st.DrawFn) -> tuple[list[Span], list[float] | None]:
    edges = [0.0, *itertools.accumulate(draw(lengths))]
    if edges[-1] == 0:
        edges.append(1.0)
    spans = spans_of(*edges)
    known = st.lists(st.floats(0, 1), min_size=len(spans) - 1, max_size=len(spans) - 1)
    return spans, draw(st.none() | known)


@st.composite
def some_rules(draw: st.DrawFn) -> ClipRules:
    shortest = draw(st.just(0.0) | st.floats(0.01, 20))
    longest = draw(st.just(math.inf) | st.floats(max(2 * shortest, 0.05), 60))
    low = draw(st.integers(1, 40))
    count = draw(st.none() | st.tuples(st.just(low), st.integers(low, 60)))
    return ClipRules(shortest=shortest, longest=longest, count=count)


@given(shots_with_strengths(), some_rules())
@settings(max_examples=300, deadline=None)
def test_clips_cover_the_video_and_keep_to_the_lengths(
    shots: tuple[list[Span], list[float] | None], rules: ClipRules
) -> None:
    spans, strengths = shots
    end = spans[-1].end
    clips = apply(spans, rules, end=end, strengths=strengths)
    assert_whole(clips, end)
    assert all(clip.length <= rules.longest + 2 * TOLERANCE for clip in clips)
    if end >= rules.shortest:
        assert all(clip.length >= rules.shortest - 2 * TOLERANCE for clip in clips)
    if rules.count is not None and math.isinf(rules.longest):
        assert len(clips) <= rules.count[1]
        assert len(clips) >= rules.count[0] or end / rules.count[0] < 2 * max(rules.shortest, 0.001)


@given(shots_with_strengths(), some_rules())
@settings(max_examples=300, deadline=None)
def test_rules_applied_twice_change_nothing(shots: tuple[list[Span], list[float] | None], rules: ClipRules) -> None:
    spans, strengths = shots
    end = spans[-1].end
    once = apply(spans, rules, end=end, strengths=strengths)
    assert apply(once, rules, end=end) == once


@given(shots_with_strengths(), st.floats(0.5, 10), st.floats(0, 0.5))
@settings(max_examples=100, deadline=None)
def test_a_grid_covers_the_video(shots: tuple[list[Span], list[float] | None], grid: float, shortest: float) -> None:
    end = shots[0][-1].end
    rules = ClipRules(grid=grid, shortest=shortest)
    clips = apply(shots[0], rules, end=end)
    assert_whole(clips, end)
    assert apply(clips, rules, end=end) == clips


@given(shots_with_strengths())
@settings(max_examples=100, deadline=None)
def test_the_flash_filter_covers_the_video(shots: tuple[list[Span], list[float] | None]) -> None:
    end = shots[0][-1].end
    assert_whole(apply(shots[0], preset("lovr"), end=end), end)

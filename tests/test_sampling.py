from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot import sampling
from longshot.errors import UsageError
from longshot.sampling import Sampler
from longshot.timeline import Span

lengths = st.floats(0.01, 20_000, allow_nan=False)
starts = st.floats(0, 10_000, allow_nan=False)


@given(starts, lengths, st.sampled_from(["middle", "endpoints"]), st.integers(1, 400))
def test_a_count_covers_the_span_whatever_it_is(start, length, policy, count):
    span = Span(start, start + length)
    times = Sampler(policy, count=count).times(span)
    assert len(times) == count
    assert times == sorted(times)
    assert span.start <= times[0] and times[-1] <= span.end
    assert sampling.coverage(times, span) >= 0.97


@given(starts, st.floats(0.01, 4000), st.sampled_from(["every", "fps"]), st.floats(0.05, 60), st.integers(1, 300))
def test_grids_and_their_caps_cover_the_span(start, length, policy, number, at_most):
    span = Span(start, start + length)
    sampler = Sampler(policy, seconds=number, rate=1 / number, at_most=at_most)
    times = sampler.times(span)
    assert 1 <= len(times) <= at_most
    assert span.start <= times[0] and times[-1] <= span.end + 1e-6
    assert sampling.coverage(times, span) >= 0.97


def test_worked_rows_of_the_policies():
    assert sampling.middle(Span(0, 8), 4) == [1, 3, 5, 7]
    assert sampling.endpoints(Span(0, 9), 4) == [0, 3, 6, 9]
    assert sampling.every(Span(0, 5), 2) == [0, 2, 4]
    assert sampling.at_rate(Span(0, 2.2), 2) == pytest.approx([0.275, 0.825, 1.375, 1.925])


def test_coverage_counts_what_first_frames_only_would_miss():
    assert sampling.coverage(list(range(16)), Span(0, 31)) == pytest.approx(16 / 31)
    assert sampling.coverage(list(range(0, 192, 3)), Span(0, 250)) == pytest.approx(192 / 250)
    assert sampling.coverage([], Span(0, 1)) == 0


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        (sampling.carebench_middle(100, 8), [5, 18, 30, 43, 55, 68, 80, 93]),
        (sampling.carebench_middle(5, 8), [0, 1, 2, 3, 4, 4, 4, 4]),
        (sampling.carebench_fps(100, 25, 2), [6, 19, 31, 44, 56, 69, 81, 94]),
        (sampling.carebench_fps(100, 25, 2, at_most=3), [6, 19, 31]),
        (sampling.tarsier_endpoints(100, 8), [0, 14, 28, 42, 57, 71, 85, 99]),
        (sampling.tarsier_endpoints(5, 8), [0, 1, 1, 2, 2, 3, 3, 4]),
        (sampling.tarsier_endpoints(5, 1), [0]),
        (sampling.tarsier2(5, 8), [0, 1, 2, 3, 4]),
        (sampling.tarsier2_parts(100, 8), [6, 19, 32, 45, 57, 69, 81, 93]),
        (sampling.recap_window(0, 120), [15, 45, 74, 104]),
        (sampling.recap_uniform(9, 2), [3, 6]),
        (sampling.lovr_stride(70, 30), [0, 30, 60]),
    ],
)
def test_index_rules_of_published_systems(indices, expected):
    assert indices == expected


@given(st.integers(1, 3000), st.integers(1, 128))
def test_index_rules_stay_inside_and_in_order(frames, count):
    for rule in (sampling.carebench_middle, sampling.tarsier_endpoints, sampling.tarsier2, sampling.tarsier2_parts):
        indices = rule(frames, count)
        assert indices == sorted(indices)
        assert indices[0] >= 0 and indices[-1] < frames
    assert len(sampling.recap_uniform(frames, count)) == count


def test_lovr_asks_for_eight_to_sixty_four():
    assert [sampling.lovr_count(seconds) for seconds in (2, 16.9, 500)] == [8, 16, 64]
    assert sampling.carebench_trim30(3000, 25) == 750
    assert sampling.carebench_trim30(700, 25) == 700


def test_near_moves_only_as_far_as_allowed():
    assert sampling.near_keyframes([5, 20], [0, 8, 21], within=2) == [5, 21]
    assert sampling.near_keyframes([5, 20], [], within=2) == [5, 20]
    near = Sampler("middle", count=4, near=1.0).times(Span(0, 8), keyframes=[0, 2, 4, 6])
    assert all(abs(time - exact) <= 1 for time, exact in zip(near, [1, 3, 5, 7], strict=True))
    assert set(near) <= {0, 2, 4, 6}


@pytest.mark.parametrize(
    "made_of",
    [
        {"policy": "random"},
        {"count": 0},
        {"at_most": 0},
        {"seconds": 0.0},
        {"rate": float("nan")},
        {"near": -1.0},
    ],
)
def test_impossible_samplers_are_refused_with_what_came(made_of):
    with pytest.raises(UsageError, match=str(next(iter(made_of.values())))):
        Sampler(**made_of)


def test_no_frames_to_choose_from():
    with pytest.raises(UsageError, match="8 of 0"):
        sampling.carebench_middle(0, 8)

"""Two runs compared: by hand, by enumeration, and by simulation of many runs."""

from __future__ import annotations

from itertools import product
from math import inf, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot.errors import UsageError
from longshot.metrics.comparison import EXACT, Comparison, _student, paired, smallest_difference, spread
from longshot.metrics.intervals import Resampler, bounds


def test_the_worked_row() -> None:
    found = paired([2, 1, 1, 3, 0], [0, 0, 0, 0, 1], list("abcde"))
    assert (found.difference, found.p, found.n, found.clusters) == (1.2, 0.25, 5, 5)


def test_items_of_one_video_flip_together() -> None:
    # sums of videos: a 2, b 1; four ways give 3, 1, -1, -3
    assert paired([1, 1, 1], [0, 0, 0], ["a", "a", "b"]).p == 0.5
    # each item a video of its own: 8 ways, of which +++ and ---
    assert paired([1, 1, 1], [0, 0, 0], ["a", "b", "c"]).p == 0.25
    # within a video the differences cancel
    assert paired([1, 0, 0], [0, 1, 0], ["a", "a", "b"]) == Comparison(0.0, 0.0, 0.0, 1.0, 3, 2)


def test_what_one_run_does_not_count_is_left_out() -> None:
    nan = float("nan")
    found = paired([1, nan, 0, 1], [0, 1, nan, 1], ["a", "b", "c", "d"])
    assert (found.difference, found.n, found.clusters) == (0.5, 2, 2)
    assert paired([nan], [1.0], ["a"]) == Comparison(None, None, None, None, 0, 0)
    assert paired([], [], []) == Comparison(None, None, None, None, 0, 0)
    assert paired([1.0, 1.0], [0.0, 1.0], ["a", "a"]) == Comparison(0.5, None, None, 1.0, 2, 1)


def test_the_interval_is_that_of_the_bootstrap() -> None:
    random = np.random.default_rng(0)
    a, b = random.random(60), random.random(60)
    names = [str(k // 3) for k in range(60)]
    found = paired(a, b, names, seed=7, resamples=200)
    assert (found.low, found.high) == bounds(Resampler(names, seed=7, resamples=200).means(a - b))
    assert found == paired(a, b, names, seed=7, resamples=200)
    turned = paired(b, a, names, seed=7, resamples=200)
    assert turned.difference == -(found.difference or 0) and turned.p == found.p


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9), st.lists(st.integers(0, 5), min_size=9, max_size=9))
@settings(max_examples=60, deadline=None)
def test_p_equals_the_count_of_all_ways(differences: list[int], videos: list[int]) -> None:
    # Tenths: totals that are equal on paper differ in their last digits.
    values = [d / 10 for d in differences]
    names = [str(video) for video in videos[: len(values)]]
    sums = {name: sum(d for d, own in zip(differences, names, strict=True) if own == name) for name in names}
    total = abs(sum(sums.values()))
    ways = [
        abs(sum(s * x for s, x in zip(signs, sums.values(), strict=True)))
        for signs in product((1, -1), repeat=len(sums))
    ]
    expected = sum(way >= total for way in ways) / len(ways)
    assert paired(values, [0.0] * len(values), names, resamples=2).p == pytest.approx(expected)


def test_drawn_signs_come_close_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    values = random.normal(0.3, 1, EXACT)
    names = [str(k) for k in range(EXACT)]
    exact = paired(values, np.zeros(EXACT), names).p
    monkeypatch.setattr("longshot.metrics.comparison.EXACT", 1)
    monkeypatch.setattr("longshot.metrics.comparison._BLOCK", 1000)
    drawn = paired(values, np.zeros(EXACT), names, resamples=20_000).p
    assert exact is not None and drawn == pytest.approx(exact, abs=4 * sqrt(exact / 20_000))
    certain = paired(np.ones(200), np.zeros(200), [str(k) for k in range(200)], resamples=99).p
    assert certain == 0.01, "what came out counts among the drawn: never 0"


@pytest.mark.parametrize(
    ("a", "b", "names"),
    [([1.0], [1.0, 2.0], ["a"]), ([1.0], [1.0], ["a", "b"]), ([[1.0]], [[1.0]], ["a"]), ([inf], [1.0], ["a"])],
)
def test_what_cannot_be_compared(a: Any, b: Any, names: list[str]) -> None:
    with pytest.raises(UsageError):
        paired(a, b, names)


# --- the smallest difference


def test_smallest_difference_by_hand() -> None:
    # half of the items right, nothing in common: sqrt(2 / 4); 1,000 videos: .7071 / 31.62 = .02236, times 2.804
    assert spread(0.5, correlation=0) == pytest.approx(sqrt(0.5))
    assert smallest_difference(sqrt(0.5), 1000) == pytest.approx(0.0627, abs=1e-4)
    assert spread(0.5, correlation=1) == 0 and spread(1.0) == 0
    # 100 videos of 10 items each, likeness .5: an effect of 1 + 9 / 2
    names = [str(k // 10) for k in range(1000)]
    assert smallest_difference(1.0, names, alike=0.5) == pytest.approx(smallest_difference(sqrt(5.5), 1000), rel=0.02)
    # all alike: as many as videos
    assert smallest_difference(1.0, names, alike=1.0) == pytest.approx(smallest_difference(1.0, 100))


def test_smallest_difference_of_a_pilot() -> None:
    values = [1.0, 0.0, -1.0, 0.0, 2.0, 1.0, 0.0, 0.0]
    one_each = smallest_difference(values, 8)
    assert one_each == pytest.approx(smallest_difference(float(np.std(values, ddof=1)), 8))
    names = [str(k // 2) for k in range(16)]
    twice = smallest_difference(np.repeat(values, 2), names)
    assert twice == pytest.approx(one_each), "the same item twice in its video says nothing new"


def test_more_of_everything() -> None:
    assert smallest_difference(1.0, 400) < smallest_difference(1.0, 100)
    assert smallest_difference(1.0, 100, power=0.9) > smallest_difference(1.0, 100)
    assert smallest_difference(1.0, 100, level=0.01) > smallest_difference(1.0, 100)
    assert smallest_difference(1.0, 5) == inf and smallest_difference(1.0, 6) < inf, "2 / 2^5 > 0.05 >= 2 / 2^6"
    assert smallest_difference(1.0, 0) == inf and smallest_difference([], []) == inf
    assert smallest_difference([1.0], ["a"]) == inf


@pytest.mark.parametrize(
    ("values", "clusters", "options"),
    [
        (-1.0, 10, {}),
        (float("nan"), 10, {}),
        ([1.0, 2.0], 3, {}),
        (1.0, 10, {"alike": 1.5}),
        (1.0, 10, {"power": 1.0}),
        (1.0, 10, {"level": 0.0}),
    ],
)
def test_what_has_no_smallest_difference(values: Any, clusters: Any, options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        smallest_difference(values, clusters, **options)


def test_a_spread_has_a_share() -> None:
    with pytest.raises(UsageError):
        spread(1.2)


def test_quantiles_of_student() -> None:
    stats = pytest.importorskip("scipy.stats")
    for degrees in (5, 8, 20, 300):
        for share in (0.6, 0.8, 0.9, 0.975, 0.99):
            assert _student(share, degrees) == pytest.approx(stats.t.ppf(share, degrees), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("videos", "items"), [(12, 1), (40, 5)])
def test_simulated_runs_show_what_was_promised(videos: int, items: int) -> None:
    """With the smallest difference, four of five runs show it; without any, one of twenty claims one."""
    random = np.random.default_rng(videos)
    names = [str(k // items) for k in range(videos * items)]
    likeness = 0.4 if items > 1 else 0.0
    effect = smallest_difference(1.0, names, alike=likeness)
    runs = 600
    shown = {0.0: 0, effect: 0}
    covered = 0
    for true in shown:
        for run in range(runs):
            shared = np.repeat(random.normal(size=videos), items) * sqrt(likeness)
            differences = true + shared + random.normal(size=videos * items) * sqrt(1 - likeness)
            found = paired(differences, np.zeros(len(names)), names, seed=run, resamples=400)
            assert found.p is not None and found.low is not None and found.high is not None
            shown[true] += found.p <= 0.05
            covered += found.low <= true <= found.high
    assert 0.03 <= shown[0.0] / runs <= 0.075
    assert 0.75 <= shown[effect] / runs <= 0.86
    assert 0.88 <= covered / (2 * runs) <= 0.97  # the percentile bootstrap is a little narrow with few videos

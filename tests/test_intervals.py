"""The bootstrap over videos: what it draws, by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot.errors import UsageError
from longshot.metrics import intervals
from longshot.metrics.intervals import Resampler, bounds


def test_two_videos_by_hand() -> None:
    """Of two videos each resample is one twice, or both: three means, with the shares 1/4, 1/2, 1/4."""
    found = Resampler(["a", "a", "b"], resamples=4000).means([1.0, 0.0, 1.0])
    assert np.unique(found).tolist() == pytest.approx([0.5, 2 / 3, 1.0])
    shares = [float((np.abs(found - mean) < 1e-9).mean()) for mean in (0.5, 2 / 3, 1.0)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_many_columns_are_drawn_alike() -> None:
    random = np.random.default_rng(0)
    table = random.random((50, 3))
    draws = Resampler([str(k // 2) for k in range(50)], seed=1, resamples=100)
    found = draws.means(table)
    assert found.shape == (100, 3)
    for column in range(3):
        assert np.array_equal(found[:, column], draws.means(table[:, column]))


def test_the_seed_decides() -> None:
    names, values = [str(k) for k in range(30)], np.arange(30.0)
    same = [Resampler(names, seed=5, resamples=50).means(values) for _ in range(2)]
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], Resampler(names, seed=6, resamples=50).means(values))


def test_blocks_of_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    names, values = [str(k) for k in range(30)], np.arange(30.0)
    whole = Resampler(names, seed=5, resamples=50).means(values)
    monkeypatch.setattr(intervals, "_BLOCK", 100)
    assert np.allclose(Resampler(names, seed=5, resamples=50).means(values), whole)


def test_the_order_of_items_changes_nothing() -> None:
    random = np.random.default_rng(0)
    names, values = np.array([str(k // 3) for k in range(60)]), random.random(60)
    order = random.permutation(60)
    found = [Resampler(list(names[o]), resamples=80).means(values[o]) for o in (np.arange(60), order)]
    assert np.allclose(*found)


def test_what_is_not_counted_is_not_looked_at() -> None:
    draws = Resampler(["a", "a", "b", "b"], resamples=500)
    found = draws.means([1.0, np.nan, 0.0, 1.0], counted=[True, False, True, True])
    assert np.unique(found).tolist() == pytest.approx([0.5, 2 / 3, 1.0])
    alone = draws.means([1.0, 1.0, 0.0, 0.0], counted=[True, True, False, False])
    assert set(np.unique(alone[np.isfinite(alone)])) == {1.0}
    assert np.isnan(alone).mean() == pytest.approx(0.25, abs=0.06), "b twice: nothing to count"
    assert np.isnan(draws.means([1.0, 1.0, 1.0, 1.0], counted=[False] * 4)).all()


def test_one_video_has_no_interval() -> None:
    assert bounds(Resampler(["a", "a"]).means([0.0, 1.0])) == (None, None)
    assert bounds(Resampler([]).means([])) == (None, None)
    assert Resampler(["a"], resamples=7).means(np.zeros((1, 2))).shape == (7, 2)


def test_bounds_by_hand() -> None:
    samples = np.arange(101.0)
    assert bounds(samples) == pytest.approx((2.5, 97.5))
    assert bounds(samples, level=0.5) == (25.0, 75.0)
    assert bounds(np.array([np.nan, 3.0, np.inf, 3.0])) == (3.0, 3.0)
    assert bounds(np.array([np.nan, 3.0])) == (None, None)


def test_resamples_are_wanted() -> None:
    with pytest.raises(UsageError, match="got 0"):
        Resampler(["a"], resamples=0)


@given(st.integers(0, 2**32), st.integers(2, 30), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_an_interval_lies_among_the_videos(seed: int, videos: int, items: int) -> None:
    random = np.random.default_rng(seed)
    values = random.random(videos * items)
    names = [str(k // items) for k in range(videos * items)]
    means = values.reshape(videos, items).mean(axis=1)
    low, high = bounds(Resampler(names, seed=seed, resamples=50).means(values))
    assert low is not None and high is not None
    assert means.min() - 1e-12 <= low <= high <= means.max() + 1e-12


def test_the_width_is_that_of_the_standard_error() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=400)
    low, high = bounds(Resampler([str(k) for k in range(400)], resamples=4000).means(values))
    assert low is not None and high is not None
    assert (high - low) / 2 == pytest.approx(1.96 * float(values.std()) / 20, rel=0.06)


def covered(videos: int, items: int, likeness: float, *, by_video: bool, runs: int) -> float:
    """How often the interval of a mean of alike items holds the true one."""
    random = np.random.default_rng(9)
    names = [str(k // items) if by_video else str(k) for k in range(videos * items)]
    hits = 0
    for run in range(runs):
        shared = np.repeat(random.normal(size=videos), items) * likeness**0.5
        values = shared + random.normal(size=videos * items) * (1 - likeness) ** 0.5
        low, high = bounds(Resampler(names, seed=run, resamples=400).means(values))
        assert low is not None and high is not None
        hits += low <= 0 <= high
    return hits / runs


@pytest.mark.slow
def test_coverage() -> None:
    assert covered(60, 1, 0.0, by_video=True, runs=600) == pytest.approx(0.94, abs=0.025)
    assert covered(60, 6, 0.6, by_video=True, runs=600) == pytest.approx(0.94, abs=0.025)
    assert covered(60, 6, 0.6, by_video=False, runs=400) < 0.8, "items as if they were independent: far too narrow"

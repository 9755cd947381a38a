"""Agreement of judges: published examples, other implementations, and edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot.errors import UsageError
from longshot.metrics.agreement import LEVELS, Agreement, alpha, kappa, kendall, spearman

# Krippendorff 2011: twelve units, four observers, values missing.
FOUR = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


@pytest.mark.parametrize(("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(level: Any, published: float) -> None:
    found = alpha(FOUR, level=level)
    assert found.value == pytest.approx(published, abs=5e-4)
    assert found.n == 11, "the unit that one observer rated does not count"
    assert found.low is not None and found.high is not None
    assert found.low < published < found.high


def test_alpha_by_hand() -> None:
    # Krippendorff 2011, two observers, ten units, no missing values.
    a = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    b = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    # Do = 8 of 20 pairs; values: 14 zeros, 6 ones: De = 2 * 14 * 6 / (20 * 19); alpha = 1 - 19 * 8 / (2 * 84)
    assert alpha([a, b]).value == pytest.approx(1 - 19 * 8 / 168)
    assert alpha([[str(x) for x in a], [str(x) for x in b]]).value == pytest.approx(0.095, abs=5e-4)


def slow_alpha(ratings: list[list[int | None]], level: str) -> float | None:
    """From all pairs of values, as the definition says."""
    units = [[row[k] for row in ratings if row[k] is not None] for k in range(len(ratings[0]))]
    units = [unit for unit in units if len(unit) >= 2]
    every = [value for unit in units for value in unit]

    def apart(c: int, k: int) -> float:
        if level == "nominal":
            return float(c != k)
        if level == "interval":
            return float((c - k) ** 2)
        low, high = min(c, k), max(c, k)
        between = sum(low <= value <= high for value in every)
        return (between - (every.count(c) + every.count(k)) / 2) ** 2 if c != k else 0.0

    n = len(every)
    observed = sum(
        apart(c, k) / (len(unit) - 1)
        for unit in units
        for i, c in enumerate(unit)
        for j, k in enumerate(unit)
        if i != j
    )
    expected = sum(apart(c, k) for i, c in enumerate(every) for j, k in enumerate(every) if i != j)
    return 1 - (n - 1) * observed / expected if expected else None


@given(
    st.integers(2, 4).flatmap(
        lambda judges: st.lists(
            st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=judges, max_size=judges), min_size=1, max_size=8
        )
    ),
    st.sampled_from(LEVELS),
)
@settings(max_examples=100, deadline=None)
def test_alpha_equals_the_definition(units: list[list[int | None]], level: Any) -> None:
    ratings = [list(row) for row in zip(*units, strict=True)]
    found = alpha(ratings, level=level, resamples=5)
    expected = slow_alpha(ratings, level)
    assert found.value == (None if expected is None else pytest.approx(expected))


def test_alpha_at_its_ends() -> None:
    assert alpha([[1, 2, 3], [1, 2, 3]]).value == 1
    assert alpha([[1, 1], [1, 1]]) == Agreement(None, None, None, 2), "nothing varies: not defined"
    assert alpha([[0.1 + 0.2] * 3, [0.1 + 0.2] * 3], level="interval").value is None
    assert alpha([]) == alpha([[], []]) == alpha([[1], [None]]) == Agreement(None, None, None, 0)
    assert alpha([[1, 2], [2, 1]]).value == pytest.approx(-0.5)  # 1 - 3 * 4 / 8
    nan = float("nan")
    assert alpha([[1.0, nan, 2.0], [1.0, 1.0, 3.0]], level="interval").n == 2


def test_intervals_are_of_videos() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 200)
    judges = [np.where(random.random(200) < 0.8, truth, random.integers(0, 3, 200)).tolist() for _ in range(3)]
    alone = alpha(judges, seed=3)
    assert alone == alpha(judges, seed=3) and alone != alpha(judges, seed=4)
    # Every unit ten times, in one video: no more is known than before.
    again = alpha([np.repeat(row, 10).tolist() for row in judges], clusters=[str(k // 10) for k in range(2000)])
    pretended = alpha([np.repeat(row, 10).tolist() for row in judges])
    width = [found.high - found.low for found in (alone, again, pretended)]  # type: ignore[operator]
    assert width[1] == pytest.approx(width[0], rel=0.15) and width[2] < width[0] / 2
    assert alpha(judges, clusters=["a"] * 200).low is None


def test_kappa_by_hand() -> None:
    # Cohen's table: both yes 20, first yes 5, second yes 10, both no 15. Agreed .7, by chance .5.
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = kappa(first, second)
    assert found.value == pytest.approx(0.4) and found.n == 50
    assert found.low is not None and found.high is not None and 0.1 < found.low < 0.4 < found.high < 0.7
    assert kappa([*first, None], [*second, "yes"]).value == pytest.approx(0.4)
    assert kappa(["a"], ["a"]).value is None
    assert kappa([], []) == Agreement(None, None, None, 0)


def test_rank_correlations_by_hand() -> None:
    # 1 2 3 4 against 1 3 2 4: d^2 = 0 1 1 0, so 1 - 6 * 2 / 60; five pairs of six agree, one does not
    assert spearman([1, 2, 3, 4], [1, 3, 2, 4]).value == pytest.approx(0.8)
    assert kendall([1, 2, 3, 4], [1, 3, 2, 4]).value == pytest.approx(4 / 6)
    # a tie in one: tau-b = 5 / sqrt(6 * 5)
    assert kendall([1, 2, 3, 4], [1, 2, 2, 4]).value == pytest.approx(5 / np.sqrt(30))
    assert spearman([1, 2], [3, 3]).value is None and kendall([1, 2], [3, 3]).value is None
    assert spearman([1, 2, float("nan")], [1, 2, 3]).n == 2


@given(st.integers(0, 2**32), st.integers(3, 60))
@settings(max_examples=30, deadline=None)
def test_others_find_the_same(seed: int, size: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(seed)
    a = random.integers(0, 5, size)
    b = np.where(random.random(size) < 0.5, a, random.integers(0, 5, size))
    a[0], a[1], b[0], b[1] = 0, 1, 0, 1  # something varies
    assert spearman(a, b, resamples=3).value == pytest.approx(stats.spearmanr(a, b)[0])
    assert kendall(a, b, resamples=3).value == pytest.approx(stats.kendalltau(a, b)[0])


def test_a_resample_is_the_same_as_the_items_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights stand for repeated items: each statistic of weights (2, 0, 1, ...) is that of the written-out list."""
    random = np.random.default_rng(2)
    pair = random.integers(0, 4, (2, 30))
    often = random.integers(0, 3, 30)
    written_out = np.repeat(pair, often, axis=1)
    plain = [measure(*written_out).value for measure in (spearman, kendall)]
    plain += [kappa(*written_out.tolist()).value]
    plain += [alpha(written_out.tolist(), level=level).value for level in LEVELS]  # type: ignore[arg-type]
    weights = np.tile(often.astype(float), (2, 1))
    monkeypatch.setattr("longshot.metrics.agreement._draws", lambda *told: iter([weights]))
    names = [f"{k:02}" for k in range(30)]
    found = [measure(*pair, clusters=names) for measure in (spearman, kendall)]
    found += [kappa(*pair.tolist(), clusters=names)]
    found += [alpha(pair.tolist(), level=level, clusters=names) for level in LEVELS]  # type: ignore[arg-type]
    assert [one.low for one in found] == pytest.approx(plain)


@pytest.mark.parametrize(
    ("ratings", "options", "said"),
    [
        ([[1, 2], [1]], {}, "got rows of 2, 1"),
        ([[1, "two"], [1, 2]], {"level": "interval"}, "numbers, got 'two'"),
        ([[1, float("inf")], [1, 2]], {"level": "ordinal"}, "numbers, got inf"),
        ([[1], [1]], {"level": "ratio"}, "one of nominal, ordinal, interval, got 'ratio'"),
        ([[1], [1]], {"clusters": []}, "1 units, 0 videos"),
    ],
)
def test_what_cannot_be_agreed_on(ratings: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        alpha(ratings, **options)


def test_judges_of_different_lengths() -> None:
    for measure in (kappa, spearman, kendall):
        with pytest.raises(UsageError, match="got 2 and 1"):
            measure([1, 2], [1])

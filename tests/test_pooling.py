"""From vectors of frames to vectors of clips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot import pooling
from longshot.errors import UsageError


def test_mean_is_of_unit_vectors_and_unit_again() -> None:
    rows = pooling.unit([[3.0, 0.0], [0.0, 0.1]])
    np.testing.assert_allclose(pooling.pool(rows, "mean"), [0.5**0.5, 0.5**0.5], atol=1e-7)


def test_first_is_the_first_frame() -> None:
    rows = pooling.unit([[0.0, 2.0], [1.0, 0.0]])
    np.testing.assert_array_equal(pooling.pool(rows, "first"), [0.0, 1.0])


def test_one_frame_is_its_clip_under_both() -> None:
    rows = pooling.unit([[1.0, 2.0, 2.0]])
    for policy in ("mean", "first"):
        np.testing.assert_allclose(pooling.pool(rows, policy), [1 / 3, 2 / 3, 2 / 3], atol=1e-7)


def test_max_makes_no_vector_and_scores_by_the_best_frame() -> None:
    texts = pooling.unit([[1.0, 0.0]])
    frames = np.array([[0.2, 0.9798], [0.6, 0.8], [0.4, 0.9165], [0.5, 0.866]], np.float32)
    found = pooling.scores(texts, frames, [0, 0, 0, 2], 3)
    np.testing.assert_allclose(found, [[0.6, -np.inf, 0.5]], atol=1e-6)
    assert found.dtype == np.float32
    with pytest.raises(UsageError, match="one vector a frame"):
        pooling.pool(frames, "max")


def test_scores_of_one_row_an_item_are_cosines() -> None:
    rng = np.random.default_rng(0)
    texts, rows = pooling.unit(rng.normal(size=(4, 8))), pooling.unit(rng.normal(size=(5, 8)))
    np.testing.assert_allclose(pooling.scores(texts, rows, range(5), 5), texts @ rows.T, atol=1e-6)
    assert pooling.scores(texts, rows[:0], [], 0).shape == (4, 0)


@pytest.mark.parametrize("row", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_a_row_without_direction_is_refused(row: list[float]) -> None:
    with pytest.raises(UsageError, match="has no direction"):
        pooling.unit([row, [1.0, 0.0]])


def test_frames_that_cancel_out_have_no_mean() -> None:
    with pytest.raises(UsageError, match="has no direction"):
        pooling.pool(np.array([[1, 0], [-1, 0]], np.float32), "mean")


def test_no_frames_and_no_such_policy() -> None:
    with pytest.raises(UsageError, match="without frames"):
        pooling.pool(np.zeros((0, 2), np.float32), "mean")
    with pytest.raises(UsageError, match="no pooling called 'best': there are mean, first, max"):
        pooling.check("best")


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3).filter(lambda row: max(map(abs, row)) > 1e-3)))
def test_unit_rows_are_unit(rows: list[list[float]]) -> None:
    made = pooling.unit(np.array(rows, np.float32).reshape(-1, 3))
    assert made.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(made.astype(np.float64), axis=-1), 1, atol=1e-6)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from longshot.errors import UsageError
from longshot.motion import Tracker, register
from longshot.timeline import Span
from tests.moving import View, film, look_at, pictures, plane

PLANE = plane(7)
HOME = View(1.0, 1.0)


def coarse(picture: NDArray[np.float64]) -> NDArray[np.float32]:
    """The coarse luma (36, 64) of a grey picture (144, 256, 3)."""
    return picture[..., 1].reshape(36, 4, 64, 4).mean(axis=(1, 3)).astype(np.float32)


def between(first: View, second: View) -> NDArray[np.float32]:
    moves, fit = register(coarse(look_at(PLANE, first))[None], coarse(look_at(PLANE, second))[None])
    assert fit.known[0]
    row: NDArray[np.float32] = moves[0]
    return row


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(1.05, 1.0), (-0.05, 0.0, 0.0, 0.0)),  # camera to the right: content to the left
        (View(0.97, 1.0), (0.03, 0.0, 0.0, 0.0)),
        (View(1.0, 0.96), (0.0, 0.04, 0.0, 0.0)),  # camera up: content down
        (View(1.0, 1.03), (0.0, -0.03, 0.0, 0.0)),
        (View(1.0, 1.0, zoom=1.06), (0.0, 0.0, np.log(1.06), 0.0)),
        (View(1.0, 1.0, zoom=0.95), (0.0, 0.0, np.log(0.95), 0.0)),
        (View(1.0, 1.0, roll=3.0), (0.0, 0.0, 0.0, 3.0)),
        (View(1.0, 1.0, roll=-5.0), (0.0, 0.0, 0.0, -5.0)),
        (View(1.3, 1.0), (-0.3, 0.0, 0.0, 0.0)),  # nearly a third of the picture at once
        (HOME, (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_the_movement_of_the_content_is_found(view: View, expected: tuple[float, ...]) -> None:
    right, down, growth, turn = between(HOME, view)
    assert (right, down, growth) == pytest.approx(expected[:3], abs=0.0015)
    assert turn == pytest.approx(expected[3], abs=0.12)


@settings(max_examples=40, deadline=None)
@given(right=st.floats(-0.12, 0.12), down=st.floats(-0.07, 0.07), zoom=st.floats(0.96, 1.04))
def test_combined_movements_are_found(right: float, down: float, zoom: float) -> None:
    found = between(HOME, View(1.0 + right, 1.0 + down, zoom=zoom))
    # The camera's place shifts by `right`; the content's shift on the screen grows with the zoom.
    assert found[:3] == pytest.approx((-right * zoom, -down * zoom, np.log(zoom)), abs=0.002)


def test_a_change_of_light_is_not_movement() -> None:
    before = coarse(look_at(PLANE, HOME))
    moves, fit = register(before[None], (before * 0.8 + 20)[None])
    assert fit.known[0]
    assert np.abs(moves[0]).max() < 0.01
    assert fit.moving[0].max() <= 2


def test_a_moving_subject_is_not_the_camera_and_is_found_where_it_is() -> None:
    before, after = look_at(PLANE, HOME), look_at(PLANE, HOME)
    subject = plane(3, size=256, colour=(220, 220, 220))
    before[40:110, 20:80] = subject[:70, :60]
    after[40:110, 36:96] = subject[:70, :60]
    moves, fit = register(coarse(before)[None], coarse(after)[None])
    assert fit.known[0]
    assert np.abs(moves[0][:3]).max() < 0.001
    moved = fit.moving[0] > 7
    assert moved[:, :4].any()
    assert not moved[:, 5:].any()


def test_letterbox_bars_do_not_hold_the_picture_still() -> None:
    pair = []
    for view in (HOME, View(1.04, 1.0)):
        picture = look_at(PLANE, view)
        picture[:20] = picture[-20:] = 0
        pair.append(coarse(picture))
    moves, fit = register(pair[0][None], pair[1][None])
    assert fit.known[0]
    assert moves[0, 0] == pytest.approx(-0.04, abs=0.002)


def test_other_shapes_of_picture_measure_in_picture_widths() -> None:
    # The same pixels shown as a square: what was 0.05 of the height down is now 0.05 of the width down.
    first, second = (coarse(look_at(PLANE, view))[None] for view in (HOME, View(1.0, 1.0 + 0.05 * 144 / 256)))
    moves, _ = register(first, second, aspect=1.0)
    assert moves[0, 1] == pytest.approx(-0.05, abs=0.002)


@pytest.mark.parametrize("level", [0.0, 12.0, 128.0, 255.0])
def test_a_plain_picture_tells_nothing(level: float) -> None:
    plain = np.full((1, 36, 64), level, np.float32)
    moves, fit = register(plain, plain)
    assert not fit.known[0]
    assert np.isfinite(moves).all()


def test_two_different_pictures_are_not_a_movement() -> None:
    others = np.stack([coarse(look_at(plane(seed), HOME)) for seed in (11, 12, 13)])
    _, fit = register(others, others[[1, 2, 0]])
    assert not fit.known.any()


def tracked(shot: float, seconds: float = 2.0, fps: float = 25.0) -> Tracker:
    tracker = Tracker()
    for glance in film(pictures(PLANE, lambda t: View(1.0 + shot * t, 1.0), seconds, fps=fps), fps=fps):
        tracker.see(glance.times, glance.luma)
    return tracker


def test_strides_and_steps_cover_the_time_and_agree() -> None:
    tracker = tracked(0.1)
    for rows, longest in ((tracker.steps(), 0.25), (tracker.strides(), 0.7)):
        assert np.array_equal(rows.starts[1:], rows.ends[:-1])
        assert rows.starts[0] == 0
        assert (rows.ends - rows.starts).max() <= longest
        assert rows.right / (rows.ends - rows.starts) == pytest.approx(-0.1, abs=0.005)
        assert rows.known.all()


def test_rows_of_a_span_lie_inside_it() -> None:
    rows = tracked(0.0).steps().within(Span(0.5, 1.5))
    assert len(rows)
    assert rows.starts.min() >= 0.5 - 1e-6
    assert rows.ends.max() < 1.5


def test_no_stride_reaches_across_a_cut() -> None:
    tracker = Tracker()
    first = list(pictures(PLANE, lambda t: HOME, 1.3))
    second = list(pictures(plane(8, colour=(60, 60, 60)), lambda t: HOME, 1.3))
    for glance in film(first + second):
        tracker.see(glance.times, glance.luma)
    strides = tracker.strides()
    assert not ((strides.starts < 1.3) & (strides.ends > 1.3)).any()
    assert strides.known.all()


def test_frames_far_apart_give_no_rows() -> None:
    tracker = Tracker()
    tracker.see(np.arange(5) * 2.0, np.zeros((5, 36, 64), np.float32))
    assert len(tracker.steps()) == len(tracker.strides()) == 0


@pytest.mark.parametrize("shape", [(3, 36, 65), (3, 64, 36), (2, 36, 64)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"\(T, 36, 64\)"):
        Tracker().see(np.arange(3) / 25, np.zeros(shape, np.float32))

"""What every segmenter promises, whatever it looks for: spans that divide the video exactly.

A new file on the shelf joins by existing. `video` is None here: a segmenter works from what it is shown.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshot import registry
from longshot.contracts import Frames, Glance, Segmenter
from longshot.timeline import Source, Span

NO_FRAMES = Frames(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0))
VIDEO: Any = None


@pytest.fixture(scope="module", params=sorted(registry.choices("segmenters")))
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    choice = registry.choices("segmenters")[request.param]
    if choice.missing:
        pytest.skip(f"{choice.missing[0]} is not installed: {choice.install}")
    made: Segmenter = registry.load("segmenters", request.param)
    return made


def footage(seed: int, shots: int, *, rate: float = 25.0, still: bool = False) -> Glance:
    """Blocky scenes of 0.3 to 1.5 s that drift a little, joined by cuts, with uneven frame times."""
    rng = np.random.default_rng(seed)
    luma, chroma = [], []
    for _ in range(shots):
        scene = np.kron(rng.uniform(0, 255, (6, 12)), np.ones((6, 8)))
        colour = np.ones((18, 32, 1)) * rng.uniform(-50, 50, 2)
        for k in range(int(rng.integers(8, 38))):
            left = 0 if still else k // 4
            luma.append(scene[:, left : left + 64])
            chroma.append(colour)
    times = np.arange(len(luma)) / rate
    times[1:] += rng.uniform(-0.3, 0.3, len(luma) - 1) / rate
    return Glance(times, np.array(luma, np.float32), np.array(chroma, np.float32), NO_FRAMES)


def part(glance: Glance, first: int, last: int) -> Glance:
    return Glance(glance.times[first:last], glance.luma[first:last], glance.chroma[first:last], NO_FRAMES)


def spans(segmenter: Segmenter, glance: Glance, end: float, cuts: list[int] | None = None) -> list[Span]:
    watcher = segmenter.watch(VIDEO)
    for first, last in pairwise([0, *sorted(cuts or []), len(glance)]):
        watcher.see(part(glance, first, last))
    return watcher.finish(end)


def assert_divides(made: list[Span], end: float) -> None:
    assert made, "no span at all"
    assert made[0].start == 0
    assert made[-1].end == end
    assert all(a.end == b.start for a, b in pairwise(made))
    assert all(span.length > 0 for span in made)


def test_keeps_the_contract(segmenter: Segmenter) -> None:
    assert isinstance(segmenter, Segmenter)
    assert isinstance(segmenter.source, Source)
    assert segmenter.source.verb == "segment"
    assert segmenter.source.model


@pytest.mark.parametrize("shots", [1, 2, 6])
def test_divides_the_video(segmenter: Segmenter, shots: int) -> None:
    glance = footage(3, shots)
    end = float(glance.times[-1]) + 0.04
    assert_divides(spans(segmenter, glance, end), end)


def test_one_picture_that_never_changes_is_one_span(segmenter: Segmenter) -> None:
    glance = footage(4, 1, still=True)
    end = float(glance.times[-1]) + 0.04
    assert spans(segmenter, glance, end) == [Span(0, end)]


def test_one_frame(segmenter: Segmenter) -> None:
    assert spans(segmenter, part(footage(5, 1), 0, 1), 0.04) == [Span(0, 0.04)]


def test_no_frame_at_all(segmenter: Segmenter) -> None:
    assert spans(segmenter, part(footage(5, 1), 0, 0), 2.5) == [Span(0, 2.5)]
    assert segmenter.watch(VIDEO).finish(2.5) == [Span(0, 2.5)]
    assert segmenter.watch(VIDEO).finish(0.0) == []


def test_end_before_the_last_frame(segmenter: Segmenter) -> None:
    """A container may say less than it holds."""
    assert_divides(spans(segmenter, footage(6, 5), 1.0), 1.0)


def test_one_frame_held_for_an_hour(segmenter: Segmenter) -> None:
    glance = footage(7, 3)
    times = glance.times + np.where(np.arange(len(glance)) >= len(glance) // 2, 3600.0, 0.0)
    end = float(times[-1]) + 0.04
    assert_divides(spans(segmenter, Glance(times, glance.luma, glance.chroma, NO_FRAMES), end), end)


def test_videos_do_not_disturb_each_other(segmenter: Segmenter) -> None:
    one, other = footage(8, 3), footage(9, 3)
    alone = spans(segmenter, one, 9.0)
    first, second = segmenter.watch(VIDEO), segmenter.watch(VIDEO)
    for k in range(0, max(len(one), len(other)), 16):
        first.see(part(one, k, k + 16))
        second.see(part(other, k, k + 16))
    second.finish(9.0)
    assert first.finish(9.0) == alone


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_batches_change_nothing(segmenter: Segmenter, data: st.DataObject) -> None:
    glance = footage(data.draw(st.integers(0, 50)), 4)
    cuts = data.draw(st.lists(st.integers(0, len(glance)), max_size=12))
    end = float(glance.times[-1]) + 0.04
    whole = spans(segmenter, glance, end)
    assert spans(segmenter, glance, end, cuts) == whole
    assert_divides(whole, end)

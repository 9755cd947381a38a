from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot import registry
from longshot.errors import UsageError
from longshot.timeline import Span


def spans(end: float, **options: float) -> list[Span]:
    video: Any = None
    result: list[Span] = registry.load("segmenters", "fixed", **options).watch(video).finish(end)
    return result


@pytest.mark.parametrize(
    ("options", "end", "edges"),
    [
        ({}, 9.5, [0, 4, 8, 9.5]),
        ({}, 8.0, [0, 4, 8]),
        ({}, 1.0, [0, 1]),
        ({"every": 180}, 400.0, [0, 180, 360, 400]),
        ({"every": 0.1}, 0.3, [0, 0.1, 0.2, 0.3]),
    ],
)
def test_pieces(options: dict[str, float], end: float, edges: list[float]) -> None:
    made = spans(end, **options)
    assert [span.start for span in made] == pytest.approx(edges[:-1])
    assert [span.end for span in made] == pytest.approx(edges[1:])


def test_nothing_shown_gives_nothing() -> None:
    assert spans(0.0) == []


def test_track_says_the_length() -> None:
    source = registry.load("segmenters", "fixed", every=180).source
    assert (str(source), source.settings) == ("segment fixed", {"every": 180.0})


@pytest.mark.parametrize("every", [0, -1.0, float("nan"), float("inf")])
def test_refuses_a_length_that_is_none(every: float) -> None:
    with pytest.raises(UsageError, match="above 0 seconds"):
        registry.load("segmenters", "fixed", every=every)


@given(end=st.floats(0.001, 3600), every=st.floats(0.5, 600))
def test_never_a_gap_and_never_too_long(end: float, every: float) -> None:
    made = spans(end, every=every)
    assert made[0].start == 0
    assert made[-1].end == end
    assert all(a.end == b.start for a, b in pairwise(made))
    assert all(0 < span.length <= every * (1 + 1e-5) for span in made)

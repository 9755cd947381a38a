from __future__ import annotations

import importlib.util
import json
import math
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot.errors import UsageError
from longshot.items import Item, Prediction, Row, Score
from longshot.journal import State
from longshot.metrics.moments import NoWindows, official, read_stretches, read_windows, scores, values
from longshot.timeline import Span

NAN = math.nan


def row(
    id: str,
    right: Sequence[Sequence[float]],
    said: Sequence[Any] | None,
    *,
    saliency: Sequence[float] | None = None,
    clips: Sequence[int] | None = None,
    ratings: Sequence[Sequence[int]] = (),
    duration: float = 150.0,
    **groups: str,
) -> Row:
    gold: dict[str, Any] = {"windows": [list(window) for window in right], "duration": duration}
    if clips is not None:
        gold |= {"clips": list(clips), "ratings": [list(one) for one in ratings]}
    item = Item(id, id, "a query", gold, groups=groups)
    if said is None and saliency is None:
        return Row(item, Prediction(id, State.FAILED, reason="broke"))
    value: dict[str, Any] = {} if said is None else {"windows": list(said)}
    if saliency is not None:
        value["saliency"] = list(saliency)
    return Row(item, Prediction(id, State.DONE, value))


def one(found: Sequence[Score], name: str, *, legacy: bool = False, **group: str) -> Score:
    fitting = [score for score in found if (score.name, score.legacy, score.group) == (name, legacy, group)]
    assert len(fitting) == 1, [(score.name, score.legacy, score.group) for score in found]
    return fitting[0]


def value(rows: Sequence[Row], name: str, *, legacy: bool = False, **group: str) -> float | None:
    return one(scores(rows, resamples=2), name, legacy=legacy, **group).value


# --- reading replies


READ = {
    # The regression list of CALCE's parser, duration 150: what it made of these is in the docs.
    "[[0, 10], [20, 30]]": [[0, 10], [20, 30]],
    "[[0, 10] [20, 30]]": [[0, 10], [20, 30]],
    "[[0, 10],[20, 30]]": [[0, 10], [20, 30]],
    "[[0,, 10]]": [[0, 10]],
    "[[0 10]]": [[0, 10]],
    "  [[0, 10]]": [[0, 10]],
    "[0, 10]": [[0, 10]],
    "[[10, 0]]": [[0, 10]],
    "[[1.5, 9.25]]": [[1.5, 9.25]],
    "[[-5, 10]]": [[0, 10]],
    "[[5], [20, 30]]": [[20, 30]],
    "[[20, 30], [5]]": [[20, 30]],
    "[[140, 160]]": [[140, 150]],
    "[[0, 15020]]": [[0, 150]],
    "[[12, 1024]]": [[12, 150]],
    "[[0, 10], [20": [[0, 10]],
    "[[0, 10], [20, 3": [[0, 10]],
    "[[150, 160], [1, 2]]": [[1, 2]],
    "[[100, 1500]]": [[100, 150]],
    "[[0, 10], [20, 30]]</s>": [[0, 10], [20, 30]],
    "[[0, 10]]<|im_end|>": [[0, 10]],
    "[]</s>": [],
    "Relevant windows: [[0, 10]]": [[0, 10]],
    "[[5, 9], [5, 9], [1, 2]]": [[5, 9], [1, 2]],
    # Other ways to write lists.
    "(12, 20)": [[12, 20]],
    "[12-20]": [[12, 20]],
    "[12s - 20s]": [[12, 20]],
    "[ 12. , 20. ]": [[12, 20]],
    '["0:12", "0:20"]': [[12, 20]],
    "[12.0 seconds, 20.0 seconds]": [[12, 20]],
    "```json\n[[12, 20]]\n```": [[12, 20]],
    "**[[12, 20]]**": [[12, 20]],
    "It is [[12, 20]], where he waves.": [[12, 20]],
    '{"windows": [[12, 20], [30, 40]]}': [[12, 20], [30, 40]],
    "[0.0, 10.0] and [20.0, 30.0]": [[0, 10], [20, 30]],
    "[[0:01:02.5, 0:01:04]]": [[62.5, 64]],
    "<thinking>Is it [1, 2]? No.</thinking>[[12, 20]]": [[12, 20]],
    "<answer>12.0s to 20.0s</answer>": [[12, 20]],
    "<think>[[1, 2]]</think><answer>[[12, 20]]</answer>": [[12, 20]],
    # Fields.
    '{"start": 12, "end": 20}': [[12, 20]],
    '[{"start_time": "0:12", "end_time": "0:20"}, {"start_time": "1:00", "end_time": "1:05"}]': [[12, 20], [60, 65]],
    '[{"start": 1, "end": 2}, {"start": 5': [[1, 2]],
    '```json\n[{"start": 12.5, "end": 20, "label": "a man waves"}]\n```': [[12.5, 20]],
    "start: 5 end: 9": [[5, 9]],
    "Start time: 0:12\nEnd time: 0:20": [[12, 20]],
    "It starts at 12 seconds and ends at 20 seconds.": [[12, 20]],
    # Ranges.
    "12 - 20 seconds": [[12, 20]],
    "12–20": [[12, 20]],
    "12 - 20 in the video": [[12, 20]],
    "It is between 12 and 20.": [[12, 20]],
    "12 --> 20": [[12, 20]],
    "0:12-0:20": [[12, 20]],
    "from 12s to 20s": [[12, 20]],
    "between 12 and 20 seconds": [[12, 20]],
    "The event happens in 12.5 - 20.1 seconds.": [[12.5, 20.1]],
    '{"00:12.50 - 00:20.00": "a man waves"}': [[12.5, 20]],
    "00:00:12,500 --> 00:00:20,000": [[12.5, 20]],
    '{"time": "00:12.5 - 00:20"}': [[12.5, 20]],
    '[{"00:12.5 - 00:20.0": "he waves"}, {"01:00.0 - 01:05.5": "again"}]': [[12.5, 20], [60, 65.5]],
    "<12.0 seconds> to <20.0 seconds>": [[12, 20]],
    "1 min 20 s to 1m30s": [[80, 90]],
    "1 to 2 minutes": [[60, 120]],
    "8% - 13%": [[12, 19.5]],
    "12 s to 20 s, and again 30 s to 40 s": [[12, 20], [30, 40]],
    "3 to 4 people walk from 12s to 20s": [[12, 20]],
    "From 12 seconds (0:12) to 20 seconds (0:20)": [[12, 20]],
    # Pairs.
    "12 20": [[12, 20]],
    "12, 20\n30, 40": [[12, 20], [30, 40]],
    # Nowhere.
    "[]": [],
    "[[]]": [],
    "{}": [],
    "None.": [],
}
UNREAD = (
    "",
    "free text",
    "at 12 seconds",
    "[[5]]",
    "[[5], [9]]",
    "[0, 10, 20, 30]",
    "[[20, 3",
    "[NaN, 20]",
    "NaN to 20 seconds",
    "[[1e9, 2e9]]",
    "</s>",
    "[[nan, nan]]",
    "[[150, 150]]",
    "[[151, 300]]",
    "[[a, b]]",
    "The video shows nothing of the kind.",
    "at 12 seconds and 20 seconds",
    "A 3-5 year old child waves.",
    "2 and 3 people",
    "<think>Perhaps [[12, 20]], or",
)


@pytest.mark.parametrize(("text", "windows"), READ.items())
def test_windows_are_read(text: str, windows: list[list[float]]) -> None:
    found = read_windows(text, duration=150.0)
    assert [window[:2] for window in found] == [pytest.approx(window) for window in windows]
    assert [window[2] for window in found] == [1 / rank for rank in range(1, len(found) + 1)]


@pytest.mark.parametrize("text", UNREAD)
def test_a_reply_without_windows_says_so(text: str) -> None:
    with pytest.raises(NoWindows) as caught:
        read_windows(text, duration=150.0)
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value)


def test_scores_of_windows_count_if_every_window_has_one() -> None:
    assert read_windows("[[12, 20, 0.5], [30, 40, 0.9]]", duration=150.0) == [[12, 20, 0.5], [30, 40, 0.9]]
    assert read_windows("[[12, 20, 0.5], [30, 40]]", duration=150.0) == [[12, 20, 1.0], [30, 40, 0.5]]
    said = '[{"start": 1, "end": 2, "score": 0.25}]'
    assert read_windows(said, duration=150.0) == [[1, 2, 0.25]]


def test_scores_may_be_parts_of_a_hundred() -> None:
    assert read_windows("[[12, 20, 90%], [30, 40, 5 %]]", duration=150.0) == [[12, 20, 0.9], [30, 40, 0.05]]
    assert read_windows("[[1, 2, 3]]", duration=150.0) == [[1, 2, 3.0]]


def test_what_was_put_right_is_told() -> None:
    told = read_stretches("[[610, 600, 0.5], [690, 710], [800, 810]]", start=600.0, end=700.0)
    assert told.found == [(600.0, 610.0, 0.5), (690.0, 700.0, None)]
    assert told.mended == ("1 turned round", "1 cut at the ends", "1 left out")
    assert read_stretches("[[610, 620]]", start=600.0, end=700.0).mended == ()
    with pytest.raises(NoWindows, match="no window inside the part from 600 to 700 s"):
        read_stretches("[[10, 20]]", start=600.0, end=700.0)


@pytest.mark.parametrize("piece", ["1 ", "[", "(1,", "1 - ", "1 min ", "1:", "start ", "start 1 ", "9", " "])
def test_a_model_that_repeats_itself_is_read_in_no_time(piece: str) -> None:
    began = time.perf_counter()
    with suppress(NoWindows):
        read_windows(piece * (40_000 // len(piece)), duration=9.0)
    assert time.perf_counter() - began < 5


@given(st.text(alphabet="0123456789[](){},.:-% \nstoand\"'mh", max_size=120), st.floats(0.5, 1e5))
def test_what_is_read_lies_in_the_video(text: str, duration: float) -> None:
    try:
        found = read_windows(text, duration=duration)
    except NoWindows:
        return
    for start, end, score in found:
        assert 0 <= start < end <= duration and math.isfinite(score)


@given(st.lists(st.tuples(st.integers(0, 148), st.integers(1, 40)), min_size=1, max_size=8, unique=True))
def test_every_form_of_the_same_windows_reads_alike(starts: list[tuple[int, int]]) -> None:
    windows = list(dict.fromkeys((start, min(start + length, 150)) for start, length in starts))
    expected = [[float(a), float(b)] for a, b in windows]

    def clock(second: int) -> str:
        return f"{second // 60}:{second % 60:02d}"

    forms = [
        json.dumps(windows),
        json.dumps([{"start": a, "end": b} for a, b in windows]),
        "; ".join(f"{a} - {b} seconds" for a, b in windows),
        "\n".join(f"from {clock(a)} to {clock(b)}" for a, b in windows),
        "\n".join(f"{a} {b}" for a, b in windows),
    ]
    for form in forms:
        assert [window[:2] for window in read_windows(form, duration=150.0)] == expected, form


# --- values worked out by hand


def test_recall_of_the_first_and_mean_iou() -> None:
    # IoU 10/20 = 0.5, 8/10 = 0.8, 0.
    rows = [
        row("a", [[0, 20]], [[0, 10, 1.0]]),
        row("b", [[0, 10], [50, 60]], [[50, 58, 1.0]]),
        row("c", [[0, 10]], [[20, 30, 1.0]]),
    ]
    found = scores(rows)
    expected = {"R1@0.3": 2 / 3, "R1@0.5": 2 / 3, "R1@0.7": 1 / 3, "R1@0.8": 1 / 3, "R1@0.85": 0, "mIoU": 1.3 / 3}
    for name, share in expected.items():
        assert one(found, name).value == pytest.approx(100 * share), name
        if name not in ("R1@0.3", "mIoU"):
            assert one(found, name, legacy=True).value == pytest.approx(100 * share), name
    # c overlaps nothing; b covers 8 of 20 right seconds.
    assert one(found, "set IoU").value == pytest.approx(100 * (0.5 + 8 / 20 + 0) / 3)
    assert one(found, "R1@0.5").n == 3 and one(found, "R1@0.5").unit == "%"
    np.testing.assert_allclose(values(rows)["mIoU"], [0.5, 0.8, 0.0])


def test_average_precision_of_a_ranking() -> None:
    # Down the ranking: hit, miss, hit, so precision 1, 1/2, 2/3; recall 1/3, 1/3, 2/3. The area is (1 + 2/3) / 3.
    right = [[0, 10], [20, 30], [40, 50]]
    said = [[40, 50, 0.2], [0, 10, 0.9], [100, 110, 0.5]]
    rows = [row("a", right, said)]
    for legacy in (False, True):
        for name in ("mAP", "mAP@0.5", "mAP@0.95"):
            assert value(rows, name, legacy=legacy) == pytest.approx(100 * (1 + 2 / 3) / 3)


def test_a_right_window_is_claimed_once() -> None:
    # The second window overlaps the same right one: wrong. The better overlap is taken, not the first right one.
    rows = [row("a", [[0, 12], [0, 10]], [[0, 10, 0.9], [0, 10, 0.8], [0, 10, 0.7]])]
    # 0.9 claims [0, 10] at every threshold; 0.8 claims [0, 12] (IoU 10/12) up to 0.8; 0.7 nothing.
    assert value(rows, "mAP@0.8") == pytest.approx(100.0)
    assert value(rows, "mAP@0.85") == pytest.approx(50.0)


def test_set_overlap_joins_windows() -> None:
    # Said: 0-20 in three overlapping pieces, and 40-50. Right: 10-30. Shared 10, together 0-30 and 40-50: 40.
    rows = [row("a", [[10, 20], [15, 30]], [[0, 12, 1.0], [5, 20, 0.9], [6, 7, 0.3], [40, 50, 0.1]])]
    assert value(rows, "set IoU") == pytest.approx(25.0)


def test_ranges() -> None:
    # A perfect answer to a query with a short and a long window.
    right = [[0, 10], [20, 80]]
    rows = [row("a", right, [[0, 10, 0.9], [20, 80, 0.8]]), row("b", [[0, 20]], [[0, 20, 1.0]])]
    found = scores(rows)
    assert {score.group["range"] for score in found if "range" in score.group} == {"short", "middle", "long"}
    for name in ("short", "middle", "long"):
        assert one(found, "mAP", range=name).value == pytest.approx(100.0)
        assert one(found, "mAP", range=name).n == 1
    assert one(found, "mAP", legacy=True, range="short").value == pytest.approx(100.0)
    # The correct short window, ranked first, counts as wrong for long ones.
    assert one(found, "mAP", legacy=True, range="long").value == pytest.approx(50.0)
    assert one(found, "R1@0.5", legacy=True, range="long").value == 0.0
    # Exactly 10 s is short, exactly 30 s middle.
    edges = [row("a", [[0, 10]], [[0, 10, 1]]), row("b", [[0, 30]], [[0, 30, 1]]), row("c", [[0, 30.5]], [[0, 31, 1]])]
    counts = {name: one(scores(edges), "mAP", range=name).n for name in ("short", "middle", "long")}
    assert counts == {"short": 1, "middle": 1, "long": 1}


def test_a_range_without_queries_is_no_crash() -> None:
    rows = [row("a", [[0, 8]], [[0, 8, 1.0]]), row("b", [[0, 20]], [[0, 20, 1.0]])]
    assert official(rows)["brief"]["MR-long-mAP"] is None
    assert official(rows)["brief"]["MR-short-mAP"] == 100.0
    assert not [score for score in scores(rows) if score.group.get("range") == "long"]


def test_by_number_of_windows_and_by_group() -> None:
    rows = [
        row("a", [[0, 10]], [[0, 10, 1.0]], source="x"),
        row("b", [[0, 10], [20, 30]], [[50, 60, 1.0]], source="y"),
        row("c", [[10 * i, 10 * i + 5] for i in range(4)], [[0, 5, 1.0]], source="y"),
        row("d", [[10 * i, 10 * i + 5] for i in range(7)], None, source="y"),
    ]
    found = scores(rows)
    assert [one(found, "R1@0.5", windows=name).value for name in ("1", "2", "3-4", "5+")] == [100, 0, 100, 0]
    assert one(found, "R1@0.5", windows="5+").states["failed"] == 1
    assert one(found, "mIoU", source="y").value == pytest.approx(100 / 3)
    assert not [score for score in scores(rows[:1]) if "windows" in score.group]


# --- highlights


def clip_row(id: str, saliency: Sequence[float] | None, ratings: dict[int, Sequence[int]], clips: int) -> Row:
    right = [[2.0 * clip, 2.0 * clip + 2] for clip in ratings]
    rated = list(ratings.values())
    return row(id, right, [[0, 2, 1.0]], saliency=saliency, clips=list(ratings), ratings=rated, duration=2.0 * clips)


def test_highlights_by_hand() -> None:
    # Five clips, scores falling with the number. Rater 1 finds 0 and 2 right: precision 1 and 2/3, mean 5/6. Rater 2
    # only 1: 1/2. Rater 3 none: 0. Fair is 2 and more, so the 1 of rater 3 is not right.
    rows = [clip_row("a", [5, 4, 3, 2, 1], {0: (2, 0, 0), 1: (0, 3, 1), 2: (4, 0, 0)}, 5)]
    found = scores(rows)
    for legacy in (False, True):
        assert one(found, "highlight mAP Fair", legacy=legacy).value == pytest.approx(100 * (5 / 6 + 1 / 2 + 0) / 3)
        assert one(found, "highlight mAP Good", legacy=legacy).value == pytest.approx(100 * (1 / 3 + 1 / 2 + 0) / 3)
        assert one(found, "highlight mAP VeryGood", legacy=legacy).value == pytest.approx(100 * (1 / 3) / 3)
        assert one(found, "HIT@1 Fair", legacy=legacy).value == 100.0
        assert one(found, "HIT@1 Good", legacy=legacy).value == 0.0


def test_the_odd_precision_of_equal_scores() -> None:
    # Scores 1 1 0 0 with clips 0 and 2 right: one of two at the higher score, two of four at the lower, each 1/2.
    # The lower level may not beat the higher: [0, 1, 1, 1] with 0 right nowhere gives 3 of 4 for both.
    rows = [clip_row("a", [1, 1, 0, 0], {0: (4, 4, 4), 2: (4, 4, 4)}, 4)]
    assert value(rows, "highlight mAP Fair") == pytest.approx(50.0)
    rows = [clip_row("a", [2, 1, 0, 0], {1: (4, 4, 4), 2: (4, 4, 4), 3: (4, 4, 4)}, 4)]
    # At score 1: 1 of 2; at 0: 3 of 4, and precision at 1 is raised to it.
    assert value(rows, "highlight mAP Fair") == pytest.approx(75.0)


def test_all_right_is_one_and_none_right_is_zero() -> None:
    rated = {clip: (4, 0, 4) for clip in range(3)}
    rows = [clip_row("a", [1, 2, 2], rated, 3)]
    assert value(rows, "highlight mAP Good") == pytest.approx(100 * 2 / 3)


def test_lists_of_clips_that_are_too_short_or_too_long() -> None:
    rated = {2: (4, 4, 4)}
    # Clip 2 was not scored. Strict: ranked last, 1 of 3. Legacy: it has 0, above the -1 of clip 1, so 1 of 2.
    short = [clip_row("a", [1.0, -1.0], rated, 3)]
    assert value(short, "highlight mAP Fair") == pytest.approx(100 / 3)
    assert value(short, "highlight mAP Fair", legacy=True) == pytest.approx(50.0)
    # The best clip lies beyond the end: a miss; the rest is ranked without it.
    long = [clip_row("a", [0.0, 1.0, 2.0, 9.0], rated, 3)]
    assert value(long, "HIT@1 Fair") == 0.0
    assert value(long, "highlight mAP Fair") == pytest.approx(100.0)


def test_clips_without_scores_count_as_misses_but_stop_the_official_script() -> None:
    rated = {0: (4, 4, 4)}
    rows = [
        clip_row("a", [1.0, 0.0], rated, 2),
        clip_row("b", None, rated, 2),
        clip_row("c", [NAN, 1.0], rated, 2),
        clip_row("d", [], rated, 2),
    ]
    found = scores(rows)
    assert one(found, "HIT@1 Fair").value == 25.0 and one(found, "HIT@1 Fair").n == 4
    assert one(found, "HIT@1 Fair", legacy=True).value == 100.0 and one(found, "HIT@1 Fair", legacy=True).n == 1
    assert not [score for score in scores([rows[1]]) if "HIT" in score.name]


def test_an_odd_duration_with_a_clip_at_the_end() -> None:
    only = row("a", [[4, 5]], [[4, 5, 1]], saliency=[0, 0, 1], clips=[2], ratings=[[4, 4, 4]], duration=5.0)
    assert value([only], "highlight mAP Fair") == pytest.approx(100.0)


# --- the edge cases of the official script: (row, strict R1@0.5, strict mAP@0.5, legacy ones; None: not counted)

RIGHT = [[0, 10]]
EDGES: dict[str, tuple[list[Any] | None, float, float, float | None, float | None]] = {
    "sentinel": ([[-1, -1, 1.0]], 0, 0, 0, 0),
    "zeros": ([[0, 0, 1.0]], 0, 0, 0, 0),
    "sentinel before a right one": ([[-1, -1, 1.0], [0, 10, 0.5]], 0, 50, 0, 50),
    "empty list": ([], 0, 0, None, None),
    "not done": (None, 0, 0, None, None),
    "without scores": ([[0, 10], [50, 60]], 100, 100, 100, 100),
    "end before start": ([[10, 0, 1.0]], 0, 0, 0, 100),
    "NaN": ([[NAN, NAN, 1.0]], 0, 0, 0, 100),
    "half NaN": ([[0, NAN, 1.0]], 0, 0, 0, 100),
    "infinite": ([[0, math.inf, 1.0]], 0, 0, 0, 0),
    "list order is not score order": ([[50, 60, 0.1], [0, 10, 0.9]], 100, 100, 0, 100),
    "right at place 11": ([*([50 + i, 60 + i, 0.1] for i in range(10)), [0, 10, 0.9]], 100, 100, 0, 0),
    "score is NaN": ([[50, 60, NAN], [0, 10, 0.5]], 100, 100, 0, 100),
    "equal scores": ([[50, 60, 1.0], [0, 10, 1.0]], 0, 50, 0, 50),
}


@pytest.mark.parametrize(("said", "first", "area", "legacy_first", "legacy_area"), EDGES.values(), ids=EDGES)
def test_edges(
    said: list[Any] | None, first: float, area: float, legacy_first: float | None, legacy_area: float | None
) -> None:
    found = scores([row("a", RIGHT, said)], resamples=2)
    assert one(found, "R1@0.5").value == first
    assert one(found, "mAP@0.5").value == area
    assert one(found, "R1@0.5", legacy=True).value == legacy_first
    assert one(found, "mAP@0.5", legacy=True).value == legacy_area


def test_states() -> None:
    item = Item("x", "x", gold={"windows": RIGHT, "duration": 20.0})
    rows = [
        row("a", RIGHT, [[0, 10, 1.0]]),
        row("b", RIGHT, None),
        Row(item),
        Row(item, Prediction("x", State.REFUSED, reason="no")),
        Row(item, Prediction("x", State.UNREADABLE, reason="no window")),
        Row(item, Prediction("x", State.DONE, "from 1 to 2")),
        Row(item, Prediction("x", State.DONE, {"windows": [[1]]})),
        Row(item, Prediction("x", State.DONE, {"windows": [["a", 2, 1.0]]})),
        Row(item, Prediction("x", State.DONE, {"windows": 5})),
        Row(item, Prediction("x", State.DONE, {})),
    ]
    found = one(scores(rows), "R1@0.5")
    assert found.value == 10.0 and found.n == 10
    assert found.states == {"done": 1, "failed": 2, "refused": 1, "unreadable": 6}
    assert one(scores(rows), "R1@0.5", legacy=True).n == 1


def test_a_query_without_a_right_window_does_not_count() -> None:
    rows = [row("a", RIGHT, [[0, 10, 1.0]]), row("b", [], [[0, 10, 1.0]])]
    assert one(scores(rows), "mAP").n == 1 and one(scores(rows), "mAP").value == 100.0
    assert np.isnan(values(rows)["set IoU"][1])


def test_an_iou_that_equals_a_threshold_on_paper_reaches_it() -> None:
    # 1.2 to 1.9 is 0.7 of 1.2 to 2.2; in floating point the quotient is below.
    rows = [row("a", [[1.2, 2.2]], [[1.2, 1.9, 1.0]])]
    assert (1.9 - 1.2) / (2.2 - 1.2) < 0.7
    for name in ("R1@0.7", "mAP@0.7"):
        assert value(rows, name) == 100.0
        assert value(rows, name, legacy=True) == 0.0


@pytest.mark.parametrize("windows", [None, 5, "0-10", [[1]], [["a", "b"]], [[10, 0]], [[0, NAN]], [[0, math.inf]]])
def test_truth_that_is_none_is_an_error_with_the_item(windows: Any) -> None:
    item = Item("q17", "v", gold={"windows": windows, "duration": 20.0})
    with pytest.raises(UsageError, match="q17"):
        scores([Row(item, Prediction("q17", State.DONE, {"windows": []}))])


def test_ratings_that_do_not_fit_are_an_error_with_the_item() -> None:
    bad = row("q18", RIGHT, [[0, 10, 1.0]], saliency=[1.0], clips=[0, 1], ratings=[[4, 4, 4]])
    with pytest.raises(UsageError, match="q18"):
        scores([bad])


def test_ratings_without_clips_are_an_error_with_the_item() -> None:
    item = Item("q19", "v", gold={"windows": RIGHT, "ratings": [[4, 4, 4]]})
    with pytest.raises(UsageError, match="q19"):
        scores([Row(item, Prediction("q19", State.DONE, {"windows": [], "saliency": [1.0]}))])


def test_an_empty_right_window_cannot_be_found() -> None:
    # Readers of benchmarks let such truth through.
    rows = [row("a", [[5, 5]], [[5, 5, 1.0]]), row("b", [[5, 5], [0, 10]], [[0, 10, 1.0]])]
    found = values(rows)
    np.testing.assert_array_equal(found["mIoU"], [0, 1])
    np.testing.assert_array_equal(found["mAP"], [0, 0.5])


def test_no_rows() -> None:
    assert all(score.value is None and score.n == 0 for score in scores([]))
    assert official([])["brief"]["MR-full-mAP"] is None


# --- the whole against plain loops


def made_up(queries: int, seed: int) -> tuple[Any, list[Row]]:
    path = Path(__file__).parent.parent / "benchmarks" / "moment_scores.py"
    spec = importlib.util.spec_from_file_location("moment_scores", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules.get("moment_scores") or importlib.util.module_from_spec(spec)
    if "moment_scores" not in sys.modules:
        sys.modules["moment_scores"] = module
        spec.loader.exec_module(module)
    return module, module.made_up(queries, seed)


@pytest.mark.parametrize("seed", [1, 2])
def test_official_numbers_equal_plain_loops(seed: int) -> None:
    loops, rows = made_up(60, seed)
    found = official(rows)
    brief = found.pop("brief")
    assert found == loops.by_loops(rows)
    assert list(brief) == [
        "MR-full-R1@0.5",
        "MR-full-R1@0.7",
        "MR-full-mAP",
        "MR-full-mAP@0.5",
        "MR-full-mAP@0.75",
        "MR-long-mAP",
        "MR-middle-mAP",
        "MR-short-mAP",
        *(f"HL-min-{level}-{name}" for level in ("Fair", "Good", "VeryGood") for name in ("mAP", "Hit1")),
    ]
    legacy = {score.name: score for score in scores(rows, resamples=20) if score.legacy and not score.group}
    assert round(legacy["mAP"].value or 0, 2) == brief["MR-full-mAP"]
    assert round(legacy["R1@0.7"].value or 0, 2) == brief["MR-full-R1@0.7"]
    assert round(legacy["HIT@1 Good"].value or 0, 2) == brief["HL-min-Good-Hit1"]


# What the functions of the official script (moment_detr, with scikit-learn 1.9) print for this made-up set.
OFFICIAL = {
    "MR-full-R1@0.5": 55.29,
    "MR-full-R1@0.7": 42.65,
    "MR-full-mAP": 45.74,
    "MR-full-mAP@0.5": 63.84,
    "MR-full-mAP@0.75": 47.79,
    "MR-long-mAP": 58.52,
    "MR-middle-mAP": 33.24,
    "MR-short-mAP": 7.53,
    "HL-min-Fair-mAP": 50.85,
    "HL-min-Fair-Hit1": 82.32,
    "HL-min-Good-mAP": 41.29,
    "HL-min-Good-Hit1": 77.68,
    "HL-min-VeryGood-mAP": 28.73,
    "HL-min-VeryGood-Hit1": 59.55,
}


def test_official_numbers_equal_the_official_script() -> None:
    _, rows = made_up(1550, 0)
    assert official(rows)["brief"] == OFFICIAL


def test_a_list_of_clips_alone_is_scored_without_windows() -> None:
    rows = [row("a", RIGHT, None, saliency=[1.0, 0.0], clips=[0], ratings=[[4, 4, 4]])]
    assert {score.name.split()[0] for score in scores(rows)} == {"highlight", "HIT@1"}
    assert list(official(rows)) == ["brief", "HL-min-Fair", "HL-min-Good", "HL-min-VeryGood"]


# --- properties

SECONDS = st.integers(0, 60)
WINDOW = st.tuples(SECONDS, st.integers(1, 30)).map(lambda pair: [float(pair[0]), float(pair[0] + pair[1])])
SAID = st.lists(st.tuples(WINDOW, st.integers(0, 3)).map(lambda pair: [*pair[0], pair[1] / 3]), max_size=14)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.lists(WINDOW, min_size=1, max_size=4), SAID), min_size=1, max_size=6))
def test_scores_are_shares_and_agree_with_spans(queries: list[tuple[list[list[float]], list[list[float]]]]) -> None:
    rows = [row(str(place), right, said) for place, (right, said) in enumerate(queries)]
    found = values(rows)
    for name, array in found.items():
        assert ((array >= 0) & (array <= 1)).all(), name
    for place, (right, said) in enumerate(queries):
        best = max(said, key=lambda window: window[2], default=None)
        expected = max((Span(*best[:2]).iou(Span(*window)) for window in right), default=0.0) if best else 0.0
        assert found["mIoU"][place] == pytest.approx(expected)
    strict = {score.name: score.value for score in scores(rows, resamples=2) if not score.legacy and not score.group}
    for name, array in found.items():
        assert strict[name] == pytest.approx(100 * array.mean()), name


@settings(deadline=None, max_examples=40)
@given(st.lists(WINDOW, min_size=1, max_size=6, unique_by=tuple))
def test_the_truth_itself_is_perfect(right: list[list[float]]) -> None:
    rows = [row("a", right, [[*window, 1.0] for window in right])]
    assert all(score.value == pytest.approx(100.0) for score in scores(rows, resamples=2) if not score.legacy)


@settings(deadline=None, max_examples=40)
@given(st.lists(WINDOW, min_size=1, max_size=3), SAID, st.floats(0.1, 50.0), st.integers(-40, 40))
def test_units_and_origin_do_not_matter(
    right: list[list[float]], said: list[list[float]], scale: float, shift: int
) -> None:
    moved = [[scale * (a + shift), scale * (b + shift)] for a, b in right]
    also = [[scale * (a + shift), scale * (b + shift), score] for a, b, score in said]
    before, after = values([row("a", right, said)]), values([row("a", moved, also)])
    for name in before:
        assert before[name] == pytest.approx(after[name], abs=1e-6), name


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.lists(WINDOW, min_size=1, max_size=3), SAID), min_size=2, max_size=6), st.randoms())
def test_the_order_of_rows_does_not_matter(queries: list[Any], random: Any) -> None:
    rows = [row(str(place), right, said) for place, (right, said) in enumerate(queries)]
    mixed = list(rows)
    random.shuffle(mixed)
    before = {(s.name, s.legacy, tuple(s.group.items())): s.value for s in scores(rows, resamples=2)}
    after = {(s.name, s.legacy, tuple(s.group.items())): s.value for s in scores(mixed, resamples=2)}
    assert before == {
        key: pytest.approx(value, abs=1e-9) if value is not None else None for key, value in after.items()
    }

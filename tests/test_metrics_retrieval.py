"""Ranks against a plain implementation, and retrieval scores worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from longshot.errors import FormatError, LongshotError, UsageError
from longshot.items import Item, Prediction, Row, Score
from longshot.journal import State
from longshot.metrics import _ranking
from longshot.metrics.intervals import Resampler, bounds
from longshot.metrics.retrieval import TERMS, rank, ranks, rebias, scores, values
from longshot.timeline import Span

Lists = list[list[int]]


def plain(
    texts: np.ndarray, videos: np.ndarray, truth: Sequence[Sequence[int]], temperature: float | None = None
) -> tuple[Lists, Lists]:
    """The same ranks from the whole matrix: one more than the wrong ones that are as good or better, and than the right
    ones that stand above."""
    matrix = texts.astype(np.float64) @ videos.astype(np.float64).T
    slack = 1e-12
    if temperature is not None:
        weights = np.exp(matrix / temperature)
        both = weights / weights.sum(axis=1, keepdims=True) * (weights / weights.sum(axis=0, keepdims=True))
        matrix, slack = np.log(both), 2 / temperature * 1e-9  # what is tied in `rank`, in units of this log
    right = np.zeros(matrix.shape, bool)
    for row, columns in enumerate(truth):
        right[row, list(columns)] = True

    def one_way(table: np.ndarray, mask: np.ndarray) -> Lists:
        found = []
        for row, good in zip(table, mask, strict=True):
            wrong = row[~good]
            best_first = sorted(row[good], reverse=True)
            found.append(sorted(int((wrong >= s - slack).sum()) + k for k, s in enumerate(best_first, start=1)))
        return found

    return one_way(matrix, right), one_way(matrix.T, right.T)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_TEXTS": 7, "_ROWS": 3, "_PAIRS": 2}.items():
        monkeypatch.setattr(_ranking, name, value)


# --- ranks


def test_ranks_by_hand() -> None:
    videos = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    texts = np.array([[1, 0], [0, 1], [0.8, 0.6]], np.float32)
    # scores: 1 0 .6 / 0 1 .8 / .8 .6 .96
    found = rank(texts, videos, [[0], [2], [1, 0]])
    assert found.forward == [[1], [2], [2, 3]]
    # video 0 is right for texts 0 and 2 (1, .8); video 1 for text 2 (.6, behind 1); video 2 for text 1 (.8, behind .96)
    assert found.backward == [[1, 2], [2], [2]]
    assert found.forward_ties == [0, 0, 0]
    assert ranks(texts, videos, [[0], [2], [1, 0]]) == (found.forward, found.backward)


def test_what_is_tied_comes_before_the_right_one() -> None:
    texts = np.array([[1.0, 0.0]], np.float32)
    videos = np.array([[0.9, 0.1], [0.7, 0.3], [0.7, -0.3], [0.2, 0]], np.float32)
    assert rank(texts, videos, [[2]]).forward == [[3]]
    assert rank(texts, videos, [[1]]).forward == [[3]]
    assert rank(texts, videos, [[1]]).forward_ties == [1]
    assert rank(texts, videos, [[1, 2]]).forward == [[2, 3]], "right ones that are tied do not push each other back"
    assert rank(texts, videos, [[1, 2]]).forward_ties == [0]
    assert rank(texts, videos, [[0, 1]]).forward == [[1, 3]]


def test_a_model_that_finds_all_alike_ranks_last() -> None:
    same = np.full((40, 8), 8**-0.5, np.float32)
    found = rank(same, same[:30], [[k % 30] for k in range(40)], block=11)
    assert found.forward == [[30]] * 40
    assert found.forward_ties == [29] * 40
    assert found.backward[0] == [39, 40] and found.backward[29] == [40]
    assert found.backward_ties[0] == 38


@given(
    st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 40), st.integers(1, 5), st.integers(1, 50), st.booleans()
)
@example(864, 25, 2, 5, 1, True)  # two texts that are nearly tied
@example(0, 3, 4, 2, 3, False)  # the fourth video, alone in its block, has the vector of the second
@settings(max_examples=60, deadline=None)
def test_ranks_equal_the_plain_ones(seed: int, n: int, m: int, d: int, block: int, whole: bool) -> None:
    random = np.random.default_rng(seed)
    if whole:  # many ties
        texts, videos = (random.integers(-2, 3, (rows, d)).astype(np.float32) for rows in (n, m))
    else:  # some rows twice
        texts, videos = (random.standard_normal((rows, d)).astype(np.float32) for rows in (n, m))
        videos[m // 2 :] = videos[: m - m // 2]
    truth = [random.choice(m, random.integers(0, min(m, 4) + 1), replace=False).tolist() for _ in range(n)]
    found = rank(texts, videos, truth, block=block)
    assert (found.forward, found.backward) == plain(texts, videos, truth)
    strict = rank(texts, videos, truth, block=block, temperature=0.5)
    assert (strict.forward, strict.backward) == plain(texts, videos, truth, 0.5)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("block", [1, 10, 64, 5000])
def test_tiles_change_nothing(block: int) -> None:
    random = np.random.default_rng(3)
    texts, videos = unit(random.standard_normal((50, 24))), unit(random.standard_normal((300, 24)))
    videos[200:] = videos[:100]
    truth = [random.choice(300, random.integers(0, 6), replace=False).tolist() for _ in range(50)]
    found = rank(texts, videos, truth, block=block)
    assert (found.forward, found.backward) == plain(texts, videos, truth)
    dual = rank(texts, videos, truth, block=block, temperature=0.1)
    assert (dual.forward, dual.backward) == plain(texts, videos, truth, 0.1)


def test_what_float32_cannot_tell_is_told() -> None:
    random = np.random.default_rng(0)
    text = unit(random.standard_normal((1, 512)))
    video = unit(random.standard_normal((1, 512)))
    videos = np.repeat(video, 400, axis=0)
    for k in range(400):  # one step of float32 in one number: scores 1e-10 to 1e-8 apart
        videos[k, k] = np.nextafter(videos[k, k], np.float32(2))
    exact = videos.astype(np.float64) @ text[0].astype(np.float64)
    assert np.ptp(exact) < 1e-7
    for right in (0, 17, 399):
        assert rank(text, videos, [[right]]).forward == [[int((exact >= exact[right] - 1e-12).sum())]]


def test_the_gallery_from_a_file_and_in_blocks(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    texts, videos = unit(random.standard_normal((20, 16))), unit(random.standard_normal((90, 16)))
    truth = [[int(k)] for k in random.choice(90, 20, replace=False)]
    expected = rank(texts, videos, truth)
    np.save(tmp_path / "videos.npy", videos)
    for mode in ("r", "c"):
        mapped = np.load(tmp_path / "videos.npy", mmap_mode=mode)
        assert rank(texts, mapped, truth, block=32) == expected
        assert rank(texts, mapped[::2], [[0]] * 20) == rank(texts, videos[::2], [[0]] * 20)
    changed = np.load(tmp_path / "videos.npy", mmap_mode="c")
    changed[:45] = 0
    rank(texts, changed, truth, block=8)
    assert not changed[:45].any(), "what was written into a private mapping stays"
    assert rank(texts, [videos[:31], videos[31:31], videos[31:]], truth, block=13) == expected

    class Again:
        def __iter__(self) -> Iterator[np.ndarray]:
            yield from np.array_split(videos, 4)

    assert rank(texts, Again(), truth) == expected
    assert rank(texts.astype(np.float64), videos.astype(np.float64), truth) == expected


def test_texts_and_videos_without_a_right_one() -> None:
    eye = np.eye(3, dtype=np.float32)
    assert rank(eye, eye, [[], [1, 1], []]).forward == [[], [1], []], "named twice counts once"
    assert rank(eye, eye, [[], [1], []]).backward == [[], [1], []]
    assert rank(eye, eye[:0], [[], [], []]).forward == [[], [], []]
    assert rank(eye[:0], eye, []).backward == [[], [], []]
    assert rank(eye[:0], eye, [], temperature=0.1).backward == [[], [], []]


EYE = np.eye(4, dtype=np.float32)
BROKEN = np.where(np.arange(16).reshape(4, 4) == 9, np.nan, EYE)


@pytest.mark.parametrize(
    ("texts", "videos", "truth", "options", "said"),
    [
        (BROKEN, EYE, [[0]] * 4, {}, "row 2 of the texts is not finite"),
        (EYE, BROKEN, [[0]] * 4, {"block": 2}, "row 2 of the videos is not finite"),
        (EYE, np.full((4, 4), np.inf), [[0]] * 4, {}, "row 0 of the videos is not finite"),
        (EYE, np.full((4, 4), 1e30), [[0]] * 4, {}, "row 0 of the videos is not finite"),
        (np.full((4, 4), 1e300), EYE, [[0]] * 4, {}, "row 0 of the texts is not finite"),
        (EYE, EYE, [[0]] * 3, {}, "4 texts need as many lists"),
        (EYE, EYE, [[4]] * 4, {}, "0 to 3, got 4"),
        (EYE, EYE, [[-1]] * 4, {}, "from 0, got -1"),
        (EYE, EYE[:, :3], [[0]] * 4, {}, "the 4 numbers a row"),
        (EYE, [EYE, EYE[0]], [[0]] * 4, {}, "the 4 numbers a row"),
        (EYE[0], EYE, [[0]], {}, "rows of a matrix"),
        (EYE, iter([EYE]), [[0]] * 4, {}, "read more than once"),
        (EYE, EYE, [[0]] * 4, {"block": 0}, "at least one video"),
        (EYE, EYE, [[0]] * 4, {"temperature": 0.0}, "temperature is more than"),
        (EYE, EYE, [[0]] * 4, {"temperature": 1e-4}, "temperature is more than"),
        (EYE, EYE, [[0]] * 4, {"temperature": float("nan")}, "temperature is more than"),
    ],
)
def test_what_cannot_be_ranked(texts: Any, videos: Any, truth: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        rank(texts, videos, truth, **options)


# --- scores


def row(
    id: str,
    video: str,
    right: Any,
    forward: Any = None,
    backward: Any = None,
    *,
    state: State = State.DONE,
    span: Span | None = None,
    **groups: str,
) -> Row:
    value = {"text_to_video": forward, "video_to_text": backward} if state is State.DONE else None
    return Row(Item(id, video, "words", {"videos": right}, span=span, groups=groups), Prediction(id, state, value))


ROWS = [
    row("a", "v1", ["v1"], [1], [1, 3], source="film"),
    row("b", "v1", ["v1", "v2"], [2, 3], source="web"),
    row("c", "v2", ["v2"], [3], [2, 4], source="web"),
    row("d", "v3", ["v3"], state=State.REFUSED, source="film"),
]
GAIN_B = (1 / log2(3) + 1 / log2(4)) / (1 / log2(2) + 1 / log2(3))
GAIN_V1 = (1 / log2(2) + 1 / log2(4)) / (1 / log2(2) + 1 / log2(3))
GAIN_V2 = (1 / log2(3) + 1 / log2(5)) / (1 / log2(2) + 1 / log2(3))
STRICT = {
    "R@1 text to video": 25.0,
    "R@5 text to video": 75.0,
    "R@10 text to video": 75.0,
    "MRR text to video": 100 * (1 + 1 / 2 + 1 / 3 + 0) / 4,
    "nDCG@10 text to video": 100 * (1 + GAIN_B + 1 / 2 + 0) / 4,
    "mAP text to video": 100 * (1 + (1 / 2 + 2 / 3) / 2 + 1 / 3 + 0) / 4,
    "MedR text to video": 2.5,  # of 1, 2, 3 and 4, one behind the last of three
    "MeanR text to video": 2.5,
    "R@1 video to text": 100 / 3,
    "R@5 video to text": 200 / 3,
    "R@10 video to text": 200 / 3,
    "MRR video to text": 100 * (1 + 1 / 2) / 3,
    "nDCG@10 video to text": 100 * (GAIN_V1 + GAIN_V2) / 3,
    "mAP video to text": 100 * ((1 + 2 / 3) / 2 + (1 / 2 + 2 / 4) / 2) / 3,
    "MedR video to text": 2.0,  # of 1, 2 and 5
    "MeanR video to text": 8 / 3,
    "mean R@1 of both directions": (25 + 100 / 3) / 2,
}
LEGACY = {
    "R@1 text to video": 100 / 3,
    "R@5 text to video": 100.0,
    "R@10 text to video": 100.0,
    "R@1 video to text": 50.0,
    "R@5 video to text": 100.0,
    "R@10 video to text": 100.0,
    "mean R@1 of both directions": (100 / 3 + 50) / 2,
    "pass@1 text to video": 25.0,
    "pass@5 text to video": 75.0,
    "pass@10 text to video": 75.0,
    "pass@1 video to text": 25.0,
    "pass@5 video to text": 50.0,
    "pass@10 video to text": 50.0,
}


def of(found: Sequence[Score], *, legacy: bool = False, **group: str) -> dict[str, float | None]:
    return {score.name: score.value for score in found if score.legacy is legacy and score.group == group}


def test_scores_by_hand() -> None:
    found = scores(ROWS)
    assert of(found) == pytest.approx(STRICT)
    assert of(found, legacy=True) == pytest.approx(LEGACY)
    assert [score.legacy for score in found if not score.group] == [False] * len(STRICT) + [True] * len(LEGACY)
    first = found[0]
    note = "among 3 videos; 1 not done, whose videos stood in nobody's way"
    assert (first.name, first.n, first.unit, first.note) == ("R@1 text to video", 4, "%", note)
    assert first.states == {"done": 3, "failed": 0, "refused": 1, "unreadable": 0}
    by_name = {(score.name, score.legacy): score for score in found if not score.group}
    assert by_name["MRR video to text", False].n == 3
    assert by_name["MRR video to text", False].note.startswith("among 4 texts")
    assert by_name["MedR text to video", False].unit == ""
    assert by_name["R@1 text to video", True].n == 3
    assert by_name["R@1 text to video", True].states["refused"] == 0
    assert by_name["pass@1 text to video", True].n == 4
    note = by_name["pass@1 video to text", True].note
    assert note.startswith("among 4 texts") and note.endswith("; hits / 4 texts")


def test_groups() -> None:
    found = scores(ROWS)
    film, web = of(found, source="film"), of(found, source="web")
    assert film["R@1 text to video"] == 50 and web["R@1 text to video"] == 0
    assert web["mAP text to video"] == pytest.approx(100 * (7 / 12 + 1 / 3) / 2)
    assert film["R@1 video to text"] == 50 and web["MRR video to text"] == 50
    lone = next(s for s in found if s.group == {"source": "web"} and s.name == "R@1 video to text")
    assert (lone.n, lone.low, lone.high) == (1, None, None), "one video says nothing about others"
    assert len([score for score in found if score.group]) == 2 * len(STRICT)


def test_values_are_what_the_scores_are_means_of() -> None:
    found = {score.name: score.value for score in scores(ROWS) if not score.legacy and not score.group}
    table = values(ROWS)
    assert set(table) == {name for name in STRICT if not name.startswith(("Med", "Mean", "mean"))}
    for name, array in table.items():
        assert array.shape == (4,) and 100 * np.nanmean(array) == pytest.approx(found[name])
    assert np.isnan(table["R@1 video to text"]).tolist() == [False, True, False, False]
    assert table["R@1 text to video"][3] == 0


def test_intervals_are_of_videos() -> None:
    random = np.random.default_rng(0)
    rows = [row(str(k), f"v{k // 2}", [f"v{k // 2}"], [int(random.integers(1, 40))]) for k in range(80)]
    found = {score.name: score for score in scores(rows, seed=4, resamples=300) if not score.legacy}
    hits = values(rows)["R@10 text to video"]
    low, high = bounds(100 * Resampler([f"v{k // 2}" for k in range(80)], seed=4, resamples=300).means(hits))
    assert (found["R@10 text to video"].low, found["R@10 text to video"].high) == (low, high)
    middle = found["MedR text to video"]
    assert middle.low is not None and middle.high is not None and middle.value is not None
    assert 10 < middle.low <= middle.value <= middle.high < 32
    assert not any("video to text" in name for name in found), "told by none, though all are done"


def test_nobody_answered() -> None:
    rows = [row(str(k), f"v{k}", [f"v{k}"], state=State.FAILED) for k in range(3)] + [Row(ROWS[0].item)]
    found = scores(rows)
    assert of(found)["R@10 text to video"] == 0 and of(found)["R@10 video to text"] == 0
    assert of(found)["MedR text to video"] == 4, "one behind the last of v0, v1 and v2"
    assert of(found, legacy=True)["R@1 text to video"] is None
    assert scores([]) == []


def test_an_item_without_truth_is_no_query() -> None:
    rows = [row("a", "v1", ["v1"], [1], [1]), row("b", "v2", [], [], None)]
    found = scores(rows)
    assert of(found)["R@1 text to video"] == 100 and found[0].n == 1
    assert np.isnan(values(rows)["R@1 text to video"]).tolist() == [False, True]


def test_right_ones_that_were_not_ranked_count_against_map() -> None:
    rows = [row("a", "v1", ["v1", "v2"], [1], [1]), row("b", "v2", ["v2"], [2], [1])]
    assert values(rows)["mAP text to video"].tolist() == [0.5, 0.5]
    assert values(rows)["nDCG@10 text to video"][0] == pytest.approx(1 / (1 + 1 / log2(3)))
    assert values(rows)["mAP video to text"].tolist() == [1.0, 0.5]
    assert values([row("a", "v1", ["v1"], [], [])])["mAP text to video"].tolist() == [0.0]


def test_parts_of_a_video_are_gallery_ids() -> None:
    rows = [
        row("a", "v", ["v@0-5"], [1], [1], span=Span(0, 5)),
        row("b", "v", ["v@5-9.5"], [2], [2], span=Span(5, 9.5)),
    ]
    found = scores(rows)
    assert found[0].note == "among 2 videos" and of(found)["R@1 video to text"] == 50


def test_video_to_text_is_told_at_any_item_of_the_video() -> None:
    rows = [row("a", "v", ["v"], state=State.FAILED), row("b", "v", ["v"], [1], [2])]
    assert of(scores(rows))["MRR video to text"] == 50


def test_the_lists_of_lovr() -> None:
    found = scores(ROWS, passes=range(1, 21), divisor=8)
    passed = {name: value for name, value in of(found, legacy=True).items() if name.startswith("pass")}
    assert len(passed) == 40
    assert passed["pass@1 text to video"] == 12.5 and passed["pass@2 text to video"] == 25
    assert passed["pass@20 video to text"] == 25
    assert not any(score.name.startswith("pass") for score in scores(ROWS, passes=()))
    with pytest.raises(UsageError, match="divisor"):
        scores(ROWS, divisor=0)
    with pytest.raises(UsageError, match="at least 1, got 0, 5"):
        scores(ROWS, passes=[0, 5])


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (row("a", "v1", "v1", [1]), "list of gallery ids"),
        (row("a", "v1", None, [1]), "list of gallery ids"),
        (row("a", "v1", ["v1"], None), "list of ranks from 1"),
        (row("a", "v1", ["v1"], [0]), "list of ranks from 1"),
        (row("a", "v1", ["v1"], [1.0]), "list of ranks from 1"),
        (row("a", "v1", ["v1"], [True]), "list of ranks from 1"),
        (row("a", "v1", ["v1", "v2"], [2, 1]), "list of ranks from 1"),
        (row("a", "v1", ["v1", "v2"], [1, 1]), "list of ranks from 1"),
        (row("a", "v1", ["v1"], [1], "2"), "video_to_text is a list"),
        (row("a", "v1", ["v1"], [1, 2]), "1 right of 1 candidates"),
        (row("a", "v1", ["v1"], [2]), "1 right of 1 candidates"),
        (row("a", "v1", ["v1"], [1], [2]), "1 right of 1 candidates"),
        (Row(Item("a", "v1", gold={"videos": ["v1"]}), Prediction("a", State.DONE, "v1")), "got 'v1'"),
        (Row(Item("a", "v1", gold={"videos": ["v1"]}), Prediction("a", State.DONE, {"rank": 1})), "text_to_video"),
    ],
)
def test_malformed_rows(broken: Row, said: str) -> None:
    with pytest.raises(FormatError, match=said) as caught:
        scores([broken])
    assert isinstance(caught.value, LongshotError) and str(caught.value).startswith("a: ")


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_gain_and_precision_equal_those_of_scikit_learn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(seed)
    size, right = int(random.integers(2, 40)), 0
    right = int(random.integers(1, size))
    found = sorted((random.choice(size, right, replace=False) + 1).tolist())
    names = [f"v{k}" for k in range(size)]
    rows = [row("q", "v0", names[:right], found)]
    rows += [row(str(k), names[k], [names[k]], state=State.FAILED) for k in range(1, size)]
    relevant = np.zeros(size)
    relevant[np.array(found) - 1] = 1
    order = -np.arange(size, dtype=float)
    table = values(rows)
    assert table["mAP text to video"][0] == pytest.approx(metrics.average_precision_score(relevant, order))
    assert table["nDCG@10 text to video"][0] == pytest.approx(metrics.ndcg_score([relevant], [order], k=10))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_more_places_never_find_less(firsts: list[int]) -> None:
    size = 30
    rows = [row(str(k), f"v{k}", [f"v{k}"], [firsts[k]] if k < len(firsts) else []) for k in range(size)]
    found = of(scores(rows, resamples=20, passes=range(1, 31)), legacy=True)
    passed = [found[f"pass@{k} text to video"] for k in range(1, 31)]
    assert passed == sorted(passed)
    assert passed[-1] == pytest.approx(100 * len(firsts) / size)


# --- ReBias


def test_rebias_golden() -> None:
    assert rebias(dict.fromkeys(TERMS, 90.0), dict.fromkeys(TERMS, 72.0)).value == pytest.approx(20.0)
    assert rebias(dict.fromkeys(TERMS, 72.0), dict.fromkeys(TERMS, 90.0)).value == pytest.approx(25.0)
    spatial = dict(zip(TERMS, (80, 90, 100, 70, 90, 98), strict=True))
    temporal = dict(zip(TERMS, (50, 70, 80, 40, 60, 60), strict=True))
    found = rebias(spatial, temporal)
    assert (found.spatial, found.temporal) == (88, 60)
    assert found.value == pytest.approx(100 * 28 / 88)
    assert found.terms["R@5 video to text"] == (90, 60)
    assert rebias(dict.fromkeys(TERMS, 0.0), dict.fromkeys(TERMS, 1.0)).value is None


def test_rebias_of_rows_has_an_interval() -> None:
    random = np.random.default_rng(0)

    def rows(worst: int) -> list[Row]:
        told = random.integers(1, worst, (60, 2)).tolist()
        return [row(str(k), f"v{k}", [f"v{k}"], [a], [b]) for k, (a, b) in enumerate(told)]

    spatial, temporal = rows(8), rows(30)
    found = rebias(spatial, temporal, resamples=300)
    recalls = [
        {name: 100 * float(np.nanmean(array)) for name, array in values(some).items()} for some in (spatial, temporal)
    ]
    assert found.value == pytest.approx(rebias(*recalls).value)
    assert found.low is not None and found.high is not None and found.value is not None
    assert 5 < found.low < found.value < found.high < 90
    same = rebias(spatial, spatial, resamples=50)
    assert (same.value, same.low, same.high) == pytest.approx((0, 0, 0)), "the same videos are drawn for both"


def test_rebias_wants_both_whole() -> None:
    full = dict.fromkeys(TERMS, 50.0)
    with pytest.raises(UsageError, match="R@1 video to text is missing"):
        rebias(full, {name: 1.0 for name in TERMS if name != "R@1 video to text"})
    with pytest.raises(UsageError, match="recalls of both or rows of both"):
        rebias(full, ROWS)
    with pytest.raises(UsageError, match="video to text, too"):
        rebias([row("a", "v1", ["v1"], [1])], ROWS)

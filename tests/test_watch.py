from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot.captioning.watch import watch
from longshot.contracts import Frames, Glance
from longshot.video import Video, end_of_pictures, open_video
from tests.videos import write_video


@dataclass
class Scripted:
    """A video whose glances are written down."""

    parts: list[list[float]]
    duration: float
    fps: float = 25.0
    asked: dict[str, Any] = field(default_factory=dict)

    def scan(self, *, every: float | None, height: int | None) -> Iterator[Glance]:
        self.asked = {"every": every, "height": height}
        for times in self.parts:
            count = len(times)
            frames = Frames(np.zeros((0, 2, 2, 3), np.uint8), np.zeros(0))
            luma, chroma = np.zeros((count, 36, 64), np.float32), np.zeros((count, 18, 32, 2), np.float32)
            yield Glance(np.array(times), luma, chroma, frames)


class Onlooker:
    def __init__(self) -> None:
        self.times: list[float] = []

    def see(self, glance: Glance) -> None:
        self.times += glance.times.tolist()


def scripted(parts: list[list[float]], duration: float, fps: float = 25.0) -> Video:
    return cast(Video, Scripted(parts, duration, fps))


def test_every_watcher_sees_every_glance_of_one_scan() -> None:
    video = Scripted([[0.0, 0.04], [], [0.08, 0.12]], 0.16)
    first, second = Onlooker(), Onlooker()
    seen: list[tuple[float, float]] = []
    end = watch(cast(Video, video), [first, second], every=1.0, height=64, progress=lambda *now: seen.append(now))
    assert end == 0.16
    assert first.times == second.times == [0.0, 0.04, 0.08, 0.12]
    assert video.asked == {"every": 1.0, "height": 64}
    assert seen == [(0.04, 0.16), (0.12, 0.16)]


def test_nothing_seen_ends_at_zero() -> None:
    assert watch(scripted([], 10.0), []) == 0.0


def test_a_video_that_stops_early_ends_where_it_stopped() -> None:
    times = [index * 0.04 for index in range(100)]
    assert watch(scripted([times], 63.0), []) == pytest.approx(4.0)


def test_an_error_of_a_watcher_is_not_hidden() -> None:
    class Failing:
        def see(self, glance: Glance) -> None:
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        watch(scripted([[0.0]], 1.0), [Failing()])


@pytest.mark.parametrize(
    ("times", "header", "fps", "end"),
    [
        ([9.88, 9.92, 9.96], 10.0, 25, 10.0),
        ([9.88, 9.92, 9.96], 10.02, 25, 10.02),
        ([9.88, 9.92, 9.96], 9.98, 25, 9.98),
        ([9.88, 9.92, 9.96], 9.5, 25, 10.0),  # a header that ends before the last frame is wrong
        ([9.88, 9.92, 9.96], 63.0, 25, 10.0),  # cut off, or a longer sound track
        ([9.88, 9.92, 9.96], 10.5, 25, 10.0),
        ([9.88, 9.92, 9.96], 0.0, 25, 10.0),  # no header
        ([0, 4, 8, 12], 17.5, 0, 17.5),
        ([0, 4, 8, 12], 40.0, 0, 16.0),
        ([0.0], 0.04, 25, 0.04),  # one frame
        ([0.0], 0.1, 10, 0.1),
        ([0.0], 9999.0, 25, 0.04),
        ([0.0], 0.0, 0, 0.04),
    ],
)
def test_the_end_of_pictures(times: list[float], header: float, fps: float, end: float) -> None:
    assert end_of_pictures(times, header=header, fps=fps) == pytest.approx(end)


@given(
    st.lists(st.floats(0, 1e5), min_size=1, max_size=40, unique=True),
    st.floats(0, 2e5),
    st.floats(0, 240),
)
def test_the_end_is_after_the_last_frame(times: list[float], header: float, fps: float) -> None:
    ordered = sorted(times)
    assert end_of_pictures(ordered, header=header, fps=fps) >= ordered[-1]


@pytest.mark.parametrize("name", ["plain.mp4", "plain.mkv", "plain.ts"])
@pytest.mark.parametrize("fps", [25, 12])
def test_a_real_file_ends_after_its_last_frame(tmp_path: Path, name: str, fps: int) -> None:
    write_video(tmp_path / name, count=36, fps=fps)
    with open_video(tmp_path / name) as video:
        end = watch(video, [], every=None)
        assert end == pytest.approx(36 / fps, abs=0.002)
        assert video.pictures_end() == pytest.approx(end)


def test_a_file_cut_off_ends_where_its_pictures_end(tmp_path: Path) -> None:
    whole = tmp_path / "whole.ts"
    write_video(whole, count=200, options={"g": "10"})
    (tmp_path / "half.ts").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with open_video(tmp_path / "half.ts") as video:
        onlooker = Onlooker()
        end = watch(video, [onlooker], every=None)
    assert 1 < end < 7
    assert end == pytest.approx(onlooker.times[-1] + 0.04, abs=0.061)

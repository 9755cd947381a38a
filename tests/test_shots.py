from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from longshot import registry
from longshot.contracts import Frames, Glance
from longshot.segmenters import _fast, _likeness
from longshot.segmenters._changes import Blank, Change, settle
from longshot.segmenters.shots import ShotWatcher
from longshot.timeline import Span
from longshot.video import Packets

NO_FRAMES = Frames(np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0))
Pixels = NDArray[np.float32]


class Scene:
    """A wide drawn landscape with its own light and colour, seen through a window that may move."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        wide = np.zeros((36, 200))
        for cells in (3, 6, 12):
            noise = rng.normal(0, 1, (cells, cells * 4))
            wide += np.kron(noise, np.ones((36 // cells, math.ceil(200 / cells / 4))))[:, :200] * 28
        self.light = np.clip(wide + rng.uniform(70, 180), 0, 255)
        self.colour = rng.uniform(-40, 40, 2)

    def at(self, left: float) -> Pixels:
        """(36, 64) brightness with the window's left edge at a fraction of a cell."""
        whole, rest = divmod(left, 1)
        here = self.light[:, int(whole) : int(whole) + 65]
        return (here[:, :64] * (1 - rest) + here[:, 1:65] * rest).astype(np.float32)


class Reel:
    """Pictures one after the other, with their times."""

    def __init__(self, rate: float = 25.0) -> None:
        self.rate = rate
        self.luma: list[Pixels] = []
        self.chroma: list[Pixels] = []
        self.now = 0.0
        self.times: list[float] = []

    def add(self, luma: Pixels, colour: NDArray[np.float64]) -> None:
        self.luma.append(np.clip(luma, 0, 255))
        self.chroma.append(np.broadcast_to(colour, (18, 32, 2)).astype(np.float32))
        self.times.append(self.now)
        self.now += 1 / self.rate

    def show(
        self, scene: Scene, seconds: float, *, speed: float = 2.0, light: Callable[[float], float] = lambda second: 1.0
    ) -> None:
        """A pan of `speed` cells a second; `light` scales the picture at each second of the shot."""
        for k in range(round(seconds * self.rate)):
            second = k / self.rate
            self.add(scene.at(20 + speed * second) * light(second), scene.colour * min(light(second), 1))

    def mix(self, old: Scene, new: Scene, seconds: float) -> None:
        count = round(seconds * self.rate)
        for k in range(count):
            share = (k + 1) / (count + 1)
            self.add(old.at(25) * (1 - share) + new.at(20) * share, old.colour * (1 - share) + new.colour * share)

    def glance(self) -> Glance:
        return Glance(np.array(self.times), np.array(self.luma), np.array(self.chroma), NO_FRAMES)

    def starts(self) -> list[float]:
        watcher = ShotWatcher()
        watcher.see(self.glance())
        return [span.start for span in watcher.finish(self.now)[1:]]


A, B, C = Scene(1), Scene(2), Scene(3)


@pytest.mark.parametrize("rate", [10, 23.976, 25, 60, 120])
def test_a_hard_cut_is_where_the_new_shot_appears(rate: float) -> None:
    reel = Reel(rate)
    reel.show(A, 2)
    first = reel.now
    reel.show(B, 2)
    second = reel.now
    reel.show(C, 1.5)
    assert reel.starts() == pytest.approx([first, second], abs=1e-9)


def test_cuts_of_uneven_frame_times_are_found_at_their_times() -> None:
    reel = Reel(30)
    reel.show(A, 2)
    reel.rate = 7.0
    reel.show(A, 1.5, speed=0)
    cut = reel.now
    reel.show(B, 2)
    reel.rate = 50
    reel.show(B, 1, speed=0)
    assert cut in reel.starts()
    assert len(reel.starts()) <= 2  # the pan that starts again may not make more than one


@pytest.mark.parametrize("rate", [12, 25, 50])
@pytest.mark.parametrize("seconds", [0.4, 1.0, 2.0, 3.0])
def test_a_dissolve_is_divided_inside_and_once(rate: float, seconds: float) -> None:
    reel = Reel(rate)
    reel.show(A, 2.5)
    first = reel.now
    reel.mix(A, B, seconds)
    last = reel.now
    reel.show(B, 2.5)
    (start,) = reel.starts()
    assert first <= start <= last
    assert start == pytest.approx((first + last) / 2, abs=0.25 * seconds + 0.1)


@pytest.mark.parametrize("base", [0.0, 255.0], ids=["black", "white"])
def test_a_fade_through_a_blank_is_one_boundary(base: float) -> None:
    reel = Reel()
    reel.show(A, 2)
    first = reel.now
    for scene, way in ((A, -1), (B, 1)):
        for k in range(12):
            share = (k + 1) / 12 if way > 0 else 1 - (k + 1) / 12
            reel.add(scene.at(22) * share + base * (1 - share), scene.colour * share)
    last = reel.now
    reel.show(B, 2)
    (start,) = reel.starts()
    assert first <= start <= last


def test_fades_at_the_ends_bound_nothing() -> None:
    reel = Reel()
    reel.show(A, 4, light=lambda second: min(1.0, second / 0.8, (4 - second) / 0.8 if second > 3 else 1.0))
    assert reel.starts() == []


def test_a_long_black_is_a_shot_of_its_own() -> None:
    reel = Reel()
    reel.show(A, 2)
    first = reel.now
    for _ in range(75):
        reel.add(np.zeros((36, 64), np.float32), np.zeros(2))
    last = reel.now
    reel.show(B, 2)
    assert reel.starts() == pytest.approx([first, last])


@pytest.mark.parametrize(
    "light",
    [
        pytest.param(lambda second: 3.5 if second % 0.7 < 0.05 else 1.0, id="flashes"),
        pytest.param(lambda second: 0.15 if second % 0.2 < 0.1 else 1.0, id="strobe"),
        pytest.param(lambda second: 0.4 + 0.25 * second, id="exposure"),
        pytest.param(lambda second: 0.4 + 2 * math.exp(-4 * abs(second - 1.5)), id="lightning"),
    ],
)
def test_light_makes_no_shots(light: Callable[[float], float]) -> None:
    reel = Reel()
    reel.show(A, 3, light=light)
    assert reel.starts() == []


@pytest.mark.parametrize("speed", [5.0, 30.0])
def test_a_pan_makes_no_shots(speed: float) -> None:
    reel = Reel()
    reel.show(A, 3, speed=speed)
    assert reel.starts() == []


def test_shaking_makes_no_shots() -> None:
    reel, rng = Reel(), np.random.default_rng(0)
    for _ in range(75):
        reel.add(A.at(20 + rng.uniform(-4, 4)), A.colour)
    assert reel.starts() == []


def test_noise_and_a_sliding_bar_make_no_shots() -> None:
    reel, rng = Reel(), np.random.default_rng(0)
    for k in range(75):
        picture = A.at(20) * 0.3 + rng.normal(0, 3, (36, 64))
        picture[26:33, : min(k, 40)] = 200
        reel.add(picture.astype(np.float32), A.colour)
    assert reel.starts() == []


def test_repeated_frames_change_nothing() -> None:
    """25 pictures a second carried in 30: every fifth is shown twice."""
    reel = Reel(30)
    for scene in (A, B):
        for k in range(50):
            for _ in range(2 if k % 5 == 4 else 1):
                reel.add(scene.at(20 + 0.5 * k), scene.colour)
    assert reel.starts() == pytest.approx([2.0])


@pytest.mark.parametrize("bars", ["pillars", "letterbox"])
def test_black_bars_hide_no_cut(bars: str) -> None:
    reel = Reel()
    reel.show(A, 2)
    cut = reel.now
    reel.show(B, 2)
    for luma in reel.luma:
        if bars == "pillars":
            luma[:, :12] = luma[:, -12:] = 0
        else:
            luma[:6] = luma[-6:] = 0
    assert reel.starts() == pytest.approx([cut])


def test_bars_that_turn_out_to_be_picture_make_no_shot() -> None:
    reel = Reel()
    for k in range(150):
        picture = A.at(20)
        if k < 64:
            picture[:, :12] = picture[:, -12:] = 2
        reel.add(picture, A.colour)
    assert len(reel.starts()) <= 1  # the bars' own vanishing is a visible change
    assert all(start == pytest.approx(64 / 25) for start in reel.starts())


def test_memory_stays_flat() -> None:
    watcher = ShotWatcher()
    reel = Reel()
    reel.show(A, 2.56)
    glance = reel.glance()
    for k in range(40):
        watcher.see(Glance(glance.times + k * 2.56, glance.luma, glance.chroma, NO_FRAMES))
    kept = sum(len(part) for part in watcher._raw)
    assert kept <= 8 * 25
    assert watcher._mixes._grid is not None
    assert len(watcher._mixes._grid) <= 200


def test_a_blank_explains_the_changes_in_its_fades() -> None:
    blank = Blank(Span(1.0, 3.0), 1.9, 2.1, True)
    ramps = [Change(1.5, 0.4, 3.0), Change(2.5, 0.4, 3.0)]
    assert settle([Change(1.02, 0.0, 1.0)], ramps, [blank], 5.0) == [2.0]
    assert settle([Change(1.02, 0.0, 1.0)], [], [Blank(Span(1.0, 3.0), 1.9, 2.1, False)], 5.0) == [1.02]


def test_the_surer_of_a_cut_and_a_dissolve_stands() -> None:
    cut, mix = Change(2.1, 0.0, 1.0), Change(2.0, 0.5, 2.0)
    assert settle([cut], [mix], [], 5.0) == [2.0]
    assert settle([Change(2.1, 0.0, 3.0)], [mix], [], 5.0) == [2.1]
    assert settle([cut, Change(2.15, 0.0, 5.0)], [], [], 5.0) == [2.15]


def packets(keys: list[int], spikes: list[int], count: int = 500, usual: int = 1000) -> Packets:
    sizes = np.full(count, usual, np.int64)
    sizes[keys], sizes[spikes] = 20000, 9000
    marks = np.zeros(count, np.bool_)
    marks[keys] = True
    return Packets(np.arange(count) / 25, sizes, marks)


def looks(scenes: list[Scene]) -> _likeness.Looks:
    luma = np.array([scene.at(20) for scene in scenes], np.float32)
    chroma = np.array([np.broadcast_to(scene.colour, (18, 32, 2)) for scene in scenes], np.float32)
    return _likeness.look(np.zeros(len(scenes)), luma, chroma)


def test_fast_takes_an_early_keyframe_of_another_scene_for_a_cut() -> None:
    known, doubtful = _fast.triage(packets([0, 200, 260, 460], []), looks([A, A, B, B]), 20.0)
    assert known == [10.4]
    assert doubtful == []


def test_fast_looks_where_scenes_differ_or_sizes_stand_out() -> None:
    dear = packets([0, 200, 400], [], usual=3000)  # a mix may hide among pictures that all cost much
    assert _fast.triage(dear, looks([A, B, B]), 20.0) == ([], [Span(0.0, 8.7)])
    known, doubtful = _fast.triage(packets([0, 200, 400], [300]), looks([A, A, A]), 20.0)
    assert known == []
    (stretch,) = _fast._merged(doubtful)
    assert stretch.start <= 11.4 < 12.6 <= stretch.end
    assert stretch.length < 2.5


def test_fast_trusts_small_packets_that_the_camera_moved() -> None:
    assert _fast.triage(packets([0, 200, 400], []), looks([A, B, B]), 20.0) == ([], [])


def test_fast_does_not_take_keyframes_in_a_row_for_cuts() -> None:
    known, doubtful = _fast.triage(packets([0, 200, 210, 220, 460], []), looks([A, A, B, A, A]), 20.0)
    assert known == []
    (stretch,) = _fast._merged(doubtful)
    assert stretch.start <= 8.4 and stretch.end >= 8.8


def test_fast_says_so_when_only_a_pass_can_tell() -> None:
    class OneKey:
        duration = 20.0

        def packets(self) -> Packets:
            return packets([0], [])

    video: Any = OneKey()
    assert registry.load("segmenters", "shots", fast=True).spans(video) is None
    assert registry.load("segmenters", "shots").spans(video) is None
    assert registry.load("segmenters", "shots", fast=True).source.settings == {"fast": True}


def test_spans_touch() -> None:
    reel = Reel()
    for scene in (A, B, C, A, C):
        reel.show(scene, 1.2)
    watcher = ShotWatcher()
    watcher.see(reel.glance())
    made = watcher.finish(reel.now)
    assert len(made) == 5
    assert all(one.end == other.start for one, other in pairwise(made))


@pytest.mark.parametrize("before", [63, 64, 65, 100, 128])
def test_a_picture_that_stays_long_before_a_cut(before: int) -> None:
    times = np.concatenate([np.arange(before) / 25, before / 25 + 6 + np.arange(100) / 25])
    scenes = [A] * before + [B] * 100
    luma = np.array([scene.at(20) for scene in scenes], np.float32)
    chroma = np.array([np.broadcast_to(scene.colour, (18, 32, 2)) for scene in scenes], np.float32)
    watcher = ShotWatcher()
    watcher.see(Glance(times, luma, chroma, NO_FRAMES))
    assert watcher.starts(float(times[-1]) + 0.04) == [pytest.approx(before / 25 + 6)]

"""Which seconds to look at: named policies as data, and the index rules of earlier systems.

    Sampler("middle", count=8).times(Span(0, 10))            # the middles of 8 equal parts
    Sampler("endpoints", count=8).times(Span(0, 10))         # from the first instant to the last
    Sampler("every", seconds=0.5, at_most=64).times(span)    # a grid, thinned evenly above 64
    Sampler("fps", rate=2.0).times(span)                     # two a second, each in the middle of its half second
    Sampler("middle", count=32, near=4.0)                    # may move to a keyframe within 4 s (`near_keyframes`)

Times are all a policy gives; `Video.frames` then returns the true time of each frame. Whatever the count, the
chosen times stand for at least 97 % of the span (`coverage`); thinning never cuts off the tail.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from longshot.errors import UsageError
from longshot.timeline import Span

POLICIES = ("middle", "endpoints", "every", "fps")


@dataclass(frozen=True, slots=True)
class Sampler:
    """One policy and its numbers.

    policy: "middle", "endpoints", "every" or "fps". count: how many, for the first two. seconds: the step of
    "every". rate: frames a second of "fps". at_most: cap for the last two. near: how far in seconds a time may
    move to reach a keyframe; 0 stays exact.
    """

    policy: str = "middle"
    count: int = 8
    seconds: float = 1.0
    rate: float = 1.0
    at_most: int | None = None
    near: float = 0.0

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UsageError(f"no sampling policy {self.policy!r}: there are {', '.join(POLICIES)}")
        if self.count < 1 or (self.at_most is not None and self.at_most < 1):
            raise UsageError(f"at least one frame must be sampled, got count={self.count}, at_most={self.at_most}")
        for name, value in (("seconds", self.seconds), ("rate", self.rate)):
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} must be a number above 0, got {value}")
        if not (math.isfinite(self.near) and self.near >= 0):
            raise UsageError(f"near must be seconds at or above 0, got {self.near}")

    def times(self, span: Span, *, keyframes: Sequence[float] = ()) -> list[float]:
        """Seconds to look at inside `span`, rising; at least one. `keyframes` serve `near`."""
        chosen = self._exact(span)
        return near_keyframes(chosen, keyframes, within=self.near) if self.near else chosen

    def _exact(self, span: Span) -> list[float]:
        if self.policy == "middle":
            return middle(span, self.count)
        if self.policy == "endpoints":
            return endpoints(span, self.count)
        grid = every(span, self.seconds) if self.policy == "every" else at_rate(span, self.rate)
        return middle(span, self.at_most) if self.at_most is not None and len(grid) > self.at_most else grid


def middle(span: Span, count: int) -> list[float]:
    """The middle of each of `count` equal parts (CaReBench's default, in seconds).

    Span 0 to 8 with 4 gives 1, 3, 5, 7.
    """
    part = span.length / count
    return [span.start + (k + 0.5) * part for k in range(count)]


def endpoints(span: Span, count: int) -> list[float]:
    """Even steps from the first instant to the last (Tarsier's rule, in seconds); one alone is the middle.

    Span 0 to 9 with 4 gives 0, 3, 6, 9; at 9, the end, the last frame is on screen.
    """
    if count == 1:
        return [span.middle]
    step = span.length / (count - 1)
    return [span.start + k * step for k in range(count - 1)] + [span.end]


def every(span: Span, seconds: float) -> list[float]:
    """A grid from the span's start; each time stands for the step that follows it.

    Span 0 to 5 every 2 gives 0, 2, 4.
    """
    count = max(1, math.ceil(span.length / seconds - 1e-9))
    return [span.start + k * seconds for k in range(count)]


def at_rate(span: Span, rate: float) -> list[float]:
    """`rate` times a second, each in the middle of its step, as many as fit the span (at least one).

    Span 0 to 2.2 at 2 gives 0.275, 0.825, 1.375, 1.925: four, spread so that no tail is left out.
    """
    return middle(span, max(1, round(span.length * rate)))


def near_keyframes(times: Sequence[float], keyframes: Sequence[float], *, within: float) -> list[float]:
    """Each time moved to the closest keyframe when one lies within `within` seconds, else left.

    Times 5, 20 with keyframes at 0, 8, 21 within 2 gives 5, 21.
    """
    moved = []
    for time in times:
        after = bisect_left(keyframes, time)
        closest = min(keyframes[max(0, after - 1) : after + 1], key=lambda key: abs(key - time), default=None)
        moved.append(closest if closest is not None and abs(closest - time) <= within else time)
    return moved


def coverage(times: Sequence[float], span: Span) -> float:
    """Share of the span that sorted times stand for, 0..1: from first to last, plus one typical step.

    16 of 31 frames taken one after the other cover 0.52; spread evenly they cover 1.
    """
    if not times:
        return 0.0
    if len(times) == 1 or span.length == 0:
        return 1.0
    step = median(later - earlier for earlier, later in pairwise(times))
    return min(1.0, (times[-1] - times[0] + step) / span.length)


# The index rules of published systems, so that their protocols can be repeated. They count frames, so they take
# the number of frames; `seconds_of` turns indices into seconds by the frames' true times.


def carebench_middle(frames: int, count: int) -> list[int]:
    """CaReBench "middle": middles of integer intervals, the last repeated when there are too few frames.

    100 frames, 8: 5 18 30 43 55 68 80 93. 5 frames, 8: 0 1 2 3 4 4 4 4.
    """
    _check_frames(frames, count)
    parts = min(count, frames)
    edges = [k * frames // parts for k in range(parts + 1)]
    indices = [(low + high - 1) // 2 for low, high in pairwise(edges)]
    return indices + indices[-1:] * (count - parts)


def carebench_fps(frames: int, fps: float, rate: float, at_most: int | None = None) -> list[int]:
    """CaReBench "fpsX": the frame nearest to the middle of each 1/rate s; a cap keeps the first frames.

    100 frames at 25 a second, rate 2: 6 19 31 44 56 69 81 94.
    """
    _check_frames(frames, 1)
    steps = math.ceil(frames / fps * rate)
    indices = [index for k in range(steps) if (index := round((k + 0.5) / rate * fps)) < frames]
    return indices if at_most is None else indices[:at_most]


def carebench_trim30(frames: int, fps: float) -> int:
    """CaReBench "trim30": how many frames count when only the first 30 s are used. 3000 at 25 gives 750."""
    return int(30 * fps) if frames / fps > 30 else frames


def tarsier_endpoints(frames: int, count: int, *, start: int = 0) -> list[int]:
    """Tarsier v1: first and last frame always in, rounded half to even; frames may repeat; one alone is frame 0.

    100 frames, 8: 0 14 28 42 57 71 85 99. 5 frames, 8: 0 1 1 2 2 3 3 4.
    """
    _check_frames(frames, count)
    if count == 1:
        return [0]
    return [start + round(k * (frames - 1) / (count - 1)) for k in range(count)]


def tarsier2(frames: int, count: int) -> list[int]:
    """Tarsier2's first rule: all frames once when there are no more than asked, else Tarsier v1's."""
    _check_frames(frames, count)
    return list(range(frames)) if frames <= count else tarsier_endpoints(frames, count)


def tarsier2_parts(frames: int, count: int) -> list[int]:
    """Tarsier2's second rule: near-equal parts, longer ones first, and the middle (rounded down) of each.

    100 frames, 8: 6 19 32 45 57 69 81 93.
    """
    _check_frames(frames, count)
    short, longer = divmod(frames, count)
    indices, first = [], 0
    for part in range(count):
        length = short + (part < longer)
        if length:
            indices.append(first + (length + 1) // 2 - 1)
        first += length
    return indices


def recap_window(start: int, end: int, count: int = 4) -> list[int]:
    """Video ReCap's clip frames at 30 a second: middles of equal parts of [start, end).

    0 to 120: 15 45 74 104.
    """
    _check_frames(end - start, count)
    part = (end - start - 1) / count
    return [start + round((k + 0.5) * part) for k in range(count)]


def recap_uniform(rows: int, count: int) -> list[int]:
    """Video ReCap's "uniform" choice of stored feature rows: multiples of rows / (count + 1), from the first on.

    9 rows, 2: 3 6. (Its float arithmetic sometimes gives one row more; exact arithmetic is used here.)
    """
    _check_frames(rows, count)
    return [k * rows // (count + 1) for k in range(1, count + 1)]


def lovr_count(seconds: float) -> int:
    """How many frames LoVR's captioner asks of a clip: one a second, 8 to 64. 16.9 s gives 16."""
    return min(64, max(8, int(seconds)))


def lovr_stride(frames: int, interval: int) -> list[int]:
    """LoVR's evaluation frames: every `interval`-th from the first. 70 frames, 30: 0 30 60."""
    _check_frames(frames, 1)
    return list(range(0, frames, interval))


INDEX_RULES: dict[str, Callable[..., list[int]]] = {
    "carebench-middle": carebench_middle,
    "carebench-fps": carebench_fps,
    "tarsier-endpoints": tarsier_endpoints,
    "tarsier2": tarsier2,
    "tarsier2-parts": tarsier2_parts,
    "recap-window": recap_window,
    "recap-uniform": recap_uniform,
    "lovr-stride": lovr_stride,
}


def seconds_of(indices: Sequence[int], frame_times: Sequence[float]) -> list[float]:
    """Seconds of frames chosen by index, from the true times of all frames (`Video.packets().times`)."""
    return [float(frame_times[index]) for index in indices]


def _check_frames(frames: int, count: int) -> None:
    if frames < 1 or count < 1:
        raise UsageError(f"sampling needs at least one frame to choose and one to choose from, got {count} of {frames}")

"""A long video in parts that overlap, and what was found in each of them as moments of the whole.

plan(10800.0, step=2.0, window=180.0, overlap=0.25, frames=96)     # 80 parts of three minutes
fuse([Found(Span(170, 180), 0.9, 0), Found(Span(170, 190), 0.7, 1)], parts)
                                                                   # one moment, 170 to 190, named by two of two parts

Nothing here looks at a picture; "seconds" may as well be numbers of lines.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from longshot.timeline import Span

_SAME = 0.5  # more of what two parts both see must agree than this (IoU): one moment named twice
_SEEN = 0.5  # a part has seen a moment when it holds this share of it
_UNSAID = 0.5  # how sure a part is that does not say so
_LEAST_FRAMES = 8  # a short video is looked at in smaller steps, down to a frame every eighth of it
_NEARLY = 1e-6


class Plan(NamedTuple):
    """parts: in order, from 0 to the end, each touching or overlapping the next. step: seconds between looks."""

    parts: tuple[Span, ...]
    step: float

    def times(self, part: Span) -> list[float]:
        """The seconds to look at in a part: multiples of the step, so that parts that overlap share them."""
        first = math.ceil(part.start / self.step - _NEARLY)
        last = max(first + 1, math.ceil(part.end / self.step - _NEARLY))
        return [place * self.step for place in range(first, last)]


def plan(duration: float, *, step: float, window: float, overlap: float, frames: int) -> Plan:
    """Parts of at most `window` seconds and `frames` looks, each sharing `overlap` (0..0.9) of itself with the next.

    Parts get shorter where there is no room for as many frames; looks are never left out. 400 s with a step of 2, a
    window of 180 and an overlap of 0.25 give 0-180, 134-314 and 220-400.
    """
    step = min(step, duration / _LEAST_FRAMES) if duration > 0 else step
    length = max(1, min(math.floor(window / step + _NEARLY), frames))
    steps = max(1, math.ceil(duration / step - _NEARLY))
    if steps <= length:
        return Plan((Span(0.0, duration),), step)
    hop = max(1, math.floor(length * (1 - overlap)))
    starts = [*range(0, steps - length, hop), steps - length]
    ends = [*(start + length for start in starts[:-1]), steps]
    return Plan(tuple(Span(a * step, min(b * step, duration)) for a, b in zip(starts, ends, strict=True)), step)


def runs(sizes: Sequence[int], *, room: int, overlap: float) -> list[range]:
    """Runs of neighbours whose sizes add up to `room` at most, each repeating about `overlap` of the one before it.

    A single one that is larger than the room makes a run of its own. Sizes 3, 3, 3, 3 with room 6 and overlap 0.5 give
    0-1, 1-2, 2-3.
    """
    found: list[range] = []
    first = 0
    while first < len(sizes):
        last, used = first, 0
        while last < len(sizes) and (last == first or used + sizes[last] <= room):
            used += sizes[last]
            last += 1
        found.append(range(first, last))
        if last == len(sizes):
            break
        # What is repeated must leave room for the next one, or the run would hold nothing new.
        again, shared = last, 0
        most = min(overlap * used, room - sizes[last])
        while again - 1 > first and shared + sizes[again - 1] <= most:
            again -= 1
            shared += sizes[again]
        first = again
    return found


class Found(NamedTuple):
    """What one part named: where, how sure it said it is (0..1, None for not said), and which part."""

    span: Span
    sure: float | None
    part: int


@dataclass(frozen=True, slots=True)
class Moment:
    """What several parts named alike. parts: those that did; seen: how many could have; score: see `fuse`."""

    span: Span
    score: float
    sure: float | None
    parts: tuple[int, ...]
    seen: int


def fuse(found: Sequence[Found], parts: Sequence[Span], *, answered: Collection[int] | None = None) -> list[Moment]:
    """Moments of the whole, the best first.

    Two parts name the same moment when more than half of it agrees (IoU) in the stretch that both of them see; its span
    is then what they name together, since neither sees beyond its own ends. Gaps are never bridged. The score is the
    mean of how sure the parts are that saw half of it or more: 0 for one that did not name it, 0.5 for one that named
    it and does not say how sure it is. Equal scores are in order of length, the longest first, then of time.

    answered: the parts that count; None for all.
    """
    counted = range(len(parts)) if answered is None else sorted(answered)
    ordered = sorted(found, key=lambda one: (one.span, one.part))
    groups: list[list[Found]] = []
    for one in ordered:
        same = [group for group in groups if any(_same(one, other, parts) for other in group)]
        joined = [one, *(other for group in same for other in group)]
        groups = [group for group in groups if group not in same] + [joined]
    moments = [_moment(group, parts, counted) for group in groups]
    return sorted(moments, key=lambda one: (-one.score, -one.span.length, one.span))


def _same(one: Found, other: Found, parts: Sequence[Span]) -> bool:
    if one.part == other.part:
        return False
    a, b = parts[one.part], parts[other.part]
    if a.overlap(b) <= 0:
        return False
    shared = Span(max(a.start, b.start), min(a.end, b.end))
    return one.span.clamp(shared).iou(other.span.clamp(shared)) > _SAME


def _moment(group: Sequence[Found], parts: Sequence[Span], counted: Sequence[int]) -> Moment:
    span = Span(min(one.span.start for one in group), max(one.span.end for one in group))
    naming = sorted({one.part for one in group})
    seeing = {part for part in counted if span.overlap(parts[part]) >= _SEEN * span.length} | set(naming)
    by_part = {part: [one.sure for one in group if one.part == part and one.sure is not None] for part in naming}
    said = [max(sure) for sure in by_part.values() if sure]
    total = sum(max(sure, default=_UNSAID) for sure in by_part.values())
    mean = sum(said) / len(said) if said else None
    return Moment(span, min(1.0, total / len(seeing)), mean, tuple(naming), len(seeing))

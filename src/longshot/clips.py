"""From shots to clips: rules on length and number, applied to the spans of one video.

    rules = ClipRules(shortest=2.0, longest=10.0)
    shots = [Span(0.0, 7.0), Span(7.0, 7.5), Span(7.5, 33.0)]
    apply(shots, rules, end=33.0)                    # 0-7.5, then 7.5-33 in three equal parts of 8.5 s
    apply(shots, preset("recap-clip"), end=33.0)     # a cut every 4 s, shots or not

What comes out begins at 0, ends exactly at `end`, and has no gap and no overlap. Whenever the video itself is long
enough, every clip keeps to `shortest` and `longest`; the wish for a number of clips comes after both.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from types import MappingProxyType

from longshot.errors import UsageError
from longshot.timeline import Span

# Lengths are differences of float seconds; below this they count as equal, so that rules applied twice change nothing.
TOLERANCE = 1e-6
_SHORTEST_PART = 0.001  # seconds; a wish for many clips divides none below it


@dataclass(frozen=True, slots=True)
class ClipRules:
    """How long clips may be, and how many there should be.

    shortest: seconds; a shorter shot joins a neighbour (see `apply`).
    longest: seconds, at least twice `shortest` so that every length can be divided; a longer shot is split evenly.
    count: (low, high), the wished number of clips: too many are joined at the weakest boundaries, too few are made
        by halving, thirding, … the longest, as far as `shortest` and `longest` allow.
    grid: a cut every so many seconds instead, wherever the shots are; a rest below `shortest` joins the last clip.
    flashes: join short shots as PySceneDetect's flash filter does (which LoVR used) instead of by neighbours: a
        burst of cuts nearer than `shortest` is kept as at most one cut, its last. The last clip may be short.
    """

    shortest: float = 0.0
    longest: float = math.inf
    count: tuple[int, int] | None = None
    grid: float | None = None
    flashes: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.shortest) and self.shortest >= 0):
            raise UsageError(f"the shortest clip is a number of seconds from 0 up, got {self.shortest}")
        if not self.longest >= max(2 * self.shortest, 0.001):
            raise UsageError(
                f"the longest clip is at least twice the shortest, so that any length can be divided; "
                f"got shortest {self.shortest} and longest {self.longest}"
            )
        self._check_count()
        self._check_grid()

    def _check_count(self) -> None:
        if self.count is not None and not 1 <= self.count[0] <= self.count[1]:
            raise UsageError(f"the number of clips is a range from 1 up, such as (64, 100), got {self.count}")

    def _check_grid(self) -> None:
        if self.grid is None:
            return
        if not (math.isfinite(self.grid) and self.grid >= 0.001):
            raise UsageError(f"a grid needs a number of seconds above 0, got {self.grid}")
        if self.count is not None or self.flashes or math.isfinite(self.longest) or self.shortest > self.grid:
            raise UsageError("a grid takes only a shortest clip, not above the grid itself, beside it")


PRESETS: Mapping[str, ClipRules] = MappingProxyType(
    {
        "clips": ClipRules(shortest=2.0, longest=20.0),
        "lovr": ClipRules(shortest=5.0, flashes=True),
        "lovr-count": ClipRules(shortest=5.0, count=(64, 100)),
        "recap-clip": ClipRules(grid=4.0),
        "recap-segment": ClipRules(grid=180.0),
    }
)
"""Rules by name.

clips: 2 to 20 seconds, along the shots: what one caption can cover.
lovr: what LoVR's published script does to lengths and number: 5 s at least, by the flash filter, nothing else.
lovr-count: what that script aims at but has switched off: 64 to 100 clips.
recap-clip, recap-segment: Video ReCap's windows of 4 s and 180 s.
"""


def preset(name: str) -> ClipRules:
    """The rules behind a name. Raises UsageError for an unknown one, naming those there are."""
    if name not in PRESETS:
        close = get_close_matches(name, PRESETS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"no clip rules called {name!r}: there are {', '.join(PRESETS)}{hint}")
    return PRESETS[name]


def apply(
    spans: Sequence[Span], rules: ClipRules, *, end: float, strengths: Sequence[float] | None = None
) -> list[Span]:
    """Make clips of shots: 0 to `end` seconds without gap or overlap, at least one clip when `end` > 0.

    A too-short shot (the shortest first) joins the neighbour with which it stays within `longest`, else the one
    across the weaker boundary, else, when no strengths are known, the shorter one. Then too-long clips are split
    into equal parts. Then the number is brought into `count`, never against the two lengths.

    Args:
        spans: the shots in order; each start but the first is a boundary, and those outside 0..end are ignored.
        rules: what the clips must keep to.
        end: where the pictures end, in seconds.
        strengths: how sure each boundary is, one number for each span but the first.
    """
    if not (math.isfinite(end) and end >= 0):
        raise UsageError(f"the end of a video is a number of seconds from 0 up, got {end}")
    if strengths is not None and len(strengths) != max(len(spans) - 1, 0):
        raise UsageError(f"{len(spans)} spans have {max(len(spans) - 1, 0)} boundaries, got {len(strengths)} strengths")
    if end == 0:
        return []
    if rules.grid is not None:
        return _spans(_grid(rules.grid, rules.shortest, end))
    chain = _Chain.of(spans, strengths, end)
    if rules.flashes:
        chain.keep(_flash_filter(chain.inner(), rules.shortest, end))
    else:
        chain.join_short(rules)
    chain.split_long(rules.longest)
    if rules.count is not None:
        chain.aim_at(rules.count, rules)
    return _spans(chain.edges)


def _spans(edges: Sequence[float]) -> list[Span]:
    return [Span(start, stop) for start, stop in pairwise(edges)]


def _grid(step: float, shortest: float, end: float) -> list[float]:
    """The edges of a regular grid: step 4 and end 10 give 0, 4, 8, 10."""
    whole = math.floor((end + TOLERANCE) / step)
    edges = [index * step for index in range(whole + 1) if index * step < end - TOLERANCE]
    if len(edges) > 1 and end - edges[-1] < shortest - TOLERANCE:
        edges.pop()
    return [*(edges or [0.0]), end]


def _flash_filter(cuts: Sequence[float], shortest: float, end: float) -> list[float]:
    """The cuts that PySceneDetect's flash filter (mode MERGE) lets through, given the seconds of the raw cuts.

    A cut at least `shortest` after the raw cut before it passes. A nearer one opens a burst, which ends when
    `shortest` seconds pass without a raw cut and the burst itself is that long; its last raw cut passes.
    Cuts nearer than `shortest` to the first frame open no burst.

        shortest 5, cuts 3, 20, 22, 40, end 60  ->  20, 40    (3 is near the start; 22 opens a burst that 40 ends)
    """
    passed: list[float] = []
    burst_start: float | None = None
    last = 0.0
    for cut, following in pairwise([*cuts, end]):
        far_enough = cut - last >= shortest - TOLERANCE
        last = cut
        if burst_start is None and far_enough:
            passed.append(cut)
        elif burst_start is None and passed:
            burst_start = cut
        # The filter looks at frames: a quiet frame `shortest` after this cut exists only before the following one.
        quiet_after = following - cut > shortest + TOLERANCE
        if burst_start is not None and quiet_after and cut - burst_start >= shortest - TOLERANCE:
            passed.append(cut)
            burst_start = None
    return passed


class _Chain:
    """The edges of neighbouring clips, with how strong each inner edge is (None when nobody knows).

    edges: 0, the inner edges, end. strengths: one for each inner edge; an edge made by splitting is weaker than any.
    """

    def __init__(self, edges: list[float], strengths: list[float] | None) -> None:
        self.edges = edges
        self.strengths = strengths

    @classmethod
    def of(cls, spans: Sequence[Span], strengths: Sequence[float] | None, end: float) -> _Chain:
        edges, kept = [0.0], []
        for index, span in enumerate(spans[1:]):
            # Edges closer than the tolerance would make a clip that no frame falls into.
            if edges[-1] + TOLERANCE < span.start < end - TOLERANCE:
                edges.append(span.start)
                kept.append(strengths[index] if strengths is not None else 0.0)
        return cls([*edges, end], kept if strengths is not None else None)

    def inner(self) -> list[float]:
        """The edges between clips."""
        return self.edges[1:-1]

    def lengths(self) -> list[float]:
        """Seconds of each clip, in order."""
        return [stop - start for start, stop in pairwise(self.edges)]

    def keep(self, inner: Sequence[float]) -> None:
        """Drop every inner edge that is not among these."""
        wanted = set(inner)
        kept = [index for index, edge in enumerate(self.inner()) if edge in wanted]
        self._keep_indices(kept)

    def _keep_indices(self, kept: Sequence[int]) -> None:
        if self.strengths is not None:
            self.strengths = [self.strengths[index] for index in kept]
        self.edges = [self.edges[0], *(self.edges[index + 1] for index in kept), self.edges[-1]]

    def join_short(self, rules: ClipRules) -> None:
        """Join clips below `shortest`, the shortest first, until none is left or one clip is all there is."""
        links = _Links(self.edges)
        queue = [(length, clip) for clip, length in enumerate(self.lengths())]
        heapq.heapify(queue)
        while queue:
            length, clip = heapq.heappop(queue)
            if length >= rules.shortest - TOLERANCE:
                break
            if not links.is_current(clip, length):
                continue
            neighbours = [other for other in (links.before[clip], links.after[clip]) if other is not None]
            if not neighbours:
                break
            _, best = min((self._cost(links, clip, other, rules.longest), other) for other in neighbours)
            joined = links.join(min(clip, best), max(clip, best))
            heapq.heappush(queue, (links.length(joined), joined))
        self._keep_indices([clip - 1 for clip in links.clips() if clip > 0])

    def _cost(self, links: _Links, clip: int, other: int, longest: float) -> tuple[bool, float, float]:
        """What speaks against joining two neighbours, in the order of weight."""
        total = links.length(clip) + links.length(other)
        strength = 0.0 if self.strengths is None else self.strengths[max(clip, other) - 1]
        return total > longest + TOLERANCE, strength, total

    def split_long(self, longest: float) -> None:
        """Split clips above `longest` into the fewest equal parts that keep to it."""
        self._split([max(1, math.ceil((length - TOLERANCE) / longest)) for length in self.lengths()])

    def _split(self, parts: Sequence[int]) -> None:
        """Divide each clip into its number of equal parts."""
        edges, strengths = [0.0], []
        for clip, (start, stop, count) in enumerate(zip(self.edges, self.edges[1:], parts, strict=False)):
            edges += [start + (stop - start) * part / count for part in range(1, count)]
            edges.append(stop)
            strengths += [-math.inf] * (count - 1)
            if self.strengths is not None and clip < len(self.strengths):
                strengths.append(self.strengths[clip])
        self.edges = edges
        self.strengths = None if self.strengths is None else strengths

    def aim_at(self, count: tuple[int, int], rules: ClipRules) -> None:
        """Bring the number of clips into `count` as far as the lengths allow."""
        clips = len(self.edges) - 1
        if clips > count[1]:
            self._join_weakest(count[1], rules.longest)
        elif clips < count[0]:
            self._split_longest(count[0], max(rules.shortest, _SHORTEST_PART))

    def _join_weakest(self, wanted: int, longest: float) -> None:
        """Remove the weakest boundaries (or those between the shortest pairs) until `wanted` clips are left."""
        links = _Links(self.edges)
        left = len(self.edges) - 1
        queue = [self._pair(links, clip, longest) for clip in range(1, left)]
        heapq.heapify(queue)
        while queue and left > wanted:
            cost, before, clip = heapq.heappop(queue)
            if not links.alive[clip] or self._pair(links, clip, longest) != (cost, before, clip):
                continue
            if cost[0]:
                break
            joined = links.join(before, clip)
            left -= 1
            for later in (joined, links.after[joined]):
                if later is not None and links.before[later] is not None:
                    heapq.heappush(queue, self._pair(links, later, longest))
        self._keep_indices([clip - 1 for clip in links.clips() if clip > 0])

    def _pair(self, links: _Links, clip: int, longest: float) -> tuple[tuple[bool, float, float], int, int]:
        before = links.before[clip]
        assert before is not None
        return self._cost(links, before, clip, longest), before, clip

    def _split_longest(self, wanted: int, shortest: float) -> None:
        """Give the clip with the longest parts one part more, again and again, until `wanted` are there."""
        lengths = self.lengths()
        parts = [1] * len(lengths)
        left = wanted - len(lengths)
        queue = [(-length, clip) for clip, length in enumerate(lengths)]
        heapq.heapify(queue)
        while queue and left > 0:
            _, clip = heapq.heappop(queue)
            if lengths[clip] / (parts[clip] + 1) < shortest - TOLERANCE:
                continue
            parts[clip] += 1
            left -= 1
            heapq.heappush(queue, (-lengths[clip] / parts[clip], clip))
        self._split(parts)


class _Links:
    """Neighbouring clips that can be joined in any order; a clip keeps the number of its first part."""

    def __init__(self, edges: Sequence[float]) -> None:
        count = len(edges) - 1
        self.starts = list(edges[:-1])
        self.ends = list(edges[1:])
        self.before: list[int | None] = [None, *range(count - 1)]
        self.after: list[int | None] = [*range(1, count), None]
        self.alive = [True] * count

    def length(self, clip: int) -> float:
        return self.ends[clip] - self.starts[clip]

    def is_current(self, clip: int, length: float) -> bool:
        """Whether a queued length still belongs to a clip that has not been joined since."""
        return self.alive[clip] and self.length(clip) == length

    def join(self, first: int, second: int) -> int:
        """Join two neighbours; returns the number that stays."""
        self.ends[first] = self.ends[second]
        self.alive[second] = False
        following = self.after[second]
        self.after[first] = following
        if following is not None:
            self.before[following] = first
        return first

    def clips(self) -> Iterator[int]:
        """The clips that are left, in order."""
        return (clip for clip, alive in enumerate(self.alive) if alive)

"""Time-coded text: the one noun of Longshot.

A `Track` is lines of text on the time axis of one video. Captions, transcripts, shots, chapters and the text
on screen are all Tracks; everything else makes them, reads them or measures them.

    Span(2.0, 5.0)                                   # two to five seconds, 5.0 not included
    Span(2.0, 5.0).overlap(Span(4.0, 9.0))           # 1.0
    Caption(Span(2.0, 5.0), "A door opens.")         # words on a span
    track.within(Span(0, 60))                        # the captions that start in the first minute
    track.at(3.5)                                    # the captions shown at 3.5 s
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from longshot.errors import UsageError


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of one video: `start` and `end` in seconds on the video's own clock, half-open.

    The first shown frame is at 0. `Span(2.0, 5.0)` holds 2.0 and 4.999 but not 5.0. An empty span
    (`start == end`) is an instant: it holds nothing and overlaps nothing.
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end)):
            raise UsageError(f"a span needs finite seconds, got {self.start} to {self.end}")
        if self.end < self.start:
            raise UsageError(f"a span ends at or after its start, got {self.start} to {self.end}")

    @property
    def length(self) -> float:
        """Seconds from start to end."""
        return self.end - self.start

    @property
    def middle(self) -> float:
        """The second half-way between start and end."""
        return (self.start + self.end) / 2

    def __contains__(self, second: float) -> bool:
        return self.start <= second < self.end

    def overlap(self, other: Span) -> float:
        """Seconds that both spans share; 0.0 when they do not meet."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))

    def iou(self, other: Span) -> float:
        """Shared seconds over covered seconds, 0..1 (temporal intersection over union)."""
        shared = self.overlap(other)
        union = self.length + other.length - shared
        return shared / union if union > 0 else 0.0

    def clamp(self, limit: Span) -> Span:
        """The part of this span inside `limit`; an instant at the nearer edge when there is none."""
        start = min(max(self.start, limit.start), limit.end)
        return Span(start, min(max(self.end, start), limit.end))


@dataclass(frozen=True, slots=True)
class Caption:
    """One line of text on a span.

    `score` is the maker's confidence, 0..1, or None when it has none. `details` holds what the text rests on
    (measured numbers, word times, child ids), as plain JSON values.
    """

    span: Span
    text: str
    score: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """Who made a track, and how: enough to make it again.

    verb: the command, "segment". model: what did it, "shots". revision: its version. settings: the options that
    change the result. note: what a reader must know ("rough: made by sphinx").
    """

    verb: str
    model: str = ""
    revision: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def __str__(self) -> str:
        model = f"{self.model}@{self.revision}" if self.revision else self.model
        return " ".join(part for part in (self.verb, model) if part)


@dataclass(frozen=True)
class Track:
    """Captions of one level of one video, sorted by time.

    video: the video's content id. level: "shot", "clip", "segment", "video", "speech", "screen" or your own word.
    name: the file's name, for people. duration: the video's length in seconds, when known.
    The captions may overlap (speech does); segmentations do not, and have no gap.
    """

    video: str
    level: str
    source: Source
    captions: tuple[Caption, ...]
    name: str = ""
    duration: float | None = None

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.captions, key=lambda caption: caption.span))
        object.__setattr__(self, "captions", ordered)

    def __len__(self) -> int:
        return len(self.captions)

    def __iter__(self) -> Iterator[Caption]:
        return iter(self.captions)

    @cached_property
    def _starts(self) -> list[float]:
        return [caption.span.start for caption in self.captions]

    @cached_property
    def _longest(self) -> float:
        return max((caption.span.length for caption in self.captions), default=0.0)

    def within(self, span: Span) -> tuple[Caption, ...]:
        """The captions whose start lies inside `span`: each caption belongs to exactly one of touching spans."""
        return self.captions[bisect_left(self._starts, span.start) : bisect_left(self._starts, span.end)]

    def overlapping(self, span: Span) -> tuple[Caption, ...]:
        """The captions that share time with `span`, in order."""
        first = bisect_left(self._starts, span.start - self._longest)
        last = bisect_left(self._starts, span.end)
        return tuple(c for c in self.captions[first:last] if c.span.overlap(span) > 0 or c.span.start in span)

    def at(self, second: float) -> tuple[Caption, ...]:
        """The captions shown at `second`, in order."""
        first = bisect_left(self._starts, second - self._longest)
        last = bisect_right(self._starts, second)
        return tuple(caption for caption in self.captions[first:last] if second in caption.span)

    def id_of(self, index: int) -> str:
        """The stable name of a caption inside its video: `clip-0003` is the third clip."""
        return f"{self.level}-{index + 1:04d}"

    def replace(self, captions: Iterable[Caption]) -> Track:
        """The same track with other captions."""
        return Track(self.video, self.level, self.source, tuple(captions), self.name, self.duration)


@dataclass(frozen=True, slots=True)
class Hit:
    """A moment that answers a query: where, how sure (0..1), and what made it a hit."""

    video: str
    span: Span
    score: float
    evidence: tuple[Caption, ...] = ()


def clock(second: float, *, millis: bool = False) -> str:
    """Seconds as people write them: 75.5 gives 1:15, or 0:01:15.500 with `millis`.

    Whole seconds are floored, so the time shown is never after the moment it names.
    """
    if millis:
        total = round(max(second, 0.0) * 1000)
        hours, rest = divmod(total, 3_600_000)
        minutes, rest = divmod(rest, 60_000)
        return f"{hours}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
    # The small bias keeps 75.0 that arithmetic left at 74.9999999 from reading 1:14.
    total = int(max(second, 0.0) + 1e-6)
    hours, rest = divmod(total, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"

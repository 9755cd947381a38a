"""Equal pieces of a chosen length: 4 s clips and 180 s segments are Video ReCap's."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from longshot.errors import UsageError
from longshot.timeline import Source, Span

if TYPE_CHECKING:
    from longshot.contracts import Glance
    from longshot.video import Video

# A last piece shorter than this is the rounding of the end time, not a piece.
_SLIVER = 1e-6


class Fixed:
    """Cuts every `every` seconds, wherever the pictures change. It needs no look at them."""

    def __init__(self, every: float) -> None:
        self._every = every

    @property
    def source(self) -> Source:
        """`segment fixed`, with the length of the pieces."""
        return Source("segment", "fixed", settings={"every": self._every})

    def spans(self, video: Video) -> list[Span]:
        """Pieces of a video, from its packets' times alone."""
        return self.watch(video).finish(video.pictures_end())

    def watch(self, video: Video) -> FixedWatcher:
        """Start on one video."""
        return FixedWatcher(self._every)


class FixedWatcher:
    """Waits for the end, which is all that equal pieces depend on."""

    def __init__(self, every: float) -> None:
        self._every = every

    def see(self, glance: Glance) -> None:
        """Take the next stretch; nothing in it matters here."""

    def finish(self, end: float) -> list[Span]:
        """Pieces from 0 to `end`; the last one may be shorter. At 4 s, 9.5 s give 0-4, 4-8, 8-9.5."""
        count = max(1, math.ceil((end - _SLIVER) / self._every))
        edges = [i * self._every for i in range(count)] + [end]
        return [Span(first, last) for first, last in pairwise(edges)] if end > 0 else []


def load(*, every: float = 4.0) -> Fixed:
    """Pieces of `every` seconds. Raises UsageError unless that is a positive number."""
    if not (math.isfinite(every) and every > 0):
        raise UsageError(f"a piece has a length above 0 seconds, got {every}")
    return Fixed(float(every))

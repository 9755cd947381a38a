"""Passages from shot to shot, and which of several claims about the same seconds stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from longshot.timeline import Span

_CLOSE = 0.12  # seconds: nothing shorter is a shot; of two cuts nearer than that, the clearer one stands


@dataclass(frozen=True, slots=True)
class Change:
    """A claim that one shot becomes another around `second`, taking `half` seconds to each side (0 for a cut).

    odds: how sure, as log odds.
    """

    second: float
    half: float
    odds: float

    @property
    def span(self) -> Span:
        """The seconds that the passage takes; an instant for a cut."""
        return Span(max(self.second - self.half, 0.0), self.second + self.half)


@dataclass(frozen=True, slots=True)
class Blank:
    """A stretch without a picture (black, white, one colour) with the fades around it.

    fade: from where the picture begins to go to where it is back. start, end: the blank itself. parts: whether
    it stands between two shots at all; a flash or a strobe does not.
    """

    fade: Span
    start: float
    end: float
    parts: bool


_NEXT_TO = 0.15  # seconds from a blank or its fade within which a change belongs to it
_LONG_BLANK = 2.0  # seconds: from here on a blank is a shot of its own
_LONG_LEADER = 1.0  # seconds: the same at the video's start or end


def settle(cuts: Iterable[Change], mixes: Iterable[Change], blanks: Iterable[Blank], end: float) -> list[float]:
    """The seconds at which new shots begin, in order.

    A blank explains the cuts and mixes inside its fades; of a cut inside a mix and the mix, the surer one stands.
    """
    parting = [blank for blank in blanks if blank.parts]
    cuts = [change for change in _clearest(cuts, _CLOSE) if not any(_inside(change, blank) for blank in parting)]
    mixes = [change for change in _apart(mixes) if not any(_inside(change, blank) for blank in parting)]
    standing = [mix for mix in mixes if all(cut.odds < mix.odds for cut in cuts if _within(cut, mix))]
    cuts = [cut for cut in cuts if not any(_within(cut, mix) for mix in standing)]
    edges = {change.second for change in (*cuts, *standing)}
    for blank in parting:
        edges.update(_edges(blank, end))
    return sorted(second for second in edges if _CLOSE <= second <= end - _CLOSE)


def _edges(blank: Blank, end: float) -> list[float]:
    if blank.start <= 0:
        return [blank.end] if blank.end >= _LONG_LEADER else []
    if blank.end >= end:
        return [blank.start] if end - blank.start >= _LONG_LEADER else []
    if blank.end - blank.start >= _LONG_BLANK:
        return [blank.start, blank.end]
    return [blank.fade.middle]


def _inside(change: Change, blank: Blank) -> bool:
    """Whether a blank's fades explain a change."""
    touches = change.span.start < blank.end + _NEXT_TO and blank.start - _NEXT_TO < change.span.end
    return touches or blank.fade.start - _NEXT_TO <= change.second <= blank.fade.end + _NEXT_TO


def _within(cut: Change, mix: Change) -> bool:
    return abs(cut.second - mix.second) <= mix.half


def _clearest(changes: Iterable[Change], close: float) -> list[Change]:
    """The surest of every group of changes nearer than `close` seconds."""
    kept: list[Change] = []
    for change in sorted(changes, key=lambda change: (-change.odds, change.second)):
        if all(abs(change.second - other.second) >= close for other in kept):
            kept.append(change)
    return sorted(kept, key=lambda change: change.second)


def _apart(mixes: Iterable[Change]) -> list[Change]:
    """The surest of every group of mixes that share more than a third of the shorter one's time."""
    kept: list[Change] = []
    for mix in sorted(mixes, key=lambda mix: (-mix.odds, mix.second)):
        if all(mix.span.overlap(other.span) <= min(mix.half, other.half) * 2 / 3 for other in kept):
            kept.append(mix)
    return kept

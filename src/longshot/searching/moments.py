"""From captions that match to moments: where in a video, how sure, and why.

link("my talk.mp4", Span(12, 19.5))        # "my%20talk.mp4#t=12.0,19.5"
moments(scored, durations={"3f2a9c": 600.0})

A moment's span is made of the finest captions that match about as well as anything around them. A caption of a long
stretch speaks for a moment inside it and does not stretch it; it is a moment itself only where nothing finer says as
much. Two captions that follow each other are one moment when the pause between them is shorter than both of them, and
than GAP: 10-14 s and 15-18 s give 10-18 s, 10-14 s and 17-20 s stay two.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from longshot.formats._format import LEAVES
from longshot.timeline import Caption, Hit, Span

if TYPE_CHECKING:
    from longshot.tables import Entry

GAP = 1.5  # seconds of pause that a moment may run over
EVIDENCE = 5
# How much a caption of a long stretch counts, because it says so little about where.
WORTH = {"segment": 0.8, "chapter": 0.7, "part": 0.7, "video": 0.6}

_ENOUGH = 0.8  # of a caption's score: a finer one inside it that has as much stands for it
_FALL = 0.35  # of the best score: what follows belongs to the moment when it has as much
_STRETCH = 3.0  # times its length: a moment takes in nothing that is longer and matches less
_SUPPORT = 0.15  # of what is missing to 1: what captions around a moment can add
_SAME = 0.5  # of the shorter of two: more in common, and they are one moment


@dataclass(frozen=True, slots=True)
class Found:
    """What a search gave: moments, the best first, and how they were looked for.

    how: in words, "full text and text vectors of …". notes: what the asker must know, a line each. seconds: how long
    it took. names, paths: of every video in `hits`, by id; the path is "" where no file is known.
    """

    hits: tuple[Hit, ...]
    how: str
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    names: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scored:
    """A caption that matches: how well, 0..1, and the characters [start, end) of its text that do."""

    entry: Entry
    score: float
    matched: tuple[tuple[int, int], ...] = ()

    @property
    def worth(self) -> float:
        """The score, less where the caption is of a long stretch."""
        return self.score * WORTH.get(self.entry.level, 1.0)

    @property
    def caption(self) -> Caption:
        """The caption as evidence."""
        entry = self.entry
        details: dict[str, Any] = {"id": entry.id, "level": entry.level}
        details["matched"] = [list(part) for part in self.matched]
        return Caption(entry.span, entry.text, round(min(self.score, 1.0), 4), details)


def link(path: str | os.PathLike[str], span: Span) -> str:
    """The address of a moment (a media fragment, seconds): "talk.mp4#t=12.0,19.5".

    The path is as it was given, relative or not, quoted as addresses are; an address keeps its scheme and its query.
    """
    name = os.fspath(path)
    # The characters that an address may hold unquoted; in one, what is quoted already stays so.
    kept = "/:?=&%+@,;~!$'()*[]" if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name) else "/~!$'()*,=@+;"
    place = quote(os.fsencode(name), safe=kept)
    start, end = _seconds(span.start), _seconds(span.end)
    return f"{place}#t={start}" if start == end else f"{place}#t={start},{end}"


def _seconds(second: float) -> str:
    """Seconds with one digit after the point, or as many as it takes, three at most."""
    digits = f"{second:.3f}".rstrip("0")
    return f"{digits}0" if digits.endswith(".") else digits


def moments(scored: Iterable[Scored], *, gap: float = GAP) -> list[Hit]:
    """Captions that match as moments, best first, ties by video and start. An entry given twice counts once."""
    best: dict[tuple[str, str], Scored] = {}
    for one in scored:
        key = (one.entry.video, one.entry.id)
        if one.score > 0 and (key not in best or best[key].score < one.score):
            best[key] = one
    ordered = sorted(best.values(), key=lambda one: one.entry.video)
    hits = [hit for _, some in groupby(ordered, lambda one: one.entry.video) for hit in _of_video(list(some), gap)]
    return sorted(hits, key=lambda hit: (-hit.score, hit.video, hit.span))


def _of_video(found: list[Scored], gap: float) -> list[Hit]:
    cores = [one for one in found if not _is_told_inside(one, found)]
    cores.sort(key=lambda one: (-round(one.worth, 6), one.entry.span.length, one.entry.span, one.entry.id))
    hits: list[Hit] = []
    while cores:
        seed = cores.pop(0)
        span, members = seed.entry.span, [seed]
        while joined := [one for one in cores if _belongs(one, seed, span, gap)]:
            span = Span(min(span.start, *(j.entry.span.start for j in joined)), max(span.end, *(_ends(joined))))
            members += joined
            cores = [one for one in cores if one not in joined]
        # What overlaps a better moment and is no part of it only speaks for it.
        cores = [one for one in cores if one.entry.span.overlap(span) <= _SAME * _shorter(one.entry.span, span)]
        hits.append(_hit(span, seed, members, found))
    return hits


def _is_told_inside(one: Scored, found: Sequence[Scored]) -> bool:
    """Whether finer captions inside this one's stretch match about as well.

    Speech and screen text are what others quote: they stand for a clip that they share time with, however long they
    are, and no clip stands for them. A clip that quotes a title in its last second is not about it from its first.
    """
    span = one.entry.span
    quoted = one.entry.level in LEAVES
    for other in found:
        if other is one or other.worth < _ENOUGH * one.worth:
            continue
        quotable = other.entry.level in LEAVES
        inside = other.entry.span
        shared = inside.overlap(span)
        told = shared >= 0.5 * _shorter(inside, span) or _plain(other.entry.text) in _plain(one.entry.text)
        if quotable and not quoted and shared > 0 and told:
            return True
        if (quotable or not quoted) and inside.length < 0.95 * span.length and shared >= 0.5 * inside.length:
            return True
    return False


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!?… ")


def _belongs(one: Scored, seed: Scored, span: Span, gap: float) -> bool:
    if one.worth < _FALL * seed.worth or one.entry.span.length > _STRETCH * max(span.length, 1.0):
        return False
    other = one.entry.span
    pause = max(other.start - span.end, span.start - other.end)
    return pause <= 0 or pause < min(gap, other.length, seed.entry.span.length)


def _ends(some: Sequence[Scored]) -> list[float]:
    return [one.entry.span.end for one in some]


def _shorter(one: Span, other: Span) -> float:
    return min(one.length, other.length)


def _hit(span: Span, seed: Scored, members: Sequence[Scored], found: Sequence[Scored]) -> Hit:
    """The moment, with what else in the video speaks for it."""
    inside = [one for one in found if one not in members and _supports(one, span)]
    support = max((one.worth for one in inside), default=0.0)
    score = min(seed.worth + _SUPPORT * support * (1 - seed.worth), 1.0)
    chosen = sorted([*members, *inside], key=lambda one: (-one.worth, one.entry.span.length, one.entry.span))[:EVIDENCE]
    chosen.sort(key=lambda one: (one.entry.span.length, one.entry.span.start, one.entry.id))
    return Hit(seed.entry.video, span, round(score, 4), tuple(one.caption for one in chosen))


def _supports(one: Scored, span: Span) -> bool:
    shared = one.entry.span.overlap(span)
    return shared > 0 and shared >= _SAME * _shorter(one.entry.span, span)

"""The captions of a video as lines in order of time, as a model is shown them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from longshot.contracts import Told
from longshot.terms import is_bare
from longshot.timeline import Caption, Span, clock

KINDS = {"speech": "said", "screen": "on screen"}
# Levels whose captions retell those of finer ones.
_COARSE = ("scene", "segment", "chapter", "part", "video")


class Line(NamedTuple):
    """One caption with its name and level."""

    id: str
    level: str
    caption: Caption


def lines_of(told: Told) -> list[Line]:
    """Every caption that says something, in order of time; those that retell finer ones only where there are none."""
    by_level = {
        track.level: [Line(track.id_of(i), track.level, c) for i, c in enumerate(track)] for track in told.tracks
    }
    saying = {
        level: [line for line in some if not is_bare(level, line.caption.text)] for level, some in by_level.items()
    }
    fine = [line for level, some in saying.items() if level not in _COARSE for line in some]
    described = any(line.level not in KINDS for line in fine)
    coarse: Iterable[Line] = ()
    if not described:
        coarse = next((saying[level] for level in _COARSE if saying.get(level)), ())
    return sorted([*fine, *coarse], key=lambda line: (line.caption.span, line.level, line.id))


def numbered(number: int, line: Line) -> str:
    """The line as it is asked about: `#12 1:05 speech: Two questions.`"""
    return f"#{number} {clock(line.caption.span.start)} {line.level}: {_flat(line.caption.text)}"


def timed(line: Line) -> str:
    """The line as it stands beside pictures: "- 65.0 to 67.5: Two questions. (said)"."""
    span = line.caption.span
    return f"- {span.start:.1f} to {span.end:.1f}: {_flat(line.caption.text)} ({KINDS[line.level]})"


def spanned(lines: Sequence[Line], first: int, last: int) -> Span:
    """From the start of the first line to the end of the last, or of the first where that is later."""
    a, b = lines[first].caption.span, lines[last].caption.span
    return Span(a.start, max(a.end, b.end))


def _flat(text: str) -> str:
    return " ".join(text.split())

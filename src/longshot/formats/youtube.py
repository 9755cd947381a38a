"""Chapters as lines for a YouTube description, "0:00 Title" (.youtube.txt)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from longshot.contracts import Format
from longshot.errors import UsageError
from longshot.formats._format import chapter_title
from longshot.timeline import Track, clock

LEAST_CHAPTERS = 3
LEAST_SECONDS = 10
LONGEST_TITLE = 100
LONGEST_TEXT = 5000


def load() -> Format:
    """The format."""
    loses = "written only: ends, levels, everything past the title"
    return Format("youtube", ".youtube.txt", loses, write, kinds=("chapters",), together=("chapters",))


def write(tracks: Sequence[Track], *, kind: str, media: str) -> str:
    """The finest of the levels that has words and keeps YouTube's rules, one line for each caption.

    The rules: the first chapter at 0:00, ascending, at least 3, each at least 10 seconds. YouTube shows no chapters
    at all when one is broken, so nothing is bent: raises UsageError that says which rule each level breaks.
    """
    reasons = []
    # A level without words, such as bare shots, makes chapters of no use, so it is taken last.
    for track in sorted(tracks, key=lambda track: (not all(c.text for c in track), -len(track))):
        if not (reason := broken_rule(track)):
            return _lines(track)
        reasons.append(f"level {track.level!r}: {reason}")
    raise UsageError(
        f"YouTube would show no chapters ({'; '.join(reasons)}): it wants the first at 0:00 and at least "
        f"{LEAST_CHAPTERS}, each {LEAST_SECONDS} s or longer; choose a coarser level, or export vtt chapters"
    )


def broken_rule(track: Track) -> str:
    """The first rule of YouTube's that these captions break as chapters, "" when they keep all."""
    starts = [int(caption.span.start + 1e-6) for caption in track]
    if len(starts) < LEAST_CHAPTERS:
        return f"{len(starts)} chapters"
    if starts[0] != 0:
        return f"first begins at {clock(starts[0])}"
    end = max(track.duration or 0.0, *(caption.span.end for caption in track))
    lengths = [after - before for before, after in pairwise([*starts, int(end + 1e-6)])]
    short = sum(1 for length in lengths if length < LEAST_SECONDS)
    if short:
        return f"{short} of {len(starts)} shorter than {LEAST_SECONDS} s"
    room = LONGEST_TEXT // len(starts)
    return f"{len(starts)} chapters, too many for a description of {LONGEST_TEXT} characters" if room < 30 else ""


def _lines(track: Track) -> str:
    room = min(LONGEST_TITLE, LONGEST_TEXT // len(track) - 10)
    return "".join(
        f"{clock(caption.span.start)} {_title(chapter_title(caption) or track.id_of(index), room)}\n"
        for index, caption in enumerate(track)
    )


def _title(text: str, room: int) -> str:
    """One line of at most `room` characters; YouTube refuses a description with angle brackets."""
    text = " ".join(text.replace("<", "‹").replace(">", "›").split())
    if len(text) <= room:
        return text
    cut = text[: room - 1]
    return (cut.rpartition(" ")[0] or cut).rstrip(" ,;:.") + "…"

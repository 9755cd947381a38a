"""An outline to read: the whole video, its segments, their clips, with times that link (.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from longshot.contracts import Format
from longshot.formats._format import LEAVES, coarse_first, shown_text
from longshot.timeline import Span, Track, clock

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&#])")


def load() -> Format:
    """The format."""
    loses = "written only: ends finer than a second, scores, details, ids"
    return Format("markdown", ".md", loses, write, kinds=("outline",), together=("outline",))


def write(tracks: Sequence[Track], *, kind: str, media: str) -> str:
    """A title, then one bullet for each caption, nested in the smallest coarser caption that it begins in.

    With `media` each time links to that moment of the video (a media fragment, `#t=start,end`).
    """
    ordered = coarse_first(tracks)
    name = next((track.name for track in ordered if track.name), ordered[0].video)
    duration = max((track.duration or 0.0 for track in ordered), default=0.0)
    lines = [f"# {_escape(name) or 'Outline'}", ""]
    if duration:
        lines += [f"Length {clock(duration)}", ""]
    lines += _bullets(ordered, media)
    made = dict.fromkeys(f"{track.level}: {track.source}" + _note(track) for track in ordered)
    return "\n".join([*lines, "", f"Made by {_escape('; '.join(made))}."]) + "\n"


def _note(track: Track) -> str:
    return f" ({track.source.note})" if track.source.note else ""


def _bullets(ordered: Sequence[Track], media: str) -> Iterator[str]:
    """All captions in reading order: by start, the coarser first, as deep as the captions open around them."""
    entries = [
        (caption.span.start, depth, index, track)
        for depth, track in enumerate(ordered)
        for index, caption in enumerate(track)
    ]
    open_spans: list[tuple[int, Span]] = []
    for start, depth, index, track in sorted(entries, key=lambda entry: entry[:3]):
        span = track.captions[index].span
        # A leaf never opens: what is said during a text on screen is no part of it.
        open_spans = [(level, around) for level, around in open_spans if level < depth and start in around]
        mark = f"{track.level}: " if track.level in LEAVES else ""
        yield f"{'  ' * len(open_spans)}- {_time(span, media)} {mark}{_words(track, index)}"
        if track.level not in LEAVES:
            open_spans.append((depth, span))


def _words(track: Track, index: int) -> str:
    """A caption's words, after its title in bold where it has one."""
    title, words = str(track.captions[index].details.get("title") or ""), _escape(shown_text(track, index))
    return f"**{_escape(title)}** — {words}" if title and track.level != "video" else words


def _time(span: Span, media: str) -> str:
    shown = f"{clock(span.start)}–{clock(span.end)}"
    return f"[{shown}]({_address(media)}#t={_number(span.start)},{_number(span.end)})" if media else shown


def _address(media: str) -> str:
    if re.match(r"https?://", media):
        return quote(media, safe="/:?=&%@+,;~").replace("&", "&amp;")
    return quote(media.replace("\\", "/"), errors="replace")


def _number(second: float) -> str:
    return f"{max(0.0, second):.3f}".rstrip("0").rstrip(".")


def _escape(text: str) -> str:
    """Text on one line in which nothing is markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))

"""Advanced SubStation subtitles, .ass and .ssa: read only, styles and drawings left out (.ass)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from longshot.contracts import Fault, Format, Reading
from longshot.errors import UsageError
from longshot.formats._cues import STAMP, seconds_of
from longshot.formats._format import foreign
from longshot.timeline import Caption, Span

_FIELDS = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
_LINE = re.compile(r"\s*(Format|Dialogue)\s*:\s*(.*)", re.IGNORECASE | re.DOTALL)
_OVERRIDE = re.compile(r"\{([^{}]*)\}")
_DRAWING = re.compile(r"\\p(\d+)", re.ASCII)


def load() -> Format:
    """The format."""
    return Format("ass", ".ass", "styles, positions, drawings, karaoke", None, read, likeness)


def likeness(text: str) -> float:
    """The sections have names of their own."""
    head = text[:65536].lower()
    if head.lstrip("\ufeff \t\n").startswith("[script info]") or "\n[events]" in head:
        return 1.0
    return 0.6 if re.search(r"^\s*dialogue\s*:", head, re.MULTILINE) else 0.0


def read(text: str) -> Reading:
    """Every Dialogue line with readable times and words; a line shown in several layers counts once."""
    captions: dict[tuple[Span, str], Caption] = {}
    skipped: list[Fault] = []
    mended: list[Fault] = []
    for number, row in _rows(text):
        found = _caption(number, row)
        if isinstance(found, Fault):
            skipped.append(found)
        elif found.text:
            captions.setdefault((found.span, found.text), found)
            if row["start"].strip().startswith("-"):
                mended.append(Fault(number, "starts before 0", found.text))
    return foreign("ass", list(captions.values()), skipped, mended)


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and fields of each Dialogue line, by the names of the last Format line before it."""
    fields: tuple[str, ...] = _FIELDS
    section = "[events]"
    for number, line in enumerate(text.split("\n"), 1):
        section = line.strip().lower() if line.lstrip().startswith("[") else section
        match = _LINE.match(line)
        if match is None:
            continue
        if match[1].lower() == "dialogue":
            values = match[2].split(",", len(fields) - 1)
            yield number, dict.fromkeys(_FIELDS, "") | dict(zip(fields, values, strict=False))
        elif section == "[events]":
            named = tuple(name.strip().lower() for name in match[2].split(","))
            fields = named if {"start", "end", "text"} <= set(named) and named[-1] == "text" else fields


def _caption(number: int, row: dict[str, str]) -> Caption | Fault:
    text = _words(row["text"])
    start, end = STAMP.fullmatch(row["start"].strip()), STAMP.fullmatch(row["end"].strip())
    if start is None or end is None:
        return Fault(number, "unreadable times", text)
    first, last = seconds_of(*start.groups()), seconds_of(*end.groups())
    if last < 0:
        return Fault(number, "lies before 0", text)
    try:
        span = Span(max(0.0, first), last)
    except UsageError:
        return Fault(number, "ends before it starts", text)
    speaker = row["name"].strip()
    return Caption(span, text, None, {"speaker": speaker} if speaker else {})


def _words(text: str) -> str:
    """A Dialogue text without override codes and the shapes drawn by them, its line breaks as newlines."""
    kept, drawing, at = [], False, 0
    for override in _OVERRIDE.finditer(text):
        kept.append("" if drawing else text[at : override.start()])
        for level in _DRAWING.findall(override[1]):
            drawing = level.strip("0") != ""
        at = override.end()
    kept.append("" if drawing else text[at:])
    words = re.sub(r"\\[Nn]", "\n", "".join(kept)).replace("\\h", " ").replace("\\{", "{").replace("\\}", "}")
    return "\n".join(line for line in (line.strip() for line in words.split("\n")) if line)

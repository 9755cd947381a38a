"""A table for spreadsheets and data frames, one row for each caption (.csv)."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence

from longshot.contracts import Fault, Format, Reading
from longshot.errors import FormatError, UsageError
from longshot.formats._cues import STAMP, seconds_of
from longshot.formats._header import dump, parse_object
from longshot.timeline import Caption, Source, Span, Track

_COLUMNS = ("video", "level", "id", "start", "end", "text", "score", "details")
# A spreadsheet runs cells that begin so as formulas; what is said in a video must not.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def load() -> Format:
    """The format."""
    loses = "the file's name, the duration, who made it"
    return Format("csv", ".csv", loses, write, read, likeness, kinds=("table",), together=("table",))


def write(tracks: Sequence[Track], *, kind: str, media: str) -> str:
    """A line of column names, then a row for each caption: seconds in full, details as JSON."""
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow(_COLUMNS)
    for track in tracks:
        for index, caption in enumerate(track):
            words = map(_guarded, (track.video, track.level, track.id_of(index)))
            score = "" if caption.score is None else repr(float(caption.score))
            details = dump(caption.details) if caption.details else ""
            start, end = (repr(float(second)) for second in (caption.span.start, caption.span.end))
            table.writerow((*words, start, end, _guarded(caption.text), score, details))
    return out.getvalue()


def _guarded(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _unguarded(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def likeness(text: str) -> float:
    """The first line names the columns start, end and text."""
    return 0.9 if {"start", "end", "text"} <= set(_names(text, _mark(text))) else 0.0


def _mark(text: str) -> str:
    """What parts the cells: spreadsheets write commas, semicolons or tabs, by country."""
    first = text[:4096].split("\n", 1)[0]
    return max(",;\t", key=first.count)


def _names(text: str, mark: str) -> list[str]:
    first = text[:4096].lstrip("\ufeff").split("\n", 1)[0]
    return [name.strip().strip('"').strip().lower() for name in first.split(mark)]


def read(text: str) -> Reading:
    """A track for each level; any table with the columns start, end (seconds or 0:01:02.5) and text will do."""
    mark = _mark(text)
    names = _names(text, mark)
    if not {"start", "end", "text"} <= set(names):
        raise FormatError(f"the first line must name the columns start, end and text, got {', '.join(names)[:100]}")
    # A whole-video caption with its children can pass the default limit of 128 KiB a cell.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    captions: dict[tuple[str, str], list[Caption]] = {}
    skipped: list[Fault] = []
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
        next(rows)
        for cells in rows:
            row = dict(zip(names, cells, strict=False))
            _take(row, rows.line_num, captions, skipped)
    except csv.Error as error:
        raise FormatError(f"line {rows.line_num}: {error}; write the table again") from error
    if not captions:
        why = f" ({skipped[0]})" if skipped else ""
        raise FormatError(f"no readable row in this table{why}")
    tracks = tuple(Track(*key, Source("read", "csv"), tuple(rows)) for key, rows in captions.items())
    return Reading("csv", tracks, tuple(skipped))


def _take(
    row: Mapping[str, str], line: int, captions: dict[tuple[str, str], list[Caption]], skipped: list[Fault]
) -> None:
    if not any(cell.strip() for cell in row.values()):
        return
    text = _unguarded(row.get("text", ""))
    try:
        score = _finite(row["score"]) if row.get("score", "").strip() else None
        details = parse_object(row["details"]) if row.get("details", "").strip() else {}
        caption = Caption(Span(_seconds(row.get("start", "")), _seconds(row.get("end", ""))), text, score, details)
    except (ValueError, UsageError, FormatError) as error:
        skipped.append(Fault(line, str(error), text))
        return
    key = (_unguarded(row.get("video", "")), _unguarded(row.get("level", "")) or "speech")
    captions.setdefault(key, []).append(caption)


def _seconds(cell: str) -> float:
    clock = STAMP.fullmatch(cell.strip())
    return seconds_of(*clock.groups()) if clock else _finite(cell)


def _finite(cell: str) -> float:
    number = float(cell)
    if not math.isfinite(number):
        raise ValueError(f"{cell.strip()} is no usable number")
    return number

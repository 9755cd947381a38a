"""Chapters that ffmpeg puts into a video file (.ffmetadata).

ffmpeg -i in.mp4 -i chapters.ffmetadata -map_chapters 1 -codec copy out.mp4
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from longshot.contracts import Fault, Format, Reading
from longshot.errors import FormatError, UsageError
from longshot.formats._format import chapter_title, foreign
from longshot.formats._header import dump, header_of, parse_object, track_of
from longshot.timeline import Caption, Span, Track

_NOTE = ";longshot "


def load() -> Format:
    """The format."""
    loses = "times finer than 1 ms, scores, details; a backslash that ends a line gets a space"
    return Format("ffmetadata", ".ffmetadata", loses, write, read, likeness, kinds=("chapters",))


def write(tracks: Sequence[Track], *, kind: str, media: str) -> str:
    """One CHAPTER for each caption in milliseconds, after a comment that says what track this is."""
    (track,) = tracks
    title = f"title={_escape(track.name)}\n" if track.name else ""
    chapters = "".join(map(_chapter, track))
    return f";FFMETADATA1\n{_NOTE}{dump(header_of(track))}\n{title}{chapters}"


def _chapter(caption: Caption) -> str:
    start, end = (max(0, round(second * 1000)) for second in (caption.span.start, caption.span.end))
    words = chapter_title(caption)
    title = f"title={_escape(words)}\n" if words else ""
    return f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\n{title}"


def _escape(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    # ffmpeg takes a newline after any backslash, an escaped one too, for a part of the title.
    text = re.sub(r"\\(?=\n|\Z)", r"\\ ", text)
    return re.sub(r"([=;#\\\n])", r"\\\1", text)


def likeness(text: str) -> float:
    """The first line is ;FFMETADATA and a version."""
    return 1.0 if text.lstrip("\ufeff \t\n").startswith(";FFMETADATA") else 0.0


def read(text: str) -> Reading:
    """The chapters; what else the file says about the video is left alone."""
    if not likeness(text):
        raise FormatError("no ffmpeg metadata: the first line must be ;FFMETADATA1")
    captions: list[Caption] = []
    skipped: list[Fault] = []
    for number, fields in _chapters(text):
        found = _caption(number, fields)
        (captions if isinstance(found, Caption) else skipped).append(found)  # type: ignore[arg-type]
    note = next((line for line in text.split("\n") if line.startswith(_NOTE)), "")
    if not note:
        return _plain(captions, skipped)
    track = track_of(parse_object(note.removeprefix(_NOTE)), captions)
    return Reading("ffmetadata", (track,), tuple(skipped))


def _plain(captions: Sequence[Caption], skipped: Sequence[Fault]) -> Reading:
    reading = foreign("ffmetadata", captions, skipped, ())
    (track,) = reading.tracks
    return Reading(reading.format, (Track("", "chapter", track.source, track.captions),), reading.skipped)


def _chapters(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and fields of each [CHAPTER], keys in capitals."""
    fields: dict[str, str] | None = None
    begun = 0
    for number, line in _logical_lines(text):
        if re.match(r"\s*\[.*\]\s*$", line):
            if fields is not None:
                yield begun, fields
            begun, fields = number, {} if line.strip().upper() == "[CHAPTER]" else None
        elif fields is not None and not line.startswith((";", "#")):
            key, _, value = line.partition("=")
            fields[key.strip().upper()] = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
    if fields is not None:
        yield begun, fields


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines, those joined whose line break is escaped by an odd number of backslashes."""
    waiting, begun = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        begun = begun if waiting else number
        slashes = len(line) - len(line.rstrip("\\"))
        if slashes % 2 and not (not waiting and line.startswith((";", "#"))):
            waiting += line + "\n"
        else:
            yield begun, waiting + line
            waiting = ""
    if waiting:
        yield begun, waiting


def _caption(number: int, fields: dict[str, str]) -> Caption | Fault:
    title = fields.get("TITLE", "")
    try:
        # ffmpeg counts in nanoseconds where nothing is said.
        above, _, below = fields.get("TIMEBASE", "1/1000000000").partition("/")
        base = Fraction(_whole(above), _whole(below))
        start, end = _whole(fields["START"]), _whole(fields["END"])
        return Caption(Span(float(start * base), float(end * base)), title)
    except KeyError as error:
        return Fault(number, f"the chapter has no {error.args[0]}", title)
    except UsageError as error:
        return Fault(number, str(error), title)
    except (ValueError, ZeroDivisionError):
        return Fault(number, "unreadable times", title)


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("too long for a time")
    return int(digits)

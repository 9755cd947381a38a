"""Cues: blocks of a time line and text lines, as SubRip and WebVTT have them, clean or dirty.

The two formats differ little, and files in the wild mix them, so both are cut into blocks by one tolerant reader.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from longshot.contracts import Fault
from longshot.timeline import Caption, Span

_STAMP = r"(?:(-)\s*)?(?:(\d{1,9})\s*[:：]\s*)?(\d{1,9})\s*[:：]\s*(\d{1,9})(?:\s*[.,:;]\s*(\d{1,9}))?"
STAMP = re.compile(_STAMP, re.ASCII)
_TIMING = re.compile(rf"[\s\ufeff]*{_STAMP}\s*[-–—]+\s*>\s*{_STAMP}(?!\d)(.*)", re.ASCII)
_INDEX = re.compile(r"[\s\ufeff]*#?(\d{1,9})[.:]?\s*", re.ASCII)
_SETTING = re.compile(r"[A-Za-z][\w-]*:\S+", re.ASCII)
_VTT_BLOCK = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<[0-9:.]+>|</?>")
_CODE = re.compile(r"\{\\[^{}]*\}|\{[A-Za-z]:[^{}]*\}")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s([^<>]+)>")


@dataclass(frozen=True, slots=True)
class Cue:
    """One block of a file: where it stands (1-based line of its times), its id, its span, its raw text lines."""

    line: int
    name: str
    span: Span
    lines: tuple[str, ...]


@dataclass(slots=True)
class Cut:
    """A file cut into cues, with what was skipped and mended on the way."""

    cues: list[Cue]
    skipped: list[Fault]
    mended: list[Fault]


@dataclass(frozen=True, slots=True)
class _Head:
    """Line numbers (0-based): first is the id's or the times', times the times', body the first text line."""

    first: int
    times: int
    name: str
    match: re.Match[str] | None

    @property
    def body(self) -> int:
        return self.times + 1


def seconds_of(sign: str | None, hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    """The seconds of a matched STAMP. Whole milliseconds come out as the nearest float to k / 1000."""
    digits = (fraction or "").ljust(3, "0")
    scale = int("1" + "0" * len(digits))
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    value = (whole * scale + int(digits)) / scale
    return -value if sign else value


def stamp(second: float, *, mark: str) -> str:
    """00:01:15.500 with `mark` before the milliseconds; a time before 0 is written as 0."""
    total = max(0, round(second * 1000))
    hours, rest = divmod(total, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"


def cut(text: str, *, vtt: bool) -> Cut:
    """Cut a file into cues.

    A line of times begins a cue wherever it stands, so missing blank lines, indices and headers do no harm. What has
    no readable time is skipped and listed; only NOTE, STYLE and REGION blocks and empty cues go unmentioned.
    """
    lines = text.split("\n")
    heads = list(_heads(lines, vtt=vtt))
    result = Cut([], [], [])
    before = lines[: heads[0].first] if heads else lines
    result.skipped += [fault for fault in _stray(before, 0, vtt=vtt) if fault.line > 1 or not vtt]
    for head, following in zip(heads, [*heads, None][1:], strict=True):
        end = following.first if following else len(lines)
        body, stray = _body(lines[head.body : end], head.body, last=following is None, vtt=vtt)
        _add(result, head, body)
        result.skipped += stray
    return result


def _heads(lines: Sequence[str], *, vtt: bool) -> Iterator[_Head]:
    previous = 0
    for number, line in enumerate(lines):
        if "-" not in line and "–" not in line and "—" not in line:
            continue
        match = _TIMING.fullmatch(line)
        first, name = _name_before(lines, number, previous, vtt=vtt)
        if match is None and ("-->" not in line or (first == number and number and lines[number - 1].strip())):
            continue  # an arrow inside the text
        if match is None and vtt and _inside_note(lines, number):
            continue
        index = _INDEX.fullmatch(name)
        previous = int(index[1]) if index else previous + 1
        yield _Head(first, number, name.strip(), match)


def _name_before(lines: Sequence[str], number: int, previous: int, *, vtt: bool) -> tuple[int, str]:
    """Where the cue at a line of times begins, and its id or index."""
    above = lines[number - 1] if number > 0 else ""
    if _INDEX.fullmatch(above):
        return number - 1, above
    blank_above = number < 2 or not lines[number - 2].strip()
    if vtt and above.strip() and blank_above and not above.startswith("WEBVTT"):
        return number - 1, above
    index = _INDEX.fullmatch(lines[number - 2]) if number > 1 and not above.strip() else None
    alone = number < 3 or not lines[number - 3].strip()
    if index and alone and int(index[1]) == previous + 1:  # every second line of the file is blank
        return number - 2, lines[number - 2]
    return number, ""


def _inside_note(lines: Sequence[str], number: int) -> bool:
    while number > 0 and lines[number - 1].strip():
        number -= 1
    return bool(_VTT_BLOCK.match(lines[number]))


def _paragraphs(lines: Sequence[str], offset: int) -> list[tuple[int, list[str]]]:
    """Runs of non-empty lines with their 0-based first line. A line of spaces (YouTube's) does not part them."""
    found: list[tuple[int, list[str]]] = []
    fresh = True
    for number, line in enumerate(lines, offset):
        if line == "":
            fresh = True
        elif line.strip(" \t\ufeff") == "":
            continue
        elif fresh:
            found.append((number, [line]))
            fresh = False
        else:
            found[-1][1].append(line)
    return found


def _stray(lines: Sequence[str], offset: int, *, vtt: bool) -> list[Fault]:
    return [
        Fault(number + 1, "text without a time", " ".join(paragraph)[:200])
        for number, paragraph in _paragraphs(lines, offset)
        if not (vtt and _VTT_BLOCK.match(paragraph[0]))
    ]


def _body(lines: Sequence[str], offset: int, *, last: bool, vtt: bool) -> tuple[list[str], list[Fault]]:
    """The text lines of a cue, and what stands between it and the next without belonging to either."""
    kept: list[str] = []
    stray: list[Fault] = []
    for number, paragraph in _paragraphs(lines, offset):
        if vtt and number > offset and _VTT_BLOCK.match(paragraph[0]):
            continue
        broken = len(paragraph) > 1 and _INDEX.fullmatch(paragraph[0]) is not None
        # A blank line inside a cue is common; after the last cue it parts the text from rubbish.
        if number > offset and kept and (last or broken):
            stray.append(Fault(number + 1, "text without a time", " ".join(paragraph)[:200]))
        else:
            kept += paragraph
    return kept, stray


def _add(result: Cut, head: _Head, body: list[str]) -> None:
    line, text = head.times + 1, " ".join(body)[:200]
    if head.match is None:
        result.skipped.append(Fault(line, "unreadable times", text))
        return
    groups = head.match.groups()
    start, end = seconds_of(*groups[0:5]), seconds_of(*groups[5:10])
    tail = groups[10] or ""
    if not all(map(_SETTING.fullmatch, tail.split())):  # the line break after the times is missing
        body = [tail, *body]
    if end < start:
        result.skipped.append(Fault(line, "ends before it starts", text))
    elif end < 0:
        result.skipped.append(Fault(line, "lies before 0", text))
    else:
        if start < 0:
            result.mended.append(Fault(line, "starts before 0", text))
        result.cues.append(Cue(line, head.name, Span(max(0.0, start), end), tuple(body)))


def plain(lines: Sequence[str]) -> str:
    """Text lines without tags, style codes and entities; empty lines left out."""
    cleaned = (unescape(_CODE.sub("", _TAG.sub("", line.strip(" \t")))) for line in lines)
    return "\n".join(line for line in cleaned if line)


def unescape(text: str) -> str:
    """`&lt;` to `<` and the like; only complete entities, so that "R&D" and "?a=1&copy=2" stay as they are."""
    return _ENTITY.sub(lambda found: " " if found[0] == "&nbsp;" else html.unescape(found[0]), text)


def speaker_of(lines: Sequence[str]) -> str:
    """The names in WebVTT voice tags, "" when there are none."""
    names = (unescape(name.strip()) for line in lines for name in _VOICE.findall(line))
    return ", ".join(dict.fromkeys(names))


def guarded(text: str) -> str:
    """SubRip text: escapes only what would be misread as a tag, a code, an entity or a line of times.

    SubRip has no escapes of its own and many players show them, so "Tom & Jerry" and "1 < 2" stay as they are.
    """
    text = _ENTITY.sub(lambda found: f"&amp;{found[0][1:]}", text)
    text = re.sub(r"<(?=[A-Za-z0-9/:.>])", "&lt;", text)
    text = re.sub(r"\{(?=\\|[A-Za-z]:)", "&#123;", text)
    return re.sub(r"(?<=[-–—])(\s*)>", r"\1&gt;", text)


def is_rolling(captions: Sequence[Caption]) -> bool:
    """Whether captions repeat what the one before still shows, as automatic captions that roll do."""
    repeats = sum(1 for before, after in pairwise(captions) if _repeated(before, after))
    return len(captions) > 2 and repeats * 2 > len(captions) - 1


def collapse_rolling(captions: Sequence[Caption]) -> list[Caption]:
    """Each line once: lines still shown from the caption before are left out.

    (0-2 "a"), (2-4 "a⏎b"), (4-6 "b⏎c") becomes (0-2 "a"), (2-4 "b"), (4-6 "c"). A caption that only repeats makes the
    one before longer.
    """
    kept: list[Caption] = list(captions[:1])
    for before, caption in pairwise(captions):
        fresh = caption.text.split("\n")[_repeated(before, caption) :]
        if fresh:
            kept.append(replace(caption, text="\n".join(fresh)))
        else:
            last = kept[-1]
            kept[-1] = replace(last, span=Span(last.span.start, max(last.span.end, caption.span.end)))
    return kept


def _repeated(before: Caption, after: Caption) -> int:
    """How many first lines of `after` are the last lines of `before`; none after a pause of a second."""
    if after.span.start > before.span.end + 1.0:
        return 0
    old, new = before.text.split("\n"), after.text.split("\n")
    sizes = range(min(len(old), len(new)), 0, -1)
    return next((size for size in sizes if old[-size:] == new[:size]), 0)

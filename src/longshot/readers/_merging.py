"""From what was read in single pictures to captions: one per text and stay, whatever the OCR's mood.

A line lives as long as its pixels do. Its readings vote for the text, doubtful lines that nobody confirmed go,
what scrolls becomes one caption, a watermark becomes one caption, and lines that come and go together and stand
together become one block.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from statistics import median
from typing import Any

from longshot.timeline import Caption, Span

_SURE = 0.8  # a line seen in one reading only needs this confidence
_LOW = 0.6  # below this a line goes, however often it was read
_SHORT = 0.9  # one or two letters need this much: textures often look like a letter ...
_CERTAIN = 0.96  # ... and this much when they were read only once
_STROKES = frozenset("il1o0")  # lit windows and posts read like these: one or two of them must be read three times
_GROWTH = 3.0  # seconds: a text that is typed out is reported when complete
_GROWN = 0.95  # a line narrower than this share of the next reading, and its beginning, was still being typed
_FLICKER = 0.8  # seconds: the most that a line may be missed and still count as having stayed
_WATERMARK_PIECES = 3


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in fractions of the picture, 0..1, origin at the top left."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Fraction of the picture's width."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Fraction of the picture's height."""
        return self.bottom - self.top

    def shared(self, other: Box) -> float:
        """The common area."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)

    def covered_by(self, other: Box) -> float:
        """Share of this box that lies in the other, 0..1."""
        area = self.width * self.height
        return self.shared(other) / area if area > 0 else 0.0

    def same_place(self, other: Box) -> bool:
        """Whether both are the place of one line: they share more than a third of their union."""
        shared = self.shared(other)
        return 3 * shared > self.width * self.height + other.width * other.height - shared

    def around(self, other: Box) -> Box:
        """The smallest box that holds both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def rounded(self) -> list[float]:
        """Left, top, right, bottom for a caption's details."""
        return [round(edge, 3) for edge in (self.left, self.top, self.right, self.bottom)]


@dataclass(frozen=True, slots=True)
class Reading:
    """One line as the OCR engine read it in one picture; `score` is its confidence, 0..1."""

    text: str
    score: float
    box: Box


@dataclass(frozen=True, slots=True)
class Moment:
    """A second, and how far from it the truth may be."""

    second: float
    within: float


@dataclass(slots=True)
class Line:
    """One line of text during one stay on screen, with everything that was read of it."""

    start: Moment
    end: Moment
    readings: list[tuple[float, Reading]] = field(default_factory=list)
    pieces: list[tuple[float, float]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The best-voted reading: confidences of equal readings add up; spaces break a tie."""
        votes: dict[str, float] = defaultdict(float)
        for _, reading in self.readings:
            votes[plain(reading.text)] += reading.score
        winner = max(votes, key=lambda key: votes[key])
        written: dict[str, float] = defaultdict(float)
        for _, reading in self.readings:
            if plain(reading.text) == winner:
                written[reading.text] += reading.score
        return max(written, key=lambda text: (written[text], text.count(" ")))

    @property
    def score(self) -> float:
        """Mean confidence of the readings that agree with the text."""
        winner = plain(self.text)
        agreeing = [reading.score for _, reading in self.readings if plain(reading.text) == winner]
        return sum(agreeing) / len(agreeing)

    @property
    def box(self) -> Box:
        """Where it stood when it was last read."""
        return self.readings[-1][1].box

    @property
    def speed(self) -> float:
        """Vertical movement in picture heights per second; negative is up, 0.0 when it was read only once."""
        (first, early), (last, late) = self.readings[0], self.readings[-1]
        return (late.box.top - early.box.top) / (last - first) if last > first else 0.0

    @property
    def trustworthy(self) -> bool:
        """Whether it is worth a caption: read twice, or once with confidence."""
        letters = plain(self.text)
        if not letters or self.score < _LOW:
            return False
        if len(letters) <= 2:
            needed = 3 if set(letters) <= _STROKES else 2
            return self.score >= _SHORT if len(self.readings) >= needed else needed == 2 and self.score >= _CERTAIN
        return len(self.readings) >= 2 or self.score >= _SURE

    def absorb(self, later: Line) -> None:
        """Continue with a later stretch of the same line."""
        self.readings.extend(later.readings)
        self.readings.sort(key=lambda pair: pair[0])
        self.end = max(self.end, later.end, key=lambda moment: moment.second)


def plain(text: str) -> str:
    """The text without case, spaces and marks: what OCR may get wrong without reading another text."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def same_text(one: str, other: str) -> bool:
    """Whether two readings may be of one text: a slip of the OCR apart, but every digit equal.

    Worked row: "Step 1"/"Step l" yes, "Step 1"/"Step 2" no, "Tidal pools"/"TidalpooIs" yes.
    """
    left, right = plain(one), plain(other)
    if left == right:
        return bool(left)
    if min(len(left), len(right)) < 4:
        return False
    digits = [letter for letter in left if letter.isdigit()], [letter for letter in right if letter.isdigit()]
    if digits[0] and digits[1] and digits[0] != digits[1]:
        return False
    return SequenceMatcher(None, left, right, autojunk=False).ratio() >= 0.8


def same_line(one: Reading, other: Reading) -> bool:
    """Whether two readings in one place are of one line, and not of a line that has grown by some letters."""
    short, long = sorted((one, other), key=lambda reading: reading.box.width)
    grown = plain(long.text).startswith(plain(short.text)) and len(plain(long.text)) > len(plain(short.text))
    return same_text(one.text, other.text) and not (grown and short.box.width < _GROWN * long.box.width)


def captions_of(lines: Iterable[Line], *, end: float, interval: float, aspect: float, reach: float) -> list[Caption]:
    """Captions in reading order from everything that was read of one video.

    end: seconds. interval: seconds between two samples. aspect: picture width / height. reach: seconds that may
    lie between two readings of a line that moves.
    """
    kept = _joined(lines, interval=interval, reach=reach)
    kept = [line for line in kept if line.trustworthy]
    kept = _without_typing(kept)
    kept = _watermarks(kept, end)
    rolls, kept = _rolls(kept, interval)
    blocks = [_block_caption(block, aspect, end) for block in _blocks(kept, interval, aspect)]
    captions = [caption for caption in [*blocks, *(_roll_caption(roll, end) for roll in rolls)] if caption]
    return sorted(captions, key=lambda caption: (caption.span, caption.details["box"][1::-1]))


def _joined(lines: Iterable[Line], *, interval: float, reach: float) -> list[Line]:
    """Stretches of one line put together: after one missed sample in place, after `reach` when it moves."""
    joined: list[Line] = []
    for line in sorted(lines, key=lambda line: line.start.second):
        for earlier in reversed(joined):
            gap = line.start.second - earlier.end.second
            if gap > reach or not same_line(earlier.readings[-1][1], line.readings[0][1]):
                continue
            stays = earlier.box.same_place(line.box) and gap <= min(1.5 * interval, _FLICKER)
            fleeting = min(_seconds(line), _seconds(earlier)) <= 1.5 * interval
            if stays or (fleeting and gap > -interval and _may_have_moved(earlier.box, line.box)):
                earlier.absorb(line)
                break
        else:
            joined.append(line)
    return joined


def _seconds(line: Line) -> float:
    return line.end.second - line.start.second


def _may_have_moved(one: Box, other: Box) -> bool:
    """Whether a line of this size can have gone from one box to the other: its height stays about the same."""
    size = max(one.height, other.height) <= 1.5 * min(one.height, other.height) + 0.005
    return size and abs(one.top - other.top) <= 0.7 and abs(one.left - other.left) <= 0.7


def _without_typing(lines: Sequence[Line]) -> list[Line]:
    """Leave out the short-lived beginnings of a text that is typed out letter by letter."""

    def is_beginning(line: Line) -> bool:
        return _seconds(line) < _GROWTH and any(
            other is not line
            and len(plain(other.text)) > len(plain(line.text))
            and _begins(plain(other.text), plain(line.text))
            and line.box.covered_by(other.box) > 0.7
            and -0.5 <= other.start.second - line.end.second <= 1.0
            for other in lines
        )

    return [line for line in lines if not is_beginning(line)]


def _begins(whole: str, part: str) -> bool:
    """Whether a text may begin with `part`, a slip of the OCR apart."""
    return whole.startswith(part) or same_text(whole[: len(part)], part)


def _watermarks(lines: Sequence[Line], end: float) -> list[Line]:
    """Put the stretches of a mark that stays in its place through most of the video into one line."""
    groups: list[list[Line]] = []
    for line in lines:
        for group in groups:
            if same_text(group[0].text, line.text) and group[0].box.same_place(line.box):
                group.append(line)
                break
        else:
            groups.append([line])
    merged = []
    for group in groups:
        shown = sum(_seconds(line) for line in group)
        if len(group) >= _WATERMARK_PIECES and shown >= 0.6 * end:
            first, *others = group
            pieces = [(line.start.second, line.end.second) for line in group]
            for line in others:
                first.absorb(line)
            first.pieces = pieces
            group = [first]
        merged.extend(group)
    return sorted(merged, key=lambda line: line.start.second)


def _rolls(lines: Sequence[Line], interval: float) -> tuple[list[list[Line]], list[Line]]:
    """Divide into rolling text (credits: three lines or more that move together) and all other lines."""
    moving = [line for line in lines if abs(line.speed) > 0.02 and abs(_travel(line)) > 0.04]
    rolls: list[list[Line]] = []
    for line in moving:
        roll = rolls[-1] if rolls else None
        if roll and line.start.second <= max(other.end.second for other in roll) + 2 * interval:
            roll.append(line)
        else:
            rolls.append([line])
    rolls = [roll for roll in rolls if len(roll) >= 3]
    taken = {id(line) for roll in rolls for line in roll}
    for line in lines:
        if id(line) in taken or len(line.readings) > 1 or _seconds(line) > 1.5 * interval:
            continue
        for roll in rolls:
            # Seen once, at the edge: it came in with the roll or left with it.
            if _hull(roll).start - interval <= line.start.second <= _hull(roll).end + interval:
                roll.append(line)
                taken.add(id(line))
                break
    return rolls, [line for line in lines if id(line) not in taken]


def _travel(line: Line) -> float:
    return line.readings[-1][1].box.top - line.readings[0][1].box.top


def _hull(lines: Sequence[Line]) -> Span:
    return Span(min(line.start.second for line in lines), max(line.end.second for line in lines))


def _roll_caption(roll: Sequence[Line], end: float) -> Caption | None:
    speed = median(line.speed for line in roll if line.speed)

    def height_on_the_roll(line: Line) -> tuple[float, float]:
        time, reading = line.readings[0]
        return round(reading.box.top - speed * time, 2), reading.box.left

    ordered = sorted(roll, key=height_on_the_roll)
    details = {"scrolls": "up" if speed < 0 else "down", "speed": round(speed, 3)}
    return _caption(ordered, "\n".join(line.text for line in ordered), end, details)


def _blocks(lines: Sequence[Line], interval: float, aspect: float) -> list[list[Line]]:
    """Groups of lines that come and go together and stand together."""
    blocks: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: (line.box.top, line.box.left)):
        near = [block for block in blocks if any(_belong(line, other, interval, aspect) for other in block)]
        together = [line for block in near for line in block] + [line]
        blocks = [block for block in blocks if not any(block is other for other in near)] + [together]
    return blocks


def _belong(one: Line, other: Line, interval: float, aspect: float) -> bool:
    if bool(one.pieces) != bool(other.pieces):
        return False
    slack = min(interval, _FLICKER)
    starts = abs(one.start.second - other.start.second) <= max(slack, one.start.within, other.start.within)
    ends = abs(one.end.second - other.end.second) <= max(slack, one.end.within, other.end.within)
    together = min(one.end.second, other.end.second) - max(one.start.second, other.start.second)
    low, high = sorted((one.box.height, other.box.height))
    if not (starts and ends) or 2 * together < max(_seconds(one), _seconds(other)) or high > 1.6 * low:
        return False
    upper, lower = sorted((one.box, other.box), key=lambda box: box.top)
    left, right = sorted((one.box, other.box), key=lambda box: box.left)
    if upper.bottom - lower.top > 0.5 * low:  # one row
        return (right.left - left.right) * aspect <= 1.2 * high
    across = min(one.box.right, other.box.right) - max(one.box.left, other.box.left)
    return lower.top - upper.bottom <= 0.9 * high and across >= 0.4 * min(one.box.width, other.box.width)


def _block_caption(block: Sequence[Line], aspect: float, end: float) -> Caption | None:
    rows = _rows(block)
    ordered = [line for row in rows for line in row]
    widest = max(_row_width(row) for row in rows)
    text = ""
    for above, row in zip([None, *rows], rows, strict=False):
        written = " ".join(line.text for line in row)
        wrapped = above is not None and _runs_on(text, written, _row_width(above) >= 0.75 * widest)
        text += (" " if wrapped else "\n" if text else "") + written
    return _caption(ordered, text, end, {})


def _rows(block: Sequence[Line]) -> list[list[Line]]:
    """The lines of a block row by row, left to right."""
    rows: list[list[Line]] = []
    for line in sorted(block, key=lambda line: line.box.top):
        middle = (line.box.top + line.box.bottom) / 2
        if rows and middle < rows[-1][0].box.bottom:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.box.left) for row in rows]


def _row_width(row: Sequence[Line]) -> float:
    return row[-1].box.right - row[0].box.left


def _runs_on(before: str, after: str, full: bool) -> bool:
    """Whether the second line goes on with the first one's sentence: a wrapped line, not the next point."""
    if not after[:1].isalpha() or re.search(r"[.!?:;]$", before):
        return False
    return after[0].islower() or full


def _caption(lines: Sequence[Line], text: str, end: float, more: dict[str, Any]) -> Caption | None:
    start = min((line.start for line in lines), key=lambda moment: (moment.within, moment.second))
    stop = min((line.end for line in lines), key=lambda moment: (moment.within, -moment.second))
    if "scrolls" in more or stop.second <= start.second:
        start = min((line.start for line in lines), key=lambda moment: moment.second)
        stop = max((line.end for line in lines), key=lambda moment: moment.second)
    box = lines[0].box
    for line in lines[1:]:
        box = box.around(line.box)
    span = Span(max(start.second, 0.0), max(start.second, 0.0, stop.second)).clamp(Span(0.0, end))
    if span.length <= 0:
        return None
    details: dict[str, Any] = {
        "box": box.rounded(),
        "lines": [{"text": line.text, "box": line.box.rounded()} for line in lines],
        "start_within": round(start.within, 3),
        "end_within": round(stop.within, 3),
        "readings": max(len(line.readings) for line in lines),
        **more,
    }
    if lines[0].pieces:
        details["seen"] = [[round(first, 3), round(last, 3)] for first, last in lines[0].pieces]
    score = sum(line.score for line in lines) / len(lines)
    return Caption(span, text, round(score, 3), details)

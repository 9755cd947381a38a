"""Windows in what a chat model replied: many ways to write them, one reader.

    read_windows("[[12, 20], [31.5, 40]]", duration=150.0)     -> [[12.0, 20.0, 1.0], [31.5, 40.0, 0.5]]
    read_windows("From 0:12 to 0:20.", duration=150.0)         -> [[12.0, 20.0, 1.0]]
    read_windows("[]", duration=150.0)                         -> []            the model says: nowhere
    read_windows("In the beginning.", duration=150.0)          raises NoWindows

    read_stretches("[[12, 20]]", start=0.0, end=150.0)         -> what the reply says, and how it was put right

The grammar. Of these forms the first that is found anywhere in the reply counts, and only that one:

    lists      [12, 20]   (0:12, 0:20)   [12s - 20s]   [12, 20, 0.9], [12, 20, 90%]: a third number is the score
    fields     {"start": 12, "end": 20, "score": 0.9}   start: 0:12, end: 0:20   starts at 12 s and ends at 20 s
    ranges     12 - 20 seconds   0:12-0:20   from 12s to 20s   between 12 and 20 seconds   8% to 13%
    pairs      lines of two numbers and nothing else
    nothing    "[]", "[[]]", "{}", "none", as the whole reply

A time is seconds (12, 12.5, 12 s), a clock (0:12, 1:02:03.5), minutes and seconds (1 min 20 s), or a part of the
duration (8%). In a range the unit of the second time goes for a first one that has none. If some ranges are written as
times (with a unit or a clock) the others are taken for something else ("3 to 4 people"), and so is one of bare numbers
that another word follows ("a 3-5 year old"). "and" makes a range only after "between".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_NUMBER = r"(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
_CLOCK = r"(?:\d{1,3}:)?\d{1,3}:\d{2}(?:[.,]\d{1,9}(?![\d:]))?"
_HOURS, _MINUTES, _SECONDS = r"(?:h|hrs?|hours?)\b\.?", r"(?:m|mins?|minutes?)\b\.?", r"(?:s|secs?|seconds?)\b\.?"
_MIXED = (
    rf"(?:\d{{1,3}}\s?(?:h|hrs?|hours?)\s?,?\s?)?\d{{1,4}}\s?(?:m|mins?|minutes?)\s?(?:,|and)?\s?"
    rf"{_NUMBER}\s?{_SECONDS}"
)
_TIME = rf"(?:{_CLOCK}|{_MIXED}|{_NUMBER}(?:\s?(?:%|{_HOURS}|{_MINUTES}|{_SECONDS}))?)"
_QUOTES = r"[\s\"'<>]{0,4}"
_BETWEEN = r"(?:-{1,2}>?|–|—|−|→|~|\.\.\.?|to|until|till|through|and)"

_INNERMOST = re.compile(r"[\[(]([^\[\](){}]{1,120})[\])]")
_TOKEN = re.compile(rf"-?\s?{_TIME}", re.IGNORECASE)
_BETWEEN_TIMES = re.compile(r"[\s\"'<>,;]*(?:-{1,2}>?|–|—|−|→|~|to)?[\s\"'<>,;]*", re.IGNORECASE)
_SAID = r"\W{0,4}(?:(?:time|at|is|second|sec|s)\w{0,4}\W{1,4}){0,3}"
_FIELDS = re.compile(
    rf"\b(?:start|begin)(?:s|ing)?(?:_?(?:time|seconds?|s))?\b{_SAID}(?P<start>{_TIME})"
    rf"[^\d\[\]{{}}]{{1,60}}?\b(?:end|stop|finish)(?:s|e?ing|es)?(?:_?(?:time|seconds?|s))?\b{_SAID}(?P<end>{_TIME})"
    rf"(?:[^\d\[\]{{}}]{{1,20}}?(?:score|confidence|probability)\W{{1,5}}(?P<score>{_NUMBER}))?",
    re.IGNORECASE,
)
_RANGES = re.compile(
    rf"(?<![\d.:%-])(?P<start>{_TIME}){_QUOTES}(?P<to>{_BETWEEN}){_QUOTES}(?P<end>{_TIME})(?![\d:])", re.IGNORECASE
)
_BEFORE_AND = re.compile(r"\bbetween\s+(?:the\s+)?(?:seconds?\s+)?$", re.IGNORECASE)
# What may follow a range of bare numbers: "12 - 20 in the video", but not "3-5 year old".
_ENDED = re.compile(r"\s*(?:$|[.,;:!?)\]}\"']|(?:in|of|and|or|where|when|while|during|as|within)\b)", re.IGNORECASE)
_PAIR = re.compile(rf"\s*(?P<start>{_TIME})(?:\s*[,;]\s*|\s+)(?P<end>{_TIME})[\s,;.]*", re.IGNORECASE)
_ASIDE = re.compile(r"\([^()]{0,80}\)")
_NOWHERE = re.compile(r"\[\s*(?:\[\s*\]\s*)?\]|\{\s*\}|none|null", re.IGNORECASE)
_THOUGHT = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_UNFINISHED = re.compile(r"<think(?:ing)?>.*$", re.DOTALL | re.IGNORECASE)
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```\w*")
_END_MARK = re.compile(r"(?:</s>|<\|\w{1,20}\|>)\s*$")

_Window = tuple[float, float, float | None]


class Stretches(NamedTuple):
    """What a reply says. found: (start, end, score or None where none is told); mended: how it was put right."""

    found: list[_Window]
    mended: tuple[str, ...] = ()


class NoWindows(ValueError):
    """A reply in which no window can be read; the message says why, in one line."""


def read_windows(text: str, *, duration: float) -> list[list[float]]:
    """The windows of a reply, [[start, end, score], ...] in its order, within the video.

    duration: seconds of the video, or of the part of it that was shown; windows count from its start. Ends are
    swapped when they stand the wrong way round, and cut at 0 and `duration`; a window of which nothing is left is left
    out, and so is one said before. Without a score for every window the n-th gets 1 / n. An unfinished window at the
    end of a reply that was cut off does not count.

    Raises NoWindows for a reply without one, and for one with none inside the video. An empty list is an answer.
    """
    found = read_stretches(text, start=0.0, end=duration).found
    scored = all(score is not None for _, _, score in found)
    return [
        [low, high, score if scored and score is not None else 1.0 / rank]
        for rank, (low, high, score) in enumerate(found, start=1)
    ]


def read_stretches(text: str, *, start: float, end: float) -> Stretches:
    """The windows of a reply about the part of a video from `start` to `end` seconds, as `read_windows` reads them.

    Times count from the start of the video; a part of the duration ("8%") is one of the part. Raises NoWindows as
    `read_windows` does.
    """
    said = plain_answer(text)
    if says_nowhere(said):
        return Stretches([])
    for form in (_lists, _fields, _ranges, _pairs):
        found = list(form(said, end - start))
        if found:
            return _tidy(found, start, end)
    raise NoWindows(f"no window in {_short(text)}")


def says_nowhere(said: str) -> bool:
    """Whether a plain answer is one of the ways to say "nowhere"."""
    return _NOWHERE.fullmatch(said.strip(" \n\t.\"'")) is not None


def plain_answer(text: str) -> str:
    """The reply without the thoughts before it, tags and fences around it."""
    text = _UNFINISHED.sub("", _THOUGHT.sub("", text))
    inside = _ANSWER.search(text)
    return _END_MARK.sub("", _FENCE.sub(" ", inside[1] if inside else text).replace("*", "")).strip()


def _short(text: str) -> str:
    said = " ".join(text.split())
    return repr(said if len(said) <= 80 else said[:77] + "...") if said else "an empty reply"


def _lists(text: str, duration: float) -> Iterator[_Window]:
    """Innermost brackets that hold two times, or two and a score, and nothing else."""
    for match in _INNERMOST.finditer(text):
        times = _times_only(match[1])
        if times is not None and len(times) in (2, 3):
            start, end = _both(times[0], times[1], duration)
            yield start, end, _score(times[2]) if len(times) == 3 else None


def _score(said: str) -> float | None:
    """0.9 of "0.9" and of "90%"; None for what is no plain number."""
    number = said.strip().removesuffix("%").strip()
    if not re.fullmatch(_NUMBER, number):
        return None
    return float(number) / 100 if "%" in said else float(number)


def _times_only(text: str) -> list[str] | None:
    """The times in a text that has nothing but times and what may stand between them; None for any other."""
    found: list[str] = []
    place = 0
    while place < len(text):
        gap = _BETWEEN_TIMES.match(text, place)
        here = place if gap is None else gap.end()
        if here == len(text):
            break
        # A hyphen without a blank after it is a sign only where no time stands before: [-5, 10], but [12-20].
        token = _TOKEN.match(text, place if not found else here) or _TOKEN.match(text, here)
        if token is None or (found and token.start() == place):
            return None
        found.append(token[0].replace(" ", "", 1) if token[0].startswith("-") else token[0])
        place = token.end()
    return found


def _fields(text: str, duration: float) -> Iterator[_Window]:
    for match in _FIELDS.finditer(text):
        start, end = _both(match["start"], match["end"], duration)
        yield start, end, None if match["score"] is None else float(match["score"])


def _ranges(text: str, duration: float) -> Iterator[_Window]:
    # "From 12 seconds (0:12) to 20 seconds (0:20)" says everything twice.
    found = _ranges_in(text) or _ranges_in(_ASIDE.sub(" ", text))
    timed = [match for match in found if _written_as_time(match["start"]) or _written_as_time(match["end"])]
    for match in timed or (match for match in found if _ENDED.match(match.string, match.end())):
        yield *_both(match["start"], match["end"], duration), None


def _ranges_in(text: str) -> list[re.Match[str]]:
    """Two times with a word or a mark between them; with "and" only after "between", as "12 s and 20 s" are two."""
    matches = _RANGES.finditer(text)
    return [
        m for m in matches if m["to"].lower() != "and" or _BEFORE_AND.search(text, max(0, m.start() - 40), m.start())
    ]


def _written_as_time(time: str) -> bool:
    return re.fullmatch(_NUMBER, time.strip()) is None


def _pairs(text: str, duration: float) -> Iterator[_Window]:
    lines = [line for line in text.splitlines() if line.strip()]
    matches = [_PAIR.fullmatch(line) for line in lines]
    for match in matches if all(matches) else ():
        if match is not None:
            yield *_both(match["start"], match["end"], duration), None


def _both(start: str, end: str, duration: float) -> tuple[float, float]:
    """Two times in seconds; a first one without a unit has that of the second."""
    unit = re.search(rf"(?:%|{_HOURS}|{_MINUTES})\s*$", end, re.IGNORECASE)
    if unit and re.fullmatch(_NUMBER, start.strip()):
        start = start.strip() + unit[0]
    return _seconds(start, duration), _seconds(end, duration)


def _seconds(time: str, duration: float) -> float:
    """Seconds of "12", "-5", "0:12", "1:02:03.5", "1 min 20 s", "8%"."""
    time = time.strip().lower()
    if time.startswith("-"):
        return -_seconds(time[1:], duration)
    if ":" in time:
        parts = [float(part.replace(",", ".")) for part in time.split(":")]
        return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))
    if time.endswith("%"):
        return float(time[:-1]) / 100 * duration
    total = 0.0
    for number, unit in re.findall(rf"({_NUMBER})\s?([hm]?)", time):
        total += float(number) * {"h": 3600.0, "m": 60.0, "": 1.0}[unit]
    return total


def _tidy(found: list[_Window], first: float, last: float) -> Stretches:
    """Windows the right way round, inside the part that was shown, each once."""
    kept: dict[tuple[float, float], float | None] = {}
    turned = cut = left_out = 0
    for start, end, score in found:
        low, high = max(first, min(start, end)), min(last, max(start, end))
        if low < high:
            turned += start > end
            cut += (low, high) != (min(start, end), max(start, end))
            kept.setdefault((low, high), score)
        else:
            left_out += 1
    if not kept:
        where = f"the {last:g} s of the video" if first == 0 else f"the part from {first:g} to {last:g} s"
        raise NoWindows(f"no window inside {where}")
    told = {"turned round": turned, "cut at the ends": cut, "left out": left_out}
    mended = tuple(f"{count} {what}" for what, count in told.items() if count)
    return Stretches([(low, high, score) for (low, high), score in kept.items()], mended)

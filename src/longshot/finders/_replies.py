"""What a chat model answers to the questions of the finder `asking`: runs of lines, yes or no, how sure it is.

    read_runs("[[#12, #15, 0.9], [#20]]", first=1, last=40)     -> 12 to 15, sure 0.9; 20 to 20
    read_runs("Lines 12-15 and line 20.", first=1, last=40)     -> 12 to 15; 20 to 20
    read_runs("[]", first=1, last=40)                           -> nothing: no line fits
    read_yes("**No**, it does not.")                            -> False

Runs are looked for in brackets, then in fields, then as ranges, then as marked or bare numbers; the first form that is
found counts. A number that no line has is left out; when none is left the reply cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from longshot.asking import Unreadable
from longshot.metrics.moments import plain_answer, says_nowhere


class Run(NamedTuple):
    """The lines `first` to `last`, both included, and how sure the model is, as it said; None for not said."""

    first: int
    last: int
    sure: float | None


class Runs(NamedTuple):
    """What a reply names. mended: how it was put right, in words."""

    found: tuple[Run, ...]
    mended: tuple[str, ...] = ()


_NUMBER = r"\d{1,7}"
_MARK = r"(?:\b(?:lines?|numbers?|nos?\.|from|ids?)\s*|#|\bL(?=\d))*"
_BRACKET = re.compile(r"[\[(]([^\[\](){}]{1,400})[\])]")
_TO = r"\s*(?:-{1,2}>?|–|—|−|→|~|\.\.\.?|to|through|until)\s*"
_ITEM = re.compile(
    rf"(?:{_MARK})(?P<number>{_NUMBER})(?:{_TO}(?:{_MARK})(?P<last>{_NUMBER}))?(?![\d.:%])", re.IGNORECASE
)
_SURE = re.compile(r"(?P<score>\d{0,3}\.\d{1,9}|[01]\.?|\d{1,3}\s?%)")
_BETWEEN = re.compile(r"[\s\"',;]+")
_FIELD = re.compile(
    rf"\b(?:first|start|from|begin)\w*\W{{1,5}}(?P<first>{_NUMBER})\b[^\d\[\]{{}}]{{1,30}}?"
    rf"\b(?:last|end|to)\w*\W{{1,5}}(?P<last>{_NUMBER})\b(?![.:]\d)"
    rf"(?:[^\d\[\]{{}}]{{1,20}}?\b(?:sure|score|confidence|probability)\W{{1,5}}(?P<score>\d?\.?\d{{1,9}}))?",
    re.IGNORECASE,
)
_RANGE = re.compile(
    rf"(?<![\d.:%-])(?:{_MARK})(?P<first>{_NUMBER}){_TO}(?:{_MARK})(?P<last>{_NUMBER})(?![\d:%]|\.\d)", re.IGNORECASE
)
_MARKED = re.compile(rf"(?:#|\blines?\s+#?|\bL(?=\d))(?P<first>{_NUMBER})(?![\d:%]|\.\d)", re.IGNORECASE)
_BARE = re.compile(rf"{_NUMBER}(?:[\s,;]+(?:and\s+)?{_NUMBER})*\.?")
_YES = re.compile(r"\W*(?:answer\s*(?:is)?\W{1,4})?(?P<word>yes|yeah|true|no|not|false)\b", re.IGNORECASE)


def read_runs(text: str, *, first: int, last: int) -> Runs:
    """The runs of lines that a reply names, each once, in its order; lines go from `first` to `last`.

    Raises Unreadable for a reply that names none of them and does not say "[]".
    """
    said = plain_answer(text)
    if says_nowhere(said):
        return Runs(())
    for form in (_brackets, _fields, _ranges, _singles):
        found = list(form(said))
        if found:
            return _known(found, first, last)
    raise Unreadable("it names no line by its number, and is not []")


def read_yes(text: str) -> bool:
    """Whether a reply begins with yes or with no. Raises Unreadable."""
    found = _YES.match(plain_answer(text))
    if found is None:
        raise Unreadable("it begins neither with yes nor with no")
    return found["word"].lower() in ("yes", "yeah", "true")


def shares(said: Sequence[float | None]) -> list[float | None]:
    """How sure a reply is, as shares of one: counted to 1, to 10 or to 100 by the largest number in it.

    0.9 and 0.5 stay; 9 and 5 become 0.9 and 0.5, and so do 90 and 50. Numbers above 100 say nothing.
    """
    largest = max((one for one in said if one is not None), default=0.0)
    scale = next((top for top in (1.0, 10.0, 100.0) if largest <= top), None)
    return [None if one is None or scale is None else one / scale for one in said]


def _brackets(text: str) -> Iterator[Run]:
    for match in _BRACKET.finditer(text):
        yield from _inside(match[1])


def _inside(text: str) -> Iterator[Run]:
    """The runs of one bracket: "12, 15", "12-15", "12", "12, 15, 0.9", "12, 13, 14, 20"; none for anything else."""
    numbers: list[Run] = []
    sure: float | None = None
    place = 0
    while place < len(text):
        if gap := _BETWEEN.match(text, place):
            place = gap.end()
            continue
        item = _ITEM.match(text, place)
        told = _SURE.match(text, place) if numbers else None
        if told and (item is None or told.end() > item.end()):
            sure = _share(told["score"])
            place = told.end()
        elif item:
            low = int(item["number"])
            numbers.append(Run(low, int(item["last"] or low), None))
            place = item.end()
        else:
            return
    plain = all(one.first == one.last for one in numbers)
    if len(numbers) == 3 and plain and sure is None and numbers[2].first in (0, 1):
        # [12, 15, 1]: the third is how sure it is, not a line.
        sure, numbers = float(numbers[2].first), numbers[:2]
    if len(numbers) == 2 and plain:
        yield Run(numbers[0].first, numbers[1].first, sure)
    else:
        yield from (one._replace(sure=sure) for one in _joined(numbers))


def _joined(numbers: Sequence[Run]) -> list[Run]:
    """Single lines that follow each other as one run."""
    joined: list[Run] = []
    for one in numbers:
        if joined and one.first == joined[-1].last + 1 and one.first == one.last:
            joined[-1] = Run(joined[-1].first, one.last, None)
        else:
            joined.append(one)
    return joined


def _share(said: str) -> float:
    number = float(said.rstrip("% "))
    return number / 100 if said.endswith("%") else number


def _fields(text: str) -> Iterator[Run]:
    for match in _FIELD.finditer(text):
        yield Run(int(match["first"]), int(match["last"]), float(match["score"]) if match["score"] else None)


def _ranges(text: str) -> Iterator[Run]:
    covered = []
    for match in _RANGE.finditer(text):
        covered.append(match.span())
        yield Run(int(match["first"]), int(match["last"]), None)
    for match in _MARKED.finditer(text) if covered else ():
        if not any(low <= match.start() < high for low, high in covered):
            yield Run(int(match["first"]), int(match["first"]), None)


def _singles(text: str) -> Iterator[Run]:
    numbers = [int(match["first"]) for match in _MARKED.finditer(text)]
    if not numbers and _BARE.fullmatch(text.strip()):
        numbers = [int(number) for number in re.findall(_NUMBER, text)]
    yield from _joined([Run(number, number, None) for number in numbers])


def _known(found: Sequence[Run], first: int, last: int) -> Runs:
    kept: dict[tuple[int, int], float | None] = {}
    turned = left_out = 0
    for one, sure in zip(found, shares([run.sure for run in found]), strict=True):
        low, high = min(one.first, one.last), max(one.first, one.last)
        if first <= low and high <= last:
            turned += one.first > one.last
            kept.setdefault((low, high), sure)
        else:
            left_out += 1
    if not kept:
        raise Unreadable(f"it names lines that there are not: they go from #{first} to #{last}")
    told = {"turned round": turned, "with lines that there are not left out": left_out}
    return Runs(
        tuple(Run(low, high, sure) for (low, high), sure in kept.items()),
        tuple(f"{count} {what}" for what, count in told.items() if count),
    )

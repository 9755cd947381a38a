"""Which option of a multiple choice a reply names: a written grammar, and Tarsier's rule.

    read_choice("The answer is (B).", ["a red car", "a dog"])      -> 1
    read_choice("It shows a dog.", ["a red car", "a dog"])         -> 1
    read_choice("A or B", ["a red car", "a dog"])                  -> None

What is read is the reply after its thoughts (`</think>`), inside its answer tag or box if it has one, without Markdown
marks. Of these forms the first that is there decides; when it names no option, or two, nothing is read:

    text        the whole reply is the text of one option
    letter      the reply begins with a letter: "B", "(b)", "B.", "B: a dog", "B because ..."
    announced   "answer: B", "the answer is (B)", "option B", "choose B", "B is correct"; after "final answer" only that
    bracketed   "(B)" or "[B]" anywhere
    alone       one capital letter as a word: "It is B."; A and I only at the end of the reply
    contained   the text of one option, as whole words, with no "not" before it

Where a letter stands, so may the number of an option, counted from 1, unless options are numbers themselves. A letter
with the text of another option after it names two. "A" and "I" are words too: "A man runs" is option A only if that is
what option A says.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

LETTERS = string.ascii_uppercase
"""The letters of options, in order."""

_THOUGHT = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_UNFINISHED = re.compile(r"<think(?:ing)?>.*$", re.DOTALL | re.IGNORECASE)
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\text\s*\{)?([^{}]*)\}+")
_MARKUP = re.compile(r"[*`$]|</?\w+>")
_OPEN, _CLOSE = "([{\"'“‘<", ")]}\"'”’>"
# One option's name: a letter or a number of at most two digits, perhaps in brackets, not the start of a longer word.
_NAME = (
    r"(?P<open>[(\[{\"'“‘<]\s*)?(?P<name>[A-Za-z]|\d{1,2})"
    r"(?P<close>\s*[)\]}\"'”’>](?:[.:,])?|(?:[.:,;!?](?=\s|$|[\"')\]])|\s*(?:$|\n)|\s+[-–—]+(?=\s)|(?=[\s/])))"
)
_LEADING = re.compile(rf"\s*(?:(?:option|choice)\s+)?{_NAME}", re.IGNORECASE)
_FINAL = re.compile(r"\bfinal\s+(?:answer|choice)\b", re.IGNORECASE)
_ANNOUNCED = re.compile(
    r"\b(?:(?:answer|option|choice)(?:\s+(?:is|was|would\s+be|should\s+be|must\s+be|to\s+be))?\s*[:=]?"
    r"|(?:choose|select|pick|chose|selected|picked)(?:\s+(?:option|choice|answer))?\s*:?)"
    rf"\s*(?:(?:option|choice|letter)\s+)?{_NAME}",
    re.IGNORECASE,
)
_CONFIRMED = re.compile(
    r"(?<![\w'])(?P<open>[(\[]?)(?P<name>[A-Z])(?P<close>[)\]]?)\s+(?:is|seems|appears|would\s+be)\s+"
    r"(?:to\s+be\s+)?(?:the\s+)?(?:most\s+)?(?:best|right|correct|true|accurate|answer)\b"
)
_BRACKETED = re.compile(r"[(\[]\s*(?P<name>[A-Za-z])\s*[)\]]")
_ALONE = re.compile(r"(?<![\w'’.-])(?P<name>[A-Z])(?=[\s.,;:!?)]|$)(?!['’]|\.\w)")
_BOTH = re.compile(r"(?<![\w'’.-])[A-Z](?:\s*[,/&]\s*|\s+(?:and|or)\s+)[A-Z](?![\w'’-])")
_JOINED = re.compile(
    rf"\s*(?:[,/&+]|\b(?:and|or)\b)\s*(?:or\s+|and\s+)?(?:(?:option|choice)\s+)?{_NAME}", re.IGNORECASE
)
_DENIED = re.compile(r"(?:\b(?:not|no|never|neither|nor|without|cannot|than)|n['’]t)(?:\s+\w+){0,2}\s*$", re.IGNORECASE)
_LABEL = r"(?<!\w){}\s?[)\].:]+\s?{}(?!\w)"
_LONGEST = 20000  # letters of a reply that are looked at


def read_choice(text: str, options: Sequence[str]) -> int | None:
    """The option that a reply names, from 0; None if it names none, or several. The module says how it is read."""
    said = _plain(text)
    texts = [_folded(option) for option in options]
    if not said or not texts:
        return None
    bare_letter = re.fullmatch(r"[A-Za-z]", _folded(said)) is not None
    if not bare_letter and texts.count(_folded(said)) == 1:
        return texts.index(_folded(said))
    listed = _labelled(said, texts) > 1
    for form in (_announced,) if listed else (_leading, _announced, _bracketed, _alone, _contained):
        named = form(said, texts)
        if named is not None:
            return named.pop() if len(named) == 1 and None not in named else None
    return None


def legacy_choice(text: str, *, zero: bool = False) -> str | None:
    """The letter that Tarsier's scorer reads from a reply, None where it reads none ("invalid").

    Round brackets go, then blanks at both ends; of what is left the first character counts. The digits 1 to 5 become
    B to F, and with `zero` (Tarsier2) 0 becomes A. Any capital letter is valid, so "Answer: C" is A.
    """
    left = text.replace("(", "").replace(")", "").strip()
    if not left:
        return None
    first = left[0]
    if "1" <= first <= "5" or (zero and first == "0"):
        return LETTERS[int(first)]
    return first if first.isupper() and first.isalpha() else None


_Named = set[int | None]


def _plain(text: str) -> str:
    """The reply without thoughts, tags, boxes and Markdown marks."""
    text = _UNFINISHED.sub("", _THOUGHT.sub("", text)[-_LONGEST:])
    for wrapped in (_ANSWER, _BOXED):
        inside = wrapped.findall(text)
        if inside:
            text = inside[-1]
    return _MARKUP.sub("", text).strip()


def _folded(text: str) -> str:
    """A text as it is compared: case, blanks and marks at its ends do not count."""
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'()[]{}“”‘’")


def _place(name: str, texts: Sequence[str]) -> int | None:
    """The option that a letter or a number names; None if there is none."""
    place = int(name) - 1 if name.isdecimal() else LETTERS.find(name.upper())
    return place if 0 <= place < len(texts) else None


def _named(match: re.Match[str], said: str, texts: Sequence[str]) -> _Named | None:
    """The options that a name, and those joined to it by "or", "and", stand for; None if it is no name after all."""
    chain = [match]
    while len(chain) < len(LETTERS) and (joined := _joined(chain[-1], said)) is not None:
        chain.append(joined)
    while chain:
        last = _single(chain.pop(), said, texts)
        if last is not None:
            return last | {_place(one["name"], texts) for one in chain}
    return None


def _joined(match: re.Match[str], said: str) -> re.Match[str] | None:
    """The name that is joined to this one."""
    joined = _JOINED.match(said, match.end("name") + len(match["close"].rstrip(" ,")))
    return joined if joined and (joined["name"].isupper() or joined["open"] or match["open"]) else None


def _single(match: re.Match[str], said: str, texts: Sequence[str]) -> _Named | None:
    """The option that a name stands for, and the one whose text follows it; None if it is no name after all."""
    name = match["name"]
    if name.isdecimal() and any(text[:1].isdecimal() for text in texts):
        return None
    place = _place(name, texts)
    rest = said[match.end() :]
    bare = not match["open"] and not match["close"].strip() and bool(rest.strip()) and not match["close"].endswith("\n")
    told = _option_at(rest, texts)
    if bare and (name in "AI" or not name.isupper()) and (place is None or told != place):
        # A word of the sentence: "A man runs", "I think", "3 men".
        return None
    return {place} if told is None or place is None else {place, told}


def _option_at(rest: str, texts: Sequence[str]) -> int | None:
    """The option whose text comes next, up to the end of the line or of the reply."""
    here = _folded(rest.split("\n")[0].lstrip(" -–—:.)]"))
    whole = _folded(rest)
    found = [place for place, text in enumerate(texts) if text and text in (here, whole)]
    return found[0] if len(found) == 1 else None


def _labelled(said: str, texts: Sequence[str]) -> int:
    """How many options stand in the reply with their letter and their text: more than one when it repeats them all."""
    folded = " ".join(said.casefold().split())
    labels = zip(LETTERS.lower(), texts, strict=False)
    return sum(
        bool(text) and re.search(_LABEL.format(letter, re.escape(text)), folded) is not None for letter, text in labels
    )


def _denied(said: str, match: re.Match[str]) -> bool:
    """Whether a "not" stands shortly before."""
    return _DENIED.search(said[max(0, match.start() - 60) : match.start()]) is not None


def _leading(said: str, texts: Sequence[str]) -> _Named | None:
    match = _LEADING.match(said)
    return None if match is None else _named(match, said, texts)


def _announced(said: str, texts: Sequence[str]) -> _Named | None:
    final = list(_FINAL.finditer(said))
    start = final[-1].start() if final else 0
    found: _Named = set()
    for match in _ANNOUNCED.finditer(said, start):
        if not _denied(said, match):
            found |= _named(match, said, texts) or set()
    for match in _CONFIRMED.finditer(said, start):
        found.add(_place(match["name"], texts))
    return found or None


def _bracketed(said: str, texts: Sequence[str]) -> _Named | None:
    matches = (match for match in _BRACKETED.finditer(said) if not _denied(said, match))
    return {_place(match["name"], texts) for match in matches} or None


def _alone(said: str, texts: Sequence[str]) -> _Named | None:
    found: _Named = set()
    pairs = [match.span() for match in _BOTH.finditer(said)]
    for match in _ALONE.finditer(said):
        at_end = not said[match.end() :].strip(" .!)")
        joined = any(start <= match.start() < end for start, end in pairs)
        if (match["name"] not in "AI" or at_end or joined) and not _denied(said, match):
            found.add(_place(match["name"], texts))
    return found or None


def _contained(said: str, texts: Sequence[str]) -> _Named | None:
    """Options whose text stands in the reply, but not within that of a longer one, nor after a "not"."""
    left = " ".join(said.casefold().split())
    found: _Named = set()
    for text in sorted(set(filter(None, texts)), key=len, reverse=True):
        pattern = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
        matches = list(pattern.finditer(left))
        if any(not _denied(left, match) for match in matches):
            found.update(place for place, other in enumerate(texts) if other == text)
        left = pattern.sub(lambda match: "\n" * len(match[0]), left)
    return found or None

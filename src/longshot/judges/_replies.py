"""Values out of what a judge writes: JSON, or nearly JSON, with words around it.

    Sure! Here it is: {'events': ['The dog's tail wags.', 'A man runs.',]}      # two events

Judges are asked for JSON and mostly give it. Some write a Python dict (single quotes, True), leave a comma at the end,
forget the last brace, think aloud first, or explain themselves. All of that is read here by a small parser that runs
nothing. A list that is not closed is not read: items may be missing from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from longshot.asking import Unreadable

Made = TypeVar("Made")

MOST_CHARS = 200_000
_MOST_STARTS = 24
_DEEPEST = 12
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_WORD = re.compile(r"[A-Za-z]+")
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?")
_SPACE = re.compile(r"\s*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_HEX = re.compile(r"u([0-9a-fA-F]{4})")
_END = re.compile(r"[`\s]*\Z")
_LABEL_KEYS = ("label", "relationship", "relation", "entailment", "verdict", "judgement", "judgment")


def read_value(reply: str, shape: Callable[[Any], Made]) -> Made:
    """What `shape` makes of the first value in a reply that it can use.

    Raises Unreadable with what is wrong with the first value there is, or that there is none.
    """
    first: Unreadable | None = None
    for value in _values_in(reply):
        try:
            return shape(value)
        except Unreadable as error:
            first = first or error
    raise first or Unreadable("there is no JSON in it that can be read to its end")


def texts_of(value: Any, what: str) -> list[str]:
    """A list of short texts: bare, under any one key of a dict, or each in a dict of its own.

    what: of what the list is, for the complaint. A text that is there already, letter case aside, is left out, so that
    repeating itself gains a caption nothing; so are empty ones. Raises Unreadable.
    """
    rows = _list_of(value, what)
    texts = [_text_of(row, what) for row in rows]
    unique = {text.casefold(): text for text in reversed([" ".join(text.split()) for text in texts]) if text}
    return list(reversed(unique.values()))


def labels_of(value: Any, count: int, labels: tuple[str, ...]) -> list[tuple[str, str]]:
    """A label and a reason for each of `count` items, in their order.

    Each is a dict with the label under any key, or the bare label. Where every dict has a number ("item", "index",
    "number", "id") and these are 1 to count, or 0 to count - 1, each once, they say the order. Raises Unreadable for
    another number of items or another label.
    """
    alone = (
        count == 1 and isinstance(value, Mapping) and not any(isinstance(one, list | dict) for one in value.values())
    )
    rows = [value] if alone else _list_of(value, "labels")
    if len(rows) != count:
        raise Unreadable(f"it has {len(rows)} labels for {count} statements; give one for each, in their order")
    return [_label_of(row, labels) for row in _in_order(rows)]


def _list_of(value: Any, what: str) -> list[Any]:
    if isinstance(value, Mapping):
        lists = [one for one in value.values() if isinstance(one, list)]
        if not lists and value and all(re.fullmatch(r"\D*\d+", str(key)) for key in value):
            return list(value.values())  # {"1": …, "2": …}
        if len(lists) != 1:
            raise Unreadable(f"the {what} must be one list, and it has {len(lists)}")
        value = lists[0]
    if not isinstance(value, list):
        raise Unreadable(f"the {what} must be a list")
    return value


def _text_of(row: Any, what: str) -> str:
    if isinstance(row, Mapping):
        texts = [one for one in row.values() if isinstance(one, str)]
        row = texts[0] if len(texts) == 1 else None
    if not isinstance(row, str):
        raise Unreadable(f"each of the {what} must be a text")
    return row


def _label_of(row: Any, labels: tuple[str, ...]) -> tuple[str, str]:
    if isinstance(row, str):
        found, reason = [row], ""
    elif isinstance(row, Mapping):
        said = {str(key).casefold(): one for key, one in row.items() if isinstance(one, str) and _plain(one) in labels}
        found = [said[key] for key in _LABEL_KEYS if key in said][:1] or list(said.values())
        reason = next((one for key, one in row.items() if "reason" in str(key).casefold() and isinstance(one, str)), "")
    else:
        found, reason = [], ""
    known = {_plain(one) for one in found} & set(labels)
    if len(known) != 1:
        raise Unreadable(f"each label must be one of {', '.join(labels)}")
    return known.pop(), " ".join(reason.split())


def _plain(word: str) -> str:
    return word.strip().strip(".*\"'").casefold()


def _in_order(rows: list[Any]) -> list[Any]:
    for name in ("item", "index", "number", "id"):
        numbers = [_whole(row.get(name)) if isinstance(row, Mapping) else None for row in rows]
        known = [number for number in numbers if number is not None]
        if len(known) == len(rows) and sorted(known) in (list(range(len(rows))), list(range(1, len(rows) + 1))):
            return [row for _, row in sorted(zip(known, rows, strict=True), key=lambda pair: pair[0])]
    return rows


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _values_in(reply: str) -> Iterator[Any]:
    """Every dict and list that begins somewhere in a reply and is not inside of one that was given.

    Raises Unreadable where one is cut off: what is inside of it could be taken for all of it.
    """
    text = reply.rsplit("</think>", 1)[-1]
    if len(text) > MOST_CHARS:
        raise Unreadable(f"it is {len(text)} characters long, which no answer to this is")
    at = 0
    for _ in range(_MOST_STARTS):
        start = next((place for place in range(at, len(text)) if text[place] in "{["), -1)
        if start < 0:
            return
        try:
            read = _parsed(text, start)
        except _Cut:
            raise Unreadable("its JSON is cut off") from None
        if read is None:
            at = start + 1
        else:
            yield read.value
            at = read.end


class _Read(NamedTuple):
    value: Any
    end: int


class _Torn(ValueError):
    """Text that is no value."""


class _Cut(_Torn):
    """A value whose end is missing: what stands in it is not all."""


def _parsed(text: str, start: int) -> _Read | None:
    try:
        return _Read(*json.JSONDecoder().raw_decode(text, start))
    except (ValueError, RecursionError):
        pass
    try:
        return _value(text, start, 0)
    except _Cut:
        raise
    except _Torn:
        return None


def _value(text: str, at: int, depth: int) -> _Read:
    """The value that begins at `at`, whitespace aside."""
    at = _after_space(text, at)
    mark = text[at : at + 1]
    if mark in "{[" and mark and depth < _DEEPEST:
        return (_dict if mark == "{" else _list)(text, at + 1, depth + 1)
    if mark in "\"'" and mark:
        return _string(text, at)
    if match := _NUMBER.match(text, at):
        return _Read(float(match[0]) if match[1] else int(match[0]), match.end())
    word = _WORD.match(text, at)
    if word and word[0].casefold() in _WORDS:
        return _Read(_WORDS[word[0].casefold()], word.end())
    raise _Torn if text[at:] else _Cut


def _list(text: str, at: int, depth: int) -> _Read:
    found: list[Any] = []
    while True:
        at = _after_space(text, at)
        if text[at : at + 1] == "]":
            return _Read(found, at + 1)
        value, at = _value(text, at, depth)
        found.append(value)
        at = _after_space(text, at)
        if text[at : at + 1] == ",":
            at += 1
        elif text[at : at + 1] != "]":
            raise _Cut if _ended(text, at) else _Torn


def _dict(text: str, at: int, depth: int) -> _Read:
    found: dict[str, Any] = {}
    while True:
        at = _after_space(text, at)
        if text[at : at + 1] == "}":
            return _Read(found, at + 1)
        if found and _ended(text, at):  # the last brace was forgotten
            return _Read(found, at)
        key, at = _value(text, at, depth)
        at = _after_space(text, at)
        if text[at : at + 1] != ":" or isinstance(key, dict | list):
            raise _Cut if _ended(text, at) else _Torn
        found[str(key)], at = _value(text, at + 1, depth)
        at = _after_space(text, at)
        if text[at : at + 1] == ",":
            at += 1
        elif text[at : at + 1] != "}" and not _ended(text, at):
            raise _Torn


def _ended(text: str, at: int) -> bool:
    return _END.match(text, at) is not None


def _string(text: str, at: int) -> _Read:
    """A string; a quote inside of it that nothing of JSON follows is part of it, as in 'the dog's tail'."""
    quote, parts = text[at], []
    at += 1
    while at < len(text):
        mark = text[at]
        if mark == "\\" and at + 1 < len(text):
            if code := _HEX.match(text, at + 1):
                parts.append(chr(int(code[1], 16)))
                at = code.end()
            else:
                parts.append(_ESCAPES.get(text[at + 1], text[at + 1]))
                at += 2
            continue
        if mark == quote and text[(after := _after_space(text, at + 1)) : after + 1] in ("", *",]}:`"):
            return _Read("".join(parts), at + 1)
        parts.append(mark)
        at += 1
    raise _Cut


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at

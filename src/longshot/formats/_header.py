"""A track's header and captions as JSON objects: the one spelling that jsonl, vtt and ffmetadata share."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from longshot.errors import FormatError, UsageError
from longshot.timeline import Caption, Source, Span, Track

VERSION = 1

_HEADER_KEYS = {"longshot", "video", "level", "name", "duration", "captions", "source"}
_SOURCE_KEYS = {"verb", "model", "revision", "settings", "note"}
_CAPTION_KEYS = {"id", "start", "end", "text", "score", "details"}


def header_of(track: Track) -> dict[str, Any]:
    """Everything of a track but its captions, of which the number is kept so that a lost end shows."""
    source = track.source
    return {
        "longshot": VERSION,
        "video": track.video,
        "level": track.level,
        "name": track.name,
        "duration": track.duration,
        "captions": len(track),
        "source": {
            "verb": source.verb,
            "model": source.model,
            "revision": source.revision,
            "settings": source.settings,
            "note": source.note,
        },
    }


def caption_object(track: Track, index: int) -> dict[str, Any]:
    """One caption with its id; score and details only when there are any."""
    caption = track.captions[index]
    row: dict[str, Any] = {
        "id": track.id_of(index),
        "start": float(caption.span.start),
        "end": float(caption.span.end),
        "text": caption.text,
    }
    if caption.score is not None:
        row["score"] = caption.score
    if caption.details:
        row["details"] = caption.details
    return row


def dump(value: object) -> str:
    """One line of JSON that keeps every float and every string exactly.

    Raises UsageError for what JSON has no word for (NaN, a set, bytes).
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"captions and settings hold plain JSON values only: {error}") from error
    # Half characters (from file names that are no UTF-8) cannot be encoded; JSON can spell them.
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):  # numpy numbers and arrays, without importing numpy
        return value.tolist()
    raise TypeError(f"got {type(value).__name__}")


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object. Raises FormatError that says what is wrong (without the line: the caller knows it)."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"no JSON object ({str(error) or 'nested too deeply'})") from error
    if not isinstance(value, dict):
        raise FormatError(f"no JSON object but {type(value).__name__}")
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


def track_of(header: Mapping[str, Any], captions: Iterable[Caption]) -> Track:
    """A track from its header object. Raises FormatError for a header of another version or shape."""
    check_version(header)
    check_keys(header, _HEADER_KEYS, "video", "level")
    source = _field(header, "source", dict, {})
    check_keys(source, _SOURCE_KEYS)
    maker = Source(
        _field(source, "verb", str, ""),
        _field(source, "model", str, ""),
        _field(source, "revision", str, ""),
        _field(source, "settings", dict, {}),
        _field(source, "note", str, ""),
    )
    duration = None if header.get("duration") is None else _seconds(header, "duration")
    level, name = _field(header, "level", str, ""), _field(header, "name", str, "")
    return Track(_field(header, "video", str, ""), level, maker, tuple(captions), name, duration)


def check_version(header: Mapping[str, Any]) -> None:
    """Raises FormatError when the header is none of ours, or of a later version."""
    version = header.get("longshot")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise FormatError(f'not a longshot header: "longshot" is {version!r}, {VERSION} was meant')
    if version > VERSION:
        raise FormatError(f"written by a newer longshot (format {version}, this one reads {VERSION}): upgrade longshot")


def check_keys(row: Mapping[str, Any], known: set[str], *needed: str) -> None:
    """Raises FormatError for a missing or unknown key; an unknown one would be lost at the next write."""
    for key in needed:
        if key not in row:
            raise FormatError(f"{key!r} is missing")
    for key in row:
        if key not in known:
            raise FormatError(f"unknown key {key[:40]!r}; own values go under 'details' or 'settings'")


def caption_of(row: Mapping[str, Any]) -> Caption:
    """A caption from its object. Raises FormatError that names the key."""
    check_keys(row, _CAPTION_KEYS, "start", "end", "text")
    try:
        span = Span(_seconds(row, "start"), _seconds(row, "end"))
    except UsageError as error:
        raise FormatError(str(error)) from error
    score = None if row.get("score") is None else _seconds(row, "score")
    return Caption(span, _field(row, "text", str, ""), score, _field(row, "details", dict, {}))


def _field(row: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = row.get(key, default)
    if not isinstance(value, kind):
        raise FormatError(f"{key!r} is {value!r:.60}, {kind.__name__} was meant")
    return value


def _seconds(row: Mapping[str, Any], key: str) -> float:
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FormatError(f"{key!r} is {value!r:.60}, a number was meant")
    try:
        return float(value)
    except OverflowError as error:
        raise FormatError(f"{key!r} is too large for a number of seconds") from error

"""Bytes of unknown encoding to text: byte order marks, UTF-16 without one, UTF-8, and the old national encodings."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from longshot.errors import FormatError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like UTF-16's mark, so it is asked first
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\v\x1a\x1b"))
_SAMPLE = 20_000  # characters looked at when encodings are compared


def decode(data: bytes) -> str:
    """The text in `data`, with plain newlines and without byte order mark. Raises FormatError for binary data."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _tidy(data[len(mark) :].decode(encoding, "replace"))
    data = data.rstrip(b"\0\x1a") if not _wide(data) else data
    if wide := _wide(data):
        return _tidy(data.decode(wide, "replace"))
    head = data[:8192]
    if len(head) - len(head.translate(None, _CONTROLS)) > len(head) // 20:
        raise FormatError("not a text file: give subtitles, or a track written by longshot")
    return _tidy(_narrow(data))


def _tidy(text: str) -> str:
    # \r\r\n comes from programs that turned \n into \r\n twice.
    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")
    return text.strip("\0").rstrip("\x1a").removeprefix("\ufeff")


def _wide(data: bytes) -> str:
    """The UTF-16 flavour of data without a mark, or "": ASCII characters leave a zero in every second byte."""
    head = data[:8192]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    enough = len(head) // 10  # even Chinese subtitles are ASCII to a third: their times
    if odd > enough and odd > 8 * even:
        return "utf-16-le"
    return "utf-16-be" if even > enough and even > 8 * odd else ""


def _narrow(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(map(len, re.findall(r"[^\x00-\x7f\ufffd]+", text)))
    # A few torn characters in a file that is otherwise UTF-8 do not make it another encoding.
    return text if good >= 10 * bad else _legacy(data)


def _legacy(data: bytes) -> str:
    best, best_score = "", 0.0
    for encoding, plausible in _CANDIDATES:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        beyond = "".join(re.findall(r"[^\x00-\x7f]+", text[:_SAMPLE]))
        score = plausible(text[:_SAMPLE]) / max(1, len(beyond))
        if score > best_score:
            best, best_score = text, score
    return best if best_score >= 0.5 else data.decode("cp1252", "replace")


def _matching(pattern: str) -> Callable[[str], int]:
    """Counts the non-ASCII characters that `pattern` finds natural."""
    expression = re.compile(pattern)

    def count(text: str) -> int:
        return sum(len(re.findall(r"[^\x00-\x7f]", found)) for found in expression.findall(text))

    return count


def _common(narrow: str, first: int, last: int) -> Callable[[str], int]:
    """Counts the characters whose lead byte in `narrow` lies in the block of everyday characters."""

    def count(text: str) -> int:
        beyond = (character.encode(narrow, "ignore") for character in text if character > "\x7f")
        return sum(
            1 for code in beyond if len(code) > 1 and (first <= code[0] <= last or code[0] in (0x81, 0xA1, 0xA3))
        )

    return count


# In Latin scripts letters beyond ASCII stand alone or in pairs; elsewhere they fill whole words. Capitals inside a
# word are a sign of the wrong table.
_LATIN = r"(?<![^\x00-\x7f])(?:[À-ÖØ-öø-ɏ]{1,2}|[‘’“”„…–—«»°ªº¡¿€£©®™\xa0•])(?![^\x00-\x7f])"
_QUOTES = "|[«»„“”’—–…]"
_CANDIDATES: tuple[tuple[str, Callable[[str], int]], ...] = (
    ("cp1252", _matching(_LATIN)),
    ("cp1250", _matching(_LATIN)),
    ("cp1255", _matching(r"[א-ת]+")),  # asked before the two that accept any run of its bytes
    ("cp1253", _matching(r"[α-ωά-ώ]|(?<![α-ωά-ώ])[Α-ΩΆ-Ώ]" + _QUOTES)),
    ("cp1251", _matching(r"[а-яёіїєґ]|(?<![а-яёіїєґ])[А-ЯЁІЇЄҐ]" + _QUOTES)),
    ("cp932", _common("shift_jis", 0x82, 0x97)),
    ("cp949", _common("euc_kr", 0xB0, 0xC8)),
    ("gb18030", _common("gb2312", 0xB0, 0xD7)),
    ("big5", _common("big5", 0xA4, 0xC6)),
    ("cp1256", _matching(r"[\u0620-\u064a]+|[\u060c\u061b\u061f]")),
)

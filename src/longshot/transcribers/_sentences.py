"""Timed words into captions that read like good subtitles: broken where one pauses, never too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from longshot.timeline import Caption, Span

LONGEST = 7.0  # seconds of one caption
WIDEST = 84  # characters of one caption: two lines of 42
PAUSE = 0.6  # seconds of silence that end a caption
_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")
_CLAUSE_ENDS = (",", ";", ":", "，", "、")
_TITLES = {"mr.", "mrs.", "ms.", "dr.", "st.", "prof.", "vs."}
_CLOSERS = "\"'”’)]»"


@dataclass(frozen=True, slots=True)
class Word:
    """One heard word. text: with its leading space where the language writes one. score: 0..1."""

    text: str
    start: float
    end: float
    score: float


def captions_of(words: Sequence[Word], *, longest: float = LONGEST, widest: int = WIDEST) -> list[Caption]:
    """Captions of at most `longest` seconds and `widest` characters; a single longer word stays whole.

    A caption ends at a pause of 0.6 s and at the end of a sentence; what is still too long is parted where the pause,
    the comma and the balance of both halves together are best. The score is the mean of the words', and
    details["words"] keeps each word with its times.
    """
    captions = []
    begin = 0
    for i, word in enumerate(words):
        last = i + 1 == len(words)
        if last or words[i + 1].start - word.end >= PAUSE or _ends_sentence(word):
            captions += [_caption(part) for part in _parted(words[begin : i + 1], longest, widest)]
            begin = i + 1
    return captions


def _parted(words: Sequence[Word], longest: float, widest: int) -> list[Sequence[Word]]:
    fits = words[-1].end - words[0].start <= longest and len(_text(words)) <= widest
    if fits or len(words) == 1:
        return [words]
    best = max(range(1, len(words)), key=lambda k: _merit(words, k))
    return [*_parted(words[:best], longest, widest), *_parted(words[best:], longest, widest)]


def _merit(words: Sequence[Word], k: int) -> float:
    """How good a break before word `k` is. A pause of 0.3 s or a comma outweighs a somewhat uneven parting."""
    balance = 1 - abs(2 * len(_text(words[:k])) / max(1, len(_text(words))) - 1)
    return balance + (words[k].start - words[k - 1].end) + 0.4 * _ends(words[k - 1], _CLAUSE_ENDS)


def _ends_sentence(word: Word) -> bool:
    return _ends(word, _SENTENCE_ENDS) and word.text.strip().casefold() not in _TITLES


def _ends(word: Word, marks: tuple[str, ...]) -> bool:
    return word.text.rstrip().rstrip(_CLOSERS).endswith(marks)


def _text(words: Sequence[Word]) -> str:
    return "".join(word.text for word in words).strip()


def _caption(words: Sequence[Word]) -> Caption:
    details: dict[str, Any] = {
        "words": [
            {
                "text": word.text.strip(),
                "start": round(word.start, 3),
                "end": round(word.end, 3),
                "score": round(word.score, 3),
            }
            for word in words
        ]
    }
    score = sum(word.score for word in words) / len(words)
    span = Span(words[0].start, max(words[0].start, max(word.end for word in words)))
    return Caption(span, _text(words), round(score, 3), details)

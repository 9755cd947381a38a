"""A caption cut into clauses without a model: English, approximate, and always the same."""

from __future__ import annotations

import re

_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])|\n+")
# Where one event ends and the next begins. A plain "and" joins things as often as events, so it does not divide.
_JOINT = re.compile(
    r"\s*;\s+|,?\s+(?:and\s+then|after\s+which|before|while|until|whereupon)\s+|,\s+(?:and|but|then|so)\s+",
    re.IGNORECASE,
)
_FEWEST_WORDS = 3
_THERE = re.compile(r"\b(?:there (?:is|are|was|were)|(?:has|have|wears?|contains?|features?|consists? of))\b", re.I)
_STATE = re.compile(r"\b(?:is|are|was|were)\s+(?:\w+ly\s+)?(\w+)", re.I)


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, in order; none of an empty one."""
    return [part for part in (" ".join(piece.split()) for piece in _SENTENCE.split(text)) if part]


def clauses_of(text: str) -> list[str]:
    """The clauses of a text, each with at least three words where its sentence has them, each once."""
    found: list[str] = []
    for sentence in sentences_of(text):
        pieces: list[str] = []
        for piece in filter(None, (part.strip(" ,;") for part in _JOINT.split(sentence))):
            if pieces and min(len(piece.split()), len(pieces[-1].split())) < _FEWEST_WORDS:
                pieces[-1] = f"{pieces[-1]}, {piece}"
            else:
                pieces.append(piece)
        found += pieces
    return list({clause.casefold().rstrip("."): clause for clause in reversed(found)}.values())[::-1]


def is_static(clause: str) -> bool:
    """Whether a clause tells how something is rather than what happens: "The car is red", not "The car is turning"."""
    if match := _STATE.search(clause):
        return not match[1].endswith("ing") or _THERE.search(clause) is not None
    return _THERE.search(clause) is not None

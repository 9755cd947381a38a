"""Captions as arrays of numbered words: one pass over the text, every distinct piece between spaces read once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from longshot.metrics._overlap import Integers, Texts
from longshot.metrics._tokens import Reader

_BLOCK = 4096  # captions that are in memory as separate pieces
_END, _NO_WORDS, _UNSETTLED = 0, 1, -1
_WORDS_AND_DIGITS = re.compile("[a-z0-9]+")


@dataclass(frozen=True)
class Readings:
    """The same captions as two metrics count them.

    words: for runs of words. aligned: for the longest common subsequence, where "5 1/2" is one. sentences: word i is
    vocabulary[i] in `aligned`.
    """

    words: Texts
    aligned: Texts
    vocabulary: tuple[str, ...]

    def sentences(self) -> list[str]:
        """Each caption as its words with spaces between them."""
        ids, starts = self.aligned.ids.tolist(), self.aligned.starts.tolist()
        return [" ".join([self.vocabulary[i] for i in ids[a:b]]) for a, b in pairwise(starts)]


class _Words(dict[str, int]):
    """A number for each distinct word, in order of appearance."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


class _Pieces(dict[str, int]):
    """A code for each distinct piece between spaces, and the words that stand behind each code."""

    def __init__(self) -> None:
        super().__init__({"\n": _END, "": _NO_WORDS})
        self.reader = Reader()
        self.words = _Words()
        self.behind: list[Sequence[int]] = [(), ()]

    def __missing__(self, piece: str) -> int:
        words = self.reader.piece(piece) if piece.isprintable() else None
        self[piece] = code = _UNSETTLED if words is None else self.coded(words)
        return code

    def coded(self, words: Iterable[str]) -> int:
        """The code of a new list of words."""
        self.behind.append([self.words[word] for word in words])
        return len(self.behind) - 1


def penn(captions: Sequence[str]) -> Readings:
    """Penn Treebank words, marks left out, as `metrics._tokens` reads each caption."""
    pieces = _Pieces()
    blocks = [_coded(captions[first : first + _BLOCK], pieces) for first in range(0, len(captions), _BLOCK)]
    codes = np.concatenate(blocks) if blocks else np.zeros(0, np.int32)
    sizes, table = _table(pieces.behind)
    taken = sizes[codes]
    ends = np.cumsum(taken)[codes == _END]
    aligned = Texts(_gathered(codes, sizes, table), np.concatenate([[0], ends]).astype(np.int64))
    vocabulary = tuple(pieces.words)
    return Readings(_without_inner_spaces(aligned, vocabulary), aligned, vocabulary)


def _coded(captions: Sequence[str], pieces: _Pieces) -> NDArray[np.int32]:
    """The codes of the pieces of some captions, an _END after each."""
    # A caption with a character that is no plain space nor mark is read by itself: "\0" is never settled.
    lines = [caption if caption.isprintable() else "\0" for caption in captions]
    joined = " \n ".join(lines).split(" ")
    codes = np.fromiter(map(pieces.__getitem__, joined), np.int32, len(joined))
    codes = np.append(codes, np.int32(_END))
    unsettled = np.flatnonzero(codes == _UNSETTLED)
    if len(unsettled):
        ends = np.flatnonzero(codes == _END)
        for place in np.unique(np.searchsorted(ends, unsettled)).tolist():
            first = ends[place - 1] + 1 if place else 0
            codes[first : ends[place]] = _NO_WORDS
            codes[first] = pieces.coded(pieces.reader.words(captions[place]))
    return codes


def _table(behind: Sequence[Sequence[int]]) -> tuple[Integers, Integers]:
    """Lists of numbers as their sizes and one long array."""
    sizes = np.fromiter(map(len, behind), np.int64, len(behind))
    return sizes, np.fromiter((number for numbers in behind for number in numbers), np.int64, int(sizes.sum()))


def _gathered(codes: NDArray[np.integer], sizes: Integers, table: Integers) -> Integers:
    """The numbers behind each code, one after the other."""
    taken = sizes[codes]
    before = np.cumsum(taken) - taken
    offsets = np.cumsum(sizes) - sizes
    return table[np.repeat(offsets[codes] - before, taken) + np.arange(int(taken.sum()))]


def _without_inner_spaces(texts: Texts, vocabulary: Sequence[str]) -> Texts:
    """The same with each word split at the spaces that it holds, as str.split() finds them."""
    parts = [word.split() for word in vocabulary]
    if all(part == [word] for part, word in zip(parts, vocabulary, strict=True)):
        return texts
    words = _Words({word: number for number, word in enumerate(vocabulary)})
    sizes, table = _table([[words[part] for part in parts_of] for parts_of in parts])
    longer = np.concatenate([[0], np.cumsum(sizes[texts.ids])])
    return Texts(_gathered(texts.ids, sizes, table), longer[texts.starts])


def spaced(captions: Sequence[str]) -> Readings:
    """Lower-case words between white space, marks and all."""
    return _split(captions, lambda caption: caption.lower().split())


def alphanumeric(captions: Sequence[str]) -> Readings:
    """Lower-case stretches of a-z and 0-9, as the package rouge_score reads text when it does not stem."""
    return _split(captions, lambda caption: _WORDS_AND_DIGITS.findall(caption.lower()))


def _split(captions: Sequence[str], split: Callable[[str], list[str]]) -> Readings:
    words = _Words()
    found: list[Integers] = []
    starts = np.zeros(len(captions) + 1, np.int64)
    for first in range(0, len(captions), _BLOCK):
        lists = [split(caption) for caption in captions[first : first + _BLOCK]]
        sizes = [len(parts) for parts in lists]
        starts[first + 1 : first + 1 + len(lists)] = sizes
        found.append(np.fromiter((words[word] for parts in lists for word in parts), np.int64, sum(sizes)))
    texts = Texts(np.concatenate(found) if found else np.zeros(0, np.int64), np.cumsum(starts))
    return Readings(texts, texts, tuple(words))

"""Counting shared runs of words between predictions and references, for all rows at once.

Texts are numbers: every distinct word one whole number, every text a stretch of one long array. Of each n, the runs
of n words (n-grams) are sorted once, run and text in one 64-bit key, which gives counts per text, in how many rows a
run occurs, and which runs a prediction shares with each of its references. No hashing: equal keys are equal runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Texts:
    """Texts as words. ids (T,): the words of all texts in a row, from 0. starts (D + 1,): where each text begins."""

    ids: Integers
    starts: Integers

    @property
    def lengths(self) -> Integers:
        """How many words each text has, (D,)."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def part(self, first: int, last: int) -> Texts:
        """The texts from `first` up to `last`."""
        begin = self.starts[first : last + 1]
        return Texts(self.ids[begin[0] : begin[-1]], begin - begin[0])

    @property
    def owners(self) -> Integers:
        """The text that each word is of, (T,)."""
        return np.repeat(np.arange(len(self)), self.lengths)


@dataclass(frozen=True)
class Runs:
    """The runs of n words. One entry for each run of each text, counted; entries of references first in each run.

    text (E,): the text, references from 0, predictions after them. run (E,): a number for the run itself. count (E,).
    """

    text: Integers
    run: Integers
    count: Integers


def runs(texts: Texts, longest: int) -> Iterator[Runs]:
    """The runs of 1 to `longest` words in each text; `longest` is at most 4."""
    size = len(texts.ids)
    owners = texts.owners
    left = texts.starts[1:][owners] - np.arange(size)  # words from here to the end of the text
    pairs = np.zeros(0, np.int64)  # for each place, the number of the two words from there
    for n in range(1, longest + 1):
        places = np.flatnonzero(left >= n)
        # Three words are two and one, four are two and two; both parts were numbered before.
        key = texts.ids if n == 1 else texts.ids[places] if n == 2 else pairs[places]
        if n > 1:
            rest = pairs[places + 2] if n == 4 else texts.ids[places + n - 1]
            key = key * (int(rest.max(initial=0)) + 1) + rest
        if n == 2:
            key, places = _sorted(key, places, size)
            text = owners[places]
            pairs = np.zeros(size, np.int64)
            pairs[places] = np.cumsum(_changes(key)) - 1
        else:
            key, text = _sorted(key, owners[places], len(texts))
        first = np.flatnonzero(_changes(key) | _changes(text))
        yield Runs(text[first], np.cumsum(_changes(key[first])) - 1, np.diff(np.append(first, len(key))))


def _changes(values: Integers) -> NDArray[np.bool_]:
    """Where a value differs from the one before, the first place included."""
    changed = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=changed[1:])
    return changed


def _sorted(key: Integers, tag: Integers, tags: int) -> tuple[Integers, Integers]:
    """Both by key, then by tag, which is below `tags` and ascends already."""
    bits = max(1, int(tags).bit_length())
    if int(key.max(initial=0)) < 1 << (63 - bits):
        both = (key << bits) | tag
        both.sort()  # sorts values, which is several times faster than sorting an order
        return both >> bits, both & ((1 << bits) - 1)
    order = np.argsort(key, kind="stable")
    return key[order], tag[order]


def found_at(needles: Integers, stack: Integers) -> tuple[NDArray[np.bool_], Integers]:
    """Which needles are in the sorted stack, (N,), and where those are, (found,)."""
    if not len(stack):
        return np.zeros(len(needles), bool), np.zeros(0, np.int64)
    at = np.searchsorted(stack, needles)
    at[at == len(stack)] = 0
    there = stack[at] == needles
    return there, at[there]


def common(texts: Texts, others: Texts, pairs: Integers) -> Integers:
    """How many words, in order but with gaps, each text shares with its partner: the longest common subsequence, (D,).

    pairs (D,): for each text, its partner in `others`. Bit-parallel: one bit for each word of the partner, and one step
    for each word of the text, for all texts at once.

    Source: Hyyrö, Bit-parallel LCS-length computation revisited, AWOCA 2004.
    """
    shared = np.zeros(len(texts), np.int64)
    if not len(texts.ids) or not len(others.ids):
        return shared
    width = int(max(texts.ids.max(), others.ids.max())) + 1
    # For each distinct word of each partner, the bits of the places where it stands.
    where = np.arange(len(others.ids)) - others.starts[:-1][others.owners]
    keys = others.owners * width + others.ids
    stack, row = np.unique(keys, return_inverse=True)
    blocks = (others.lengths + 63) // 64
    at = _rows(stack, np.repeat(pairs * width, texts.lengths) + texts.ids)
    for wide in np.unique(blocks[pairs]):
        chosen = np.flatnonzero((blocks[pairs] == wide) & (texts.lengths > 0))
        if not wide or not len(chosen):
            continue
        masks = np.zeros((len(stack) + 1, wide), np.uint64)  # the last row: a word that is not there
        inside = np.flatnonzero(blocks[others.owners] == wide)
        bits = np.uint64(1) << (where[inside] % 64).astype(np.uint64)
        np.bitwise_or.at(masks, (row[inside], where[inside] // 64), bits)
        shared[chosen] = _common(texts.starts[chosen], texts.lengths[chosen], at, masks)
    return shared


def _rows(stack: Integers, keys: Integers) -> NDArray[np.int32]:
    """Where each key is in the sorted stack; one past the end where it is not."""
    there, at = found_at(keys, stack)
    rows = np.full(len(keys), len(stack), np.int32)
    rows[there] = at
    return rows


def _common(starts: Integers, lengths: Integers, at: NDArray[np.int32], masks: NDArray[np.uint64]) -> Integers:
    """The same, for texts whose partners need equally many blocks of 64 bits."""
    order = np.argsort(-lengths, kind="stable")
    begin, shorter = starts[order], -lengths[order]
    state = np.full((masks.shape[1], len(order)), ~np.uint64(0))
    for step in range(-int(shorter[0])):
        active = int(np.searchsorted(shorter, -step))  # the texts that have a word here
        rows = at[begin[:active] + step]
        carry = np.zeros(active, np.uint64)
        for block in range(len(state)):
            old = state[block, :active]
            met = old & masks[rows, block]
            total = old + met
            over = total < old
            total += carry
            carry = (over | (total < carry)).astype(np.uint64)
            state[block, :active] = total | (old & ~met)
    zeros = (64 - np.bitwise_count(state).astype(np.int64)).sum(axis=0)
    result = np.empty(len(order), np.int64)
    result[order] = zeros
    return result

"""How close captions are to reference captions: CIDEr, BLEU, ROUGE-L and, where Java counts it, METEOR.

    score(["a cat sleeps on a mat"], [["a cat is asleep on a mat", "the cat sleeps"]])
    -> {"CIDEr": …, "BLEU-1": …, …, "BLEU-4": …, "ROUGE-L": …}

The numbers are those of the package pycocoevalcap 1.2, its tokenizer included, to 1e-6:

- CIDEr is its `Cider`, which is CIDEr-D: counts of a prediction are clipped to those of the reference, and a Gaussian
  (sigma 6) of the difference in length multiplies the cosine. 0 to 10. How rare a run of words is comes from the
  references of this call, so a number depends on which rows are scored together; of a single row it is 0.
- CIDEr (plain) is the cosine of the paper without clipping and Gaussian (and without the paper's stemming).
- BLEU-n is over the corpus, with the reference length closest to each prediction (the shorter of two equally close).
- ROUGE-L weighs recall with beta 1.2, the best precision and the best recall over references each taken by itself. A
  caption without words is one empty word there, so it equals an empty reference and nothing else.

tokens="words" cuts at white space only, lower case, marks and all, as the package nlg-eval does; there the result also
has ROUGE-Lsum, which is what the package evaluate (rouge_score) prints for text of one line: its own words (a-z and
0-9), F1 with beta 1, the best over references.

Sources: Vedantam, Zitnick and Parikh, CIDEr, CVPR 2015; Papineni et al., BLEU, ACL 2002; Lin, ROUGE, 2004; Banerjee and
Lavie, METEOR, 2005.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from longshot.errors import UsageError
from longshot.items import Row, Score
from longshot.journal import State
from longshot.metrics._overlap import Integers, Numbers, Texts, common, found_at, runs
from longshot.metrics._reading import Readings, alphanumeric, penn, spaced
from longshot.metrics.intervals import Resampler, bounds

Tokens = Literal["ptb", "words"]
Meteor = Callable[[Sequence[str], Sequence[Sequence[str]]], float]
"""METEOR of tokenized predictions and references: `longshot.meteor.score`."""

LONGEST = 4
"""BLEU and CIDEr look at runs of one to four words."""
SIGMA, BETA = 6.0, 1.2
_TINY, _SMALL = 1e-15, 1e-9  # added above and below the line of BLEU, so that nothing divides by zero


@dataclass(frozen=True)
class Tallies:
    """What N predictions score, each by itself. Every array begins with N.

    cider, plain, rouge: values. hits, guesses (N, 4): for BLEU, runs found in a reference and runs there are. length,
    closest: words of the prediction, and of the reference nearest in length. rouge_sum: None unless words are spaced.
    """

    cider: Numbers
    plain: Numbers
    rouge: Numbers
    hits: Integers
    guesses: Integers
    length: Integers
    closest: Integers
    rouge_sum: Numbers | None = None

    @property
    def counts(self) -> Numbers:
        """What BLEU is made of, (N, 10): hits, guesses, length, closest."""
        return np.column_stack([self.hits, self.guesses, self.length, self.closest]).astype(np.float64)


def score(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokens: Tokens = "ptb",
    meteor: Meteor | None = None,
    plain: bool = False,
) -> dict[str, float]:
    """Every number of these predictions against their references, by name.

    Args:
        predictions: one caption for each row; an empty one counts as nothing said.
        references: for each row, one or more right captions.
        tokens: "ptb" for the words of pycocoevalcap, "words" for what stands between white space.
        meteor: counts METEOR too; `longshot.meteor.score` does it, with Java.
        plain: count CIDEr without clipping and Gaussian too, as "CIDEr (plain)".

    Raises UsageError for no rows, for unequal numbers of rows, and for a row without references (it names the row).
    """
    rows, flat, owners = _checked(predictions, references)
    readings = _read(flat, tokens)
    tallied = _tallied(readings, owners, rows, _rouge_sum(flat, owners, rows, tokens))
    found = {"CIDEr": float(tallied.cider.mean())}
    if plain:
        found["CIDEr (plain)"] = float(tallied.plain.mean())
    for n, value in enumerate(bleu(tallied.counts.sum(axis=0)[None])[0], start=1):
        found[f"BLEU-{n}"] = float(value)
    found["ROUGE-L"] = float(tallied.rouge.mean())
    if tallied.rouge_sum is not None:
        found["ROUGE-Lsum"] = float(tallied.rouge_sum.mean())
    if meteor is not None:
        found["METEOR"] = _meteor(readings, owners, rows, meteor)
    return found


def tally(predictions: Sequence[str], references: Sequence[Sequence[str]], *, tokens: Tokens = "ptb") -> Tallies:
    """What each prediction scores by itself. Raises as `score` does."""
    rows, flat, owners = _checked(predictions, references)
    return _tallied(_read(flat, tokens), owners, rows, _rouge_sum(flat, owners, rows, tokens))


def _checked(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[int, list[str], Integers]:
    """How many rows, all references and then all predictions, and the row that each reference is of."""
    if len(predictions) != len(references):
        raise UsageError(
            f"{len(predictions)} predictions and {len(references)} lists of references; give one list for each"
        )
    if not predictions:
        raise UsageError("no predictions; CIDEr, BLEU and ROUGE-L need at least one row")
    if any(isinstance(right, str) for right in references):
        raise UsageError("references must be a list of captions for each row, got one text; write [[text], ...]")
    sizes = [len(right) for right in references]
    if not all(sizes):
        raise UsageError(f"row {sizes.index(0)} (counted from 0) has no reference; every row needs one or more")
    flat = [caption for right in references for caption in right]
    wrong = next((text for text in (*flat, *predictions) if not isinstance(text, str)), None)
    if wrong is not None:
        raise UsageError(f"a caption must be a text, got {wrong!r:.80}; for nothing said give an empty one")
    return len(predictions), [*flat, *predictions], np.repeat(np.arange(len(sizes)), sizes)


def _read(flat: Sequence[str], tokens: Tokens) -> Readings:
    if tokens not in ("ptb", "words"):
        raise UsageError(f"tokens must be 'ptb' or 'words', got {tokens!r}")
    return penn(flat) if tokens == "ptb" else spaced(flat)


def _tallied(readings: Readings, owners: Integers, rows: int, rouge_sum: Numbers | None) -> Tallies:
    cider, plain, hits = _shared(readings.words, owners, rows)
    lengths = readings.words.lengths
    length = lengths[len(owners) :]
    return Tallies(
        cider=cider,
        plain=plain,
        rouge=_rouge(readings.aligned, owners, beta=BETA),
        hits=hits,
        guesses=np.maximum(0, length[:, None] - np.arange(LONGEST)),
        length=length,
        closest=_closest(lengths[: len(owners)], owners, length),
        rouge_sum=rouge_sum,
    )


def _shared(texts: Texts, owners: Integers, rows: int) -> tuple[Numbers, Numbers, Integers]:
    """CIDEr-D and plain CIDEr (N,), and hits (N, 4)."""
    count = len(owners)
    row_of = np.concatenate([owners, np.arange(rows)])
    hits = np.zeros((rows, LONGEST), np.int64)
    clipped, cosine = np.zeros(count), np.zeros(count)
    for n, found in enumerate(runs(texts, LONGEST)):
        kinds = int(found.run[-1]) + 1 if len(found.run) else 0
        row = row_of[found.text]
        right = found.text < count
        # In how many rows some reference has this run. Entries of one run are sorted by row, references first.
        fresh = right.copy()
        fresh[1:] &= (found.run[1:] != found.run[:-1]) | (row[1:] != row[:-1])
        rarity = np.log(rows) - np.log(np.maximum(1, np.bincount(found.run[fresh], minlength=kinds)))
        weight = found.count * rarity[found.run]
        norm = np.sqrt(np.bincount(found.text, weight**2, minlength=count + rows))
        # Which runs of the references their prediction has too.
        mine = np.flatnonzero(~right)
        said = np.zeros(kinds, bool)
        said[found.run[mine]] = True
        theirs = np.flatnonzero(right & said[found.run])
        there, at = found_at(found.run[theirs] * rows + row[theirs], found.run[mine] * rows + row[mine])
        theirs, text = theirs[there], found.text[theirs[there]]
        here, over = weight[theirs], weight[mine][at]
        both = norm[:count] * norm[count:][owners]
        for total, product in ((clipped, np.minimum(here, over) * here), (cosine, here * over)):
            total += np.divide(np.bincount(text, product, minlength=count), both, out=np.zeros(count), where=both > 0)
        most = np.zeros(len(mine), np.int64)
        np.maximum.at(most, at, found.count[theirs])
        hits[:, n] = np.bincount(row[mine], np.minimum(most, found.count[mine]), minlength=rows)
    clipped *= np.exp(-((texts.lengths[count:][owners] - texts.lengths[:count]) ** 2) / (2 * SIGMA**2))
    references = np.bincount(owners, minlength=rows)
    cider, plain = (
        10 / LONGEST * np.bincount(owners, values, minlength=rows) / references for values in (clipped, cosine)
    )
    return cider, plain, hits


def _closest(lengths: Integers, owners: Integers, length: Integers) -> Integers:
    """For each prediction, the length of the reference nearest in length, the shorter of two."""
    base = int(lengths.max(initial=0)) + 1
    starts = np.searchsorted(owners, np.arange(len(length)))
    return np.minimum.reduceat(np.abs(lengths - length[owners]) * base + lengths, starts) % base


def bleu(counts: Numbers) -> Numbers:
    """BLEU-1 to BLEU-4, (R, 4), of sums of `Tallies.counts`, (R, 10)."""
    hits, guesses = counts[:, :LONGEST], counts[:, LONGEST : 2 * LONGEST]
    length, closest = counts[:, -2], counts[:, -1]
    precision = np.cumprod((hits + _TINY) / (guesses + _SMALL), axis=1)
    ratio = (length + _TINY) / (closest + _SMALL)
    brevity = np.exp(np.minimum(0, 1 - 1 / ratio))
    return np.asarray(precision ** (1 / np.arange(1, LONGEST + 1)) * brevity[:, None], dtype=np.float64)


def _rouge(texts: Texts, owners: Integers, *, beta: float) -> Numbers:
    """ROUGE-L of each prediction, (N,)."""
    count = len(owners)
    right, said = texts.part(0, count), texts.part(count, len(texts))
    shared = common(right, said, owners)
    # A caption without words is one empty word.
    shared[(right.lengths == 0) & (said.lengths[owners] == 0)] = 1
    precision = shared / np.maximum(1, said.lengths)[owners]
    recall = shared / np.maximum(1, right.lengths)
    starts = np.searchsorted(owners, np.arange(len(said)))
    best, covered = np.maximum.reduceat(precision, starts), np.maximum.reduceat(recall, starts)
    return _weighed(best, covered, beta)


def _rouge_sum(flat: Sequence[str], owners: Integers, rows: int, tokens: Tokens) -> Numbers | None:
    """ROUGE-Lsum of each prediction, (N,), for text of one line: F1 with the best reference."""
    if tokens != "words":
        return None
    texts = alphanumeric(flat).aligned
    count = len(owners)
    right, said = texts.part(0, count), texts.part(count, count + rows)
    shared = common(right, said, owners)
    precision = shared / np.maximum(1, said.lengths)[owners]
    recall = shared / np.maximum(1, right.lengths)
    starts = np.searchsorted(owners, np.arange(rows))
    return np.maximum.reduceat(_weighed(precision, recall, 1.0), starts)


def _weighed(precision: Numbers, recall: Numbers, beta: float) -> Numbers:
    below = recall + beta**2 * precision
    return np.divide((1 + beta**2) * precision * recall, below, out=np.zeros(len(below)), where=below > 0)


def _meteor(readings: Readings, owners: Integers, rows: int, meteor: Meteor) -> float:
    sentences = readings.sentences()
    starts = np.searchsorted(owners, np.arange(rows + 1)).tolist()
    right = [sentences[first:last] for first, last in pairwise(starts)]
    return meteor(sentences[len(owners) :], right)


def scores(
    rows: Sequence[Row],
    *,
    seed: int = 0,
    resamples: int = 1000,
    tokens: Tokens = "ptb",
    meteor: Meteor | None = None,
    plain: bool = False,
) -> list[Score]:
    """Every caption score of these rows, times 100 as papers print them; CIDEr can go beyond 100.

    Strict: an item that is not done said nothing and scores 0. Legacy: such items are left out, their references too.
    Then the strict ones of each group. CIDEr and ROUGE-L are means over items, bounded by drawing videos with the
    rarity of runs held fixed; BLEU is made anew of each draw's counts; METEOR has no interval. Raises UsageError
    for an item without references or a done prediction that is no text, by id.
    """
    right = [_references(row) for row in rows]
    said = [_said(row) for row in rows]
    states = [State.FAILED if row.prediction is None else row.prediction.state for row in rows]
    done = [place for place, state in enumerate(states) if state is State.DONE]
    measure = partial(_measured, tokens=tokens, meteor=meteor, plain=plain)

    def told(measured: _Measured, places: Sequence[int], counted: Sequence[int], **more: Any) -> Iterator[Score]:
        """The scores of the rows at `places`; the states are those of `counted`."""
        ended = Counter(states[place] for place in counted)
        draws = Resampler([rows[place].item.video for place in places], seed=seed, resamples=resamples)
        for one in measured.numbers(draws if places else None):
            yield Score(
                one.name,
                one.value,
                len(places),
                {state.value: ended[state] for state in State},
                one.low,
                one.high,
                unit="" if one.name.startswith("CIDEr") else "%",
                note=one.note,
                **more,
            )

    everything = range(len(rows))
    strict = measure(said, right, done)
    legacy = strict
    if len(done) < len(rows):
        legacy = measure([said[place] for place in done], [right[place] for place in done], range(len(done)))
    found = [*told(strict, everything, everything), *told(legacy, done, everything, legacy=True)]
    for name, value in sorted({pair for row in rows for pair in row.item.groups.items()}):
        places = [place for place in everything if rows[place].item.groups.get(name) == value]
        found += told(strict.part(places), places, places, group={name: value})
    return found


def values(rows: Sequence[Row]) -> dict[str, Numbers]:
    """What each caption scored, (N,), by name; 0 for an item that is not done.

    CIDEr is times 100, as `scores` tells it; ROUGE-L, a score in percent, is 0..1.
    """
    done = [place for place, row in enumerate(rows) if row.prediction and row.prediction.state is State.DONE]
    right, said = [_references(row) for row in rows], [_said(row) for row in rows]
    measured = _measured(said, right, done, tokens="ptb", meteor=None, plain=False)
    return {name: array if name.startswith("ROUGE") else 100 * array for name, array in measured.values.items()}


@dataclass(frozen=True, slots=True)
class _Number:
    """One number with its interval, and a note."""

    name: str
    value: float | None = None
    note: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class _Measured:
    """What N rows scored. values: of each row, by name (N,). counts (N, 10): for BLEU. meteor: None unless asked."""

    values: Mapping[str, Numbers]
    counts: Numbers
    meteor: float | None = None

    def part(self, places: Sequence[int]) -> _Measured:
        """Some of these rows, with the rarities of all; METEOR is of all rows only."""
        chosen = list(places)
        return _Measured({name: values[chosen] for name, values in self.values.items()}, self.counts[chosen])

    def numbers(self, draws: Resampler | None) -> Iterator[_Number]:
        """Every number times 100; without value where there are no rows (no `draws`)."""
        blues = [f"BLEU-{n}" for n in range(1, LONGEST + 1)]
        if draws is None:
            yield from (_Number(name, note="no rows") for name in (*self.values, *blues))
            return
        for name, values in self.values.items():
            low, high = bounds(100 * draws.means(values))
            yield _Number(name, 100 * float(values.mean()), low=low, high=high)
        value = 100 * bleu(self.counts.sum(axis=0)[None])[0]
        # Means of a draw times the rows are its sums, which BLEU adds its small constants to.
        drawn = 100 * bleu(len(self.counts) * draws.means(self.counts))
        for place, name in enumerate(blues):
            low, high = bounds(drawn[:, place])
            yield _Number(name, float(value[place]), low=low, high=high, note=_CORPUS)
        if self.meteor is not None:
            yield _Number("METEOR", 100 * self.meteor, note=f"METEOR 1.5 by its Java program, {_CORPUS}")


_CORPUS = "of all rows at once, not a mean of rows"


def _measured(
    said: Sequence[str],
    right: Sequence[Sequence[str]],
    done: Sequence[int],
    *,
    tokens: Tokens,
    meteor: Meteor | None,
    plain: bool,
) -> _Measured:
    """These rows measured; what is not `done` scores 0."""
    wanted = {"CIDEr": True, "CIDEr (plain)": plain, "ROUGE-L": True, "ROUGE-Lsum": tokens == "words"}
    names = [name for name, wants in wanted.items() if wants]
    if not said:
        return _Measured({name: np.zeros(0) for name in names}, np.zeros((0, 2 * LONGEST + 2)))
    rows, flat, owners = _checked(said, right)
    readings = _read(flat, tokens)
    tallied = _tallied(readings, owners, rows, _rouge_sum(flat, owners, rows, tokens))
    arrays = (tallied.cider, tallied.plain, tallied.rouge, tallied.rouge_sum)
    # An empty caption equals an empty reference in ROUGE-L, but a missing one equals nothing.
    answered = np.zeros(rows)
    answered[list(done)] = 1
    values = {name: array * answered for name, array in zip(wanted, arrays, strict=True) if array is not None}
    counted = None if meteor is None else _meteor(readings, owners, rows, meteor)
    return _Measured({name: values[name] for name in names}, tallied.counts, counted)


def _references(row: Row) -> list[str]:
    right = row.item.gold.get("references")
    if not isinstance(right, (list, tuple)) or not right or not all(isinstance(text, str) for text in right):
        raise UsageError(
            f"item {row.item.id!r} needs gold['references'], a list of one or more texts, got {right!r:.80}"
        )
    return list(right)


def _said(row: Row) -> str:
    if row.prediction is None or row.prediction.state is not State.DONE:
        return ""
    if not isinstance(row.prediction.value, str):
        raise UsageError(f"the prediction for item {row.item.id!r} must be a text, got {row.prediction.value!r:.80}")
    return row.prediction.value

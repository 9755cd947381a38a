"""How much of what happens a caption tells, and how much of what it tells happens: AutoDQ and CapST.

AutoDQ (DREAM-1K; Wang et al., Tarsier, arXiv:2407.00634) looks at events; CapST (CaReBench; Xu et al.,
arXiv:2501.00513) at events, which it calls actions, and at objects side by side. A judge takes what the caption tells
apart into short facts and labels each. A verdict's `value` is

    {"events":  {"gold":      ["A man opens a door.", "A dog runs out."],
                 "predicted": ["A man opens a door."],
                 "recall":    ["entailment", "neutral"],          # does the caption tell it? one for each gold fact
                 "precision": ["entailment"],                     # does the reference? one for each predicted fact
                 "reasons":   {"recall": ["…", "…"], "precision": ["…"]}},
     "objects": {…}}                                              # CapST only

Only "entailment" counts; "neutral" and "contradiction" do not. Of one item: recall = entailed / gold facts, precision =
entailed / predicted facts. R and P are means over items and F1 = 2RP / (R + P) is made of those two, 0 where both are
0; it is not the mean of the items' F1. Facts that stand twice in a list count twice.

    what                            strict                                    legacy (official)
    no fact predicted               precision 0                               precision 1
    no gold fact                    the item has no recall; n is smaller      recall 1
    failed, refused, unreadable     recall and precision 0                    left out
    done, but not judged            as failed                                 left out
    of all items, with sources      mean over items                           unweighted mean over sources

Inside the buckets of DREAM-1K (groups "subjects", "shots", "events") the official tables divide sums: entailed facts of
all items by facts of all items. The strict ones do so too; there an item that is not done, or predicts nothing, counts
as having predicted as many wrong facts as it has gold ones, at least one. Every other group is a mean over its items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longshot.errors import UsageError
from longshot.items import Row, Score
from longshot.journal import State
from longshot.metrics.intervals import Resampler, bounds

PARTS = ("events", "objects")
LABELS = ("entailment", "neutral", "contradiction")
COUNTS = "entailment"
SOURCE = "source"
BUCKETS = ("subjects", "shots", "events")

_Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """What the labels of one part say of N items, as numbers.

    done: whether it was judged. told, gold: entailed gold facts and all of them. held, predicted: entailed predicted
    facts and all of them. All (N,) float64 but done, which is bool; told, held and predicted are 0 where not done.
    """

    done: NDArray[np.bool_]
    told: _Values
    gold: _Values
    held: _Values
    predicted: _Values

    def strict(self) -> tuple[_Values, _Values]:
        """Recall and precision of each item; NaN where there is nothing to recall."""
        recall = np.where(self.gold > 0, self.told / np.maximum(self.gold, 1), np.nan)
        return recall, self.held / np.maximum(self.predicted, 1)

    def official(self) -> tuple[_Values, _Values]:
        """Recall and precision of each item as AutoDQ and CapST have them: 1 for an empty list, NaN if not done."""
        recall = np.where(self.gold > 0, self.told / np.maximum(self.gold, 1), 1.0)
        precision = np.where(self.predicted > 0, self.held / np.maximum(self.predicted, 1), 1.0)
        return np.where(self.done, recall, np.nan), np.where(self.done, precision, np.nan)


def counts(rows: Sequence[Row], part: str) -> Counts:
    """What the verdicts on some rows say of one part, "events" or "objects".

    Raises UsageError (naming the item) for a verdict that has other labels than those of LABELS, or not one for each.
    """
    table = np.array([_count(row, part) for row in rows], dtype=np.float64).reshape(len(rows), 5)
    done, told, gold, held, predicted = table.T
    return Counts(done > 0, told, gold, held, predicted)


def parts_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """Which parts were judged; where nothing was, those that the annotation has lists of; "events" at least."""
    judged = {part for row in rows for part in PARTS if _facts(row, part) is not None}
    listed = {part for row in rows for part in PARTS if part in row.item.gold}
    return tuple(part for part in PARTS if part in (judged or listed)) or ("events",)


def values(rows: Sequence[Row]) -> dict[str, _Values]:
    """Strict recall and precision of every row, by the names that `scores` gives them; F1 is no mean over items."""
    found: dict[str, _Values] = {}
    parts = parts_of(rows)
    for part in parts:
        recall, precision = counts(rows, part).strict()
        found[_name("recall", part, parts)] = recall
        found[_name("precision", part, parts)] = precision
    return found


def scores(rows: Sequence[Row], *, seed: int = 0, resamples: int = 1000) -> list[Score]:
    """F1, recall and precision, in 0..100: of all items strict, then legacy, then of each group both ways.

    Intervals: 95 %, over videos. F1, and what is made of several sources, is computed anew in each resample from the
    recall and precision of that same resample. Where CapST has two parts, "F1" is the mean of their F1.
    """
    if not rows:
        return []
    parts = parts_of(rows)
    table = _Table(rows, Resampler([row.item.video for row in rows], seed=seed, resamples=resamples))
    of_parts = {part: counts(rows, part) for part in parts}
    everything = np.ones(len(rows), dtype=bool)
    sources = _members(rows, SOURCE)
    whole = sum(map(len, sources.values())) and all(SOURCE in row.item.groups for row in rows)
    wanted: list[_Wanted] = [_Wanted({}, [everything], legacy=False)]
    wanted.append(_Wanted({}, list(sources.values()) if whole else [everything], legacy=True))
    for key in dict.fromkeys(key for row in rows for key in row.item.groups):
        for value, members in _members(rows, key).items():
            for legacy in (False, True):
                wanted.append(_Wanted({key: value}, [members], legacy=legacy, summed=key in BUCKETS))
    made = [[table.put(of_parts[part], one) for part in parts] for one in wanted]
    table.draw()
    return [
        score
        for one, places in zip(wanted, made, strict=True)
        for score in _of_one(table, one, parts, places, [of_parts[part] for part in parts])
    ]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One line of scores. members: which rows, (N,) each; several where a mean over sources is wanted.

    summed: facts are added up over items, instead of a mean over them.
    """

    group: Mapping[str, str]
    members: Sequence[NDArray[np.bool_]]
    legacy: bool
    summed: bool = False


class _Triple(NamedTuple):
    """F1, recall and precision with the resampled numbers of each."""

    f1: tuple[float, _Values]
    recall: tuple[float, _Values]
    precision: tuple[float, _Values]


class _Table:
    """Numerators and denominators of everything that is wanted, resampled in one go: ratios of the same draws."""

    def __init__(self, rows: Sequence[Row], draws: Resampler) -> None:
        self.rows, self._draws = rows, draws
        self._columns: list[_Values] = []
        self._whole = np.zeros(0)
        self._drawn = np.zeros((0, 0))

    def put(self, counts: Counts, wanted: _Wanted) -> list[int]:
        """Add the columns that one line needs; where they begin, four for each of its members."""
        places = []
        for members in wanted.members:
            places.append(len(self._columns))
            for over, under in _fractions(counts, wanted):
                self._columns += [np.where(members, over, 0.0), np.where(members, under, 0.0)]
        return places

    def draw(self) -> None:
        """Resample; nothing can be put afterwards."""
        columns = np.stack(self._columns, axis=1)
        self._whole, self._drawn = columns.sum(axis=0), self._draws.means(columns)

    def triple(self, places: Sequence[int]) -> _Triple:
        """The numbers of one line: the mean over its members."""
        recall, recalls = self._mean([place for place in places])
        precision, precisions = self._mean([place + 2 for place in places])
        f1 = float(_f1(np.array([recall]), np.array([precision]))[0])
        return _Triple((f1, _f1(recalls, precisions)), (recall, recalls), (precision, precisions))

    def _mean(self, places: list[int]) -> tuple[float, _Values]:
        over, under = np.array(places), np.array(places) + 1
        with np.errstate(invalid="ignore", divide="ignore"):
            whole = self._whole[over] / self._whole[under]
            drawn = self._drawn[:, over] / self._drawn[:, under]
        # A source with nothing to count, as when all of it failed, has no mean to take part with.
        there = ~np.isnan(whole)
        if not there.any():
            return np.nan, np.full(len(drawn), np.nan)
        return float(whole[there].mean()), _row_means(drawn[:, there])


def _of_one(
    table: _Table, wanted: _Wanted, parts: Sequence[str], places: Sequence[list[int]], counted: Sequence[Counts]
) -> list[Score]:
    """The scores of one line, part by part."""
    members = np.logical_or.reduce(wanted.members)
    rows = [row for row, member in zip(table.rows, members, strict=True) if member]
    states = _states(rows, parts)
    single = len({row.item.video for row in rows}) < 2
    found: list[Score] = []

    def add(name: str, number: tuple[float, _Values], n: int, note: str = "") -> None:
        low, high = (None, None) if single or np.isnan(number[0]) else bounds(100 * number[1])
        value = None if np.isnan(number[0]) else 100 * number[0]
        found.append(Score(name, value, n, states, low, high, wanted.group, wanted.legacy, note=note))

    triples = [table.triple(one) for one in places]
    if len(parts) > 1:
        value = float(np.mean([one.f1[0] for one in triples]))
        drawn = np.mean([one.f1[1] for one in triples], axis=0)
        n = sum(_judged(one, members) for one in counted[:1]) if wanted.legacy else len(rows)
        add("F1", (value, drawn), n, f"mean of {' and '.join(f'F1 {part}' for part in parts)}")
    for part, triple, one in zip(parts, triples, counted, strict=True):
        judged = _judged(one, members) if wanted.legacy else len(rows)
        empty = int(np.sum(members & (one.gold == 0) & (one.done if wanted.legacy else True)))
        recalled = judged if wanted.legacy else judged - empty
        note = "" if not empty else f"{empty} items have no gold {part}: {'recall 1' if wanted.legacy else 'no recall'}"
        add(_name("F1", part, parts), triple.f1, judged, _how(wanted))
        add(_name("recall", part, parts), triple.recall, recalled, note)
        add(_name("precision", part, parts), triple.precision, judged)
    return found


def _how(wanted: _Wanted) -> str:
    if len(wanted.members) > 1:
        return f"mean over {len(wanted.members)} sources"
    return "facts of all items added up" if wanted.summed else ""


def _judged(counts: Counts, members: NDArray[np.bool_]) -> int:
    return int(np.sum(counts.done & members))


def _fractions(counts: Counts, wanted: _Wanted) -> tuple[tuple[_Values, _Values], tuple[_Values, _Values]]:
    """(over, under) of each item for recall and for precision: their sums divided are the number."""
    done = counts.done.astype(np.float64)
    if wanted.summed and wanted.legacy:
        return (counts.told, counts.gold * done), (counts.held, counts.predicted)
    if wanted.summed:
        penalty = np.maximum(counts.gold, 1)
        return (counts.told, counts.gold), (counts.held, np.where(counts.predicted > 0, counts.predicted, penalty))
    recall, precision = counts.official() if wanted.legacy else counts.strict()
    return _mean_of(recall), _mean_of(precision)


def _mean_of(values: _Values) -> tuple[_Values, _Values]:
    there = ~np.isnan(values)
    return np.where(there, values, 0.0), there.astype(np.float64)


def _row_means(drawn: _Values) -> _Values:
    """The mean of each row (R, K) over what is not NaN; NaN where nothing is."""
    there = ~np.isnan(drawn)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, drawn, 0.0).sum(axis=1) / there.sum(axis=1), dtype=np.float64)


def _f1(recall: _Values, precision: _Values) -> _Values:
    """2RP / (R + P), 0 where both are 0."""
    total = recall + precision
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * recall * precision / np.where(total == 0, 1.0, total), dtype=np.float64)


def _name(what: str, part: str, parts: Sequence[str]) -> str:
    return what if len(parts) == 1 else f"{what} {part}"


def _members(rows: Sequence[Row], key: str) -> dict[str, NDArray[np.bool_]]:
    """Which rows are of each value of a group, values in the order in which they come; rows without it are of none."""
    found = dict.fromkeys(row.item.groups[key] for row in rows if key in row.item.groups)
    of = np.array([row.item.groups.get(key, "") for row in rows], dtype=object)
    has = np.array([key in row.item.groups for row in rows], dtype=bool)
    return {value: has & (of == value) for value in found}


def _states(rows: Sequence[Row], parts: Sequence[str]) -> dict[str, int]:
    found = Counter(_state(row, parts) for row in rows)
    return {state.value: found[state] for state in State}


def _state(row: Row, parts: Sequence[str]) -> State:
    """As `Row.state`, but a prediction that nobody judged has failed."""
    if row.state is State.DONE and any(_facts(row, part) is None for part in parts):
        return State.FAILED
    return row.state


def _facts(row: Row, part: str) -> Mapping[str, Any] | None:
    """What the verdict on a row says of one part, if it is done and says anything."""
    if row.state is not State.DONE or row.verdict is None or not isinstance(row.verdict.value, Mapping):
        return None
    facts = row.verdict.value.get(part)
    return facts if isinstance(facts, Mapping) else None


def _count(row: Row, part: str) -> tuple[int, int, int, int, int]:
    facts = _facts(row, part)
    if facts is None:
        return 0, 0, len(row.item.gold.get(part, ("unknown",))), 0, 0
    recall, precision = (_labels(row, part, facts, name) for name in ("recall", "precision"))
    return 1, recall.count(COUNTS), len(recall), precision.count(COUNTS), len(precision)


def _labels(row: Row, part: str, facts: Mapping[str, Any], name: str) -> list[str]:
    labels, of = facts.get(name), facts.get("gold" if name == "recall" else "predicted")
    if not isinstance(labels, list) or not all(label in LABELS for label in labels):
        raise UsageError(f"verdict on {row.item.id}: {part}.{name} must be a list of {', '.join(LABELS)}")
    if isinstance(of, list) and len(of) != len(labels):
        raise UsageError(f"verdict on {row.item.id}: {part}.{name} has {len(labels)} labels for {len(of)} facts")
    return labels

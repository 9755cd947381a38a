"""Scores that are means over items, with their intervals: all of them from the same draws of videos, in one go.

hits = Mean("R1@0.5", array([1, 0, 1]))
told([hits, Mean("R1@0.5", array([1, nan, 1]), legacy=True)], videos=["a", "a", "b"], states=[...])
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from longshot.items import Row, Score
from longshot.journal import State
from longshot.metrics.intervals import Resampler, bounds

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Mean:
    """One score before it is a mean.

    values: of every row, (N,), on the scale of `of`; NaN for a row that does not count. about: the rows that it is
    about, (N,), all when None; their states are told, those that do not count among them. strata: for a mean of means,
    the part that each row is in, (N,). of: what the mean is multiplied by.
    """

    name: str
    values: Numbers
    about: Mask | None = None
    strata: NDArray[np.int64] | None = None
    legacy: bool = False
    group: Mapping[str, str] = field(default_factory=dict)
    of: float = 100.0
    unit: str = "%"
    note: str = ""

    @property
    def counted(self) -> Mask:
        """The rows that count, (N,)."""
        finite = ~np.isnan(self.values)
        return finite if self.about is None else finite & self.about

    def within(self, about: Mask, group: Mapping[str, str]) -> Mean:
        """The same of some rows."""
        both = about if self.about is None else about & self.about
        return replace(self, about=both, group={**self.group, **group})

    def parts(self) -> list[Mask]:
        """The rows that each mean is made of: one, or one for each stratum in which a row counts."""
        counted = self.counted
        if self.strata is None:
            return [counted]
        return [counted & (self.strata == part) for part in np.unique(self.strata[counted])]


def told(
    means: Sequence[Mean], *, videos: Sequence[str], states: Sequence[State], seed: int, resamples: int
) -> list[Score]:
    """A score for each mean. videos, states: of every row, (N,)."""
    columns, places = _Columns(len(videos)), []
    for mean in means:
        filled = np.nan_to_num(mean.values)
        places.append([(columns.add(filled * part), columns.add(part.astype(np.float64))) for part in mean.parts()])
    array = columns.array()
    totals = array.sum(axis=0)
    draws = Resampler(videos, seed=seed, resamples=resamples).means(array) if len(videos) and columns.count else None
    order = list(State)
    ended = np.array([order.index(state) for state in states], dtype=np.int64)
    return [_score(mean, where, totals, draws, ended) for mean, where in zip(means, places, strict=True)]


def _score(
    mean: Mean,
    where: Sequence[tuple[int, int]],
    totals: Numbers,
    draws: Numbers | None,
    ended: NDArray[np.int64],
) -> Score:
    over = np.bincount(ended if mean.about is None else ended[mean.about], minlength=len(State))
    n = int(sum(totals[count] for _, count in where))
    value = None if not n else float(mean.of * np.mean([totals[sum_] / totals[count] for sum_, count in where]))
    low = high = None
    if n and draws is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = np.column_stack([draws[:, sum_] / draws[:, count] for sum_, count in where])
        # A draw without any row of a stratum is a mean of the others.
        some = ~np.isnan(ratios)
        counts = some.sum(axis=1)
        drawn = np.where(some, ratios, 0.0).sum(axis=1)[counts > 0] / counts[counts > 0]
        low, high = bounds(mean.of * drawn)
    return Score(
        mean.name,
        value,
        n,
        {state.value: int(count) for state, count in zip(State, over, strict=True)},
        low,
        high,
        group=dict(mean.group),
        legacy=mean.legacy,
        unit=mean.unit,
        note=mean.note,
    )


class _Columns:
    """Columns side by side, equal ones once."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._known: dict[bytes, int] = {}
        self._columns: list[Numbers] = []

    @property
    def count(self) -> int:
        return len(self._columns)

    def add(self, column: Numbers) -> int:
        """Its place."""
        key = column.tobytes()
        if key not in self._known:
            self._known[key] = len(self._columns)
            self._columns.append(column)
        return self._known[key]

    def array(self) -> Numbers:
        return np.column_stack(self._columns) if self._columns else np.zeros((self._rows, 0))


def grouped(means: Sequence[Mean], rows: Sequence[Row]) -> Iterator[Mean]:
    """The same means of each group that the items name, sorted."""
    for name, value in group_values(rows):
        about = np.array([row.item.groups.get(name) == value for row in rows])
        yield from (mean.within(about, {name: value}) for mean in means)


def group_values(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """Every group of the items, with its value, sorted."""
    return sorted({pair for row in rows for pair in row.item.groups.items()})

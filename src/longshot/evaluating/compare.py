"""Two runs of one benchmark, item by item: what differs, how sure that is, and which items only one of them has.

    for row in compare(benchmark, Run("runs/a"), Run("runs/b")):
        row.name, row.a, row.b, row.difference, row.low, row.high, row.p

Only scores that are means over items can be compared so; numbers made of several (F1, CIDEr over a corpus) show in the
means that they are made of. Both runs count the same items: of runs that were cut short (`--limit`) those that both
were to have. An item that one run did not finish is wrong in that run, as in its strict scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from longshot.errors import UsageError
from longshot.evaluating.runs import Run, differences
from longshot.evaluating.score import measure_of
from longshot.items import Benchmark, Row
from longshot.journal import State
from longshot.metrics.comparison import paired

_ITSELF = ("name", "kind", "fingerprint", "options")


@dataclass(frozen=True, slots=True)
class Difference:
    """One score of two runs.

    a, b: the score in each, over the n items that count in both. difference: a - b, with its 95 % interval and the p
    value of a sign-flip test over videos; None where they cannot be had. unit: "%" for 0..100. only_a, only_b: items
    that are done in one run alone. note: what a reader should know about the items, or "".
    """

    name: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    unit: str = ""
    only_a: int = 0
    only_b: int = 0
    note: str = ""


def compare(
    benchmark: Benchmark, first: Run, second: Run, *, seed: int = 0, resamples: int = 10_000
) -> list[Difference]:
    """One row for each score that is a mean over items.

    Raises UsageError naming what differs when the two are not runs of this benchmark on the same annotation.
    """
    of_both = [_described(run) for run in (first, second)]
    differing = differences(*of_both)
    if differing:
        raise UsageError(
            f"{first.folder} and {second.folder} are not runs of the same benchmark: {'; '.join(differing)}"
        )
    if of_both[0]["fingerprint"] != benchmark.fingerprint:
        raise UsageError(
            f"the annotation of {benchmark.name} is another one ({benchmark.fingerprint}) than that of the runs "
            f"({of_both[0]['fingerprint']}); give the one that they were made with"
        )
    shared = _shared(benchmark, first, second)
    return compare_rows(first.rows(shared), second.rows(shared), shared, seed=seed, resamples=resamples)


def compare_rows(
    first: Sequence[Row], second: Sequence[Row], benchmark: Benchmark, *, seed: int = 0, resamples: int = 10_000
) -> list[Difference]:
    """As `compare`, of rows of the same items in the same order. Raises UsageError when they are of other items."""
    if [row.item.id for row in first] != [row.item.id for row in second]:
        raise UsageError("two sets of rows are compared item by item, and these are of different items")
    if not first:
        return []
    measure = measure_of(benchmark)
    units = {one.name: one.unit for one in measure.scores(first, seed=seed, resamples=1) if not one.group}
    one, two = measure.values(first), measure.values(second)
    videos = [row.item.video for row in first]
    only_a, only_b = only_one(first, second)
    note = _note(only_a, only_b)
    found = []
    for name in (name for name in one if name in two):
        scale = 100.0 if units.get(name) == "%" else 1.0
        a, b = scale * np.asarray(one[name], np.float64), scale * np.asarray(two[name], np.float64)
        counted = np.isfinite(a) & np.isfinite(b)
        result = paired(a, b, videos, seed=seed, resamples=resamples)
        found.append(
            Difference(
                name=name,
                a=float(a[counted].mean()) if counted.any() else None,
                b=float(b[counted].mean()) if counted.any() else None,
                difference=_known(result.difference),
                low=_known(result.low),
                high=_known(result.high),
                p=_known(result.p),
                n=int(counted.sum()),
                unit=units.get(name, ""),
                only_a=len(only_a),
                only_b=len(only_b),
                note=note,
            )
        )
    return found


def only_one(first: Sequence[Row], second: Sequence[Row]) -> tuple[list[str], list[str]]:
    """The ids that are done in the first rows alone, and those in the second alone."""
    done = [{row.item.id for row in rows if row.state is State.DONE} for rows in (first, second)]
    ids = [row.item.id for row in first]
    return [id for id in ids if id in done[0] - done[1]], [id for id in ids if id in done[1] - done[0]]


def _described(run: Run) -> dict[str, object]:
    said = run.manifest()["benchmark"]
    return {name: said.get(name) for name in _ITSELF}


def _shared(benchmark: Benchmark, first: Run, second: Run) -> Benchmark:
    """The benchmark, only as long as the shorter run: `--limit` takes the first items."""
    count = min(int(run.manifest()["benchmark"]["items"]) for run in (first, second))
    return replace(benchmark, items=benchmark.items[:count])


def _note(only_a: Sequence[str], only_b: Sequence[str]) -> str:
    told = [
        f"{len(ids)} done in the {which} alone, such as {ids[0]}"
        for which, ids in (("first", only_a), ("second", only_b))
        if ids
    ]
    return "; ".join(told)


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)

"""How far several judges of one run agree, by Krippendorff's alpha.

    agreement(benchmark, Run("runs/a"), ["gpt", "nli"])       # verdicts.gpt.jsonl and verdicts.nli.jsonl

Gold facts are the same for every judge, so their labels are compared one by one. Predicted facts are each judge's own
list, so of these the precision of each item is compared. A judge that gave no verdict on an item says nothing about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from longshot.errors import UsageError
from longshot.evaluating.runs import Run
from longshot.items import Benchmark, Row
from longshot.journal import State
from longshot.metrics import events
from longshot.metrics.agreement import Level, alpha, spearman

UNNAMED = "-"


@dataclass(frozen=True)
class _Compared:
    """One thing that judges can agree on. ratings: by judge, one value a unit. videos: of each unit."""

    what: str
    level: Level
    ratings: list[list[Any]]
    videos: list[str]


def agreement(
    benchmark: Benchmark, run: Run, names: Sequence[str], *, seed: int = 0, resamples: int = 1000
) -> list[dict[str, Any]]:
    """One row, as plain JSON, for each thing that the judges can agree on.

    {"what": "recall events: is each gold fact told", "level": "nominal", "alpha": 0.61, "low": 0.55, "high": 0.66,
    "n": 6298, "judges": {"gpt": 1000, "nli": 1000}}; n counts units that two judges rated, "judges" says how many items
    each has judged. Of numbers, "spearman" is there as well where there are two judges.

    names: as given when judging; "-" is the judge without a name (verdicts.jsonl). Raises UsageError for fewer than
    two, and for a name that has no verdicts.
    """
    if len(set(names)) < 2:
        raise UsageError("agreement is of two judges at least: name them, such as --agreement gpt --agreement nli")
    if not benchmark.judge:
        raise UsageError(f"{benchmark.name} needs no judge")
    judged = {name: _rows(benchmark, run, name) for name in dict.fromkeys(names)}
    compared = _answers(judged) if benchmark.judge == "answers" else _facts(judged)
    counts = {name: sum(_done(row) is not None for row in rows) for name, rows in judged.items()}
    return [_row(one, counts, seed, resamples) for one in compared]


def _row(one: _Compared, counts: Mapping[str, int], seed: int, resamples: int) -> dict[str, Any]:
    found = asdict(alpha(one.ratings, level=one.level, clusters=one.videos, seed=seed, resamples=resamples))
    row = {"what": one.what, "level": one.level, "alpha": found.pop("value"), **found, "judges": dict(counts)}
    if one.level == "interval" and len(counts) == 2:
        first, second = (np.array(ratings, dtype=np.float64) for ratings in one.ratings)
        row["spearman"] = spearman(first, second, clusters=one.videos, seed=seed, resamples=resamples).value
    return row


def _rows(benchmark: Benchmark, run: Run, name: str) -> list[Row]:
    judge = "" if name == UNNAMED else name
    if not run.verdicts_of(judge).exists():
        paths = sorted(path.name.split(".")[1:-1] for path in run.folder.glob("verdicts*.jsonl"))
        there = ", ".join(path[0] if path else UNNAMED for path in paths) or "none"
        raise UsageError(f"{run.folder} has no verdicts of {name}; there are those of: {there}")
    return run.rows(benchmark, judge=judge)


def _done(row: Row) -> Mapping[str, Any] | None:
    """What a judge found, None where it found nothing."""
    verdict = row.verdict
    return verdict.value if verdict and row.state is State.DONE and isinstance(verdict.value, Mapping) else None


def _answers(judged: Mapping[str, Sequence[Row]]) -> list[_Compared]:
    return [
        _of_items(judged, "is each answer right", "nominal", lambda row: (_done(row) or {}).get("correct")),
        _of_items(judged, "score of each answer", "interval", lambda row: (_done(row) or {}).get("score", np.nan)),
    ]


def _facts(judged: Mapping[str, Sequence[Row]]) -> list[_Compared]:
    found: list[_Compared] = []
    parts = events.parts_of([row for rows in judged.values() for row in rows])
    for part in parts:
        labels, videos = _labels(judged, part)
        told = [[None if label is None else label == events.COUNTS for label in row] for row in labels]
        found.append(_Compared(f"recall {part}: is each gold fact told", "nominal", told, videos))
        found.append(_Compared(f"recall {part}: label of each gold fact", "nominal", labels, videos))
        for place, name in enumerate(("recall", "precision")):
            ratings = [_column(rows, part, place) for rows in judged.values()]
            found.append(_Compared(f"{name} {part} of each item", "interval", ratings, _videos(judged)))
    return found


def _column(rows: Sequence[Row], part: str, place: int) -> list[float]:
    """Recall (0) or precision (1) of each item, NaN where it was not judged."""
    counts = events.counts(rows, part)
    return [float(value) for value in np.where(counts.done, counts.strict()[place], np.nan)]


def _labels(judged: Mapping[str, Sequence[Row]], part: str) -> tuple[list[list[Any]], list[str]]:
    """The label of each gold fact by judge, where the judges who judged its item had one list of them."""
    ratings: list[list[Any]] = [[] for _ in judged]
    videos: list[str] = []
    for rows in zip(*judged.values(), strict=True):
        said = [(_done(row) or {}).get(part) for row in rows]
        lists = [one["gold"] for one in said if one is not None]
        if not lists or any(one != lists[0] for one in lists):
            continue
        for column, one in zip(ratings, said, strict=True):
            column += [None] * len(lists[0]) if one is None else one["recall"]
        videos += [rows[0].item.video] * len(lists[0])
    return ratings, videos


def _of_items(judged: Mapping[str, Sequence[Row]], what: str, level: Level, value: Callable[[Row], Any]) -> _Compared:
    return _Compared(what, level, [[value(row) for row in rows] for rows in judged.values()], _videos(judged))


def _videos(judged: Mapping[str, Sequence[Row]]) -> list[str]:
    return [row.item.video for row in next(iter(judged.values()))]

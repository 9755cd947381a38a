"""Numbers from a run, or from any submission file: no model, no network.

    score(benchmark, Run("runs/mine"))                       # writes scores.json, and gives it
    score_file(benchmark, "predictions.jsonl")               # of a file in a known format

scores.json:

    {"format": 1, "benchmark": "dream-1k", "fingerprint": "…", "n": 1000,
     "states": {"done": 990, "failed": 6, "refused": 4, "unreadable": 0},
     "scores": [{"name": "F1", "value": 34.6, "low": 33.1, "high": 36.0, "n": 1000, "states": {…}, "group": {},
                 "legacy": false, "unit": "%", "note": ""}, …]}

Strict scores come first: what is not done counts as wrong. Those that a seed or an official scorer counts otherwise
stand beside them as legacy.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from longshot.errors import UsageError
from longshot.evaluating.runs import Run
from longshot.items import Benchmark, Measure, Row, Score
from longshot.journal import State
from longshot.library import write_text

FORMAT = 1


def measure_of(benchmark: Benchmark) -> Measure:
    """The metrics that score a benchmark."""
    return cast(Measure, importlib.import_module(f"longshot.metrics.{benchmark.measure}"))


def score(
    benchmark: Benchmark,
    rows: Sequence[Row],
    *,
    seed: int = 0,
    resamples: int = 1000,
    run: Run | None = None,
    counting: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Every score of some rows; also written to the run's scores.json when there is a run.

    counting: options of the metrics, such as tokens="words" for captions; those of the benchmark that the metrics know
    (LoVR's divisor) count too. Raises UsageError for one they do not have.
    """
    measure = measure_of(benchmark)
    given = dict(counting or {})
    known = [name for name in inspect.signature(measure.scores).parameters if name not in ("rows", "seed", "resamples")]
    strange = sorted(set(given) - set(known))
    if strange:
        there = f"there are {', '.join(known)}" if known else "it has none"
        raise UsageError(f"{benchmark.measure} metrics have no option {strange[0]!r}: {there}")
    given = {name: value for name, value in benchmark.options.items() if name in known} | given
    if given.get("meteor") is True:
        given["meteor"] = importlib.import_module("longshot.meteor").score
    found = measure.scores(rows, seed=seed, resamples=resamples, **given)
    said = {
        "format": FORMAT,
        "benchmark": benchmark.name,
        "kind": benchmark.kind,
        "fingerprint": benchmark.fingerprint,
        "legacy": benchmark.legacy,
        "n": len(rows),
        "states": _ended(found, rows),
        "seed": seed,
        "resamples": resamples,
        "counting": dict(counting or {}),
        "scores": [_plain(one) for one in found],
    }
    if run is not None:
        write_text(run.scores_path, json.dumps(said, indent=1, ensure_ascii=False) + "\n")
    return said


def _ended(found: Sequence[Score], rows: Sequence[Row]) -> dict[str, int]:
    """As the first score of all rows has it, which knows what cannot be read and what nobody judged."""
    first = next((one.states for one in found if not one.group and not one.legacy), {})
    return {**states_of([]), **first} if sum(first.values()) == len(rows) else states_of(rows)


def states_of(rows: Sequence[Row]) -> dict[str, int]:
    """How many rows ended in each of the four states."""
    counts = Counter(row.state for row in rows)
    return {state.value: counts[state] for state in State}


def headline(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The scores of all items, strict and legacy, without those of groups."""
    return [one for one in said["scores"] if not one["group"]]


def _plain(score: Score) -> dict[str, Any]:
    plain = asdict(score)
    for name in ("value", "low", "high"):
        value = plain[name]
        plain[name] = None if value is None or value != value else float(value)
    plain["states"] = dict(score.states)
    plain["group"] = dict(score.group)
    return plain

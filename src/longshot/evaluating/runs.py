"""A run: one folder that holds all of one measurement, and can be gone on with, repeated, judged or scored anew.

    run.json            what was measured, with what, where: enough to do it again and to say what differs
    predictions.jsonl   one line for each item that a model was asked about (predictions.<shard>.jsonl for shards)
    verdicts.jsonl      one line for each prediction that a judge was asked about
    scores.json         the numbers
    answers/            what models replied, so that nothing is asked twice
    vectors/            of a retrieval run

The lines are those of a journal: a kill loses at most the one being written. Items are joined by id, and where several
files hold one id, a done result counts before another, a later file before an earlier one.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from longshot import __version__
from longshot.errors import FormatError, UsageError
from longshot.items import Benchmark, Item, Prediction, Row, Verdict
from longshot.journal import Journal, Result, State, read_journal
from longshot.library import write_text
from longshot.timeline import Source

FORMAT = 1
_JUDGE = re.compile(r"[\w.-]{1,64}")
_PACKAGES = ("numpy", "av", "torch", "transformers", "open_clip_torch", "sentence-transformers", "httpx")


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of one run."""

    folder: Path

    @property
    def manifest_path(self) -> Path:
        """run.json."""
        return self.folder / "run.json"

    @property
    def scores_path(self) -> Path:
        """scores.json."""
        return self.folder / "scores.json"

    @property
    def verdicts_path(self) -> Path:
        """verdicts.jsonl."""
        return self.folder / "verdicts.jsonl"

    def predictions_path(self, shard: str = "") -> Path:
        """predictions.jsonl, or that of a shard such as "2-of-4"."""
        return self.folder / (f"predictions.{shard}.jsonl" if shard else "predictions.jsonl")

    def answers_path(self, shard: str = "", of: str = "model") -> Path:
        """The journal of what a model, or a judge, replied."""
        return self.folder / "answers" / (f"{of}.{shard}.jsonl" if shard else f"{of}.jsonl")

    def manifest(self) -> dict[str, Any]:
        """What run.json says. Raises FormatError when it is not there or cannot be read."""
        if not self.manifest_path.exists():
            raise FormatError(f"{self.folder}: holds no run; there is no {self.manifest_path.name}")
        try:
            said = json.loads(self.manifest_path.read_text(encoding="utf-8"))
            if said["format"] != FORMAT:
                raise FormatError(f"{self.manifest_path}: its format is {said['format']}, this version reads {FORMAT}")
            return dict(said)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FormatError(f"{self.manifest_path}: is no run's manifest ({error})") from error

    def predictions(self) -> dict[str, Prediction]:
        """Every prediction by item id, of all shards."""
        found: dict[str, Prediction] = {}
        for path in sorted(self.folder.glob("predictions*.jsonl"), key=lambda path: path.stat().st_mtime_ns):
            for id, result in read_journal(path).items():
                if id not in found or result.state is State.DONE or found[id].state is not State.DONE:
                    found[id] = prediction_of(id, result)
        return found

    def verdicts_of(self, judge: str = "") -> Path:
        """verdicts.jsonl, or that of one judge of several: verdicts.<judge>.jsonl. Raises UsageError for a bad name."""
        if judge and not _JUDGE.fullmatch(judge):
            raise UsageError(f"a judge's name is letters, digits, dot, dash and underscore, got {judge!r}")
        return self.folder / f"verdicts.{judge}.jsonl" if judge else self.verdicts_path

    def verdicts(self, judge: str = "") -> dict[str, Verdict]:
        """Every verdict by item id, of one judge of several where it is named."""
        path = self.verdicts_of(judge)
        if not path.exists():
            return {}
        results = read_journal(path)
        return {id: Verdict(id, result.state, result.value, result.reason) for id, result in results.items()}

    def rows(self, benchmark: Benchmark, *, judge: str = "") -> list[Row]:
        """Every item of a benchmark with what is known of it; a verdict on another prediction does not count."""
        predictions, verdicts = self.predictions(), self.verdicts(judge)
        rows = []
        for item in benchmark.items:
            prediction, verdict = predictions.get(item.id), verdicts.get(item.id)
            if verdict and verdict.value and verdict.value.get("of") not in (None, digest_of(prediction)):
                verdict = None
            rows.append(Row(item, prediction, verdict))
        return rows

    def write_manifest(self, said: Mapping[str, Any]) -> None:
        """Write run.json, whole or not at all."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{self.folder}: cannot be written: {error.strerror}; choose another folder") from error
        write_text(self.manifest_path, json.dumps(said, indent=1, ensure_ascii=False, sort_keys=True) + "\n")

    def begin(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Start a run, or go on with the one that is here.

        Raises UsageError, naming what differs, when the folder holds a run of something else.
        """
        if not self.manifest_path.exists():
            self.write_manifest(said)
            return dict(said)
        there = self.manifest()
        differing = differences(there, said, of=("benchmark", "model", "predict"))
        if differing:
            raise UsageError(f"{self.folder} holds another run ({'; '.join(differing)}); name another folder")
        return there


def prediction_of(id: str, result: Result) -> Prediction:
    """A journal's line as a prediction."""
    if result.state is not State.DONE or not isinstance(result.value, dict):
        return Prediction(id, result.state, result.value, result.reason)
    return Prediction(id, result.state, result.value.get("value"), result.reason, result.value.get("details") or {})


def record(journal: Journal, prediction: Prediction) -> None:
    """Write a prediction; on the disk when this returns."""
    value: dict[str, Any] | None = None
    if prediction.state is State.DONE:
        value = {"value": prediction.value}
        value |= {"details": dict(prediction.details)} if prediction.details else {}
    journal.record(prediction.id, Result(prediction.state, value, prediction.reason))


def digest_of(prediction: Prediction | None) -> str:
    """8 hex digits of what was predicted, by which a verdict knows what it is about."""
    said = json.dumps(prediction.value if prediction else None, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


def manifest(
    benchmark: Benchmark,
    *,
    data: str,
    model: Source,
    name: str,
    how: Mapping[str, Any],
    videos: Mapping[str, str],
    seed: int = 0,
) -> dict[str, Any]:
    """All that a run rests on. name: the model as it was asked for. how: the options of predicting.

    videos: for each video of the benchmark its content id, "" for one that is not there.
    """
    return {
        "format": FORMAT,
        "benchmark": {
            "name": benchmark.name,
            "kind": benchmark.kind,
            "items": len(benchmark.items),
            "fingerprint": benchmark.fingerprint,
            "options": dict(benchmark.options),
            "data": data,
        },
        "model": {"asked": name, "name": model.model, "revision": model.revision, "settings": dict(model.settings)},
        "predict": dict(how),
        "videos": {
            "there": sum(map(bool, videos.values())),
            "missing": sum(not id for id in videos.values()),
            "digest": _digest(sorted(videos.items())),
        },
        "seed": seed,
        "made_with": made_with(),
    }


def made_with() -> dict[str, Any]:
    """Versions and the machine."""
    packages = {}
    for package in _PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "longshot": __version__,
        "python": platform.python_version(),
        "packages": packages,
        "system": f"{sys.platform} {platform.machine()}",
        "cores": os.cpu_count() or 0,
    }


def differences(one: Mapping[str, Any], two: Mapping[str, Any], *, of: Sequence[str] = ()) -> list[str]:
    """What two manifests say differently, one line each: "model.revision: 3f… and 9c…". of: only these parts."""
    first, second = dict(_flat(one, of)), dict(_flat(two, of))
    return [
        f"{key}: {first.get(key, 'nothing')} and {second.get(key, 'nothing')}"
        for key in sorted({*first, *second})
        if first.get(key) != second.get(key)
    ]


def missing_of(items: Iterable[Item], places: Mapping[str, Path | None]) -> list[str]:
    """The videos that no file was found for, sorted, each once."""
    return sorted({item.video for item in items if places.get(item.video) is None})


def _flat(said: Mapping[str, Any], of: Sequence[str], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in said.items():
        if of and not before and key not in of:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, (), f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, ensure_ascii=False).encode(), digest_size=8).hexdigest()

"""Orders: all that a run depends on, from the command line or from a run.json. No model, and little to import."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from longshot.contracts import Loading
from longshot.errors import FormatError, UsageError
from longshot.evaluating.runs import Run, missing_of
from longshot.evaluating.sources import find_videos, load_benchmark
from longshot.items import Benchmark

SEED = 0


@dataclass(frozen=True)
class Order:
    """What is to be measured.

    benchmark: a name, or a TOML file of the user's. model: a chat model, an encoder (for retrieval) or "observer".
    data: the annotation, a file or a folder. videos: where the videos are; the folder of the data when empty. options:
    of the benchmark. settings, loading: of the model. prompt, frames, height: as in `evaluating.predict.Chat`. judge: a
    chat model that judges, where the benchmark needs one; "nli:NAME" judges offline. prompts: a folder with the judge's
    prompts. limit: only the first items, 0 for all.
    """

    benchmark: str
    model: str
    data: str = ""
    videos: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    loading: Loading = field(default_factory=Loading)
    prompt: str = ""
    frames: int = -1
    height: int = 480
    judge: str = ""
    judge_settings: Mapping[str, Any] = field(default_factory=dict)
    prompts: str = ""
    limit: int = 0
    seed: int = SEED

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Order:
        """An order from run.json. Raises UsageError for a field that is not known."""
        known = {one.name for one in fields(cls)}
        strange = sorted(set(said) - known)
        if strange:
            raise UsageError(f"an order has no field {strange[0]!r}: there are {', '.join(sorted(known))}")
        loading = Loading(**said.get("loading", {}))
        return cls(**{**said, "loading": loading})

    @classmethod
    def of_run(cls, run: Run) -> Order:
        """The order of a run. Raises FormatError for a run.json that has none, UsageError for a field not known."""
        said = run.manifest().get("order")
        try:
            if isinstance(said, Mapping):
                return cls.of(said)
        except TypeError:  # fields are missing, or of another kind
            pass
        raise FormatError(f"{run.manifest_path}: there is no order in it that a run could be made by")


@dataclass(frozen=True, slots=True)
class Opened:
    """A benchmark with its videos. missing: names that no file was found for."""

    benchmark: Benchmark
    places: Mapping[str, Path | None]
    missing: tuple[str, ...]


def open_benchmark(order: Order) -> Benchmark:
    """The benchmark of an order, as much of it as is wanted. Raises UsageError, FormatError."""
    if order.limit < 0:
        raise UsageError(f"a limit is a number of items, 0 for all, got {order.limit}")
    if order.frames < -1:
        raise UsageError(f"frames are at least 0, or -1 for the protocol's, got {order.frames}")
    benchmark = load_benchmark(order.benchmark, order.data or None, **order.options)
    return replace(benchmark, items=benchmark.items[: order.limit]) if order.limit else benchmark


def open_order(order: Order) -> Opened:
    """Read the annotation and look for the videos; no model is loaded. Raises UsageError, FormatError."""
    benchmark = open_benchmark(order)
    folder = order.videos or order.data or "."
    places = find_videos(benchmark, folder if os.path.isdir(folder) else os.path.dirname(folder) or ".")
    return Opened(benchmark, places, tuple(missing_of(benchmark.items, places)))


def shards(text: str) -> tuple[int, int]:
    """(2, 4) of "2/4". Raises UsageError."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UsageError(f"a shard is one of so many, such as 2/4, got {text!r}")
    return int(number), int(count)


def each_order(order: Order, names: list[str], out: Path) -> Iterator[tuple[Order, Path]]:
    """One order and one folder for each benchmark: the folder itself for one, folders inside it for several.

    With several, the data of one is its own folder below that of all, where there is one: DATA/dream-1k.
    """
    for name in names:
        stem = Path(name).stem if name.endswith(".toml") else name
        if len(names) == 1:
            yield replace(order, benchmark=name), out
            continue
        own = next((p for p in (Path(order.data, stem), Path(order.data, stem.replace("-", "_"))) if p.is_dir()), None)
        yield replace(order, benchmark=name, data=str(own) if order.data and own else order.data), out / stem

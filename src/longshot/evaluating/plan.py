"""What a run would take and what it could show, before anything is asked or loaded.

    plan(Order("dream-1k", model="http://127.0.0.1:8000/v1#name", data="DREAM-1K", judge="http://…#j")).judge_calls

Items and calls are exact; tokens and hours are estimates from the constants below, which a reader can replace. The
smallest difference is what a comparison of two such runs would find four times in five (`metrics.comparison`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from longshot import registry
from longshot.evaluating.orders import Order, open_benchmark
from longshot.items import Benchmark, Item, gallery_id
from longshot.metrics.comparison import smallest_difference, spread
from longshot.sampling import Sampler

TOKENS_PER_FRAME = 256
CHARS_PER_TOKEN = 4
PROMPT_TOKENS = 60
SAID_TOKENS = {"caption": 160, "mc-qa": 4, "open-qa": 20, "moments": 40}
JUDGE_TOKENS_IN, JUDGE_TOKENS_OUT = 600, 150
SECONDS_PER_CALL = 3.0
ALIKE = 0.1  # the correlation of two items of one video, where there are several


@dataclass(frozen=True, slots=True)
class Plan:
    """What one benchmark would take.

    model_calls: prompts of a chat model, or for retrieval videos and texts to encode. judge_calls: at most. tokens_in,
    tokens_out: of model and judge together, estimated. hours: at `seconds_per_call` and `slots` at once.
    smallest_difference: of two runs that would show, in points of 0..100, for a score that is right or wrong by item;
    None where none would.
    """

    benchmark: str
    kind: str
    items: int
    videos: int
    model_calls: int
    judge_calls: int
    tokens_in: int
    tokens_out: int
    seconds_per_call: float
    slots: int
    hours: float
    smallest_difference: float | None
    note: str


def plan(order: Order, *, seconds_per_call: float = SECONDS_PER_CALL, slots: int = 1) -> Plan:
    """What the run of an order would take. Reads the annotation alone: no video, no model, no network.

    Raises UsageError, FormatError for an annotation that cannot be read.
    """
    benchmark = open_benchmark(order)
    items = benchmark.items
    model_calls = _model_calls(order, benchmark)
    judge_calls = _judge_calls(order, items, benchmark.judge)
    asked = items if model_calls and benchmark.kind != "retrieval" else ()
    tokens_in = sum(_tokens_in(order, benchmark, item) for item in asked) + judge_calls * JUDGE_TOKENS_IN
    tokens_out = len(asked) * SAID_TOKENS.get(benchmark.kind, 0) + judge_calls * JUDGE_TOKENS_OUT
    return Plan(
        benchmark=benchmark.name,
        kind=benchmark.kind,
        items=len(items),
        videos=len({item.video for item in items}),
        model_calls=model_calls,
        judge_calls=judge_calls,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        seconds_per_call=seconds_per_call,
        slots=slots,
        hours=round((model_calls + judge_calls) * seconds_per_call / max(1, slots) / 3600, 2),
        smallest_difference=_smallest(items),
        note=_note(order, benchmark),
    )


def _model_calls(order: Order, benchmark: Benchmark) -> int:
    if order.model == "observer":
        return 0
    if benchmark.kind == "retrieval":
        return len(benchmark.items) + len({gallery_id(item.video, item.span) for item in benchmark.items})
    return len(benchmark.items)


def _judge_calls(order: Order, items: Sequence[Item], judge: str) -> int:
    """Of the judge that the benchmark needs; one that runs on this machine by itself (nli:NAME) asks nobody."""
    if not judge or order.judge.startswith("nli:"):
        return 0
    judging = registry.module("judges", judge).load(prompts=None)
    return sum(judging.calls(item) for item in items)


def _tokens_in(order: Order, benchmark: Benchmark, item: Item) -> int:
    text = len(item.ask) + sum(len(option) + 5 for option in item.options)
    return math.ceil(text / CHARS_PER_TOKEN) + PROMPT_TOKENS + TOKENS_PER_FRAME * _frames(order, benchmark, item)


def _frames(order: Order, benchmark: Benchmark, item: Item) -> int:
    """How many frames an item is asked with; where that hangs on a length that is not known, of 60 seconds."""
    if order.frames >= 0:
        return order.frames
    sampler: Sampler = benchmark.sampler
    if sampler.policy in ("middle", "endpoints"):
        return sampler.count
    seconds = item.span.length if item.span else float(item.gold.get("duration") or 60.0)
    count = math.ceil(seconds * (sampler.rate if sampler.policy == "fps" else 1 / sampler.seconds))
    return max(1, min(count, sampler.at_most or count))


def _smallest(items: Sequence[Item]) -> float | None:
    """In points, of a score that is right or wrong: half of the items right, as likely as not the same ones in both."""
    points = 100 * smallest_difference(spread(), [item.video for item in items], alike=ALIKE)
    return round(points, 2) if math.isfinite(points) else None


def _note(order: Order, benchmark: Benchmark) -> str:
    told = ["tokens and hours are estimates", f"{TOKENS_PER_FRAME} tokens a frame"]
    if benchmark.judge and not order.judge:
        told.append("scores need a judge, and none is named: its calls are counted all the same")
    told.append("the smallest difference is for two runs that disagree about a quarter of the items")
    return "; ".join(told)

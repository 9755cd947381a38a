"""Measure a model on a benchmark: predict, judge, score, report, in one run folder that can be gone on with.

    evaluate(Order("dream-1k", model="http://127.0.0.1:8000/v1#name", data="DREAM-1K", judge="http://…#j"), "runs/a")

An order is everything that a run depends on; it stands in run.json, so a run can be repeated from there alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from longshot import registry
from longshot.asking import Desk
from longshot.contracts import ChatModel, Loading, Progress
from longshot.errors import MediaError, UsageError
from longshot.evaluating.judge import decide, judge
from longshot.evaluating.orders import Order, open_order
from longshot.evaluating.predict import Chat, Observer, Predictor, Rows, predict
from longshot.evaluating.runs import Run, differences, manifest
from longshot.evaluating.score import score
from longshot.items import Benchmark
from longshot.models import open_chat_model, open_encoder
from longshot.settings import is_server
from longshot.video import open_video

OFFLINE = "nli:"
BROKEN = "broken"
"""Stands in a manifest for the content of a file that is no video."""
JUDGE_TOKENS = 1024


def evaluate(
    order: Order,
    out: str | os.PathLike[str],
    *,
    shard: tuple[int, int] = (1, 1),
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure, and give what scores.json says. A run that is in the folder is gone on with.

    With a shard of several, only predictions are made: judge and score when all shards are there.
    """
    opened = open_order(order)
    benchmark, run = opened.benchmark, Run(Path(out))
    if len(opened.missing) == len(opened.places) and opened.places:
        raise UsageError(
            f"none of the {len(opened.places)} videos of {benchmark.name} was found, such as "
            f"{opened.missing[0]}; say where they are: --videos DIR"
        )
    with ExitStack() as stack:
        predictor = _predictor(order, benchmark, stack, workers)
        # A run that is there keeps its manifest: its videos need not be read for their ids again.
        begun = run.manifest_path.exists()
        ids = {} if begun else {video: _id_of(path) for video, path in opened.places.items()}
        said = manifest(
            benchmark,
            data=order.data,
            model=predictor.source,
            name=order.model,
            how=predictor.how,
            videos=ids,
            seed=order.seed,
        )
        run.begin({**said, "order": _plain(order)})
        for _ in predict(benchmark, predictor, opened.places, run, shard=shard, progress=progress):
            pass
    if shard[1] > 1:
        return score(benchmark, run.rows(benchmark), seed=order.seed)
    if benchmark.judge and order.judge:
        judge_run(order, benchmark, run, progress=progress)
    return score(benchmark, run.rows(benchmark), seed=order.seed, run=run)


def judge_run(
    order: Order, benchmark: Benchmark, run: Run, *, name: str = "", progress: Progress | None = None
) -> None:
    """Judge every prediction of a run. Raises UsageError for a benchmark that needs no judge."""
    if not benchmark.judge:
        raise UsageError(f"{benchmark.name} needs no judge")
    prompts = Path(order.prompts) if order.prompts else None
    if order.judge.startswith(OFFLINE):
        if prompts:
            raise UsageError(f"{order.judge} asks nobody: leave the folder of prompts out")
        checkpoint = order.judge.removeprefix(OFFLINE)
        decider = registry.module("judges", "nli").load(checkpoint, of=benchmark.judge, loading=order.loading)
        for _ in decide(benchmark, run, decider, name=name, progress=progress):
            pass
        return
    judging = registry.module("judges", benchmark.judge).load(prompts=prompts)
    with Desk(open_judge(order.judge, loading=order.loading, settings=order.judge_settings)) as desk:
        for _ in judge(benchmark, run, judging, desk, name=name, progress=progress):
            pass


def open_judge(name: str, *, loading: Loading | None = None, settings: Mapping[str, Any] | None = None) -> ChatModel:
    """A chat model that is asked about texts only, with room for a label and a reason of each of many facts.

    Raises as `open_chat_model`.
    """
    usual: dict[str, Any] = {"max_new_tokens": JUDGE_TOKENS}
    if is_server(name):
        # It would be tried out with a clip otherwise, which costs calls and which many a judge refuses.
        usual["video"] = "none"
    return open_chat_model(name, loading=loading, settings={**usual, **(settings or {})})


def rerun(path: str | os.PathLike[str], out: str | os.PathLike[str], *, progress: Progress | None = None) -> list[str]:
    """Do the run of a run.json again in another folder, and say what differs between the two, one line each.

    Raises FormatError for a manifest that cannot be read, UsageError when the folder is the run's own.
    """
    before = Run(Path(path).parent if Path(path).is_file() else Path(path))
    if Path(out).resolve() == before.folder.resolve():
        raise UsageError(f"{out} is the run itself: name another folder to do it again in")
    said = before.manifest()
    evaluate(Order.of_run(before), out, progress=progress)
    after = Run(Path(out))
    found = differences(said, after.manifest(), of=("benchmark", "model", "predict", "videos", "seed", "made_with"))
    one, two = before.predictions(), after.predictions()
    changed = [id for id in one if id in two and one[id].value != two[id].value]
    if changed:
        found.append(f"predictions: {len(changed)} of {len(one)} differ, such as {changed[0]}")
    return found


def _predictor(order: Order, benchmark: Benchmark, stack: ExitStack, workers: int | None) -> Predictor:
    if order.model == "observer":
        return Observer(workers)
    if benchmark.kind == "retrieval":
        strange = sorted(set(order.settings) - {"dual_softmax"})
        if strange:
            raise UsageError(f"an encoder has no setting {strange[0]!r}: there are dual_softmax, and how it is loaded")
        encoder = open_encoder(order.model, loading=order.loading)
        return Rows(encoder, max(order.frames, 0), bool(order.settings.get("dual_softmax", False)))
    model = open_chat_model(order.model, loading=order.loading, settings=order.settings)
    return Chat(stack.enter_context(Desk(model)), order.prompt, order.frames, order.height)


def _id_of(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with open_video(path) as video:
            return video.id
    except MediaError:  # its items are unreadable, and the others are asked about
        return BROKEN


def _plain(order: Order) -> dict[str, Any]:
    said = asdict(order)
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in said.items()}

"""The commands that measure: eval, score, judge, compare, report, rerun. `cli` adds them to its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longshot.errors import FormatError, UsageError
from longshot.journal import State
from longshot.saying import OK, SOME_FAILED, complain, emit, emit_drawing, emit_json, is_json
from longshot.settings import cache_folder, check_loading, loading_of, settings_of

if TYPE_CHECKING:
    from longshot.evaluating.orders import Order
    from longshot.items import Benchmark, Row

app = typer.Typer()

Data = Annotated[
    str,
    typer.Option("--data", "-d", metavar="PATH", help="The official annotation: a file, or the folder that holds it."),
]
Videos = Annotated[str, typer.Option(metavar="DIR", help="Where the videos are; the folder of the data when not said.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="KEY=VALUE", help="Of the benchmark: task=temporal, split=test.", show_default=False
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Of the model, as in describe.", show_default=False),
]
AsJson = Annotated[bool | None, typer.Option("--json/--no-json", help="JSON; by default when stdout is no terminal.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr but what went wrong.")]
JudgeName = Annotated[
    str,
    typer.Option("--judge", metavar="NAME", help="A chat model or server that judges, where the benchmark needs one."),
]
JudgeSettings = Annotated[
    list[str] | None, typer.Option("--judge-set", metavar="KEY=VALUE", help="Of the judge.", show_default=False)
]
Prompts = Annotated[str, typer.Option(metavar="DIR", help="A folder with prompts that replace the judge's own.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]


@app.command(
    "eval",
    help="Measure a model: predict, judge, score and report, in a folder that can be gone on with after a kill.",
    short_help="Measure a model on benchmarks.",
)
def _eval(
    benchmarks: Annotated[
        list[str],
        typer.Argument(
            metavar="BENCHMARK...",
            help="Names, kinds (caption, retrieval, moments, mc-qa, open-qa), all, or a TOML file of yours.",
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME", help="A chat model, an encoder for retrieval, or observer.")
    ] = "observer",
    data: Data = "",
    videos: Videos = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="RUN", help="The folder of the run.")] = None,
    judge: JudgeName = "",
    judge_sets: JudgeSettings = None,
    prompts: Prompts = "",
    prompt: Annotated[str, typer.Option(metavar="NAME", help="What is asked; the benchmark's own when not said.")] = "",
    frames: Annotated[int, typer.Option(metavar="N", help="Frames a video; -1 for the benchmark's protocol.")] = -1,
    options: Options = None,
    sets: Settings = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    remote_code: Annotated[bool, typer.Option("--remote-code", help="Run the Python files of the checkpoint.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", help="Only the first items; 0 for all.")] = 0,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Only this part of the items, beside other processes.")
    ] = "1/1",
    seed: Annotated[int, typer.Option(metavar="N", help="Of the resampling behind the intervals.")] = 0,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what it would take, and which difference would show.")
    ] = False,
    as_json: AsJson = None,
    quiet: Quiet = False,
) -> int:
    from longshot.evaluating.orders import Order, each_order, shards
    from longshot.evaluating.sources import benchmarks_meant

    loading, settings = loading_of(sets or (), device, remote_code)
    check_loading(model, loading)
    order = Order(
        benchmark="",
        model=model,
        data=data,
        videos=videos,
        options=settings_of(options or ()),
        settings=settings,
        loading=loading,
        prompt=prompt,
        frames=frames,
        judge=judge,
        judge_settings=settings_of(judge_sets or ()),
        prompts=prompts,
        limit=limit,
        seed=seed,
    )
    names = benchmarks_meant(benchmarks)
    if not data and all(name.startswith("demo-") for name in names):
        order = replace(order, data=str(cache_folder() / "demo"))
    if plan:
        return _plan(order, names, as_json)
    if output is None:
        raise UsageError("a run needs a folder to be kept in: say which, with -o RUN")
    failed = 0
    for one, folder in each_order(order, names, output):
        try:
            failed += _evaluate(one, folder, shards(shard), as_json, quiet)
        except (UsageError, FormatError) as error:
            if len(names) == 1:
                raise
            # Others may well be measured: their files are there.
            complain(f"{one.benchmark} is left out: {error}")
            failed += 1
    return SOME_FAILED if failed else OK


def _evaluate(order: Order, folder: Path, shard: tuple[int, int], as_json: bool | None, quiet: bool) -> int:
    """Measure on one benchmark, show and report it; how many items failed."""
    from longshot.evaluating.evaluate import evaluate
    from longshot.evaluating.orders import open_order
    from longshot.evaluating.runs import Run
    from longshot.evaluating.score import states_of
    from longshot.terminal import Meter, plain

    opened = open_order(order)
    if opened.missing and not quiet:
        some = ", ".join(map(plain, opened.missing[:3])) + (", …" if len(opened.missing) > 3 else "")
        complain(f"{order.benchmark}: {len(opened.missing)} of {len(opened.places)} videos are missing: {some}")
    if opened.benchmark.judge and not order.judge and not quiet:
        complain(f"{order.benchmark}: its scores need a judge: add --judge, or later: longshot judge {folder}")
    with Meter(f"eval {order.benchmark}", quiet=quiet) as meter:
        said = evaluate(order, folder, shard=shard, progress=meter)
    _show(said, as_json)
    # What waits for a judge, or for another shard, has not failed.
    tried = [row for row in Run(folder).rows(opened.benchmark) if row.prediction]
    _say_why(order.benchmark, tried)
    if shard[1] == 1:
        _write_report(folder, opened.benchmark, opened.places)
    return states_of(tried)["failed"]


def _say_why(name: str, rows: Sequence[Row]) -> None:
    """What kept items from being done, by the first reason."""
    reasons = [(one.verdict or one.prediction).reason for one in rows if one.state is not State.DONE and one.prediction]
    if reasons:
        complain(
            f"{name}: {len(reasons)} of {len(rows)} items are not done; the first: {reasons[0] or 'no reason given'}"
        )


@app.command(
    "score",
    help="Scores of a run, or of predictions from any program: no model, no network, no GPU.",
    short_help="Scores of predictions, without a model.",
)
def _score(
    source: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="A run, or a file of predictions.")],
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", metavar="NAME", help="A name, or a TOML file.")] = "",
    data: Data = "",
    options: Options = None,
    counting: Annotated[
        list[str] | None,
        typer.Option(
            "--count",
            metavar="KEY=VALUE",
            help="Of the metrics: tokens=words, meteor=true, plain=true.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the resampling behind the intervals.")] = 0,
    as_json: AsJson = None,
    quiet: Quiet = False,
) -> int:
    from longshot.evaluating.exchange import read_predictions
    from longshot.evaluating.score import score
    from longshot.evaluating.sources import load_benchmark
    from longshot.items import Row

    if source.is_dir():
        opened, run = _run_of(source)
        _show(score(opened, run.rows(opened), seed=seed, run=run, counting=settings_of(counting or ())), as_json)
        return OK
    if not benchmark:
        raise UsageError("a file of predictions does not say what was asked: add --benchmark NAME --data TRUTH")
    read = load_benchmark(benchmark, data or None, **settings_of(options or ()))
    found, problems = read_predictions(source, read)
    for problem in problems if not quiet else ():
        complain(problem)
    _show(
        score(
            read,
            [Row(item, found.get(item.id)) for item in read.items],
            seed=seed,
            counting=settings_of(counting or ()),
        ),
        as_json,
    )
    return OK


@app.command(
    "judge",
    help="Ask a judge about the predictions of a run, and score it; several judges may lie side by side.",
    short_help="Judge the predictions of a run.",
)
def _judge(
    run: RunFolder,
    judge: JudgeName = "",
    judge_sets: JudgeSettings = None,
    prompts: Prompts = "",
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Keep these verdicts beside others, as verdicts.NAME.jsonl.")
    ] = "",
    agreement: Annotated[
        list[str] | None,
        typer.Option(
            "--agreement", metavar="NAME", help="Instead: how far judges of these names agree.", show_default=False
        ),
    ] = None,
    as_json: AsJson = None,
    quiet: Quiet = False,
) -> int:
    from longshot.evaluating.agree import agreement as agree
    from longshot.evaluating.evaluate import judge_run
    from longshot.evaluating.orders import Order
    from longshot.evaluating.score import score
    from longshot.terminal import Meter

    benchmark, there = _run_of(run)
    if agreement:
        for row in agree(benchmark, there, agreement):
            emit_json(row)
        return OK
    if not judge:
        raise UsageError("judging needs a judge: say which, with --judge NAME")
    order = replace(Order.of_run(there), judge=judge, judge_settings=settings_of(judge_sets or ()), prompts=prompts)
    with Meter("judge", quiet=quiet) as meter:
        judge_run(order, benchmark, there, name=name, progress=meter)
    rows = there.rows(benchmark, judge=name)
    said = score(benchmark, rows, seed=order.seed, run=None if name else there)
    _show(said, as_json)
    _say_why(benchmark.name, [row for row in rows if row.prediction])
    return SOME_FAILED if said["states"]["failed"] else OK


@app.command("compare", help="Two runs of one benchmark, item by item: is the difference real?")
def _compare(
    one: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    two: Annotated[Path, typer.Argument(metavar="OTHER", help="The folder of another.")],
    seed: Annotated[int, typer.Option(metavar="N", help="Of the resampling.")] = 0,
    as_json: AsJson = None,
) -> int:
    from longshot.evaluating.compare import compare
    from longshot.terminal import compared

    benchmark, first = _run_of(one)
    rows = compare(benchmark, first, _run_of(two)[1], seed=seed)
    if is_json(as_json):
        for row in rows:
            emit_json(asdict(row))
    else:
        emit_drawing(compared(rows, str(one), str(two)))
    return OK


@app.command(
    "report", help="Write a run as one HTML page, alone or beside another run, or as the files of lmms-eval or mteb."
)
def _report(
    run: RunFolder,
    against: Annotated[Path | None, typer.Option(metavar="RUN", help="Another run, side by side.")] = None,
    to: Annotated[str, typer.Option(metavar="FORM", help="html, lmms-eval, or mteb (retrieval only).")] = "html",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The page; report.html in the run when not said."),
    ] = None,
) -> int:
    from longshot.evaluating.orders import Order, open_order

    benchmark, there = _run_of(run)
    if to != "html":
        from longshot.evaluating import exchange

        writers = {"lmms-eval": exchange.write_lmms_eval, "mteb": exchange.write_mteb}
        if to not in writers:
            raise UsageError(f"no form called {to!r}: there are html, {', '.join(writers)}")
        for path in writers[to](benchmark, there, output or run):
            emit(f"{path}\n")
        return OK
    places = open_order(Order.of_run(there)).places
    emit(f"{_write_report(run, benchmark, places, against=against, output=output)}\n")
    return OK


@app.command("rerun", help="Do a run again from its run.json, and name what differs.")
def _rerun(
    manifest: Annotated[Path, typer.Argument(metavar="RUN", help="A run, or its run.json.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="RUN", help="The folder of the new run.")
    ] = None,
    quiet: Quiet = False,
) -> int:
    from longshot.evaluating.evaluate import rerun
    from longshot.terminal import Meter

    if output is None:
        raise UsageError("the new run needs a folder: say which, with -o RUN")
    with Meter("rerun", quiet=quiet) as meter:
        found = rerun(manifest, output, progress=meter)
    for line in found or ["nothing differs"]:
        emit(f"{line}\n")
    return OK


def _run_of(folder: Path) -> tuple[Benchmark, Any]:
    """The benchmark and the run of a folder."""
    from longshot.evaluating.orders import Order, open_benchmark
    from longshot.evaluating.runs import Run

    run = Run(folder)
    return open_benchmark(Order.of_run(run)), run


def _write_report(
    folder: Path,
    benchmark: Benchmark,
    places: Mapping[str, Path | None],
    *,
    against: Path | None = None,
    output: Path | None = None,
) -> Path:
    from longshot.evaluating.report import report
    from longshot.evaluating.runs import Run
    from longshot.library import write_text

    page = output or folder / "report.html"
    other = Run(against) if against else None
    write_text(page, report(benchmark, Run(folder), other=other, places=places, page=page))
    return page


def _show(said: Mapping[str, Any], as_json: bool | None) -> None:
    from longshot.terminal import scores

    if is_json(as_json):
        emit_json(said)
    else:
        emit_drawing(scores(said))


def _plan(order: Order, names: Sequence[str], as_json: bool | None) -> int:
    from longshot.evaluating.orders import each_order
    from longshot.evaluating.plan import plan

    for one, _ in each_order(order, list(names), Path()):
        try:
            said = asdict(plan(one))
        except (UsageError, FormatError) as error:
            if len(names) == 1:
                raise
            complain(f"{one.benchmark} is left out: {error}")
            continue
        if is_json(as_json):
            emit_json(said)
        else:
            emit("".join(f"{name.replace('_', ' ')}: {value}\n" for name, value in said.items()))
    return OK

"""Predictions from other programs, to score them here, and results for other programs to read.

    predictions, problems = read_predictions("submission.jsonl", benchmark)
    write_lmms_eval(benchmark, Run("runs/a"), "out")          # results and samples
    write_mteb(benchmark, Run("runs/a"), "out")               # retrieval

The form of a file is told from its content (`evaluating._forms`); gzip and a byte order mark make no difference. Each
fault has one outcome:

    what is wrong                             what happens
    a field missing or misnamed               FormatError: file, line, field, the nearest name
    a value of another type                   FormatError: file, line, what was wanted, what came
    not JSON                                  FormatError: file, line
    a last line cut off in its middle         left out, and said
    one id twice, the same prediction         counts once, and said
    one id twice, done and failed             the done one counts, and said
    one id twice, two predictions             FormatError: nobody knows which is meant (a journal of ours: the last)
    ids that the benchmark has not            left out, and said
    no id that the benchmark has              FormatError: another benchmark
    no prediction for an item                 the item counts as failed, and said
    null, "<error>"                           the item is failed
    an empty list of windows                  done: it says "nowhere"
    NaN, reversed or negative windows         kept as they came, and said: `metrics.moments` counts them as misses
    a window without a score                  kept: the n-th has 1 / n
    saliency that is not all finite           left out, and said
    a text where windows are wanted           read as a reply (`metrics.moments.read_windows`), else unreadable
    items known by place alone                joined by place if what the file holds as truth agrees, else FormatError
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from longshot import __version__
from longshot.benchmarks._reading import Record, nearest, parse_json, read_text, shown
from longshot.errors import FormatError, UsageError
from longshot.evaluating._forms import Entry, Form, form_of, keyed_records
from longshot.evaluating.runs import Run
from longshot.evaluating.score import score
from longshot.items import Benchmark, Item, Prediction, Row
from longshot.journal import State
from longshot.library import write_text
from longshot.metrics.answers import LETTERS
from longshot.metrics.moments import NoWindows, read_windows

_AGREEING = 0.9  # of the truths that a file holds, so many must be ours before items are joined by place
_UNKNOWN_LENGTH = 1e9  # seconds: windows of a video whose length is not in the annotation are not cut


def read_predictions(path: str | os.PathLike[str], benchmark: Benchmark) -> tuple[dict[str, Prediction], list[str]]:
    """Every prediction of a file by item id, and what a reader should know of the file, one line each.

    Raises FormatError for a file that cannot be read or is of another benchmark; see the table above.
    """
    place = Path(path)
    problems = _Problems(place)
    records = _records(place, problems)
    form = form_of(records[0])
    entries = [form.entry(record) for record in records]
    known = {item.id: item for item in benchmark.items}
    ids = _joined(entries, benchmark, known, problems)
    found: dict[str, Prediction] = {}
    for entry, id in zip(entries, ids, strict=True):
        if id is None:
            problems.add("rows of no item of this benchmark, left out", entry.ids[0])
            continue
        prediction = _prediction(entry, known[id], benchmark, problems)
        before = found.get(id)
        found[id] = prediction if before is None else _one_of(before, prediction, entry, form, problems)
    for id in known:
        if id not in found:
            problems.add("items without a prediction, which count as failed", id)
    return found, problems.lines()


class _Problems:
    """What is odd about a file: one line for each kind, with a few examples."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: defaultdict[str, list[str]] = defaultdict(list)
        self._notes: list[str] = []

    def note(self, line: str) -> None:
        self._notes.append(line)

    def add(self, what: str, example: str) -> None:
        self._found[what].append(example)

    def lines(self) -> list[str]:
        return [f"{self._path}: {one}" for one in self._notes] + [
            f"{self._path}: {len(those)} {what}: {', '.join(those[:3])}{', …' if len(those) > 3 else ''}"
            for what, those in self._found.items()
        ]


def _records(path: Path, problems: _Problems) -> list[Record]:
    """The records of a JSON or JSON lines file, at least one."""
    text = read_text(path)
    start = text.lstrip()[:1]
    if start == "[" or (start == "{" and not _is_lines(text)):
        said = _parsed(text, path)
        records = keyed_records(said, str(path)) if isinstance(said, Mapping) else _listed(said, path)
    else:
        records = list(_lines(text, path, problems))
    if not records:
        raise FormatError(f"{path}: not one prediction")
    return records


def _is_lines(text: str) -> bool:
    """Whether the first line is a whole record by itself: so a file of one such line is one of JSON lines."""
    first = text.lstrip().split("\n", 1)[0].strip()
    if not first.endswith("}"):
        return False
    try:
        said = json.loads(first)
    except ValueError:
        return "\n" in text.strip()
    if "\n" in text.strip():
        return True
    return isinstance(said, dict) and any(name in said for name in ("id", "qid", "doc_id", "idx"))


def _parsed(text: str, path: Path, line: int = 0) -> Any:
    """As `parse_json`, but NaN and Infinity are let pass: they make a window wrong, not the file."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return parse_json(text, str(path), line=line)


def _listed(said: Any, path: Path) -> list[Record]:
    records = []
    for number, one in enumerate(said, 1):
        if not isinstance(one, Mapping):
            raise FormatError(f"{path}, record {number}: an object with named fields is wanted, got {shown(one)}")
        records.append(Record(one, f"{path}, record {number}"))
    return records


def _lines(text: str, path: Path, problems: _Problems) -> Iterator[Record]:
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            said = _parsed(line, path, number)
        except FormatError:
            # A program that was killed leaves a line without its end, and only the last can be such a one.
            if number < len(lines) or number == 1:
                raise
            problems.add("line cut off at the end of the file, left out", f"line {number}")
            return
        if not isinstance(said, Mapping):
            raise FormatError(f"{path}, line {number}: an object with named fields is wanted, got {shown(said)}")
        yield Record(said, f"{path}, line {number}")


def _joined(
    entries: Sequence[Entry], benchmark: Benchmark, known: Mapping[str, Item], problems: _Problems
) -> list[str | None]:
    """The item of each entry: by the first way to spell an id that finds any, the same way for all."""
    for way in range(max(len(entry.ids) for entry in entries)):
        ids = [entry.ids[way] if way < len(entry.ids) and entry.ids[way] in known else None for entry in entries]
        if any(id is not None for id in ids):
            return ids
    if all(entry.place is not None for entry in entries):
        return _by_place(entries, benchmark, problems)
    close = nearest(entries[0].ids[0], known)
    hint = f"; is {close[0]!r} it?" if close else f"; its ids are like {next(iter(known), '')!r}"
    raise FormatError(
        f"{entries[0].where}: {benchmark.name} has no item {entries[0].ids[0]!r}, nor any other of this file{hint}"
    )


def _by_place(entries: Sequence[Entry], benchmark: Benchmark, problems: _Problems) -> list[str | None]:
    """By the number of the item. Raises FormatError where the truth in the file shows that numbers differ."""
    items = benchmark.items
    ids = [items[e.place].id if e.place is not None and e.place < len(items) else None for e in entries]
    checked: list[bool] = []
    for entry in entries:
        if entry.place is not None and entry.place < len(items) and entry.truth is not None:
            agrees = _agrees(entry.truth, items[entry.place], benchmark.kind)
            checked += [] if agrees is None else [agrees]
    if checked and sum(checked) < _AGREEING * len(checked):
        raise FormatError(
            f"{entries[0].where}: items are known by number alone, and what the file holds as true is not what "
            f"{benchmark.name} has at these numbers ({sum(checked)} of {len(checked)} agree)"
        )
    said = f"{sum(checked)} of {len(checked)} truths agree" if checked else "nothing shows that the order is the same"
    problems.note(f"rows are joined by their number: {said}")
    return ids


def _agrees(truth: Any, item: Item, kind: str) -> bool | None:
    """Whether what a file holds as true is the gold of an item; None where that cannot be said."""
    said = _plain(str(truth))
    if kind == "mc-qa" and "option" in item.gold:
        right = int(item.gold["option"])
        return said in (LETTERS[right].casefold(), _plain(item.options[right]))
    golds = item.gold.get("references" if kind == "caption" else "answers", ())
    return any(_plain(str(gold)) in said for gold in golds) if golds else None


def _plain(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().casefold()


def _one_of(before: Prediction, now: Prediction, entry: Entry, form: Form, problems: _Problems) -> Prediction:
    """Which of two predictions of one item counts. Raises FormatError when nobody can know."""
    done = [one for one in (before, now) if one.state is State.DONE]
    if form.last:
        return done[-1] if done else now
    if len(done) == 2 and before.value != now.value:
        raise FormatError(f"{entry.where}: the id {now.id!r} stands twice with different predictions; leave one")
    problems.add("ids that stand twice and count once", now.id)
    return done[0] if done else now


def _prediction(entry: Entry, item: Item, benchmark: Benchmark, problems: _Problems) -> Prediction:
    if entry.state is not State.DONE:
        return Prediction(item.id, entry.state, None, entry.reason, entry.details)
    try:
        value = _READERS[benchmark.kind](entry, item, problems)
    except NoWindows as error:
        return Prediction(item.id, State.UNREADABLE, None, str(error), entry.details)
    return Prediction(item.id, State.DONE, value, "", entry.details)


def _wrong(entry: Entry, wanted: str, got: Any) -> FormatError:
    return FormatError(f"{entry.where}: {wanted} is wanted as a prediction, got {shown(got)}")


def _text(entry: Entry, item: Item, problems: _Problems) -> str:
    said = entry.said
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if isinstance(said, int) and not isinstance(said, bool):
        return str(said)
    if not isinstance(said, str):
        raise _wrong(entry, "a text", said)
    return said


def _windows(entry: Entry, item: Item, problems: _Problems) -> dict[str, Any]:
    said = entry.said
    if isinstance(said, str):
        length = float(item.gold.get("duration") or _UNKNOWN_LENGTH)
        return {"windows": read_windows(said, duration=length)}
    saliency = said.get("saliency") if isinstance(said, Mapping) else None
    windows = said.get("windows") if isinstance(said, Mapping) else said
    if not isinstance(windows, list):
        raise _wrong(entry, "a list of windows, [[start, end, score], ...],", windows)
    for window in windows:
        if not (isinstance(window, list) and len(window) in (2, 3) and all(map(_is_number, window))):
            raise _wrong(entry, "a window, [start, end] or [start, end, score],", window)
        if not all(map(math.isfinite, window)):
            problems.add("windows that are not finite: they find nothing or, by score, come last", item.id)
        elif window[0] < 0:
            problems.add("windows before the start of the video", item.id)
        elif window[1] <= window[0]:
            problems.add("windows that end before they start, which count as misses", item.id)
    found: dict[str, Any] = {"windows": [[float(number) for number in window] for window in windows]}
    if saliency is not None:
        if not (isinstance(saliency, list) and all(map(_is_number, saliency))):
            raise _wrong(entry, "a list of numbers as saliency", saliency)
        if all(map(math.isfinite, saliency)):
            found["saliency"] = [float(number) for number in saliency]
        else:
            problems.add("lists of saliency that are not finite, left out", item.id)
    return found


def _ranks(entry: Entry, item: Item, problems: _Problems) -> dict[str, Any]:
    said = entry.said
    if not isinstance(said, Mapping) or "text_to_video" not in said:
        raise _wrong(entry, '{"text_to_video": [rank, ...], "video_to_text": [rank, ...] or null}', said)
    found: dict[str, Any] = {}
    for way in ("text_to_video", "video_to_text"):
        ranks = said.get(way)
        if ranks is None and way == "video_to_text":
            found[way] = None
            continue
        right = isinstance(ranks, list) and all(isinstance(one, int) and one >= 1 for one in ranks)
        if not right:
            raise _wrong(entry, f"a list of ranks from 1 as {way!r}", ranks)
        found[way] = list(ranks or ())
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_READERS: Mapping[str, Callable[[Entry, Item, _Problems], Any]] = {
    "caption": _text,
    "mc-qa": _text,
    "open-qa": _text,
    "moments": _windows,
    "retrieval": _ranks,
}


# --- for other programs


def scores_of(benchmark: Benchmark, run: Run, rows: Sequence[Row]) -> dict[str, Any]:
    """What scores.json says, made now where it is not there. Raises FormatError for one that cannot be read."""
    if not run.scores_path.exists():
        return score(benchmark, rows)
    try:
        said: dict[str, Any] = json.loads(run.scores_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{run.scores_path}: cannot be read ({error}); score the run again") from error
    return said


def write_lmms_eval(benchmark: Benchmark, run: Run, out: str | os.PathLike[str]) -> list[Path]:
    """The results and the samples of a run as lmms-eval writes them, `<model>/<date>_results.json` and its samples.

    Scores are in 0..1, as there, where ours are in percent; the standard error is the width of our 95 % interval over
    3.92. Gives the two paths.
    """
    manifest, rows = run.manifest(), run.rows(benchmark)
    folder = Path(out) / _file_name(str(manifest["model"]["name"]))
    date = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    results = folder / f"{date}_results.json"
    samples = folder / f"{date}_samples_{_file_name(benchmark.name)}.jsonl"
    write_text(results, _json(lmms_results(benchmark, scores_of(benchmark, run, rows), manifest), indent=1))
    write_text(samples, "".join(map(_json, lmms_samples(benchmark, rows))))
    return [results, samples]


def lmms_results(benchmark: Benchmark, said: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into lmms-eval's results file. said: as scores.json. manifest: as run.json."""
    metrics: dict[str, Any] = {"alias": benchmark.name}
    for one in said["scores"]:
        if one["group"]:
            continue
        scale = 0.01 if one["unit"] == "%" else 1.0
        filter = "legacy" if one["legacy"] else "none"
        error = None if one["low"] is None else scale * (one["high"] - one["low"]) / 3.92
        metrics[f"{one['name']},{filter}"] = None if one["value"] is None else scale * one["value"]
        metrics[f"{one['name']}_stderr,{filter}"] = "N/A" if error is None else error
        metrics[f"{one['name']}_stderr_clustered,{filter}"] = "N/A" if error is None else error
    model = manifest["model"]
    return {
        "results": {benchmark.name: metrics},
        "configs": {
            benchmark.name: {
                "task": benchmark.name,
                "output_type": "generate_until",
                "metadata": {"fingerprint": benchmark.fingerprint, **benchmark.options},
            }
        },
        "versions": {benchmark.name: benchmark.fingerprint},
        "n-shot": {benchmark.name: 0},
        "n-samples": {benchmark.name: {"original": len(benchmark.items), "effective": said["n"]}},
        "higher_is_better": {},
        "config": {"model": model["asked"], "model_args": _json(model["settings"]).strip(), "limit": None},
        "model_name": model["name"],
        "git_hash": "",
        "task_hashes": {benchmark.name: benchmark.fingerprint},
        "made_with": {"longshot": __version__},
    }


def lmms_samples(benchmark: Benchmark, rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """One line of lmms-eval's samples file for each item, its place in the annotation as doc_id."""
    for place, row in enumerate(rows):
        value = row.prediction.value if row.prediction else None
        text = value if isinstance(value, str) else "" if value is None else _json(value).strip()
        yield {
            "doc_id": place,
            "target": _target(row.item, benchmark.kind),
            "input": row.item.ask,
            "filtered_resps": [text],
            "doc_hash": "",
            "id": row.item.id,
            "video": row.item.video,
            "status": row.state.value,
        }


def write_mteb(benchmark: Benchmark, run: Run, out: str | os.PathLike[str]) -> list[Path]:
    """The scores of a retrieval run as mteb writes them: `results/<model>/<revision>/<task>.json` and a model card.

    Raises UsageError for a benchmark of another kind.
    """
    if benchmark.kind != "retrieval":
        raise UsageError(f"mteb knows retrieval, and {benchmark.name} is of the kind {benchmark.kind}")
    manifest = run.manifest()
    model = manifest["model"]
    folder = (
        Path(out) / "results" / _file_name(str(model["name"])) / _file_name(str(model["revision"]) or "no_revision")
    )
    task = folder / f"{_file_name(benchmark.name)}.json"
    card = folder / "model_meta.json"
    write_text(task, _json(mteb_result(benchmark, scores_of(benchmark, run, run.rows(benchmark))), indent=1))
    write_text(card, _json({"name": model["name"], "revision": model["revision"], "languages": None}, indent=1))
    return [task, card]


def mteb_result(benchmark: Benchmark, said: Mapping[str, Any], *, split: str = "test") -> dict[str, Any]:
    """What goes into mteb's file of one task: text to video under mteb's names, all strict scores under ours, in 0..1.

    The main score is nDCG@10 where there is one, as in mteb's retrieval tasks, else R@1.
    """
    subset: dict[str, Any] = {}
    for one in said["scores"]:
        if not one["group"] and not one["legacy"] and one["value"] is not None:
            subset[_mteb_name(one["name"])] = one["value"] / (100.0 if one["unit"] == "%" else 1.0)
    main = next((name for name in ("ndcg_at_10", "recall_at_1") if name in subset), "")
    return {
        "dataset_revision": str(benchmark.options.get("revision", benchmark.fingerprint)),
        "task_name": benchmark.name,
        "mteb_version": f"longshot {__version__}",
        "scores": {
            str(benchmark.options.get("split", split)): [
                {
                    **subset,
                    "main_score": subset.get(main),
                    "hf_subset": "default",
                    "languages": ["eng-Latn"],
                }
            ]
        },
        "evaluation_time": None,
        "kg_co2_emissions": None,
    }


def hub_results(said: Mapping[str, Any], manifest: Mapping[str, Any], *, dataset: str, date: str) -> str:
    """The headline scores as a file for a model's `.eval_results/` folder: YAML, one entry for each strict score.

    dataset: its id on the hub. date: "2026-01-31". JSON strings are YAML strings too, so nothing needs escaping.
    """
    model = json.dumps(manifest["model"]["name"], ensure_ascii=False)
    lines = []
    for one in said["scores"]:
        if one["group"] or one["legacy"] or one["value"] is None:
            continue
        failed = said["n"] - said["states"]["done"]
        bounds = "" if one["low"] is None else f", 95 % {one['low']:.2f} to {one['high']:.2f}"
        notes = f"n={one['n']}, {failed} not done{bounds}, model {model}, longshot {__version__}"
        task = json.dumps(f"{said['benchmark']}/{one['name']}", ensure_ascii=False)
        lines += [
            f"- dataset:\n    id: {json.dumps(dataset)}\n    task_id: {task}",
            f"  value: {one['value']:.4f}\n  date: {json.dumps(date)}",
            f"  notes: {json.dumps(notes, ensure_ascii=False)}",
        ]
    return "\n".join(lines) + "\n" if lines else "[]\n"


def _mteb_name(name: str) -> str:
    """Mteb's name of a score of ours: "R@1 text to video" is "recall_at_1"; what it has no name for keeps its own."""
    head, _, way = name.partition(" ")
    named = re.fullmatch(r"(R|nDCG|mAP|MRR)(?:@(\d+))?", head)
    if not named or way not in ("", "text to video"):
        return name
    stem = {"R": "recall", "nDCG": "ndcg", "mAP": "map", "MRR": "mrr"}[named[1]]
    return f"{stem}_at_{named[2]}" if named[2] else stem


def _target(item: Item, kind: str) -> str:
    if kind == "mc-qa" and "option" in item.gold:
        return LETTERS[int(item.gold["option"])]
    texts = item.gold.get("references" if kind == "caption" else "answers")
    return str(texts[0]) if texts else _json(dict(item.gold)).strip()


def _file_name(text: str) -> str:
    """A name that can be a folder's: "org/model" is "org__model", as both programs write it."""
    return re.sub(r"[^\w.-]", "_", text.replace("/", "__"))[:120].lstrip(".") or "model"


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent) + "\n"

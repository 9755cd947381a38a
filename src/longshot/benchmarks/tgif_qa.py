"""TGIF-QA: what is seen, counted, repeated and changed in three seconds of GIF, open or with five options.

Jang, Song, Yu, Kim, Kim: TGIF-QA: Toward Spatio-Temporal Reasoning in Visual Question Answering. CVPR 2017. Licence:
for academic purposes only (the authors' repository); the GIFs are those of TGIF.

    source      github.com/YunseokJANG/tgif-qa, folder dataset/:
                {Test,Train,Total}_{frameqa,count,action,transition}_question.csv, with tabs between the columns.
    revision    the extended set of December 2017.
    counts      test has 13,691 questions of frameqa, 3,554 of count, 2,274 of action, 6,232 of transition [the paper's,
                not counted here].

    frameqa, tabs written as spaces:
    gif_name question answer type vid_id key description
    tumblr_ab12 what is the cat jumping over ? box 0 FRAMEQA3 25889 a cat jumps over a box .

Option `task`: "frameqa" (open, the one that chat models are measured on; types 0 to 3 are object, number, colour and
location), "count" (open, a number of times), "action" and "transition" (a choice of a1 to a5, `answer` counts from 0).
CAUTION: `split` is test unless it says train or total. Counting is judged right or wrong here, where the authors take
the mean squared difference. Open answers are judged by `answers`. Tarsier's TGIF-QA-test.jsonl (frameqa) is read as
well. Ids are the task and the column vid_id: "frameqa/FRAMEQA3", with "#2" where one stands again. Frames: 8 from the
first to the last, as Tarsier v1 looks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longshot.benchmarks._questions import (
    JUDGED_ONLY,
    READABLE_ONLY,
    Made,
    choice,
    is_tarsier,
    open_question,
    tarsier_answer,
)
from longshot.benchmarks._reading import (
    Record,
    choose,
    find_file,
    fingerprint,
    nearest,
    read_records,
    read_text,
    unique_items,
)
from longshot.benchmarks._texts import numbered
from longshot.errors import FormatError
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "open-qa"
TASKS = ("frameqa", "count", "action", "transition")
TYPES = ("object", "number", "colour", "location")
OPTIONS = {"task": TASKS, "split": ("test", "train", "total")}
_OPEN = ("frameqa", "count")
_OPTIONS = ("a1", "a2", "a3", "a4", "a5")


def load(data: Path, **options: Any) -> Benchmark:
    """Read the questions of a task; that of the file's name when `data` is one of the official files."""
    told = next((one for one in TASKS if data.is_file() and f"_{one}_" in data.name.casefold()), TASKS[0])
    chosen = choose({"task": told, **options}, OPTIONS)
    task, split = chosen["task"], chosen["split"]
    names = [f"{split.capitalize()}_{task}_question.csv"]
    if (task, split) == ("frameqa", "test"):
        names.append("TGIF-QA-test.jsonl")
    path = find_file(data, (*names, *(f"dataset/{name}" for name in names)))
    return Benchmark(
        name="tgif-qa",
        kind="open-qa" if task in _OPEN else "mc-qa",
        measure="answers",
        judge="answers" if task in _OPEN else "",
        items=unique_items(numbered(_item(record, task, number) for number, record in enumerate(_records(path, task)))),
        fingerprint=fingerprint(path),
        sampler=Sampler("endpoints", count=8),
        legacy=JUDGED_ONLY if task in _OPEN else READABLE_ONLY,
        options=chosen,
    )


def _records(path: Path, task: str) -> list[Record]:
    """The rows of a file. Raises FormatError where the header lacks a column that the task needs."""
    text = read_text(path)
    if text.lstrip().startswith("{"):
        return read_records(path)
    # No quotes are heeded but those around a whole cell: people wrote these texts, with lone ones among them.
    rows = [
        (number, [_unquoted(cell) for cell in line.rstrip("\r").split("\t")])
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]
    columns = rows[0][1]
    for name in ("gif_name", "question", "answer", *(() if task in _OPEN else _OPTIONS)):
        if name not in columns:
            close = nearest(name, columns)
            hint = f"is {close[0]!r} it?" if close else f"there are {', '.join(columns)}"
            raise FormatError(f"{path}, line {rows[0][0]}: no column {name!r} of {task}; {hint}")
    if len(rows) == 1:
        raise FormatError(f"{path}: empty, not one record")
    for number, cells in rows:
        if len(cells) != len(columns):
            raise FormatError(
                f"{path}, line {number}: {len(cells)} columns, {len(columns)} wanted: {', '.join(columns)}"
            )
    return [Record(dict(zip(columns, cells, strict=True)), f"{path}, line {number}") for number, cells in rows[1:]]


def _unquoted(cell: str) -> str:
    whole = len(cell) >= 2 and cell[0] == cell[-1] == '"'
    return (cell[1:-1].replace('""', '"') if whole else cell).strip()


def _item(record: Record, task: str, number: int) -> Made:
    if is_tarsier(record):
        return tarsier_answer(record)
    # `vid_id` is the question's own number and `key` the picture's; files that people cut may have neither.
    id, video, ask = f"{task}/{record.text('vid_id', str(number))}", record.text("gif_name"), record.text("question")
    if task not in _OPEN:
        options = [record.text(name) for name in _OPTIONS]
        right = record.whole("answer")
        return choice(record, id=id, video=video, ask=ask, options=options, right=right, groups={"task": task})
    groups = {"task": task}
    if task == "frameqa" and "type" in record:
        kind = record.whole("type")
        if not 0 <= kind < len(TYPES):
            raise record.wrong(f"'type' is 0 to {len(TYPES) - 1}, got {kind}")
        groups = {"task": TYPES[kind]}
    return open_question(record, id=id, video=video, ask=ask, answers=[record.text("answer")], groups=groups)

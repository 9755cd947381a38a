"""EgoSchema: what a person does over three minutes, seen through their own eyes, five options.

Mangalam, Akshulakov, Malik: EgoSchema: A Diagnostic Benchmark for Very Long-form Video Language Understanding. NeurIPS
2023. Licence: that of Ego4D, which the videos are cut from; its agreement must be signed.

    source      github.com/egoschema/EgoSchema: questions.json and subset_answers.json.
    revision    the release of 2023.
    counts      500 questions whose answers are public, one a video; all are 5,031, whose answers only the authors'
                server has.

    {"q_uid": "00aa11bb-1234-5678-9abc-def012345678", "google_drive_id": "1x", "question": "What does c do?", "option
     0": "C cooks.", "option 1": "C reads.", "option 2": "C sews.", "option 3": "C digs.", "option 4": "C sings."} in
     questions.json, {"00aa11bb-1234-5678-9abc-def012345678": 3} in subset_answers.json

Read are the questions that subset_answers.json, beside questions.json, answers. Tarsier's EgoSchema_subset.jsonl and
the lists with question_idx, video_idx, option and answer that lmms-eval uses are read as well. Frames: 16 from the
first to the last; the authors of Tarsier leave the number to the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longshot.benchmarks._questions import (
    READABLE_ONLY,
    Made,
    check_questions,
    choice,
    lettered,
    options_of,
    plain_options,
    read_questions,
    tarsier_choice,
)
from longshot.benchmarks._reading import (
    Record,
    choose,
    find_file,
    fingerprint,
    object_of,
    read_json,
    unique_items,
)
from longshot.errors import FormatError
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "mc-qa"
ANSWERS = "subset_answers.json"
_NAMES = ("questions.json", "EgoSchema_subset.jsonl", "EgoSchema_fullset.jsonl", "Subset/test-00000-of-00001.parquet")
_OPTIONS = tuple(f"option {number}" for number in range(5))


def load(data: Path, **options: Any) -> Benchmark:
    """Read the questions that have answers."""
    choose(options, {})
    path = find_file(data, _NAMES)
    records, tarsier = read_questions(path, ())
    paths = [path]
    if tarsier:
        made: Iterator[Made] = (tarsier_choice(one) for one in records)
    elif "option" in records[0]:
        made = (_listed(one) for one in records)
    else:
        paths.append(path.with_name(ANSWERS))
        check_questions(records, ("q_uid", "question", *_OPTIONS))
        made = _official(records, paths[1])
    return Benchmark(
        name="egoschema",
        kind=KIND,
        measure="answers",
        items=unique_items(made),
        fingerprint=fingerprint(*paths),
        sampler=Sampler("endpoints", count=16),
        legacy=READABLE_ONLY,
    )


def _official(records: list[Record], path: Path) -> Iterator[Made]:
    if not path.is_file():
        raise FormatError(f"{records[0].where}: these are questions; {ANSWERS} does not lie beside them")
    answers = object_of(read_json(path), str(path))
    asked = {record.text("q_uid") for record in records}
    unknown = [id for id in answers.fields if id not in asked]
    if unknown:
        raise answers.wrong(f"answers {len(unknown)} questions that are not there, such as {unknown[0]!r}")
    for record in records:
        id = record.text("q_uid")
        if id in answers:
            options = [record.text(name) for name in _OPTIONS]
            yield choice(record, id=id, video=id, ask=record.text("question"), options=options, right=answers.whole(id))


def _listed(record: Record) -> Made:
    options = plain_options(options_of(record, "option"))
    answer = record.text("answer")
    return choice(
        record,
        id=record.text("question_idx"),
        video=record.text("video_idx"),
        ask=record.text("question"),
        options=options,
        right=record.whole("answer") if answer.isdigit() else lettered(record, "answer", options),
    )

"""FAVOR-Bench: fine motions of people, animals and the camera, five options.

Tu et al.: FAVOR-Bench: A Comprehensive Benchmark for Fine-Grained Video Motion Understanding. arXiv 2503.14935, 2025.
Licence: not verified; the hub's card of the set states it.

    source      the hub's zl2048/FAVOR: question_perspective.json, or video_perspective.json, which has them by video.
    revision    the release of March 2025.
    counts      8,184 questions of 1,776 videos: AS 2,637 (order of actions), SAD 1,662 (details of one), HAC 1,541 (the
                whole), MAD 1,205 (of several), CM 1,075 (camera), NSM 64 (what is no subject); the authors' count.

    {"question_key": "AB12C_1", "video_name": "AB12C.mp4", "question": "What did the woman do first?", "options": ["Sat
     down", "Waved", "Left", "Turned", "Jumped"], "correct_answer": "Waved", "task_type": "AS"}

Tarsier's JSON lines are read as well. Ids are the question's key, or the video and the number of its question:
"AB12C_1". Frames: 16 from the first to the last, as Tarsier2 looks.
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
    options_of,
    read_questions,
    tarsier_choice,
    worded,
)
from longshot.benchmarks._reading import Record, choose, find_file, fingerprint, unique_items
from longshot.benchmarks._texts import name_of
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "mc-qa"
TASKS = ("AS", "SAD", "HAC", "MAD", "CM", "NSM")
_NAMES = ("question_perspective.json", "video_perspective.json", "FAVOR-Bench.jsonl")
_FIELDS = ("video_name", "question", "options", "correct_answer", "task_type")


def load(data: Path, **options: Any) -> Benchmark:
    """Read every question of the closed half of the benchmark."""
    choose(options, {})
    path = find_file(data, _NAMES)
    return Benchmark(
        name="favor-bench",
        kind=KIND,
        measure="answers",
        items=unique_items(_made(path)),
        fingerprint=fingerprint(path),
        sampler=Sampler("endpoints", count=16),
        legacy=READABLE_ONLY,
    )


def _made(path: Path) -> Iterator[Made]:
    records, tarsier = read_questions(path, ())
    if tarsier:
        yield from (tarsier_choice(record) for record in records)
    elif "questions" in records[0]:
        for video in records:
            name = name_of(video.text("video_name"))
            for number, record in enumerate(video.records("questions", known=_FIELDS[1:]), 1):
                yield _item(record, f"{name}_{number}", name)
    else:
        check_questions(records, ("question_key", *_FIELDS))
        for record in records:
            yield _item(record, record.text("question_key"), name_of(record.text("video_name")))


def _item(record: Record, id: str, video: str) -> Made:
    task, options = record.text("task_type"), options_of(record, "options")
    if task not in TASKS:
        raise record.wrong(f"'task_type' is one of {' '.join(TASKS)}, got {task!r}")
    return choice(
        record,
        id=id,
        video=video,
        ask=record.text("question"),
        options=options,
        right=worded(record, "correct_answer", options),
        groups={"task": task},
    )

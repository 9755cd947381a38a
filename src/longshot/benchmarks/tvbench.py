"""TVBench: ten tasks that cannot be answered from single frames, two to four options.

Cores, Dorkenwald, Mucientes, Snoek, Asano: TVBench: Redesigning Video-Language Evaluation. arXiv 2410.07752, 2024.
Licence: CC BY 4.0 (the annotations); the videos come from sets with licences of their own, see its license_notice.txt.

    source      the hub's FunAILab/TVBench: json/<task>.json, and video/<task>/.
    revision    the annotations revised on 25 October 2024.
    counts      2,525 questions: action count 536, action sequence 437, action antonym 320, moving direction 232, object
                shuffle 225, egocentric sequence 200, scene transition 185, action localization 160, object count 148,
                unexpected action 82.

    {"video": "AB12C.mp4", "question": "What did the person do first?", "candidates": ["Sat down.", "Stood up."],
     "answer": "Stood up.", "start": 5.2, "end": 19.8} in json/action_sequence.json

`data` is the folder with json/ (or the files themselves), or one of the files. Option `task` takes one task. The videos
of Action Antonym (NTU RGB+D) are fetched apart. Tarsier's JSON lines are read as well; their videos are found by name
alone. Ids are the task and the place in its file: "action_sequence/0". Frames: the middles of 16 equal parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longshot.benchmarks._questions import (
    READABLE_ONLY,
    Made,
    choice,
    options_of,
    read_questions,
    span_of,
    tarsier_choice,
    worded,
)
from longshot.benchmarks._reading import Record, choose, find_file, fingerprint, unique_items
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "mc-qa"
TASKS = (
    "action_antonym",
    "action_count",
    "action_localization",
    "action_sequence",
    "egocentric_sequence",
    "moving_direction",
    "object_count",
    "object_shuffle",
    "scene_transition",
    "unexpected_action",
)
OPTIONS = {"task": ("all", *TASKS)}


def load(data: Path, **options: Any) -> Benchmark:
    """Read all tasks, one of them, or the file that `data` is."""
    chosen = choose(options, OPTIONS)
    if data.is_file():
        paths = [data]
    else:
        tasks = TASKS if chosen["task"] == "all" else (chosen["task"],)
        paths = [find_file(data, (f"json/{task}.json", f"{task}.json")) for task in tasks]
    return Benchmark(
        name="tvbench",
        kind=KIND,
        measure="answers",
        items=unique_items(made for path in paths for made in _items(path)),
        fingerprint=fingerprint(*paths),
        sampler=Sampler("middle", count=16),
        files=("$video", "video/$video", "$video.*", "**/$video.*"),
        legacy=READABLE_ONLY,
        options=chosen,
    )


def _items(path: Path) -> Iterator[Made]:
    records, tarsier = read_questions(path, ("video", "question", "candidates", "answer"))
    name = path.name.removesuffix(".gz").removesuffix(".json")
    for number, record in enumerate(records):
        yield tarsier_choice(record) if tarsier else _item(record, name, number)


def _item(record: Record, task: str, number: int) -> Made:
    if task not in TASKS:
        raise record.wrong(f"a file of TVBench is named after its task ({', '.join(TASKS)}), got {task!r}")
    options = options_of(record, "candidates")
    return choice(
        record,
        id=f"{task}/{number}",
        video=f"{task}/{record.text('video')}",
        ask=record.text("question"),
        options=options,
        right=worded(record, "answer", options),
        span=span_of(record),
        groups={"task": task},
    )

"""MVBench: twenty short tasks about time in video, three to five options each.

Li et al.: MVBench: A Comprehensive Multi-modal Video Understanding Benchmark. CVPR 2024. Licence: MIT (the
annotations); the videos come from eleven sets with licences of their own.

    source      the hub's OpenGVLab/MVBench: json/<task>.json, and video/ with a folder for each source.
    revision    the files of 2024.
    counts      4,000 questions, 200 a task; five of the tasks name a stretch of the video.

    {"video": "AB12C.mp4", "question": "What happened after the person sat down?", "candidates": ["Opened the door.",
     "Took the cup.", "Closed the book."], "answer": "Took the cup.", "start": 5.2, "end": 19.8} in
     json/action_sequence.json

`data` is the folder with json/ (or the files themselves), or one of the files. Option `task` takes one task, `layout`
says where the videos lie below the folder of videos: "official" (whole videos, of which a stretch is looked at), or
"segments", the later folders of the hub in which those videos are cut already, so that no stretch is needed. The
official episodes of Episodic Reasoning are folders of pictures, which cannot be opened; their cut videos can. Tarsier's
JSON lines are read as well; their videos are found by name alone. Ids are the task and the place in its file:
"action_sequence/0". Frames: the middles of 16 equal parts, as the authors look.
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
# Each task with the folder of its videos, and that of the videos cut to the stretch where there is another one.
TASKS = {
    "action_sequence": ("star/Charades_v1_480", "star/Charades_segment"),
    "action_prediction": ("star/Charades_v1_480", "star/Charades_segment"),
    "action_antonym": ("ssv2_video", "ssv2_video_mp4"),
    "fine_grained_action": ("Moments_in_Time_Raw/videos", ""),
    "unexpected_action": ("FunQA_test/test", ""),
    "object_existence": ("clevrer/video_validation", ""),
    "object_interaction": ("star/Charades_v1_480", "star/Charades_segment"),
    "object_shuffle": ("perception/videos", ""),
    "moving_direction": ("clevrer/video_validation", ""),
    "action_localization": ("sta/sta_video", "sta/sta_video_segment"),
    "scene_transition": ("scene_qa/video", ""),
    "action_count": ("perception/videos", ""),
    "moving_count": ("clevrer/video_validation", ""),
    "moving_attribute": ("clevrer/video_validation", ""),
    "state_change": ("perception/videos", ""),
    "fine_grained_pose": ("nturgbd", "nturgbd_convert"),
    "character_order": ("perception/videos", ""),
    "egocentric_navigation": ("vlnqa", ""),
    "episodic_reasoning": ("tvqa/frames_fps3_hq", "tvqa/video_fps3_hq_segment"),
    "counterfactual_inference": ("clevrer/video_validation", ""),
}
# Some of the packed folders of the hub open into data0613/.
FILES = ("$video", "video/$video", "data0613/$video", "video/data0613/$video", "$video.*", "**/$video.*")
OPTIONS = {"task": ("all", *TASKS), "layout": ("official", "segments")}


def load(data: Path, **options: Any) -> Benchmark:
    """Read all tasks, one of them, or the file that `data` is."""
    chosen = choose(options, OPTIONS)
    if data.is_file():
        paths = [data]
    else:
        tasks = list(TASKS) if chosen["task"] == "all" else [chosen["task"]]
        paths = [find_file(data, (f"json/{task}.json", f"{task}.json")) for task in tasks]
    return Benchmark(
        name="mvbench",
        kind=KIND,
        measure="answers",
        items=unique_items(made for path in paths for made in _items(path, chosen["layout"] == "segments")),
        fingerprint=fingerprint(*paths),
        sampler=Sampler("middle", count=16),
        files=FILES,
        legacy=READABLE_ONLY,
        options=chosen,
    )


def _items(path: Path, cut: bool) -> Iterator[Made]:
    records, tarsier = read_questions(path, ("video", "question", "candidates", "answer"))
    name = path.name.removesuffix(".gz").removesuffix(".json")
    for number, record in enumerate(records):
        yield tarsier_choice(record) if tarsier else _item(record, name, number, cut)


def _item(record: Record, task: str, number: int, cut: bool) -> Made:
    if task not in TASKS:
        raise record.wrong(f"a file of MVBench is named after its task ({', '.join(TASKS)}), got {task!r}")
    official, segments = TASKS[task]
    options = options_of(record, "candidates")
    span = span_of(record)
    return choice(
        record,
        id=f"{task}/{number}",
        video=f"{(cut and segments) or official}/{record.text('video')}",
        ask=record.text("question"),
        options=options,
        right=worded(record, "answer", options),
        span=None if cut and segments else span,
        groups={"task": task},
    )

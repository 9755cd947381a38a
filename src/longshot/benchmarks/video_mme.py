"""Video-MME: three questions about each of 900 videos from seconds to an hour, four options.

Fu et al.: Video-MME: The First-Ever Comprehensive Evaluation Benchmark of Multi-modal LLMs in Video Analysis. CVPR
2025. Licence: for academic research only, not for trade (the authors' page); the videos are YouTube's.

    source      github.com/MME-Benchmarks/Video-MME (JSON, questions by video) and the hub's lmms-lab/Video-MME
                (Parquet, a row a question).
    revision    the release of 2024.
    counts      2,700 questions of 900 videos: 300 each short, medium and long; 6 domains, 30 sub-categories, 12 task
                types.

    {"video_id": "001", "duration": "short", "domain": "Knowledge", "sub_category": "Geography", "videoID":
     "a1b2c3d4e5f", "question_id": "001-1", "task_type": "Counting Problem", "question": "How many boats are there?",
     "options": ["A. One.", "B. Two.", "C. Three.", "D. Four."], "answer": "B"}

No subtitles are given. Videos are found by YouTube's id (videoID) where the file has it, else by number ("001").
Tarsier's Video-MME.jsonl is read as well; its ids and videos are numbers. Option `duration` takes only short, medium or
long videos. Frames: 128 from the first to the last, as Tarsier2 looks; a chat model whose context is too small for them
needs --frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longshot.benchmarks._questions import (
    Made,
    check_questions,
    choice,
    lettered,
    options_of,
    plain_options,
    read_questions,
    tarsier_choice,
)
from longshot.benchmarks._reading import Record, choose, find_file, fingerprint, object_of, unique_items
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "mc-qa"
LEGACY = "a reply that cannot be read leaves its video's questions out (Tarsier)"
DURATIONS = ("short", "medium", "long")
OPTIONS = {"duration": ("all", *DURATIONS)}
_NAMES = (
    "test-00000-of-00001.parquet",
    "videomme/test-00000-of-00001.parquet",
    "Video-MME.json",
    "video_mme.json",
    "Video-MME.jsonl",
)
_FIELDS = (
    "video_id",
    "duration",
    "domain",
    "sub_category",
    "question_id",
    "task_type",
    "question",
    "options",
    "answer",
)
_VIDEO_FIELDS = ("video_id", "duration", "domain", "sub_category", "questions")
_GROUPS = ("duration", "domain", "sub_category")


def load(data: Path, **options: Any) -> Benchmark:
    """Read every question, or those of videos of one duration."""
    chosen = choose(options, OPTIONS)["duration"]
    path = find_file(data, _NAMES)
    items = unique_items(_made(path))
    return Benchmark(
        name="video-mme",
        kind=KIND,
        measure="answers",
        items=tuple(item for item in items if chosen in ("all", item.groups["duration"])),
        fingerprint=fingerprint(path),
        sampler=Sampler("endpoints", count=128),
        legacy=LEGACY,
        options={"duration": chosen},
    )


def _made(path: Path) -> Iterator[Made]:
    records, tarsier = read_questions(path, ())
    if tarsier:
        for record in records:
            extra = object_of(record.value("extra_info"), f"{record.where}, extra_info")
            yield tarsier_choice(record, {**_groups(extra), "task": extra.text("task_type")})
        return
    nested = "questions" in records[0]
    check_questions(records, _VIDEO_FIELDS if nested else _FIELDS)
    for record in records:
        for question in record.records("questions") if nested else [record]:
            yield _item(record, question)


def _item(video: Record, record: Record) -> Made:
    options = plain_options(options_of(record, "options"))
    return choice(
        record,
        id=record.text("question_id"),
        video=video.text("videoID", "") or video.text("video_id"),
        ask=record.text("question"),
        options=options,
        right=lettered(record, "answer", options),
        groups={**_groups(video), "task": record.text("task_type")},
    )


def _groups(record: Record) -> dict[str, str]:
    groups = {name: record.text(name) for name in _GROUPS}
    if groups["duration"] not in DURATIONS:
        raise record.wrong(f"'duration' is short, medium or long, got {groups['duration']!r}")
    return groups

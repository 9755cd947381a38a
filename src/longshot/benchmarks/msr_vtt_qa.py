"""MSR-VTT-QA: questions of one word's answer about 10 to 30 seconds of video.

Xu, Zhao, Xiao, Wu, Zhang, He, Zhuang: Video Question Answering via Gradually Refined Attention over Appearance and
Motion. ACM Multimedia 2017. Licence: not stated with the files; the videos are those of MSR-VTT.

    source      github.com/xudejing/video-question-answering: {train,val,test}_qa.json.
    revision    the release of 2017.
    counts      test 72,821 questions of 2,990 videos (read unless `split` says otherwise), val 12,278 of 497, train
                158,581 of 6,513.

    {"answer": "road", "category_id": 9, "id": 158581, "question": "where does a man ride?", "video_id": 6513}

CAUTION: Tarsier's published numbers are of val (`split=val`, or its MSR-VTT-QA-val.jsonl, which is read as well); most
papers' are of test. Videos are named "video6513". Answers are judged by `answers`. Frames: 8 from the first to the
last, as Tarsier v1 looks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longshot.benchmarks._questions import JUDGED_ONLY, Made, open_question, read_questions, tarsier_answer
from longshot.benchmarks._reading import Record, choose, find_file, fingerprint, unique_items
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "open-qa"
_SPLITS = {
    "test": ("test_qa.json",),
    "val": ("val_qa.json", "MSR-VTT-QA-val.jsonl"),
    "train": ("train_qa.json",),
}
OPTIONS = {"split": tuple(_SPLITS)}
_FIELDS = ("id", "video_id", "category_id", "question", "answer")


def load(data: Path, **options: Any) -> Benchmark:
    """Read the questions of a split, or of the file that `data` is."""
    chosen = choose(options, OPTIONS)
    path = find_file(data, _SPLITS[chosen["split"]])
    records, tarsier = read_questions(path, _FIELDS)
    return Benchmark(
        name="msr-vtt-qa",
        kind=KIND,
        measure="answers",
        judge="answers",
        items=unique_items(tarsier_answer(one) if tarsier else _item(one) for one in records),
        fingerprint=fingerprint(path),
        sampler=Sampler("endpoints", count=8),
        legacy=JUDGED_ONLY,
        options={} if data.is_file() else chosen,
    )


def _item(record: Record) -> Made:
    return open_question(
        record,
        id=record.text("id"),
        video=f"video{record.whole('video_id')}",
        ask=record.text("question"),
        answers=[record.text("answer")],
        groups={"category": record.text("category_id")} if "category_id" in record else {},
    )

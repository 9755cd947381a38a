"""NExT-QA: why, how, when and what in 44 s of everyday video, five options.

Xiao, Shang, Yao, Chua: NExT-QA: Next Phase of Question-Answering to Explaining Temporal Actions. CVPR 2021. Licence:
MIT (the repository of the annotations); the videos are those of VidOR.

    source      github.com/doc-doc/NExT-QA, folder dataset/nextqa/: {train,val,test}.csv of the multiple choice.
    revision    the files of 2021.
    counts      val 4,996 questions of 570 videos (read unless `split` says otherwise), test 8,564, train 34,132.

    video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4
    1234567890,369,640,480,why did the dog run,2,6,CW,it was cold,it slept,to fetch the ball,to drink,it saw a cat

CAUTION: Tarsier's published numbers are of val, and so are those of many papers; others are of test (`split=test`). The
question types are CW CH (causal: why, how), TN TC (temporal: before or after, at the time) and DC DL DO (descriptive:
counting, place, other); TP counts as TN, as in the authors' script. Tarsier's Next-QA-val-multi_choice.jsonl, which has
no types, is read as well. Ids are video_qid, as in that script. Frames: 16 from the first to the last; the authors of
Tarsier leave the number to the caller.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longshot.benchmarks._questions import READABLE_ONLY, Made, choice, read_questions, tarsier_choice
from longshot.benchmarks._reading import Record, choose, find_file, fingerprint, unique_items
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "mc-qa"
FAMILIES = {"C": "causal", "T": "temporal", "D": "descriptive"}
_SPLITS = {
    "val": ("val.csv", "nextqa/val.csv", "dataset/nextqa/val.csv", "Next-QA-val-multi_choice.jsonl"),
    "test": ("test.csv", "nextqa/test.csv", "dataset/nextqa/test.csv"),
    "train": ("train.csv", "nextqa/train.csv", "dataset/nextqa/train.csv"),
}
OPTIONS = {"split": tuple(_SPLITS)}
_OPTIONS = ("a0", "a1", "a2", "a3", "a4")
_TYPES = ("CW", "CH", "TN", "TC", "TP", "DC", "DL", "DO")


def load(data: Path, **options: Any) -> Benchmark:
    """Read the questions of a split, or of the file that `data` is."""
    chosen = choose(options, OPTIONS)
    path = find_file(data, _SPLITS[chosen["split"]])
    records, tarsier = read_questions(path, ("video", "question", "answer", "qid", "type", *_OPTIONS))
    return Benchmark(
        name="next-qa",
        kind=KIND,
        measure="answers",
        items=unique_items(tarsier_choice(one) if tarsier else _item(one) for one in records),
        fingerprint=fingerprint(path),
        sampler=Sampler("endpoints", count=16),
        legacy=READABLE_ONLY,
        options={} if data.is_file() else chosen,
    )


def _item(record: Record) -> Made:
    kind = record.text("type")
    if kind not in _TYPES:
        raise record.wrong(f"'type' is one of {' '.join(_TYPES)}, got {kind!r}")
    video = record.text("video")
    return choice(
        record,
        id=f"{video}_{record.text('qid')}",
        video=video,
        ask=record.text("question"),
        options=[record.text(name) for name in _OPTIONS],
        right=record.whole("answer"),
        groups={"task": "TN" if kind == "TP" else kind, "family": FAMILIES[kind[0]]},
    )

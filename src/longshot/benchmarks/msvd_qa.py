"""MSVD-QA: questions of one word's answer about ten seconds of YouTube video.

Xu, Zhao, Xiao, Wu, Zhang, He, Zhuang: Video Question Answering via Gradually Refined Attention over Appearance and
Motion. ACM Multimedia 2017. Licence: not stated with the files; the videos are those of MSVD (Microsoft Research Video
Description Corpus).

    source      github.com/xudejing/video-question-answering: {train,val,test}_qa.json and youtube_mapping.txt.
    revision    the release of 2017.
    counts      test 13,157 questions (read unless `split` says otherwise), val 6,415 of 245 videos, train 30,933.

    {"answer": "onion", "id": 37348, "question": "what is being cut?", "video_id": 1451}

CAUTION: Tarsier's published numbers are of val (`split=val`, or its MSVD-QA-val.jsonl, which is read as well); most
papers' are of test. Videos are "vid1451", or, where youtube_mapping.txt lies beside the file, MSVD's own names
("a1b2c3d4e5f_10_20"). Answers are judged by `answers`. Frames: 8 from the first to the last, as Tarsier v1 looks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longshot.benchmarks._questions import JUDGED_ONLY, Made, open_question, read_questions, tarsier_answer
from longshot.benchmarks._reading import Record, choose, find_file, fingerprint, read_text, unique_items
from longshot.errors import FormatError
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "open-qa"
MAPPING = "youtube_mapping.txt"
_SPLITS = {
    "test": ("test_qa.json",),
    "val": ("val_qa.json", "MSVD-QA-val.jsonl"),
    "train": ("train_qa.json",),
}
OPTIONS = {"split": tuple(_SPLITS)}
_FIELDS = ("id", "video_id", "question", "answer")


def load(data: Path, **options: Any) -> Benchmark:
    """Read the questions of a split, or of the file that `data` is."""
    chosen = choose(options, OPTIONS)
    path = find_file(data, _SPLITS[chosen["split"]])
    records, tarsier = read_questions(path, _FIELDS)
    mapping = path.parent / MAPPING
    names = _names(mapping) if mapping.is_file() and not tarsier else {}
    return Benchmark(
        name="msvd-qa",
        kind=KIND,
        measure="answers",
        judge="answers",
        items=unique_items(tarsier_answer(one) if tarsier else _item(one, names) for one in records),
        fingerprint=fingerprint(path, mapping) if names else fingerprint(path),
        sampler=Sampler("endpoints", count=8),
        legacy=JUDGED_ONLY,
        options={} if data.is_file() else chosen,
    )


def _item(record: Record, names: dict[str, str]) -> Made:
    video = f"vid{record.whole('video_id')}"
    if names and video not in names:
        raise record.wrong(f"'video_id' {video.removeprefix('vid')} does not stand in {MAPPING}")
    return open_question(
        record,
        id=record.text("id"),
        video=names.get(video, video),
        ask=record.text("question"),
        answers=[record.text("answer")],
    )


def _names(path: Path) -> dict[str, str]:
    """MSVD's names by the numbers of MSVD-QA; a line is "a1b2c3d4e5f_10_20 vid1451"."""
    names = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            words = line.split()
            if len(words) != 2:
                raise FormatError(f"{path}, line {number}: a line is NAME vidNUMBER, got {line.strip()[:60]!r}")
            names[words[1]] = words[0]
    return names

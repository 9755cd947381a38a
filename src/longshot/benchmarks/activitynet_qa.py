"""ActivityNet-QA: questions with short answers about minutes of YouTube video.

Yu, Xu, Yu, Yu, Zhao, Zhuang, Tao: ActivityNet-QA: A Dataset for Understanding Complex Web Videos via Question
Answering. AAAI 2019. Licence: MIT (the repository of the annotations); the videos are YouTube's.

    source      github.com/MILVLG/activitynet-qa, folder dataset/: {train,val,test}_q.json and {train,val,test}_a.json.
    revision    the release of 2019.
    counts      test 8,000 questions of 800 videos (read unless `split` says otherwise; 2,095 of yes or no), val 18,000
                of 1,800, train 32,000 of 3,200.

    {"video_name": "a1b2c3d4e5f", "question": "does the car stop", "question_id": "a1b2c3d4e5f_3"} in test_q.json,
     {"answer": "yes", "type": 3, "question_id": "a1b2c3d4e5f_3"} in test_a.json

`data` is the folder, or the file of questions with that of answers beside it; Tarsier's ActivityNet-QA-test.jsonl is
read as well. A file of videos may be called "v_a1b2c3d4e5f". Answers are judged by `answers`. Frames: 8 from the first
to the last, as Tarsier v1 looks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longshot.benchmarks._questions import JUDGED_ONLY, Made, open_question, read_questions, tarsier_answer
from longshot.benchmarks._reading import Record, choose, find_file, fingerprint, read_records, shown, unique_items
from longshot.errors import FormatError
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "open-qa"
TYPES = ("motion", "spatial", "temporal", "yes/no", "colour", "object", "location", "number", "other")
_SPLITS = {
    "test": ("test_q.json", "dataset/test_q.json", "ActivityNet-QA-test.jsonl"),
    "val": ("val_q.json", "dataset/val_q.json"),
    "train": ("train_q.json", "dataset/train_q.json"),
}
OPTIONS = {"split": tuple(_SPLITS)}


def load(data: Path, **options: Any) -> Benchmark:
    """Read the questions and answers of a split, or of the file of questions that `data` is."""
    chosen = choose(options, OPTIONS)
    path = find_file(data, _SPLITS[chosen["split"]])
    records, tarsier = read_questions(path, ("question_id", "video_name", "question"))
    paths = [path] if tarsier else [path, _answers_path(path)]
    answers = {} if tarsier else _answers(paths[1])
    return Benchmark(
        name="activitynet-qa",
        kind=KIND,
        measure="answers",
        judge="answers",
        items=unique_items(tarsier_answer(one) if tarsier else _item(one, answers) for one in records),
        fingerprint=fingerprint(*paths),
        sampler=Sampler("endpoints", count=8),
        files=("$video", "$video.*", "v_$video.*", "**/$video.*", "**/v_$video.*"),
        legacy=JUDGED_ONLY,
        options={} if data.is_file() else chosen,
    )


def _answers_path(path: Path) -> Path:
    found = path.with_name(path.name.replace("_q.json", "_a.json"))
    if found == path or not found.is_file():
        raise FormatError(f"{path}: these are questions; no file of answers (such as test_a.json) lies beside them")
    return found


def _answers(path: Path) -> dict[str, Record]:
    answers: dict[str, Record] = {}
    for record in read_records(path, known=("question_id", "answer", "type")):
        if answers.setdefault(record.text("question_id"), record) is not record:
            raise record.wrong(f"the question {record.text('question_id')!r} is answered twice")
    return answers


def _item(record: Record, answers: dict[str, Record]) -> Made:
    id = record.text("question_id")
    if id not in answers:
        raise record.wrong(f"the question {id!r} has no answer in the file of answers")
    answer = answers[id]
    kind = answer.whole("type")
    if not 0 <= kind < len(TYPES):
        raise answer.wrong(f"'type' is 0 to {len(TYPES) - 1}, got {shown(kind)}")
    return open_question(
        record,
        id=id,
        video=record.text("video_name"),
        ask=record.text("question"),
        answers=[answer.text("answer")],
        groups={"task": TYPES[kind]},
    )

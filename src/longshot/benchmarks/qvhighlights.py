"""QVHighlights: sentences about 150 s of YouTube video, with every window that shows them and rated 2 s clips.

Lei, Berg, Bansal: Detecting Moments and Highlights in Videos via Natural Language Queries. NeurIPS 2021. Licence: CC
BY-NC-SA 4.0 (annotations); the videos are YouTube's, some are gone.

    source      github.com/jayleicn/moment_detr, folder data/: highlight_{train,val}_release.jsonl and
                highlight_test_with_gt.jsonl.
    revision    the release of 2021; the labels of test came out in March 2026, highlight_test_release.jsonl from
                before has none.
    counts      train 7,218 queries of 7,100 clips of video, val 1,550 of 1,519 (read unless `split` says otherwise),
                test 1,542 of 1,529; 1.8 windows a query, at most 25.

    {"qid": 8737, "query": "A cook peels a potato.", "duration": 150, "vid": "a1b2c3d4e5f_60.0_210.0",
     "relevant_windows": [[12, 16]], "relevant_clip_ids": [6, 7], "saliency_scores": [[3, 2, 4], [4, 4, 3]]}

Clip i is [2 i, 2 i + 2) seconds; three raters gave each relevant one 0 (very bad) to 4 (very good), the others count as
0. A window past the end of the video stays as it stands; one that is reversed is refused, and so are a clip past the
end and ratings that do not fit the clips. Any other set in this form, such as Charades-STA's in lighthouse, can be read
by its path; it may leave clips and ratings out. Frames: one every 2 s, at most 75, as CALCE looks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longshot.benchmarks._questions import rated, windows_of
from longshot.benchmarks._reading import Record, choose, find_file, fingerprint, read_records, unique_items
from longshot.items import Benchmark, Item
from longshot.sampling import Sampler

KIND = "moments"
LEGACY = "R1 by the first window of the list and mAP by scores, with two formulas of IoU (standalone_eval)"
_SPLITS = {
    "val": ("highlight_val_release.jsonl", "data/highlight_val_release.jsonl"),
    "test": ("highlight_test_with_gt.jsonl", "data/highlight_test_with_gt.jsonl"),
    "train": ("highlight_train_release.jsonl", "data/highlight_train_release.jsonl"),
}
OPTIONS = {"split": tuple(_SPLITS)}
_FIELDS = ("qid", "query", "vid", "duration", "relevant_windows", "relevant_clip_ids", "saliency_scores")


def load(data: Path, **options: Any) -> Benchmark:
    """Read the queries of a split, or of the file that `data` is."""
    chosen = choose(options, OPTIONS)
    path = find_file(data, _SPLITS[chosen["split"]])
    records = read_records(path, known=_FIELDS)
    return Benchmark(
        name="qvhighlights",
        kind=KIND,
        measure="moments",
        items=unique_items((record, _item(record)) for record in records),
        fingerprint=fingerprint(path),
        sampler=Sampler("every", seconds=2.0, at_most=75),
        legacy=LEGACY,
        options={} if data.is_file() else chosen,
    )


def _item(record: Record) -> Item:
    duration = record.number("duration")
    if duration <= 0:
        raise record.wrong(f"'duration' is seconds above 0, got {duration:g}")
    if "relevant_windows" not in record:
        raise record.wrong("no field 'relevant_windows'; the labels of test are in highlight_test_with_gt.jsonl")
    gold: dict[str, Any] = {"windows": windows_of(record, "relevant_windows"), "duration": duration}
    if not gold["windows"]:
        raise record.wrong("'relevant_windows' is empty; a query has at least one window")
    if "saliency_scores" in record:
        gold |= rated(record, "relevant_clip_ids", "saliency_scores", duration)
    return Item(record.text("qid"), record.text("vid"), record.text("query"), gold)

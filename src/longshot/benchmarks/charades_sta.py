"""Charades-STA: sentences about half a minute at home, with the one window that shows each.

Gao, Sun, Yang, Nevatia: TALL: Temporal Activity Localization via Language Query. ICCV 2017. Licence: that of Charades,
for research, not for trade (allenai.org/plato/charades); the text files state none.

    source      github.com/jiyanggao/TALL: charades_sta_{train,test}.txt; lengths in Charades_v1_{train,test}.csv of
                Charades.
    revision    the files of 2017.
    counts      train 12,404 queries of 5,336 videos, test 3,720 of 1,334 (read unless `split` says otherwise). There is
                no official val. Windows of test are 1.8 to 24.3 s long, of videos of about 30 s.

    AB12C 24.3 30.4##a person opens the fridge.

A window whose times are reversed, of which train has some, is turned. The text has no lengths: where the CSV of
Charades lies beside it the item's gold says how long its video is, else it does not, and windows are not clipped. A
JSON-lines file in QVHighlights' form is read by `qvhighlights`. Ids are the video and the number of its query:
"AB12C/0". Frames: the middles of 60 equal parts, the number that CALCE looks at.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from longshot.benchmarks._questions import window
from longshot.benchmarks._reading import Record, choose, find_file, fingerprint, read_table, read_text, unique_items
from longshot.errors import FormatError
from longshot.items import Benchmark, Item
from longshot.sampling import Sampler

KIND = "moments"
_SPLITS = {split: (f"charades_sta_{split}.txt",) for split in ("test", "train")}
OPTIONS = {"split": tuple(_SPLITS)}
_LINE = re.compile(r"(\S+)\s+(\S+)\s+(\S+?)\s*##(.*)")


def load(data: Path, **options: Any) -> Benchmark:
    """Read the queries of a split, or of the file that `data` is."""
    chosen = choose(options, OPTIONS)
    path = find_file(data, _SPLITS[chosen["split"]])
    lengths_path = path.parent / f"Charades_v1_{'train' if 'train' in path.name else 'test'}.csv"
    lengths = _lengths(lengths_path) if lengths_path.is_file() else {}
    counts: dict[str, int] = {}
    made = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            record = _record(line, f"{path}, line {number}")
            made.append((record, _item(record, counts, lengths)))
    return Benchmark(
        name="charades-sta",
        kind=KIND,
        measure="moments",
        items=unique_items(made),
        fingerprint=fingerprint(path, lengths_path) if lengths else fingerprint(path),
        sampler=Sampler("middle", count=60),
        options={} if data.is_file() else chosen,
    )


def _record(line: str, where: str) -> Record:
    match = _LINE.fullmatch(line.strip())
    if not match:
        raise FormatError(f"{where}: a line is VIDEO START END##SENTENCE, got {line.strip()[:60]!r}")
    return Record(dict(zip(("video", "start", "end", "sentence"), match.groups(), strict=True)), where)


def _item(record: Record, counts: dict[str, int], lengths: dict[str, float]) -> Item:
    video = record.text("video")
    number = counts[video] = counts.get(video, -1) + 1
    pair = window(record, "start", [record.number("start"), record.number("end")], turn=True)
    gold: dict[str, Any] = {"windows": [pair]}
    if video in lengths:
        gold["duration"] = lengths[video]
    return Item(f"{video}/{number}", video, record.text("sentence"), gold)


def _lengths(path: Path) -> dict[str, float]:
    return {row.text("id"): row.number("length") for row in read_table(path)}

"""Ego4D-HCap: captions of clips, descriptions of segments and summaries of hours filmed by the one who acts.

Islam, Ho, Yang, Nagarajan, Torresani, Bertasius: Video ReCap: Recursive Captioning of Hour-Long Videos, CVPR 2024
(arXiv:2402.13250). Licence: MIT with the code; the videos and narrations are Ego4D's, under its own agreement.

    source      https://github.com/md-mohaiminul/VideoRecap  datasets.md: clips_val, segments_val, videos_val
    revision    7dce249 (2024-04)
    counts      all parts together: 5.27 million clips of 0.96 s, 17,500 segments of 2.87 min, 8,267 summaries of
                28.46 min, which are of 4,492 videos
    videos      VID.mp4, whole; times are seconds of the whole video

    ["ab12", 3.2, 4.1, "#C C opens the drawer"]
    {"vid": "ab12", "start_sec": 0.0, "end_sec": 180.0, "segment_description": "C cooked.", "captions_gt": […]}
    {"vid": "ab12", "start_sec": 0.0, "end_sec": 1700.0, "video_summary": "C cooked and ate.",
     "segment_descriptions": ["C cooked.", "C ate."]}

Options: part is "clip", "segment" or "video"; split "val" or "train"; every: of the clips, each so many (0 takes the
protocol's, every 100th). The files are given out as pickles, which can run any code and are never opened: take the JSON
forms (clips_val.json), or have them made by json.dump where you trust the files. Rows without times are of the whole
video. What the level below says stands in the gold as "below"; version v1 has it as the text of a list. Frames: 4 of a
clip, one every 4 s of a segment or a video (at most 45 and 512), where the authors have stored features of each 4 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from longshot.benchmarks._reading import (
    Record,
    check_names,
    choose,
    find_file,
    fingerprint,
    object_of,
    read_json,
    shown,
    unique_items,
)
from longshot.benchmarks._texts import Clip, caption_items, name_of, numbered, text_list
from longshot.errors import FormatError, UsageError
from longshot.items import Benchmark, Item
from longshot.sampling import Sampler
from longshot.timeline import Span

KIND = "caption"
OPTIONS = {"part": ("clip", "segment", "video"), "split": ("val", "train"), "every": (0, int)}
KNOWN = {
    "segment": ("vid", "sid", "start_sec", "end_sec", "segment_description", "captions_gt", "captions_pred"),
    "video": (
        *("vid", "start_sec", "end_sec", "video_summary", "segment_descriptions", "segment_descriptions_pred"),
        *("sids", "version"),
    ),
}
PROMPTS = {
    "clip": "Say in one short sentence what the person who wears the camera does. Call that person C.",
    "segment": "Say in one sentence what the person who wears the camera does in these minutes. Call that person C.",
    "video": "Sum up in one or two sentences what the person who wears the camera does, and what for. "
    "Call that person C.",
}
SAMPLERS = {
    "clip": Sampler("middle", count=4),
    "segment": Sampler("every", seconds=4.0, at_most=45),
    "video": Sampler("every", seconds=4.0, at_most=512),
}
LEGACY = "Video ReCap: one reference, both sides lower-cased and split at spaces, so 'door.' is not 'door'"
_PROTOCOL_EVERY = 100


def load(data: Path, **options: Any) -> Benchmark:
    """clips_val.json (segments_val.json, videos_val.json), or the folder that holds it."""
    said = choose(options, OPTIONS)
    part = said["part"]
    if said["every"] < 0:
        raise UsageError(f"every is a count of clips, 0 for the protocol's 100, got {said['every']}")
    stem = f"{part}s_{said['split']}"
    path = find_file(data, (f"{stem}.json", f"{stem}.pkl"))
    rows = read_json(path)
    if not isinstance(rows, list) or not rows:
        raise FormatError(f"{path}: a list of records is wanted, got {shown(rows)}")
    step = (said["every"] or _PROTOCOL_EVERY) if part == "clip" else 1
    chosen = [(number, row) for number, row in enumerate(rows, 1)][::step]
    clips = (_clip(row, f"{path}, record {number}", part) for number, row in chosen)
    return Benchmark(
        f"ego4d-hcap-{part}",
        KIND,
        "captions",
        unique_items(numbered(_with_below(caption_items(clips)))),
        fingerprint(path),
        prompt=PROMPTS[part],
        sampler=SAMPLERS[part],
        legacy=LEGACY,
        options=said,
    )


def _with_below(made: Iterator[tuple[Record, Item]]) -> Iterator[tuple[Record, Item]]:
    for record, item in made:
        below = record.fields.get("below")
        yield record, replace(item, gold={**item.gold, "below": below}) if below else item


def _clip(row: Any, where: str, part: str) -> Clip:
    if part == "clip":
        record = _tuple(row, where)
        return Clip(record, name_of(record.text("vid")), (record.text("caption"),), span=_span(record))
    record = object_of(row, where)
    check_names(record, KNOWN[part])
    text = record.text("segment_description" if part == "segment" else "video_summary")
    below = Record({**record.fields, "below": _below(record, part)}, where)
    return Clip(below, name_of(record.text("vid")), (text,), span=_span(record))


def _tuple(row: Any, where: str) -> Record:
    """A clip's [video, start, end, caption], as a record."""
    if not isinstance(row, list) or len(row) != 4:
        raise FormatError(f"{where}: [video, start, end, caption] is wanted, got {shown(row)}")
    return Record(dict(zip(("vid", "start_sec", "end_sec", "caption"), row, strict=True)), where)


def _below(record: Record, part: str) -> list[str]:
    """What the level below says: texts of people where the row has them, else those of a model."""
    if part == "video":
        for name in ("segment_descriptions", "segment_descriptions_pred"):
            if name in record:
                return text_list(record, name)
        return []
    for name in ("captions_gt", "captions_pred"):
        if name in record:
            return [_said(one, record) for one in record.value(name)]
    return []


def _said(one: Any, record: Record) -> str:
    """The text of [video, start, end, text], or a text by itself."""
    text = one[-1] if isinstance(one, list) and one else one
    if not isinstance(text, str):
        raise record.wrong(f"a caption is a text or ends with one, got {shown(one)}")
    return text.strip()


def _span(record: Record) -> Span | None:
    """The part of the video that a row is of; None where it has no times."""
    if "end_sec" not in record:
        return None
    start, end = record.number("start_sec", 0.0), record.number("end_sec")
    if not 0 <= start < end:
        raise record.wrong(f"it goes from {start:g} s to {end:g} s")
    return Span(start, end)

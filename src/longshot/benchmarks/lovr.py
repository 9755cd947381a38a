"""LoVR: retrieval of clips, of whole long videos and of clips by their theme.

Cai, Liang, Han, Dong, Qiang, An, Xu, Cui, Zhang: LoVR: A Benchmark for Long Video Retrieval in Multimodal Contexts,
2025 (arXiv:2505.13928). Licence: CC BY-NC-SA 4.0; the videos are those of LongVideoBench, under its own terms.

    source      the data set debugger123/LoVR-benchmark on the Hugging Face hub: caption_data/, video_data/
    revision    compare the fingerprint: the splits changed over time, and disagree with the paper
    counts      467 videos of 1,560 s and 40,804 clips of 16.9 s in the mean
    videos      long_video_clip/VID/VID-Scene-NNN.mp4 for clips and themes, VID.mp4 for whole videos

Three layouts are read, in Parquet, JSON lines or JSON: that of the data set (clip_test.parquet), that of the official
scripts (all_clip.jsonl, all_video.jsonl, the same fields) and that of the official README:

    {"vid": "ab12", "path": "ab12/ab12-Scene-001.mp4", "cap": "A cat sits.", "theme_info": "pets", "slice_num": 1}
    {"vid": "ab12", "cap": "A cat sits. Then …", "start_slice_num": 1, "end_slice_num": 90}
    {"video_id": "ab12", "clip_id": "ab12-Scene-001", "clip_path": "ab12/ab12-Scene-001.mp4", "start_time": 0.0,
     "end_time": 12.4, "clip_caption": "A cat sits.", "video_caption": "A cat sits. Then …"}

Options: part is "clip", "video" or "theme" (the theme's text is looked for among the clips that have one; the official
gallery holds all clips). split, where a folder of Parquet files is given: "all", "test" or "train". Where the third
layout names no clip's file, a clip is a span of the whole video. Frames: one a second, as the authors' scripts look at
every 30th; an encoder takes its own number.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longshot.benchmarks._reading import Record, check_names, choose, find_file, fingerprint, read_records, unique_items
from longshot.benchmarks._texts import Clip, name_of, retrieval_items
from longshot.errors import UsageError
from longshot.items import Benchmark
from longshot.sampling import Sampler
from longshot.timeline import Span

KIND = "retrieval"
OPTIONS = {"part": ("clip", "video", "theme"), "split": ("all", "test", "train")}
KNOWN = ("vid", "path", "cap", "theme_info", "slice_num")
KNOWN_VIDEOS = ("vid", "cap", "theme_info", "start_slice_num", "end_slice_num")
KNOWN_README = (
    *("video_id", "clip_id", "video_path", "clip_path", "start_time", "end_time"),
    *("clip_caption", "video_caption", "theme_info"),
)
LEGACY = "LoVR: pass@k divides by the number of clips that the script is told, and clips it cannot read are left out"


def load(data: Path, **options: Any) -> Benchmark:
    """The captions of clips or of videos, or the folder that holds them."""
    said = choose(options, OPTIONS)
    paths = _files(data, said["part"], said["split"])
    clips = [clip for path in paths for clip in _clips(path, said["part"])]
    if not clips:
        raise UsageError(f"{paths[0]}: no record has a theme; part=theme needs theme_info")
    return Benchmark(
        f"lovr-{said['part']}",
        KIND,
        "retrieval",
        unique_items(retrieval_items(clips)),
        fingerprint(*paths),
        # Every 30th frame, as most of the official scripts have it, at the usual 30 a second.
        sampler=Sampler("every", seconds=1.0),
        files=("$video.*", "**/$video.*", "$video", "**/$video"),
        legacy=LEGACY,
        options=said,
    )


def _files(data: Path, part: str, split: str) -> list[Path]:
    """The files to read: one of all records, else those of the splits."""
    what = "video" if part == "video" else "clip"
    if data.is_file():
        return [data]
    if split == "all":
        for name in (f"all_{what}.jsonl", f"all_{what}.jsonl.gz"):
            for path in (data / "caption_data" / name, data / name):
                if path.is_file():
                    return [path]
    wanted = ("test", "train") if split == "all" else (split,)
    return [
        find_file(data, (f"caption_data/{what}_{one}.parquet", f"{what}_{one}.parquet", f"{what}_{one}.jsonl"))
        for one in wanted
    ]


def _clips(path: Path, part: str) -> Iterator[Clip]:
    records = read_records(path)
    readme = "video_id" in records[0]
    known = KNOWN_README if readme else KNOWN_VIDEOS if part == "video" else KNOWN
    seen: set[str] = set()
    for record in records:
        check_names(record, known)
        if part == "video":
            name = record.text("video_id" if readme else "vid")
            if readme and name in seen:  # the README's layout says it again with every clip
                continue
            seen.add(name)
            yield Clip(record, name, (record.text("video_caption" if readme else "cap"),))
            continue
        if part == "theme" and not record.text("theme_info", ""):
            continue
        text = record.text("theme_info" if part == "theme" else "clip_caption" if readme else "cap")
        video, span = _shown(record) if readme else (name_of(record.text("path")), None)
        yield Clip(record, video, (text,), span=span)


def _shown(record: Record) -> tuple[str, Span | None]:
    """The file of a clip of the README's layout; a span of the whole video where none is named."""
    if "clip_path" in record:
        return name_of(record.text("clip_path")), None
    start, end = record.number("start_time"), record.number("end_time")
    if not 0 <= start < end:
        raise record.wrong(f"a clip from {start:g} s to {end:g} s")
    return name_of(record.text("video_path", record.text("video_id"))), Span(start, end)

"""MSR-VTT: short captions of web clips, and retrieval by one sentence (1k-A) or by all.

Xu, Mei, Yao, Rui: MSR-VTT: A Large Video Description Dataset for Bridging Video and Language, CVPR 2016. Licence: for
research; the videos are YouTube's and their makers' own. The 1k-A split: Yu, Kim, Kim, ECCV 2018.

    source      MSRVTT_data.json and MSRVTT_JSFUSION_test.csv as CLIP4Clip gives them out (msrvtt_data.zip), or the
                official test_videodatainfo.json; MSR-VTT-Caption-test.jsonl of Tarsier; a list of {video, caption}
    revision    MSR-VTT 10K of 2016; CLIP4Clip v0.0
    counts      10,000 clips of 15 s in the mean with 20 sentences each: 6,513 train, 497 validate, 2,990 test;
                1k-A: 1,000 clips with one sentence each
    videos      video7020.mp4

    {"videos": [{"video_id": "video7020", "category": 9, "split": "test", "start time": 1.0, "end time": 9.5}],
     "sentences": [{"sen_id": 1, "video_id": "video7020", "caption": "a cat sits on a table"}]}
    key,vid_key,video_id,sentence
    ret0,msr7020,video7020,a cat sits on a table

Options: task is "caption" or "retrieval". split: "test", "validate", "train", "1k-a" (the csv) or "all"; by itself test
for captions and 1k-a for retrieval. only: a text file of names, one a line, such as test_list_miech.txt of 1k-B.
Tarsier's form asks with the prompt that it has. Groups: category, by its official number, where the file has it.
Frames: for captions 8 from the first to the last, as Tarsier v1 looks, for retrieval the middles of 32 equal parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longshot.benchmarks._reading import (
    Record,
    as_records,
    choose,
    find_file,
    fingerprint,
    object_of,
    parse_json,
    read_table,
    read_text,
    unique_items,
)
from longshot.benchmarks._texts import Clip, caption_items, keep, listed_file, name_of, read_clips, retrieval_items
from longshot.errors import FormatError, UsageError
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "caption"
SPLITS = ("test", "validate", "train", "1k-a", "all")
OPTIONS = {"task": ("caption", "retrieval"), "split": ("", *SPLITS), "only": ("", str)}
CAPTION_NAMES = ("MSRVTT_data.json", "test_videodatainfo.json", "MSR-VTT-Caption-test.jsonl")
PAIR_NAMES = ("MSRVTT_JSFUSION_test.csv",)
PROMPT = "Describe the video in a short sentence with simple words."
LEGACY_CAPTION = "Tarsier: CIDEr over lower-cased words of the captions that were made"
LEGACY_RETRIEVAL = "CaReBench: what failed is left out, from the queries and from the gallery"


def load(data: Path, **options: Any) -> Benchmark:
    """MSRVTT_data.json, MSRVTT_JSFUSION_test.csv, Tarsier's lines, or the folder that holds them."""
    said = choose(options, OPTIONS)
    captioning = said["task"] == "caption"
    split = said["split"] or ("test" if captioning else "1k-a")
    path = find_file(data, PAIR_NAMES if split == "1k-a" else CAPTION_NAMES)
    clips, paths = _clips(path, split), [path]
    if said["only"]:
        paths.append(listed_file(data, said["only"]))
        clips = keep(clips, paths[1])
    return Benchmark(
        "msr-vtt" if captioning else "msr-vtt-retrieval",
        KIND if captioning else "retrieval",
        "captions" if captioning else "retrieval",
        unique_items(caption_items(clips) if captioning else retrieval_items(clips)),
        fingerprint(*paths),
        prompt=PROMPT if captioning else "",
        sampler=Sampler("endpoints", count=8) if captioning else Sampler("middle", count=32),
        legacy=LEGACY_CAPTION if captioning else LEGACY_RETRIEVAL,
        options={**said, "split": split},
    )


def _clips(path: Path, split: str) -> list[Clip]:
    if ".csv" in path.suffixes:
        return list(_pairs(path))
    if split == "1k-a":
        # Whoever gives a file of {video, caption} by its path means that one.
        return read_clips(path)
    # The official file is one object; the other forms are a list or lines.
    whole = read_text(path)
    if '"sentences"' in whole:
        return list(_sentences(object_of(parse_json(whole, str(path)), str(path)), str(path), split))
    return read_clips(path)


def _pairs(path: Path) -> Iterator[Clip]:
    for record in read_table(path):
        yield Clip(record, name_of(record.text("video_id")), (record.text("sentence"),))


def _sentences(whole: Record, path: str, split: str) -> Iterator[Clip]:
    texts: dict[str, list[str]] = {}
    for sentence in as_records(whole.value("sentences"), f"{path}, sentences", known=("video_id", "caption", "sen_id")):
        texts.setdefault(sentence.text("video_id"), []).append(sentence.text("caption"))
    count = 0
    for video in as_records(whole.value("videos"), f"{path}, videos", known=("video_id", "split", "category")):
        if split != "all" and _split_of(video) != split:
            continue
        count += 1
        name = video.text("video_id")
        if name not in texts:
            raise video.wrong(f"no sentence is of {name!r}")
        groups = {"category": video.text("category")} if "category" in video else {}
        yield Clip(video, name, tuple(texts[name]), groups=groups)
    if not count:
        raise FormatError(f"{path}: no video is of the split {split!r}; split=all takes every one")


def _split_of(video: Record) -> str:
    split = video.text("split").casefold()
    known = {"test": "test", "validate": "validate", "val": "validate", "train": "train"}
    if split not in known:
        raise UsageError(f"{video.where}: a split {split!r}; those that are known: {', '.join(known)}")
    return known[split]

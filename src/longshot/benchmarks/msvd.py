"""MSVD: one-sentence captions of short YouTube clips, about 40 each, and retrieval by all of them.

Chen, Dolan: Collecting Highly Parallel Data for Paraphrase Evaluation, ACL 2011. Licence: for research (Microsoft
Research Video Description Corpus); the videos are YouTube's and their makers' own.

    source      AllVideoDescriptions.txt (the authors' page), with test_list.txt as CLIP4Clip gives it out
                (msvd_data.zip); the authors' csv; MSVD-Caption-test.jsonl of Tarsier; a list of {video, caption}
    revision    2011; for Tarsier's form bf3c127, which has new prompts since 2024-10-30
    counts      1,970 clips: 1,200 train, 100 val, 670 test; the test part has 21 to 81 sentences a clip
    videos      -wa0umYJVGg_168_176.avi

    -wa0umYJVGg_168_176 a man is cutting bread
    VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description
    -wa0umYJVGg,168,176,588702,clean,55,English,A man is cutting bread.

Options: task is "caption" or "retrieval" (each sentence looks for its clip). split: "test", "val" or "train", read from
test_list.txt and so on beside the file, or "all". only: another text file of names. CLIP4Clip's raw-captions.pkl is a
pickle and is not opened. Tarsier's form asks with the prompt that it has: the one of 2024-10-30 adds three examples,
which changed scores much. Frames: for captions 8 from the first to the last, as Tarsier v1 looks, for retrieval the
middles of 32 equal parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longshot.benchmarks._reading import (
    Record,
    choose,
    find_file,
    fingerprint,
    read_table,
    read_text,
    unique_items,
)
from longshot.benchmarks._texts import Clip, caption_items, grouped, keep, listed_file, read_clips, retrieval_items
from longshot.errors import FormatError, UsageError
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "caption"
OPTIONS = {"task": ("caption", "retrieval"), "split": ("test", "val", "train", "all"), "only": ("", str)}
NAMES = (
    *("AllVideoDescriptions.txt", "MSVD-Caption-test.jsonl", "MSR Video Description Corpus.csv", "video_corpus.csv"),
    "raw-captions.pkl",
)
PROMPT = "Describe the video in a short sentence with simple words."
LEGACY_CAPTION = "Tarsier: CIDEr over lower-cased words of the captions that were made"
LEGACY_RETRIEVAL = "CaReBench: what failed is left out, from the queries and from the gallery"


def load(data: Path, **options: Any) -> Benchmark:
    """AllVideoDescriptions.txt, the csv, Tarsier's lines, or the folder that holds them."""
    said = choose(options, OPTIONS)
    captioning = said["task"] == "caption"
    path = find_file(data, NAMES)
    paths = [path]
    if path.name.startswith("AllVideoDescriptions") or ".csv" in path.suffixes:
        clips = grouped(_lines(path) if ".csv" not in path.suffixes else _rows(path))
        names = said["only"] or ("" if said["split"] == "all" else f"{said['split']}_list.txt")
    else:
        # The other forms hold one split, which only their name tells.
        clips, names = read_clips(path), said["only"]
    if names:
        paths.append(_names(path, names))
        clips = keep(clips, paths[1])
    return Benchmark(
        "msvd" if captioning else "msvd-retrieval",
        KIND if captioning else "retrieval",
        "captions" if captioning else "retrieval",
        unique_items(caption_items(clips) if captioning else retrieval_items(clips)),
        fingerprint(*paths),
        prompt=PROMPT if captioning else "",
        sampler=Sampler("endpoints", count=8) if captioning else Sampler("middle", count=32),
        legacy=LEGACY_CAPTION if captioning else LEGACY_RETRIEVAL,
        options=said,
    )


def _names(path: Path, names: str) -> Path:
    try:
        return listed_file(path, names)
    except UsageError as error:
        raise UsageError(f"{error}; split=all takes every clip") from error


def _lines(path: Path) -> Iterator[Clip]:
    """The lines "name sentence"; those that begin with # are for people."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip() and not line.startswith("#"):
            name, _, text = line.strip().partition(" ")
            record = Record({"video": name, "caption": text}, f"{path}, line {number}")
            yield Clip(record, name, (record.text("caption"),))


def _rows(path: Path) -> Iterator[Clip]:
    """The English rows of the corpus; a row without a sentence says nothing."""
    rows = read_table(path)
    if not rows:
        raise FormatError(f"{path}: empty, not one record")
    for row in rows:
        if row.text("Language", "") == "English" and row.text("Description", ""):
            name = f"{row.text('VideoID')}_{row.text('Start')}_{row.text('End')}"
            yield Clip(row, name, (row.text("Description"),))

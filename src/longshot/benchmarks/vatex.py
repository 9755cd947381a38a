"""VATEX: ten captions of each 10-second clip, in English or Chinese, and retrieval by each of them.

Wang, Wu, Chen, Li, Wang, Wang: VATEX: A Large-Scale, High-Quality Multilingual Dataset for Video-and-Language Research,
ICCV 2019 (arXiv:1904.03493). Licence: CC BY 4.0 (annotation; by memory, look it up); the videos are YouTube's and their
makers' own.

    source      https://eric-xw.github.io/vatex-website  vatex_public_test_english_v1.1.json,
                vatex_validation_v1.0.json, vatex_training_v1.0.json; VATEX-test.jsonl of Tarsier
    revision    v1.0, for the public test v1.1 (English only)
    counts      25,991 training, 3,000 validation and 6,000 public test clips; 10 captions of each language
    videos      G9zN5TTuGO4_000179_000189.mp4

    {"videoID": "G9zN5TTuGO4_000179_000189", "enCap": ["A cat sits.", "A cat is sitting."], "chCap": ["一只猫坐着。"]}

Options: task is "caption" or "retrieval" (each caption looks for its clip). split: "test", "validation" or "train".
language: "en" or "zh", which the public test has not. only: a text file of names, such as the 1,500 clips of the
validation part that Chen et al. (HGR, CVPR 2020) test retrieval on. Frames: for captions 8 from the first to the last,
as Tarsier v1 looks, for retrieval the middles of 32 equal parts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longshot.benchmarks._reading import check_names, choose, find_file, fingerprint, read_records, unique_items
from longshot.benchmarks._texts import Clip, caption_items, clip_of, keep, listed_file, name_of, retrieval_items
from longshot.items import Benchmark
from longshot.sampling import Sampler

KIND = "caption"
OPTIONS = {
    "task": ("caption", "retrieval"),
    "split": ("test", "validation", "train"),
    "language": ("en", "zh"),
    "only": ("", str),
}
NAMES = {
    "test": ("vatex_public_test_english_v1.1.json", "VATEX-test.jsonl"),
    "validation": ("vatex_validation_v1.0.json",),
    "train": ("vatex_training_v1.0.json",),
}
KNOWN = ("videoID", "enCap", "chCap")
PROMPTS = {
    "en": "Describe the video in a short sentence with simple words.",
    "zh": "用一句简短的话描述这个视频。",
}
LEGACY_CAPTION = "Tarsier: CIDEr over lower-cased words of the captions that were made"
LEGACY_RETRIEVAL = "what failed is left out, from the queries and from the gallery"


def load(data: Path, **options: Any) -> Benchmark:
    """The file of a split, or the folder that holds it."""
    said = choose(options, OPTIONS)
    captioning = said["task"] == "caption"
    path = find_file(data, NAMES[said["split"]])
    clips, paths = _clips(path, said["language"]), [path]
    if said["only"]:
        paths.append(listed_file(data, said["only"]))
        clips = keep(clips, paths[1])
    return Benchmark(
        "vatex" if captioning else "vatex-retrieval",
        KIND if captioning else "retrieval",
        "captions" if captioning else "retrieval",
        unique_items(caption_items(clips) if captioning else retrieval_items(clips)),
        fingerprint(*paths),
        prompt=PROMPTS[said["language"]] if captioning else "",
        sampler=Sampler("endpoints", count=8) if captioning else Sampler("middle", count=32),
        legacy=LEGACY_CAPTION if captioning else LEGACY_RETRIEVAL,
        options=said,
    )


def _clips(path: Path, language: str) -> list[Clip]:
    records = read_records(path)
    if "dataset" in records[0]:
        return [clip_of(record) for record in records]
    field = {"en": "enCap", "zh": "chCap"}[language]
    for record in records:
        check_names(record, KNOWN)
    return [Clip(one, name_of(one.text("videoID")), tuple(one.texts(field))) for one in records]

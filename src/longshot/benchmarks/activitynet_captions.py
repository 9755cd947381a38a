"""ActivityNet Captions: sentences that tell two minutes of YouTube video, each with its window.

Krishna, Hata, Ren, Fei-Fei, Niebles: Dense-Captioning Events in Videos. ICCV 2017. Licence: not stated with the files;
the videos are YouTube's.

    source      cs.stanford.edu/people/ranjaykrishna/densevid: train.json, val_1.json, val_2.json.
    revision    the release of 2017.
    counts      train 37,421 queries, val_1 17,505 of 4,917 videos, val_2 17,031; val_1 and val_2 are two annotations of
                the same kind. As is usual, val_2 is read as the test, unless `split` says otherwise.

    {"v_a1b2c3d4e5f": {"duration": 82.73, "timestamps": [[0.83, 19.86], [17.37, 60.81]], "sentences": ["A man sits on a
     bench.", "He ties his shoes."]}}

A window whose times are reversed, of which train has some, is turned; the few that end after their video stay as they
stand. Ids are the video and the number of its sentence: "v_a1b2c3d4e5f/0". Frames: the middles of 60 equal parts, as
Mr.BLIP looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longshot.benchmarks._questions import windows_of
from longshot.benchmarks._reading import (
    Record,
    choose,
    find_file,
    fingerprint,
    nearest,
    object_of,
    read_json,
    shown,
    unique_items,
)
from longshot.errors import FormatError
from longshot.items import Benchmark, Item
from longshot.sampling import Sampler

KIND = "moments"
_SPLITS = {split: (f"{split}.json", f"captions/{split}.json") for split in ("val_2", "val_1", "train")}
OPTIONS = {"split": tuple(_SPLITS)}
_FIELDS = ("duration", "timestamps", "sentences")


def load(data: Path, **options: Any) -> Benchmark:
    """Read the sentences of a split, or of the file that `data` is."""
    chosen = choose(options, OPTIONS)
    path = find_file(data, _SPLITS[chosen["split"]])
    videos = object_of(read_json(path), str(path)).fields
    if not videos:
        raise FormatError(f"{path}: empty, not one video")
    return Benchmark(
        name="activitynet-captions",
        kind=KIND,
        measure="moments",
        items=unique_items(
            made for video, told in videos.items() for made in _items(video, object_of(told, f"{path}, {video}"))
        ),
        fingerprint=fingerprint(path),
        sampler=Sampler("middle", count=60),
        files=("$video", "$video.*", "**/$video", "**/$video.*"),
        options={} if data.is_file() else chosen,
    )


def _items(video: str, record: Record) -> Iterator[tuple[Record, Item]]:
    for name in record.fields:
        close = nearest(name, [field for field in _FIELDS if field not in record], cutoff=0.8)
        if name not in _FIELDS and close:
            raise record.wrong(f"no field {name!r} is known; is it {close[0]!r}?")
    duration, sentences = record.number("duration"), record.value("sentences")
    windows = windows_of(record, "timestamps", turn=True)
    if not isinstance(sentences, list) or len(sentences) != len(windows):
        raise record.wrong(f"'sentences' is a text for each of {len(windows)} timestamps, got {shown(sentences)}")
    for number, (sentence, pair) in enumerate(zip(sentences, windows, strict=True)):
        one = Record({"sentence": sentence}, f"{record.where}, sentence {number}")
        gold = {"windows": [pair], "duration": duration}
        yield one, Item(f"{video}/{number}", video, one.text("sentence"), gold)

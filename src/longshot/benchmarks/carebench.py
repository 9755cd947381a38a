"""CaReBench: long captions of 1,000 videos, and retrieval by what stands and by what happens in them.

Xu, Li, Yang, Meng, Huang, Wang: CaReBench: A Fine-Grained Benchmark for Video Captioning and Retrieval, 2025
(arXiv:2501.00513). Licence: MIT (annotation and videos as they are given out; the code has none).

    source      the data set MCG-NJU/CaReBench on the Hugging Face hub: json/metadata.json, videos/videos.zip
    revision    as of 2025-07; there are no tags, so compare the fingerprint
    counts      1,000 videos of 14.35 s and captions of 228 words in the mean; 106 subcategories in 4 categories
    videos      flat, under the names in the field `video`

    {"video": "v_0001.mp4", "caption": "A man in a red coat opens a door.", "spatial_caption": "A man in a red coat.",
     "temporal_caption": "He opens a door.", "category": "household", "subcategory": "open door",
     "events": ["A man opens a door."], "objects": ["There is a man in a red coat."]}

Options: task is "caption" (scored by CapST: events and objects), or retrieval by the whole caption ("general"), by its
"spatial" or by its "temporal" part, whose means ReBias compares. `events` and `objects` may be absent: the judge then
takes the caption apart, 2 questions more a video. paragraph joins the captions of a video that has a list of them;
trim30 looks at the first 30 seconds only. Both serve other data sets in this form, a list of {video, caption}.
Groups: category, subcategory. Frames: the middles of 32 equal parts, as the authors look.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longshot.benchmarks._reading import Record, choose, find_file, fingerprint, read_records, unique_items
from longshot.benchmarks._texts import PARTS, Clip, caption_items, name_of, retrieval_items
from longshot.items import Benchmark
from longshot.sampling import Sampler
from longshot.timeline import Span

KIND = "caption"
OPTIONS = {"task": ("caption", "general", "spatial", "temporal"), "paragraph": (False, True), "trim30": (False, True)}
NAMES = ("metadata.json", "json/metadata.json")
FIELDS = {"caption": "caption", "general": "caption", "spatial": "spatial_caption", "temporal": "temporal_caption"}
KNOWN = ("video", "caption", "spatial_caption", "temporal_caption", "category", "subcategory", *PARTS)
LEGACY_CAPTION = "CapST: what failed is left out, and an empty list of events or objects scores 1"
LEGACY_RETRIEVAL = "CaReBench: what failed is left out, from the queries and from the gallery"
_GROUPS = ("category", "subcategory")
_TRIMMED = Span(0.0, 30.0)


def load(data: Path, **options: Any) -> Benchmark:
    """metadata.json, or the folder that holds it."""
    said = choose(options, OPTIONS)
    path = find_file(data, NAMES)
    task, span = said["task"], _TRIMMED if said["trim30"] else None
    clips = list(_clips(read_records(path, known=KNOWN), FIELDS[task], span))
    captioning = task == "caption"
    made = caption_items(clips) if captioning else retrieval_items(clips, paragraph=said["paragraph"])
    return Benchmark(
        "carebench" if captioning else f"carebench-{task}",
        KIND if captioning else "retrieval",
        "events" if captioning else "retrieval",
        unique_items(made),
        fingerprint(path),
        prompt="Describe the video in detail." if captioning else "",
        judge="facts" if captioning else "",
        sampler=Sampler("middle", count=32),
        legacy=LEGACY_CAPTION if captioning else LEGACY_RETRIEVAL,
        options=said,
    )


def _clips(records: list[Record], field: str, span: Span | None) -> Iterator[Clip]:
    for record in records:
        groups = {name: record.text(name) for name in _GROUPS if name in record}
        facts = {part: record.texts(part) for part in PARTS if part in record}
        yield Clip(record, name_of(record.text("video")), tuple(record.texts(field)), "", span, groups, facts)

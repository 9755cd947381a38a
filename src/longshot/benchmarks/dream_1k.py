"""DREAM-1K: descriptions of 1,000 short clips with many events, scored event by event (AutoDQ).

Wang, Yuan, Zhang, Sun: Tarsier: Recipes for Training and Evaluating Large Video Description Models, 2024
(arXiv:2407.00634). Licence: Apache-2.0 (annotation, with the code); the videos are their makers' own.

    source      https://github.com/bytedance/tarsier  data/annotations/DREAM-1k.jsonl; videos: omni-research/DREAM-1K
    revision    e3f27ef (form of Tarsier) and 63de87a (form of Tarsier2), whose captions and events are the same
    counts      1,000 clips of 8.9 s in the mean, 200 of each of 5 sources, 6,298 events
    videos      VID.mp4

    {"idx": 7, "dataset": "DREAM/stock", "vid": 7, "video_file": "<placeholder>", "text": {"prompt": "<video> Describe
     the video in detail.", "response": "A cat jumps off a table."}, "extra_info": {"duration": 6.1, "n_subjects": 1,
     "n_shots": 1, "n_events": 1, "events": ["A cat jumps off a table."]}}

Groups: source, and buckets of subjects, shots and events as in the official tables. Four clips (649, 804, 980, 981)
have no events: strict scores give them no recall, legacy ones recall 1. Each clip is asked with the prompt that the
file has for it, so the prompt's version is that of the file. Frames: 16 from the first to the last, as Tarsier2 looks
(Tarsier v1: 8).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longshot.benchmarks._reading import Record, choose, find_file, fingerprint, unique_items
from longshot.benchmarks._texts import Clip, read_clips
from longshot.items import Benchmark, Item
from longshot.sampling import Sampler

KIND = "caption"
NAMES = ("DREAM-1k.jsonl", "DREAM-1K.jsonl", "data/annotations/DREAM-1k.jsonl", "annotations/DREAM-1k.jsonl")
LEGACY = "AutoDQ: what failed is left out, no events score 1, and overall numbers are means over the five sources"
# What Tarsier2's tables call two of the sources, and the file does not.
_SOURCES = {"vertical_video": "shorts", "videvo": "stock"}


def load(data: Path, **options: Any) -> Benchmark:
    """DREAM-1k.jsonl, or the folder that holds it."""
    choose(options, {})
    path = find_file(data, NAMES)
    return Benchmark(
        "dream-1k",
        KIND,
        "events",
        unique_items(_items(read_clips(path))),
        fingerprint(path),
        prompt="Describe the video in detail.",
        judge="events",
        sampler=Sampler("endpoints", count=16),
        legacy=LEGACY,
    )


def _items(clips: list[Clip]) -> Iterator[tuple[Record, Item]]:
    for clip in clips:
        told = Record(clip.extra, f"{clip.record.where}, extra_info")
        # Four of the official ones have none; a file without the field has another form.
        events = told.texts("events", []) if "events" in told.fields else told.texts("events")
        if not clip.texts:
            raise clip.record.wrong("no reference caption")
        source = clip.groups.get("task", "")
        groups = {
            "source": _SOURCES.get(source, source) or "unknown",
            "subjects": _bucket(told.whole("n_subjects"), (1, 2, 3)),
            "shots": _bucket(told.whole("n_shots"), (1, 2, 3)),
            "events": _bucket(told.whole("n_events", len(events)), (3, 5, 7)),
        }
        gold = {"references": list(clip.texts), "events": events}
        yield clip.record, Item(clip.video, clip.video, clip.ask, gold, clip.span, groups=groups)


def _bucket(count: int, ends: tuple[int, ...]) -> str:
    """The name of a count's bucket, by the last count of each: 4 of (3, 5, 7) gives "4-5", and 8 gives ">=8"."""
    before = None
    for end in ends:
        if count <= end:
            return f"<={end}" if before is None else f"{end}" if end == before + 1 else f"{before + 1}-{end}"
        before = end
    return f">={ends[-1] + 1}"

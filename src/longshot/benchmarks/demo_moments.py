"""Demo of moments: sentences to be found in three little made-up videos of three parts each; needs no data.

Drawn by Longshot itself, so there is no licence to heed, nothing to fetch and nobody to cite.

    source      `benchmarks/_demo.py`, which writes the videos into longshot-demo-1/ in the data's folder
    revision    the number in that folder's name
    counts      12 sentences, 3 videos of 9 s, 160x120; one or two windows each, all of whole seconds
    videos      story-one.mp4

    {"id": "story-one/0", "video": "story-one", "ask": "A red square moves from left to right.",
     "gold": {"windows": [[0.0, 3.0]], "duration": 9.0}}

Every part is asked for by what happens in it, and the two parts of a video that have in common that their shape goes to
a side, or does not, are asked for together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longshot.benchmarks._demo import STORIES, Clip, digest, make_videos
from longshot.benchmarks._reading import choose
from longshot.items import Benchmark, Item
from longshot.sampling import Sampler
from longshot.timeline import Span

KIND = "moments"


def load(data: Path, **options: Any) -> Benchmark:
    """The videos are made in the folder `data` where they are not there yet."""
    choose(options, {})
    make_videos(data, STORIES)
    items = tuple(item for story in STORIES for item in _items(story))
    return Benchmark("demo-moments", KIND, "moments", items, digest(STORIES), sampler=Sampler("every", seconds=0.5))


def _items(story: Clip) -> Iterator[Item]:
    parts = list(zip(story.parts, story.spans, strict=True))
    asked = [(part.event, [span]) for part, span in parts]
    for ask, sideways in (("A shape moves to one side.", True), ("No shape moves to a side.", False)):
        spans = [span for part, span in parts if (part.way.split()[-1] in ("left", "right")) == sideways]
        if len(spans) == 2:
            first, last = spans
            # Two that touch are one window: nothing ends between them.
            asked.append((ask, [Span(first.start, last.end)] if first.end == last.start else spans))
    for number, (ask, found) in enumerate(asked):
        gold = {"windows": [[span.start, span.end] for span in found], "duration": story.seconds}
        yield Item(f"{story.name}/{number}", story.name, ask, gold)

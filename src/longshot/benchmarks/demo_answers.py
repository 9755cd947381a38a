"""Demo of open questions: colour, form and ground of the shapes in eight little made-up videos; needs no data.

Drawn by Longshot itself, so there is no licence to heed, nothing to fetch and nobody to cite.

    source      `benchmarks/_demo.py`, which writes the videos into longshot-demo-1/ in the data's folder
    revision    the number in that folder's name
    counts      24 questions, three for each of 8 clips of 3 s, 160x120; answers of one word
    videos      red-square-right.mp4

    {"id": "red-square-right/colour", "video": "red-square-right", "ask": "Which colour has the shape that is seen?",
     "gold": {"answers": ["red"]}, "groups": {"task": "colour"}}

A judge decides whether an answer is right, as in the open questions of MSVD-QA.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longshot.benchmarks._demo import CLIPS, Clip, digest, make_videos
from longshot.benchmarks._reading import choose
from longshot.items import Benchmark, Item
from longshot.sampling import Sampler

KIND = "open-qa"
_ASKS = {
    "colour": "Which colour has the shape that is seen?",
    "form": "Which form is seen?",
    "ground": "Which colour is the ground behind the shape?",
}


def load(data: Path, **options: Any) -> Benchmark:
    """The videos are made in the folder `data` where they are not there yet."""
    choose(options, {})
    make_videos(data, CLIPS)
    items = tuple(item for clip in CLIPS for item in _items(clip))
    sampler = Sampler("middle", count=4)
    return Benchmark("demo-answers", KIND, "answers", items, digest(CLIPS), judge="answers", sampler=sampler)


def _items(clip: Clip) -> Iterator[Item]:
    part = clip.parts[0]
    for task, ask in _ASKS.items():
        answer = {"colour": part.colour, "form": part.form, "ground": part.ground}[task]
        yield Item(f"{clip.name}/{task}", clip.name, ask, {"answers": [answer]}, groups={"task": task})

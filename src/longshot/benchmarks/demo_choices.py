"""Demo of multiple choice: what is seen and which way it goes, in eight little made-up videos; needs no data.

Drawn by Longshot itself, so there is no licence to heed, nothing to fetch and nobody to cite.

    source      `benchmarks/_demo.py`, which writes the videos into longshot-demo-1/ in the data's folder
    revision    the number in that folder's name
    counts      16 questions, two for each of 8 clips of 3 s, 160x120; three and five options
    videos      red-square-right.mp4

    {"id": "red-square-right/form", "video": "red-square-right", "ask": "Which form is seen?",
     "options": ["a square", "a circle", "a triangle"], "gold": {"option": 0}, "groups": {"task": "form"}}

The form stands in a single picture, the way does not. The right option is at another place from video to video.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from longshot.benchmarks._demo import CLIPS, FORMS, STILL, WAYS, Clip, digest, make_videos
from longshot.benchmarks._reading import choose
from longshot.items import Benchmark, Item
from longshot.sampling import Sampler

KIND = "mc-qa"
_ASKS = {"form": "Which form is seen?", "way": "How does it move?"}


def load(data: Path, **options: Any) -> Benchmark:
    """The videos are made in the folder `data` where they are not there yet."""
    choose(options, {})
    make_videos(data, CLIPS)
    items = tuple(item for number, clip in enumerate(CLIPS) for item in _items(clip, number))
    return Benchmark("demo-choices", KIND, "answers", items, digest(CLIPS), sampler=Sampler("middle", count=4))


def _items(clip: Clip, number: int) -> Iterator[Item]:
    part = clip.parts[0]
    ways = [*WAYS, f"not at all, it stays {STILL}"]
    right = part.way if part.way in WAYS else ways[-1]
    for task, names, name in (("form", [f"a {form}" for form in FORMS], f"a {part.form}"), ("way", ways, right)):
        place = number % len(names)
        turned = _turned(names, names.index(name) - place)
        yield Item(f"{clip.name}/{task}", clip.name, _ASKS[task], {"option": place}, None, turned, {"task": task})


def _turned(names: Sequence[str], by: int) -> tuple[str, ...]:
    """The names from another one on: ("b", "c", "a") of ["a", "b", "c"] turned by 1."""
    first = by % len(names)
    return (*names[first:], *names[:first])

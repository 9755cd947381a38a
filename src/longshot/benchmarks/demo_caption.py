"""Demo of captioning: eight small made-up videos of moving shapes; runs anywhere, needs no data.

Drawn by Longshot itself, so there is no licence to heed, nothing to fetch and nobody to cite.

    source      `benchmarks/_demo.py`, which writes the videos into longshot-demo-1/ in the data's folder
    revision    the number in that folder's name
    counts      8 clips of 3 s, 160x120; one reference each
    videos      red-square-right.mp4

    {"id": "red-square-right", "video": "red-square-right",
     "gold": {"references": ["A red square moves from left to right on a grey ground."]}}

Scores say only whether the machinery runs: they compare with no published number. Groups: form.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longshot.benchmarks._demo import CLIPS, digest, make_videos
from longshot.benchmarks._reading import choose
from longshot.items import Benchmark, Item
from longshot.sampling import Sampler

KIND = "caption"


def load(data: Path, **options: Any) -> Benchmark:
    """The videos are made in the folder `data` where they are not there yet."""
    choose(options, {})
    make_videos(data, CLIPS)
    items = (
        Item(clip.name, clip.name, "", {"references": [clip.told]}, groups={"form": clip.parts[0].form})
        for clip in CLIPS
    )
    return Benchmark("demo-caption", KIND, "captions", tuple(items), digest(CLIPS), sampler=Sampler("middle", count=4))

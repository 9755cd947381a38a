"""DiDeMo: retrieval of a video by all that people said of its moments (paragraph retrieval).

Hendricks, Wang, Shechtman, Sivic, Darrell, Russell: Localizing Moments in Video with Natural Language, ICCV 2017.
Licence: BSD 2-Clause (annotation); each video has its own Creative Commons licence (video_licenses.txt).

    source      test_data.json of https://github.com/LisaAnne/LocalizingMoments (data/), with test_list.txt of
                collaborative-experts (misc/datasets/didemo); or a list of {video, caption} as CaReBench's
    revision    2017; the list of 1,004 test videos is of collaborative-experts
    counts      10,464 videos of 54 s in the mean; test 1,004, in CaReBench's list 1,037
    videos      54322086@N00_2408598493_274c77d26a.avi, found with any ending

    {"annotation_id": 1, "description": "a cat jumps.", "video": "1@N0_1_a.avi", "times": [[0, 0], [0, 1]],
     "num_segments": 6, "dl_link": "https://…"}

Options: paragraph joins what was said of a video in the order of the file, as is usual; without it each sentence looks
for its video by itself. trim30 looks at the first 30 seconds, which is what people were shown. split: "test", "val" or
"train". only: a text file of names; test_list.txt (and so on) beside the file is taken by itself.
Frames: the middles of 32 equal parts, as CaReBench looks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from longshot.benchmarks._reading import check_names, choose, find_file, fingerprint, read_records, unique_items
from longshot.benchmarks._texts import Clip, clip_of, grouped, keep, listed_file, name_of, retrieval_items
from longshot.items import Benchmark
from longshot.sampling import Sampler
from longshot.timeline import Span

KIND = "retrieval"
OPTIONS = {
    "split": ("test", "val", "train"),
    "paragraph": (True, False),
    "trim30": (True, False),
    "only": ("", str),
}
KNOWN = ("video", "description", "annotation_id", "times", "num_segments")
LEGACY = "CaReBench: what failed is left out, from the queries and from the gallery"
_TRIMMED = Span(0.0, 30.0)


def load(data: Path, **options: Any) -> Benchmark:
    """test_data.json, or the folder that holds it."""
    said = choose(options, OPTIONS)
    split = said["split"]
    path = find_file(data, (f"{split}_data.json", f"data/{split}_data.json", f"didemo_ret_{split}.json"))
    clips, paths = _clips(path, _TRIMMED if said["trim30"] else None), [path]
    beside = path.with_name(f"{split}_list.txt")
    if said["only"] or beside.is_file():
        paths.append(listed_file(data, said["only"]) if said["only"] else beside)
        clips = keep(clips, paths[1])
    return Benchmark(
        "didemo",
        KIND,
        "retrieval",
        unique_items(retrieval_items(clips, paragraph=said["paragraph"])),
        fingerprint(*paths),
        sampler=Sampler("middle", count=32),
        legacy=LEGACY,
        options=said,
    )


def _clips(path: Path, span: Span | None) -> list[Clip]:
    records = read_records(path)
    if "caption" in records[0]:
        pairs = [clip_of(record) for record in records]
        return [Clip(clip.record, clip.video, clip.texts, span=span) for clip in pairs]
    for record in records:
        check_names(record, KNOWN)
    return grouped(
        Clip(record, name_of(record.text("video")), (record.text("description"),), span=span) for record in records
    )

"""LoVR's first step, a folder of videos to clips: its way and ours.

    python benchmarks/lovr.py benchmarks/data/1080p-gop250.mp4 --seconds 60 --rounds 3

Its way: PySceneDetect (content, threshold 34, at least 5 s), then every scene encoded again by the ffmpeg program
(libx264 veryfast, crf 22). Ours: time ranges by the same length rules (`segment` with the preset "lovr"), and for
comparison the same with clip files (`cut`), copied where that is exact and encoded elsewhere.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from passes import beginning
from side_by_side import compare, machine, table

WAYS = {
    "detect and encode again (LoVR)": """
import scenedetect
scenes = scenedetect.detect(path, scenedetect.ContentDetector(threshold=34.0, min_scene_len=150), start_in_scene=True)
scenedetect.split_video_ffmpeg(path, scenes, output_dir=out)
print(len(scenes), "clips as files")
""",
    "longshot segment": """
import longshot
print(len(longshot.segment(path, rules="lovr")), "clips as time ranges")
""",
    "longshot segment --fast": """
import longshot
print(len(longshot.segment(path, rules="lovr", fast=True)), "clips as time ranges")
""",
    "longshot segment and cut": """
import longshot
track = longshot.segment(path, rules="lovr")
print(len(longshot.cut(path, track, out)), "clips as files")
""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    path = beginning(chosen.path, chosen.seconds)
    ways = WAYS if shutil.which("ffmpeg") else {name: code for name, code in WAYS.items() if "LoVR" not in name}
    with tempfile.TemporaryDirectory() as folder:
        # A new folder each time: finished clips would be kept, not made again.
        fresh = f"import tempfile\nout = tempfile.mkdtemp(dir={folder!r})\npath = {str(path)!r}\n"
        rivals = {name: [sys.executable, "-c", fresh + code] for name, code in ways.items()}
        print(machine())
        print(f"\n{path.name}\n")
        print(table(compare(rivals, rounds=chosen.rounds), base="longshot segment"))


if __name__ == "__main__":
    main()

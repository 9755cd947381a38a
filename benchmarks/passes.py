"""Whole-file passes over 1080p: bare decode, looks at a stride, shots, observer; against PySceneDetect.

    python benchmarks/passes.py benchmarks/data/1080p-gop250.mp4 --rounds 3 [--seconds 120]

The base is a bare PyAV decode of every frame with threads. `--seconds` reads only the beginning (a stream copy of
it is made beside the file), for a quicker look.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import av

from side_by_side import compare, machine, table

WAYS = {
    "bare PyAV decode": """
import av
with av.open(path) as container:
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    print(sum(1 for _ in container.decode(stream)), "frames")
""",
    "PySceneDetect content": """
import scenedetect
print(len(scenedetect.detect(path, scenedetect.ContentDetector())), "scenes")
""",
    "PySceneDetect adaptive": """
import scenedetect
print(len(scenedetect.detect(path, scenedetect.AdaptiveDetector())), "scenes")
""",
    "longshot 2 frames/s, 256 px": """
import longshot
frames = sum(len(batch) for batch in longshot.open_video(path).stream(every=0.5, height=256))
print(frames, "frames")
""",
    "longshot scan (every frame coarse + 2/s)": """
import longshot
glances = list(map(len, longshot.open_video(path).scan(every=0.5, height=256)))
print(sum(glances), "frames")
""",
    "longshot shots": """
import longshot
print(len(longshot.segment(path)), "shots")
""",
    "longshot shots --fast": """
import longshot
print(len(longshot.segment(path, fast=True)), "shots")
""",
    "longshot describe --every shot (observer, no OCR)": """
import longshot
print(len(longshot.describe(path, every="shot", speech="none", screen=False)), "shots described")
""",
}


def beginning(path: Path, seconds: float) -> Path:
    """A stream copy of the first seconds, made once."""
    short = path.with_name(f"{path.stem}-first{seconds:g}s.mp4")
    if short.exists():
        return short
    with av.open(str(path)) as source, av.open(str(short), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is None or packet.dts * stream.time_base >= seconds:
                break
            packet.stream = copy
            target.mux(packet)
    return short


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--only", nargs="*", help="parts of names")
    chosen = parser.parse_args()
    path = beginning(chosen.path, chosen.seconds) if chosen.seconds else chosen.path
    wanted = {
        name: code
        for name, code in WAYS.items()
        if not chosen.only or name.startswith("bare") or any(part in name for part in chosen.only)
    }
    rivals = {name: [sys.executable, "-c", f"path = {str(path)!r}\n{code}"] for name, code in wanted.items()}
    print(machine())
    print(f"\n{path.name}\n")
    print(table(compare(rivals, rounds=chosen.rounds), base="bare PyAV decode"))


if __name__ == "__main__":
    main()

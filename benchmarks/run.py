"""All benchmarks, on videos made once into a folder: `make bench`.

    python benchmarks/run.py benchmarks/data --rounds 3 [--long] [--torchcodec /path/to/its/python]

Takes about half an hour on 2 cores, most of it for making the videos the first time; `--long` adds the 3-hour recap,
`--models` what asks models and what measures them (another quarter of an hour), `--library` what searches and shows a
library (half an hour; needs the extra `bench`, and chromium for the page). Accuracy of shots has its own programs
(shots_truth.py, shots_accuracy.py; see docs/shots.md).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
_MODELS = (
    ["endpoint_slots.py", "--clips", "200", "--seconds", "0.5", "1", "2"],
    ["endpoint_slots.py", "--clips", "1000", "--seconds", "1"],
    ["engine.py", "--clips", "32"],
    ["caption_metrics.py"],
    ["moment_scores.py"],
    ["retrieval_scores.py", "--rounds", "1"],
)

_LIBRARY = (
    ["library.py", "--rows", "1000000", "--faiss", "ivf"],
    ["library.py", "--rows", "100000"],
    ["retrieval.py", "--half", "test", "--drawn"],
    ["finding.py", "quality", "--half", "test"],
    ["finding.py", "speed"],
    ["page.py"],
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=HERE / "data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--models", action="store_true")
    parser.add_argument("--library", action="store_true")
    parser.add_argument("--torchcodec")
    chosen = parser.parse_args()
    slow, quick = chosen.folder / "1080p-gop250.mp4", chosen.folder / "1080p-gop30.mp4"
    rounds = ["--rounds", str(chosen.rounds)]
    other = ["--torchcodec", chosen.torchcodec] if chosen.torchcodec else []
    lengths = [str(chosen.folder / f"360p-{length}.mp4") for length in ("1h", "3h")] if chosen.long else []
    for program in (
        ["footage.py", str(chosen.folder), *(["--long"] if chosen.long else [])],
        ["frames.py", str(slow), *rounds, *other],
        ["frames.py", str(quick), *rounds, *other],
        ["passes.py", str(slow), *rounds, "--seconds", "300"],
        ["lovr.py", str(slow), *rounds],
        ["memory.py", *lengths],
        *(_MODELS if chosen.models else []),
        *(_LIBRARY if chosen.library else []),
    ):
        print(f"\n## {' '.join(program)}\n", flush=True)
        subprocess.run([sys.executable, str(HERE / program[0]), *program[1:]], check=True)


if __name__ == "__main__":
    main()

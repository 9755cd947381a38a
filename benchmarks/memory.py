"""Peak memory of `recap` against length, and how long the light commands take.

python benchmarks/memory.py benchmarks/data/360p-1h.mp4 benchmarks/data/360p-3h.mp4
"""

from __future__ import annotations

import argparse
import sys
from statistics import median

from side_by_side import machine, run

RECAP = """
import longshot
tracks = longshot.recap({path!r}, speech="none", screen="none")
print(", ".join(f"{{len(track)}} {{track.level}}" for track in tracks))
"""
LIGHT = ("--help", "list")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--rounds", type=int, default=9, help="how often the light commands are run")
    chosen = parser.parse_args()
    print(machine())
    print("\n| recap of | wall s | CPU s | peak MB | tracks |\n|---|---|---|---|---|")
    for path in chosen.paths:
        done = run([sys.executable, "-c", RECAP.format(path=path)])
        print(
            f"| {path.rpartition('/')[2]} | {done.wall:.0f} | {done.cpu:.0f} | {done.memory:.0f} | {done.said} |",
            flush=True,
        )
    print("\n| command | median wall s | peak MB |\n|---|---|---|")
    for command in LIGHT:
        runs = [run([sys.executable, "-m", "longshot", command]) for _ in range(chosen.rounds)]
        print(f"| longshot {command} | {median(r.wall for r in runs):.2f} | {median(r.memory for r in runs):.0f} |")


if __name__ == "__main__":
    main()

"""Ranks of 1,000,000 videos for 10,000 texts, against the bare matrix product in blocks.

python benchmarks/retrieval_scores.py                  # 2 GB of vectors in a temporary folder, minutes a round
python benchmarks/retrieval_scores.py --videos 100000

Both sides read the same vectors from a mapped file, in a process of their own. The bare side multiplies tiles of the
same size and looks at nothing. Each text is its right video and noise: their score is about --likeness, where those of
others spread by 1 / sqrt(D) around 0. At 0 the right ones stand anywhere, which is the most work: scores then lie close
together, and more are decided in float64.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from pathlib import Path

import numpy as np

from side_by_side import compare, machine, table

BARE = """
import mmap, numpy as np
texts, videos = np.load({folder!r} + "/texts.npy"), np.load({folder!r} + "/videos.npy", mmap_mode="r")
tile = np.empty((2048, {block}), np.float32)
for start in range(0, len(videos), {block}):
    block = np.ascontiguousarray(videos[start : start + {block}])
    videos.base.madvise(mmap.MADV_DONTNEED)
    for low in range(0, len(texts), 2048):
        some = texts[low : low + 2048]
        np.matmul(some, block.T, out=tile[: len(some), : len(block)])
"""
OURS = """
import numpy as np
from longshot.metrics.retrieval import rank
texts, videos = np.load({folder!r} + "/texts.npy"), np.load({folder!r} + "/videos.npy", mmap_mode="r")
truth = np.load({folder!r} + "/truth.npy")
found = rank(texts, videos, [[int(right)] for right in truth], block={block})
print("R@1", round(100 * float(np.mean([ranks[0] == 1 for ranks in found.forward])), 2))
"""


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def make(folder: Path, texts: int, videos: int, dimension: int, likeness: float) -> None:
    random = np.random.default_rng(0)
    truth = np.sort(random.choice(videos, texts, replace=False))
    gallery = np.lib.format.open_memmap(folder / "videos.npy", mode="w+", dtype=np.float32, shape=(videos, dimension))
    for low in range(0, videos, 10_000):
        rows = min(10_000, videos - low)
        gallery[low : low + rows] = unit(random.standard_normal((rows, dimension), dtype=np.float32))
    noise = unit(random.standard_normal((texts, dimension), dtype=np.float32))
    asked = likeness * gallery[truth] + np.sqrt(1 - likeness**2) * noise
    np.save(folder / "texts.npy", unit(asked).astype(np.float32))
    np.save(folder / "truth.npy", truth)
    gallery.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--likeness", type=float, default=0.25)
    parser.add_argument("--block", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        # In a process of its own: what it fills would count as memory of the ones that are measured.
        sizes = chosen.texts, chosen.videos, chosen.dimension
        maker = multiprocessing.get_context("spawn").Process(target=make, args=(Path(name), *sizes, chosen.likeness))
        maker.start()
        maker.join()
        if maker.exitcode:
            raise SystemExit(maker.exitcode)
        codes = {"bare product": BARE, "longshot": OURS}
        runs = compare(
            {
                side: [sys.executable, "-c", code.format(folder=name, block=chosen.block)]
                for side, code in codes.items()
            },
            rounds=chosen.rounds,
        )
    print(machine())
    print(f"{chosen.texts} texts x {chosen.videos} videos, D = {chosen.dimension}, likeness {chosen.likeness}\n")
    print(table(runs, base="bare product"))


if __name__ == "__main__":
    main()

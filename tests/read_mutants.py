"""Read many damaged copies of small videos and check that nothing worse than one of our errors happens.

    python tests/read_mutants.py FOLDER COUNT

A program of its own, because a crash inside a decoder would take a test run with it.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from longshot import open_video
from longshot.errors import LongshotError
from tests.videos import write_video

SECONDS_EACH = 60.0


def originals(folder: Path) -> list[Path]:
    made = {
        "a.mp4": {"options": {"g": "10"}},
        "b.mkv": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
        "c.ts": {"codec": "mpeg2video"},
        "d.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
        "e.gif": {"codec": "gif", "pixel_format": "rgb8"},
        "f.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
        "g.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    }
    for name, made_of in made.items():
        write_video(folder / name, count=20, **made_of)
    return [folder / name for name in made]


def mutated(data: bytes, generator: np.random.Generator) -> bytes:
    """Random bytes changed, most of them near the front where the header is; now and then cut or doubled."""
    changed = bytearray(data)
    reach = len(data) if generator.random() < 0.5 else min(len(data), 2000)
    for _ in range(int(generator.integers(1, 40))):
        changed[int(generator.integers(reach))] = int(generator.integers(256))
    kind = generator.random()
    if kind < 0.1:
        del changed[int(generator.integers(len(changed))) :]
    elif kind < 0.2:
        at = int(generator.integers(len(changed)))
        changed[at:at] = changed[at : at + 500]
    return bytes(changed)


def look(path: Path) -> str:
    """Read a file every way; returns how it ended. Anything but a LongshotError passes through and fails."""
    try:
        with open_video(path) as video:
            if not video.has_video:
                return "sound only"
            frames = video.frames([0.0, 0.31, 0.7, 5.0], height=32)
            assert frames.pixels.shape[:2] == (4, 32), frames.pixels.shape
            assert (np.diff(frames.times) >= 0).all(), frames.times
            times = [t for glance in video.scan(every=0.2, height=32) for t in glance.times]
            assert all(later > earlier for earlier, later in pairwise(times)), times
            assert np.isfinite(video.duration) and video.duration >= 0
            len(video.packets())
            return "damaged" if video.damage else "read"
    except LongshotError as error:
        assert "\n" not in str(error), str(error)
        return "refused"


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    sources = [path.read_bytes() for path in originals(folder)]
    generator = np.random.default_rng(2026)
    ends: Counter[str] = Counter()
    for k in range(count):
        path = folder / f"mutant-{k}"
        path.write_bytes(mutated(sources[k % len(sources)], generator))
        began = time.monotonic()
        ends[look(path)] += 1
        took = time.monotonic() - began
        assert took < SECONDS_EACH, f"{path.name} took {took:.0f} s"
        path.unlink()
    print(f"{count} files read: {dict(ends)}")


if __name__ == "__main__":
    main()

"""Make the videos that the benchmarks read: panning textures with grain and hard cuts, H.264.

    python benchmarks/footage.py benchmarks/data            # 10 minutes of 1080p at GOP 250 and at GOP 30
    python benchmarks/footage.py benchmarks/data --long     # and 1 and 3 hours of 360p

They are easy pictures: they test speed, memory and exactness, not accuracy on films. Made once, then kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

FPS = 30
SHOT_SECONDS = 10


def texture(generator: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """A smooth random picture with detail at several scales, like foliage or brick seen from afar."""
    picture = np.zeros((height, width), np.float32)
    for scale, weight in ((8, 12), (32, 25), (128, 40)):
        small = generator.normal(0, weight, (height // scale + 2, width // scale + 2)).astype(np.float32)
        picture += np.kron(small, np.ones((scale, scale), np.float32))[:height, :width]
    return np.clip(picture + generator.integers(80, 160), 16, 235).astype(np.uint8)


def shot(generator: np.random.Generator, size: tuple[int, int], count: int) -> Iterator[NDArray[np.uint8]]:
    """`count` frames of one camera pan over one texture, as stacked yuv420p planes (H * 3 / 2, W)."""
    width, height = size
    luma = texture(generator, height + 256, width + 1024)
    chroma = generator.integers(90, 166, 2)
    grain = generator.integers(0, 7, (4, height, width)).astype(np.uint8)
    speed = generator.uniform(-3, 3)
    start = 512 if abs(speed) * count > 511 else 256
    planes = np.empty((height * 3 // 2, width), np.uint8)
    planes[height : height * 5 // 4] = chroma[0]
    planes[height * 5 // 4 :] = chroma[1]
    for k in range(count):
        left = int(np.clip(start + speed * k, 0, 1023))
        np.add(luma[128 : 128 + height, left : left + width], grain[k % 4], out=planes[:height])
        yield planes


def make(path: Path, *, seconds: int, size: tuple[int, int], gop: int, bit_rate: int) -> None:
    """Write one video, unless it is there already."""
    if path.exists():
        return
    partial = path.with_suffix(".part.mp4")
    generator = np.random.default_rng(7)
    options = {"preset": "veryfast", "g": str(gop), "sc_threshold": "40" if gop > 100 else "0", "threads": "0"}
    with av.open(str(partial), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options, bit_rate=bit_rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for first in range(0, seconds, SHOT_SECONDS):
            for k, planes in enumerate(shot(generator, size, SHOT_SECONDS * FPS)):
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                frame.pts, frame.time_base = first * FPS + k, Fraction(1, FPS)
                container.mux(stream.encode(frame))
            print(f"{path.name}: {first + SHOT_SECONDS} of {seconds} s", file=sys.stderr, end="\r")
        container.mux(stream.encode(None))
    partial.rename(path)


def repeat(source_path: Path, path: Path, *, times: int) -> None:
    """Write the same video several times over, one after the other, without encoding it again."""
    if path.exists():
        return
    partial = path.with_suffix(".part.mp4")
    with av.open(str(partial), "w") as target:
        copy = None
        offset = 0
        for _ in range(times):
            with av.open(str(source_path)) as source:
                stream = source.streams.video[0]
                copy = copy or target.add_stream_from_template(stream)
                for packet in source.demux(stream):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, copy
                    target.mux(packet)
                offset += stream.duration
    partial.rename(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--long", action="store_true", help="also make the files of 1 and 3 hours")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for gop in (250, 30):
        make(chosen.folder / f"1080p-gop{gop}.mp4", seconds=600, size=(1920, 1080), gop=gop, bit_rate=5_000_000)
    if chosen.long:
        make(chosen.folder / "360p-20min.mp4", seconds=1200, size=(640, 360), gop=250, bit_rate=800_000)
        repeat(chosen.folder / "360p-20min.mp4", chosen.folder / "360p-1h.mp4", times=3)
        repeat(chosen.folder / "360p-20min.mp4", chosen.folder / "360p-3h.mp4", times=9)


if __name__ == "__main__":
    main()

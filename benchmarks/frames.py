"""32 frames spread over a long file: Longshot, decord, OpenCV, torchcodec and hand-written PyAV seeking.

    python benchmarks/frames.py benchmarks/data/1080p-gop250.mp4 --rounds 3 [--torchcodec /path/to/its/python]

Each way must give the frames on screen at the same 32 seconds; a digest of them is printed in the last column
(coarse brightness of each frame, so that small differences of colour conversion do not count, wrong frames do).
torchcodec needs torch and FFmpeg's shared libraries, so it may live in an environment of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys

import numpy as np

from side_by_side import compare, machine, table

COUNT, SECONDS, FPS = 32, 600, 30


def moments() -> list[float]:
    """Middles of 32 equal parts, in the middle of a frame, so that every way means the same one."""
    return [(int((k + 0.5) * SECONDS * FPS / COUNT) + 0.5) / FPS for k in range(COUNT)]


def digest(pixels: np.ndarray) -> str:
    """Mean brightness of a 4 x 4 grid of each frame, summed up in a line that wrong frames change."""
    _, height, width, _ = pixels.shape
    spreads = []
    for picture in pixels[::4]:  # one at a time, so that the digest does not set the peak of memory
        grey = picture[: height // 4 * 4, : width // 4 * 4, 1].reshape(4, height // 4, 4, width // 4)
        spreads.append(grey.mean(axis=(1, 3)).std())
    return f"{height}p, " + " ".join(f"{spread:.0f}" for spread in spreads)


def longshot(path: str, height: int | None, near: float = 0.0) -> np.ndarray:
    from longshot import Sampler, Span, open_video

    video = open_video(path)
    times = moments()
    if near:
        times = Sampler("middle", count=COUNT, near=near).times(Span(0, SECONDS), keyframes=video.keyframes().tolist())
    return video.frames(times, height=height).pixels


def by_decord(path: str, height: int | None) -> np.ndarray:
    import decord

    size = {} if height is None else {"width": round(height * 16 / 9), "height": height}
    reader = decord.VideoReader(path, num_threads=0, **size)
    return reader.get_batch([int(moment * FPS) for moment in moments()]).asnumpy()


def by_opencv(path: str, height: int | None) -> np.ndarray:
    import cv2

    capture = cv2.VideoCapture(path)
    frames = []
    for moment in moments():
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(moment * FPS))
        _, picture = capture.read()
        if height is not None:
            picture = cv2.resize(picture, (round(height * 16 / 9), height), interpolation=cv2.INTER_AREA)
        frames.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    return np.stack(frames)


def by_pyav(path: str, height: int | None) -> np.ndarray:
    import av

    frames = []
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for moment in moments():
            goal = int(int(moment * FPS) / FPS / stream.time_base)
            container.seek(goal, stream=stream)
            frame = next(frame for frame in container.decode(stream) if frame.pts >= goal)
            size = {} if height is None else {"width": round(height * 16 / 9), "height": height}
            frames.append(frame.to_ndarray(format="rgb24", **size))
    return np.stack(frames)


def by_torchcodec(path: str, height: int | None) -> np.ndarray:
    import torch
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(path, num_ffmpeg_threads=0, dimension_order="NHWC")
    pixels = decoder.get_frames_played_at(moments()).data
    if height is not None:
        size = (height, round(height * 16 / 9))
        small = [
            torch.nn.functional.interpolate(one.permute(2, 0, 1)[None].float(), size=size, mode="area")
            for one in pixels
        ]
        pixels = torch.cat(small).round().to(torch.uint8).permute(0, 2, 3, 1)
    return pixels.numpy()


WAYS = {
    "longshot": longshot,
    "longshot near=4": lambda path, height: longshot(path, height, near=4.0),
    "decord": by_decord,
    "OpenCV": by_opencv,
    "PyAV by hand": by_pyav,
    "torchcodec": by_torchcodec,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torchcodec", help="a Python that has torchcodec")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--height", type=int)
    chosen = parser.parse_args()
    if chosen.way:
        print(digest(WAYS[chosen.way](chosen.path, chosen.height)))
        return
    print(machine())
    for height in (None, 336):
        size = [] if height is None else ["--height", str(height)]
        pythons = {name: sys.executable for name in WAYS if name != "torchcodec"}
        if importlib.util.find_spec("decord") is None:
            del pythons["decord"]
        if chosen.torchcodec:
            pythons["torchcodec"] = chosen.torchcodec
        rivals = {name: [python, __file__, chosen.path, "--way", name, *size] for name, python in pythons.items()}
        print(f"\n32 frames of {chosen.path}, {'full size' if height is None else f'{height} px high'}\n")
        print(table(compare(rivals, rounds=chosen.rounds), base="PyAV by hand"))


if __name__ == "__main__":
    main()

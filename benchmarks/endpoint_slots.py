"""How busy a server's slots are kept while clips are captioned, and what that takes in memory.

python benchmarks/endpoint_slots.py --clips 200 --seconds 1 2

The server runs in a process of its own, answers after a fixed time, and works on `--slots` requests at once; others
wait in it. A clip is eight frames, 336 pixels tall, from files that are made for it. Busy is the time in which slots
had work, as a share of all slots' time between the first request and the last reply; `at most` is what so many clips
can reach when the last round does not fill the slots. Memory is taken after 100, 500 and 1,000 clips.

| clips | answer s | way | wall s | busy % | at most % | clips/s | CPU ms a clip | RSS MB |
|---|---|---|---|---|---|---|---|---|
| 200 | 2 | images | 26.28 | 95.2 | 96.2 | 8 | 48.9 | 612 |
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from time import process_time

import numpy as np
from av import VideoFrame

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.fake_server import Answer, FakeServer
from tests.videos import write_video

from longshot.asking import Question, ask
from longshot.journal import State
from longshot.looks import Look
from longshot.models import open_chat_model
from side_by_side import machine

MARKS = (100, 500, 1000)


def serve(pipe: Connection, slots: int, seconds: float) -> None:
    """Run the server until told to stop; then send when each slot was taken and freed."""
    with FakeServer(slots=slots) as server:
        server.answer = Answer("A man in red throws a ball to a dog.", delay=seconds)
        pipe.send(server.address)
        pipe.recv()
        pipe.send(server.spans)


def files(folder: Path, count: int, *, seconds: int) -> list[Path]:
    """Videos of 598 x 336 pixels at 25 frames a second: a pan over soft shapes, with a little grain."""
    paths = []
    rng = np.random.default_rng(0)
    wide = 598 + 50 * seconds
    grain = rng.integers(0, 6, (336, wide, 3), np.uint8)
    for k in range(count):
        path = folder / f"{k:04}.mp4"
        coarse = rng.integers(0, 250, (336 // 42, wide // 46 + 1, 3), np.uint8)
        scene = VideoFrame.from_ndarray(coarse, format="rgb24").reformat(width=wide, height=336).to_ndarray() + grain
        pictures = [scene[:, 2 * n : 2 * n + 598] for n in range(25 * seconds)]
        write_video(path, count=len(pictures), size=(598, 336), pictures=pictures, options={"preset": "ultrafast"})
        paths.append(path)
    return paths


def questions(paths: list[Path], clips: int) -> Iterator[Question]:
    """Clip k: eight frames over one second of a file; clips of one file follow each other."""
    each = math.ceil(clips / len(paths))
    for k in range(clips):
        path, start = paths[k // each], float(k % each)
        times = tuple(start + 0.125 * n for n in range(8))
        yield Question(str(k), "Describe the clip.", look=Look(path, times, height=336))


def resident() -> float:
    """Memory of the asking process now, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def measure(paths: list[Path], *, clips: int, slots: int, queued: int, seconds: float, way: str) -> str:
    """One row of the table. queued: requests that wait in the server beside those that it works on."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, slots, seconds), daemon=True)
    process.start()
    try:
        model = open_chat_model(ours.recv(), settings={"video": way, "slots": slots + queued})
        memory, failed, began = [], 0, process_time()
        for count, answer in enumerate(ask(model, questions(paths, clips)), start=1):
            failed += answer.state is not State.DONE
            if count in MARKS:
                memory.append(f"{resident():.0f}")
        cpu = (process_time() - began) / clips
        ours.send("stop")
        spans = ours.recv()
    finally:
        process.join(timeout=10)
        process.terminate()
    if failed or len(spans) != clips:
        raise SystemExit(f"{failed} of {clips} clips failed, {len(spans)} requests")
    wall = max(end for _, end in spans) - min(begin for begin, _ in spans)
    busy = sum(end - begin for begin, end in spans) / (wall * slots)
    most = clips / (math.ceil(clips / slots) * slots)
    share = f"{100 * busy:.1f} | {100 * most:.1f}"
    rate = f"{clips / wall:.0f} | {1000 * cpu:.1f}"
    return f"| {clips} | {seconds:g} | {way} | {wall:.2f} | {share} | {rate} | {', '.join(memory)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, nargs="+", default=[200])
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--queued", type=int, default=4, help="requests under way beyond the server's slots")
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.25], help="how long the server takes to answer")
    parser.add_argument("--ways", nargs="+", default=["images"], help="jpegs, mp4, images")
    parser.add_argument("--files", type=int, default=40)
    chosen = parser.parse_args()
    print(machine())
    print(f"{chosen.slots} slots, {chosen.queued} requests queued")
    print("\n| clips | answer s | way | wall s | busy % | at most % | clips/s | CPU ms a clip | RSS MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        most = max(chosen.clips)
        # In a process of their own: what it takes to make them is no part of the memory that is measured.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            paths = pool.apply(files, (Path(folder), chosen.files), {"seconds": math.ceil(most / chosen.files)})
        for clips in chosen.clips:
            for seconds in chosen.seconds:
                for way in chosen.ways:
                    row = measure(
                        paths, clips=clips, slots=chosen.slots, queued=chosen.queued, seconds=seconds, way=way
                    )
                    print(row, flush=True)


if __name__ == "__main__":
    main()

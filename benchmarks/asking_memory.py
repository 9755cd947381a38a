"""Memory and busy slots of the ask loop: many clips of one video through a model that only waits.

    python benchmarks/asking_memory.py VIDEO                    # 1,000 clips of 8 frames, 16 slots, 50 ms an answer
    python benchmarks/asking_memory.py VIDEO --clips 200 --seconds 0.5

Prints one JSON line for each tenth of the clips, and one at the end:

    {"clips": 500, "rss_mb": 165.3}
    {"clips": 1000, "most_rss_mb": 208.4, "growth_mb": 0.3, "slots_busy": 0.712, "clips_per_second": 22.6}

rss_mb is the process's resident memory; growth_mb is what the second half of the run added to the most that the first
half needed. slots_busy is the share of the slots' time, from the first call to the last, in which they waited for the
model. Where the machine decodes fewer clips a second than slots / seconds, as in the rows above (two busy cores, 32
wanted), it is the decoding that is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from longshot.asking import Desk, Question
from longshot.contracts import Prompt, Reply
from longshot.looks import Look
from longshot.timeline import Source
from longshot.video import open_video

FRAMES = 8
HEIGHT = 240


class Waiting:
    """A chat model that answers after a fixed time."""

    source = Source("chat", "waiting")
    context = 0
    batch = 1

    def __init__(self, slots: int, seconds: float) -> None:
        self.slots, self.seconds = slots, seconds
        self.busy, self.first, self.last = 0.0, 0.0, 0.0
        self._lock = threading.Lock()

    def count_tokens(self, text: str) -> int:
        return len(text)

    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        began = time.perf_counter()
        time.sleep(self.seconds)
        with self._lock:
            self.first = self.first or began
            self.last = time.perf_counter()
            self.busy += self.last - began
        return [Reply(f"A clip of {len(prompt.frames or ())} frames.") for prompt in prompts]

    def stream(self, prompt: Prompt) -> Iterator[str]:
        yield self.generate([prompt])[0].text


def questions(path: Path, count: int) -> Iterator[Question]:
    """Clips spread evenly over the video."""
    with open_video(path) as video:
        duration = video.duration
    for clip in range(count):
        start, length = duration * clip / count, duration / count
        times = tuple(start + length * (k + 0.5) / FRAMES for k in range(FRAMES))
        yield Question(f"clip {clip}", "What happens?", look=Look(path, times, HEIGHT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.05, help="that the model takes for an answer")
    options = parser.parse_args()
    model, process, seen = Waiting(options.slots, options.seconds), psutil.Process(), []
    with Desk(model) as desk:
        for number, _ in enumerate(desk.ask(questions(options.video, options.clips)), start=1):
            seen.append(process.memory_info().rss / 2**20)
            if number % max(1, options.clips // 10) == 0:
                print(json.dumps({"clips": number, "rss_mb": round(seen[-1], 1)}))
    half = len(seen) // 2
    took = model.last - model.first
    summary = {
        "clips": len(seen),
        "most_rss_mb": round(max(seen), 1),
        "growth_mb": round(max(seen[half:]) - max(seen[:half]), 1),
        "slots_busy": round(model.busy / (options.slots * took), 3),
        "clips_per_second": round(len(seen) / took, 1),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    sys.exit(main())

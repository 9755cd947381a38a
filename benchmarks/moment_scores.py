"""Scoring moments and highlights: Longshot against plain loops of the same definitions, on one made-up set.

    python benchmarks/moment_scores.py                     # 15,500 queries, ten times QVHighlights' validation set
    python benchmarks/moment_scores.py --queries 1550 --rounds 5

Prints one JSON line:

    {"queries": 15500, "ours_s": 1.28, "with_intervals_s": 2.95, "loops_s": 52.2, "ratio": 40.8, "same": true}

Seconds are the processor's, of all threads, so that other work on the machine counts little. ours_s: from rows to what
the official script of QVHighlights prints (`official`), median of the rounds. with_intervals_s: `scores`, which makes
every strict and legacy score with 1,000 draws of the videos. loops_s: the definitions of the official script written as
loops over queries, raters and clips, as that script is built (which cannot be shipped here), run once. Both must print
the same numbers to two decimals. The set has the statistics of QVHighlights: 1.8 right windows on a grid of two seconds
in 150 s, ten windows said, 75 scored clips, three ratings.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from longshot.items import Item, Prediction, Row
from longshot.journal import State
from longshot.metrics.moments import official, scores

THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
RANGES = {"full": (-np.inf, np.inf), "long": (30, 150), "middle": (10, 30), "short": (0, 10)}
LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}


def made_up(queries: int, seed: int = 0) -> list[Row]:
    """Rows with the statistics of QVHighlights."""
    random = np.random.default_rng(seed)
    return [_row(number, random) for number in range(queries)]


def _row(number: int, random: np.random.Generator) -> Row:
    duration = int(random.choice([150, 150, 150, 150, 144, 126]))
    clips = duration // 2
    wanted = min(int(random.geometric(0.55)), 12)
    cuts = np.sort(random.choice(clips + 1, size=2 * wanted, replace=False))
    right = [[2 * int(a), 2 * int(b)] for a, b in cuts.reshape(-1, 2)]
    inside = [clip for start, end in right for clip in range(start // 2, end // 2)]
    ratings = random.integers(0, 5, (len(inside), 3))
    windows = []
    for _ in range(10):
        start, end = (
            right[int(random.integers(len(right)))] if random.random() < 0.6 else (0, int(random.integers(1, duration)))
        )
        low, high = np.sort(np.clip(np.array([start, end]) + random.normal(0, 4, 2), 0, duration))
        windows.append([round(float(low), 2), round(float(high), 2), round(float(random.random()), 4)])
    saliency = random.normal(0, 1, clips)
    saliency[inside] += ratings.mean(axis=1) / 2
    if random.random() < 0.2:
        saliency = saliency.round(1)  # equal scores
    gold = {"windows": right, "duration": float(duration), "clips": inside, "ratings": ratings.tolist()}
    item = Item(str(number), f"video{number * 0.98:.0f}", "a query", gold)
    return Row(item, Prediction(item.id, State.DONE, {"windows": windows, "saliency": saliency.tolist()}))


def by_loops(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """What `official` gives, by loops over queries, windows, thresholds, raters and clips."""
    tables: dict[str, dict[str, Any]] = {}
    for name, (over, most) in RANGES.items():
        areas, firsts = [], []
        for row in rows:
            right = [w for w in row.item.gold["windows"] if over < w[1] - w[0] <= most]
            if not right:
                continue
            said = row.prediction.value["windows"]
            areas.append([area_of(said, right, threshold) for threshold in THRESHOLDS])
            firsts.append(first_overlap(said[0], right))
        means = [sum(column) / len(areas) for column in zip(*areas, strict=True)]
        table = {str(t): percent(mean) for t, mean in zip(THRESHOLDS, means, strict=True)}
        recalls = {str(t): percent(sum(iou >= t for iou in firsts) / len(firsts)) for t in THRESHOLDS}
        tables[name] = {"MR-mAP": {**table, "average": percent(sum(means) / len(means))}, "MR-R1": recalls}
    for name, level in LEVELS.items():
        areas, hits = [], []
        for row in rows:
            right = binary(row.item.gold, level)
            said = row.prediction.value["saliency"]
            best = max(range(len(said)), key=lambda clip: said[clip])
            hits.append(best < len(right[0]) and any(rater[best] for rater in right))
            areas += [clip_area(said, rater) for rater in right]
        tables[f"HL-min-{name}"] = {
            "HL-mAP": percent(sum(areas) / len(areas)),
            "HL-Hit1": percent(sum(hits) / len(hits)),
        }
    return tables


def percent(share: float) -> float:
    return float(f"{100 * share:.2f}")


def iou_of(one: Sequence[float], other: Sequence[float]) -> float:
    shared = max(0.0, min(one[1], other[1]) - max(one[0], other[0]))
    return shared / ((one[1] - one[0]) + (other[1] - other[0]) - shared)


def first_overlap(first: Sequence[float], right: Sequence[Sequence[float]]) -> float:
    nearest = max(right, key=lambda window: iou_of(first, window))
    shared = max(0.0, min(first[1], nearest[1]) - max(first[0], nearest[0]))
    hull = max(first[1], nearest[1]) - min(first[0], nearest[0])
    return shared / hull if hull else 0.0


def area_of(said: Sequence[Sequence[float]], right: Sequence[Sequence[float]], threshold: float) -> float:
    """Average precision of one query at one threshold."""
    ranked = sorted(said[:10], key=lambda window: -window[2])
    taken: set[int] = set()
    found, curve = 0, []
    for looked, window in enumerate(ranked, start=1):
        best, claimed = threshold, -1
        for place, other in enumerate(right):
            iou = iou_of(window, other)
            if iou >= best and place not in taken:
                best, claimed = iou, place
        if claimed >= 0:
            taken.add(claimed)
            found += 1
        curve.append((found / len(right), found / looked))
    area, before = 0.0, 0.0
    for place, (recall, _) in enumerate(curve):
        area += (recall - before) * max(precise for _, precise in curve[place:])
        before = recall
    return area


def binary(gold: Mapping[str, Any], level: int) -> list[list[bool]]:
    """For each rater, which clips are right."""
    raters = [[False] * int(gold["duration"] / 2) for _ in range(3)]
    for clip, ratings in zip(gold["clips"], gold["ratings"], strict=True):
        for rater, rating in enumerate(ratings):
            raters[rater][clip] = rating >= level
    return raters


def clip_area(said: Sequence[float], right: Sequence[bool]) -> float:
    """Average precision of one query's clips for one rater."""
    told = list(said[: len(right)]) + [0.0] * (len(right) - len(said))
    if not any(right):
        return 0.0
    best, before, values = 0.0, sum(right), []
    # From the lowest score up: all clips with at least this score are called right.
    for score in sorted(set(told)):
        called = [truth for one, truth in zip(told, right, strict=True) if one >= score]
        found = sum(called)
        above = sum(truth for one, truth in zip(told, right, strict=True) if one > score)
        best = max(best, found / len(called))
        if above != found:
            values.append(best)
        before = found
    assert before >= 0
    return sum(values) / len(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=15_500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows = made_up(options.queries)
    ours, whole = [], []
    for _ in range(options.rounds):
        began = time.process_time()
        found = official(rows)
        ours.append(time.process_time() - began)
        began = time.process_time()
        scores(rows)
        whole.append(time.process_time() - began)
    began = time.process_time()
    expected = by_loops(rows)
    loops = time.process_time() - began
    told = {
        "queries": options.queries,
        "ours_s": round(statistics.median(ours), 2),
        "with_intervals_s": round(statistics.median(whole), 2),
        "loops_s": round(loops, 1),
        "ratio": round(loops / statistics.median(ours), 1),
        "same": {name: table for name, table in found.items() if name != "brief"} == expected,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()

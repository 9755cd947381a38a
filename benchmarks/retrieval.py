"""How well searching finds, on films whose moments are known: full text alone, vectors alone, both.

    python benchmarks/retrieval.py                        # the written films
    python benchmarks/retrieval.py --samples ../samples   # and real files, when they are there

The films and the questions are those of _finding.py. A moment is right when it lies in the right film and shares time
with the true span. recall@k: one of the first k is right. IoU: of the best of the first k, 0 where none is right.
Intervals: 95 %, over films. "RRF" is reciprocal-rank fusion of the two lists of captions (k = 60) before moments are
made of them; "longshot" is what `search` does. Constants were chosen on the half "dev"; "test" is what counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from _finding import KINDS, Question, draw, films, questions, sample_questions, save
from side_by_side import machine

from longshot.library import Library
from longshot.metrics.intervals import Resampler, bounds
from longshot.searching import _query
from longshot.searching import search as searching
from longshot.searching.fill import Fill
from longshot.searching.index import rebuild
from longshot.searching.moments import Scored, moments
from longshot.tables import Filter, Index
from longshot.timeline import Hit

Way = Callable[[str], Sequence[Hit]]
COLUMNS = ("recall@1", "recall@5", "IoU@1", "IoU@5", "R@1 IoU>=0.5", "film@1")


def ways(index: Index) -> dict[str, Way]:
    def found(how: str, text: str) -> Sequence[Hit]:
        return searching.search(index, text, how=how, limit=5).hits

    return {
        "full text": partial(found, "words"),
        "vectors": partial(found, "vectors"),
        "both, RRF": partial(by_ranks, index),
        "both, longshot": partial(found, "both"),
    }


def by_ranks(index: Index, text: str) -> Sequence[Hit]:
    """Reciprocal-rank fusion (Cormack, Clarke and Büttcher 2009) of captions, then moments as ever."""
    query = _query.read(text, longest=10_000)
    if query.phrases:
        return searching.search(index, text, how="both", limit=5).hits
    looks, _, _ = searching._vectors_of(index, query.meaning, None)
    lists = [index.words(query.words, limit=100), *(index.near(look.column, look.vector, limit=100) for look in looks)]
    sums: dict[tuple[str, str], float] = {}
    entries = {}
    for found in lists:
        for rank, entry in enumerate(found, 1):
            key = (entry.video, entry.id)
            entries[key] = entry
            sums[key] = sums.get(key, 0.0) + 1 / (60 + rank)
    most = len(lists) / 61
    return searching.spread(moments([Scored(entries[key], value / most) for key, value in sums.items()]), 5)


def figures(asked: Question, hits: Sequence[Hit]) -> list[float]:
    """One number for each of COLUMNS."""
    values = [max((hit.span.iou(span) for span in asked.spans), default=0.0) for hit in hits]
    right = [value if hit.video == asked.video else 0.0 for hit, value in zip(hits, values, strict=True)]
    first = right[0] if right else 0.0
    best = max(right, default=0.0)
    film = bool(hits) and hits[0].video == asked.video
    return [float(first > 0), float(best > 0), first, best, float(first >= 0.5), float(film)]


def report(asked: Sequence[Question], index: Index) -> None:
    there = [one for one in asked if one.video]
    absent = [one for one in asked if not one.video]
    draws = Resampler([one.video for one in there], resamples=2000)
    answers = {name: [way(one.text) for one in there] for name, way in ways(index).items()}
    rows = {name: np.array([figures(*pair) for pair in zip(there, found, strict=True)]) for name, found in answers.items()}
    print(f"{len(there)} questions on {draws.clusters} films, {len(absent)} on none\n")
    print("| way | " + " | ".join(COLUMNS) + " |\n|---|" + "---|" * len(COLUMNS))
    for name, values in rows.items():
        cells = [cell(values[:, k], draws) for k in range(len(COLUMNS))]
        print(f"| {name} | " + " | ".join(cells) + " |")
    ours = rows["both, longshot"]
    print("\nboth, longshot, less the other (95 % of resamples of the same films):\n")
    for name in ("full text", "vectors", "both, RRF"):
        cells = [cell(ours[:, k] - rows[name][:, k], draws) for k in range(len(COLUMNS))]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("\nrecall@1 / recall@5 by kind of question:\n\n| kind | n | " + " | ".join(rows) + " |\n|---|---|" + "---|" * len(rows))
    for kind in KINDS[:-1]:
        some = [place for place, one in enumerate(there) if one.kind == kind]
        if some:
            cells = [f"{values[some, 0].mean():.2f} / {values[some, 1].mean():.2f}" for values in rows.values()]
            print(f"| {kind} | {len(some)} | " + " | ".join(cells) + " |")
    print("\nthe best score, at the quartiles over questions; and how often nothing was found:\n")
    for name, way in ways(index).items():
        for kind, found in (("of a film", answers[name]), ("of none", [way(one.text) for one in absent])):
            tops = [hits[0].score if hits else 0.0 for hits in found]
            if tops:
                quarters = " ".join(f"{value:.2f}" for value in np.quantile(tops, [0.1, 0.25, 0.5, 0.75, 0.9]))
                print(f"{name}, {kind}: {quarters}; nothing: {np.mean([not hits for hits in found]):.2f}")


def cell(values: np.ndarray, draws: Resampler) -> str:
    low, high = bounds(draws.means(values))
    return f"{values.mean():.2f}" if low is None else f"{values.mean():.2f} ({low:.2f} to {high:.2f})"


def indexed(library: Library) -> Index:
    rebuild(library, fill=Fill(library))
    return Index.open(library.folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("dev", "test", "all"), default="test")
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--drawn", action="store_true", help="films drawn as real files and told by recap")
    parser.add_argument("--wrong", action="store_true", help="show what is not found")
    chosen = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        library = save(Path(folder) / "films")
        index = indexed(library)
        asked = [one for one in questions() if chosen.half in (one.half, "all")]
        print(f"\n## Written films, half: {chosen.half}\n")
        report(asked, index)
        if chosen.wrong:
            show_wrong(asked, index)


def show_wrong(asked: Sequence[Question], index: Index) -> None:
    names = {film.record.id: film.record.name for film in films()}
    for one in asked:
        hits = searching.search(index, one.text, limit=3).hits
        if one.video and not figures(one, hits[:1])[0]:
            print(f"\n{one.kind}: {one.text}  [{names[one.video]} {one.spans[0].start:.0f}-{one.spans[0].end:.0f}]")
            for hit in hits:
                print(f"   {hit.score:.2f} {names[hit.video]} {hit.span.start:.0f}-{hit.span.end:.0f}: {hit.evidence[0].text[:90]}")


if __name__ == "__main__":
    main()

"""How well searching finds, on films whose moments are known: full text alone, vectors alone, both.

    python benchmarks/retrieval.py                             # the written films, the half that nothing was chosen on
    python benchmarks/retrieval.py --drawn                     # and some as real files, told by recap
    python benchmarks/retrieval.py --samples ../shared/samples # and other real files, when they are there

The films and the questions are those of _finding.py. A moment is right when it lies in the right film and shares time
with the true span. recall@k: one of the first k is right. IoU@k: of the best of the first k that is right, else 0.
Intervals: 95 %, over films. "BM25" and "RRF" are baselines: captions in the order of BM25, and reciprocal-rank fusion
(Cormack, Clarke and Büttcher 2009; k = 60) of that with the order of cosines; moments are made of both as of ours.
Rankings are compared without the least score; the last table says what it takes away.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from _finding import KINDS, Question, draw, questions, sample_questions, save
from longshot.captioning.recap import recap
from longshot.library import Library
from longshot.metrics.intervals import Resampler, bounds
from longshot.searching import _query
from longshot.searching import search as searching
from longshot.searching.fill import Fill
from longshot.searching.index import rebuild
from longshot.searching.moments import Scored, moments
from longshot.tables import Index
from longshot.timeline import Hit
from longshot.video import open_video
from side_by_side import machine

Way = Callable[[str], Sequence[Hit]]
COLUMNS = ("recall@1", "recall@5", "IoU@1", "IoU@5", "R@1 IoU>=0.5", "film@1")


def ways(index: Index) -> dict[str, Way]:
    def found(how: str, text: str) -> Sequence[Hit]:
        return searching.search(index, text, how=how, limit=5).hits

    return {
        "full text": partial(found, "words"),
        "full text, BM25": partial(by_ranks, index, "words"),
        "vectors": partial(found, "vectors"),
        "both, RRF": partial(by_ranks, index, "both"),
        "both": partial(found, "both"),
    }


def by_ranks(index: Index, how: str, text: str) -> Sequence[Hit]:
    """Moments of captions in the order of BM25, or of both orders fused."""
    query = _query.read(text, longest=10_000)
    if query.phrases:
        return searching.search(index, text, how=how, limit=5).hits
    lists = [index.words(query.words, limit=searching.CANDIDATES)]
    if how == "both":
        looks, _, _ = searching._vectors_of(index, query.meaning, None)
        lists += [index.near(look.column, look.vector, limit=searching.CANDIDATES) for look in looks]
    sums: dict[tuple[str, str], float] = {}
    entries = {}
    for found in lists:
        for rank, entry in enumerate(found, 1):
            key = (entry.video, entry.id)
            entries[key] = entry
            sums[key] = sums.get(key, 0.0) + 61 / (60 + rank) / len(lists)
    return searching.spread(moments([Scored(entries[key], value) for key, value in sums.items()]), 5)


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
    draws = Resampler([one.video for one in there], resamples=2000)
    rows = {}
    with no_least():
        for name, way in ways(index).items():
            rows[name] = np.array([figures(one, way(one.text)) for one in there])
    print(f"{len(there)} questions on {draws.clusters} films\n")
    print(f"| way | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name, values in rows.items():
        print(f"| {name} | {' | '.join(cell(values[:, k], draws) for k in range(len(COLUMNS)))} |")
    print("\nboth, less the other, over the same films:\n")
    print(f"| less | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name in list(rows)[:-1]:
        less = rows["both"] - rows[name]
        print(f"| {name} | {' | '.join(cell(less[:, k], draws) for k in range(len(COLUMNS)))} |")
    print(f"\nrecall@1 / recall@5 by kind of question:\n\n| kind | n | {' | '.join(rows)} |")
    print("|---|---|" + "---|" * len(rows))
    for kind in KINDS[:-1]:
        some = [place for place, one in enumerate(there) if one.kind == kind]
        if some:
            cells = [f"{values[some, 0].mean():.2f} / {values[some, 1].mean():.2f}" for values in rows.values()]
            print(f"| {kind} | {len(some)} | {' | '.join(cells)} |")
    emptiness(asked, index)


def emptiness(asked: Sequence[Question], index: Index) -> None:
    """What the least score takes away: right moments, and answers to what is in no film."""
    print("\nwith the least score:\n\n| way | recall@1 | recall@5 | nothing found for what is in no film | n |")
    print("|---|---|---|---|---|")
    for name, way in ways(index).items():
        if "BM25" in name or "RRF" in name:
            continue
        right = np.array([figures(one, way(one.text)) for one in asked if one.video])
        none = [not way(one.text) for one in asked if not one.video]
        share = f"{np.mean(none):.2f}" if none else "-"
        print(f"| {name} | {right[:, 0].mean():.2f} | {right[:, 1].mean():.2f} | {share} | {len(none)} |")


@contextmanager
def no_least() -> Iterator[None]:
    kept = searching.LEAST, searching.LEAST_OF_WORDS
    searching.LEAST = searching.LEAST_OF_WORDS = 0.0
    yield
    searching.LEAST, searching.LEAST_OF_WORDS = kept


def cell(values: np.ndarray, draws: Resampler) -> str:
    low, high = bounds(draws.means(values))
    return f"{values.mean():.2f}" if low is None else f"{values.mean():.2f} ({low:.2f} to {high:.2f})"


def indexed(library: Library) -> Index:
    rebuild(library, fill=Fill(library.folder))
    return Index.open(library.folder)


def recapped(paths: Sequence[Path], folder: Path) -> tuple[Library, dict[str, str]]:
    """Real files as a library, and the content id of each by name."""
    library, ids = Library(folder), {}
    for path in paths:
        with open_video(path) as video:
            tracks = recap(video)
            library.save_video(video)
            ids[path.name] = video.id
        for track in tracks:
            library.save(track)
    return library, ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("dev", "test", "all", "none"), default="test")
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--drawn", action="store_true")
    parser.add_argument("--wrong", action="store_true", help="show what is not found")
    chosen = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = [one for one in questions() if chosen.half in (one.half, "all")]
        if asked:
            index = indexed(save(folder / "films"))
            print(f"\n## Written films, half: {chosen.half}\n")
            report(asked, index)
            if chosen.wrong:
                show_wrong(asked, index)
        if chosen.drawn:
            made = draw(folder / "drawn")
            library, ids = recapped([path for path, _ in made], folder / "told")
            real = {film.record.id: ids[path.name] for path, film in made}
            spoken = [one for one in questions() if one.video in real and one.kind not in ("seen", "read")]
            print("\n## Drawn films, told by recap\n")
            report([replace(one, video=real[one.video]) for one in spoken], indexed(library))
        if chosen.samples and chosen.samples.is_dir():
            paths = sorted(path for path in chosen.samples.iterdir() if path.suffix in (".mp4", ".gif", ".flac"))
            library, ids = recapped(paths, folder / "samples")
            print("\n## Sample files\n")
            index = indexed(library)
            report(sample_questions(ids), index)
            if chosen.wrong:
                show_wrong(sample_questions(ids), index)


def show_wrong(asked: Sequence[Question], index: Index) -> None:
    names = {one.video: one.name for one in index.videos().values()}
    for one in asked:
        hits = searching.search(index, one.text, limit=3).hits
        if one.video and not figures(one, hits[:1])[0]:
            print(f"\n{one.kind}: {one.text}  [{names[one.video]} {one.spans[0].start:.0f}-{one.spans[0].end:.0f}]")
            for hit in hits:
                where = f"{names[hit.video]} {hit.span.start:.0f}-{hit.span.end:.0f}"
                print(f"   {hit.score:.2f} {where}: {hit.evidence[0].text[:90]}")


if __name__ == "__main__":
    main()

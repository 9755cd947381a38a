"""The index of a library: adding captions, searching them, opening it cold, and FAISS beside it, in one run.

python benchmarks/library.py --rows 100000
python benchmarks/library.py --rows 1000000 --faiss ivf hnsw

The captions are made up: some 14 words of 60,000 by Zipf's law, and vectors of 384 numbers that lie in clusters, with
40 free directions and a little noise, as those of sentences do. Each video has 200 of them. FAISS answers with numbers
of rows, the index with whole captions; exact answers, for recall, come from products of all rows.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longshot.library import Library, VideoRecord
from longshot.searching.index import index
from longshot.tables import Entry, Index, Putting
from longshot.timeline import Caption, Source, Span, Track
from side_by_side import machine

WIDTH, EACH, BEST = 384, 200, 10
MADE = Source("benchmark", "made-up", "1")
SYLLABLES = "ba ko ri ten su mar lo ven di pha gor el sta nu qui ther lan mo cre wy"  # of made-up words
COLD = """
import time
began = time.perf_counter()
from longshot.tables import Index
imported = time.perf_counter()
index = Index.open({place!r})
found = index.words({query!r}, limit=10)
print(time.perf_counter() - began, imported - began, len(found))
"""


class Made:
    """Texts and vectors that are the same in every run."""

    def __init__(self) -> None:
        random = np.random.default_rng(1)
        words: dict[str, None] = {}
        while len(words) < 60_000:
            words["".join(random.choice(SYLLABLES.split(), random.integers(1, 6)))] = None
        self.words = np.array(list(words))
        share = 1 / np.arange(1, len(words) + 1) ** 1.05
        self.shares = np.cumsum(share / share.sum())
        self._mixed = random.standard_normal((40, WIDTH)).astype(np.float32) / 40**0.5
        self._centres = random.standard_normal((3000, 40)).astype(np.float32)

    def texts(self, count: int, seed: int) -> list[str]:
        random = np.random.default_rng([2, seed])
        lengths = np.clip(random.poisson(14, count), 3, 40)
        drawn = self.words[np.searchsorted(self.shares, random.random(lengths.sum()))].tolist()
        ends = np.cumsum(lengths).tolist()
        return [" ".join(drawn[end - length : end]) for end, length in zip(ends, lengths.tolist(), strict=True)]

    def vectors(self, count: int, seed: int) -> NDArray[np.float32]:
        random = np.random.default_rng([3, seed])
        near = self._centres[random.integers(0, len(self._centres), count)]
        rows = (near + 0.6 * random.standard_normal((count, 40), np.float32)) @ self._mixed
        rows += 0.15 * random.standard_normal((count, WIDTH), np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def keep_vectors(self, rows: int, place: Path) -> NDArray[np.float32]:
        """All vectors, made once, in a file that is mapped."""
        kept = np.memmap(place, np.float32, "w+", shape=(rows, WIDTH))
        for first in range(0, rows, 20_000):
            kept[first : first + 20_000] = self.vectors(min(20_000, rows - first), first)
        return kept

    def queries(self, count: int) -> list[str]:
        """Three words each: one of the hundred commonest, two of the next 20,000."""
        random = np.random.default_rng(4)
        picks = np.column_stack([random.integers(0, 100, count), random.integers(100, 20_000, (count, 2))])
        return [" ".join(self.words[pick]) for pick in picks]


class Puttings:
    """Videos for the index; knows the seconds that went into making them up, and the memory as they went in."""

    def __init__(self, made: Made, rows: int, column: str = "", vectors: NDArray[np.float32] | None = None) -> None:
        self.made, self.rows, self.column, self.vectors = made, rows, column, vectors
        self.seconds = 0.0
        self.memory: list[float] = []

    def __iter__(self) -> Iterator[Putting]:
        videos = self.rows // EACH
        for number in range(videos):
            began = time.perf_counter()
            putting = self._putting(number)
            if number % max(videos // 8, 1) == 0:
                self.memory.append(resident())
            self.seconds += time.perf_counter() - began
            yield putting

    def _putting(self, number: int) -> Putting:
        track = track_of(self.made, number)
        if self.vectors is None:
            return Putting(record_of(number), (track,), str(number), {})
        own = self.vectors[number * EACH : (number + 1) * EACH]
        rows = {track.id_of(i): row for i, row in enumerate(own)}
        return Putting(record_of(number), (track,), str(number), {self.column: rows})


def track_of(made: Made, number: int) -> Track:
    captions = tuple(Caption(Span(3.0 * i, 3.0 * i + 3), text) for i, text in enumerate(made.texts(EACH, number)))
    return Track(record_of(number).id, "speech", MADE, captions, f"{number}.mp4", 600.0)


def record_of(number: int) -> VideoRecord:
    return VideoRecord(f"v{number:06d}", f"{number}.mp4", f"/films/{number}.mp4", 600.0)


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def timed(ask: Callable[[int], Any], count: int) -> tuple[list[Any], dict[str, float]]:
    for number in range(min(count, 20)):
        ask(number)
    answers, seconds = [], []
    for number in range(count):
        began = time.perf_counter()
        answers.append(ask(number))
        seconds.append(time.perf_counter() - began)
    return answers, {"p50 ms": 1000 * float(np.median(seconds)), "p99 ms": 1000 * float(np.quantile(seconds, 0.99))}


def adding(made: Made, rows: int, place: Path) -> dict[str, Any]:
    puttings = Puttings(made, rows)
    opened = Index.open(place, create=True)
    began = time.perf_counter()
    opened.put_all(puttings)
    put = time.perf_counter() - began - puttings.seconds
    began = time.perf_counter()
    opened.finish()
    finish = time.perf_counter() - began
    memory = [round(megabytes) for megabytes in [*puttings.memory, resident()]]
    return {"put rows/s": rows / put, "put + finish rows/s": rows / (put + finish), "finish s": finish, "MB": memory}


def rebuilding(made: Made, rows: int, place: Path) -> dict[str, Any]:
    library = Library(place)
    for number in range(rows // EACH):
        library.save_video(record_of(number))
        library.save(track_of(made, number))
    began = time.perf_counter()
    done = index(library, rebuild=True)
    seconds = time.perf_counter() - began
    return {"rows": done.rows, "rows/s": done.rows / seconds, "seconds": seconds, "MB": round(resident())}


def fused(*lists: list[Entry]) -> list[Entry]:
    scores: dict[tuple[str, str], float] = {}
    entries: dict[tuple[str, str], Entry] = {}
    for found in lists:
        for rank, entry in enumerate(found):
            key = (entry.video, entry.id)
            scores[key] = scores.get(key, 0.0) + 1 / (61 + rank)
            entries[key] = entry
    return [entries[key] for key in sorted(scores, key=lambda key: -scores[key])]


def searching(made: Made, rows: int, place: Path, kept: NDArray[np.float32], queries: int) -> dict[str, Any]:
    opened = Index.open(place, create=True)
    column = opened.add_column(MADE, "text", WIDTH)
    puttings = Puttings(made, rows, column, kept)
    began = time.perf_counter()
    opened.put_all(puttings)
    put = time.perf_counter() - began - puttings.seconds
    began = time.perf_counter()
    opened.finish()
    finish = time.perf_counter() - began
    texts, vectors = made.queries(queries), made.vectors(queries, 10**6)
    told: dict[str, Any] = {"put rows/s": rows / put, "finish s": finish}
    told["index MB"] = sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) / 2**20
    _, told["words, 10"] = timed(lambda i: opened.words(texts[i], limit=10), queries)
    _, told["words, 100"] = timed(lambda i: opened.words(texts[i], limit=100), queries)
    near, told["near, 10"] = timed(lambda i: opened.near(column, vectors[i], limit=BEST), queries)
    _, told["near, 100"] = timed(lambda i: opened.near(column, vectors[i], limit=100), queries)
    _, told["both, 100"] = timed(
        lambda i: fused(opened.words(texts[i], limit=100), opened.near(column, vectors[i], limit=100)), queries
    )
    exact = truth(kept, vectors)
    numbers = [[int(e.video[1:]) * EACH + int(e.id.rpartition("-")[2]) - 1 for e in one] for one in near]
    told["near, 10"]["recall@10"] = recall(numbers, exact)
    return told


def truth(kept: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    best, at = np.zeros((len(vectors), 0), np.float32), np.zeros((len(vectors), 0), np.int64)
    for first in range(0, len(kept), 20_000):
        scores = vectors @ kept[first : first + 20_000].T
        top = np.argpartition(-scores, BEST, axis=1)[:, :BEST]
        best = np.concatenate([best, np.take_along_axis(scores, top, 1)], axis=1)
        at = np.concatenate([at, top + first], axis=1)
        keep = np.argsort(-best, axis=1)[:, :BEST]
        best, at = np.take_along_axis(best, keep, 1), np.take_along_axis(at, keep, 1)
    return at


def recall(found: list[list[int]], exact: NDArray[np.int64]) -> float:
    pairs = zip(found, exact.tolist(), strict=True)
    return float(np.mean([len(set(mine) & set(best)) / BEST for mine, best in pairs]))


def faiss_beside(made: Made, matrix: NDArray[np.float32], kinds: list[str], queries: int) -> dict[str, Any]:
    """For each kind, the quickest setting whose recall@10 is 0.95 or more."""
    import faiss

    vectors = made.vectors(queries, 10**6)
    exact = truth(matrix, vectors)
    rows = len(matrix)
    told: dict[str, Any] = {}
    for kind in kinds:
        began = time.perf_counter()
        if kind == "hnsw":
            engine = faiss.IndexHNSWFlat(WIDTH, 32, faiss.METRIC_INNER_PRODUCT)
            engine.hnsw.efConstruction = 80
            settings = [("efSearch", value) for value in (16, 32, 64, 128, 256)]
        else:
            engine = faiss.IndexIVFFlat(faiss.IndexFlatIP(WIDTH), WIDTH, round(rows**0.5), faiss.METRIC_INNER_PRODUCT)
            engine.train(matrix[:: max(rows // 64_000, 1)])
            settings = [("nprobe", value) for value in (2, 4, 8, 16, 32, 64, 128)]
        engine.add(matrix)
        built = time.perf_counter() - began
        for name, value in settings:
            setattr(engine.hnsw if kind == "hnsw" else engine, name, value)
            found, took = timed(lambda i, at=engine: at.search(vectors[i : i + 1], BEST)[1][0].tolist(), queries)
            told[f"faiss {kind}"] = {**took, "recall@10": recall(found, exact), name: value, "build s": built}
            if told[f"faiss {kind}"]["recall@10"] >= 0.95:
                break
    return told


def cold(made: Made, place: Path, rounds: int) -> dict[str, float]:
    """A fresh process: import, open, one query for words."""
    seconds, imports = [], []
    for query in made.queries(rounds):
        command = [sys.executable, "-c", COLD.format(place=str(place), query=query)]
        began = time.perf_counter()
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        seconds.append(time.perf_counter() - began)
        imports.append(float(said[1]))
    return {"process, median s": float(np.median(seconds)), "import, median s": float(np.median(imports))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--faiss", nargs="*", default=["ivf"], choices=["ivf", "hnsw"])
    parser.add_argument("--parts", nargs="*", default=["adding", "rebuilding", "searching", "cold", "faiss"])
    parser.add_argument("--rebuilt", type=int, default=100_000, help="captions in the files that are read again")
    chosen = parser.parse_args()
    print(machine())
    made, folder = Made(), Path(tempfile.mkdtemp(prefix="longshot-library-"))
    try:
        kept = made.keep_vectors(chosen.rows if {"searching", "faiss"} & set(chosen.parts) else 1, folder / "vectors")
        ways: dict[str, Callable[[], dict[str, Any]]] = {
            "adding": lambda: adding(made, chosen.rows, folder / "adding"),
            "rebuilding": lambda: rebuilding(made, min(chosen.rebuilt, chosen.rows), folder / "rebuilding"),
            "searching": lambda: searching(made, chosen.rows, folder / "searching", kept, chosen.queries),
            "cold": lambda: cold(made, folder / "searching", 7),
            "faiss": lambda: faiss_beside(made, kept, chosen.faiss, chosen.queries),
        }
        for part in chosen.parts:
            print(json.dumps({"part": part, "rows": chosen.rows, **rounded(ways[part]())}), flush=True)
    finally:
        shutil.rmtree(folder)


def rounded(told: dict[str, Any]) -> dict[str, Any]:
    ways = {float: lambda value: round(value, 3), dict: rounded}
    return {name: ways.get(type(value), lambda same: same)(value) for name, value in told.items()}


if __name__ == "__main__":
    main()

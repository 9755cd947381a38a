"""How well and how fast moments are found inside one video.

python benchmarks/finding.py quality                 # 24 films with 200 questions and their true spans (_finding.py)
python benchmarks/finding.py quality --samples DIR   # also the sample files, told by recap first
python benchmarks/finding.py speed                   # one video of ten hours in an index

Quality is of each question asked of its own film: R@1 is the share whose first answer has that much of the union in
common with the true span (temporal IoU), mIoU its mean, R@5 the share with one such answer among five. A film that does
not answer counts as 0. What is in no film is asked of all 24, and each answer is a false one. The constants of the
finder were chosen on the half "dev"; "test" is reported. Two answers that need no finding stand beside: the whole
video, and the one caption that matches best.

Speed is of whole calls of `find` in one process, the first left out: look up, read the rows of the video, embed the
query, search its vectors, match, cut.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

import _finding
from longshot.contracts import Told
from longshot.errors import UsageError
from longshot.finders import matching
from longshot.library import Library, VideoRecord
from longshot.metrics.intervals import Resampler, bounds
from longshot.searching.fill import open_text_encoder
from longshot.searching.find import find
from longshot.tables import Index
from longshot.timeline import Caption, Hit, Source, Span, Track
from side_by_side import machine

Near = Callable[[str], Mapping[str, float]]
Way = Callable[[Told, str], Sequence[Hit]]


# --- quality


@cache
def encoder() -> object:
    """Who makes vectors of texts."""
    made, why = open_text_encoder("")
    if made is None:
        raise SystemExit(f"no text vectors: {why}")
    return made


def near_of(tracks: Sequence[Track]) -> Near:
    """The cosines of one film, its captions embedded once."""
    ids = [(track.id_of(i), caption.text) for track in tracks for i, caption in enumerate(track)]
    rows = encoder().encode_text([text for _, text in ids])  # type: ignore[attr-defined]

    def near(query: str) -> Mapping[str, float]:
        row = encoder().encode_text([query])[0]  # type: ignore[attr-defined]
        return dict(zip([id for id, _ in ids], (rows @ row).tolist(), strict=True))

    return near


def words(told: Told, query: str) -> Sequence[Hit]:
    """Matching without vectors."""
    return matching.Matching().find(Told(told.video, told.name, told.duration, told.tracks), query)


def meaning(told: Told, query: str) -> Sequence[Hit]:
    """Matching without words."""
    both = matching._both
    matching._both = lambda words, meaning: meaning
    try:
        return matching.Matching().find(told, query)
    finally:
        matching._both = both


def both(told: Told, query: str) -> Sequence[Hit]:
    """Matching as it is."""
    return matching.Matching().find(told, query)


def whole(told: Told, query: str) -> Sequence[Hit]:
    """The whole video, always."""
    return [Hit(told.video, Span(0.0, told.duration), 1.0)]


def caption(told: Told, query: str) -> Sequence[Hit]:
    """The caption that is nearest to the query by its vector, always."""
    near = told.near(query) if told.near else {}
    spans = {track.id_of(i): c.span for track in told.tracks for i, c in enumerate(track) if track.level != "shot"}
    ranked = sorted(spans, key=lambda id: -near.get(id, 0.0))
    return [Hit(told.video, spans[id], near.get(id, 0.0)) for id in ranked[:5]]


WAYS: dict[str, Way] = {
    "whole video": whole,
    "nearest caption": caption,
    "words": words,
    "vectors": meaning,
    "both": both,
}


def ask(way: Way, told: Told, query: str) -> Sequence[Hit]:
    """The answer; none to a question that is refused."""
    try:
        return way(told, query)
    except UsageError:
        return []


def quality(questions: Sequence[_finding.Question], told: Mapping[str, Told], title: str) -> None:
    """Print a table of all ways, of all questions and of each kind."""
    kinds = [kind for kind in _finding.KINDS if kind != "absent"]
    asked = [question for question in questions if question.video in told]
    absent = [question.text for question in questions if not question.video]
    print(f"\n{title}: {len(asked)} questions, {len(absent)} that nothing answers, of {len(told)} videos\n")
    print("| way | R@1 IoU 0.3 | 0.5 | 0.7 | mIoU (95 %) | R@5 0.5 | answered | false answers |")
    print("|---|---|---|---|---|---|---|---|")
    draws = Resampler([question.video for question in asked], seed=0)
    by_kind: dict[str, list[str]] = {kind: [] for kind in kinds}
    for name, way in WAYS.items():
        answers = [ask(way, told[question.video], question.text)[:5] for question in asked]
        overlaps = [
            [max(hit.span.iou(span) for span in question.spans) for hit in hits]
            for question, hits in zip(asked, answers, strict=True)
        ]
        first = np.array([some[0] if some else 0.0 for some in overlaps])
        best = np.array([max(some, default=0.0) for some in overlaps])
        low, high = bounds(draws.means(first))
        wrong = [bool(ask(way, about, text)) for text in absent for about in told.values()]
        shares = [f"{np.mean(first >= least):.3f}" for least in (0.3, 0.5, 0.7)]
        answered = np.mean([bool(some) for some in overlaps])
        row = [
            *shares,
            f"{first.mean():.3f} ({low:.3f} to {high:.3f})",
            f"{np.mean(best >= 0.5):.3f}",
            f"{answered:.3f}",
        ]
        print("| " + " | ".join([name, *row, f"{np.mean(wrong):.3f}" if wrong else "-"]) + " |")
        for kind in kinds:
            chosen = [value for value, question in zip(first, asked, strict=True) if question.kind == kind]
            by_kind[kind].append(f"{np.mean(np.array(chosen) >= 0.5):.3f}" if chosen else "-")
    print(f"\nR@1 at IoU 0.5 by kind\n\n| kind | n | {' | '.join(WAYS)} |\n|{'---|' * (len(WAYS) + 2)}")
    for kind, row in by_kind.items():
        print(f"| {kind} | {sum(question.kind == kind for question in asked)} | {' | '.join(row)} |")


def films(half: str) -> dict[str, Told]:
    """The films of one half that questions are asked of."""
    asked = {question.video for question in _finding.questions() if question.half == half}
    return {
        film.record.id: Told(film.record.id, film.record.name, film.record.duration or 0.0, film.tracks, near=near)
        for film in _finding.films()
        if film.record.id in asked
        for near in [near_of(film.tracks)]
    }


def samples(folder: Path) -> None:
    """The same of the sample files."""
    from longshot.captioning.recap import recap
    from longshot.video import open_video

    told: dict[str, Told] = {}
    names: dict[str, str] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".mp4", ".gif", ".flac")):
        with open_video(path) as video:
            tracks = tuple(recap(video))
            names[path.name] = video.id
            told[video.id] = Told(video.id, path.name, video.duration, tracks, near=near_of(tracks))
    quality(_finding.sample_questions(names), told, "sample files")


# --- speed

HOURS = 10
QUERIES = (
    "where she talks about the telescope",
    "a red boat near the harbour wall",
    "the two questions at the end",
    '"the tide turns"',
    "the last time he mentions money",
    "an elephant in a circus",
)
_VOCABULARY = 12_000


def long_video(dice: random.Random) -> tuple[VideoRecord, tuple[Track, ...]]:
    """Ten hours: a shot every 3 s, a clip every 6 s, a line of speech every 3 s, screen text, segments, chapters."""
    seconds = HOURS * 3600.0
    common = "the tide turns telescope boat red harbour wall questions money mentions she talks about near"
    names = common.split() + [
        f"{'bcdfgklmnprst'[k % 13]}{'aeiou'[k % 5]}{'lmnrstvz'[k % 8]}{k:x}" for k in range(_VOCABULARY)
    ]
    weights = [1 / (k + 10) for k in range(len(names))]
    record = VideoRecord("0" * 16, "long.mp4", "", seconds, (640, 360), 25.0)

    def text(count: int) -> str:
        return " ".join(dice.choices(names, weights, k=count)).capitalize() + dice.choice(".....?")

    def track(level: str, every: float, count: int) -> Track:
        lines = [Caption(Span(k * every, (k + 1) * every), text(count)) for k in range(int(seconds / every))]
        return Track(record.id, level, Source("recap", "made", "1"), tuple(lines), record.name, seconds)

    shots = [Caption(Span(k * 3.0, k * 3.0 + 3.0), f"Shot {k + 1}") for k in range(int(seconds / 3))]
    shot = Track(record.id, "shot", Source("segment", "shots", "1"), tuple(shots), record.name, seconds)
    return record, (
        *(track("video", seconds, 60), track("chapter", 1200.0, 40), track("segment", 120.0, 30)),
        *(track("clip", 6.0, 18), shot, track("speech", 3.0, 9), track("screen", 12.0, 5)),
    )


def speed(rounds: int) -> None:
    """Print how long `find` takes in ten hours."""
    dice = random.Random(0)
    record, tracks = long_video(dice)
    made = encoder()
    with tempfile.TemporaryDirectory() as folder:
        library = Library(folder)
        index = Index.open(folder, create=True)
        column = index.add_column(made.source, "text", made.dimension)  # type: ignore[attr-defined]
        # To embed the texts takes minutes and changes nothing here: any unit rows take as long to search.
        rows = np.random.default_rng(0).standard_normal((sum(map(len, tracks)), made.dimension), dtype=np.float32)  # type: ignore[attr-defined]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        ids = [track.id_of(i) for track in tracks for i in range(len(track))]
        index.put(record, tracks, digest="made", vectors={column: dict(zip(ids, rows, strict=True))})
        index.finish()
        library.save_video(record)
        print(f"\n{HOURS} hours, {len(ids)} captions, {rounds} rounds; milliseconds of a whole call\n")
        print("| query | median | worst | processor, median | hits |\n|---|---|---|---|---|")
        for query in QUERIES:
            find(record.id, query, library=library, index=index)
            times, worked = [], []
            for _ in range(rounds):
                begun, busy = time.perf_counter(), time.process_time()
                found = find(record.id, query, library=library, index=index)
                times.append(1000 * (time.perf_counter() - begun))
                worked.append(1000 * (time.process_time() - busy))
            middle = statistics.median
            print(f"| {query} | {middle(times):.0f} | {max(times):.0f} | {middle(worked):.0f} | {len(found.hits)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["quality", "speed"])
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--half", choices=["dev", "test"], default="test")
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    print(machine())
    if chosen.what == "speed":
        return speed(chosen.rounds)
    quality(
        [question for question in _finding.questions() if question.half == chosen.half],
        films(chosen.half),
        f"films, half {chosen.half!r}",
    )
    if chosen.samples:
        samples(chosen.samples)
    return None


if __name__ == "__main__":
    main()

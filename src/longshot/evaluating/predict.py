"""Ask a model about every item of a benchmark, and keep what it says.

    benchmark = load_benchmark("dream-1k", data)
    places = find_videos(benchmark, videos)
    for prediction in predict(benchmark, Chat(desk), places, Run(folder)):
        ...

Three kinds of models can be measured: a chat model (everything but retrieval), an encoder (retrieval), and the
observer, which describes without a model and answers by comparing words: a floor that every model should beat.

Each prediction is on the disk when it is given out; items that have one are not asked again. Work may be divided among
any number of processes (`shard`), also into another number by a later run.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import log
from pathlib import Path
from string import Template
from typing import Any, Protocol

import numpy as np

from longshot import registry
from longshot.asking import Answer, Desk, Question, Read, Unreadable
from longshot.captioning.describe import clip_spans, describe_spans, look
from longshot.captioning.summarise import telling_words
from longshot.clips import preset
from longshot.contracts import Encoder, Progress
from longshot.errors import MediaError, UsageError
from longshot.evaluating.runs import Run, record
from longshot.items import Benchmark, Item, Prediction, gallery_id
from longshot.journal import Journal, State
from longshot.looks import Look
from longshot.metrics.answers import LETTERS
from longshot.metrics.moments import NoWindows, read_windows
from longshot.metrics.retrieval import rank
from longshot.prompts import load_prompt
from longshot.sampling import Sampler
from longshot.scaling.local import run as run_each
from longshot.searching.embed import encode, source_of
from longshot.timeline import Source, Span
from longshot.vectors import write_vectors
from longshot.video import Video, open_video

HEIGHT = 480
_DUAL = 0.01  # the temperature of the dual softmax: that of CLIP's own logits
_PROMPT_OF = {"caption": "describe", "mc-qa": "choose", "open-qa": "answer", "moments": "find-moments"}


class Predictor(Protocol):
    """Something that is measured."""

    @property
    def source(self) -> Source:
        """model, revision and settings."""
        ...

    @property
    def how(self) -> Mapping[str, Any]:
        """What else its predictions depend on: prompt, frames, height."""
        ...

    def predict(
        self, benchmark: Benchmark, items: Sequence[Item], places: Mapping[str, Path], run: Run, shard: str
    ) -> Iterator[Prediction]:
        """One prediction for each item, in any order."""
        ...


def predict(
    benchmark: Benchmark,
    predictor: Predictor,
    places: Mapping[str, Path | None],
    run: Run,
    *,
    shard: tuple[int, int] = (1, 1),
    limit: int = 0,
    progress: Progress | None = None,
) -> Iterator[Prediction]:
    """A prediction for every item that has none yet, as they are finished.

    Args:
        benchmark: what to ask.
        predictor: whom.
        places: the file of each video; an item whose video has none is unreadable, and says so.
        run: where predictions are kept and found.
        shard: (2, 4) takes the second quarter of the items; every process knows what the others have done before.
        limit: only so many items, the first ones; 0 for all.
        progress: called with items done and their number.

    Raises ModelError for a model that cannot be asked, Busy when another process writes this shard.
    """
    number, count = shard
    if not 1 <= number <= count:
        raise UsageError(f"a shard is one of so many, such as 2/4, got {number}/{count}")
    chosen = benchmark.items[:limit] if limit else benchmark.items
    mine = [item for item in chosen if _shard_of(item.id, count) == number - 1]
    label = f"{number}-of-{count}" if count > 1 else ""
    path = run.predictions_path(label)
    with Journal(path) as journal:
        there = run.predictions()
        # A retrieval benchmark is ranked as a whole: one new item changes the ranks of all.
        whole = benchmark.kind == "retrieval"
        done = {id for id, one in there.items() if one.state is not State.FAILED}
        left = mine if whole and not {item.id for item in mine} <= done else [i for i in mine if i.id not in done]
        told = len(mine) - len(left)
        if progress:
            progress(told, len(mine))
        ready = [item for item in left if places.get(item.video)]
        files = {video: path for video, path in places.items() if path is not None}
        absent = (
            Prediction(item.id, State.UNREADABLE, reason=f"{item.video}: its file was not found")
            for item in left
            if not places.get(item.video)
        )
        for prediction in chain(absent, predictor.predict(benchmark, ready, files, run, label) if ready else ()):
            record(journal, prediction)
            told += 1
            if progress:
                progress(told, len(mine))
            yield prediction


def _shard_of(id: str, count: int) -> int:
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "big") % count


# --- a chat model


@dataclass(frozen=True)
class Chat:
    """A chat model that is measured. prompt: a name or a file, the benchmark's own when empty.

    frames: how many, -1 for the benchmark's own protocol. height: of the frames.
    """

    desk: Desk
    prompt: str = ""
    frames: int = -1
    height: int = HEIGHT

    @property
    def source(self) -> Source:
        """The model's."""
        return self.desk.model.source

    @property
    def how(self) -> Mapping[str, Any]:
        """Prompt, frames and height."""
        own = load_prompt(self.prompt) if self.prompt else None
        prompt = {"prompt": own.name, "prompt_digest": own.digest} if own else {"prompt": "the benchmark's"}
        return {**prompt, "frames": "the benchmark's" if self.frames < 0 else self.frames, "height": self.height}

    def predict(
        self, benchmark: Benchmark, items: Sequence[Item], places: Mapping[str, Path], run: Run, shard: str
    ) -> Iterator[Prediction]:
        """Ask about every item; replies are read by the kind of the benchmark."""
        if benchmark.kind == "retrieval":
            raise UsageError(f"{benchmark.name} is scored by vectors: give an encoder, or a chat model as eol:NAME")
        sampler = benchmark.sampler if self.frames < 0 else Sampler("middle", count=max(self.frames, 1))
        lengths = _Lengths()
        bad: list[Prediction] = []

        def questions() -> Iterator[Question]:
            for item in items:
                try:
                    length = lengths.of(places[item.video])
                except MediaError as error:
                    bad.append(Prediction(item.id, State.UNREADABLE, reason=" ".join(str(error).split())))
                    continue
                whole = Span(0.0, length)
                span = (item.span or whole).clamp(whole)
                times = sampler.times(span) if self.frames else []
                shown = Look(places[item.video], tuple(times), self.height) if times else None
                yield Question(item.id, self.text(benchmark, item, span), look=shown, read=_read_for(benchmark, span))

        for answer in self.desk.ask(questions(), journal=run.answers_path(shard)):
            yield from bad
            bad.clear()
            yield _prediction(answer)
        yield from bad

    def text(self, benchmark: Benchmark, item: Item, span: Span) -> str:
        """What is asked about an item."""
        text = (
            load_prompt(self.prompt).text
            if self.prompt
            else benchmark.prompt or load_prompt(_PROMPT_OF[benchmark.kind]).text
        )
        values = {
            "question": item.ask,
            "options": "\n".join(f"({letter}) {option}" for letter, option in zip(LETTERS, item.options, strict=False)),
            "duration": f"{span.length:.1f}",
        }
        if benchmark.kind == "caption" and item.ask and not self.prompt:
            return item.ask
        return Template(text).safe_substitute(values).strip()


def _read_for(benchmark: Benchmark, span: Span) -> Read | None:
    """The reader of a reply; letters are read when scores are made, so that a better grammar needs no new reply."""
    if benchmark.kind == "moments":
        return partial(_read_moments, span=span)
    return None


def _read_moments(text: str, *, span: Span) -> dict[str, Any]:
    try:
        windows = read_windows(text, duration=span.length)
    except NoWindows as error:
        raise Unreadable(str(error)) from error
    return {"windows": [[start + span.start, end + span.start, score] for start, end, score in windows]}


def _prediction(answer: Answer) -> Prediction:
    details: dict[str, Any] = {"tokens_in": answer.tokens_in, "tokens_out": answer.tokens_out}
    details |= {"note": answer.note} if answer.note else {}
    details |= {"text": answer.text} if answer.text and answer.text != answer.value else {}
    value = answer.value if answer.state is State.DONE else None
    return Prediction(answer.id, answer.state, value, answer.reason, details)


class _Lengths:
    """The seconds of videos, each opened once for it."""

    def __init__(self) -> None:
        self._known: dict[Path, float] = {}

    def of(self, path: Path) -> float:
        """Raises MediaError."""
        if path not in self._known:
            with open_video(path) as video:
                self._known[path] = video.duration
        return self._known[path]


# --- an encoder


@dataclass(frozen=True)
class Rows:
    """An encoder that is measured by retrieval. frames: of each video, 0 for the encoder's own number."""

    encoder: Encoder
    frames: int = 0
    dual_softmax: bool = False

    @property
    def source(self) -> Source:
        """The encoder's."""
        return self.encoder.source

    @property
    def how(self) -> Mapping[str, Any]:
        """Frames, and whether scores were normalised both ways."""
        return {"frames": self.frames or self.encoder.frames, "dual_softmax": self.dual_softmax}

    def predict(
        self, benchmark: Benchmark, items: Sequence[Item], places: Mapping[str, Path], run: Run, shard: str
    ) -> Iterator[Prediction]:
        """Rank the gallery for every text, and the texts for every video."""
        if benchmark.kind != "retrieval":
            raise UsageError(f"{benchmark.name} asks for words, and an encoder has none: give a chat model")
        gallery: dict[str, tuple[Path, Span | None]] = {}
        for item in items:
            gallery.setdefault(gallery_id(item.video, item.span), (places[item.video], item.span))
        names: list[str] = []
        rows: list[np.ndarray[Any, Any]] = []
        opened: list[str] = []
        broken: dict[str, str] = {}
        source = source_of(self.encoder, every="video", frames=self.frames, pooling="", segmenter="")
        videos_of = _opened(gallery, opened, broken)
        for place, made in enumerate(encode(videos_of, self.encoder, source, frames=self.frames)):
            id = opened[place]
            if made.vectors is None:
                broken[id] = made.reason
                continue
            write_vectors(
                made.vectors, run.folder / "vectors" / f"{hashlib.sha256(id.encode()).hexdigest()[:16]}.parquet"
            )
            names.append(id)
            rows.append(made.vectors.rows[0])
        known = [item for item in items if gallery_id(item.video, item.span) not in broken]
        texts = self.encoder.encode_text([item.ask for item in known])
        videos = np.stack(rows) if rows else np.zeros((0, self.encoder.dimension), np.float32)
        yield from ranked(known, names, texts, videos, temperature=_DUAL if self.dual_softmax else None)
        for item in items:
            if reason := broken.get(gallery_id(item.video, item.span)):
                yield Prediction(item.id, State.UNREADABLE, reason=reason)


def ranked(
    items: Sequence[Item],
    names: Sequence[str],
    texts: np.ndarray[Any, Any],
    videos: np.ndarray[Any, Any],
    *,
    temperature: float | None = None,
) -> Iterator[Prediction]:
    """Predictions of a retrieval benchmark from unit rows of its texts (one an item) and of its gallery.

    temperature: of the dual softmax, None for plain cosines. Ties with wrong ones stand in the details.
    """
    place = {name: column for column, name in enumerate(names)}
    truth = [[place[id] for id in item.gold["videos"] if id in place] for item in items]
    found = rank(texts, videos, truth, temperature=temperature)
    first: set[str] = set()
    for item, right, ties in zip(items, found.forward, found.forward_ties, strict=True):
        id = gallery_id(item.video, item.span)
        told = None if id in first or id not in place else found.backward[place[id]]
        first.add(id)
        value = {"text_to_video": list(right), "video_to_text": told}
        yield Prediction(item.id, State.DONE, value, details={"ties": ties} if ties else {})


def _opened(
    gallery: Mapping[str, tuple[Path, Span | None]], opened: list[str], broken: dict[str, str]
) -> Iterator[tuple[Video, list[Span]]]:
    """Each video with its span; the id is added to `opened`, or to `broken` with what is wrong with its file."""
    for id, (path, span) in gallery.items():
        with ExitStack() as stack:
            try:
                video = stack.enter_context(open_video(path))
                whole = Span(0.0, video.pictures_end() or video.duration)
            except MediaError as error:
                broken[id] = " ".join(str(error).split())
                continue
            opened.append(id)
            yield video, [(span or whole).clamp(whole)]


# --- the observer


@dataclass(frozen=True)
class Observer:
    """Longshot's observer, measured: what it sees, compared with the words of questions and queries."""

    workers: int | None = None

    @property
    def source(self) -> Source:
        """The observer's."""
        made: Source = registry.load("describers", "observer").source
        return made

    @property
    def how(self) -> Mapping[str, Any]:
        """It answers by comparing words."""
        return {"answers": "by words shared with what was seen"}

    def predict(
        self, benchmark: Benchmark, items: Sequence[Item], places: Mapping[str, Path], run: Run, shard: str
    ) -> Iterator[Prediction]:
        """Describe every video once, in processes, and answer its items."""
        by_video: dict[str, list[Item]] = {}
        for item in items:
            by_video.setdefault(item.video, []).append(item)
        work = [_Sights(str(places[video]), tuple(some), benchmark.kind) for video, some in by_video.items()]
        seen: dict[str, str] = {}
        for outcome in run_each(_observe, work, workers=self.workers, identify=_Sights.path_of):
            for item in outcome.item.items:
                if outcome.result.state is not State.DONE:
                    yield Prediction(item.id, outcome.result.state, reason=outcome.result.reason)
                elif benchmark.kind == "retrieval":
                    seen[item.id] = outcome.result.value[item.id]
                else:
                    yield Prediction(item.id, State.DONE, outcome.result.value[item.id])
        if seen:
            yield from _ranked_by_words([item for item in items if item.id in seen], seen)


@dataclass(frozen=True, slots=True)
class _Sights:
    """One video with what is asked about it."""

    path: str
    items: tuple[Item, ...]
    kind: str

    def path_of(self) -> str:
        return self.path


def _observe(sights: _Sights, progress: Progress) -> dict[str, Any]:
    """What the observer answers to each item of one video, by item id."""
    with open_video(sights.path) as video:
        watched = look(video, describer="observer", speech="none", screen=False, progress=progress)
        whole = Span(0.0, watched.end)
        if sights.kind == "moments":
            clips = [(c.span, c.text) for c in describe_spans(watched, clip_spans(watched, preset("clips")))]
            return {item.id: _moments(item, clips) for item in sights.items}
        spans = list(dict.fromkeys((item.span or whole).clamp(whole) for item in sights.items))
        texts = {caption.span: caption.text for caption in describe_spans(watched, spans)}
        return {item.id: _answer(sights.kind, item, texts[(item.span or whole).clamp(whole)]) for item in sights.items}


def _answer(kind: str, item: Item, text: str) -> Any:
    if kind != "mc-qa":
        return text
    said = set(telling_words(text))
    shared = [len(said & set(telling_words(option))) for option in item.options]
    return LETTERS[int(np.argmax(shared))] if item.options else ""


def _moments(item: Item, clips: Sequence[tuple[Span, str]]) -> dict[str, Any]:
    """Every clip as a window, best first: a clip scores by the query's words that it shares, rare ones more."""
    bags = [set(telling_words(text)) for _, text in clips]
    counts = Counter(word for bag in bags for word in bag)
    wanted = set(telling_words(item.ask))
    weights = {word: log(1 + len(bags) / counts[word]) for word in wanted if counts[word]}
    scored = [(sum(weights.get(word, 0.0) for word in bag), span) for bag, (span, _) in zip(bags, clips, strict=True)]
    best = sorted(scored, key=lambda pair: (-pair[0], pair[1]))
    most = max((score for score, _ in best), default=0.0) or 1.0
    return {"windows": [[span.start, span.end, score / most] for score, span in best[:10]]}


def _ranked_by_words(items: Sequence[Item], seen: Mapping[str, str]) -> Iterator[Prediction]:
    """Ranks by the cosine of weighted words between each text and what was seen of each video."""
    names = list(dict.fromkeys(gallery_id(item.video, item.span) for item in items))
    described = {gallery_id(item.video, item.span): seen[item.id] for item in items}
    bags = [Counter(telling_words(text)) for text in (*(item.ask for item in items), *(described[n] for n in names))]
    counts = Counter(word for bag in bags for word in bag)
    column = {word: place for place, word in enumerate(counts)}
    rows = np.zeros((len(bags), len(column) + 1), np.float32)
    rows[:, -1] = 1e-6  # a text without words still has a direction
    for row, bag in zip(rows, bags, strict=True):
        for word, count in bag.items():
            row[column[word]] = count * log(1 + len(bags) / counts[word])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    yield from ranked(items, names, rows[: len(items)], rows[len(items) :])

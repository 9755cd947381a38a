"""What is measured: benchmarks, their items, what a model predicted of each, what a judge said of it, and scores.

    Benchmark ── items ──> predictions.jsonl ──> verdicts.jsonl ──> scores.json
                           (evaluating.predict)  (evaluating.judge)  (evaluating.score)

Every step joins by the item's id. An item is never dropped: one without a prediction counts as failed.

What the fields hold depends on the kind of the benchmark:

    kind        gold                                                    prediction (value of a done result)
    caption     {"references": [text, ...]} and, where the annotation   text
                has them, {"events": [...], "objects": [...]}
    mc-qa       {"option": index into `options`, from 0}                text; read by metrics.answers
    open-qa     {"answers": [text, ...]}                                text
    moments     {"windows": [[start, end], ...], "duration": seconds}   {"windows": [[start, end, score], ...]}
                and perhaps {"clips": [id, ...],                        and perhaps {"saliency": [score, ...]}
                "ratings": [[a, b, c], ...]}
    retrieval   {"videos": [gallery id, ...]}: what this text is of     {"text_to_video": [rank, ...],
                                                                         "video_to_text": [rank, ...] or null}

Ranks count from 1 and are those of all right ones, sorted. The gallery of a retrieval benchmark is every gallery id
that an item stands for or names (`gallery_id`); "video_to_text" stands at the first item of each gallery id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from longshot.journal import State
from longshot.sampling import Sampler
from longshot.timeline import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS = ("caption", "retrieval", "moments", "mc-qa", "open-qa")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is asked, and what is right.

    id: unique in its benchmark. video: the benchmark's name of the video (a file stem, or a relative path). ask: the
    question, the query, or the caption prompt; "" for the benchmark's own. gold: as the table above says, plain JSON.
    span: the part of the video that it is about. options: of a multiple choice, in order. groups: what scores are
    broken down by, such as {"source": "youtube", "events": "4-5"}.
    """

    id: str
    video: str
    ask: str = ""
    gold: Mapping[str, Any] = field(default_factory=dict)
    span: Span | None = None
    options: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)


def gallery_id(video: str, span: Span | None = None) -> str:
    """The name of a video, or of a part of it, in a gallery: "ab12", "ab12@3.5-10"."""
    return video if span is None else f"{video}@{span.start:g}-{span.end:g}"


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, read from its official annotation file.

    kind: one of KINDS. measure: the file of `metrics/` that scores it: "captions", "events", "retrieval", "moments" or
    "answers". judge: the file of `judges/` that it needs, "" for none. prompt: what a chat model is asked, with the
    places $question, $options and $duration where the kind has them; short protocol strings stand as published.
    sampler: the frames that its authors' protocol looks at. files: where a video's name is looked for, as patterns with
    $video, tried in order below the folder of videos. fingerprint: 16 hex digits over the annotation's bytes. legacy:
    the convention that the seed or the official scorer counts by, in one line, "" when it is the strict one.
    """

    name: str
    kind: str
    measure: str
    items: tuple[Item, ...]
    fingerprint: str
    prompt: str = ""
    judge: str = ""
    sampler: Sampler = field(default_factory=lambda: Sampler("middle", count=16))
    files: tuple[str, ...] = ("$video", "$video.*", "**/$video", "**/$video.*")
    legacy: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


class BenchmarkFile(Protocol):
    """A file of the shelf `benchmarks/`: its docstring gives licence, source, revision, citation and a sample row."""

    def load(self, data: Path, **options: Any) -> Benchmark:
        """Read the annotation: `data` is the file, or a folder that holds it under its official name.

        Raises FormatError (file, line, field, nearest known name) for what it cannot read, UsageError for options.
        """
        ...


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model gave for one item. value: as the table above says, None unless done. reason: one line, unless done.

    details: plain JSON for the report (frame times, tokens, notes).
    """

    id: str
    state: State
    value: Any = None
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge found about one prediction. value: plain JSON that the judge's `read` made, None unless done."""

    id: str
    state: State
    value: Any = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One item with all that is known of it: what metrics read. prediction: None when there is none.

    verdict: None where no judge was asked, or none answered yet.
    """

    item: Item
    prediction: Prediction | None = None
    verdict: Verdict | None = None

    @property
    def state(self) -> State:
        """How it ended: an item that nobody predicted, or whose verdict failed, is failed."""
        if self.prediction is None:
            return State.FAILED
        if self.prediction.state is not State.DONE or self.verdict is None:
            return self.prediction.state
        return self.verdict.state


@dataclass(frozen=True, slots=True)
class Score:
    """One number with all that is needed to believe it.

    name: "CIDEr", "R@1 text to video". value, low, high: the number and its 95 % interval (None when it cannot be had,
    as for a single video). n: items behind it. states: how many ended done, failed, refused, unreadable. group: {} for
    all items, else the part that it is of. legacy: counted by the seed's or the official scorer's own convention, not
    by ours (strict: what is not done counts as wrong). unit: "%" for 0..100, "" otherwise. note: one line, or "".
    """

    name: str
    value: float | None
    n: int
    states: Mapping[str, int]
    low: float | None = None
    high: float | None = None
    group: Mapping[str, str] = field(default_factory=dict)
    legacy: bool = False
    unit: str = "%"
    note: str = ""


class Measure(Protocol):
    """What each of `metrics.{captions,events,retrieval,moments,answers}` offers. Pure: no file, no network."""

    def scores(self, rows: Sequence[Row], *, seed: int = 0, resamples: int = 1000, **options: Any) -> list[Score]:
        """Every score of these rows: strict ones first, then legacy ones, then those of each group.

        Intervals are bootstrap percentiles clustered by `row.item.video`, with `metrics.intervals`.
        """
        ...

    def values(self, rows: Sequence[Row]) -> Mapping[str, NDArray[np.float64]]:
        """For each score that is a mean over items, the value of every row, (N,): 0 for one that is not done, and NaN
        for one that the score does not count. What two runs are compared by, item by item.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ask:
    """One question of a judge about one row. name: its place in the conversation, such as "recall".

    read: makes a value of the reply, or raises `asking.Unreadable`; the text itself where it is None.
    """

    name: str
    text: str
    read: Callable[[str], Any] | None = None
    system: str = ""


class Judge(Protocol):
    """What `judges.<file>.load(prompts=folder)` gives: pure, so that any chat model can be the one that is asked."""

    @property
    def name(self) -> str:
        """The name of the file, with its prompts' versions: "events (extract-events.1, entail.1)"."""
        ...

    def calls(self, item: Item) -> int:
        """How many questions one prediction of this item costs at most, repeats not counted."""
        ...

    def asks(self, row: Row, said: Mapping[str, Any]) -> Sequence[Ask]:
        """What is still to be asked, given what was said so far by name; none when all is known.

        Called with {} first, then with more after every round; only with rows whose prediction is done.
        """
        ...

    def verdict(self, row: Row, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """The verdict, as plain JSON, once nothing is left to ask."""
        ...

"""Join the captions of a video's clips into one text, pair by pair, as LoVR builds its full captions.

    merge(read_track("clip.jsonl"), model="http://127.0.0.1:8000/v1#name")

Captions are taken in clusters of ten. Inside a cluster each caption is joined to the text so far by rewriting the two
paragraphs that meet, so that nothing is told twice and time is told plainly; then the clusters are joined into the
text of the whole video. Names and numbers must survive every step: an answer that loses one is asked for again once,
and if it loses one again the paragraphs stay as they were, which the caption's details say.

The method is that of LoVR (arXiv 2505.13928); its published program stops at the clusters.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from longshot.asking import Answer, Desk, Question, Unreadable
from longshot.captioning.summarise import split_sentences
from longshot.contracts import ChatModel, Progress
from longshot.errors import UsageError
from longshot.journal import State
from longshot.models import open_chat_model
from longshot.prompts import load_prompt
from longshot.timeline import Caption, Source, Span, Track, clock

CLUSTER = 10
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_NAME = re.compile(r"\b[A-Z][\w'’-]*[a-z][\w'’-]*\b|\b[A-Z]{2,}\b")
_LABEL = re.compile(r"\s*(?:[*_]*)(first|second)(?:[*_]*)\s*[:：](?:[*_]*)", re.IGNORECASE)


def merge(
    captions: Track,
    *,
    model: str | ChatModel | Desk,
    cluster: int = CLUSTER,
    answers: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> list[Track]:
    """Join the captions of one video's clips into longer texts and one of the whole video.

    Args:
        captions: the track to merge, in time order; captions without text are passed over.
        model: a chat model to ask: a folder, a hub id, or a server such as http://127.0.0.1:8000/v1#name.
        cluster: how many captions make one longer text.
        answers: a journal of the model's answers, so that none is asked for twice.
        progress: called with the captions joined and their number.

    Returns a track of level "full" (one caption) and one of level "cluster", whose captions name the clips that they
    are made of. Raises UsageError for a track without text, ModelError for a model that cannot be asked.
    """
    if cluster < 2:
        raise UsageError(f"a cluster is of 2 captions or more, got {cluster}")
    named = [(captions.id_of(i), caption) for i, caption in enumerate(captions) if caption.text.strip()]
    if not named:
        raise UsageError(f"{captions.name or captions.video}: its {captions.level} captions have no text to merge")
    desk = model if isinstance(model, Desk) else Desk(open_chat_model(model) if isinstance(model, str) else model)
    groups = [_Group(named[i : i + cluster]) for i in range(0, len(named), cluster)]
    work = _Merging(desk, answers, progress, len(named))
    work.join(groups)
    source = work.source(cluster)
    made = [
        Caption(group.span, group.text, None, {"children": group.ids, "paragraphs": len(group.done), **group.details})
        for group in groups
    ]
    clusters = Track(captions.video, "cluster", source, tuple(made), captions.name, captions.duration)
    whole = _Group([(clusters.id_of(i), caption) for i, caption in enumerate(clusters)])
    work.join([whole])
    caption = Caption(whole.span, whole.text, None, {"children": whole.ids, **whole.details})
    video = Track(captions.video, "full", source, (caption,), captions.name, captions.duration)
    return [video, clusters]


@dataclass
class _Group:
    """Captions on their way to one text. done: the paragraphs so far; waiting: what is still to be joined to them."""

    parts: Sequence[tuple[str, Caption]]
    done: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: str = ""

    def __post_init__(self) -> None:
        self.waiting = [_paragraphs(caption.text) for _, caption in self.parts]
        self.done = self.waiting.pop(0)

    @property
    def ids(self) -> list[str]:
        return [id for id, _ in self.parts]

    @property
    def span(self) -> Span:
        spans = [caption.span for _, caption in self.parts]
        return Span(min(span.start for span in spans), max(span.end for span in spans))

    @property
    def text(self) -> str:
        return "\n".join(self.done)

    @property
    def details(self) -> dict[str, Any]:
        said: dict[str, Any] = {"kept": self.kept} if self.kept else {}
        return said | ({"state": State.FAILED.value, "reason": self.failed} if self.failed else {})


@dataclass
class _Merging:
    desk: Desk
    answers: str | os.PathLike[str] | None
    progress: Progress | None
    total: int
    joined: int = 0

    def source(self, cluster: int) -> Source:
        made, prompt = self.desk.model.source, load_prompt("merge")
        settings = {**made.settings, "prompt": prompt.name, "prompt_digest": prompt.digest, "cluster": cluster}
        return Source("merge", made.model, made.revision, settings, made.note)

    def join(self, groups: Sequence[_Group]) -> None:
        """Join every group's captions; the groups go side by side, for inside one each step waits for the last."""
        prompt = load_prompt("merge")
        while moving := [group for group in groups if group.waiting]:
            pairs = {str(place): (group.done[-1], group.waiting[0][0]) for place, group in enumerate(moving)}
            questions = [
                Question(name, prompt.fill(first=first, second=second), read=_reader(first, second))
                for name, (first, second) in pairs.items()
            ]
            for answer in self.desk.ask(questions, journal=self.answers):
                self._take(moving[int(answer.id)], answer)

    def _take(self, group: _Group, answer: Answer) -> None:
        following = group.waiting.pop(0)
        if answer.state is State.DONE:
            first, second = answer.value
            group.done[-1:] = [first, *([second] if second else []), *following[1:]]
        else:
            # What the model did not do well is left as it was: a text that reads badly, but is all there.
            group.kept.append(f"{clock(group.span.start)}: {answer.state.value}: {answer.reason}")
            group.failed = answer.reason if answer.state is State.FAILED else group.failed
            group.done += following
        self.joined += 1
        if self.progress is not None:
            self.progress(min(self.joined, self.total), self.total)


def _paragraphs(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _reader(first: str, second: str) -> Callable[[str], tuple[str, str]]:
    """A reader of the reply for one pair, which refuses one that lost a name or a number of either."""

    def read(text: str) -> tuple[str, str]:
        found = read_pair(text)
        gone = lost(f"{first}\n{second}", "\n".join(found))
        if gone:
            raise Unreadable(f"it lost {', '.join(gone[:5])}")
        return found

    return read


def read_pair(text: str) -> tuple[str, str]:
    """The two paragraphs of a reply: labelled, or simply two lines. Raises Unreadable for anything else."""
    labels = list(_LABEL.finditer(text))
    if [label[1].casefold() for label in labels] == ["first", "second"]:
        one, two = text[labels[0].end() : labels[1].start()], text[labels[1].end() :]
    else:
        rows = [line for line in text.splitlines() if line.strip()]
        if len(rows) != 2:
            raise Unreadable(f"two paragraphs were asked for, and {len(rows)} came")
        one, two = (_LABEL.sub("", row, count=1) for row in rows)
    one, two = " ".join(one.split()), " ".join(two.split())
    if not one:
        raise Unreadable("the first paragraph is empty")
    return one, two


def lost(before: str, after: str) -> list[str]:
    """The numbers and names of one text that another does not have, in their order.

    A name is a word with a capital that does not begin a sentence, or does so nowhere only: "Then Ada waves." has Ada.
    """
    numbers = _NUMBER.findall(before)
    kept_numbers = set(_NUMBER.findall(after))
    folded = after.casefold()
    gone = [number for number in numbers if number not in kept_numbers]
    gone += [name for name in _names(before) if name.casefold() not in folded]
    return list(dict.fromkeys(gone))


def _names(text: str) -> list[str]:
    found: list[str] = []
    for paragraph in text.splitlines():
        for sentence in split_sentences(paragraph):
            first = re.match(r"\W*\w[\w'’-]*", sentence)
            found += [name for name in _NAME.findall(sentence[first.end() if first else 0 :])]
    return list(dict.fromkeys(found))

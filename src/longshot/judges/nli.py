"""Offline judge of events and facts: a cross-encoder for natural language inference; nobody is asked.

`--judge nli:NAME`, where NAME is a sentence-transformers cross-encoder with three labels (a folder or hub id). Its
`config.json` must name them (`id2label`), in whatever order. The labels are the model's; the facts of a caption are its
clauses, cut by rules: an approximation of what a chat model extracts, so numbers compare only with numbers that were
judged in the same way. CapST's objects are the clauses that tell how something is, its events the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import sentence_transformers
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from longshot import checkpoints
from longshot.checkpoints import Checkpoint
from longshot.contracts import Loading
from longshot.errors import ModelError, UsageError
from longshot.items import Row, Verdict
from longshot.journal import State
from longshot.judges._clauses import clauses_of, is_static, sentences_of
from longshot.judges._facts import LABELS, gold_of, part_of_verdict, reference_of, unique
from longshot.tensors import load as load_weights
from longshot.tensors import load_sentence_model

NEEDS = ("torch", "transformers", "sentence_transformers")
EXTRA = "encoders"

PARTS = {"events": ("events",), "facts": ("events", "objects")}
_CUT = "clauses.1"  # names the rules of `_clauses`, which verdicts depend on
_ROWS = 16  # judged together, so that batches are full and a kill loses little
_ROOM = 64  # tokens of a premise's window that are left for the statement and marks
_WORDS = {"entail": "entailment", "neutral": "neutral", "contradict": "contradiction"}


class Scorer(Protocol):
    """A model of inference. limit: tokens of a pair, 0 where there is none."""

    @property
    def limit(self) -> int:
        """The longest pair."""
        ...

    def count(self, text: str) -> int:
        """Tokens of a text."""
        ...

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """(N, 3), in the order of LABELS, of N pairs (premise, statement)."""
        ...


def load(name: str, *, of: str = "events", loading: Loading | None = None) -> NliJudge:
    """The judge. of: the judge whose place it takes, "events" or "facts".

    Raises UsageError for a judge that it cannot stand for, ModelError for a checkpoint without three known labels.
    """
    if of not in PARTS:
        raise UsageError(f"{of} cannot be judged offline: {', '.join(PARTS)} can; name a chat model that judges")
    how = loading or Loading()
    checkpoint = checkpoints.find(name)
    scorer = CrossEncoderScorer(checkpoint, how)
    return NliJudge(scorer, f"nli {of} ({_CUT}), {checkpoint.name}@{checkpoint.revision}", PARTS[of])


class NliJudge:
    """A `Decider`: recall and precision of facts by labels of a model of inference."""

    def __init__(self, scorer: Scorer, name: str, parts: Sequence[str]) -> None:
        self.parts = tuple(parts)
        self._scorer, self._name = scorer, name

    @property
    def name(self) -> str:
        """Which model, which weights, which rules."""
        return self._name

    def decide(self, rows: Sequence[Row]) -> Iterator[Verdict]:
        """One verdict for each row, in order, in the form of `metrics.events`."""
        for first in range(0, len(rows), _ROWS):
            yield from self._decide(rows[first : first + _ROWS])

    def _decide(self, rows: Sequence[Row]) -> list[Verdict]:
        wanted = [{part: _facts(row, part) for part in self.parts} for row in rows]
        pairs: dict[tuple[str, str], None] = {}  # each once, in order
        for row, parts in zip(rows, wanted, strict=True):
            premises = _texts(row)
            for gold, predicted in parts.values():
                for premise, facts in ((premises[0], gold), (premises[1], predicted)):
                    pairs |= dict.fromkeys((premise, fact) for fact in facts if premise)
        labels = self._labels(list(pairs))
        return [
            Verdict(row.item.id, State.DONE, {part: _part(row, *facts, labels) for part, facts in parts.items()})
            for row, parts in zip(rows, wanted, strict=True)
        ]

    def _labels(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str]]:
        """(label, probability) of each pair. A premise that is too long is looked at window by window.

        A statement that one window entails is entailed, else one that a window contradicts is contradicted.
        """
        windows = {premise: self._windows(premise) for premise, _ in pairs}
        asked = [(window, fact) for premise, fact in pairs for window in windows[premise]]
        scores = self._scorer.probabilities(asked) if asked else np.zeros((0, len(LABELS)))
        found, at = {}, 0
        for pair in pairs:
            mine = scores[at : at + len(windows[pair[0]])]
            at += len(mine)
            said = [LABELS[place] for place in mine.argmax(axis=1)]
            label = next((one for one in ("entailment", "contradiction") if one in said), "neutral")
            sure = mine[[one == label for one in said], LABELS.index(label)].max()
            found[pair] = (label, f"{sure:.2f}")
        return found

    def _windows(self, premise: str) -> list[str]:
        """Whole sentences that fit together beside a statement; the premise itself where it fits."""
        most = self._scorer.limit - _ROOM if self._scorer.limit else 0
        if most <= 0 or self._scorer.count(premise) <= most:
            return [premise]
        windows: list[str] = []
        for sentence in sentences_of(premise):
            joined = f"{windows[-1]} {sentence}" if windows else sentence
            if windows and self._scorer.count(joined) <= most:
                windows[-1] = joined
            else:
                windows.append(sentence)
        return windows


class CrossEncoderScorer:
    """A sentence-transformers `CrossEncoder` with three labels, its columns put in our order."""

    def __init__(self, checkpoint: Checkpoint, loading: Loading) -> None:
        if loading.bits:
            raise UsageError(f"cross-encoders cannot be kept in {loading.bits} bits here: leave that out")
        self._columns = columns_of(checkpoint.config.get("id2label"), checkpoint.name)
        self._batch = loading.batch or 32
        self._model = _opened(checkpoint, loading)

    @property
    def limit(self) -> int:
        """Tokens of a pair."""
        return min(int(self._model.max_seq_length or 0), 1 << 20)

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._model.tokenizer.tokenize(text))

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """(N, 3): the softmax of the logits, in the order of LABELS."""
        logits = self._model.predict(
            list(pairs),
            batch_size=self._batch,
            show_progress_bar=False,
            activation_fn=torch.nn.Identity(),
            convert_to_tensor=True,
        )
        return np.asarray(logits.double().softmax(dim=1).cpu().numpy()[:, self._columns], dtype=np.float64)


def columns_of(id2label: Any, name: str) -> list[int]:
    """Which column of a model's logits is of each of LABELS, from its config's `id2label`. Raises ModelError."""
    said = {str(key): str(label) for key, label in id2label.items()} if isinstance(id2label, Mapping) else {}
    columns = {
        label: int(key)
        for key, text in said.items()
        for start, label in _WORDS.items()
        if key.isdecimal() and text.casefold().startswith(start)
    }
    if sorted(columns.values()) != [0, 1, 2] or len(said) != len(LABELS):
        shown = ", ".join(said.values()) or "none"
        raise ModelError(name, f"its config.json must name the labels {', '.join(LABELS)} (id2label), it has: {shown}")
    return [columns[label] for label in LABELS]


def _opened(checkpoint: Checkpoint, loading: Loading) -> Any:
    checkpoint.check()
    model = load_sentence_model(sentence_transformers.CrossEncoder, checkpoint, loading)
    held, inner = checkpoint.tensors(), model.model
    tied = set(getattr(inner, "all_tied_weights_keys", ()) or ())
    if any(key not in held and key not in tied for key in inner.state_dict()):
        # Names of older files change as they are read; what is truly missing would be random, and is refused here.
        load_weights(AutoModelForSequenceClassification, checkpoint, loading)
    return model


def _texts(row: Row) -> tuple[str, str]:
    """The predicted caption and the reference."""
    value = row.prediction.value if row.prediction else ""
    return str(value or "").strip(), reference_of(row.item)


def _facts(row: Row, part: str) -> tuple[list[str], list[str]]:
    """The gold facts and the predicted ones."""
    predicted, reference = _texts(row)
    listed = gold_of(row.item, part)
    return _cut(reference, part) if listed is None else listed, _cut(predicted, part)


def _cut(text: str, part: str) -> list[str]:
    return [clause for clause in clauses_of(text) if is_static(clause) == (part == "objects")]


def _part(
    row: Row, gold: list[str], predicted: list[str], labels: Mapping[tuple[str, str], tuple[str, str]]
) -> dict[str, Any]:
    caption, reference = _texts(row)
    told = {fact: labels[caption, fact] for fact in unique(gold) if caption}
    held = {fact: labels[reference, fact] for fact in unique(predicted) if reference}
    return part_of_verdict(gold, predicted, told, held)

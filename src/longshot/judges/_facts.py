"""What the judges of events and of facts share: take texts apart, then ask of each fact whether a text tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from longshot.asking import Unreadable
from longshot.items import Ask, Item, Row
from longshot.judges._replies import labels_of, read_value, texts_of
from longshot.judges._words import wording

LABELS = ("entailment", "neutral", "contradiction")
MOST_FACTS = 100
_EXTRACT = {"events": "extract-events", "objects": "extract-objects"}


def read_facts(reply: str, *, what: str = "events") -> list[str]:
    """The short facts in a reply to "extract": a list, which may be empty. Raises Unreadable."""

    def shape(value: Any) -> list[str]:
        facts = texts_of(value, what)
        if len(facts) > MOST_FACTS:
            raise Unreadable(f"it lists {len(facts)} {what}; give the most important ones")
        return facts

    return read_value(reply, shape)


def read_labels(reply: str, *, count: int) -> list[list[str]]:
    """[label, reason] for each of `count` statements, from a reply to "entail". Raises Unreadable."""
    return read_value(reply, lambda value: [[label, reason] for label, reason in labels_of(value, count, LABELS)])


def numbered(facts: Sequence[str]) -> str:
    """A list as it stands in a request: "1. A man runs."."""
    return "\n".join(f"{place}. {fact}" for place, fact in enumerate(facts, start=1))


def unique(facts: Sequence[str]) -> list[str]:
    """Each text once, in order."""
    return list(dict.fromkeys(facts))


def reference_of(item: Item) -> str:
    """The true caption; several stand one after the other. "" when the annotation has none."""
    return "\n".join(str(text).strip() for text in item.gold.get("references", ())).strip()


def gold_of(item: Item, part: str) -> list[str] | None:
    """The gold facts that come with the annotation; None when it has no such list."""
    listed = item.gold.get(part)
    return None if listed is None else [str(fact) for fact in listed]


def part_of_verdict(
    gold: Sequence[str],
    predicted: Sequence[str],
    told: Mapping[str, Sequence[str]],
    held: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """One part of a verdict. told, held: [label, reason] by fact; a fact that is not there was not asked about.

    It is neutral then: nothing tells it, because there was no text that could.
    """
    recall = [told.get(fact, ("neutral", "")) for fact in gold]
    precision = [held.get(fact, ("neutral", "")) for fact in predicted]
    return {
        "gold": list(gold),
        "predicted": list(predicted),
        "recall": [label for label, _ in recall],
        "precision": [label for label, _ in precision],
        "reasons": {"recall": [reason for _, reason in recall], "precision": [reason for _, reason in precision]},
    }


class FactJudge:
    """Recall and precision of facts, part by part ("events", "objects").

    Of each part: what the caption tells (asked), what the reference tells (from the annotation, else asked), then
    whether the caption tells each gold fact, and the reference each predicted one. An empty text tells nothing and an
    empty list needs no labels: nothing is asked then. A fact that stands twice is asked about once and counts twice.
    """

    def __init__(self, name: str, parts: Sequence[str], prompts: Path | None) -> None:
        self.parts = tuple(parts)
        self._extract = {part: wording(_EXTRACT[part], prompts, places=("text",)) for part in parts}
        self._entail = wording("entail", prompts, places=("text", "statements"))
        used = [*(one.name for one in self._extract.values()), self._entail.name]
        self._name = f"{name} ({', '.join(used)})"

    @property
    def name(self) -> str:
        """Which judge, asking with which words."""
        return self._name

    def calls(self, item: Item) -> int:
        """3 for each part, and one more where the annotation has no list of it."""
        return sum(3 if gold_of(item, part) is not None else 4 for part in self.parts)

    def asks(self, row: Row, said: Mapping[str, Any]) -> list[Ask]:
        """First what texts tell, then which of it holds."""
        texts = self._texts(row)
        extract = [
            Ask(name, words.text(text=texts[of]), _reader(part), words.system(text=texts[of]))
            for part, words in self._extract.items()
            for of in ("predicted", "gold")
            if (name := f"{part} {of}") not in said and self._known(row, part, of, said) is None
        ]
        if extract:
            return extract
        entail = []
        for part in self.parts:
            for measure, of, premise in (("recall", "gold", "predicted"), ("precision", "predicted", "gold")):
                facts = unique(self._known(row, part, of, said) or [])
                if f"{part} {measure}" in said or not facts or not texts[premise]:
                    continue
                values = {"text": texts[premise], "statements": numbered(facts)}
                read = _label_reader(len(facts))
                ask = Ask(f"{part} {measure}", self._entail.text(**values), read, self._entail.system(**values))
                entail.append(ask)
        return entail

    def verdict(self, row: Row, said: Mapping[str, Any]) -> dict[str, Any]:
        """As the docstring of `metrics.events` shows."""
        found = {}
        for part in self.parts:
            gold, predicted = ((self._known(row, part, of, said) or []) for of in ("gold", "predicted"))
            told = dict(zip(unique(gold), said.get(f"{part} recall", ()), strict=False))
            held = dict(zip(unique(predicted), said.get(f"{part} precision", ()), strict=False))
            found[part] = part_of_verdict(gold, predicted, told, held)
        return found

    def _texts(self, row: Row) -> dict[str, str]:
        value = row.prediction.value if row.prediction else ""
        return {"predicted": str(value or "").strip(), "gold": reference_of(row.item)}

    def _known(self, row: Row, part: str, of: str, said: Mapping[str, Any]) -> list[str] | None:
        """The facts of one text, None while they must be asked for."""
        if of == "gold" and (listed := gold_of(row.item, part)) is not None:
            return listed
        if not self._texts(row)[of]:
            return []
        return said.get(f"{part} {of}")


def _reader(part: str) -> Callable[[str], list[str]]:
    return lambda reply: read_facts(reply, what=part)


def _label_reader(count: int) -> Callable[[str], list[list[str]]]:
    return lambda reply: read_labels(reply, count=count)

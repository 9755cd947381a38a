"""The forms in which programs keep predictions, and what one record of each says.

    form                records                                                         an item is found by
    Longshot            {"id", "state", "value", "reason"}                              id
    moments             {"qid", "pred_relevant_windows", "pred_saliency_scores"}        qid
    Tarsier             the annotation and {"text": {"prediction"}}                     dataset_idx, or the video
    lmms-eval samples   {"doc_id", "filtered_resps" or "resps", "target"}               doc_id, or place
    CaReBench           {key: {"pred", "gt"}}                                           key, or place
    plain               {"id", "prediction"}, or {id: prediction}                       id

Which form a file has is told by the fields of its first record; a name that is nearly right counts for telling the
form, and is then refused with the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from longshot.benchmarks._reading import Record, nearest
from longshot.evaluating.runs import prediction_of
from longshot.items import gallery_id
from longshot.journal import Result, State
from longshot.timeline import Span

TARSIER_ERROR = "<error>"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one record says. where: "predictions.jsonl, line 3". ids: what may be the item's id, likeliest first.

    place: the number of the item, from 0, for a form that may have no ids; truth: what the record holds for it then.
    """

    where: str
    ids: tuple[str, ...]
    said: Any
    state: State = State.DONE
    reason: str = ""
    place: int | None = None
    truth: Any = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Form:
    """One form. needs: fields that tell it, one of each group. last: whether of one id the last record counts."""

    name: str
    needs: tuple[tuple[str, ...], ...]
    entry: Callable[[Record], Entry]
    last: bool = False


def form_of(record: Record) -> Form:
    """The form of a file, from its first record. Raises FormatError with the nearest names."""
    for form in FORMS:
        if all(any(name in record.fields for name in names) for names in form.needs):
            return form
    close = max(FORMS, key=lambda form: _likeness(form, record))
    if _likeness(close, record) == 0:
        known = "; ".join(f"{form.name}: {', '.join('/'.join(names) for names in form.needs)}" for form in FORMS)
        raise record.wrong(f"predictions in no known form, with the fields {', '.join(record.fields)}; known: {known}")
    return close


def keyed_records(said: Mapping[str, Any], path: str) -> list[Record]:
    """The records of a JSON object: {id: prediction}, or CaReBench's {key: {"pred", "gt"}}."""
    records = []
    for place, (key, value) in enumerate(said.items()):
        where = f"{path}, key {key!r}"
        if isinstance(value, Mapping) and ("pred" in value or "gt" in value):
            records.append(Record({"key": key, "place": place, **value}, where))
        else:
            records.append(Record({"id": key, "prediction": value}, where))
    return records


def _likeness(form: Form, record: Record) -> float:
    """How many of the fields that tell a form are there, or nearly so; a name that is right counts more."""
    total = 0.0
    for names in form.needs:
        if any(name in record.fields for name in names):
            total += 1.0
        elif any(nearest(name, record.fields, cutoff=0.75) for name in names):
            total += 0.9
    return total if total > 0.5 * len(form.needs) else 0.0


def _own(record: Record) -> Entry:
    id, state = record.text("id"), record.text("state")
    if state not in tuple(State):
        raise record.wrong(f"'state' is one of {', '.join(State)}, got {state!r}")
    found = prediction_of(id, Result(State(state), record.value("value", None), record.text("reason", "")))
    return Entry(record.where, (id,), found.value, found.state, found.reason, details=found.details)


def _null(record: Record, name: str) -> bool:
    """Whether a field is there and holds null: its program gave nothing for the item."""
    return name in record.fields and record.fields[name] is None


def _nothing(where: str, ids: tuple[str, ...]) -> Entry:
    return Entry(where, ids, None, State.FAILED, "the file has null for it")


def _moments(record: Record) -> Entry:
    if _null(record, "pred_relevant_windows"):
        return _nothing(record.where, (record.text("qid"),))
    said = {"windows": record.value("pred_relevant_windows")}
    if "pred_saliency_scores" in record:
        said["saliency"] = record.value("pred_saliency_scores")
    return Entry(record.where, (record.text("qid"),), said)


def _tarsier(record: Record) -> Entry:
    text = record.value("text", {})
    if not isinstance(text, Mapping):
        raise record.wrong("'text' is an object with 'prediction' in Tarsier's form")
    inside = Record(text if "prediction" in text else record.fields, f"{record.where}, text")
    said = None if _null(inside, "prediction") else inside.value("prediction")
    index, video = record.text("idx"), record.text("vid", "")
    names = [f"{record.text('dataset', '')}_{index}"]
    if video:
        start, end = record.value("start_time", None), record.value("end_time", None)
        if start is not None and end is not None:
            names.append(gallery_id(video, Span(record.number("start_time"), record.number("end_time"))))
        names += [video, PurePosixPath(video).stem]
    if said is None:
        return _nothing(record.where, (*names, index))
    if said == TARSIER_ERROR:
        return Entry(record.where, (*names, index), None, State.FAILED, "the program that made it wrote <error>")
    return Entry(record.where, (*names, index), said)


def _lmms(record: Record) -> Entry:
    said = record.value("filtered_resps", None)
    said = record.value("resps") if said is None else said
    while isinstance(said, Sequence) and not isinstance(said, str):
        if not said:
            return Entry(record.where, (record.text("doc_id"),), None, State.FAILED, "no response in the log")
        said = said[0]
    if said is None:
        return _nothing(record.where, (record.text("doc_id"),))
    number = record.text("doc_id")
    place = int(number) if number.isdecimal() else None
    return Entry(record.where, (number,), said, place=place, truth=record.value("target", None))


def _carebench(record: Record) -> Entry:
    key = record.text("key")
    ids = (key, PurePosixPath(key).stem)
    if _null(record, "pred"):
        return replace(_nothing(record.where, ids), place=record.value("place"))
    return Entry(record.where, ids, record.value("pred"), place=record.value("place"), truth=record.value("gt", None))


def _plain(record: Record) -> Entry:
    if _null(record, "prediction"):
        return _nothing(record.where, (record.text("id"),))
    return Entry(record.where, (record.text("id"),), record.value("prediction"))


FORMS = (
    Form("Longshot", (("id",), ("state",)), _own, last=True),
    Form("moments", (("qid",), ("pred_relevant_windows",)), _moments),
    Form("lmms-eval samples", (("doc_id",), ("filtered_resps", "resps")), _lmms),
    Form("Tarsier", (("idx",), ("dataset",), ("text", "prediction")), _tarsier),
    Form("CaReBench", (("key",), ("pred", "gt")), _carebench),
    Form("plain", (("id",), ("prediction",)), _plain),
)

"""Your own benchmark: one JSON-lines file and a TOML of ten lines that says what it is.

You are the one to cite, and you say the licence. `longshot eval kitchen.toml --model …` reads such a pair.

    source      the TOML, and the file beside it that its `data` names (JSON lines, JSON, CSV, TSV or Parquet)
    revision    whatever `revision` in the TOML says; the fingerprint is over the bytes of both files
    counts      as many items as the file has records
    videos      what the field `video` says, looked for below the folder of videos

    {"id": "7", "video": "sink", "question": "What is washed?", "options": ["a cup", "a pan"], "answer": "a pan"}

    name = "kitchen"               # of the scores; letters, digits, - and _
    kind = "mc-qa"                 # caption, retrieval, moments, mc-qa or open-qa
    data = "kitchen.jsonl"
    licence = "CC BY 4.0"          # kept with the benchmark, as are source, revision and citation
    groups = ["topic"]             # fields whose values scores are broken down by
    files = ["clips/$video.mp4"]   # where a video lies; when not said, under its name with any ending, anywhere
    prompt = "$question $options"  # what a chat model is asked; a prompt of Longshot's when not said
    measure = "events"             # of a caption benchmark whose records have `events`; when not said, "captions"
    judge = "answers"              # when not said, the one that the kind needs
    [sampler]                      # the frames to look at; when not said, the middles of 16 equal parts
    policy = "every"
    seconds = 2.0
    [fields]                       # where a field has another name in your file
    video = "clip"

Fields of a record, those with a * wanted: id (its number in the file when there is none), video*, start and end (the
part of it that is meant), and

    caption     references*, a text or a list; ask, events, objects
    retrieval   query*; videos, the names that are right (its own when not said; "sink@3.5-10" for a part)
    moments     query*, windows* [[start, end], …]; duration, clips, ratings
    mc-qa       question*, options*, answer* (the option's words, its letter, or its place as a number from 0)
    open-qa     question*, answers*, a text or a list

Any other field, and any other line in the TOML, is refused with the nearest right name.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from string import Template
from typing import Any

from longshot import registry
from longshot.benchmarks._questions import choice, lettered, options_of, rated, span_of, windows_of, worded
from longshot.benchmarks._reading import (
    Record,
    choose,
    fingerprint,
    listed,
    nearest,
    read_records,
    read_text,
    shown,
    unique_items,
)
from longshot.errors import FormatError, UsageError
from longshot.items import KINDS, Benchmark, Item, gallery_id
from longshot.sampling import Sampler

KIND = ""  # whatever the TOML says
# Of each kind: the fields that a record must have, those that it may have, measures and judges, the default first.
_FIELDS = {
    "caption": (("references",), ("ask", "events", "objects")),
    "retrieval": (("query",), ("videos",)),
    "moments": (("query", "windows"), ("duration", "clips", "ratings")),
    "mc-qa": (("question", "options", "answer"), ()),
    "open-qa": (("question", "answers"), ()),
}
_MEASURES = {"caption": ("captions", "events"), "retrieval": ("retrieval",), "moments": ("moments",)}
_ASKED = {"retrieval": "query", "moments": "query"}  # the others have a question
_COMMON = ("id", "video", "start", "end")
_ABOUT = ("licence", "source", "revision", "citation")
_TEXTS = ("name", "kind", "data", "prompt", "measure", "judge", "legacy", *_ABOUT)
_LISTS = ("groups", "files")
_TABLES = ("sampler", "fields")
_PLACES = ("question", "options", "duration")
_SAMPLER = {"policy": str, "count": int, "seconds": float, "rate": float, "at_most": int}


def load(path: Path, *, data: str | os.PathLike[str] | None = None, **options: Any) -> Benchmark:
    """Read the benchmark that a TOML file tells of.

    data: the file of items, or a folder that holds it; beside the TOML when not said. Raises UsageError, FormatError.
    """
    choose(options, {})
    if path.suffix != ".toml" or not path.is_file():
        raise UsageError(f"{path}: a benchmark of your own is told by a TOML file; see docs/add-a-benchmark.md")
    told = _toml(path)
    kind = told.text("kind")
    if kind not in KINDS:
        raise told.wrong(f"'kind' is {listed(KINDS)}, got {kind!r}{_hint(kind, KINDS)}")
    items_path = _items_path(path, told.text("data"), data)
    measure = _chosen(told, "measure", _MEASURES.get(kind, ("answers",)))
    return Benchmark(
        name=_name(told),
        kind=kind,
        measure=measure,
        judge=_judge(told, kind, measure),
        items=unique_items(_items(items_path, told, kind)),
        fingerprint=fingerprint(path, items_path),
        prompt=_prompt(told),
        sampler=_sampler(told),
        legacy=told.text("legacy", ""),
        options={name: told.text(name) for name in _ABOUT if name in told},
        **({"files": tuple(told.texts("files"))} if "files" in told else {}),
    )


def _toml(path: Path) -> Record:
    """The TOML with every name and type checked."""
    try:
        told = Record(tomllib.loads(read_text(path)), str(path))
    except tomllib.TOMLDecodeError as error:
        raise FormatError(f"{path}: not TOML ({error})") from error
    known = (*_TEXTS, *_LISTS, *_TABLES)
    for name, value in told.fields.items():
        if name not in known:
            raise told.wrong(f"no line {name!r} is known{_hint(name, known)}: there are {', '.join(known)}")
        if name in _TEXTS and not isinstance(value, str):
            raise told.wrong(f"{name!r} is a text, got {shown(value)}")
        if name in _LISTS and not (isinstance(value, list) and all(isinstance(one, str) and one for one in value)):
            raise told.wrong(f"{name!r} is a list of texts, got {shown(value)}")
        if name in _TABLES and not isinstance(value, dict):
            raise told.wrong(f"{name!r} is a table, [{name}], got {shown(value)}")
    return told


def _name(told: Record) -> str:
    name = told.text("name")
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise told.wrong(f"'name' is of letters, digits, -, _ and ., got {name!r}")
    return name


def _items_path(path: Path, name: str, data: str | os.PathLike[str] | None) -> Path:
    given = Path(data) if data else path.parent
    places = [given] if given.is_file() else [given / name, path.parent / name]
    for place in places:
        if place.is_file():
            return place
    raise UsageError(f"{path}: its data, {name}, is neither in {given} nor beside it")


def _chosen(told: Record, name: str, allowed: tuple[str, ...]) -> str:
    value = told.text(name, allowed[0])
    if value not in allowed:
        raise told.wrong(f"{name!r} is {listed(allowed)} here, got {value!r}{_hint(value, allowed)}")
    return value


def _judge(told: Record, kind: str, measure: str) -> str:
    needed = "answers" if kind == "open-qa" else "events" if measure == "events" else ""
    return _chosen(told, "judge", (needed, *sorted(registry.choices("judges")))) if needed else _no_judge(told, kind)


def _no_judge(told: Record, kind: str) -> str:
    if told.text("judge", ""):
        raise told.wrong(f"a benchmark of the kind {kind} with this measure needs no judge; leave 'judge' out")
    return ""


def _prompt(told: Record) -> str:
    prompt = told.text("prompt", "")
    template = Template(prompt)
    if not template.is_valid():
        raise told.wrong("'prompt' has a lone dollar sign; a dollar sign is written $$")
    for place in template.get_identifiers():
        if place not in _PLACES:
            raise told.wrong(f"'prompt' has a place ${place}; there are {', '.join(f'${one}' for one in _PLACES)}")
    return prompt


def _sampler(told: Record) -> Sampler:
    said = told.value("sampler", {})
    for name, value in said.items():
        if name not in _SAMPLER:
            raise told.wrong(f"[sampler] has no {name!r}{_hint(name, _SAMPLER)}: there are {', '.join(_SAMPLER)}")
        right = (int, float) if _SAMPLER[name] is float else _SAMPLER[name]
        if not isinstance(value, right) or isinstance(value, bool):
            raise told.wrong(f"[sampler] {name} is a {_SAMPLER[name].__name__}, got {shown(value)}")
    try:
        return Sampler(**{"count": 16, **said})
    except UsageError as error:
        raise told.wrong(f"[sampler]: {error}") from error


def _items(path: Path, told: Record, kind: str) -> Iterator[tuple[Record, Item]]:
    must, may = _FIELDS[kind]
    ours = (*_COMMON, *must, *may)
    renamed = _renamed(told, ours)
    groups = told.texts("groups", [])
    theirs = {name: renamed.get(name, name) for name in ours}
    for number, record in enumerate(read_records(path, known=(*theirs.values(), *groups), strict=True), 1):
        fields = {name: record.fields.get(other) for name, other in theirs.items()}
        told_of = {group: record.text(group) for group in groups}
        yield record, _item(Record(fields, record.where), kind, str(number), told_of)


def _renamed(told: Record, ours: tuple[str, ...]) -> dict[str, str]:
    renamed = told.value("fields", {})
    for name, other in renamed.items():
        if name not in ours:
            raise told.wrong(f"[fields] has no {name!r}{_hint(name, ours)}: there are {', '.join(ours)}")
        if not isinstance(other, str) or not other:
            raise told.wrong(f"[fields] {name} is a text, got {shown(other)}")
    return dict(renamed)


def _item(record: Record, kind: str, number: str, groups: dict[str, str]) -> Item:
    video, span = record.text("video"), span_of(record)
    ask = record.text("ask", "") if kind == "caption" else record.text(_ASKED.get(kind, "question"))
    id = record.text("id", number)
    if kind == "mc-qa":
        options = options_of(record, "options")
        right = _right(record, options)
        return choice(record, id=id, video=video, ask=ask, options=options, right=right, span=span, groups=groups)[1]
    return Item(id, video, ask, _gold(record, kind, gallery_id(video, span)), span, (), groups)


def _gold(record: Record, kind: str, own: str) -> dict[str, Any]:
    if kind == "caption":
        facts = {name: record.texts(name) for name in ("events", "objects") if name in record}
        return {"references": _filled(record, "references"), **facts}
    if kind == "retrieval":
        return {"videos": _filled(record, "videos") if "videos" in record else [own]}
    if kind == "open-qa":
        return {"answers": _filled(record, "answers")}
    return _moments(record)


def _filled(record: Record, name: str) -> list[str]:
    """A list of one text or more."""
    found = record.texts(name)
    if not found:
        raise record.wrong(f"{name!r} is empty")
    return found


def _right(record: Record, options: Sequence[str]) -> int:
    """The place of the right option, from its words, its letter or its place."""
    value = record.value("answer")
    if isinstance(value, int) and not isinstance(value, bool):
        if str(value) in options:
            raise record.wrong(
                f"'answer' is the number {value}, a place or an option's words? Write the words as a text"
            )
        if not 0 <= value < len(options):
            raise record.wrong(f"'answer' is a place from 0 to {len(options) - 1}, got {value}")
        return value
    text = record.text("answer")
    if re.fullmatch(r"\(?[A-Za-z][).]?", text) and text not in options:
        return lettered(record, "answer", options)
    return worded(record, "answer", options)


def _moments(record: Record) -> dict[str, Any]:
    gold: dict[str, Any] = {"windows": windows_of(record, "windows")}
    if not gold["windows"]:
        raise record.wrong("'windows' is empty; a query has at least one")
    if "duration" in record:
        gold["duration"] = record.number("duration")
    if "clips" in record or "ratings" in record:
        gold |= rated(record, "clips", "ratings", record.number("duration"))
    return gold


def _hint(name: str, names: Iterable[str]) -> str:
    close = nearest(name, names)
    return f"; did you mean {close[0]!r}?" if close else ""

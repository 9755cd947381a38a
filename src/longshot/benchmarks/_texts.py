"""Videos with their texts: the forms that captions are passed on in, and the items that are made of them.

    clips = read_clips(path)                              # [Clip("video7020", ("A cat sits.", …), …), …]
    caption_items(clips)                                  # one item a video, its texts are the references
    retrieval_items(clips)                                # one item a text, its video is the right one

Three forms are read whatever the benchmark, because people pass captions on in them:

    {"video": "v1.mp4", "caption": "A cat sits."}         CaReBench's, in a list; the caption may be a list
    {"idx": 0, "dataset": "MSVD-Caption-test", "vid": "v1", "video_file": "<placeholder>",
     "text": {"prompt": "<video> Describe …", "response": ["A cat sits."]}}                     Tarsier's, in lines
    {"idx": 0, "dataset": …, "vid": "v1", "messages": [{"role": "user", "content": [
     {"type": "video", "video": {"video_file": "v1.mp4"}}, {"type": "text", "text": "Describe …"}]},
     {"role": "assistant", "content": [{"type": "text", "reference": "A cat sits."}]}]}         Tarsier2's, in lines
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from longshot.benchmarks._reading import Record, check_names, read_records, read_text, shown
from longshot.errors import FormatError, UsageError
from longshot.items import Item, gallery_id
from longshot.timeline import Span

CAPTION_FIELDS = ("video", "caption")
TARSIER_FIELDS = ("idx", "dataset", "vid", "video_file", "text", "extra_info", "start_time", "end_time")
TARSIER2_FIELDS = ("idx", "dataset", "vid", "messages", "task", "extra_info")
PARTS = ("events", "objects")
_SUFFIXES = {f".{name}" for name in ("mp4", "m4v", "avi", "mov", "mkv", "webm", "wmv", "mpg", "mpeg", "3gp", "gif")}
_MARK = re.compile(r"<(?:video|image)>\s*")


@dataclass(frozen=True)
class Clip:
    """A video, or a part of one, with what is said of it. record: where that stands.

    ask: the prompt that the annotation has for it, without the mark of the video. extra: what else it tells.
    """

    record: Record
    video: str
    texts: tuple[str, ...]
    ask: str = ""
    span: Span | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


def read_clips(path: Path) -> list[Clip]:
    """The videos of a file in one of the three forms. Raises FormatError for another one."""
    return [clip_of(record) for record in read_records(path)]


def clip_of(record: Record) -> Clip:
    """One record of the three forms."""
    if "messages" in record.fields:
        check_names(record, TARSIER2_FIELDS)
        return _of_tarsier2(record)
    if "text" in record.fields and "dataset" in record.fields:
        check_names(record, TARSIER_FIELDS)
        return _of_tarsier(record)
    check_names(record, CAPTION_FIELDS)
    return _of_pair(record)


def caption_items(clips: Iterable[Clip]) -> Iterator[tuple[Record, Item]]:
    """One item for each video, with its id: what to say of it. Raises FormatError for one without any text."""
    for clip in clips:
        if not clip.texts:
            raise clip.record.wrong(f"no text to compare with for {clip.video!r}")
        gold = {"references": list(clip.texts)} | {part: clip.extra[part] for part in PARTS if part in clip.extra}
        yield (
            clip.record,
            Item(gallery_id(clip.video, clip.span), clip.video, clip.ask, gold, clip.span, groups=clip.groups),
        )


def retrieval_items(clips: Iterable[Clip], *, paragraph: bool = False) -> Iterator[tuple[Record, Item]]:
    """One item for each text: "video" where it has one, "video#0", "video#1" … where it has several.

    paragraph: all texts of a video are one, in order and with spaces between (paragraph retrieval).
    """
    for clip in clips:
        texts = [" ".join(clip.texts)] if paragraph else list(clip.texts)
        id = gallery_id(clip.video, clip.span)
        if not any(texts):
            raise clip.record.wrong(f"no text to look for {clip.video!r} with")
        for number, text in enumerate(texts):
            name = id if len(texts) == 1 else f"{id}#{number}"
            yield clip.record, Item(name, clip.video, text, {"videos": [id]}, clip.span, groups=clip.groups)


def grouped(clips: Iterable[Clip]) -> list[Clip]:
    """Clips of one video and span as one, their texts in order; for files with a line for each sentence."""
    found: dict[str, Clip] = {}
    texts: dict[str, list[str]] = {}
    for clip in clips:
        id = gallery_id(clip.video, clip.span)
        found.setdefault(id, clip)
        texts.setdefault(id, []).extend(clip.texts)
    return [replace(clip, texts=tuple(texts[id])) for id, clip in found.items()]


def numbered(made: Iterable[tuple[Record, Item]]) -> Iterator[tuple[Record, Item]]:
    """The items with "#2", "#3" … after an id that stands again: several people described the same part."""
    seen: Counter[str] = Counter()
    for record, item in made:
        seen[item.id] += 1
        yield record, item if seen[item.id] == 1 else replace(item, id=f"{item.id}#{seen[item.id]}")


def read_names(path: Path) -> list[str]:
    """The names of videos in a text file, one a line, without endings such as .mp4."""
    names = [name_of(line.strip()) for line in read_text(path).split("\n") if line.strip()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise FormatError(f"{path}: {twice[0]!r} stands twice")
    return names


def keep(clips: Sequence[Clip], names: Path) -> list[Clip]:
    """Only the clips of the videos that a text file names, in its order. Raises FormatError for one that is absent."""
    wanted = read_names(names)
    by_name: dict[str, list[Clip]] = {}
    for clip in clips:
        by_name.setdefault(clip.video, []).append(clip)
    absent = [name for name in wanted if name not in by_name]
    if absent:
        raise FormatError(f"{names}: {len(absent)} videos are not in the annotation, such as {absent[0]!r}")
    return [clip for name in wanted for clip in by_name[name]]


def listed_file(data: Path, only: str) -> Path:
    """The text file of names that an option gives: as it is, or beside the annotation. Raises UsageError."""
    beside = (data if data.is_dir() else data.parent) / only
    for path in (Path(only), beside):
        if path.is_file():
            return path
    raise UsageError(f"only={only}: there is no such file, here or beside the annotation")


def name_of(file: str) -> str:
    """What a file of any ending is found by: "v1" of "v1", "v1.mp4" and "clips/v1.mp4"."""
    path = Path(file)
    return path.stem if path.suffix.lower() in _SUFFIXES else path.name


def text_list(record: Record, name: str) -> list[str]:
    """A list of texts, which may stand as one text in Python's way of writing it; read by a pattern, not evaluated."""
    value = record.value(name)
    if not isinstance(value, str) or not (value.strip().startswith("[") and value.strip().endswith("]")):
        return record.texts(name)
    inner = value.strip()[1:-1]
    quoted = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
    if quoted.sub("", inner).strip(" ,\n\t"):
        raise record.wrong(f"{name!r} is no list of texts: {shown(value)}")
    found = [match[1] if match[1] is not None else match[2] for match in quoted.finditer(inner)]
    return [text for text in (re.sub(r"\\(.)", r"\1", one).strip() for one in found) if text]


def _of_pair(record: Record) -> Clip:
    return Clip(record, name_of(record.text("video")), tuple(record.texts("caption")))


def _of_tarsier(record: Record) -> Clip:
    said = Record(_mapping(record, "text"), f"{record.where}, text")
    return Clip(
        record,
        _tarsier_name(record, record.value("video_file", "")),
        tuple(said.texts("response", [])),
        _MARK.sub("", said.text("prompt", "")).strip(),
        _span(record, record),
        extra=record.value("extra_info", {}),
        groups=_subtask(record),
    )


def _of_tarsier2(record: Record) -> Clip:
    asked: list[str] = []
    answers: list[str] = []
    file: Any = ""
    span = None
    for turn in record.records("messages"):
        for part in turn.records("content"):
            kind = part.text("type")
            if kind == "video":
                shot = Record(_mapping(part, "video"), part.where)
                file, span = shot.value("video_file", ""), _span(shot, record)
            elif kind == "text" and turn.text("role") == "user":
                asked.append(part.text("text", ""))
            elif kind == "text":
                answers += part.texts("reference", [])
    return Clip(
        record,
        _tarsier_name(record, file),
        tuple(answers),
        _MARK.sub("", "\n".join(filter(None, asked))).strip(),
        span,
        extra=record.value("extra_info", {}),
        groups=_subtask(record),
    )


def _tarsier_name(record: Record, file: Any) -> str:
    """The vid where it stands; else the file's name, unless that is still the placeholder."""
    if "vid" in record:
        return name_of(record.text("vid"))
    if isinstance(file, str) and file and not file.startswith("<"):
        return name_of(file)
    return record.text("idx")


def _subtask(record: Record) -> dict[str, str]:
    """The part of "DREAM/youtube" after the stroke."""
    _, _, part = record.text("dataset", "").partition("/")
    return {"task": part} if part else {}


def _span(source: Record, record: Record) -> Span | None:
    start, end = source.number("start_time", 0.0), source.number("end_time", 0.0)
    if end <= 0:
        if start > 0:
            raise record.wrong(f"a start_time of {start:g} needs an end_time")
        return None
    if end < start:
        raise record.wrong(f"it ends at {end:g} s, before its start at {start:g} s")
    return Span(start, end)


def _mapping(record: Record, name: str) -> Mapping[str, Any]:
    value = record.value(name)
    if not isinstance(value, Mapping):
        raise record.wrong(f"{name!r} is an object, got {shown(value)}")
    return value

r"""Questions as items: what the readers of question benchmarks share, and Tarsier's form of them.

Tarsier's authors give every question set in one of two forms of JSON lines, which are read beside the official files:

    {"idx": 7, "dataset": "MVBench/Action Count", "vid": "ab12", "video_file": "<placeholder>",
     "text": {"prompt": "USER: <video> How often? \n(A) once\n(B) twice\nASSISTANT: Answer: (", "response": "B"}}
    {"idx": 7, "dataset": "TVBench", "task": "Action Count", "vid": "ab12", "messages": [
     {"role": "user", "content": [{"type": "video", "video": {"video_file": "a/ab12.mp4"}},
                                  {"type": "text", "text": "How often? \n(A) once\n(B) twice"}]},
     {"role": "assistant", "content": [{"type": "text", "text": "Answer: (", "reference": "B"}]}]}

An item's id is then "dataset_idx", as in Tarsier's own files of predictions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from longshot.benchmarks._reading import Record, check_names, nearest, read_records, shown
from longshot.benchmarks._texts import Clip, clip_of
from longshot.items import Item
from longshot.timeline import Span

CLIP_SECONDS = 2
BEST_RATING = 4
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
READABLE_ONLY = "the first character of a reply counts, and replies that it cannot tell are left out (Tarsier)"
JUDGED_ONLY = "the mean over answers that the judge could judge (the video-chat protocol)"
_OPTION = re.compile(r"\s*\(([A-Z])\)\s*(.*)")
_LETTER = re.compile(r"\s*\(?([A-Za-z])(?:[).:]|\s|$)")
_QUESTION_WORDS = ("what", "who", "how", "when", "where", "which", "why", "is", "are", "does", "do")

Made = tuple[Record, Item]


def read_questions(path: Path, known: Sequence[str]) -> tuple[list[Record], bool]:
    """The records of a question file, and whether they are in Tarsier's form. known: the official fields."""
    records = read_records(path)
    if is_tarsier(records[0]):
        return records, True
    check_questions(records, known)
    return records, False


def check_questions(records: Sequence[Record], known: Sequence[str]) -> None:
    """Raise FormatError for a field that is nearly one of `known`, where that is absent."""
    for record in records if known else ():
        check_names(record, known)


def choice(
    record: Record,
    *,
    id: str,
    video: str,
    ask: str,
    options: Sequence[str],
    right: int,
    span: Span | None = None,
    groups: Mapping[str, str] | None = None,
) -> Made:
    """An item of multiple choice. Raises FormatError for options that cannot be chosen from."""
    _check_count(record, options)
    if not 0 <= right < len(options):
        raise record.wrong(f"the right option is one of 0 to {len(options) - 1}, got {right}")
    return record, Item(id, video, ask, {"option": right}, span, tuple(options), dict(groups or {}))


def open_question(
    record: Record,
    *,
    id: str,
    video: str,
    ask: str,
    answers: Sequence[str],
    span: Span | None = None,
    groups: Mapping[str, str] | None = None,
) -> Made:
    """An item that is answered in the model's own words; `groups` get the question's first word."""
    if not answers:
        raise record.wrong("a question has at least one right answer, got none")
    first = re.sub(r"\W", "", ask.split()[0].casefold()) if ask else ""
    told = {"question": first if first in _QUESTION_WORDS else "other", **(groups or {})}
    return record, Item(id, video, ask, {"answers": list(answers)}, span, (), told)


def options_of(record: Record, name: str) -> list[str]:
    """The options that a field lists, in order; whole numbers are taken for the text of them. None may be empty."""
    value = record.value(name)
    if not isinstance(value, list) or not all(isinstance(one, (str, int)) and str(one).strip() for one in value):
        raise record.wrong(f"{name!r} is a list of texts, none of them empty, got {shown(value)}")
    return [str(one).strip() for one in value]


def plain_options(options: Sequence[str]) -> list[str]:
    """Options without the letters that stand before them: ["A. red", "B. blue"] are red and blue.

    Only where every option has its own letter, so that "A. Smith" among plain names stays.
    """
    found = [
        re.fullmatch(rf"\(?{letter}(?:[.:)]\s*|\s+)(.*)", option, re.DOTALL)
        for letter, option in zip(LETTERS, options, strict=False)
    ]
    if len(found) != len(options) or not all(found):
        return list(options)
    return [match[1].strip() for match in found if match]


def lettered(record: Record, name: str, options: Sequence[str]) -> int:
    """The index of the option whose letter a field holds: "C", "(C)", "C. blue"."""
    _check_count(record, options)
    text = record.text(name)
    match = _LETTER.match(text)
    index = LETTERS.find(match[1].upper()) if match else -1
    if not 0 <= index < len(options):
        raise record.wrong(f"{name!r} is a letter from A to {LETTERS[len(options) - 1]}, got {shown(text)}")
    return index


def worded(record: Record, name: str, options: Sequence[str]) -> int:
    """The index of the option whose words a field holds, the first one where two are alike."""
    _check_count(record, options)
    text = record.text(name)
    for same in (str, _plain):
        wanted = [same(option) for option in options]
        if same(text) in wanted:
            return wanted.index(same(text))
    close = nearest(text, options)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise record.wrong(f"{name!r} is none of the options: {shown(text)}{hint}")


def span_of(record: Record, start: str = "start", end: str = "end") -> Span | None:
    """The stretch that two fields name, in seconds; None where both are absent or empty."""
    given = [name for name in (start, end) if record.value(name, "") != ""]
    if not given:
        return None
    if len(given) == 1:
        raise record.wrong(f"a stretch needs both {start!r} and {end!r}, got {given[0]!r} alone")
    first, last = record.number(start), record.number(end)
    if not 0 <= first < last:
        raise record.wrong(f"a stretch is 0 <= {start} < {end} in seconds, got {first:g} to {last:g}")
    return Span(first, last)


def windows_of(record: Record, name: str, *, turn: bool = False) -> list[list[float]]:
    """A list of [start, end] in seconds. turn: put a reversed one right, where official files have some."""
    value = record.value(name)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise record.wrong(f"{name!r} is a list of [start, end], got {shown(value)}")
    return [window(record, name, one, turn=turn) for one in value]


def window(record: Record, name: str, value: Any, *, turn: bool = False) -> list[float]:
    """One [start, end] in seconds. Raises FormatError for what is none, or is reversed."""
    pair = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    if len(pair) != 2 or not all(_is_number(one) for one in pair):
        raise record.wrong(f"{name!r} holds pairs [start, end] of seconds, got {shown(value)}")
    start, end = (float(one) for one in (sorted(pair) if turn else pair))
    if not 0 <= start <= end < float("inf"):
        raise record.wrong(f"{name!r} holds windows of 0 <= start <= end, got {shown(value)}")
    return [start, end]


def rated(record: Record, clips_name: str, ratings_name: str, duration: float) -> dict[str, Any]:
    """The rated clips of QVHighlights, two seconds each, with three ratings of 0 to 4 for each of them."""
    clips, ratings = record.value(clips_name), record.value(ratings_name)
    count = int(duration / CLIP_SECONDS)
    if not isinstance(clips, list) or not all(type(clip) is int and 0 <= clip < count for clip in clips):
        raise record.wrong(f"{clips_name!r} are whole numbers from 0 to {count - 1}, got {shown(clips)}")
    if len(set(clips)) != len(clips):
        raise record.wrong(f"{clips_name!r} names a clip twice: {shown(clips)}")
    if not isinstance(ratings, list) or len(ratings) != len(clips):
        raise record.wrong(f"{ratings_name!r} has three ratings for each of {len(clips)} clips, got {shown(ratings)}")
    for three in ratings:
        right = isinstance(three, list) and len(three) == 3 and all(type(one) is int for one in three)
        if not right or not all(0 <= one <= BEST_RATING for one in three):
            raise record.wrong(f"{ratings_name!r} holds three ratings of 0 to {BEST_RATING}, got {shown(three)}")
    return {"clips": clips, "ratings": ratings}


# --- Tarsier's form


def is_tarsier(record: Record) -> bool:
    """Whether a record is one of Tarsier's, in either form."""
    return "messages" in record or isinstance(record.value("text", None), Mapping)


def tarsier_choice(record: Record, groups: Mapping[str, str] | None = None) -> Made:
    """Tarsier's form of a multiple choice: the options stand in the text, "(A) …" on a line each."""
    clip = clip_of(record)
    ask, options = split_options(_asked(clip))
    answer = Record({"response": _right(clip)[0]}, record.where)
    return choice(
        record,
        id=_id(record),
        video=clip.video,
        ask=ask,
        options=options,
        right=lettered(answer, "response", options),
        span=clip.span,
        groups={**_task(clip), **(groups or {})},
    )


def tarsier_answer(record: Record) -> Made:
    """Tarsier's form of an open question: what comes after the instruction to answer it, if there is one."""
    clip = clip_of(record)
    return open_question(
        record,
        id=_id(record),
        video=clip.video,
        ask=_asked(clip).rpartition("following question:")[2].strip(),
        answers=_right(clip),
        span=clip.span,
        groups=_task(clip),
    )


def split_options(text: str) -> tuple[str, list[str]]:
    r"""The question and the options of a text that holds both; what follows the options is left out.

    "Question: Who?\nOptions:\n(A) he\n(B) she\nAnswer with a letter." gives "Who?" and ["he", "she"].
    """
    question: list[str] = []
    options: list[str] = []
    for line in text.strip().splitlines():
        match = _OPTION.fullmatch(line)
        if match and len(options) < len(LETTERS) and match[1] == LETTERS[len(options)]:
            options.append(match[2].strip())
        elif not options:
            question.append(line)
    ask = re.sub(r"^.*?\bQuestion:\s*", "", "\n".join(question).strip(), count=1, flags=re.DOTALL)
    return re.sub(r"\s*\bOptions:\s*$", "", ask).strip(), options


def _asked(clip: Clip) -> str:
    """What is asked, without the turns of a chat around it."""
    return clip.ask.partition("ASSISTANT:")[0].strip().removeprefix("USER:").strip()


def _right(clip: Clip) -> list[str]:
    if not clip.texts:
        raise clip.record.wrong("no right answer: no 'response', and no 'reference' of an assistant")
    return list(clip.texts)


def _id(record: Record) -> str:
    return f"{record.text('dataset')}_{record.text('idx')}"


def _task(clip: Clip) -> dict[str, str]:
    task = clip.record.text("task", "")
    return {**clip.groups, **({"task": task} if task else {})}


def _check_count(record: Record, options: Sequence[str]) -> None:
    if not 2 <= len(options) <= len(LETTERS):
        raise record.wrong(f"a choice has 2 to {len(LETTERS)} options, got {len(options)}")


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value

"""How results look: tracks as outlines for people and as JSON for programs, and the progress line.

Everything that draws is a function from values to something rich can print, so it can be tested without a terminal.
"""

from __future__ import annotations

import re
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from longshot.library import VideoRecord
from longshot.registry import Family
from longshot.timeline import Caption, Hit, Track, clock

WIDEST = 110
"""Columns: longer lines of text are hard to read, however wide the window is."""

_TIME = Style(color="cyan")
_TITLE = Style(bold=True)
_QUIET = Style(dim=True)
_SAID = Style(italic=True)
_WRITTEN = Style(color="yellow")
_BAD = Style(color="red")
_FOUND = Style(bold=True, color="green")
_LEAVES = ("speech", "screen")
_LONGEST_QUOTE = 240
_ENOUGH = 24  # letters that show that a line is quoted, which may be quoted in part
_PATIENCE = 30.0  # seconds between two lines of progress where no line can be redrawn


def console_for(file: TextIO) -> Console:
    """A console on a stream: colours and links only on a terminal, no more than `WIDEST` columns."""
    console = Console(file=file, highlight=False, emoji=False, markup=False)
    console.width = min(console.width, WIDEST) if console.is_terminal else _stated_width(console)
    return console


def _stated_width(console: Console) -> int:
    # rich takes 80 where nothing is stated; COLUMNS is how a caller states something else.
    return min(console.width, WIDEST) if "COLUMNS" in console._environ else WIDEST


def plain(text: str) -> str:
    """One line without control characters: names and subtitles may hold any, and a terminal obeys them."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", " ".join(text.split()))


# --- tracks


def show(
    tracks: Sequence[Track], *, record: VideoRecord | None = None, path: str = "", damage: str = ""
) -> RenderableType:
    """The tracks of one video as a person reads them: an outline, a transcript, or a list of spans.

    path: the file, for times that open it. damage: what of it could not be read.
    """
    link = _address(path)
    told = [track for track in tracks if track.level not in (*_LEAVES, "shot")]
    parts: list[RenderableType] = [_heading(tracks, record, path)]
    if damage:
        parts.append(Text.assemble(("damaged: ", _BAD), plain(damage)))
    if told:
        parts.append(outline(tracks, link=link))
    else:
        parts += [listing(track, link=link) for track in tracks]
    notes = dict.fromkeys(plain(track.source.note) for track in tracks if track.source.note)
    parts += [Text(f"\n{note}" if number == 0 else note, _QUIET) for number, note in enumerate(notes)]
    return Group(*parts)


def outline(tracks: Sequence[Track], *, link: str = "") -> RenderableType:
    """Levels inside levels: what the whole video is, its segments with their times, the clips beneath them.

    What is said and what is written on screen stand under the finest caption that holds them, unless the captions
    quote it already.
    """
    plan = _Plan.of(tracks, link)
    forest = []
    for caption in plan.levels[0]:
        tree = Tree(plan.label(caption, 0), guide_style=_QUIET)
        plan.grow(tree, caption, 0)
        forest.append(tree)
    return Group(*forest)


def listing(track: Track, *, link: str = "") -> RenderableType:
    """One line for each caption: its time, for spans also its end and length, and its words."""
    table = _grid(3 if track.level not in _LEAVES else 2)
    for caption in track:
        words = Text(plain(caption.text), _SAID if track.level == "speech" else "")
        if track.level in _LEAVES:
            table.add_row(_time(caption, link), words)
        else:
            table.add_row(
                _time(caption, link, end=True, exact=True), Text(f"{caption.span.length:.2f} s", _QUIET), words
            )
    return table if len(track) else Text(f"no {track.level}", _QUIET)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an outline is drawn from. known: captions by id, with the depth of their level. quoted: the letters of
    all that the finest captions say.
    """

    levels: tuple[Track, ...]
    leaves: Mapping[str, Track]
    known: Mapping[str, tuple[int, Caption]]
    quoted: str
    link: str

    @classmethod
    def of(cls, tracks: Sequence[Track], link: str) -> _Plan:
        levels = tuple(track for track in tracks if track.level not in (*_LEAVES, "shot"))
        if levels and len(levels[-1]) == 1:  # the coarser levels would only say the one line again
            levels = levels[-1:]
        leaves = {track.level: track for track in tracks if track.level in _LEAVES}
        known = {
            track.id_of(i): (depth, caption) for depth, track in enumerate(levels) for i, caption in enumerate(track)
        }
        return cls(levels, leaves, known, _letters(" ".join(caption.text for caption in levels[-1])), link)

    def grow(self, tree: Tree, caption: Caption, depth: int) -> None:
        for below, child in self.children(caption, depth):
            self.grow(tree.add(self.label(child, below)), child, below)

    def children(self, caption: Caption, depth: int) -> list[tuple[int, Caption]]:
        """The captions under one, with the depth of their level; by time where it does not name them."""
        named = [self.known[id] for id in caption.details.get("children", ()) if id in self.known]
        if named or depth + 1 >= len(self.levels):
            return named
        return [(depth + 1, child) for child in self.levels[depth + 1].within(caption.span)]

    def label(self, caption: Caption, depth: int) -> RenderableType:
        """The words of a caption, with its time and, on the finest level, what is said and written in it."""
        finest = depth + 1 == len(self.levels)
        title = Text(plain(str(caption.details.get("title", ""))), _TITLE)
        words = [Text(plain(caption.text)), *(self.spoken_and_written(caption) if finest else ())]
        if depth == 0 and self.levels[0].level == "video":  # its time is the heading's, and so is its name
            below = 0 if finest else 1
            return Padding(Group(*words), (0, 0, below, 0))
        if finest:
            table = _grid(2)
            table.add_row(_time(caption, self.link), Group(*([title] if title else []), *words))
            return table
        alone = len(self.levels[depth]) == 1  # it would say again what stands above it
        return Group(Text.assemble(_time(caption, self.link, end=True), "  ", title), *([] if alone else words))

    def spoken_and_written(self, caption: Caption) -> Iterator[Text]:
        """What is said and written in a caption's time and quoted nowhere on its level."""
        said = plain(" ".join(line.text for line in self.unquoted("speech", caption)))
        if said:
            yield Text(f"“{textwrap.shorten(said, _LONGEST_QUOTE, placeholder=' …')}”", _SAID)
        for text in dict.fromkeys(plain(line.text) for line in self.unquoted("screen", caption)):
            yield Text.assemble(("on screen: ", _QUIET), (text, _WRITTEN))

    def unquoted(self, level: str, caption: Caption) -> list[Caption]:
        track = self.leaves.get(level)
        lines = track.within(caption.span) if track else ()
        return [line for line in lines if _letters(line.text)[:_ENOUGH] not in self.quoted]


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _heading(tracks: Sequence[Track], record: VideoRecord | None, path: str) -> Text:
    name = (record.name if record else "") or Path(path).name or next((track.name for track in tracks), "")
    return Text.assemble((plain(name), _TITLE), ("  " + " · ".join(_facts(tracks, record)), _QUIET))


def _facts(tracks: Sequence[Track], record: VideoRecord | None) -> Iterator[str]:
    duration = record.duration if record else next((track.duration for track in tracks if track.duration), None)
    if duration:
        yield clock(duration)
    if record and record.size:
        yield f"{record.size[0]}×{record.size[1]}"
    if record and record.fps and record.size:
        yield f"{record.fps:.4g} fps"
    levels = [track for track in tracks if track.level != "video"]
    yield from (counted(len(track), track.level) for track in levels)


def counted(number: int, level: str) -> str:
    """How many of a level there are, in words: 1 clip, 3 clips, 2 lines of speech."""
    noun = {"speech": "line of speech", "screen": "text on screen"}.get(level, level)
    if number == 1:
        return f"1 {noun}"
    head, _, rest = noun.partition(" ")
    return f"{number} {head}s {rest}".rstrip()


def _grid(columns: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(columns - 1):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _time(caption: Caption, link: str, *, end: bool = False, exact: bool = False) -> Text:
    """The caption's start, and its end where asked for; a click on either opens the file there."""
    spell = _hundredths if exact else clock
    text = Text(spell(caption.span.start), _at(link, caption.span.start))
    if end:
        text.append("–", _QUIET)
        text.append(spell(caption.span.end), _at(link, caption.span.end))
    return text


def _hundredths(second: float) -> str:
    """A time where frames matter: 63.486 gives 1:03.48."""
    whole = int(max(second, 0.0) * 100 + 1e-6)
    return f"{clock(whole // 100)}.{whole % 100:02d}"


def _at(link: str, second: float) -> Style:
    if not link:
        return _TIME
    return _TIME + Style(link=f"{link}#t={f'{second:.3f}'.rstrip('0').rstrip('.')}")


def _address(path: str) -> str:
    return Path(path).resolve().as_uri() if path else ""


# --- moments


def moments(hits: Sequence[Hit], *, paths: Mapping[str, str], names: Mapping[str, str]) -> RenderableType:
    """Moments, the best first: where, how sure, and the captions behind each with the words that matched.

    paths, names: of each video by id; a path makes times that open the file. Names are left out when there is none.
    """
    blocks: list[RenderableType] = []
    for place, hit in enumerate(hits, start=1):
        link = _address(paths.get(hit.video, ""))
        head = Text.assemble((f"{place:>2}  ", _QUIET))
        head.append(clock(hit.span.start), _at(link, hit.span.start))
        head.append("–", _QUIET)
        head.append(clock(hit.span.end), _at(link, hit.span.end))
        if names.get(hit.video):
            head.append("  ").append(plain(names[hit.video]), _TITLE)
        head.append(f"  {hit.score:.2f}", _QUIET)
        table = _grid(2)
        for caption in hit.evidence:
            table.add_row(Text(str(caption.details.get("level", "")), _QUIET), _marked(caption))
        blocks += [*([Text()] if blocks else []), head, Padding(table, (0, 0, 0, 4))]
    return Group(*blocks)


def _marked(caption: Caption) -> Text:
    """The words of a caption, those that matched in bold; long ones are cut around the first of them."""
    ranges = [(int(a), int(b)) for a, b in caption.details.get("matched", ())]
    first = ranges[0][0] if ranges else 0
    low = max(0, first - _LONGEST_QUOTE // 3) if len(caption.text) > _LONGEST_QUOTE else 0
    high = low + _LONGEST_QUOTE
    text = Text("… " if low else "")
    last = low
    for a, b in [*((max(a, low), min(b, high)) for a, b in ranges if b > low and a < high), (high, high)]:
        text.append(_one_line(caption.text[last:a]))
        text.append(_one_line(caption.text[a:b]), _FOUND)
        last = max(last, b)
    return text.append(" …" if high < len(caption.text) else "")


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", re.sub(r"\s+", " ", text))


# --- tables of facts


def facts(rows: Iterable[tuple[str, str]], *, title: str = "") -> RenderableType:
    """Names and values, one pair a line; values that are empty are left out."""
    table = _grid(2)
    for name, value in rows:
        if value:
            table.add_row(Text(name, _QUIET), Text(value))
    return Group(Text(plain(title), _TITLE), table) if title else table


def parts(rows: Iterable[tuple[str, str, str, str]]) -> RenderableType:
    """What there is to choose from: shelf, name, summary, and what to install when it cannot be used yet."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    last = ""
    for shelf, name, summary, install in rows:
        if shelf != last:
            if last:
                table.add_row()
            table.add_row(Text(shelf, _TITLE))
            last = shelf
        words = Text(plain(summary))
        if install:
            words.append(f"\n{plain(install)}", _WRITTEN)
        table.add_row(Text(f"  {name}", _TIME if not install else _QUIET), words)
    return table


def families(rows: Iterable[Family]) -> RenderableType:
    """Kinds of checkpoints by shelf: an example, what its vectors and frames are, its licence, how it was checked."""
    found = list(rows)
    blocks: list[RenderableType] = []
    for shelf in dict.fromkeys(family.shelf for family in found):
        table = Table.grid(padding=(0, 2, 0, 0))
        for width in (20, 30, 16, 10):
            table.add_column(overflow="fold", max_width=width)
        table.add_column(overflow="fold")
        head = ("family", "for example", "frames", "licence", "checked with")
        table.add_row(*(Text(word, _QUIET) for word in head))
        for family in (one for one in found if one.shelf == shelf):
            size = f", {family.dimension} numbers" if family.dimension else ""
            table.add_row(
                Text(family.name, _TIME),
                Text(f"{family.id}{size}"),
                Text(family.frames),
                Text(family.licence),
                Text("nothing yet" if family.checked == "not" else family.checked),
            )
        blocks += [Text(f"\n{shelf}: families of checkpoints", _TITLE), table]
    return Group(*blocks)


def checks(rows: Iterable[tuple[str, bool, str, str]]) -> RenderableType:
    """What was tried: its name, whether it works, what was seen, what to do when it does not."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, works, detail, advice in rows:
        words = Text(plain(detail))
        if advice:
            words.append(f"\n{plain(advice)}", _WRITTEN)
        mark = Text("works", Style(color="green")) if works else Text("missing", _BAD)
        table.add_row(mark, Text(name), words)
    return table


# --- measuring


def scores(said: Mapping[str, Any]) -> RenderableType:
    """What scores.json says: strict and legacy scores of all items with their intervals, then those of each group."""
    states = ", ".join(f"{count} {state}" for state, count in said["states"].items() if count) or "nothing"
    blocks: list[RenderableType] = [
        Text.assemble((plain(str(said["benchmark"])), _TITLE), (f"  {said['n']} items: {states}", _QUIET))
    ]
    whole = [one for one in said["scores"] if not one["group"]]
    if not whole:
        return Group(*blocks, Text("no scores", _QUIET))
    blocks.append(_numbers(whole))
    for key in dict.fromkeys(key for one in said["scores"] for key in one["group"]):
        parts = [one for one in said["scores"] if key in one["group"] and not one["legacy"]]
        if parts:
            blocks += [Text(), _by_group(parts, key)]
    if said.get("legacy"):
        blocks.append(Text(f"\nlegacy: {plain(str(said['legacy']))}", _QUIET))
    return Group(*blocks)


def compared(rows: Sequence[Any], name_a: str, name_b: str) -> RenderableType:
    """Differences of two runs (`evaluating.compare.Difference`); those that are hardly chance are bold."""
    if not rows:
        return Text("nothing that can be compared item by item", _QUIET)
    table = _ruled("score", "first", "second", "difference", "95 %", "p", "n")
    for row in rows:
        sure = row.p is not None and row.p < 0.05
        said = _number(row.difference, row.unit, sign=True)
        interval = _interval(row.low, row.high, row.unit, sign=True)
        style = _TITLE if sure else Style()
        p = "–" if row.p is None else f"{row.p:.3f}" if row.p >= 0.001 else "<0.001"
        a, b = (_number(value, row.unit) for value in (row.a, row.b))
        table.add_row(Text(plain(row.name)), a, b, Text(said, style), Text(interval, _QUIET), p, str(row.n))
    named = [
        Text.assemble((f"{word}  ", _QUIET), plain(name)) for word, name in (("first ", name_a), ("second", name_b))
    ]
    notes = [Text(plain(note), _QUIET) for note in dict.fromkeys(row.note for row in rows) if note]
    return Group(*named, table, *notes)


def _numbers(found: Sequence[Mapping[str, Any]]) -> Table:
    """One line for each score: strict, and beside it legacy."""
    table = _ruled("", "", "95 %", "n", "legacy", "n", "", words=1)
    of_name: dict[str, dict[bool, Mapping[str, Any]]] = {}
    for one in found:
        of_name.setdefault(one["name"], {})[bool(one["legacy"])] = one
    for name, both in of_name.items():
        cells: list[Text] = []
        for legacy in (False, True):
            there = both.get(legacy)
            value = Text(_number(there["value"], there["unit"]) if there else "", _QUIET if legacy else _TITLE)
            interval = (
                [] if legacy else [Text(_interval(there["low"], there["high"], there["unit"]) if there else "", _QUIET)]
            )
            cells += [value, *interval, Text(str(there["n"]) if there else "", _QUIET)]
        note = (both.get(False) or both[True])["note"]
        table.add_row(Text(plain(name)), *cells, Text(plain(note), _QUIET))
    return table


def _by_group(found: Sequence[Mapping[str, Any]], key: str) -> Table:
    """One line for each value of a group, one column for each score."""
    names = list(dict.fromkeys(one["name"] for one in found))[:6]
    table = _ruled(plain(key), *map(plain, names), "n")
    cells = {(one["group"][key], one["name"]): one for one in found}
    for value in dict.fromkeys(one["group"][key] for one in found):
        there = [cells.get((value, name)) for name in names]
        numbers = [_number(one["value"], one["unit"]) if one else "" for one in there]
        table.add_row(Text(plain(str(value))), *numbers, str(max(one["n"] for one in there if one)))
    return table


def _ruled(*heads: str, words: int = 0) -> Table:
    """A table of numbers, so to the right, but for the first column and the last ones, `words` of them."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for place, _ in enumerate(heads):
        told = place == 0 or place >= len(heads) - words
        table.add_column(justify="left" if told else "right", overflow="fold")
    if any(heads):
        table.add_row(*(Text(head, _QUIET) for head in heads))
    return table


def _number(value: float | None, unit: str, *, sign: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:{'+' if sign else ''}.{2 if unit == '%' else 3}f}"


def _interval(low: float | None, high: float | None, unit: str, *, sign: bool = False) -> str:
    return "" if low is None or high is None else f"{_number(low, unit, sign=sign)} … {_number(high, unit, sign=sign)}"


# --- JSON


def video_object(record: VideoRecord) -> dict[str, Any]:
    """What is known about a video, as plain JSON."""
    return {
        "id": record.id,
        "name": record.name,
        "duration": None if record.duration is None else round(record.duration, 6),
        "size": list(record.size) if record.size else None,
        "fps": record.fps,
        "codec": record.codec,
    }


def track_object(track: Track) -> dict[str, Any]:
    """A track as plain JSON: the header of its file, with the captions in it."""
    from longshot.formats._header import caption_object, header_of

    return {**header_of(track), "captions": [caption_object(track, index) for index in range(len(track))]}


# --- progress


class Meter:
    """How far the work is and how long it still takes, on stderr and gone when it is over.

    Where the line cannot be redrawn (a log file), a plain line every half minute.
    """

    def __init__(self, title: str, *, quiet: bool = False, file: TextIO | None = None) -> None:
        self._title = title
        self._console = console_for(file or sys.stderr)
        self._live = self._bar() if self._console.is_terminal and not quiet else None
        self._task = self._live.add_task(title, total=1.0) if self._live else None
        self._quiet = quiet
        self._started = self._spoke = time.monotonic()
        self._first: float | None = None

    def __enter__(self) -> Meter:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, done: float, total: float, /) -> None:
        """Take note of how far the work is."""
        if self._live and self._task is not None:
            words = f"{self._title}: {int(done)} of {int(total)} videos" if total > 1 else self._title
            self._live.update(self._task, completed=done, total=total, description=words)
        elif not self._quiet:
            self._say(done, total)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the line away while something else is printed."""
        if not self._live:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def _bar(self) -> Any:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
        left = (TimeRemainingColumn(), TextColumn("left", style=_QUIET))
        return Progress(*columns, *left, console=self._console, transient=True, refresh_per_second=4)

    def _say(self, done: float, total: float) -> None:
        now = time.monotonic()
        if self._first is None:  # what an earlier run finished took no time
            self._first = done
        if now - self._spoke < _PATIENCE or done >= total:
            return
        self._spoke = now
        gained = done - self._first
        left = f", about {clock((total - done) * (now - self._started) / gained)} left" if gained > 0 else ""
        videos = f", {int(done)} of {int(total)} videos" if total > 1 else ""
        self._console.print(f"{self._title}: {100 * done / total:.0f} %{videos}{left}")

"""A run as one HTML page that needs nothing else: scores with intervals, plots, and every item with its video.

    text = report(benchmark, Run("runs/a"), other=Run("runs/b"), places=places, page=Path("runs/a/report.html"))

The page opens from disk and asks no network for anything. What models and annotations said stands in it as data, never
as markup, and its content policy runs the one script that is ours. Items are drawn as they are scrolled to.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from longshot.evaluating.compare import Difference, compare
from longshot.evaluating.exchange import scores_of
from longshot.evaluating.runs import Run
from longshot.evaluating.score import measure_of
from longshot.items import Benchmark, Row
from longshot.journal import State
from longshot.metrics.answers import read_choice

SHOWN = 8  # lines of a table, the others are folded up
CHARTED = 3  # scores of a group that are drawn, the first ones
_SIDES = ("a", "b")
_LABEL, _WIDTH, _ROW, _TOP = 118, 400, 21, 8


def report(
    benchmark: Benchmark,
    run: Run,
    *,
    other: Run | None = None,
    places: Mapping[str, Path | None],
    page: Path | None = None,
) -> str:
    """The page, as text.

    other: a second run of the same benchmark, side by side; items in which they differ come first. places: the file of
    each video. page: where the page will lie, so that it finds the videos by relative paths; absolute ones without it.

    Raises UsageError when the runs are not of the same benchmark, FormatError for a run that cannot be read.
    """
    runs = [run] if other is None else [run, other]
    rows = [one.rows(benchmark) for one in runs]
    scores = [scores_of(benchmark, one, found) for one, found in zip(runs, rows, strict=True)]
    differences = compare(benchmark, run, other, seed=int(scores[0].get("seed", 0))) if other else []
    data = _data(benchmark, rows, places, page)
    body = "\n".join(
        [
            _head(benchmark, runs, scores),
            _score_table(scores),
            _difference_table(differences),
            _charts(scores),
            _TOOLS,
        ]
    )
    return _page(f"{benchmark.name}: {_model(runs[0])}", body, data)


# --- the page


_TOOLS = """<h2 id="items">Items</h2>
<div id="tools" role="search"></div>
<p class="quiet" id="count" aria-live="polite"></p>
<main id="list"></main>
<div id="more"></div>
<svg id="drawing" hidden></svg>
<noscript><p>The items are drawn by the script of this page, which your browser does not run.</p></noscript>"""


def _page(title: str, body: str, data: Mapping[str, Any]) -> str:
    style, script = _own_file("report.css"), _own_file("report.js")
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "media-src 'self' file:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        f'<script type="application/json" id="data">{embedded(data)}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def embedded(data: Any) -> str:
    """JSON that can stand inside a script element: no text in it can end the element or begin a comment.

    Numbers that are not finite become null, and control characters stay escaped.
    """
    said = json.dumps(_finite(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for mark in "<>&\u2028\u2029":
        said = said.replace(mark, f"\\u{ord(mark):04x}")
    return said


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _own_file(name: str) -> str:
    return "\n" + (files("longshot.evaluating") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(said: object) -> str:
    """Anything as the text of an element or of an attribute; control characters are no HTML."""
    shown = "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in str(said))
    return escape(shown, quote=True)


# --- scores


def _model(run: Run) -> str:
    model = run.manifest()["model"]
    revision = f"@{str(model['revision'])[:12]}" if model["revision"] else ""
    return f"{model['name']}{revision}"


def _head(benchmark: Benchmark, runs: Sequence[Run], scores: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for run, said, side in zip(runs, scores, _SIDES, strict=False):
        manifest = run.manifest()
        settings = {**manifest["model"]["settings"], **manifest["predict"]}
        told = ", ".join(f"{key} {_brief(value)}" for key, value in settings.items() if value not in ("", None))
        states = ", ".join(f"{count} {state}" for state, count in said["states"].items() if count) or "nothing yet"
        key = f'<span class="key {side}"></span>' if len(runs) > 1 else ""
        lines.append(
            f'<p class="facts">{key}<b>{_text(_model(run))}</b> · {_text(states)}'
            f"{' · ' + _text(told) if told else ''} · {_text(run.folder.name)}</p>"
        )
    return (
        f"<h1>{_text(benchmark.name)}</h1>\n"
        f'<p class="facts">{_text(benchmark.kind)} · {scores[0]["n"]} items · annotation '
        f"{_text(benchmark.fingerprint)}</p>\n" + "\n".join(lines)
    )


def _brief(value: Any) -> str:
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return said if len(said) <= 60 else said[:57] + "…"


def _score_table(scores: Sequence[Mapping[str, Any]]) -> str:
    """Strict and legacy scores of all items, a line for each name: the first lines, and the others folded up."""
    found: dict[str, list[dict[bool, Mapping[str, Any]]]] = {}
    for place, said in enumerate(scores):
        for one in said["scores"]:
            if not one["group"]:
                found.setdefault(one["name"], [{} for _ in scores])[place][bool(one["legacy"])] = one
    if not found:
        return '<h2>Scores</h2><p class="quiet">No scores yet.</p>'
    several = len(scores) > 1
    keys = [f'<span class="key {side}"></span>' if several else "" for side in _SIDES[: len(scores)]]
    legacy = any(True in one for ones in found.values() for one in ones)
    heads = "".join(f"<th>{key}value</th><th>95 %</th><th>n</th>" for key in keys)
    heads += "".join(f"<th>{key}legacy</th><th>n</th>" for key in keys) if legacy else ""
    lines = [_score_line(name, ones, legacy) for name, ones in found.items()]
    notes = [said["legacy"] for said in scores[:1] if said.get("legacy")]
    notes += [one[True]["note"] for ones in found.values() for one in ones if True in one and one[True]["note"]]
    told = "".join(f'<p class="facts">legacy: {_text(note)}</p>' for note in dict.fromkeys(notes))
    return (
        f"<h2>Scores</h2>\n{_folded(f'<th>score</th>{heads}<th></th>', lines)}"
        f'<p class="facts">What is not done counts as wrong, but for legacy scores.</p>{told}'
    )


def _score_line(name: str, ones: Sequence[Mapping[bool, Mapping[str, Any]]], legacy: bool) -> str:
    cells, note = [], ""
    for one in (ones_of.get(False) for ones_of in ones):
        if one is None:
            cells.append("<td></td><td></td><td></td>")
            continue
        note = note or one["note"]
        cells.append(f'<td class="value">{_number(one["value"], one["unit"])}</td><td>{_interval(one)}</td>')
        cells.append(f"<td>{one['n']}</td>")
    for one in (ones_of.get(True) for ones_of in ones) if legacy else ():
        said = "<td></td><td></td>"
        if one is not None:
            said = f'<td title="{_text(_interval(one))}">{_number(one["value"], one["unit"])}</td><td>{one["n"]}</td>'
        cells.append(said)
    return f'<tr><td>{_text(name)}</td>{"".join(cells)}<td class="words quiet">{_text(note)}</td></tr>'


def _folded(heads: str, lines: Sequence[str]) -> str:
    """A table of which the lines after the first ones are folded up."""
    head = f"<thead><tr>{heads}</tr></thead>"
    kept = len(lines) if len(lines) <= SHOWN + 2 else SHOWN
    first = f'<div class="wide"><table>{head}\n<tbody>{"".join(lines[:kept])}</tbody></table></div>\n'
    if kept == len(lines):
        return first
    rest = f'<div class="wide"><table>{head}\n<tbody>{"".join(lines[kept:])}</tbody></table></div>'
    return f"{first}<details><summary>{len(lines) - kept} more</summary>{rest}</details>\n"


def _difference_table(found: Sequence[Difference]) -> str:
    if not found:
        return ""
    lines = []
    for one in found:
        sure = one.p is not None and one.p < 0.05
        p = "–" if one.p is None else f"{one.p:.3f}" if one.p >= 0.001 else "&lt;0.001"
        interval = "" if one.low is None else f"{_number(one.low, one.unit, '+')} … {_number(one.high, one.unit, '+')}"
        lines.append(
            f"<tr><td>{_text(one.name)}</td><td>{_number(one.a, one.unit)}</td><td>{_number(one.b, one.unit)}</td>"
            f"<td{' class=value' if sure else ''}>{_number(one.difference, one.unit, '+')}</td><td>{interval}</td>"
            f"<td>{p}</td><td>{one.n}</td></tr>"
        )
    notes = "".join(f'<p class="facts">{_text(note)}</p>' for note in dict.fromkeys(d.note for d in found) if note)
    heads = (
        '<th>score</th><th><span class="key a"></span>first</th><th><span class="key b"></span>second</th>'
        "<th>difference</th><th>95 %</th><th>p</th><th>n</th>"
    )
    return f"<h2>Differences, item by item</h2>\n{_folded(heads, lines)}{notes}"


def _number(value: float | None, unit: str, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.{2 if unit == '%' else 3}f}"


def _interval(one: Mapping[str, Any]) -> str:
    if one["low"] is None or one["high"] is None:
        return ""
    return f"{_number(one['low'], one['unit'])} … {_number(one['high'], one['unit'])}"


# --- plots


def _charts(scores: Sequence[Mapping[str, Any]]) -> str:
    """One plot for each group and each of the first strict scores that it has; the values with their intervals."""
    blocks = []
    parts = [one for one in scores[0]["scores"] if one["group"] and not one["legacy"]]
    for key in dict.fromkeys(key for one in parts for key in one["group"]):
        of_key = [one for one in parts if list(one["group"]) == [key]]
        names = list(dict.fromkeys(one["name"] for one in of_key))[:CHARTED]
        if names:
            figures = "".join(_figure(scores, key, name) for name in names)
            blocks.append(f'<h3>by {_text(key)}</h3>\n<div class="charts">{figures}</div>')
    return "<h2>Groups</h2>\n" + "\n".join(blocks) if blocks else ""


def _figure(scores: Sequence[Mapping[str, Any]], key: str, name: str) -> str:
    found: dict[str, list[Mapping[str, Any] | None]] = {}
    whole: list[Mapping[str, Any] | None] = [None] * len(scores)
    for place, said in enumerate(scores):
        for one in said["scores"]:
            if one["legacy"] or one["name"] != name:
                continue
            if not one["group"]:
                whole[place] = one
            elif list(one["group"]) == [key]:
                found.setdefault(one["group"][key], [None] * len(scores))[place] = one
    return (
        f"<figure><figcaption><b>{_text(name)}</b></figcaption>"
        f"{_plot({'all': whole, **_in_order(found)}, f'{name} by {key}')}</figure>"
    )


def _in_order(found: Mapping[str, Any]) -> dict[str, Any]:
    """Names that all begin with a number by that number, others as they came."""
    leading = {name: re.match(r"[<>≥≤]?\s*(\d+)", name) for name in found}
    if not all(leading.values()):
        return dict(found)
    return dict(sorted(found.items(), key=lambda pair: int(match[1]) if (match := leading[pair[0]]) else 0))


def _plot(rows: Mapping[str, Sequence[Mapping[str, Any] | None]], title: str) -> str:
    """Dots with whiskers, one line of them for each name; several runs beside each other on the line."""
    there = [one for ones in rows.values() for one in ones if one and one["value"] is not None]
    if not there:
        return '<p class="quiet">nothing to draw</p>'
    lowest = min(0.0, *(one["value"] if one["low"] is None else one["low"] for one in there))
    highest = max(one["value"] if one["high"] is None else one["high"] for one in there)
    ticks = nice_ticks(lowest, highest)
    first, last = ticks[0], ticks[-1]
    right = _WIDTH - 46

    def x(value: float) -> str:
        return f"{_LABEL + (right - _LABEL) * (value - first) / (last - first):.1f}"

    height = _TOP + _ROW * len(rows) + 18
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_text(title)}">']
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{x(tick)}" x2="{x(tick)}" y1="{_TOP}" y2="{height - 18}"/>')
        parts.append(f'<text class="quiet" x="{x(tick)}" y="{height - 5}" text-anchor="middle">{tick:g}</text>')
    for number, (name, ones) in enumerate(rows.items()):
        middle = _TOP + _ROW * (number + 0.5)
        short = name if len(name) <= 17 else name[:16] + "…"
        parts.append(
            f'<text x="{_LABEL - 8}" y="{middle + 4:.1f}" text-anchor="end"><title>{_text(name)}</title>'
            f"{_text(short)}</text>"
        )
        parts += _dots(ones, middle, x)
    return "".join(parts) + "</svg>"


def _dots(ones: Sequence[Mapping[str, Any] | None], middle: float, x: Any) -> Iterator[str]:
    for place, one in enumerate(ones):
        if one is None or one["value"] is None:
            continue
        side, y = _SIDES[place], middle + (0 if len(ones) == 1 else (-4, 4)[place])
        said = f"{_number(one['value'], one['unit'])} ({_interval(one) or 'no interval'}), n = {one['n']}"
        yield f"<g><title>{_text(said)}</title>"
        if one["low"] is not None and one["high"] is not None:
            yield f'<line class="{side}" x1="{x(one["low"])}" x2="{x(one["high"])}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<circle class="{side}" cx="{x(one["value"])}" cy="{y:.1f}" r="3.5"/></g>'
        if len(ones) == 1:
            yield (
                f'<text x="{_WIDTH}" y="{y + 4:.1f}" text-anchor="end">'
                f"{_number(one['value'], one['unit']) if one['unit'] != '%' else format(one['value'], '.1f')}</text>"
            )


def nice_ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, two at least: 0 and 47 give 0, 10, …, 50."""
    width = max(high - low, 1e-9)
    rough = width / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 2.5, 5, 10, 20) if power * one >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


# --- items


def _data(
    benchmark: Benchmark, rows: Sequence[Sequence[Row]], places: Mapping[str, Path | None], page: Path | None
) -> dict[str, Any]:
    """What the script draws items from."""
    videos = list(dict.fromkeys(item.video for item in benchmark.items))
    number = {video: place for place, video in enumerate(videos)}
    measure = measure_of(benchmark)
    values = [{name: _rounded(found) for name, found in measure.values(of_run).items()} for of_run in rows]
    names = [name for name in values[0] if all(name in of_run for of_run in values)]
    items = []
    for place, together in enumerate(zip(*rows, strict=True)):
        item = together[0].item
        one: dict[str, Any] = {
            "id": item.id,
            "video": number[item.video],
            "ask": item.ask,
            "gold": item.gold,
            "groups": item.groups,
            "runs": [_outcome(row, benchmark.kind) for row in together],
            "values": [[of_run[name][place] for name in names] for of_run in values],
        }
        one |= {"span": [item.span.start, item.span.end]} if item.span else {}
        one |= {"options": item.options} if item.options else {}
        items.append(one)
    return {
        "kind": benchmark.kind,
        "names": names,
        "states": list(State),
        "videos": [[video, _address(places.get(video), page)] for video in videos],
        "items": items,
    }


def _outcome(row: Row, kind: str) -> dict[str, Any]:
    """What one run has of one item, as little of it as will do."""
    state, reason = row.state, ""
    found: dict[str, Any] = {}
    if row.prediction is None:
        reason = "there is no prediction"
    else:
        reason = row.prediction.reason or (row.verdict.reason if row.verdict else "")
        found["value"] = row.prediction.value
        if row.prediction.details:
            found["details"] = row.prediction.details
    if kind == "mc-qa" and row.prediction and isinstance(row.prediction.value, str):
        found["choice"] = read_choice(row.prediction.value, row.item.options)
        if state is State.DONE and found["choice"] is None:
            state, reason = State.UNREADABLE, "no option can be read in the reply"
    if row.verdict and row.verdict.value:
        found["verdict"] = {key: value for key, value in row.verdict.value.items() if key != "of"}
    return {"state": state.value, **({"reason": reason} if reason else {}), **found}


def _rounded(values: Iterable[float]) -> list[float | None]:
    array = np.asarray(list(values) if not isinstance(values, np.ndarray) else values, dtype=np.float64)
    return [None if value != value else value for value in np.round(array, 4).tolist()]


def _address(path: Path | None, page: Path | None) -> str:
    """How the page names a video's file: relative to the page, so that both can be moved together."""
    if path is None:
        return ""
    whole = os.path.abspath(path)
    if page is None:
        return Path(whole).as_uri()
    try:
        relative = os.path.relpath(whole, os.path.dirname(os.path.abspath(page)))
    except ValueError:  # on another drive
        return Path(whole).as_uri()
    return quote(Path(relative).as_posix().encode("utf-8", "surrogateescape"))

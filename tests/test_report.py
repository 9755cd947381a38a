"""The page of a run: safe with any text, whole by itself, every item in it; and scores in the terminal."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from longshot.errors import FormatError, UsageError
from longshot.evaluating.compare import Difference
from longshot.evaluating.report import embedded, nice_ticks, report
from longshot.evaluating.runs import Run, digest_of, manifest, record
from longshot.evaluating.score import score
from longshot.items import Benchmark, Item, Prediction
from longshot.journal import Journal, Result, State
from longshot.terminal import compared, scores
from longshot.timeline import Source, Span

NASTY = "</script><script>alert(1)</script><!-- & \"quotes\" 'too' <img src=x onerror=alert(1)> \x00\u2028 \\u003c ü 猫"
VOID = {"meta", "br", "img", "input", "hr", "link"}


class Page(HTMLParser):
    """What stands in a page: its elements, whether each is closed, and the text of the script elements."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif "style" not in self.open:
            self.text += data

    @property
    def data(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.scripts[0])
        return said


def quiz(count: int = 6, text: str = "Who?") -> Benchmark:
    items = tuple(
        Item(f"q{n}", f"v{n % 3}", text, {"option": 0}, Span(1.5, 4), ("the cook", text), {"task": f"{n % 2} {text}"})
        for n in range(count)
    )
    return Benchmark("quiz", "mc-qa", "answers", items, "a" * 16, legacy=text)


def run_of(folder: Path, benchmark: Benchmark, values: list[Any], *, model: str = "org/model") -> Run:
    run = Run(folder)
    source = Source("chat", model, "3f2a9c1", {"frames": 8})
    run.begin(manifest(benchmark, data="x", model=source, name="m", how={"height": 480}, videos={}))
    with Journal(run.predictions_path()) as journal:
        for item, value in zip(benchmark.items, values, strict=False):
            if value is None:
                record(journal, Prediction(item.id, State.FAILED, reason=f"broke {NASTY}"))
            else:
                record(journal, Prediction(item.id, State.DONE, value, details={"note": NASTY}))
    score(benchmark, run.rows(benchmark), resamples=20, run=run)
    return run


def test_the_page_is_whole_and_holds_every_item(tmp_path: Path) -> None:
    benchmark = quiz()
    run = run_of(tmp_path / "run", benchmark, ["A", "B", None, "no idea", "A"])
    video = tmp_path / "videos" / "v 0#.mp4"
    places = {"v0": video, "v1": None}
    page = Page(report(benchmark, run, places=places, page=run.folder / "report.html"))
    assert page.open == []
    assert [item["id"] for item in page.data["items"]] == [item.id for item in benchmark.items]
    assert page.data["videos"] == [["v0", "../videos/v%200%23.mp4"], ["v1", ""], ["v2", ""]]
    states = [item["runs"][0]["state"] for item in page.data["items"]]
    assert states == ["done", "done", "failed", "unreadable", "done", "failed"]
    first, fourth = page.data["items"][0], page.data["items"][3]
    assert (first["span"], first["runs"][0]["choice"], first["values"]) == ([1.5, 4], 0, [[1.0]])
    assert fourth["runs"][0]["reason"] == "no option can be read in the reply"
    assert "accuracy" in page.text and "org/model@3f2a9c1" in page.text


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    benchmark = quiz()
    text = report(benchmark, run_of(tmp_path / "run", benchmark, ["A"] * 6), places={})
    assert "http://" not in text and "https://" not in text and "url(" not in text and "@import" not in text
    page = Page(text)
    assert not [tag for tag, attributes in page.elements if "src" in attributes or tag in ("link", "iframe", "object")]
    [policy] = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'") and "unsafe" not in policy
    # A policy with hashes would not let an attribute style or run anything.
    assert not [a for _, a in page.elements if any(name == "style" or name.startswith("on") for name in a)]


def test_no_text_can_become_markup(tmp_path: Path) -> None:
    benchmark = quiz(text=NASTY)
    run = run_of(tmp_path / "run", benchmark, [NASTY, "A", None, "A", NASTY], model=NASTY)
    plain = Page(report(quiz(), run_of(tmp_path / "plain", quiz(), ["x", "A", None, "A", "x"]), places={}))
    page = Page(report(benchmark, run, places={"v0": tmp_path / NASTY.replace("/", "").replace("\x00", "")}))
    assert [tag for tag, _ in page.elements if tag in ("script", "img", "style")] == [
        tag for tag, _ in plain.elements if tag in ("script", "img", "style")
    ]
    assert page.open == [] and len(page.scripts) == 2
    assert page.data["items"][0]["ask"] == NASTY
    assert page.data["items"][0]["runs"][0]["value"] == NASTY


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)
    )
)
def test_data_in_a_page_is_never_markup_and_reads_back(value: Any) -> None:
    said = embedded(value)
    assert not re.search("[<>&\u2028\u2029]", said)

    def finite(one: Any) -> Any:
        if isinstance(one, float):
            return one if abs(one) < float("inf") else None
        if isinstance(one, dict):
            return {key: finite(inner) for key, inner in one.items()}
        return [finite(inner) for inner in one] if isinstance(one, list) else one

    assert json.loads(said) == finite(value)


def test_two_runs_side_by_side(tmp_path: Path) -> None:
    benchmark = quiz()
    one, two = (
        run_of(tmp_path / name, benchmark, answers, model=name)
        for name, answers in (("first", ["A"] * 6), ("second", ["A", "B", "B", "B", None, "A"]))
    )
    page = Page(report(benchmark, one, other=two, places={}))
    assert "Differences, item by item" in page.text and "+66.67" in page.text
    assert page.data["items"][1]["values"] == [[1.0], [0.0]]
    assert [run["state"] for run in page.data["items"][4]["runs"]] == ["done", "failed"]
    with pytest.raises(UsageError, match="not runs of the same benchmark"):
        report(benchmark, one, other=run_of(tmp_path / "c", replace(benchmark, fingerprint="b" * 16), []), places={})


def test_windows_and_verdicts_stand_in_the_page(tmp_path: Path) -> None:
    item = Item("1", "v", "a dog", {"windows": [[0, 5]], "duration": 20.0})
    moments = Benchmark("m", "moments", "moments", (item,), "c" * 16)
    page = Page(report(moments, run_of(tmp_path / "m", moments, [{"windows": [[1, 6, 0.5]]}]), places={}))
    assert page.data["items"][0]["runs"][0]["value"] == {"windows": [[1, 6, 0.5]]}
    caption = Item("1", "v", gold={"references": ["A dog runs."], "events": ["A dog runs."]})
    captions = Benchmark("c", "caption", "events", (caption,), "d" * 16, judge="events")
    run = run_of(tmp_path / "c", captions, ["A dog walks."])
    verdict = {"gold": ["A dog runs."], "predicted": ["A dog walks."], "recall": ["neutral"], "precision": ["neutral"]}
    with Journal(run.verdicts_path) as journal:
        of = digest_of(run.predictions()["1"])
        reasons = {"reasons": {"recall": ["it walks"], "precision": [""]}}
        journal.record("1", Result(State.DONE, {"events": {**verdict, **reasons}, "of": of, "by": "a judge"}))
    there = Page(report(captions, run, places={})).data["items"][0]["runs"][0]["verdict"]
    assert there == {"events": {**verdict, **reasons}, "by": "a judge"}


def test_a_run_without_scores_is_scored_and_a_torn_file_is_told(tmp_path: Path) -> None:
    benchmark = quiz()
    run = run_of(tmp_path / "run", benchmark, ["A"] * 6)
    run.scores_path.unlink()
    assert "100.00" in Page(report(benchmark, run, places={})).text
    run.scores_path.write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match=r"scores\.json: cannot be read .* score the run again"):
        report(benchmark, run, places={})


def test_ticks_are_round_and_hold_all() -> None:
    assert nice_ticks(0, 47) == [0, 10, 20, 30, 40, 50]
    assert nice_ticks(-0.2, 1) == [-0.25, 0, 0.25, 0.5, 0.75, 1]
    assert nice_ticks(0, 0)[0] == 0 and len(nice_ticks(0, 0)) >= 2


@given(st.floats(-1e6, 0), st.floats(0, 1e6))
def test_ticks_of_anything(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    slack = 1e-6 * (high - low) + 1e-9
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack and 2 <= len(ticks) <= 8


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_draws_the_items(tmp_path: Path) -> None:
    benchmark = quiz(text=NASTY)
    run = run_of(tmp_path / "run", benchmark, ["A", "B", None, "no idea", "A"])
    page = tmp_path / "page.html"
    page.write_text(report(benchmark, run, places={"v0": tmp_path / "v.mp4"}, page=page), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=2000", "--dump-dom", page.as_uri()]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert drawn.count("<article") == 6
    assert "6 items" in drawn and "the video was not found" in drawn and "v.mp4#t=1.5,4" in drawn
    assert "<img" not in drawn


# --- the terminal


def shown(drawing: Any) -> str:
    console = Console(width=100, record=True, color_system=None, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(drawing)
    console.file.close()
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def number(
    name: str, value: float | None, *, group: dict[str, str] | None = None, legacy: bool = False
) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value - 1, value + 1)
    return {
        **{"name": name, "value": value, "low": low, "high": high, "n": 10, "group": group or {}},
        **{"legacy": legacy, "unit": "%", "note": ""},
    }


def test_scores_in_the_terminal() -> None:
    said = {
        "benchmark": "dream-1k",
        "n": 10,
        "states": {"done": 9, "failed": 1, "refused": 0, "unreadable": 0},
        "legacy": "failed ones left out",
        "scores": [
            number("F1", 34.6),
            number("recall", None),
            number("F1", 35.1, legacy=True),
            number("F1", 31, group={"source": "shorts"}),
            number("F1", 32, group={"source": "shorts"}, legacy=True),
        ],
    }
    assert shown(scores(said)) == (
        "dream-1k  10 items: 9 done, 1 failed\n"
        "                        95 %   n  legacy   n\n"
        "F1      34.60  33.60 … 35.60  10   35.10  10\n"
        "recall      –                 10\n"
        "\n"
        "source     F1   n\n"
        "shorts  31.00  10\n"
        "\n"
        "legacy: failed ones left out"
    )
    assert shown(scores({**said, "scores": []})).endswith("no scores")


def test_differences_in_the_terminal() -> None:
    row = Difference("F1", 30, 28, 2, 0.5, 3.5, 0.0004, 10, "%", 1, 0, "1 done in the first alone, such as q7")
    assert shown(
        compared([row, replace(row, name="MRR", unit="", low=None, high=None, p=None)], "runs/a", "runs/b")
    ) == (
        "first   runs/a\n"
        "second  runs/b\n"
        "score   first  second  difference           95 %       p   n\n"
        "F1      30.00   28.00       +2.00  +0.50 … +3.50  <0.001  10\n"
        "MRR    30.000  28.000      +2.000                      –  10\n"
        "1 done in the first alone, such as q7"
    )
    assert shown(compared([], "a", "b")) == "nothing that can be compared item by item"

"""What every file on the benchmarks shelf promises; a new file is checked by being there.

A new benchmark brings a folder benchmark_samples/NAME with a few made-up records in the official layout, under the
official names. Demo benchmarks make their own data.
"""

from __future__ import annotations

import ast
import gzip
import importlib
import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import longshot.benchmarks
from longshot import registry
from longshot.errors import FormatError, LongshotError, UsageError
from longshot.items import KINDS, Benchmark

SHELF = Path(longshot.benchmarks.__file__).parent
DOCS = SHELF.parents[2] / "docs" / "evaluate-benchmarks.md"
SAMPLES = Path(__file__).parent / "benchmark_samples"
NAMES = sorted(set(registry.choices("benchmarks")) - {"own"})
DEMOS = [name for name in NAMES if name.startswith("demo_")]
OFFICIAL = [name for name in NAMES if name not in DEMOS]
SAMPLED = [name for name in OFFICIAL if (SAMPLES / name).is_dir()]
LOADED = [*SAMPLED, *DEMOS]
FILES = [
    (name, str(path.relative_to(SAMPLES / name)))
    for name in SAMPLED
    for path in sorted((SAMPLES / name).rglob("*"))
    if path.is_file()
]
MEASURES = {"captions", "events", "retrieval", "moments", "answers"}
JUDGES = {"", *registry.choices("judges")}
GOLD = {"caption": "references", "mc-qa": "option", "open-qa": "answers", "moments": "windows", "retrieval": "videos"}


def load(name: str, data: Path, **options: Any) -> Benchmark:
    made = registry.module("benchmarks", name).load(data, **options)
    assert isinstance(made, Benchmark)
    return made


def variants(name: str) -> list[dict[str, Any]]:
    """Its options one by one with each of their values, the defaults first; those of free text left out."""
    allowed = getattr(registry.module("benchmarks", name), "OPTIONS", {})
    return [{}, *({key: value} for key, values in allowed.items() for value in values[1:] if type(value) is not type)]


@pytest.fixture(scope="session")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the videos of all demos, which are made once."""
    return tmp_path_factory.mktemp("demos")


@pytest.fixture
def copy(tmp_path: Path, demos: Path, request: pytest.FixtureRequest) -> Path:
    """The samples of the benchmark that the test is about, to be spoilt; the shared folder for a demo."""
    name = request.getfixturevalue("name")
    if name in DEMOS:
        return demos
    folder = tmp_path / "data"
    if (SAMPLES / name).is_dir():
        shutil.copytree(SAMPLES / name, folder)
    else:
        folder.mkdir()
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_it_introduces_itself(name: str) -> None:
    text = ast.get_docstring(ast.parse((SHELF / f"{name}.py").read_text(encoding="utf-8"))) or ""
    summary = text.partition("\n")[0]
    assert summary.endswith(".") and 20 < len(summary) <= 117
    assert registry.choices("benchmarks")[name].summary == summary
    for word in ("licence", "source ", "revision ", "counts "):
        assert word in text.lower(), f"the docstring says nothing of {word}"
    assert re.search(r"\b20[012]\d\b", text) or name in DEMOS, "a citation has a year"
    assert re.search(r"^ {4}[^\s].*(\{|,|##|\t)", text, re.MULTILINE), "a sample row"
    assert registry.module("benchmarks", name).KIND in KINDS


@pytest.mark.parametrize("name", [*NAMES, "own"])
def test_it_stands_in_the_table_of_the_docs(name: str) -> None:
    head = f"| `{name.replace('_', '-')}` |"
    rows = [row for row in DOCS.read_text(encoding="utf-8").splitlines() if row.startswith(head)]
    rows = [row for row in rows if row.count("|") == 7]
    assert len(rows) == 1
    allowed = getattr(registry.module("benchmarks", name), "OPTIONS", {})
    assert [option for option in allowed if f"`{option}=" not in rows[0]] == []


@pytest.mark.parametrize("name", OFFICIAL)
def test_it_has_a_sample(name: str) -> None:
    assert (SAMPLES / name).is_dir(), f"add made-up records in the official layout: {SAMPLES / name}"


@pytest.mark.parametrize("name", LOADED)
def test_it_loads(name: str, copy: Path) -> None:
    made = load(name, copy)
    assert made.kind == registry.module("benchmarks", name).KIND
    assert made.kind in KINDS and made.measure in MEASURES and made.judge in JUDGES
    assert re.fullmatch(r"[0-9a-f]{16}", made.fingerprint)
    assert re.fullmatch(r"[a-z0-9-]+", made.name) and made.name.startswith(name.replace("_", "-"))
    assert load(name, copy) == made
    json.dumps(dict(made.options))


@pytest.mark.parametrize(("name", "options"), [(name, options) for name in LOADED for options in variants(name)])
def test_its_items_can_be_asked_and_scored(name: str, options: dict[str, Any], copy: Path) -> None:
    try:
        made = load(name, copy, **options)
    except LongshotError as error:  # a split that the samples have no file of
        assert options and one_line(error)
        return
    assert made.items and made.measure in MEASURES and all(made.options[key] == value for key, value in options.items())
    assert len({item.id for item in made.items}) == len(made.items)
    for item in made.items:
        assert item.id and item.video and "\n" not in item.id
        assert GOLD[made.kind] in item.gold
        assert json.loads(json.dumps(dict(item.gold))) == dict(item.gold)
        assert all(isinstance(key, str) and isinstance(value, str) for key, value in item.groups.items())
        if made.kind == "mc-qa":
            assert 0 <= item.gold["option"] < len(item.options)
        if made.kind in ("retrieval", "moments", "mc-qa", "open-qa"):
            assert item.ask.strip()
        if made.kind == "caption":
            assert item.gold["references"] and all(isinstance(one, str) for one in item.gold["references"])


@pytest.mark.parametrize("name", LOADED)
def test_an_option_that_is_not_known(name: str, copy: Path) -> None:
    with pytest.raises((UsageError, TypeError)):
        load(name, copy, nonsense=1)


@pytest.mark.parametrize("name", OFFICIAL)
def test_where_nothing_is(name: str, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError) as error:
            load(name, place)
        assert one_line(error.value) and str(place) in str(error.value)


@pytest.mark.parametrize(("name", "file"), FILES)
def test_marks_and_packing_change_nothing(name: str, file: str, copy: Path) -> None:
    before = load(name, copy)
    plain = (copy / file).read_bytes()
    for other in (b"\xef\xbb\xbf" + plain, gzip.compress(plain), plain.replace(b"\n", b"\r\n")):
        (copy / file).write_bytes(other)
        assert load(name, copy).items == before.items
    (copy / file).write_bytes(gzip.compress(plain))
    assert load(name, copy).fingerprint == before.fingerprint


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_file_with_nothing_in_it(name: str, file: str, copy: Path) -> None:
    before = load(name, copy)
    for text in ("", " \n\n", "\ufeff"):
        (copy / file).write_text(text, encoding="utf-8")
        refused(name, copy, file, before)


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_torn_file(name: str, file: str, copy: Path) -> None:
    before = load(name, copy)
    whole = (copy / file).read_bytes()
    for share in (0.3, 0.5, 0.9):
        (copy / file).write_bytes(whole[: int(len(whole) * share)])
        if file.endswith((".json", ".jsonl")):
            refused(name, copy, file, before)
        else:
            read_or_refused(name, copy)
    (copy / file).write_bytes(gzip.compress(whole)[:-12])
    refused(name, copy, file, before)


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_record_that_stands_twice(name: str, file: str, copy: Path) -> None:
    text = (copy / file).read_text(encoding="utf-8")
    if file.endswith(".json") and text.startswith("["):
        rows = json.loads(text)
        text = json.dumps([*rows, rows[0]], ensure_ascii=False)
    else:
        text += text.rstrip("\n").rpartition("\n")[2] + "\n"
    (copy / file).write_text(text, encoding="utf-8")
    made = read_or_refused(name, copy)
    assert made is None or len({item.id for item in made.items}) == len(made.items)


@pytest.mark.parametrize("name", SAMPLED)
def test_a_misspelt_field_is_named_with_the_right_one(name: str, copy: Path) -> None:
    """At least one field of one file must be missed; each is either missed by name or not read."""
    said = []
    for path in sorted(copy.rglob("*.json*")):
        text = path.read_text(encoding="utf-8")
        for field in sorted(set(re.findall(r'"(\w{4,})": ', text))):
            path.write_text(text.replace(f'"{field}": ', f'"{field[:-2]}{field[-1]}{field[-2]}": '), encoding="utf-8")
            for options in variants(name):
                try:
                    load(name, copy, **options)
                except LongshotError as error:
                    assert one_line(error)
                    said.append(str(error))
        path.write_text(text, encoding="utf-8")
    assert not list(copy.rglob("*.json*")) or any("is it" in one or "did you mean" in one for one in said)


@pytest.mark.parametrize("name", SAMPLED)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30))
def test_spoilt_bytes_are_read_or_refused(name: str, copy: Path, seed: int) -> None:
    dice = random.Random(seed)
    path = dice.choice([path for path in sorted(copy.rglob("*")) if path.is_file()])
    whole = path.read_bytes()
    spoilt = bytearray(whole)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(spoilt))
        spoilt[place : place + dice.randint(0, 3)] = bytes(
            dice.choices(b'{}[],:"\n0-9\xff\x00ab', k=dice.randint(0, 3))
        )
    path.write_bytes(bytes(spoilt))
    try:
        read_or_refused(name, copy)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_makes_its_videos_once(name: str, tmp_path: Path) -> None:
    from longshot.evaluating.sources import find_videos
    from longshot.video import open_video

    made = load(name, tmp_path)
    places = find_videos(made, tmp_path)
    assert all(places.values())
    times = {path: path.stat().st_mtime_ns for path in places.values() if path}
    assert load(name, tmp_path) == made
    assert {path: path.stat().st_mtime_ns for path in times} == times
    with open_video(next(iter(times))) as video:
        assert 2 <= video.duration <= 30
    with pytest.raises(UsageError):
        load(name, next(iter(times)))


def test_no_benchmark_imports_a_model() -> None:
    for name in NAMES:
        assert not hasattr(importlib.import_module(f"longshot.benchmarks.{name}"), "torch")


def one_line(error: BaseException) -> bool:
    return "\n" not in str(error) and len(str(error)) > 10


def refused(name: str, data: Path, file: str, before: Benchmark) -> None:
    """The file is refused by name, if it is read at all: then its bytes count for the fingerprint."""
    try:
        made = load(name, data)
    except LongshotError as error:
        assert one_line(error) and (isinstance(error, UsageError) or Path(file).name in str(error))
    else:
        assert made == before, f"{file} was read although nothing can be read of it"


def read_or_refused(name: str, data: Path) -> Benchmark | None:
    try:
        return load(name, data)
    except (FormatError, UsageError) as error:
        assert one_line(error)
        return None

from __future__ import annotations

import ast
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import longshot
from longshot import registry
from longshot.errors import LongshotError, MissingPackage, UsageError

FILES = [
    path
    for shelf in registry.SHELVES
    for path in (Path(longshot.__file__).parent / shelf).glob("*.py")
    if not path.name.startswith("_")
]


@pytest.fixture(autouse=True)
def fresh():
    registry.choices.cache_clear()
    yield
    registry.choices.cache_clear()


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_the_quick_look_finds_is_what_the_file_says(path):
    tree = ast.parse(path.read_text())
    said = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("NEEDS", "EXTRA")
    }
    choice = registry.choices(path.parent.name)[path.stem]
    assert choice.summary == ast.get_docstring(tree).split("\n", 1)[0].strip() and choice.summary
    assert (choice.needs, choice.extra) == (said.get("NEEDS", ()), said.get("EXTRA", ""))
    assert any(isinstance(node, ast.FunctionDef) and node.name == "load" for node in tree.body)


def test_unknown_names_come_with_the_known_ones():
    with pytest.raises(UsageError, match=r"'shotz'.*fixed.*did you mean 'shots'"):
        registry.load("segmenters", "shotz")
    with pytest.raises(UsageError, match=r"shelf called 'shelves'.*segmenters"):
        registry.choices("shelves")


def test_a_missing_package_names_its_install_line(monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    choice = registry.choices("transcribers")["whisper"]
    assert choice.missing == ("faster_whisper",)
    assert choice.install == "pip install 'longshot[speech]'"
    with pytest.raises(MissingPackage, match=r"faster_whisper is not installed.*longshot\[speech\]"):
        registry.load("transcribers", "whisper")


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group="longshot.segmenters")


def offer(monkeypatch, *points: EntryPoint) -> None:
    def found(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [p for p in points if p.group == group and name in (None, p.name)]

    monkeypatch.setattr(registry, "entry_points", found)


def test_another_package_adds_a_choice_by_entry_point(monkeypatch):
    offer(monkeypatch, point("mine", "longshot.segmenters.fixed"))
    assert registry.choices("segmenters")["mine"].provider == "unknown"
    assert registry.load("segmenters", "mine", every=2.0).source.settings["every"] == 2.0


def test_two_packages_may_not_claim_one_name(monkeypatch):
    offer(monkeypatch, point("shots", "elsewhere.shots"))
    with pytest.raises(LongshotError, match=r"two packages provide.*'shots'"):
        registry.choices("segmenters")

"""doctor tries parts for real; what is missing or broken is a line with an advice, never an error."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from longshot import cli, doctor, registry
from longshot.journal import Result, State
from longshot.scaling import local


def quietly(done: float, total: float, /) -> None:
    """Progress that nobody looks at."""


@pytest.mark.parametrize("name", ["python", "decoder", "encoder"])
def test_the_foundations_work(name: str, tmp_path: Path) -> None:
    works, detail, advice = doctor._try(name, quietly, folder=str(tmp_path))
    assert works
    assert detail
    assert advice == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("segmenters/fixed", "spans found in a video of two seconds: 1"),
        ("transcribers/sidecar", "no sample.srt"),
        ("transcribers/embedded", "no subtitle stream"),
        ("formats/srt", "reads and writes"),
        ("formats/youtube", "writes"),
        ("formats/ass", "reads"),
    ],
)
def test_parts_that_need_nothing_work(name: str, said: str, tmp_path: Path) -> None:
    works, detail, advice = doctor._try(name, quietly, folder=str(tmp_path))
    assert works, detail
    assert said in detail
    assert advice == ""


def test_a_part_without_its_package_names_the_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longshot.registry._installed", lambda package: False)
    assert doctor._try("readers/rapidocr", quietly, folder=str(tmp_path)) == (
        False,
        "needs rapidocr, onnxruntime",
        "pip install 'longshot[ocr]'",
    )


def test_a_package_that_cannot_be_imported_is_to_be_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(choice: registry.Choice, sample: Path) -> str:
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr("longshot.registry._installed", lambda package: True)
    monkeypatch.setitem(doctor._TRIALS, "readers", broken)  # type: ignore[arg-type]
    works, detail, advice = doctor._try("readers/rapidocr", quietly, folder=str(tmp_path))
    assert not works
    assert "libGL.so.1" in detail
    assert "longshot[ocr]" in advice


def scripted(results: dict[str, Result]) -> Callable[..., Generator[local.Outcome[str], None, None]]:
    def run(work: Any, items: Sequence[str], **_: Any) -> Generator[local.Outcome[str], None, None]:
        for item in items:
            yield local.Outcome(item, results.get(item, Result(State.DONE, (True, "1.0", ""))))

    return run


def test_a_crash_is_a_line_with_its_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    crash = Result(State.FAILED, None, "readers/rapidocr: its worker crashed (SIGILL)")
    monkeypatch.setattr(doctor, "run", scripted({"readers/rapidocr": crash}))
    monkeypatch.setattr("longshot.registry._installed", lambda package: package != "rapidocr")
    parts = {part.name: part for part in doctor.examine()}
    assert parts["readers/rapidocr"] == doctor.Part(
        "readers/rapidocr", False, "its worker crashed (SIGILL)", "pip install 'longshot[ocr]'"
    )
    assert parts["decoder"].works


def test_every_choice_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "run", scripted({}))
    names = [part.name for part in doctor.examine()]
    assert names[:3] == ["python", "decoder", "encoder"]
    assert names[3:] == [f"{shelf}/{name}" for shelf in registry.SHELVES for name in registry.choices(shelf)]
    assert set(registry.SHELVES) == set(doctor._TRIALS)


def test_the_command_exits_0_whatever_is_missing(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    missing = Result(State.DONE, (False, "needs rapidocr", "pip install 'longshot[ocr]'"))
    monkeypatch.setattr(doctor, "run", scripted({"readers/rapidocr": missing}))
    assert cli.run(["doctor", "--no-json"]) == 0
    said = capfdbinary.readouterr().out.decode()
    assert "missing  readers/rapidocr" in said
    assert "pip install 'longshot[ocr]'" in said
    assert cli.run(["doctor"]) == 0
    assert b'"works": false' in capfdbinary.readouterr().out


@pytest.mark.slow
def test_every_installed_part_works_here() -> None:
    broken = [part for part in doctor.examine() if not part.works and not part.detail.startswith("needs ")]
    assert not broken

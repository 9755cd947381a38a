from __future__ import annotations

from pathlib import Path

import pytest

from longshot import prompts
from longshot.errors import UsageError
from longshot.prompts import load_prompt, prompt_names


def test_every_prompt_of_ours_loads_and_fills() -> None:
    for name, files in prompt_names().items():
        prompt = load_prompt(name)
        assert prompt.name == files[-1].stem
        assert not prompt.text.startswith("#") and prompt.text
        filled = prompt.fill(**dict.fromkeys(prompt.places, "WORDS"))
        assert filled.count("WORDS") >= len(prompt.places)
        assert "$" not in filled


def test_a_version_keeps_its_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(prompts, "_FOLDER", tmp_path)
    for version, text in ((1, "# old\nSay $what."), (2, "Tell $what."), (10, "Tell all of $what.")):
        (tmp_path / f"clip.{version}.txt").write_text(text)
    assert load_prompt("clip").name == "clip.10"
    assert load_prompt("clip.1").fill(what="it") == "Say it."
    assert load_prompt("clip.1").digest != load_prompt("clip.2").digest


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# for people\n\nFrom $start, costs $$5.\n\n\n\n$context\n")
    prompt = load_prompt(str(path))
    assert prompt.places == ("context", "start")
    assert prompt.fill(start="0:01", context="") == "From 0:01, costs $5."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Say $thing.", r"a place \$thing; those that are filled: \$start"),
        ("5$ each", r"a dollar sign is written \$\$"),
    ],
)
def test_places_that_nobody_fills(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_prompt(str(tmp_path / "mine.txt")).fill(start="0:01")


def test_unknown_names_come_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'clips', and no file: there are .*clip, .*did you mean 'clip'"):
        load_prompt("clips")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(UsageError, match="is empty"):
        load_prompt(str(tmp_path / "empty.txt"))

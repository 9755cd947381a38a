"""The words a judge asks with: our versioned prompts, or files of the same names in a folder of the user's."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from longshot.errors import UsageError
from longshot.prompts import PromptText, load_prompt

NAMES = ("extract-events", "extract-objects", "entail", "grade-answer")
SYSTEM = "system"


class Wording:
    """One prompt with, perhaps, a system message. name: "entail.1", or "entail (own, 1f0c22ab)"."""

    def __init__(self, prompt: PromptText, system: PromptText | None, name: str) -> None:
        self.name = name
        self._prompt, self._system = prompt, system

    def text(self, **values: str) -> str:
        """The request, with its places filled."""
        return self._prompt.fill(**values)

    def system(self, **values: str) -> str:
        """The system message, "" for none."""
        return self._system.fill(**values) if self._system else ""


def wording(name: str, folder: Path | None, *, places: tuple[str, ...]) -> Wording:
    """A prompt by name: `<name>.txt` of the folder, with `<name>.system.txt` beside it, else ours.

    places: what is filled in; each must stand in the text or the system message.
    Raises UsageError for a folder that is not there or holds other .txt files, and for a place that is not known or
    is missing: a judge that never sees the caption would judge all the same.
    """
    path = _own(name, folder)
    if path is None:
        prompt = load_prompt(name)
        return Wording(prompt, None, prompt.name)
    prompt = load_prompt(str(path))
    beside = path.with_name(f"{name}.{SYSTEM}.txt")
    system = load_prompt(str(beside)) if beside.is_file() else None
    there = {*prompt.places, *(system.places if system else ())}
    if wrong := sorted(there ^ set(places)):
        said = "is not known" if wrong[0] in there else "is missing"
        raise UsageError(f"{path}: the place ${wrong[0]} {said}; it must have {', '.join(f'${one}' for one in places)}")
    digest = PromptText("", prompt.text + (f"\n{system.text}" if system else "")).digest
    return Wording(prompt, system, f"{name} (own, {digest})")


def _own(name: str, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of prompts")
    known = {f"{one}{end}" for one in NAMES for end in (".txt", f".{SYSTEM}.txt")}
    files = sorted(path.name for path in folder.glob("*.txt"))
    if strange := [file for file in files if file not in known]:
        close = get_close_matches(strange[0], sorted(known), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UsageError(
            f"{folder / strange[0]}: judges have no such prompt: there are {', '.join(sorted(known))}{hint}"
        )
    if not files:
        raise UsageError(f"{folder}: no prompt is there: {', '.join(f'{one}.txt' for one in NAMES)} are looked for")
    return folder / f"{name}.txt" if f"{name}.txt" in files else None

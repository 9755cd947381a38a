"""What models are asked: versioned text files, with places for what is known.

    load_prompt("clip")              # the latest version of prompts/clip.<version>.txt
    load_prompt("clip.1")            # that version, for ever the same words
    load_prompt("mine.txt")          # a file of your own
    load_prompt("clip").fill(start="0:12", end="0:20", ...)

A file's text is changed only by adding the next version, so a stored answer can be told by its prompt's name.
Lines that begin with "#" at the top are for people. `$name` is a place to fill, `$$` a dollar sign.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from string import Template

from longshot.errors import UsageError

_FILE = re.compile(r"(?P<name>[a-z-]+)\.(?P<version>\d+)\.txt")


@dataclass(frozen=True, slots=True)
class PromptText:
    """The words of a prompt. name: "clip.1", or the path of a file of the user's."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        """8 hex digits of its words."""
        return hashlib.blake2b(self.text.encode(), digest_size=4).hexdigest()

    @property
    def places(self) -> tuple[str, ...]:
        """The names that can be filled, sorted."""
        return tuple(sorted(Template(self.text).get_identifiers()))

    def fill(self, **values: str) -> str:
        """The words with every place filled; blank lines that fall empty close up.

        Raises UsageError for a place that nobody fills.
        """
        try:
            filled = Template(self.text).substitute(values)
        except KeyError as error:
            known = ", ".join(f"${name}" for name in sorted(values)) or "none"
            raise UsageError(
                f"prompt {self.name} has a place ${error.args[0]}; those that are filled: {known}"
            ) from None
        except ValueError as error:
            raise UsageError(f"prompt {self.name}: {error}; a dollar sign is written $$") from error
        return re.sub(r"\n{3,}", "\n\n", filled).strip()


def load_prompt(name: str) -> PromptText:
    """A prompt by name, by name and version, or from a file of the user's. Raises UsageError."""
    known = prompt_names()
    if name in known:
        return _read(known[name][-1])
    if (path := _FOLDER / f"{name}.txt").name in {found.name for paths in known.values() for found in paths}:
        return _read(path)
    own = Path(name).expanduser()
    if own.is_file():
        try:
            text = _without_head(own.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"prompt {name} cannot be read: {error}") from error
        if not text:
            raise UsageError(f"prompt {name} is empty")
        return PromptText(name, text)
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"no prompt called {name!r}, and no file: there are {', '.join(sorted(known))}{hint}")


def prompt_names() -> dict[str, list[Path]]:
    """Our prompts by name, each with its files from the first version to the last."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in _FOLDER.glob("*.txt"):
        if match := _FILE.fullmatch(path.name):
            found.setdefault(match["name"], []).append((int(match["version"]), path))
    return {name: [path for _, path in sorted(versions)] for name, versions in sorted(found.items())}


_FOLDER = Path(__file__).parent


def _read(path: Path) -> PromptText:
    return PromptText(path.name.removesuffix(".txt"), _without_head(path.read_text(encoding="utf-8")))


def _without_head(text: str) -> str:
    lines = text.splitlines()
    while lines and (lines[0].startswith("#") or not lines[0].strip()):
        lines.pop(0)
    return "\n".join(lines).strip()

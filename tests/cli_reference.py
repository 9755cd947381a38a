"""The reference part of docs/cli.md, made from the commands themselves: `python -m tests.cli_reference` rewrites it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from longshot.cli import app

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
BEGIN, END = "<!-- commands: made by `make docs` -->", "<!-- end of commands -->"


def reference() -> str:
    """Every command with its arguments and options, as Markdown."""
    group: Any = typer.main.get_command(app)
    parts = [_section(name, command) for name, command in _commands(group)]
    return "\n".join(part for section in parts for part in section)


def page_with(text: str) -> str:
    """The page with its reference part replaced."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its words: "describe", "worker setup"."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _section(name: str, command: Any) -> Iterator[str]:
    arguments = [param.metavar for param in command.params if param.param_type_name == "argument"]
    yield f"### `{' '.join(['longshot', name, *arguments])}`"
    yield f"\n{command.help}\n"
    yield "| | |\n|---|---|"
    for param in command.params:
        yield f"| `{_spelling(param)}` | {_words(param)} |"
    yield ""


def _spelling(param: Any) -> str:
    if param.param_type_name == "argument":
        return str(param.metavar)
    names = sorted(param.opts, key=len, reverse=True) + list(param.secondary_opts)
    value = "" if param.is_flag else f" {param.metavar}"
    return ", ".join(names) + value


def _words(param: Any) -> str:
    default = param.default
    shown = f" Default: `{default}`." if isinstance(default, str | int | float) and default not in (False, "") else ""
    return (param.help or "").replace("|", "\\|").rstrip(".") + "." + shown


if __name__ == "__main__":
    PAGE.write_text(page_with(reference()), encoding="utf-8")

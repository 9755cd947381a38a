"""What the doors say: results to stdout, all else to stderr, and the exit codes.

Exit codes: 0 all is well, 1 some videos failed, 2 the command cannot be meant, 3 nothing in it could be used; 130 after
Ctrl-C, 141 when the reader of our output went away.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

OK, SOME_FAILED, USAGE, NOTHING_USABLE, STOPPED, READER_GONE = 0, 1, 2, 3, 130, 141


class ReaderGone(Exception):
    """Whoever read our output has closed it: `longshot list | head -1`."""


def emit(text: str) -> None:
    """Write to stdout, at once and as UTF-8, whatever the locale says. Raises ReaderGone when nobody reads it."""
    try:
        binary = getattr(sys.stdout, "buffer", None)
        if binary is None:
            sys.stdout.write(text)
        else:
            sys.stdout.flush()
            binary.write(text.encode("utf-8", "replace"))
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at its end, and would complain there.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ReaderGone from None


def emit_json(value: Mapping[str, Any]) -> None:
    """Write one line of JSON to stdout."""
    emit(as_json(value) + "\n")


def is_json(asked: bool | None) -> bool:
    """Whether results go out as JSON: as asked, and when nobody said, where no terminal reads them."""
    return not sys.stdout.isatty() if asked is None else asked


def as_json(value: Mapping[str, Any]) -> str:
    """A value as one line of JSON, as it stands in track files."""
    from longshot.formats._header import dump

    return dump(value)


def emit_drawing(what: RenderableType, *, blank_before: bool = False) -> None:
    """Write what rich can draw to stdout: with colours on a terminal, plain elsewhere."""
    from longshot.terminal import console_for

    console = console_for(sys.stdout)
    with console.capture() as captured:
        console.print(what)
    # Columns are filled up with blanks, which nobody wants in a file.
    lines = [line.rstrip() if not console.is_terminal else line for line in captured.get().splitlines()]
    emit("\n" * blank_before + "\n".join(lines) + "\n")


def complain(message: str) -> None:
    """One line on stderr, with our name before it."""
    line = re.sub(r"[\x00-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", " ".join(message.split()))
    with suppress(OSError, ValueError):
        sys.stderr.write(f"longshot: {line}\n")
        sys.stderr.flush()


def debugging() -> bool:
    """Whether tracebacks are wanted: LONGSHOT_DEBUG=1."""
    return os.environ.get("LONGSHOT_DEBUG", "") not in ("", "0")

"""Files that are not whole yet: named after the process that writes them, so that those of a killed one are known."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

_PART = re.compile(r"\..+\.(\d+)\.part")


def part_of(folder: Path, name: str) -> Path:
    """Where this process writes what will be called `name`."""
    return folder / f".{name}.{os.getpid()}.part"


def sweep(folder: Path) -> None:
    """Remove what processes left that are no more."""
    for path in folder.glob(".*.part"):
        found = _PART.fullmatch(path.name)
        if found is not None and not _runs(int(found[1])):
            with suppress(OSError):  # another process was quicker
                path.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 asks only
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # somebody else's
    return True

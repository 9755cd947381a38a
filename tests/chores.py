"""What worker processes do in the tests of `longshot.scaling`: a module of its own, because each of them imports it."""

from __future__ import annotations

import os
import signal
import sys
import time

from longshot.contracts import Progress
from longshot.errors import LongshotError, MediaError


def behave(item: str, progress: Progress) -> str:
    """Do what the item says; the rest of the item is its name."""
    match item.split(":")[0]:
        case "unreadable":
            raise MediaError(item, "holds neither pictures nor sound")
        case "failed":
            raise LongshotError("the second pass\ncould not be made")
        case "bug":
            raise KeyError("surprise")
        case "exit":
            os._exit(7)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(60)
        case "memory":
            raise MemoryError
        case "unsendable":
            return lambda: item  # type: ignore[return-value]
        case "noisy":
            print("a library prints this")
        case "slow":
            for step in range(5):
                progress(step, 5)
                time.sleep(0.12)
        case "system exit":
            sys.exit(3)
    return item.upper()


def log_and_wait(item: str, progress: Progress) -> str:
    """Note in a file that the item was worked on; `item` is its path and a number."""
    path, number = item.split("|")
    with open(path, "a", encoding="ascii") as file:
        file.write(f"{number}\n")
    time.sleep(0.02)
    return number

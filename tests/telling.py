"""A chat model of one's own that notes what it is asked, and a program that tells videos with it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from longshot import Captioner
from longshot.cli import run


class Noting(Captioner):
    """Writes each request to asked.log in its folder (and reads how it is to behave from behave.json there)."""

    ARCHITECTURE = "NotingForTests"

    def __init__(self, folder: Path, *, loading: object) -> None:
        self.folder = folder

    def describe(self, videos: Sequence[np.ndarray], prompt: str = "") -> list[str]:
        behave = json.loads((self.folder / "behave.json").read_text())
        said = []
        for video in videos:
            mark = hashlib.sha1(prompt.encode() + video.tobytes()).hexdigest()[:12]
            with open(self.folder / "asked.log", "a", encoding="ascii") as file:
                file.write(f"{mark}\n")
                file.flush()
                os.fsync(file.fileno())
            time.sleep(behave.get("delay", 0.0))
            said.append(behave.get("say", f"Something happens, number {int(mark, 16) % 1000}."))
        return said


def model_folder(home: Path, **behave: object) -> Path:
    """A folder that opens as this model."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.json").write_text(json.dumps({"architectures": [Noting.ARCHITECTURE]}))
    (home / "behave.json").write_text(json.dumps(behave))
    return home


def asked(home: Path) -> list[str]:
    """What it was asked so far."""
    log = home / "asked.log"
    return log.read_text().split() if log.exists() else []


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

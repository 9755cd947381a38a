"""METEOR 1.5 of captions, counted by its own Java program.

    score(["a cat sleeps"], [["a cat is asleep", "the cat sleeps"]])     # captions as words with spaces between

The program and its tables come with the package pycocoevalcap; Java must be on the path. METEOR knows synonyms, stems
and paraphrases by tables that are not ported here, so there is no METEOR without Java. Every other caption metric is
pure Python (`longshot.metrics.captions`, which takes this function as its `meteor`).

Source: Denkowski and Lavie, Meteor Universal, WMT 2014.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from longshot.errors import MissingPackage, UsageError

_JAR = "meteor-1.5.jar"
_PART = " ||| "


def program() -> tuple[str, Path]:
    """Where Java and the program are.

    Raises MissingPackage without pycocoevalcap, UsageError without Java or where the package holds no program.
    """
    package = importlib.util.find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        raise MissingPackage("pycocoevalcap", "meteor")
    jar = Path(package.submodule_search_locations[0]) / "meteor" / _JAR
    if not jar.is_file():
        raise UsageError(f"{jar} is not there; METEOR is counted by it: install pycocoevalcap 1.2 again")
    java = shutil.which("java")
    if java is None:
        raise UsageError(
            "METEOR is counted by a Java program, and there is no `java` on the path; install Java 8 or later"
        )
    return java, jar


def score(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """METEOR of these captions against their references, over the corpus, 0 to 1.

    Both are words with single spaces between, as the other caption metrics count them. Raises as `program` does, and
    UsageError when the program ends early (with what it said last) or the numbers of rows differ.
    """
    if len(predictions) != len(references):
        raise UsageError(
            f"{len(predictions)} predictions and {len(references)} lists of references; give one list for each"
        )
    java, jar = program()
    # English, texts normalised, one request a line; Java 17 would else read in the charset of the locale.
    command = [java, "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        process = subprocess.Popen(
            command,
            cwd=jar.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            encoding="utf-8",
        )
        try:
            return _asked(process, predictions, references)
        except (BrokenPipeError, EOFError, ValueError) as error:
            complaints.seek(0)
            said = complaints.read().strip().splitlines()
            reason = said[-1] if said else str(error)
            raise UsageError(f"METEOR's Java program ended early: {reason}") from error
        finally:
            process.kill()
            process.communicate()


def _asked(process: subprocess.Popen[str], predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    assert process.stdin is not None and process.stdout is not None
    counts = []
    for said, right in zip(predictions, references, strict=True):
        line = _PART.join(["SCORE", *map(_one_line, right), _one_line(said)])
        counts.append(_answer(process.stdin, process.stdout, line))
    # One number for each row comes before the one for all.
    value = _answer(process.stdin, process.stdout, _PART.join(["EVAL", *counts]))
    for _ in predictions:
        value = process.stdout.readline()
    return float(value)


def _one_line(text: str) -> str:
    return " ".join(text.replace("|||", " ").split())


def _answer(requests: IO[str], answers: IO[str], line: str) -> str:
    requests.write(line + "\n")
    requests.flush()
    answer = answers.readline()
    if not answer:
        raise EOFError("no answer")
    return answer.strip()

"""Run rival ways of doing one job in turn, each in a fresh process, and compare medians.

    rivals = {"longshot": ["python", "-c", "..."], "other": [...]}
    print(table(compare(rivals, rounds=3), base="other"))

Every round runs each rival once, so that a slow minute of a noisy machine touches all of them. Wall time, CPU time
and peak memory are those of the process and its children; ratios are medians over rounds of the ratio in the
same round.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Run:
    """One run: seconds on the wall, seconds of CPU, peak MB of the largest process, and what it printed."""

    wall: float
    cpu: float
    memory: float
    said: str


def run(command: list[str]) -> Run:
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        output.seek(0)
        said = output.read().strip()
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command)[:200]}\nfailed:\n{said[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


def compare(rivals: dict[str, list[str]], *, rounds: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in rivals}
    for turn in range(rounds):
        for name, command in rivals.items():
            print(f"round {turn + 1} of {rounds}: {name}", file=sys.stderr)
            runs[name].append(run(command))
    return runs


def table(runs: dict[str, list[Run]], *, base: str) -> str:
    """A Markdown table: medians, and each way's wall time as a multiple of `base`'s."""
    lines = [f"| way | wall s | CPU s | peak MB | wall ÷ {base} | says |", "|---|---|---|---|---|---|"]
    for name, own in runs.items():
        ratio = median(mine.wall / theirs.wall for mine, theirs in zip(own, runs[base], strict=True))
        wall, cpu, memory = (median(getattr(one, part) for one in own) for part in ("wall", "cpu", "memory"))
        said = own[-1].said.splitlines()[-1] if own[-1].said else ""
        lines.append(f"| {name} | {wall:.2f} | {cpu:.2f} | {memory:.0f} | {ratio:.2f} | {said} |")
    return "\n".join(lines)


def machine() -> str:
    """The machine and the library versions, in one line."""
    import av
    import numpy

    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown")
    versions = f"Python {sys.version.split()[0]}, av {av.__version__}, numpy {numpy.__version__}"
    return f"{model}, {os.cpu_count()} cores, {versions}"

"""Where a measurement comes from: benchmarks by name, and their videos in a folder. No model, and little to import."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from string import Template
from typing import Any

from longshot import registry
from longshot.errors import UsageError
from longshot.items import KINDS, Benchmark


def load_benchmark(name: str, data: str | os.PathLike[str] | None, **options: Any) -> Benchmark:
    """A benchmark by name, or the user's own from a TOML file. Raises UsageError, FormatError."""
    if name.endswith(".toml"):
        own: Benchmark = registry.module("benchmarks", "own").load(Path(name), data=data, **options)
        return own
    read: Benchmark = registry.module("benchmarks", name.replace("-", "_")).load(Path(data or "."), **options)
    return read


def find_videos(benchmark: Benchmark, folder: str | os.PathLike[str]) -> dict[str, Path | None]:
    """For each video of a benchmark its file below a folder, None where there is none; by the benchmark's patterns.

    The folder is listed once. Of several files of one stem the first in sorted order is taken.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"{root}: there is no such folder of videos")
    below = sorted(
        (Path(home, file).relative_to(root) for home, _, files in os.walk(root) for file in files),
        key=lambda path: (len(path.parts), str(path)),
    )
    keys: dict[str, dict[str, Path]] = {"whole": {}, "stem": {}, "name": {}, "anywhere": {}}
    for path in below:
        keys["whole"].setdefault(path.as_posix(), path)
        keys["stem"].setdefault(path.with_suffix("").as_posix(), path)
        keys["name"].setdefault(path.name, path)
        keys["anywhere"].setdefault(path.stem, path)
    found: dict[str, Path | None] = {}
    for item in benchmark.items:
        if item.video not in found:
            place = next(filter(None, (_by(pattern, item.video, keys) for pattern in benchmark.files)), None)
            found[item.video] = root / place if place else None
    return found


def _by(pattern: str, video: str, keys: Mapping[str, Mapping[str, Path]]) -> Path | None:
    """The file that one pattern finds: "clips/$video.mp4", "$video.*", "**/$video.*"."""
    anywhere = pattern.startswith("**/")
    wanted = Template(pattern.removeprefix("**/")).safe_substitute(video=video)
    if wanted.endswith(".*"):
        return keys["anywhere" if anywhere else "stem"].get(wanted.removesuffix(".*"))
    return keys["name" if anywhere else "whole"].get(wanted)


def benchmarks_meant(words: list[str]) -> list[str]:
    """Names of benchmarks from names, kinds ("caption", "mc-qa") and "all", each once. Raises UsageError.

    A name may be written in any case, and with underscores, as its file is.
    """
    known = {name.replace("_", "-"): name for name in registry.choices("benchmarks") if name != "own"}
    found: list[str] = []
    for word in words:
        name = word.casefold().replace("_", "-")
        if word.endswith(".toml") or name in known:
            found.append(word if word.endswith(".toml") else name)
            continue
        kinds = [name for name in known if not name.startswith("demo-") and _kind_of(known[name]) == word]
        if word == "all":
            kinds = [name for name in known if not name.startswith("demo-")]
        if not kinds:
            close = get_close_matches(name, [*known, *KINDS, "all"], n=1)
            hint = (
                f"is {close[0]!r} it?" if close else f"there are {', '.join(sorted(known))}; kinds: {', '.join(KINDS)}"
            )
            raise UsageError(f"no benchmark and no kind called {word!r}: {hint}")
        found += kinds
    return list(dict.fromkeys(found))


def _kind_of(file: str) -> str:
    return str(getattr(registry.module("benchmarks", file), "KIND", ""))

"""Options that several commands share, with their help, written once: in the docstrings of the verbs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longshot.errors import UsageError
from longshot.saying import is_json
from longshot.settings import cache_folder, check_loading, loading_of

if TYPE_CHECKING:
    from longshot.scaling.verbs import ModelChoice

_FOLDERS = ("captioning", "searching")


# --- help texts


def docstring(verb: str) -> str:
    """The docstring of a verb, read from its file without importing it (it brings numpy and the decoder)."""
    here = Path(__file__).parent
    files = (here / folder / f"{verb}.py" for folder in _FOLDERS)
    source = next((path.read_text(encoding="utf-8") for path in files if path.exists()), "")
    found = re.search(rf'^def {verb}\(.*?"""(.*?)"""', source, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def help_of(verb: str, argument: str) -> str:
    """What the `Args:` of a verb say about one argument, as one line that begins with a capital."""
    found = re.search(
        rf"^ {{8}}{argument}: (.*?)(?=^ {{8}}\S|^$|^ {{4}}\S|\Z)", docstring(verb), re.DOTALL | re.MULTILINE
    )
    said = " ".join(found[1].split()) if found else ""
    return said[:1].upper() + said[1:]


def summary_of(verb: str) -> str:
    """The first line of a verb's docstring."""
    return docstring(verb).strip().partition("\n")[0]


Names = Annotated[
    list[str],
    typer.Argument(metavar="VIDEO...", help="Videos, folders of videos, or quoted patterns.", show_default=False),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Keep the tracks here; the same command again does only the rest."
    ),
]
AsJson = Annotated[
    bool | None,
    typer.Option("--json/--no-json", help="JSON, a line for each result; by default when stdout is no terminal."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr but what went wrong.")]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="Where engines run that can choose: auto, cpu, cuda, cuda:1, mps.")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", "-j", metavar="N", help="Videos at once; as many as cores and free memory allow."),
]
TimeLimit = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Give up on a video that takes longer than this.")
]
Segmenter = Annotated[str, typer.Option(metavar="NAME", help=help_of("recap", "segmenter"))]
Describer = Annotated[str, typer.Option(metavar="NAME", help=help_of("recap", "describer"))]
Model = Annotated[
    str | None, typer.Option("--model", "-m", metavar="NAME", help=help_of("recap", "model"), show_default=False)
]
PromptName = Annotated[str, typer.Option("--prompt", metavar="NAME", help=help_of("recap", "prompt"))]
FrameCount = Annotated[int, typer.Option("--frames", metavar="N", help=help_of("recap", "frames"))]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="With --model, as often as needed: max_new_tokens, temperature, ...; dtype, attention, bits, batch.",
        show_default=False,
    ),
]
RemoteCode = Annotated[
    bool,
    typer.Option("--remote-code", help="With --model: run the Python files of the checkpoint. Read them first."),
]
Speech = Annotated[str, typer.Option(metavar="NAME", help=help_of("recap", "speech"))]
Language = Annotated[str | None, typer.Option(metavar="CODE", help=help_of("recap", "language"))]
Screen = Annotated[str, typer.Option(metavar="NAME", help=help_of("recap", "screen"))]


@dataclass(frozen=True, slots=True)
class How:
    """The options that all verbs share."""

    out: Path | None
    json: bool
    quiet: bool
    device: str
    workers: int | None
    seconds: float | None


def how_of(
    out: Path | None, as_json: bool | None, quiet: bool, device: str, workers: int | None, seconds: float | None
) -> How:
    """The shared options, checked. Raises UsageError for a device that there cannot be."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise UsageError(f"no device called {device!r}: there are auto, cpu, cuda, cuda:<number> and mps")
    return How(out, is_json(as_json), quiet, "" if device == "auto" else device, workers, seconds)


def model_of(
    name: str | None,
    describer: str,
    how: How,
    sets: Sequence[str],
    *,
    prompt: str,
    frames: int,
    remote_code: bool,
) -> ModelChoice | None:
    """The chat model that the flags ask for; None when they ask for none."""
    if name is None:
        if describer == "chat":
            raise UsageError("the describer chat asks a model: say which, with --model NAME")
        if sets or remote_code or prompt != "clip" or frames != -1:
            raise UsageError("--prompt, --frames, --set and --remote-code say how a model is asked: add --model NAME")
        return None
    if describer not in ("observer", "chat"):
        raise UsageError(f"--model tells by itself, and --describer {describer} would too: leave one of them out")
    if frames < -1:
        raise UsageError(f"--frames is a number from 0 up, or -1 to choose, got {frames}")
    loading, settings = loading_of(sets, how.device, remote_code)
    check_loading(name, loading)
    from longshot.scaling.verbs import ModelChoice

    return ModelChoice(name, loading, settings, prompt, frames, "" if how.out else str(cache_folder() / "answers"))


def check_seconds(option: str, value: float | None) -> None:
    """Refuse what is no length of time. Raises UsageError."""
    if value is not None and not 0 < value < math.inf:
        raise UsageError(f"{option} is a number of seconds above 0, got {value:g}")

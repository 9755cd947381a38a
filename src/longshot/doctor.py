"""Try every part for real, on a video made here, and say what to install for those that do not work.

    for part in examine():
        print(part.name, part.works, part.detail, part.advice)

Each part is tried in a process of its own: a library that crashes on this machine is a line, not the end.
"""

from __future__ import annotations

import importlib
import inspect
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from longshot import __version__, registry
from longshot.contracts import Progress
from longshot.errors import LongshotError
from longshot.journal import State
from longshot.registry import Choice
from longshot.scaling.local import run
from longshot.timeline import Caption, Source, Span, Track

_PATIENCE = 120.0  # seconds for one part: a neural network may take long to load


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that was tried. detail: versions, or what went wrong. advice: what to do, "" when it works."""

    name: str
    works: bool
    detail: str
    advice: str = ""


def examine(*, progress: Progress | None = None) -> Iterator[Part]:
    """Try the foundations, then every choice on every shelf, in the order of `longshot list`."""
    choices = {f"{one.shelf}/{one.name}": one for shelf in registry.SHELVES for one in registry.choices(shelf).values()}
    names = ["python", "decoder", "encoder", *choices]
    with tempfile.TemporaryDirectory(prefix="longshot-") as folder:
        try_one = partial(_try, folder=folder)
        for outcome in run(try_one, names, workers=1, seconds=_PATIENCE, progress=progress):
            name, choice = outcome.item, choices.get(outcome.item)
            if outcome.result.state is State.DONE:
                yield Part(name, *outcome.result.value)
            else:
                reason = outcome.result.reason.removeprefix(f"{name}: ")
                yield Part(name, False, reason, choice.install if choice else "")


def _try(name: str, progress: Progress, *, folder: str) -> tuple[bool, str, str]:
    """(works, detail, advice) of one part."""
    shelf, _, one = name.partition("/")
    if not one:
        return True, _FOUNDATIONS[name](Path(folder)), ""
    choice = registry.choices(shelf)[one]
    if choice.missing:
        return False, f"needs {', '.join(choice.missing)}", choice.install or f"pip install {' '.join(choice.missing)}"
    # Nothing is fetched by looking whether it works.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        said = _TRIALS.get(shelf, _import)(choice, _sample(Path(folder)))
    except ImportError as error:
        return False, f"cannot be imported: {error}", f"pip install --force-reinstall 'longshot[{choice.extra}]'"
    return True, "; ".join(part for part in (_versions(choice), said) if part), ""


def _versions(choice: Choice) -> str:
    """The packages behind a choice with their versions: rapidocr 3.10.0, onnxruntime 1.31.1."""
    owners = packages_distributions()
    return ", ".join(f"{package} {_version((owners.get(package) or [package])[0])}" for package in choice.needs)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "of unknown version"


# --- the foundations


def _python(folder: Path) -> str:
    packages = ", ".join(f"{name} {_version(name)}" for name in ("numpy", "rich", "typer"))
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return f"longshot {__version__}, Python {platform.python_version()} on {machine}; {packages}"


def _decoder(folder: Path) -> str:
    import av

    from longshot.video import open_video

    with open_video(_sample(folder)) as video:
        frames = video.frames([0.5, 1.5], height=36)
        if frames.pixels[0].mean() > frames.pixels[1].mean():
            raise LongshotError("a video made here comes back with its frames in the wrong order")
    ffmpeg = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"PyAV {av.__version__} with libavcodec {ffmpeg}; decoded a video made here"


def _encoder(folder: Path) -> str:
    import av

    there = [name for name in ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "aac") if name in av.codecs_available]
    if "libx264" not in there:
        raise LongshotError("there is no H.264 encoder in this PyAV: longshot segment --cut can only copy")
    return "can write " + ", ".join(there)


_FOUNDATIONS: Mapping[str, Callable[[Path], str]] = {"python": _python, "decoder": _decoder, "encoder": _encoder}


def _sample(folder: Path) -> Path:
    """A video of two seconds, dark then light, with a tone: made once."""
    path = folder / "sample.mp4"
    if path.exists():
        return path
    import av
    import numpy as np

    part = folder / "sample.part.mp4"
    with av.open(str(part), "w") as container:
        pictures = container.add_stream("mpeg4", rate=12)
        pictures.width, pictures.height, pictures.pix_fmt = 128, 72, "yuv420p"
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for number in range(24):
            pixels = np.full((72, 128, 3), 40 if number < 12 else 200, np.uint8)
            pixels[20:50, 4 * number : 4 * number + 30] = (220, 60, 40)
            container.mux(pictures.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        tone = (np.sin(np.arange(32000) * 0.1) * 0.1).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux([*sound.encode(frame), *sound.encode(None), *pictures.encode(None)])
    part.rename(path)
    return path


# --- the shelves


def _segmenter(choice: Choice, sample: Path) -> str:
    from longshot.captioning.segment import segment

    return f"spans found in a video of two seconds: {len(segment(sample, segmenter=choice.name))}"


def _describer(choice: Choice, sample: Path) -> str:
    from longshot.captioning.describe import describe

    if "model" in inspect.signature(registry.module("describers", choice.name).load).parameters:
        return "asks the model that --model names; try one with: longshot doctor --clock MODEL"
    (caption,) = describe(sample, describer=choice.name, speech="none", screen="none")
    return f"said: {caption.text}"


def _transcriber(choice: Choice, sample: Path) -> str:
    from longshot.video import open_video

    module = registry.module("transcribers", choice.name)
    # A model that would have to be fetched is not, only to look whether it works.
    options = {"download": False} if "download" in inspect.signature(module.load).parameters else {}
    transcriber = module.load(**options)
    with open_video(sample) as video:
        track = transcriber.transcribe(video, language=None)
        if track is not None:
            return f"lines heard in a tone: {len(track)}"
        return transcriber.why_not(video) if hasattr(transcriber, "why_not") else "found none, and there is none"


def _reader(choice: Choice, sample: Path) -> str:
    from longshot.captioning.watch import watch
    from longshot.video import open_video

    reader = registry.load("readers", choice.name)
    with open_video(sample) as video:
        watcher = reader.watch(video)
        end = watch(video, [watcher], every=0.5, height=reader.height)
        return f"texts read in a video without any: {len(watcher.finish(end))}"


def _format(choice: Choice, sample: Path) -> str:
    way = registry.load("formats", choice.name)
    if way.write is None:
        return "reads"
    captions = tuple(Caption(Span(20.0 * k, 20.0 * k + 20.0), f"Part {k}") for k in range(3))
    way.text_of([Track("0123456789abcdef", "segment", Source("doctor"), captions, "sample.mp4", 60.0)])
    return "reads and writes" if way.read else "writes"


def _import(choice: Choice, sample: Path) -> str:
    return f"imported from {importlib.import_module(registry.module(choice.shelf, choice.name).__name__).__name__}"


_TRIALS: Mapping[str, Callable[[Choice, Path], str]] = {
    "segmenters": _segmenter,
    "describers": _describer,
    "transcribers": _transcriber,
    "readers": _reader,
    "chat_models": _import,
    "encoders": _import,
    "finders": _import,
    "judges": _import,
    "benchmarks": _import,
    "formats": _format,
}

"""The command line: what was asked for becomes a call of a verb, what comes back becomes an outline or JSON.

Results go to stdout, everything else to stderr. Exit codes: 0 all is well, 1 some videos failed, 2 the command
cannot be meant, 3 nothing in it could be used; 130 after Ctrl-C, 141 when the reader of our output went away.
Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import math
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longshot import __version__
from longshot.errors import FormatError, LongshotError, MediaError, MissingPackage, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from longshot.clips import ClipRules
    from longshot.journal import State
    from longshot.scaling.verbs import Done, Verb
    from longshot.video import Video

OK, SOME_FAILED, USAGE, NOTHING_USABLE, STOPPED, READER_GONE = 0, 1, 2, 3, 130, 141

app = typer.Typer(
    name="longshot",
    help="Video to time-coded text: shots, captions, speech, text on screen, and outlines of long videos.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

# typer brings its own copy of click, and older ones use the package: either way this is the class of its errors.
_ClickError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class _ReaderGone(Exception):
    """Whoever read our output has closed it: `longshot list | head -1`."""


# --- help texts, written once: in the verbs' own docstrings


def _docstring(verb: str) -> str:
    """The docstring of a verb, read from its file without importing it (it brings numpy and the decoder)."""
    source = (Path(__file__).parent / "captioning" / f"{verb}.py").read_text(encoding="utf-8")
    found = re.search(rf'^def {verb}\(.*?"""(.*?)"""', source, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def _help_of(verb: str, argument: str) -> str:
    """What the `Args:` of a verb say about one argument, as one line that begins with a capital."""
    found = re.search(
        rf"^ {{8}}{argument}: (.*?)(?=^ {{8}}\S|^$|^ {{4}}\S|\Z)", _docstring(verb), re.DOTALL | re.MULTILINE
    )
    said = " ".join(found[1].split()) if found else ""
    return said[:1].upper() + said[1:]


def _summary_of(verb: str) -> str:
    return _docstring(verb).strip().partition("\n")[0]


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
    typer.Option("--json/--no-json", help="JSON, one line a video; by default when stdout is no terminal."),
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
Segmenter = Annotated[str, typer.Option(metavar="NAME", help=_help_of("recap", "segmenter"))]
Describer = Annotated[str, typer.Option(metavar="NAME", help=_help_of("recap", "describer"))]
Speech = Annotated[str, typer.Option(metavar="NAME", help=_help_of("recap", "speech"))]
Language = Annotated[str | None, typer.Option(metavar="CODE", help=_help_of("recap", "language"))]
Screen = Annotated[str, typer.Option(metavar="NAME", help=_help_of("recap", "screen"))]


@dataclass(frozen=True, slots=True)
class _How:
    """The options that all verbs share."""

    out: Path | None
    json: bool
    quiet: bool
    device: str
    workers: int | None
    seconds: float | None


def _how(
    out: Path | None, as_json: bool | None, quiet: bool, device: str, workers: int | None, seconds: float | None
) -> _How:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise UsageError(f"no device called {device!r}: there are auto, cpu, cuda, cuda:<number> and mps")
    return _How(out, _is_json(as_json), quiet, "" if device == "auto" else device, workers, seconds)


def _is_json(asked: bool | None) -> bool:
    return not sys.stdout.isatty() if asked is None else asked


# --- the verbs


def _show_version(asked: bool) -> None:
    if asked:
        _emit(f"longshot {__version__}\n")
        raise typer.Exit(OK)


@app.callback()
def _longshot(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass


@app.command("describe", help=_summary_of("describe"), short_help="Put a video, or each part of it, into words.")
def _describe(
    names: Names,
    every: Annotated[str, typer.Option(metavar="WHAT", help=_help_of("describe", "every"))] = "video",
    describer: Describer = "observer",
    segmenter: Segmenter = "shots",
    speech: Speech = "auto",
    language: Language = None,
    screen: Screen = "auto",
    output: Output = None,
    as_json: AsJson = None,
    quiet: Quiet = False,
    device: Device = "auto",
    workers: Workers = None,
    time_limit: TimeLimit = None,
) -> int:
    options = {
        "every": _every(every),
        "describer": describer,
        "segmenter": segmenter,
        "speech": speech,
        "language": language,
        "screen": screen,
    }
    return _over("describe", options, names, _how(output, as_json, quiet, device, workers, time_limit))


@app.command("recap", help=_summary_of("recap"), short_help="Tell a whole video at every timescale.")
def _recap(
    names: Names,
    describer: Describer = "observer",
    segmenter: Segmenter = "shots",
    speech: Speech = "auto",
    language: Language = None,
    screen: Screen = "auto",
    segment_seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", help=_help_of("recap", "segment_seconds"))
    ] = None,
    output: Output = None,
    as_json: AsJson = None,
    quiet: Quiet = False,
    device: Device = "auto",
    workers: Workers = None,
    time_limit: TimeLimit = None,
) -> int:
    _check_seconds("--segment-seconds", segment_seconds)
    options = {
        "describer": describer,
        "segmenter": segmenter,
        "speech": speech,
        "language": language,
        "screen": screen,
        "segment_seconds": segment_seconds,
    }
    return _over("recap", options, names, _how(output, as_json, quiet, device, workers, time_limit))


@app.command("segment", help=_summary_of("segment"), short_help="Find the shots, and make clips of them.")
def _segment(
    names: Names,
    segmenter: Segmenter = "shots",
    rules: Annotated[
        str | None,
        typer.Option(
            metavar="PRESET", help="Make clips of the shots: clips, lovr, lovr-count, recap-clip, recap-segment."
        ),
    ] = None,
    shortest: Annotated[float | None, typer.Option(metavar="SECONDS", help="No clip is shorter than this.")] = None,
    longest: Annotated[float | None, typer.Option(metavar="SECONDS", help="No clip is longer than this.")] = None,
    count: Annotated[
        str | None, typer.Option(metavar="LOW-HIGH", help="How many clips there should be, such as 64-100.")
    ] = None,
    every: Annotated[float | None, typer.Option(metavar="SECONDS", help=_help_of("segment", "every"))] = None,
    fast: Annotated[bool, typer.Option("--fast", help=_help_of("segment", "fast"))] = False,
    cut: Annotated[bool, typer.Option("--cut", help="Also write each span as a video file, under DIR/clips.")] = False,
    keyframes: Annotated[
        bool,
        typer.Option("--keyframes", help="With --cut: move each cut to the nearest keyframe and copy, losing nothing."),
    ] = False,
    output: Output = None,
    as_json: AsJson = None,
    quiet: Quiet = False,
    device: Device = "auto",
    workers: Workers = None,
    time_limit: TimeLimit = None,
) -> int:
    if cut and output is None:
        raise UsageError("--cut needs a place for the clips: add -o DIR")
    _check_seconds("--every", every)
    if keyframes and not cut:
        raise UsageError("--keyframes says how to cut: add --cut, or leave it out")
    options = {
        "segmenter": "fixed" if every is not None and segmenter == "shots" else segmenter,
        "rules": _rules(rules, shortest, longest, count),
        "every": every,
        "fast": fast,
    }
    clips = str(output / "clips") if cut and output else ""
    how = _how(output, as_json, quiet, device, workers, time_limit)
    return _over("segment", options, names, how, cut=clips, exact=not keyframes)


@app.command(
    "transcribe",
    help="Write down what is said, from subtitles where there are some, else by listening.",
    short_help="Write down what is said.",
)
def _transcribe(
    names: Names,
    speech: Speech = "auto",
    language: Language = None,
    output: Output = None,
    as_json: AsJson = None,
    quiet: Quiet = False,
    device: Device = "auto",
    workers: Workers = None,
    time_limit: TimeLimit = None,
) -> int:
    options = {"speech": speech, "language": language}
    return _over("transcribe", options, names, _how(output, as_json, quiet, device, workers, time_limit))


def _check_seconds(option: str, value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise UsageError(f"{option} is a number of seconds above 0, got {value:g}")


def _every(word: str) -> str | float:
    if word in ("video", "shot", "clip"):
        return word
    with suppress(ValueError):
        seconds = float(word.removesuffix("s"))
        if 0 < seconds < math.inf:
            return seconds
    raise UsageError(f"--every is video, shot, clip or seconds above 0 such as 4 or 4s, got {word!r}")


def _rules(preset: str | None, shortest: float | None, longest: float | None, count: str | None) -> ClipRules | None:
    """The clip rules that the flags ask for: a preset, changed by the others; None when none is given."""
    from longshot import clips

    own: dict[str, Any] = {"shortest": shortest, "longest": longest, "count": _range(count)}
    own = {name: value for name, value in own.items() if value is not None}
    if preset is None and not own:
        return None
    return replace(clips.preset(preset) if preset else clips.ClipRules(), **own)


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9})-(\d{1,9})", text)
    if not found:
        raise UsageError(f"--count is a range such as 64-100, got {text!r}")
    return int(found[1]), int(found[2])


def _over(
    name: str, options: Mapping[str, Any], names: Sequence[str], how: _How, *, cut: str = "", exact: bool = True
) -> int:
    """Do a verb on everything that the names mean, show each result, and sum up."""
    from longshot.scaling.gather import gather
    from longshot.scaling.verbs import Verb, each
    from longshot.terminal import Meter

    verb = Verb(name, options, how.device, cut, exact)
    verb.check()
    ours = [how.out, how.out / "clips", how.out / "tracks"] if how.out else []
    found = gather(names, sound=name == "transcribe", without=ours)
    for problem in found.problems:
        _complain(problem)
    ends: Counter[State] = Counter()
    with Meter(_title(verb, found.paths), quiet=how.quiet) as meter:
        results = each(verb, found.paths, out=how.out, workers=how.workers, seconds=how.seconds, progress=meter)
        for done in results:
            with meter.hidden():
                _show(done, how, first=not ends[done.state])
            ends[done.state] += 1
    if not how.quiet:
        _sum_up(ends, found.skipped, how)
    return _exit_code(ends, len(found.problems))


def _title(verb: Verb, paths: Sequence[str]) -> str:
    from longshot.terminal import plain

    return f"{verb.name} {plain(Path(paths[0]).name)}" if len(paths) == 1 else verb.name


def _show(done: Done, how: _How, *, first: bool) -> None:
    from longshot.journal import State
    from longshot.terminal import show

    if how.json:
        _emit_json(_object_of(done))
    if done.state is not State.DONE:
        _complain(done.reason)
        if done.trace and _debugging():
            sys.stderr.write(done.trace)
        return
    if done.damage and how.json and not how.quiet:
        _complain(f"{done.path}: damaged: {done.damage}")
    if not how.json:
        _print(show(done.tracks, record=done.record, path=done.path, damage=done.damage), blank_before=not first)


def _object_of(done: Done) -> dict[str, Any]:
    from longshot.terminal import track_object, video_object

    row: dict[str, Any] = {"path": done.path, "state": done.state.value}
    row |= {"reason": done.reason} if done.reason else {}
    if done.record:
        row |= {"video": video_object(done.record)}
        row |= {"damage": done.damage} if done.damage else {}
        row |= {"clips": list(done.clips)} if done.clips else {}
        row |= {"tracks": [track_object(track) for track in done.tracks]}
    return row


def _sum_up(ends: Counter[State], skipped: Sequence[str], how: _How) -> None:
    """Say what became of many videos, and what was left out."""
    from longshot.journal import State

    parts = []
    if ends.total() > 1:
        parts.append(f"{ends.total()} videos: " + ", ".join(f"{ends[end]} {end}" for end in State if ends[end]))
    if skipped:
        names = ", ".join(Path(path).name for path in skipped[:3]) + (", …" if len(skipped) > 3 else "")
        parts.append(f"{_files(len(skipped))} skipped: {names}")
    if how.out and ends[State.DONE]:
        parts.append(f"the tracks are in {how.out / 'tracks'}")
    if parts:
        _complain("; ".join(parts))


def _files(count: int) -> str:
    return "1 file that is no video was" if count == 1 else f"{count} files that are no videos were"


def _exit_code(ends: Counter[State], problems: int) -> int:
    from longshot.journal import State

    if ends[State.DONE]:
        return OK if ends[State.DONE] == ends.total() and not problems else SOME_FAILED
    return SOME_FAILED if ends[State.FAILED] + ends[State.REFUSED] else NOTHING_USABLE


# --- the other commands


@app.command(
    "export",
    help="Turn tracks into files of other programs: subtitles, chapters, tables, pages.",
    short_help="Turn tracks into subtitles, chapters, tables, pages.",
)
def _export(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="TRACKS...", help="A folder written with -o, or track files.", show_default=False),
    ],
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            "-t",
            metavar="FORMAT",
            help="A format, also with its kind: srt, vtt:chapters, markdown. May be repeated.",
            show_default=False,
        ),
    ] = None,
    level: Annotated[str, typer.Option(metavar="LEVEL", help=_help_of("export", "level"))] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write files here; without it, the text of one goes to stdout."
        ),
    ] = None,
) -> int:
    from longshot import registry
    from longshot.captioning.export import export_files

    if not to:
        raise UsageError(f"--to says which format: {', '.join(registry.choices('formats'))}")
    for source in sources:
        if not os.path.exists(source):
            raise MediaError(source, "there is no such file or folder")
    if output is None:
        _emit(_one_export(sources, to, level))
        return OK
    for path in export_files(sources, output, to, level=level):
        _emit(f"{path}\n")
    return OK


def _one_export(sources: Sequence[str], to: Sequence[str], level: str) -> str:
    """The text of the only file that this export would give."""
    from longshot.captioning.export import export
    from longshot.library import Library, read_tracks, video_beside

    if len(to) > 1:
        raise UsageError("several formats cannot share stdout: add -o DIR")
    tracks, records = [], []
    for source in sources:
        if os.path.isdir(source):
            library = Library(source)
            for record in library.videos():
                records.append(record)
                tracks += library.tracks(record.id)
        else:
            tracks += read_tracks(source)
            records += [record for record in (video_beside(Path(source)),) if record]
    if len({track.video for track in tracks}) > 1:
        raise UsageError("tracks of several videos cannot share stdout: add -o DIR, or name the tracks of one")
    return export(tracks, to[0], level=level, media=next((record.path for record in records), ""))


@app.command(
    "probe",
    help="Show what a file says of itself: length, size, streams, chapters.",
    short_help="Show what a file says of itself.",
)
def _probe(names: Names, as_json: AsJson = None) -> int:
    from longshot.scaling.gather import gather
    from longshot.terminal import facts
    from longshot.video import open_video

    found = gather(names, sound=True)
    for problem in found.problems:
        _complain(problem)
    good = 0
    for path in found.paths:
        try:
            with open_video(path) as video:
                header = _header(video)
        except MediaError as error:
            _complain(str(error))
            if _is_json(as_json):
                _emit_json({"path": path, "state": "unreadable", "reason": str(error)})
            continue
        if _is_json(as_json):
            _emit_json({"path": path, "state": "done", **header})
        else:
            _print(facts(_header_rows(header), title=path), blank_before=good > 0)
        good += 1
    if good == len(found.paths) and not found.problems:
        return OK
    return SOME_FAILED if good else NOTHING_USABLE


def _header(video: Video) -> dict[str, Any]:
    return {
        "id": video.id,
        "name": video.name,
        "container": video.format,
        "duration": video.duration,
        "size": list(video.size) if video.has_video else None,
        "fps": video.fps if video.has_video else None,
        "codec": video.codec,
        "audio": video.has_audio,
        "chapters": [
            {"start": chapter.span.start, "end": chapter.span.end, "text": chapter.text} for chapter in video.chapters
        ],
        "subtitles": [
            {
                "index": one.index,
                "language": one.language,
                "codec": one.codec,
                "title": one.title,
                "default": one.default,
            }
            for one in video.subtitles
        ],
        "damage": str(video.damage) if video.damage else "",
    }


def _header_rows(header: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    from longshot.terminal import plain
    from longshot.timeline import clock

    size = header["size"]
    yield "id", header["id"]
    yield "container", header["container"]
    yield "duration", f"{clock(header['duration'], millis=True)}  ({header['duration']:.3f} s)"
    yield "pictures", f"{size[0]}×{size[1]}, {header['fps']:.4g} fps, {header['codec']}" if size else "none"
    yield "sound", "yes" if header["audio"] else "none"
    for chapter in header["chapters"]:
        yield "chapter", f"{clock(chapter['start'])}  {plain(chapter['text'])}"
    for one in header["subtitles"]:
        words = [one["language"], one["codec"], one["title"], "default" if one["default"] else ""]
        yield "subtitles", ", ".join(plain(word) for word in words if word)
    yield "damage", header["damage"]


@app.command(
    "list",
    help="List what there is to choose from, and what to install for the rest.",
    short_help="List what there is to choose from.",
)
def _list(
    shelf: Annotated[
        str | None,
        typer.Argument(
            metavar="SHELF",
            help="Only this: segmenters, transcribers, readers, describers, formats.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = None,
) -> int:
    from longshot import registry

    shelves = [shelf] if shelf else list(registry.SHELVES)
    found = [choice for name in shelves for choice in registry.choices(name).values()]
    if _is_json(as_json):
        for choice in found:
            _emit_json(
                {
                    "shelf": choice.shelf,
                    "name": choice.name,
                    "summary": choice.summary,
                    "missing": list(choice.missing),
                    "install": choice.install,
                    "provider": choice.provider,
                }
            )
        return OK
    from longshot.terminal import parts

    _print(parts((choice.shelf, choice.name, choice.summary, choice.install) for choice in found))
    return OK


@app.command(
    "doctor",
    help="Try every part for real, and say what to install for those that do not work here.",
    short_help="Try every part, and say what to install.",
)
def _doctor(as_json: AsJson = None) -> int:
    from longshot.doctor import examine
    from longshot.terminal import Meter, checks

    with Meter("doctor") as meter:
        found = list(examine(progress=meter))
    if _is_json(as_json):
        for part in found:
            _emit_json({"part": part.name, "works": part.works, "detail": part.detail, "advice": part.advice})
    else:
        _print(checks((part.name, part.works, part.detail, part.advice) for part in found))
    return OK


# --- in and out


def _emit(text: str) -> None:
    """Write to stdout, at once and as UTF-8, whatever the locale says. Raises _ReaderGone when nobody reads it."""
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
        raise _ReaderGone from None


def _emit_json(value: Mapping[str, Any]) -> None:
    _emit(_as_json(value) + "\n")


def _as_json(value: Mapping[str, Any]) -> str:
    from longshot.formats._header import dump

    return dump(value)


def _print(what: RenderableType, *, blank_before: bool = False) -> None:
    from longshot.terminal import console_for

    console = console_for(sys.stdout)
    with console.capture() as captured:
        console.print(what)
    # Columns are filled up with blanks, which nobody wants in a file.
    lines = [line.rstrip() if not console.is_terminal else line for line in captured.get().splitlines()]
    _emit("\n" * blank_before + "\n".join(lines) + "\n")


def _complain(message: str) -> None:
    """One line on stderr, with our name before it."""
    line = re.sub(r"[\x00-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", " ".join(message.split()))
    with suppress(OSError, ValueError):
        sys.stderr.write(f"longshot: {line}\n")
        sys.stderr.flush()


def _debugging() -> bool:
    return os.environ.get("LONGSHOT_DEBUG", "") not in ("", "0")


_CODES: tuple[tuple[type[LongshotError], int], ...] = (
    (UsageError, USAGE),
    (MissingPackage, USAGE),
    (MediaError, NOTHING_USABLE),
    (FormatError, NOTHING_USABLE),
)


def run(arguments: Sequence[str]) -> int:
    """Do one command and return its exit code; every error is one line on stderr."""
    try:
        code = app(list(arguments) or ["--help"], prog_name="longshot", standalone_mode=False) or OK
        if code == STOPPED:  # newer typers answer Ctrl-C themselves
            raise KeyboardInterrupt
        return code if arguments else USAGE
    except _ClickError as error:
        _complain(f"{error.format_message().rstrip('.')}; see: longshot --help")  # type: ignore[attr-defined]
        return USAGE
    except LongshotError as error:
        if _debugging():
            traceback.print_exc()
        _complain(str(error))
        return next((code for kind, code in _CODES if isinstance(error, kind)), SOME_FAILED)
    except _ReaderGone:
        return READER_GONE
    except (typer.Abort, KeyboardInterrupt):
        _complain("stopped; what is done is kept")
        return STOPPED
    except Exception as error:
        if _debugging():
            traceback.print_exc()
        _complain(f"{type(error).__name__}: {error} (this is a bug in longshot; LONGSHOT_DEBUG=1 shows where)")
        return SOME_FAILED


def main() -> None:
    """The console script."""
    # A name that is no UTF-8 must not break the line that speaks about it.
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))

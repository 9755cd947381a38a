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
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longshot import __version__, cli_eval, cli_library
from longshot.cli_options import (
    AsJson,
    Describer,
    Device,
    FrameCount,
    How,
    Language,
    Model,
    Names,
    Output,
    PromptName,
    Quiet,
    RemoteCode,
    Screen,
    Segmenter,
    Settings,
    Speech,
    TimeLimit,
    Workers,
    check_seconds,
    help_of,
    how_of,
    model_of,
    summary_of,
)
from longshot.errors import FormatError, LongshotError, MediaError, MissingPackage, ModelError, UsageError
from longshot.saying import (
    NOTHING_USABLE,
    OK,
    READER_GONE,
    SOME_FAILED,
    STOPPED,
    USAGE,
    ReaderGone,
    complain,
    debugging,
    emit,
    emit_drawing,
    emit_json,
    is_json,
)
from longshot.settings import cache_folder, loading_of

if TYPE_CHECKING:
    from longshot.clips import ClipRules
    from longshot.journal import Result, State
    from longshot.scaling.verbs import Done, ModelChoice, Verb
    from longshot.timeline import Track
    from longshot.video import Video


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


# --- the verbs


def _show_version(asked: bool) -> None:
    if asked:
        emit(f"longshot {__version__}\n")
        raise typer.Exit(OK)


@app.callback()
def _longshot(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass


@app.command("describe", help=summary_of("describe"), short_help="Put a video, or each part of it, into words.")
def _describe(
    names: Names,
    every: Annotated[str, typer.Option(metavar="WHAT", help=help_of("describe", "every"))] = "video",
    describer: Describer = "observer",
    model: Model = None,
    prompt: PromptName = "clip",
    frames: FrameCount = -1,
    sets: Settings = None,
    remote_code: RemoteCode = False,
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
    how = how_of(output, as_json, quiet, device, workers, time_limit)
    choice = model_of(model, describer, how, sets or (), prompt=prompt, frames=frames, remote_code=remote_code)
    return _over("describe", options, names, how, model=choice)


@app.command("recap", help=summary_of("recap"), short_help="Tell a whole video at every timescale.")
def _recap(
    names: Names,
    describer: Describer = "observer",
    model: Model = None,
    prompt: PromptName = "clip",
    frames: FrameCount = -1,
    sets: Settings = None,
    remote_code: RemoteCode = False,
    segmenter: Segmenter = "shots",
    speech: Speech = "auto",
    language: Language = None,
    screen: Screen = "auto",
    segment_seconds: Annotated[
        float | None, typer.Option(metavar="SECONDS", help=help_of("recap", "segment_seconds"))
    ] = None,
    output: Output = None,
    as_json: AsJson = None,
    quiet: Quiet = False,
    device: Device = "auto",
    workers: Workers = None,
    time_limit: TimeLimit = None,
) -> int:
    check_seconds("--segment-seconds", segment_seconds)
    options = {
        "describer": describer,
        "segmenter": segmenter,
        "speech": speech,
        "language": language,
        "screen": screen,
        "segment_seconds": segment_seconds,
    }
    how = how_of(output, as_json, quiet, device, workers, time_limit)
    choice = model_of(model, describer, how, sets or (), prompt=prompt, frames=frames, remote_code=remote_code)
    return _over("recap", options, names, how, model=choice)


@app.command("segment", help=summary_of("segment"), short_help="Find the shots, and make clips of them.")
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
    every: Annotated[float | None, typer.Option(metavar="SECONDS", help=help_of("segment", "every"))] = None,
    fast: Annotated[bool, typer.Option("--fast", help=help_of("segment", "fast"))] = False,
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
    check_seconds("--every", every)
    if keyframes and not cut:
        raise UsageError("--keyframes says how to cut: add --cut, or leave it out")
    options = {
        "segmenter": "fixed" if every is not None and segmenter == "shots" else segmenter,
        "rules": _rules(rules, shortest, longest, count),
        "every": every,
        "fast": fast,
    }
    clips = str(output / "clips") if cut and output else ""
    how = how_of(output, as_json, quiet, device, workers, time_limit)
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
    return _over("transcribe", options, names, how_of(output, as_json, quiet, device, workers, time_limit))


@app.command("merge", help=summary_of("merge"), short_help="Join the captions of clips into one long text.")
def _merge(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="TRACKS...", help="Folders written with -o, or track files.", show_default=False),
    ],
    model: Model = None,
    level: Annotated[str, typer.Option(metavar="LEVEL", help="The captions to join.")] = "clip",
    cluster: Annotated[int, typer.Option(metavar="N", help=help_of("merge", "cluster"))] = 10,
    sets: Settings = None,
    remote_code: RemoteCode = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Keep the tracks and the model's answers here.")
    ] = None,
    as_json: AsJson = None,
    quiet: Quiet = False,
    device: Device = "auto",
) -> int:
    from longshot.asking import Desk
    from longshot.captioning.merge import merge
    from longshot.library import Library
    from longshot.models import open_chat_model
    from longshot.terminal import Meter, show, track_object

    if model is None:
        raise UsageError("merge asks a model: say which, with --model NAME")
    tracks = _tracks_of(sources, level)
    how = how_of(output, as_json, quiet, device, None, None)
    loading, settings = loading_of(sets or (), how.device, remote_code)
    folder = (output or cache_folder()) / "answers"
    with Desk(open_chat_model(model, loading=loading, settings=settings)) as desk, Meter("merge", quiet=quiet) as meter:
        failed = 0
        for track in tracks:
            made = merge(track, model=desk, cluster=cluster, answers=folder / f"{track.video}.jsonl", progress=meter)
            failed += sum("state" in caption.details for one in made for caption in one)
            for one in made if output else ():
                Library(output or "").save(one)
            with meter.hidden():
                if how.json:
                    emit_json({"video": track.video, "name": track.name, "tracks": [*map(track_object, made)]})
                else:
                    emit_drawing(show(made, path=track.name), blank_before=track is not tracks[0])
    if failed:
        complain(f"{failed} texts are not joined throughout, because answers failed; repeat the command to ask again")
    return SOME_FAILED if failed else OK


def _tracks_of(sources: Sequence[str], level: str) -> list[Track]:
    """The tracks of one level in libraries and track files. Raises UsageError when there are none."""
    from longshot.library import Library, read_tracks

    found: list[Track] = []
    for source in sources:
        if not os.path.exists(source):
            raise MediaError(source, "there is no such file or folder")
        if os.path.isdir(source):
            library = Library(source)
            tracks = [track for record in library.videos() for track in library.tracks(record.id)]
        else:
            tracks = list(read_tracks(source))
        chosen = [track for track in tracks if track.level == level]
        if not chosen:
            levels = ", ".join(sorted({track.level for track in tracks})) or "nothing"
            raise UsageError(f"{source} has no captions of level {level!r} to join: it holds {levels}; see --level")
        found += chosen
    return found


@app.command("embed", help=summary_of("embed"), short_help="Turn videos into vectors, in Parquet files.")
def _embed(
    names: Names,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", "-e", metavar="NAME", help=help_of("embed", "encoder"), show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PLACE", help="A folder for one file a video, or one file such as all.parquet."
        ),
    ] = None,
    every: Annotated[str, typer.Option(metavar="WHAT", help=help_of("embed", "every"))] = "clip",
    frames: Annotated[int, typer.Option("--frames", metavar="N", help=help_of("embed", "frames"))] = 0,
    pooling: Annotated[str, typer.Option(metavar="NAME", help=help_of("embed", "pooling"))] = "",
    segmenter: Segmenter = "shots",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="dtype, attention, bits, batch.", show_default=False),
    ] = None,
    remote_code: RemoteCode = False,
    as_json: AsJson = None,
    quiet: Quiet = False,
    device: Device = "auto",
    workers: Workers = None,
    time_limit: TimeLimit = None,
) -> int:
    from longshot.scaling.gather import gather
    from longshot.searching.embed import check_every, embed_each
    from longshot.terminal import Meter

    if encoder is None:
        raise UsageError("embed needs an encoder: say which, with --encoder NAME; longshot list encoders")
    if output is None:
        raise UsageError("embed writes Parquet files: say where, with -o DIR or -o FILE.parquet")
    wanted = _every(every)
    check_every(wanted)
    how = how_of(output, as_json, quiet, device, workers, time_limit)
    loading, rest = loading_of(sets or (), how.device, remote_code)
    if rest:
        raise UsageError(f"an encoder has no setting {next(iter(rest))!r}: there are dtype, attention, bits, batch")
    one_file = output.suffix == ".parquet"
    folder = output.with_name(f"{output.name}.parts") if one_file else output
    found = gather(names, without=[folder])
    for problem in found.problems:
        complain(problem)
    from longshot.models import open_encoder

    opened = open_encoder(encoder, loading=loading, pooling=pooling)
    ends: Counter[State] = Counter()
    files: list[Path] = []
    with Meter("embed", quiet=quiet) as meter:
        results = embed_each(
            found.paths,
            folder,
            encoder=opened,
            every=wanted,
            frames=frames,
            pooling=pooling,
            segmenter=segmenter,
            workers=workers,
            seconds=time_limit,
            progress=meter,
        )
        for path, result in results:
            ends[result.state] += 1
            files += [Path(result.value["file"])] if result.value else []
            with meter.hidden():
                _show_vectors(path, result, how)
    if one_file and files:
        _join_files(files, output, folder)
    if not quiet and files:
        complain(f"the vectors are in {output}")
    return _exit_code(ends, len(found.problems))


def _show_vectors(path: str, result: Result, how: How) -> None:
    if how.json:
        said = {"path": path, "state": result.state.value, **(result.value or {})}
        emit_json(said | ({"reason": result.reason} if result.reason else {}))
    elif result.value:
        from longshot.terminal import plain

        emit(f"{plain(path)}: {result.value['vectors']} vectors of {result.value['dimension']} numbers\n")
    if result.reason:
        complain(result.reason)


def _join_files(files: Sequence[Path], output: Path, folder: Path) -> None:
    """Files of vectors as one; the parts go when it is whole."""
    from longshot.vectors import joined, read_vectors, write_vectors

    files = list(dict.fromkeys(files))
    write_vectors(joined([read_vectors(file) for file in files]), output)
    for file in files:
        file.unlink()
    with suppress(OSError):  # it holds something else of the user's
        folder.rmdir()


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
    name: str,
    options: Mapping[str, Any],
    names: Sequence[str],
    how: How,
    *,
    cut: str = "",
    exact: bool = True,
    model: ModelChoice | None = None,
) -> int:
    """Do a verb on everything that the names mean, show each result, and sum up."""
    from longshot.scaling.gather import gather
    from longshot.scaling.verbs import Verb, each
    from longshot.terminal import Meter

    verb = Verb(name, options, how.device, cut, exact, model)
    verb.check()
    ours = [how.out, how.out / "clips", how.out / "tracks"] if how.out else []
    found = gather(names, sound=name == "transcribe", without=ours)
    for problem in found.problems:
        complain(problem)
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


def _show(done: Done, how: How, *, first: bool) -> None:
    from longshot.journal import State
    from longshot.terminal import show

    if how.json:
        emit_json(_object_of(done))
    if done.state is not State.DONE:
        complain(done.reason)
        if done.trace and debugging():
            sys.stderr.write(done.trace)
        return
    if done.damage and how.json and not how.quiet:
        complain(f"{done.path}: damaged: {done.damage}")
    if not how.json:
        emit_drawing(show(done.tracks, record=done.record, path=done.path, damage=done.damage), blank_before=not first)


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


def _sum_up(ends: Counter[State], skipped: Sequence[str], how: How) -> None:
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
        complain("; ".join(parts))


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
        typer.Argument(
            metavar="TRACKS...",
            help="A folder written with -o, track files, or videos of the library.",
            show_default=False,
        ),
    ],
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            "--format",
            "-t",
            metavar="FORMAT",
            help="A format, also with its kind: srt, vtt:chapters, html. May be repeated.",
            show_default=False,
        ),
    ] = None,
    level: Annotated[str, typer.Option(metavar="LEVEL", help=help_of("export", "level"))] = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write files here; without it, the text of one goes to stdout."
        ),
    ] = None,
    library: cli_library.Place = None,
) -> int:
    from longshot import registry
    from longshot.captioning.export import export_files

    if not to:
        raise UsageError(f"--to says which format: {', '.join(registry.choices('formats'))}")
    found = [tracks for source in sources for tracks in _exported(source, library)]
    if output is None:
        emit(_one_export(found, to, level))
        return OK
    for path in export_files(found, output, to, level=level):
        emit(f"{path}\n")
    return OK


def _exported(source: str, library: str | None) -> list[str]:
    """The track files that a source means: itself, or those of a video of the library."""
    from longshot.library import Library
    from longshot.scaling.gather import kind_of

    if os.path.exists(source) and kind_of(source) not in ("video", "sound"):
        return [source]
    try:
        shelf = Library.open(library)
        return [str(path) for record in shelf.find(source) for path in shelf.track_paths(record.id)]
    except UsageError as error:
        if os.path.exists(source):
            raise UsageError(f"{source} is a video, and its tracks are exported: {error}") from error
        raise MediaError(source, "there is no such file or folder") from error


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
        complain(problem)
    good = 0
    for path in found.paths:
        try:
            with open_video(path) as video:
                header = _header(video)
        except MediaError as error:
            complain(str(error))
            if is_json(as_json):
                emit_json({"path": path, "state": "unreadable", "reason": str(error)})
            continue
        if is_json(as_json):
            emit_json({"path": path, "state": "done", **header})
        else:
            emit_drawing(facts(_header_rows(header), title=path), blank_before=good > 0)
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
            help="Only this shelf: segmenters, encoders, finders and so on; or videos, for those of the library.",
            show_default=False,
        ),
    ] = None,
    library: cli_library.Place = None,
    as_json: AsJson = None,
) -> int:
    from longshot import registry

    if shelf == "videos":
        return cli_library.list_videos(library, as_json)

    shelves = [shelf] if shelf else list(registry.SHELVES)
    found = [choice for name in shelves for choice in registry.choices(name).values()]
    kinds = [family for name in shelves for family in registry.families(name)] if shelf else []
    if is_json(as_json):
        for choice in found:
            emit_json(
                {
                    "shelf": choice.shelf,
                    "name": choice.name,
                    "summary": choice.summary,
                    "missing": list(choice.missing),
                    "install": choice.install,
                    "provider": choice.provider,
                }
            )
        for family in kinds:
            emit_json({"family": family.name, **asdict(family), "name": family.engine})
        return OK
    from longshot.terminal import families, parts

    emit_drawing(parts((choice.shelf, choice.name, choice.summary, choice.install) for choice in found))
    if kinds:
        emit_drawing(families(kinds))
    return OK


@app.command(
    "doctor",
    help="Try every part for real, and say what to install for those that do not work here.",
    short_help="Try every part, and say what to install.",
)
def _doctor(
    clock: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Instead, ask this chat model or server what time frames show, and say how far off it is.",
            show_default=False,
        ),
    ] = None,
    sets: Settings = None,
    remote_code: RemoteCode = False,
    device: Device = "auto",
    as_json: AsJson = None,
) -> int:
    if clock is not None:
        return _clock(clock, sets or (), how_of(None, as_json, False, device, None, None), remote_code)
    from longshot.doctor import examine
    from longshot.terminal import Meter, checks

    with Meter("doctor") as meter:
        found = list(examine(progress=meter))
    if is_json(as_json):
        for part in found:
            emit_json({"part": part.name, "works": part.works, "detail": part.detail, "advice": part.advice})
    else:
        emit_drawing(checks((part.name, part.works, part.detail, part.advice) for part in found))
    return OK


@app.command(
    "convert",
    help="Make safetensors of pickled weights, without running anything that the pickle says.",
    short_help="Make safetensors of pickled weights.",
)
def _convert(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A folder, or one .bin, .pt, .pth or .ckpt file.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The folder to write.")],
) -> int:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingPackage("torch", "models")
    from longshot.conversion import convert

    for line in convert(old, new):
        emit(f"{line}\n")
    return OK


workers = typer.Typer(help="Environments of models that need packages of their own.", rich_markup_mode=None)
app.add_typer(workers, name="worker", short_help="Environments of models that need packages of their own.")
WorkerName = Annotated[str, typer.Argument(metavar="NAME", help="One of those that `longshot worker list` shows.")]


@workers.command("list", help="Show the environments and whether they are set up.")
def _worker_list(as_json: AsJson = None) -> int:
    from longshot.workers import folder_of, installed, names

    for name in names():
        ready = installed(name)
        if is_json(as_json):
            emit_json({"name": name, "ready": ready, "folder": str(folder_of(name))})
        else:
            emit(f"{name}  {'ready' if ready else 'not set up; longshot worker setup ' + name}\n")
    return OK


@workers.command("setup", help="Install an environment, from exact versions, beside this one.")
def _worker_setup(name: WorkerName) -> int:
    from longshot.workers import setup

    emit(f"{setup(name, progress=complain)}\n")
    return OK


@workers.command("remove", help="Delete an environment.")
def _worker_remove(name: WorkerName) -> int:
    from longshot.workers import remove

    complain(f"{name} is removed" if remove(name) else f"{name} was not set up")
    return OK


def _clock(name: str, sets: Sequence[str], how: How, remote_code: bool) -> int:
    """Ask a model for the time, and show every answer beside the truth."""
    from longshot.clock_check import clock_check, summary
    from longshot.models import open_chat_model

    loading, settings = loading_of(sets, how.device, remote_code)
    readings = clock_check(open_chat_model(name, loading=loading, settings=settings))
    if how.json:
        for one in readings:
            emit_json({**asdict(one), "error": one.error})
        return OK
    for one in readings:
        said = "no answer" if one.answered is None else f"{one.answered:g} s"
        emit(f"{one.kind:5}  shown at {one.true:4.1f} s  answered {said}\n")
    for kind in ("read", "place"):
        emit(f"{kind:5}  {summary(readings, kind)}\n")
    return OK


app.registered_commands = [
    *cli_library.app.registered_commands,
    *app.registered_commands,
    *cli_eval.app.registered_commands,
]

_CODES: tuple[tuple[type[LongshotError], int], ...] = (
    (UsageError, USAGE),
    (MissingPackage, USAGE),
    (ModelError, USAGE),
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
        complain(f"{error.format_message().rstrip('.')}; see: longshot --help")  # type: ignore[attr-defined]
        return USAGE
    except LongshotError as error:
        if debugging():
            traceback.print_exc()
        complain(str(error))
        return next((code for kind, code in _CODES if isinstance(error, kind)), SOME_FAILED)
    except ReaderGone:
        return READER_GONE
    except (typer.Abort, KeyboardInterrupt):
        complain("stopped; what is done is kept")
        return STOPPED
    except Exception as error:
        if debugging():
            traceback.print_exc()
        complain(f"{type(error).__name__}: {error} (this is a bug in longshot; LONGSHOT_DEBUG=1 shows where)")
        return SOME_FAILED


def main() -> None:
    """The console script."""
    # A name that is no UTF-8 must not break the line that speaks about it.
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))

"""The commands of a library: add, search, find, view, index, remove, info, verify. `cli` adds them to its own."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longshot.cli_options import (
    AsJson,
    Describer,
    Device,
    FrameCount,
    Language,
    Model,
    Names,
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
from longshot.errors import UsageError
from longshot.journal import State
from longshot.saying import (
    NOTHING_USABLE,
    OK,
    SOME_FAILED,
    complain,
    emit,
    emit_drawing,
    emit_json,
    is_json,
)
from longshot.settings import cache_folder, check_loading, loading_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from longshot.library import Library
    from longshot.searching.add import Added
    from longshot.searching.fill import Fill
    from longshot.searching.moments import Found

app = typer.Typer()

Place = Annotated[
    str | None,
    typer.Option(
        "--library",
        "-L",
        metavar="DIR",
        help="The library: a folder, or an address such as s3://bucket/videos. LONGSHOT_LIBRARY otherwise.",
        show_default=False,
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option("--encoder", metavar="NAME", help="Also make vectors of the pictures, with this encoder."),
]
TextVectors = Annotated[
    str, typer.Option("--vectors", metavar="NAME", help="Who makes vectors of texts: auto, none, or an encoder.")
]
Levels = Annotated[
    list[str] | None,
    typer.Option("--level", metavar="LEVEL", help="Only this level: speech, screen, clip, …", show_default=False),
]
Limit = Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="How many moments.")]


# --- filling it


@app.command("add", help=summary_of("add"), short_help="Put videos into a library that can be searched.")
def _add(
    names: Names,
    library: Place = None,
    encoder: Encoder = None,
    vectors: TextVectors = "auto",
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
    as_json: AsJson = None,
    quiet: Quiet = False,
    device: Device = "auto",
    workers: Workers = None,
    time_limit: TimeLimit = None,
) -> int:
    check_seconds("--segment-seconds", segment_seconds)
    shelf = _open(library, create=True)
    how = how_of(shelf.folder, as_json, quiet, device, workers, time_limit)
    choice = model_of(model, describer, how, sets or (), prompt=prompt, frames=frames, remote_code=remote_code)
    fill = _fill(shelf, vectors, encoder, how.device, remote_code, quiet=quiet)
    from longshot.searching.add import add
    from longshot.terminal import Meter

    ends: Counter[State] = Counter()
    kinds: Counter[str] = Counter()
    with Meter("add", quiet=quiet) as meter:
        for added in add(
            names,
            shelf,
            describer=describer,
            model=choice,
            segmenter=segmenter,
            speech=speech,
            language=language,
            screen=screen,
            segment_seconds=segment_seconds,
            device=how.device,
            fill=fill,
            workers=workers,
            seconds=time_limit,
            progress=meter,
        ):
            with meter.hidden():
                _show_added(added, how.json, quiet)
            if added.path:
                ends[added.state] += 1
            kinds[added.what if added.state is State.DONE else "problem"] += 1
    _say_notes(fill)
    if not quiet:
        said = ", ".join(f"{count} {what}" for what, count in kinds.items() if what != "problem")
        complain(f"{said or 'nothing was added'}; the library is {library or shelf.folder}")
    if ends[State.DONE]:
        return OK if not kinds["problem"] else SOME_FAILED
    return SOME_FAILED if ends[State.FAILED] + ends[State.REFUSED] else NOTHING_USABLE


def _show_added(added: Added, as_json: bool, quiet: bool) -> None:
    from longshot.saying import debugging
    from longshot.terminal import counted, plain

    levels = {track.level: len(track) for track in added.tracks}
    if as_json:
        row: dict[str, Any] = {"path": added.path, "state": added.state.value, "what": added.what}
        row |= {"reason": added.reason} if added.reason else {}
        row |= {"video": added.record.id, "rows": added.rows} if added.record else {}
        row |= {"levels": levels} if levels else {}
        row |= {"damage": added.damage} if added.damage else {}
        row |= {"replaced": added.replaced} if added.replaced else {}
        emit_json(row)
    if added.state is not State.DONE:
        complain(added.reason)
        if added.trace and debugging():
            complain(added.trace)
    elif not as_json and not (quiet and added.what == "again"):
        parts = [counted(count, level) for level, count in levels.items() if level != "video"]
        parts += [f"damaged: {added.damage}"] if added.damage else []
        emit(f"{added.what:8} {plain(added.path)}{'  ' + ' · '.join(parts) if parts else ''}\n")


@app.command("index", help=summary_of("index"), short_help="Bring the index of a library up to date.")
def _index(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make it anew from the tracks: after damage, or for a new version.")
    ] = False,
    library: Place = None,
    encoder: Encoder = None,
    vectors: TextVectors = "auto",
    remote_code: RemoteCode = False,
    device: Device = "auto",
    as_json: AsJson = None,
    quiet: Quiet = False,
) -> int:
    from longshot.searching.index import index as bring_up_to_date
    from longshot.terminal import Meter

    shelf = _open(library)
    how = how_of(None, as_json, quiet, device, None, None)
    fill = _fill(shelf, vectors, encoder, how.device, remote_code, quiet=quiet)
    with Meter("index", quiet=quiet) as meter:
        done = bring_up_to_date(shelf, rebuild=rebuild, fill=fill, progress=meter)
    for problem in done.problems:
        complain(problem)
    _say_notes(fill)
    shelf.push()
    if how.json:
        emit_json({"videos": done.videos, "rows": done.rows, "problems": list(done.problems)})
    elif not quiet:
        emit(f"{done.videos} videos indexed, {done.rows} captions in {shelf.folder}\n")
    return SOME_FAILED if done.problems else OK


@app.command("remove", help=summary_of("remove"), short_help="Take videos out of a library.")
def _remove(
    names: Annotated[
        list[str], typer.Argument(metavar="VIDEO...", help="Ids, names, paths or patterns.", show_default=False)
    ],
    keep_tracks: Annotated[
        bool, typer.Option("--keep-tracks", help="Only out of the index; their tracks stay in the folder.")
    ] = False,
    library: Place = None,
    as_json: AsJson = None,
) -> int:
    from longshot.searching.remove import remove
    from longshot.terminal import plain

    for removed in remove(_open(library), names, keep_tracks=keep_tracks):
        record = removed.record
        if is_json(as_json):
            emit_json({"video": record.id, "name": record.name, "kept": removed.kept, "captions": removed.captions})
        else:
            kept = "; its tracks are kept" if removed.kept else ""
            emit(f"removed {plain(record.name)} ({record.id}){kept}; the video file is untouched\n")
        if removed.note:
            complain(removed.note)
    return OK


# --- asking it


@app.command("search", help=summary_of("search"), short_help="Find moments in all videos of a library.")
def _search(
    query: Annotated[
        list[str] | None,
        typer.Argument(metavar="[QUERY...]", help="Words; in quotes, an exact phrase.", show_default=False),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option("--like", metavar="FILE", help="Search by a picture or a clip instead.", show_default=False),
    ] = None,
    levels: Levels = None,
    videos: Annotated[
        list[str] | None,
        typer.Option("--video", metavar="VIDEO", help="Only in this: an id, name or pattern.", show_default=False),
    ] = None,
    after: Annotated[str | None, typer.Option(metavar="TIME", help="Only what begins after this: 95 or 1:35.")] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help="Only what begins before this.")] = None,
    longer_than: Annotated[str | None, typer.Option(metavar="TIME", help="Only captions that are longer.")] = None,
    shorter_than: Annotated[str | None, typer.Option(metavar="TIME", help="Only captions that are shorter.")] = None,
    by: Annotated[str, typer.Option(metavar="WAY", help=help_of("search", "how"))] = "auto",
    encoder: Annotated[
        str | None, typer.Option("--encoder", metavar="NAME", help=help_of("search", "encoder"), show_default=False)
    ] = None,
    limit: Limit = 10,
    library: Place = None,
    as_json: AsJson = None,
    quiet: Quiet = False,
) -> int:
    from longshot.searching.search import HOW, search

    if by not in HOW:
        raise UsageError(f"--by is one of {', '.join(HOW)}, got {by[:60]!r}")
    found = search(
        _open(library),
        " ".join(query or ()),
        like=like,
        levels=tuple(levels or ()),
        videos=tuple(videos or ()),
        after=seconds_of("--after", after),
        before=seconds_of("--before", before),
        longer_than=seconds_of("--longer-than", longer_than),
        shorter_than=seconds_of("--shorter-than", shorter_than),
        how=by,
        encoder=encoder,
        limit=limit,
    )
    return _show_found(found, is_json(as_json), quiet, named=True)


@app.command("find", help=summary_of("find"), short_help="Find moments inside one video.")
def _find(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A file, or the id or name of a video in the library.")],
    query: Annotated[list[str], typer.Argument(metavar="QUERY...", help="What it is; in quotes, an exact phrase.")],
    finder: Annotated[
        str, typer.Option("--finder", metavar="NAME", help=help_of("find", "finder"), show_default=False)
    ] = "",
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help=help_of("find", "model"), show_default=False)
    ] = None,
    sets: Settings = None,
    remote_code: RemoteCode = False,
    limit: Limit = 10,
    library: Place = None,
    as_json: AsJson = None,
    quiet: Quiet = False,
    device: Device = "auto",
) -> int:
    from longshot.searching.find import find
    from longshot.terminal import Meter

    how = how_of(None, as_json, quiet, device, None, None)
    finder = finder or ("asking" if model else "matching")
    if (sets or remote_code or model) and finder != "asking":
        raise UsageError("--model, --set and --remote-code say who is asked: they go with --finder asking")
    with Meter("find", quiet=quiet) as meter:
        found = find(
            video,
            " ".join(query),
            finder=finder,
            library=_known(library),
            cache=cache_folder(),
            limit=limit,
            asking=_asking(model, sets or (), how.device, remote_code) if model else None,
            progress=meter,
        )
    return _show_found(found, how.json, quiet, named=False)


def _asking(model: str, sets: Sequence[str], device: str, remote_code: bool) -> dict[str, Any]:
    """The options of the finder that asks a model."""
    from longshot.models import open_chat_model

    loading, settings = loading_of(sets, device, remote_code)
    check_loading(model, loading)
    opened = open_chat_model(model, loading=loading, settings=settings)
    return {"model": opened, "answers": cache_folder() / "answers" / "find.jsonl"}


def _show_found(found: Found, as_json: bool, quiet: bool, *, named: bool) -> int:
    """Moments as JSON, one a line, or drawn; what must be known about them to stderr."""
    from longshot.searching.moments import link

    for hit in found.hits if as_json else ():
        path = found.paths.get(hit.video, "")
        emit_json(
            {
                "video": hit.video,
                "name": found.names.get(hit.video, ""),
                "path": path,
                "start": round(hit.span.start, 6),
                "end": round(hit.span.end, 6),
                "score": round(hit.score, 4),
                "link": link(path, hit.span) if path else "",
                "evidence": [
                    {
                        "level": caption.details.get("level", ""),
                        "id": caption.details.get("id", ""),
                        "start": round(caption.span.start, 6),
                        "end": round(caption.span.end, 6),
                        "text": caption.text,
                        "matched": caption.details.get("matched", []),
                    }
                    for caption in hit.evidence
                ],
            }
        )
    if found.hits and not as_json:
        from longshot.terminal import moments

        emit_drawing(moments(found.hits, paths=found.paths, names=found.names if named else {}))
    for note in found.notes:
        complain(note)
    if not quiet:
        count = "1 moment" if len(found.hits) == 1 else f"{len(found.hits)} moments"
        complain(f"{count if found.hits else 'nothing like that was found'} ({found.how}; {found.seconds:.2f} s)")
    return OK


# --- looking at it


@app.command("view", help="Show a library, a folder written with -o, or one video in a browser, from this machine.")
def _view(
    target: Annotated[
        str | None,
        typer.Argument(metavar="[TARGET]", help="A library or run folder, or one video.", show_default=False),
    ] = None,
    library: Place = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; any other address than this one needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 takes a free one.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="WORD", help="What who looks on must know; made anew when listening elsewhere.", show_default=False
        ),
    ] = None,
    upload: Annotated[bool, typer.Option("--upload", help="Take new videos from the page.")] = False,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    quiet: Quiet = False,
) -> int:
    from longshot.web.server import serve

    folder, video = _viewed(target, library, quiet)
    serve(
        folder,
        video=video,
        host=host,
        port=port,
        token=token,
        upload=upload,
        open_browser=open_page,
        ready=lambda address: emit(f"{address}\n"),
    )
    return OK


def _viewed(target: str | None, library: str | None, quiet: bool) -> tuple[Path, str | None]:
    """The folder that is viewed, and the only video of it. A file that nobody told yet is told first."""
    if target is None:
        return _open(library).folder, None
    if Path(target).is_dir():
        return Path(target), None
    known = _known(library)
    if known is not None and not Path(target).exists():
        return known.folder, known.one(target).id
    from longshot.video import open_video

    with open_video(target) as opened:
        video = opened.id
    if known is not None and known.track_paths(video):
        return known.folder, video
    return _told(target, quiet), video


def _told(path: str, quiet: bool) -> Path:
    """Where the tracks of a file are that is in no library; it is told first unless it was."""
    from longshot.errors import MediaError
    from longshot.scaling.verbs import Verb, each
    from longshot.terminal import Meter

    folder = cache_folder() / "told" / "recap"
    with Meter("recap", quiet=quiet) as meter:
        for done in each(Verb("recap"), [path], out=folder, progress=meter):
            if done.state is not State.DONE:
                raise MediaError(path, done.reason.removeprefix(f"{path}: "))
    return folder


# --- keeping it


@app.command("info", help=summary_of("info"), short_help="Say what a library holds.")
def _info(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[VIDEO]", help="Only this: an id, name or path.", show_default=False),
    ] = None,
    library: Place = None,
    as_json: AsJson = None,
) -> int:
    from longshot.searching.info import info
    from longshot.terminal import facts, plain, video_object
    from longshot.timeline import clock

    shelf = _open(library)
    if name is not None:
        one = info(shelf, name)
        record = one.record
        if is_json(as_json):
            row = {**video_object(record), "state": record.state, "path": record.path}
            emit_json({**row, "captions": dict(one.captions), "rows": one.rows, "bytes": one.bytes})
            return OK
        rows = [
            ("id", record.id),
            ("file", plain(record.path)),
            ("state", f"replaced by {record.by}" if record.by else record.state),
            ("duration", clock(record.duration) if record.duration is not None else ""),
            ("captions", _counts(one.captions)),
            ("in the index", f"{one.rows} captions"),
            ("tracks", _size(one.bytes)),
        ]
        emit_drawing(facts(rows, title=record.name))
        return OK
    whole = info(shelf)
    if is_json(as_json):
        emit_json(
            {
                "folder": whole.folder,
                "videos": whole.videos,
                "seconds": round(whole.seconds, 6),
                "states": dict(whole.states),
                "captions": dict(whole.captions),
                "vectors": {column: str(source) for column, source in whole.vectors.items()},
                "bytes": dict(whole.bytes),
                "index": whole.index,
            }
        )
        return OK
    rows = [
        ("videos", f"{whole.videos}, {clock(whole.seconds)} long in all"),
        ("of them", ", ".join(f"{count} {state}" for state, count in whole.states.items() if count)),
        ("captions", _counts(whole.captions)),
        *(("vectors", f"{source.model} ({column})") for column, source in whole.vectors.items()),
        ("on disk", ", ".join(f"{part} {_size(size)}" for part, size in whole.bytes.items() if size)),
        ("index", whole.index or "holds all of it"),
    ]
    emit_drawing(facts(rows, title=whole.folder))
    return OK


def list_videos(library: str | None, as_json: bool | None) -> int:
    """`longshot list videos`: one line for each video of a library, by name."""
    from longshot.scaling.gather import natural
    from longshot.terminal import plain, video_object
    from longshot.timeline import clock

    for record in sorted(_open(library).videos(), key=lambda record: natural(record.name)):
        if is_json(as_json):
            emit_json({**video_object(record), "state": record.state, "path": record.path})
        else:
            length = clock(record.duration) if record.duration is not None else ""
            state = "" if record.state == "here" else f"  ({record.state})"
            emit(f"{record.id}  {length:>8}  {plain(record.name)}{state}\n")
    return OK


@app.command("verify", help=summary_of("verify"), short_help="Check a library, and say what to do.")
def _verify(
    hashes: Annotated[bool, typer.Option("--hashes/--no-hashes", help=help_of("verify", "hashes"))] = True,
    library: Place = None,
    as_json: AsJson = None,
    quiet: Quiet = False,
) -> int:
    from longshot.searching.verify import verify
    from longshot.terminal import Meter, plain

    shelf = _open(library)
    with Meter("verify", quiet=quiet) as meter:
        findings = verify(shelf, hashes=hashes, progress=meter)
    for one in findings:
        if is_json(as_json):
            emit_json({"what": one.what, "where": one.where, "reason": one.reason, "todo": one.todo})
        else:
            emit(f"{plain(str(one))}\n")
    if not findings and not quiet:
        complain(f"all is well with {shelf.folder}")
    return SOME_FAILED if findings else OK


# --- what they share


def _open(place: str | None, *, create: bool = False) -> Library:
    """The library at a place; of one in an object store the working copy, its index brought up to date."""
    from longshot.library import Library

    library = Library.open(place, create=create)
    if library.behind:
        from longshot.searching.fill import Fill
        from longshot.searching.index import index

        for problem in index(library, fill=Fill(library.folder)).problems:
            complain(problem)
    return library


def _known(place: str | None) -> Library | None:
    """The library that may know a video: one that is named must be there, the usual one need not."""
    from longshot.library import PLACE_VARIABLE, default_place

    named = place or os.environ.get(PLACE_VARIABLE)
    return _open(place) if named or (default_place() / "tracks").is_dir() else None


def _fill(library: Library, text: str, frames: str | None, device: str, remote_code: bool, *, quiet: bool) -> Fill:
    """What makes the vectors of a library; says once why there will be none of texts."""
    from longshot.contracts import Loading
    from longshot.searching.fill import Fill

    fill = Fill(library.folder, text=text, frames=frames, loading=Loading(device=device, remote_code=remote_code))
    if fill.reason and text == "auto" and not quiet:
        complain(fill.reason)
    return fill


def _say_notes(fill: Fill) -> None:
    """What could not be looked at, a line each."""
    for note in dict.fromkeys(fill.notes):
        complain(note)


def _counts(levels: Mapping[str, int]) -> str:
    from longshot.terminal import counted

    return ", ".join(counted(count, level) for level, count in levels.items() if count)


def _size(size: int) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:.3g} GB"


def seconds_of(option: str, text: str | None) -> float | None:
    """Seconds from 95, 95.5, 1:35 or 0:01:35.5; None for None. Raises UsageError for anything else."""
    if text is None:
        return None
    parts = text.strip().split(":")
    if len(parts) <= 3 and all(re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", part) for part in parts):
        return float(sum(float(part) * 60**place for place, part in enumerate(reversed(parts))))
    raise UsageError(f"{option} is a time such as 95, 1:35 or 1:02:03.5, got {text[:60]!r}")

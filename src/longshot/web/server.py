"""The viewer's server: a library in a browser, for whoever sits at this machine.

    serve("library", ready=print)                    # until Ctrl-C
    app("library")                                   # the application alone

    GET  /  /page.css  /page.js                      the page
    GET  /api/videos  /api/videos/ID                 what there is; one video with all its texts
    GET  /api/search?q=  /api/find?video=ID&q=       moments of all videos; of one
    GET  /media/ID  /api/proxy/ID                    the video in byte ranges; how far its proxy is
    GET  /thumb/ID?t=12.0&h=180                      a picture
    GET  /captions/ID/LEVEL.vtt  /export/ID?format=  texts for the player, and to keep
    POST /api/like                                   moments that look like a picture
    POST /api/upload?name=                           a new video, where that was asked for

/media/ID of a video whose proxy is not ready sends it as it grows, without ranges: a player can begin with it, and
should load it again at the same second once /api/proxy/ID says {"state": "ready"}, to seek in all of it.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import math
import os
import secrets
import socket
import tempfile
import threading
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import anyio
import uvicorn
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from longshot.contracts import Progress
from longshot.errors import Busy, LongshotError, MediaError, UsageError
from longshot.web._media import FileBytes, OpenFile, until_gone
from longshot.web._proxy import Playable, Proxies
from longshot.web._proxy import Stage as ProxyStage
from longshot.web._safety import (
    HEADERS,
    LONGEST_QUERY,
    Guard,
    attachment,
    in_script,
    is_loopback,
    refusal,
    without_folders,
)
from longshot.web._seeking import Seeking
from longshot.web._shown import SMALLEST_THUMB, TALLEST_THUMB, Shown, Unknown, check_format, clean
from longshot.web._uploads import LARGEST_UPLOAD, TooLarge, Uploads, adding

PORT = 8765
_MOST_HITS = 200
_LARGEST_PICTURE = 32 << 20  # bytes of a picture to search by
_SHUTDOWN = 0.3  # seconds that open connections are given at the end
_PAGE_TYPES = {"page.css": "text/css", "page.js": "text/javascript"}
_DATA = '<script type="application/json" id="longshot-data">'

Found = TypeVar("Found")


class _Viewer:
    """The state behind the routes of one application."""

    def __init__(self, folder: Path, *, video: str | None, cache: Path | None, uploads: Uploads | None) -> None:
        self.shown = Shown(folder, only=video)
        self.only = video
        self.seeking = Seeking(folder, self.shown)
        self.uploads = uploads
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self.proxies = Proxies(self._proxy_folder(cache or folder / "cache"))
        self.closing = threading.Event()
        # What may run at once, so that pictures for a long list leave room for a search and for the player.
        self.reads, self.thumbs, self.questions = CapacityLimiter(16), CapacityLimiter(2), CapacityLimiter(3)

    def _proxy_folder(self, cache: Path) -> Path:
        """Where proxies are kept: in the library, or as long as the server runs where that cannot be written."""
        there = next(path for path in (cache, *cache.parents) if path.exists())
        if os.access(there, os.W_OK):
            return cache / "proxies"
        self._scratch = tempfile.TemporaryDirectory(prefix="longshot-proxies-")
        return Path(self._scratch.name)

    def close(self) -> None:
        self.closing.set()
        self.proxies.close()
        if self.uploads is not None:
            self.uploads.close()
        self.shown.close()
        if self._scratch is not None:
            self._scratch.cleanup()


def app(
    target: str | os.PathLike[str],
    *,
    video: str | None = None,
    host: str = "127.0.0.1",
    token: str | None = None,
    upload: bool = False,
    cache: str | os.PathLike[str] | None = None,
    largest: int = LARGEST_UPLOAD,
) -> Starlette:
    """The viewer of a library, or of another folder with `tracks/`, as an application.

    Args:
        target: the folder.
        video: the id of the only video to show; None shows all.
        host: the address that will be listened on; it decides which Host headers are taken.
        token: what every request must bring; None on an address of this machine alone.
        upload: take new videos.
        cache: where proxies are kept; None is the folder's own `cache`.
        largest: bytes that an upload may have.

    Raises UsageError for a folder without tracks, an unknown video, and another host without a token.
    """
    folder = Path(target)
    if not (folder / "tracks").is_dir():
        raise UsageError(f"{folder}: nothing to view, there is no tracks/ in it; make some with `longshot add VIDEO`")
    if token is None and not is_loopback(host):
        raise UsageError(f"{host} can be reached from other machines: a token is needed to listen there")
    if token == "":
        raise UsageError("the token is empty: give a word that nobody guesses, or none to have one made")
    uploads = Uploads(folder, largest=largest, command=adding(folder)) if upload else None
    viewer = _Viewer(folder, video=video, cache=Path(cache) if cache else None, uploads=uploads)
    if video is not None and not viewer.shown.ids():
        raise UsageError(f"{folder}: no video {video[:60]!r} in it; there are {len(Shown(folder).ids())} others")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await to_thread.run_sync(viewer.close)

    made = Starlette(
        routes=_routes(viewer),
        middleware=[Middleware(Guard, host=host, token=token)],
        exception_handlers=_HANDLERS,
        lifespan=lifespan,
    )
    made.state.viewer = viewer
    return made


def serve(
    target: str | os.PathLike[str],
    *,
    video: str | None = None,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    upload: bool = False,
    cache: str | os.PathLike[str] | None = None,
    open_browser: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the viewer until Ctrl-C.

    Args:
        target: a library, or another folder with `tracks/`.
        video: the id of the only video to show.
        host: the address to listen on; any but this machine's own needs a token, which is made when none is given.
        port: 0 takes any free one.
        token: what whoever looks on must know.
        upload: take new videos.
        cache: where proxies are kept; None is the folder's own `cache`.
        open_browser: open the page.
        ready: called with the page's address once it is served; the address has the token in it.

    Raises UsageError, in one line, when the port is taken or the host is not this machine's.
    """
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    application = app(target, video=video, host=host, token=token, upload=upload, cache=cache)
    with _listening(host, port) as listener:
        address = _address(host, listener.getsockname()[1], token)
        _Server(application, address, open_browser=open_browser, ready=ready).run_on(listener)


class _Server(uvicorn.Server):
    """uvicorn without its words: it says when it is ready, and ends at the first Ctrl-C."""

    def __init__(
        self, application: ASGIApp, address: str, *, open_browser: bool, ready: Callable[[str], None] | None
    ) -> None:
        config = uvicorn.Config(
            application,
            ws="none",
            lifespan="on",
            access_log=False,  # a token or a search must not lie in a log
            log_config=None,
            log_level="error",
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=1 << 15,
            timeout_keep_alive=30,
            limit_concurrency=256,
            timeout_graceful_shutdown=_SHUTDOWN,  # type: ignore[arg-type]  # a float does as well
        )
        super().__init__(config)
        logging.getLogger("uvicorn.error").addFilter(_is_bug)
        self._address, self._open_browser, self._ready = address, open_browser, ready

    def run_on(self, listener: socket.socket) -> None:
        # uvicorn raises the signal that ended it once more, which is nothing to report here.
        with suppress(KeyboardInterrupt):
            self.run([listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None:
            self._ready(self._address)
        viewer = self.config.app.state.viewer  # type: ignore[union-attr]
        threading.Thread(target=viewer.seeking.warm, daemon=True).start()
        if self._open_browser:
            threading.Thread(target=webbrowser.open, args=(self._address,), daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Questions under way look at this, so that no thread outlives the server for long.
        self.config.app.state.viewer.closing.set()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def _is_bug(record: logging.LogRecord) -> bool:
    """Of what uvicorn reports, only our mistakes are news; a connection that was cut at the end is none."""
    error = record.exc_info[1] if record.exc_info else None
    return error is not None and not isinstance(error, asyncio.CancelledError)


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise UsageError(f"port {port} is none: 1 to 65535, or 0 for any free one")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{host!r} is no address of this machine ({error})") from error
    try:
        # So that a restart needs no wait; two servers on one port it does not allow.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"port {port} is taken by another program: give --port 0 for any free one") from error
        if error.errno == errno.EACCES:
            raise UsageError(f"port {port} may not be used by this user: give one above 1023") from error
        raise UsageError(f"{host} port {port} cannot be listened on ({error.strerror or error})") from error
    return listener


def _address(host: str, port: int, token: str | None) -> str:
    name = "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::", ""):  # listened on everywhere: the name that others can use
        name = socket.gethostname() or name
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


# Routes --------------------------------------------------------------------------------------------------------


def _routes(viewer: _Viewer) -> list[Route]:
    answers: list[tuple[str, Callable[[_Viewer, Request], Awaitable[Response | FileBytes]], str]] = [
        ("/", _page, "GET"),
        ("/page.css", _page_file, "GET"),
        ("/page.js", _page_file, "GET"),
        ("/api/videos", _videos, "GET"),
        ("/api/videos/{id}", _video, "GET"),
        ("/api/search", _search, "GET"),
        ("/api/find", _find, "GET"),
        ("/api/like", _like, "POST"),
        ("/api/proxy/{id}", _proxy, "GET"),
        ("/api/upload", _upload, "POST"),
        ("/api/uploads", _upload_states, "GET"),
        ("/media/{id}", _media, "GET"),
        ("/thumb/{id}", _thumb, "GET"),
        ("/captions/{id}/{level}.vtt", _captions, "GET"),
        ("/export/{id}", _export, "GET"),
    ]
    return [Route(path, functools.partial(answer, viewer), methods=[method]) for path, answer, method in answers]


async def _page(viewer: _Viewer, request: Request) -> Response:
    text = _read_page("page.html")
    start = text.index(_DATA) + len(_DATA)
    end = text.index("</script>", start)
    data = in_script({"mode": "server", "video": viewer.only})
    return Response(text[:start] + data + text[end:], media_type="text/html")


async def _page_file(viewer: _Viewer, request: Request) -> Response:
    name = request.url.path.removeprefix("/")
    return Response(_read_page(name), media_type=_PAGE_TYPES[name], headers={"Cache-Control": "no-cache"})


def _read_page(name: str) -> str:
    return (files("longshot") / "page" / name).read_text(encoding="utf-8")


async def _videos(viewer: _Viewer, request: Request) -> Response:
    rows = await _ask(viewer.questions, request, viewer.shown.videos)
    return JSONResponse(
        {
            "videos": rows,
            "upload": viewer.uploads is not None,
            "search": viewer.seeking.searchable,
            "like": viewer.seeking.likeable,
        }
    )


async def _video(viewer: _Viewer, request: Request) -> Response:
    page = await _ask(viewer.questions, request, viewer.shown.page, request.path_params["id"])
    return JSONResponse(page)


async def _search(viewer: _Viewer, request: Request) -> Response:
    query, videos = _query(request), request.query_params.getlist("video")
    levels = [level for level in request.query_params.getlist("level") if level]
    limit = _number(request, "limit", 20, least=1, most=_MOST_HITS)
    stop, progress = _until_stopped(viewer)
    work = functools.partial(
        viewer.seeking.search,
        query,
        videos=[id for id in videos if id],
        levels=levels,
        limit=int(limit),
        progress=progress,
    )
    return JSONResponse(await _ask(viewer.questions, request, work, stop=stop))


async def _find(viewer: _Viewer, request: Request) -> Response:
    query, id = _query(request), request.query_params.get("video", "")
    limit = _number(request, "limit", 10, least=1, most=_MOST_HITS)
    stop, progress = _until_stopped(viewer)
    work = functools.partial(viewer.seeking.find, id, query, limit=int(limit), progress=progress)
    return JSONResponse(await _ask(viewer.questions, request, work, stop=stop))


def _until_stopped(viewer: _Viewer) -> tuple[threading.Event, Progress]:
    """An event, and a progress that ends the work it is told of once that is set, or the server ends."""
    stop = threading.Event()

    def progress(done: float, total: float, /) -> None:
        if stop.is_set() or viewer.closing.is_set():
            raise _Abandoned

    return stop, progress


async def _like(viewer: _Viewer, request: Request) -> Response:
    if not viewer.seeking.likeable:
        raise Unknown("pictures cannot be searched here: the index holds no looks; `longshot add` makes them")
    limit = _number(request, "limit", 20, least=1, most=_MOST_HITS)
    with tempfile.TemporaryDirectory(prefix="longshot-like-") as folder:
        picture = Path(folder) / "the picture"  # the answer says "looks like the picture"
        await _receive(request, picture, largest=_LARGEST_PICTURE)
        work = functools.partial(viewer.seeking.like, picture, limit=int(limit))
        try:
            return JSONResponse(await _ask(viewer.questions, None, work))
        except MediaError as error:
            raise UsageError(f"what was sent cannot be searched for: {error.reason}") from error


async def _media(viewer: _Viewer, request: Request) -> Response | FileBytes:
    id = request.path_params["id"]
    way, file = await _ask(viewer.reads, None, _file_to_play, viewer, id)
    if file is not None:
        tag = f"{id}-{'' if way.direct else 'proxy-'}{file.changed:x}"
        return FileBytes(file, mime=way.mime, tag=tag, limiter=viewer.reads)
    if request.method == "HEAD":
        return Response(media_type=way.mime)
    return StreamingResponse(_growing(viewer, id), media_type=way.mime)


def _file_to_play(viewer: _Viewer, id: str) -> tuple[Playable, OpenFile | None]:
    """What a browser can play of a video, open: its own file, or its proxy; None while that is made."""
    path, way = viewer.shown.judged(id)
    if way.direct:
        return way, viewer.shown.opened(id, path)
    ready = viewer.proxies.want(id, path, way) is ProxyStage.READY
    return way, viewer.proxies.open(id) if ready else None


async def _growing(viewer: _Viewer, id: str) -> AsyncIterator[bytes]:
    """A proxy as it is made, from its beginning; ends when it is whole, or when it failed."""
    file: OpenFile | None = None
    at = 0
    try:
        while not viewer.closing.is_set():
            stage, _, _ = viewer.proxies.state(id)
            if file is None:  # a short one may be ready before it was looked at
                ready = stage is ProxyStage.READY
                with suppress(MediaError):
                    file = viewer.proxies.open(id) if ready else OpenFile.of(viewer.proxies.growing(id))
            if file is not None:
                block = await to_thread.run_sync(os.pread, file.handle, 1 << 18, at, limiter=viewer.reads)
                at += len(block)
                if block:
                    yield block
                    continue
            if stage not in (ProxyStage.WAITING, ProxyStage.MAKING):
                return
            await anyio.sleep(0.1)
    finally:
        if file is not None:
            file.close()


async def _proxy(viewer: _Viewer, request: Request) -> Response:
    id = request.path_params["id"]
    _, way = await _ask(viewer.reads, request, viewer.shown.judged, id)
    stage, done, reason = viewer.proxies.state(id)
    if way.direct:
        return JSONResponse({"state": "none", "progress": 1.0, "error": ""})
    return JSONResponse({"state": str(stage), "progress": round(done, 4), "error": without_folders(reason)})


async def _thumb(viewer: _Viewer, request: Request) -> Response:
    id = request.path_params["id"]
    second = _number(request, "t", 0.0, least=0.0, most=1e9)
    height = int(_number(request, "h", 180, least=SMALLEST_THUMB, most=TALLEST_THUMB))
    picture = await _ask(viewer.thumbs, request, viewer.shown.thumb, id, second, height)
    # The id is the content's, so what it shows at a second never changes.
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=604800, immutable"})


async def _captions(viewer: _Viewer, request: Request) -> Response:
    kind = request.query_params.get("kind", "captions")
    if kind not in ("captions", "chapters", "descriptions", "metadata"):
        raise UsageError("kind is one of captions, chapters, descriptions, metadata")
    work = functools.partial(viewer.shown.captions, request.path_params["id"], request.path_params["level"], kind=kind)
    return Response(await _ask(viewer.questions, request, work), media_type="text/vtt")


async def _export(viewer: _Viewer, request: Request) -> Response:
    format, level = request.query_params.get("format", ""), request.query_params.get("level", "")
    check_format(format)
    name, text = await _ask(viewer.questions, request, viewer.shown.exported, request.path_params["id"], format, level)
    # Always saved and never shown: what is inside came from a video.
    headers = {"Content-Disposition": attachment(name)}
    return Response(text.encode("utf-8", "replace"), media_type="application/octet-stream", headers=headers)


async def _upload(viewer: _Viewer, request: Request) -> Response:
    uploads = viewer.uploads
    if uploads is None:
        return refusal(403, "uploads are off: start the viewer with `longshot view --upload`")
    length = request.headers.get("content-length", "")
    uploads.check(type=request.headers.get("content-type", ""), length=int(length) if length.isdecimal() else None)
    name = request.query_params.get("name", "")
    part = await _ask(viewer.reads, None, uploads.part)
    try:
        await _receive(request, part, largest=uploads.largest)
        upload = await _ask(viewer.reads, None, uploads.take, part, name)
    finally:
        part.unlink(missing_ok=True)
    return JSONResponse({"name": upload.path.name, "state": str(upload.stage)}, 202)


async def _upload_states(viewer: _Viewer, request: Request) -> Response:
    states = viewer.uploads.states() if viewer.uploads is not None else []
    rows = [{"name": one.path.name, "state": str(one.stage), "reason": without_folders(one.reason)} for one in states]
    return JSONResponse({"uploads": rows})


async def _receive(request: Request, target: Path, *, largest: int) -> None:
    """The body of a request as a file. Raises TooLarge as soon as it is."""
    count = 0
    try:
        async with await anyio.open_file(target, "wb") as file:
            async for block in request.stream():
                count += len(block)
                if count > largest:
                    raise TooLarge(f"more than the {largest / 2**20:.0f} MiB that are taken")
                await file.write(block)
    except OSError as error:
        raise LongshotError(f"what was sent cannot be kept ({error.strerror or error}): make room") from error


# What all routes need ------------------------------------------------------------------------------------------


class _Abandoned(LongshotError):
    """Whoever asked has gone, or the server ends."""


async def _ask(
    limiter: CapacityLimiter,
    request: Request | None,
    work: Callable[..., Found],
    *arguments: Any,
    stop: threading.Event | None = None,
) -> Found:
    """The result of work in a thread, as soon as there is room for it.

    When the client goes before that, the work is not begun; what has begun is told through `stop`.
    """
    if request is None:
        return await to_thread.run_sync(work, *arguments, limiter=limiter)
    results: list[Found] = []
    errors: list[Exception] = []
    async with anyio.create_task_group() as group:

        async def leave() -> None:
            await until_gone(request.receive)
            if stop is not None:
                stop.set()
            group.cancel_scope.cancel()

        group.start_soon(leave)
        try:
            results.append(await to_thread.run_sync(work, *arguments, limiter=limiter))
        except Exception as error:  # raised below, outside the group, which would wrap it
            errors.append(error)
        group.cancel_scope.cancel()
    if errors:
        raise errors[0]
    if not results:
        raise ClientDisconnect
    return results[0]


def _query(request: Request) -> str:
    query = request.query_params.get("q", "")
    if len(query) > LONGEST_QUERY:
        raise UsageError(f"the query has {len(query)} characters: {LONGEST_QUERY} at most, and fewer find more")
    if not query.strip():
        raise UsageError("the query is empty: give some words")
    return query


def _number(request: Request, name: str, default: float, *, least: float, most: float) -> float:
    given = request.query_params.get(name)
    if given is None or given == "":
        return default
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not least <= value <= most:
        raise UsageError(f"{name} is {given[:40]!r}: a number from {least:g} to {most:g}")
    return value


def _status(error: LongshotError) -> int:
    statuses: dict[type[LongshotError], int] = {
        Unknown: 404,
        TooLarge: 413,
        UsageError: 400,
        MediaError: 404,
        Busy: 503,
    }
    return next((status for kind, status in statuses.items() if isinstance(error, kind)), 500)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, LongshotError)
    return refusal(_status(error), clean(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    why = {404: "there is no such page here", 405: "this cannot be done here"}.get(error.status_code, "not possible")
    return refusal(error.status_code, why, **dict(error.headers or {}))


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _bug(request: Request, error: Exception) -> Response:
    # Made outside the guard, so it brings the headers itself.
    return refusal(500, "the server made a mistake; what it was stands in its terminal", **HEADERS)


_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    LongshotError: _ours,
    HTTPException: _http,
    ClientDisconnect: _gone,
    Exception: _bug,
}

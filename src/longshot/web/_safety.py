"""Who is let in, and what every answer says to the browser.

The server shows private files, and every page that is open in the browser can send requests to it. So a request is
refused unless its Host is ours (a foreign name that resolves to this machine is not), unless it comes from our own
page (Origin, Sec-Fetch-Site), and, where a token is set, unless it brings that token.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import socket
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
METHODS = ("GET", "HEAD", "POST")
LONGEST_QUERY = 2000  # characters of a search; a page of text is no query

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_FOLDERS = re.compile(r"(?:[A-Za-z]:)?[/\\](?:[^\s/\\:'\"]+[/\\])+(?=[^\s/\\])")


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


class Guard:
    """The outermost layer: refuses what must not reach the application, and adds the headers to all that leaves.

    host: the address that is listened on. On a loopback address only loopback names are taken; elsewhere every
    numeric address is too (it cannot be rebound by a name server), and this machine's name. token: what every request
    must bring, as a cookie, in the address of the page (?token=), or as "Authorization: Bearer"; None for no need.
    """

    def __init__(self, app: ASGIApp, *, host: str, token: str | None) -> None:
        self._app = app
        self._local = is_loopback(host)
        self._token = token
        self._names = {"localhost"} if self._local else {"localhost", host.lower(), *_own_names()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        answer: ASGIApp = self._refusal(scope) or self._app

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await answer(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that is not let in."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return refusal(421, "this address is not served here: open the one that `longshot view` printed")
        if scope["method"] not in METHODS:
            return refusal(405, "only GET, HEAD and POST are answered here", Allow=", ".join(METHODS))
        if not _is_own_page(scope, headers):
            return refusal(403, "requests from other pages are not answered")
        if scope["method"] == "POST" and not _same_origin(headers.get("origin"), hosts[0]):
            return refusal(403, "only the page of this server may send something here (its Origin header says so)")
        return self._without_token(scope, headers, hosts[0])

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].lower()
        if name in self._names:
            return True
        address = _address(name)
        return address is not None and (address.is_loopback or not self._local)

    def _without_token(self, scope: Scope, headers: Headers, host: str) -> Response | None:
        if self._token is None:
            return None
        found = _HOST.fullmatch(host)
        # Cookies are shared by the ports of a machine, so each server's has its own name.
        cookie = f"longshot-{(found and found[2]) or '80'}"
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in query if name == "token"), "")
        if scope["path"] == "/" and self._fits(given):
            return _let_in(cookie, self._token, [(name, value) for name, value in query if name != "token"])
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._fits(bearer.strip()):
            return None
        if self._fits(cookie_parser(headers.get("cookie", "")).get(cookie, "")):
            return None
        return refusal(401, "a token is needed: open the whole address that `longshot view` printed")

    def _fits(self, given: str) -> bool:
        # Compared in constant time: how long it takes must not tell how much of a guess is right.
        assert self._token is not None
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())


def _let_in(cookie: str, token: str, query: Iterable[tuple[str, str]]) -> Response:
    # Sent on to an address without the token, so that it stands in no history and on no shared screen.
    left = urlencode(list(query))
    answer = RedirectResponse(f"/?{left}" if left else "/", 303)
    answer.set_cookie(cookie, token, httponly=True, samesite="strict", path="/")
    return answer


def _is_own_page(scope: Scope, headers: Headers) -> bool:
    """Whether the browser says that our page, or nobody's, makes this request; other programs say nothing."""
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return True
    # A link from elsewhere may open the page, which then asks for itself.
    return scope["method"] == "GET" and scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"


def _same_origin(origin: str | None, host: str) -> bool:
    if origin is None:
        return False
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _own_names() -> set[str]:
    name = socket.gethostname().lower()
    return {name, f"{name}.local", name.partition(".")[0]} - {""}


def refusal(status: int, why: str, **headers: str) -> JSONResponse:
    """An error as the page reads it: {"error": one line}."""
    return JSONResponse({"error": why}, status, headers)


def without_folders(message: str) -> str:
    """A message for whoever looks on: "/home/ann/talks/one.mp4: is empty" becomes "one.mp4: is empty"."""
    return _FOLDERS.sub("", message)


def in_script(value: Any) -> str:
    """JSON that may stand inside a <script> element: nothing in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def attachment(name: str) -> str:
    """The header that saves an answer under a name (RFC 6266): plain letters for old clients, all of them for new."""
    name = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|\ud800-\udfff]+', "_", name).strip(" .")[:150] or "download"
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"

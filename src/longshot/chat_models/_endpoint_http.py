"""Requests to one server: how many at once, which are sent again and when, and what they may cost."""

from __future__ import annotations

import email.utils
import json
import random
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Condition, Lock
from typing import Any

import httpx

from longshot.chat_models._endpoint_replies import Malformed, Trouble, Usage, by_status, one_line, trouble_in
from longshot.chat_models._endpoint_settings import Settings

FIRST_WAIT = 0.5  # seconds before a request is sent again, doubled each time
LONGEST_WAIT = 30.0
LONGEST_ASKED_WAIT = 60.0  # a server that asks for more is asked again after this
_MOST_BYTES = 64 << 20  # of a reply


class Gate:
    """How many requests are under way: as many as the server bears, found out by trying.

    It starts at `slots`. A sign of too much work halves the number, once for all the requests that were under way
    then; each answer raises it by its own share, so by one after a full round (AIMD, as TCP does it).
    """

    def __init__(self, slots: int) -> None:
        self._most, self._limit, self._busy = slots, float(slots), 0
        self._cut_at = self._open_at = float("-inf")
        self._end: Trouble | None = None
        self._changed = Condition()

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return int(self._limit)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """One request's place. Raises the Trouble that ended it for all."""
        with self._changed:
            while True:
                self._check()
                rest = self._open_at - time.monotonic()
                if rest <= 0 and self._busy < int(self._limit):
                    break
                self._changed.wait(rest if rest > 0 else None)
            self._busy += 1
        began = time.monotonic()
        good, trouble = False, None
        try:
            yield
            good = True
        except Trouble as error:
            trouble = error
            raise
        finally:
            self._leave(began, good=good, trouble=trouble)

    def sleep(self, seconds: float) -> None:
        """Wait, unless it ends for all. Raises the Trouble that ended it."""
        until = time.monotonic() + seconds
        with self._changed:
            while (rest := until - time.monotonic()) > 0:
                self._check()
                self._changed.wait(rest)
            self._check()

    def _check(self) -> None:
        if self._end:
            raise Trouble(self._end.reason, fatal=True, status=self._end.status, code=self._end.code)

    def _leave(self, began: float, *, good: bool, trouble: Trouble | None) -> None:
        with self._changed:
            self._busy -= 1
            if good:
                self._limit = min(float(self._most), self._limit + 1 / self._limit)
            elif trouble and trouble.crowded:
                if began > self._cut_at:
                    self._limit, self._cut_at = max(1.0, self._limit / 2), time.monotonic()
                if trouble.wait:
                    self._open_at = max(self._open_at, time.monotonic() + min(trouble.wait, LONGEST_ASKED_WAIT))
            elif trouble and trouble.fatal:
                self._end = trouble
            self._changed.notify_all()


class Purse:
    """What replies have cost so far, and whether more may be spent. Shared by all threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._money, self._tokens, self._blind = 0.0, 0, False

    def pay(self, usage: Usage | None) -> float:
        """Count one reply in; what it cost."""
        cost = self.price(usage)
        with self._lock:
            self._money += cost
            self._tokens += usage.tokens_in + usage.tokens_out if usage else 0
            self._blind = self._blind or usage is None
        return cost

    def price(self, usage: Usage | None) -> float:
        """The cost of one reply."""
        if usage is None:
            return 0.0
        prices = self._settings
        return (usage.tokens_in * prices.price_in + usage.tokens_out * prices.price_out) / 1e6

    @property
    def empty(self) -> str:
        """Why nothing more may be asked; "" when it may."""
        limits = self._settings
        with self._lock:
            if (limits.budget or limits.token_budget) and self._blind:
                return "the server does not tell how many tokens a reply took, so no budget can be kept"
            if limits.budget and self._money >= limits.budget:
                return f"the budget of {limits.budget:g} is spent ({self._money:.6g})"
            if limits.token_budget and self._tokens >= limits.token_budget:
                return f"the budget of {limits.token_budget} tokens is spent ({self._tokens})"
        return ""


class Server:
    """One server. Its key goes into the requests and nowhere else."""

    def __init__(self, base: str, *, key: str, settings: Settings) -> None:
        self.base = base
        self._key = key
        self._timeout = settings.timeout
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(settings.timeout, connect=min(settings.connect_timeout, settings.timeout)),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=settings.slots),
            # httpx leaves the key behind when it is sent on to another host.
            follow_redirects=True,
        )
        # Nobody closes a model; connections that are kept alive would outlive it.
        weakref.finalize(self, self._client.close)

    def get(self, path: str) -> Any:
        """JSON from the server. Raises Trouble."""
        with self._sent("GET", path, None) as response:
            return self._json(self._all(response))

    def post(self, path: str, body: bytes) -> Any:
        """JSON for JSON. Raises Trouble."""
        with self._sent("POST", path, body) as response:
            return self._json(self._all(response))

    @contextmanager
    def lines(self, path: str, body: bytes) -> Iterator[Iterator[str] | Any]:
        """The lines of an event stream; from a server that does not stream, its JSON. Raises Trouble."""
        with self._sent("POST", path, body) as response:
            if "json" in response.headers.get("content-type", ""):
                yield self._json(self._all(response))
            else:
                yield self._until(response.iter_lines())

    def clean(self, text: str) -> str:
        """A text of the server in one line, without the key."""
        return one_line(text.replace(self._key, "***") if self._key else text)

    @contextmanager
    def _sent(self, method: str, path: str, body: bytes | None) -> Iterator[httpx.Response]:
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            with self._client.stream(method, self.base + path, content=body, headers=headers) as response:
                if response.status_code != 200:
                    raise self._refused(response)
                yield response
        except Trouble as trouble:
            # Some servers say in their complaint which key they were given.
            trouble.reason = self.clean(trouble.reason)
            trouble.args = (trouble.reason,)
            raise
        except httpx.ConnectTimeout as error:
            raise Trouble(f"{self.base} could not be reached in time", again=True, crowded=True) from error
        except httpx.TimeoutException as error:
            raise self._late() from error
        except (httpx.ConnectError, httpx.UnsupportedProtocol) as error:
            raise Trouble(f"{self.base} cannot be reached ({self.clean(str(error))})", again=True) from error
        except httpx.TooManyRedirects as error:
            raise Trouble(f"{self.base} sends its askers around in a circle") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            said = self.clean(str(error)) or type(error).__name__
            raise Trouble(f"the connection to {self.base} broke ({said})", again=True) from error

    def _until(self, pieces: Iterator[Any]) -> Iterator[Any]:
        """The pieces of a response that come in time."""
        deadline = time.monotonic() + self._timeout
        for piece in pieces:
            if time.monotonic() > deadline:
                raise self._late()
            yield piece

    def _all(self, response: httpx.Response) -> bytes:
        read = bytearray()
        for chunk in self._until(response.iter_bytes()):
            read += chunk
            if len(read) > _MOST_BYTES:
                raise Malformed("the server's reply has no end", again=False)
        return bytes(read)

    def _late(self) -> Trouble:
        return Trouble(f"no reply within {self._timeout:g} s", again=True, crowded=True)

    def _json(self, body: bytes) -> Any:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            start = body.lstrip()[:1]
            if start == b"<":
                raise Malformed(f"{self.base} answers HTML, not JSON") from error
            if start in (b"{", b"["):
                raise Malformed(f"the server's reply is torn JSON ({len(body)} bytes)") from error
            said = self.clean(body[:80].decode("utf-8", "replace")) or "nothing"
            raise Malformed(f"the server's reply is no JSON: {said}") from error
        if isinstance(value, dict) and value.get("error"):
            raise trouble_in(value)
        return value

    def _refused(self, response: httpx.Response) -> Trouble:
        body = self._all(response)
        status = response.status_code
        wait = asked_wait(response.headers.get("retry-after", ""))
        if 300 <= status < 400:
            return Trouble(f"HTTP {status}: sent on, and not told where", status=status)
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            html = body.lstrip()[:1] == b"<"
            said = "an HTML page" if html else self.clean(body[:2000].decode("utf-8", "replace"))
            return by_status(status, f"HTTP {status}: {said or response.reason_phrase}", wait=wait)
        found = trouble_in(value if isinstance(value, dict) else {"error": value}, status)
        return by_status(status, f"HTTP {status}: {self.clean(found.reason)}", code=found.code, wait=wait)


def encoded(body: Mapping[str, Any]) -> bytes:
    """A request's body."""
    return json.dumps(body, separators=(",", ":")).encode()


def asked_wait(header: str) -> float | None:
    """Seconds that a Retry-After asks for, as a number or as a date; None when it says neither."""
    try:
        return max(0.0, float(header)) if float(header) < float("inf") else None
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp())


def wait_before(attempt: int, asked: float | None) -> float:
    """Seconds before attempt 1, 2, … of a request: what the server asks for, else twice as long each time, jittered."""
    if asked is not None:
        # Those who were told the same second should not all come back in it.
        return min(asked, LONGEST_ASKED_WAIT) + random.uniform(0, 0.1)
    return min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)

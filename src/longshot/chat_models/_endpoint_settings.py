"""What a user may set for a server, and how an address is read."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from longshot.errors import UsageError

WAYS = ("jpegs", "mp4", "images")
"""How several frames can be sent, in the order in which they are tried."""

_EXTRA = "extra."
# Fields that the protocol itself needs; an extra of that name would break it or double a setting.
_OURS = {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p"}
_OURS |= {"seed", "n", "media_io_kwargs"}
# What changes a reply, and so stands in the source of every text.
_CHANGES = ("max_new_tokens", "temperature", "top_p", "seed", "quality", "side")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may set.

    max_new_tokens: where a reply is cut. temperature: 0 for the likeliest token each time. top_p: choose among the
    likeliest tokens of this share. seed: of the choice, where the server takes one.

    video: how several frames are sent: "jpegs", "mp4", "images", "none" for a model that is asked about text only, or
    "auto" to find out. quality: of the JPEGs, 1 to 100. side: the longest side of a frame in pixels, 0 for its own.

    slots: requests under way at once, at most. timeout: seconds that one request may take in all. connect_timeout:
    seconds to reach the server. retries: how often a request that failed is sent again.

    price_in, price_out: of a million tokens. budget: what may be spent, in the same currency; 0 for no limit.
    token_budget: tokens in and out that may be used; 0 for no limit.

    extra: more fields of the request body, given as `extra.<field>`.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    video: str = "auto"
    quality: int = 90
    side: int = 0
    slots: int = 16
    timeout: float = 600.0
    connect_timeout: float = 10.0
    retries: int = 4
    price_in: float = 0.0
    price_out: float = 0.0
    budget: float = 0.0
    token_budget: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        least = {"max_new_tokens": 1, "quality": 1, "slots": 1, "timeout": 0.001, "connect_timeout": 0.001}
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            if isinstance(value, int | float) and one.name != "seed" and not value >= least.get(one.name, 0):
                raise UsageError(f"{one.name} is at least {least.get(one.name, 0):g}, got {value}")
        if self.quality > 100:
            raise UsageError(f"quality is at most 100, got {self.quality}")
        if self.top_p > 1:
            raise UsageError(f"top_p is a share, at most 1, got {self.top_p}")
        if self.video not in ("auto", *WAYS, "none"):
            raise UsageError(f"no way to send video called {self.video!r}: there are auto, {', '.join(WAYS)}, none")
        if self.budget and not (self.price_in or self.price_out):
            raise UsageError("a budget needs prices: set price_in and price_out, of a million tokens")

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Settings:
        """From options by name. Raises UsageError for an unknown one, naming the nearest, and for a wrong kind."""
        kinds = {one.name: type(one.default) for one in dataclasses.fields(cls) if one.name != "extra"}
        read: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for name, value in given.items():
            if name.startswith(_EXTRA):
                extra[_extra_name(name)] = _json_value(value)
            elif name in kinds:
                read[name] = _as(kinds[name], name, value)
            else:
                close = get_close_matches(name, kinds, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise UsageError(
                    f"no setting called {name!r}: there are {', '.join(kinds)}, and extra.<field> for a field of the "
                    f"request{hint}"
                )
        return cls(**read, extra=extra)

    @property
    def changed(self) -> dict[str, Any]:
        """What changes replies and is not the default."""
        defaults = {one.name: one.default for one in dataclasses.fields(self)}
        kept = {name: getattr(self, name) for name in _CHANGES if getattr(self, name) != defaults[name]}
        return kept | {f"{_EXTRA}{name}": value for name, value in sorted(self.extra.items())}


def _extra_name(name: str) -> str:
    field_name = name.removeprefix(_EXTRA)
    if not field_name or field_name in _OURS:
        raise UsageError(f"{name} is not to be set: {field_name or 'an empty field'} is filled in here")
    return field_name


def _as(kind: type, name: str, value: Any) -> Any:
    words = {int: "a whole number", float: "a number", str: "a word"}[kind]
    try:
        if isinstance(value, bool) or (kind is str and not isinstance(value, str)):
            raise ValueError
        read = kind(value)
        if kind is int and float(value) != read:
            raise ValueError
        if kind is float and not abs(read) < float("inf"):
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{name} is {words}, got {value!r}") from error
    return read


def _json_value(value: Any) -> Any:
    """A text that is JSON as what it says ("20" is 20), any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


@dataclass(frozen=True, slots=True)
class Address:
    """A server and one of its models: base "http://127.0.0.1:8000/v1", model "" when it is to be asked for."""

    base: str
    model: str

    @property
    def name(self) -> str:
        """Both in one word."""
        return f"{self.base}#{self.model}" if self.model else self.base

    @classmethod
    def read(cls, name: str) -> Address:
        """From "http://host:port/v1#model", or a model's name for the server of OPENAI_BASE_URL.

        Raises UsageError for what is no such address, without showing a key in it.
        """
        if not name.startswith(("http://", "https://")):
            base = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE") or ""
            if not base:
                raise UsageError(
                    f"endpoint:{name} names no server: set OPENAI_BASE_URL, or give the address, http://HOST:PORT/v1#MODEL"
                )
            return cls(_checked(base.partition("#")[0]), name)
        base, _, model = name.partition("#")
        return cls(_checked(base), model)


def _checked(base: str) -> str:
    try:
        parts = urlsplit(base)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError("the server's address cannot be read: it looks like http://HOST:PORT/v1") from error
    if parts.username or parts.password:
        raise UsageError("a key does not belong into an address, which is stored with every text: set OPENAI_API_KEY")
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{base} is no server's address: it looks like http://HOST:PORT/v1")
    if parts.query:
        raise UsageError("a server's address has no ?query: give what comes before it, http://HOST:PORT/v1")
    return base.rstrip("/")


def key_from_environment() -> str:
    """The key for the server, "" when none is set. Raises UsageError, without showing it, when it cannot be sent."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key.isascii() or not key.isprintable():
        raise UsageError("OPENAI_API_KEY holds characters that no key has; set it again")
    return key

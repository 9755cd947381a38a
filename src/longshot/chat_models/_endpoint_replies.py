"""What a server says, read with care: replies, pieces of a stream, lists of models and errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from longshot.contracts import Finish
from longshot.errors import LongshotError

_OPENING, _CLOSING = "<think>", "</think>"
# A server may send a whole request back in its complaint; the pictures in it tell nobody anything.
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{120,}")
_CONTEXT = ("max_model_len", "context_length", "context_window", "max_context_length")
_LINE = 300


class Trouble(LongshotError):
    """A request that brought no answer.

    reason: one line. again: whether sending it again may help. crowded: whether the server has too much to do.
    fatal: whether no prompt can ever be answered. status: of HTTP, 0 without one. wait: seconds that the server asks
    for, if it does. code: the server's own word for it, with the field it names.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool = False,
        crowded: bool = False,
        fatal: bool = False,
        status: int = 0,
        wait: float | None = None,
        code: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again, self.crowded, self.fatal = again, crowded, fatal
        self.status, self.wait, self.code = status, wait, code


class Malformed(Trouble):
    """An answer came, and is no reply. usage: what it says to have cost. empty: whether it lacks but the text."""

    def __init__(self, reason: str, *, again: bool = True, usage: Usage | None = None, empty: bool = False) -> None:
        super().__init__(reason, again=again, status=200)
        self.usage, self.empty = usage, empty


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a prompt and of its reply, as the server counts them."""

    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Said:
    """One reply. usage: None when the server does not tell."""

    text: str
    finish: Finish
    reason: str = ""
    usage: Usage | None = None


class Thoughts:
    """Takes <think>…</think> off the start of a text that comes in pieces."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "start"

    @property
    def unfinished(self) -> bool:
        """Whether the text so far is nothing but thoughts."""
        return self._state == "inside"

    def feed(self, piece: str) -> str:
        """What can be shown after this piece."""
        if self._state == "after":
            return piece
        self._held += piece
        if self._state == "start":
            begun = self._held.lstrip()
            if begun.startswith(_OPENING):
                self._state = "inside"
            elif not _OPENING.startswith(begun):
                return self._let_go(self._held)
        if self._state == "inside" and _CLOSING in self._held:
            return self._let_go(self._held.partition(_CLOSING)[2])
        return ""

    def end(self) -> str:
        """What was held back and is no thought."""
        return self._let_go(self._held) if self._state == "start" else ""

    def _let_go(self, text: str) -> str:
        self._state, self._held = "after", ""
        return text


def read_reply(value: Any) -> Said:
    """A chat completion. Raises Malformed for what is none."""
    if not isinstance(value, dict):
        raise Malformed(f"the server's reply is JSON, but {_kind(value)}, not an object")
    usage = read_usage(value.get("usage"))
    choice = _choice(value, usage)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise Malformed(f"the server's reply has {_kind(message)} where its message should be", usage=usage)
    finish = choice.get("finish_reason")
    text, thinking = _text(message.get("content"), usage)
    if refused := _refusal(message.get("refusal"), finish):
        return Said(text, Finish.REFUSED, refused, usage)
    if not text:
        if finish == "length" and (thinking or message.get("reasoning_content") or message.get("reasoning")):
            raise Malformed(
                "all the tokens of the reply were spent on thinking: raise max_new_tokens",
                again=False,
                usage=usage,
                empty=True,
            )
        if message.get("content") is None:
            raise Malformed("the server's reply has no text (content is null)", usage=usage, empty=True)
    return Said(text, Finish.LENGTH if finish == "length" else Finish.STOP, "", usage)


def read_usage(value: Any) -> Usage | None:
    """The tokens of a reply; None when it does not tell, or not in whole numbers."""
    if not isinstance(value, dict):
        return None
    counts = [value.get(name) for name in ("prompt_tokens", "completion_tokens")]
    if any(not isinstance(count, int) or isinstance(count, bool) or count < 0 for count in counts):
        return None
    return Usage(counts[0], counts[1])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Piece:
    """One event of a stream."""

    text: str = ""
    finish: str = ""
    refusal: str = ""
    usage: Usage | None = None


def read_pieces(lines: Iterable[str]) -> Iterator[Piece]:
    """The events of a stream. Raises Malformed when it breaks off or holds something else."""
    ended = False
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        try:
            value = json.loads(data)
        except ValueError as error:
            raise Malformed(f"the stream holds a line that is no JSON: {one_line(data)[:80]}") from error
        piece = _piece(value)
        ended = ended or bool(piece.finish)
        yield piece
    if not ended:
        raise Malformed("the stream broke off before its end")


def read_models(value: Any) -> dict[str, Mapping[str, Any]]:
    """The models of a server by name. Raises Malformed for what is no such list."""
    rows = value.get("data") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        raise Malformed("its list of models is none: is this the address of an OpenAI-compatible server?", again=False)
    return {row["id"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)}


def context_of(row: Mapping[str, Any]) -> int:
    """Tokens of a model's context as its row in the list tells them, 0 when it does not."""
    told = (row.get(name) for name in _CONTEXT)
    return next((count for count in told if isinstance(count, int) and count > 0), 0)


def trouble_in(value: Mapping[str, Any], status: int = 0) -> Trouble:
    """The error that a reply carries in its body. status: of HTTP, when it is not in the body."""
    error = value.get("error")
    about: Mapping[str, Any] = error if isinstance(error, dict) else value
    code = about.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        status = status or code
    said = complaint(value) or "the server says that there was an error, and not which"
    words = " ".join(str(about[name]) for name in ("code", "type", "param") if about.get(name))
    return by_status(status, said, code=words)


def by_status(status: int, said: str, *, code: str = "", wait: float | None = None) -> Trouble:
    """What a status means for the prompt and for the others."""
    # An empty account comes as 429 too, and no waiting fills it.
    fatal = status in (401, 402, 403, 404, 405) or "insufficient_quota" in code or "model_not_found" in code
    busy = status in (429, 503, 504) or "overloaded" in code
    return Trouble(
        said,
        again=not fatal and (busy or status in (408, 409, 425) or (status >= 500 and status != 501)),
        crowded=not fatal and busy,
        fatal=fatal,
        status=status,
        wait=wait,
        code=code,
    )


def complaint(value: Any) -> str:
    """What an error body says, in one line; "" when it says nothing."""
    if isinstance(value, dict):
        for name in ("error", "message", "detail", "msg"):
            if value.get(name):
                return complaint(value[name])
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, map(complaint, value[:3])))
    return one_line(str(value))


def one_line(text: str) -> str:
    """A text in one line of at most 300 characters, without pictures."""
    line = _BASE64.sub("…", " ".join(text.split()))
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def _choice(value: Mapping[str, Any], usage: Usage | None) -> Mapping[str, Any]:
    choices = value.get("choices")
    if not isinstance(choices, list):
        raise Malformed(f"the server's reply has {_kind(choices)} where its choices should be", usage=usage)
    if not choices:
        raise Malformed("the server's reply has no choice in it", usage=usage)
    if not isinstance(choices[0], dict):
        raise Malformed(f"the server's reply has {_kind(choices[0])} where a choice should be", usage=usage)
    return choices[0]


def _text(content: Any, usage: Usage | None) -> tuple[str, bool]:
    """The words of a message, and whether it ends within its thoughts."""
    if isinstance(content, list):
        pieces = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(piece for piece in pieces if isinstance(piece, str))
    if content is not None and not isinstance(content, str):
        raise Malformed(f"the server's reply has {_kind(content)} where its text should be", usage=usage)
    thoughts = Thoughts()
    text = thoughts.feed(content or "") + thoughts.end()
    return text.strip(), thoughts.unfinished


def _refusal(said: Any, finish: Any) -> str:
    """How a refusal was seen; "" when there is none."""
    if isinstance(said, str) and said.strip():
        return one_line(f"the model declined: {said}")
    return "a content filter stopped the reply" if finish == "content_filter" else ""


def _piece(value: Any) -> Piece:
    if not isinstance(value, dict):
        raise Malformed(f"the stream holds {_kind(value)} where a piece should be")
    if value.get("error"):
        raise trouble_in(value)
    usage = read_usage(value.get("usage"))
    choices = value.get("choices")
    if not choices:  # the last event may carry the usage alone
        return Piece(usage=usage)
    choice = _choice(value, usage)
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        delta = {}
    content = delta.get("content")
    if content is not None and not isinstance(content, str):
        raise Malformed(f"the stream holds {_kind(content)} where text should be")
    finish = choice.get("finish_reason")
    refusal = _refusal(delta.get("refusal"), finish)
    return Piece(content or "", finish if isinstance(finish, str) else "", refusal, usage)


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "nothing"
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", int: "a number"}
    return names.get(type(value), "a number")

"""Any OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, transformers serve, or a hosted one."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import av

from longshot.chat_models._endpoint_http import Gate, Purse, Server, encoded, wait_before
from longshot.chat_models._endpoint_media import Pictures, pictures_of, probe_clip
from longshot.chat_models._endpoint_replies import (
    Malformed,
    Piece,
    Said,
    Thoughts,
    Trouble,
    Usage,
    context_of,
    read_models,
    read_pieces,
    read_reply,
)
from longshot.chat_models._endpoint_settings import WAYS, Address, Settings, key_from_environment
from longshot.contracts import Finish, Loading, Prompt, Reply
from longshot.errors import ModelError, UsageError
from longshot.timeline import Source

NEEDS = ("httpx",)
EXTRA = ""

_CHAT, _MODELS = "/chat/completions", "/models"
# Fields that a request can do without, where a server says that it does not know them.
_OPTIONAL = ("seed", "temperature", "top_p", "stream_options")
_UNKNOWN = re.compile(
    r"unsupported|not support|unexpected|unknown|unrecogni[sz]ed|not permitted|not allowed|extra (inputs|fields)", re.I
)
_PROBE = "Which digits are shown, in the order in which they appear? Answer with the digits only."
_MOST_MALFORMED = 2  # replies that cannot be read are paid for; after so many it is no accident
_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def load(name: str, *, loading: Loading | None = None, settings: Mapping[str, Any] | None = None) -> Endpoint:
    """A model of a server. settings: the fields of `longshot.chat_models._endpoint_settings.Settings`.

    name: "http://HOST:PORT/v1#MODEL", without "#MODEL" where the server has but one, or a model's name for the server
    of OPENAI_BASE_URL. The key is OPENAI_API_KEY. `loading` says how weights are put on this machine, and these are
    elsewhere. Raises UsageError for a name or setting that cannot be meant, ModelError for a server that cannot be
    asked.
    """
    wanted = Settings.read(settings or {})
    address = Address.read(name)
    server = Server(address.base, key=key_from_environment(), settings=wanted)
    rows = _listed(server, address)
    model = address.model or _only(address, rows)
    endpoint = Endpoint(server, Address(address.base, model), settings=wanted, models=rows)
    endpoint.settle()
    return endpoint


class Endpoint:
    """A server's model as a `ChatModel`. Every method may be called from many threads at once."""

    def __init__(
        self, server: Server, address: Address, *, settings: Settings, models: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """models: the rows of the server's list, by name."""
        self.settings = settings
        self._server, self._address, self._models = server, address, models
        self._row = models.get(address.model, {})
        self._way = settings.video
        self._no_pictures = "video is set to none"
        self._gate = Gate(settings.slots)
        self._purse = Purse(settings)
        self._left_out: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Endpoint({self._address.name!r})"

    @property
    def source(self) -> Source:
        """The address with the model, and all settings that change replies, the way of sending video among them."""
        return Source("", self._address.name, "", {**self.settings.changed, "video": self._way})

    @property
    def batch(self) -> int:
        """One: servers put requests together themselves."""
        return 1

    @property
    def slots(self) -> int:
        """How many calls of `generate` may run at once: a few more than requests, so that the next is always ready."""
        return self.settings.slots + max(1, self.settings.slots // 4)

    @property
    def context(self) -> int:
        """Tokens that prompt and reply may have together, where the server's list of models tells; else 0."""
        return context_of(self._row)

    @property
    def tells_times(self) -> bool:
        """Whether each frame stands behind its time in words; with the other ways the server's model decides."""
        return self._way == "images"

    def count_tokens(self, text: str) -> int:
        """At most so many tokens: one for each byte of UTF-8, and one that some tokenizers put before a text.

        Tokens of every common tokenizer stand for a byte or more; English text takes about a quarter of this.
        """
        return len(text.encode("utf-8", "surrogatepass")) + 1 if text else 0

    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """One reply for each prompt, in the same order. See `ChatModel`."""
        return [self._answer(prompt) for prompt in prompts]

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """The reply to one prompt, piece by piece; asked again only as long as no piece has come.

        Raises ModelError when it fails, is refused or breaks off.
        """
        attempt, began = 0, False
        try:
            pictures = self._pictures(prompt, self._way)
            messages = self._messages(prompt, pictures)
            while True:
                without = self._left_out
                try:
                    with self._gate.slot():
                        self._check_purse()
                        for piece in self._streamed(messages, pictures, without):
                            began = True
                            yield piece
                    return
                except Trouble as trouble:
                    dropped = not began and self._dropped(trouble, self._way, without)
                    attempt += not dropped
                    if not dropped and (began or not trouble.again or attempt > self.settings.retries):
                        raise
                    wait = 0.0 if dropped else wait_before(attempt, trouble.wait)
                self._gate.sleep(wait)
        except Trouble as trouble:
            raise self._error(trouble) from trouble

    def settle(self) -> None:
        """Find out how this server takes several frames, unless the settings say it. Raises ModelError.

        A clip with digits is sent in each way. The first way is taken in which they are read; when they are read in
        none, the first that the server accepts without leaving the pictures out.
        """
        if self._way != "auto":
            return
        accepted, reasons = "", []
        for way in WAYS:
            try:
                read = self._tried(way)
            except Trouble as trouble:
                if trouble.fatal or (trouble.again and trouble.status != 500):
                    raise self._error(trouble) from trouble
                reasons.append(f"{way}: {trouble.reason}")
                continue
            accepted = way if read else accepted or way
            if read:
                break
        self._way = accepted or "none"
        self._no_pictures = reasons[-1] if reasons else ""

    def _tried(self, way: str) -> bool:
        """Whether the digits of the probe are read when they are sent so. Raises Trouble when this way is refused."""
        clip, shown = probe_clip()
        prompt = Prompt(_PROBE, frames=clip)
        pictures = self._pictures(prompt, way)
        said = self._probed(prompt, pictures, way)
        if said and re.search(r"\D*".join(shown), said.text):
            return True
        words = [part for part in pictures.parts if part["type"] == "text"]
        alone = self._probed(prompt, Pictures(words), way)
        counted = [one.usage.tokens_in for one in (said, alone) if one and one.usage]
        if len(counted) == 2 and counted[0] < counted[1] + len(clip):  # no model takes less than a token for a frame
            raise Trouble("the server leaves the pictures out of the prompt", status=400)
        return False

    def _probed(self, prompt: Prompt, pictures: Pictures, way: str) -> Said | None:
        """The reply to a probe; None when it has no text. A server that breaks over it (500) refuses it."""
        messages = self._messages(prompt, pictures)
        try:
            return self._asked(messages, pictures, way=way, tokens=32, giving_up=(500,))[0]
        except Malformed as trouble:
            if not trouble.empty:
                raise
            return None

    def _answer(self, prompt: Prompt) -> Reply:
        spent: list[Usage | None] = []
        try:
            self._check_purse()
            pictures = self._pictures(prompt, self._way)
            said, spent = self._asked(self._messages(prompt, pictures), pictures, way=self._way, spent=spent)
        except Trouble as trouble:
            if trouble.fatal:
                raise self._error(trouble) from trouble
            return self._reply("", Finish.FAILED, trouble.reason, spent)
        return self._reply(said.text, said.finish, said.reason, spent)

    def _reply(self, text: str, finish: Finish, reason: str, spent: Sequence[Usage | None]) -> Reply:
        known = [usage for usage in spent if usage]
        return Reply(
            text,
            finish,
            self._server.clean(reason),
            tokens_in=sum(usage.tokens_in for usage in known),
            tokens_out=sum(usage.tokens_out for usage in known),
            cost=sum(map(self._purse.price, known)),
        )

    def _asked(
        self,
        messages: list[dict[str, Any]],
        pictures: Pictures,
        *,
        way: str,
        tokens: int = 0,
        giving_up: tuple[int, ...] = (),
        spent: list[Usage | None] | None = None,
    ) -> tuple[Said, list[Usage | None]]:
        """The reply to messages, and what each attempt took. Raises Trouble, with the attempts counted in `spent`.

        tokens: of the reply, at most; 0 for the setting. giving_up: statuses that are not worth another attempt.
        """
        spent = [] if spent is None else spent

        def write(without: frozenset[str]) -> bytes:
            return encoded(self._body(messages, pictures, tokens or self.settings.max_new_tokens, without))

        def ask(body: bytes) -> Said:
            try:
                said = read_reply(self._server.post(_CHAT, body))
            except Malformed as trouble:
                if trouble.usage:
                    spent.append(trouble.usage)
                    self._purse.pay(trouble.usage)
                raise
            spent.append(said.usage)
            self._purse.pay(said.usage)
            return said

        return self._again_and_again(write, ask, way=way, giving_up=giving_up), spent

    def _again_and_again(
        self,
        write: Callable[[frozenset[str]], bytes],
        ask: Callable[[bytes], _T],
        *,
        way: str,
        giving_up: tuple[int, ...],
    ) -> _T:
        """What `ask` gives, after as many attempts as the trouble and the settings allow. Raises the last Trouble.

        `write` makes the request, without the fields that it is told, while others have the server's slots.
        """
        attempt = malformed = 0
        while True:
            without = self._left_out
            request = write(without)
            try:
                with self._gate.slot():
                    self._check_purse()
                    return ask(request)
            except Trouble as trouble:
                if self._dropped(trouble, way, without):
                    continue
                attempt += 1
                malformed += isinstance(trouble, Malformed)
                hopeless = not trouble.again or trouble.status in giving_up or malformed > _MOST_MALFORMED
                if hopeless or attempt > self.settings.retries:
                    raise
                wait = wait_before(attempt, trouble.wait)
            self._gate.sleep(wait)

    def _streamed(self, messages: list[dict[str, Any]], pictures: Pictures, without: frozenset[str]) -> Iterator[str]:
        thoughts = Thoughts()
        usage: Usage | None = None
        # What is broken off is never counted by the server: a piece is about a token.
        begun, ended = 0, False
        body = self._body(messages, pictures, self.settings.max_new_tokens, without, streaming=True)
        try:
            with self._server.lines(_CHAT, encoded(body)) as lines:
                for piece in _whole(lines) if isinstance(lines, dict) else read_pieces(lines):
                    usage = piece.usage or usage
                    begun += bool(piece.text)
                    if piece.refusal:
                        raise Trouble(piece.refusal)
                    if shown := thoughts.feed(piece.text):
                        yield shown
            ended = True
        finally:
            if ended or usage or begun:
                self._purse.pay(usage if ended or usage else Usage(0, begun))
        if thoughts.unfinished:
            raise Trouble("all the tokens of the reply were spent on thinking: raise max_new_tokens")
        if rest := thoughts.end():
            yield rest

    def _dropped(self, trouble: Trouble, way: str, without: frozenset[str]) -> bool:
        """Whether the request can be sent again at once, without a field that the server does not know.

        without: the fields that were left out of it already.
        """
        words = f"{trouble.reason} {trouble.code}"
        if trouble.status not in (400, 422) or not _UNKNOWN.search(words) or "context length" in words:
            return False
        # The JPEGs of a clip have no times without their metadata; a film has.
        droppable = (*_OPTIONAL, "max_tokens", *(["media_io_kwargs"] if way == "mp4" else []))
        named = {field for field in droppable if re.search(rf"\b{field}\b", words)} - without
        if named:
            self._left_out |= named
            _log.info(
                "%s does not take %s, which is left out from now on", self._address.name, ", ".join(sorted(named))
            )
        return bool(named)

    def _body(
        self,
        messages: list[dict[str, Any]],
        pictures: Pictures,
        tokens: int,
        without: frozenset[str],
        *,
        streaming: bool = False,
    ) -> dict[str, Any]:
        """A request. What changes nothing is left out of it: servers differ in the fields that they know."""
        body = {"model": self._address.model, "messages": messages, "max_tokens": tokens}
        body |= {"temperature": self.settings.temperature, "seed": self.settings.seed}
        if self.settings.top_p != 1:
            body["top_p"] = self.settings.top_p
        body |= {**pictures.fields, **self.settings.extra}
        if streaming:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if "max_tokens" in without:
            body["max_completion_tokens"] = tokens
        return {name: value for name, value in body.items() if name not in without}

    def _pictures(self, prompt: Prompt, way: str) -> Pictures:
        """The frames of a prompt as parts of a message. Raises Trouble for what this server cannot be shown."""
        frames = prompt.frames
        if frames is None or not len(frames):
            return Pictures([])
        if way == "none":
            raise Trouble(f"the model takes no pictures here ({self._no_pictures})")
        settings = self.settings
        # The field is vLLM's own; a hosted server may refuse a part that carries it.
        marked = self._row.get("owned_by") == "vllm"
        try:
            return pictures_of(frames, way=way, quality=settings.quality, side=settings.side, marked=marked)
        except (av.FFmpegError, ValueError) as error:
            shape = " x ".join(map(str, frames.pixels.shape[2:0:-1]))
            raise Trouble(f"frames of {shape} pixels cannot be encoded ({error})") from error

    def _messages(self, prompt: Prompt, pictures: Pictures) -> list[dict[str, Any]]:
        """The conversation; pictures come first in it, before the words about them."""
        asked = [*(turn.asked for turn in prompt.history), prompt.text]
        messages: list[dict[str, Any]] = [{"role": "system", "content": prompt.system}] if prompt.system else []
        for place, text in enumerate(asked):
            shown = pictures.parts if place == 0 else []
            messages.append({"role": "user", "content": [*shown, {"type": "text", "text": text}] if shown else text})
            if place < len(prompt.history):
                messages.append({"role": "assistant", "content": prompt.history[place].answered})
        return messages

    def _check_purse(self) -> None:
        if reason := self._purse.empty:
            raise Trouble(reason)

    def _error(self, trouble: Trouble) -> ModelError:
        return ModelError(self._address.name, self._server.clean(_advice(trouble, self._models)))


def _whole(value: Mapping[str, Any]) -> Iterator[Piece]:
    """The one piece of a reply that a server gave whole, though it was asked to stream."""
    said = read_reply(value)
    yield Piece(said.text, "stop", said.reason, said.usage)


def _listed(server: Server, address: Address) -> dict[str, Mapping[str, Any]]:
    """The server's models; none when it keeps no list and the model is named. Raises ModelError."""
    for attempt in (1, 2, 3):
        try:
            return read_models(server.get(_MODELS))
        except Trouble as trouble:
            if trouble.status in (429, 503) and attempt < 3:
                Gate(1).sleep(wait_before(attempt, trouble.wait))
                continue
            # Some keep no list (404), and some fail over it though they answer prompts.
            if address.model and trouble.status >= 400 and trouble.status not in (401, 402, 403, 429, 503):
                return {}
            raise ModelError(address.name, server.clean(_advice(trouble, {}))) from trouble
    raise AssertionError("the last attempt returns or raises")


def _only(address: Address, rows: Mapping[str, Any]) -> str:
    """The name of the one model. Raises UsageError when there are others, or none."""
    if len(rows) == 1:
        return next(iter(rows))
    if not rows:
        raise UsageError(f"{address.base} lists no model: name one, {address.base}#MODEL")
    raise UsageError(f"{address.base} has {len(rows)} models, name one of them: {_some(address.base, list(rows))}")


def _some(base: str, names: list[str]) -> str:
    return ", ".join(f"{base}#{name}" for name in names[:12]) + (", …" if len(names) > 12 else "")


def _advice(trouble: Trouble, models: Mapping[str, Any]) -> str:
    """Why the server cannot be asked, and what to do."""
    if trouble.status in (401, 403):
        return f"the server lets nobody in with this key ({trouble.reason}): set OPENAI_API_KEY"
    if trouble.status == 402 or "quota" in trouble.code:
        return f"the account at this server is empty ({trouble.reason})"
    if trouble.status in (404, 405) or "model_not_found" in trouble.code:
        listed = f"; it lists {', '.join(list(models)[:12])}" if models else ""
        return f"the server has no such model or page ({trouble.reason}): the address ends in /v1#MODEL{listed}"
    if isinstance(trouble, Malformed):
        return f"{trouble.reason}: does the address end in /v1?" if "HTML" in trouble.reason else trouble.reason
    if trouble.again and not trouble.status:
        return f"{trouble.reason}: is the server running, and is this its address?"
    return trouble.reason

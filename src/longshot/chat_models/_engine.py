"""The engine behind every chat model in this process: batches, greedy or seeded choice, streaming, hidden states.

What differs from family to family is how a prompt becomes tensors; that is a `Preparer`'s work. The engine pads
prompts on the left, so that each row's last position is its own, and gives every row what it would get alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import math
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from longshot import tensors
from longshot.contracts import Finish, Loading, Prompt, Reply
from longshot.errors import LongshotError, UsageError
from longshot.timeline import Source

# Rows of these are one prompt long, and are padded on the left with these values.
_PADDED = {"attention_mask": 0, "mm_token_type_ids": 0, "token_type_ids": 0}
# What a prompt of the usual kind takes, for a first guess at how many fit: 16 frames of 264 tokens, a page of text.
_USUAL_TOKENS = 6_000
_MOST_AT_ONCE = 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user may set.

    max_new_tokens: where a reply is cut. temperature: 0 for the likeliest token each time. top_p, top_k: choose only
    among the likeliest, 1.0 and 0 for all. repetition_penalty: as in CTRL (arXiv 1909.05858), over prompt and reply.
    seed: of the choice at a temperature; a prompt gets the same reply under one seed whatever is asked beside it.
    visual_tokens: most visual tokens of a prompt, 0 for what the context has room for. frame_pixels: most pixels of
    one frame, 0 for the family's own.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int = 0
    visual_tokens: int = 0
    frame_pixels: int = 0

    def __post_init__(self) -> None:
        least = {"max_new_tokens": 1, "repetition_penalty": 1e-6, "top_p": 1e-6}
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < least.get(field.name, 0) and field.name != "seed":
                raise UsageError(f"{field.name} is at least {least.get(field.name, 0):g}")
        if self.top_p > 1:
            raise UsageError(f"top_p is a share, at most 1, got {self.top_p}")

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Settings:
        """From options by name. Raises UsageError for an unknown one, naming the nearest, and for what is no number."""
        kinds: dict[str, type] = {name: type(value) for name, value in dataclasses.asdict(cls()).items()}
        read: dict[str, Any] = {}
        for name, value in given.items():
            if name not in kinds:
                close = get_close_matches(name, kinds, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise UsageError(f"no setting called {name!r}: there are {', '.join(kinds)}{hint}")
            kind = "a whole number" if kinds[name] is int else "a number"
            try:
                read[name] = kinds[name](value)
                meant = float(value) == read[name] and math.isfinite(read[name])
            except (TypeError, ValueError, OverflowError) as error:
                raise UsageError(f"{name} is {kind}, got {value!r}") from error
            if not meant:
                raise UsageError(f"{name} is {kind}, got {value!r}")
        return cls(**read)

    @property
    def changed(self) -> dict[str, Any]:
        """The settings that are not the default."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }


class Misfit(LongshotError):
    """A prompt that this model cannot take; the message becomes the reason of a reply that FAILED."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One prompt as tensors.

    inputs: what the model's forward takes, for a batch of one; "input_ids" (1, L) always. note: `Reply.note`. along:
    the axis on which an input joins those of other prompts, where it is not the first.
    """

    inputs: Mapping[str, torch.Tensor]
    note: str = ""
    along: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def length(self) -> int:
        """L, tokens of the prompt, pictures included."""
        return int(self.inputs["input_ids"].shape[1])


class Preparer(Protocol):
    """Turns prompts into tensors, in the way of one family."""

    @property
    def tokenizer(self) -> Any:
        """A transformers tokenizer: `decode`, `pad_token_id`, `eos_token_id`."""
        ...

    @property
    def mixes(self) -> bool:
        """Whether prompts with different tensors (with pictures and without, of different sizes) can share a batch."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a text."""
        ...

    def prepare(self, prompt: Prompt, *, room: int, settings: Settings) -> Prepared:
        """A prompt as tensors of at most `room` tokens (0: no limit), in the processor's thread.

        Raises Misfit when it cannot be made to fit.
        """
        ...


class Engine:
    """A loaded model and a preparer as a `ChatModel` that shows `HiddenStates`."""

    def __init__(
        self, model: Any, preparer: Preparer, *, source: Source, loading: Loading, settings: Settings, context: int = -1
    ) -> None:
        """context: tokens for prompt and reply together, 0 when not known, -1 to read it from the model's config."""
        self.model = model
        self.preparer = preparer
        self.settings = settings
        self.source = dataclasses.replace(source, settings={**source.settings, **settings.changed})
        self._context = _context(model.config) if context < 0 else context
        self._ends = _ends(model.generation_config, preparer.tokenizer)
        self._pad = preparer.tokenizer.pad_token_id
        if self._pad is None:
            self._pad = self._ends[0] if self._ends else 0
        # A checkpoint's own sampling must not decide; generate() fills what we leave open from here.
        model.generation_config = GenerationConfig(eos_token_id=list(self._ends) or None, pad_token_id=self._pad)
        self._at_once = loading.batch or _fitting(model)
        self._batch = loading.batch or 2 * self._at_once
        self._lock = threading.Lock()

    @property
    def batch(self) -> int:
        """How many prompts one call of `generate` should hold: two batches where we choose, to bring like to like."""
        return self._batch

    @property
    def slots(self) -> int:
        """One: the model is in this process."""
        return 1

    @property
    def context(self) -> int:
        """Tokens that prompt and reply may have together; 0 when not known."""
        return self._context

    @property
    def stills_are_videos(self) -> bool:
        """Whether it knows a single picture as a video of one frame; an encoder made of it must ask so."""
        return bool(getattr(self.preparer, "stills_are_videos", False))

    @property
    def tells_times(self) -> bool:
        """Whether it sees each frame's time in seconds; else who asks for times must say them in words."""
        return bool(getattr(self.preparer, "tells_times", False))

    @property
    def breaks_after_pictures(self) -> bool:
        """Whether a newline stands between pictures and words in any case."""
        return bool(getattr(self.preparer, "breaks_after_pictures", False))

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, exactly."""
        return self.preparer.count_tokens(text)

    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """One reply for each prompt, in the same order. See `ChatModel`."""
        replies: dict[int, Reply] = {}
        with self._lock:
            for ready, misfits in self._batches(prompts, room=self._room(self.settings.max_new_tokens)):
                replies.update({place: Reply("", Finish.FAILED, reason) for place, reason in misfits.items()})
                replies.update(zip(ready, tensors.in_halves(self._replies, list(ready.values())), strict=True))
        return [replies[place] for place in range(len(prompts))]

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """The reply to one prompt, piece by piece. Raises UsageError for a prompt that does not fit."""
        feed = _Feed()
        worker = threading.Thread(target=feed.run, args=(self._answer, prompt), name="stream", daemon=True)
        worker.start()
        try:
            yield from self._pieces(feed)
        finally:
            feed.stopped = True
            worker.join()

    def embed(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """The last layer's hidden state after the final norm at the last position: float32 (N, D), one forward pass.

        Raises UsageError for a prompt that does not fit.
        """
        rows: dict[int, NDArray[np.float32]] = {}
        with self._lock:
            for ready, misfits in self._batches(prompts, room=self._room(0)):
                if misfits:
                    place, reason = next(iter(misfits.items()))
                    raise UsageError(f"prompt {place} has no vector: {reason}")
                rows.update(zip(ready, tensors.in_halves(self._states, list(ready.values())), strict=True))
        width = self.model.config.get_text_config().hidden_size
        return np.stack([rows[place] for place in range(len(prompts))]) if prompts else np.empty((0, width), np.float32)

    def _room(self, reply: int) -> int:
        """Tokens that a prompt may take beside a reply of so many; 0 when the context is not known."""
        if not self._context:
            return 0
        if reply >= self._context:
            raise UsageError(
                f"max_new_tokens {reply} leaves no room for a prompt: the context is {self._context} tokens"
            )
        return self._context - reply

    def _prepare(self, prompt: Prompt, room: int) -> Prepared:
        """As the preparer does, with what its processor finds wrong as a Misfit too."""
        try:
            ready = self.preparer.prepare(prompt, room=room, settings=self.settings)
        except ValueError as error:
            raise Misfit(f"its processor does not take this prompt: {str(error).splitlines()[0]}") from error
        if room and ready.length > room:
            raise Misfit(f"the prompt has {ready.length} tokens, and there is room for {room}")
        return ready

    def _prepare_some(
        self, prompts: Sequence[Prompt], places: Sequence[int], room: int
    ) -> tuple[dict[int, Prepared], dict[int, str]]:
        ready: dict[int, Prepared] = {}
        misfits: dict[int, str] = {}
        for place in places:
            try:
                ready[place] = self._prepare(prompts[place], room)
            except Misfit as error:
                misfits[place] = str(error)
        return ready, misfits

    def _batches(self, prompts: Sequence[Prompt], *, room: int) -> Iterator[tuple[dict[int, Prepared], dict[int, str]]]:
        """Prompts as batches of like length that can share one, by place, each with those that do not fit.

        The next batch is prepared in a thread while the caller runs the model on this one.
        """
        order = sorted(range(len(prompts)), key=lambda place: _weight(prompts[place]), reverse=True)
        chunks = [order[first : first + self._at_once] for first in range(0, len(order), self._at_once)]
        with ThreadPoolExecutor(1, thread_name_prefix="prepare") as pool:
            ahead = [pool.submit(self._prepare_some, prompts, chunk, room) for chunk in chunks[:1]]
            for chunk in [*chunks[1:], None]:
                if not ahead:
                    return
                ready, misfits = ahead.pop().result()
                if chunk is not None:
                    ahead.append(pool.submit(self._prepare_some, prompts, chunk, room))
                if misfits:
                    yield {}, misfits
                groups: dict[Any, dict[int, Prepared]] = {}
                for place, one in ready.items():
                    groups.setdefault(None if self.preparer.mixes else _structure(one), {})[place] = one
                for group in groups.values():
                    yield group, {}

    def _join(self, batch: Sequence[Prepared]) -> dict[str, Any]:
        """Several prompts as one batch on the model's device, padded on the left."""
        longest = max(one.length for one in batch)
        joined: dict[str, Any] = {}
        masked = [{"attention_mask": torch.ones_like(one.inputs["input_ids"]), **one.inputs} for one in batch]
        for name in dict.fromkeys(name for inputs in masked for name in inputs):
            parts = [inputs[name] for inputs in masked if name in inputs]
            if name == "input_ids" or name in _PADDED:
                fill = self._pad if name == "input_ids" else _PADDED[name]
                rows = [inputs.get(name, torch.zeros_like(inputs["input_ids"])) for inputs in masked]
                joined[name] = torch.cat(
                    [torch.nn.functional.pad(row, (longest - row.shape[1], 0), value=fill) for row in rows]
                )
            else:
                joined[name] = torch.cat(parts, dim=batch[0].along.get(name, 0))
            if joined[name].is_floating_point() and name != "second_per_grid_ts":
                joined[name] = joined[name].to(self.model.dtype)
            joined[name] = joined[name].to(self.model.device)
        return joined

    def _answer(self, prompt: Prompt, feed: _Feed) -> None:
        """One prompt's new tokens into a feed."""
        with self._lock:
            try:
                ready = self._prepare(prompt, self._room(self.settings.max_new_tokens))
            except Misfit as error:
                raise UsageError(str(error)) from error
            self._tokens([ready], feed)

    def _tokens(self, batch: Sequence[Prepared], feed: _Feed | None = None) -> torch.Tensor:
        """The new tokens of each prompt, int64 (N, T) on the CPU, filled up behind its end."""
        inputs = self._join(batch)
        wanted = self.settings
        options: dict[str, Any] = {}
        if wanted.temperature or wanted.repetition_penalty != 1.0:
            choice = _Choice(wanted, inputs["input_ids"], inputs["attention_mask"])
            options["logits_processor"] = LogitsProcessorList([choice])
        if feed:
            options |= {"streamer": feed, "stopping_criteria": StoppingCriteriaList([feed])}
        with torch.inference_mode():
            made = self.model.generate(
                **inputs,
                generation_config=GenerationConfig(
                    max_new_tokens=wanted.max_new_tokens,
                    do_sample=False,
                    eos_token_id=list(self._ends) or None,
                    pad_token_id=self._pad,
                ),
                **options,
            )
        return made[:, inputs["input_ids"].shape[1] :].cpu()

    def _replies(self, batch: Sequence[Prepared]) -> list[Reply]:
        if not batch:
            return []
        return [self._reply(one, row) for one, row in zip(batch, self._tokens(batch).tolist(), strict=True)]

    def _reply(self, asked: Prepared, row: Sequence[int]) -> Reply:
        end = next((place for place, token in enumerate(row) if token in self._ends), None)
        said = row if end is None else row[: end + 1]
        text = self._text(said)
        finish = Finish.LENGTH if end is None else Finish.STOP
        return Reply(text.strip(), finish, tokens_in=asked.length, tokens_out=len(said), note=asked.note)

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self.preparer.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _pieces(self, feed: _Feed) -> Iterator[str]:
        """What each token adds to the text; a character of several tokens comes when it is whole."""
        tokens: list[int] = []
        shown = ""
        for token in feed:
            tokens.append(token)
            text = self._text(tokens)
            if text.startswith(shown) and len(text) > len(shown) and not text.endswith("\N{REPLACEMENT CHARACTER}"):
                yield text[len(shown) :]
                shown = text
        rest = self._text(tokens)[len(shown) :]
        if rest:
            yield rest

    def _states(self, batch: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        if not batch:
            return []
        inputs = self._join(batch)
        if not hasattr(self.model.base_model, "get_rope_index"):
            # A row's positions begin where its padding ends; models with positions in three axes work theirs out.
            inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        with torch.inference_mode():
            # The inner model has no vocabulary head, so no logits are made for the whole sequence.
            last = self.model.base_model(**inputs, use_cache=False).last_hidden_state[:, -1]
        return list(last.float().cpu().numpy())


class _Feed(StoppingCriteria):
    """New tokens of one prompt from the thread that makes them to the one that shows them."""

    def __init__(self) -> None:
        self.stopped = False
        self._tokens: queue.SimpleQueue[int | BaseException | None] = queue.SimpleQueue()
        self._prompt_seen = False

    def run(self, work: Callable[[Prompt, _Feed], None], prompt: Prompt) -> None:
        """Do the work in this thread; what it raises is raised where the tokens are read."""
        try:
            work(prompt, self)
        except BaseException as error:
            self._tokens.put(error)
        else:
            self._tokens.put(None)

    def put(self, value: torch.Tensor) -> None:
        """Called by generate(): the prompt first, then each new token."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in value.reshape(-1).tolist():
            self._tokens.put(token)

    def end(self) -> None:
        """Called by generate() at the end; `run` says so itself."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """Whether nobody reads any more, bool (N,)."""
        return torch.full((len(input_ids),), self.stopped, dtype=torch.bool, device=input_ids.device)

    def __iter__(self) -> Iterator[int]:
        while (token := self._tokens.get()) is not None:
            if isinstance(token, BaseException):
                raise token
            yield token


class _Choice(LogitsProcessor):
    """Repetition penalty, temperature, top-k, top-p and the choice itself, the same for a row whatever is beside it.

    The likeliest token of scores + Gumbel noise is a sample of their softmax (Gumbel-max), so each row draws from a
    generator of its own, seeded by the seed and its prompt, and padding counts for nothing.
    """

    def __init__(self, settings: Settings, prompts: torch.Tensor, mask: torch.Tensor) -> None:
        self._settings = settings
        self._prompts, self._mask = prompts, mask.bool()
        self._seen: torch.Tensor | None = None
        self._generators = [
            torch.Generator().manual_seed(_seed_of(settings.seed, row[here].tolist()))
            for row, here in zip(prompts, self._mask, strict=True)
        ]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores float (N, V) of the next token."""
        scores = scores.float()
        wanted = self._settings
        if wanted.repetition_penalty != 1.0:
            seen = self._note(input_ids, scores)
            penalised = torch.where(scores > 0, scores / wanted.repetition_penalty, scores * wanted.repetition_penalty)
            scores = torch.where(seen, penalised, scores)
        if not wanted.temperature:
            return scores
        scores = scores / wanted.temperature
        if 0 < wanted.top_k < scores.shape[-1]:
            least = torch.topk(scores, wanted.top_k).values[:, -1:]
            scores = scores.masked_fill(scores < least, -torch.inf)
        if wanted.top_p < 1.0:
            ordered, places = scores.sort(descending=True)
            shares = ordered.softmax(-1)
            beyond = shares.cumsum(-1) - shares >= wanted.top_p
            scores = scores.masked_fill(beyond.scatter(1, places, beyond), -torch.inf)
        draws = torch.stack([torch.rand(scores.shape[-1], generator=one) for one in self._generators]).to(scores.device)
        return scores - torch.log(-torch.log(draws.clamp(1e-20, 1 - 1e-7)))

    def _note(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Which tokens each row has had, bool (N, V)."""
        if self._seen is None:
            seen = torch.zeros(scores.shape, dtype=torch.int32, device=scores.device)
            self._seen = seen.scatter_add_(1, self._prompts, self._mask.int()).bool()
        if input_ids.shape[1] > self._prompts.shape[1]:
            self._seen.scatter_(1, input_ids[:, -1:], True)
        return self._seen


def _seed_of(seed: int, tokens: Sequence[int]) -> int:
    digest = hashlib.blake2b(np.asarray(tokens, dtype=np.int64).tobytes(), digest_size=7, salt=b"longshot")
    digest.update(str(seed).encode())
    return int.from_bytes(digest.digest(), "big")


def _structure(one: Prepared) -> tuple[Any, ...]:
    """What must be equal for two prompts to share a batch when nothing more is known of the model."""
    return tuple(
        sorted(
            (name, tuple(value.shape[1:]))
            for name, value in one.inputs.items()
            if name != "input_ids" and name not in _PADDED
        )
    )


def _weight(prompt: Prompt) -> float:
    """About how long a prompt will be, to bring like to like: pixels by 800 a token, characters by 4."""
    pixels = prompt.frames.pixels.size / 3 if prompt.frames is not None else 0
    return pixels / 800 + len(prompt.text) / 4


def _ends(config: GenerationConfig, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end a reply."""
    ends = config.eos_token_id if config.eos_token_id is not None else tokenizer.eos_token_id
    if ends is None:
        return ()
    return tuple(ends) if isinstance(ends, list | tuple) else (int(ends),)


def _context(config: Any) -> int:
    return int(getattr(config.get_text_config(), "max_position_embeddings", 0) or 0)


def _fitting(model: Any) -> int:
    """How many prompts at once: few on a CPU, where more gain little, else what the free memory holds."""
    if model.device.type != "cuda":
        return 8
    text = model.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    # Keys and values of every layer, and a prompt's activations at about eight hidden states a token.
    token = (2 * text.num_hidden_layers * heads * width + 8 * text.hidden_size) * model.dtype.itemsize
    free, _ = torch.cuda.mem_get_info(model.device)
    return max(1, min(_MOST_AT_ONCE, int(0.6 * free / (token * _USUAL_TOKENS))))

"""Chat models without weights: they answer from a function, and remember what they were asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from longshot.contracts import Finish, Prompt, Reply
from longshot.timeline import Source

Answering = Callable[[Prompt], Reply | str]


def echo(prompt: Prompt) -> str:
    """The request, with how many frames came with it."""
    return f"{prompt.text} [{0 if prompt.frames is None else len(prompt.frames)}]"


class ScriptedModel:
    """A chat model whose replies come from a function of the prompt; a context manager for nothing.

    batch, slots: as in ChatModel. delay: seconds that a call takes. fail: called with the number of a call (from 0)
    before it answers, and may raise. on_ask: called with each prompt before its call begins. settings: part of what the
    journal's keys are made of. keep: remember the prompts (their pixels too) in `asked`.
    """

    def __init__(
        self,
        answer: Answering = echo,
        *,
        name: str = "scripted",
        revision: str = "1",
        settings: Mapping[str, Any] | None = None,
        batch: int = 1,
        slots: int = 1,
        delay: float = 0.0,
        context: int = 4096,
        fail: Callable[[int], None] | None = None,
        on_ask: Callable[[Prompt], None] | None = None,
        keep: bool = True,
    ) -> None:
        self.answer = answer
        self.source = Source("chat", name, revision, dict(settings or {}))
        self.batch, self.slots, self.context = batch, slots, context
        self.delay, self.fail, self.on_ask, self.keep = delay, fail, on_ask, keep
        self.asked: list[Prompt] = []
        self.batches: list[int] = []
        self.busy = 0.0  # seconds, over all slots
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def count_tokens(self, text: str) -> int:
        """One for each word."""
        return len(text.split())

    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """What the function says, after the delay."""
        began = time.perf_counter()
        with self._lock:
            call = len(self.batches)
            self.batches.append(len(prompts))
            if self.keep:
                self.asked.extend(prompts)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            for prompt in prompts:
                if self.on_ask:
                    self.on_ask(prompt)
            time.sleep(self.delay)
            if self.fail:
                self.fail(call)
            return [self._reply(prompt) for prompt in prompts]
        finally:
            with self._lock:
                self._at_once -= 1
                self.busy += time.perf_counter() - began

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """The reply, word by word."""
        words = self.generate([prompt])[0].text.split(" ")
        for place, word in enumerate(words):
            yield word if place == 0 else f" {word}"

    @property
    def texts(self) -> list[str]:
        """The requests so far, in the order of the calls."""
        return [prompt.text for prompt in self.asked]

    def _reply(self, prompt: Prompt) -> Reply:
        said = self.answer(prompt)
        if isinstance(said, Reply):
            return said
        return Reply(said, tokens_in=self.count_tokens(prompt.text), tokens_out=self.count_tokens(said))


def refused(reason: str = "the filter said no") -> Reply:
    """A reply that was refused."""
    return Reply("", Finish.REFUSED, reason)


def failed(reason: str = "the server was away") -> Reply:
    """A reply that did not come."""
    return Reply("", Finish.FAILED, reason)

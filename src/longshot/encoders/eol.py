"""Any chat model as an encoder: what it would say in one word, before it says it (PromptEOL, E5-V, CaRe).

The text, or the pictures, are followed by a line that asks for a summary in one word. What the last layer holds at the
last position of that prompt, where the word would come next, is the vector. One forward pass, no token is generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longshot import models
from longshot.contracts import ChatModel, Frames, HiddenStates, Loading, Prompt
from longshot.errors import ModelError, UsageError
from longshot.pooling import unit
from longshot.timeline import Source

NEEDS = ("torch", "transformers", "torchvision")
EXTRA = "models"

# Batches in one call: the model prepares the next while it works on one.
_AT_ONCE = 8
# Settings of a chat model that change its replies and no vector.
_OF_REPLIES = {"max_new_tokens", "temperature", "top_p", "top_k", "repetition_penalty", "seed"}
# What CaRe was trained to answer; other models follow it too. A vector made with other words is another vector.
SENTENCE = "Summary above sentence in one word:"
IMAGE = "Summary above image in one word:"
VIDEO = "Summary above video in one word:"


def load(name: str, *, loading: Loading, pooling: str = "") -> EolEncoder:
    """The EOL-prompted encoder of the chat model behind a name.

    Raises ModelError for a model that cannot be loaded or shows no hidden states, UsageError for a pooling: the model
    reads all frames at once, so there is nothing to pool.
    """
    if pooling:
        raise UsageError(f"{name} gives a clip one vector: there are no vectors of frames to pool by {pooling!r}")
    return EolEncoder(models.open_chat_model(name, loading=loading))


class EolEncoder:
    """An `Encoder` made of a loaded chat model, which goes on answering prompts as before."""

    def __init__(self, chat_model: ChatModel) -> None:
        """Raises ModelError for a chat model that shows no hidden states (a server, say)."""
        if not isinstance(chat_model, HiddenStates):
            raise ModelError(chat_model.source.model, "shows no hidden states, so there are no vectors to take from it")
        self.chat_model = chat_model
        self._states: HiddenStates = chat_model
        # A model that shows one picture as a clip of one frame, CaRe among them, was asked about a "video" too.
        self._still = VIDEO if getattr(chat_model, "stills_are_videos", False) else IMAGE
        # One newline stands between the pictures and the line; some families put it there themselves.
        self._break = "" if getattr(chat_model, "breaks_after_pictures", False) else "\n"

    @property
    def source(self) -> Source:
        """The chat model, with those of its settings that change vectors, and the way the vector is taken."""
        of = self.chat_model.source
        settings = {name: value for name, value in of.settings.items() if name not in _OF_REPLIES}
        return Source("", of.model, of.revision, {**settings, "prompt": "one word", "pooling": "last token"})

    @cached_property
    def dimension(self) -> int:
        """D; seen by encoding a word, once."""
        return int(self._states.embed([_about("a")]).shape[1])

    @property
    def frames(self) -> int:
        """What the chat model says, or 32, as CaRe was evaluated with."""
        return int(getattr(self.chat_model, "frames", 32))

    @property
    def height(self) -> int:
        """What the chat model says, or 480."""
        return int(getattr(self.chat_model, "height", 480))

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows (N, D)."""
        return self._rows([_about(text) for text in texts], [len(text) for text in texts])

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        """Unit rows (N, D). Raises UsageError for a clip without frames."""
        if any(not len(clip) for clip in clips):
            raise UsageError("a clip without frames has no vector")
        prompts = [Prompt(self._break + (self._still if len(clip) == 1 else VIDEO), frames=clip) for clip in clips]
        return self._rows(prompts, [clip.pixels.size for clip in clips])

    def _rows(self, prompts: Sequence[Prompt], weights: Sequence[int]) -> NDArray[np.float32]:
        """weights: how much work each prompt is; those of a kind go together, so that little is padding."""
        if not prompts:
            return np.zeros((0, self.dimension), np.float32)
        order = sorted(range(len(prompts)), key=weights.__getitem__)
        size = _AT_ONCE * max(1, self.chat_model.batch)
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        rows = np.concatenate([self._states.embed([prompts[place] for place in group]) for group in groups])
        back = np.empty(len(order), dtype=np.intp)
        back[order] = np.arange(len(order))
        return unit(rows[back])


def _about(text: Any) -> Prompt:
    return Prompt(f"{text}\n{SENTENCE}")

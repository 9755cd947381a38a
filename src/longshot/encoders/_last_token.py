"""The last token of a prompt as a vector: batches through a model of transformers, padded on the right.

Causal attention does not look ahead, so what stands behind a prompt's end changes nothing, and each prompt's positions
begin at 0 as they would alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from longshot.checkpoints import Checkpoint
from longshot.contracts import Loading
from longshot.errors import ModelError
from longshot.tensors import in_halves

# Rows of these are one prompt long; all else joins along the first axis.
_ROWS = {"attention_mask": 0, "mm_token_type_ids": 0}
_log = logging.getLogger(__name__)


class LastToken:
    """A model and how its prompts are joined. The model is an inner one, without a vocabulary head."""

    def __init__(self, model: Any, tokenizer: Any, *, limit: int, loading: Loading) -> None:
        """limit: tokens that a text may have, its frame included; longer ones lose the end of their text."""
        self.model = model
        self.tokenizer = tokenizer
        self.limit = limit
        self.batch = loading.batch or (16 if model.device.type == "cuda" else 4)
        self.dimension = int(model.config.get_text_config().hidden_size)

    def words(self, front: str, text: str, back: str) -> dict[str, Tensor]:
        """A text between its frame as inputs; `back` begins with a special token, so it is cut into tokens alone."""
        plain = self.harmless(text)
        ids = self.tokenizer(front + plain + back, add_special_tokens=False, verbose=False)["input_ids"]
        if len(ids) > self.limit:
            end = self.tokenizer(back, add_special_tokens=False)["input_ids"]
            _log.warning("a text of %d tokens is cut to %d", len(ids), self.limit)
            ids = [*ids[: self.limit - len(end)], *end]
        return {"input_ids": torch.tensor([ids])}

    def harmless(self, text: str) -> str:
        """The text with the model's control tokens broken up, so that they are text."""
        for token in self.tokenizer.all_special_tokens:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def rows(
        self, count: int, prepare: Callable[[int], Mapping[str, Tensor]], *, plain: bool = False
    ) -> NDArray[np.float32]:
        """The state at the last position of `count` prompts, after the final norm: float32 (N, D), of any length.

        prepare: the inputs of one prompt, for a batch of one. plain: whether positions simply count, with no places
        within pictures.
        """
        found: list[NDArray[np.float32]] = []
        for first in range(0, count, self.batch):
            some = [prepare(place) for place in range(first, min(count, first + self.batch))]
            found += in_halves(lambda part: self._forward(part, plain), some)
        return np.stack(found) if found else np.zeros((0, self.dimension), np.float32)

    def _forward(self, batch: Sequence[Mapping[str, Tensor]], plain: bool) -> list[NDArray[np.float32]]:
        inputs = self._join(batch)
        if plain:
            places = torch.arange(inputs["input_ids"].shape[1], device=self.model.device)
            inputs["position_ids"] = places.expand(3, len(batch), -1)
        ends = inputs["attention_mask"].sum(dim=1) - 1
        with torch.inference_mode():
            states = self.model(**inputs, use_cache=False).last_hidden_state
        return list(states[torch.arange(len(batch), device=states.device), ends].float().cpu().numpy())

    def _join(self, batch: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        masked = [{"attention_mask": torch.ones_like(one["input_ids"]), **one} for one in batch]
        longest = max(one["input_ids"].shape[1] for one in masked)
        fills = {"input_ids": self.tokenizer.pad_token_id or 0, **_ROWS}
        joined: dict[str, Tensor] = {}
        for name in dict.fromkeys(name for one in masked for name in one):
            if name in fills:
                rows = [one.get(name, torch.zeros_like(one["input_ids"])) for one in masked]
                padded = [torch.nn.functional.pad(row, (0, longest - row.shape[1]), value=fills[name]) for row in rows]
                joined[name] = torch.cat(padded)
            else:
                joined[name] = torch.cat([one[name] for one in masked if name in one])
            if joined[name].is_floating_point():
                joined[name] = joined[name].to(self.model.dtype)
            joined[name] = joined[name].to(self.model.device)
        return joined


def processor_of(kind: Any, checkpoint: Checkpoint) -> Any:
    """A processor of this class from the files beside the weights. Raises ModelError."""
    try:
        return kind.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        said = str(error).strip().splitlines()
        raise ModelError(checkpoint.name, f"its processor cannot be loaded: {said[0] if said else error!r}") from error


def tensors_only(made: Mapping[str, Any]) -> dict[str, Tensor]:
    """What a processor made, without what is no tensor (the metadata of a video)."""
    return {name: value for name, value in made.items() if isinstance(value, Tensor)}

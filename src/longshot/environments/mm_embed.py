"""MM-Embed by its authors' code, inside a worker."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from _placing import placed  # type: ignore[import-not-found]
from PIL import Image
from transformers import AutoModel

ASKS = ("encode_text", "encode_pictures")
# Tokens of a prompt, as in its authors' example.
LIMIT = 4096


def load(options: dict[str, Any]) -> MMEmbed:
    """options: as `longshot.workers.options_of` gives them, with "instruction" for texts."""
    return MMEmbed(placed(AutoModel, options), options["instruction"])


class MMEmbed:
    """The loaded model and what it says of itself."""

    def __init__(self, model: Any, instruction: str) -> None:
        self.model = model
        self.instruction = instruction
        config = model.config
        self.about = {
            "dimension": int(config.text_config.hidden_size),
            "height": int(config.vision_config.image_size),
            "dtype": str(next(model.parameters()).dtype).replace("torch.", ""),
        }

    def encode_text(self, values: dict[str, Any], arrays: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        """One row a text, each as a query behind the instruction."""
        asked = [{"txt": text} for text in values["texts"]]
        return {}, [self._rows(asked, is_query=True, instruction=self.instruction)]

    def encode_pictures(self, values: dict[str, Any], arrays: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        """One row a picture, each as a passage."""
        return {}, [self._rows([{"img": Image.fromarray(array)} for array in arrays])]

    def _rows(self, asked: list[dict[str, Any]], **how: Any) -> Any:
        with torch.inference_mode():
            made = self.model.encode(asked, max_length=LIMIT, **how)["hidden_states"]
        return np.ascontiguousarray(made.float().cpu().numpy())

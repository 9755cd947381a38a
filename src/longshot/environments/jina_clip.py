"""jina-clip-v2 by its authors' code, inside a worker."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from _placing import placed  # type: ignore[import-not-found]
from PIL import Image
from transformers import AutoModel

ASKS = ("encode_text", "encode_pictures")


def load(options: dict[str, Any]) -> Jina:
    """options: as `longshot.workers.options_of` gives them, with "task" for texts."""
    return Jina(placed(AutoModel, options), options["task"])


class Jina:
    """The loaded model and what it says of itself."""

    def __init__(self, model: Any, task: str) -> None:
        self.model = model
        self.task = task
        config = model.config
        self.about = {
            "dimension": int(config.projection_dim),
            "height": int(config.vision_config.image_size),
            "dtype": str(next(model.parameters()).dtype).replace("torch.", ""),
        }

    def encode_text(self, values: dict[str, Any], arrays: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        """One row a text."""
        with torch.inference_mode():
            rows = self.model.encode_text(values["texts"], task=self.task, show_progress_bar=False)
        return {}, [np.asarray(rows, dtype=np.float32)]

    def encode_pictures(self, values: dict[str, Any], arrays: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        """One row a picture."""
        pictures = [Image.fromarray(array) for array in arrays]
        with torch.inference_mode():
            rows = self.model.encode_image(pictures, show_progress_bar=False)
        return {}, [np.asarray(rows, dtype=np.float32)]

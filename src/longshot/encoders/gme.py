"""GME-Qwen2-VL: single pictures and texts in one space, by a Qwen2-VL read at its last token.

A clip is its frames, each a picture, pooled (LoVR's protocol: their mean). Zhang et al. 2024, "GME: Improving Universal
Multimodal Retrieval by Multimodal LLMs" (arXiv 2412.16855), section 3.1: the state of the last token is the vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import Qwen2VLConfig, Qwen2VLModel, Qwen2VLProcessor

from longshot import checkpoints, tensors
from longshot import pooling as policies
from longshot.checkpoints import Checkpoint
from longshot.contracts import Frames, Loading
from longshot.encoders._last_token import LastToken, processor_of, tensors_only
from longshot.errors import ModelError, UsageError
from longshot.pooling import unit
from longshot.timeline import Source

NEEDS = ("torch", "transformers", "torchvision")
EXTRA = "models"

# The words that it was trained with; a vector made with others is another vector.
INSTRUCTION = "You are a helpful assistant."
_FRONT = f"<|im_start|>system\n{INSTRUCTION}<|im_end|>\n<|im_start|>user\n"
_BACK = "<|im_end|>\n<|im_start|>assistant\n<|endoftext|>"
_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
# Bounds of a picture in tokens of 28 x 28 pixels, and of a prompt in tokens, as its authors' code has them.
_LEAST, _MOST, _LIMIT = 256, 1280, 1800
# Names in the file, as transformers 4 wrote them -> names in the inner model.
_KEYS = {
    r"^model\.(?=visual\.|language_model\.)": "",
    r"^model\.(?!visual\.|language_model\.)": "language_model.",
}


class _Body(Qwen2VLModel):
    _keys_to_ignore_on_load_unexpected = (r"^lm_head\.",)


def load(name: str, *, loading: Loading, pooling: str = "") -> GmeEncoder:
    """A GME checkpoint by folder or hub id; its own Python files are not needed.

    pooling: of a clip's frames, "mean" when empty. Raises ModelError and UsageError.
    """
    policies.check(pooling or "mean")
    checkpoint = checkpoints.find(name)
    if checkpoint.config.get("vision_config") is None:
        raise ModelError(checkpoint.name, "is no GME: its config.json describes no Qwen2-VL (vision_config)")
    processor = processor_of(Qwen2VLProcessor, checkpoint)
    config = Qwen2VLConfig.from_dict({**checkpoint.config, "model_type": "qwen2_vl"})
    model = tensors.load(_Body, checkpoint, loading, keys=_KEYS, config=config)
    states = LastToken(model, processor.tokenizer, limit=_LIMIT, loading=loading)
    return GmeEncoder(states, processor, checkpoint, pooling=pooling or "mean")


class GmeEncoder:
    """GME as a `PictureEncoder`."""

    # No frame knows of another, so any number will do; eight show most of a clip.
    frames = 8
    height = 752
    """A frame at 16:9 of 1280 tokens has 752 rows."""

    def __init__(self, states: LastToken, processor: Any, checkpoint: Checkpoint, *, pooling: str) -> None:
        self.pooling = pooling
        self.dimension = states.dimension
        self._states = states
        self._processor = processor
        dtype = str(states.model.dtype).removeprefix("torch.")
        settings = {"dtype": dtype, "instruction": INSTRUCTION, "pooling": pooling}
        self.source = Source("embed", checkpoint.name, checkpoint.revision, settings)

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows (N, D)."""
        return unit(
            self._states.rows(len(texts), lambda place: self._states.words(_FRONT, texts[place], _BACK), plain=True)
        )

    def encode_pictures(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Unit rows (N, D). Raises UsageError for a picture that is too narrow to be shown."""
        # Its authors' code gives the language model plain positions: pictures have no rows and columns there.
        return unit(self._states.rows(len(pixels), lambda place: self._shown(pixels[place]), plain=True))

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        """Unit rows (N, D), pooled from those of the frames. Raises UsageError for a clip without frames."""
        if any(not len(clip) for clip in clips):
            raise UsageError("a clip without frames has no vector")
        rows = self.encode_pictures([picture for clip in clips for picture in clip.pixels])
        ends = np.cumsum([len(clip) for clip in clips], dtype=np.int64)
        pooled = [policies.pool(part, self.pooling) for part in np.split(rows, ends)[:-1]]
        return np.stack(pooled) if pooled else np.zeros((0, self.dimension), np.float32)

    def _shown(self, picture: NDArray[np.uint8]) -> Mapping[str, Tensor]:
        """One picture's prompt."""
        factor = self._processor.image_processor.patch_size * self._processor.image_processor.merge_size
        size = {"shortest_edge": _LEAST * factor**2, "longest_edge": _MOST * factor**2}
        try:
            made = self._processor(
                text=[_FRONT + _PICTURE + _BACK],
                images=[np.require(picture, requirements=("C", "W"))],
                images_kwargs={"size": size, "input_data_format": "channels_last"},
                return_tensors="pt",
            )
        except ValueError as error:
            rows, columns = picture.shape[:2]
            raise UsageError(f"a frame of {columns} x {rows} pixels: {str(error).splitlines()[0]}") from error
        return tensors_only(made)

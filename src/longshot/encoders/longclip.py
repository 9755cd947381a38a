"""Long-CLIP in its own layout: CLIP for texts of up to 248 tokens, frame vectors pooled.

CLIP with a text tower whose positions were stretched and trained on (Zhang et al. 2024, "Long-CLIP: Unlocking the
Long-Text Capability of CLIP"). Copies in the layout of transformers are plain CLIP models and open as those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from longshot import checkpoints
from longshot.checkpoints import Checkpoint
from longshot.contracts import Loading
from longshot.encoders._pictures import PicturesEncoder
from longshot.encoders._towers import (
    Layer,
    Patches,
    TwoTowers,
    Weights,
    from_openai,
    part,
    shape_of,
    stack,
    under,
    weights_of,
)
from longshot.encoders._video_text import (
    OPENAI_MEAN,
    OPENAI_STD,
    Look,
    check_options,
    clip_tokenizer,
    prepared,
    token_counts,
    tokens_of,
)
from longshot.tensors import device_of, dtype_of

NEEDS = ("torch", "transformers")
EXTRA = "models"


def load(name: str, *, loading: Loading, pooling: str = "") -> PicturesEncoder:
    """The encoder of a checkpoint that was converted. Raises ModelError, or UsageError for options it does not have."""
    check_options("Long-CLIP", loading)
    checkpoint = checkpoints.find(name)
    loaded = weights_of(checkpoint, unused=r"^logit_scale$")
    text = {name: tensor for name, tensor in loaded.tensors.items() if not name.startswith("visual.")}
    vision = under("vision", from_openai(part(loaded.tensors, "visual.")))
    weights = Weights(loaded.of, under("text", from_openai(text)) | vision)
    with torch.device("meta"):
        model = TwoTowers(weights, int(checkpoint.config.get("head_size") or 64), PictureTower)
    weights.fill(model, loading)
    return PicturesEncoder(LongClipTowers(model, checkpoint, loading), checkpoint, loading=loading, pooling=pooling)


class PictureTower(nn.Module):
    """CLIP's vision tower."""

    def __init__(self, weights: Weights, head: int) -> None:
        super().__init__()
        width = weights.shape("vision_model.embeddings.class_embedding")[0]
        shape = shape_of(weights, "vision_model.", {"num_attention_heads": width // head})
        self.embeddings = Patches(weights, "vision_model.embeddings.")
        self.pre_layrnorm = nn.LayerNorm(width)
        self.encoder = stack(lambda: Layer(shape), weights.layers("vision_model.encoder.layers."))
        self.post_layernorm = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pictures (N, 3, side, side) -> (N, D): the state of the class token."""
        x = self.pre_layrnorm(self.embeddings(pixels))
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.post_layernorm(x[:, 0])


class LongClipTowers:
    """The model with its tokenizer and the way it looks at pictures: bicubic, the middle cut out."""

    def __init__(self, model: Any, checkpoint: Checkpoint, loading: Loading) -> None:
        self.dimension = int(model.text_projection.out_features)
        self.height = int(model.vision_model.embeddings.side)
        self.text_limit = int(model.text_model.limit)
        self._model = model
        self._tokenizer = clip_tokenizer(checkpoint)
        self._look = Look(self.height, OPENAI_MEAN, OPENAI_STD, crop=True, smooth=True)
        self._device, self._dtype = device_of(loading), dtype_of(loading)

    def read(self, texts: Sequence[str]) -> Tensor:
        """Rows (N, D)."""
        return self._model.read(tokens_of(self._tokenizer, texts, self.text_limit)[0].to(self._device))

    def see(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Rows (N, D)."""
        pixels = torch.cat([prepared(picture[None], self._look) for picture in pictures])
        return self._model.see(pixels.to(self._device, self._dtype))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, uncut."""
        return token_counts(self._tokenizer, texts, 0)

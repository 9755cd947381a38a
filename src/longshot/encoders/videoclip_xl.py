"""VideoCLIP-XL and -v2: one vector from 8 frames, texts of up to 248 tokens.

All patches of all frames go through one CLIP ViT together, each with its place in the picture and in time, behind a
single class token; the text tower is Long-CLIP's (Wang et al. 2024, "VideoCLIP-XL: Advancing Long Description
Understanding for Video CLIP Models"; the vision tower is ViCLIP's, Wang et al. 2024, "InternVid").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from longshot import checkpoints
from longshot.contracts import Loading
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
    IMAGENET_MEAN,
    IMAGENET_STD,
    Look,
    VideoTextEncoder,
    check_options,
    clip_tokenizer,
)

NEEDS = ("torch", "transformers")
EXTRA = "models"


def load(name: str, *, loading: Loading, pooling: str = "") -> VideoTextEncoder:
    """The encoder of a checkpoint that was converted. Raises ModelError, or UsageError for options it does not have."""
    check_options("VideoCLIP-XL", loading, pooling)
    checkpoint = checkpoints.find(name)
    loaded = weights_of(checkpoint, unused=r"(^|\.)(logit_scale|temp)$")
    text = under("text", from_openai(part(loaded.tensors, "text_model.")))
    vision = under("vision", from_openai(part(loaded.tensors, "vision_model.vision_encoder.")))
    weights = Weights(loaded.of, text | vision)
    with torch.device("meta"):
        model = TwoTowers(weights, int(checkpoint.config.get("head_size") or 64), JointTower)
    weights.fill(model, loading)
    return VideoTextEncoder(
        model,
        checkpoint,
        loading,
        tokenizer=clip_tokenizer(checkpoint),
        text_limit=model.text_model.limit,
        dimension=model.text_projection.out_features,
        frames=model.vision_model.frames,
        look=Look(model.vision_model.embeddings.side, IMAGENET_MEAN, IMAGENET_STD, crop=False),
    )


class JointTower(nn.Module):
    """The tower that sees a clip as one sequence of patches."""

    def __init__(self, weights: Weights, head: int) -> None:
        super().__init__()
        _, self.frames, width = weights.shape("vision_model.temporal_positional_embedding")
        shape = shape_of(weights, "vision_model.", {"num_attention_heads": width // head})
        self.embeddings = Patches(weights, "vision_model.embeddings.")
        self.temporal_positional_embedding = nn.Parameter(torch.empty(1, self.frames, width))
        self.pre_layrnorm = nn.LayerNorm(width)
        self.encoder = stack(lambda: Layer(shape), weights.layers("vision_model.encoder.layers."))
        self.post_layernorm = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Clips (N, T, 3, side, side) -> (N, D): the state of the class token."""
        tokens = self.embeddings(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])
        timed = tokens[:, :, 1:] + self.temporal_positional_embedding[:, :, None]
        x = self.pre_layrnorm(torch.cat([tokens[:, 0, :1], timed.flatten(1, 2)], dim=1))
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.post_layernorm(x[:, 0])

"""LanguageBind-Video: CLIP whose layers also look along time, one vector from 8 frames.

A CLIP ViT where every layer first adds a learnt place in time and lets each patch attend to itself in the other frames,
then goes on as CLIP does; the clip's vector is the mean of its frames' (Zhu et al. 2024, "LanguageBind: Extending
Video-Language Pretraining to N-modality by Language-based Semantic Alignment").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from longshot import checkpoints
from longshot.contracts import Loading
from longshot.encoders._towers import Attention, Mlp, Patches, Shape, TextTower, Weights, shape_of, stack, weights_of
from longshot.encoders._video_text import (
    OPENAI_MEAN,
    OPENAI_STD,
    Look,
    VideoTextEncoder,
    check_options,
    clip_tokenizer,
)

NEEDS = ("torch", "transformers")
EXTRA = "models"

_VISION = "vision_model."


def load(name: str, *, loading: Loading, pooling: str = "") -> VideoTextEncoder:
    """The encoder of a checkpoint. Raises ModelError, or UsageError for options that it does not have."""
    check_options("LanguageBind-Video", loading, pooling)
    checkpoint = checkpoints.find(name)
    config = checkpoint.config
    vision, text = _section(config, "vision_config"), _section(config, "text_config")
    loaded = weights_of(checkpoint, unused=r"(^logit_scale|position_ids)$")
    weights = Weights(loaded.of, merged(loaded.tensors, alpha=float(vision.get("lora_alpha") or 16)))
    with torch.device("meta"):
        model = LanguageBind(weights, vision, text)
    weights.fill(model, loading)
    return VideoTextEncoder(
        model,
        checkpoint,
        loading,
        tokenizer=clip_tokenizer(checkpoint),
        text_limit=model.text_model.limit,
        dimension=model.text_projection.out_features,
        frames=model.vision_model.frames,
        look=Look(model.vision_model.embeddings.side, OPENAI_MEAN, OPENAI_STD, crop=True, whole=False),
    )


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of the config; "<name>_dict", which its first release wrote, goes before."""
    return config.get(f"{name}_dict") or config.get(name) or {}


def merged(tensors: Mapping[str, Tensor], *, alpha: float) -> dict[str, Tensor]:
    """Weights with their low-rank updates added: W + alpha / r * B A, r the rows of A (Hu et al. 2021, "LoRA").

    Those of LanguageBind_Video itself came with updates of the temporal attention beside them.
    """
    plain = {name.replace("base_model.model.", "").replace(".base_layer.", "."): t for name, t in tensors.items()}
    found = {name: tensor for name, tensor in plain.items() if ".lora_" not in name}
    for name, down in plain.items():
        if ".lora_A." in name:
            target = name.split(".lora_A.")[0] + ".weight"
            up = plain[name.replace(".lora_A.", ".lora_B.")]
            found[target] = found[target] + (alpha / len(down)) * (up.float() @ down.float()).to(found[target].dtype)
    return found


class TimedLayer(nn.Module):
    """A layer of CLIP's vision tower, with attention along time before it."""

    def __init__(self, shape: Shape, frames: int) -> None:
        super().__init__()
        self.temporal_embedding = nn.Parameter(torch.empty(1, frames, shape.width))
        self.temporal_attn = Attention(shape.width, shape.heads)
        self.temporal_layer_norm1 = nn.LayerNorm(shape.width, eps=shape.eps)
        self.self_attn = Attention(shape.width, shape.heads)
        self.layer_norm1 = nn.LayerNorm(shape.width, eps=shape.eps)
        self.mlp = Mlp(shape)
        self.layer_norm2 = nn.LayerNorm(shape.width, eps=shape.eps)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (N, T, L, D) -> (N, T, L, D)."""
        clips, frames, tokens, _ = x.shape
        if frames > 1:
            x = x + self.temporal_embedding[:, :, None]
        along = self.temporal_layer_norm1(x).transpose(1, 2).flatten(0, 1)
        x = x + self.temporal_attn(along).unflatten(0, (clips, tokens)).transpose(1, 2)
        within = self.layer_norm1(x).flatten(0, 1)
        x = x + self.self_attn(within).unflatten(0, (clips, frames))
        return x + self.mlp(self.layer_norm2(x))


class TimedTower(nn.Module):
    """The tower that sees clips."""

    def __init__(self, weights: Weights, config: Mapping[str, Any]) -> None:
        super().__init__()
        shape = shape_of(weights, _VISION, config)
        _, self.frames, _ = weights.shape(f"{_VISION}encoder.layers.0.temporal_embedding")
        self.embeddings = Patches(weights, f"{_VISION}embeddings.")
        self.pre_layrnorm = nn.LayerNorm(shape.width, eps=shape.eps)
        layers = weights.layers(f"{_VISION}encoder.layers.")
        self.encoder = stack(lambda: TimedLayer(shape, self.frames), layers)
        self.post_layernorm = nn.LayerNorm(shape.width, eps=shape.eps)

    def forward(self, pixels: Tensor) -> Tensor:
        """Clips (N, T, 3, side, side) -> (N, D): the mean over time of the class tokens."""
        x = self.pre_layrnorm(self.embeddings(pixels.flatten(0, 1))).unflatten(0, pixels.shape[:2])
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.post_layernorm(x[:, :, 0]).mean(dim=1)


class LanguageBind(nn.Module):
    """Both towers and their projections."""

    def __init__(self, weights: Weights, vision: Mapping[str, Any], text: Mapping[str, Any]) -> None:
        super().__init__()
        self.vision_model = TimedTower(weights, vision)
        self.text_model = TextTower(weights, "text_model.", text)
        for name in ("visual_projection", "text_projection"):
            made, width = weights.shape(f"{name}.weight")
            self.add_module(name, nn.Linear(width, made, bias=False))

    def see(self, pixels: Tensor) -> Tensor:
        """Clips (N, T, 3, side, side) -> (N, D)."""
        return self.visual_projection(self.vision_model(pixels))

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids (N, L) -> (N, D). The mask is not needed: padding comes after the token that is read."""
        return self.text_projection(self.text_model(ids))

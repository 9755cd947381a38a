"""InternVideo2 Stage 2: a video ViT of 1 or 6 billion weights and half of BERT-large, one vector from 4 frames.

The vision tower: patches of all frames in one sequence, pre-norm layers with RMS norms, normalised queries and keys and
layer scales, then a pooling attention whose query is the mean of the tokens. The text tower: the layers of BERT below
those that look at videos, read at its first token (Wang et al. 2024, "InternVideo2: Scaling Foundation Models for
Multimodal Video Understanding").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel, BertTokenizer

from longshot import checkpoints
from longshot.checkpoints import Checkpoint
from longshot.contracts import Loading
from longshot.encoders._towers import ACTIVATIONS, Weights, weights_of
from longshot.encoders._video_text import IMAGENET_MEAN, IMAGENET_STD, Look, VideoTextEncoder, check_options
from longshot.errors import ModelError

NEEDS = ("torch", "transformers")
EXTRA = "models"

# Heads that the published sizes have: a count that their weights do not show.
_HEADS = {1408: 16, 3200: 25}
_UNUSED = (
    r"^(temp|itm_head\.|uta_|text_encoder\.cls\.|text_encoder\.(bert\.)?pooler\.)"
    r"|vision_encoder\.(clip_decoder|final_clip_decoder|clip_pos_embed|clip_img_pos_embed)|position_ids$"
)
_TEXT_LIMIT = 40


def load(name: str, *, loading: Loading, pooling: str = "") -> VideoTextEncoder:
    """The encoder of a checkpoint. Raises ModelError, or UsageError for options that it does not have."""
    check_options("InternVideo2", loading, pooling)
    checkpoint = checkpoints.find(name)
    loaded = weights_of(checkpoint, unused=_UNUSED)
    weights = Weights(loaded.of, _usable(loaded.tensors))
    model = Stage2(weights, checkpoint.config.get("model") or {})
    weights.fill(model, loading)
    limit = checkpoint.config.get("max_txt_l")
    return VideoTextEncoder(
        model,
        checkpoint,
        loading,
        tokenizer=_tokenizer(checkpoint),
        text_limit=limit if isinstance(limit, int) else _TEXT_LIMIT,
        dimension=model.text_proj.out_features,
        frames=model.vision_encoder.frames,
        look=Look(model.vision_encoder.side, IMAGENET_MEAN, IMAGENET_STD, crop=False),
        stills=True,
    )


def _usable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the layers that join text and video; "bert." and "gamma" as some releases have them."""
    named = {name.replace("text_encoder.bert.", "text_encoder."): tensor for name, tensor in tensors.items()}
    joint = min((_layer(name) for name in named if ".crossattention." in name), default=1 << 30)
    return {
        name.replace(".ls1.gamma", ".ls1.weight").replace(".ls2.gamma", ".ls2.weight"): tensor
        for name, tensor in named.items()
        if not (name.startswith("text_encoder.encoder.layer.") and _layer(name) >= joint)
    }


def _layer(name: str) -> int:
    """3 for "text_encoder.encoder.layer.3.output.dense.weight"."""
    return int(name.split(".layer.")[1].split(".")[0])


def _tokenizer(checkpoint: Checkpoint) -> Any:
    folder = checkpoint.folder
    if (folder / "vocab.txt").exists():
        return BertTokenizer(vocab=str(folder / "vocab.txt"))
    if not (folder / "tokenizer.json").exists():
        raise ModelError(
            checkpoint.name,
            f"has no tokenizer beside its weights: copy vocab.txt of google-bert/bert-large-uncased to {folder}",
        )
    return BertTokenizer.from_pretrained(str(folder), local_files_only=True)


class Scale(nn.Module):
    """A learnt factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return x * self.weight


class RootNorm(nn.Module):
    """Divided by the root of the mean square, in float32, then scaled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


class NormedAttention(nn.Module):
    """Attention whose queries and keys are normalised over all heads together."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_norm, self.k_norm = RootNorm(width), RootNorm(width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, D) -> (N, L, D)."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (self.q_norm(q), self.k_norm(k), v))
        return self.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """One layer of the vision tower."""

    def __init__(self, width: int, inner: int, heads: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.norm1, self.norm2 = RootNorm(width), RootNorm(width)
        self.attn = NormedAttention(width, heads)
        self.ls1, self.ls2 = Scale(width), Scale(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, inner), "fc2": nn.Linear(inner, width)})
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, D) -> (N, L, D)."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp["fc2"](self.activation(self.mlp["fc1"](self.norm2(x)))))


class Crossing(nn.Module):
    """The pooling attention's maps; the biases of query, key and value have names of their own."""

    def __init__(self, width: int, made: int) -> None:
        super().__init__()
        for part in "qkv":
            self.add_module(part, nn.Linear(width, width, bias=False))
            self.register_parameter(f"{part}_bias", nn.Parameter(torch.empty(width)))
        self.proj = nn.Linear(width, made)


class Pooling(nn.Module):
    """All tokens to one vector: attention that asks with their mean."""

    def __init__(self, width: int, made: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1_q, self.norm1_k, self.norm1_v = (nn.LayerNorm(width, eps=1e-5) for _ in range(3))
        self.cross_attn = Crossing(width, made)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, D) -> (N, made)."""
        at = self.cross_attn
        q = at.q(self.norm1_q(x.mean(dim=1, keepdim=True))) + at.q_bias
        k, v = at.k(self.norm1_k(x)) + at.k_bias, at.v(self.norm1_v(x)) + at.v_bias
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (q, k, v))
        return at.proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(1))


class VisionEncoder(nn.Module):
    """The tower that sees clips, and single pictures by places of their own."""

    def __init__(self, weights: Weights, config: Mapping[str, Any]) -> None:
        super().__init__()
        base = "vision_encoder."
        width, colours, _, patch, _ = weights.shape(f"{base}patch_embed.proj.weight")
        places, still = (weights.shape(f"{base}{name}")[1] for name in ("pos_embed", "img_pos_embed"))
        self.frames = (places - 1) // (still - 1)
        self.side = round((still - 1) ** 0.5) * patch
        inner, _ = weights.shape(f"{base}blocks.0.mlp.fc1.weight")
        made, _ = weights.shape(f"{base}clip_projector.cross_attn.proj.weight")
        heads, pooling = (
            int(config.get("num_heads") or _HEADS.get(width, 0)),
            int(config.get("attn_pool_num_heads", 16)),
        )
        if not heads or width % heads or width % pooling:
            raise ModelError(
                weights.of,
                f"a vision tower of {width} channels: its number of heads must stand in config.json "
                "(model.vision_encoder.num_heads) and divide them",
            )
        # Their demo has the exact GELU; flash-attn's fused layer, which they trained with, the approximate one.
        act = ACTIVATIONS["gelu_pytorch_tanh" if config.get("use_fused_mlp") else "gelu"]
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv3d(colours, width, (1, patch, patch), (1, patch, patch))})
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, places, width))
        self.img_pos_embed = nn.Parameter(torch.empty(1, still, width))
        count = weights.layers(f"{base}blocks.")
        self.blocks = nn.ModuleList([Block(width, inner, heads, act) for _ in range(count)])
        self.clip_projector = Pooling(width, made, pooling)

    def forward(self, pixels: Tensor) -> Tensor:
        """Clips (N, T, 3, side, side) -> (N, made)."""
        patches = self.patch_embed["proj"](pixels.transpose(1, 2)).flatten(2).transpose(1, 2)
        places = self.img_pos_embed if pixels.shape[1] == 1 else self.pos_embed
        x = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], dim=1) + places
        for block in self.blocks:
            x = block(x)
        return self.clip_projector(x)


class Stage2(nn.Module):
    """Both towers and their projections."""

    def __init__(self, weights: Weights, config: Mapping[str, Any]) -> None:
        super().__init__()
        with torch.device("meta"):
            self.vision_encoder = VisionEncoder(weights, config.get("vision_encoder") or {})
            for name in ("vision_proj", "text_proj"):
                made, into = weights.shape(f"{name}.weight")
                self.add_module(name, nn.Linear(into, made))
        # Not on "meta": BERT keeps tables that are no weights.
        bert = _bert_config(weights, config.get("text_encoder") or {})
        self.text_encoder = BertModel._from_config(bert, attn_implementation="sdpa", add_pooling_layer=False)

    def see(self, pixels: Tensor) -> Tensor:
        """Clips (N, T, 3, side, side) -> (N, D)."""
        return self.vision_proj(self.vision_encoder(pixels))

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and which of them count, both (N, L) -> (N, D)."""
        return self.text_proj(self.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0])


def _bert_config(weights: Weights, config: Mapping[str, Any]) -> Any:
    base = "text_encoder.embeddings."
    words, width = weights.shape(f"{base}word_embeddings.weight")
    inner, _ = weights.shape("text_encoder.encoder.layer.0.intermediate.dense.weight")
    return BertConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=weights.layers("text_encoder.encoder.layer."),
        num_attention_heads=int(config.get("num_attention_heads") or max(1, width // 64)),
        max_position_embeddings=weights.shape(f"{base}position_embeddings.weight")[0],
        type_vocab_size=weights.shape(f"{base}token_type_embeddings.weight")[0],
    )

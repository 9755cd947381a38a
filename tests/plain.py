"""Transformers by hand, from weights by name: what encoders are compared with in tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

Weights = Mapping[str, Tensor]
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)


def weights_of(folder: Path) -> Weights:
    """The tensors of a folder in float64."""
    return {name: value.double() for name, value in load_file(folder / "model.safetensors").items()}


def unit(row: Tensor) -> NDArray[np.float64]:
    return (row / row.norm()).numpy()


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    bias = w.get(f"{name}.bias")
    made = x @ w[f"{name}.weight"].T
    return made if bias is None else made + bias


def norm(w: Weights, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (x.var(-1, unbiased=False, keepdim=True) + eps).sqrt()
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, *, causal: bool = False) -> Tensor:
    """(L, D), (M, D), (M, D) -> (L, D)."""
    out = []
    for one, two, three in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
        scores = one @ two.T / math.sqrt(one.shape[-1])
        if causal:
            scores = scores + torch.full_like(scores, -math.inf).triu(1)
        out.append(scores.softmax(-1) @ three)
    return torch.cat(out, -1)


def quick_gelu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-1.702 * x))


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def tanh_gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def before_norm(
    w: Weights,
    prefix: str,
    x: Tensor,
    *,
    heads: int,
    act: Callable[[Tensor], Tensor],
    eps: float = 1e-5,
    causal: bool = False,
) -> Tensor:
    """Layers "<prefix>0." and on, each normalising before it works: CLIP, SigLIP, BLIP's vision tower."""
    place = 0
    while f"{prefix}{place}.layer_norm1.weight" in w:
        name = f"{prefix}{place}."
        y = norm(w, name + "layer_norm1", x, eps)
        if name + "self_attn.qkv.weight" in w:
            q, k, v = linear(w, name + "self_attn.qkv", y).chunk(3, -1)
            out = "self_attn.projection"
        else:
            q, k, v = (linear(w, f"{name}self_attn.{part}_proj", y) for part in "qkv")
            out = "self_attn.out_proj"
        x = x + linear(w, name + out, attend(q, k, v, heads, causal=causal))
        y = norm(w, name + "layer_norm2", x, eps)
        x = x + linear(w, name + "mlp.fc2", act(linear(w, name + "mlp.fc1", y)))
        place += 1
    assert place, f"no layers called {prefix}"
    return x


def bert(w: Weights, prefix: str, ids: list[int], *, heads: int, eps: float = 1e-12) -> Tensor:
    """BERT's states (L, D) of token ids: normalises after each step."""
    table = f"{prefix}embeddings."
    x = w[table + "word_embeddings.weight"][ids] + w[table + "position_embeddings.weight"][: len(ids)]
    if table + "token_type_embeddings.weight" in w:
        x = x + w[table + "token_type_embeddings.weight"][0]
    x = norm(w, table + "LayerNorm", x, eps)
    place = 0
    while f"{prefix}encoder.layer.{place}.output.dense.weight" in w:
        name = f"{prefix}encoder.layer.{place}."
        q, k, v = (linear(w, f"{name}attention.self.{part}", x) for part in ("query", "key", "value"))
        y = linear(w, name + "attention.output.dense", attend(q, k, v, heads))
        x = norm(w, name + "attention.output.LayerNorm", x + y, eps)
        y = linear(w, name + "output.dense", gelu(linear(w, name + "intermediate.dense", x)))
        x = norm(w, name + "output.LayerNorm", x + y, eps)
        place += 1
    assert place, f"no layers called {prefix}"
    return x


def patches(kernel: Tensor, picture: Tensor) -> Tensor:
    """(D, 3, P, P) over (3, H, W) -> (patches, D), row by row, without a bias."""
    side = kernel.shape[-1]
    rows = []
    for top in range(0, picture.shape[1], side):
        for left in range(0, picture.shape[2], side):
            piece = picture[:, top : top + side, left : left + side]
            rows.append((kernel * piece).sum(dim=(1, 2, 3)))
    return torch.stack(rows)


def attention_pooled(w: Weights, name: str, x: Tensor, *, heads: int, eps: float = 1e-6) -> Tensor:
    """SigLIP's head (D,): a learnt query looks at all patches, and a small network adds to what it saw."""
    (weight, bias), probe = (w[f"{name}attention.in_proj_{kind}"] for kind in ("weight", "bias")), w[f"{name}probe"][0]
    q, k, v = (y @ rows.T + shift for y, rows, shift in zip((probe, x, x), weight.chunk(3), bias.chunk(3), strict=True))
    seen = linear(w, f"{name}attention.out_proj", attend(q, k, v, heads))
    more = linear(w, f"{name}mlp.fc2", tanh_gelu(linear(w, f"{name}mlp.fc1", norm(w, f"{name}layernorm", seen, eps))))
    return (seen + more)[0]


def scaled(pixels: NDArray[np.uint8], mean: tuple[float, ...] = CLIP_MEAN, std: tuple[float, ...] = CLIP_STD) -> Tensor:
    """uint8 (H, W, 3) -> float64 (3, H, W), normalised."""
    values = (pixels.astype(np.float64) / 255 - np.array(mean)) / np.array(std)
    return torch.from_numpy(values.transpose(2, 0, 1).copy())

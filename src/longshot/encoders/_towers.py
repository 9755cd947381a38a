"""The parts of CLIP-like towers, with the weight names that transformers gives them, and how modules get weights.

Files on this shelf build their own small modules from these parts (Radford et al. 2021, "Learning Transferable Visual
Models From Natural Language Supervision"). Sizes are read off the weights; only what weights do not show (the number
of heads, the activation) comes from config.json.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from longshot.checkpoints import Checkpoint
from longshot.contracts import Loading
from longshot.errors import ModelError
from longshot.tensors import account, device_of, dtype_of


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _tanh_gelu(x: Tensor) -> Tensor:
    return functional.gelu(x, approximate="tanh")


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "quick_gelu": _quick_gelu,
    "gelu": functional.gelu,
    "gelu_pytorch_tanh": _tanh_gelu,
}


@dataclass(frozen=True)
class Weights:
    """The tensors of a checkpoint by name. of: the checkpoint's name, for messages."""

    of: str
    tensors: dict[str, Tensor]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one. Raises ModelError when it is missing."""
        if name not in self.tensors:
            raise ModelError(self.of, f"weight {name} is missing; this is another architecture?")
        return tuple(self.tensors[name].shape)

    def layers(self, prefix: str) -> int:
        """How many numbered parts there are behind a prefix: 12 for "encoder.layers." up to "encoder.layers.11."."""
        numbers = (name.removeprefix(prefix).split(".")[0] for name in self.tensors if name.startswith(prefix))
        return 1 + max((int(number) for number in numbers if number.isdigit()), default=-1)

    def fill(self, module: nn.Module, loading: Loading) -> nn.Module:
        """The module with these weights in place, where and how `loading` says, ready to infer.

        Raises ModelError, with the names, for weights that are missing or of another shape; what has no place is
        logged.
        """
        wanted = module.state_dict()
        both = wanted.keys() & self.tensors.keys()
        told = {
            "missing_keys": wanted.keys() - both,
            "unexpected_keys": self.tensors.keys() - both,
            "mismatched_keys": [name for name in both if wanted[name].shape != self.tensors[name].shape],
        }
        account(self.of, told)
        device, dtype = device_of(loading), dtype_of(loading)
        placed = {name: self.tensors[name].to(device=device, dtype=dtype) for name in both}
        module.load_state_dict(placed, strict=False, assign=True)
        return module.to(device).eval().requires_grad_(False)


def weights_of(checkpoint: Checkpoint, *, unused: str = "$^") -> Weights:
    """The tensors of a checkpoint, all its files together; `unused` matches those that an encoder has no use for."""
    checkpoint.check()
    skipped = re.compile(unused)
    tensors: dict[str, Tensor] = {}
    for path in checkpoint.weights:
        tensors |= {name: tensor for name, tensor in load_file(path).items() if not skipped.search(name)}
    return Weights(checkpoint.name, tensors)


def activation_of(name: str, of: str) -> Callable[[Tensor], Tensor]:
    """The activation of a name in a config.json. Raises ModelError."""
    if name not in ACTIVATIONS:
        raise ModelError(of, f"no activation called {name!r}: there are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


@dataclass(frozen=True)
class Shape:
    """What a transformer layer must know. width: D. inner: of the part after attention. eps: of the layer norms."""

    width: int
    inner: int
    heads: int
    activation: Callable[[Tensor], Tensor] = _quick_gelu
    eps: float = 1e-5


def shape_of(weights: Weights, prefix: str, config: Mapping[str, Any]) -> Shape:
    """The shape of the layers "<prefix>encoder.layers.", with heads of 64 where `config` does not count them."""
    inner, width = weights.shape(f"{prefix}encoder.layers.0.mlp.fc1.weight")
    heads = int(config.get("num_attention_heads") or max(1, width // 64))
    if width % heads:
        raise ModelError(weights.of, f"{heads} heads do not divide the {width} channels of {prefix or 'the tower'}")
    activation = activation_of(str(config.get("hidden_act") or "quick_gelu"), weights.of)
    return Shape(width, inner, heads, activation, float(config.get("layer_norm_eps") or 1e-5))


class Attention(nn.Module):
    """Scaled dot-product attention of a sequence with itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        """(N, L, D) -> (N, L, D)."""
        q, k, v = (made(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for made in self._three)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    @property
    def _three(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        return self.q_proj, self.k_proj, self.v_proj


class Mlp(nn.Module):
    """Two linear maps with an activation between them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.activation = shape.activation
        self.fc1 = nn.Linear(shape.width, shape.inner)
        self.fc2 = nn.Linear(shape.inner, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.fc2(self.activation(self.fc1(x)))


class Layer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = Attention(shape.width, shape.heads)
        self.layer_norm1 = nn.LayerNorm(shape.width, eps=shape.eps)
        self.mlp = Mlp(shape)
        self.layer_norm2 = nn.LayerNorm(shape.width, eps=shape.eps)

    def forward(self, x: Tensor, *, causal: bool = False) -> Tensor:
        """(N, L, D) -> (N, L, D)."""
        x = x + self.self_attn(self.layer_norm1(x), causal=causal)
        return x + self.mlp(self.layer_norm2(x))


def stack(layer: Callable[[], nn.Module], count: int) -> nn.ModuleDict:
    """`count` layers, named "layers.0" and so on."""
    return nn.ModuleDict({"layers": nn.ModuleList([layer() for _ in range(count)])})


class TextTower(nn.Module):
    """CLIP's text tower: a causal transformer, read at the end-of-text token."""

    def __init__(self, weights: Weights, prefix: str, config: Mapping[str, Any]) -> None:
        super().__init__()
        shape = shape_of(weights, prefix, config)
        words, _ = weights.shape(f"{prefix}embeddings.token_embedding.weight")
        self.limit, _ = weights.shape(f"{prefix}embeddings.position_embedding.weight")
        self.embeddings = nn.ModuleDict(
            {
                "token_embedding": nn.Embedding(words, shape.width),
                "position_embedding": nn.Embedding(self.limit, shape.width),
            }
        )
        self.encoder = stack(lambda: Layer(shape), weights.layers(f"{prefix}encoder.layers."))
        self.final_layer_norm = nn.LayerNorm(shape.width, eps=shape.eps)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (N, L), padded on the right -> (N, D): the state of the first token with the highest id, which in
        CLIP's vocabulary is the end of the text. What follows it cannot be seen from there.
        """
        x = self.embeddings["token_embedding"](ids)
        x = x + self.embeddings["position_embedding"].weight[: ids.shape[1]]
        for layer in self.encoder["layers"]:
            x = layer(x, causal=True)
        return self.final_layer_norm(x[torch.arange(len(ids), device=ids.device), ids.argmax(dim=1)])


class Patches(nn.Module):
    """Pictures as tokens: a class token and one for each square patch, with their places added."""

    def __init__(self, weights: Weights, prefix: str) -> None:
        super().__init__()
        width, colours, self.patch, _ = weights.shape(f"{prefix}patch_embedding.weight")
        places, _ = weights.shape(f"{prefix}position_embedding.weight")
        self.side = round((places - 1) ** 0.5) * self.patch
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.patch_embedding = nn.Conv2d(colours, width, self.patch, self.patch, bias=False)
        self.position_embedding = nn.Embedding(places, width)

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, side, side) -> (N, 1 + patches, D)."""
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(pixels), 1, -1)
        return torch.cat([first, patches], dim=1) + self.position_embedding.weight


# OpenAI's names -> transformers'. The misspelt "pre_layrnorm" is the true one.
_OPENAI = (
    (r"^transformer\.resblocks\.(\d+)\.", r"encoder.layers.\1."),
    (r"\.ln_1\.", ".layer_norm1."),
    (r"\.ln_2\.", ".layer_norm2."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
    (r"^(token_embedding|class_embedding)", r"embeddings.\1"),
    (r"^positional_embedding$", "embeddings.position_embedding.weight"),
    (r"^conv1\.", "embeddings.patch_embedding."),
    (r"^ln_pre\.", "pre_layrnorm."),
    (r"^ln_post\.", "post_layernorm."),
    (r"^ln_final\.", "final_layer_norm."),
)


def from_openai(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of one tower in OpenAI's layout, by the names of transformers.

    Query, key and value come apart, projections ("text_projection", "proj": rows times matrix) are turned into linear
    maps "projection.weight", a kernel over one frame loses its time axis, and Long-CLIP's two tables of positions
    become one: the first 20 rows of the old, which its training left alone, and the rest of the stretched
    (Zhang et al. 2024, "Long-CLIP", section 3.1).
    """
    found: dict[str, Tensor] = {}
    stretched = tensors.get("positional_embedding_res")
    for name, tensor in tensors.items():
        if name == "positional_embedding_res":
            continue
        if name == "positional_embedding" and stretched is not None:
            tensor = torch.cat([tensor[:20], stretched[20:]])
        if name in ("text_projection", "proj"):
            found["projection.weight"] = tensor.T.contiguous()
        elif "attn.in_proj_" in name:
            front, kind = name.split("attn.in_proj_")
            front = re.sub(*_OPENAI[0], front)
            for part, third in zip("qkv", tensor.chunk(3), strict=True):
                found[f"{front}self_attn.{part}_proj.{kind}"] = third
        else:
            for pattern, put in _OPENAI:
                name = re.sub(pattern, put, name)
            found[name] = tensor.squeeze(2) if name.endswith("patch_embedding.weight") and tensor.ndim == 5 else tensor
    return found


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one tower below a name; its projection goes beside it, as "<prefix>_projection.weight"."""
    beside = {"projection.weight": f"{prefix}_projection.weight"}
    return {beside.get(name, f"{prefix}_model.{name}"): tensor for name, tensor in tensors.items()}


class TwoTowers(nn.Module):
    """What sees and what reads, each with its projection into the one space, under the names of published files.

    seeing: makes the tower that sees, from the weights' shapes and the channels of one attention head. head: those.
    """

    def __init__(self, weights: Weights, head: int, seeing: Callable[[Weights, int], nn.Module]) -> None:
        super().__init__()
        width = weights.shape("text_model.final_layer_norm.weight")[0]
        self.vision_model = seeing(weights, head)
        self.text_model = TextTower(weights, "text_model.", {"num_attention_heads": width // head})
        for name in ("vision_projection", "text_projection"):
            made, into = weights.shape(f"{name}.weight")
            self.add_module(name, nn.Linear(into, made, bias=False))

    def see(self, pixels: Tensor) -> Tensor:
        """Pictures (N, 3, side, side), or clips (N, T, 3, side, side) -> (N, D)."""
        return self.vision_projection(self.vision_model(pixels))

    def read(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Token ids (N, L) -> (N, D). mask is not needed: no position looks at one after it."""
        return self.text_projection(self.text_model(ids))

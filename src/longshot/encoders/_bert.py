"""BERT's forward pass in numpy, for texts: token ids in, the mean of their last states out.

The tokens of a batch lie one text after the other in one matrix (tokens, width), so that every product with weights is
one large one and nothing is padded. Attention looks at one text at a time; texts of one length go together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# GELU is x (1 + erf(x / sqrt 2)) / 2, and erf(x / sqrt 2) is tanh(x p(x x)) to 4.2e-8 in the result, for a p fitted to
# atanh of it over |x| <= 5.6; beyond, both are 1 in float32. numpy has no erf, and its tanh costs as much as a product.
_CURVE = tuple(
    np.float32(value)
    for value in (
        *(0.7978858351707458, 0.036330245435237885, -2.9891511076129973e-05, -5.639229129883461e-05),
        *(4.173473826085683e-06, -1.5202215308818268e-07, 2.622896788651019e-09, -1.3632055853624962e-11),
    )
)
_FLAT = np.float32(5.6**2)
_BLOCK = 1 << 14  # numbers that GELU works on at a time: they stay in the core's own cache


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer's weights, as they lie in the file (out, in), but for `mix`: query, key and value in one."""

    mix: tuple[Array, Array]
    out: tuple[Array, Array]
    after_attention: tuple[Array, Array]
    widen: tuple[Array, Array]
    narrow: tuple[Array, Array]
    after_all: tuple[Array, Array]


class Bert:
    """The weights of one model, ready to be asked.

    tensors: by the names that transformers gives them. heads: of attention. epsilon: of the layer norms.
    """

    def __init__(self, tensors: Mapping[str, Array], *, layers: int, heads: int, epsilon: float) -> None:
        self._words = tensors["embeddings.word_embeddings.weight"]
        self._heads, self._epsilon = heads, np.float32(epsilon)
        # A text is one sentence: its tokens are all of the first kind.
        kind = tensors["embeddings.token_type_embeddings.weight"][0]
        self._places = tensors["embeddings.position_embeddings.weight"] + kind
        self._first = _pair(tensors, "embeddings.LayerNorm")
        self._layers = [_layer(tensors, f"encoder.layer.{place}.") for place in range(layers)]

    def means(self, texts: Sequence[Sequence[int]]) -> Array:
        """The mean of each text's last states, float32 (N, width). Texts come sorted by length, none is empty."""
        lengths = np.array([len(ids) for ids in texts])
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        states = self._words[np.concatenate([np.asarray(ids, np.int64) for ids in texts])]
        states += self._places[np.arange(len(states)) - np.repeat(starts, lengths)]
        self._normalise(states, self._first)
        for layer in self._layers:
            states += _times(self._attended(_times(states, layer.mix), lengths), layer.out)
            self._normalise(states, layer.after_attention)
            wide = _times(states, layer.widen)
            gelu(wide)
            states += _times(wide, layer.narrow)
            self._normalise(states, layer.after_all)
        sums: Array = np.add.reduceat(states, starts, axis=0)
        sums /= lengths[:, None].astype(np.float32)
        return sums

    def _attended(self, mixed: Array, lengths: NDArray[np.int64]) -> Array:
        """What each token takes from the others of its text: (tokens, width) of query, key and value side by side."""
        width = mixed.shape[1] // 3
        size = width // self._heads
        found = np.empty((len(mixed), width), np.float32)
        first = 0
        for length, alike in groupby(lengths.tolist()):
            count = sum(1 for _ in alike)
            last = first + count * length
            parts = mixed[first:last].reshape(count, length, 3, self._heads, size).transpose(2, 0, 3, 1, 4)
            query, key, value = parts
            weights = query @ key.swapaxes(2, 3)
            weights *= np.float32(size**-0.5)
            weights -= weights.max(axis=3, keepdims=True)
            np.exp(weights, out=weights)
            weights /= weights.sum(axis=3, keepdims=True)
            found[first:last] = (weights @ value).transpose(0, 2, 1, 3).reshape(-1, width)
            first = last
        return found

    def _normalise(self, states: Array, scale: tuple[Array, Array]) -> None:
        states -= states.mean(axis=1, keepdims=True)
        spread = np.einsum("ij,ij->i", states, states) / np.float32(states.shape[1])
        states *= (np.float32(1) / np.sqrt(spread + self._epsilon))[:, None]
        states *= scale[0]
        states += scale[1]


def gelu(values: Array) -> None:
    """Make each x into x (1 + erf(x / sqrt 2)) / 2, in place; within 6e-7 for |x| <= 6, and of float32 beyond."""
    flat = values.reshape(-1)
    squares, curve = np.empty((2, min(_BLOCK, len(flat))), np.float32)
    for first in range(0, len(flat), _BLOCK):
        x = flat[first : first + _BLOCK]
        square, p = squares[: len(x)], curve[: len(x)]
        np.multiply(x, x, out=square)
        np.minimum(square, _FLAT, out=square)
        np.multiply(square, _CURVE[-1], out=p)
        for term in _CURVE[-2:0:-1]:
            p += term
            p *= square
        p += _CURVE[0]
        p *= x
        np.tanh(p, out=p)
        p += np.float32(1)
        p *= np.float32(0.5)
        x *= p


def names(layers: int) -> list[str]:
    """Every tensor that `Bert` takes."""
    told = ["word_embeddings.weight", "position_embeddings.weight", "token_type_embeddings.weight"]
    parts = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
    parts += ["attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"]
    pairs = ["embeddings.LayerNorm", *(f"encoder.layer.{place}.{part}" for place in range(layers) for part in parts)]
    return [
        *(f"embeddings.{name}" for name in told),
        *(f"{pair}.{one}" for pair in pairs for one in ("weight", "bias")),
    ]


def _layer(tensors: Mapping[str, Array], at: str) -> Layer:
    three = [_pair(tensors, f"{at}attention.self.{part}") for part in ("query", "key", "value")]
    return Layer(
        mix=(np.concatenate([one[0] for one in three]), np.concatenate([one[1] for one in three])),
        out=_pair(tensors, f"{at}attention.output.dense"),
        after_attention=_pair(tensors, f"{at}attention.output.LayerNorm"),
        widen=_pair(tensors, f"{at}intermediate.dense"),
        narrow=_pair(tensors, f"{at}output.dense"),
        after_all=_pair(tensors, f"{at}output.LayerNorm"),
    )


def _pair(tensors: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]


def _times(states: Array, weights: tuple[Array, Array]) -> Array:
    made: Array = states @ weights[0].T
    made += weights[1]
    return made

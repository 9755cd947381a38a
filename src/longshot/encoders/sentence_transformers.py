"""Any sentence-transformers model: texts, and pictures where it has a tower for them.

A folder with modules.json, or a hub id. Its own prompts, pooling, cut and maximum length apply. One that knows texts
only serves to search captions; it refuses frames in one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import sentence_transformers
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from longshot import checkpoints
from longshot.checkpoints import Checkpoint
from longshot.contracts import Loading
from longshot.encoders._pictures import PicturesEncoder
from longshot.errors import ModelError, UsageError
from longshot.tensors import account, load_sentence_model

NEEDS = ("torch", "transformers", "torchvision", "sentence_transformers", "PIL")
EXTRA = "encoders"

_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# Their modules of this prefix come with the package; any other class is a file beside the weights.
_OURS = "sentence_transformers."


def load(name: str, *, loading: Loading, pooling: str = "") -> PicturesEncoder:
    """The encoder of a folder or hub id. Raises ModelError, or UsageError for bad options."""
    if loading.bits:
        raise UsageError(f"sentence-transformers models cannot be kept in {loading.bits} bits here: leave that out")
    checkpoint = checkpoints.find(name)
    parts = _parts(checkpoint)
    _check_code(checkpoint, loading)
    model = load_sentence_model(sentence_transformers.SentenceTransformer, checkpoint, loading)
    _check_weights(checkpoint, parts, model)
    towers = SentenceTowers(model, checkpoint.name)
    return PicturesEncoder(
        towers,
        checkpoint,
        loading=loading,
        pooling=pooling,
        revision="+".join(sorted({part.revision for part in parts if part.weights})),
        settings={"prompt": towers.prompt} if towers.prompt else {},
    )


class SentenceTowers:
    """A `SentenceTransformer` as towers; height is 0 where it knows texts only."""

    def __init__(self, model: Any, name: str) -> None:
        self.prompt = model.prompts.get(model.default_prompt_name or "", "")
        self.text_limit = int(model.max_seq_length or 0)
        self.sees = model.supports("image")
        self.height = _height(model) if self.sees else 0
        self._model, self._name = model, name
        self.dimension = int(model.get_embedding_dimension() or self.read(["a"]).shape[1])

    def read(self, texts: Sequence[str]) -> Tensor:
        """Rows (N, D)."""
        return self._encode(list(texts))

    def see(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Rows (N, D). Raises UsageError when it has no tower for pictures."""
        if not self.sees:
            raise UsageError(f"{self._name} encodes text only; frames need an encoder such as CLIP or SigLIP")
        return self._encode([Image.fromarray(picture) for picture in pictures])

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text with the model's prompt, uncut."""
        tokenizer = self._model.tokenizer
        whole = [self.prompt + text for text in texts]
        if not callable(tokenizer):  # word and static embeddings have tokenizers of other kinds, without a limit
            return [0] * len(whole)
        return [len(ids) for ids in tokenizer(whole, verbose=False)["input_ids"]]

    def _encode(self, inputs: list[Any]) -> Tensor:
        return self._model.encode(inputs, batch_size=len(inputs), convert_to_tensor=True, show_progress_bar=False)


def _parts(checkpoint: Checkpoint) -> list[Checkpoint]:
    """The folders of its modules, each as a checkpoint of its own. Raises ModelError for pickles and torn files."""
    folders = dict.fromkeys(checkpoint.folder / str(row.get("path", "")) for row in checkpoint.modules())
    parts = [Checkpoint(folder, checkpoint.name) for folder in folders if folder.is_dir()]
    for part in parts:
        if part.weights or any(path.suffix in _PICKLED for path in part.folder.iterdir()):
            part.check()
    if not any(part.weights for part in parts):
        raise ModelError(checkpoint.name, f"there are no weights in {checkpoint.folder}: *.safetensors were looked for")
    return parts


def _check_code(checkpoint: Checkpoint, loading: Loading) -> None:
    """Refuse modules that are files beside the weights, unless the user allows them. Raises ModelError."""
    foreign = sorted({str(row.get("type", "")) for row in checkpoint.modules()})
    foreign = [kind for kind in foreign if not kind.startswith(_OURS)]
    if foreign and not loading.remote_code:
        raise ModelError(
            checkpoint.name,
            f"its modules run Python that comes with it ({', '.join(foreign)}, revision {checkpoint.revision}); "
            "read it, then allow it: --remote-code",
        )


def _check_weights(checkpoint: Checkpoint, parts: Sequence[Checkpoint], model: Any) -> None:
    """Refuse a model whose files lack weights: transformers would fill them with random ones. Raises ModelError.

    A model that takes whole messages (text and pictures in one) is left to transformers, which renames its weights.
    """
    inner = model.transformers_model
    if inner is None or "message" in model.modalities:
        return
    held = {name for part in parts for name in part.tensors()}
    tied = set(getattr(inner, "all_tied_weights_keys", ()))
    # A file may hold the model below a name ("bert.") or the model its part of a file; an unused pooler may be absent.
    missing = [
        name
        for name in inner.state_dict()
        if name not in tied
        and not name.startswith("pooler.")
        and not any(one == name or one.endswith(f".{name}") or name.endswith(f".{one}") for one in held)
    ]
    account(checkpoint.name, {"missing_keys": missing})


def _height(model: Any) -> int:
    """The side of the pictures that its image processor makes, in pixels; 224 when it does not say."""
    size = dict(getattr(getattr(model.processor, "image_processor", model.processor), "size", None) or {})
    return int(size.get("height") or size.get("shortest_edge") or size.get("longest_edge") or 224)

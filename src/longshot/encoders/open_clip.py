"""Whatever open_clip runs (EVA-CLIP, PE-Core, LAION's and DataComp's CLIPs, CoCa): pictures and texts in one space.

open_clip:FOLDER                        with open_clip_config.json and *.safetensors (a hub id is fetched as such)
open_clip:EVA02-B-16=eva.safetensors    a model that open_clip lists, and its weights
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.factory import load_checkpoint
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor

from longshot import checkpoints
from longshot.checkpoints import Checkpoint
from longshot.contracts import Loading
from longshot.encoders._pictures import PicturesEncoder
from longshot.errors import ModelError, UsageError
from longshot.tensors import account, device_of, dtype_of

NEEDS = ("torch", "torchvision", "open_clip", "PIL")
EXTRA = "encoders"

_CONFIG = "open_clip_config.json"
_PREFERRED = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")
_LOOK = ("mean", "std", "interpolation", "resize_mode", "fill_color")


class _Parts(NamedTuple):
    """What open_clip needs. model: its config. look: what its config says of preprocessing. tokens: whose tokenizer."""

    checkpoint: Checkpoint
    weights: Path
    model: dict[str, Any]
    look: Mapping[str, Any]
    tokens: str


def load(name: str, *, loading: Loading, pooling: str = "") -> PicturesEncoder:
    """The encoder of a folder, a hub id or "MODEL=WEIGHTS". Raises ModelError, or UsageError for bad options."""
    _check_options(loading)
    kind, equals, weights = name.partition("=")
    parts = _named(kind, Path(weights).expanduser()) if equals else _folder(name)
    return PicturesEncoder(OpenClipTowers(parts, loading), parts.checkpoint, loading=loading, pooling=pooling)


class OpenClipTowers:
    """The towers of an open_clip model, with open_clip's own tokenizer and preprocessing."""

    def __init__(self, parts: _Parts, loading: Loading) -> None:
        self._device, self._dtype = device_of(loading), dtype_of(loading)
        self._model = _model(parts).to(self._device).eval().requires_grad_(False)
        self._tokenizer = _tokenizer(parts)
        size = self._model.visual.image_size
        look = {key: parts.look[key] for key in _LOOK if parts.look.get(key) is not None}
        self._prepare = image_transform_v2(PreprocessCfg(size=size, **look), is_train=False)
        self.dimension = int(parts.model["embed_dim"])
        self.height = int(size[0] if isinstance(size, tuple | list) else size)
        self.text_limit = int(self._tokenizer.context_length)

    def read(self, texts: Sequence[str]) -> Tensor:
        """Rows (N, D)."""
        ids = self._tokenizer(list(texts)).to(self._device)
        with self._mixed():
            return self._model.encode_text(ids)

    def see(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Rows (N, D)."""
        # Pillow lets go of the interpreter while it scales, so threads help.
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            made = list(threads.map(lambda picture: self._prepare(Image.fromarray(picture)), pictures))
        with self._mixed():
            return self._model.encode_image(torch.stack(made).to(self._device))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, uncut."""
        if isinstance(self._tokenizer, open_clip.SimpleTokenizer):
            return [len(self._tokenizer.encode(text)) + 2 for text in texts]
        clean = [self._tokenizer.clean_fn(text) for text in texts]
        return [len(ids) for ids in self._tokenizer.tokenizer(clean, verbose=False)["input_ids"]]

    def _mixed(self) -> torch.autocast:
        # Weights stay float32: some of these models mix types in ways that only autocast follows.
        return torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype != torch.float32)


def _check_options(loading: Loading) -> None:
    if loading.bits:
        raise UsageError(f"open_clip's models cannot be kept in {loading.bits} bits: leave that out")
    if loading.attention not in ("auto", "sdpa"):
        raise UsageError(f"open_clip's models attend by PyTorch's own means only: leave out {loading.attention}")


def _folder(name: str) -> _Parts:
    if name in open_clip.list_models():
        raise ModelError(
            name,
            f"names a model of open_clip, and no weights: open_clip:{name}=FILE.safetensors, or a folder or hub id",
        )
    checkpoint = checkpoints.find(name)
    said = checkpoint.read_json(_CONFIG)
    if not isinstance(said.get("model_cfg"), dict):
        raise ModelError(name, f"has no {_CONFIG} with a model_cfg, which open_clip needs")
    checkpoint.check()
    held = {path.name: path for path in checkpoint.weights}
    chosen = next((held[file] for file in _PREFERRED if file in held), checkpoint.weights[0])
    return _Parts(
        checkpoint, chosen, said["model_cfg"], said.get("preprocess_cfg") or {}, f"local-dir:{checkpoint.folder}"
    )


def _named(kind: str, weights: Path) -> _Parts:
    config = open_clip.get_model_config(kind)
    if config is None:
        close = get_close_matches(kind, open_clip.list_models(), n=3)
        raise ModelError(kind, f"open_clip lists no such model; near it are {', '.join(close) or 'none'}")
    if weights.suffix != ".safetensors" or not weights.is_file():
        raise ModelError(
            kind, f"its weights must be a *.safetensors file, and {weights} is none (pickles are not opened)"
        )
    return _Parts(Checkpoint(weights.parent, kind), weights, config, _usual_look(kind), kind)


def _usual_look(kind: str) -> Mapping[str, Any]:
    """How all published weights of a listed model want their pictures. Raises ModelError when they do not agree."""
    tags = open_clip.list_pretrained_tags_by_model(kind)
    looks = {repr(look): look for look in (_look_of(kind, tag) for tag in tags)}
    if len(looks) > 1:
        raise ModelError(
            kind,
            f"published weights of it want pictures prepared in {len(looks)} ways ({', '.join(tags)}); "
            f"put {_CONFIG} beside yours and name the folder",
        )
    return next(iter(looks.values()), {})


def _look_of(kind: str, tag: str) -> dict[str, Any]:
    said = open_clip.get_pretrained_cfg(kind, tag)
    usual = PreprocessCfg()
    return {key: said.get(key) or getattr(usual, key) for key in _LOOK}


def _model(parts: _Parts) -> Any:
    """The model with its weights, every one accounted for. Raises ModelError."""
    config = deepcopy(parts.model)
    text, vision = config.get("text_cfg", {}), config.get("vision_cfg", {})
    # The weights hold both towers; nothing is to be fetched for either.
    if "hf_model_name" in text:
        text["hf_model_pretrained"] = False
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False
    custom = config.pop("custom_text", False) or "hf_model_name" in text
    kind = open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP if custom else open_clip.CLIP
    try:
        model = kind(**config)
        told = load_checkpoint(model, str(parts.weights), strict=False)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AssertionError) as error:
        said = " ".join(str(error).split())
        raise ModelError(parts.checkpoint.name, f"cannot be loaded: {said[:300] or type(error).__name__}") from error
    account(parts.checkpoint.name, {"missing_keys": told.missing_keys, "unexpected_keys": told.unexpected_keys})
    return model


def _tokenizer(parts: _Parts) -> Any:
    try:
        return open_clip.get_tokenizer(parts.tokens)
    except (OSError, ValueError) as error:
        raise ModelError(
            parts.checkpoint.name, f"has no tokenizer that can be read: {str(error).strip().splitlines()[0]}"
        ) from error

"""An encoder made of two towers, one that sees clips and one that reads texts, behind the contract."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from longshot.checkpoints import Checkpoint
from longshot.contracts import Frames, Loading
from longshot.errors import ModelError, UsageError
from longshot.pooling import unit
from longshot.tensors import device_of, dtype_of, in_halves
from longshot.timeline import Source

OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_log = logging.getLogger(__name__)


class Look(NamedTuple):
    """How pictures become the input of a tower.

    side: of the square that it sees, in pixels. crop: whether the shorter side is scaled to it and the middle cut out;
    else the picture is squeezed into the square. smooth: bicubic over all pixels, as Pillow does it; else bilinear
    between the nearest four. whole: whether colours are rounded to whole numbers after scaling.
    """

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop: bool
    smooth: bool = False
    whole: bool = True


def prepared(pixels: NDArray[np.uint8], look: Look) -> Tensor:
    """uint8 (T, H, W, 3) -> float32 (T, 3, side, side), normalised."""
    x = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
    height, width = x.shape[-2:]
    short = min(height, width) if look.crop else 0
    size = (height * look.side // short, width * look.side // short) if look.crop else (look.side, look.side)
    if look.smooth:
        # On whole numbers it rounds between the two directions, as Pillow does.
        x = functional.interpolate(x if look.whole else x.float(), size, mode="bicubic", antialias=True).float()
    else:
        x = functional.interpolate(x.float(), size, mode="bilinear", align_corners=False)
    if look.whole:
        x = x.clamp(0, 255).round()
    top, left = round((size[0] - look.side) / 2), round((size[1] - look.side) / 2)
    x = x[..., top : top + look.side, left : left + look.side]
    mean, std = (torch.tensor(three).view(3, 1, 1) for three in (look.mean, look.std))
    return (x / 255 - mean) / std


def evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """Which `wanted` of `count` frames to take, first and last among them: 0, 2, 4, 7 for 4 of 8. Some come twice when
    there are fewer.
    """
    return np.linspace(0, count - 1, wanted).astype(np.int64)


class Towers(Protocol):
    """The module behind an encoder."""

    def see(self, pixels: Tensor) -> Tensor:
        """Clips (N, T, 3, side, side) -> rows (N, D)."""
        ...

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and which of them count, both (N, L) -> rows (N, D)."""
        ...


class VideoTextEncoder:
    """Towers as an `Encoder`. text_limit: tokens of a text; what is longer is cut. stills: whether clips of one frame
    are shown as such, because the towers learnt from pictures too; else their frame is repeated.
    """

    def __init__(
        self,
        towers: Towers,
        checkpoint: Checkpoint,
        loading: Loading,
        *,
        tokenizer: Any,
        text_limit: int,
        dimension: int,
        frames: int,
        look: Look,
        stills: bool = False,
    ) -> None:
        own = {"pooling": "its own", "frames": frames, "text_limit": text_limit}
        self.source = Source("", checkpoint.name, checkpoint.revision, own)
        self.dimension = dimension
        self.frames = frames
        self.height = look.side
        self.text_limit = text_limit
        self._towers = towers
        self._device, self._dtype = device_of(loading), dtype_of(loading)
        self._batch = loading.batch or max(1, (128 if self._device.type == "cuda" else 32) // frames)
        self._tokenizer = tokenizer
        self._look = look
        self._stills = stills

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows (N, D). How many texts were longer than `text_limit` is logged."""
        longer = sum(tokens > self.text_limit for tokens in token_counts(self._tokenizer, texts, self.text_limit))
        if longer:
            _log.warning(
                "%s: %d of %d texts are longer than its %d tokens; what comes after is left out",
                *(self.source.model, longer, len(texts), self.text_limit),
            )
        return self._rows(self._read, texts, max(self._batch, 16))

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        """Unit rows (N, D): the towers' own vector of each clip, of `frames` frames taken evenly from it."""
        if not all(map(len, clips)):
            raise UsageError("a clip without frames has no vector")
        parts = [self._rows(self._see, list(some), self._batch) for _, some in groupby(clips, key=self._count)]
        return np.concatenate([np.zeros((0, self.dimension), np.float32), *parts])

    def _count(self, clip: Frames) -> int:
        return 1 if self._stills and len(clip) == 1 else self.frames

    def _see(self, clips: Sequence[Frames]) -> list[NDArray[np.float32]]:
        chosen = [clip.pixels[evenly(len(clip), self._count(clip))] for clip in clips]
        pixels = torch.stack([prepared(some, self._look) for some in chosen])
        return self._out(self._towers.see(pixels.to(self._device, self._dtype)))

    def _read(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        ids, mask = tokens_of(self._tokenizer, texts, self.text_limit)
        return self._out(self._towers.read(ids.to(self._device), mask.to(self._device)))

    def _out(self, rows: Tensor) -> list[NDArray[np.float32]]:
        return list(rows.float().cpu().numpy())

    @torch.inference_mode()
    def _rows(
        self, work: Callable[[Sequence[Any]], list[NDArray[np.float32]]], items: Sequence[Any], batch: int
    ) -> NDArray[np.float32]:
        made: list[NDArray[np.float32]] = []
        for first in range(0, len(items), batch):
            made += in_halves(work, items[first : first + batch])
        if not made:
            return np.zeros((0, self.dimension), np.float32)
        try:
            return unit(np.stack(made))
        except UsageError as error:
            raise ModelError(self.source.model, str(error)) from error


def tokens_of(tokenizer: Any, texts: Sequence[str], limit: int) -> tuple[Tensor, Tensor]:
    """Token ids and which of them count, both (N, L), cut to `limit` with the end mark kept, padded on the right."""
    told = tokenizer(
        list(texts), padding=True, padding_side="right", truncation=True, max_length=limit, return_tensors="pt"
    )
    return told["input_ids"], told["attention_mask"]


def token_counts(tokenizer: Any, texts: Sequence[str], limit: int) -> list[int]:
    """The tokens, uncut, of those texts that may have more than `limit`: none has more than its bytes and two marks."""
    near = [text for text in texts if len(text.encode("utf-8", "replace")) + 2 > limit]
    return [len(ids) for ids in tokenizer(near, verbose=False)["input_ids"]] if near else []


def check_options(family: str, loading: Loading, pooling: str = "") -> None:
    """Refuse what encoders with modules of our own do not offer. Raises UsageError."""
    if pooling:
        raise UsageError(f"{family} makes one vector of a clip itself: leave out --pooling {pooling}")
    if loading.bits:
        raise UsageError(f"{family} cannot be kept in {loading.bits} bits: leave that out, or use --dtype bfloat16")
    if loading.attention not in ("auto", "sdpa"):
        raise UsageError(f"{family} attends by PyTorch's own means only: leave out --attention {loading.attention}")


def clip_tokenizer(checkpoint: Checkpoint) -> Any:
    """CLIP's tokenizer, from the files beside the weights. Raises ModelError when they are not there."""
    from transformers import CLIPTokenizer

    vocabulary, merges = checkpoint.folder / "vocab.json", checkpoint.folder / "merges.txt"
    if vocabulary.exists() and merges.exists():
        return CLIPTokenizer(vocab=str(vocabulary), merges=str(merges))
    if not (checkpoint.folder / "tokenizer.json").exists():
        raise ModelError(
            checkpoint.name,
            "has no tokenizer beside its weights: copy vocab.json and merges.txt of openai/clip-vit-large-patch14 "
            f"to {checkpoint.folder}",
        )
    return CLIPTokenizer.from_pretrained(str(Path(checkpoint.folder)), local_files_only=True)

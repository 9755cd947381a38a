"""Encoders of single pictures behind the contract: batches of frames over clips, pooling, texts of any length.

A family gives two towers; what is the same for all of them is here. `Frames` of all clips go through the picture tower
together, in batches of one size, and each clip's vector is pooled from its frames'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from longshot import pooling as policies
from longshot.checkpoints import Checkpoint
from longshot.contracts import Frames, Loading
from longshot.errors import ModelError, UsageError
from longshot.tensors import device_of, dtype_of, in_halves
from longshot.timeline import Source

Item = TypeVar("Item")
# Tokens that tokenizers put around a text, at most.
_MARKS = 4
# Pictures scaled at once: on a GPU that is done in float32, four times the memory of the pictures.
_SCALED = 16
_log = logging.getLogger(__name__)


class Towers(Protocol):
    """One space for texts and pictures. text_limit: tokens that count of a text, 0 where there is no limit."""

    dimension: int
    height: int
    text_limit: int

    def read(self, texts: Sequence[str]) -> Tensor:
        """Rows (N, D) of texts, cut to `text_limit`; of any length."""
        ...

    def see(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Rows (N, D) of pictures (H, W, 3), RGB, of any sizes; of any length."""
        ...

    def count(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text before it is cut."""
        ...


class PicturesEncoder:
    """Towers as a `PictureEncoder`. `Loading.batch` counts pictures or texts here."""

    # No frame knows of another, so any number will do; eight show most of a clip.
    frames = 8

    def __init__(
        self,
        towers: Towers,
        checkpoint: Checkpoint,
        *,
        loading: Loading,
        pooling: str = "",
        revision: str = "",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.pooling = policies.check(pooling or "mean")
        self.dimension = towers.dimension
        self.height = towers.height
        self.text_limit = towers.text_limit
        own = {"pooling": self.pooling, "text_limit": self.text_limit, **(settings or {})}
        self.source = Source("", checkpoint.name, revision or checkpoint.revision, own)
        self._towers = towers
        self._batch = loading.batch or (128 if device_of(loading).type == "cuda" else 32)

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows (N, D). How many texts were longer than `text_limit` is logged."""
        self._say_cut(texts)
        return self._rows(self._towers.read, texts)

    def encode_pictures(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Unit rows (N, D), one for each picture (H, W, 3). Raises UsageError for another shape or type."""
        for picture in pixels:
            if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or not picture.size:
                raise UsageError(f"a picture is uint8 (H, W, 3), got {picture.dtype} {tuple(picture.shape)}")
        return self._rows(self._towers.see, pixels)

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        """Unit rows (N, D), one for each clip. Raises UsageError for one without frames, and under "max"."""
        if self.pooling == "max":
            raise UsageError("'max' keeps one vector a frame: ask encode_pictures for them, not encode_frames")
        if not all(len(clip.pixels) for clip in clips):
            raise UsageError("a clip without frames has no vector")
        shown = [clip.pixels[:1] if self.pooling == "first" else clip.pixels for clip in clips]
        rows = self.encode_pictures([picture for pixels in shown for picture in pixels])
        ends = np.cumsum([len(pixels) for pixels in shown])
        parts = np.split(rows, ends[:-1]) if len(shown) else []
        return np.stack([policies.pool(part, self.pooling) for part in parts]) if parts else rows

    def _say_cut(self, texts: Sequence[str]) -> None:
        # No tokenizer makes more than a token a byte, and a few mark the ends: shorter texts need no count.
        room = self.text_limit - _MARKS - len(str(self.source.settings.get("prompt", "")).encode())
        near = [text for text in texts if self.text_limit and len(text.encode("utf-8", "replace")) > room]
        cut = sum(tokens > self.text_limit for tokens in self._towers.count(near)) if near else 0
        if cut:
            _log.warning(
                "%s: %d of %d texts are longer than its %d tokens; what comes after is left out",
                *(self.source.model, cut, len(texts), self.text_limit),
            )

    @torch.inference_mode()
    def _rows(self, work: Callable[[Sequence[Item]], Tensor], items: Sequence[Item]) -> NDArray[np.float32]:
        made: list[NDArray[np.float32]] = []
        for some in _batches(items, self._batch):
            made += in_halves(lambda these: list(work(these).float().cpu().numpy()), some)
        if not made:
            return np.zeros((0, self.dimension), np.float32)
        try:
            return policies.unit(np.stack(made))
        except UsageError as error:
            raise ModelError(self.source.model, str(error)) from error


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[first : first + size] for first in range(0, len(items), size))


class HubTowers:
    """Towers of a transformers model, with the tokenizer and image processor that lie beside it.

    texts: token ids and attention mask -> rows. pictures: what the image processor made -> rows. text_limit: positions
    that the text tower has. whole: whether texts are padded to all of them, and not only to the longest. lower: whether
    the text must be made lower case here. height: for a processor that does not say a size.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        loading: Loading,
        *,
        texts: Callable[[Tensor, Tensor], Tensor],
        pictures: Callable[[Mapping[str, Tensor]], Tensor],
        dimension: int,
        text_limit: int,
        whole: bool = False,
        lower: bool = False,
        height: int = 0,
    ) -> None:
        self.tokenizer = tokenizer_of(checkpoint)
        self.processor = processor_of(checkpoint)
        self.dimension = dimension
        self.text_limit = text_limit
        self.height = height or _side(self.processor)
        self._texts, self._pictures = texts, pictures
        self._padding = "max_length" if whole else "longest"
        self._lower = lower
        self._fast = getattr(self.processor, "backend", "") == "torchvision"
        self._natural = hasattr(self.processor, "max_num_patches")
        self._device, self._dtype = device_of(loading), dtype_of(loading)

    def read(self, texts: Sequence[str]) -> Tensor:
        """Rows (N, D)."""
        told = self.tokenizer(
            self._spelt(texts),
            padding=self._padding,
            truncation=True,
            max_length=self.text_limit,
            return_attention_mask=True,
            return_tensors="pt",
        ).to(self._device)
        return self._texts(told["input_ids"], told["attention_mask"])

    def see(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Rows (N, D)."""
        if self._fast:
            made = self.processor(
                images=self._scaled(pictures),
                do_resize=self._natural,
                input_data_format="channels_first",
                return_tensors="pt",
            )
        else:
            made = self.processor(images=list(pictures), input_data_format="channels_last", return_tensors="pt")
        made = made.to(self._device)
        made["pixel_values"] = made["pixel_values"].to(self._dtype)
        return self._pictures(made)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, uncut."""
        return [len(ids) for ids in self.tokenizer(self._spelt(texts), verbose=False)["input_ids"]]

    def _scaled(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        """Tensors (3, H, W) on the device, scaled by the processor's own rule unless that takes natural shapes.

        Pictures of one shape are scaled together with colours innermost, as they lie in memory: a third of the time
        that it takes to turn each of them first, as the processor would.
        """
        made: list[Tensor] = []
        for _, alike in groupby(pictures, key=lambda picture: picture.shape):
            for some in _batches(list(alike), _SCALED):
                stack = torch.from_numpy(np.stack(some)).to(self._device).permute(0, 3, 1, 2)
                made += stack if self._natural else self._resized(stack)
        return made

    def _resized(self, stack: Tensor) -> Tensor:
        if not self.processor.do_resize:
            return stack
        return self.processor.resize(image=stack, size=self.processor.size, resample=self.processor.resample)

    def _spelt(self, texts: Sequence[str]) -> list[str]:
        return [text.lower() if self._lower else text for text in texts]


def tokenizer_of(checkpoint: Checkpoint) -> Any:
    """The tokenizer beside the weights, padding on the right. Raises ModelError."""
    from transformers import AutoTokenizer

    return _beside(AutoTokenizer, checkpoint, "tokenizer", padding_side="right")


def processor_of(checkpoint: Checkpoint) -> Any:
    """The image processor beside the weights. Raises ModelError."""
    from transformers import AutoImageProcessor

    return _beside(AutoImageProcessor, checkpoint, "image processor (preprocessor_config.json)")


def _beside(kind: Any, checkpoint: Checkpoint, what: str, **options: Any) -> Any:
    try:
        return kind.from_pretrained(checkpoint.folder, local_files_only=True, trust_remote_code=False, **options)
    except (OSError, ValueError, ImportError, KeyError) as error:
        said = str(error).strip().splitlines()
        raise ModelError(
            checkpoint.name, f"has no {what} that can be read: {said[0] if said else type(error).__name__}"
        ) from error


def _side(processor: Any) -> int:
    """The height of a landscape picture that the processor neither enlarges nor loses anything of, in pixels."""
    size = dict(processor.size)
    side = size.get("height") or size.get("shortest_edge") or size.get("longest_edge")
    return int(side or 0)

"""Qwen2-VL with every frame shown twice in a row, so that one patch of time is one frame: CaRe and Tarsier2.

Qwen2-VL joins two frames into one patch of time. These two were trained on clips in which every frame stands twice: T
frames make a grid of T x h x w patches, which are T * h * w / 4 tokens, between one pair of vision marks. A single
picture is a clip of one frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode, functional
from transformers import (
    AutoTokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from longshot.chat_models._dialects import Plan, Qwen2Dialect, Sent, resized, thinned
from longshot.chat_models._engine import Misfit, Settings
from longshot.checkpoints import Checkpoint
from longshot.contracts import Frames
from longshot.errors import ModelError

PATCH = 28
"""Pixels along one side of a token: 2 x 2 patches of 14."""
_LEAST = 128 * PATCH * PATCH


class Size(NamedTuple):
    """Of a picture, in pixels."""

    height: int
    width: int


class DoubledDialect(Qwen2Dialect):
    """CaRe's frames: 100,352 to 230,400 pixels each, however many there are, and a newline before the words.

    720p and larger of 16:9 become 616 x 336 and take 264 tokens, 640 x 480 becomes 532 x 392 and takes 266.
    """

    # What stands between the pictures and the words.
    between = "\n"

    def most(self, count: int) -> int:
        """The most pixels of one of so many frames."""
        return 230_400

    def shown(self, size: Size, pixels: int) -> Size:
        """The size at which a frame is shown that may have so many pixels."""
        return Size(*resized(*size, factor=PATCH, least=min(_LEAST, pixels), most=pixels))

    def plan(self, frames: Frames, *, most: int, settings: Settings) -> Plan:
        """Smaller frames first, down to 100,352 pixels, then fewer, evenly. Raises Misfit when not one fits."""
        size = Size(*frames.pixels.shape[1:3])

        def plan(count: int, pixels: int) -> Plan:
            height, width = self.shown(size, pixels)
            tokens = count * (height // PATCH) * (width // PATCH)
            return Plan(thinned(len(frames), count), pixels, tokens, min(_LEAST, pixels))

        high = settings.frame_pixels or self.most(len(frames))
        low = min(high, _LEAST)
        whole = plan(len(frames), high)
        if not most or whole.tokens <= most:
            return whole
        smaller = plan(len(frames), min(high, max(low, most // len(frames) * PATCH**2)))
        if smaller.tokens <= most:
            return smaller
        one = plan(1, low).tokens
        if one > most:
            raise Misfit(f"one frame takes {one} visual tokens at the least, and there is room for {most}")
        return plan(min(len(frames), most // one), low)

    def send(self, frames: Frames, plan: Plan) -> Sent:
        """Every frame twice, as one video, of one frame too."""
        # Scaled before they are doubled, as the processor would: it then finds them at their size.
        size = self.shown(Size(*frames.pixels.shape[1:3]), plan.pixels)
        scaled = functional.resize(
            torch.from_numpy(np.ascontiguousarray(frames.pixels)).permute(0, 3, 1, 2),
            list(size),
            interpolation=InterpolationMode.BICUBIC,
            antialias=True,
        )
        pixels = scaled.permute(0, 2, 3, 1).numpy()
        sent = super().send(Frames(np.repeat(pixels, 2, axis=0), np.repeat(frames.times, 2)), plan)
        words = [{"type": "text", "text": self.between}] if self.between else []
        return sent._replace(pieces=[*sent.pieces, *words])

    def _bounds(self, image: bool) -> tuple[int, int]:
        return self.most(1), _LEAST


class Tarsier2Dialect(DoubledDialect):
    """Tarsier2's frames: at most 460,800 pixels each, and 18,874,368 all together, each counted twice.

    They are resampled twice, as in its own preparation: to that many pixels, then to multiples of 28. 1280 x 720
    becomes 905 x 509, then 896 x 504, and takes 576 tokens; frames get smaller from the 21st on.
    """

    between = ""

    def most(self, count: int) -> int:
        """The most pixels of one of so many frames."""
        return min(1280 * 720 // 2, 128 * 384 * 384 // (2 * count))

    def shown(self, size: Size, pixels: int) -> Size:
        """The size after both steps."""
        high, low = self._bounds(False)
        return Size(*resized(*self._within(size, pixels), factor=PATCH, least=low, most=high))

    def send(self, frames: Frames, plan: Plan) -> Sent:
        """The first step here, the second in the processor."""
        height, width = self._within(Size(*frames.pixels.shape[1:3]), plan.pixels)
        smaller = [
            np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
            for frame in frames.pixels
        ]
        high, low = self._bounds(False)
        return super().send(Frames(np.stack(smaller), frames.times), plan._replace(pixels=high, least=low))

    def _within(self, size: Size, pixels: int) -> Size:
        return Size(*resized(*size, factor=1, least=0, most=pixels))

    def _bounds(self, image: bool) -> tuple[int, int]:
        size = self.processor.video_processor.size
        return int(size["longest_edge"]), int(size["shortest_edge"])


def processor_of(checkpoint: Checkpoint, *, template: str, video: int) -> Any:
    """Qwen2-VL's processor with the numbers of preprocessor_config.json.

    Built from its parts: Tarsier2 names a processor class of its own, and both were saved by releases whose `size`
    has other keys than today's. template: the chat template. video: the id that the model knows a part of a video by.
    Raises ModelError when files are missing, or the tokenizer has another token there.
    """
    said = checkpoint.read_json("preprocessor_config.json")
    if not said:
        raise ModelError(checkpoint.name, "lacks preprocessor_config.json; fetch all its files, not only the weights")
    least, most = bounds(said)
    known = ("image_mean", "image_std", "rescale_factor", "patch_size", "temporal_patch_size", "merge_size")
    numbers = {name: said[name] for name in known if name in said}
    numbers["size"] = {"shortest_edge": least, "longest_edge": most}
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(**numbers),
        tokenizer=tokenizer_of(checkpoint),
        video_processor=Qwen2VLVideoProcessor(**numbers),
        chat_template=template,
    )
    if processor.video_token_id != video:
        raise ModelError(
            checkpoint.name,
            f"its tokenizer gives {processor.video_token} the id {processor.video_token_id}, config.json says {video}",
        )
    return processor


def tokenizer_of(checkpoint: Checkpoint) -> Any:
    """The tokenizer beside the weights. Raises ModelError when there is none, or it cannot be loaded."""
    if not any((checkpoint.folder / name).exists() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise ModelError(
            checkpoint.name, "lacks a tokenizer (tokenizer.json); fetch all its files, not only the weights"
        )
    try:
        return AutoTokenizer.from_pretrained(checkpoint.folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        said = (str(error).strip() or repr(error)).splitlines()[0]
        raise ModelError(checkpoint.name, f"its tokenizer cannot be loaded: {said}") from error


def bounds(said: Mapping[str, Any]) -> tuple[int, int]:
    """The least and the most pixels of a picture that a preprocessor_config.json of Qwen2-VL states, of any release."""
    size = said.get("size") or {}
    least = said.get("min_pixels") or size.get("min_pixels") or size.get("shortest_edge") or 56 * 56
    most = said.get("max_pixels") or size.get("max_pixels") or size.get("longest_edge") or 1280 * PATCH * PATCH
    return int(least), int(most)

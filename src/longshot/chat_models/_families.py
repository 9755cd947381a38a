"""Dialects of the families other than Qwen: LLaVA, InternVL, SmolVLM, VideoLLaMA3, Gemma and MiniCPM-V."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from transformers.models.gemma4.video_processing_gemma4 import get_aspect_ratio_preserving_size

from longshot.chat_models._dialects import DIALECTS, Dialect, Plan, Qwen2Dialect, Sent, metadata
from longshot.chat_models._engine import Settings
from longshot.contracts import Frames


class LlavaNextVideoDialect(Dialect):
    """LLaVA-NeXT-Video: a square of each frame, 2 x 2 patches pooled to a token; no times."""

    def tokens_each(self, frames: Frames) -> float:
        """144 for 336 pixels and patches of 14; a single picture is cut into tiles, so that is not known before."""
        if len(frames) == 1:
            return 0
        side = self.processor.video_processor.crop_size["height"] // self.processor.patch_size
        return int(side * side // 4)


class LlavaOnevisionDialect(Dialect):
    """LLaVA-OneVision: each frame squeezed to a square, pooled to half its sides rounded up; no times."""

    def tokens_each(self, frames: Frames) -> float:
        """196 for 27 x 27 patches; one more stands at the end of a video."""
        if len(frames) == 1:
            return 0
        return math.ceil(math.isqrt(self.processor.num_image_tokens) / 2) ** 2


class InternVLDialect(Dialect):
    """InternVL: a line `Frame1: ` with one tile for each frame; frames are numbered, times are not told."""

    mixes = True

    def tokens_each(self, frames: Frames) -> float:
        """256 for tiles of 448 pixels; a single picture is cut into tiles, so that is not known before."""
        return 0 if len(frames) == 1 else self.processor.image_seq_length


class SmolVLMDialect(Dialect):
    """SmolVLM2: each frame behind its time in minutes and seconds, and before all how long the video is."""

    def tokens_each(self, frames: Frames) -> float:
        """64 or 81 by checkpoint; a single picture is cut into tiles, so that is not known before."""
        return 0 if len(frames) == 1 else self.processor.image_seq_len

    def send(self, frames: Frames, plan: Plan) -> Sent:
        """The length that is told is where the last frame stands: that of the whole video is not known here."""
        sent = super().send(frames, plan)
        if len(frames) > 1:
            sent.options["videos_kwargs"]["video_metadata"][0]["duration"] = float(frames.times[-1])
        return sent


class VideoLlama3Dialect(Qwen2Dialect):
    """VideoLLaMA3: each frame behind its time to a tenth of a second; patches that stay the same are left out."""

    stills_are_videos = False
    tells_times = True

    def plan(self, frames: Frames, *, most: int, settings: Settings) -> Plan:
        """The checkpoint's bound is for all frames together, and what they take is known only at the most."""
        if len(frames) > 1:
            each = int(self.processor.video_processor.size["longest_edge"]) // len(frames)
            settings = dataclasses.replace(settings, frame_pixels=min(settings.frame_pixels or each, each))
        return super().plan(frames, most=most, settings=settings)

    def _bounds(self, image: bool) -> tuple[int, int]:
        part = self.processor.image_processor if image else self.processor.video_processor
        return int(part.size["longest_edge"]), int(part.size["shortest_edge"])

    def _size(self, low: int, high: int, count: int) -> dict[str, int]:
        return {"shortest_edge": low, "longest_edge": high * count}


class PicturesDialect(Dialect):
    """Processors without video: every frame is a picture, and its time stands before it as text."""

    mixes = True
    tells_times = True

    def tokens_each(self, frames: Frames) -> float:
        """What the processor says of its pictures, where it does (256 for Gemma 3), and the words before each."""
        return int(getattr(self.processor, "image_seq_length", 0) or 0) and self.processor.image_seq_length + 8

    def send(self, frames: Frames, plan: Plan) -> Sent:
        """Pictures, each behind "Frame at 1.5 s:" when there are several."""
        pieces: list[Mapping[str, Any]] = []
        for time in frames.times:
            if len(frames) > 1:
                pieces.append({"type": "text", "text": f"Frame at {time:.1f} s:"})
            pieces.append({"type": "image"})
        return Sent(pieces, {"images": [list(frames.pixels)]})


class Gemma4Dialect(Dialect):
    """Gemma 4: each frame behind its time in minutes and seconds, in its own shape."""

    mixes = True

    def tokens_each(self, frames: Frames) -> float:
        """At most 70 for a video's frame: 66 for one of 16:9."""
        image = len(frames) == 1
        part = self.processor.image_processor if image else self.processor.video_processor
        side = int(part.pooling_kernel_size)
        height, width = get_aspect_ratio_preserving_size(
            *frames.pixels.shape[1:3],
            patch_size=part.patch_size,
            max_patches=part.max_soft_tokens * side**2,
            pooling_kernel_size=side,
        )
        return (height // part.patch_size // side) * (width // part.patch_size // side)


class MiniCPMVDialect(Dialect):
    """MiniCPM-V 4.6 and 4.7: each frame whole, in its own shape, without slices and numbers; no times."""

    mixes = True
    # Patches of all pictures of a batch stand in one row, the last axis.
    along: ClassVar[Mapping[str, int]] = {"pixel_values": -1, "pixel_values_videos": -1}

    def tokens_each(self, frames: Frames) -> float:
        """66 for a frame of 16:9; a single picture may be cut into slices, so that is not known before."""
        part = self.processor.video_processor
        if len(frames) == 1:
            return 0
        height, width = part.find_best_resize(
            frames.pixels.shape[1:3], part.scale_resolution, part.patch_size, True, part.downsample_mode
        )
        return height * width / part.patch_size**2 / self.processor.video_token_divisor

    def send(self, frames: Frames, plan: Plan) -> Sent:
        """A video as its authors ask, from memory of their examples: one slice a frame, no picture numbers."""
        if len(frames) == 1:
            return super().send(frames, plan)
        details = {
            "do_sample_frames": False,
            "video_metadata": [metadata(frames)],
            "input_data_format": "channels_last",
            "max_slice_nums": 1,
            "stack_frames": 1,
        }
        options = {"videos": [frames.pixels], "videos_kwargs": details, "use_image_id": False}
        return Sent([{"type": "video"}], options)


_OTHERS: dict[str, type[Dialect]] = {
    "LlavaNextVideoProcessor": LlavaNextVideoDialect,
    "LlavaOnevisionProcessor": LlavaOnevisionDialect,
    "InternVLProcessor": InternVLDialect,
    "SmolVLMProcessor": SmolVLMDialect,
    "VideoLlama3Processor": VideoLlama3Dialect,
    "Gemma3Processor": PicturesDialect,
    "Gemma3nProcessor": PicturesDialect,
    "Gemma4Processor": Gemma4Dialect,
    "MiniCPMV4_6Processor": MiniCPMVDialect,
    "MiniCPMV4_7Processor": MiniCPMVDialect,
}


def dialect_of(processor: Any) -> type[Dialect]:
    """How frames go into a processor: by its class; else as a video where it takes one, else as pictures."""
    known = {**DIALECTS, **_OTHERS}.get(type(processor).__name__)
    if known:
        return known
    return Dialect if getattr(processor, "video_processor", None) is not None else PicturesDialect

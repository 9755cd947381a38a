"""Qwen3-VL-Embedding: texts, pictures and whole videos in one space, by a Qwen3-VL read at its last token.

Li et al. 2026, "Qwen3-VL-Embedding and Qwen3-VL-Reranker". A clip goes in as one video, each pair of frames behind its
time in seconds. The report names another last token than the published code uses; this follows the code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import Qwen3VLConfig, Qwen3VLModel, Qwen3VLProcessor

from longshot import checkpoints, tensors
from longshot.checkpoints import Checkpoint
from longshot.contracts import Frames, Loading
from longshot.encoders._last_token import LastToken, processor_of, tensors_only
from longshot.errors import ModelError, UsageError
from longshot.pooling import unit
from longshot.timeline import Source

NEEDS = ("torch", "transformers", "torchvision")
EXTRA = "models"

# The words that it was trained with; a vector made with others is another vector.
INSTRUCTION = "Represent the user's input."
_FRONT = f"<|im_start|>system\n{INSTRUCTION}<|im_end|>\n<|im_start|>user\n"
_BACK = "<|im_end|>\n<|im_start|>assistant\n"
_NOTHING = "NULL"
# Tokens of a prompt; tokens of 32 x 32 pixels of a picture, of a video's frame, and of all frames of a video together.
_LIMIT = 8192
_PICTURE = (4, 1800)
_FRAME = (128, 768)
_VIDEO = 10 * 768
_MOST_FRAMES = 64
# Frame times go in as whole numbers of this part of a second.
_TICKS = 1_000_000


class _Body(Qwen3VLModel):
    _keys_to_ignore_on_load_unexpected = (r"^lm_head\.",)


def load(name: str, *, loading: Loading, pooling: str = "") -> Qwen3VLEmbedding:
    """A Qwen3-VL-Embedding checkpoint by folder or hub id.

    Raises ModelError for a folder that cannot be loaded, UsageError for a pooling: all frames are read at once.
    """
    if pooling:
        raise UsageError(f"{name} gives a clip one vector: there are no vectors of frames to pool by {pooling!r}")
    checkpoint = checkpoints.find(name)
    if checkpoint.config.get("model_type") != "qwen3_vl":
        kind = checkpoint.config.get("model_type", "(none named)")
        raise ModelError(checkpoint.name, f"is no Qwen3-VL-Embedding: its model_type is {kind}, not qwen3_vl")
    processor = processor_of(Qwen3VLProcessor, checkpoint)
    model = tensors.load(_Body, checkpoint, loading, config=Qwen3VLConfig.from_dict(dict(checkpoint.config)))
    return Qwen3VLEmbedding(LastToken(model, processor.tokenizer, limit=_LIMIT, loading=loading), processor, checkpoint)


class Qwen3VLEmbedding:
    """Qwen3-VL-Embedding as an `Encoder`."""

    frames = _MOST_FRAMES
    height = 672
    """A frame at 16:9 of 768 tokens has 672 rows; 64 of them share their tokens and are smaller."""

    def __init__(self, states: LastToken, processor: Any, checkpoint: Checkpoint) -> None:
        self.dimension = states.dimension
        self._states = states
        self._processor = processor
        dtype = str(states.model.dtype).removeprefix("torch.")
        settings = {"dtype": dtype, "instruction": INSTRUCTION, "pooling": "last token"}
        self.source = Source("embed", checkpoint.name, checkpoint.revision, settings)

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows (N, D)."""
        return unit(
            self._states.rows(len(texts), lambda place: self._states.words(_FRONT, texts[place] or _NOTHING, _BACK))
        )

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        """Unit rows (N, D): one frame is a picture, more are a video, of more than 64 an even choice of 64.

        Raises UsageError for a clip without frames.
        """
        if any(not len(clip) for clip in clips):
            raise UsageError("a clip without frames has no vector")
        return unit(self._states.rows(len(clips), lambda place: self._shown(clips[place])))

    def _shown(self, clip: Frames) -> Mapping[str, Tensor]:
        """One clip's prompt."""
        try:
            return self._picture(clip) if len(clip) == 1 else self._video(clip)
        except ValueError as error:
            rows, columns = clip.pixels.shape[1:3]
            raise UsageError(f"frames of {columns} x {rows} pixels: {str(error).splitlines()[0]}") from error

    def _picture(self, clip: Frames) -> Mapping[str, Tensor]:
        least, most = (tokens * self._factor**2 for tokens in _PICTURE)
        made = self._processor(
            text=[f"{_FRONT}<|vision_start|><|image_pad|><|vision_end|>{_BACK}"],
            images=[np.require(clip.pixels[0], requirements=("C", "W"))],
            images_kwargs={
                "size": {"shortest_edge": least, "longest_edge": most},
                "input_data_format": "channels_last",
            },
            return_tensors="pt",
        )
        return tensors_only(made)

    def _video(self, clip: Frames) -> Mapping[str, Tensor]:
        clip = _paired(clip, int(self._processor.video_processor.temporal_patch_size))
        count = len(clip)
        least, most = (tokens * self._factor**2 for tokens in _FRAME)
        # Two frames make one row of tokens; what all have together is shared out, down to a little over the least.
        most = max(min(most, 2 * _VIDEO * self._factor**2 // count), int(least * 1.05))
        details: dict[str, Any] = {
            "do_sample_frames": False,
            "video_metadata": [_metadata(clip)],
            "input_data_format": "channels_last",
            "size": {"shortest_edge": least * count, "longest_edge": most * count},
        }
        if "cap_pixels_per_frame" in getattr(self._processor.video_processor.valid_kwargs, "__annotations__", {}):
            details["cap_pixels_per_frame"] = False
        # The processor brings vision marks and a time for each pair of frames.
        text = f"{_FRONT}{self._processor.video_token}{_BACK}"
        made = self._processor(text=[text], videos=[clip.pixels], videos_kwargs=details, return_tensors="pt")
        return tensors_only(made)

    @property
    def _factor(self) -> int:
        """Pixels of the side of a token's square."""
        return int(self._processor.image_processor.patch_size * self._processor.image_processor.merge_size)


def _paired(clip: Frames, together: int) -> Frames:
    """At most 64 frames, and the last one again until they come out even."""
    if len(clip) > _MOST_FRAMES:
        kept = np.linspace(0, len(clip) - 1, _MOST_FRAMES).astype(int)
        clip = Frames(clip.pixels[kept], clip.times[kept])
    last = [len(clip) - 1] * (-len(clip) % together)
    return Frames(np.concatenate([clip.pixels, clip.pixels[last]]), np.concatenate([clip.times, clip.times[last]]))


def _metadata(clip: Frames) -> dict[str, Any]:
    """Frame times as the processor reads them: it divides an index by the rate, so both are made to fit."""
    ticks = [int(tick) for tick in np.round(clip.times * _TICKS)]
    return {
        "total_num_frames": max(1, ticks[-1] - ticks[0]),
        "fps": float(_TICKS),
        "duration": (ticks[-1] - ticks[0]) / _TICKS,
        "frames_indices": ticks,
        "height": int(clip.pixels.shape[1]),
        "width": int(clip.pixels.shape[2]),
    }

"""VideoLLaMA3 as transformers has it, and as its authors published it; true patches, tiny widths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny.folders import seeded, tokenizer_of, write

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}{{ '<|' + part['type'] + '_pad|>\n' }}{% endif %}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_videollama3(folder: Path, *, seed: int = 0) -> Path:
    """`VideoLlama3ForConditionalGeneration`: patch 14, 2 x 2 merging for videos."""
    from transformers import (
        VideoLlama3ForConditionalGeneration,
        VideoLlama3ImageProcessor,
        VideoLlama3VideoProcessor,
    )

    names = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    names |= {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = tokenizer_of(specials, names=names)
    halves: dict[str, Any] = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    sizes = {"size": {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 96}}
    return write(
        folder,
        seeded(VideoLlama3ForConditionalGeneration, _config(tokenizer), seed=seed),
        tokenizer,
        parts={
            "image_processor": VideoLlama3ImageProcessor(patch_size=14, merge_size=1, **sizes, **halves),
            "video_processor": VideoLlama3VideoProcessor(
                patch_size=14, merge_size=2, temporal_patch_size=1, use_token_compression=True, **sizes, **halves
            ),
        },
        processor={"processor_class": "VideoLlama3Processor"},
        template=TEMPLATE,
        generation={"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
    )


def _config(tokenizer: Any) -> Any:
    from transformers import Qwen2Config, VideoLlama3Config
    from transformers.models.video_llama_3.configuration_video_llama_3 import VideoLlama3VisionConfig

    image, video = tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|video_pad|>"])
    return VideoLlama3Config(
        vision_config=VideoLlama3VisionConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=14
        ).to_dict(),
        text_config=Qwen2Config(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=len(tokenizer),
        ).to_dict(),
        image_token_id=image,
        video_token_id=video,
    )

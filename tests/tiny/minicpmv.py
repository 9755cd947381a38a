"""MiniCPM-V 4.6 and 4.7 as transformers has them; true pictures of 448 in patches of 14, tiny widths."""

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
NAMES = {
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "image_start_token": "<image>",
    "image_end_token": "</image>",
    "slice_start_token": "<slice>",
    "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>",
    "image_id_end_token": "</image_id>",
}


def write_minicpmv(folder: Path, *, version: str = "4_6", seed: int = 0) -> Path:
    """`MiniCPMV4_6ForConditionalGeneration` or its 4_7: 16 patches to one token, so 64 for a square of 448."""
    import transformers

    tokenizer = tokenizer_of(["<|im_start|>", *NAMES.values()], names=NAMES)
    return write(
        folder,
        seeded(
            getattr(transformers, f"MiniCPMV{version}ForConditionalGeneration"), _config(version, tokenizer), seed=seed
        ),
        tokenizer,
        parts={
            "image_processor": transformers.MiniCPMV4_6ImageProcessor(),
            "video_processor": transformers.MiniCPMV4_6VideoProcessor(),
        },
        processor={"processor_class": f"MiniCPMV{version}Processor"},
        template=TEMPLATE,
        generation={"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
    )


def _config(version: str, tokenizer: Any) -> Any:
    import transformers

    image, video = tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|video_pad|>"])
    text = transformers.Qwen3_5TextConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        layer_types=["linear_attention", "full_attention"],
        vocab_size=len(tokenizer),
    )
    return getattr(transformers, f"MiniCPMV{version}Config")(
        text_config=text.to_dict(),
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": 980,
            "patch_size": 14,
        },
        insert_layer_id=1,
        image_token_id=image,
        video_token_id=video,
    )

"""SmolVLM2: pictures of 512, patch 16, scale factor 4, so 64 tokens a frame; tiny widths."""

from __future__ import annotations

from pathlib import Path

from tests.tiny.folders import seeded, small_llama, tokenizer_of, write

TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}{{ '<' + part['type'] + '>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)


def write_smolvlm(folder: Path, *, seed: int = 0) -> Path:
    """`SmolVLMForConditionalGeneration`."""
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMVideoProcessor,
        SmolVLMVisionConfig,
    )

    names = {"bos_token": "<|im_start|>", "eos_token": "<end_of_utterance>", "pad_token": "<|im_end|>"}
    names |= {"image_token": "<image>", "fake_image_token": "<fake_token_around_image>"}
    names |= {"global_image_token": "<global-img>", "end_of_utterance_token": "<end_of_utterance>"}
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<fake_token_around_image>", "<image>", "<global-img>"]
    rows = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    tokenizer = tokenizer_of([*specials, "<end_of_utterance>", *rows], names=names)
    config = SmolVLMConfig(
        vision_config=SmolVLMVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=512,
            patch_size=16,
        ).to_dict(),
        text_config=small_llama(tokenizer, num_key_value_heads=2),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=4,
        pad_token_id=tokenizer.pad_token_id,
    )
    sizes = {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}}
    sampling = {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 512}}
    return write(
        folder,
        seeded(SmolVLMForConditionalGeneration, config, seed=seed),
        tokenizer,
        parts={
            "image_processor": SmolVLMImageProcessor(do_image_splitting=True, **sizes),
            "video_processor": SmolVLMVideoProcessor(
                size={"longest_edge": 512}, max_image_size={"longest_edge": 512}, video_sampling=sampling
            ),
        },
        processor={"processor_class": "SmolVLMProcessor", "image_seq_len": 64},
        template=TEMPLATE,
        generation={"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
    )

"""LLaVA-NeXT-Video and LLaVA-OneVision: true picture sizes (144 and 196 tokens a frame), tiny widths."""

from __future__ import annotations

from pathlib import Path

from tests.tiny.folders import seeded, small_clip_vision, small_llama, tokenizer_of, write

NEXT_VIDEO_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] %}{% if part['type'] != 'text' %}{{ '<' + part['type'] + '>\n' }}{% endif %}"
    "{% endfor %}{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
ONEVISION_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for part in message['content'] %}{% if part['type'] != 'text' %}{{ '<' + part['type'] + '>' }}{% endif %}"
    "{% endfor %}{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ '\n' + part['text'] }}"
    "{% endif %}{% endfor %}{{ '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_next_video(folder: Path, *, seed: int = 0) -> Path:
    """`LlavaNextVideoForConditionalGeneration`: CLIP at 336, patch 14, 2 x 2 pooling."""
    from transformers import (
        LlavaNextImageProcessor,
        LlavaNextVideoConfig,
        LlavaNextVideoForConditionalGeneration,
        LlavaNextVideoVideoProcessor,
    )

    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    names |= {"image_token": "<image>", "video_token": "<video>"}
    tokenizer = tokenizer_of(["<unk>", "<s>", "</s>", "<pad>", "<image>", "<video>"], names=names, first="<s>")
    image, video = tokenizer.convert_tokens_to_ids(["<image>", "<video>"])
    pinpoints = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
    config = LlavaNextVideoConfig(
        vision_config=small_clip_vision(),
        text_config=small_llama(tokenizer),
        image_token_index=image,
        video_token_index=video,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        spatial_pool_mode="average",
        spatial_pool_stride=2,
    )
    square = {"height": 336, "width": 336}
    return write(
        folder,
        seeded(LlavaNextVideoForConditionalGeneration, config, seed=seed),
        tokenizer,
        parts={
            "image_processor": LlavaNextImageProcessor(
                size={"shortest_edge": 336}, crop_size=square, image_grid_pinpoints=pinpoints
            ),
            "video_processor": LlavaNextVideoVideoProcessor(size={"shortest_edge": 336}, crop_size=square),
        },
        processor={
            "processor_class": "LlavaNextVideoProcessor",
            "patch_size": 14,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
            "image_token": "<image>",
            "video_token": "<video>",
        },
        template=NEXT_VIDEO_TEMPLATE,
        names=_as_on_the_hub,
        generation={"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
    )


def write_onevision(folder: Path, *, seed: int = 0) -> Path:
    """`LlavaOnevisionForConditionalGeneration`: SigLIP at 384, patch 14, pooled to 14 x 14, one newline a video."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionVideoProcessor,
        Qwen2Config,
        SiglipVisionConfig,
    )

    names = {
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "image_token": "<image>",
        "video_token": "<video>",
    }
    tokenizer = tokenizer_of(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>"], names=names)
    image, video = tokenizer.convert_tokens_to_ids(["<image>", "<video>"])
    pinpoints = [[384, 384], [384, 768], [768, 384], [768, 768]]
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=384,
            patch_size=14,
            vision_use_head=False,
        ).to_dict(),
        text_config=Qwen2Config(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=len(tokenizer),
        ).to_dict(),
        image_token_index=image,
        video_token_index=video,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
    )
    square = {"height": 384, "width": 384}
    halves = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    return write(
        folder,
        seeded(LlavaOnevisionForConditionalGeneration, config, seed=seed),
        tokenizer,
        parts={
            "image_processor": LlavaOnevisionImageProcessor(size=square, image_grid_pinpoints=pinpoints, **halves),
            "video_processor": LlavaOnevisionVideoProcessor(size=square, **halves),
        },
        processor={
            "processor_class": "LlavaOnevisionProcessor",
            "num_image_tokens": 729,
            "vision_feature_select_strategy": "full",
            "image_token": "<image>",
            "video_token": "<video>",
            "vision_aspect_ratio": "anyres_max_9",
        },
        template=ONEVISION_TEMPLATE,
        names=_as_on_the_hub,
        generation={"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
    )


def write_llava(folder: Path, *, seed: int = 0) -> Path:
    """LLaVA 1.5, which has no row of its own: pictures of 336 in patches of 14, 576 tokens each."""
    from transformers import CLIPImageProcessor, LlavaConfig
    from transformers import LlavaForConditionalGeneration as Llava

    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    names |= {"image_token": "<image>"}
    tokenizer = tokenizer_of(["<unk>", "<s>", "</s>", "<pad>", "<image>"], names=names, first="<s>")
    config = LlavaConfig(
        vision_config=small_clip_vision(),
        text_config=small_llama(tokenizer, max_position_embeddings=4096),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    square = {"height": 336, "width": 336}
    return write(
        folder,
        seeded(Llava, config, seed=seed),
        tokenizer,
        parts={"image_processor": CLIPImageProcessor(size={"shortest_edge": 336}, crop_size=square)},
        processor={
            "processor_class": "LlavaProcessor",
            "patch_size": 14,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
            "image_token": "<image>",
        },
        template=NEXT_VIDEO_TEMPLATE.replace("{{ '<' + part['type'] + '>\n' }}", "{{ '<image>\n' }}"),
        names=_as_on_the_hub,
        generation={"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
    )


def _as_on_the_hub(name: str) -> str:
    return name.replace("vision_tower.", "vision_tower.vision_model.")

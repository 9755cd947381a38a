"""Gemma 3 and Gemma 4: small pictures, tiny widths, the true token order around each picture."""

from __future__ import annotations

import json
from pathlib import Path

from tests.tiny.folders import seeded, tokenizer_of, write

TEMPLATE_3 = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<start_of_image>' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] | trim }}{% endif %}{% endfor %}{{ '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
TEMPLATE_4 = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' }}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] | trim }}"
    "{% else %}{{ '<|' + part['type'] + '|>' }}{% endif %}{% endfor %}{{ '<turn|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|turn>model\n' }}{% endif %}"
)


def write_gemma3(folder: Path, *, seed: int = 0) -> Path:
    """`Gemma3ForConditionalGeneration`: 8 x 8 patches pooled to 16 tokens a picture (the true one: 64 x 64 to 256)."""
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )

    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    names |= {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>"]
    tokenizer = tokenizer_of([*specials, "<end_of_image>", "<image_soft_token>"], names=names, first="<bos>")
    start, end, soft = tokenizer.convert_tokens_to_ids(["<start_of_image>", "<end_of_image>", "<image_soft_token>"])
    config = Gemma3Config(
        vision_config=SiglipVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=112,
            patch_size=14,
            vision_use_head=False,
        ).to_dict(),
        text_config=Gemma3TextConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=32,
            layer_types=["sliding_attention", "sliding_attention", "full_attention"],
            vocab_size=len(tokenizer),
        ).to_dict(),
        mm_tokens_per_image=16,
        boi_token_index=start,
        eoi_token_index=end,
        image_token_index=soft,
    )
    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<end_of_turn>")]
    return write(
        folder,
        seeded(Gemma3ForConditionalGeneration, config, seed=seed, scale=0.2),
        tokenizer,
        parts={
            "image_processor": Gemma3ImageProcessor(
                size={"height": 112, "width": 112}, image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5]
            )
        },
        processor={"processor_class": "Gemma3Processor", "image_seq_length": 16},
        template=TEMPLATE_3,
        names=lambda name: name.replace("vision_tower.", "vision_tower.vision_model."),
        generation={"eos_token_id": ends, "pad_token_id": tokenizer.pad_token_id},
    )


def write_gemma4(folder: Path, *, seed: int = 0) -> Path:
    """`Gemma4ForConditionalGeneration` without its ears: patch 16, 3 x 3 pooling, up to 70 tokens a frame."""
    from transformers import (
        Gemma4AudioFeatureExtractor,
        Gemma4Config,
        Gemma4ForConditionalGeneration,
        Gemma4ImageProcessor,
        Gemma4TextConfig,
        Gemma4VideoProcessor,
        Gemma4VisionConfig,
    )

    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    names |= {"boi_token": "<|image>", "eoi_token": "<image|>", "image_token": "<|image|>"}
    names |= {"boa_token": "<|audio>", "eoa_token": "<audio|>", "audio_token": "<|audio|>"}
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|image>", "<image|>", "<|image|>"]
    tokenizer = tokenizer_of([*specials, "<|audio>", "<audio|>", "<|audio|>", "<|video|>"], names=names, first="<bos>")
    id_of = tokenizer.convert_tokens_to_ids
    config = Gemma4Config(
        vision_config=Gemma4VisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            position_embedding_size=256,
        ).to_dict(),
        text_config=Gemma4TextConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            global_head_dim=16,
            sliding_window=32,
            layer_types=["sliding_attention", "sliding_attention", "full_attention"],
            vocab_size=len(tokenizer),
            vocab_size_per_layer_input=len(tokenizer),
            hidden_size_per_layer_input=8,
        ).to_dict(),
        audio_config=None,
        boi_token_id=id_of("<|image>"),
        eoi_token_id=id_of("<image|>"),
        image_token_id=id_of("<|image|>"),
        video_token_id=id_of("<|video|>"),
        audio_token_id=id_of("<|audio|>"),
        boa_token_id=id_of("<|audio>"),
        eoa_token_id=id_of("<audio|>"),
    )
    ends = [tokenizer.eos_token_id, id_of("<turn|>")]
    parts = {"image_processor": Gemma4ImageProcessor(max_soft_tokens=70), "video_processor": Gemma4VideoProcessor()}
    told = {name: {**part.to_dict(), "processor_class": "Gemma4Processor"} for name, part in parts.items()}
    return write(
        folder,
        seeded(Gemma4ForConditionalGeneration, config, seed=seed, scale=0.2),
        tokenizer,
        parts={},
        processor={
            "processor_class": "Gemma4Processor",
            "image_seq_length": 70,
            "feature_extractor": json.loads(Gemma4AudioFeatureExtractor().to_json_string()),
            **told,
        },
        template=TEMPLATE_4,
        generation={"eos_token_id": ends, "pad_token_id": tokenizer.pad_token_id},
    )

"""CaRe as it lies on the hub, tiny: Qwen2-VL's flat config, names of weights and files of 2024."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tiny.folders import tokenizer_of

QWEN_SPECIALS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
# What Qwen2-VL's template does, in our words: a default system line, tags for pictures, text as it is.
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def qwen_tokenizer() -> Any:
    """A byte-level BPE tokenizer with Qwen2-VL's special tokens and its chat template."""
    names = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    tokenizer = tokenizer_of(QWEN_SPECIALS, names=names)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def qwen_weights(words: int, *, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json of a tiny Qwen2-VL as of 2024 (flat), and its weights under the names of 2024. words: tokens."""
    import torch
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    config = {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": QWEN_SPECIALS.index("<|im_end|>"),
        "hidden_act": "silu",
        "hidden_size": 32,
        "image_token_id": QWEN_SPECIALS.index("<|image_pad|>"),
        "initializer_range": 0.02,
        "intermediate_size": 64,
        "max_position_embeddings": 32768,
        "max_window_layers": 2,
        "model_type": "qwen2_vl",
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_scaling": {"mrope_section": [1, 1, 2], "type": "mrope"},
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "video_token_id": QWEN_SPECIALS.index("<|video_pad|>"),
        "vision_config": {
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 32,
            "in_chans": 3,
            "mlp_ratio": 2,
            "model_type": "qwen2_vl",
            "num_heads": 4,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "temporal_patch_size": 2,
        },
        "vision_end_token_id": QWEN_SPECIALS.index("<|vision_end|>"),
        "vision_start_token_id": QWEN_SPECIALS.index("<|vision_start|>"),
        "vision_token_id": QWEN_SPECIALS.index("<|vision_pad|>"),
        "vocab_size": words + 16,
    }
    torch.manual_seed(seed)
    # In full precision, whatever type the config names.
    model = Qwen2VLForConditionalGeneration(Qwen2VLConfig.from_dict(json.loads(json.dumps(config)))).float()
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() > 1:
                value.normal_(0.0, 0.1)
    return config, {_old_name(key): value.contiguous() for key, value in model.state_dict().items()}


def write_care(folder: Path, *, architecture: str = "CaReModel", seed: int = 0) -> Path:
    """CaRe: a Qwen2-VL whose config.json may name `CaReModel`, or what it was trained from."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = qwen_tokenizer()
    tokenizer.save_pretrained(folder)
    config, weights = qwen_weights(len(tokenizer), seed=seed)
    files: dict[str, Any] = {
        "config.json": {**config, "architectures": [architecture]},
        "chat_template.json": {"chat_template": TEMPLATE},
        "generation_config.json": {
            "bos_token_id": 0,
            "do_sample": True,
            "eos_token_id": [QWEN_SPECIALS.index("<|im_end|>"), 0],
            "pad_token_id": 0,
            "temperature": 0.01,
            "top_k": 1,
            "top_p": 0.001,
        },
        "preprocessor_config.json": {
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_processor_type": "Qwen2VLImageProcessor",
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "max_pixels": 12845056,
            "merge_size": 2,
            "min_pixels": 3136,
            "patch_size": 14,
            "processor_class": "Qwen2VLProcessor",
            "resample": 3,
            "rescale_factor": 1 / 255,
            "size": {"max_pixels": 12845056, "min_pixels": 3136},
            "temporal_patch_size": 2,
        },
    }
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, indent=2), encoding="utf-8")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def _old_name(key: str) -> str:
    """model.visual.… -> visual.…, model.language_model.… -> model.…: the names of 2024."""
    if key.startswith("model.visual."):
        return key.removeprefix("model.")
    return key.replace("model.language_model.", "model.", 1)

"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: config, names of weights and processor files as on the hub, tiny widths."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tiny.folders import seeded, tokenizer_of, write

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
SPECIALS += ("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_MARKS = {
    "image": "<|vision_start|><|image_pad|><|vision_end|>",
    "video": "<|vision_start|><|video_pad|><|vision_end|>",
}
_TURNS = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}{{ '" + _MARKS["image"] + "' }}"
    "{% else %}{{ '" + _MARKS["video"] + "' }}{% endif %}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
)
# What the published files say; an engine that lets them decide is not greedy.
_SAMPLING = {"do_sample": True, "top_p": 0.001, "top_k": 1, "temperature": 0.1, "repetition_penalty": 1.3}


def qwen2_vl(folder: Path, *, seed: int = 0, layers: int = 2, width: int = 64) -> Path:
    """`Qwen2VLForConditionalGeneration`: patches of 14, pairs of frames; flat config, weights `visual.*`, `model.*`."""
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    tokenizer = _tokenizer()
    config = _flat(tokenizer, "Qwen2VLForConditionalGeneration", "qwen2_vl", layers=layers, width=width)
    config["vision_config"] = {
        "depth": 2,
        "embed_dim": 32,
        "hidden_size": width,
        "in_chans": 3,
        "mlp_ratio": 2,
        "num_heads": 2,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "temporal_patch_size": 2,
    }
    return _written(
        folder,
        seeded(Qwen2VLForConditionalGeneration, Qwen2VLConfig.from_dict(config), seed=seed),
        tokenizer,
        config,
        processor="Qwen2VLProcessor",
        video="",
        template=_SYSTEM + _TURNS,
        names=_old_names,
    )


def qwen2_5_vl(folder: Path, *, seed: int = 0) -> Path:
    """`Qwen2_5_VLForConditionalGeneration`: window attention in the picture half, seconds in the positions."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = _tokenizer()
    config = _flat(tokenizer, "Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl")
    config["vision_config"] = {
        "depth": 2,
        "fullatt_block_indexes": [1],
        "hidden_act": "silu",
        "hidden_size": 32,
        "in_chans": 3,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "temporal_patch_size": 2,
        "tokens_per_second": 2,
        "window_size": 112,
    }
    return _written(
        folder,
        seeded(Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLConfig.from_dict(config), seed=seed),
        tokenizer,
        config,
        processor="Qwen2_5_VLProcessor",
        video="",
        template=_SYSTEM + _TURNS,
        names=_old_names,
    )


def qwen3_vl(folder: Path, *, seed: int = 0) -> Path:
    """`Qwen3VLForConditionalGeneration`: patches of 16, times as text before each pair of frames, no system line."""
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokenizer = _tokenizer()
    flat = _flat(tokenizer, "", "qwen3_vl_text")
    text = {name: flat[name] for name in flat if name not in _OUTER and name not in ("architectures", "rope_scaling")}
    config = {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        **{name: flat[name] for name in _OUTER},
        "text_config": {
            **text,
            "head_dim": 16,
            "rope_scaling": {"mrope_interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default"},
        },
        "vision_config": {
            "deepstack_visual_indexes": [0],
            "depth": 2,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 32,
            "in_channels": 3,
            "intermediate_size": 64,
            "model_type": "qwen3_vl",
            "num_heads": 2,
            "num_position_embeddings": 64,
            "out_hidden_size": 64,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }
    return _written(
        folder,
        seeded(Qwen3VLForConditionalGeneration, Qwen3VLConfig.from_dict(config), seed=seed),
        tokenizer,
        config,
        processor="Qwen3VLProcessor",
        video="Qwen3VLVideoProcessor",
        template=_TURNS,
        names=str,
    )


def qwen3_5(folder: Path, *, seed: int = 0) -> Path:
    """`Qwen3_5ForConditionalGeneration`: three of four layers with linear attention; pictures as in Qwen3-VL."""
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    tokenizer = _tokenizer()
    flat = _flat(tokenizer, "", "qwen3_5_text", layers=4)
    text = {name: flat[name] for name in flat if name not in _OUTER and name not in ("architectures", "rope_scaling")}
    config = {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "model_type": "qwen3_5",
        **{name: flat[name] for name in _OUTER},
        "text_config": {
            **text,
            "head_dim": 16,
            "layer_types": ["linear_attention"] * 3 + ["full_attention"],
            "linear_conv_kernel_dim": 4,
            "linear_key_head_dim": 16,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_value_head_dim": 16,
            "rope_parameters": {
                "mrope_interleaved": True,
                "mrope_section": [2, 1, 1],
                "partial_rotary_factor": 0.5,
                "rope_theta": 10000000,
                "rope_type": "default",
            },
        },
        "vision_config": {
            "depth": 2,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 32,
            "in_channels": 3,
            "intermediate_size": 64,
            "model_type": "qwen3_5",
            "num_heads": 2,
            "num_position_embeddings": 64,
            "out_hidden_size": 64,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }
    return _written(
        folder,
        seeded(Qwen3_5ForConditionalGeneration, Qwen3_5Config.from_dict(config), seed=seed),
        tokenizer,
        config,
        processor="Qwen3VLProcessor",
        video="Qwen3VLVideoProcessor",
        template=_TURNS,
        names=str,
    )


BUILDERS = {"Qwen2-VL": qwen2_vl, "Qwen2.5-VL": qwen2_5_vl, "Qwen3-VL": qwen3_vl, "Qwen3.5": qwen3_5}

_OUTER = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id", "tie_word_embeddings")


def _tokenizer() -> Any:
    return tokenizer_of(SPECIALS, names={"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})


def _flat(tokenizer: Any, architecture: str, kind: str, *, layers: int = 2, width: int = 64) -> dict[str, Any]:
    """The text half's numbers, as the older configs have them at the top."""
    id = tokenizer.convert_tokens_to_ids
    return {
        "architectures": [architecture],
        "model_type": kind,
        "attention_dropout": 0.0,
        "bos_token_id": id("<|endoftext|>"),
        "eos_token_id": id("<|im_end|>"),
        "hidden_act": "silu",
        "hidden_size": width,
        "image_token_id": id("<|image_pad|>"),
        "initializer_range": 0.02,
        "intermediate_size": 2 * width,
        "max_position_embeddings": 4096,
        "max_window_layers": layers,
        "num_attention_heads": width // 16,
        "num_hidden_layers": layers,
        "num_key_value_heads": width // 32,
        "rms_norm_eps": 1e-06,
        "rope_scaling": {"mrope_section": [2, 3, 3], "type": "mrope"},
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "video_token_id": id("<|video_pad|>"),
        "vision_end_token_id": id("<|vision_end|>"),
        "vision_start_token_id": id("<|vision_start|>"),
        "vision_token_id": id("<|vision_pad|>"),
        "vocab_size": len(tokenizer),
    }


def _old_names(name: str) -> str:
    """`visual.*`, `model.*`, `lm_head.*`, whatever transformers calls them now."""
    return name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")


def _written(
    folder: Path,
    model: Any,
    tokenizer: Any,
    config: dict[str, Any],
    *,
    processor: str,
    video: str,
    template: str,
    names: Callable[[str], str],
) -> Path:
    ends = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    write(
        folder,
        model,
        tokenizer,
        parts={},
        processor={"processor_class": processor},
        template=template,
        names=names,
        generation={"eos_token_id": ends, "pad_token_id": ends[1]},
    )
    patch = config["vision_config"]["patch_size"]
    mean, std = (CLIP_MEAN, CLIP_STD) if patch == 14 else ((0.5,) * 3, (0.5,) * 3)
    picture = {
        "image_mean": mean,
        "image_std": std,
        "image_processor_type": "Qwen2VLImageProcessor",
        "merge_size": 2,
        "patch_size": patch,
        "processor_class": processor,
        "temporal_patch_size": 2,
    }
    bounds = {"min_pixels": 3136, "max_pixels": 12845056}
    if video:
        size = {"size": {"longest_edge": 25165824, "shortest_edge": 4096}}
        (folder / "video_preprocessor_config.json").write_text(
            json.dumps({**picture, **size, "video_processor_type": video}), encoding="utf-8"
        )
        bounds = {"size": {"longest_edge": 16777216, "shortest_edge": 65536}}
    for file, held in (
        ("config.json", config),
        ("preprocessor_config.json", {**picture, **bounds}),
        ("generation_config.json", {"eos_token_id": ends, "pad_token_id": ends[1], **_SAMPLING}),
    ):
        (folder / file).write_text(json.dumps(held, indent=1), encoding="utf-8")
    (folder / "processor_config.json").unlink()
    return folder

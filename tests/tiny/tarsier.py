"""Tarsier as it lies on the hub, tiny: a Llava of CLIP and Llama (v1), and a Qwen2-VL in a Llava's clothes (v2).

config.json, the names of the weights, the sentencepiece-like tokenizer and the preprocessor's file are those of
Tarsier-7b and, as far as they are known, of Tarsier2-Recap-7b; only the sizes are tiny and the weights random.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tiny.care import QWEN_SPECIALS, qwen_tokenizer, qwen_weights
from tests.tiny.words import CORPUS

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
HIDDEN = 32


def write_tarsier(folder: Path, *, image_size: int = 56, end: str = "</s>", bos: bool = True, seed: int = 0) -> Path:
    """`TarsierForConditionalGeneration`, version 1. image_size: 336 is the true one, 24 x 24 patches.

    end: the token that ends a reply, "</s>" in the 7b and "<|endoftext|>" in the 34b. bos: whether the tokenizer
    begins a text with "<s>".
    """
    from safetensors.torch import save_file
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _llama_tokenizer(folder, end=end, bos=bos)
    image = tokenizer.token_to_id("<image>")
    # Like the real one, which has rows 32002 and 32003 for words that its tokenizer does not know.
    vocabulary = image + 64
    text = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": HIDDEN,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
        "model_type": "llama",
        "pad_token_id": 0,
        "rms_norm_eps": 1e-05,
        "use_bpex_rmsnorm": True,
        "use_bpex_rotary": True,
        "use_cache": False,
        "use_ft_flash_attn": True,
        "vocab_size": vocabulary,
    }
    config = {
        "add_transformer_projector": False,
        "architectures": ["TarsierForConditionalGeneration"],
        "ignore_index": -100,
        "image_new_idx": image + 3,
        "image_newline_idx": image + 2,
        "image_token_index": image,
        "model_type": "llava",
        "projector_hidden_act": "gelu",
        "text_config": text,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.37.2",
        "vision_config": {
            "hidden_size": 16,
            "image_size": image_size,
            "intermediate_size": 32,
            "model_type": "clip_vision_model",
            "num_attention_heads": 2,
            "num_hidden_layers": 3,
            "patch_size": 14,
            "projection_dim": 16,
            "vocab_size": 32000,
        },
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "vocab_size": vocabulary,
    }
    _json(folder / "config.json", config)
    _json(
        folder / "preprocessor_config.json",
        {
            "crop_size": {"height": image_size, "width": image_size},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": CLIP_MEAN,
            "image_processor_type": "CLIPImageProcessor",
            "image_std": CLIP_STD,
            "processor_class": "LlavaProcessor",
            "resample": 3,
            "rescale_factor": 1 / 255,
            "size": {"shortest_edge": image_size},
        },
    )
    model = _random(LlavaForConditionalGeneration, LlavaConfig.from_dict(json.loads(json.dumps(config))), seed)
    weights = {_llava_name(key): value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def write_tarsier2(folder: Path, *, seed: int = 0) -> Path:
    """`TarsierForConditionalGeneration`, version 2: a LlavaConfig around two Qwen2VLConfigs."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = qwen_tokenizer()
    tokenizer.save_pretrained(folder)
    flat, weights = qwen_weights(len(tokenizer), seed=seed)
    vision = flat.pop("vision_config")
    config = {
        "architectures": ["TarsierForConditionalGeneration"],
        "ignore_index": -100,
        "image_new_idx": 32003,
        "image_newline_idx": 32002,
        "image_token_index": QWEN_SPECIALS.index("<|image_pad|>"),
        "model_type": "llava",
        "projection_head": None,
        "projector_hidden_act": "gelu",
        "text_config": {**flat, "architectures": ["Qwen2VLForCausalLM"], "vision_config": vision},
        "vision_config": {**vision, "model_type": "qwen2_vl"},
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
    }
    _json(folder / "config.json", config)
    _json(
        folder / "preprocessor_config.json",
        {
            "image_mean": CLIP_MEAN,
            "image_processor_type": "Qwen2VLImageProcessor",
            "image_std": CLIP_STD,
            "max_pixels": 12845056,
            "merge_size": 2,
            "min_pixels": 3136,
            "patch_size": 14,
            "processor_class": "TarsierProcessor",
            "size": {"max_pixels": 12845056, "min_pixels": 3136},
            "temporal_patch_size": 2,
        },
    )
    save_file({_tarsier2_name(key): value for key, value in weights.items()}, folder / "model.safetensors")
    return folder


def _llama_tokenizer(folder: Path, *, end: str, bos: bool) -> Any:
    """A tokenizer like Vicuna's: sentencepiece-like BPE with byte fallback, "<s>" first, "<image>" last."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors, trainers

    specials = ["<unk>", "<s>", end]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    pieces = [*specials, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=pieces, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    # The bytes were special for the trainer's sake only.
    held = json.loads(tokenizer.to_str())
    held["added_tokens"] = [row for row in held["added_tokens"] if row["content"] in specials]
    tokenizer = Tokenizer.from_str(json.dumps(held))
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens([AddedToken("<image>", special=True, normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    _json(folder / "added_tokens.json", {"<image>": tokenizer.token_to_id("<image>")})
    _json(
        folder / "tokenizer_config.json",
        {
            "add_bos_token": bos,
            "add_eos_token": False,
            "bos_token": "<s>",
            "clean_up_tokenization_spaces": False,
            "eos_token": end,
            "legacy": False,
            "model_max_length": 4096,
            "pad_token": "<unk>",
            "padding_side": "left",
            "processor_class": "LlavaProcessor",
            "tokenizer_class": "LlamaTokenizer",
            "unk_token": "<unk>",
        },
    )
    return tokenizer


def _random(kind: Any, config: Any, seed: int) -> Any:
    import torch

    torch.manual_seed(seed)
    model = kind(config).eval()
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() > 1:
                value.normal_(0.0, 0.1)
    return model


def _llava_name(key: str) -> str:
    """model.language_model.layers.0… -> language_model.model.layers.0…, as files of 2024 have it."""
    if key.startswith("lm_head."):
        return f"language_model.{key}"
    inner = key.removeprefix("model.")
    if inner.startswith("language_model."):
        return inner.replace("language_model.", "language_model.model.", 1)
    if inner.startswith("vision_tower.") and not inner.startswith("vision_tower.vision_model."):
        return inner.replace("vision_tower.", "vision_tower.vision_model.", 1)
    return inner


def _tarsier2_name(key: str) -> str:
    """visual.… -> vision_tower.…; model.… and lm_head.… -> language_model.…."""
    if key.startswith("visual."):
        return key.replace("visual.", "vision_tower.", 1)
    return f"language_model.{key}"


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")

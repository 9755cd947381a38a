"""Original InternVL checkpoints (`InternVLChatModel`) in the terms of the native classes: config and weights.

The names and shapes are those of the published files; the arithmetic behind each step:

    attn.qkv (3 x D, D)            rows of q, then k, then v
    attention.wqkv ((Q + 2 K) x d, D)   K groups of Q / K rows of q, one of k and one of v, each of d (InternLM2)
    mlp1                           norm, linear, GELU, linear after the pixel shuffle
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from safetensors import safe_open
from transformers import InternVLConfig, InternVLVisionConfig

from longshot.chat_models._dumps import language_of
from longshot.checkpoints import Checkpoint
from longshot.errors import ModelError

# Which class of transformers computes what a language model of the original computes.
_LANGUAGES = {
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "Qwen3MoeForCausalLM": "qwen3_moe",
    "LlamaForCausalLM": "llama",
    "InternLM2ForCausalLM": "llama",
    "Phi3ForCausalLM": "phi3",
}
_SEEING = (
    (r"^vision_model\.embeddings\.class_embedding$", "model.vision_tower.embeddings.cls_token"),
    (r"^vision_model\.embeddings\.position_embedding$", "model.vision_tower.embeddings.position_embeddings"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "model.vision_tower.embeddings.patch_embeddings.projection."),
    (r"^vision_model\.encoder\.layers\.", "model.vision_tower.encoder.layer."),
    (r"\.attn\.proj\.", ".attention.projection_layer."),
    (r"\.attn\.([qk]_norm|[qkv]_proj)\.", r".attention.\1."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.ls([12])$", r".lambda_\1"),
)
_JOINING = (
    (r"^mlp1\.0\.", "model.multi_modal_projector.layer_norm."),
    (r"^mlp1\.1\.", "model.multi_modal_projector.linear_1."),
    (r"^mlp1\.3\.", "model.multi_modal_projector.linear_2."),
)
_INTERNLM2 = (
    (r"\.tok_embeddings\.", ".embed_tokens."),
    (r"^language_model\.output\.", "language_model.lm_head."),
    (r"\.attention\.wo\.", ".self_attn.o_proj."),
    (r"\.attention\.([qkv]_proj)\.", r".self_attn.\1."),
    (r"\.feed_forward\.w1\.", ".mlp.gate_proj."),
    (r"\.feed_forward\.w2\.", ".mlp.down_proj."),
    (r"\.feed_forward\.w3\.", ".mlp.up_proj."),
    (r"\.attention_norm\.", ".input_layernorm."),
    (r"\.ffn_norm\.", ".post_attention_layernorm."),
)
_SPEAKING = ((r"^language_model\.lm_head\.", "lm_head."), (r"^language_model\.model\.", "model.language_model."))


def config_of(checkpoint: Checkpoint, image_token: int) -> InternVLConfig:
    """The native config of an original one. Raises ModelError for what the native classes do not compute."""
    told = checkpoint.config
    seeing, speaking = told.get("vision_config") or {}, told.get("llm_config") or {}
    language = str((speaking.get("architectures") or [""])[0])
    if language not in _LANGUAGES:
        known = ", ".join(_LANGUAGES)
        raise ModelError(checkpoint.name, f"its language model is {language or '(none named)'}; there are {known}")
    if told.get("ps_version", "v2") != "v2":
        raise ModelError(checkpoint.name, f"its pixel shuffle is {told['ps_version']!r}; only 'v2' is known")
    if told.get("use_backbone_lora") or told.get("use_llm_lora"):
        raise ModelError(checkpoint.name, "its weights are LoRA layers; merge them into the model first")
    ratio = float(told.get("downsample_ratio", 0.5))
    return InternVLConfig(
        vision_config=InternVLVisionConfig(
            hidden_size=seeing["hidden_size"],
            intermediate_size=seeing["intermediate_size"],
            num_hidden_layers=seeing["num_hidden_layers"],
            num_attention_heads=seeing["num_attention_heads"],
            image_size=[seeing["image_size"]] * 2,
            patch_size=[seeing["patch_size"]] * 2,
            hidden_act=seeing.get("hidden_act", "gelu"),
            layer_norm_eps=seeing.get("layer_norm_eps", 1e-6),
            norm_type=seeing.get("norm_type", "rms_norm"),
            attention_bias=seeing.get("qkv_bias", False),
            use_qk_norm=seeing.get("qk_normalization", True),
        ).to_dict(),
        text_config=language_of(speaking, _LANGUAGES[language]).to_dict(),
        image_token_id=image_token,
        image_seq_length=tokens(told),
        downsample_ratio=ratio,
        vision_feature_layer=told.get("select_layer", -1),
        vision_feature_select_strategy="default",
        tie_word_embeddings=not _has_head(checkpoint),
    )


def tokens(told: Mapping[str, Any]) -> int:
    """Visual tokens of one tile: 256 for 448 pixels, patches of 14 and a ratio of 0.5."""
    pixels = int(told.get("force_image_size") or told["vision_config"]["image_size"])
    side = pixels // int(told["vision_config"]["patch_size"])
    return int(side**2 * float(told.get("downsample_ratio", 0.5)) ** 2)


def weights_of(checkpoint: Checkpoint, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Every weight under its native name, in `dtype`. Raises ModelError for one that cannot be split."""
    speaking = checkpoint.config["llm_config"]
    found: dict[str, torch.Tensor] = {}
    for path in checkpoint.weights:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  (no mapping)
                for part, tensor in _parts(name, file.get_tensor(name), speaking, checkpoint.name):
                    found[_native(part, speaking)] = tensor.to(dtype).contiguous()
    return found


def _has_head(checkpoint: Checkpoint) -> bool:
    return not {"language_model.lm_head.weight", "language_model.output.weight"}.isdisjoint(checkpoint.tensors())


def _parts(
    name: str, tensor: torch.Tensor, speaking: Mapping[str, Any], checkpoint: str
) -> Iterator[tuple[str, torch.Tensor]]:
    """A fused tensor as its q, k and v, under names that `_native` knows; any other as it is."""
    if ".attn.qkv." in name:
        for letter, part in zip("qkv", tensor.chunk(3), strict=True):
            yield name.replace(".qkv.", f".{letter}_proj."), part
    elif ".attention.wqkv." in name:
        keys = int(speaking["num_key_value_heads"])
        many = int(speaking["num_attention_heads"]) // keys
        if tensor.shape[0] % (keys * (many + 2)):
            raise ModelError(checkpoint, f"{name} has {tensor.shape[0]} rows, which {keys} groups cannot share")
        groups = tensor.reshape(keys, many + 2, -1, *tensor.shape[1:])
        for letter, part in (("q", groups[:, :many]), ("k", groups[:, many]), ("v", groups[:, many + 1])):
            yield name.replace(".wqkv.", f".{letter}_proj."), part.reshape(-1, *tensor.shape[1:])
    else:
        yield name, tensor


def _native(name: str, speaking: Mapping[str, Any]) -> str:
    rules: tuple[tuple[str, str], ...]
    if name.startswith("vision_model."):
        rules = _SEEING
    elif name.startswith("mlp1."):
        rules = _JOINING
    else:
        old = "InternLM2ForCausalLM" in (speaking.get("architectures") or ())
        rules = (*_INTERNLM2, *_SPEAKING) if old else _SPEAKING
    for pattern, written in rules:
        name = re.sub(pattern, written, name)
    return name

"""MiniCPM-V 4.6 and 4.7 as transformers has them, and 2.6 as its authors published it; true sizes, tiny widths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tiny.folders import qwen2_files, seeded, siglip_layers, tokenizer_of, write
from tests.tiny.internvl import DEEP, FORWARD, KEYS, QUERIES, TEXT, qwen2_shapes

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


SPECIALS_26 = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>", "<image>", "</image>", "<slice>", "</slice>")


def write_minicpmv26(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """`MiniCPMV` of version 2.6: the layout of its published files, drawn under their names."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    words = qwen2_files(folder, SPECIALS_26)
    config = {
        "architectures": ["MiniCPMV"],
        "model_type": "minicpmv",
        "version": 2.6,
        "auto_map": {
            "AutoConfig": "configuration_minicpm.MiniCPMVConfig",
            "AutoModel": "modeling_minicpmv.MiniCPMV",
            "AutoModelForCausalLM": "modeling_minicpmv.MiniCPMV",
        },
        "hidden_act": "silu",
        "hidden_size": TEXT,
        "intermediate_size": FORWARD,
        "num_hidden_layers": DEEP,
        "num_attention_heads": QUERIES,
        "num_key_value_heads": KEYS,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "vocab_size": words,
        "tie_word_embeddings": False,
        "image_size": 448,
        "patch_size": 14,
        "query_num": 64,
        "drop_vision_last_layer": False,
        "slice_config": {"max_slice_nums": 9, "patch_size": 14, "model_type": "minicpmv"},
        "slice_mode": True,
        "use_image_id": True,
        "use_cache": False,
        "vision_config": {
            "model_type": "siglip",
            "hidden_size": 16,
            "image_size": 980,
            "intermediate_size": 32,
            "num_attention_heads": 2,
            "num_hidden_layers": DEEP,
            "patch_size": 14,
        },
        **changes,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "MiniCPMVImageProcessor", "norm_mean": [0.5] * 3, "norm_std": [0.5] * 3})
    )
    draw = torch.Generator().manual_seed(seed)
    tensors = {name: torch.randn(shape, generator=draw) * 0.25 for name, shape in _shapes_26(words).items()}
    for name in tensors:
        if ("norm" in name or ".ln_" in name) and name.endswith("weight"):
            tensors[name] += 1
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def _shapes_26(words: int) -> dict[str, tuple[int, ...]]:
    shapes = {name.replace("language_model.", "llm."): shape for name, shape in qwen2_shapes(words).items()}
    shapes |= {
        "vpm.embeddings.patch_embedding.weight": (16, 3, 14, 14),
        "vpm.embeddings.patch_embedding.bias": (16,),
        "vpm.embeddings.position_embedding.weight": (4900, 16),
        "vpm.post_layernorm.weight": (16,),
        "vpm.post_layernorm.bias": (16,),
        "resampler.query": (64, TEXT),
        "resampler.kv_proj.weight": (TEXT, 16),
        "resampler.attn.in_proj_weight": (3 * TEXT, TEXT),
        "resampler.attn.in_proj_bias": (3 * TEXT,),
        "resampler.attn.out_proj.weight": (TEXT, TEXT),
        "resampler.attn.out_proj.bias": (TEXT,),
        "resampler.proj": (TEXT, TEXT),
    }
    for name in ("ln_q", "ln_kv", "ln_post"):
        shapes |= {f"resampler.{name}.weight": (TEXT,), f"resampler.{name}.bias": (TEXT,)}
    return shapes | siglip_layers("vpm.encoder.layers", DEEP)

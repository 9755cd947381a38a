"""InternVL: the native layout of transformers, and the `InternVLChatModel` layout of the original checkpoints.

The original tensors are drawn at random under their original names and shapes; nothing here knows the native names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tiny.folders import qwen2_files, seeded, tokenizer_of, write

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% else %}{{ '<IMG_CONTEXT>\n' if part['type'] == 'image' else '<video>\n' }}{% endif %}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WIDTH, DEEP, HEADS = 16, 2, 2
TEXT, FORWARD, QUERIES, KEYS = 32, 48, 4, 2


def write_internvl(folder: Path, *, seed: int = 0) -> Path:
    """`InternVLForConditionalGeneration`: 448, patch 14, so 256 tokens a tile."""
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLVideoProcessor,
        InternVLVisionConfig,
        Qwen2Config,
    )

    names = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "video_token": "<video>"}
    names |= {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tokenizer = tokenizer_of([*SPECIALS, "<video>"], names=names)
    config = InternVLConfig(
        vision_config=InternVLVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=32,
            num_hidden_layers=DEEP,
            num_attention_heads=HEADS,
            attention_bias=True,
            image_size=[448, 448],
            patch_size=[14, 14],
        ).to_dict(),
        text_config=Qwen2Config(
            hidden_size=TEXT,
            intermediate_size=FORWARD,
            num_hidden_layers=DEEP,
            num_attention_heads=QUERIES,
            num_key_value_heads=KEYS,
            vocab_size=len(tokenizer),
        ).to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        tie_word_embeddings=False,
    )
    look: dict[str, Any] = {"size": {"height": 448, "width": 448}, "image_mean": list(MEAN), "image_std": list(STD)}
    return write(
        folder,
        seeded(InternVLForConditionalGeneration, config, seed=seed),
        tokenizer,
        parts={"image_processor": GotOcr2ImageProcessor(**look), "video_processor": InternVLVideoProcessor(**look)},
        processor={"processor_class": "InternVLProcessor", "image_seq_length": 256},
        template=TEMPLATE,
        generation={"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
    )


def write_original(folder: Path, *, language: str = "Qwen2ForCausalLM", seed: int = 0, **changes: Any) -> Path:
    """`InternVLChatModel` around "Qwen2ForCausalLM" (InternVL2.5, InternVL3) or "InternLM2ForCausalLM" (InternVL2)."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    words = qwen2_files(folder, SPECIALS)
    old = language == "InternLM2ForCausalLM"
    llm = {
        "architectures": [language],
        "model_type": "internlm2" if old else "qwen2",
        "hidden_size": TEXT,
        "intermediate_size": FORWARD,
        "num_hidden_layers": DEEP,
        "num_attention_heads": QUERIES,
        "num_key_value_heads": KEYS,
        "vocab_size": words,
        "rms_norm_eps": 1e-5 if old else 1e-6,
        "rope_theta": 1000000.0,
        "max_position_embeddings": 32768,
        "hidden_act": "silu",
        # A whole dump of old defaults lies in the published files.
        **{"num_beams": 1, "do_sample": False, "top_k": 50, "torch_dtype": "bfloat16", "bias": False},
        **({"auto_map": {"AutoModel": "modeling_internlm2.InternLM2ForCausalLM"}} if old else {}),
    }
    config = {
        "architectures": ["InternVLChatModel"],
        "model_type": "internvl_chat",
        "auto_map": {
            "AutoConfig": "configuration_internvl_chat.InternVLChatConfig",
            "AutoModel": "modeling_internvl_chat.InternVLChatModel",
        },
        "template": "internlm2-chat" if old else "internvl2_5",
        "ps_version": "v2",
        "select_layer": -1,
        "downsample_ratio": 0.5,
        "dynamic_image_size": True,
        "force_image_size": 448,
        "min_dynamic_patch": 1,
        "max_dynamic_patch": 12,
        "use_thumbnail": True,
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "vision_config": {
            "architectures": ["InternVisionModel"],
            "model_type": "intern_vit_6b",
            "hidden_size": WIDTH,
            "intermediate_size": 32,
            "num_hidden_layers": DEEP,
            "num_attention_heads": HEADS,
            "image_size": 448,
            "patch_size": 14,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-6,
            "norm_type": "layer_norm",
            "qkv_bias": True,
            "qk_normalization": False,
            "initializer_factor": 1.0,
            "drop_path_rate": 0.1,
        },
        "llm_config": llm,
        **changes,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "CLIPFeatureExtractor", "size": 448, "image_mean": MEAN, "image_std": STD}),
        encoding="utf-8",
    )
    draw = torch.Generator().manual_seed(seed)
    shapes = {**_seeing(), **(_internlm2(words) if old else qwen2_shapes(words))}
    tensors = {name: torch.randn(shape, generator=draw) * 0.25 for name, shape in shapes.items()}
    for name in tensors:
        if "norm" in name and name.endswith("weight") and tensors[name].dim() == 1:
            tensors[name] += 1
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def _seeing() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "vision_model.embeddings.class_embedding": (1, 1, WIDTH),
        "vision_model.embeddings.patch_embedding.weight": (WIDTH, 3, 14, 14),
        "vision_model.embeddings.patch_embedding.bias": (WIDTH,),
        "vision_model.embeddings.position_embedding": (1, 1025, WIDTH),
        "mlp1.0.weight": (4 * WIDTH,),
        "mlp1.0.bias": (4 * WIDTH,),
        "mlp1.1.weight": (TEXT, 4 * WIDTH),
        "mlp1.1.bias": (TEXT,),
        "mlp1.3.weight": (TEXT, TEXT),
        "mlp1.3.bias": (TEXT,),
    }
    for number in range(DEEP):
        layer = f"vision_model.encoder.layers.{number}"
        shapes |= {
            f"{layer}.attn.qkv.weight": (3 * WIDTH, WIDTH),
            f"{layer}.attn.qkv.bias": (3 * WIDTH,),
            f"{layer}.attn.proj.weight": (WIDTH, WIDTH),
            f"{layer}.attn.proj.bias": (WIDTH,),
            f"{layer}.mlp.fc1.weight": (32, WIDTH),
            f"{layer}.mlp.fc1.bias": (32,),
            f"{layer}.mlp.fc2.weight": (WIDTH, 32),
            f"{layer}.mlp.fc2.bias": (WIDTH,),
            f"{layer}.norm1.weight": (WIDTH,),
            f"{layer}.norm1.bias": (WIDTH,),
            f"{layer}.norm2.weight": (WIDTH,),
            f"{layer}.norm2.bias": (WIDTH,),
            f"{layer}.ls1": (WIDTH,),
            f"{layer}.ls2": (WIDTH,),
        }
    return shapes


def qwen2_shapes(words: int) -> dict[str, tuple[int, ...]]:
    narrow = TEXT // QUERIES * KEYS
    shapes: dict[str, tuple[int, ...]] = {
        "language_model.model.embed_tokens.weight": (words, TEXT),
        "language_model.model.norm.weight": (TEXT,),
        "language_model.lm_head.weight": (words, TEXT),
    }
    for number in range(DEEP):
        layer = f"language_model.model.layers.{number}"
        for name, out in (("q", TEXT), ("k", narrow), ("v", narrow)):
            shapes |= {
                f"{layer}.self_attn.{name}_proj.weight": (out, TEXT),
                f"{layer}.self_attn.{name}_proj.bias": (out,),
            }
        shapes |= {
            f"{layer}.self_attn.o_proj.weight": (TEXT, TEXT),
            f"{layer}.mlp.gate_proj.weight": (FORWARD, TEXT),
            f"{layer}.mlp.up_proj.weight": (FORWARD, TEXT),
            f"{layer}.mlp.down_proj.weight": (TEXT, FORWARD),
            f"{layer}.input_layernorm.weight": (TEXT,),
            f"{layer}.post_attention_layernorm.weight": (TEXT,),
        }
    return shapes


def _internlm2(words: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "language_model.model.tok_embeddings.weight": (words, TEXT),
        "language_model.model.norm.weight": (TEXT,),
        "language_model.output.weight": (words, TEXT),
    }
    for number in range(DEEP):
        layer = f"language_model.model.layers.{number}"
        shapes |= {
            f"{layer}.attention.wqkv.weight": (TEXT + 2 * (TEXT // QUERIES * KEYS), TEXT),
            f"{layer}.attention.wo.weight": (TEXT, TEXT),
            f"{layer}.feed_forward.w1.weight": (FORWARD, TEXT),
            f"{layer}.feed_forward.w2.weight": (TEXT, FORWARD),
            f"{layer}.feed_forward.w3.weight": (FORWARD, TEXT),
            f"{layer}.attention_norm.weight": (TEXT,),
            f"{layer}.ffn_norm.weight": (TEXT,),
        }
    return shapes

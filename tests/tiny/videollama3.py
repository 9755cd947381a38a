"""VideoLLaMA3 as transformers has it, and as its authors published it; true patches, tiny widths."""

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


def write_videollama3(folder: Path, *, seed: int = 0) -> Path:
    """`VideoLlama3ForConditionalGeneration`: patch 14, 2 x 2 merging for videos."""
    from transformers import (
        VideoLlama3ForConditionalGeneration,
        VideoLlama3ImageProcessor,
        VideoLlama3VideoProcessor,
    )

    names = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    names |= {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = tokenizer_of(specials, names=names)
    halves: dict[str, Any] = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    sizes = {"size": {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 96}}
    return write(
        folder,
        seeded(VideoLlama3ForConditionalGeneration, _config(tokenizer), seed=seed),
        tokenizer,
        parts={
            "image_processor": VideoLlama3ImageProcessor(patch_size=14, merge_size=1, **sizes, **halves),
            "video_processor": VideoLlama3VideoProcessor(
                patch_size=14, merge_size=2, temporal_patch_size=1, use_token_compression=True, **sizes, **halves
            ),
        },
        processor={"processor_class": "VideoLlama3Processor"},
        template=TEMPLATE,
        generation={"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
    )


def _config(tokenizer: Any) -> Any:
    from transformers import Qwen2Config, VideoLlama3Config
    from transformers.models.video_llama_3.configuration_video_llama_3 import VideoLlama3VisionConfig

    image, video = tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|video_pad|>"])
    return VideoLlama3Config(
        vision_config=VideoLlama3VisionConfig(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=14
        ).to_dict(),
        text_config=Qwen2Config(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=len(tokenizer),
        ).to_dict(),
        image_token_id=image,
        video_token_id=video,
    )


ORIGINAL_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<|stream_start|>", "<|stream_end|>")


def write_original_videollama3(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """`Videollama3Qwen2ForCausalLM`: the layout of DAMO's own files, drawn under their names."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    words = qwen2_files(folder, ORIGINAL_SPECIALS)
    config = {
        "architectures": ["Videollama3Qwen2ForCausalLM"],
        "model_type": "videollama3_qwen2",
        "auto_map": {
            "AutoConfig": "configuration_videollama3.Videollama3Qwen2Config",
            "AutoModelForCausalLM": "modeling_videollama3.Videollama3Qwen2ForCausalLM",
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
        "rope_scaling": None,
        "vocab_size": words,
        "tie_word_embeddings": False,
        "image_token_index": words - 3,
        "mm_projector_type": "mlp2x_gelu",
        "use_token_compression": True,
        "vision_encoder": None,
        "vision_encoder_config": {
            "model_type": "videollama3_vision_encoder",
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 16,
            "intermediate_size": 32,
            "layer_norm_eps": 1e-6,
            "num_attention_heads": 2,
            "num_channels": 3,
            "num_hidden_layers": DEEP,
            "patch_size": 14,
        },
        **changes,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    seen = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "patch_size": 14, "min_tokens": 4, "max_tokens": 96}
    told = {"image_processor_type": "Videollama3ImageProcessor", "resample": 3, "rescale_factor": 1 / 255, **seen}
    (folder / "preprocessor_config.json").write_text(json.dumps(told), encoding="utf-8")
    ends = {"eos_token_id": words - 4, "pad_token_id": words - 6, "do_sample": True, "temperature": 0.7}
    (folder / "generation_config.json").write_text(json.dumps(ends), encoding="utf-8")
    draw = torch.Generator().manual_seed(seed)
    tensors = {name: torch.randn(shape, generator=draw) * 0.25 for name, shape in _original_shapes(words).items()}
    for name in tensors:
        if "norm" in name and name.endswith("weight"):
            tensors[name] += 1
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def _original_shapes(words: int) -> dict[str, tuple[int, ...]]:
    shapes = {name.removeprefix("language_model."): shape for name, shape in qwen2_shapes(words).items()}
    shapes |= {
        "model.vision_encoder.embeddings.patch_embedding.weight": (16, 3, 14, 14),
        "model.vision_encoder.embeddings.patch_embedding.bias": (16,),
        "model.vision_encoder.post_layernorm.weight": (16,),
        "model.vision_encoder.post_layernorm.bias": (16,),
        "model.mm_projector.readout.0.weight": (TEXT, 16),
        "model.mm_projector.readout.0.bias": (TEXT,),
        "model.mm_projector.readout.2.weight": (TEXT, TEXT),
        "model.mm_projector.readout.2.bias": (TEXT,),
    }
    return shapes | siglip_layers("model.vision_encoder.encoder.layers", DEEP)

"""LanguageBind-Video and the tokenizer of CLIP: true names, tiny widths, 4 frames of 32 x 32."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.tiny.words import CORPUS

FRAMES, SIDE, PATCH, WIDTH, INNER, LAYERS, HEADS, MADE = 4, 32, 8, 16, 40, 2, 2, 12


def write_languagebind(
    folder: Path, *, seed: int = 0, temporal: bool = True, act: str = "gelu", config: Mapping[str, Any] | None = None
) -> Path:
    """A checkpoint as `longshot convert` leaves it. temporal: else attention along time is there and does nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    words = write_clip_tokenizer(folder)
    tensors = random_tensors(shapes(words), seed)
    if not temporal:
        for name in tensors:
            if "temporal_embedding" in name or "temporal_attn.out_proj" in name:
                tensors[name].zero_()
    save(folder, tensors)
    write_config(folder, act, **dict(config or {}))
    return folder


def write_config(folder: Path, act: str = "gelu", **more: Any) -> None:
    """config.json with what the hub's says of the towers."""
    both = {"hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS, "hidden_act": act}
    both |= {"num_attention_heads": HEADS, "layer_norm_eps": 1e-5, "projection_dim": MADE}
    vision = both | {"image_size": SIDE, "patch_size": PATCH, "num_frames": FRAMES, "add_time_attn": True, "lora_r": 0}
    config = {
        "architectures": ["LanguageBindVideo"],
        "model_type": "LanguageBindVideo",
        "projection_dim": MADE,
        "text_config": both | {"max_position_embeddings": 77},
        "vision_config": vision | {"lora_alpha": 16},
    }
    (folder / "config.json").write_text(json.dumps(config | more), encoding="utf-8")


def shapes(words: int) -> dict[str, tuple[int, ...]]:
    """Every weight of the checkpoint and its shape; `words` in the vocabulary."""
    found: dict[str, tuple[int, ...]] = {"logit_scale": ()}
    found |= {f"{side}_projection.weight": (MADE, WIDTH) for side in ("text", "visual")}
    text, vision = "text_model.", "vision_model."
    found[f"{text}embeddings.token_embedding.weight"] = (words, WIDTH)
    found[f"{text}embeddings.position_embedding.weight"] = (77, WIDTH)
    found[f"{vision}embeddings.class_embedding"] = (WIDTH,)
    found[f"{vision}embeddings.patch_embedding.weight"] = (WIDTH, 3, PATCH, PATCH)
    found[f"{vision}embeddings.position_embedding.weight"] = (1 + (SIDE // PATCH) ** 2, WIDTH)
    norms = [f"{text}final_layer_norm", f"{vision}pre_layrnorm", f"{vision}post_layernorm"]
    for prefix in (text, vision):
        for number in range(LAYERS):
            layer = f"{prefix}encoder.layers.{number}."
            norms += [f"{layer}layer_norm1", f"{layer}layer_norm2"]
            attentions = ["self_attn"]
            if prefix == vision:
                found[f"{layer}temporal_embedding"] = (1, FRAMES, WIDTH)
                norms.append(f"{layer}temporal_layer_norm1")
                attentions.append("temporal_attn")
            for attention in attentions:
                for made in "qkv":
                    found |= _linear(f"{layer}{attention}.{made}_proj", WIDTH, WIDTH)
                found |= _linear(f"{layer}{attention}.out_proj", WIDTH, WIDTH)
            found |= _linear(f"{layer}mlp.fc1", INNER, WIDTH) | _linear(f"{layer}mlp.fc2", WIDTH, INNER)
    return found | {f"{norm}.{kind}": (WIDTH,) for norm in norms for kind in ("weight", "bias")}


def _linear(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def random_tensors(named: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Any]:
    """Seeded weights of these shapes, each of about the size that keeps activations near 1; norms scale by about 1."""
    import torch

    made = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in named.items():
        noise = torch.randn(shape, generator=made)
        if len(shape) == 1 and name.endswith("weight"):
            found[name] = 1 + 0.2 * noise
        elif len(shape) < 2 or "embed" in name or "position" in name:
            found[name] = 0.4 * noise
        else:
            found[name] = noise * (1.5 / noise[0].numel() ** 0.5)
    return found


def save(folder: Path, tensors: Mapping[str, Any]) -> None:
    """model.safetensors."""
    from safetensors.torch import save_file

    save_file(dict(tensors), folder / "model.safetensors", {"format": "pt"})


def clip_words() -> tuple[list[str], list[tuple[str, str]]]:
    """CLIP's kind of vocabulary: 256 bytes, the same at the end of a word, merges, and the two marks at the end."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    trainer = trainers.BpeTrainer(vocab_size=200, end_of_word_suffix="</w>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges)]
    return [*words, "<|startoftext|>", "<|endoftext|>"], merges


def write_clip_tokenizer(folder: Path) -> int:
    """vocab.json and merges.txt; gives the number of words."""
    words, merges = clip_words()
    vocabulary = {word: number for number, word in enumerate(words)}
    assert len(vocabulary) == len(words)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *map(" ".join, merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(words)


def write_clip_merges(path: Path) -> int:
    """The same as OpenAI's code keeps it: bpe_simple_vocab_16e6.txt.gz, the merges alone."""
    words, merges = clip_words()
    lines = ['"bpe_simple_vocab_16e6.txt#version: 0.2', *map(" ".join, merges)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return len(words)

"""Writing tiny checkpoints as they lie on the hub: one JSON file per part, weights under the names of the hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.tiny.words import train_bpe


def tokenizer_of(specials: Sequence[str], *, names: Mapping[str, str], first: str = "", size: int = 420) -> Any:
    """A fast tokenizer with `specials` as its first ids; `names` are its named tokens (eos_token, image_token, ...).

    first: the token that it puts before every text by itself, "" for none.
    """
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    cut = train_bpe(specials, size=size)
    if first:
        cut.post_processor = TemplateProcessing(f"{first} $A", special_tokens=[(first, cut.token_to_id(first))])

    own = {name: token for name, token in names.items() if name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    extra = {name: token for name, token in names.items() if name not in own}
    return PreTrainedTokenizerFast(
        tokenizer_object=cut,
        model_max_length=100_000,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        **own,
        **({"extra_special_tokens": extra} if extra else {}),
    )


def small_llama(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """The text part of a config: two layers, 32 wide."""
    from transformers import LlamaConfig

    usual = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    usual |= {"num_key_value_heads": 4, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return LlamaConfig(**{**usual, **more}).to_dict()


def small_clip_vision() -> dict[str, Any]:
    """The part of a config that sees: three layers, 16 wide, at the true 336 pixels and patches of 14."""
    from transformers import CLIPVisionConfig

    usual = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    return CLIPVisionConfig(**usual, image_size=336, patch_size=14, projection_dim=16).to_dict()


def siglip_layers(before: str, count: int) -> dict[str, tuple[int, ...]]:
    """The weights of `count` layers of a SigLIP tower, 16 wide: names, after `before`, with their shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number in range(count):
        layer = f"{before}.{number}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= {f"{layer}.self_attn.{name}.weight": (16, 16), f"{layer}.self_attn.{name}.bias": (16,)}
        for name in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}.{name}.weight": (16,), f"{layer}.{name}.bias": (16,)}
        shapes |= {f"{layer}.mlp.fc1.weight": (32, 16), f"{layer}.mlp.fc1.bias": (32,)}
        shapes |= {f"{layer}.mlp.fc2.weight": (16, 32), f"{layer}.mlp.fc2.bias": (16,)}
    return shapes


def write(
    folder: Path,
    model: Any,
    tokenizer: Any,
    *,
    parts: Mapping[str, Any],
    processor: Mapping[str, Any],
    template: str,
    names: Callable[[str], str] | None = None,
    generation: Mapping[str, Any] | None = None,
) -> Path:
    """A folder with config.json, model.safetensors, tokenizer and processor files.

    parts: "image_processor" and "video_processor". processor: processor_config.json. names: what a weight is called in
    the file, from its name in the model as transformers saves it.
    """
    from safetensors.torch import load_file, save_file

    model.generation_config.update(**dict(generation or {}))
    model.save_pretrained(folder)
    if names:
        held = load_file(folder / "model.safetensors")
        save_file({names(key): value for key, value in held.items()}, folder / "model.safetensors", {"format": "pt"})
    tokenizer.save_pretrained(folder)
    for part, file in (
        ("image_processor", "preprocessor_config.json"),
        ("video_processor", "video_preprocessor_config.json"),
    ):
        if part in parts:
            parts[part].save_pretrained(folder)
            assert (folder / file).exists(), f"{part} was not written as {file}"
    (folder / "processor_config.json").write_text(json.dumps(dict(processor)), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def seeded(kind: Any, config: Any, *, seed: int = 0, scale: float = 0.08) -> Any:
    """A model with weights that are large enough for its replies to differ from picture to picture."""
    import torch

    torch.manual_seed(seed)
    model = kind(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.dim() > 1 or "newline" in name or "bias" in name or "token" in name:
                value.normal_(0.0, scale)
    return model


def qwen2_files(folder: Path, specials: Sequence[str]) -> int:
    """Qwen2's tokenizer files, with `specials` as tokens behind the vocabulary. Returns the number of all tokens."""
    held = json.loads(train_bpe([]).to_str())["model"]
    first = len(held["vocab"])
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in held["merges"]]
    (folder / "vocab.json").write_text(json.dumps(held["vocab"]), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    added = {token: first + number for number, token in enumerate(specials)}
    (folder / "added_tokens.json").write_text(json.dumps(added), encoding="utf-8")
    flags = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "Qwen2Tokenizer",
                "added_tokens_decoder": {str(id): {"content": token, **flags} for token, id in added.items()},
                "additional_special_tokens": list(specials[1:]),
                "eos_token": "<|im_end|>",
                "pad_token": "<|endoftext|>",
                "unk_token": None,
                "bos_token": None,
                "add_bos_token": False,
                "model_max_length": 16384,
            }
        ),
        encoding="utf-8",
    )
    return first + len(specials)

"""open_clip folders (open_clip_config.json and open_clip_model.safetensors): CLIP, EVA-CLIP and PE-Core, made small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 24, "heads": 3, "layers": 2}
CLIP = {
    "embed_dim": 20,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 16, "patch_size": 8},
    "text_cfg": TEXT,
}
EVA = {
    "embed_dim": 20,
    "vision_cfg": {
        "image_size": 32,
        "timm_model_name": "eva02_small_of_longshot",
        "timm_model_pretrained": False,
        "timm_pool": "token",
        "timm_proj": None,
    },
    "text_cfg": TEXT,
    "custom_text": True,
}
PE_CORE = {
    "embed_dim": 20,
    "vision_cfg": {
        "image_size": 32,
        "timm_model_name": "pe_core_small_of_longshot",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": None,
    },
    "text_cfg": {**TEXT, "context_length": 32},
    "custom_text": True,
}
# What EVA02-CLIP-B-16 and PE-Core-B-16 say to timm, with other widths.
EVA_TOWER = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
    "qkv_fused": False,
    "mlp_ratio": 4 * 2 / 3,
    "swiglu_mlp": True,
    "scale_mlp": True,
    "scale_attn_inner": True,
    "use_rot_pos_emb": True,
    "ref_feat_shape": (16, 16),
    "global_pool": "token",
}
PE_CORE_TOWER = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
    "mlp_ratio": 4.0,
    "global_pool": "map",
    "attn_type": "rope",
    "use_pre_transformer_norm": True,
    "use_rot_pos_emb": True,
    "ref_feat_shape": (14, 14),
    "rope_grid_offset": 1.0,
    "rope_grid_indexing": "xy",
    "attn_pool_num_heads": 2,
    "attn_pool_mlp_ratio": 4.0,
}


def eva02_small_of_longshot(pretrained: bool = False, **changes: Any) -> Any:
    return _tower(EVA_TOWER, "eva02_base_patch16_clip_224", changes)


def pe_core_small_of_longshot(pretrained: bool = False, **changes: Any) -> Any:
    return _tower(PE_CORE_TOWER, "vit_pe_core_base_patch16_224", changes)


def _tower(said: dict[str, Any], of: str, changes: dict[str, Any]) -> Any:
    from timm.models.eva import Eva

    tower = Eva(**{**said, **{key: value for key, value in changes.items() if key in ("num_classes", "global_pool")}})
    tower.default_cfg = tower.pretrained_cfg = {"architecture": of}
    return tower


def write_clip(folder: Path, *, seed: int = 0, look: dict[str, Any] | None = None) -> Path:
    """Plain CLIP in open_clip's own layout. look: `preprocess_cfg`."""
    import open_clip

    return _write(folder, CLIP, open_clip.CLIP(**_copied(CLIP)), seed, look or {})


def write_timm(folder: Path, config: dict[str, Any], *, seed: int = 0, look: dict[str, Any] | None = None) -> Path:
    """A model whose picture tower comes from timm (EVA, PE_CORE), with few, narrow layers."""
    import open_clip
    import timm

    for tower in (eva02_small_of_longshot, pe_core_small_of_longshot):
        if tower.__name__ not in timm.list_models():
            timm.models.register_model(tower)
    small = _copied(config)
    custom = {key: value for key, value in _copied(config).items() if key != "custom_text"}
    return _write(folder, small, open_clip.CustomTextCLIP(**custom), seed, look or {})


def _write(folder: Path, config: dict[str, Any], model: Any, seed: int, look: dict[str, Any]) -> Path:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() > 1:
                value.normal_(0.0, 0.2)
    folder.mkdir(parents=True, exist_ok=True)
    said = {"model_cfg": config, "preprocess_cfg": look}
    (folder / "open_clip_config.json").write_text(json.dumps(said))
    held = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(held, folder / "open_clip_model.safetensors", {"format": "pt"})
    return folder


def _copied(config: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(config))


def write_eva(folder: Path, *, seed: int = 0) -> Path:
    """EVA-CLIP."""
    return write_timm(folder, EVA, seed=seed)


def write_pe_core(folder: Path, *, seed: int = 0) -> Path:
    """PE-Core: pictures squeezed, bilinear."""
    half = (0.5, 0.5, 0.5)
    look = {"mean": half, "std": half, "interpolation": "bilinear", "resize_mode": "squash"}
    return write_timm(folder, PE_CORE, seed=seed, look=look)

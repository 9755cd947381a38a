"""Language models of checkpoints whose config.json is an old dump of all defaults, their own fields among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig


def language_of(told: Mapping[str, Any], kind: str) -> Any:
    """The config class of model type `kind` with what `told` says of its own fields."""
    plain = AutoConfig.for_model(kind)
    own = {*plain.to_dict(), "rope_theta", "rope_scaling"} - {"architectures", "model_type", "dtype", "_name_or_path"}
    kept = {name: value for name, value in told.items() if name in own and value is not None}
    if kind == "llama":
        kept["attention_bias"] = bool(told.get("bias", told.get("attention_bias", False)))
    return AutoConfig.for_model(kind, **kept)

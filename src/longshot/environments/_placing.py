"""Where a family's model goes, inside a worker."""

from __future__ import annotations

from typing import Any

import torch


def placed(kind: Any, options: dict[str, Any], **more: Any) -> Any:
    """A model of a transformers Auto class with its own code, on the device and in the type that were asked for.

    Only safetensors are read: a pickle can run any program.
    """
    model = kind.from_pretrained(
        options["model"],
        revision=options["revision"] or None,
        torch_dtype=dtype(options),
        trust_remote_code=True,
        use_safetensors=True,
        **more,
    )
    return model.to(device(options)).eval().requires_grad_(False)


def device(options: dict[str, Any]) -> str:
    """The device by name; a GPU where there is one, when "auto"."""
    name = options["device"]
    if name in ("auto", "spread"):
        return "cuda" if torch.cuda.is_available() else "cpu"
    return str(name)


def dtype(options: dict[str, Any]) -> Any:
    """The type to compute in: float32 on a CPU, bfloat16 or float16 on a GPU, when "auto"."""
    if options["dtype"] != "auto":
        return getattr(torch, options["dtype"])
    if not device(options).startswith("cuda"):
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16

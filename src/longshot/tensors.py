"""What every engine that runs on PyTorch shares: where weights go, how they are loaded, what to do when memory ends.

Only files on the shelves `chat_models`, `encoders` and `judges` open this module; it imports torch.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from transformers.utils import logging as transformers_logging

from longshot.checkpoints import Checkpoint, some
from longshot.contracts import Loading
from longshot.errors import MissingPackage, ModelError, UsageError

Item = TypeVar("Item")
Made = TypeVar("Made")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Buffers that older releases saved and newer ones compute; nothing is lost without them.
_COMPUTED = re.compile(r"(^|\.)(position_ids|rotary_emb\.inv_freq|masked_bias|attn\.bias)$")
_log = logging.getLogger(__name__)


def device_of(loading: Loading) -> torch.device:
    """The device to run on. Raises UsageError for one that is not there."""
    name = loading.device
    if name in ("auto", "spread"):
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name.startswith("cuda"):
        count = torch.cuda.device_count()
        if (torch.device(name).index is not None and torch.device(name).index >= count) or not count:
            raise UsageError(f"no device {name} here: PyTorch sees {count} CUDA devices; use --device cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UsageError("no device mps here; use --device cpu")
    return torch.device(name)


def dtype_of(loading: Loading) -> torch.dtype:
    """The type to compute in: float32 on a CPU, bfloat16 on a GPU that has it, float16 on other GPUs, when "auto"."""
    if loading.dtype != "auto":
        if loading.dtype not in _DTYPES:
            raise UsageError(f"no dtype called {loading.dtype!r}: there are auto, {', '.join(_DTYPES)}")
        return _DTYPES[loading.dtype]
    device = device_of(loading)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float16 if device.type == "mps" else torch.float32


def attention_of(loading: Loading) -> str:
    """The attention implementation: flash attention where it is installed and can run, else PyTorch's own ("sdpa")."""
    if loading.attention not in ("auto", "sdpa", "flash_attention_2", "eager"):
        raise UsageError(f"no attention called {loading.attention!r}: there are auto, sdpa, flash_attention_2, eager")
    if loading.attention != "auto":
        return loading.attention
    from transformers.utils import is_flash_attn_2_available

    halved = dtype_of(loading) in (torch.float16, torch.bfloat16)
    return "flash_attention_2" if halved and is_flash_attn_2_available() else "sdpa"


def load(
    kind: Any,
    checkpoint: Checkpoint,
    loading: Loading,
    *,
    keys: Mapping[str, str] | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
    **options: Any,
) -> Any:
    """A transformers model with the weights of a checkpoint, ready to infer, every weight accounted for.

    kind: a model class (or Auto class) of transformers. keys: regular expressions of names in the file -> names in the
    model. weights: instead of those in the files, where names alone do not make them fit; with `config=`. options: for
    `from_pretrained`. Missing weights and those of another shape are refused by
    name; weights that the model has no place for are logged by name. Raises ModelError.
    """
    checkpoint.check()
    # Bars are for the doors to draw.
    transformers_logging.disable_progress_bar()
    if loading.bits:
        options["quantization_config"] = _quantised(loading)
    if loading.device == "spread" or loading.bits:
        options["device_map"] = "auto" if loading.device in ("auto", "spread") else device_of(loading)
    try:
        model, told = kind.from_pretrained(
            None if weights else checkpoint.folder,
            state_dict=dict(weights) if weights else None,
            dtype=dtype_of(loading),
            attn_implementation=attention_of(loading),
            use_safetensors=True,
            local_files_only=True,
            key_mapping=dict(keys) if keys else None,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # `account` refuses them, by name
            trust_remote_code=loading.remote_code,
            **options,
        )
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise ModelError(checkpoint.name, f"cannot be loaded: {str(error).strip().splitlines()[0]}") from error
    account(checkpoint.name, told)
    if "device_map" not in options:
        model = model.to(device_of(loading))
    return model.eval().requires_grad_(False)


def load_sentence_model(kind: Any, checkpoint: Checkpoint, loading: Loading) -> Any:
    """A model of sentence-transformers (kind: its class) with the weights of a checkpoint, ready to infer.

    Which weights are missing is for the caller to see: the library does not tell. Raises ModelError.
    """
    options: dict[str, Any] = {"use_safetensors": True, "dtype": dtype_of(loading)}
    if loading.attention != "auto":
        options["attn_implementation"] = loading.attention
    try:
        model = kind(
            str(checkpoint.folder),
            device=str(device_of(loading)),
            trust_remote_code=loading.remote_code,
            local_files_only=True,
            model_kwargs=options,
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError) as error:
        said = " ".join(str(error).split())
        raise ModelError(checkpoint.name, f"cannot be loaded: {said[:300] or type(error).__name__}") from error
    return model.eval().requires_grad_(False)


def account(name: str, told: Mapping[str, Any]) -> None:
    """Refuse missing weights and wrong shapes by name, and log those that have no place. Raises ModelError.

    told: "missing_keys", "unexpected_keys", "mismatched_keys", as `from_pretrained(output_loading_info=True)` gives.
    """
    missing = sorted(key for key in told.get("missing_keys", ()) if not _COMPUTED.search(key))
    if missing:
        raise ModelError(name, f"{len(missing)} weights are missing ({some(missing)}); this is another architecture?")
    wrong = sorted(str(row[0] if isinstance(row, tuple | list) else row) for row in told.get("mismatched_keys", ()))
    if wrong:
        raise ModelError(name, f"{len(wrong)} weights have another shape than config.json says ({some(wrong)})")
    extra = sorted(key for key in told.get("unexpected_keys", ()) if not _COMPUTED.search(key))
    if extra:
        _log.warning("%s: %d weights have no place in this model (%s)", name, len(extra), some(extra))


def in_halves(work: Callable[[Sequence[Item]], list[Made]], items: Sequence[Item]) -> list[Made]:
    """`work` on all items at once; when memory runs out, on halves, and on halves of those, down to one at a time."""
    try:
        return work(items)
    except torch.OutOfMemoryError:
        if len(items) < 2:
            raise
    # Outside the except: a live traceback would hold the tensors that filled the memory.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    _log.warning("out of memory with %d at once; going on with %d", len(items), len(items) // 2)
    middle = len(items) // 2
    return [*in_halves(work, items[:middle]), *in_halves(work, items[middle:])]


def _quantised(loading: Loading) -> Any:
    if loading.bits not in (4, 8):
        raise UsageError(f"weights can be kept in 4 or 8 bits, got {loading.bits}")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise MissingPackage("bitsandbytes", "quantise") from error
    from transformers import BitsAndBytesConfig

    if loading.bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=dtype_of(loading), bnb_4bit_quant_type="nf4")

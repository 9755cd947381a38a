"""Chat models of the transformers library: Qwen-VL, LLaVA, InternVL, SmolVLM, Gemma and others, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers import __version__ as VERSION
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from longshot import checkpoints, tensors
from longshot.chat_models._dialects import ProcessorPreparer
from longshot.chat_models._engine import Engine, Settings
from longshot.chat_models._families import dialect_of
from longshot.checkpoints import Checkpoint
from longshot.contracts import Loading
from longshot.errors import ModelError
from longshot.timeline import Source

NEEDS = ("torch", "transformers", "torchvision")
EXTRA = "models"


def load(name: str, *, loading: Loading, settings: Mapping[str, Any]) -> Engine:
    """A checkpoint by folder or hub id. settings: the fields of `longshot.chat_models._engine.Settings`.

    Raises ModelError for a folder that cannot be loaded, and UsageError for an unknown setting.
    """
    wanted = Settings.read(settings)
    checkpoint = checkpoints.find(name)
    checkpoint.check()
    check_kind(checkpoint, loading)
    processor = processor_of(checkpoint, loading)
    model = tensors.load(AutoModelForImageTextToText, checkpoint, loading)
    dialect = dialect_of(processor)(processor, model.config)
    return Engine(
        model,
        ProcessorPreparer(processor, dialect),
        source=Source("", checkpoint.name, checkpoint.revision, tensors_settings(loading)),
        loading=loading,
        settings=wanted,
    )


def check_kind(checkpoint: Checkpoint, loading: Loading) -> None:
    """Refuse a kind of model that transformers has no class for, unless its own Python files may run. ModelError."""
    kind = str(checkpoint.config.get("model_type", ""))
    if kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return
    if checkpoint.config.get("auto_map"):
        checkpoint.check_code(allowed=loading.remote_code, why=f"the model type {kind or '(none)'}")
        return
    close = get_close_matches(kind, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, n=1)
    hint = f"; the nearest is {close[0]}" if close else ""
    raise ModelError(
        checkpoint.name,
        f"model type {kind or '(none)'} is no chat model about pictures that transformers {VERSION} knows{hint}",
    )


def processor_of(checkpoint: Checkpoint, loading: Loading) -> Any:
    """The processor of a checkpoint: tokenizer, image and video preparation, chat template. Raises ModelError."""
    held = {path.name for path in checkpoint.folder.iterdir()}
    wanted = {
        "a tokenizer (tokenizer.json)": {"tokenizer.json", "tokenizer.model", "vocab.json"},
        "an image processor (preprocessor_config.json)": {"preprocessor_config.json", "processor_config.json"},
    }
    absent = [what for what, names in wanted.items() if not names & held]
    if absent:
        raise ModelError(checkpoint.name, f"lacks {' and '.join(absent)}; fetch all its files, not only the weights")
    try:
        processor = AutoProcessor.from_pretrained(
            checkpoint.folder, local_files_only=True, trust_remote_code=loading.remote_code
        )
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        said = str(error).strip().splitlines()
        raise ModelError(checkpoint.name, f"its processor cannot be loaded: {said[0] if said else error!r}") from error
    if not hasattr(processor, "tokenizer") or not getattr(processor, "chat_template", None):
        raise ModelError(checkpoint.name, "has no chat template (chat_template.jinja), so it cannot be asked")
    return processor


def tensors_settings(loading: Loading) -> dict[str, Any]:
    """What of the loading changes replies, as it stands in the source."""
    kept: dict[str, Any] = {"dtype": str(tensors.dtype_of(loading)).removeprefix("torch.")}
    return kept | ({"bits": loading.bits} if loading.bits else {})

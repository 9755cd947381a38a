"""CaRe: fine-grained video captions, and vectors of videos and text from the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from longshot import checkpoints, tensors
from longshot.chat_models._dialects import ProcessorPreparer
from longshot.chat_models._doubled import DoubledDialect, processor_of, tokenizer_of
from longshot.chat_models._engine import Engine, Settings
from longshot.checkpoints import Checkpoint
from longshot.contracts import Loading
from longshot.errors import ModelError
from longshot.timeline import Source

NEEDS = ("torch", "transformers", "torchvision")
EXTRA = "models"


class Care(Engine):
    """CaRe, with what an encoder made of it must know."""

    frames = 32
    """As many as it was evaluated with."""
    height = 640
    """A frame upright at 9:16 keeps 616 rows."""
    breaks_after_pictures = True


def load(name: str, *, loading: Loading, settings: Mapping[str, Any]) -> Care:
    """A CaRe checkpoint by folder or hub id: Qwen2-VL's weights, with frames as CaRe sees them.

    settings: the fields of `longshot.chat_models._engine.Settings`; repetition_penalty is 1.2 when they do not say
    otherwise, as in the captions of its authors. Raises ModelError and UsageError.
    """
    wanted = Settings.read({"repetition_penalty": 1.2, **settings})
    checkpoint = checkpoints.find(name)
    if checkpoint.config.get("model_type") != "qwen2_vl":
        kind = checkpoint.config.get("model_type", "(none named)")
        raise ModelError(checkpoint.name, f"is no CaRe: its model_type is {kind}, and CaRe's is qwen2_vl")
    config = Qwen2VLConfig.from_dict(dict(checkpoint.config))
    processor = processor_of(checkpoint, template=template_of(checkpoint), video=config.video_token_id)
    model = tensors.load(Qwen2VLForConditionalGeneration, checkpoint, loading, config=config)
    return Care(
        model,
        ProcessorPreparer(processor, DoubledDialect(processor, model.config)),
        source=Source("", checkpoint.name, checkpoint.revision, {"dtype": str(model.dtype).removeprefix("torch.")}),
        loading=loading,
        settings=wanted,
    )


def template_of(checkpoint: Checkpoint) -> str:
    """The checkpoint's chat template, from whichever file has it. Raises ModelError when none does."""
    found = tokenizer_of(checkpoint).chat_template or checkpoint.read_json("chat_template.json").get("chat_template")
    if not isinstance(found, str):
        raise ModelError(checkpoint.name, "has no chat template (chat_template.json), so it cannot be asked")
    return found

"""VideoLLaMA3 checkpoints as their authors published them, read into the native classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import (
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    VideoLlama3Config,
    VideoLlama3ForConditionalGeneration,
    VideoLlama3ImageProcessor,
    VideoLlama3Processor,
    VideoLlama3VideoProcessor,
)

from longshot import checkpoints, tensors
from longshot.chat_models._dialects import ProcessorPreparer
from longshot.chat_models._dumps import language_of
from longshot.chat_models._engine import Engine, Settings
from longshot.chat_models._families import VideoLlama3Dialect
from longshot.checkpoints import Checkpoint
from longshot.contracts import Frames, Loading
from longshot.errors import ModelError
from longshot.timeline import Source

NEEDS = ("torch", "transformers", "torchvision")
EXTRA = "models"

_KEYS = {
    r"^model\.vision_encoder\.": "model.vision_model.",
    r"^model\.mm_projector\.": "model.projector.",
    r"^model\.embed_tokens\.": "model.language_model.embed_tokens.",
    r"^model\.layers\.": "model.language_model.layers.",
    r"^model\.norm\.": "model.language_model.norm.",
}
_VISION = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_channels", "patch_size", "hidden_act", "layer_norm_eps"),
)
# Patches that one token of a video is made of, along each side; a single picture keeps them apart.
_MERGED = 2
_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}{{ '<' + part['type'] + '>\n' }}{% endif %}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class OneMarkDialect(VideoLlama3Dialect):
    """VideoLLaMA3 with one token for pictures and videos alike, where the native processor wants two."""

    # Pictures and videos stand at the same token, so that a batch can hold only one kind.
    mixes = False

    def finish(self, inputs: dict[str, Any], frames: Frames | None) -> dict[str, Any]:
        """The mark of a video, which the checkpoint does not know, becomes that of a picture, which it does."""
        ids = inputs["input_ids"]
        inputs["input_ids"] = ids.masked_fill(ids == self.processor.video_token_id, self.processor.image_token_id)
        return inputs


def load(name: str, *, loading: Loading, settings: Mapping[str, Any]) -> Engine:
    """An original checkpoint by folder or hub id. settings: the fields of `longshot.chat_models._engine.Settings`.

    Nothing that lies beside the weights is run. Raises ModelError for a folder that cannot be loaded, and UsageError
    for an unknown setting.
    """
    wanted = Settings.read(settings)
    checkpoint = checkpoints.find(name)
    checkpoint.check()
    config = _config(checkpoint)
    processor = _processor(checkpoint, config.image_token_id)
    model = tensors.load(VideoLlama3ForConditionalGeneration, checkpoint, loading, keys=_KEYS, config=config)
    kept: dict[str, Any] = {"dtype": str(tensors.dtype_of(loading)).removeprefix("torch.")}
    kept |= {"bits": loading.bits} if loading.bits else {}
    return Engine(
        model,
        ProcessorPreparer(processor, OneMarkDialect(processor, config)),
        source=Source("", checkpoint.name, checkpoint.revision, kept),
        loading=loading,
        settings=wanted,
    )


def _config(checkpoint: Checkpoint) -> VideoLlama3Config:
    told = checkpoint.config
    seeing = told.get("vision_encoder_config")
    if not isinstance(seeing, dict):
        raise ModelError(checkpoint.name, "its config.json lacks vision_encoder_config; fetch the published one")
    if told.get("mm_projector_type", "mlp2x_gelu") != "mlp2x_gelu":
        raise ModelError(checkpoint.name, f"its projector is {told['mm_projector_type']!r}; only 'mlp2x_gelu' is known")
    if "image_token_index" not in told:
        raise ModelError(checkpoint.name, "its config.json names no image_token_index")
    place = int(told["image_token_index"])
    return VideoLlama3Config(
        vision_config={name: seeing[name] for name in _VISION if name in seeing},
        text_config=language_of(told, "qwen2").to_dict(),
        image_token_id=place,
        video_token_id=place,
        tie_word_embeddings=bool(told.get("tie_word_embeddings", False)),
    )


def _processor(checkpoint: Checkpoint, place: int) -> Any:
    """The native processor from the original's numbers: bounds in tokens of `factor` pixels squared become pixels."""
    tokenizer = _tokenizer(checkpoint, place)
    told = checkpoint.read_json("preprocessor_config.json")
    patch = int(told.get("patch_size", 14))
    least, most = int(told.get("min_tokens", 16)), int(told.get("max_tokens", 16384))
    look: dict[str, Any] = {name: told[name] for name in ("image_mean", "image_std", "resample") if name in told}

    def bounds(merged: int) -> dict[str, int]:
        pixels = (patch * merged) ** 2
        return {"shortest_edge": least * pixels, "longest_edge": most * pixels}

    image = VideoLlama3ImageProcessor(patch_size=patch, merge_size=1, size=bounds(1), **look)
    video = VideoLlama3VideoProcessor(
        patch_size=patch,
        merge_size=_MERGED,
        size=bounds(_MERGED),
        use_token_compression=bool(checkpoint.config.get("use_token_compression", True)),
        **look,
    )
    return VideoLlama3Processor(
        image_processor=image, tokenizer=tokenizer, video_processor=video, chat_template=_TEMPLATE
    )


def _tokenizer(checkpoint: Checkpoint, place: int) -> Any:
    """The tokenizer by its files alone, with a mark for videos that exists only until a prompt is laid out."""
    kind: Any = PreTrainedTokenizerFast if (checkpoint.folder / "tokenizer.json").exists() else Qwen2Tokenizer
    try:
        marks = {"image_token": "<image>"}
        made = kind.from_pretrained(
            checkpoint.folder, extra_special_tokens=marks, padding_side="left", local_files_only=True
        )
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(checkpoint.name, f"its tokenizer cannot be loaded: {str(error).splitlines()[0]}") from error
    if made.convert_tokens_to_ids("<image>") != place:
        raise ModelError(checkpoint.name, f"its tokenizer has no <image> at id {place}, where config.json sees it")
    made.add_tokens(["<video>"], special_tokens=True)
    made.video_token = "<video>"
    return made

"""MiniCPM-V 2.6 checkpoints (MiniCPMV) without their own Python: SigLIP, a perceiver and Qwen2."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize
from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

from longshot import checkpoints, tensors
from longshot.chat_models import _minicpmv
from longshot.chat_models._dialects import Dialect, Plan, ProcessorPreparer, Sent
from longshot.chat_models._dumps import language_of
from longshot.chat_models._engine import Engine, Settings
from longshot.checkpoints import Checkpoint
from longshot.contracts import Frames, Loading
from longshot.errors import ModelError
from longshot.timeline import Source

NEEDS = ("torch", "transformers", "torchvision")
EXTRA = "models"

_PLACE = "<unk>"
_SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
_SEEING = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("image_size", "patch_size", "layer_norm_eps", "hidden_act"),
)


def load(name: str, *, loading: Loading, settings: Mapping[str, Any]) -> Engine:
    """A checkpoint by folder or hub id. settings: the fields of `longshot.chat_models._engine.Settings`.

    Nothing that lies beside the weights is run. Every picture is shown whole, as one slice: what CaReBench gives its
    captioner; the original's `chat` also cuts a single large picture into slices. Raises ModelError for a folder that
    cannot be loaded or is another version than 2.6, and UsageError for an unknown setting.
    """
    wanted = Settings.read(settings)
    checkpoint = checkpoints.find(name)
    checkpoint.check()
    told = checkpoint.config
    if str(told.get("version", "")) != "2.6":
        raise ModelError(
            name, f"is MiniCPM-V {told.get('version', '(no version named)')}; this file reads 2.6, transformers 4.6 up"
        )
    tokenizer = _tokenizer(checkpoint)
    try:
        config = _config(told, place=tokenizer.convert_tokens_to_ids(_PLACE))
    except KeyError as error:
        raise ModelError(name, f"its config.json names no {error.args[0]}") from error
    model = tensors.load(_minicpmv.Sighted, checkpoint, loading, keys=_minicpmv.KEYS, config=config)
    ends = [tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>")]
    model.generation_config.eos_token_id = ends
    sight = _Sight(
        tokenizer, side=int(told.get("image_size", 448)), patch=config.seeing["patch_size"], rows=config.query_num
    )
    kept: dict[str, Any] = {"dtype": str(tensors.dtype_of(loading)).removeprefix("torch.")}
    kept |= {"bits": loading.bits} if loading.bits else {}
    return Engine(
        model,
        ProcessorPreparer(sight, _Dialect(sight, config)),
        source=Source("", checkpoint.name, checkpoint.revision, kept),
        loading=loading,
        settings=wanted,
    )


def _config(told: Mapping[str, Any], *, place: int) -> Any:
    seeing = {key: told["vision_config"][key] for key in _SEEING if key in told["vision_config"]}
    seeing["num_hidden_layers"] = told["vision_config"]["num_hidden_layers"] - bool(told.get("drop_vision_last_layer"))
    seeing["patch_size"] = told["vision_config"]["patch_size"]
    language = language_of(told, "qwen2").to_dict()
    return _minicpmv.config_of(language, seeing=seeing, queries=int(told["query_num"]), place=place)


class _Dialect(Dialect):
    """Frames as pictures, a line each; no times."""

    def tokens_each(self, frames: Frames) -> float:
        """64, two marks and a newline."""
        return self.processor.rows + 3

    def send(self, frames: Frames, plan: Plan) -> Sent:
        """Every frame as a picture."""
        return Sent([{"type": "image"}] * len(frames), {"images": frames})


class _Sight:
    """What stands where transformers has processors: chat template, tokens, pixels."""

    image_token = _PLACE

    def __init__(self, tokenizer: Any, *, side: int, patch: int, rows: int) -> None:
        self.tokenizer = tokenizer
        self.side, self.patch, self.rows = side, patch, rows

    def apply_chat_template(self, turns: Sequence[Mapping[str, Any]], **_: Any) -> str:
        """ChatML with Qwen2's system line, each picture on a line of its own before the words."""
        said = "" if turns[0]["role"] == "system" else _SYSTEM
        for turn in turns:
            parts = [part.get("text", f"<image>{_PLACE * self.rows}</image>") for part in turn["content"]]
            said += f"<|im_start|>{turn['role']}\n" + "\n".join(parts) + "<|im_end|>\n"
        return said + "<|im_start|>assistant\n"

    def __call__(self, text: list[str], *, images: Frames | None = None, **_: Any) -> dict[str, torch.Tensor]:
        """Tokens (1, L) and, with frames, pixels float32 (T, 3, h, w)."""
        made = dict(self.tokenizer(text, add_special_tokens=False, return_tensors="pt"))
        made.pop("token_type_ids", None)
        return made if images is None else {**made, "pixel_values": self._pixels(images)}

    def _pixels(self, frames: Frames) -> torch.Tensor:
        """Frames at about side x side pixels in their own shape, -1 to 1."""
        pixels = torch.from_numpy(frames.pixels).permute(0, 3, 1, 2)
        small = resize(pixels, list(self._size(*pixels.shape[2:])), InterpolationMode.BICUBIC, antialias=True)
        return small.float() / 127.5 - 1

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """720 x 1280 at side 448 is 336 x 597, then to multiples of 14: 336 x 602."""
        shape = width / height
        height = int(self.side / math.sqrt(shape))
        width = int(height * shape)
        high, wide = (max(self.patch, round(side / self.patch) * self.patch) for side in (height, width))
        return high, wide


def _tokenizer(checkpoint: Checkpoint) -> Any:
    """The tokenizer by its files alone: the class that the folder names is its own Python."""
    kind: Any = PreTrainedTokenizerFast if (checkpoint.folder / "tokenizer.json").exists() else Qwen2Tokenizer
    try:
        made = kind.from_pretrained(checkpoint.folder, padding_side="left", local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(checkpoint.name, f"its tokenizer cannot be loaded: {str(error).splitlines()[0]}") from error
    absent = [token for token in ("<image>", "</image>", _PLACE, "<|im_end|>") if token not in made.get_vocab()]
    if absent:
        raise ModelError(checkpoint.name, f"its tokenizer has no {', '.join(absent)}")
    return made

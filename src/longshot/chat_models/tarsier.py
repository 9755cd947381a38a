"""Tarsier (7b, 34b) and Tarsier2: what happens in a video, event by event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import (
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)

from longshot import checkpoints, tensors
from longshot.chat_models._dialects import ProcessorPreparer, thinned
from longshot.chat_models._doubled import Tarsier2Dialect, processor_of, tokenizer_of
from longshot.chat_models._engine import Engine, Misfit, Prepared, Settings
from longshot.checkpoints import Checkpoint
from longshot.contracts import Frames, Loading, Prompt
from longshot.errors import ModelError
from longshot.timeline import Source

NEEDS = ("torch", "transformers", "torchvision")
EXTRA = "models"

TRAINED_FRAMES = 8
"""Frames of a clip that Tarsier was trained on."""
TARSIER2_KEYS = {
    r"^vision_tower\.": "model.visual.",
    r"^language_model\.model\.": "model.language_model.",
    r"^language_model\.lm_head\.": "lm_head.",
}
"""Names of weights in Tarsier2's files -> names in Qwen2-VL."""
TARSIER2_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{% endif %}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] %}"
    "{{ part['text'] if part['type'] == 'text' else '<|vision_start|><|video_pad|><|vision_end|>' }}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Qwen2-VL's turns. Tarsier2's own template wants its own processor, which counts the tokens of a video for it."""


def load(name: str, *, loading: Loading, settings: Mapping[str, Any]) -> Engine:
    """A checkpoint of Tarsier or Tarsier2 by folder or hub id; config.json tells which, both name one architecture.

    settings: the fields of `longshot.chat_models._engine.Settings`. Raises ModelError and UsageError.
    """
    wanted = Settings.read(settings)
    checkpoint = checkpoints.find(name)
    text = str((checkpoint.config.get("text_config") or {}).get("model_type", "llama"))
    loaders = {"llama": _load_first, "qwen2_vl": _load_second}
    if text not in loaders or checkpoint.config.get("projection_head") not in (None, "MLP"):
        raise ModelError(
            checkpoint.name,
            f"this Tarsier, with {text} and {checkpoint.config.get('projection_head', 'MLP')} projection, is not "
            "supported: there are llama with MLP (7b, 34b) and qwen2_vl (Tarsier2)",
        )
    return loaders[text](checkpoint, loading, wanted)


class Tarsier(Engine):
    """Tarsier 7b and 34b. `context` is what its config.json declares, for words; pictures come on top of it.

    Its 8 frames alone take 4,808 positions of the 4,096 declared, and it was trained and published so: no frame is left
    out for that. A reply about more frames than 8 says so in its note.
    """

    frames = TRAINED_FRAMES
    height = 336
    breaks_after_pictures = True

    def _room(self, reply: int) -> int:
        super()._room(reply)
        return 0


class Tarsier2(Engine):
    """Tarsier2."""

    frames = 16
    height = 720


class Marks(NamedTuple):
    """How Tarsier lays a picture out in its prompt.

    image, newline, new: token ids of a patch, of the end of a row of patches and of the end of a picture. side: patches
    in a row, and rows. At `newline` and `new` stand embeddings of the text model.
    """

    image: int
    newline: int
    new: int
    side: int

    @property
    def picture(self) -> list[int]:
        """The ids of one picture: at 24 patches a side 24 * (24 + 1) + 1 = 601 of them."""
        return [*[*[self.image] * self.side, self.newline] * self.side, self.new]

    def laid_out(self, ids: Sequence[int]) -> list[int]:
        """Ids in which one `image` stands for a picture -> ids in which all its positions do."""
        picture = self.picture
        return [place for id in ids for place in (picture if id == self.image else [id])]


def marks_of(checkpoint: Checkpoint) -> Marks:
    """The layout that config.json states; 7b and 34b differ in it. Raises ModelError when it states none."""
    config = checkpoint.config
    try:
        image, newline, new = (
            int(config[name]) for name in ("image_token_index", "image_newline_idx", "image_new_idx")
        )
        vision = config["vision_config"]
        return Marks(image, newline, new, int(vision["image_size"]) // int(vision["patch_size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(checkpoint.name, f"its config.json does not say how pictures are laid out: {error}") from error


def shell(prompt: Prompt, *, image: str, end: str) -> str:
    """The prompt as Tarsier reads it. image: the token of a picture. end: the token that ended earlier answers.

    A single turn ends with a space after "ASSISTANT:", as in its benchmark runs; one after others does not, as in its
    chats. The pictures stand at the head of the first turn, one newline before the words.
    """
    pictures = len(prompt.frames) if prompt.frames is not None else 0
    asked = [*(turn.asked for turn in prompt.history), prompt.text]
    if pictures:
        asked[0] = image * pictures + "\n" + asked[0]
    answered = [*(turn.answered + end for turn in prompt.history), ""]
    turns = [f"USER: {text} ASSISTANT: {reply}" for text, reply in zip(asked, answered, strict=True)]
    whole = (f"{prompt.system} " if prompt.system else "") + "".join(turns)
    return whole.removesuffix(" ") if prompt.history else whole


def squared(pixels: NDArray[np.uint8], scaler: CLIPImageProcessorPil) -> torch.Tensor:
    """Frames uint8 (T, H, W, 3) as its vision tower takes them: float32 (T, 3, S, S).

    Each is squeezed into a square as long as its longer side before CLIP's own scaling, so that nothing is cropped.
    """
    side = max(pixels.shape[1:3])
    squares = [Image.fromarray(frame).resize((side, side), Image.Resampling.BICUBIC) for frame in pixels]
    return cast(torch.Tensor, scaler(images=squares, return_tensors="pt")["pixel_values"])


@dataclass
class TarsierPreparer:
    """Prompts for Tarsier 7b and 34b: its shell, its layout of pictures, its squares.

    begins: ids that every prompt begins with (the 7b's "<s>"). words: positions declared, for words and reply.
    """

    tokenizer: Any
    scaler: CLIPImageProcessorPil
    marks: Marks
    begins: tuple[int, ...]
    words: int
    mixes = True

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, without those that a prompt begins and ends with."""
        return len(self._ids(text))

    def prepare(self, prompt: Prompt, *, room: int, settings: Settings) -> Prepared:
        """A prompt as tensors. Raises Misfit for words that pass the declared positions."""
        frames = prompt.frames
        if frames is not None and not len(frames):
            raise Misfit("its frames are none: leave them out, or give at least one")
        each = len(self.marks.picture)
        notes = []
        if frames is not None and settings.visual_tokens and len(frames) * each > settings.visual_tokens:
            count = settings.visual_tokens // each
            if not count:
                raise Misfit(f"one frame takes {each} visual tokens, and there is room for {settings.visual_tokens}")
            kept = list(thinned(len(frames), count))
            notes.append(f"{len(kept)} of {len(frames)} frames used")
            frames = Frames(frames.pixels[kept], frames.times[kept])
        if frames is not None and len(frames) > TRAINED_FRAMES:
            notes.append(
                f"{len(frames)} frames take {len(frames) * each:,} positions; trained on {TRAINED_FRAMES} frames"
            )
        ids = [*self.begins, *self._ids(self._said(prompt, frames))]
        count = len(frames) if frames is not None else 0
        left = self.words - settings.max_new_tokens
        if len(ids) - count > left:
            raise Misfit(f"the words have {len(ids) - count} tokens, and there is room for {left}")
        laid_out = torch.tensor([self.marks.laid_out(ids)])
        inputs = {"input_ids": laid_out, "attention_mask": torch.ones_like(laid_out)}
        if frames is not None:
            inputs["pixel_values"] = squared(frames.pixels, self.scaler)
        return Prepared(inputs, "; ".join(notes))

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def _said(self, prompt: Prompt, frames: Frames | None) -> str:
        """The shell around words in which control tokens are broken up, so that they are text."""
        known = [*self.tokenizer.all_special_tokens, *self.tokenizer.get_added_vocab()]
        controls = [token for token in dict.fromkeys(known) if len(token) > 2]

        def clean(text: str) -> str:
            for token in controls:
                text = text.replace(token, f"{token[0]} {token[1:]}")
            return text

        harmless = Prompt(
            clean(prompt.text),
            frames,
            clean(prompt.system),
            tuple(turn._replace(asked=clean(turn.asked), answered=clean(turn.answered)) for turn in prompt.history),
        )
        image = str(self.tokenizer.convert_ids_to_tokens(self.marks.image))
        return shell(harmless, image=image, end=str(self.tokenizer.eos_token))


def _load_first(checkpoint: Checkpoint, loading: Loading, settings: Settings) -> Engine:
    """Tarsier 7b and 34b: a stock Llava, given the ids of the layout (Llava's own processor makes 576 of 601)."""
    marks = marks_of(checkpoint)
    tokenizer = _as_saved(checkpoint)
    if marks.image not in tokenizer.get_added_vocab().values():
        raise ModelError(checkpoint.name, f"its tokenizer has no token for a picture (id {marks.image})")
    if not checkpoint.read_json("preprocessor_config.json"):
        raise ModelError(checkpoint.name, "lacks preprocessor_config.json; fetch all its files, not only the weights")
    config = LlavaConfig.from_dict(dict(checkpoint.config))
    model = tensors.load(LlavaForConditionalGeneration, checkpoint, loading, config=config)
    said = checkpoint.read_json("tokenizer_config.json")
    begins = (int(tokenizer.bos_token_id),) if said.get("add_bos_token", True) else ()
    return Tarsier(
        model,
        TarsierPreparer(
            tokenizer,
            CLIPImageProcessorPil.from_pretrained(checkpoint.folder, local_files_only=True),
            marks,
            begins,
            words=int(model.config.get_text_config().max_position_embeddings),
        ),
        source=_source(checkpoint, model),
        loading=loading,
        settings=settings,
    )


def _load_second(checkpoint: Checkpoint, loading: Loading, settings: Settings) -> Engine:
    """Tarsier2: a stock Qwen2-VL under other names, in a config that nests it."""
    config = Qwen2VLConfig.from_dict(flattened(checkpoint.config))
    processor = processor_of(checkpoint, template=TARSIER2_TEMPLATE, video=config.video_token_id)
    model = tensors.load(Qwen2VLForConditionalGeneration, checkpoint, loading, config=config, keys=TARSIER2_KEYS)
    return Tarsier2(
        model,
        ProcessorPreparer(processor, Tarsier2Dialect(processor, model.config)),
        source=_source(checkpoint, model),
        loading=loading,
        settings=settings,
    )


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """One Qwen2VLConfig from a LlavaConfig whose `text_config` and `vision_config` each are, or hold, a whole one.

    `text_config` is Qwen2-VL's own config, flat as of 2024; the vision half is the outer `vision_config` where that
    says anything of a vision tower, else the one in `text_config`. What neither says is Qwen2-VL-7B's.
    """
    text = dict(config["text_config"])
    outer = dict(config.get("vision_config") or {})
    says = outer.keys() & {"depth", "embed_dim", "mlp_ratio", "num_heads", "spatial_merge_size", "spatial_patch_size"}
    vision = dict(outer.get("vision_config") or (outer if says else None) or text.get("vision_config") or {})
    vision.pop("model_type", None)
    return {**text, "vision_config": vision, "model_type": "qwen2_vl"}


def _as_saved(checkpoint: Checkpoint) -> Any:
    """The tokenizer exactly as tokenizer.json has it: a class of Llama's would put its own handling of spaces there."""
    if (checkpoint.folder / "tokenizer.json").exists():
        return PreTrainedTokenizerFast.from_pretrained(checkpoint.folder, local_files_only=True)
    return tokenizer_of(checkpoint)


def _source(checkpoint: Checkpoint, model: Any) -> Source:
    return Source("", checkpoint.name, checkpoint.revision, {"dtype": str(model.dtype).removeprefix("torch.")})

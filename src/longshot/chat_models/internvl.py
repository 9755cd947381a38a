"""InternVL checkpoints as their authors published them (InternVLChatModel), read into the native classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import AddedToken
from tokenizers.processors import TemplateProcessing
from transformers import (
    GotOcr2ImageProcessor,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
)

from longshot import checkpoints, tensors
from longshot.chat_models import _internvl, _sentencepiece
from longshot.chat_models._dialects import ProcessorPreparer
from longshot.chat_models._engine import Engine, Settings
from longshot.chat_models._families import InternVLDialect
from longshot.checkpoints import Checkpoint
from longshot.contracts import Loading
from longshot.errors import ModelError
from longshot.timeline import Source

NEEDS = ("torch", "transformers", "torchvision")
EXTRA = "models"

_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
_MARKS = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
# How each conversation template of the original sets turns: before a user's words, before the model's, after both.
_SHELLS = {
    "internlm2-chat": ("<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>"),
    "Hermes-2": ("<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>"),
    "internvl2_5": ("<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n"),
    "phi3-chat": ("<|user|>\n", "<|assistant|>\n", "<|end|>"),
}


def load(name: str, *, loading: Loading, settings: Mapping[str, Any]) -> Engine:
    """An original checkpoint by folder or hub id. settings: the fields of `longshot.chat_models._engine.Settings`.

    Nothing that lies beside the weights is run. The system line that the original's `chat` puts first is left out, as
    in CaReBench, whose vectors are trained without; give one with the prompt. Raises ModelError for a folder that
    cannot be loaded, and UsageError for an unknown setting.
    """
    wanted = Settings.read(settings)
    checkpoint = checkpoints.find(name)
    checkpoint.check()
    shell = str(checkpoint.config.get("template", ""))
    if shell not in _SHELLS:
        raise ModelError(name, f"its conversation template is {shell!r}; there are {', '.join(_SHELLS)}")
    tokenizer = _tokenizer(checkpoint)
    try:
        config = _internvl.config_of(checkpoint, tokenizer.context_image_token_id)
    except KeyError as error:
        raise ModelError(name, f"its config.json names no {error.args[0]}") from error
    weights = _internvl.weights_of(checkpoint, tensors.dtype_of(loading))
    model = tensors.load(InternVLForConditionalGeneration, checkpoint, loading, weights=weights, config=config)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(_SHELLS[shell][2].strip())
    processor = _processor(checkpoint, tokenizer)
    kept: dict[str, Any] = {"dtype": str(tensors.dtype_of(loading)).removeprefix("torch.")}
    kept |= {"bits": loading.bits} if loading.bits else {}
    return Engine(
        model,
        ProcessorPreparer(processor, InternVLDialect(processor, model.config)),
        source=Source(
            "", checkpoint.name, checkpoint.revision, kept | ({"bits": loading.bits} if loading.bits else {})
        ),
        loading=loading,
        settings=wanted,
    )


def _processor(checkpoint: Checkpoint, tokenizer: Any) -> Any:
    """Frames as squares with ImageNet's mean and deviation; a single picture as up to so many tiles and a thumbnail."""
    told = checkpoint.config
    side = int(told.get("force_image_size") or told["vision_config"]["image_size"])
    seen = checkpoint.read_json("preprocessor_config.json")
    look: dict[str, Any] = {
        "size": {"height": side, "width": side},
        "image_mean": seen.get("image_mean", _MEAN),
        "image_std": seen.get("image_std", _STD),
    }
    image = GotOcr2ImageProcessor(
        crop_to_patches=bool(told.get("dynamic_image_size", True)),
        min_patches=int(told.get("min_dynamic_patch", 1)),
        max_patches=int(told.get("max_dynamic_patch", 12)),
        **look,
    )
    return InternVLProcessor(
        image_processor=image,
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(**look),
        image_seq_length=_internvl.tokens(told),
        chat_template=_template(*_SHELLS[str(told["template"])]),
    )


def _template(asked: str, answered: str, end: str) -> str:
    """A chat template from what stands before a user's words, before the model's, and after both."""
    before = {"system": asked.replace("user", "system"), "user": asked, "assistant": answered}
    return (
        f"{{% set before = {before!r} %}}{{% for message in messages %}}{{{{ before[message['role']] }}}}"
        "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
        "{% elif part['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}{% else %}{{ '<video>\n' }}{% endif %}{% endfor %}"
        f"{{{{ {end!r} }}}}{{% endfor %}}{{% if add_generation_prompt %}}{{{{ {answered!r} }}}}{{% endif %}}"
    )


def _tokenizer(checkpoint: Checkpoint) -> Any:
    """The tokenizer of a folder, by its files alone: the class that the folder names may be its own Python."""
    told = checkpoint.read_json("tokenizer_config.json")
    kind = str(told.get("tokenizer_class", "")).removesuffix("Fast")
    held = {path.name for path in checkpoint.folder.iterdir()}
    options: dict[str, Any] = {"extra_special_tokens": _MARKS, "padding_side": "left", "local_files_only": True}
    absent = sorted(set(_MARKS.values()) - _added(checkpoint, told).keys())
    if absent:
        raise ModelError(checkpoint.name, f"its tokenizer has no {', '.join(absent)}")
    made: Any
    if "tokenizer.json" in held:
        made = PreTrainedTokenizerFast.from_pretrained(checkpoint.folder, **options)
    elif {"vocab.json", "merges.txt"} <= held and kind == "Qwen2Tokenizer":
        made = Qwen2Tokenizer.from_pretrained(checkpoint.folder, **options)
    elif "tokenizer.model" in held and kind in ("InternLM2Tokenizer", "LlamaTokenizer"):
        made = _from_pieces(checkpoint, told)
    else:
        raise ModelError(
            checkpoint.name, f"its tokenizer ({kind or 'no class named'}) is in none of the forms that are read here"
        )
    # The processor looks for this word in a prompt; it needs no id, because lines of frames take its place.
    made.video_token = "<video>"
    return made


def _from_pieces(checkpoint: Checkpoint, told: Mapping[str, Any]) -> Any:
    """tokenizer.model with the tokens added behind it, a begin token first where the original puts one."""
    cut = _sentencepiece.tokenizer(checkpoint.folder / "tokenizer.model", checkpoint.name)
    for token, id in sorted(_added(checkpoint, told).items(), key=lambda row: row[1]):
        cut.add_special_tokens([AddedToken(token, normalized=False)])
        if cut.token_to_id(token) != id:
            raise ModelError(checkpoint.name, f"token {token} should have id {id}, and gets {cut.token_to_id(token)}")
    begin = _word(told.get("bos_token")) or "<s>"
    if told.get("add_bos_token", True):
        cut.post_processor = TemplateProcessing(f"{begin} $A", special_tokens=[(begin, cut.token_to_id(begin))])
    return PreTrainedTokenizerFast(
        tokenizer_object=cut,
        bos_token=begin,
        eos_token=_word(told.get("eos_token")) or "</s>",
        pad_token=_word(told.get("pad_token")) or "</s>",
        unk_token=_word(told.get("unk_token")) or "<unk>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens=_MARKS,
    )


def _added(checkpoint: Checkpoint, told: Mapping[str, Any]) -> dict[str, int]:
    """The tokens with their ids that stand behind the vocabulary, from whichever file says so."""
    found = {str(token): int(id) for token, id in checkpoint.read_json("added_tokens.json").items()}
    found |= {str(row["content"]): int(id) for id, row in (told.get("added_tokens_decoder") or {}).items()}
    rows = checkpoint.read_json("tokenizer.json").get("added_tokens") or ()
    return found | {str(row["content"]): int(row["id"]) for row in rows}


def _word(token: Any) -> str:
    """A token of tokenizer_config.json: a string, or an object that holds one."""
    return str(token.get("content", "") if isinstance(token, dict) else token or "")

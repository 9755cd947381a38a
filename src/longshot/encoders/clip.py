"""CLIP and its kin (MetaCLIP, MetaCLIP 2, Long-CLIP, Chinese-CLIP): pictures and texts in one space.

A picture's vector is the projected class token, a text's the projected state at its end-of-text token (Radford et al.
2021, "Learning Transferable Visual Models From Natural Language Supervision", section 2.4).
"""

from __future__ import annotations

import transformers

from longshot import checkpoints, tensors
from longshot.checkpoints import Checkpoint
from longshot.contracts import Loading
from longshot.encoders._pictures import HubTowers, PicturesEncoder
from longshot.errors import ModelError

NEEDS = ("torch", "transformers", "torchvision")
EXTRA = "models"

_KINDS = {
    "CLIPModel": transformers.CLIPModel,
    "MetaClip2Model": transformers.MetaClip2Model,
    "ChineseCLIPModel": transformers.ChineseCLIPModel,
}
# Configs from before transformers 4.31 say 2 whatever the vocabulary; the text is then read at its highest id.
_UNTRUE_END = 2
# BERT has places for 512 tokens; Chinese-CLIP was trained with 52 (Yang et al. 2022, "Chinese CLIP").
_CHINESE_TEXT = 52


def load(name: str, *, loading: Loading, pooling: str = "") -> PicturesEncoder:
    """The encoder of a checkpoint. Raises ModelError, or UsageError for an unknown pooling."""
    checkpoint = checkpoints.find(name)
    if any("temporal_attn" in weight for weight in checkpoint.tensors()):
        raise ModelError(name, f"its layers look along time, which CLIP's do not; open it as languagebind:{name}")
    model = tensors.load(_KINDS.get(checkpoint.architecture, transformers.CLIPModel), checkpoint, loading)
    towers = HubTowers(
        checkpoint,
        loading,
        texts=lambda ids, mask: model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output,
        pictures=lambda made: model.get_image_features(**made).pooler_output,
        dimension=model.config.projection_dim,
        text_limit=_text_limit(checkpoint, model),
    )
    _check_end(checkpoint, model, towers)
    return PicturesEncoder(towers, checkpoint, loading=loading, pooling=pooling)


def _text_limit(checkpoint: Checkpoint, model: transformers.CLIPModel) -> int:
    # Not the tokenizer's word for it: beside a Long-CLIP of 248 positions may lie one that still says 77.
    positions = int(model.config.text_config.max_position_embeddings)
    return min(positions, _CHINESE_TEXT) if checkpoint.architecture == "ChineseCLIPModel" else positions


def _check_end(checkpoint: Checkpoint, model: transformers.CLIPModel, towers: HubTowers) -> None:
    """Refuse an end-of-text id that the tokenizer never writes: every text would get one and the same vector."""
    end = model.config.text_config.eos_token_id
    reads_end = checkpoint.architecture != "ChineseCLIPModel"
    untrue = checkpoint.architecture == "CLIPModel" and end == _UNTRUE_END
    written = towers.tokenizer("a")["input_ids"]
    if reads_end and not untrue and end not in written:
        raise ModelError(
            checkpoint.name,
            f"config.json says a text ends with token {end}, and the tokenizer beside it writes {written} for 'a'; "
            "these files do not belong together",
        )

"""SigLIP and SigLIP 2, with fixed or natural picture shapes (NaFlex): pictures and texts in one space.

A picture's vector comes from attention pooling over its patches, a text's from its last position, padding included:
texts are always padded to full length and nothing is masked (Zhai et al. 2023, "Sigmoid Loss for Language Image
Pre-Training"; Tschannen et al. 2025, "SigLIP 2").
"""

from __future__ import annotations

import transformers
from torch import Tensor

from longshot import checkpoints, tensors
from longshot.contracts import Loading
from longshot.encoders._pictures import HubTowers, PicturesEncoder, tokenizer_of

NEEDS = ("torch", "transformers", "torchvision", "sentencepiece")
EXTRA = "models"


def load(name: str, *, loading: Loading, pooling: str = "") -> PicturesEncoder:
    """The encoder of a checkpoint. Raises ModelError, or UsageError for an unknown pooling."""
    checkpoint = checkpoints.find(name)
    flexible = checkpoint.architecture == "Siglip2Model"
    kind = transformers.Siglip2Model if flexible else transformers.SiglipModel
    model = tensors.load(kind, checkpoint, loading)

    def read(ids: Tensor, mask: Tensor) -> Tensor:
        return model.get_text_features(input_ids=ids).pooler_output

    towers = HubTowers(
        checkpoint,
        loading,
        texts=read,
        pictures=lambda made: model.get_image_features(**made).pooler_output,
        dimension=model.config.vision_config.hidden_size,
        text_limit=model.config.text_config.max_position_embeddings,
        whole=True,
        # SigLIP's own tokenizer makes lower case itself; SigLIP 2 was trained so with Gemma's, which does not.
        lower=not type(tokenizer_of(checkpoint)).__name__.startswith("SiglipTokenizer"),
        height=_natural_side(checkpoint) if flexible else 0,
    )
    return PicturesEncoder(towers, checkpoint, loading=loading, pooling=pooling)


def _natural_side(checkpoint: checkpoints.Checkpoint) -> int:
    """The side of a square picture that fills all patches: 256 pixels for 256 patches of 16."""
    said = checkpoint.read_json("preprocessor_config.json")
    patches, patch = int(said.get("max_num_patches", 256)), int(said.get("patch_size", 16))
    return int(patches**0.5) * patch

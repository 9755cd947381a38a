"""BLIP's image-text matching checkpoints, by their contrastive vectors: pictures and texts in one space.

Both towers are read at their first token and projected to 256 numbers (Li et al. 2022, "BLIP: Bootstrapping
Language-Image Pre-training", section 3.2); the matching head, which looks at a picture and a text together, gives no
vectors and is not used.
"""

from __future__ import annotations

from dataclasses import replace

import transformers
from torch import Tensor

from longshot import checkpoints, tensors
from longshot.contracts import Loading
from longshot.encoders._pictures import HubTowers, PicturesEncoder

NEEDS = ("torch", "transformers", "torchvision")
EXTRA = "models"


def load(name: str, *, loading: Loading, pooling: str = "") -> PicturesEncoder:
    """The encoder of a checkpoint. Raises ModelError, or UsageError for an unknown pooling."""
    checkpoint = checkpoints.find(name)
    # transformers has this family with plain attention only.
    how = replace(loading, attention="eager") if loading.attention == "auto" else loading
    model = tensors.load(transformers.BlipForImageTextRetrieval, checkpoint, how)

    def read(ids: Tensor, mask: Tensor) -> Tensor:
        states = model.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return model.text_proj(states[:, 0])

    towers = HubTowers(
        checkpoint,
        loading,
        texts=read,
        pictures=lambda made: model.vision_proj(model.vision_model(**made).last_hidden_state[:, 0]),
        dimension=model.config.image_text_hidden_size,
        text_limit=model.config.text_config.max_position_embeddings,
    )
    return PicturesEncoder(towers, checkpoint, loading=loading, pooling=pooling)

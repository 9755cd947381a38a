"""MM-Embed: texts and single pictures by LLaVA-NeXT and NV-Embed, by its authors' code in a worker of its own.

Lin et al. 2024, "MM-Embed: Universal Multimodal Retrieval with Multimodal LLMs" (arXiv 2411.02571). A clip is its
frames, each a picture, pooled.
"""

from __future__ import annotations

from longshot import checkpoints, workers
from longshot import pooling as policies
from longshot.contracts import Loading
from longshot.workers import Worker, WorkerEncoder

NEEDS = ()
EXTRA = "models"

# The instruction of M-BEIR for a caption that looks for its picture, among those that it was trained with.
INSTRUCTION = "Find me an everyday image that matches the given caption."


def load(name: str, *, loading: Loading, pooling: str = "") -> WorkerEncoder:
    """An MM-Embed checkpoint by folder or hub id; needs `longshot worker setup mm_embed` and remote code.

    pooling: of a clip's frames, "mean" when empty. Raises ModelError and UsageError.
    """
    policies.check(pooling or "mean")
    checkpoint = checkpoints.find(name)
    options = workers.options_of(checkpoint, loading, revision=name.partition("@")[2], instruction=INSTRUCTION)
    settings = {"instruction": INSTRUCTION}
    worker = Worker("mm_embed")
    return WorkerEncoder(worker, options, checkpoint, pooling=pooling, batch=loading.batch or 4, settings=settings)

"""jina-clip-v2: texts in 89 languages and single pictures, by its authors' code in a worker of its own.

Koukounas et al. 2024, "jina-clip-v2: Multilingual Multimodal Embeddings for Text and Images" (arXiv 2412.08802). A clip
is its frames, each a picture, pooled.
"""

from __future__ import annotations

from longshot import checkpoints, workers
from longshot import pooling as policies
from longshot.contracts import Loading
from longshot.workers import Worker, WorkerEncoder

NEEDS = ()
EXTRA = "models"

# The name of the adapter, and of the words before a text, for sentences that look for something.
TASK = "retrieval.query"


def load(name: str, *, loading: Loading, pooling: str = "") -> WorkerEncoder:
    """A jina-clip-v2 checkpoint by folder or hub id; needs `longshot worker setup jina_clip` and remote code.

    pooling: of a clip's frames, "mean" when empty. Raises ModelError and UsageError.
    """
    policies.check(pooling or "mean")
    checkpoint = checkpoints.find(name)
    options = workers.options_of(checkpoint, loading, revision=name.partition("@")[2], task=TASK)
    settings = {"task": TASK}
    worker = Worker("jina_clip")
    return WorkerEncoder(worker, options, checkpoint, pooling=pooling, batch=loading.batch, settings=settings)

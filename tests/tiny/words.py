"""Tokenizers for tiny checkpoints, trained in a blink on a few sentences."""

from __future__ import annotations

from collections.abc import Sequence

CORPUS = (
    "A man slices tomatoes on a wooden board.",
    "Two people wrestle with their arms at a table while others watch.",
    "The rocket rises from the pad, and smoke rolls over the ground.",
    "Describe the video in detail. What happens first, and what happens then?",
    "Summary above video in one word: sentence image",
    "USER: ASSISTANT: system user assistant You are a helpful assistant.",
    "0 1 2 3 4 5 6 7 8 9 . , : ; ! ? - < > seconds Frame time",
)


def train_bpe(specials: Sequence[str], *, size: int = 420):
    """A byte-level BPE tokenizer (tokenizers.Tokenizer): every text has ids, and `specials` have the first ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size + len(specials),
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer

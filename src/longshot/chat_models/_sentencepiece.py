"""A `tokenizer.model` of SentencePiece (BPE) as a fast tokenizer, without the sentencepiece package.

The file is one protocol buffer message; only the fields that decide how text is cut are read:

    1 pieces (1 text, 2 score, 3 type), 2 trainer (3 model type, 35 byte fallback, 40 unknown id),
    3 normaliser (1 name, 3 add a space in front, 4 fold spaces)

Field numbers: sentencepiece_model.proto of google/sentencepiece.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

from longshot.errors import ModelError

_SPACE = "\u2581"
_BPE = 2
_NORMAL, _UNKNOWN, _CONTROL, _OWN = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a file says. pieces: (text, score, type) by id. front: whether a space is put before the text."""

    pieces: tuple[tuple[str, float, int], ...]
    kind: int
    fallback: bool
    unknown: int
    rules: str
    front: bool
    fold: bool


def read(path: Path, name: str) -> Pieces:
    """The file's account of itself. Raises ModelError naming the checkpoint `name` for what is no such file."""
    try:
        fields = list(_fields(path.read_bytes()))
        pieces = tuple(_piece(value) for number, value in fields if number == 1)
        trainer = dict(next((_fields(value) for number, value in fields if number == 2), iter(())))
        normal = dict(next((_fields(value) for number, value in fields if number == 3), iter(())))
        rules = bytes(normal.get(1, b"")).decode()
    except (IndexError, ValueError, TypeError, struct.error, OSError) as error:
        raise ModelError(name, f"{path.name} is no SentencePiece file ({error})") from error
    if not pieces:
        raise ModelError(name, f"{path.name} is no SentencePiece file: it holds no pieces")
    return Pieces(
        pieces,
        kind=int(trainer.get(3, 1)),
        fallback=bool(trainer.get(35, 0)),
        unknown=int(trainer.get(40, 0)),
        rules=rules,
        front=bool(normal.get(3, 1)),
        fold=bool(normal.get(4, 1)),
    )


def tokenizer(path: Path, name: str) -> Tokenizer:
    """The same cuts as a `tokenizers.Tokenizer`. Raises ModelError for a file of another kind than BPE."""
    told = read(path, name)
    if told.kind != _BPE or told.rules not in ("identity", ""):
        raise ModelError(name, f"{path.name} is SentencePiece of another kind than BPE with identity rules")
    ids = {text: number for number, (text, _, _) in enumerate(told.pieces)}
    unknown = told.pieces[told.unknown][0]
    made = Tokenizer(
        models.BPE(vocab=ids, merges=_merges(told), unk_token=unknown, fuse_unk=True, byte_fallback=told.fallback)
    )
    steps: list[Any] = [normalizers.Replace(" ", _SPACE)]
    if told.front:
        steps.insert(0, normalizers.Prepend(_SPACE))
    made.normalizer = normalizers.Sequence(steps)
    back: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*back, decoders.Strip(" ", 1, 0)] if told.front else back)
    marked = [(text, kind) for text, _, kind in told.pieces if kind in (_CONTROL, _OWN)]
    made.add_special_tokens([AddedToken(text, normalized=False) for text, kind in marked if kind == _CONTROL])
    made.add_tokens([AddedToken(text, normalized=False) for text, kind in marked if kind == _OWN])
    return made


def _merges(told: Pieces) -> list[tuple[str, str]]:
    """Pairs that become a piece, best piece first: what SentencePiece's BPE joins, in its order."""
    scores = {text: score for text, score, kind in told.pieces if kind == _NORMAL}
    ids = {text: number for number, (text, _, _) in enumerate(told.pieces)}
    found = []
    for text, score in scores.items():
        parts = [(text[:cut], text[cut:]) for cut in range(1, len(text))]
        known = [pair for pair in parts if pair[0] in scores and pair[1] in scores]
        found += [(-score, ids[left], ids[right], left, right) for left, right in known]
    return [(left, right) for *_, left, right in sorted(found)]


def _piece(value: Any) -> tuple[str, float, int]:
    held = dict(_fields(value))
    return bytes(held[1]).decode(), float(held.get(2, 0.0)), int(held.get(3, _NORMAL))


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) of a message: ints, floats, and bytes for text and messages within."""
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value: Any
            value, at = _number(data, at)
        elif kind == 5:
            (value,), at = struct.unpack_from("<f", data, at), at + 4
        elif kind == 1:
            (value,), at = struct.unpack_from("<d", data, at), at + 8
        elif kind == 2:
            length, at = _number(data, at)
            value, at = data[at : at + length], at + length
        else:
            raise ValueError(f"no protocol buffer: wire type {kind}")
        yield number, value


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, low ones first, and the place behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at

"""From a name to a model: a folder, a hub id, an address or "engine:name", opened by the file that knows it.

open_chat_model("Qwen/Qwen2-VL-2B-Instruct")              # by config.json's architectures[0]
open_chat_model("http://127.0.0.1:8000/v1#qwen")          # an OpenAI-compatible server and its model
open_encoder("openai/clip-vit-base-patch32")
open_encoder("open_clip:ViT-B-32")                        # a file on the shelf, and what it is to load
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from fnmatch import fnmatch
from typing import Any, cast

from longshot import checkpoints, registry
from longshot.checkpoints import Checkpoint
from longshot.contracts import ChatModel, Encoder, Loading
from longshot.errors import ModelError, UsageError
from longshot.registry import Family


def open_chat_model(
    name: str, *, loading: Loading | None = None, settings: Mapping[str, Any] | None = None
) -> ChatModel:
    """The chat model behind a name. settings: generation options, such as max_new_tokens or temperature.

    Raises ModelError, UsageError or MissingPackage, in one line, for what cannot be opened.
    """
    how = loading or Loading()
    engine, rest = chat_engine(name, how)
    opened = registry.module("chat_models", engine).load(rest, loading=how, settings=dict(settings or {}))
    return cast(ChatModel, opened)


def open_encoder(name: str, *, loading: Loading | None = None, pooling: str = "") -> Encoder:
    """The encoder behind a name; a chat model's name gives its EOL-prompted encoder. Raises as `open_chat_model`."""
    how = loading or Loading()
    engine, rest = encoder_engine(name, how)
    return cast(Encoder, registry.module("encoders", engine).load(rest, loading=how, pooling=pooling))


def chat_engine(name: str, loading: Loading) -> tuple[str, str]:
    """Which file of `chat_models/` opens a name, and what is left of the name for it."""
    if name.startswith(("http://", "https://")):
        return "endpoint", name
    if chosen := _chosen("chat_models", name):
        return chosen
    checkpoint = checkpoints.find(name)
    if family := _family("chat_models", checkpoint):
        return family.engine, name
    if checkpoint.config.get("auto_map") and loading.remote_code:
        return "transformers", name
    raise _unknown("chat_models", checkpoint)


def encoder_engine(name: str, loading: Loading) -> tuple[str, str]:
    """Which file of `encoders/` opens a name, and what is left of the name for it."""
    if name.startswith(("http://", "https://")):
        raise UsageError(f"{name}: an encoder is a folder or a hub id; servers are asked as chat models only")
    if chosen := _chosen("encoders", name):
        return chosen
    checkpoint = checkpoints.find(name)
    if family := _family("encoders", checkpoint):
        return family.engine, name
    if _family("chat_models", checkpoint):
        return "eol", name
    raise _unknown("encoders", checkpoint)


def _chosen(shelf: str, name: str) -> tuple[str, str] | None:
    """("open_clip", "ViT-B-32") for "open_clip:ViT-B-32", when the shelf has such a file."""
    engine, colon, rest = name.partition(":")
    return (engine, rest) if colon and engine in registry.choices(shelf) else None


def _family(shelf: str, checkpoint: Checkpoint) -> Family | None:
    """The family that a checkpoint belongs to: by marking files, by name, then by architecture."""
    last = checkpoint.name.rstrip("/").rsplit("/", 1)[-1].casefold()
    fitting = [
        family
        for family in registry.families(shelf)
        if not family.architectures or checkpoint.architecture in family.architectures
    ]
    marked = [one for one in fitting if one.files and all((checkpoint.folder / file).exists() for file in one.files)]
    named = [one for one in fitting if any(fnmatch(last, pattern.casefold()) for pattern in one.names)]
    plain = [one for one in fitting if one.architectures and not one.names and not one.files]
    return next(iter([*named, *marked, *plain]), None)


def _unknown(shelf: str, checkpoint: Checkpoint) -> ModelError:
    known = sorted({name for family in registry.families(shelf) for name in family.architectures})
    asked = checkpoint.architecture or "(none named)"
    close = get_close_matches(asked, known, n=1)
    hint = f"; the nearest is {close[0]}" if close else ""
    code = "; its own Python files could run it: --remote-code" if checkpoint.config.get("auto_map") else ""
    return ModelError(
        checkpoint.name, f"architecture {asked} is not known to {shelf}: there are {', '.join(known)}{hint}{code}"
    )

"""From a name to a model: a folder, a hub id, an address or "engine:name", opened by the file that knows it.

open_chat_model("Qwen/Qwen2-VL-2B-Instruct")              # by config.json's architectures[0]
open_chat_model("http://127.0.0.1:8000/v1#qwen")          # an OpenAI-compatible server and its model
open_encoder("openai/clip-vit-base-patch32")
open_encoder("open_clip:ViT-B-32")                        # a file on the shelf, and what it is to load
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatch
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from longshot import checkpoints, registry
from longshot.arrays import as_clips, as_texts
from longshot.checkpoints import Checkpoint
from longshot.contracts import ChatModel, Encoder, Finish, HiddenStates, Loading, Prompt
from longshot.errors import ModelError, UsageError
from longshot.own_models import Captioner, OwnChatModel, OwnEncoder, VideoEncoder, architectures, own_class
from longshot.prompts import load_prompt
from longshot.registry import Family


def open_chat_model(
    name: str, *, loading: Loading | None = None, settings: Mapping[str, Any] | None = None
) -> ChatModel:
    """The chat model behind a name. settings: generation options, such as max_new_tokens or temperature.

    Raises ModelError, UsageError or MissingPackage, in one line, for what cannot be opened.
    """
    how = loading or Loading()
    if own := _own(name, "chat_models", Captioner):
        kind, checkpoint = own
        return OwnChatModel(kind(checkpoint.folder, loading=how), checkpoint)
    engine, rest = chat_engine(name, how)
    opened = registry.module("chat_models", engine).load(rest, loading=how, settings=dict(settings or {}))
    return cast(ChatModel, opened)


def open_encoder(name: str, *, loading: Loading | None = None, pooling: str = "") -> Encoder:
    """The encoder behind a name; a chat model's name gives its EOL-prompted encoder. Raises as `open_chat_model`."""
    how = loading or Loading()
    if own := _own(name, "encoders", VideoEncoder):
        kind, checkpoint = own
        return OwnEncoder(kind(checkpoint.folder, loading=how), checkpoint)
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


def _own(name: str, shelf: str, kind: type) -> tuple[type, Checkpoint] | None:
    """The user's class for a checkpoint, which comes before ours."""
    if not name.strip():
        raise UsageError("no model is named: give a folder, a hub id, or the address of a server")
    if name.startswith(("http://", "https://")) or _chosen(shelf, name):
        return None
    checkpoint = checkpoints.find(name)
    found = own_class(checkpoint.architecture, kind)
    return (found, checkpoint) if found else None


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
        if (not family.architectures or checkpoint.architecture in family.architectures)
        and all((checkpoint.folder / file).exists() for file in family.files)
    ]
    named = [one for one in fitting if any(fnmatch(last, pattern.casefold()) for pattern in one.names)]
    marked = [one for one in fitting if one.files and not one.names]
    plain = [one for one in fitting if one.architectures and not one.names and not one.files]
    return next(iter([*named, *marked, *plain]), None)


def _unknown(shelf: str, checkpoint: Checkpoint) -> ModelError:
    ours = {name for family in registry.families(shelf) for name in family.architectures}
    known = sorted({*ours, *architectures()})
    asked = checkpoint.architecture or "(none named)"
    if shelf == "chat_models" and _family("encoders", checkpoint):
        why = f"architecture {asked} is not known to {shelf}: it is an encoder, for `longshot embed --encoder`"
        return ModelError(checkpoint.name, why)
    close = get_close_matches(asked, known, n=1)
    hint = f"; the nearest is {close[0]}" if close else ""
    code = "; its own Python files could run it: --remote-code" if checkpoint.config.get("auto_map") else ""
    return ModelError(
        checkpoint.name, f"architecture {asked} is not known to {shelf}: there are {', '.join(known)}{hint}{code}"
    )


class AutoCaptioner:
    """A captioner for a checkpoint, chosen by architectures[0] of its config.json.

    captioner = AutoCaptioner.from_pretrained("path/or/hub-id")
    captioner.describe(read_frames("demo.mp4")[None])[0]
    """

    def __init__(self, model: ChatModel) -> None:
        self.model = model

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], *, loading: Loading | None = None, **settings: Any
    ) -> AutoCaptioner:
        """Load it. settings: generation options, such as max_new_tokens=512. Raises as `open_chat_model`."""
        return cls(open_chat_model(os.fspath(name), loading=loading, settings=settings))

    def describe(self, videos: Any, *, prompt: str = "") -> list[str]:
        """One text for each video; `videos` as `longshot.arrays.as_clips` takes them.

        prompt: what to ask, for a detailed description when empty. Raises ModelError when one gets no answer: a list
        of texts has no place for it. `longshot.asking` has.
        """
        clips = as_clips(videos)
        text = prompt or load_prompt("describe").text
        said = []
        for first in range(0, len(clips), max(1, self.model.batch)):
            some = clips[first : first + max(1, self.model.batch)]
            replies = self.model.generate([Prompt(text, frames=clip) for clip in some])
            for place, reply in enumerate(replies, start=first):
                if reply.finish in (Finish.FAILED, Finish.REFUSED):
                    raise ModelError(self.model.source.model, f"video {place}: {reply.finish.value}: {reply.reason}")
                said.append(reply.text)
        return said

    @property
    def encoder(self) -> AutoEncoder:
        """The same loaded weights as an EOL-prompted encoder. Raises ModelError for a model without hidden states."""
        if not isinstance(self.model, HiddenStates):
            raise ModelError(self.model.source.model, "shows no hidden states, so there are no vectors to take from it")
        return AutoEncoder(registry.module("encoders", "eol").EolEncoder(self.model))


class AutoEncoder:
    """An encoder of video and text for a checkpoint, chosen by architectures[0] of its config.json.

    encoder = AutoEncoder.from_pretrained("path/or/hub-id")
    v = encoder.encode_vision(frames[None]); t = encoder.encode_text("a man slicing tomatoes")
    v @ t.T                                                       # cosine, (1, 1)
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    @classmethod
    def from_pretrained(
        cls, name: str | os.PathLike[str], *, loading: Loading | None = None, pooling: str = ""
    ) -> AutoEncoder:
        """Load it. Raises as `open_encoder`."""
        return cls(open_encoder(os.fspath(name), loading=loading, pooling=pooling))

    def encode_vision(self, videos: Any) -> NDArray[np.float32]:
        """Unit rows (B, D), one for each video; `videos` as `longshot.arrays.as_clips` takes them."""
        return self.encoder.encode_frames(as_clips(videos))

    def encode_text(self, texts: str | Iterable[str]) -> NDArray[np.float32]:
        """Unit rows (B, D), one for each text."""
        return self.encoder.encode_text(as_texts(texts))

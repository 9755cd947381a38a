"""Your own model, without a fork: a subclass that names its architecture.

    class Mine(Captioner):
        ARCHITECTURE = "MyModelForConditionalGeneration"       # architectures[0] of its config.json

        def __init__(self, folder, *, loading):
            ...

        def describe(self, videos, prompt=""):                 # list of (T, H, W, 3) uint8 arrays -> list of str
            ...

Once imported it is known to `AutoCaptioner`, `AutoEncoder` and `--model`. A package that is to be found without an
import names it as an entry point: group "longshot.models", name the architecture, value "package.module:Mine".
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from longshot.checkpoints import Checkpoint
from longshot.contracts import Finish, Frames, Loading, Prompt, Reply
from longshot.errors import LongshotError, ModelError, UsageError
from longshot.pooling import unit
from longshot.timeline import Source

_known: dict[str, type] = {}


class _Own:
    """Registers a subclass that sets its own ARCHITECTURE; one that inherits it is not registered again."""

    ARCHITECTURE: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        name = cls.__dict__.get("ARCHITECTURE", "")
        if not name:
            return
        other = _known.get(name)
        # A module that is imported again (a notebook cell) replaces its own class.
        if other and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise LongshotError(
                f"two classes claim the architecture {name!r}: {other.__module__}.{other.__qualname__} and "
                f"{cls.__module__}.{cls.__qualname__}; give one of them another"
            )
        _known[name] = cls

    def __init__(self, folder: Path, *, loading: Loading) -> None:
        raise NotImplementedError(
            f"{type(self).__name__} must say how it is loaded: __init__(self, folder, *, loading)"
        )


class Captioner(_Own):
    """A model that puts videos into words: implement `describe`."""

    def describe(self, videos: Sequence[NDArray[np.uint8]]) -> list[str]:
        """One text for each video (T, H, W, 3), RGB. With a second parameter `prompt` it is told what to say."""
        raise NotImplementedError


class VideoEncoder(_Own):
    """A model that puts videos and text into one space: implement both methods."""

    def encode_vision(self, videos: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """One row for each video (T, H, W, 3), RGB: (N, D); Longshot makes them unit rows."""
        raise NotImplementedError

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row for each text: (N, D); Longshot makes them unit rows."""
        raise NotImplementedError


def own_class(architecture: str, kind: type) -> type | None:
    """The class of the user's for an architecture, when there is one and it is a `kind` (Captioner, VideoEncoder).

    Raises LongshotError when an entry point names something else.
    """
    if architecture not in _known:
        for point in entry_points(group="longshot.models", name=architecture):
            try:
                found = point.load()
            except (ImportError, AttributeError) as error:
                raise LongshotError(
                    f"{architecture}: its entry point {point.value} cannot be imported ({error})"
                ) from error
            if not (isinstance(found, type) and issubclass(found, _Own)):
                raise LongshotError(f"{architecture}: its entry point {point.value} is no Captioner or VideoEncoder")
            _known.setdefault(architecture, found)
    found = _known.get(architecture)
    return found if found is not None and issubclass(found, kind) else None


def architectures() -> list[str]:
    """The architectures that own classes and entry points serve, sorted."""
    return sorted({*_known, *(point.name for point in entry_points(group="longshot.models"))})


class OwnChatModel:
    """A user's captioner as a `ChatModel`: it can be asked about videos only."""

    batch = 8
    slots = 1
    context = 0

    def __init__(self, captioner: Captioner, checkpoint: Checkpoint) -> None:
        self.captioner = captioner
        self._takes_prompt = "prompt" in inspect.signature(captioner.describe).parameters
        note = "" if self._takes_prompt else "it describes in its own way; what it was asked is not passed on"
        self.source = Source("", checkpoint.name, checkpoint.revision, {}, note)

    def count_tokens(self, text: str) -> int:
        """At most one token a byte."""
        return len(text.encode())

    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """What it says of the frames of each prompt; one without frames gets a reply that FAILED."""
        replies = [Reply("", Finish.FAILED, "this model describes videos only, and there are no frames")] * len(prompts)
        asked: dict[str, list[int]] = {}
        for place, prompt in enumerate(prompts):
            if prompt.frames is not None:
                asked.setdefault(prompt.text if self._takes_prompt else "", []).append(place)
        for text, places in asked.items():
            said = self._describe([prompts[place].frames for place in places], text)
            for place, words in zip(places, said, strict=True):
                replies[place] = Reply(words.strip())
        return replies

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """All of it in one piece."""
        (reply,) = self.generate([prompt])
        yield reply.text

    def _describe(self, clips: Sequence[Frames | None], text: str) -> list[str]:
        options = {"prompt": text} if self._takes_prompt else {}
        said = self.captioner.describe([clip.pixels for clip in clips if clip is not None], **options)
        if len(said) != len(clips) or not all(isinstance(words, str) for words in said):
            name = type(self.captioner).__name__
            raise ModelError(self.source.model, f"{name}.describe must give one str for each of {len(clips)} videos")
        return list(said)


class OwnEncoder:
    """A user's encoder as an `Encoder`."""

    frames = 8
    height = 448

    def __init__(self, encoder: VideoEncoder, checkpoint: Checkpoint) -> None:
        self.encoder = encoder
        self.source = Source("", checkpoint.name, checkpoint.revision)
        self._dimension = 0

    @property
    def dimension(self) -> int:
        """D; found by encoding a word, once."""
        if not self._dimension:
            self._dimension = self.encode_text(["a"]).shape[1]
        return self._dimension

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows (N, D)."""
        return self._rows(self.encoder.encode_text(list(texts)), len(texts)) if len(texts) else self._none()

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        """Unit rows (N, D)."""
        if not len(clips):
            return self._none()
        return self._rows(self.encoder.encode_vision([clip.pixels for clip in clips]), len(clips))

    def _none(self) -> NDArray[np.float32]:
        return np.zeros((0, self.dimension), np.float32)

    def _rows(self, rows: Any, count: int) -> NDArray[np.float32]:
        if hasattr(rows, "detach"):
            rows = rows.detach().cpu().float()
        array = np.asarray(rows)
        if array.ndim != 2 or len(array) != count:
            raise ModelError(
                self.source.model,
                f"{type(self.encoder).__name__} must give one row for each of {count} inputs, got {array.shape}",
            )
        try:
            return unit(array)
        except UsageError as error:
            raise ModelError(self.source.model, str(error)) from error

"""What each kind of extension promises, and the values that cross the borders.

numpy is the border: no engine's own tensors pass through here. A new segmenter, transcriber or describer is one
file on its shelf with a `load(**options)` that returns an object of the protocol below; `tests/contracts/` holds
the suite that every such file must pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from longshot.errors import UsageError
from longshot.timeline import Caption, Hit, Source, Span, Track

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from longshot.looks import Look
    from longshot.video import Video


@dataclass(frozen=True, slots=True)
class Frames:
    """Pictures with their times.

    pixels: uint8 (T, H, W, 3), RGB, upright, square pixels. times: float64 (T,), the true presentation times in
    seconds on the video's clock.
    """

    pixels: NDArray[np.uint8]
    times: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, which: slice) -> Frames:
        return Frames(self.pixels[which], self.times[which])


@dataclass(frozen=True, slots=True)
class Glance:
    """What one stretch of a single pass over a video shows: every frame coarsely, some frames well.

    times: float64 (T,), presentation times of T consecutive frames, none left out.
    luma: float32 (T, 36, 64), area-averaged brightness of each of them, 0..255 full range, upright, the whole
        picture whatever its shape.
    chroma: float32 (T, 18, 32, 2), blue and red difference around 0 (grey), -128..127, upright.
    frames: the RGB pictures sampled from this stretch (often none, on a regular grid of seconds), a subset of
        `times`.
    """

    times: NDArray[np.float64]
    luma: NDArray[np.float32]
    chroma: NDArray[np.float32]
    frames: Frames

    def __len__(self) -> int:
        return len(self.times)


class Progress(Protocol):
    """Called now and then with how far the work is: `done` of `total` (seconds of video, or items)."""

    def __call__(self, done: float, total: float, /) -> None:
        """Take note; must return quickly."""
        ...


class Watcher(Protocol):
    """Something that looks on while a video is read once, from its first frame to its last."""

    def see(self, glance: Glance) -> None:
        """Take the next stretch. Stretches come in order, without gap or repeat."""
        ...


class SpanWatcher(Watcher, Protocol):
    """A segmenter at work on one video."""

    def finish(self, end: float) -> list[Span]:
        """The spans, in order, from 0 to `end` seconds without gap or overlap; at least one when `end` > 0."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Divides a video into spans. Shelf: `segmenters/`."""

    @property
    def source(self) -> Source:
        """Who this is and with which settings, as it stands in the track."""
        ...

    def watch(self, video: Video) -> SpanWatcher:
        """Start on one video; the watcher is then fed one pass of it."""
        ...

    def spans(self, video: Video) -> list[Span] | None:
        """The spans without a pass over the pictures, when this segmenter can do without one; else None."""
        ...


@runtime_checkable
class Transcriber(Protocol):
    """Turns what is said into a track of level "speech". Shelf: `transcribers/`."""

    def transcribe(self, video: Video, *, language: str | None, progress: Progress | None = None) -> Track | None:
        """The speech track; None when this way has nothing to offer for this video (no sidecar file, say)."""
        ...


class TextWatcher(Watcher, Protocol):
    """A reader of on-screen text at work on one video."""

    def finish(self, end: float) -> list[Caption]:
        """What was written on screen, merged over time, in order."""
        ...


@runtime_checkable
class TextReader(Protocol):
    """Reads the text on screen into captions of level "screen". Shelf: `readers/`."""

    @property
    def source(self) -> Source:
        """Who this is and with which settings, as it stands in the track."""
        ...

    @property
    def height(self) -> int:
        """The picture height in pixels that it wants to see in `Glance.frames`."""
        ...

    def watch(self, video: Video) -> TextWatcher:
        """Start on one video; the watcher is then fed one pass of it."""
        ...


@dataclass(frozen=True, slots=True)
class Scene:
    """What a describer is asked to put into words: one span with what is known about it.

    frames: sampled pictures of the span (None for a describer that watched the pass itself). look: where to take the
    pictures from when they are needed, instead of `frames`, for a describer that says which it wants (`sample`).
    speech, screen_text: what is said and written there. finer: the captions of the level below.
    """

    span: Span
    frames: Frames | None = None
    look: Look | None = None
    speech: tuple[Caption, ...] = ()
    screen_text: tuple[Caption, ...] = ()
    finer: tuple[Caption, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """What a describer says of a scene, and what each statement rests on (plain JSON values)."""

    text: str
    details: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None


@runtime_checkable
class Describer(Watcher, Protocol):
    """Puts scenes of one video into words. Shelf: `describers/`. One object serves one video.

    It is shown the single pass first (`see`), then asked about scenes in time order; one that needs only
    `Scene.frames` ignores `see`.
    """

    @property
    def source(self) -> Source:
        """Who this is and with which settings, as it stands in the track."""
        ...

    def describe(self, scenes: Sequence[Scene]) -> list[Description]:
        """One description for each scene, in the same order."""
        ...


class Exchange(NamedTuple):
    """One earlier turn of a conversation: what was asked, and what was answered."""

    asked: str
    answered: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a chat model is asked.

    text: the request. frames: the pictures it is about, with their true times; one frame is an image, more are a
    video. system: a system line, "" for the checkpoint's own default. history: earlier turns, oldest first; the frames
    belong to the first turn.
    """

    text: str
    frames: Frames | None = None
    system: str = ""
    history: tuple[Exchange, ...] = ()


class Finish(StrEnum):
    """How a reply ended."""

    STOP = "stop"
    """The model had said all."""
    LENGTH = "length"
    """The limit on new tokens was reached; the text is cut there."""
    REFUSED = "refused"
    """The model, or a filter before it, declined. `reason` says how that was seen."""
    FAILED = "failed"
    """No reply came. `reason` says why; asking again later may help."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a chat model answered to one prompt.

    text: the words, stripped; what there is of them when the finish is not STOP. reason: one line, when REFUSED or
    FAILED. tokens_in, tokens_out: tokens of the prompt (pictures included) and of the reply, 0 when not known. cost: in
    the currency of the prices that were given, 0.0 when none were. note: what was done to make the prompt fit ("12 of
    32 frames used"), "" when nothing.
    """

    text: str
    finish: Finish = Finish.STOP
    reason: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Loading:
    """How a checkpoint is put on this machine.

    device: "auto", "cpu", "cuda", "cuda:1", "mps", or "spread" over all GPUs. dtype: "auto" (bfloat16 on a GPU that has
    it, float32 on a CPU), "float32", "bfloat16", "float16". attention: "auto" (flash attention where it is installed
    and can run, else PyTorch's own), "sdpa", "flash_attention_2", "eager". bits: 0, or 8 or 4 for quantised weights.
    batch: prompts or clips at once, 0 to choose. remote_code: run Python files that lie beside the weights.
    """

    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    bits: int = 0
    batch: int = 0
    remote_code: bool = False


@runtime_checkable
class ChatModel(Protocol):
    """Answers prompts about pictures and text. Shelf: `chat_models/`; `load(name, *, loading, settings)` gives one.

    `name` is a folder, a hub id or an address, with "@revision" where that has a meaning; `settings` are generation
    options (`max_new_tokens`, `temperature`, ...), greedy when they do not say otherwise.
    """

    @property
    def source(self) -> Source:
        """model: its name. revision: what distinguishes these weights. settings: all that changes its replies."""
        ...

    @property
    def batch(self) -> int:
        """How many prompts one call of `generate` should hold, at least 1."""
        ...

    @property
    def slots(self) -> int:
        """How many calls of `generate` may run at once, in threads; 1 for a model in this process."""
        ...

    @property
    def context(self) -> int:
        """Tokens that prompt and reply may have together; 0 when not known."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, to plan with: exact where the tokenizer is here, else an estimate that is never low."""
        ...

    def generate(self, prompts: Sequence[Prompt]) -> list[Reply]:
        """One reply for each prompt, in the same order; what a prompt gets does not depend on the others.

        A prompt that cannot be answered gets a reply that FAILED or was REFUSED, and the others their answers. Raises
        ModelError only where no prompt can ever be answered (a wrong key, no such model).
        """
        ...

    def stream(self, prompt: Prompt) -> Iterator[str]:
        """The reply to one prompt, piece by piece as it is made; joined and stripped, the text of `generate`."""
        ...


@runtime_checkable
class HiddenStates(Protocol):
    """A chat model that also gives what stands behind its next token: what EOL-prompted encoders are made of."""

    def embed(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """The last layer's hidden state (after the final norm) at the last position of each prompt, as it stands
        before the first token of a reply, from one forward pass: float32 (N, D), not normalised.
        """
        ...


@runtime_checkable
class Encoder(Protocol):
    """Puts text and clips into one space. Shelf: `encoders/`, whose `load(name, *, loading, pooling)` gives one.

    `pooling` is a policy of `longshot.pooling`, "" for the family's own.
    """

    @property
    def source(self) -> Source:
        """model, revision and the settings that change the vectors (pooling, prompts)."""
        ...

    @property
    def dimension(self) -> int:
        """D, the length of a vector."""
        ...

    @property
    def frames(self) -> int:
        """How many frames of a clip it was made for; more or fewer are taken as well."""
        ...

    @property
    def height(self) -> int:
        """Pixels of a frame's shorter side below which something is lost for it; larger ones it scales down anyway."""
        ...

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One unit row for each text: float32 (N, D), N may be 0."""
        ...

    def encode_frames(self, clips: Sequence[Frames]) -> NDArray[np.float32]:
        """One unit row for each clip: float32 (N, D), N may be 0. Clips may differ in size and number of frames."""
        ...


@runtime_checkable
class PictureEncoder(Encoder, Protocol):
    """An encoder of single pictures, whose clip vectors are pooled from those of its frames."""

    def encode_pictures(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """One unit row for each picture (H, W, 3), RGB: float32 (N, D)."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """One video with all that was written down about it: what a finder looks for moments in.

    video: the content id. name: the file's name. duration: seconds. tracks: every level there is. path: the file, ""
    when it is not at hand. near: given a query, the cosine of it to each caption that has a vector, by caption id
    ("clip-0003"); None where no text vectors are to be had.
    """

    video: str
    name: str
    duration: float
    tracks: tuple[Track, ...]
    path: str = ""
    near: Callable[[str], Mapping[str, float]] | None = None


@runtime_checkable
class Finder(Protocol):
    """Finds the moments of one video that a sentence means. Shelf: `finders/`, whose `load(**options)` gives one."""

    @property
    def source(self) -> Source:
        """Who finds, with the settings that change what is found."""
        ...

    def find(self, told: Told, query: str, *, progress: Progress | None = None) -> list[Hit]:
        """Moments, the best first, scores 0..1; an empty list says that the video does not show it.

        Each hit's evidence are the captions that made it one, whose details name them ("id", "level") and say where
        words of the query stand in the text ("matched": [[start, end], ...], characters). Raises UsageError for a
        query without a word.
        """
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """One piece of a file that could not be used, or only after a repair: where (1-based line) and why."""

    line: int
    reason: str
    text: str = ""

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file said, and what of it could not be used.

    format: the name of the format that read it. tracks: one for each level in the file, at least one.
    skipped: pieces left out. mended: pieces used after a repair ("starts before 0").
    """

    format: str
    tracks: tuple[Track, ...]
    skipped: tuple[Fault, ...] = ()
    mended: tuple[Fault, ...] = ()

    @property
    def captions(self) -> tuple[Caption, ...]:
        """All captions of the file, level by level."""
        return tuple(caption for track in self.tracks for caption in track)

    @property
    def trouble(self) -> str:
        """One line about what was skipped or mended; empty when the file was clean."""
        parts = []
        total = len(self.captions) + len(self.skipped)
        if self.skipped:
            parts.append(f"{len(self.skipped)} of {total} cues skipped ({some_of(self.skipped)})")
        if self.mended:
            parts.append(f"{len(self.mended)} mended ({some_of(self.mended)})")
        return "; ".join(parts)


def some_of(faults: Sequence[Fault]) -> str:
    """The first two faults in words, with dots when there are more."""
    shown = ", ".join(map(str, faults[:2]))
    return f"{shown}, …" if len(faults) > 2 else shown


class FormatWriter(Protocol):
    """Tracks of one video as text."""

    def __call__(self, tracks: Sequence[Track], *, kind: str, media: str) -> str:
        """The file's whole text, ending in a newline when not empty.

        `kind` is one of the format's kinds. `media` is the address of the video for links, or "".
        Raises UsageError when these tracks cannot be written in this format.
        """
        ...


class FormatReader(Protocol):
    """Text back to tracks."""

    def __call__(self, text: str) -> Reading:
        """Everything readable in `text`. Raises FormatError, and nothing else, when there is none."""
        ...


class Likeness(Protocol):
    """How much a text looks like this format."""

    def __call__(self, text: str) -> float:
        """0.0 is another format, 0.5 may be this one, 1.0 says so itself. Looks at the beginning only."""
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write tracks as text, to read them, or both. Shelf: `formats/`, whose files' `load()` gives one.

    name: the file's name on the shelf. suffix: how its files end. loses: what does not come back when a file is
    read again, in words ("" for nothing). kinds: the uses that it can be written for, the default first.
    together: the kinds whose file can hold several levels of one video.
    """

    name: str
    suffix: str
    loses: str
    write: FormatWriter | None = None
    read: FormatReader | None = None
    likeness: Likeness | None = None
    kinds: tuple[str, ...] = ("captions",)
    together: tuple[str, ...] = ()

    def text_of(self, tracks: Iterable[Track], *, kind: str = "", media: str = "") -> str:
        """The tracks as text of this format, after a check that it can carry them.

        kind: one of `kinds`, the first when empty. Raises UsageError for an unknown kind, for tracks of several
        videos, for several levels where one is meant, and for a format that only reads.
        """
        tracks = list(tracks)
        kind = kind or self.kinds[0]
        if self.write is None:
            raise UsageError(f"{self.name} can be read but not written; write vtt or srt instead")
        if kind not in self.kinds:
            raise UsageError(f"{self.name} has no kind {kind!r}: there are {', '.join(self.kinds)}")
        if not tracks:
            raise UsageError(f"no track to write as {self.name}: give at least one")
        if len({track.video for track in tracks}) > 1:
            raise UsageError(f"one {self.name} file holds one video, got tracks of several: write one file each")
        levels = [track.level for track in tracks]
        if len(set(levels)) < len(levels):
            raise UsageError(f"two tracks of one level in one {self.name} file: got {', '.join(levels)}")
        if len(tracks) > 1 and kind not in self.together:
            raise UsageError(f"one {self.name} file holds one level: choose one of {', '.join(levels)}")
        return self.write(tracks, kind=kind, media=media)

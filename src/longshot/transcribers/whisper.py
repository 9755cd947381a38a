"""Whisper in many languages, with the time of each word (faster-whisper; fetches its model once)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faster_whisper
import faster_whisper.utils

from longshot import languages
from longshot.audio import Sound, listen
from longshot.errors import LongshotError, UsageError
from longshot.timeline import Caption, Source, Track
from longshot.transcribers._pieces import pieces
from longshot.transcribers._sentences import Word, captions_of

if TYPE_CHECKING:
    from longshot.contracts import Progress
    from longshot.video import Video

NEEDS = ("faster_whisper",)
EXTRA = "speech"

_RATE = 16000  # samples a second that its model was trained on
_LONGEST = 600.0  # seconds given to it at once: bounds the memory for a film
_SEARCH = 30.0  # seconds at the end of such a piece in which the quietest place is looked for


def load(*, model: str = "small", device: str = "auto", download: bool = True) -> Whisper:
    """The recogniser; its model is opened when there is something to hear.

    Args:
        model: a size ("tiny", "base", "small", "medium", "large-v3", "turbo"), a repository, or a folder.
        device: "cpu", "cuda" or "auto".
        download: fetch a model that is not on this disk; with False it is passed over.
    """
    if "/" not in model and not Path(model).is_dir() and model not in faster_whisper.available_models():
        known = ", ".join(faster_whisper.available_models())
        raise UsageError(f"no whisper model called {model!r}: there are {known}, or name a folder")
    return Whisper(model=model, device=device, download=download)


@dataclass(frozen=True, slots=True)
class Whisper:
    """Recognises speech in the language given or heard, with voice detection before it. Made by `load`."""

    model: str
    device: str
    download: bool

    def why_not(self, video: Video, *, language: str | None = None) -> str:
        """Why nothing can be heard here, in a few words; "" when something can."""
        if not video.has_audio:
            return "the file has no sound"
        if not self.download and self._on_disk() is None:
            return f"its model {self.model} is not on this disk; asked for by name, whisper fetches it"
        return ""

    def transcribe(self, video: Video, *, language: str | None, progress: Progress | None = None) -> Track | None:
        """What was said as a track of level "speech"; None without sound, or without a model that may be fetched.

        `language` is a tag ("de"); None takes the language of the first speech. Raises LongshotError when the model
        is neither here nor to be had.
        """
        if self.why_not(video, language=language):
            return None
        folder = self._on_disk() or self._fetched()
        engine = self._opened(folder)
        sounds = listen(video, rate=_RATE, language=language)
        spoken = (languages.code(language) or language) if language else None
        captions: list[Caption] = []
        for piece in pieces(sounds, longest=_LONGEST, search=_SEARCH):
            segments, heard = _segments(engine, piece, spoken)
            words: list[Word] = []
            for segment in segments:
                words += _timed(segment, piece.start)
                if progress is not None:
                    progress(min(piece.start + segment.end, video.duration), video.duration)
            captions += captions_of(words)
            spoken = spoken or (heard if words else None)
        settings = {"model": self.model, "language": spoken or ""}
        notes = ["" if captions else "no speech was heard", str(sounds.damage)]
        source = Source("transcribe", "whisper", _revision(folder), settings, "; ".join(n for n in notes if n))
        return Track(video.id, "speech", source, tuple(captions), video.name, video.duration)

    def _on_disk(self) -> Path | None:
        """The folder of the model, None when it is not on this disk."""
        if Path(self.model).is_dir():
            return Path(self.model)
        try:
            return Path(faster_whisper.utils.download_model(self.model, local_files_only=True))
        except OSError:  # what the hub's client raises for a file that is not in its cache
            return None

    def _fetched(self) -> Path:
        try:
            return Path(faster_whisper.utils.download_model(self.model))
        except Exception as error:  # the hub's client lets errors of several network packages through
            reason = str(error).strip().split("\n", 1)[0].rstrip(".")
            raise LongshotError(
                f"the whisper model {self.model} is not on this disk and could not be fetched ({reason}); connect once "
                "and try again, name a folder that holds it (model=...), or choose sphinx"
            ) from error

    def _opened(self, folder: Path) -> Any:
        try:
            return faster_whisper.WhisperModel(str(folder), device=self.device, compute_type="auto")
        except (RuntimeError, ValueError, OSError) as error:
            reason = str(error).strip().split("\n", 1)[0].rstrip(".")
            raise LongshotError(
                f"the whisper model in {folder} cannot be opened on {self.device} ({reason}); give a folder in the "
                "form of faster-whisper, or another device"
            ) from error


def _segments(engine: Any, piece: Sound, language: str | None) -> tuple[Iterable[Any], str]:
    """The engine's segments of one piece, recognised while they are taken, and the language heard."""
    segments, info = engine.transcribe(
        piece.samples,
        language=language,
        vad_filter=True,
        word_timestamps=True,
        # The text before is no context: one invented line would otherwise be repeated to the end.
        condition_on_previous_text=False,
    )
    return segments, info.language


def _timed(segment: Any, start: float) -> Iterable[Word]:
    if segment.words:
        return (_word(w.word, start + w.start, start + w.end, float(w.probability)) for w in segment.words)
    if not segment.text.strip():
        return ()
    return (_word(segment.text, start + segment.start, start + segment.end, 0.0),)


def _word(text: str, start: float, end: float, score: float) -> Word:
    return Word(text, round(start, 3), round(max(start, end), 3), score)


def _revision(folder: Path) -> str:
    # The hub's cache keeps each revision in a folder that bears its hash.
    return folder.name[:12] if folder.parent.name == "snapshots" else ""

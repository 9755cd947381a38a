"""The text subtitle stream inside the file, in the asked language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from longshot import languages
from longshot.audio import is_pictured, spoken_language, subtitle_captions
from longshot.timeline import Source, Track

if TYPE_CHECKING:
    from longshot.contracts import Progress
    from longshot.video import SubtitleStream, Video

_FORCED = re.compile(r"\b(forced|signs?|songs?)\b", re.IGNORECASE)
_FULL = re.compile(r"\b(full|dialogue?)\b", re.IGNORECASE)
_COMMENTARY = re.compile(r"\bcommentary\b", re.IGNORECASE)
_HEARING = re.compile(r"\b(sdh|cc|captions?|hearing|hoh|hi)\b", re.IGNORECASE)


def load() -> Embedded:
    """The reader of subtitle streams; it has no options."""
    return Embedded()


class Embedded:
    """Reads the best text subtitle stream: full dialogue in the asked language, else in the language spoken.

    Forced streams (only the foreign lines), signs and commentary are never taken for what is said. Subtitles for the
    hard of hearing are taken when there are no plain ones.
    """

    def why_not(self, video: Video, *, language: str | None = None) -> str:
        """Why there is nothing to read here, in a few words; "" when there is."""
        if not video.subtitles:
            return "no subtitle stream in the file"
        texts = [stream for stream in video.subtitles if not is_pictured(stream)]
        if not texts:
            codecs = ", ".join(sorted({stream.codec for stream in video.subtitles}))
            return f"its subtitle streams are pictures ({codecs}), not text"
        whole = [stream for stream in texts if _is_dialogue(stream)]
        if not whole:
            return "its subtitle streams hold only forced lines or commentary"
        if _suited(whole, language):
            return ""
        spoken = ", ".join(sorted({stream.language for stream in whole}))
        return f"its subtitle streams are in {spoken}, not in {language}"

    def transcribe(self, video: Video, *, language: str | None, progress: Progress | None = None) -> Track | None:
        """The subtitles as a track of level "speech"; None when the file has no suitable stream."""
        if self.why_not(video, language=language):
            return None
        stream = choose(video, language)
        captions = subtitle_captions(video, stream)
        if progress is not None:
            progress(video.duration, video.duration)
        settings = {"stream": stream.index, "language": stream.language, "codec": stream.codec}
        note = "" if captions else "the subtitle stream is empty"
        source = Source("transcribe", "embedded", settings=settings, note=note)
        return Track(video.id, "speech", source, tuple(captions), video.name, video.duration)


def choose(video: Video, language: str | None) -> SubtitleStream:
    """The stream to read: plain before hard-of-hearing, then the file's default, then the first."""
    whole = [stream for stream in video.subtitles if not is_pictured(stream) and _is_dialogue(stream)]
    spoken = spoken_language(video)

    def rank(stream: SubtitleStream) -> tuple[bool, bool, bool, int]:
        foreign = not languages.same(stream.language, language or spoken)
        return foreign, bool(_HEARING.search(stream.title)), not stream.default, stream.index

    return min(_suited(whole, language), key=rank)


def _suited(streams: Sequence[SubtitleStream], language: str | None) -> list[SubtitleStream]:
    """Those in the language or, failing that, those that do not say theirs; all when none is asked for."""
    if language is None:
        return list(streams)
    exact = [stream for stream in streams if languages.same(stream.language, language)]
    return exact or [stream for stream in streams if languages.unsaid(stream.language)]


def _is_dialogue(stream: SubtitleStream) -> bool:
    if stream.forced or _COMMENTARY.search(stream.title):
        return False
    return bool(_FULL.search(stream.title)) or not _FORCED.search(stream.title)

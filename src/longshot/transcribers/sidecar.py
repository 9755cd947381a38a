"""A subtitle file beside the video: talk.srt, talk.en.vtt, talk.ass, srts/talk.srt."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from longshot import languages
from longshot.audio import spoken_language
from longshot.errors import FormatError
from longshot.library import read_subtitles
from longshot.timeline import Caption, Source, Span, Track

if TYPE_CHECKING:
    from longshot.contracts import Progress
    from longshot.video import Video

_SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
_FORCED = {"forced", "foreign", "signs", "songs", "commentary"}
_HEARING = {"sdh", "cc", "hi", "hoh"}
_NEUTRAL = {"default", "auto", "orig", "original", "full"}


def load() -> Sidecar:
    """The reader of subtitle files; it has no options."""
    return Sidecar()


def beside(video: Path) -> list[Path]:
    """The subtitle files that belong to a video by name, whatever their language."""
    return sorted(found.path for found in _found(video))


@dataclass(frozen=True, slots=True)
class _Found:
    """One subtitle file of the video. language: two letters, "" when the name says none."""

    path: Path
    language: str
    place: int
    hearing: bool
    forced: bool


class Sidecar:
    """Reads the subtitle file that belongs to a video by its name.

    Looked for beside the video, in `srts/` there and in `../srts/`, whatever the case: the video's name, then any
    language ("en", "pt-BR", "English") and marks ("sdh", "forced"), then .srt, .vtt, .ass or .ssa. Another word in
    between makes it another video's file. A file that cannot be read makes room for the next.
    """

    def why_not(self, video: Video, *, language: str | None = None) -> str:
        """Why there is nothing to read here, in a few words; "" when there is."""
        every = list(_found(video.path))
        if not every:
            return f"no {video.path.stem}.srt, .vtt or .ass beside it"
        whole = [found for found in every if not found.forced]
        if not whole:
            return f"{every[0].path.name} holds only forced lines"
        if not _suited(whole, language):
            spoken = ", ".join(sorted({found.language for found in whole}))
            return f"the subtitle files beside it are in {spoken}, not in {language}"
        return ""

    def transcribe(self, video: Video, *, language: str | None, progress: Progress | None = None) -> Track | None:
        """The file's captions as a track of level "speech"; None when no suitable file is there.

        Raises FormatError when there are files and none of them can be read.
        """
        suited = _suited([found for found in _found(video.path) if not found.forced], language)
        if not suited:
            return None
        spoken = "" if len(suited) == 1 else languages.code(spoken_language(video))
        failed: list[str] = []
        for found in sorted(suited, key=lambda one: _rank(one, spoken)):
            try:
                track = _track(video, found, failed)
            except FormatError as error:
                failed.append(str(error))
                continue
            if progress is not None:
                progress(video.duration, video.duration)
            return track
        raise FormatError("; ".join(failed))


def _track(video: Video, found: _Found, failed: list[str]) -> Track:
    reading = read_subtitles(found.path)
    inside, outside = _inside(reading.captions, video.duration)
    notes = [*failed, reading.trouble]
    if outside:
        notes.append(f"{outside} of {len(reading.captions)} captions lie after the video's end: is this its file?")
    settings = {"file": found.path.name, "language": found.language, "format": reading.format}
    source = Source("transcribe", "sidecar", settings=settings, note="; ".join(note for note in notes if note))
    return Track(video.id, "speech", source, tuple(inside), video.name, video.duration)


def _inside(captions: tuple[Caption, ...], duration: float) -> tuple[list[Caption], int]:
    """The captions cut to the video's length, and how many lie past it. An unknown length (0) cuts nothing."""
    if duration <= 0:
        return list(captions), 0
    whole = Span(0.0, duration)
    kept = [
        Caption(caption.span.clamp(whole), caption.text, caption.score, caption.details)
        for caption in captions
        if caption.span.start < duration
    ]
    return kept, len(captions) - len(kept)


def _found(video: Path) -> Iterator[_Found]:
    """Subtitle files of a video, nearest folder first."""
    here = video.absolute().parent
    for place, folder in enumerate((here, here / "srts", here.parent / "srts")):
        yield from (found for path in _files(folder) if (found := _belongs(path, video.stem, place)))


def _files(folder: Path) -> list[Path]:
    """Subtitle files of a folder; none when it is not there or may not be listed."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.casefold().endswith(_SUFFIXES)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return [folder / name for name in sorted(names)]


def _belongs(path: Path, stem: str, place: int) -> _Found | None:
    """The file as one of the video's, None when its name is another's."""
    name, wanted = _plain(path.stem), _plain(stem)
    if name != wanted and not name.startswith(wanted + "."):
        return None
    marks = [mark for mark in name[len(wanted) :].split(".") if mark]
    language, forced, hearing = "", False, False
    for position, mark in enumerate(marks):
        spoken = languages.code(mark)
        if spoken and not (mark in _HEARING and position):  # "hi" is Hindi, after a language hearing impaired
            language = language or spoken
        elif mark in _FORCED:
            forced = True
        elif mark in _HEARING:
            hearing = True
        elif mark not in _NEUTRAL:
            return None
    return _Found(path, language, place, hearing, forced)


def _plain(name: str) -> str:
    # macOS stores accents apart from their letters, other systems together.
    return unicodedata.normalize("NFC", name).casefold()


def _suited(files: list[_Found], language: str | None) -> list[_Found]:
    """Those in the language or, failing that, those that do not say theirs; all when none is asked for."""
    if language is None:
        return files
    exact = [found for found in files if languages.same(found.language, language)]
    return exact or [found for found in files if not found.language]


def _rank(found: _Found, spoken: str) -> tuple[bool, bool, int, int, str]:
    """Without a language or in the one spoken first; then plain before hard-of-hearing, near before far."""
    foreign = bool(found.language) and found.language != spoken
    suffix = _SUFFIXES.index(found.path.suffix.casefold())
    return foreign, found.hearing, found.place, suffix, found.path.name

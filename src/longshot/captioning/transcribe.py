"""What is said in a video, from the best source there is, with the reasons for the choice.

    heard = hear("talk.mp4")
    heard.chosen, len(heard.track)                   # "sphinx", 212
    str(heard)        # "speech from sphinx (rough: …); passed over: sidecar (no talk.srt, .vtt or .ass beside it), …"

The order is sidecar, embedded, whisper, sphinx, none: what a person wrote comes before what a machine heard.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from longshot import languages, registry
from longshot.errors import LongshotError, MissingPackage, UsageError
from longshot.timeline import Source, Track
from longshot.video import Video, open_video

if TYPE_CHECKING:
    from longshot.contracts import Progress, Transcriber

ORDER = ("sidecar", "embedded", "whisper", "sphinx")
_WRITTEN = ("sidecar", "embedded")  # ways whose empty result tells nothing about what is said
# What "auto" may not do by itself: fetch hundreds of megabytes.
_AUTO_OPTIONS: dict[str, dict[str, Any]] = {"whisper": {"download": False}}


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A way to get the speech that was not taken, and why, in a few words."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Heard:
    """The speech track, where it comes from, and what was passed over before it.

    chosen: a name of the shelf, or "none"; the track is then empty. The track's note says the same in one line.
    """

    track: Track
    chosen: str
    passed_over: tuple[PassedOver, ...]

    def __str__(self) -> str:
        note = self.track.source.note
        return f"speech from {self.chosen}" + (f": {note}" if note else "")


def transcribe(
    source: Video | str | os.PathLike[str],
    *,
    speech: str = "auto",
    language: str | None = None,
    progress: Progress | None = None,
) -> Track:
    """What is said, as a track of level "speech"; its source's note says how rough it is and what was passed over.

    Args:
        source: an open video, or a path.
        speech: "auto" (sidecar, embedded, whisper if its model is on disk, sphinx), one of these names, or "none".
        language: the language wanted ("de", "pt-BR", "English"); None takes what is there.
        progress: called with seconds done and seconds in all.
    """
    return hear(source, speech=speech, language=language, progress=progress).track


def hear(
    source: Video | str | os.PathLike[str],
    *,
    speech: str = "auto",
    language: str | None = None,
    progress: Progress | None = None,
) -> Heard:
    """As `transcribe`, with the choice and the reasons for it as values.

    A video with nothing to hear or read gives an empty track. Raises UsageError for an unknown name or language and
    LongshotError when `speech` names one way and that way cannot serve this video.
    """
    if language is not None and not languages.known(language):
        raise UsageError(f"no language called {language!r}: give a code or an English name, as en, pt-BR or German")
    known = registry.choices("transcribers")
    if speech not in ("auto", "none", *known):
        raise UsageError(f"no speech called {speech!r}: there are auto, none, {', '.join(sorted(known))}")
    video = source if isinstance(source, Video) else open_video(source)
    if speech == "none":
        return _nothing(video, (), "speech was not asked for")
    if speech == "auto":
        return _first_that_serves(video, language, progress)
    return _named(video, speech, language, progress)


def _named(video: Video, name: str, language: str | None, progress: Progress | None) -> Heard:
    track = _offered(video, registry.load("transcribers", name), language, progress)
    if isinstance(track, str):
        raise LongshotError(f"{video.path}: {name} cannot give the speech: {track}; choose another, or auto")
    return Heard(track, name, ())


def _first_that_serves(video: Video, language: str | None, progress: Progress | None) -> Heard:
    passed: list[PassedOver] = []
    for name in ORDER:
        try:
            transcriber = registry.load("transcribers", name, **_AUTO_OPTIONS.get(name, {}))
            track = _offered(video, transcriber, language, progress)
        except MissingPackage as error:
            track = f"not installed: pip install 'longshot[{error.extra}]'"
        except LongshotError as error:
            track = str(error)
        if isinstance(track, Track) and not len(track) and name in _WRITTEN:
            track = track.source.note or "it is empty"
        if isinstance(track, Track):
            return Heard(_noted(track, passed), name, tuple(passed))
        passed.append(PassedOver(name, track))
    return _nothing(video, tuple(passed), _silence(video))


def _offered(video: Video, transcriber: Transcriber, language: str | None, progress: Progress | None) -> Track | str:
    """The track, or why there is none."""
    why_not = getattr(transcriber, "why_not", None)  # the contract asks for a track or None; ours say why as well
    reason = why_not(video, language=language) if why_not else ""
    if reason:
        return str(reason)
    track = transcriber.transcribe(video, language=language, progress=progress)
    return track if track is not None else "it has nothing to offer for this video"


def _silence(video: Video) -> str:
    if not video.has_audio:
        return "no sound and no subtitles"
    return "nothing here can hear the sound"


def _nothing(video: Video, passed: tuple[PassedOver, ...], reason: str) -> Heard:
    track = Track(video.id, "speech", Source("transcribe", "none", note=reason), (), video.name, video.duration)
    return Heard(_noted(track, passed), "none", passed)


def _noted(track: Track, passed: list[PassedOver] | tuple[PassedOver, ...]) -> Track:
    """The track with what was passed over in its note."""
    if not passed:
        return track
    note = f"passed over: {', '.join(map(str, passed))}"
    note = f"{track.source.note}; {note}" if track.source.note else note
    return replace(track, source=replace(track.source, note=note))

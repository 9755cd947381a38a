"""What every format file promises, and what reading a file gives.

A format is one file on this shelf whose `load()` returns a `Format`. Files that begin with an underscore are
shared by the shelf and are no formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from longshot.errors import FormatError, UsageError
from longshot.timeline import Caption, Source, Track

_COARSE_FIRST = ("video", "segment", "clip", "shot")
LEAVES = ("speech", "screen")  # what stands in pictures and holds none


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
            parts.append(f"{len(self.skipped)} of {total} cues skipped ({_few(self.skipped)})")
        if self.mended:
            parts.append(f"{len(self.mended)} mended ({_few(self.mended)})")
        return "; ".join(parts)


def _few(faults: Sequence[Fault]) -> str:
    shown = ", ".join(map(str, faults[:2]))
    return f"{shown}, …" if len(faults) > 2 else shown


class Writer(Protocol):
    """Tracks of one video as text."""

    def __call__(self, tracks: Sequence[Track], *, kind: str, media: str) -> str:
        """The file's whole text, ending in a newline when not empty.

        `kind` is one of the format's kinds. `media` is the address of the video for links, or "".
        Raises UsageError when these tracks cannot be written in this format.
        """
        ...


class Reader(Protocol):
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
    """One way to write tracks as text, to read them, or both.

    name: the file's name on the shelf. suffix: how its files end. loses: what does not come back when a file is
    read again, in words ("" for nothing). kinds: the uses that it can be written for, the default first.
    together: the kinds whose file can hold several levels of one video.
    """

    name: str
    suffix: str
    loses: str
    write: Writer | None = None
    read: Reader | None = None
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


def foreign(name: str, captions: Sequence[Caption], skipped: Sequence[Fault], mended: Sequence[Fault]) -> Reading:
    """A reading of a file that does not say what it is: a track "speech" that notes what was skipped.

    Raises FormatError when nothing could be read.
    """
    if not captions:
        why = f" ({_few(skipped)})" if skipped else ""
        raise FormatError(f"no readable cue in this {name} text{why}; give a file with lines of time and text")
    bare = Reading(name, (Track("", "speech", Source("read", name), tuple(captions)),), tuple(skipped), tuple(mended))
    source = Source("read", name, note=bare.trouble)
    return Reading(name, (Track("", "speech", source, tuple(captions)),), tuple(skipped), tuple(mended))


def coarse_first(tracks: Sequence[Track]) -> list[Track]:
    """Tracks from long captions to short ones, ties in the order of our own levels; speech and screen text last."""
    return sorted(tracks, key=_coarseness)


def _coarseness(track: Track) -> tuple[bool, float, int]:
    mean = sum(caption.span.length for caption in track) / max(1, len(track))
    rank = _COARSE_FIRST.index(track.level) if track.level in _COARSE_FIRST else len(_COARSE_FIRST)
    return track.level in LEAVES, -mean, rank


def chapter_title(caption: Caption) -> str:
    """What a chapter list shows of a caption: its title where the maker gave one, else its words."""
    return str(caption.details.get("title") or caption.text)


def shown_text(track: Track, index: int) -> str:
    """A caption's words, or its id when it has none, so that a list of bare shots can still be seen."""
    return track.captions[index].text or track.id_of(index)

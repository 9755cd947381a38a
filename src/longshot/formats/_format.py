"""What the files of this shelf share: readings of other programs' files, the order of levels, words to show."""

from __future__ import annotations

from collections.abc import Sequence

from longshot.contracts import Fault, Reading, some_of
from longshot.errors import FormatError
from longshot.timeline import Caption, Source, Track

_COARSE_FIRST = ("video", "segment", "clip", "shot")
LEAVES = ("speech", "screen")  # what stands in pictures and holds none
LABELS = {
    "video": "Whole video",
    "part": "Parts",
    "chapter": "Chapters",
    "segment": "Segments",
    "scene": "Scenes",
    "clip": "Clips",
    "shot": "Shots",
    "speech": "Speech",
    "screen": "On screen",
}


def foreign(name: str, captions: Sequence[Caption], skipped: Sequence[Fault], mended: Sequence[Fault]) -> Reading:
    """A reading of a file that does not say what it is: a track "speech" that notes what was skipped.

    Raises FormatError when nothing could be read.
    """
    if not captions:
        why = f" ({some_of(skipped)})" if skipped else ""
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


def label_of(level: str) -> str:
    """What people call the captions of a level: "Clips"; a level of one's own by its name."""
    return LABELS.get(level, level[:1].upper() + level[1:])

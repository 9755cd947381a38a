"""SubRip subtitles, which every player shows (.srt)."""

from __future__ import annotations

from collections.abc import Sequence

from longshot.contracts import Format, Reading
from longshot.formats._cues import cut, guarded, plain, stamp
from longshot.formats._format import foreign, shown_text
from longshot.timeline import Caption, Track


def load() -> Format:
    """The format."""
    loses = "times finer than 1 ms, blank lines, ids, scores, details, who made it"
    return Format("srt", ".srt", loses, write, read, likeness)


def write(tracks: Sequence[Track], *, kind: str, media: str) -> str:
    """Numbered cues; a caption without words shows its id."""
    (track,) = tracks
    return "\n".join(_cue(track, index) for index in range(len(track)))


def _cue(track: Track, index: int) -> str:
    span = track.captions[index].span
    text = guarded(shown_text(track, index).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd"))
    lines = [line for line in (line.strip(" \t") for line in text.split("\n")) if line]
    times = f"{stamp(span.start, mark=',')} --> {stamp(span.end, mark=',')}"
    return "\n".join([str(index + 1), times, *lines, ""])


def likeness(text: str) -> float:
    """SubRip has no sign of its own: any line of times will do."""
    return 0.5 if cut(text[:65536], vtt=False).cues else 0.1 if "-->" in text else 0.0


def read(text: str) -> Reading:
    """Every cue with a readable time and some text, however dirty the file."""
    found = cut(text, vtt=False)
    captions = [Caption(cue.span, plain(cue.lines)) for cue in found.cues]
    return foreign("srt", [caption for caption in captions if caption.text.strip()], found.skipped, found.mended)

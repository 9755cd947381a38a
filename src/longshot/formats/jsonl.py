"""Everything a track holds, one JSON object per line; the truth the others are views of (.jsonl)."""

from __future__ import annotations

from collections.abc import Sequence

from longshot.contracts import Format, Reading
from longshot.errors import FormatError
from longshot.formats._header import caption_object, caption_of, check_version, dump, header_of, parse_object, track_of
from longshot.timeline import Caption, Track


def load() -> Format:
    """The format."""
    return Format("jsonl", ".jsonl", "", write, read, likeness, kinds=("track",))


def write(tracks: Sequence[Track], *, kind: str, media: str) -> str:
    """A header line, then one line for each caption."""
    (track,) = tracks
    lines = [dump(header_of(track)), *(dump(caption_object(track, index)) for index in range(len(track)))]
    return "\n".join(lines) + "\n"


def likeness(text: str) -> float:
    """Ours begin with a JSON object that names us."""
    first = text[:4096].lstrip().split("\n", 1)[0]
    return 1.0 if first.startswith("{") and '"longshot"' in first else 0.5 if first.startswith("{") else 0.0


def read(text: str) -> Reading:
    """The track. This is the file that all others are made from, so nothing in it is guessed or skipped."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise FormatError("empty: a track begins with a header line; write the track again")
    number, line = lines[0]
    try:
        header = parse_object(line)
        check_version(header)
        track_of(header, ())
    except FormatError as error:
        raise FormatError(f"line {number}: {error}; the first line is the track's header") from error
    captions, ids = [], []
    for number, line in lines[1:]:
        caption, name = _read_line(number, line)
        captions.append(caption)
        ids.append((number, caption, name))
    promised = header.get("captions", len(captions))
    if promised != len(captions):
        raise FormatError(
            f"the header promises {promised} captions, {len(captions)} are here: the file lost its end (make it "
            "again) or was edited (correct 'captions' in line 1, or remove it)"
        )
    track = track_of(header, captions)
    _check_ids(track, ids)
    return Reading("jsonl", (track,))


def _read_line(number: int, line: str) -> tuple[Caption, str]:
    try:
        row = parse_object(line)
        caption = caption_of(row)
    except FormatError as error:
        raise FormatError(
            f"line {number}: {error}; the line is torn or was edited: correct it, or make the track again"
        ) from error
    return caption, str(row.get("id", ""))


def _check_ids(track: Track, ids: list[tuple[int, Caption, str]]) -> None:
    # Levels above name these ids as their children, so a line removed by hand must not shift them unseen.
    ids.sort(key=lambda entry: entry[1].span)
    for index, (number, _, name) in enumerate(ids):
        if name and name != track.id_of(index):
            raise FormatError(
                f"line {number}: id {name[:60]!r} stands where {track.id_of(index)!r} belongs; number the ids in "
                "order of time, or remove them all"
            )

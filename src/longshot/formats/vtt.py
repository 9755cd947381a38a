"""WebVTT for the web's players: captions, descriptions, chapters or metadata (.vtt)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from longshot.contracts import Fault, Format, Reading
from longshot.errors import FormatError
from longshot.formats._cues import Cue, cut, plain, speaker_of, stamp, unescape
from longshot.formats._format import chapter_title, coarse_first, foreign
from longshot.formats._header import caption_object, caption_of, dump, header_of, parse_object, track_of
from longshot.timeline import Caption, Track

_NOTE = "NOTE longshot "
_STAND_IN = re.compile(r"<c\.id>[^<>]*</c>")


def load() -> Format:
    """The format."""
    loses = "captions, descriptions, chapters: times finer than 1 ms, scores, details; metadata: nothing"
    kinds = ("captions", "descriptions", "chapters", "metadata")
    return Format("vtt", ".vtt", loses, write, read, likeness, kinds, together=("chapters", "metadata"))


def write(tracks: Sequence[Track], *, kind: str, media: str) -> str:
    """Cues named by caption ids, after one NOTE for each track that says what it is and who made it.

    Chapters stand outer before inner, which is how WebVTT nests them. A caption without words shows its id, marked
    with the class "id". A metadata cue is the caption's JSON object.
    """
    notes = [_NOTE + _json({**header_of(track), "kind": kind}) + "\n" for track in tracks]
    order = [(track, index) for track in coarse_first(tracks) for index in range(len(track))]
    order.sort(key=lambda pair: (pair[0].captions[pair[1]].span.start, -pair[0].captions[pair[1]].span.end))
    return "\n".join(["WEBVTT\n", *notes, *(_cue(track, index, kind) for track, index in order)])


def _cue(track: Track, index: int, kind: str) -> str:
    caption, name = track.captions[index], _name(track.id_of(index))
    if kind == "metadata":
        payload = _json(caption_object(track, index))
    elif kind == "chapters" and chapter_title(caption):
        payload = _escape(chapter_title(caption)).replace("\n", "&#10;")
    elif not caption.text:
        payload = f"<c.id>{_escape(name)}</c>"
    else:
        payload = _escape(caption.text)
    times = f"{stamp(caption.span.start, mark='.')} --> {stamp(caption.span.end, mark='.')}"
    return f"{name}\n{times}\n{payload}\n"


def _name(text: str) -> str:
    return re.sub(r"-->|[\r\n\0]", "-", text).strip()


def _json(value: object) -> str:
    return dump(value).replace(">", "\\u003e")  # no "-->" may stand in a WebVTT file outside its times


def _escape(text: str) -> str:
    """Cue text that comes back letter by letter, blank lines and outer spaces included."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = text.replace("\r", "&#13;").replace("\0", "\ufffd").replace("\ufeff", "&#xFEFF;")
    text = re.sub(r"(?<=\n)\n|\A\n|\n\Z", "&#10;", text)
    return re.sub(r"^[ \t]+|[ \t]+$", _spelt, text, flags=re.MULTILINE)


def _spelt(spaces: re.Match[str]) -> str:
    return "".join(f"&#{ord(space)};" for space in spaces[0])


def likeness(text: str) -> float:
    """The first line says WEBVTT."""
    return 1.0 if text.lstrip().startswith("WEBVTT") else 0.0


def read(text: str) -> Reading:
    """Ours come back as the tracks they were; of others every readable cue does.

    Voice tags (`<v Name>`) go to `details["speaker"]`.
    """
    found = cut(text, vtt=True)
    headers = [line.removeprefix(_NOTE) for line in text.split("\n") if line.startswith(_NOTE)]
    if headers:
        tracks, unknown = _tracks(headers, found.cues)
        return Reading("vtt", tracks, (*found.skipped, *unknown), tuple(found.mended))
    captions = [_caption(cue) for cue in found.cues]
    return foreign("vtt", [caption for caption in captions if caption.text.strip()], found.skipped, found.mended)


def _caption(cue: Cue) -> Caption:
    speaker = speaker_of(cue.lines)
    return Caption(cue.span, plain(cue.lines), None, {"speaker": speaker} if speaker else {})


def _tracks(headers: Sequence[str], cues: Sequence[Cue]) -> tuple[tuple[Track, ...], list[Fault]]:
    """The tracks that the headers announce, and the cues whose id belongs to none of them."""
    by_level: dict[str, list[Cue]] = {}
    for cue in cues:
        by_level.setdefault(cue.name.rpartition("-")[0], []).append(cue)
    tracks = []
    for line in headers:
        try:
            header = parse_object(line)
            kind = header.pop("kind", "captions")
            track = track_of(header, ())
            own = sorted(by_level.pop(_name(track.level), []), key=_number)
            tracks.append(track.replace(_own_caption(cue, kind) for cue in own))
        except FormatError as error:
            raise FormatError(f"the NOTE of longshot: {error}; remove it to read the file as plain WebVTT") from error
    rest = [
        Fault(cue.line, "no id of a track in this file", plain(cue.lines)) for own in by_level.values() for cue in own
    ]
    return tuple(tracks), rest


def _number(cue: Cue) -> int:
    digits = cue.name.rpartition("-")[2]
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else 0


def _own_caption(cue: Cue, kind: str) -> Caption:
    if kind != "metadata":
        line = "\n".join(cue.lines)
        return Caption(cue.span, "" if _STAND_IN.fullmatch(line) else unescape(line))
    try:
        return caption_of(parse_object("".join(cue.lines)))
    except FormatError as error:
        raise FormatError(f"line {cue.line}: {error}") from error

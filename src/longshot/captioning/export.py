"""Export: tracks as files that other programs read.

export(tracks, "srt", level="speech")                 # one text
export_files("out", "views", ["srt", "vtt:chapters"]) # a library, or a list of track files, as files
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from longshot import registry
from longshot.contracts import Format
from longshot.errors import UsageError
from longshot.formats._format import LEAVES
from longshot.library import VideoRecord, read_tracks, video_beside, write_text
from longshot.timeline import Track


def export(tracks: Sequence[Track], format: str, *, kind: str = "", level: str = "", media: str = "") -> str:
    """Tracks of one video as the text of one file.

    Args:
        tracks: one or several levels.
        format: a name on the formats shelf, also with its kind ("vtt:chapters").
        kind: what the file is for: WebVTT has captions, descriptions, chapters and metadata.
        level: only this level. Needed when there are several and one file of the format holds one.
        media: the video's path or address, for links in an outline.

    Raises UsageError when the format cannot carry the tracks: unknown kind, level not there, YouTube's rules.
    """
    way, kind = way_of(format, kind)
    return way.text_of(_chosen(tracks, kind, level), kind=kind, media=media)


def export_files(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out_dir: str | os.PathLike[str],
    formats: Iterable[str],
    *,
    level: str = "",
) -> list[Path]:
    """Write tracks as files of other formats and return their paths.

    Args:
        sources: a library or another folder with track files, or the track files.
        out_dir: where the files go: `<video name>.<level>.srt`, or `<video name>.md` for all levels together.
        formats: names on the formats shelf; with a kind as in "vtt:chapters".
        level: only this level.

    All texts are made before the first is written, so an error leaves no half of an export. Raises UsageError for
    what cannot be exported and FormatError for a torn track.
    """
    ways = [way_of(name) for name in dict.fromkeys(formats)]
    if not ways:
        raise UsageError(f"no format to export to: name some of {', '.join(registry.choices('formats'))}")
    out = Path(out_dir)
    videos = _gather(sources)
    texts: dict[Path, str] = {}
    for stem, video in _named(videos):
        media = _address(video.record, out)
        for way, kind in ways:
            chosen = _chosen(video.tracks, kind, level)
            for name, group in _groups(stem, way, kind, chosen):
                if out / name in texts:
                    raise UsageError(f"two tracks would both be written to {out / name}: export one level at a time")
                texts[out / name] = way.text_of(group, kind=kind, media=media)
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def way_of(name: str, kind: str = "") -> tuple[Format, str]:
    """A format and its kind from "vtt" or "vtt:chapters". Raises UsageError for unknown ones."""
    name, _, own = name.partition(":")
    way: Format = registry.load("formats", name)
    if own and kind and own != kind:
        raise UsageError(f"two kinds for one file: {own!r} in {name}:{own}, and {kind!r}; give one")
    kind = own or kind or way.kinds[0]
    if kind not in way.kinds:
        raise UsageError(f"{name} has no kind {kind!r}: there are {', '.join(way.kinds)}")
    if way.write is None:
        raise UsageError(f"{name} can be read but not written; export to vtt or srt instead")
    return way, kind


def _chosen(tracks: Sequence[Track], kind: str, level: str) -> list[Track]:
    if level:
        chosen = [track for track in tracks if track.level == level]
        if not chosen:
            there = ", ".join(track.level for track in tracks) or "none"
            raise UsageError(f"no level {level!r} here: there are {there}")
        return chosen
    if kind == "chapters":  # what is said or written on screen is none
        return [track for track in tracks if track.level not in LEAVES] or list(tracks)
    return list(tracks)


@dataclass(slots=True)
class _Levels:
    """The tracks of one video, and its record where one lies beside them."""

    tracks: list[Track] = field(default_factory=list)
    record: VideoRecord | None = None


def _gather(sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[_Levels]:
    """The tracks of all files, video by video. A file without a video id is a video of its own."""
    given = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    paths = [path for source in given for path in _track_files(Path(source))]
    if not paths:
        raise UsageError(f"no track to export in {', '.join(map(str, given)) or 'an empty list'}: give .jsonl files")
    videos: dict[str, _Levels] = {}
    for path in dict.fromkeys(paths):
        for track in read_tracks(path):
            video = videos.setdefault(track.video or str(path), _Levels())
            if any(other.level == track.level for other in video.tracks):
                raise UsageError(f"{path}: a second track of level {track.level!r} of one video; export them apart")
            named = track if track.name or track.video else _with_name(track, path.name)
            video.tracks.append(named)
            video.record = video.record or video_beside(path)
    return list(videos.values())


def _track_files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    return sorted(path for path in source.rglob("*.jsonl") if not path.name.startswith(".") and _is_track(path))


def _is_track(path: Path) -> bool:
    # A library's folder also holds journals and other line files.
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return b'"longshot"' in file.read(200)
    except OSError:
        return True  # reading it will say what is wrong with it


def _with_name(track: Track, name: str) -> Track:
    return Track(track.video, track.level, track.source, track.captions, name, track.duration)


def _named(videos: Sequence[_Levels]) -> list[tuple[str, _Levels]]:
    """A file stem for each video: its name, and its id too where two share one."""
    stems = [_stem(video) for video in videos]
    lower = [stem.lower() for stem in stems]  # some disks do not tell Talk from talk
    return [
        (f"{stem}.{_safe(video.tracks[0].video)[:16] or number}" if lower.count(stem.lower()) > 1 else stem, video)
        for number, (stem, video) in enumerate(zip(stems, videos, strict=True), 1)
    ]


def _stem(video: _Levels) -> str:
    names = (Path(track.name).stem for track in video.tracks if track.name)
    return _safe(next(names, "")) or _safe(video.tracks[0].video) or "video"


def _safe(name: str) -> str:
    """A name that is one part of a path anywhere, at most 100 characters."""
    return re.sub(r'[\x00-\x1f/\\:*?"<>|\ud800-\udfff]+', "_", name).strip(" ._")[:100]


def _groups(stem: str, way: Format, kind: str, tracks: Sequence[Track]) -> list[tuple[str, list[Track]]]:
    """The files that one video gives: a name and its tracks."""
    suffix = way.suffix if kind == way.kinds[0] else f".{kind}{way.suffix}"
    if kind in way.together:
        level = f".{_safe(tracks[0].level)}" if len(tracks) == 1 else ""
        return [(f"{stem}{level}{suffix}", list(tracks))]
    return [(f"{stem}.{_safe(track.level)}{suffix}", [track]) for track in tracks]


def _address(record: VideoRecord | None, out: Path) -> str:
    """The video's path as seen from the exported file; "" when the video is no longer there."""
    if record is None or not record.path or not Path(record.path).exists():
        return ""
    return Path(os.path.relpath(record.path, out)).as_posix()

"""Which videos a list of names means: files, folders and patterns, told apart by content.

    gather(["talk.mp4", "holiday/", "archive/**/*.mkv"]).paths

A name that is a file stays, whatever it holds: reading it will say what is wrong. From a folder, with all below it,
come the files that begin like a video, in natural order ("2.mp4" before "10.mp4"); hidden ones do not.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_HEAD = 4096  # bytes that tell the type

_SOUND = (b"fLaC", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9", b"#!AMR", b"wvpk", b"caff")
_PICTURE = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*", b"\x00\x00\x01\x00", b"8BPS", b"\xff\x0a")
_VIDEO = (
    b"\x1a\x45\xdf\xa3",  # Matroska and WebM
    b"\x30\x26\xb2\x75",  # ASF and WMV
    b"\x00\x00\x01\xba",  # MPEG programme stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"\x00\x00\x00\x01",  # H.264 and H.265 without a container
    b"\x06\x0e\x2b\x34",  # MXF
    b"\x1f\x07\x00",  # DV
    b"GIF87a",
    b"GIF89a",
    b"FLV",
    b"YUV4MPEG2",
    b".RMF",
    b"DKIF",
    b"nut/multimedia",
)
_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_SOUND_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
_PICTURE_BRANDS = (b"avif", b"heic", b"heix", b"mif1")


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a list of names means.

    paths: the files to work on. skipped: files in folders that are no videos. problems: one line for each name
    that means nothing.
    """

    paths: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def gather(names: Iterable[str], *, sound: bool = False, without: Sequence[str | os.PathLike[str]] = ()) -> Gathered:
    """Find the files that `names` mean, each once, in the order of the names.

    Args:
        names: files, folders, and patterns with `*`, `?`, `[...]` and `**`.
        sound: also take files of sound from folders.
        without: folders in which nothing is looked for: our own output.
    """
    kinds = ("video", "sound") if sound else ("video",)
    paths: dict[str, None] = {}
    skipped: dict[str, None] = {}
    problems: list[str] = []
    for name in names:
        matches, problem = _matches(name)
        problems += [problem] if problem else []
        for match in matches:
            if not os.path.isdir(match):
                paths[match] = None
                continue
            files = _files_below(match, [os.path.realpath(folder) for folder in without])
            good = [file for file in files if kind_of(file) in kinds]
            if not good:
                problems.append(_nothing_in(match, len(files)))
            paths.update(dict.fromkeys(good))
            skipped.update(dict.fromkeys(file for file in files if file not in paths))
    return Gathered(tuple(_each_once(paths)), tuple(skipped), tuple(problems))


def kind_of(path: str | os.PathLike[str]) -> str:
    """How a file begins: "video", "sound", "picture", or "" for anything else and what cannot be read."""
    if not os.path.isfile(path):
        return ""
    try:
        with open(path, "rb") as file:
            return _kind(file.read(_HEAD))
    except OSError:  # the caller counts it among the files that are no videos, and says so
        return ""


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts "2.mp4" before "10.mp4", and capitals among small letters."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part.casefold()) for part in parts)


def _matches(name: str) -> tuple[list[str], str]:
    """The files and folders that one name means, and what is wrong with it."""
    # A file whose own name holds a bracket is meant as it stands.
    if os.path.lexists(name) or not glob.has_magic(name):
        return [name], ""
    found = sorted(glob.glob(name, recursive=True), key=natural)
    return found, "" if found else f"{name}: no file matches"


def _files_below(folder: str, without: Sequence[str]) -> list[str]:
    found: list[str] = []
    for home, folders, files in os.walk(folder):
        kept = [name for name in folders if not name.startswith(".")]
        folders[:] = sorted((n for n in kept if os.path.realpath(os.path.join(home, n)) not in without), key=natural)
        names = [name for name in files if not name.startswith(".")]
        found += [os.path.join(home, name) for name in sorted(names, key=natural)]
    return found


def _nothing_in(folder: str, others: int) -> str:
    if not os.access(folder, os.R_OK | os.X_OK):
        return f"{folder}: may not be read by this user"
    others_said = {0: "it is empty", 1: "one other file"}.get(others, f"{others} other files")
    return f"{folder}: no video in this folder ({others_said})"


def _each_once(paths: Iterable[str]) -> list[str]:
    seen: dict[str, str] = {}
    for path in paths:
        seen.setdefault(os.path.realpath(path), path)
    return list(seen.values())


def _kind(head: bytes) -> str:
    if head[4:8] in _ATOMS:
        return _kind_of_brand(head[8:12]) if head[4:8] == b"ftyp" else "video"
    if head.startswith((b"RIFF", b"RF64", b"FORM")):
        return {b"AVI ": "video", b"WAVE": "sound", b"AIFF": "sound", b"WEBP": "picture"}.get(head[8:12], "")
    if head.startswith(b"OggS"):
        return "video" if b"theora" in head[:256] else "sound"
    if head.startswith(b"\x89PNG") and b"acTL" in head:
        return "video"
    if head.startswith(_VIDEO) or _is_transport_stream(head):
        return "video"
    if head.startswith(_SOUND):
        return "sound"
    return "picture" if head.startswith(_PICTURE) else ""


def _kind_of_brand(brand: bytes) -> str:
    if brand in _SOUND_BRANDS:
        return "sound"
    return "picture" if brand in _PICTURE_BRANDS else "video"


def _is_transport_stream(head: bytes) -> bool:
    """A sync byte every 188 bytes, or every 192 after a time stamp (Blu-ray)."""
    return any(
        len(head) > first + 2 * step and all(head[first + step * k] == 0x47 for k in range(3))
        for first, step in ((0, 188), (4, 192))
    )

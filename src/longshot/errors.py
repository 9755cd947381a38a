"""Every error that Longshot raises, in one tree.

    LongshotError
    ├── UsageError            an argument that cannot be meant: what came, what is allowed
    ├── MediaError            a file that cannot be used, and why
    │   ├── NoPictures        sound is there, pictures are not
    │   └── NoSound           pictures are there, sound is not
    ├── FormatError           a text file (track, subtitles, journal) that cannot be read
    ├── ModelError            a model that cannot be loaded or asked at all, and why
    ├── MissingPackage        an optional package is not installed; names the install line
    ├── NoIndex               a library without an index (in longshot.tables, as is the next)
    ├── IndexDamaged          an index that cannot be read; it can be made again from the tracks
    └── Busy                  another process is writing the same folder

A message is one line: what came, what was allowed, what to do. Doors catch `LongshotError` in one place
and print the message; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations


class LongshotError(Exception):
    """The root: catch this to catch all of ours."""


class UsageError(LongshotError):
    """An argument or option that cannot be meant."""


class MediaError(LongshotError):
    """A file that cannot be used as video or sound.

    `path` is the file as it was given, `reason` the rest of the sentence.
    """

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, str]]:
        # Worker processes send errors home by pickle, which would otherwise call __init__ with one argument.
        return type(self), (self.path, self.reason)


class NoPictures(MediaError):
    """The file holds sound but no pictures."""


class NoSound(MediaError):
    """The file holds pictures but no sound."""


class FormatError(LongshotError):
    """A text file that cannot be read as what it should be."""


class ModelError(LongshotError):
    """A model that cannot be used: no checkpoint, wrong or unsafe weights, a server that lets nobody in.

    `model` is its name as it was given, `reason` the rest of the sentence.
    """

    def __init__(self, model: object, reason: str) -> None:
        super().__init__(f"{model}: {reason}")
        self.model = str(model)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ModelError], tuple[str, str]]:
        return type(self), (self.model, self.reason)


class MissingPackage(LongshotError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; it comes with: pip install 'longshot[{extra}]'")
        self.package = package
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingPackage], tuple[str, str]]:
        return type(self), (self.package, self.extra)


class Busy(LongshotError):
    """Another process holds the folder that this one wants to write."""

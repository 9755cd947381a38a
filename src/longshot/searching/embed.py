"""Turn videos into vectors: one for each clip, shot, stretch of seconds, or the whole.

    embed("talk.mp4", encoder="openai/clip-vit-base-patch32")                  # one vector for each clip
    embed("talk.mp4", encoder=mine, every=4.0, frames=8)                       # one for every four seconds

Frames are decoded ahead while the model works, and clips go to it in batches.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longshot import registry
from longshot.captioning.segment import segment
from longshot.clips import preset
from longshot.contracts import Encoder, Frames, PictureEncoder, Progress
from longshot.errors import MediaError, NoPictures, UsageError
from longshot.journal import Result, State
from longshot.looks import Look, ahead
from longshot.models import open_encoder
from longshot.sampling import Sampler
from longshot.scaling.local import run
from longshot.timeline import Source, Span
from longshot.vectors import Vectors, read_vectors, write_vectors
from longshot.video import Video, open_video

_AT_ONCE = 32  # clips that are handed to the encoder together; it divides them as its memory allows


def embed(
    video: str | os.PathLike[str] | Video,
    *,
    encoder: str | Encoder,
    every: str | float = "clip",
    frames: int = 0,
    pooling: str = "",
    segmenter: str = "shots",
    progress: Progress | None = None,
) -> Vectors:
    """Turn one video into vectors.

    Args:
        video: a file, or a video that is already open.
        encoder: a folder, a hub id, or "engine:name"; `longshot list encoders` shows which are known.
        every: what has a vector of its own: "video", "shot", "clip", or seconds such as 4.0.
        frames: how many frames of a stretch are looked at; 0 takes as many as the encoder was made for.
        pooling: from frames to a vector: mean, first, or max (a row for each frame); the encoder's own when empty.
        segmenter: who finds the shots.
        progress: called with seconds done and in all.

    Returns unit rows with their spans and the true times of the frames. Raises UsageError for options that do not fit
    the encoder, NoPictures or MediaError for a file that cannot be used, ModelError for a model that cannot.
    """
    check_every(every)
    model = open_encoder(encoder, pooling=pooling) if isinstance(encoder, str) else encoder
    video = video if isinstance(video, Video) else open_video(video)
    spans = stretches(video, every=every, segmenter=segmenter, progress=progress)
    settings = source_of(model, every=every, frames=frames, pooling=pooling, segmenter=segmenter)
    (made,) = encode([(video, spans)], model, settings, frames=frames, pooling=pooling)
    if made.vectors is None:
        raise MediaError(video.path, made.reason.removeprefix(f"{video.path}: "))
    return made.vectors


def check_every(every: str | float) -> None:
    """Refuse an `every` that cannot be meant. Raises UsageError."""
    seconds = not isinstance(every, str | bool) and every > 0
    if every not in ("video", "shot", "clip") and not seconds:
        raise UsageError(f"every={every!r}: a vector can be of every 'video', 'shot', 'clip' or so many seconds")


def stretches(
    video: Video, *, every: str | float, segmenter: str = "shots", progress: Progress | None = None
) -> list[Span]:
    """The spans that get a vector. Raises NoPictures for sound alone."""
    if not video.has_video:
        raise NoPictures(video.path, "holds sound but no pictures to look at")
    if every == "video":
        return [Span(0.0, video.pictures_end() or video.duration)]
    if isinstance(every, str):
        rules = preset("clips") if every == "clip" else None
        return [caption.span for caption in segment(video, segmenter=segmenter, rules=rules, progress=progress)]
    return list(registry.load("segmenters", "fixed", every=float(every)).spans(video))


@dataclass(frozen=True, slots=True)
class Embedded:
    """One video after the work: its vectors, or why there are none, in one line."""

    video: Video
    vectors: Vectors | None = None
    reason: str = ""


def encode(
    items: Iterable[tuple[Video, Sequence[Span]]],
    encoder: Encoder,
    settings: Source,
    *,
    frames: int = 0,
    pooling: str = "",
) -> Iterator[Embedded]:
    """The vectors of the spans of several videos, video by video, in order.

    items: taken as they are needed. settings: what `source_of` says. Clips of several videos share a batch. A video
    with a span whose frames cannot be decoded has no vectors, and says why.
    """
    if frames < 0:
        raise UsageError(f"frames is a number from 1 up, or 0 for the encoder's own, got {frames}")
    sampler = Sampler("middle", count=frames or encoder.frames)
    begun: deque[_Collected] = deque()

    def looks() -> Iterator[Look]:
        for video, spans in items:
            begun.append(_Collected(video, spans))
            for span in spans:
                yield Look(video, tuple(sampler.times(span)), _height(video, encoder))

    stream = ahead(looks())
    while some := list(islice(stream, _AT_ONCE)):
        clips = [clip for clip in some if isinstance(clip, Frames)]
        rows = iter(_rows(encoder, clips, pooling))
        for clip in some:
            while begun[0].complete:
                yield begun.popleft().embedded(encoder.dimension, settings)
            begun[0].add(clip if isinstance(clip, MediaError) else next(rows))
    for left in begun:
        yield left.embedded(encoder.dimension, settings)


def _height(video: Video, encoder: Encoder) -> int:
    """How high frames must be: an encoder's height is that of the shorter side, so upright films need to be taller."""
    try:
        width, tall = video.size
    except MediaError:  # its looks will say why
        return encoder.height
    return max(encoder.height, round(encoder.height * tall / width))


class _Collected:
    """What has come of one video so far."""

    def __init__(self, video: Video, spans: Sequence[Span]) -> None:
        self.video, self.spans = video, spans
        self._rows: list[NDArray[np.float32]] = []
        self._times: list[tuple[float, ...]] = []
        self._where: list[Span] = []
        self._error: MediaError | None = None
        self._count = 0

    @property
    def complete(self) -> bool:
        """Whether every span has come."""
        return self._count == len(self.spans)

    def add(self, found: MediaError | tuple[NDArray[np.float32], list[tuple[float, ...]]]) -> None:
        """Take what became of the next span."""
        if isinstance(found, MediaError):
            self._error = self._error or found
        else:
            rows, times = found
            self._rows.append(rows)
            self._times += times
            self._where += [self.spans[self._count]] * len(rows)
        self._count += 1

    def embedded(self, dimension: int, source: Source) -> Embedded:
        """All of it."""
        if self._error is not None:
            return Embedded(self.video, reason=" ".join(str(self._error).split()))
        rows = np.concatenate(self._rows) if self._rows else np.zeros((0, dimension), np.float32)
        videos, names = (self.video.id,) * len(rows), (self.video.name,) * len(rows)
        return Embedded(self.video, Vectors(rows, videos, names, tuple(self._where), tuple(self._times), source))


def source_of(encoder: Encoder, *, every: str | float, frames: int, pooling: str, segmenter: str) -> Source:
    """Who made the vectors, and from what."""
    made = encoder.source
    settings: dict[str, Any] = {"encoder": dict(made.settings), "every": every, "frames": frames or encoder.frames}
    if pooling:
        settings["pooling"] = pooling
    if every in ("shot", "clip"):
        settings["segmenter"] = segmenter
    return Source("embed", made.model, made.revision, settings, made.note)


def _rows(
    encoder: Encoder, clips: Sequence[Frames], pooling: str
) -> Iterator[tuple[NDArray[np.float32], list[tuple[float, ...]]]]:
    """For each clip its rows and the times behind each: one row, or one a frame under "max"."""
    if not clips:
        return
    if pooling != "max":
        for row, clip in zip(encoder.encode_frames(clips), clips, strict=True):
            yield row[None], [tuple(clip.times.tolist())]
        return
    if not isinstance(encoder, PictureEncoder):
        raise UsageError(f"{encoder.source.model} looks at a clip as a whole: there are no frames to take the best of")
    each = encoder.encode_pictures([picture for clip in clips for picture in clip.pixels])
    end = 0
    for clip in clips:
        end += len(clip)
        yield each[end - len(clip) : end], [(float(second),) for second in clip.times]


# --- many videos


def embed_each(
    paths: Sequence[str],
    out: str | os.PathLike[str],
    *,
    encoder: Encoder,
    every: str | float = "clip",
    frames: int = 0,
    pooling: str = "",
    segmenter: str = "shots",
    workers: int | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[str, Result]]:
    """Write the vectors of many videos to Parquet files, one a video, and tell what became of each, in order.

    Args:
        paths: video files.
        out: the folder; a video whose file is there with the same settings is not done again.
        encoder: an open encoder; the other arguments as in `embed`.
        every: as in `embed`.
        frames: as in `embed`.
        pooling: as in `embed`.
        segmenter: who finds the shots, a name.
        workers: processes that look for shots; by default as many as cores and free memory allow.
        seconds: the time that finding the shots of one video may take.
        progress: called with the videos done so far and their number.

    Yields (path, result), whose value names the file, the vectors and their dimension.
    """
    check_every(every)
    folder = Path(out)
    source = source_of(encoder, every=every, frames=frames, pooling=pooling, segmenter=segmenter)
    ends: dict[str, Result] = {}
    opened: dict[int, str] = {}

    def items() -> Iterator[tuple[Video, Sequence[Span]]]:
        found = run(partial(_find, every=every, segmenter=segmenter), paths, workers=workers, seconds=seconds)
        for outcome in found:
            if outcome.result.state is not State.DONE:
                ends[outcome.item] = outcome.result
                continue
            video, spans = outcome.result.value
            place = folder / file_name(video.id, source)
            if place.exists():
                ends[outcome.item] = _written(place, video)
                continue
            opened[id(video)] = outcome.item
            yield video, spans

    done = encode(items(), encoder, source, frames=frames, pooling=pooling)
    for told, path in enumerate(paths, start=1):
        while path not in ends and (made := next(done, None)) is not None:
            ends[opened.pop(id(made.video))] = _kept(made, folder / file_name(made.video.id, source))
        if progress is not None:
            progress(told, len(paths))
        yield path, ends[path]


def file_name(video: str, source: Source) -> str:
    """The name of a video's file of vectors: another encoder, revision or setting has another."""
    said = json.dumps([source.model, source.revision, dict(source.settings)], sort_keys=True, default=str)
    digest = hashlib.blake2b(said.encode(), digest_size=4).hexdigest()
    last = Path(source.model).name
    model = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in last).strip(".") or "encoder"
    return f"{video}.{model}.{digest}.parquet"


def _find(path: str, progress: Progress, *, every: str | float, segmenter: str) -> tuple[Video, list[Span]]:
    with open_video(path) as video:
        return video, stretches(video, every=every, segmenter=segmenter, progress=progress)


def _kept(made: Embedded, place: Path) -> Result:
    with made.video as video:
        if made.vectors is None:
            return Result(State.UNREADABLE, None, made.reason)
        write_vectors(made.vectors, place)
        return _said(place, video, *made.vectors.rows.shape)


def _written(place: Path, video: Video) -> Result:
    with video:
        return _said(place, video, *read_vectors(place).rows.shape)


def _said(place: Path, video: Video, count: int, dimension: int) -> Result:
    return Result(State.DONE, {"video": video.id, "file": str(place), "vectors": count, "dimension": dimension})

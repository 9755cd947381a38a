"""Videos as plain arrays: read some frames of a file, and take what callers hold in whatever layout.

    frames = read_frames("demo.mp4", num_frames=32)      # uint8 (32, H, W, 3)
    as_clips(frames[None])                               # one clip: Frames with pixels and times
    as_clips([first, second])                            # two clips of different sizes

An array carries no times; the frames of a bare one count as half a second apart (the 2 frames a second that most
chat models assume). Give a path or `Frames` where times matter.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longshot.contracts import Frames
from longshot.errors import NoPictures, UsageError
from longshot.sampling import Sampler
from longshot.timeline import Span
from longshot.video import open_video

ASSUMED_SECONDS = 0.5


def read_frames(
    path: str | os.PathLike[str],
    *,
    num_frames: int = 32,
    span: Span | None = None,
    policy: str = "middle",
    height: int | None = None,
) -> NDArray[np.uint8]:
    """Frames of a video file, evenly chosen: uint8 (num_frames, H, W, 3), RGB, upright.

    Args:
        path: a video, an animated picture or a picture.
        num_frames: how many; a video that has fewer shows some twice.
        span: only this stretch of it, in seconds.
        policy: "middle" (of equal parts) or "endpoints" (first and last frame included).
        height: scale to so many pixels.

    Raises NoPictures for sound alone, MediaError for a file that cannot be used.
    """
    return read_clip(path, num_frames=num_frames, span=span, policy=policy, height=height).pixels


def read_clip(
    path: str | os.PathLike[str],
    *,
    num_frames: int = 32,
    span: Span | None = None,
    policy: str = "middle",
    height: int | None = None,
) -> Frames:
    """As `read_frames`, with the true times of the frames."""
    with open_video(path) as video:
        if not video.has_video:
            raise NoPictures(video.path, "holds sound but no pictures to look at")
        stretch = span or Span(0.0, video.pictures_end() or video.duration)
        return video.frames(Sampler(policy, count=num_frames).times(stretch), height=height)


def as_clips(videos: Any) -> list[Frames]:
    """One `Frames` for each video that the caller meant.

    Arrays (numpy, or torch tensors on any device) of (T, H, W, 3) or (T, 3, H, W) are one video, with a leading axis a
    batch of them; a list may hold arrays of different sizes, paths and `Frames`. A path is read at 32 frames. Raises
    UsageError for another shape or type.
    """
    if isinstance(videos, Frames):
        return [videos]
    if isinstance(videos, str | os.PathLike):
        return [read_clip(videos)]
    if isinstance(videos, Sequence):
        return [clip for video in videos for clip in as_clips(video)]
    array = _array(videos)
    if array.ndim == 5:
        return [_clip(one) for one in array]
    return [_clip(array)]


def as_texts(texts: str | Iterable[str]) -> list[str]:
    """A text, or several, as a list. Raises UsageError for what is no text."""
    found = [texts] if isinstance(texts, str) else list(texts)
    for text in found:
        if not isinstance(text, str):
            raise UsageError(f"a text is a str, got {type(text).__name__}")
    return found


def _clip(array: NDArray[np.uint8]) -> Frames:
    pixels = _channels_last(array)
    return Frames(pixels, np.arange(len(pixels), dtype=np.float64) * ASSUMED_SECONDS)


def _channels_last(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if array.ndim != 4 or not array.size:
        raise UsageError(
            f"a video is an array of (T, H, W, 3) or (T, 3, H, W), with or without a batch axis, "
            f"got {tuple(array.shape)}"
        )
    if array.shape[3] == 3:
        return np.ascontiguousarray(array)
    if array.shape[1] == 3:
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1))
    raise UsageError(f"a video has 3 colours on its last or second axis, got the shape {tuple(array.shape)}")


def _array(video: Any) -> NDArray[np.uint8]:
    # A torch tensor knows both; nothing of torch is imported for it.
    if hasattr(video, "detach") and hasattr(video, "cpu"):
        video = video.detach().cpu()
    array = np.asarray(video)
    if array.dtype != np.uint8:
        raise UsageError(f"pixels are uint8, 0 to 255, got {array.dtype}; a float picture in 0..1 is (x * 255) first")
    return array

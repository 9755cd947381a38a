"""One pass over a video for everybody who wants to look on, and the second at which its pictures end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from longshot.video import LAST_FRAMES, end_of_pictures

if TYPE_CHECKING:
    from longshot.contracts import Progress, Watcher
    from longshot.video import Video


def watch(
    video: Video,
    watchers: Sequence[Watcher],
    *,
    every: float | None = 0.5,
    height: int | None = 256,
    progress: Progress | None = None,
) -> float:
    """Decode the video once and show every glance to every watcher, in order.

    Args:
        video: what to look at.
        watchers: who looks on; an error of one of them ends the pass.
        every: seconds from one full picture to the next; None for watchers that need only the coarse ones.
        height: height of the full pictures in pixels.
        progress: told now and then how many seconds have been seen.

    Returns the second at which the pictures end (see `end_of_pictures`), 0.0 when not one could be seen. When
    decoding stops early that is where it stopped, and `video.damage` says so.
    """
    recent: deque[float] = deque(maxlen=LAST_FRAMES)
    for glance in video.scan(every=every, height=height):
        if not len(glance):
            continue
        for watcher in watchers:
            watcher.see(glance)
        recent.extend(glance.times[-LAST_FRAMES:].tolist())
        if progress is not None:
            progress(min(recent[-1], video.duration), video.duration)
    if not recent:
        return 0.0
    return end_of_pictures(list(recent), header=video.duration, fps=video.fps)

"""One pass over a video for everybody who wants to look on, and the second at which its pictures end."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longshot.contracts import Progress, Watcher
    from longshot.video import Video

_RECENT = 48  # frames at the end that tell how long the last one stays on screen


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
    recent: deque[float] = deque(maxlen=_RECENT)
    for glance in video.scan(every=every, height=height):
        if not len(glance):
            continue
        for watcher in watchers:
            watcher.see(glance)
        recent.extend(glance.times[-_RECENT:].tolist())
        if progress is not None:
            progress(min(recent[-1], video.duration), video.duration)
    if not recent:
        return 0.0
    return end_of_pictures(list(recent), header=video.duration, fps=video.fps)


def end_without_looking(video: Video) -> float:
    """The second at which the pictures end, from packet times alone: nothing is decoded but the first frame.

    The same as `watch` gives for an undamaged file; packets that would not decode are believed here.
    """
    times = video.packets().times
    if not len(times):
        return 0.0
    if len(times) > 1 and times[-1] <= 0:  # packets without times: the video counts them instead
        return video.duration
    return end_of_pictures(times[-_RECENT:].tolist(), header=video.duration, fps=video.fps)


def end_of_pictures(times: Sequence[float], *, header: float, fps: float) -> float:
    """The second at which the last frame leaves the screen.

    The last frame stays as long as its recent predecessors did (the median). The header knows better when it
    agrees within 1.5 of the longest recent frame; a header that promises more belongs to a longer sound track or
    to a file that was cut off.

        frames at 9.88, 9.92, 9.96; header 10.0   ->  10.0
        frames at 9.88, 9.92, 9.96; header 10.02  ->  10.02
        frames at 9.88, 9.92, 9.96; header 63.0   ->  10.0    (9.96 + 0.04)
        frames at 0, 4, 8, 12; header 17.5        ->  17.5    (pictures that stay long; the header is near enough)

    Args:
        times: seconds of the last frames, in order, at least one.
        header: duration that the header states, 0.0 when it states none.
        fps: stated frame rate, 0.0 when there is none; it speaks for a video of one frame.
    """
    last = times[-1]
    spacings = [later - earlier for earlier, later in pairwise(times) if later > earlier]
    if not spacings:
        spacings = [1 / fps if fps > 0 else 0.04]
    end = last + median(spacings)
    if math.isfinite(header) and header > last and abs(header - end) <= 1.5 * max(spacings):
        return header
    return end

"""Shots without a whole pass: the container says where something may happen, and only that is decoded.

A keyframe that comes before its time is one that the encoder put there because the picture changed; two keyframes
that show different things have a change between them; a compressed picture much larger than its neighbours, or
a second of larger ones, is a cut or a dissolve. Stretches with none of this are not decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from longshot.contracts import Frames, Glance
from longshot.decoding import cores
from longshot.segmenters._likeness import Looks, distances, look, unmatched
from longshot.timeline import Span

if TYPE_CHECKING:
    from longshot.video import Packets, Video

_FEWEST_KEYS = 3
_EARLY = 0.9  # share of the usual distance of keyframes, below which one came early
_OTHER_SHAPE, _OTHER_COLOUR = 0.2, 5.0  # from here on two keyframes show different things
_SURE_SHAPE = 0.35  # from here on they show different scenes
_APART = 1.0  # seconds: keyframes nearer than that are compared with later ones
_SPIKE = 2.5  # times the large pictures around: a cut inside a group of pictures
_LIKE_KEY = 0.45  # share of a keyframe's size; one whose picture is as new is a cut as well
_SWELL = 1.8  # times the usual size over _SWELLING seconds: a dissolve
_SWELLING = 0.4
_SPIKE_OF_KEY, _SWELL_OF_KEY = 0.1, 0.03  # and this share of a keyframe at least
_NEAR, _ITSELF = 1.5, 0.1  # seconds around a picture in which it is compared; nearer ones belong to it
_HIDING, _HIDING_MIX = 0.3, 0.12  # share of a keyframe's size that a hidden cut, or a mix, reaches at least
_CONTEXT = 0.7  # seconds decoded before and after
_WORTH = 0.6  # share of the video from which a whole pass is simpler


class Finder(Protocol):
    """What decodes a stretch into the starts of its shots: a ShotWatcher."""

    def see(self, glance: Glance) -> None:
        """Take the next stretch."""

    def starts(self, end: float) -> list[float]:
        """The seconds at which new shots begin."""


def fast_spans(video: Video, finder: Callable[[], Finder]) -> list[Span] | None:
    """The shots of `video`, or None when too much of it would have to be decoded to save anything."""
    packets = video.packets()
    keys = packets.times[packets.keys]
    end = video.duration
    if len(keys) < _FEWEST_KEYS or len(keys) > len(packets) / 4:
        return None
    looks = _thumbnails(video, keys)
    known, doubtful = triage(packets, looks, end)
    stretches = [span.clamp(Span(0, end)) for span in _merged(doubtful)]
    if sum(span.length for span in stretches) > _WORTH * end:
        return None
    starts = {second for second in known if not any(second in span for span in stretches)}
    with ThreadPoolExecutor(min(cores(), max(1, len(stretches)))) as pool:
        for found in pool.map(lambda span: _look_closely(video, span, finder()), stretches):
            starts.update(found)
    edges = [0.0, *sorted(second for second in starts if 0 < second < end), end]
    return [Span(first, last) for first, last in pairwise(edges)]


def triage(packets: Packets, looks: Looks, end: float) -> tuple[list[float], list[Span]]:
    """The cuts that keyframes prove, and the stretches that must be looked at.

    looks: the keyframes, as small pictures.
    """
    keys = packets.times[packets.keys]
    edges = np.append(keys, end)
    usual = float(np.diff(edges).max())
    shape = unmatched(looks.shape[:-1], looks.shape[1:]).mean(1)
    proven = [float(keys[k + 1]) for k in range(len(keys) - 1) if _proves(edges, k, usual, shape)]
    known = [second for second in proven if sum(abs(second - other) < _APART for other in proven) == 1]
    key = float(np.median(packets.sizes[packets.keys]))
    # Several in a row may be a strobe or flashes, which only a look can tell from cuts.
    doubtful = [Span(second, second) for second in proven if second not in known]
    for k in range(len(keys)):
        later = int(min(np.searchsorted(keys, keys[k] + _APART), len(keys) - 1))
        explained = any(keys[k] < second <= keys[later] for second in known)
        if later > k and not explained and _differ(looks, k, later) and _could_hide(packets, keys[k], keys[later]):
            doubtful.append(Span(float(keys[k]), float(keys[later])))
        inside = slice(*np.searchsorted(packets.times, edges[k : k + 2]).tolist())
        doubtful += _outliers(packets.times[inside][1:], packets.sizes[inside][1:], key)
    return known, [Span(max(0.0, span.start - _CONTEXT), span.end + _CONTEXT) for span in doubtful]


def _proves(edges: NDArray[np.float64], k: int, usual: float, shape: NDArray[np.float32]) -> bool:
    """Whether the keyframe after `k` came early and shows another scene."""
    return bool(edges[k + 1] - edges[k] < _EARLY * usual and shape[k] > _SURE_SHAPE)


def _could_hide(packets: Packets, start: float, end: float) -> bool:
    """Whether a change may lie between two keyframes without standing out among its neighbours.

    The first picture of a new shot is coded nearly as a keyframe is, wherever it falls, and a mix costs much all
    the way. Where everything in between stays small, the camera moved.
    """
    inside = slice(*np.searchsorted(packets.times, [start, end]).tolist())
    sizes = packets.sizes[inside]
    between = sizes[~packets.keys[inside]]
    nearby = sizes[packets.keys[inside]]
    if not len(between) or not len(nearby):
        return True
    return bool(np.percentile(between, 95) > _HIDING * nearby.max() or np.median(between) > _HIDING_MIX * nearby.max())


def _differ(looks: Looks, one: int, other: int) -> bool:
    pair = np.array([one, other])
    shape = unmatched(looks.shape[pair[:1]], looks.shape[pair[1:]]).mean()
    colour = distances(looks.colour[pair[:1]], looks.colour[pair[1:]])[0, 0]
    return bool(shape > _OTHER_SHAPE or colour > _OTHER_COLOUR)


def _outliers(times: NDArray[np.float64], sizes: NDArray[np.int64], key: float) -> list[Span]:
    """Where the pictures of one group, its keyframe left out, are much larger than others near them.

    Encoders spend far less on some pictures (B) than on others (P), in turn; so a picture is held against the large
    ones of the seconds around it, and a stretch against other stretches as long.

    key: the usual size of a keyframe, in bytes.
    """
    if len(times) < 8:
        return []
    spikes = []
    for k in np.flatnonzero(sizes > _SPIKE_OF_KEY * key).tolist():
        near = (np.abs(times - times[k]) < _NEAR) & (np.abs(times - times[k]) > _ITSELF)
        large = float(np.percentile(sizes[near], 95)) if near.any() else 0.0
        if sizes[k] > _SPIKE * large or sizes[k] > _LIKE_KEY * key:
            spikes.append(Span(float(times[k]), float(times[k])))
    width = max(2, round(_SWELLING * (len(times) - 1) / max(float(times[-1] - times[0]), 1e-6)))
    if len(times) < 2 * width:
        return spikes
    mean = np.convolve(sizes, np.full(width, 1 / width), "valid")
    swollen = (mean > _SWELL * np.median(mean)) & (mean > _SWELL_OF_KEY * key)
    return spikes + [Span(float(times[k]), float(times[k + width - 1])) for k in np.flatnonzero(swollen)]


def _merged(spans: list[Span]) -> list[Span]:
    """The same seconds as spans that neither touch nor overlap, in order."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def _look_closely(video: Video, span: Span, finder: Finder) -> list[float]:
    """The starts of shots inside `span`, from a pass over that stretch alone."""
    for glance in video.scan(every=None, start=span.start, end=span.end):
        finder.see(Glance(glance.times - span.start, glance.luma, glance.chroma, glance.frames))
    return [second + span.start for second in finder.starts(span.length)]


def _thumbnails(video: Video, keys: NDArray[np.float64]) -> Looks:
    """The keyframes as small pictures; they are decoded alone."""
    frames: Frames = video.frames(keys + 1e-6, height=72, width=128)
    pixels = frames.pixels.astype(np.float32)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    differences = np.stack([(blue - light) / 1.8556, (red - light) / 1.5748], axis=-1)
    luma = light.reshape(-1, 36, 2, 64, 2).mean((2, 4))
    chroma = differences.reshape(-1, 18, 4, 32, 4, 2).mean((2, 4))
    return look(frames.times, luma.astype(np.float32), chroma.astype(np.float32))

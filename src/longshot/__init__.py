"""Longshot turns video into time-coded text.

    import longshot

    video = longshot.open_video("talk.mp4")
    shots = longshot.segment("talk.mp4")
    tracks = longshot.recap("talk.mp4")
    found = longshot.find("talk.mp4", "the two questions at the end")

Names load on first use, so importing this costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "AutoCaptioner": "longshot.models",
    "AutoEncoder": "longshot.models",
    "Caption": "longshot.timeline",
    "Captioner": "longshot.own_models",
    "ClipRules": "longshot.clips",
    "Found": "longshot.searching.moments",
    "Frames": "longshot.contracts",
    "Hit": "longshot.timeline",
    "Index": "longshot.tables",
    "Library": "longshot.library",
    "Loading": "longshot.contracts",
    "LongshotError": "longshot.errors",
    "Sampler": "longshot.sampling",
    "Source": "longshot.timeline",
    "Span": "longshot.timeline",
    "Track": "longshot.timeline",
    "Vectors": "longshot.vectors",
    "Video": "longshot.video",
    "VideoEncoder": "longshot.own_models",
    "add": "longshot.searching.add",
    "cut": "longshot.captioning.cut",
    "describe": "longshot.captioning.describe",
    "embed": "longshot.searching.embed",
    "export": "longshot.captioning.export",
    "find": "longshot.searching.find",
    "merge": "longshot.captioning.merge",
    "open_chat_model": "longshot.models",
    "open_encoder": "longshot.models",
    "open_video": "longshot.video",
    "read_frames": "longshot.arrays",
    "read_subtitles": "longshot.library",
    "read_track": "longshot.library",
    "recap": "longshot.captioning.recap",
    "search": "longshot.searching.search",
    "segment": "longshot.captioning.segment",
    "transcribe": "longshot.captioning.transcribe",
    "write_track": "longshot.library",
}

__all__ = [*sorted(_HOMES), "__version__"]

if TYPE_CHECKING:
    from longshot.arrays import read_frames as read_frames
    from longshot.captioning.cut import cut as cut
    from longshot.captioning.describe import describe as describe
    from longshot.captioning.export import export as export
    from longshot.captioning.merge import merge as merge
    from longshot.captioning.recap import recap as recap
    from longshot.captioning.segment import segment as segment
    from longshot.captioning.transcribe import transcribe as transcribe
    from longshot.clips import ClipRules as ClipRules
    from longshot.contracts import Frames as Frames
    from longshot.contracts import Loading as Loading
    from longshot.errors import LongshotError as LongshotError
    from longshot.library import Library as Library
    from longshot.library import read_subtitles as read_subtitles
    from longshot.library import read_track as read_track
    from longshot.library import write_track as write_track
    from longshot.models import AutoCaptioner as AutoCaptioner
    from longshot.models import AutoEncoder as AutoEncoder
    from longshot.models import open_chat_model as open_chat_model
    from longshot.models import open_encoder as open_encoder
    from longshot.own_models import Captioner as Captioner
    from longshot.own_models import VideoEncoder as VideoEncoder
    from longshot.sampling import Sampler as Sampler
    from longshot.searching.add import add as add
    from longshot.searching.embed import embed as embed
    from longshot.searching.find import find as find
    from longshot.searching.moments import Found as Found
    from longshot.searching.search import search as search
    from longshot.tables import Index as Index
    from longshot.timeline import Caption as Caption
    from longshot.timeline import Hit as Hit
    from longshot.timeline import Source as Source
    from longshot.timeline import Span as Span
    from longshot.timeline import Track as Track
    from longshot.vectors import Vectors as Vectors
    from longshot.video import Video as Video
    from longshot.video import open_video as open_video


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'longshot' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

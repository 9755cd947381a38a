"""Divide a video into shots, or into clips of the lengths that rules ask for."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from longshot import clips, registry
from longshot.captioning.watch import watch
from longshot.clips import ClipRules
from longshot.contracts import Segmenter
from longshot.errors import MediaError, UsageError
from longshot.timeline import Caption, Source, Span, Track
from longshot.video import Video, open_video

if TYPE_CHECKING:
    from longshot.contracts import Progress


def segment(
    video: str | os.PathLike[str] | Video,
    *,
    segmenter: str = "shots",
    rules: ClipRules | str | None = None,
    every: float | None = None,
    fast: bool = False,
    progress: Progress | None = None,
) -> Track:
    """Find the shots of a video and, with `rules`, make clips of them.

    Args:
        video: a file, or a video that is already open.
        segmenter: who finds the shots, by its name on the shelf `segmenters`.
        rules: lengths and number of the clips, or the name of a preset ("lovr", "recap-clip").
        every: seconds from cut to cut, for the segmenter `fixed`.
        fast: decode only where a cut is likely, for segmenters that can.
        progress: told now and then how many seconds have been seen.

    Returns a track of level "shot", or "clip" with rules: from 0 to the end of the pictures without gap or overlap.
    Its captions read "Shot 1", "Shot 2", …: subtitles, chapters and tables need words, and a describer replaces them.
    """
    wanted = clips.preset(rules) if isinstance(rules, str) else rules
    # A grid asks for no shots: nothing needs to be looked at, and no segmenter has a part in it.
    chosen = None if wanted is not None and wanted.grid is not None else _load(segmenter, every=every, fast=fast)
    if isinstance(video, Video):
        return _segment(video, chosen, wanted, progress)
    with open_video(video) as opened:
        return _segment(opened, chosen, wanted, progress)


def as_track(
    video: Video,
    spans: Sequence[Span],
    source: Source,
    *,
    rules: ClipRules | None = None,
    strengths: Sequence[float] | None = None,
) -> Track:
    """Write shots down as a track, made into clips first when there are rules.

    For callers that ran a segmenter in a pass of their own. `source` is the segmenter's; `spans` end with the video.
    """
    if rules is not None:
        spans = clips.apply(spans, rules, end=spans[-1].end if spans else 0.0, strengths=strengths)
    level, word = ("shot", "Shot") if rules is None else ("clip", "Clip")
    captions = tuple(Caption(span, f"{word} {number}") for number, span in enumerate(spans, start=1))
    duration = spans[-1].end if spans else None
    return Track(video.id, level, _source(source, rules, video), captions, video.name, duration)


def _segment(video: Video, chosen: Segmenter | None, rules: ClipRules | None, progress: Progress | None) -> Track:
    spans: Sequence[Span]
    strengths: Sequence[float] | None = None
    if chosen is None:
        end = video.pictures_end()
        spans, source = ([Span(0.0, end)] if end else []), Source("segment", "grid")
    else:
        spans, strengths = _shots(video, chosen, progress)
        source = chosen.source
    if not spans:
        raise MediaError(video.path, "not one picture in it can be decoded, so there is nothing to divide")
    return as_track(video, spans, source, rules=rules, strengths=strengths)


def _shots(video: Video, chosen: Segmenter, progress: Progress | None) -> tuple[Sequence[Span], Sequence[float] | None]:
    """Spans, and how sure each boundary between them is when the segmenter tells."""
    spans = chosen.spans(video)
    if spans is not None:
        return spans, _strengths(chosen, spans)
    watcher = chosen.watch(video)
    spans = watcher.finish(watch(video, [watcher], every=None, progress=progress))
    return spans, _strengths(watcher, spans)


def _strengths(teller: object, spans: Sequence[Span]) -> Sequence[float] | None:
    """The optional `strengths` of a watcher or segmenter: a number for each boundary between its last spans."""
    strengths: Sequence[float] | None = getattr(teller, "strengths", None)
    return strengths if strengths is not None and len(strengths) == len(spans) - 1 else None


def _source(source: Source, rules: ClipRules | None, video: Video) -> Source:
    settings = dict(source.settings)
    if rules is not None:
        unset = asdict(ClipRules())
        asked = {name: value for name, value in asdict(rules).items() if value != unset[name]}
        settings["rules"] = asked | ({"count": list(rules.count)} if rules.count is not None else {})
    notes = [note for note in (source.note, str(video.damage) if video.damage else "") if note]
    return replace(source, verb="segment", settings=settings, note="; ".join(notes))


def _load(name: str, *, every: float | None, fast: bool) -> Segmenter:
    """The segmenter behind a name. Raises UsageError for an option that it does not know."""
    load = registry.module("segmenters", name).load
    known = inspect.signature(load).parameters
    given: dict[str, Any] = ({"every": every} if every is not None else {}) | ({"fast": True} if fast else {})
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for option in given:
        if option not in known and not open_ended:
            allowed = ", ".join(known) or "none"
            raise UsageError(f"the segmenter {name!r} does not take {option!r}; its options: {allowed}")
    made: Segmenter = load(**given)
    return made

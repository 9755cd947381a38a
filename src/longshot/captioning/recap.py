"""Tell a whole video at every timescale: shots, clips, segments, the video, with speech and text on screen.

    shot     what the segmenter found                     bare spans
    clip     shots made even in length, described         details["children"]: the shots it holds
    scene    inserted when a segment would hold more than 12 clips
    segment  a stretch of one topic or setting            details["children"], details["title"]
    chapter  inserted when a video would hold more than 12 segments; above them "part", when chapters are many
    video    one caption for all of it

Each level is made from the one below it and names the captions that it rests on.
"""

from __future__ import annotations

import os
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from longshot import __version__
from longshot.captioning.describe import Watched, clip_spans, describe_spans, look, lost, teller_of
from longshot.captioning.retell import AsksModel, retell
from longshot.captioning.summarise import (
    BUDGETS,
    COARSE,
    NOTE,
    Corpus,
    Line,
    Material,
    Sentence,
    Summary,
    Writing,
    is_headline,
    lines,
    looks,
    sentences,
    summarise,
    words,
    writings,
)
from longshot.clips import ClipRules, preset
from longshot.contracts import ChatModel, Describer, Progress, Segmenter
from longshot.errors import FormatError, NoPictures
from longshot.timeline import Caption, Source, Span, Track
from longshot.video import Video, open_video

if TYPE_CHECKING:
    from longshot.asking import Desk

MOST_CHILDREN = 12
LONGEST_SEGMENT = 180.0


def recap(
    video: str | os.PathLike[str] | Video,
    *,
    describer: str | Describer = "observer",
    model: str | ChatModel | Desk | None = None,
    prompt: str = "clip",
    frames: int = -1,
    answers: str | os.PathLike[str] | None = None,
    segmenter: str | Segmenter = "shots",
    speech: str = "auto",
    language: str | None = None,
    screen: str | bool = "auto",
    clips: ClipRules | None = None,
    segment_seconds: float | None = None,
    progress: Progress | None = None,
) -> list[Track]:
    """Tell a video at every timescale, in one decode of the file.

    Args:
        video: a file, or a video that is already open. Of a file with sound only, the speech is told.
        describer: who puts clips into words; a name from `longshot list describers`.
        model: a chat model to write every level: a folder, a hub id, or a server such as http://127.0.0.1:8000/v1#name.
        prompt: what the model is asked about a clip; a name such as clip or describe, or a text file.
        frames: how many frames of a span the model sees; -1 is one a second, 8 at least and 32 at most.
        answers: a journal of the model's answers, so that none is asked for twice.
        segmenter: who finds the shots.
        speech: where speech comes from; "auto" takes the best there is, "none" takes none.
        language: the language of the speech, such as "en", when it is known.
        screen: who reads text on screen; "auto" reads when a reader is installed, "none" does not.
        clips: rules for the clips that are described; 2 to 20 seconds along the shots when not given.
        segment_seconds: the length to aim at for segments; grows with the video, up to 180 s, when not given.
        progress: called with seconds done and in all.

    Returns the tracks from coarse to fine: "video", ("part", "chapter",) "segment", ("scene",) "clip", "shot", and
    "speech" and "screen" when there is any. Raises NoPictures for sound without a word in it, MediaError for a file
    that cannot be used.
    """
    video = video if isinstance(video, Video) else open_video(video)
    watched = look(
        video,
        describer=teller_of(describer, model, prompt=prompt, frames=frames, answers=answers),
        segmenter=segmenter,
        speech=speech,
        language=language,
        screen=screen,
        progress=progress,
    )
    return tell(watched, clips=clips, segment_seconds=segment_seconds)


def tell(watched: Watched, *, clips: ClipRules | None = None, segment_seconds: float | None = None) -> list[Track]:
    """Every level of a video that was watched, from coarse to fine; arguments as in `recap`.

    A describer that asks a chat model also writes the levels above the clips. Raises NoPictures where there is nothing
    to tell.
    """
    video = watched.video
    if watched.shots is None and not watched.speech:
        why = "; ".join(watched.notes) or "no speech was found in it"
        raise NoPictures(video.path, f"holds sound but no pictures, and nothing can be told of it: {why}")
    described = _clips(watched, clips or preset("clips")) if watched.shots else None
    told = outline(watched, described, chapters=video.chapters, segment_seconds=segment_seconds)
    describer: object = watched.describer
    if isinstance(describer, AsksModel):
        told = retell(watched, told, described, describer)
    below = (described, watched.shots, watched.speech, watched.screen)
    tracks = [*told, *(track for track in below if track)]
    check_children(tracks)
    return tracks


def _clips(watched: Watched, rules: ClipRules) -> Track:
    """The clips of a video, described, each with the shots that lie inside it or the shot that it is a part of."""
    captions = describe_spans(watched, clip_spans(watched, rules))
    shots = lines(watched.shots)
    starts = [shot.caption.span.start for shot in shots]
    linked = []
    for caption in captions:
        near = shots[max(0, bisect_left(starts, caption.span.start + 1e-6) - 1) : bisect_left(starts, caption.span.end)]
        inside = [shot.id for shot in near if _inside(shot.caption.span, caption.span)]
        details = {**caption.details, "children": inside}
        around = [shot.id for shot in near if shot.id not in inside and shot.caption.span.overlap(caption.span) > 1e-6]
        linked.append(replace(caption, details={**details, "part_of": around} if around else details))
    assert watched.describer is not None
    made = watched.describer.source
    note = "; ".join(part for part in (made.note, *lost(captions)) if part)
    return watched.track("clip", replace(made, verb="recap", note=note), linked)


def outline(
    watched: Watched,
    clips: Track | None,
    *,
    chapters: Sequence[Caption] = (),
    segment_seconds: float | None = None,
) -> list[Track]:
    """The levels above the clips, coarse to fine, by choosing from what the finer tracks say.

    clips: None for a file without pictures, whose segments then divide the speech. chapters: those that the file
    itself carries; segments begin where they do, and bear their titles.
    """
    known = _Known.of(watched, clips, chapters)
    tiers = plan(
        known.units,
        target=segment_seconds,
        hints=known.hints(),
        marks=[chapter.span.start for chapter in chapters],
        scenes=clips is not None,
    )
    spans, ids = [unit.span for unit in known.units], known.ids
    below: list[Summary] | None = None
    made: list[Track] = []
    for tier in tiers:
        spans = [Span(spans[first].start, spans[last - 1].end) for first, last in tier.groups]
        inside = [below[first:last] if below else None for first, last in tier.groups]
        below = [
            # An only child says it all: one stretch is not told in two ways.
            children[0] if children and len(children) == 1 else known.summary(tier.level, span, children)
            for span, children in zip(spans, inside, strict=True)
        ]
        links = [[id for some in ids[first:last] for id in some] for first, last in tier.groups]
        titles = known.titles(tier.level, spans, below)
        captions = [_told(*parts) for parts in zip(spans, below, titles, links, strict=True)]
        made.append(watched.track(tier.level, _source(watched, segment_seconds), captions))
        ids = [[made[-1].id_of(i)] for i in range(len(spans))]
    return made[::-1]


def _told(span: Span, summary: Summary, title: str, children: list[str]) -> Caption:
    details = {"title": title, "children": children, "rests_on": list(summary.rests_on)}
    return Caption(span, summary.text, None, details)


def _source(watched: Watched, segment_seconds: float | None) -> Source:
    settings: dict[str, Any] = {"describer": str(watched.describer.source.model)} if watched.describer else {}
    if segment_seconds:
        settings["segment_seconds"] = segment_seconds
    return Source("recap", "extractive", __version__, settings, "; ".join([NOTE, *watched.notes]))


@dataclass(frozen=True)
class _Known:
    """All that the summaries of one video are chosen from.

    ids: for each unit, the captions that it consists of. shown: for each unit, the indices of what is `written` in it.
    """

    name: str
    units: tuple[Unit, ...]
    ids: list[list[str]]
    said: tuple[Sentence, ...]
    written: tuple[Writing, ...]
    shown: list[list[int]]
    clips: tuple[Line, ...]
    shots: tuple[float, ...]
    chapters: tuple[Caption, ...]
    corpus: Corpus

    @classmethod
    def of(cls, watched: Watched, clips: Track | None, chapters: Sequence[Caption]) -> _Known:
        """Read the tracks of a video into words, sentences and units."""
        said = sentences(watched.speech)
        written = writings(watched.screen, said=said)
        seen = lines(clips)
        spans = [line.caption.span for line in seen] or _speech_blocks(said, watched.end)
        ids = [[line.id] for line in seen] or _starting(lines(watched.speech), spans)
        corpus = Corpus(
            [*(s.words for s in said), *(w.words for w in written), *(words(line.caption.text) for line in seen)]
        )
        sought = watched.shots is not None and watched.shots.source.model != "fixed"
        shots = tuple(shot.span.start for shot in watched.shots or ()) if sought else ()
        shown = _shown(spans, written)
        units = tuple(_units(spans, said, written, shown, seen))
        return cls(watched.video.name, units, ids, said, written, shown, seen, shots, tuple(chapters), corpus)

    def hints(self) -> NDArray[np.float64]:
        """How pauses in the speech and headlines on screen speak for each boundary between units: (N - 1,)."""
        spans = [unit.span for unit in self.units]
        hints = np.zeros(len(spans) - 1)
        if self.said:
            hints += 0.2 * pauses([sentence.span for sentence in self.said], spans) / 3.0
        starts = np.array([span.start for span in spans[1:]])
        for writing in self.written:
            if writing.rank >= 0.5 and not writing.lasting and len(starts):
                away = np.abs(starts - writing.spans[0].start)
                hints[int(away.argmin())] += 0.3 if away.min() <= 2.0 else 0.0
        return hints

    def summary(self, level: str, span: Span, below: Sequence[Summary] | None) -> Summary:
        """Summarise a span from its children, or from the tracks themselves on the lowest level."""
        inside = _slice(self.said, span)
        spoken = sum(sentence.span.overlap(span) for sentence in inside) / max(span.length, 1e-9)
        if below is None:
            said, found = tuple(inside), self._written_in(span)
        else:
            said = tuple(sentence for summary in below for sentence in summary.said)
            kept = dict.fromkeys(writing.words for summary in below for writing in summary.written)
            found = [self._by_words[key] for key in kept] + [writing for writing in self.written if writing.lasting]
        written = [part for part in (writing.within(span) for writing in dict.fromkeys(found)) if part]
        seen = self._clips_in(span)
        scenes = tuple(line for summary in below for line in summary.seen) if below is not None else None
        shots = bisect_left(self.shots, span.end) - bisect_left(self.shots, span.start)
        shots = max(shots, 1) if self.shots else 0  # a part of a long shot holds no start of one
        material = Material(span, said, tuple(written), seen, shots, scenes or None, spoken)
        return summarise(material, budget=BUDGETS.get(level, COARSE), corpus=self.corpus)

    def titles(self, level: str, spans: Sequence[Span], summaries: Sequence[Summary]) -> list[str]:
        """One heading for each span, no two alike where that can be had."""
        taken: set[str] = set()
        chosen = []
        for number, (span, summary) in enumerate(zip(spans, summaries, strict=True), start=1):
            given = [c.text for c in self.chapters if abs(c.span.start - span.start) <= 2.0 and c.text]
            if level == "video":
                given = [*self._opening_title(span), Path(self.name).stem]
            candidates = [*given, *summary.titles, f"{level.capitalize()} {number}"]
            title = next((t for t in candidates if t.casefold() not in taken), candidates[0])
            taken.add(title.casefold())
            chosen.append(title)
        return chosen

    def _opening_title(self, span: Span) -> list[str]:
        """The headline that opens the video, if one does: later ones head parts of it only."""
        opening = min(max(5.0, 0.1 * span.length), 60.0)
        heads = [w for w in self.written if w.spans[0].start <= opening and is_headline(w)]
        return [max(heads, key=lambda w: w.rank).head] if heads else []

    @cached_property
    def _by_words(self) -> dict[tuple[str, ...], Writing]:
        return {writing.words: writing for writing in self.written}

    @cached_property
    def _starts(self) -> list[float]:
        return [unit.span.start for unit in self.units]

    def _written_in(self, span: Span) -> list[Writing]:
        first, last = bisect_left(self._starts, span.start - 1e-6), bisect_left(self._starts, span.end - 1e-6)
        return [self.written[i] for i in sorted({i for some in self.shown[first : max(last, 1)] for i in some})]

    def _clips_in(self, span: Span) -> tuple[Line, ...]:
        first, last = bisect_left(self._starts, span.start - 1e-6), bisect_left(self._starts, span.end - 1e-6)
        return self.clips[first : max(last, 1)]


def _shown(spans: Sequence[Span], written: Sequence[Writing]) -> list[list[int]]:
    """For each span the indices of the wordings that it shows."""
    starts = [span.start for span in spans]
    shown: list[list[int]] = [[] for _ in spans]
    for i, writing in enumerate(written):
        for showing in writing.spans:
            first = max(0, bisect_right(starts, showing.start) - 1)
            for place in range(first, max(first + 1, bisect_left(starts, showing.end))):
                shown[place].append(i)
    return shown


def _units(
    spans: Sequence[Span],
    said: Sequence[Sentence],
    written: Sequence[Writing],
    shown: Sequence[Sequence[int]],
    seen: Sequence[Line],
) -> Iterable[Unit]:
    for i, span in enumerate(spans):
        heard = [word for sentence in _slice(said, span) for word in sentence.words]
        read = [word for place in shown[i] if not written[place].lasting for word in written[place].words]
        yield Unit(span, tuple([*heard, *read]), looks(seen[i].caption) if seen else ())


def _slice(said: Sequence[Sentence], span: Span) -> Sequence[Sentence]:
    """The sentences whose middle lies in a span."""
    first = bisect_left(said, span.start, key=lambda sentence: sentence.span.middle)
    return said[first : bisect_left(said, span.end, key=lambda sentence: sentence.span.middle)]


def _speech_blocks(said: Sequence[Sentence], end: float) -> list[Span]:
    """Sound without pictures is divided between sentences: each boundary half-way through a pause."""
    edges = [0.0]
    for one, two in pairwise(said):
        cut = (max(one.span.end, edges[-1]) + max(two.span.start, edges[-1])) / 2
        if edges[-1] < cut < end:
            edges.append(cut)
    return [Span(a, b) for a, b in pairwise([*edges, max(end, edges[-1])])]


def _starting(spoken: Sequence[Line], spans: Sequence[Span]) -> list[list[str]]:
    return [[line.id for line in spoken if _inside(line.caption.span, span)] for span in spans]


def pauses(said: Sequence[Span], spans: Sequence[Span]) -> NDArray[np.float64]:
    """Seconds of silence around each boundary between spans, 3 at most, -3 inside a sentence: (len(spans) - 1,)."""
    starts = np.array([span.start for span in said])
    ends = np.maximum.accumulate(np.array([span.end for span in said]))
    cuts = np.array([span.end for span in spans[:-1]])
    after = np.searchsorted(starts, cuts - 0.15)
    last = np.where(after > 0, ends[np.maximum(after - 1, 0)], -np.inf)
    following = np.where(after < len(starts), starts[np.minimum(after, len(starts) - 1)], np.inf)
    return np.asarray(np.where(last > cuts + 0.15, -3.0, np.clip(following - last, 0.0, 3.0)), dtype=np.float64)


# --- where a video divides


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch that no level divides: the words heard and written in it, and marks of how it looks."""

    span: Span
    words: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tier:
    """One level of the tree. groups: for each of its spans, the half-open range of indices into the level below."""

    level: str
    groups: tuple[tuple[int, int], ...]


def segment_length(duration: float) -> float:
    """The length to aim at for segments, in seconds: it grows with the root of the duration, up to 180 s.

    10 s give 12 (one segment), 60 s give 23 (two or three), 10 minutes 73 (eight), an hour and more 180.
    """
    return min(LONGEST_SEGMENT, max(12.0, 3.0 * sqrt(max(duration, 0.0))))


def plan(
    units: Sequence[Unit],
    *,
    target: float | None = None,
    hints: NDArray[np.float64] | None = None,
    marks: Sequence[float] = (),
    scenes: bool = True,
) -> list[Tier]:
    """Divide a row of units into levels, finest first: perhaps scenes, segments, perhaps chapters, the video.

    target: seconds to aim at for a segment; computed from the length of the video when None. hints: float64
    (len(units) - 1,), what else speaks for each boundary, about 0..1. marks: seconds where the file itself says that
    a chapter starts; segments begin there. scenes: False when units are not clips and may be many in a segment.
    """
    spans = [unit.span for unit in units]
    goal = target or segment_length(spans[-1].end - spans[0].start)
    strengths = boundary_strengths(units, reach=goal / 2) + _forced(spans, marks)
    strengths += 0.0 if hints is None else hints
    wanted = max(1.0, (spans[-1].end - spans[0].start) / goal)
    crowded = scenes and len(units) > 0.75 * MOST_CHILDREN * wanted
    most = MOST_CHILDREN if scenes and not crowded else MOST_CHILDREN**2
    segments = group([span.length for span in spans], strengths, target=goal, most=most)
    tiers = []
    if scenes and any(last - first > MOST_CHILDREN for first, last in segments):
        parts = [_scenes(spans[a:b], strengths[a : b - 1], offset=a) for a, b in segments]
        tiers.append(Tier("scene", tuple(part for found in parts for part in found)))
        segments = _ranges([len(found) for found in parts])
        units = _joined(units, tiers[0].groups)
    tiers.append(Tier("segment", tuple(segments)))
    units = _joined(units, segments)
    names = ["chapter", "part"]
    while len(units) > MOST_CHILDREN:
        groups = _coarser(units)
        tiers.append(Tier(names.pop(0) if names else f"part{len(tiers)}", tuple(groups)))
        units = _joined(units, groups)
    return [*tiers, Tier("video", ((0, len(units)),))]


def group(
    lengths: Sequence[float], strengths: NDArray[np.float64], *, target: float, most: int
) -> list[tuple[int, int]]:
    """The best division of a row of stretches into groups of at most `most`: half-open index ranges.

    lengths: seconds of each stretch. strengths: (len(lengths) - 1,), how well the row divides after each. A group
    costs log(its length / target) squared, so half and double the target cost the same, and each boundary pays its
    strength above the mean of all.
    """
    count = len(lengths)
    edges = np.concatenate([[0.0], np.cumsum(lengths)])
    gains = np.zeros(count + 1)
    if count > 1:
        gains[1:count] = 2.0 * (strengths - np.median(strengths))
    best, before = np.full(count + 1, np.inf), np.zeros(count + 1, dtype=np.int64)
    best[0] = 0.0
    for end in range(1, count + 1):
        first = max(0, end - most)
        size = np.maximum(edges[end] - edges[first:end], 1e-3)
        costs = best[first:end] + np.log(size / target) ** 2 - gains[first:end]
        before[end] = first + int(np.argmin(costs))
        best[end] = costs[before[end] - first]
    found: list[tuple[int, int]] = []
    end = count
    while end > 0:
        found.append((int(before[end]), end))
        end = int(before[end])
    return found[::-1]


def boundary_strengths(units: Sequence[Unit], *, reach: float) -> NDArray[np.float64]:
    """How much changes at each boundary between units: float64 (len(units) - 1,), 0..0.8.

    Words and looks within `reach` seconds on both sides are compared (TextTiling: how far the likeness dips below
    its peaks on either side).
    """
    spans = [unit.span for unit in units]
    corpus = Corpus(unit.words for unit in units)
    said = _rows([{word: corpus.weight(word) for word in unit.words} for unit in units])
    seen = _rows([dict.fromkeys(unit.looks, unit.span.length) for unit in units])
    total = np.zeros(max(len(units) - 1, 0))
    for rows, weight in ((said, 0.45), (seen, 0.35)):
        if rows.any():
            total += weight * _dips(_likeness_across(spans, rows, reach), spans, reach)
    return total


_BUCKETS = 1024


def _rows(bags: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """Bags of weighted words as rows of fixed width, so that hours need no more columns than minutes do."""
    rows = np.zeros((len(bags), _BUCKETS))
    for row, bag in zip(rows, bags, strict=True):
        for word, weight in bag.items():
            row[zlib.crc32(word.encode()) % _BUCKETS] += weight
    return rows


def _likeness_across(spans: Sequence[Span], rows: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """The cosine between what lies within `reach` seconds before and after each inner boundary: (N - 1,)."""
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    starts = np.array([span.start for span in spans])
    ends = np.array([span.end for span in spans])
    middle = np.arange(1, len(spans))
    lowest = np.minimum(np.searchsorted(starts, ends[:-1] - reach - 1e-6), middle - 1)
    highest = np.maximum(np.searchsorted(ends, starts[1:] + reach + 1e-6), middle + 1)
    left, right = sums[middle] - sums[lowest], sums[highest] - sums[middle]
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    dots = np.einsum("ij,ij->i", left, right)
    # Speech that begins or stops is half a change; silence on both sides is none.
    empty = np.where(np.abs(left).sum(axis=1) + np.abs(right).sum(axis=1) > 0, 0.5, 1.0)
    return np.asarray(np.where(norms > 0, dots / np.where(norms > 0, norms, 1.0), empty), dtype=np.float64)


def _dips(likeness: NDArray[np.float64], spans: Sequence[Span], reach: float) -> NDArray[np.float64]:
    """How far each likeness lies below 1 and below the peaks around it, 0..1."""
    if not len(likeness):
        return np.zeros(0)
    mean = max((spans[-1].end - spans[0].start) / len(spans), 1e-3)
    near = int(min(max(reach / mean, 1), 48))
    padded = np.pad(likeness, near, constant_values=-1.0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, near + 1)
    left, right = windows[: len(likeness)].max(axis=1), windows[near : near + len(likeness)].max(axis=1)
    return np.asarray(np.clip(0.5 * (1 - likeness) + 0.25 * (left + right - 2 * likeness), 0.0, 1.0), dtype=np.float64)


def _forced(spans: Sequence[Span], marks: Sequence[float]) -> NDArray[np.float64]:
    """A strength that wins at the boundary nearest to each mark, when one is within two seconds."""
    forced = np.zeros(max(len(spans) - 1, 0))
    starts = np.array([span.start for span in spans[1:]])
    for mark in marks:
        if len(starts) and np.abs(starts - mark).min() <= 2.0:
            forced[int(np.abs(starts - mark).argmin())] = 20.0
    return forced


def _scenes(spans: Sequence[Span], strengths: NDArray[np.float64], *, offset: int) -> list[tuple[int, int]]:
    length = spans[-1].end - spans[0].start
    found = group([span.length for span in spans], strengths, target=length / sqrt(len(spans)), most=MOST_CHILDREN)
    return [(first + offset, last + offset) for first, last in found]


def _coarser(units: Sequence[Unit]) -> list[tuple[int, int]]:
    """Group units into at most `MOST_CHILDREN` groups when so many can hold them, else into groups of about eight."""
    spans = [unit.span for unit in units]
    fits = len(units) <= MOST_CHILDREN**2 * 0.8
    target = (spans[-1].end - spans[0].start) / (sqrt(len(units)) if fits else len(units) / 8)
    strengths = boundary_strengths(units, reach=target / 2)
    groups = group([span.length for span in spans], strengths, target=target, most=MOST_CHILDREN)
    while fits and len(groups) > MOST_CHILDREN:
        strengths = 0.5 * strengths
        target *= 1.2
        groups = group([span.length for span in spans], strengths, target=target, most=MOST_CHILDREN)
    return groups


def _ranges(counts: Iterable[int]) -> list[tuple[int, int]]:
    edges = np.concatenate([[0], np.cumsum(list(counts))]).tolist()
    return list(pairwise(edges))


def _joined(units: Sequence[Unit], groups: Iterable[tuple[int, int]]) -> list[Unit]:
    joined = []
    for first, last in groups:
        inside = units[first:last]
        joined.append(
            Unit(
                Span(inside[0].span.start, inside[-1].span.end),
                tuple(word for unit in inside for word in unit.words),
                tuple(dict.fromkeys(look for unit in inside for look in unit.looks)),
            )
        )
    return joined


# --- checking


def check_children(tracks: Iterable[Track]) -> None:
    """Prove that every link between the tracks of one video holds.

    Every id in details["children"] and details["rests_on"] exists; a child lies inside its parent's time and has no
    second parent on that level; what a line rests on shares time with it. Raises FormatError naming the first link
    that is broken.
    """
    tracks = list(tracks)
    known = {track.id_of(i): caption for track in tracks for i, caption in enumerate(track)}
    for track in tracks:
        parents: dict[str, str] = {}
        for i, caption in enumerate(track):
            name = track.id_of(i)
            for child in _links(name, caption, "children"):
                _check_exists(name, child, known)
                if not _inside(known[child].span, caption.span):
                    raise FormatError(f"{name}: its child {child} lies outside its time")
                if child in parents:
                    raise FormatError(f"{name}: its child {child} also belongs to {parents[child]}")
                parents[child] = name
            for rest in _links(name, caption, "rests_on"):
                _check_exists(name, rest, known)
                if not _touches(known[rest].span, caption.span):
                    raise FormatError(f"{name}: {rest}, on which it rests, shares no time with it")


def _links(name: str, caption: Caption, key: str) -> list[str]:
    links = caption.details.get(key, ())
    if not isinstance(links, list | tuple) or not all(isinstance(link, str) for link in links):
        raise FormatError(f"{name}: details[{key!r}] must be a list of caption ids, got {links!r}")
    return list(links)


def _check_exists(name: str, link: str, known: Mapping[str, Any]) -> None:
    if link not in known:
        raise FormatError(f"{name}: it names {link}, which is in none of the tracks")


def _inside(child: Span, parent: Span) -> bool:
    return child.start >= parent.start - 1e-6 and child.end <= parent.end + 1e-6


def _touches(one: Span, other: Span) -> bool:
    return one.overlap(other) > 0 or one.start in other or one.start == other.start

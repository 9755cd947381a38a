"""Moments: how well windows of a video, and scores of its clips, fit a sentence.

    scores(rows)        R1, mIoU, set IoU, mAP, highlights: strict, then as the official script of QVHighlights counts
    official(rows)      what that script prints, its "brief" block first
    read_windows(text)  windows in the reply of a chat model; read_stretches() also says how it was put right

Strict: what is not done, and an empty list, scores 0; windows are ranked by their scores; a window that is not finite
or does not end after its start overlaps nothing; IoU is one formula, and what equals a threshold on paper reaches it.
Legacy: the official script, in every case in which it comes to a number; what would stop it is left out. The table of
both is in `docs/metrics-moments.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longshot.errors import UsageError
from longshot.items import Row, Score
from longshot.journal import State
from longshot.metrics import _highlights
from longshot.metrics._matching import (
    THRESHOLDS,
    Pairs,
    Ragged,
    best_overlap,
    claims,
    official_first_overlap,
    official_overlap,
    overlap,
    paired,
    precision,
    reaches,
    set_overlap,
)
from longshot.metrics._means import Mean, grouped, told
from longshot.metrics._windows import NoWindows, Stretches, plain_answer, read_stretches, read_windows, says_nowhere

__all__ = [
    "NoWindows",
    "Stretches",
    "official",
    "plain_answer",
    "read_stretches",
    "read_windows",
    "says_nowhere",
    "scores",
    "values",
]

RANGES = {"short": (0.0, 10.0), "middle": (10.0, 30.0), "long": (30.0, 150.0)}
"""Lengths of right windows in seconds: more than the first, at most the second."""
COUNTS = {"1": (1, 1), "2": (2, 2), "3-4": (3, 4), "5+": (5, 1 << 30)}
"""How many right windows a query has."""
_GROUPED = {"R1@0.3", "R1@0.5", "R1@0.7", "mIoU", "set IoU", "mAP"}
_Values = NDArray[np.float64]
_Mask = NDArray[np.bool_]


def scores(rows: Sequence[Row], *, seed: int = 0, resamples: int = 1000) -> list[Score]:
    """Every score in percent: strict, legacy, then of each range of lengths, number of windows, and group.

    Highlights are scored where the truth has ratings and a prediction scores for clips. Strict precision of a range
    leaves out windows that claim a right one of another length; legacy counts them as wrong. Raises UsageError for an
    item whose truth is no list of windows.
    """
    read = _Read.of(rows)
    strict, legacy = _strict(read), _legacy(read)
    core = [mean for mean in strict if mean.name in _GROUPED or mean.name.startswith(("highlight", "HIT"))]
    means = [*strict, *legacy, *_ranges(read), *_by_count(read, core), *grouped(core, rows)]
    return told(means, videos=[row.item.video for row in rows], states=read.states, seed=seed, resamples=resamples)


def values(rows: Sequence[Row]) -> Mapping[str, _Values]:
    """Every strict score of every row, 0..1; NaN for a query without a right window."""
    return {mean.name: mean.values for mean in _strict(_Read.of(rows))}


def official(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """What the official script of QVHighlights prints for a submission, rounded as it does: "brief", then all tables.

    Only rows that it could score are counted. None stands where it would stop (a range without queries); a part of
    which nothing was predicted is left out, as it leaves it out.
    """
    read = _Read.of(rows)
    tables: dict[str, dict[str, Any]] = {}
    brief: dict[str, float | None] = {}
    if read.has_windows:
        for name, (average, first) in read.official_windows.items():
            whole = np.array([_mean(column) for column in average.T])
            areas = {f"{t}": _rounded(value) for t, value in zip(THRESHOLDS, whole, strict=True)}
            areas["average"] = _rounded(float(np.mean(whole)))
            recalls = {f"{t}": _rounded(_mean(_official_reaches(first, t))) for t in THRESHOLDS}
            tables[name] = {"MR-mAP": areas, "MR-R1": recalls}
            brief[f"MR-{name}-mAP"] = areas["average"]
        full = tables["full"]
        brief |= {f"MR-full-mAP@{t}": full["MR-mAP"][t] for t in ("0.5", "0.75")}
        brief |= {f"MR-full-R1@{t}": full["MR-R1"][t] for t in ("0.5", "0.7")}
        brief = dict(sorted(brief.items()))
    if read.has_saliency:
        areas_of, hits_of = read.official_highlights
        for level in _highlights.LEVELS:
            both = {"HL-mAP": _rounded(_mean(areas_of[level])), "HL-Hit1": _rounded(_mean(hits_of[level]))}
            tables[f"HL-min-{level}"] = both
            brief |= {f"HL-min-{level}-{name.removeprefix('HL-')}": value for name, value in both.items()}
    return {"brief": brief, **dict(sorted(tables.items()))}


def _mean(values: _Values) -> float:
    counted = values[~np.isnan(values)]
    return float(np.mean(counted)) if len(counted) else np.nan


def _rounded(share: float) -> float | None:
    return None if np.isnan(share) else float(f"{100 * share:.2f}")


@dataclass(frozen=True)
class _Read:
    """Rows as arrays. given: rows with a list of windows, empty or not. saliency: scores of clips, None for none."""

    states: tuple[State, ...]
    right: Ragged
    said: Ragged
    given: _Mask
    golds: tuple[Mapping[str, Any], ...]
    ids: tuple[str, ...]
    saliency: tuple[_Values | None, ...]
    has_windows: bool
    has_saliency: bool

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Read:
        golds = tuple(row.item.gold for row in rows)
        ids = tuple(row.item.id for row in rows)
        states = [row.state for row in rows]
        done = [
            row.prediction.value if row.prediction and s is State.DONE else None
            for row, s in zip(rows, states, strict=True)
        ]
        windows, saliency = [_part(one, "windows") for one in done], [_part(one, "saliency") for one in done]
        fine = [_are_windows(one) for one in windows]
        scored = [_clip_scores(one) for one in saliency]
        for place in range(len(rows)):
            told_any = windows[place] is not None or saliency[place] is not None
            if states[place] is State.DONE and not (told_any and fine[place]):
                states[place] = State.UNREADABLE
        kept = [one if ok and one is not None else () for one, ok in zip(windows, fine, strict=True)]
        rated = any("ratings" in gold for gold in golds)
        any_saliency = rated and any(one is not None for one in saliency)
        given = np.array([one is not None and ok for one, ok in zip(windows, fine, strict=True)], dtype=bool)
        return cls(
            states=tuple(states),
            right=_right(golds, ids),
            said=Ragged.of(kept),
            given=given,
            golds=golds,
            ids=ids,
            saliency=tuple(scored),
            has_windows=bool(given.any()) or not any_saliency,
            has_saliency=any_saliency,
        )

    @cached_property
    def asked(self) -> _Mask:
        """Rows with a right window."""
        return self.right.lengths > 0

    @cached_property
    def ranked(self) -> Ragged:
        """The best windows of each query by score."""
        return self.said.ranked()

    @cached_property
    def pairs(self) -> Pairs:
        """Those with the right ones."""
        return paired(self.ranked, self.right, overlap)

    @cached_property
    def claimed(self) -> NDArray[np.int64]:
        """What they claim."""
        return claims(self.pairs)

    @cached_property
    def official_windows(self) -> dict[str, tuple[_Values, _Values]]:
        """Average precision (N, T) and IoU of the first window (N,) by the official script, by range."""
        return _official_windows(self)

    @cached_property
    def rated(self) -> NDArray[np.int64]:
        """The places of rows whose truth has ratings."""
        return np.flatnonzero(["ratings" in gold for gold in self.golds])

    @cached_property
    def highlights(self) -> tuple[dict[str, _Values], dict[str, _Values]]:
        """Strict precision and HIT@1 by level, (N,): NaN without ratings, 0 without finite scores for clips."""
        areas, hits = self._highlights(-np.inf)
        known = np.array([one is not None for one in self.saliency], dtype=bool)
        return _with(areas, ~known, 0.0), _with(hits, ~known, 0.0)

    @cached_property
    def official_highlights(self) -> tuple[dict[str, _Values], dict[str, _Values]]:
        """The same by the official script: clips without a score have 0; NaN where it would stop."""
        told_ = [self.saliency[place] for place in self.rated]
        short = any(one is not None and len(one) < clips for one, clips in zip(told_, self.ratings.clips, strict=True))
        areas, hits = self._highlights(0.0) if short else self.highlights
        known = np.array([one is not None for one in self.saliency], dtype=bool)
        return _with(areas, ~known, np.nan), _with(hits, ~known, np.nan)

    @cached_property
    def ratings(self) -> _highlights.Rated:
        """The ratings of those rows."""
        return _highlights.Rated.of([self.golds[row] for row in self.rated], [self.ids[row] for row in self.rated])

    def _highlights(self, unscored: float) -> tuple[dict[str, _Values], dict[str, _Values]]:
        told_ = [self.saliency[place] for place in self.rated]
        scores_ = _highlights.saliency(told_, self.ratings.clips, unscored=unscored)
        areas, hits = _highlights.precision(scores_, self.ratings), _highlights.hits(told_, self.ratings)
        return _spread(areas, self.rated, len(self.golds)), _spread(hits, self.rated, len(self.golds))


def _spread(found: Mapping[str, _Values], places: NDArray[np.int64], count: int) -> dict[str, _Values]:
    """Values of some rows as values of all, NaN for the others."""
    whole = {name: np.full(count, np.nan) for name in found}
    for name, one in found.items():
        whole[name][places] = one
    return whole


def _with(found: Mapping[str, _Values], where: _Mask, value: float) -> dict[str, _Values]:
    """Values, with another one for some rows; NaN stays."""
    return {name: np.where(where & ~np.isnan(one), value, one) for name, one in found.items()}


def _part(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _right(golds: Sequence[Mapping[str, Any]], ids: Sequence[str]) -> Ragged:
    """The right windows. Raises UsageError naming the first item that has none as they should be."""
    for gold, id in zip(golds, ids, strict=True):
        if not isinstance(gold.get("windows"), list | tuple) or not _are_windows(gold["windows"]):
            raise UsageError(
                f"item {id!r}: gold['windows'] must be [[start, end], ...], got {gold.get('windows')!r:.60}"
            )
    right = Ragged.of([[window[:2] for window in gold["windows"]] for gold in golds])
    fine = np.isfinite(right.start) & np.isfinite(right.end) & (right.end >= right.start)
    if not fine.all():
        id = ids[int(right.query[~fine][0])]
        raise UsageError(f"item {id!r}: a right window must be finite and not end before its start")
    return right


def _are_windows(windows: Any) -> bool:
    """Whether a value is a list of lists of two or three numbers; no list at all is fine, too."""
    if windows is None:
        return True
    if not isinstance(windows, list | tuple):
        return False
    for window in windows:
        if not isinstance(window, list | tuple) or not 2 <= len(window) <= 3:
            return False
        for number in window:
            # The exact types first: they are what a file holds, and asking them is three times as fast.
            if type(number) not in (float, int) and not isinstance(number, float | int | np.number):
                return False
    return True


def _clip_scores(saliency: Any) -> _Values | None:
    """Scores of clips, None unless there are some and all are finite numbers."""
    if not isinstance(saliency, list | tuple) or not saliency:
        return None
    try:
        array = np.asarray(saliency, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array if array.ndim == 1 and np.isfinite(array).all() else None


def _strict(read: _Read) -> list[Mean]:
    """The scores that count everything, those that papers quote first."""
    found: list[Mean] = []
    if read.has_windows:
        best = best_overlap(read.pairs)
        areas = precision(read.ranked, read.claimed, read.right.lengths)

        def counted(name: str, values: _Values, note: str = "") -> Mean:
            return Mean(name, np.where(read.asked, values, np.nan), note=note)

        recalls = {
            t: counted(f"R1@{t}", reaches(best, t), "the window with the highest score") for t in (0.3, *THRESHOLDS)
        }
        area_at = {t: counted(f"mAP@{t}", areas[:, step]) for step, t in enumerate(THRESHOLDS)}
        found += [recalls[0.3], recalls[0.5], recalls[0.7]]
        found.append(counted("mIoU", best, "of the window with the highest score"))
        found.append(counted("set IoU", set_overlap(read.said, read.right), "all windows as one set of seconds"))
        found.append(counted("mAP", areas.mean(axis=1), "over IoU 0.5 to 0.95, the ten best windows"))
        found += [area_at[0.5], area_at[0.75]]
        found += [one for t, one in recalls.items() if t not in (0.3, 0.5, 0.7)]
        found += [one for t, one in area_at.items() if t not in (0.5, 0.75)]
    if read.has_saliency:
        found += _highlight_means(*read.highlights, legacy=False)
    return found


def _highlight_means(areas: Mapping[str, _Values], hits: Mapping[str, _Values], *, legacy: bool) -> list[Mean]:
    found = []
    for level in _highlights.LEVELS:
        found.append(Mean(f"highlight mAP {level}", areas[level], legacy=legacy))
        found.append(Mean(f"HIT@1 {level}", hits[level], legacy=legacy))
    return found


def _official_reaches(iou: _Values, threshold: float) -> _Values:
    return np.where(np.isnan(iou), np.nan, iou >= threshold)


def _official_windows(read: _Read) -> dict[str, tuple[_Values, _Values]]:
    """Average precision (N, T) and IoU of the first window (N,), by range; NaN for queries that do not count.

    The first window's IoU is NaN to the script, too, for a window with NaN; it misses, so here it is -1.
    """
    countable = read.given & (read.said.lengths > 0)
    listed = read.said.ranked(cut_first=True)
    pairs = paired(listed, read.right, official_overlap)
    length = read.right.end - read.right.start
    found = {}
    for name, (over, most) in {**RANGES, "full": (-np.inf, np.inf)}.items():
        inside = (length > over) & (length <= most)
        right = read.right.some(inside)
        counts = countable & (right.lengths > 0)
        areas = precision(listed, claims(pairs, rights=inside, strict=False), right.lengths)
        first = np.nan_to_num(official_first_overlap(read.said, right), nan=-1.0)
        found[name] = (np.where(counts[:, None], areas, np.nan), np.where(counts, first, np.nan))
    return found


def _legacy(read: _Read) -> list[Mean]:
    """The official script's scores of all queries."""
    note = "official script; its rounding is that of `official`"
    found = _legacy_windows(read)["full"] if read.has_windows else []
    if read.has_saliency:
        found = [*found, *_highlight_means(*read.official_highlights, legacy=True)]
    return [replace(one, note=note) for one in found]


def _legacy_windows(read: _Read) -> dict[str, list[Mean]]:
    return {
        name: [
            *(Mean(f"R1@{t}", _official_reaches(first, t), legacy=True) for t in THRESHOLDS),
            Mean("mAP", areas.mean(axis=1), legacy=True),
            *(Mean(f"mAP@{t}", areas[:, step], legacy=True) for step, t in enumerate(THRESHOLDS)),
        ]
        for name, (areas, first) in read.official_windows.items()
    }


def _ranges(read: _Read) -> list[Mean]:
    """Precision for right windows of each range of lengths; none for a range that no right window is in."""
    if not read.has_windows:
        return []
    length = read.right.end - read.right.start
    official_means = _legacy_windows(read)
    found = []
    for name, (over, most) in RANGES.items():
        inside = (length > over) & ((length <= most) | (name == "long"))
        if not inside.any() or inside.all():
            continue
        rights = read.right.some(inside).lengths
        other = (read.claimed >= 0) & ~inside[read.claimed]
        areas = precision(read.ranked, read.claimed, rights, ignored=other)
        group = {"range": name}
        note = "windows of another range are left out"
        found.append(Mean("mAP", areas.mean(axis=1), about=rights > 0, group=group, note=note))
        note = "right windows of another range count as wrong"
        found += [replace(one, about=rights > 0, group=group, note=note) for one in official_means[name]]
    return found


def _by_count(read: _Read, core: Sequence[Mean]) -> list[Mean]:
    """The scores of queries with one right window, with two, and so on; none where all have as many."""
    tables = {name: (read.right.lengths >= low) & (read.right.lengths <= high) for name, (low, high) in COUNTS.items()}
    some = {name: about for name, about in tables.items() if about.any()}
    return [mean.within(about, {"windows": name}) for name, about in some.items() for mean in core if len(some) > 1]

"""Match the words (and, where there are text vectors, the meaning) of every track; needs no model.

The video is divided into chunks of two seconds. A chunk holds a term as well as the best caption on it does (BM25's
saturation and length, so that long captions count less), a little of what stands within a few seconds, and the meaning
of its captions by cosine. Where that stays high is a moment; its ends are those of the captions behind it, or the
nearest shot or sentence. Gaps are never bridged: a chunk between two moments must itself match to join them.

A score says how much of the query stands there: 1.0, every word that tells something is in it; 0.5, words of half the
weight (rare words weigh more), or a text that means about the same. Below `LEAST` nothing is a moment, so "not in this
video" is an answer. Captions of the whole video are a hit only when nothing finer is, and then half as good.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longshot.contracts import Progress, Told
from longshot.queries import QUESTION, Wanted, read
from longshot.terms import is_bare, matched, phrase_at, terms
from longshot.timeline import Caption, Hit, Source, Span, Track

Floats = NDArray[np.float64]

CHUNK = 2.0  # seconds
LEAST = 0.34
"""The score below which nothing is a moment."""
MOST = 50  # moments

# How much a caption of a level says about where something is: summaries of minutes say little.
_COARSE = {"scene": 0.6, "segment": 0.5, "chapter": 0.5, "part": 0.4, "video": 0.3}
_HEARD, _READ = "speech", "screen"
_ASIDE = 0.5  # weight of other levels where the query says that it is spoken, or written
_K1, _B = 1.2, 0.5  # BM25: how soon a word said again adds nothing; how much longer captions count less
_SHORT = 40.0  # characters: up to here a line counts as much as a shorter one
_AROUND = 4.0  # seconds: how far a word helps what stands beside it
_NEARBY = 0.5  # the share of a chunk's score that words beside it can give
_FALL = 0.45  # a moment goes on while the score is above this share of its peak
_UNLIKE, _ALIKE = 0.15, 0.63  # cosines, less half of the usual one, that say "nothing in common" and "the same"
_USUAL = 0.1  # cosine of all-MiniLM-L6-v2 between a query and some caption
_SNAP = 2.5  # seconds within which an end goes to a shot or sentence
_EXTRA = 0.15  # what words that are not missed can add
_ELSEWHERE = 0.5  # the worth of a moment outside the part that the query names
_AGREE = 0.3  # of what the weaker of words and meaning adds to the stronger
_EVIDENCE = 5
_PEAKS = 400  # looked at until there are as many moments as are kept
_RUN_OVER = 3.0  # seconds between two lines that a phrase may run over
WHOLE = 0.95
"""The share of a video from which on a moment is called the whole of it, and says so."""


def load() -> Matching:
    """The finder."""
    return Matching()


class Matching:
    """Finds moments by words and vectors; see the head of this file."""

    def __init__(self) -> None:
        # The lines of the video that was asked about last: the next question is often about the same one.
        self._last: tuple[tuple[Track, ...], _Lines] | None = None

    @property
    def source(self) -> Source:
        """Who finds."""
        return Source("find", "matching", "1")

    def find(self, told: Told, query: str, *, progress: Progress | None = None) -> list[Hit]:
        """Moments, the best first; see `contracts.Finder`. Raises UsageError for a query without a telling word."""
        wanted = read(query)
        if not told.tracks:
            return []
        lines = self._lines(told)
        if not lines.count:
            return []
        if not (wanted.terms or wanted.phrases):
            return [_named_part(lines, wanted)]
        near = told.near(wanted.text) if told.near is not None else {}
        match = _Match(lines, wanted, near)
        found = match.moments() or match.coarse()
        return _ranked(found or (_passages(lines, wanted) if wanted.any_line else []), wanted)

    def _lines(self, told: Told) -> _Lines:
        last = self._last
        if last is None or last[0] is not told.tracks or last[1].video != told.video:
            # Read and set at once: threads may ask the same finder.
            self._last = last = (told.tracks, _Lines(told))
        return last[1]


# --- the lines of a video


class _Lines:
    """Every caption of a video that says something, as arrays: fine levels and coarse ones.

    Captions that only number a shot say nothing. Where speech and screen text have tracks of their own, what other
    captions quote of them is left out: their span is wider than that of the words.
    """

    def __init__(self, told: Told) -> None:
        self.video = told.video
        own = {track.level for track in told.tracks if len(track)} & {_HEARD, _READ}
        self.captions: list[Caption] = []
        self.ids: list[str] = []
        self.levels: list[str] = []
        texts: list[str] = []
        for track in told.tracks:
            for number, caption in enumerate(track):
                if not is_bare(track.level, caption.text):
                    self.captions.append(caption)
                    self.ids.append(str(caption.details.get("id") or track.id_of(number)))
                    self.levels.append(track.level)
                    said = _QUOTE.sub("", caption.text) if own and track.level not in own else caption.text
                    texts.append(_folded(said))
        self.count = len(texts)
        self.starts = np.array([caption.span.start for caption in self.captions], np.float64)
        self.ends = np.array([caption.span.end for caption in self.captions], np.float64)
        self.lengths = np.array([len(text) for text in texts], np.float64)
        self.fine = np.array([level not in _COARSE for level in self.levels], bool)
        # One text with a line for each caption: looking for a word is one search.
        self.text = "\n".join(text.replace("\n", " ") for text in texts)
        self.offsets = np.concatenate([[0.0], np.cumsum(self.lengths + 1)])[:-1]
        last = max((track.captions[-1].span.end for track in told.tracks if len(track)), default=0.0)
        self.duration = max(told.duration, last, float(self.ends.max(initial=0.0)))
        self.chunks = max(1, int(np.ceil(self.duration / CHUNK - 1e-9)))
        edges = [track for track in told.tracks if track.level in ("shot", _HEARD)]
        self.edges = np.unique([edge for track in edges for c in track for edge in (c.span.start, c.span.end)])

    def lines_at(self, places: Sequence[int]) -> NDArray[np.intp]:
        """The line of each character of `text`."""
        return np.searchsorted(self.offsets, np.asarray(places, np.float64), side="right") - 1

    @cached_property
    def asking(self) -> NDArray[np.intp]:
        """The spoken and shown lines that ask something: those with a question mark.

        Where the speech has none at all (a recogniser without punctuation), those that begin like a question.
        """
        said = [i for i, level in enumerate(self.levels) if level in (_HEARD, _READ)]
        asking = [i for i in said if any(mark in self.captions[i].text for mark in "?？؟")]
        if not asking:
            asking = [i for i in said if self.levels[i] == _HEARD and _ASKS.match(self.captions[i].text)]
        return np.array(asking, np.intp)

    def over(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which chunks some lines lie on: pairs (position in `rows`, chunk).

        A line lies on the chunks that hold half of it, or that it fills by half.
        """
        starts, ends = self.starts[rows], np.maximum(self.ends[rows], self.starts[rows] + 1e-3)
        first = (starts // CHUNK).astype(np.intp)
        counts = np.maximum(np.ceil(ends / CHUNK - 1e-9).astype(np.intp) - first, 1)
        which = np.repeat(np.arange(len(rows)), counts)
        chunk = first[which] + np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        chunk = np.minimum(chunk, self.chunks - 1)
        shared = np.minimum(ends[which], (chunk + 1) * CHUNK) - np.maximum(starts[which], chunk * CHUNK)
        enough = shared >= 0.5 * np.minimum(CHUNK, ends - starts)[which] - 1e-9
        return which[enough], chunk[enough]

    def spread(self, rows: NDArray[np.intp], values: Floats) -> Floats:
        """For each chunk the greatest value of the lines on it."""
        which, chunk = self.over(rows)
        found = np.zeros(self.chunks)
        np.maximum.at(found, chunk, values[which])
        return found


_QUOTE = re.compile("“[^”]*”")
_ASKS = re.compile(
    r"\s*(?:who|whom|whose|what|when|where|why|which|how|do|does|did|is|are|was|were|can|could|will|would|should)\b",
    re.I,
)
# Letters that no decomposition turns into those that the index knows.
_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "ı": "i", "ð": "d", "þ": "th"})
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def _folded(text: str) -> str:
    """A text in small letters without accents: where a word of the index may stand, its letters stand here."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter)).translate(_LETTERS)


@lru_cache(maxsize=65536)
def _is_of(word: str, term: str) -> bool:
    """Whether a word, folded, is kept as a term. The index does not shorten words that it had to fold ("straße")."""
    return word == term or [found.text for found in terms(word)] == [term]


def _holding(lines: _Lines, term: str) -> dict[int, int]:
    """How often each line holds a term.

    A stem and its words share their beginning, but for its last letter ("happi", "happy"); each different word with
    that beginning is then looked up once, which is much less than to analyse every caption.
    """
    unspaced = _UNSPACED.search(term) is not None
    beginning = term if unspaced or len(term) < 3 else term[:-1]
    pattern = re.compile(re.escape(beginning) + ("" if unspaced else r"[\w'’]*"))
    places = [
        found.start()
        for found in pattern.finditer(lines.text)
        if unspaced or (_begins(lines.text, found.start()) and _is_of(found[0].rstrip("'’"), term))
    ]
    rows, counts = np.unique(lines.lines_at(places), return_counts=True)
    held = dict(zip(rows.tolist(), counts.tolist(), strict=True))
    if term == QUESTION:
        for row in lines.asking.tolist():
            held[row] = held.get(row, 0) + 1
    return held


def _begins(text: str, place: int) -> bool:
    """Whether a word begins here."""
    return place == 0 or not text[place - 1].isalnum()


# --- how well they match


class _Match:
    """One query against the lines of one video."""

    def __init__(self, lines: _Lines, wanted: Wanted, near: Mapping[str, float]) -> None:
        self.lines, self.wanted = lines, wanted
        worth = {level: _worth(level, wanted) for level in set(lines.levels)}
        self.worth = np.array([worth[level] for level in lines.levels])
        self.words = self._words(wanted.terms)
        self.extras = self._words(wanted.extras)
        self.meaning = self._meaning(near)
        self.phrases = [_phrase_rows(lines, phrase) for phrase in wanted.phrases]

    def _meaning(self, near: Mapping[str, float]) -> Floats:
        """How near each line is in meaning, 0..1.

        Half of what the middle line has is taken off first: lines of one film are alike, and a query about its topic is
        somewhat near to all. Where only the nearest lines are known, the middle one is taken to be as usual.
        """
        if not near:
            return np.zeros(self.lines.count)
        known = np.array([near.get(id, -1.0) for id in self.lines.ids])
        some = known[known > -1.0]
        all_known = 2 * len(some) > self.lines.count
        middle = float(np.median(some)) if all_known else min(_USUAL, float(some.min(initial=1.0)))
        likeness = known - 0.5 * max(middle, 0.0)
        return np.clip((likeness - _UNLIKE) / (_ALIKE - _UNLIKE), 0.0, 1.0)

    def _words(self, names: Sequence[str]) -> list[_Held]:
        """Each term: the share of the query's weight that it has, the lines that hold it, and how well (0..1)."""
        lines = self.lines
        usual = max(float(lines.lengths[lines.fine].mean()) if lines.fine.any() else 0.0, _SHORT)
        total = int(lines.fine.sum())
        found = []
        for name in names:
            held = _holding(lines, name)
            rows = np.fromiter(held, np.intp, len(held))
            counts = np.fromiter(held.values(), np.float64, len(held))
            there = int(lines.fine[rows].sum())
            longer = 1 - _B + _B * lines.lengths[rows] / usual
            well = np.minimum(counts * (_K1 + 1) / (counts + _K1 * longer), 1.0)
            found.append(_Held(float(np.log1p((total - there + 0.5) / (there + 0.5))), rows, well))
        whole = sum(held.weight for held in found) or 1.0
        return [replace(held, weight=held.weight / whole) for held in found]

    @cached_property
    def by_line(self) -> Floats:
        """How well each line matches by itself, 0..1."""
        words = np.zeros(self.lines.count)
        for held in self.words:
            words[held.rows] += held.weight * held.well
        score = _both(words, self.meaning)
        for rows in self.phrases:
            score[list(rows)] = 1.0
        return np.asarray(score * self.worth)

    def by_chunk(self, which: NDArray[np.bool_]) -> Floats:
        """How well each chunk matches, 0..1, by the lines of `which`."""
        chunks = self.lines.chunks
        words, beside, extras = np.zeros(chunks), np.zeros(chunks), np.zeros(chunks)
        for held in self.words:
            there = self._spread(held, which)
            words += held.weight * there
            beside += held.weight * _widened(there)
        for held in self.extras:
            extras += held.weight * _widened(self._spread(held, which))
        rows = np.flatnonzero(which & (self.meaning > 0))
        meaning = self.lines.spread(rows, self.meaning[rows] * self.worth[rows])
        # A chunk without a word of its own has none of its neighbours' either: a gap stays a gap.
        words = np.where(words > 0, (1 - _NEARBY) * words + _NEARBY * beside, 0.0)
        score = _both(words, meaning)
        score += _EXTRA * extras * (1 - score) * (score > 0)
        if not self.phrases:
            return score
        exact = np.ones(chunks)
        for found in self.phrases:
            rows = np.array(sorted(found), np.intp)
            there = self.lines.spread(rows, self.worth[rows] * which[rows])
            exact *= _widened(there) if len(self.phrases) > 1 else there
        return exact * (0.6 + 0.4 * score) if self.wanted.terms else exact

    def _spread(self, held: _Held, which: NDArray[np.bool_]) -> Floats:
        chosen = which[held.rows]
        rows = held.rows[chosen]
        return self.lines.spread(rows, held.well[chosen] * self.worth[rows])

    def moments(self) -> list[Hit]:
        """What the fine levels show; coarse ones speak for it where they agree."""
        lines = self.lines
        score = self.by_chunk(lines.fine)
        if not lines.fine.all():
            score += _EXTRA * self.by_chunk(~lines.fine) * (1 - score) * (score > 0)
        score *= _prior(lines, self.wanted)
        hits: list[Hit] = []
        for first, last, peak in _in_time(score, self.wanted.rank) if self.wanted.rank else _peaks(score):
            span, rows = self._cut(first, last)
            new = [row for row in rows.tolist() if not _taken(lines.captions[row].span, hits)]
            if new and not _taken(span, hits):
                hits.append(self._hit(span, peak, new))
                if len(hits) == MOST:
                    break
        return hits

    def _cut(self, first: int, last: int) -> tuple[Span, NDArray[np.intp]]:
        """The span of the chunks `first` to `last` (not in it), with the ends of lines, sentences or shots."""
        lines = self.lines
        start, end = first * CHUNK, min(last * CHUNK, lines.duration)
        on = np.flatnonzero(lines.fine & (lines.starts < end) & (lines.ends > start) & (self.by_line > 0))
        which, chunk = lines.over(on)
        on = on[np.unique(which[(chunk >= first) & (chunk < last)])]
        own = self.by_line[on]
        evidence = on[own >= 0.3 * own.max(initial=0.0)]
        start = _snapped(start, lines.starts[evidence], lines.edges)
        end = _snapped(end, lines.ends[evidence], lines.edges)
        if end <= start:
            start, end = first * CHUNK, min(last * CHUNK, lines.duration)
        return Span(float(start), float(min(end, lines.duration))), evidence

    def coarse(self) -> list[Hit]:
        """Where only captions of long stretches match: those stretches; the whole video when nothing else does."""
        lines = self.lines
        middles = ((lines.starts + lines.ends) / 2 // CHUNK).astype(np.intp)
        prior = _prior(lines, self.wanted)[np.minimum(middles, lines.chunks - 1)]
        score = np.where(lines.fine, 0.0, self.by_line * prior)
        hits: list[Hit] = []
        for row in sorted(np.flatnonzero(score > 0).tolist(), key=lambda row: (-score[row], lines.starts[row])):
            # A level's worth says how little it tells about where; here it is all there is.
            value = float(score[row] / _COARSE[lines.levels[row]]) * 0.5
            span = lines.captions[row].span
            if value >= LEAST and not any(span.overlap(hit.span) > 0 for hit in hits):
                hits.append(self._hit(span, value, [row]))
            if len(hits) == MOST:
                break
        parts = [hit for hit in hits if hit.span.length < WHOLE * lines.duration]
        return parts or hits[:1]

    def _hit(self, span: Span, score: float, rows: Sequence[int]) -> Hit:
        lines = self.lines
        own = self.by_line
        chosen = sorted(
            rows, key=lambda row: (-round(float(own[row]), 3), _order(lines.levels[row]), lines.starts[row])
        )
        whole = span.length >= WHOLE * lines.duration
        evidence = tuple(self._evidence(row, whole) for row in chosen[:_EVIDENCE])
        return Hit(lines.video, span, round(min(max(score, 0.0), 1.0), 4), evidence)

    def _evidence(self, row: int, whole: bool) -> Caption:
        """A caption as evidence: its id, level, and the characters that match."""
        lines, caption = self.lines, self.lines.captions[row]
        names = {*self.wanted.terms, *self.wanted.extras}
        found = matched(caption.text, names) if names else []
        for phrase in self.wanted.phrases:
            found += phrase_at(caption.text, phrase)
        details: dict[str, Any] = {"id": lines.ids[row], "level": lines.levels[row]}
        details["matched"] = [[start, end] for start, end in sorted(set(found))]
        if whole:
            details["whole_video"] = True
        return Caption(caption.span, caption.text, caption.score, details)


@dataclass(frozen=True, slots=True)
class _Held:
    """One term: its share of the query's weight, the lines that hold it, and how well each does, 0..1."""

    weight: float
    rows: NDArray[np.intp]
    well: Floats


def _worth(level: str, wanted: Wanted) -> float:
    """What a level counts for this query."""
    named = {name for name, said in ((_HEARD, wanted.speech), (_READ, wanted.screen)) if said}
    return _COARSE.get(level, 1.0) * (_ASIDE if named and level not in named else 1.0)


def _order(level: str) -> int:
    """Words themselves come before what was written about the video, and that before what sums it up."""
    return 2 if level in _COARSE else 0 if level in (_HEARD, _READ) else 1


def _both(words: Floats, meaning: Floats) -> Floats:
    """Words and meaning as one score: the better of them, and some of what the other adds."""
    high, low = np.maximum(words, meaning), np.minimum(words, meaning)
    return np.asarray(high + _AGREE * low * (1 - high))


def _widened(there: Floats) -> Floats:
    """What stands within a few seconds, less the farther it is."""
    found = there.copy()
    for away in range(1, min(int(2 * _AROUND / CHUNK) + 1, len(there))):
        fading = float(np.exp(-0.5 * (away * CHUNK / _AROUND) ** 2))
        np.maximum(found[away:], fading * there[:-away], out=found[away:])
        np.maximum(found[:-away], fading * there[away:], out=found[:-away])
    return found


def _phrase_rows(lines: _Lines, phrase: str) -> set[int]:
    """The spoken and shown lines that hold an exact phrase; one that runs over into the next line is in both."""
    words = re.findall(r"\w+", _folded(phrase))
    if not words:
        return set()
    pattern = re.compile(r"[^\w]+".join(map(re.escape, words)))
    rows: set[int] = set()
    for found in pattern.finditer(lines.text):
        first, last = lines.lines_at([found.start(), found.end() - 1]).tolist()
        held = range(first, last + 1)
        if any(lines.levels[row] not in (_HEARD, _READ) for row in held) or len({lines.levels[r] for r in held}) > 1:
            continue
        near = all(lines.starts[row + 1] - lines.ends[row] <= _RUN_OVER for row in held[:-1])
        if near and phrase_at(" ".join(lines.captions[row].text for row in held), phrase):
            rows.update(held)
    return rows


# --- from scores to moments


def _prior(lines: _Lines, wanted: Wanted) -> Floats:
    """What a chunk counts for where it is, when the query says where."""
    at = (np.arange(lines.chunks) + 0.5) / lines.chunks
    prior = np.ones(lines.chunks)
    if wanted.place:
        away = {"start": at, "middle": 2 * np.abs(at - 0.5), "end": 1 - at}[wanted.place]
        # Full worth in the nearest tenth, falling until half of the video lies between.
        prior = 1 - (1 - _ELSEWHERE) * np.clip((away - 0.1) / 0.4, 0.0, 1.0)
    if wanted.window is not None:
        start, end = wanted.window.within(lines.duration)
        middle = at * lines.chunks * CHUNK
        prior[(middle < start) | (middle > end)] = 0.0
    return prior


def _peaks(score: Floats) -> Iterator[tuple[int, int, float]]:
    """Stretches of chunks [first, last) with their greatest score, best first.

    Each goes on from its peak while the score stays above a share of it, and takes nothing of a better one.
    """
    left = score.copy()
    for _ in range(_PEAKS):
        top = int(left.argmax())
        peak = float(left[top])
        if peak < LEAST:
            return
        low = np.flatnonzero(left < max(_FALL * peak, 1e-9))
        place = int(np.searchsorted(low, top))
        first = int(low[place - 1]) + 1 if place else 0
        last = int(low[place]) if place < len(low) else len(left)
        left[first:last] = 0.0
        yield first, last, peak


def _in_time(score: Floats, rank: int) -> Iterator[tuple[int, int, float]]:
    """Stretches of chunks that are about as good as the best, with their scores, in time; from the end for the last."""
    best = float(score.max())
    if best < LEAST:
        return
    good = np.concatenate([[False], score >= max(LEAST, _FALL * best), [False]])
    edges = np.flatnonzero(good[1:] != good[:-1]).reshape(-1, 2).tolist()
    for first, last in edges if rank > 0 else edges[::-1]:
        yield first, last, float(score[first:last].max())


def _taken(span: Span, hits: Sequence[Hit]) -> bool:
    """Whether better moments show a good part of a span already: what is left of it is no moment of its own."""
    return any(span.overlap(hit.span) > 0.3 * min(span.length, hit.span.length) for hit in hits)


def _snapped(second: float, own: Floats, edges: Floats) -> float:
    """Where an end goes: to the nearest end of its evidence, else of a shot or sentence, else nowhere."""
    for near in (own, edges):
        if len(near):
            nearest = float(near[np.abs(near - second).argmin()])
            if abs(nearest - second) <= _SNAP:
                return nearest
    return second


def _ranked(hits: Iterable[Hit], wanted: Wanted) -> list[Hit]:
    """Best first; where the query names one by its order in time, that one first."""
    best = sorted(hits, key=lambda hit: (-hit.score, hit.span))
    if not (wanted.rank and best):
        return best
    good = sorted((hit for hit in best if hit.score >= _FALL * best[0].score), key=lambda hit: hit.span)
    place = wanted.rank - 1 if wanted.rank > 0 else len(good) - 1
    if place >= len(good):
        return best
    meant = good[place]
    others = [replace(hit, score=round(hit.score * _ELSEWHERE, 4)) for hit in best if hit is not meant]
    return [replace(meant, score=best[0].score), *others]


def _passages(lines: _Lines, wanted: Wanted) -> list[Hit]:
    """All that is said, or written, for a query that names no more than that: "the last slide", "where she speaks".

    Lines that follow each other are one passage, texts that are shown together one slide.
    """
    levels = {level for level, named in ((_HEARD, wanted.speech), (_READ, wanted.screen)) if named}
    rows = [row for row in range(lines.count) if lines.levels[row] in levels]
    passages: list[list[int]] = []
    for row in sorted(rows, key=lambda row: (_order(lines.levels[row]), lines.captions[row].span)):
        last = passages[-1][-1] if passages else row
        one, other = lines.captions[last].span, lines.captions[row].span
        if _HEARD == lines.levels[row] == lines.levels[last]:
            goes_on = other.start - one.end <= _RUN_OVER
        else:
            goes_on = lines.levels[row] == lines.levels[last] and one.overlap(other) > 0.5 * min(
                one.length, other.length
            )
        if passages and goes_on:
            passages[-1].append(row)
        else:
            passages.append([row])
    prior = _prior(lines, wanted)
    hits = []
    for some in passages:
        spans = [lines.captions[row].span for row in some]
        span = Span(spans[0].start, max(one.end for one in spans))
        score = 0.5 * float(prior[min(int(span.middle / CHUNK), lines.chunks - 1)])
        if score > 0:
            hits.append(Hit(lines.video, span, score, _as_evidence(lines, some)))
    return sorted(hits, key=lambda hit: (-hit.score, hit.span))[:MOST]


def _as_evidence(lines: _Lines, rows: Sequence[int]) -> tuple[Caption, ...]:
    return tuple(
        replace(lines.captions[row], details={"id": lines.ids[row], "level": lines.levels[row], "matched": []})
        for row in rows[:_EVIDENCE]
    )


def _named_part(lines: _Lines, wanted: Wanted) -> Hit:
    """The part of the video that the query names, when it names nothing in it: "the end"."""
    if wanted.window is not None:
        start, end = wanted.window.within(lines.duration)
    else:
        length = min(max(0.1 * lines.duration, 5.0), 60.0, lines.duration)
        start = {"start": 0.0, "middle": (lines.duration - length) / 2, "end": lines.duration - length}[wanted.place]
        end = start + length
        start = _snapped(start, lines.edges, lines.edges) if start else start
    span = Span(min(start, lines.duration), min(max(end, start), lines.duration))
    inside = [row for row in range(lines.count) if lines.fine[row] and lines.captions[row].span.overlap(span) > 0]
    return Hit(lines.video, span, 0.5, _as_evidence(lines, inside))

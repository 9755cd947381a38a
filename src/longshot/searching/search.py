"""Search all videos of a library for a sentence, a phrase, a picture or a clip.

    search("videos", "where she shows the telescope")             # moments, the best first
    search("videos", '"the two questions"', levels=["speech"])    # the exact phrase, in speech only

The query is plain text. Words may stand in any order and form; the more of them a caption holds, and the rarer they
are, the better. Quotes ("…", “…”, «…») hold a phrase that must be spoken or written on screen exactly so. Nothing
else is syntax: a minus, an asterisk, an OR are what they look like, and filters are options.

What a score says: 1.0, every word of the query stands in one short caption, or the exact phrase does; 0.5, a caption
means what a cosine of 0.5 says (the same thing in other words, mostly), or holds words with 70 % of the weight of the
query's (0.7 squared; a rare word weighs more). Either can lift the other. What has less than LEAST is not shown, so
that an empty answer is one. Scores of different queries can be compared.
"""

from __future__ import annotations

import fnmatch
import math
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longshot.contracts import Encoder
from longshot.errors import LongshotError, UsageError
from longshot.library import Library
from longshot.searching import _query
from longshot.searching._query import Query
from longshot.searching.fill import LOOK_SECONDS, open_text_encoder
from longshot.searching.fill import like as like_of
from longshot.searching.moments import EVIDENCE, Found, Scored, moments
from longshot.tables import Entry, Filter, Index
from longshot.terms import is_bare, phrase_at, terms
from longshot.timeline import Caption, Hit, Source, Span

HOW = ("auto", "words", "vectors", "both")
CANDIDATES = 100  # captions that each way of looking gives
_LOOKS = 1000  # frames that look like one of the query; a slide stands for minutes
# Of 8 queries about nothing in the test set's first half, 7 found nothing when the least was 0.3, and of 140
# about something 3 less were found among the first five (benchmarks/retrieval.py). Words alone that are few of many
# may still be what is meant: nothing else is known of them.
LEAST = 0.3
LEAST_OF_WORDS = 0.05
LONGEST = 10_000  # characters of a query
_EACH = 3  # moments of one video among the first, when there are others
_LIKELY = 50  # captions in which a phrase that runs over two lines is looked for
_RUN = 2 * LOOK_SECONDS  # seconds between two frames that look like the query, and those between them do too
_SPOKEN = ("speech", "screen")
# Of these a library may have none yet; another name is looked up, which takes a while in a large one.
_USUAL_LEVELS = ("shot", "clip", "scene", "segment", "chapter", "part", "video", "speech", "screen")

# How words and meaning become one score was chosen on the first half of the test set (recall@1: words alone 0.54,
# vectors 0.72, reciprocal ranks 0.59, this 0.77). Half of a query's words are often there by chance, hence the power.
_POWER = 2.0
_AGREE = 0.8  # of what is missing to 1: what the weaker of words and meaning adds to the stronger
_PICTURED = 0.5  # the most that a picture's likeness to a sentence says
_PHRASE = 0.6  # of a score: the phrase alone, when other words stand beside it in the query
_NEARBY = 15.0  # seconds around a phrase in which those others count
_ASIDE = 0.85  # worth of a caption that is not of the kind the query names: "she says …", "the slide with …"


def search(
    library: str | os.PathLike[str] | Library | Index,
    query: str = "",
    *,
    like: str | os.PathLike[str] | None = None,
    levels: Sequence[str] = (),
    videos: Sequence[str] = (),
    after: float | None = None,
    before: float | None = None,
    longer_than: float | None = None,
    shorter_than: float | None = None,
    encoder: str | Encoder | None = None,
    limit: int = 10,
    how: str = "auto",
) -> Found:
    """Find moments in all videos of a library.

    Args:
        library: its folder or address, or its index, already open.
        query: words; in quotes, an exact phrase that is spoken or written on screen.
        like: a picture or a clip to search by, instead of words.
        levels: only captions of these, such as speech, screen, clip.
        videos: only these: ids, names, or patterns of names.
        after: only captions that begin at this second or later.
        before: only captions that begin before this second.
        longer_than: only captions that are longer, in seconds.
        shorter_than: only captions that are shorter, in seconds.
        encoder: who makes a vector of the query, when the index has vectors of it; the maker of the texts' otherwise.
        limit: how many moments.
        how: words (full text), vectors (meaning), both, or auto: both where vectors can be had.

    Returns moments, the best first, and how they were found. An empty answer is one. Raises UsageError for a query
    without a word and for filters that cannot be meant, LongshotError for an index that is missing or damaged.
    """
    began = time.perf_counter()
    if how not in HOW:
        raise UsageError(f"how is one of {', '.join(HOW)}, got {how!r:.60}")
    if limit < 1:
        raise UsageError(f"limit is a number from 1 up, got {limit}")
    if (like is None) == (not query.strip()):
        raise UsageError("search for words or for a picture (like): give one of the two")
    index = (
        library
        if isinstance(library, Index)
        else Index.open(library.folder if isinstance(library, Library) else library)
    )
    known = index.videos()
    _check_levels(index, levels)
    if after is not None and before is not None and after >= before:
        raise UsageError(f"nothing begins after {after} and before {before} seconds: give an earlier and a later time")
    if longer_than is not None and shorter_than is not None and longer_than >= shorter_than:
        raise UsageError(f"nothing is longer than {longer_than} and shorter than {shorter_than} seconds")
    where = Filter(
        levels=tuple(levels),
        videos=_chosen(videos, {id: (one.name, one.path) for id, one in known.items()}, index.place),
        after=after,
        before=before,
        longer_than=longer_than,
        shorter_than=shorter_than,
    )
    if like is not None:
        answer = _liked(index, like, where, encoder)
    else:
        rows = sum(one.rows for one in known.values())
        answer = _asked(index, _query.read(query, longest=LONGEST), where, encoder, how, rows)
    # Captions of a video that is not in are those of a writer that works on it, or was killed.
    hits = [hit for hit in answer.hits if hit.video in known]
    hits = hits if len(where.videos) == 1 else spread(hits, limit)
    shown = tuple(answer.marked(hit) for hit in hits[:limit])
    names = {hit.video: known[hit.video].name for hit in shown}
    paths = {hit.video: known[hit.video].path for hit in shown}
    notes = (*answer.notes, *_missing(names, paths))
    return Found(shown, answer.how, notes, time.perf_counter() - began, names, paths)


@dataclass(frozen=True, slots=True)
class _Answer:
    """Moments, how they were looked for, and what marks the words in a text that made them."""

    hits: list[Hit]
    how: str
    notes: tuple[str, ...] = ()
    marks: Callable[[str], list[tuple[int, int]]] = lambda text: []

    def marked(self, hit: Hit) -> Hit:
        """The moment with the places of the query's words in its evidence."""
        return replace(hit, evidence=tuple(self._marked(caption) for caption in hit.evidence))

    def _marked(self, caption: Caption) -> Caption:
        places = [list(place) for place in self.marks(caption.text)]
        return replace(caption, details={**caption.details, "matched": places})


def _asked(index: Index, query: Query, where: Filter, encoder: str | Encoder | None, how: str, rows: int) -> _Answer:
    """The answer to a query in words."""
    notes = list(query.notes)
    looks: list[_Look] = []
    ways: list[str] = []
    if how != "words":
        looks, ways, lacking = _vectors_of(index, query.meaning, encoder)
        if lacking and (how != "auto" or not looks):
            if how != "auto":
                raise LongshotError(lacking)
            notes.append(lacking)
    if how != "vectors":
        ways.insert(0, "full text")
    exact = _exact(index, query, where) if query.phrases else []
    inner = replace(where, videos=tuple(dict.fromkeys(one.entry.video for one in exact))) if query.phrases else where
    found: list[Scored] = []
    if query.words and (exact or not query.phrases):
        words = index.words(query.words, where=inner, limit=CANDIDATES) if how != "vectors" else []
        near = [(look.kind, index.near(look.column, look.vector, where=inner, limit=CANDIDATES)) for look in looks]
        found = scored(query, words, near, rows=rows)
    if query.phrases:
        found = _with_phrases(query, exact, found)
        ways = ["exact phrase", *(ways if query.words else [])]
    least = LEAST if looks else LEAST_OF_WORDS
    hits = [hit for hit in moments(found) if hit.score >= least]
    return _Answer(hits, " and ".join(ways), tuple(notes), query.marks)


def _place(library: str | os.PathLike[str] | Library) -> str | os.PathLike[str]:
    return library.folder if isinstance(library, Library) else library


def _liked(index: Index, path: str | os.PathLike[str], where: Filter, encoder: str | Encoder | None) -> _Answer:
    """The answer to a picture or a clip."""
    made = like_of(index, path, encoder=encoder)
    if made.column:
        near = index.near(made.column, made.rows[0], where=where, limit=CANDIDATES)
        return _Answer(moments(Scored(entry, min(max(entry.score, 0.0), 1.0)) for entry in near), made.said)
    notes = []
    if where.levels or where.longer_than is not None or where.shorter_than is not None:
        notes.append("fingerprints are of frames: levels and lengths of captions choose nothing here")
    seen: list[_Sight] = []
    for place, row in enumerate(made.rows):
        found = index.near_looks(row, where=where, limit=_LOOKS)
        seen += [_Sight(video, second, place, cosine) for video, second, cosine in found if cosine >= made.least]
    if not seen and not index.near_looks(made.rows[0], limit=1):
        notes.append("this index has no fingerprints of frames; `longshot add` makes them")
    ends = {id: one.duration for id, one in index.videos().items()}
    return _Answer(_sights(seen, len(made.rows), os.path.basename(path), ends), made.said, tuple(notes))


class _Sight(NamedTuple):
    """A frame of a video that looks like frame `place` of the query."""

    video: str
    second: float
    place: int
    cosine: float


def _sights(
    seen: Sequence[_Sight], asked: int, name: str | os.PathLike[str], ends: Mapping[str, float | None]
) -> list[Hit]:
    """Frames that look alike as moments. The score is the mean cosine over the `asked` frames of the query, 0 for one
    that is not seen; each frame that was looked at stands for the time until half-way to the next ones.
    """
    hits = []
    ordered = sorted(seen)
    starts = [
        place
        for place, one in enumerate(ordered)
        if place == 0 or ordered[place - 1].video != one.video or one.second - ordered[place - 1].second > _RUN
    ]
    for first, last in pairwise([*starts, len(ordered)]):
        some = ordered[first:last]
        best: dict[int, float] = {}
        for one in some:
            best[one.place] = max(best.get(one.place, 0.0), one.cosine)
        start = max(some[0].second - LOOK_SECONDS / 2, 0.0)
        end = min(some[-1].second + LOOK_SECONDS / 2, ends.get(some[0].video) or math.inf)
        strongest = sorted({one.second: one for one in sorted(some, key=lambda one: one.cosine)}.values(), key=_cosine)
        evidence = tuple(
            Caption(
                Span(one.second, one.second), f"looks like {name}", round(one.cosine, 4), {"id": "", "level": "look"}
            )
            for one in strongest[::-1][:EVIDENCE]
        )
        score = round(min(sum(best.values()) / asked, 1.0), 4)
        hits.append(Hit(some[0].video, Span(start, max(end, start)), score, evidence))
    return sorted(hits, key=lambda hit: (-hit.score, hit.video, hit.span))


def _cosine(sight: _Sight) -> float:
    return sight.cosine


# --- how well a caption matches


def scored(
    query: Query,
    words: Sequence[Entry],
    near: Sequence[tuple[str, Sequence[Entry]]],
    *,
    rows: int,
) -> list[Scored]:
    """How well captions match a query, 0..1, from those that each way of looking gave.

    words: by BM25. near: lists by cosine, each with the kind of its vectors, "text" or "frames". rows: captions that
    the index holds.
    """
    entries = {(one.video, one.id): one for found in (words, *(found for _, found in near)) for one in found}
    # What nobody described can still be known by its pictures.
    pictured = {(one.video, one.id) for kind, found in near if kind == "frames" for one in found}
    entries = {key: one for key, one in entries.items() if key in pictured or not is_bare(one.level, one.text)}
    told = dict.fromkeys(entries, 0.0)
    if words and entries:
        keys, texts = list(entries), [entry.text for entry in entries.values()]
        ranks = {(one.video, one.id): one.score for one in words}
        shares = _shares(query.names, texts, np.array([ranks.get(key, np.nan) for key in keys]), rows)
        told = dict(zip(keys, (shares**_POWER).tolist(), strict=True))
    meant = dict.fromkeys(entries, 0.0)
    for kind, found in near:
        for one, value in zip(found, _meant(kind, found), strict=True):
            key = (one.video, one.id)
            if key in meant:
                meant[key] = max(meant[key], value)
    made = []
    for key, entry in entries.items():
        low, high = sorted((told[key], meant[key]))
        aside = _ASIDE if query.favoured and entry.level not in query.favoured else 1.0
        made.append(Scored(entry, aside * (high + _AGREE * low * (1 - high))))
    return made


def _meant(kind: str, found: Sequence[Entry]) -> list[float]:
    """How near the captions of one list come in meaning, 0..1: of texts the cosine itself.

    Cosines of sentences and pictures lie close together and mean something else for every model: those count by how
    they stand between the best and the last of the list.
    """
    cosines = [min(max(one.score, 0.0), 1.0) for one in found]
    if kind == "text" or not cosines:
        return cosines
    best, last = max(cosines), min(cosines)
    return [_PICTURED * (value - last) / (best - last) if best > last else _PICTURED for value in cosines]


def _shares(names: Sequence[str], texts: Sequence[str], ranks: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """How much of what the words of a query tell stands in each text, 0..1: (N,).

    ranks: the BM25 score of each, NaN for one that was found in another way. BM25 adds up, for each word, its weight
    (rare words weigh more) times how strongly it stands there; the strengths are counted here, so the weights can be
    solved for. 1.0 is every word once in a caption of usual length.
    """
    places = {name: place for place, name in enumerate(names)}
    counts = np.zeros((len(texts), len(names)))
    lengths = np.zeros(len(texts))
    for row, found in enumerate(_stems(texts)):
        lengths[row] = len(found)
        for name in found:
            if name in places:
                counts[row, places[name]] += 1
    known = np.isfinite(ranks)
    usual = max(float(lengths[known].mean()) if known.any() else 0.0, _USUAL)
    strength = counts * (_K1 + 1) / (counts + _K1 * (1 - _B + _B * lengths[:, None] / usual))
    # A word that no candidate holds is as rare as can be.
    rarest = float(np.log1p((rows + 0.5) / 0.5))
    first = np.where(counts[known].any(axis=0), 0.5 * rarest, rarest)
    wanted = ranks[known] - strength[known] @ first
    gram = strength[known].T @ strength[known] + 0.1 * np.eye(len(names))
    weights = np.clip(first + np.linalg.solve(gram, strength[known].T @ wanted), 0.02 * rarest, rarest)
    return np.asarray(np.minimum(strength, 1.0) @ weights / weights.sum(), dtype=np.float64)


_K1, _B = 1.2, 0.75  # BM25's, as the index has them
_USUAL = 12.0  # words: a caption as long is not long, however short the others that match are
_WORD = re.compile(r"\w+(?:['’.]\w+)*")
# Thai, Lao, Burmese, Khmer, kana and Han characters: no blanks between words, so only the index's analysis knows them.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_KNOWN: dict[str, str] = {}  # word -> its index term, "" for none
_MOST_KNOWN = 50_000


def _stems(texts: Sequence[str]) -> list[list[str]]:
    """The index terms of texts. Words are analysed once and remembered: a caption's are mostly those of others."""
    plain = [None if _UNSPACED.search(text) else _WORD.findall(text) for text in texts]
    # A server searches in several threads: what is looked up is kept here, whoever empties the memory meanwhile.
    known = {word: _KNOWN.get(word) for words in plain if words for word in words}
    if new := [word for word, stem in known.items() if stem is None]:
        ends = {term.end: term.text for term in terms(" ".join(new))}
        at = -1
        for word in new:
            at += 1 + len(word)
            known[word] = ends.get(at, "")
        if len(_KNOWN) > _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN.update((word, known[word] or "") for word in new)
    return [
        [term.text for term in terms(text)] if words is None else [known[word] or "" for word in words]
        for words, text in zip(plain, texts, strict=True)
    ]


# --- exact phrases


def _exact(index: Index, query: Query, where: Filter) -> list[Scored]:
    """The lines that hold a phrase, of videos and neighbourhoods that hold all of them."""
    levels = where.levels or _SPOKEN
    by_phrase: list[list[Scored]] = []
    for phrase in query.phrases:
        lines = index.phrase(phrase, where=replace(where, levels=levels), limit=CANDIDATES)
        by_phrase.append([Scored(line, 1.0) for line in lines or _across(index, phrase, where, levels)])
    kept = []
    for some in by_phrase:
        others = [found for found in by_phrase if found is not some]
        kept += [one for one in some if all(any(_is_near(one, other) for other in found) for found in others)]
    return kept


def _across(index: Index, phrase: str, where: Filter, levels: Sequence[str]) -> list[Entry]:
    """The lines that hold a phrase which runs over from one into the next."""
    likely = index.words(phrase, where=replace(where, levels=tuple(levels)), limit=_LIKELY)
    found: list[Entry] = []
    for video in dict.fromkeys(entry.video for entry in likely):
        lines = [entry for entry in index.entries(video, levels=("speech",)) if "speech" in levels]
        for first, second in pairwise(lines):
            apart = second.span.start - first.span.end
            if apart <= 2.0 and phrase_at(f"{first.text} {second.text}", phrase):
                found += [first, second]
    return list(dict.fromkeys(found))


def _is_near(one: Scored, other: Scored) -> bool:
    a, b = one.entry, other.entry
    apart = max(a.span.start, b.span.start) - min(a.span.end, b.span.end)
    return a.video == b.video and apart <= _NEARBY


def _with_phrases(query: Query, exact: Sequence[Scored], others: Sequence[Scored]) -> list[Scored]:
    """Lines with the phrase; the other words of the query, in them or near them, lift those that have them."""
    if not query.words:
        return list(exact)
    made = []
    for one in exact:
        beside = max((other.worth for other in others if _is_near(one, other)), default=0.0)
        made.append(replace(one, score=_PHRASE + (1 - _PHRASE) * min(beside, 1.0)))
    return made


# --- which of them are shown


def spread(hits: Sequence[Hit], limit: int) -> list[Hit]:
    """The first `limit` moments, no more than a few of one video while other videos have some; best first."""
    counts: Counter[str] = Counter()
    first: list[Hit] = []
    rest: list[Hit] = []
    for hit in hits:
        counts[hit.video] += 1
        (first if counts[hit.video] <= _EACH else rest).append(hit)
    chosen = (first + rest)[:limit]
    return sorted(chosen, key=lambda hit: (-hit.score, hit.video, hit.span))


def _missing(names: Mapping[str, str], paths: Mapping[str, str]) -> list[str]:
    """A line for every video whose file is not where it was."""
    return [
        f"{names[id] or id}: its file is not there ({paths[id]}); `longshot add` finds it where it is now"
        for id in paths
        if paths[id] and "://" not in paths[id] and not os.path.exists(paths[id])
    ]


def _check_levels(index: Index, levels: Sequence[str]) -> None:
    """Raises UsageError for a level that no track has, which would find nothing for ever."""
    unknown = [level for level in levels if level not in _USUAL_LEVELS]
    there = index.levels() if unknown else {}
    for level in unknown:
        if level not in there:
            near = get_close_matches(level, dict.fromkeys((*there, *_USUAL_LEVELS)), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"no level {level[:60]!r} in this library, which has {', '.join(there) or 'none'}{hint}")


def _chosen(videos: Sequence[str], known: Mapping[str, tuple[str, str]], place: str) -> tuple[str, ...]:
    """The ids of the videos that are meant. Raises UsageError for a name that none has.

    place: of the library, which knows more of them than the index: other files with the same content, and folders.
    """
    ids: dict[str, None] = {}
    for asked in videos:
        name = os.path.basename(asked)
        meant = [id for id, (called, path) in known.items() if asked in (id, called, path)] or [
            id for id, (called, _) in known.items() if fnmatch.fnmatchcase(called, asked)
        ]
        if not meant and asked and "://" not in place:
            with suppress(UsageError):
                meant = [record.id for record in Library(place).find(asked) if record.id in known]
        if not meant:
            near = get_close_matches(name, sorted({called for called, _ in known.values()}), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"no video {asked[:60]!r} in the library of {len(known)}{hint}")
        ids.update(dict.fromkeys(meant))
    return tuple(ids)


# --- vectors


@dataclass(frozen=True, slots=True)
class _Look:
    """A vector column to look into, and for what. kind: "text" or "frames"."""

    column: str
    kind: str
    vector: NDArray[np.float32]


def _vectors_of(index: Index, text: str, encoder: str | Encoder | None) -> tuple[list[_Look], list[str], str]:
    """Where to look by meaning, in words too, and why there is nowhere, or less than there could be."""
    looks, ways, lacking = [], [], []
    for column, source in index.columns.items():
        kind = column.partition("_")[0]
        made, why = _encoder_of(source, kind, encoder)
        if made is None:
            lacking += [why] if why else []
            continue
        looks.append(_Look(column, kind, made.encode_text([text])[0]))
        ways.append(f"{kind} vectors of {source.model}")
    if not looks and not lacking:
        lacking = ["this index has no text vectors; `longshot index` makes them when a model can be had"]
    return looks, ways, "; ".join(lacking)


def _encoder_of(source: Source, kind: str, encoder: str | Encoder | None) -> tuple[Encoder | None, str]:
    """The model that made a column, or why it is not to be had; nothing is said of pictures nobody asked for."""
    if encoder is not None and not isinstance(encoder, str):
        same = (encoder.source.model, encoder.source.revision) == (source.model, source.revision)
        return (encoder, "") if same else _of_text(source, kind)
    if kind != "text":
        if encoder is None or encoder.rpartition(":")[2] != source.model:
            return None, ""
        return _opened(encoder), ""
    return _of_text(source, kind)


def _of_text(source: Source, kind: str) -> tuple[Encoder | None, str]:
    if kind != "text":
        return None, ""
    made, why = open_text_encoder(source.model)
    if made is None:
        return None, f"full text alone: {why}"
    if made.source.revision != source.revision:
        return None, f"full text alone: the index was made with {source}, here is {made.source}"
    return made, ""


@lru_cache(maxsize=2)
def _opened(name: str) -> Encoder:
    # Opens the door to video files too, which a search for words needs not wait for.
    from longshot.models import open_encoder

    return open_encoder(name)

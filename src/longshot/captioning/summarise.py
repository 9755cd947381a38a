"""Say what a stretch of video holds by choosing among the words that finer levels already said.

Nothing here writes a sentence about the world: speech and writing are quoted, scenes are quoted or counted, and every
summary names the captions that it rests on. Pure: tracks and captions go in, text and ids come out.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longshot.timeline import Caption, Span, Track, clock

NOTE = "extractive: every line is chosen from the finer tracks or counts what they say, nothing is made up"
TITLE_LENGTH = 60

# Marks and vowel signs are no \w for Python, yet they stand inside words of many scripts.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0971-\u0dff\u0e31-\u0e4e"
)
_WORD = re.compile(rf"[\w{_MARKS}]+(?:['’][\w{_MARKS}]+)*")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_STOP = re.compile(r"[.!?…؟۔।॥։።]+[\"'”’»)\]]*(?=\s|$)|[。！？｡]+[\"”’」』）]*")
_ENDED = re.compile(r"[.!?…؟۔।॥։።。！？｡][\"'”’»)\]」』）]*$")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:\w|mr|mrs|ms|dr|st|vs|prof|jr|sr|inc|no|approx|[a-z]\.[a-z])\.$", re.I)
_NOISE = re.compile(r"\[[^\]]*\]|\([^)]*\)|（[^）]*）|[♪♫]+|<[^>]*>|^\s*(?:>>+|[-–—])\s*|^\s*[A-Z][A-Z .'’-]{1,24}:\s")
_ADDRESS = re.compile(r"https?:|www\.|\w\.(?:com|org|net|tv|io|de|co)\b|@\w", re.I)
_CLAUSE = re.compile(r"[,;:–—，、；：]\s*")

# Words that only join others; a key phrase never begins or ends with one. Other languages are held off by how
# widely a word is spread over the video.
_JOINING_WORDS = (
    "a about after all also am an and any are as at be because been but by can could did do does don't for "
    "from get go going got had has have he her here him his how i i'm if in into is it it's its just know like "
    "make me more my no not now of off on one or our out over really say see she so some than that that's the "
    "their them then there there's these they this those to too up us very was we we're well were what when "
    "where which who why will with would yeah you you're your "
)
_JOINING = frozenset(_JOINING_WORDS.split())


# --- words and sentences


def words(text: str) -> list[str]:
    """The words of a text, folded for comparison, in any script.

    Scripts that put no space between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) give overlapping pairs of
    characters instead: "学习中文" gives 学习, 习中, 中文.
    """
    found: list[str] = []
    for token in _WORD.findall(unicodedata.normalize("NFKC", text).casefold().replace("_", " ")):
        rest = 0
        for run in _UNSPACED.finditer(token):
            if token[rest : run.start()]:
                found.append(token[rest : run.start()])
            letters = run.group()
            found += [a + b for a, b in pairwise(letters)] if len(letters) > 1 else [letters]
            rest = run.end()
        if token[rest:]:
            found.append(token[rest:].replace("’", "'"))
    return found


def shorten(text: str, limit: int) -> str:
    """The text in at most `limit` characters, cut after a clause or a word, with an ellipsis when cut."""
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    clauses = [match.start() for match in _CLAUSE.finditer(head) if match.start() >= 0.6 * limit]
    space = head.rfind(" ")
    cut = clauses[-1] if clauses else space if space >= 0.5 * limit else len(head)
    return head[:cut].rstrip(" ,;:–—-.") + "…"


@dataclass(frozen=True, slots=True)
class Line:
    """A caption with the id by which others name it."""

    id: str
    caption: Caption


def lines(track: Track | None) -> tuple[Line, ...]:
    """The captions of a track with their ids, in order; none for no track."""
    return tuple(Line(track.id_of(i), caption) for i, caption in enumerate(track)) if track else ()


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something said: its words, when, and the ids of the speech captions that hold it.

    whole: False when it was cut out of speech without full stops. rough: True when a rough recogniser heard it.
    """

    text: str
    span: Span
    ids: tuple[str, ...]
    words: tuple[str, ...]
    whole: bool = True
    rough: bool = False
    score: float = 1.0


def is_rough(track: Track) -> bool:
    """True when the maker of a speech track says that its words are often wrong."""
    return "rough" in track.source.note.casefold() or "sphinx" in track.source.model.casefold()


def sentences(speech: Track | None) -> tuple[Sentence, ...]:
    """The sentences of a speech track: cues joined and divided at full stops, or at pauses where there are none.

    Sound notes in brackets and song signs are left out. A cue that repeats the one before it counts once.
    """
    if speech is None:
        return ()
    rough = is_rough(speech)
    cleaned = [(line, _clean(line.caption.text)) for line in lines(speech)]
    spoken = [(line, text) for line, text in cleaned if any(letter.isalnum() for letter in text)]
    stopped = sum(bool(_ENDED.search(text)) for _, text in spoken)
    punctuated = bool(spoken) and stopped >= 0.1 * len(spoken)
    pause, longest = (2.0, 300) if punctuated else (0.7, 120)
    made: list[Sentence] = []
    open_pieces: list[_Piece] = []
    before = ""
    for line, text in spoken:
        if text == before:
            continue
        before = text
        for piece in _pieces(line, text):
            if open_pieces and _breaks(open_pieces, piece, pause=pause, longest=longest):
                made.append(_sentence(open_pieces, rough=rough))
                open_pieces = []
            open_pieces.append(piece)
            if piece.ends:
                made.append(_sentence(open_pieces, rough=rough))
                open_pieces = []
    if open_pieces:
        made.append(_sentence(open_pieces, rough=rough))
    return tuple(made)


@dataclass(frozen=True, slots=True)
class _Piece:
    line: Line
    text: str
    span: Span
    ends: bool


def _clean(text: str) -> str:
    return " ".join(_NOISE.sub(" ", text).split())


def _pieces(line: Line, text: str) -> list[_Piece]:
    """A cue divided at its full stops; time is shared out by the number of characters."""
    cuts = [
        stop.end()
        for stop in _STOP.finditer(text)
        if stop.end() == len(text) or not _ABBREVIATION.search(text[: stop.end()])
    ]
    edges = [0, *cuts, *([] if cuts and cuts[-1] == len(text) else [len(text)])]
    span = line.caption.span
    found = []
    for a, b in pairwise(edges):
        part = text[a:b].strip()
        if part:
            share = Span(span.start + span.length * a / len(text), span.start + span.length * b / len(text))
            found.append(_Piece(line, part, share, b in cuts))
    return found


def _breaks(open_pieces: Sequence[_Piece], piece: _Piece, *, pause: float, longest: int) -> bool:
    silence = piece.span.start - open_pieces[-1].span.end
    return silence > pause or sum(len(p.text) + 1 for p in open_pieces) + len(piece.text) > longest


def _sentence(pieces: Sequence[_Piece], *, rough: bool) -> Sentence:
    joint = "" if _UNSPACED.search(pieces[0].text[-1:]) else " "
    text = joint.join(piece.text for piece in pieces)
    scores = [p.line.caption.score for p in pieces if p.line.caption.score is not None]
    return Sentence(
        text=text,
        span=Span(pieces[0].span.start, max(piece.span.end for piece in pieces)),
        ids=tuple(dict.fromkeys(piece.line.id for piece in pieces)),
        words=tuple(words(text)),
        whole=pieces[-1].ends,
        rough=rough,
        score=sum(scores) / len(scores) if scores else 1.0,
    )


# --- writing on screen


@dataclass(frozen=True, slots=True)
class Writing:
    """Something written on screen: its words, every span that shows it, and the ids of those captions.

    head: its first row when it is long, else all of it. rank: how much that looks like a headline, 0..1. lasting: True
    when it stands there for most of the video (a watermark, a channel's name).
    """

    text: str
    head: str
    spans: tuple[Span, ...]
    ids: tuple[str, ...]
    words: tuple[str, ...]
    rank: float
    lasting: bool = False

    def within(self, span: Span) -> Writing | None:
        """The part of it that is shown inside `span`, if any."""
        kept = [
            i for i, shown in enumerate(self.spans) if shown.overlap(span) > 0 or shown.start in span or shown == span
        ]
        if not kept:
            return None
        spans, ids = tuple(self.spans[i] for i in kept), tuple(self.ids[i] for i in kept)
        return replace(self, spans=spans, ids=ids)


def writings(screen: Track | None, *, said: Sequence[Sentence] = ()) -> tuple[Writing, ...]:
    """What is written on screen, each wording once, in order of first sight.

    Subtitles burned into the picture repeat what is `said` at that time; they are left out, as is anything without
    at least two letters.
    """
    if screen is None:
        return ()
    grouped: dict[tuple[str, ...], list[Line]] = {}
    for line in lines(screen):
        key = tuple(words(line.caption.text))
        if sum(letter.isalpha() for letter in line.caption.text) >= 2:
            grouped.setdefault(key, []).append(line)
    length = screen.duration or max((caption.span.end for caption in screen), default=0.0)
    starts = [sentence.span.start for sentence in said]
    kept = [
        _writing(key, found, length) for key, found in grouped.items() if not _is_subtitle(key, found, said, starts)
    ]
    return tuple(sorted(kept, key=lambda writing: writing.spans[0]))


def _writing(key: tuple[str, ...], found: Sequence[Line], length: float) -> Writing:
    shown = sum(line.caption.span.length for line in found)
    rows = max((_rows(line.caption.text) for line in found), key=lambda rows: sum(map(len, rows)))
    text = " / ".join(rows)
    head = text if len(text) <= TITLE_LENGTH else rows[0]
    return Writing(
        text=text,
        head=head,
        spans=tuple(line.caption.span for line in found),
        ids=tuple(line.id for line in found),
        words=key,
        rank=_headline_rank(head, found),
        lasting=length > 30 and shown > 0.5 * length,
    )


def _rows(text: str) -> list[str]:
    return [row for row in (" ".join(row.split()) for row in text.splitlines()) if row]


def _headline_rank(text: str, found: Sequence[Line]) -> float:
    """How much a wording looks like a headline: a few words, mostly letters, large, surely read."""
    key = words(text)
    letters = sum(letter.isalpha() or letter.isspace() for letter in text) / len(text)
    brevity = 1.0 if 2 <= len(key) <= 8 else 0.7 if len(key) == 1 and len(text) >= 4 else 0.4
    fits = 1.0 if len(text) <= TITLE_LENGTH else 0.5
    height = max(_letter_height(line.caption.details) for line in found)
    sure = max((1.0 if line.caption.score is None else line.caption.score) for line in found)
    rolls = 0.4 if any("scrolls" in line.caption.details for line in found) else 1.0
    address = 0.4 if _ADDRESS.search(text) else 1.0
    return brevity * fits * letters * sure * rolls * address * min(1.0, 0.2 + 10 * height)


def _letter_height(details: Mapping[str, Any]) -> float:
    """The height of the tallest written row as a share of the picture's; 0.05 when nobody measured it."""
    boxes = [row["box"] for row in details.get("lines", ()) if "box" in row] or [details.get("box", (0, 0, 0, 0.05))]
    return max(float(bottom) - float(top) for _, top, _, bottom in boxes)


def _is_subtitle(key: Sequence[str], found: Sequence[Line], said: Sequence[Sentence], starts: Sequence[float]) -> bool:
    """True when a wording low in the picture is, for the most part and in its order, being said while it is shown."""
    if len(key) < 3 or not said or min(_top(line.caption.details) for line in found) < _LOW:
        return False
    spoken: set[tuple[str, str]] = set()
    for line in found:
        first = max(0, bisect_left(starts, line.caption.span.start - 2.0) - 2)
        last = bisect_left(starts, line.caption.span.end + 2.0)
        for sentence in said[first:last]:
            spoken.update(pairwise(sentence.words))
    pairs = list(pairwise(key))
    return sum(pair in spoken for pair in pairs) >= 0.6 * len(pairs)


_LOW = 0.6  # how far down the picture subtitles begin at the highest
_WORTHY, _HEADLINE = 0.15, 0.45  # ranks from which writing is worth quoting, and worth heading a segment


def _top(details: Mapping[str, Any]) -> float:
    """How far down the picture a writing begins, 0..1; 1 when nobody measured it."""
    return float(details["box"][1]) if "box" in details else 1.0


def is_headline(writing: Writing) -> bool:
    """True when a wording may head a stretch of the video."""
    return writing.rank >= _HEADLINE and len(writing.head) <= TITLE_LENGTH and not writing.lasting


# --- what is central


class Corpus:
    """How telling each word is in one video: rare words weigh more than common ones (inverse document frequency)."""

    def __init__(self, documents: Iterable[Sequence[str]]) -> None:
        self._count: Counter[str] = Counter()
        self._total = 0
        for document in documents:
            self._count.update(set(document))
            self._total += 1

    def weight(self, word: str) -> float:
        """The weight of a word: log(1 + N / n), and little for words that only join others."""
        telling = log(1.0 + (self._total + 1) / (self._count[word] + 1))
        return 0.1 * telling if word in _JOINING else telling

    def count(self, word: str) -> int:
        """In how many documents the word stands."""
        return self._count[word]

    def likeness(self, documents: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Cosines between the weighted word counts of documents: float64 (N, N), 0..1."""
        index: dict[str, int] = {}
        for document in documents:
            for word in document:
                index.setdefault(word, len(index))
        table = np.zeros((len(documents), max(len(index), 1)))
        for row, document in enumerate(documents):
            for word, count in Counter(document).items():
                table[row, index[word]] = (1.0 + log(count)) * self.weight(word)
        norms = np.linalg.norm(table, axis=1, keepdims=True)
        table /= np.where(norms > 0, norms, 1.0)
        return table @ table.T


def centrality(likeness: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each of N documents is like the others (LexRank): float64 (N,), the most central has 1."""
    count = len(likeness)
    links = likeness * (1.0 - np.eye(count))
    totals = links.sum(axis=1, keepdims=True)
    steps = np.where(totals > 0, links / np.where(totals > 0, totals, 1.0), 1.0 / max(count, 1))
    rank = np.full(count, 1.0 / max(count, 1))
    for _ in range(30):
        rank = 0.15 / max(count, 1) + 0.85 * (rank @ steps)
    top = rank.max(initial=0.0)
    return np.asarray(rank / top if top > 0 else rank, dtype=np.float64)


# Beyond this many, candidates are first thinned evenly over time, so that no table grows with a video's length.
_CANDIDATES = 160


def choose(
    documents: Sequence[Sequence[str]], merits: Sequence[float], *, count: int, corpus: Corpus
) -> tuple[int, ...]:
    """The indices of the `count` documents that say most with least repetition, evenly over their order.

    documents: their words, in time order. merits: a factor for each (length, confidence). The order is divided
    into `count` bands and each gives its best, so the end of a long input is never cut off; a document that says
    what a chosen one said is passed over.
    """
    pool = _thinned(documents, merits, corpus)
    likeness = corpus.likeness([documents[i] for i in pool])
    scores = centrality(likeness) * np.array([merits[i] for i in pool])
    bands = [band for band in np.array_split(np.arange(len(pool)), max(count, 1)) if len(band)]
    chosen: list[int] = []
    # A band may have nothing new to say; what is then missing comes from anywhere.
    for band in [*bands, *[np.arange(len(pool))] * count]:
        best = _best(band, scores, likeness, chosen) if len(chosen) < count and len(band) else None
        chosen += [] if best is None else [best]
    return tuple(sorted(pool[i] for i in chosen))


def _best(
    band: NDArray[np.int64], scores: NDArray[np.float64], likeness: NDArray[np.float64], chosen: Sequence[int]
) -> int | None:
    """The candidate of a band with the best score after its likeness to the chosen ones is taken off (MMR)."""
    repeats = likeness[band][:, list(chosen)].max(axis=1) if chosen else np.zeros(len(band))
    values = np.where(repeats > 0.6, -np.inf, 0.75 * scores[band] - 0.25 * repeats)
    values[[int(i) in chosen for i in band]] = -np.inf
    best = int(np.argmax(values))
    return int(band[best]) if np.isfinite(values[best]) else None


def _thinned(documents: Sequence[Sequence[str]], merits: Sequence[float], corpus: Corpus) -> list[int]:
    """At most `_CANDIDATES` indices: of each stretch of the order the one with the weightiest words."""
    if len(documents) <= _CANDIDATES:
        return list(range(len(documents)))
    weights = [
        merit * sum(corpus.weight(word) for word in set(document)) / (8 + len(document))
        for document, merit in zip(documents, merits, strict=True)
    ]
    stretches = np.array_split(np.arange(len(documents)), _CANDIDATES)
    return [max((int(i) for i in stretch), key=lambda i: (weights[i], -i)) for stretch in stretches]


# --- what is seen

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def counted(count: int, noun: str) -> str:
    """A number with its noun as people write it: "three shots", "one setting", "40 shots"."""
    number = _NUMBERS[count] if count < len(_NUMBERS) else f"{count:,}"
    return f"{number} {noun}{'' if count == 1 else 's'}"


def looks(caption: Caption) -> tuple[str, ...]:
    """Marks of how a clip looks, for comparing it with others.

    Setting, shot, colours and camera where the describer measured them, else the words of the description.
    """
    said = _statements(caption)
    if not said:
        return tuple(dict.fromkeys(words(caption.text)))
    home = said.get("return", {}).get("measured", {}).get("earlier_start", caption.span.start)
    colours = said.get("look", {}).get("measured", {}).get("colours", {})
    shots = [f"part of {shot}" for shot in caption.details.get("part_of", ())]
    return (
        f"setting {home:.3f}",
        *shots,
        *colours,
        f"camera {_camera(caption) or 'unknown'}",
        *(said.keys() & {"black"}),
    )


def scene_words(caption: Caption) -> str:
    """What a clip shows, in one clause: "mostly blue; the camera pans to the right".

    Put together of the describer's own statements, without the speech and writing that are quoted elsewhere; of a
    describer that makes none, the first sentence.
    """
    said = {kind: str(statement["says"]) for kind, statement in _statements(caption).items()}
    plain = said.get("black") or said.get("blank")
    parts = [plain] if plain else [said[kind] for kind in ("look", "camera") if kind in said]
    parts = parts or [said[kind] for kind in ("return", "movement", "stillness", "unseen") if kind in said]
    return "; ".join(parts) or _first_sentence(caption.text).rstrip(" .。")


def _statements(caption: Caption) -> dict[str, Mapping[str, Any]]:
    """What a describer that measures said of a clip, by kind; empty for one that writes freely."""
    found = [*caption.details.get("statements", ()), *caption.details.get("also", ())]
    return {s["kind"]: s for s in found if isinstance(s, Mapping) and {"kind", "says"} <= s.keys()}


# A camera that carries the picture less far than this is still: widths per second, and widths. One that shakes it by
# more widths than the last is not.
_SLOWEST, _SHORTEST, _SWAY = 0.011, 0.028, 0.0022
_MOVES = {"pan": "pans", "tilt": "tilts", "zoom": "zooms", "roll": "rolls"}
_WAYS = {"pan": ("to the left", "to the right"), "tilt": ("down", "up"), "zoom": ("out", "in"), "roll": ("", "")}


def _camera(caption: Caption) -> str:
    """What the camera does for most of a clip: "still", "sways", "pans to the right", …; empty when not measured."""
    measured = _statements(caption).get("camera", {}).get("measured", {})
    still = "sways" if float(measured.get("sway_widths", 0.0)) >= _SWAY else "still"
    seconds: defaultdict[str, float] = defaultdict(float)
    for leg in measured.get("legs", ()):
        length = float(leg["end"]) - float(leg["start"])
        rates = {
            "pan": float(leg["pan_widths_per_second"]),
            "tilt": float(leg["tilt_widths_per_second"]),
            "zoom": 0.29 * log(max(float(leg["zoom_factor_per_second"]), 1e-6)),
            "roll": 0.005 * float(leg["roll_degrees_per_second"]),
        }
        axis = max(rates, key=lambda name: abs(rates[name]))
        moves = abs(rates[axis]) >= _SLOWEST and abs(rates[axis]) * length >= _SHORTEST
        way = f"{_MOVES[axis]} {_WAYS[axis][rates[axis] > 0]}".strip()
        seconds[way if moves else still] += length
    return max(seconds, key=lambda way: seconds[way]) if seconds else ""


def _tell_camera(clips: Sequence[Line]) -> str:
    """What the camera does over many clips, weighed by their time; empty when too little of it was measured."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for line in clips:
        seconds[_camera(line.caption)] += line.caption.span.length
    total = sum(seconds.values())
    if not total or seconds.pop("", 0.0) > 0.5 * total:
        return ""
    verbs: defaultdict[str, float] = defaultdict(float)
    for way, length in seconds.items():
        verbs[way.split()[0]] += length
    # Time in which nothing could be measured counts against every claim.
    verb, length = max(verbs.items(), key=lambda pair: pair[1])
    if length < 0.6 * total:
        share = (sum(seconds.values()) - verbs["still"]) / total
        return f"the camera moves {'most' if share > 0.6 else 'about half'} of the time" if share > 0.4 else ""
    mostly = "mostly " if length < 0.95 * total else ""
    if verb in ("still", "sways"):
        return f"the camera {mostly}{'holds still' if verb == 'still' else 'sways a little'}"
    way, most = max(((w, n) for w, n in seconds.items() if w.startswith(verb)), key=lambda pair: pair[1])
    return f"the camera {mostly}{way if most > 0.9 * length else verb}"


def _count(material: Material) -> str:
    """How many shots, what the camera does, how often an earlier setting returns: one sentence."""
    back = sum("return" in _statements(line.caption) for line in material.seen)
    told = [counted(material.shots, "shot") if material.shots else "", _tell_camera(material.seen)]
    # Beyond a dozen the number tells only that the stretch is long.
    if 0 < back < len(_NUMBERS) and material.shots > 1:
        often = "once" if back == 1 else "twice" if back == 2 else counted(back, "time")
        told.append(f"it goes back to an earlier setting {often}")
    clause = "; ".join(part for part in told if part)
    return _sentence_of(clause) if clause else ""


def _sentence_of(clause: str) -> str:
    clause = clause[:1].upper() + clause[1:]
    return clause if _ENDED.search(clause) else f"{clause}."


# --- putting it together


@dataclass(frozen=True, slots=True)
class Material:
    """What is known about one span: what is said, written and seen in it, in time order.

    shots: how many shots it has; 0 when nobody looked for them. scenes: those of `seen` that may be told, all of them
    when None. spoken: the share of its time in which somebody speaks, 0..1; counted from `said`
    when None.
    """

    span: Span
    said: tuple[Sentence, ...] = ()
    written: tuple[Writing, ...] = ()
    seen: tuple[Line, ...] = ()
    shots: int = 0
    scenes: tuple[Line, ...] | None = None
    spoken: float | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a summary may hold: numbers of sentences, of wordings on screen and of scenes; letters of a quote.

    times: say when each thing comes, for spans too long to look through.
    """

    said: int
    written: int
    seen: int
    letters: int = 180
    times: bool = False


BUDGETS: Mapping[str, Budget] = {
    "scene": Budget(1, 2, 1, 140),
    "segment": Budget(2, 3, 2),
    "video": Budget(3, 4, 3, 200, True),
}
"""By level; every level between segment and video has `COARSE`."""
COARSE = Budget(3, 3, 2, 180, True)


@dataclass(frozen=True, slots=True)
class Summary:
    """The words for one span and what they rest on.

    text: the summary. titles: headings for it, best first, at most `TITLE_LENGTH` letters each. rests_on: the ids of
    every caption that it quotes, in time order. said, written: what it quotes, which is what the level above chooses
    from.
    """

    text: str
    titles: tuple[str, ...]
    rests_on: tuple[str, ...]
    said: tuple[Sentence, ...]
    written: tuple[Writing, ...]
    seen: tuple[Line, ...]


def summarise(material: Material, *, budget: Budget, corpus: Corpus) -> Summary:
    """Say what a span holds within a budget, by choosing among its material.

    Speech comes first, then writing on screen, then what is seen; where little is said, scenes speak for the rest.
    Long input is chosen from evenly over time: its end counts like its beginning.
    """
    said = _choose_said(material, budget, corpus)
    written = _choose_written(material.written, budget)
    seen = _choose_seen(material, budget, corpus)
    told = [_tell_said(said, budget), _tell_written(written, budget), _tell_seen(material, seen, budget)]
    if not said:
        told = [told[2], told[1]]
    text = " ".join(part for part in told if part)
    ids = [*(id for sentence in said for id in sentence.ids), *(id for writing in written for id in writing.ids[:1])]
    return Summary(
        text=text or "Nothing is said.",
        titles=_titles(material, said, written, seen, corpus),
        rests_on=tuple(dict.fromkeys([*ids, *(line.id for line in seen)])),
        said=said,
        written=written,
        seen=seen,
    )


def _choose_said(material: Material, budget: Budget, corpus: Corpus) -> tuple[Sentence, ...]:
    # What was cut off is only quoted where nothing whole was said.
    said = tuple(s for s in material.said if s.whole) or material.said
    # A rough recogniser gets words wrong: one line gives the drift, more only adds errors.
    count = min(budget.said, 1 + budget.times) if said and said[0].rough else budget.said
    chosen = choose([s.words for s in said], [_merit(s) for s in said], count=count, corpus=corpus)
    return tuple(said[i] for i in chosen)


def _merit(sentence: Sentence) -> float:
    """How quotable a sentence is by its own: neither a grunt nor a page, whole, well heard."""
    length = len(sentence.text.split()) if " " in sentence.text else len(sentence.words) // 2
    size = 0.3 if length < 3 else 0.7 if length < 6 else 1.0 if length <= 30 else 0.8
    return size * (1.0 if sentence.whole else 0.5) * (0.5 + 0.5 * sentence.score)


def _choose_written(written: Sequence[Writing], budget: Budget) -> tuple[Writing, ...]:
    """The most headline-like wordings, one at least from each stretch of time that has one, in time order.

    What stands there all the time is told once, of the whole video, and last.
    """
    worthy = [w for w in written if w.rank >= _WORTHY and not w.lasting]
    bands = [worthy[a:b] for a, b in _bands(len(worthy), budget.written)]
    chosen = [max(band, key=lambda w: w.rank) for band in bands if band]
    lasting = [w for w in written if w.rank >= _WORTHY and w.lasting and budget.times]
    return tuple(sorted(chosen, key=lambda w: w.spans[0])) + tuple(lasting[:1])


def _bands(count: int, parts: int) -> list[tuple[int, int]]:
    edges = [round(count * i / parts) for i in range(parts + 1)]
    return list(pairwise(edges))


def _choose_seen(material: Material, budget: Budget, corpus: Corpus) -> tuple[Line, ...]:
    """Scenes that stand for the part without speech: none when most of the span is talked over."""
    covered = sum(s.span.overlap(material.span) for s in material.said) / max(material.span.length, 1e-9)
    if not material.seen or (covered if material.spoken is None else material.spoken) > 0.4:
        return ()
    scenes = material.seen if material.scenes is None else material.scenes
    documents = [looks(line.caption) for line in scenes]
    merits = [_scene_merit(line.caption, material.span) for line in scenes]
    return tuple(scenes[i] for i in choose(documents, merits, count=budget.seen, corpus=corpus))


def _scene_merit(caption: Caption, span: Span) -> float:
    """Long scenes stand for more; one that only goes on as before stands for less."""
    share = min(1.0, caption.span.length / max(span.length, 1e-9))
    return (0.5 + 0.5 * share) * (0.7 if "same" in _statements(caption) else 1.0)


def _tell_said(said: Sequence[Sentence], budget: Budget) -> str:
    if not said:
        return ""
    quotes = [
        f"“{shorten(s.text, budget.letters)}”" + (f" ({clock(s.span.start)})" if budget.times else "") for s in said
    ]
    joined = " ".join(quotes)
    return f"Heard, roughly: {joined}" if said[0].rough else joined


def _tell_written(written: Sequence[Writing], budget: Budget) -> str:
    passing = [
        f"“{shorten(w.text, 60)}”" + (f" ({clock(w.spans[0].start)})" if budget.times else "")
        for w in written
        if not w.lasting
    ]
    told = [f"On screen: {', '.join(passing)}."] if passing else []
    told += [f"On screen nearly all the time: “{shorten(w.text, 60)}”." for w in written if w.lasting]
    return " ".join(told)


def _tell_seen(material: Material, seen: Sequence[Line], budget: Budget) -> str:
    """How many shots there are and what some of them show; a single clip speaks for itself."""
    if not material.seen:
        return ""
    clauses = [shorten(scene_words(line.caption), budget.letters) for line in seen]
    if len(material.seen) == 1 and seen:
        return _sentence_of(clauses[0])
    scenes = [f"At {clock(line.caption.span.start)}: {clause}" for line, clause in zip(seen, clauses, strict=True)]
    return " ".join(part for part in (_count(material), *map(_sentence_of, scenes)) if part)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, each with its stop; abbreviations and initials do not end one.

    "Dr. Ames waves. Then rain" gives "Dr. Ames waves." and "Then rain".
    """
    ends = [stop.end() for stop in _STOP.finditer(text) if not _ABBREVIATION.search(text[: stop.end()])]
    parts = [text[a:b].strip() for a, b in pairwise([0, *ends, len(text)])]
    return [part for part in parts if part]


def telling_words(text: str) -> list[str]:
    """The words of a text without those that only join others."""
    return [word for word in words(text) if word not in _JOINING]


def _first_sentence(text: str) -> str:
    return next(iter(split_sentences(text)), text)


# --- titles


def _titles(
    material: Material, said: Sequence[Sentence], written: Sequence[Writing], seen: Sequence[Line], corpus: Corpus
) -> tuple[str, ...]:
    """Headings for a span, best first: a headline on screen, what is talked about again and again, a quote, a scene."""
    headlines = [w for w in written if is_headline(w)]
    found = [w.head for w in sorted(headlines, key=lambda w: (-round(w.rank, 2), w.spans[0]))]
    clear = [s for s in material.said if not s.rough]
    clear = [s for s in clear if s.whole] or clear
    phrase = key_phrase(clear, corpus)
    found += [phrase] if phrase else []
    short = [s for s in clear if 12 <= len(s.text) <= TITLE_LENGTH]
    central = [short[i] for i in choose([s.words for s in short], [_merit(s) for s in short], count=1, corpus=corpus)]
    fitting = [s for s in said if s in short] + central
    found += [shorten(s.text.rstrip(" .。"), TITLE_LENGTH) for s in (*fitting, *said) if s in clear]
    found += [_scene_title(line.caption) for line in sorted(seen, key=lambda line: -line.caption.span.length)]
    found += [shorten(s.text, TITLE_LENGTH) for s in said]
    return tuple(dict.fromkeys(title[:1].upper() + title[1:] for title in found if title))


def _scene_title(caption: Caption) -> str:
    """The clause of a scene, or as much of its beginning as stays whole and fits."""
    clause = scene_words(caption)
    parts = (clause, clause.split(";")[0], clause.split(", with ")[0], clause.split(" with ")[0])
    return next((part for part in parts if len(part) <= TITLE_LENGTH), shorten(clause, TITLE_LENGTH))


def key_phrase(said: Sequence[Sentence], corpus: Corpus) -> str:
    """The one or two words that a stretch of speech keeps coming back to; empty when there are none.

    Two words must come three times at least, one word four times and seldom elsewhere in the video. Speech without
    spaces between words has none: pairs of characters are not phrases.
    """
    spoken = [[word for word in s.words if word.isalpha()] for s in said if not _UNSPACED.search(s.text)]
    if sum(map(len, spoken)) < 40:
        return ""
    counts: Counter[tuple[str, ...]] = Counter()
    for sentence in spoken:
        for size in (1, 2):
            grams = zip(*(sentence[k:] for k in range(size)), strict=False)
            counts.update(gram for gram in grams if all(len(w) > 3 and w not in _JOINING for w in gram))
    # One word alone must be this stretch's own: what all of the video is about would head every stretch.
    own: dict[tuple[str, ...], float] = {
        gram: count * sum(map(corpus.weight, gram))
        for gram, count in counts.items()
        if count >= (3 if len(gram) == 2 else 4) and (len(gram) == 2 or count >= 0.6 * corpus.count(gram[0]))
    }
    return _as_written(max(own.items(), key=lambda item: (item[1], item[0]))[0], said) if own else ""


def _as_written(gram: Sequence[str], said: Sequence[Sentence]) -> str:
    """A folded phrase in the letters in which it is most often written, with a capital first."""
    pattern = re.compile(r"\W+".join(map(re.escape, gram)), re.IGNORECASE)
    forms = Counter(match.group() for s in said for match in pattern.finditer(s.text))
    form = forms.most_common(1)[0][0] if forms else " ".join(gram)
    return form[0].upper() + form[1:]

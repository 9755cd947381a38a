"""What a query asks for: words to find, exact phrases, where to listen or read, and which part of the video.

read("where she talks about tides at the end")   # terms ("tide",), speech, place "end"
read('the slide that says "high tide"')          # phrase "high tide", screen
read("the two questions at the end")             # lines that ask something, place "end"

Words of place, order, speaking and reading are known in English; a query in another language is words and phrases.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from longshot.errors import UsageError
from longshot.terms import asked, terms

_QUOTED = re.compile(r"\"([^\"]+)\"|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|»([^«»]+)«")

# Words that stand in every text and name nothing.
_EMPTY = """a an the this that these those there here it its he him his she her hers they them their we us our i me my
you your who whom whose which what where when why how is are was were be been being am do does did done have has had
having will would shall should can could may might must of in on at to for from by with without into onto about as than
then so and or but if not no nor too very just also only some any each every all both few more most other such own same
s t re ve ll d m don didn isn wasn doesn up down out off over under again"""
# Words that speak of the search itself.
_FRAME = """part parts moment moments scene scenes bit bits point place spot clip video film movie footage recording
picture image frame show shows shown showing see seen sees look looks looking watch find happen happens happening appear
appears someone somebody people person something thing things"""
_SPEAKING = """talk talks talked talking say says said saying tell tells told telling explain explains explained
explaining describe describes described describing ask asks asked asking mention mentions mentioned mentioning shout
shouts shouted shouting speak speaks spoke spoken speaking discuss discusses discussed discussing announce announces
announced answer answers answered answering reply replies replied whisper whispers whispered yell yells yelled argue
argues argued claim claims claimed joke jokes joked narrate narrates narrator comment comments commented introduce
introduces introduced speech speaker voice hear hears heard"""
_READING = """sign signs slide slides text texts written writing read reads reading title titles caption captions
subtitle subtitles label labels labelled banner banners headline headlines lettering screen onscreen credits sticker
logo poster"""
_ASKING = "question questions ask asks asked asking"
_NUMBERS = "one two three four five six both 1 2 3 4 5 6"

_OF_IT = r"(?: of (?:the|this) (?:video|film|movie|clip|talk|lecture|show|recording|interview))?(?! of\b)"
_NEAR = r"(?:\b(?:right|just|somewhere|very) )?\b(?:at|in|near|by|from|towards?|around|during) the (?:very )?"
_PLACES = (
    ("end", re.compile(rf"{_NEAR}(?:end|ending|close|finish|last part)\b{_OF_IT}", re.I)),
    ("start", re.compile(rf"{_NEAR}(?:start|beginning|opening|outset|first part){_OF_IT}", re.I)),
    ("middle", re.compile(rf"(?:{_NEAR}middle\b{_OF_IT}|\bhalf-?way(?: through)?\b{_OF_IT})", re.I)),
)
_ALONE = re.compile(r"\s*(?:the )?(?:very )?(?P<place>end|ending|start|beginning|opening|middle)\s*", re.I)
_SHARE = re.compile(
    r"(?:\b(?:in|during|within) )?\bthe (?P<which>first|last|second|final) "
    r"(?:(?P<count>\d+|one|two|three|four|five|ten|twenty|thirty) )?"
    r"(?P<unit>half|third|quarter|seconds?|minutes?|hours?)\b",
    re.I,
)
_CLOCK = re.compile(
    r"\b(?P<which>after|before|around|about|near|at|from|until) (?:(?P<h>\d+):)?(?P<m>\d{1,3}):(?P<s>\d\d)\b", re.I
)
_ORDER = re.compile(
    r"\b(?:for )?the (?P<which>first|second|third|fourth|fifth|last|final) "
    r"(?P<what>time|question|mention|slide|sign)\b(?: (?:that|when|where))?",
    re.I,
)
_RANKS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1, "final": -1}
_NUMBERED = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "ten": 10, "twenty": 20, "thirty": 30}
_ALIAS = {"end": "end", "ending": "end", "start": "start", "beginning": "start", "opening": "start", "middle": "middle"}
_LONG = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_SHARES = {"half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4}
_ABOUT = 30.0  # seconds on either side that "around 2:15" may mean

QUESTION = "question"
"""The term that every line has which asks something."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a video: `start` to `end`, both shares of its length, or seconds (negative ones from its end)."""

    start: float
    end: float
    seconds: bool = False

    def within(self, duration: float) -> tuple[float, float]:
        """The part in seconds."""
        if not self.seconds:
            return self.start * duration, self.end * duration
        first, last = (value + duration if value < 0 else value for value in (self.start, self.end))
        return max(first, 0.0), min(last, duration)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A query, read. `text` is what is left of it for an encoder.

    terms: index terms that a moment should hold. extras: terms that speak for a moment and are not missed. phrases:
    each must stand exactly as it is in speech or on screen. speech, screen: where the query says that its words are.
    place: "start", "middle" or "end". window: a stated part. rank: which of
    the moments in order of time, -1 for the last, 0 for none. left_out: terms of a very long query that are not used.
    any_line: whether it names nothing but that something is said or written ("the last slide").
    """

    text: str
    terms: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    speech: bool = False
    screen: bool = False
    place: str = ""
    window: Window | None = None
    rank: int = 0
    left_out: int = 0
    any_line: bool = False

    @property
    def places_only(self) -> bool:
        """Whether it names a part of the video, and nothing in it."""
        return not (self.terms or self.phrases)


def read(query: str) -> Wanted:
    """Read a query. Raises UsageError for one that holds no word, or only words that stand everywhere."""
    quoted = [" ".join(next(filter(None, found)).split()) for found in _QUOTED.findall(query)]
    phrases = tuple(dict.fromkeys(phrase for phrase in quoted if terms(phrase)))
    place = _place(_QUOTED.sub(" ", query))
    cut = asked(place.rest)
    names = [name for name in cut.terms if name not in _known(_EMPTY)]
    aside = _known(_FRAME) | _known(_SPEAKING) | _known(_READING)
    wanted = [name for name in names if name not in aside]
    extras = [name for name in names if name in aside]
    if QUESTION in wanted:
        # "the two questions" counts them: no line needs to say "two".
        wanted = [name for name in wanted if name not in _known(_NUMBERS)]
    elif not _known(_ASKING).isdisjoint(names):
        extras.append(QUESTION)
    any_line = not wanted and not phrases and not (_known(_SPEAKING) | _known(_READING)).isdisjoint(extras)
    if not wanted and not phrases:
        wanted, extras = extras, []
    if not (wanted or phrases or place.name or place.window):
        raise UsageError(_nothing(query, cut.terms))
    return Wanted(
        " ".join([*cut.text.split(), *phrases]),
        tuple(wanted),
        tuple(extras),
        phrases,
        speech=not _known(_SPEAKING).isdisjoint(names),
        screen=not _known(_READING).isdisjoint(names),
        place=place.name,
        window=place.window,
        rank=place.rank,
        left_out=cut.left_out,
        any_line=any_line,
    )


@cache
def _known(words: str) -> frozenset[str]:
    return frozenset(term.text for term in terms(words))


def _nothing(query: str, found: tuple[str, ...]) -> str:
    shown = " ".join(query.split())
    shown = repr(shown if len(shown) <= 60 else shown[:59] + "…")
    if not found:
        return f"{shown} holds no word to look for: say in a few words what the moment shows or what is said in it"
    return f"{shown} holds only words that stand everywhere: add one that names something, or put it in quotes"


class _Place(NamedTuple):
    """Where a query says to look, and what is left of it."""

    rest: str
    name: str = ""
    window: Window | None = None
    rank: int = 0


def _place(text: str) -> _Place:
    """Take the words about place and order out of a query."""
    name, window, rank = "", None, 0
    if alone := _ALONE.fullmatch(text):
        return _Place("", _ALIAS[alone["place"].lower()])
    if found := _ORDER.search(text):
        rank = _RANKS[found["which"].lower()]
        # "the last slide" still looks for a slide, "the last time" for no time.
        kept = "" if found["what"].lower() in ("time", "mention") else found["what"]
        text = f"{text[: found.start()]} {kept} {text[found.end() :]}"
    if (found := _SHARE.search(text)) and (window := _share(found)):
        text = f"{text[: found.start()]} {text[found.end() :]}"
    elif found := _CLOCK.search(text):
        window = _clock(found)
        text = f"{text[: found.start()]} {text[found.end() :]}"
    for word, pattern in _PLACES:
        if not name and (found := pattern.search(text)):
            name = word
            text = f"{text[: found.start()]} {text[found.end() :]}"
    return _Place(text, name, window, rank)


def _share(found: re.Match[str]) -> Window | None:
    """The part that "the last two minutes" or "the second half" name; None for what names none."""
    which, unit = found["which"].lower(), found["unit"].lower()
    last = which in ("last", "final")
    if unit in _SHARES:
        share = _SHARES[unit]
        start = 1 - share if last else share if which == "second" else 0.0
        return None if found["count"] else Window(start, start + share)
    if which == "second":
        return None
    said = (found["count"] or "one").lower()
    seconds = (int(said) if said.isdigit() else _NUMBERED[said]) * _LONG[unit.removesuffix("s")]
    if not seconds:
        return None
    return Window(-seconds, math.inf, True) if last else Window(0.0, seconds, True)


def _clock(found: re.Match[str]) -> Window:
    second = 3600.0 * int(found["h"] or 0) + 60.0 * int(found["m"]) + int(found["s"])
    which = found["which"].lower()
    if which in ("after", "from"):
        return Window(second, math.inf, True)
    if which in ("before", "until"):
        return Window(0.0, second, True)
    return Window(max(second - _ABOUT, 0.0), second + _ABOUT, True)

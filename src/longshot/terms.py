"""Words of a text as the index knows them, with where they stand.

terms("The telescopes' cafés")              # [Term("the", 0, 3), Term("telescop", 4, 14), Term("cafe", 16, 21)]
matched("Two telescopes.", {"telescop"})    # [(4, 14)]
phrase_at("A red-hot  CAFÉ", "hot cafe")    # [(6, 15)]

The analysis is that of the full-text index itself: Unicode words (ICU, so Chinese and Thai have words too), lower
case, accents folded, English stems, no stop words. Offsets count characters of the text as it was given.
"""

from __future__ import annotations

import gc
import importlib
import os
import re
import sys
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NamedTuple

ANALYSIS = {"base_tokenizer": "icu", "stem": True, "remove_stop_words": False, "ascii_folding": True}
_SERVER = "lance_namespace_urllib3_client"
_WHOLE = {**ANALYSIS, "stem": False, "max_token_length": None}
_AS_WRITTEN = {**_WHOLE, "lower_case": False, "ascii_folding": False}

# One character for one, so that offsets stay: the index folds accents but not apostrophes, nor what is no character.
_APOSTROPHES = "\u2018\u2019\u02bc\u2032\uff07"
_HALVES = range(0xD800, 0xE000)
_SAME = {**dict.fromkeys(map(ord, _APOSTROPHES), "'"), **dict.fromkeys(_HALVES, "\ufffd")}


@dataclass(frozen=True, slots=True)
class Term:
    """One word: what the index keeps of it, and the characters [start, end) of the text that spell it."""

    text: str
    start: int
    end: int


def fold(text: str) -> str:
    """The text as it goes into the index: composed accents, one apostrophe, no halves of characters."""
    if text.isascii():
        return text
    if not unicodedata.is_normalized("NFC", text):
        text = "".join(unicodedata.normalize("NFC", piece) for piece in _pieces(text))
    return text.translate(_SAME)


def lancedb() -> Any:
    """The engine of the index, opened on first use: `longshot --help` must not wait for it.

    Two thirds of the second that `import lancedb` takes go into hundreds of classes for a server that no library of
    ours has; those are left to be opened when somebody uses one.
    """
    # Its warnings are about itself, and stderr is for ours.
    os.environ.setdefault("LANCEDB_LOG", "error")
    if "lancedb" not in sys.modules and _SERVER not in sys.modules:
        postponed, known = _Postponed(), sys.modules.get("overrides")
        sys.meta_path.insert(0, postponed)
        collects = gc.isenabled()
        gc.disable()  # nothing that is being imported is rubbish, and looking for it takes a tenth of the time
        # Before Python 3.12 this checks a hundred methods against those they take the place of, by reading bytecode.
        sys.modules["overrides"] = _Unchecked("overrides")
        try:
            return importlib.import_module("lancedb")
        except Exception:  # another release, which needs them at once: the plain import says what is wrong, if anything
            for name in [name for name in sys.modules if re.match(r"lancedb(?!\._lancedb)\b", name)]:
                del sys.modules[name]
        finally:
            if collects:
                gc.enable()
            del sys.modules["overrides"]
            if known is not None:
                sys.modules["overrides"] = known
            sys.meta_path.remove(postponed)
            for name in [name for name in sys.modules if name.partition(".")[0] == _SERVER]:
                del sys.modules[name]
    return importlib.import_module("lancedb")


def terms(text: str) -> list[Term]:
    """The words of a text in order, as the full-text index knows them.

    Words of more than 40 bytes are no terms: the index leaves them out.
    """
    return _terms(text, ANALYSIS)


def matched(text: str, wanted: Collection[str]) -> list[tuple[int, int]]:
    """The character ranges of the words whose term is in `wanted`, in order."""
    wanted = frozenset(wanted)
    return [(term.start, term.end) for term in terms(text) if term.text in wanted]


def phrase_at(text: str, phrase: str) -> list[tuple[int, int]]:
    """Where the exact phrase stands in a text, as character ranges.

    Whole words in a row; case, accents, blanks and punctuation between words do not count, word endings do. Nothing
    for a phrase without a word.
    """
    wanted = [term.text for term in _terms(phrase, _WHOLE)]
    if not wanted:
        return []
    words = _terms(text, _WHOLE)
    texts = [word.text for word in words]
    starts = [i for i in range(len(texts) - len(wanted) + 1) if texts[i : i + len(wanted)] == wanted]
    return [(words[i].start, words[i + len(wanted) - 1].end) for i in starts]


def is_bare(level: str, text: str) -> bool:
    """Whether a caption says nothing: it is empty, or its number alone, "Shot 3", which nobody described."""
    words = text.split()
    return not words or (len(words) == 2 and words[0].casefold() == level and words[1].isdecimal())


class Asked(NamedTuple):
    """A query cut to what the index is asked: the text, its distinct terms, how many more were left out."""

    text: str
    terms: tuple[str, ...]
    left_out: int


def asked(query: str, *, most: int = 64) -> Asked:
    """A query with its first `most` distinct terms: more of them make a search slow, not better."""
    found = terms(query)
    first: dict[str, int] = {}
    for term in found:
        first.setdefault(term.text, term.start)
    if len(first) <= most:
        return Asked(query, tuple(first), 0)
    names = list(first)
    return Asked(query[: first[names[most]]], tuple(names[:most]), len(names) - most)


def _terms(text: str, analysis: dict[str, Any]) -> list[Term]:
    folded = fold(text)
    places = None if len(folded) == len(text) else _places(text)
    kept = {token.position: token.text for token in _tokens(folded, analysis)}
    found, at = [], 0
    # The analysis gives words without their places; the same one without any folding gives them as they are
    # written, under the same numbers, so each is found by looking ahead.
    for token in _tokens(folded, _AS_WRITTEN):
        start = folded.index(token.text, at)
        at = start + len(token.text)
        if token.position in kept:
            first, last = (start, at) if places is None else (places[start], places[at])
            found.append(Term(kept[token.position], first, last))
    return found


def _tokens(text: str, analysis: dict[str, Any]) -> Iterator[Any]:
    return iter(lancedb().tokenize(text, **analysis))


def _places(text: str) -> list[int]:
    """For each character of the composed text, and its end, where it begins in the text as given."""
    places: list[int] = []
    start = 0
    for piece in _pieces(text):
        places += [start] * len(unicodedata.normalize("NFC", piece))
        start += len(piece)
    return [*places, start]


def _pieces(text: str) -> Iterator[str]:
    """Each character with the marks (and Korean letters) that may be composed with it."""
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or not _continues(text[end]):
            yield text[start:end]
            start = end


def _continues(mark: str) -> bool:
    return unicodedata.category(mark) in ("Mn", "Mc") or "\u1160" <= mark <= "\u11ff"


class _Postponed(MetaPathFinder, Loader):
    """Answers imports from the server's package with modules whose names are `_Later` classes."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] == _SERVER else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _PostponedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Unchecked(ModuleType):
    """Stands for `overrides` where nobody asks what overrides what."""

    class EnforceOverrides:
        pass

    @staticmethod
    def override(method: Any) -> Any:
        return method


class _PostponedModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Later(name, (), {"__module__": self.__name__})


class _Later(type):
    """A class that stands for one of the same name, which is imported when this one is called or asked about."""

    def __call__(cls, *args: Any, **named: Any) -> Any:
        return cls._real()(*args, **named)

    def __instancecheck__(cls, one: object) -> bool:
        return isinstance(one, cls._real())

    def _real(cls) -> Any:
        return getattr(importlib.import_module(cls.__module__), cls.__name__)

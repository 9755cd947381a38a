"""A query of a search, read: what is looked up, what is embedded, what must stand exactly so.

read("where she says the tide turns")   # words "tide turns", meaning the whole sentence, aimed at speech
"""

from __future__ import annotations

from dataclasses import dataclass

from longshot.errors import UsageError
from longshot.queries import read as wanted_in
from longshot.terms import asked, matched, phrase_at, terms


@dataclass(frozen=True, slots=True)
class Query:
    """words: for the full text, "" for none beside phrases. names: their index terms. meaning: for an encoder.

    phrases: each must stand so in speech or on screen. favoured: the levels that the query itself names ("she says",
    "the slide"). notes: what was not used of it.
    """

    words: str
    names: tuple[str, ...]
    meaning: str
    phrases: tuple[str, ...] = ()
    favoured: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def marks(self, text: str) -> list[tuple[int, int]]:
        """Where words and phrases of the query stand in a text, as character ranges in order."""
        found = matched(text, self.names) if self.names else []
        for phrase in self.phrases:
            found += phrase_at(text, phrase)
        return sorted(set(found))


def read(query: str, *, longest: int) -> Query:
    """Read a query. Raises UsageError for one without a word.

    longest: characters that are looked at; the rest of a longer one is left out, and said so.
    """
    text = query[:longest]
    notes = [f"the query has {len(query)} characters: the first {longest} are looked for"] if text != query else []
    cut = asked(text)
    if not cut.terms:
        raise UsageError(f"{_short(query)} holds no word to search for: give some words, or a picture (like)")
    try:
        wanted = wanted_in(text)
    except UsageError:
        # Words that stand everywhere: here they may still be a title, or all of a line.
        return Query(cut.text, cut.terms, cut.text, notes=tuple(notes))
    if cut.left_out:
        notes.append(f"{cut.left_out} more words of the query were not looked for: the first {len(cut.terms)} were")
    if wanted.places_only:
        return Query(cut.text, cut.terms, cut.text, notes=tuple(notes))
    favoured = [level for level, named in (("speech", wanted.speech), ("screen", wanted.screen)) if named]
    return Query(
        _words(cut.text, wanted.terms),
        wanted.terms,
        wanted.text,
        wanted.phrases,
        tuple(favoured),
        tuple(notes),
    )


def _words(text: str, names: tuple[str, ...]) -> str:
    """The words of a text that have these terms, each once, as they are written."""
    kept = {term.text: text[term.start : term.end] for term in reversed(terms(text))}
    return " ".join(kept[name] for name in names if name in kept)


def _short(query: str) -> str:
    shown = " ".join(query.split())
    return repr(shown if len(shown) <= 60 else shown[:59] + "…")

"""Words as the index knows them, and where they stand in the text as it was given."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot.terms import asked, fold, matched, phrase_at, terms

TEXTS = {
    "The telescopes' cafés": ["the", "telescop", "cafe"],
    "RUNNING, e.g. wi-fi 3.5": ["run", "e.g", "wi", "fi", "3.5"],
    "don’t don't": ["don't", "don't"],
    "e\u0301te\u0301s et cafe\u0301": ["etes", "et", "cafe"],
    "望远镜在山上": ["望远镜", "在", "山上"],
    "ＡＢＣ ﬁne ß": ["abc", "fine", "ss"],
    "👍 🔭 \U0001f469\u200d\U0001f680": [],
    "a\x00b \ud800 c": ["a", "b", "c"],
    "한국 한국": ["한국", "한국"],
    f"one {'x' * 50} two": ["one", "two"],
    "": [],
    "...!?": [],
    "' OR 1=1; DROP TABLE captions --": ["or", "1", "1", "drop", "tabl", "caption"],
}


@pytest.mark.parametrize("text", TEXTS)
def test_words_of_many_kinds(text: str) -> None:
    assert [term.text for term in terms(text)] == TEXTS[text]


def test_offsets_are_those_of_the_text_as_given() -> None:
    text = "Cafe\u0301s: the “telescopes” don’t RUN 🔭 望远镜"
    spelled = [text[term.start : term.end] for term in terms(text)]
    assert spelled == ["Cafe\u0301s", "the", "telescopes", "don’t", "RUN", "望远镜"]


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_has_words_in_order_inside_it(text: str) -> None:
    found = terms(text)
    places = [place for term in found for place in (term.start, term.end)]
    assert places == sorted(places)
    assert all(0 <= term.start < term.end <= len(text) for term in found)
    assert terms(fold(text)) == terms(fold(fold(text)))
    assert [term.text for term in terms(fold(text))] == [term.text for term in found]


def test_matched_words_are_those_of_the_stem() -> None:
    text = "Two telescopes; a Telescope. Telescopic?"
    assert [text[a:b] for a, b in matched(text, {"telescop"})] == ["telescopes", "Telescope", "Telescopic"]
    assert matched(text, ()) == []


PHRASES = [
    ("A red-hot  CAFÉ", "hot cafe", ["hot  CAFÉ"]),
    ("the two questions, at the end", "questions at the end", ["questions, at the end"]),
    ("telescopes", "telescope", []),
    ("essays say", "say", ["say"]),
    ("no no no", "no no", ["no no", "no no"]),
    ("I don’t know", "don't know", ["don’t know"]),
    ("cafe\u0301s", "cafés", ["cafe\u0301s"]),
    ("anything", "", []),
    ("anything", "?!", []),
    ("anything", "👍", []),
    ("a.*b", "a.*b", ["a.*b"]),
    ("short", "a much longer phrase than the text", []),
    (f"see {'x' * 60} there", f"see {'x' * 60}", [f"see {'x' * 60}"]),
]


@pytest.mark.parametrize(("text", "phrase", "found"), PHRASES)
def test_exact_phrases(text: str, phrase: str, found: list[str]) -> None:
    assert [text[a:b] for a, b in phrase_at(text, phrase)] == found


def test_a_long_query_is_cut_to_its_first_words() -> None:
    query = " ".join(f"word{i} word{i}" for i in range(1000))
    cut = asked(query)
    assert len(query) > 10_000
    assert cut.terms == tuple(f"word{i}" for i in range(64))
    assert cut.left_out == 936
    assert [term.text for term in terms(cut.text)] == [f"word{i}" for i in range(64) for _ in range(2)]
    assert asked("red red café") == ("red red café", ("red", "cafe"), 0)


QUICK = """
import sys
from longshot.terms import lancedb, terms
assert terms("Telescopes") and lancedb() is sys.modules["lancedb"]
print("lance_namespace_urllib3_client" in sys.modules, end=" ")
import lancedb.namespace, lance_namespace
from lance_namespace_urllib3_client.models import TableVersion
made = lance_namespace.DescribeTableRequest(id=["a"])
print(type(made).__module__.partition(".")[0], isinstance(made, lance_namespace.DescribeTableRequest))
"""
BROKEN = """
import sys
from longshot import terms
terms._Later.__new__ = None  # as if a release needed at once what is postponed
print([term.text for term in terms.terms("Telescopes")], "lance_namespace_urllib3_client" in sys.modules)
"""
FIRST = """
import sys, lancedb
from longshot.terms import terms
print([term.text for term in terms("Telescopes")], "lance_namespace_urllib3_client" in sys.modules)
"""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (QUICK, "False lance_namespace_urllib3_client True"),
        (BROKEN, "['telescop'] True"),
        (FIRST, "['telescop'] True"),
    ],
)
def test_the_engine_opens_with_and_without_what_it_needs_for_servers(code: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert (done.stdout.strip(), done.returncode) == (said, 0), done.stderr

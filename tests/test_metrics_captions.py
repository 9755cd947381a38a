from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import io
import math
import random
import shutil
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot import meteor
from longshot.errors import MissingPackage, UsageError
from longshot.items import Item, Prediction, Row, Score
from longshot.journal import State
from longshot.metrics import captions
from longshot.metrics._overlap import Texts, common
from longshot.metrics._reading import penn
from longshot.metrics._tokens import MARKS, Reader, words
from longshot.metrics.captions import score, scores

try:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer import ptbtokenizer
except ImportError:
    ptbtokenizer = None

official = pytest.mark.skipif(
    ptbtokenizer is None, reason="pycocoevalcap 1.2 is not installed: pip install pycocoevalcap"
)
with_java = pytest.mark.skipif(
    ptbtokenizer is None or shutil.which("java") is None, reason="needs pycocoevalcap and a `java` on the path"
)


# Words


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man is cooking.", "a man is cooking"),
        ("The man's dog isn't here, they've left!", "the man 's dog is n't here they 've left"),
        ("cannot gonna 'twas gimme", "can not gon na 't was gim me"),
        ("(a) [b] {c} <d>", "-lrb- a -rrb- -lsb- b -rsb- -lcb- c -rcb- <d>"),
        ("well-known T-shirt -- a - b — c", "well-known t-shirt a b c"),
        ("wait... what.. !!! ?! ?", "wait what !!! ?!"),
        ('"hello" ‘hi’ “hi” «x»', "hello hi hi x"),
        ("etc. Mr. Smith at 3 p.m. in the U.S.", "etc. mr. smith at 3 p.m. in the u.s."),
        ("Miss. or miss. and No. 5 or no.", "miss. or miss and no. 5 or no"),
        ("plan b. The end of plan b. now", "plan b the end of plan b. now"),
        ("$5.00 £5 €5 5¢ 10% 3,000 12:30", "$ 5.00 # 5 $ 5 5 cents 10 % 3,000 12:30"),
        ("http://a.b/c?d=e www.foo.com, foo@bar.com.", "http://a.b/c?d=e www.foo.com foo@bar.com"),
        ("AT&T &amp; x &lt; y &nbsp; z", "at&t & x < y z"),
        (":-) <3 ^_^ 😀 ★", ":--rrb- < 3 ^_^ ★"),
        ("café Москва 日本語 naïve", "café москва 日本語 naïve"),
        ("", ""),
        (" \n\t\u3000 ", ""),
        ("one\ntwo\u2028three", "one two three"),
    ],
)
def test_words(caption: str, expected: str) -> None:
    assert " ".join(words(caption)) == expected


def test_a_word_can_hold_a_space_that_does_not_break() -> None:
    assert words("5 1/2 cups, call (555) 123-4567") == ["5\xa01/2", "cups", "call", "-lrb-555-rrb-\xa0123-4567"]
    both = penn(["5 1/2 cups"])
    assert both.words.lengths.tolist() == [3]
    assert both.aligned.lengths.tolist() == [2]


def test_remembered_pieces_read_like_fresh_ones() -> None:
    reader = Reader()
    for caption in (
        "call 555 now",
        "call 555 123 4567 now",
        "no. 5 no. x",
        "<b> x",
        "<b",
        "x> y",
        "b. The",
        "b. x",
        "b.",
    ):
        assert reader.words(caption) == words(caption), caption


def soup(seed: int, count: int) -> list[str]:
    """Captions of words, marks, brackets, numbers, addresses, scripts and symbols, put together by chance."""
    chance = random.Random(seed)
    plain = "a the man woman dog walks red ball it's don't they're child's cooking People Miss May Will No U.S. gonna"
    odd = """
        cannot 'twas 'em o'clock rock'n'roll d’Artagnan O'Brien y'all AT&T R&D c++ e.g. i.e. etc. Mr. St. p.m. No. Fig.
        5 10 3.5 1/2 5-1/2 1,000 12:30 -5 +5 10% $5 US$5 £5 €5 ½ 2nd 90's '90s 1990s 2x4 1080p 555-1234 (555) 8/27/2014
        2014-08-27 http://a.b/c www.foo.com foo.com foo@bar.com file.txt #tag @user &amp; &lt; &nbsp; <b> </b> <br/> <3
        :) :-( ^_^ -_- ... .. . , ; : ! ? !! -- - --- ( ) [ ] { } < > " ' ` `` '' ‘ ’ “ ” « » … – — a_b a/b a=b a+b a.b
        x-ray café Москва 東京 हिन्दी العربية ٣ 😀 👍🏽 ★ → ° ™ x² ﷺ \u200b \u00ad \u3000 .
    """
    common_words, odd_words = plain.split(), odd.split()
    ends = [
        "",
        "",
        "",
        ",",
        ".",
        "!",
        "?",
        ")",
        '"',
        "'",
        ";",
        ":",
        "...",
        "'s",
        "’s",
        "n't",
        "-",
        "/",
        "\u00a0",
        "’t",
        ".x",
    ]
    starts = ["", "", "", "(", '"', "'", "“", "‘", "[", "-", "#", "$", "…"]

    def piece() -> str:
        kind = chance.random()
        if kind < 0.4:
            return chance.choice(common_words)
        if kind < 0.6:
            return chance.choice(odd_words)
        return chance.choice(starts) + chance.choice(common_words + odd_words) + chance.choice(ends)

    return [" ".join(piece() for _ in range(chance.randint(1, 12))) for _ in range(count)]


def java_words(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of pycocoevalcap's Java tokenizer, a line by itself: what follows a line never continues it."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")  # Java 17 writes in the charset of the locale
    with contextlib.redirect_stderr(io.StringIO()):
        found = ptbtokenizer.PTBTokenizer().tokenize(
            {0: [{"caption": text} for line in lines for text in (line, "x")]}
        )[0]
    assert len(found) == 2 * len(lines)
    return [text.split(" ") if text else [] for text in found[::2]]


@with_java
def test_words_equal_those_of_java(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = soup(1, 8000)
    different = [
        (line, theirs, ours)
        for line, theirs in zip(lines, java_words(lines, monkeypatch), strict=True)
        if (ours := words(line)) != theirs
    ]
    assert not different[:5], len(different)


# Parity with pycocoevalcap


def official_numbers(predictions: list[str], references: list[list[str]]) -> dict[str, Any]:
    """What pycocoevalcap's own scorers say of captions that are already words with spaces between."""
    right = dict(enumerate(references))
    said = {i: [text] for i, text in enumerate(predictions)}
    with contextlib.redirect_stdout(io.StringIO()):
        blue, _ = Bleu(4).compute_score(right, said, verbose=0)
        rouge, rouges = Rouge().compute_score(right, said)
        cider, ciders = Cider().compute_score(right, said)
    return {
        "CIDEr": float(cider),
        **{f"BLEU-{n + 1}": value for n, value in enumerate(blue)},
        "ROUGE-L": float(rouge),
        "ciders": ciders,
        "rouges": rouges,
    }


def captioned(seed: int, rows: int, most: int, vocabulary: int = 40) -> tuple[list[str], list[list[str]]]:
    chance = random.Random(seed)
    letters = [f"w{i}" for i in range(vocabulary)]

    def text(least: int) -> str:
        return " ".join(chance.choices(letters, k=chance.randint(least, most)))

    predictions = [text(0) for _ in range(rows)]
    references = [[text(chance.randint(0, 1)) for _ in range(chance.randint(1, 6))] for _ in range(rows)]
    for row in range(0, rows, 7):  # some are right word by word, some references stand twice
        predictions[row] = references[row][0]
        references[row].append(references[row][0])
    return predictions, references


@official
@pytest.mark.parametrize(("seed", "rows", "most"), [(0, 300, 12), (1, 1, 9), (2, 2, 4), (3, 40, 150), (4, 200, 3)])
def test_numbers_equal_pycocoevalcap(seed: int, rows: int, most: int) -> None:
    predictions, references = captioned(seed, rows, most)
    theirs = official_numbers(predictions, references)
    ours = score(predictions, references)
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], abs=1e-9), name
    tallied = captions.tally(predictions, references)
    np.testing.assert_allclose(tallied.cider, theirs["ciders"], atol=1e-9)
    np.testing.assert_allclose(tallied.rouge, theirs["rouges"], atol=1e-12)


@with_java
def test_numbers_equal_the_whole_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = soup(7, 2000)
    predictions, references = texts[:400], [texts[400 + 4 * i : 404 + 4 * i] for i in range(400)]
    flat = [text for right in references for text in right]
    read = [" ".join(line) for line in java_words(predictions + flat, monkeypatch)]
    theirs = official_numbers(read[:400], [read[400 + 4 * i : 404 + 4 * i] for i in range(400)])
    for name, value in score(predictions, references).items():
        assert value == pytest.approx(theirs[name], abs=1e-6), name


@with_java
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")  # theirs
def test_meteor_equals_pycocoevalcap() -> None:
    from pycocoevalcap.meteor.meteor import Meteor

    predictions = ["A cat sleeps on a mat.", "a dog runs", "", "café | x"]
    references = [["a cat is asleep", "the cat's sleeping"], ["the puppy is running fast"], ["x y"], ["a café"]]
    read = [[" ".join(words(text)) for text in texts] for texts in references]
    theirs, _ = Meteor().compute_score(
        dict(enumerate(read)), {i: [" ".join(words(text))] for i, text in enumerate(predictions)}
    )
    assert score(predictions, references, meteor=meteor.score)["METEOR"] == pytest.approx(theirs, abs=1e-9)


def test_meteor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r"longshot\[meteor\]"):
        meteor.score(["a"], [["a"]])
    spec = importlib.machinery.ModuleSpec("pycocoevalcap", None, is_package=True)
    assert spec.submodule_search_locations is not None
    spec.submodule_search_locations.append(str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UsageError, match="not there"):
        meteor.score(["a"], [["a"]])
    (tmp_path / "meteor").mkdir()
    (tmp_path / "meteor" / "meteor-1.5.jar").write_text("no jar")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no `java`"):
        meteor.score(["a"], [["a"]])
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho out of order >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(UsageError, match="ended early: out of order"):
        meteor.score(["a"], [["a"]])
    with pytest.raises(UsageError, match="1 predictions and 2"):
        meteor.score(["a"], [["a"], ["b"]])


# Values worked out by hand


def test_bleu_by_hand() -> None:
    # 4 of 5 words, 2 of 4 pairs, 1 of 3 threes, none of 2 fours; 5 words against a nearest reference of 6.
    found = score(["the cat sat on mats"], [["the cat sat upon the mats", "on"]])
    short = math.exp(1 - 6 / 5)
    # "on" of the other reference makes it 5 of 5.
    assert found["BLEU-1"] == pytest.approx(1.0 * short)
    assert found["BLEU-2"] == pytest.approx((1.0 * 2 / 4) ** (1 / 2) * short)
    assert found["BLEU-3"] == pytest.approx((1.0 * 2 / 4 * 1 / 3) ** (1 / 3) * short)
    assert found["BLEU-4"] == pytest.approx(0, abs=1e-3)


def test_bleu_clips_and_takes_the_shorter_of_two_equally_near_lengths() -> None:
    # "a a a a": two of four count, as the reference with most has two. References of 3 and 5 words are equally near.
    found = score(["a a a a"], [["a a b", "a c d e f"]])
    assert found["BLEU-1"] == pytest.approx(2 / 4)
    tallied = captions.tally(["a a a a"], [["a a b", "a c d e f"]])
    assert tallied.closest.tolist() == [3]
    assert tallied.hits[0].tolist() == [2, 1, 0, 0]
    assert tallied.guesses[0].tolist() == [4, 3, 2, 1]


def test_rouge_by_hand() -> None:
    # Shared in order: "the sat mat" = 3 of 4 said; best recall 1 of 1 comes from the other reference.
    found = score(["the dog sat mat"], [["the cat sat on mat", "dog"]])
    precision, recall = 3 / 4, 1.0
    assert found["ROUGE-L"] == pytest.approx((1 + 1.44) * precision * recall / (recall + 1.44 * precision))


def test_cider_by_hand() -> None:
    # Two rows, nothing shared between them: every run is of one row, so rarity is log 2 and cancels in the cosine.
    # Row 0: words 2 of 3 shared, pairs 1 of 2, threes 0 of 1, no fours. Row 1 is right word by word.
    found = captions.tally(["a b c", "v w x y"], [["a b d"], ["v w x y"]])
    assert found.cider.tolist() == pytest.approx([10 / 4 * (2 / 3 + 1 / 2), 10.0])
    # Said twice: plain CIDEr is cos((2), (1)) of words = 1; CIDEr-D clips to 1 · 1 / (2 · 1) and is one word longer.
    found = captions.tally(["a a", "v"], [["a"], ["v"]])
    assert found.plain.tolist() == pytest.approx([10 / 4, 10 / 4])
    assert found.cider.tolist() == pytest.approx([10 / 4 * 0.5 * math.exp(-1 / 72), 10 / 4])


def test_cider_of_runs_that_stand_everywhere_is_nothing() -> None:
    assert score(["a", "a"], [["a"], ["a"]])["CIDEr"] == 0.0
    assert score(["a b"], [["a b"]], plain=True) == pytest.approx(
        {"CIDEr": 0, "CIDEr (plain)": 0, "BLEU-1": 1, "BLEU-2": 1, "BLEU-3": 1e-2, "BLEU-4": 3e-2, "ROUGE-L": 1},
        abs=0.05,
    )


def test_spaced_words_keep_marks_and_cut_nothing() -> None:
    found = score(["  The door. "], [["the door"]], tokens="words")
    assert found["BLEU-1"] == pytest.approx(1 / 2)
    assert found["ROUGE-L"] == pytest.approx(1 / 2)
    assert found["ROUGE-Lsum"] == 1.0  # its own words have no marks
    assert score(["the door."], [["the door"]])["BLEU-1"] == pytest.approx(1)


def test_rouge_sum_takes_the_best_reference_as_a_whole() -> None:
    # "a b c d" with "a": P 1/4, R 1, F1 0.4; with "a b x x x x x x": P 1/2, R 1/4, F1 1/3. Not P 1/2 with R 1.
    assert score(["a b c d"], [["a", "a b" + " x" * 6]], tokens="words")["ROUGE-Lsum"] == pytest.approx(0.4)


# Edges


def test_empty_captions() -> None:
    found = score(["", "a"], [["a b"], ["a b"]])
    assert all(math.isfinite(value) for value in found.values())
    assert captions.tally(["", " . "], [["a"], ["."]]).rouge.tolist() == [0.0, 1.0]  # as pycocoevalcap counts it
    for tokens in ("ptb", "words"):
        nothing = score(["", "."], [["!"], [""]], tokens=tokens)  # type: ignore[arg-type]
        assert all(math.isfinite(value) for value in nothing.values())


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([], [], "no predictions"),
        (["a"], [], "1 predictions and 0"),
        (["a", "b"], [["a"], []], "row 1"),
        (["a"], ["a"], "list of captions"),
        ([5], [["a"]], "must be a text"),
    ],
)
def test_wrong_rows(predictions: list[str], references: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        score(predictions, references)


def test_wrong_tokens() -> None:
    with pytest.raises(UsageError, match="'ptb' or 'words'"):
        score(["a"], [["a"]], tokens="bpe")  # type: ignore[arg-type]


def test_references_in_any_order_and_twice_in_all_rows() -> None:
    predictions, references = captioned(5, 60, 9)
    turned = [right[::-1] for right in references]
    assert score(predictions, turned) == pytest.approx(score(predictions, references))


texts = st.lists(
    st.sampled_from(["a", "b", "c", "The", "it's", "5", "1/2", ".", "(", '"', "é", "<b>", "U.S."]), max_size=8
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=5))
def test_numbers_are_finite_and_in_range(rows: list[tuple[list[str], list[list[str]]]]) -> None:
    predictions = [" ".join(said) for said, _ in rows]
    references = [[" ".join(text) for text in right] for _, right in rows]
    found = score(predictions, references, plain=True)
    assert all(0 <= value <= (10 if name.startswith("CIDEr") else 1) + 1e-9 for name, value in found.items())


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_read(caption: str) -> None:
    found = words(caption)
    assert not set(found) & MARKS
    assert all(found)


def naive_common(first: list[int], second: list[int]) -> int:
    above = [0] * (len(second) + 1)
    for x in first:
        row = [0]
        for place, y in enumerate(second):
            row.append(above[place] + 1 if x == y else max(above[place + 1], row[-1]))
        above = row
    return above[-1]


def test_common_words_of_long_texts() -> None:
    chance = random.Random(2)
    left = [chance.choices(range(6), k=size) for size in (0, 1, 63, 64, 65, 130, 200, 7, 0)]
    right = [chance.choices(range(7), k=size) for size in (5, 0, 64, 65, 129, 128, 300, 64, 0)]
    as_texts = [
        Texts(np.array(list(chain.from_iterable(group))), np.cumsum([0, *map(len, group)])) for group in (left, right)
    ]
    pairs = np.arange(len(left))
    assert common(*as_texts, pairs).tolist() == [naive_common(a, b) for a, b in zip(left, right, strict=True)]
    twice = np.array([8, 7, 6, 5, 4, 3, 2, 1, 0])
    assert common(*as_texts, twice).tolist() == [naive_common(a, right[b]) for a, b in zip(left, twice, strict=True)]


# Scores of rows


def row(name: str, said: str | None, right: list[str], **more: Any) -> Row:
    item = Item(name, more.get("video", name), gold={"references": right}, groups=more.get("groups", {}))
    state = more.get("state", State.DONE)
    return Row(item, None if said is None else Prediction(name, state, said if state is State.DONE else None))


def by_name(found: list[Score], *, legacy: bool = False, group: dict[str, str] | None = None) -> dict[str, Score]:
    return {one.name: one for one in found if one.legacy is legacy and one.group == (group or {})}


ROWS = [
    row("1", "a b c d", ["a b c d"], groups={"source": "x"}),
    row("2", "e f g h", ["e f g z"], groups={"source": "y"}),
    row("3", "never read", ["i j k l"], state=State.REFUSED, groups={"source": "y"}),
    row("4", None, [""], groups={"source": "x"}),
]


def test_strict_counts_what_is_missing_as_nothing() -> None:
    found = scores(ROWS, resamples=50)
    strict, legacy = by_name(found), by_name(found, legacy=True)
    assert strict["ROUGE-L"].n == 4 and legacy["ROUGE-L"].n == 2
    assert strict["ROUGE-L"].states == {"done": 2, "failed": 1, "refused": 1, "unreadable": 0}
    # An empty caption equals an empty reference, but the missing fourth one does not.
    assert strict["ROUGE-L"].value == pytest.approx(100 * (1 + 0.75) / 4)
    assert legacy["ROUGE-L"].value == pytest.approx(100 * (1 + 0.75) / 2)
    alone = score(["a b c d", "e f g h"], [["a b c d"], ["e f g z"]])
    for name, value in alone.items():
        assert legacy[name].value == pytest.approx(100 * value)
    told = score(["a b c d", "e f g h", "", ""], [["a b c d"], ["e f g z"], ["i j k l"], [""]])
    assert strict["BLEU-4"].value == pytest.approx(100 * told["BLEU-4"])
    assert strict["CIDEr"].value == pytest.approx(100 * told["CIDEr"])


def test_the_values_of_rows_are_what_the_means_are_of() -> None:
    rows = [row("a", "a cat sits on a mat", ["a cat sits on a mat"]), row("b", None, ["a dog runs"])]
    found, means = captions.values(rows), by_name(scores(rows))
    assert set(found) == {"CIDEr", "ROUGE-L"}
    for name, array in found.items():
        assert array.shape == (2,) and array[1] == 0
        # A score in percent has values in 0..1, as `compare` reads them; CIDEr is on its own scale.
        assert (100 if means[name].unit == "%" else 1) * array.mean() == pytest.approx(means[name].value)


def test_groups_follow_with_the_rarities_of_all() -> None:
    found = scores(ROWS, resamples=50)
    x, y = (by_name(found, group={"source": name}) for name in "xy")
    tallied = captions.tally(["a b c d", "e f g h", "", ""], [["a b c d"], ["e f g z"], ["i j k l"], [""]])
    assert x["CIDEr"].value == pytest.approx(100 * tallied.cider[[0, 3]].mean())
    assert y["CIDEr"].n == 2 and y["CIDEr"].states["refused"] == 1
    assert [one.legacy for one in found] == [False] * 6 + [True] * 6 + [False] * 12


def test_intervals_hold_the_value_and_come_again() -> None:
    predictions, references = captioned(6, 80, 9)
    rows = [
        row(str(i), said, right, video=f"v{i % 30}")
        for i, (said, right) in enumerate(zip(predictions, references, strict=True))
    ]
    found = scores(rows, seed=3, resamples=400)
    assert found == scores(rows, seed=3, resamples=400)
    for one in found:
        assert one.low is not None and one.high is not None and one.value is not None
        assert one.low <= one.value <= one.high
        assert one.high > one.low
    # A single video says nothing about others.
    assert {one.low for one in scores(rows[:1])} == {None}


def test_no_rows_and_nothing_done() -> None:
    assert {one.value for one in scores([])} == {None}
    found = scores([row("1", None, ["a"])])
    assert [one.value for one in by_name(found).values()] == pytest.approx([0.0] * 6, abs=1e-9)
    assert {one.value for one in by_name(found, legacy=True).values()} == {None}


def test_a_meteor_that_is_given_is_reported_without_interval() -> None:
    def told(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
        assert list(predictions) == ["a b c d", "e f g h", "", ""][: len(predictions)]
        return 0.25

    found = by_name(scores(ROWS, meteor=told))
    assert (found["METEOR"].value, found["METEOR"].low) == (25.0, None)
    assert "Java" in found["METEOR"].note


@pytest.mark.parametrize("gold", [{}, {"references": []}, {"references": "a"}, {"references": [1]}])
def test_an_item_without_references_is_named(gold: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="'item 7'"):
        scores([Row(Item("item 7", "v", gold=gold))])


def test_a_prediction_that_is_no_text_is_named() -> None:
    with pytest.raises(UsageError, match="'item 7'"):
        scores([Row(Item("item 7", "v", gold={"references": ["a"]}), Prediction("item 7", State.DONE, 5))])

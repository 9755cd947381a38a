from __future__ import annotations

import contextlib
import io
import random
import shutil
from typing import Any

import numpy as np
import pytest

from longshot.metrics import captions
from longshot.metrics._reading import penn
from longshot.metrics._tokens import Reader, words
from longshot.metrics.captions import score

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

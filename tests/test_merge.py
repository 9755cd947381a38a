from __future__ import annotations

import re
from pathlib import Path

import pytest

from longshot.asking import Unreadable
from longshot.captioning.merge import lost, merge, read_pair
from longshot.contracts import Prompt
from longshot.errors import UsageError
from longshot.timeline import Caption, Source, Span, Track
from tests.fakes import ScriptedModel, failed


def clips(count: int, text: str = "Clip {i} shows Anna with {i} cups.") -> Track:
    captions = [Caption(Span(4.0 * i, 4.0 * i + 4), text.format(i=i)) for i in range(count)]
    return Track("0123456789abcdef", "clip", Source("describe", "someone"), tuple(captions), "film.mp4", 4.0 * count)


def parts(prompt: Prompt) -> tuple[str, str]:
    found = re.search(r"First:\n(.*?)\n\nSecond:\n(.*?)\n\nRewrite", prompt.text, re.DOTALL)
    assert found
    return found[1], found[2]


def joined(prompt: Prompt) -> str:
    first, second = parts(prompt)
    return f"First: {first} <\nSecond: > {second}"


def test_neighbours_are_joined_in_order_within_clusters_and_then_the_clusters() -> None:
    model = ScriptedModel(joined, slots=4)
    full, clusters = merge(clips(23), model=model)
    assert [len(caption.details["children"]) for caption in clusters] == [10, 10, 3]
    # 9 + 9 + 2 inside the clusters and 2 between them.
    assert len(model.asked) == 22
    assert [int(n) for n in re.findall(r"Clip (\d+)", full.captions[0].text)] == list(range(23))
    assert full.captions[0].text.splitlines()[0] == "Clip 0 shows Anna with 0 cups. <"
    assert full.captions[0].text.splitlines()[1] == "> Clip 1 shows Anna with 1 cups. <"
    assert full.captions[0].span == Span(0.0, 92.0)
    assert (full.level, clusters.level) == ("full", "cluster")
    assert clusters.captions[2].details["children"] == ["clip-0021", "clip-0022", "clip-0023"]


def test_only_the_paragraphs_that_meet_are_rewritten() -> None:
    model = ScriptedModel(joined)
    full, _ = merge(clips(2, "Head {i}.\n\nMiddle {i}.\nTail {i}."), model=model)
    assert [parts(prompt) for prompt in model.asked] == [("Tail 0.", "Head 1.")]
    assert full.captions[0].text == "Head 0.\nMiddle 0.\nTail 0. <\n> Head 1.\nMiddle 1.\nTail 1."


def test_a_lost_name_is_asked_for_again_and_else_the_text_stays() -> None:
    tries: list[str] = []

    def forget(prompt: Prompt) -> str:
        tries.append(prompt.text)
        return "First: Somebody with 0 cups.\nSecond: Somebody with 1 cups, in clip 1."

    full, clusters = merge(clips(2), model=ScriptedModel(forget))
    assert len(tries) == 2 and "Anna" in tries[1]
    assert full.captions[0].text == "Clip 0 shows Anna with 0 cups.\nClip 1 shows Anna with 1 cups."
    assert "unreadable: it lost Anna" in clusters.captions[0].details["kept"][0]


def test_a_failure_keeps_the_text_and_says_so() -> None:
    full, clusters = merge(clips(3), model=ScriptedModel(lambda prompt: failed("gone")))
    assert full.captions[0].text.count("Anna") == 3
    assert clusters.captions[0].details["state"] == "failed"
    assert clusters.captions[0].details["reason"] == "gone"


def test_answers_are_not_asked_for_twice(tmp_path: Path) -> None:
    first, second = ScriptedModel(joined), ScriptedModel(joined)
    one = merge(clips(12), model=first, answers=tmp_path / "answers.jsonl")
    assert merge(clips(12), model=second, answers=tmp_path / "answers.jsonl") == one
    assert len(first.asked) == 11 and not second.asked


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("First: a\nSecond: b", ("a", "b")),
        ("**First:** a\nc\n\n**Second:** b", ("a c", "b")),
        ("a\n\nb\n", ("a", "b")),
        ("First: a\nSecond:", ("a", "")),
        ("only one line", None),
        ("a\nb\nc", None),
        ("First:\nSecond: b", None),
        ("", None),
    ],
)
def test_replies_are_read(text: str, pair: tuple[str, str] | None) -> None:
    if pair is None:
        with pytest.raises(Unreadable):
            read_pair(text)
    else:
        assert read_pair(text) == pair


@pytest.mark.parametrize(
    ("before", "after", "gone"),
    [
        ("Then Ada waves at 10:30.", "At 10:30 ada waves", []),
        ("Then Ada waves at 10:30.", "At noon she waves", ["10:30", "Ada"]),
        ("Many people wave. Dogs bark.", "Somebody waves.", []),
        ("In NASA's hall", "in a hall", ["NASA's"]),
        ("3 men and 12 dogs", "12 dogs and men", ["3"]),
    ],
)
def test_names_and_numbers_must_survive(before: str, after: str, gone: list[str]) -> None:
    assert lost(before, after) == gone


def test_what_cannot_be_merged_is_refused() -> None:
    with pytest.raises(UsageError, match="2 captions or more"):
        merge(clips(2), model=ScriptedModel(joined), cluster=1)
    with pytest.raises(UsageError, match="clip captions have no text"):
        merge(clips(2, " "), model=ScriptedModel(joined))

"""From captions that match to moments: what is merged, what stretches a span, what only speaks for one."""

from __future__ import annotations

import os
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot.searching.moments import EVIDENCE, GAP, WORTH, Scored, link, moments
from longshot.tables import Entry
from longshot.timeline import Hit, Span


def scored(
    score: float,
    start: float,
    end: float,
    *,
    level: str = "speech",
    video: str = "v",
    id: str = "",
    text: str = "words",
) -> Scored:
    """One caption that matches, named after where it stands."""
    return Scored(Entry(id or f"{level}-{start:g}-{end:g}", video, level, Span(start, end), text, "made"), score)


def spans(hits: list[Hit]) -> list[tuple[float, float]]:
    return [(hit.span.start, hit.span.end) for hit in hits]


@pytest.mark.parametrize(
    ("path", "start", "end", "said"),
    [
        ("talk.mp4", 12, 19.5, "talk.mp4#t=12.0,19.5"),
        ("talk.mp4", 0, 0.04, "talk.mp4#t=0.0,0.04"),
        ("talk.mp4", 1.23456, 7.0004, "talk.mp4#t=1.235,7.0"),
        ("talk.mp4", 5, 5, "talk.mp4#t=5.0"),
        ("talk.mp4", 36000, 36001.125, "talk.mp4#t=36000.0,36001.125"),
        ("/a b/my talk.mp4", 1, 2, "/a%20b/my%20talk.mp4#t=1.0,2.0"),
        ("sub/50% #1?.mp4", 1, 2, "sub/50%25%20%231%3F.mp4#t=1.0,2.0"),
        ("a:b.mp4", 1, 2, "a%3Ab.mp4#t=1.0,2.0"),
        ("café.mp4", 1, 2, "caf%C3%A9.mp4#t=1.0,2.0"),
        ("影片.mp4", 1, 2, "%E5%BD%B1%E7%89%87.mp4#t=1.0,2.0"),
        ("https://host/a%20b.mp4?x=1&y=2", 1, 2, "https://host/a%20b.mp4?x=1&y=2#t=1.0,2.0"),
        ("https://host/a b.mp4", 1, 2, "https://host/a%20b.mp4#t=1.0,2.0"),
    ],
)
def test_a_link_names_file_and_seconds(path: str, start: float, end: float, said: str) -> None:
    assert link(path, Span(start, end)) == said


@given(st.text(st.characters(exclude_characters="\0"), min_size=1).filter(lambda name: "://" not in name))
def test_a_link_leads_back_to_the_file(name: str) -> None:
    name = name.encode("utf-8", "surrogateescape" if name.isascii() else "replace").decode("utf-8", "replace")
    address, _, fragment = link(f"./{name}", Span(1, 2)).partition("#")
    assert fragment == "t=1.0,2.0"
    assert address.isascii()
    assert unquote_to_bytes(address) == os.fsencode(f"./{name}")
    assert urlsplit(address).query == ""


def test_a_name_that_is_no_text_still_has_a_link() -> None:
    assert link(os.fsdecode(b"b\xff.mp4"), Span(1, 2)) == "b%FF.mp4#t=1.0,2.0"


def test_lines_that_follow_each_other_are_one_moment() -> None:
    (hit,) = moments([scored(0.9, 10, 14), scored(0.8, 15, 18)])
    assert (hit.span, [caption.details["id"] for caption in hit.evidence]) == (
        Span(10, 18),
        ["speech-15-18", "speech-10-14"],
    )


@pytest.mark.parametrize(
    ("second", "found"),
    [
        ((14.5, 18), [(10, 18)]),
        ((14 + GAP, 18), [(10, 14), (15.5, 18)]),  # the pause is as long as it may not be
        ((17, 20), [(10, 14), (17, 20)]),
        ((14.5, 14.9), [(10, 14), (14.5, 14.9)]),  # a pause longer than what comes after it
    ],
)
def test_a_pause_is_never_bridged_blindly(second: tuple[float, float], found: list[tuple[float, float]]) -> None:
    assert spans(moments([scored(0.9, 10, 14), scored(0.8, *second)])) == found


def test_a_chain_of_lines_does_not_run_on_over_weak_ones() -> None:
    lines = [scored(0.9 if place in (0, 6) else 0.1, 5 * place, 5 * place + 5) for place in range(7)]
    assert spans(moments(lines))[:2] == [(0, 5), (30, 35)]


def test_a_long_caption_speaks_for_a_moment_and_does_not_stretch_it() -> None:
    fine = scored(0.8, 30, 34)
    (alone,) = moments([fine])
    (hit,) = moments([fine, scored(0.8, 0, 60, level="segment"), scored(0.8, 0, 600, level="video")])
    assert hit.span == Span(30, 34)
    assert alone.score < hit.score <= 1
    assert [caption.details["level"] for caption in hit.evidence] == ["speech", "segment", "video"]


def test_a_clip_is_the_moment_when_nothing_inside_it_says_as_much() -> None:
    clip, line = scored(0.9, 20, 40, level="clip"), scored(0.3, 25, 28)
    assert spans(moments([clip, line])) == [(20, 40)]
    assert spans(moments([clip, scored(0.85, 25, 28)])) == [(25, 28)]


def test_written_text_is_a_moment_as_long_as_it_stands() -> None:
    """A clip that quotes it is shorter, and tells only a part of the time."""
    written, clip = scored(1.0, 0, 8, level="screen"), scored(0.9, 0, 2.5, level="clip")
    (hit,) = moments([written, clip])
    assert (hit.span, [caption.details["level"] for caption in hit.evidence]) == (Span(0, 8), ["clip", "screen"])


def test_the_whole_video_is_a_moment_only_when_it_is_all_there_is() -> None:
    whole = scored(0.9, 0, 600, level="video")
    (hit,) = moments([whole])
    assert (hit.span, hit.score) == (Span(0, 600), pytest.approx(0.9 * WORTH["video"]))
    assert spans(moments([whole, scored(0.6, 50, 54)])) == [(50, 54)]
    assert spans(moments([whole, scored(0.9, 60, 120, level="segment")])) == [(60, 120)]


def test_videos_are_never_mixed_and_ties_go_by_video_and_start() -> None:
    some = [scored(0.5, 8, 9, video="b"), scored(0.5, 8, 9, video="a"), scored(0.5, 2, 3, video="b")]
    assert [(hit.video, hit.span.start) for hit in moments(some)] == [("a", 8), ("b", 2), ("b", 8)]


def test_a_caption_that_two_ways_gave_counts_once() -> None:
    (hit,) = moments([scored(0.5, 1, 2), scored(0.7, 1, 2)])
    assert (hit.score, len(hit.evidence)) == (0.7, 1)


def test_evidence_is_short_and_finest_first() -> None:
    lines = [scored(0.9 - place / 100, place, place + 1.0) for place in range(9)]
    (hit,) = moments([*lines, scored(0.9, 0, 9, level="clip")])
    assert hit.span == Span(0, 9)
    assert len(hit.evidence) == EVIDENCE
    lengths = [caption.span.length for caption in hit.evidence]
    assert lengths == sorted(lengths)


def test_nothing_gives_nothing() -> None:
    assert moments([]) == []
    assert moments([scored(0.0, 1, 2)]) == []


ENTRIES = st.builds(
    lambda score, start, length, level, video: scored(score / 50, start, start + length, level=level, video=video),
    st.integers(0, 50),
    st.integers(0, 100),
    st.integers(0, 30),
    st.sampled_from(["speech", "screen", "clip", "segment", "video"]),
    st.sampled_from("ab"),
)


@given(st.lists(ENTRIES, max_size=25), st.randoms(use_true_random=False))
def test_moments_are_honest_whatever_comes_in(some: list[Scored], random: object) -> None:
    hits = moments(some)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for hit in hits:
        assert 0 < hit.score <= 1
        assert hit.evidence
        ends = {(one.entry.video, second) for one in some for second in (one.entry.span.start, one.entry.span.end)}
        assert {(hit.video, hit.span.start), (hit.video, hit.span.end)} <= ends
    assert bool(hits) == any(one.score > 0 for one in some)
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert moments(shuffled) == hits


def test_a_clip_that_quotes_a_title_in_its_last_second_does_not_stretch_the_moment() -> None:
    title = scored(0.9, 60.0, 68.0, level="screen", text="THE TELESCOPE\nGROUND BY HAND")
    before = scored(
        0.8, 43.0, 61.0, level="clip", text="It gets darker. Text on screen: “THE TELESCOPE GROUND BY HAND”."
    )
    other = scored(0.8, 43.0, 61.0, level="clip", text="A telescope stands in the grass.")
    assert spans(moments([title, before])) == [(60.0, 68.0)]
    assert spans(moments([title, other])) == [(43.0, 68.0)]

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import pytest

from longshot.contracts import Told
from longshot.errors import UsageError
from longshot.finders.matching import LEAST, Matching
from longshot.queries import Window, read
from longshot.timeline import Caption, Hit, Source, Span, Track

SPEECH = [
    (1.0, 5.2, "This is a short film about a day by the sea."),
    (6.5, 11.5, "In the morning we look along the coast, to the white lighthouse."),
    (12.2, 14.8, "The fishing boats are already out on the water."),
    (16.6, 20.6, "A path leads us through a dark pine forest, down to the beach."),
    (24.5, 29.7, "Why does the tide rise? The moon pulls the water."),
    (30.3, 33.4, "So most coasts have two high tides each day."),
    (34.6, 39.5, "Here is the moon itself, grey and full of craters."),
    (58.5, 62.5, "The next morning we are back at the lighthouse."),
    (70.0, 73.0, "Do you know what we saw first?"),
    (73.5, 76.0, "And would you come back here?"),
    (77.0, 79.5, "Thank you for watching."),
]
SCREEN = [
    (8.0, 13.0, "MORNING: THE LIGHTHOUSE COAST"),
    (30.8, 34.0, "3. TWO HIGH TIDES EACH DAY"),
    (50.0, 54.0, "Café"),
]
CLIPS = [
    (0.0, 16.0, "Mostly blue with some green; the camera holds still."),
    (16.0, 24.0, "A dark green picture. Subtitle: “A path leads us through a dark pine forest, down to the beach.”"),
    (24.0, 42.0, "The picture is mainly white with blue."),
    (42.0, 64.0, "A red boat drifts past tall houses."),
    (64.0, 80.0, "Almost all black."),
]


def track(level: str, lines: list[tuple[float, float, str]]) -> Track:
    captions = tuple(Caption(Span(start, end), text) for start, end, text in lines)
    return Track("v", level, Source("recap"), captions, "day.mp4", 80.0)


def told(
    *tracks: tuple[str, list[tuple[float, float, str]]],
    near: Callable[[str], Mapping[str, float]] | None = None,
    duration: float = 80.0,
) -> Told:
    return Told("v", "day.mp4", duration, tuple(track(level, lines) for level, lines in tracks), near=near)


DAY = told(("speech", SPEECH), ("screen", SCREEN), ("clip", CLIPS))


def find(query: str, about: Told = DAY) -> list[Hit]:
    return Matching().find(about, query)


def best(query: str, about: Told = DAY) -> tuple[float, float]:
    hits = find(query, about)
    assert hits, f"nothing for {query!r}"
    return round(hits[0].span.start, 2), round(hits[0].span.end, 2)


# --- reading queries


@pytest.mark.parametrize(
    ("query", "terms", "place"),
    [
        ("where she talks about tides", ("tide",), ""),
        ("the two questions at the end", ("question",), "end"),
        ("at the very beginning of the video, a boat", ("boat",), "start"),
        ("a goal near the end", ("goal",), "end"),
        ("halfway through a boat sinks", ("boat", "sink"), "middle"),
        # "the end of the war" is something, not a place in the video.
        ("at the end of the war", ("end", "war"), ""),
        ("the end", (), "end"),
        ("two boats", ("two", "boat"), ""),
        ("the part where he says hello", ("hello",), ""),
        ("talking", ("talk",), ""),
        ("tide tide TIDE tides", ("tide",), ""),
    ],
)
def test_a_query_is_read(query: str, terms: tuple[str, ...], place: str) -> None:
    wanted = read(query)
    assert (wanted.terms, wanted.place) == (terms, place)


@pytest.mark.parametrize(
    ("query", "window"),
    [
        ("boats in the last two minutes", Window(-120.0, np.inf, True)),
        ("boats in the first 30 seconds", Window(0.0, 30.0, True)),
        ("boats in the second half", Window(0.5, 1.0)),
        ("boats in the last third", Window(1 - 1 / 3, 1.0)),
        ("boats after 1:20", Window(80.0, np.inf, True)),
        ("boats before 1:02:03", Window(0.0, 3723.0, True)),
        ("boats around 0:45", Window(15.0, 75.0, True)),
        ("boats in the second minutes", None),
        ("boats", None),
    ],
)
def test_a_stated_part_is_read(query: str, window: Window | None) -> None:
    assert read(query).window == window
    assert "boat" in read(query).terms


@pytest.mark.parametrize(
    ("query", "speech", "screen"),
    [
        ("where she mentions the moon", True, False),
        ("he said something about the moon", True, False),
        ("told about the moon", True, False),
        ("her essay about the moon", False, False),  # holds "say"
        ("stale bread, a tale", False, False),
        ("the slide about the moon", False, True),
        ("a design of the moon", False, False),  # holds "sign"
        ("the sign that says moon", True, True),
    ],
)
def test_words_of_speaking_and_reading_are_whole_words(query: str, speech: bool, screen: bool) -> None:
    wanted = read(query)
    assert (wanted.speech, wanted.screen) == (speech, screen)


@pytest.mark.parametrize("quotes", ['"{}"', "“{}”", "„{}“", "«{}»"])
def test_quotes_are_phrases(quotes: str) -> None:
    wanted = read(f"he says {quotes.format('two high tides')} loudly")
    assert wanted.phrases == ("two high tides",)
    assert wanted.terms == ("loud",)


@pytest.mark.parametrize("query", ['the 12" record', "an “open quote", '""', '"" moon', '"…" moon'])
def test_what_quotes_nothing_is_no_phrase(query: str) -> None:
    if query == '""':
        with pytest.raises(UsageError, match="holds no word"):
            read(query)
    else:
        assert read(query).phrases == ()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "holds no word"),
        (" \t\n", "holds no word"),
        ("?!… —", "holds no word"),
        ("the of and", "stand everywhere"),
        ("where is he", "stand everywhere"),
    ],
)
def test_a_query_without_a_telling_word_is_refused(query: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        find(query)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "query",
    ["😀", ".*", "moon'; DROP TABLE captions; --", "(?:moon", "moon" * 3000, "moon " * 2500, "\x00moon", "\ud800 moon"],
)
def test_odd_queries_are_plain_text(query: str) -> None:
    try:
        hits = find(query)
    except UsageError as error:
        assert len(str(error)) < 300 and "\n" not in str(error)
    else:
        assert all(LEAST * 0.5 <= hit.score <= 1 for hit in hits)


# --- finding


def test_a_sentence_is_found_with_its_own_ends_and_says_why() -> None:
    (hit, *_) = find("the craters of the moon")
    assert hit.span == Span(34.6, 39.5)
    evidence = hit.evidence[0]
    assert evidence.details["id"] == "speech-0007" and evidence.details["level"] == "speech"
    assert [evidence.text[a:b] for a, b in evidence.details["matched"]] == ["moon", "craters"]


def test_every_place_is_a_moment_of_its_own() -> None:
    spans = [hit.span for hit in find("lighthouse")]
    assert spans == [Span(6.5, 13.0), Span(58.5, 62.5)] or spans == [Span(58.5, 62.5), Span(6.5, 13.0)]


def test_gaps_are_not_bridged() -> None:
    about = told(("speech", [(0.0, 4.0, "The moon rises."), (9.0, 12.0, "The moon sets.")]))
    assert sorted(hit.span for hit in find("moon", about)) == [Span(0.0, 4.0), Span(9.0, 12.0)]


def test_lines_that_touch_are_one_moment() -> None:
    about = told(("speech", [(0.0, 4.0, "The moon rises."), (4.0, 8.0, "The moon sets."), (8.0, 20.0, "Night.")]))
    assert [hit.span for hit in find("moon", about)] == [Span(0.0, 8.0)]


def test_words_that_two_lines_share_count_together() -> None:
    lines = [(float(i), i + 4.0, f"Some filler number {i}.") for i in range(20, 76, 4)]
    about = told(("speech", [(8.0, 12.0, "We go to the telescope,"), (12.0, 16.0, "in its cleanroom."), *lines]))
    assert best("telescope in the cleanroom", about) == (8.0, 16.0)
    assert find("telescope in the cleanroom", about)[0].score > 0.7


@pytest.mark.parametrize(
    "query", ["an elephant in a circus", "quarterly earnings", '"high moon"', '"lighthouses"', "zebra", "月"]
)
def test_what_is_not_in_the_video_is_not_found(query: str) -> None:
    assert find(query) == []


def test_a_common_word_alone_does_not_make_a_moment() -> None:
    assert find("the day an elephant stole a violin from parliament") == []


def test_speech_about_it_comes_before_the_screen_when_the_query_says_so() -> None:
    about = told(("speech", [(0.0, 4.0, "Ice is cold.")]), ("screen", [(40.0, 44.0, "ICE IS COLD")]))
    assert best("where he talks about ice", about) == (0.0, 4.0)
    assert best("the slide about ice", about) == (40.0, 44.0)
    assert best('the slide that shows "ice is cold"', about) == (40.0, 44.0)


@pytest.mark.parametrize(
    ("query", "span"),
    [
        ('"two high tides"', (30.3, 34.0)),
        ('"TWO  high, tides"', (30.3, 34.0)),
        ('"cafe"', (50.0, 54.0)),
        ('the moment he says "Thank you for watching"', (77.0, 79.5)),
        ('"Here is the moon itself" craters', (34.6, 39.5)),
    ],
)
def test_phrases_are_found_where_they_stand(query: str, span: tuple[float, float]) -> None:
    assert best(query) == span
    assert len(find(query)) == 1


def test_a_phrase_may_run_over_into_the_next_line() -> None:
    about = told(
        ("speech", [(1.0, 4.0, "the science segment of the Webb"), (4.2, 8.0, "space telescope, in a cleanroom")])
    )
    assert best('"Webb space telescope"', about) == (1.0, 8.0)
    far = told(
        ("speech", [(1.0, 4.0, "the science segment of the Webb"), (24.0, 28.0, "space telescope, in a cleanroom")])
    )
    assert find('"Webb space telescope"', far) == []


def test_a_phrase_is_not_looked_for_in_descriptions() -> None:
    assert find('"tall houses"') == []
    assert best("tall houses") == (42.0, 64.0)


def test_the_questions_at_the_end() -> None:
    hits = find("the two questions at the end")
    assert [hit.evidence[0].details["id"] for hit in hits][:1] == ["speech-0009"]
    assert hits[0].span == Span(70.0, 76.0)
    assert [hit.span for hit in find("questions")][-1].end <= 80
    assert {round(hit.span.start, 1) for hit in find("questions")} == {24.5, 70.0}


def test_questions_of_a_recogniser_without_punctuation() -> None:
    about = told(
        ("speech", [(0.0, 4.0, "so this is it"), (10.0, 14.0, "what do you think of it"), (20.0, 24.0, "well")])
    )
    assert best("the question", about) == (10.0, 14.0)


def test_a_place_or_an_order_decides_between_equals() -> None:
    about = told(("speech", [(t, t + 4.0, "The bell rings.") for t in (2.0, 38.0, 70.0)]))
    assert best("the bell at the beginning", about)[0] == 2.0
    assert best("the bell in the middle", about)[0] == 38.0
    assert best("the bell at the end of the video", about)[0] == 70.0
    assert best("the first time the bell rings", about)[0] == 2.0
    assert best("the second time the bell rings", about)[0] == 38.0
    assert best("the last time the bell rings", about)[0] == 70.0
    assert best("the bell after 1:00", about)[0] == 70.0
    assert [hit.span.start for hit in find("the bell in the first half", about)] == [2.0, 38.0]
    assert find("the bell before 0:01", about) == []


def test_a_place_alone_is_that_part() -> None:
    (hit,) = find("the end")
    assert hit.span == Span(73.0, 80.0) and hit.score == 0.5
    assert best("the beginning") == (0.0, 8.0)
    assert best("the last 10 seconds") == (70.0, 80.0)


def test_words_quoted_by_a_clip_do_not_stretch_the_moment() -> None:
    assert best("pine forest") == (16.6, 20.6)


def test_without_tracks_of_their_own_the_quotes_count() -> None:
    assert best("pine forest", told(("clip", CLIPS))) == (16.0, 24.0)


def test_numbered_shots_say_nothing() -> None:
    assert find("shot 2", told(("shot", [(0.0, 40.0, "Shot 1"), (40.0, 80.0, "Shot 2")]))) == []
    assert find("anything", told()) == []
    assert find("anything", told(("speech", []))) == []


def test_long_stretches_are_hits_only_when_nothing_finer_is() -> None:
    chapters = [(0.0, 40.0, "How tides work."), (40.0, 80.0, "Cooking with beans.")]
    lines = [(10.0, 14.0, "The tide comes in."), (60.0, 64.0, "Add salt.")]
    about = told(("chapter", chapters), ("speech", lines))
    assert best("tides", about) == (10.0, 14.0)
    (hit,) = find("beans", about)
    assert hit.span == Span(40.0, 80.0) and hit.score <= 0.5
    assert "whole_video" not in hit.evidence[0].details


def test_the_whole_video_is_flagged() -> None:
    about = told(("video", [(0.0, 80.0, "A lecture about beans.")]), ("speech", [(1.0, 4.0, "Hello.")]))
    (hit,) = find("beans", about)
    assert hit.span == Span(0.0, 80.0) and hit.score <= 0.5
    assert hit.evidence[0].details["whole_video"] is True


def test_what_a_moment_leaves_of_a_long_caption_is_no_second_one() -> None:
    about = told(("speech", SPEECH), ("clip", [(16.0, 24.0, "A dark wood.")]))
    (hit,) = find("a dark pine forest", about)
    assert hit.span == Span(16.0, 24.0)


# --- meaning


def test_meaning_finds_what_words_do_not() -> None:
    asked: list[str] = []

    def near(query: str) -> dict[str, float]:
        asked.append(query)
        return {"speech-0004": 0.62, "speech-0003": 0.2, "clip-0002": 0.05}

    (hit, *_) = find("where they walk in the woods", told(("speech", SPEECH), near=near))
    assert asked == ["where they walk in the woods"]
    assert hit.span == Span(16.6, 20.6)
    assert 0.5 < hit.score < 1
    assert hit.evidence[0].details["matched"] == []


def test_meaning_that_is_far_from_everything_finds_nothing() -> None:
    unrelated = {f"speech-{i:04d}": 0.2 for i in range(1, 12)}
    assert find("an elephant", told(("speech", SPEECH), near=lambda query: unrelated)) == []


def test_meaning_and_words_agree_on_more_than_either() -> None:
    alone = find("moon over the water")[0].score
    both = find("moon over the water", told(("speech", SPEECH), near=lambda query: {"speech-0005": 0.5}))[0].score
    assert both > alone


# --- everything


def test_scores_fall_and_moments_do_not_overlap_much() -> None:
    for query in ("water", "the sea and the moon", "morning", "a dark picture"):
        hits = find(query)
        assert all(a.score >= b.score for a, b in pairwise(hits))
        assert all(0 < hit.score <= 1 and 0 <= hit.span.start < hit.span.end <= 80 for hit in hits)
        for i, hit in enumerate(hits):
            assert all(hit.span.overlap(other.span) <= 0.5 * hit.span.length for other in hits[:i])


def test_ids_that_captions_bring_along_are_kept() -> None:
    """From an index, where captions without words may be left out."""
    named = Caption(Span(3.0, 6.0), "A bell rings.", None, {"id": "speech-0042"})
    about = Told("v", "", 10.0, (Track("v", "speech", Source("index"), (named,)),))
    assert Matching().find(about, "bell")[0].evidence[0].details["id"] == "speech-0042"


def test_other_scripts_and_accents() -> None:
    lines = [
        (0.0, 4.0, "Der Müller fährt über die Straße."),
        (10.0, 14.0, "我们在月亮上行走。"),
        (20.0, 24.0, "Он видит луну."),
    ]
    about = told(("speech", lines))
    assert best("Straße", about)[0] == 0.0
    assert best("muller", about)[0] == 0.0
    assert best("月亮", about)[0] == 10.0
    assert best("луну", about)[0] == 20.0


def test_every_form_of_a_word_is_one_word() -> None:
    lines = [(0.0, 4.0, "Happiness and ponies."), (20.0, 24.0, "The Moon's light."), (40.0, 44.0, "He relates it.")]
    about = told(("speech", lines))
    assert best("pony", about)[0] == 0.0
    assert best("moon", about)[0] == 20.0
    assert best("relating", about)[0] == 40.0


def test_one_finder_serves_many_videos() -> None:
    finder = Matching()
    other = Told("w", "", 10.0, (Track("w", "speech", Source(""), (Caption(Span(0.0, 4.0), "A moon."),)),))
    first = finder.find(DAY, "moon")
    assert finder.find(other, "moon")[0].video == "w"
    assert finder.find(DAY, "moon") == first
    empty = Told("e", "", 10.0, ())
    assert finder.find(empty, "moon") == []
    assert finder.find(Told("f", "", 10.0, ()), "moon") == []


@pytest.mark.parametrize("duration", [0.0, 0.5, 3.0, 36000.0])
def test_any_length(duration: float) -> None:
    end = max(duration, 0.4)
    about = told(("speech", [(end - 0.4, end, "A moon.")]), duration=duration)
    (hit,) = find("moon", about)
    assert hit.span.start == pytest.approx(end - 0.4) and hit.span.end == pytest.approx(end)


@pytest.mark.parametrize(
    ("query", "span"),
    [
        ("the first slide", (8.0, 13.0)),
        ("the last slide", (50.0, 54.0)),
        ("the second slide", (30.8, 34.0)),
        ("text at the end", (50.0, 54.0)),
        ("where she speaks", (1.0, 20.6)),  # lines that follow each other are one passage
        ("someone talking at the end", (70.0, 79.5)),
    ],
)
def test_a_query_may_name_no_more_than_that_something_is_said_or_written(query: str, span: tuple[float, float]) -> None:
    hits = find(query)
    assert (hits[0].span.start, hits[0].span.end) == span
    assert 0 < hits[0].score <= 0.5 and hits[0].evidence
    assert find(query, told(("clip", CLIPS))) == []


def test_a_word_about_reading_that_is_said_is_found_as_it_stands() -> None:
    about = told(
        ("speech", [(2.0, 5.0, "Look at this slide."), (30.0, 33.0, "Now something else.")]), ("screen", SCREEN)
    )
    assert best("slide", about)[0] <= 2.0

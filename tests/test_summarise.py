"""Choosing words: sentences out of cues, headlines out of screen text, summaries out of both."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot.captioning.summarise import (
    BUDGETS,
    TITLE_LENGTH,
    Corpus,
    Line,
    Material,
    centrality,
    choose,
    counted,
    key_phrase,
    lines,
    looks,
    sentences,
    shorten,
    summarise,
    words,
    writings,
)
from longshot.timeline import Caption, Source, Span, Track


def track(level: str, captions: list[tuple[float, float, str]], *, note: str = "", duration: float = 60.0) -> Track:
    made = tuple(Caption(Span(start, end), text) for start, end, text in captions)
    return Track("v1", level, Source("test", note=note), made, "test.mp4", duration)


def said(*texts: str, note: str = "") -> Track:
    return track("speech", [(3.0 * i, 3.0 * i + 2.5, text) for i, text in enumerate(texts)], note=note)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don’t STOP", ["don't", "stop"]),
        ("naïve café", ["naïve", "café"]),
        ("学习中文", ["学习", "习中", "中文"]),
        ("看 HDR 图", ["看", "hdr", "图"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("ภาษา", ["ภา", "าษ", "ษา"]),
        ("１２３ ﬁne", ["123", "fine"]),
        ("snake_case", ["snake", "case"]),
        ("…!?", []),
    ],
)
def test_words_in_many_scripts(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 10, "short"),
        ("one two three four", 12, "one two…"),
        ("a clause of words, then another one", 24, "a clause of words…"),
        ("没有空格的文字也要截断", 6, "没有空格的…"),
        ("  spaces \n inside ", 40, "spaces inside"),
    ],
)
def test_shorten(text: str, limit: int, expected: str) -> None:
    assert shorten(text, limit) == expected


@given(st.text(max_size=200), st.integers(2, 80))
def test_shorten_keeps_to_the_limit(text: str, limit: int) -> None:
    assert len(shorten(text, limit)) <= limit


def test_sentences_are_joined_over_cues_and_divided_within() -> None:
    found = sentences(said("The reef is", "home to many. It is", "old."))
    assert [s.text for s in found] == ["The reef is home to many.", "It is old."]
    assert [s.ids for s in found] == [("speech-0001", "speech-0002"), ("speech-0002", "speech-0003")]
    assert found[0].span.start == 0.0
    assert found[0].span.end == pytest.approx(3.0 + 2.5 * 13 / 19)
    assert found[1].span.end == 8.5


@pytest.mark.parametrize(
    ("cues", "expected"),
    [
        (["Dr. Smith pays 3.5 euros, e.g. today. Good."], ["Dr. Smith pays 3.5 euros, e.g. today.", "Good."]),
        (["[Music]", "♪ la la ♪", "(applause)", "Hello there."], ["la la", "Hello there."]),
        ([">> Who is it?", "- Me!"], ["Who is it?", "Me!"]),
        (["<i>Tags</i> go."], ["Tags go."]),
        (["天气很好。我们走吧！"], ["天气很好。", "我们走吧！"]),
        (["यह अच्छा है। ठीक है।"], ["यह अच्छा है।", "ठीक है।"]),
        (["ما اسمك؟ أنا سامي."], ["ما اسمك؟", "أنا سامي."]),
        (["Same line.", "Same line.", "Other."], ["Same line.", "Other."]),
        (["“Go on.” He went."], ["“Go on.”", "He went."]),
        ([], []),
    ],
)
def test_sentences_of_dirty_speech(cues: list[str], expected: list[str]) -> None:
    assert [s.text for s in sentences(said(*cues))] == expected


def test_speech_without_full_stops_is_divided_at_pauses_and_marked() -> None:
    found = sentences(
        track("speech", [(0, 2, "and so my fellow"), (2.1, 4, "americans"), (6, 8, "ask not")], note="rough: by sphinx")
    )
    assert [(s.text, s.whole, s.rough) for s in found] == [
        ("and so my fellow americans", False, True),
        ("ask not", False, True),
    ]


def test_writings_count_once_and_leave_out_subtitles_marks_and_noise() -> None:
    speech = sentences(track("speech", [(10, 13, "The corals lose their algae.")]))
    screen = track(
        "screen",
        [
            (0, 60, "OceanTV"),
            (1, 4, "THE LIVING REEF"),
            (10, 13, "The corals lose their algae"),
            (20, 22, "42"),
            (30, 33, "The Living Reef"),
        ],
    )
    found = writings(screen, said=speech)
    assert [(w.text, w.lasting, w.ids) for w in found] == [
        ("OceanTV", True, ("screen-0001",)),
        ("THE LIVING REEF", False, ("screen-0002", "screen-0005")),
    ]
    inside = found[1].within(Span(25, 40))
    assert inside is not None
    assert inside.ids == ("screen-0005",)
    assert found[1].within(Span(40, 60)) is None


def test_large_headlines_outrank_small_print() -> None:
    big = Caption(Span(0, 3), "Night shift", 0.99, {"lines": [{"box": [0.2, 0.4, 0.8, 0.52]}], "box": [0, 0, 1, 0.6]})
    small = Caption(Span(0, 3), "terms and conditions apply", 0.99, {"lines": [{"box": [0.2, 0.9, 0.8, 0.92]}]})
    found = {w.text: w.rank for w in writings(Track("v", "screen", Source("t"), (big, small), "", 60.0))}
    assert found["Night shift"] > found["terms and conditions apply"]


def test_the_sentence_that_others_resemble_is_most_central() -> None:
    documents = [
        words(t) for t in ("corals lose algae", "corals need algae light", "the train was late", "algae feed corals")
    ]
    corpus = Corpus(documents)
    ranks = centrality(corpus.likeness(documents))
    assert ranks.max() == 1.0
    assert ranks.argmin() == 2


def test_choose_passes_over_repetition_and_keeps_order() -> None:
    texts = ["warm water bleaches corals", "warm water bleaches corals", "divers map caves", "whales sing songs"]
    documents = [words(t) for t in texts]
    chosen = choose(documents, [1.0] * 4, count=3, corpus=Corpus(documents))
    assert list(chosen) == sorted(chosen)
    assert len({texts[i] for i in chosen}) == len(chosen) == 3


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=30), st.integers(0, 6))
def test_choose_is_bounded_sorted_and_repeatable(documents: list[list[str]], count: int) -> None:
    corpus = Corpus(documents)
    merits = [1.0] * len(documents)
    chosen = choose(documents, merits, count=count, corpus=corpus)
    assert list(chosen) == sorted(set(chosen))
    assert len(chosen) <= count
    assert all(0 <= i < len(documents) for i in chosen)
    assert chosen == choose(documents, merits, count=count, corpus=Corpus(documents))


def test_long_input_is_chosen_from_evenly_not_cut_at_the_tail() -> None:
    documents = [[f"w{i}", f"w{i + 1}", f"topic{i // 100}"] for i in range(3000)]
    corpus = Corpus(documents)
    began = time.perf_counter()
    chosen = choose(documents, [1.0] * 3000, count=4, corpus=corpus)
    assert time.perf_counter() - began < 1.0
    assert [4 * i // 3000 for i in chosen] == [0, 1, 2, 3]


def test_a_phrase_that_returns_becomes_the_title_in_its_own_letters() -> None:
    filler = "Today nobody here knows exactly what those engineers finally wanted from this small machine room."
    speech = sentences(
        said(
            "A Cell membrane is thin.",
            filler,
            "Each Cell membrane lets water in.",
            filler + " Really.",
            "The cell membrane ends.",
        )
    )
    assert key_phrase(speech, Corpus(s.words for s in speech)).casefold() == "cell membrane"
    assert key_phrase(speech[:1], Corpus(s.words for s in speech)) == ""


def material(speech: Track | None = None, screen: Track | None = None, clips: Track | None = None) -> Material:
    spoken = sentences(speech)
    return Material(Span(0, 60), spoken, writings(screen, said=spoken), lines(clips), shots=len(clips or ()))


def corpus_of(what: Material) -> Corpus:
    return Corpus([*(s.words for s in what.said), *(w.words for w in what.written)])


def test_a_summary_quotes_and_names_what_it_quotes() -> None:
    what = material(
        said("Corals are animals.", "They live on a reef.", "A reef can be seen from space."),
        track("screen", [(0, 3, "The Living Reef")]),
    )
    made = summarise(what, budget=BUDGETS["segment"], corpus=corpus_of(what))
    assert made.text.count("“") == 3
    assert made.text.endswith("On screen: “The Living Reef”.")
    assert made.titles[0] == "The Living Reef"
    assert "screen-0001" in made.rests_on
    for sentence in made.said:
        assert f"“{sentence.text}”" in made.text
        assert set(sentence.ids) <= set(made.rests_on)


def test_rough_speech_is_said_to_be_rough_and_never_heads_before_a_scene() -> None:
    what = material(
        said("and so my fellow", "ask not what", note="rough"), clips=track("clip", [(0, 60, "A still shot.")])
    )
    made = summarise(what, budget=BUDGETS["segment"], corpus=corpus_of(what))
    assert "Heard, roughly: “" in made.text
    assert len(made.said) == 1
    assert made.titles[0] == "A still shot"


def test_without_speech_scenes_tell_the_story() -> None:
    what = material(clips=track("clip", [(0, 20, "A red field."), (20, 40, "A blue wall."), (40, 60, "A red field.")]))
    made = summarise(what, budget=BUDGETS["segment"], corpus=corpus_of(what))
    assert made.text == "Three shots. At 0:00: A red field. At 0:20: A blue wall."
    assert set(made.rests_on) <= {"clip-0001", "clip-0002", "clip-0003"}


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 9), st.text(max_size=80)), max_size=8),
    st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 9), st.text(max_size=80)), max_size=8),
    st.sampled_from(sorted(BUDGETS)),
)
def test_any_text_gives_a_summary_that_rests_on_real_lines(
    spoken: list[tuple[float, float, str]], written: list[tuple[float, float, str]], level: str
) -> None:
    speech = track("speech", [(a, a + b, text) for a, b, text in spoken])
    screen = track("screen", [(a, a + b, text) for a, b, text in written])
    clips = track("clip", [(0, 30, "A still shot."), (30, 60, "A panning shot.")])
    what = material(speech, screen, clips)
    made = summarise(what, budget=BUDGETS[level], corpus=corpus_of(what))
    known = {line.id for made_track in (speech, screen, clips) for line in lines(made_track)}
    assert made.text
    assert set(made.rests_on) <= known
    assert len(made.rests_on) == len(set(made.rests_on))
    assert all(0 < len(title) <= TITLE_LENGTH for title in made.titles)
    assert made == summarise(what, budget=BUDGETS[level], corpus=corpus_of(what))


def leg(start: float, end: float, **rates: float) -> dict[str, float]:
    still = {"pan_widths_per_second": 0.0, "tilt_widths_per_second": 0.0, "roll_degrees_per_second": 0.0}
    return {"start": start, "end": end, **still, "zoom_factor_per_second": 1.0, **rates}


def measured(start: float, end: float, *, look: str = "", back: bool = False, **rates: float) -> Caption:
    """A caption as the observer makes it, with statements that can be counted."""
    statements = [{"kind": "camera", "says": "the camera does this", "measured": {"legs": [leg(start, end, **rates)]}}]
    if look:
        statements.insert(0, {"kind": "look", "says": look, "measured": {"colours": {look: 1.0}}})
    if back:
        statements.insert(0, {"kind": "return", "says": "back to it", "measured": {"earlier_start": 0.0}})
    return Caption(Span(start, end), "Words.", None, {"statements": statements, "also": []})


def clips_of(*captions: Caption) -> Track:
    return Track("v1", "clip", Source("test"), captions, "test.mp4", 60.0)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([{}, {}, {}], "Three shots; the camera holds still."),
        ([{"pan_widths_per_second": 0.1}] * 3, "Three shots; the camera pans to the right."),
        ([{"pan_widths_per_second": -0.1}] * 2 + [{}], "Three shots; the camera mostly pans to the left."),
        (
            [{"pan_widths_per_second": -0.1}, {"pan_widths_per_second": 0.1}, {}],
            "Three shots; the camera mostly pans.",
        ),
        ([{"zoom_factor_per_second": 1.2}] * 2 + [{}], "Three shots; the camera mostly zooms in."),
        (
            [{"tilt_widths_per_second": 0.1}, {"roll_degrees_per_second": 9.0}, {}],
            "Three shots; the camera moves most of the time.",
        ),
        ([{}, {}, {"pan_widths_per_second": 0.1}], "Three shots; the camera mostly holds still."),
        ([{"pan_widths_per_second": 0.005}] * 3, "Three shots; the camera holds still."),
    ],
)
def test_the_camera_of_many_clips(rates: list[dict[str, float]], expected: str) -> None:
    clips = clips_of(*(measured(20 * i, 20 * i + 20, **one) for i, one in enumerate(rates)))
    what = Material(Span(0, 60), (), (), lines(clips), shots=3, spoken=1.0)
    assert summarise(what, budget=BUDGETS["segment"], corpus=corpus_of(what)).text == expected


def test_nothing_is_claimed_of_a_camera_that_was_not_measured() -> None:
    unknown = Caption(Span(0, 40), "Words.", None, {"statements": [], "also": []})
    clips = clips_of(unknown, measured(40, 60, pan_widths_per_second=0.2))
    what = Material(Span(0, 60), (), (), lines(clips), shots=2, spoken=1.0)
    assert summarise(what, budget=BUDGETS["segment"], corpus=corpus_of(what)).text == "Two shots."


def test_a_wordless_stretch_names_scenes_and_returns() -> None:
    clips = clips_of(
        measured(0, 20, look="mostly blue"),
        measured(20, 40, look="mostly red"),
        measured(40, 60, look="mostly blue", back=True),
    )
    what = material(clips=clips)
    made = summarise(what, budget=BUDGETS["segment"], corpus=corpus_of(what))
    assert made.text.startswith("Three shots; the camera holds still; it goes back to an earlier setting once. At 0:")
    assert "mostly blue; the camera does this." in made.text
    assert "mostly red; the camera does this." in made.text
    assert made.titles[0] == "Mostly blue; the camera does this"


def test_looks_tell_settings_apart() -> None:
    first, second, third = (
        looks(measured(0, 9, look="blue")),
        looks(measured(9, 18, look="red")),
        looks(measured(18, 27, look="blue", back=True)),
    )
    assert set(first) == set(third)
    assert set(first) != set(second)
    assert looks(Caption(Span(0, 1), "A red door.")) == ("a", "red", "door")


def test_a_headline_is_no_address_and_no_small_print() -> None:
    def rank(text: str, height: float) -> float:
        caption = Caption(Span(0, 3), text, 0.99, {"lines": [{"box": [0.1, 0.4, 0.9, 0.4 + height]}]})
        return writings(Track("v", "screen", Source("t"), (caption,), "", 60.0))[0].rank

    assert rank("Night shift", 0.1) > 0.45
    assert rank("clideo.com", 0.1) < 0.45
    assert rank("Night shift", 0.02) < 0.45


def test_numbers_as_people_write_them() -> None:
    assert [counted(n, "shot") for n in (1, 2, 12, 13, 4000)] == [
        "one shot",
        "two shots",
        "twelve shots",
        "13 shots",
        "4,000 shots",
    ]


def test_lines_carry_their_ids() -> None:
    assert lines(None) == ()
    clips = track("clip", [(0, 1, "a"), (1, 2, "b")])
    assert [line.id for line in lines(clips)] == ["clip-0001", "clip-0002"]
    assert isinstance(lines(clips)[0], Line)

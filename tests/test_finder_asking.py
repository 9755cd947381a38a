"""Moments by asking a model: what it is shown, what becomes of its answers, what is told of those that did not come."""

from __future__ import annotations

import re
import wave
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshot.asking import Desk, Unreadable
from longshot.contracts import Finder, Prompt, Reply, Told
from longshot.errors import MediaError, ModelError, UsageError
from longshot.finders._parts import Found, fuse, plan, runs
from longshot.finders._replies import read_runs, read_yes, shares
from longshot.finders.asking import Asking, load
from longshot.models import open_chat_model
from longshot.timeline import Caption, Hit, Source, Span, Track
from tests.fake_server import Answer, FakeServer
from tests.fakes import ScriptedModel, failed, refused
from tests.tiny.qwen import qwen2_vl
from tests.videos import write_video

LINES = (
    ("speech", 0.0, 4.0, "Welcome to the evening lecture."),
    ("screen", 1.0, 6.0, "TIDES AND THE MOON"),
    ("speech", 6.0, 12.0, "The moon pulls the water of the sea."),
    ("speech", 12.0, 16.0, "Und nun auf Deutsch: der Mond."),
    ("clip", 0.0, 20.0, "A woman stands beside a telescope."),
    ("speech", 16.0, 22.0, "Are there any questions?"),
    ("speech", 22.0, 28.0, "Why does the moon not fall down?"),
)


def tracks(lines: Sequence[tuple[str, float, float, str]] = LINES) -> tuple[Track, ...]:
    levels = dict.fromkeys(level for level, *_ in lines)
    return tuple(
        Track("v1", level, Source("make"), tuple(Caption(Span(a, b), t) for name, a, b, t in lines if name == level))
        for level in levels
    )


def told(lines: Sequence[tuple[str, float, float, str]] = LINES, *, path: str = "", duration: float = 30.0) -> Told:
    return Told("v1", "talk.mp4", duration, tracks(lines), path)


def part_of(prompt: Prompt) -> tuple[float, float]:
    """The part that a prompt with pictures asks about."""
    found = re.search(r"from ([\d.]+) to ([\d.]+) seconds", prompt.text)
    assert found
    return float(found[1]), float(found[2])


def checks(prompt: Prompt) -> bool:
    return "Answer yes or no" in prompt.text


def spans(hits: Sequence[Hit]) -> list[tuple[float, float]]:
    return [(hit.span.start, hit.span.end) for hit in hits]


def said(hit: Hit) -> dict[str, Any]:
    """What the hit says of the model's answer."""
    return dict(next(caption.details for caption in hit.evidence if caption.details["level"] == "answer"))


class Watcher:
    """A model that knows when something is on the screen: it names what of it lies in the part that it is shown."""

    def __init__(self, *events: tuple[float, float], off: float = 0.0, yes: bool = True, sure: str = "") -> None:
        self.events, self.off, self.yes, self.sure = events, off, yes, sure
        self.parts: list[tuple[float, float]] = []

    def __call__(self, prompt: Prompt) -> str:
        if checks(prompt):
            return "Yes." if self.yes else "No."
        low, high = part_of(prompt)
        assert prompt.frames is not None
        self.parts.append((low, high))
        close = len(prompt.frames) > 1 and np.diff(prompt.frames.times).max() < 1.0
        off = 0.0 if close else self.off
        found = [(max(low, a - off), min(high, b + off)) for a, b in self.events if a < high and b > low]
        return str([[round(a, 2), round(b, 2)] for a, b in found]).replace("]]", f"{self.sure}]]")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A minute at five frames a second, each with its number."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(path, count=300, fps=5, size=(64, 48))
    return str(path)


# --- plans


def test_a_short_video_is_one_part_in_smaller_steps() -> None:
    made = plan(4.0, step=2.0, window=180.0, overlap=0.25, frames=96)
    assert made.parts == (Span(0.0, 4.0),) and made.times(made.parts[0]) == [0.5 * k for k in range(8)]


def test_three_hours_are_eighty_parts_that_share_a_quarter() -> None:
    made = plan(10_800.0, step=2.0, window=180.0, overlap=0.25, frames=96)
    assert len(made.parts) == 81
    assert made.parts[0] == Span(0.0, 180.0) and made.parts[-1] == Span(10_620.0, 10_800.0)
    assert made.parts[1] == Span(134.0, 314.0)
    assert all(len(made.times(part)) == 90 for part in made.parts)


def test_parts_get_shorter_where_few_pictures_fit() -> None:
    made = plan(10_800.0, step=2.0, window=180.0, overlap=0.25, frames=12)
    assert {part.length for part in made.parts} == {24.0} and max(len(made.times(p)) for p in made.parts) == 12


@settings(deadline=None)
@given(
    st.floats(0.05, 2_000.0),
    st.floats(0.5, 10.0),
    st.floats(1.0, 30.0),
    st.floats(0.0, 0.9),
    st.integers(4, 96),
)
def test_every_plan_covers_the_video_and_keeps_to_the_budget(
    duration: float, step: float, steps: float, overlap: float, frames: int
) -> None:
    made = plan(duration, step=step, window=step * steps, overlap=overlap, frames=frames)
    assert made.parts[0].start == 0.0 and made.parts[-1].end == pytest.approx(duration)
    for before, after in pairwise(made.parts):
        assert before.start < after.start <= before.end + 1e-6
    for part in made.parts:
        seconds = made.times(part)
        assert 1 <= len(seconds) <= frames
        assert part.start - 1e-3 <= seconds[0] and seconds[-1] < part.end + 1e-3


def test_runs_repeat_a_share_and_leave_nothing_out() -> None:
    assert runs([3, 3, 3, 3], room=6, overlap=0.5) == [range(0, 2), range(1, 3), range(2, 4)]
    assert runs([9, 1, 1], room=6, overlap=0.25) == [range(0, 1), range(1, 3)]
    assert runs([], room=6, overlap=0.25) == []


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), max_size=60), st.integers(1, 30), st.floats(0.0, 0.9))
def test_runs_of_any_sizes_cover_all_and_fit(sizes: list[int], room: int, overlap: float) -> None:
    found = runs(sizes, room=room, overlap=overlap)
    assert sorted({place for run in found for place in run}) == list(range(len(sizes)))
    assert all(len(run) == 1 or sum(sizes[place] for place in run) <= room for run in found)
    assert all(a.start < b.start <= a.stop < b.stop for a, b in pairwise(found))


# --- what parts say together


PARTS = (Span(0, 180), Span(134, 314), Span(220, 400))


def test_two_parts_that_see_one_moment_name_it_once_and_whole() -> None:
    (one,) = fuse([Found(Span(170, 180), 0.9, 0), Found(Span(170, 190), 0.7, 1)], PARTS)
    assert one.span == Span(170, 190) and one.parts == (0, 1) and one.seen == 2
    assert one.score == pytest.approx(0.8) and one.sure == pytest.approx(0.8)


def test_a_part_that_saw_it_and_does_not_name_it_halves_the_score() -> None:
    (one,) = fuse([Found(Span(150, 160), 0.9, 0)], PARTS)
    assert one.score == pytest.approx(0.45) and one.seen == 2
    (one,) = fuse([Found(Span(150, 160), 0.9, 0)], PARTS, answered={0, 2})
    assert one.score == pytest.approx(0.9) and one.seen == 1


def test_gaps_are_not_bridged_and_equals_go_by_length() -> None:
    found = [Found(Span(10, 12), None, 0), Found(Span(12.5, 20), None, 0), Found(Span(350, 352), None, 2)]
    made = fuse(found, PARTS)
    assert [one.span for one in made] == [Span(12.5, 20), Span(10, 12), Span(350, 352)]
    assert [one.score for one in made] == [0.5, 0.5, 0.5]


def test_what_lasts_over_many_parts_is_one_moment() -> None:
    found = [Found(part, None, place) for place, part in enumerate(PARTS)]
    (one,) = fuse(found, PARTS)
    assert one.span == Span(0, 400)


def test_what_two_parts_name_differently_stays_apart() -> None:
    assert len(fuse([Found(Span(140, 150), 0.9, 0), Found(Span(148, 170), 0.9, 1)], PARTS)) == 2


# --- replies


RUNS: dict[str, list[tuple[int, int]]] = {
    "[[#12, #15]]": [(12, 15)],
    "[[12, 15]]": [(12, 15)],
    "[[#12, #15], [#20, #20]]": [(12, 15), (20, 20)],
    '[["#12", "#15"]]': [(12, 15)],
    "[[#12-#15]]": [(12, 15)],
    "[#12, #15": [(12, 12), (15, 15)],
    "[[#12]]": [(12, 12)],
    "[12, 13, 14, 20]": [(12, 14), (20, 20)],
    "[[15, 12]]": [(12, 15)],
    "[[#12, #15], [#12, #15]]": [(12, 15)],
    "[[#12, #15], [#90, #95]]": [(12, 15)],
    "```json\n[[12, 15]]\n```": [(12, 15)],
    "<think>#1? No.</think>[[#12, #15]]": [(12, 15)],
    "<answer>[[12, 15]]</answer>": [(12, 15)],
    "[[#12, #15]]</s>": [(12, 15)],
    '{"runs": [[12, 15], [20, 22]]}': [(12, 15), (20, 22)],
    '[{"first": 12, "last": 15}]': [(12, 15)],
    '[{"first": "#12", "last": "#15", "sure": 0.9}]': [(12, 15)],
    "Lines 12-15": [(12, 15)],
    "Lines 12 to 15 and line 20.": [(12, 15), (20, 20)],
    "from #12 through #15": [(12, 15)],
    "#12–#15": [(12, 15)],
    "It is line 12.": [(12, 12)],
    "#12, #13 and #20": [(12, 13), (20, 20)],
    "L12-L15": [(12, 15)],
    "12": [(12, 12)],
    "12, 13": [(12, 13)],
    "**12-15**": [(12, 15)],
    "[]": [],
    "[[]]": [],
    "None": [],
    "[].": [],
}
NO_RUNS = ("", "The moon.", "[[99, 120]]", "#0", "[[0:12, 0:20]]", "at 12.5 seconds", "<think>#12", "[[a, b]]", "It")


@pytest.mark.parametrize(("text", "expected"), RUNS.items())
def test_runs_of_lines_are_read(text: str, expected: list[tuple[int, int]]) -> None:
    assert [(run.first, run.last) for run in read_runs(text, first=1, last=40).found] == expected


@pytest.mark.parametrize("text", NO_RUNS)
def test_a_reply_without_a_line_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_runs(text, first=1, last=40)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sure"),
    [
        ("[[#12, #15, 0.9], [#20, #22, 0.5]]", [0.9, 0.5]),
        ("[[12, 15, 1], [20, 22, 0]]", [1.0, 0.0]),
        ("[[12, 15, 90%]]", [0.9]),
        ("[[12, 0.7]]", [0.7]),
        ("[[12-15, 0.7]]", [0.7]),
        ('[{"first": 12, "last": 15, "confidence": 0.25}]', [0.25]),
        ("[[12, 15]]", [None]),
    ],
)
def test_how_sure_the_model_is(text: str, sure: list[float | None]) -> None:
    found = read_runs(text, first=1, last=40)
    assert [run.sure for run in found.found] == sure


def test_what_was_put_right_in_runs_is_told() -> None:
    found = read_runs("[[15, 12], [90, 91]]", first=1, last=40)
    assert found.mended == ("1 turned round", "1 with lines that there are not left out")


def test_shares_know_their_scale() -> None:
    assert shares([0.9, 0.5]) == [0.9, 0.5]
    assert shares([9.0, 5.0]) == [0.9, 0.5]
    assert shares([90.0, None]) == [0.9, None]
    assert shares([900.0, 5.0]) == [None, None]
    assert shares([]) == []


@pytest.mark.parametrize(
    ("text", "yes"),
    [("yes", True), ("**Yes**, it does.", True), ("No.", False), ("not at all", False), ("Answer: no", False)],
)
def test_yes_and_no(text: str, yes: bool) -> None:
    assert read_yes(text) is yes


@pytest.mark.parametrize("text", ["", "maybe", "yesterday", "nothing of it"])
def test_neither_yes_nor_no(text: str) -> None:
    with pytest.raises(Unreadable):
        read_yes(text)


@settings(deadline=None)
@given(st.text(alphabet="0123456789[](){},.:-% \nlines#to\"'", max_size=120))
def test_whatever_the_reply_runs_lie_inside(text: str) -> None:
    try:
        found = read_runs(text, first=3, last=40).found
    except Unreadable:
        return
    for run in found:
        assert 3 <= run.first <= run.last <= 40 and (run.sure is None or 0 <= run.sure <= 1)


# --- text


def test_lines_of_every_track_stand_in_order_of_time_and_a_run_is_a_moment() -> None:
    model = ScriptedModel(lambda prompt: "[[#6, #7, 0.9]]")
    finder = load(model=model, text=True)
    (hit,) = finder.find(told(), "the two questions at the end")
    assert hit.span == Span(16.0, 28.0) and hit.score == 0.9 and hit.video == "v1"
    (text,) = model.texts
    lines = [line for line in text.splitlines() if line.startswith("#")]
    assert lines == [
        "#1 0:00 speech: Welcome to the evening lecture.",
        "#2 0:00 clip: A woman stands beside a telescope.",
        "#3 0:01 screen: TIDES AND THE MOON",
        "#4 0:06 speech: The moon pulls the water of the sea.",
        "#5 0:12 speech: Und nun auf Deutsch: der Mond.",
        "#6 0:16 speech: Are there any questions?",
        "#7 0:22 speech: Why does the moon not fall down?",
    ]
    ids = [caption.details["id"] for caption in hit.evidence]
    assert ids == ["speech-0004", "speech-0005", ""]
    first = hit.evidence[0]
    assert [first.text[a:b] for a, b in first.details["matched"]] == ["questions"]
    assert hit.evidence[-1].text == "scripted names 0:16 to 0:28, sure to 0.90"
    assert model.asked[0].frames is None and finder.notes == ()


def test_not_in_this_video_is_an_answer() -> None:
    finder = load(model=ScriptedModel(lambda prompt: "[]"), text=True)
    assert finder.find(told(), "a dog") == [] and finder.notes == ()


def test_long_tracks_are_split_with_overlap_and_nothing_is_left_out() -> None:
    many = [
        ("speech", 2.0 * k, 2.0 * k + 2, f"Sentence number {k} is about the tide and the wind.") for k in range(200)
    ]

    def answer(prompt: Prompt) -> str:
        numbers = [int(number) for number in re.findall(r"^#(\d+) ", prompt.text, re.MULTILINE)]
        return "[[#101, #103]]" if {101, 102, 103} <= set(numbers) else "[]"

    model = ScriptedModel(answer, context=800)
    (hit,) = load(model=model, text=True).find(told(many, duration=400.0), "the wind")
    assert len(model.texts) > 3 and all(model.count_tokens(text) <= 800 for text in model.texts)
    seen = {int(number) for text in model.texts for number in re.findall(r"^#(\d+) ", text, re.MULTILINE)}
    assert seen == set(range(1, 201))
    assert hit.span == Span(200.0, 206.0)


def test_one_endless_line_is_cut_and_that_is_told() -> None:
    long = [("speech", 0.0, 5.0, "tide " * 3000), ("speech", 5.0, 9.0, "The wind.")]
    finder = load(model=ScriptedModel(lambda prompt: "[]", context=600), text=True)
    assert finder.find(told(long), "the wind") == []
    assert finder.notes == ("the model saw only the beginning of 1 lines, which are very long",)


def test_shots_that_are_only_counted_say_nothing_and_segments_serve_where_nothing_finer_does() -> None:
    lines = [("shot", 0.0, 5.0, "Shot 1"), ("segment", 0.0, 9.0, "A harbour."), ("video", 0.0, 9.0, "A film.")]
    model = ScriptedModel(lambda prompt: "[[#1, #1]]")
    (hit,) = load(model=model, text=True).find(told(lines, duration=30.0), "a harbour")
    assert re.findall(r"^#.*$", model.texts[0], re.MULTILINE)[:2] == ["#1 0:00 segment: A harbour."]
    assert hit.span == Span(0.0, 9.0)


def test_tracks_without_a_word_give_nothing_and_say_so() -> None:
    model = ScriptedModel(lambda prompt: "[[1, 1]]")
    finder = load(model=model, text=True)
    assert finder.find(told([("shot", 0.0, 5.0, "Shot 1")]), "a dog") == [] and not model.asked
    assert finder.notes == ("there is no text to read: the tracks hold nothing said, written or described",)


def test_a_video_that_is_not_at_hand_is_asked_about_by_its_tracks() -> None:
    finder = load(model=ScriptedModel(lambda prompt: "[[#4, #4]]"))
    (hit,) = finder.find(told(), "the moon")
    assert hit.span == Span(6.0, 12.0)
    assert finder.notes == ("the file is not at hand: the model was asked about the tracks, not the pictures",)


def test_sound_without_pictures_is_asked_about_by_its_tracks(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "talk.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16_000 * 30))
    finder = load(model=ScriptedModel(lambda prompt: "[[#4, #4]]"))
    (hit,) = finder.find(told(path=str(tmp_path / "talk.wav")), "the moon")
    assert hit.span == Span(6.0, 12.0)
    assert finder.notes == ("the file has no pictures: the model was asked about the tracks, not the pictures",)


def test_a_file_that_is_no_video_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "talk.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError, match=r"talk\.mp4"):
        load(model=ScriptedModel()).find(told(path=str(tmp_path / "talk.mp4")), "the moon")


def test_the_whole_video_is_flagged() -> None:
    finder = load(model=ScriptedModel(lambda prompt: "[[#1, #7]]"), text=True)
    (hit,) = finder.find(told(duration=28.0), "the moon")
    assert said(hit)["whole"] is True and finder.notes == ("the model says that it is the whole video",)


# --- pictures


def test_frames_come_with_their_times_and_what_is_said_meanwhile(film: str) -> None:
    watcher = Watcher((20.0, 30.0))
    model = ScriptedModel(watcher, context=32_000)
    (hit,) = load(model=model, refine=False).find(told(path=film, duration=60.0), "the moon")
    (prompt,) = model.asked
    assert prompt.frames is not None
    np.testing.assert_allclose(prompt.frames.times, np.arange(0.0, 60.0, 2.0), atol=1e-6)
    assert "from 0.0 to 60.0 seconds of a video that is 60.0 seconds long" in prompt.text
    assert "They were taken at these seconds: 0.0, 2.0, 4.0," in prompt.text
    assert "- 6.0 to 12.0: The moon pulls the water of the sea. (said)" in prompt.text
    assert "- 1.0 to 6.0: TIDES AND THE MOON (on screen)" in prompt.text
    assert hit.span == Span(20.0, 30.0) and hit.score == 0.5
    assert [caption.details["id"] for caption in hit.evidence] == ["", "speech-0004", "speech-0005"]
    assert said(hit)["way"] == "pictures"


def test_a_model_that_sees_the_times_is_not_told_them_twice(film: str) -> None:
    model = ScriptedModel(Watcher((20.0, 30.0)), context=32_000)
    model.tells_times = True  # type: ignore[attr-defined]
    load(model=model, refine=False).find(told((), path=film, duration=60.0), "the moon")
    assert "these seconds" not in model.texts[0] and "meanwhile" not in model.texts[0]


def test_looking_again_moves_the_ends_where_the_model_agrees(film: str) -> None:
    watcher = Watcher((20.0, 26.0), off=3.0, sure=", 0.8")
    model = ScriptedModel(watcher, context=32_000)
    (hit,) = load(model=model, window=30.0).find(told((), path=film, duration=60.0), "it turns red")
    assert hit.span == Span(20.0, 26.0)
    # The score stays that of the first pass.
    assert hit.score == pytest.approx(0.8) and said(hit)["first"] == [17.0, 29.0] and said(hit)["closer"] == "moved"
    closer = [prompt for prompt in model.asked if not checks(prompt) and part_of(prompt)[0] not in (0.0, 22.0, 30.0)]
    assert [part_of(prompt) for prompt in closer] == [(12.2, 33.8)]
    assert closer[0].frames is not None and np.diff(closer[0].frames.times).max() <= 0.5


def test_new_ends_that_the_model_does_not_confirm_are_not_taken(film: str) -> None:
    model = ScriptedModel(Watcher((20.0, 26.0), off=3.0, yes=False), context=32_000)
    (hit,) = load(model=model).find(told((), path=film, duration=60.0), "it turns red")
    assert hit.span == Span(17.0, 29.0) and said(hit)["closer"] == "kept"


def test_what_fails_on_looking_again_costs_nothing(film: str) -> None:
    watcher = Watcher((20.0, 26.0), off=3.0)

    def answer(prompt: Prompt) -> Reply | str:
        first = part_of(prompt) == (0.0, 60.0)
        return watcher(prompt) if first else failed()

    finder = load(model=ScriptedModel(answer, context=32_000))
    (hit,) = finder.find(told((), path=film, duration=60.0), "it turns red")
    assert hit.span == Span(17.0, 29.0) and finder.notes == ()


def test_parts_overlap_and_a_moment_across_their_border_is_one(film: str) -> None:
    watcher = Watcher((18.0, 30.0), sure=", 0.9")
    model = ScriptedModel(watcher, context=32_000)
    (hit,) = load(model=model, window=24.0, refine=False).find(told((), path=film, duration=60.0), "it turns red")
    assert sorted(watcher.parts) == [(0.0, 24.0), (18.0, 42.0), (36.0, 60.0)]
    assert hit.span == Span(18.0, 30.0) and said(hit)["parts"] == 2 and hit.score == 0.9


def test_several_moments_are_ranked_by_how_sure_the_model_is(film: str) -> None:
    model = ScriptedModel(lambda prompt: "[[2, 5, 0.2], [20, 24, 0.9], [40, 50, 0.5]]", context=32_000)
    hits = load(model=model, refine=False).find(told((), path=film, duration=60.0), "it turns red")
    assert spans(hits) == [(20.0, 24.0), (40.0, 50.0), (2.0, 5.0)]
    assert [hit.score for hit in hits] == [0.9, 0.5, 0.2]


def test_a_small_context_gives_short_parts_and_all_of_them_fit(film: str) -> None:
    model = ScriptedModel(lambda prompt: "[]", context=4096)
    assert load(model=model).find(told((), path=film, duration=60.0), "a dog") == []
    assert len(model.asked) == 5
    shown = [prompt.frames.times for prompt in model.asked if prompt.frames is not None]
    assert max(map(len, shown)) <= 9
    np.testing.assert_allclose(sorted(set(np.concatenate(shown).round(3))), np.arange(0.0, 60.0, 2.0), atol=1e-3)


def test_lines_beside_pictures_that_do_not_fit_are_the_least_telling(film: str) -> None:
    many = [("speech", 0.25 * k, 0.25 * k + 0.25, f"filler {k} " + "la " * 60) for k in range(236)]
    many[100] = ("speech", 25.0, 25.25, "Here is the telescope.")
    model = ScriptedModel(lambda prompt: "[]", context=16_000)
    finder = load(model=model)
    assert finder.find(told(many, path=film, duration=60.0), "the telescope") == []
    assert "Here is the telescope." in model.texts[0]
    found = re.search(r"meanwhile \((\d+) of 236 lines\)", model.texts[0])
    assert found and 0 < int(found[1]) < 100
    assert finder.notes == ("1 questions had no room for every line that is said or written meanwhile",)


def test_seconds_outside_the_part_are_asked_for_again(film: str) -> None:
    def answer(prompt: Prompt) -> str:
        if prompt.history:
            return "[[50, 55]]"
        return "[[1, 2]]" if part_of(prompt)[0] >= 30 else "[]"

    model = ScriptedModel(answer, context=32_000)
    (hit,) = load(model=model, window=30.0, overlap=0.0, refine=False).find(
        told((), path=film, duration=60.0), "it turns red"
    )
    assert hit.span == Span(50.0, 55.0)
    (again,) = [text for text in model.texts if "could not use that reply" in text]
    assert "no window inside the part from 30 to 60 s; seconds count from the start" in again


# --- what does not come


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda prompt: "I think so.", "unreadable: it names no line by its number"),
        (lambda prompt: refused(), "refused: the filter said no"),
        (lambda prompt: failed(), "failed: the server was away"),
        (lambda prompt: "I'm sorry, I can't help with that.", "refused: it says: I'm sorry"),
    ],
)
def test_no_answer_at_all_is_not_read_as_nowhere(answer: Callable[[Prompt], Reply | str], why: str) -> None:
    finder = load(model=ScriptedModel(answer), text=True)
    with pytest.raises(ModelError, match="none of 1 questions about the video was answered") as caught:
        finder.find(told(), "the moon")
    assert why in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_that_takes_no_pictures_is_asked_about_the_lines(film: str) -> None:
    def answer(prompt: Prompt) -> Reply | str:
        return "[[#4, #4, 0.8]]" if prompt.frames is None else failed("this model takes no images")

    finder = load(model=ScriptedModel(answer, context=32_000))
    (hit,) = finder.find(told(path=film, duration=60.0), "the moon")
    assert hit.span == Span(6.0, 12.0) and said(hit)["way"] == "lines"
    assert finder.notes == (
        "none of 1 questions about the video was answered (failed: this model takes no images): "
        "the model was asked about the tracks instead",
    )
    with pytest.raises(ModelError, match="takes no images"):
        finder.find(told((), path=film, duration=60.0), "the moon")


def test_parts_without_an_answer_are_told(film: str) -> None:
    def answer(prompt: Prompt) -> Reply | str:
        return failed() if part_of(prompt)[0] >= 36 else "[[20, 22]]"

    finder = load(model=ScriptedModel(answer, context=32_000), window=24.0, refine=False)
    (hit,) = finder.find(told((), path=film, duration=60.0), "it turns red")
    assert hit.span == Span(20.0, 22.0)
    assert finder.notes == (
        "1 of 3 parts of the video got no answer, so what they hold is not known: 0:36-1:00 "
        "(failed: the server was away)",
    )
    # The notes are those of the last search.
    finder.desk.model.answer = lambda prompt: "[]"  # type: ignore[attr-defined]
    assert finder.find(told((), path=film, duration=60.0), "a dog") == [] and finder.notes == ()


def test_an_unreadable_reply_is_asked_for_once_more() -> None:
    model = ScriptedModel(lambda prompt: "[[#4, #4]]" if prompt.history else "The moon.")
    (hit,) = load(model=model, text=True).find(told(), "the moon")
    assert hit.span == Span(6.0, 12.0) and len(model.asked) == 2


def test_what_was_put_right_and_what_the_model_notes_is_told() -> None:
    def answer(prompt: Prompt) -> Reply:
        return Reply("[[#5, #4], [#70, #80]]", note="7 of 9 frames used")

    finder = load(model=ScriptedModel(answer), text=True)
    assert spans(finder.find(told(), "the moon")) == [(6.0, 16.0)]
    assert finder.notes == (
        "1 answers: 7 of 9 frames used",
        "put right in 1 replies: 1 turned round",
        "put right in 1 replies: 1 with lines that there are not left out",
    )


def test_answers_in_a_journal_are_not_asked_for_again(film: str, tmp_path: Path) -> None:
    first = ScriptedModel(Watcher((20.0, 26.0), off=3.0), context=32_000)
    second = ScriptedModel(lambda prompt: "[]", context=32_000)
    one = load(model=first, answers=tmp_path / "a.jsonl").find(told((), path=film, duration=60.0), "red")
    two = load(model=second, answers=tmp_path / "a.jsonl").find(told((), path=film, duration=60.0), "red")
    assert one == two and first.asked and not second.asked


@pytest.mark.parametrize("query", ["", "   ", "?!", "🙂"])
def test_a_query_without_a_word(query: str) -> None:
    with pytest.raises(UsageError, match="no word to look for"):
        load(model=ScriptedModel(), text=True).find(told(), query)


def test_a_query_of_ten_thousand_characters_is_refused_in_one_line(film: str) -> None:
    query = "moon " * 2000
    for text in (True, False):
        with pytest.raises(UsageError, match="question is too long for scripted") as caught:
            load(model=ScriptedModel(context=2048), text=text).find(told(path=film), query)
        assert len(str(caught.value)) < 200


def test_a_context_without_room_for_pictures(film: str) -> None:
    with pytest.raises(UsageError, match="no room for 4 pictures"):
        load(model=ScriptedModel(context=1024)).find(told(path=film), "the moon")


@pytest.mark.parametrize(
    "options",
    [
        {"frames": -1},
        {"height": 0},
        {"step": 0.0},
        {"step": float("nan")},
        {"window": 1.0, "step": 2.0},
        {"overlap": 1.0},
        {"overlap": float("nan")},
        {"model": ""},
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        load(**{"model": ScriptedModel(), **options})


def test_who_found_it_stands_in_the_source() -> None:
    with Desk(ScriptedModel(settings={"temperature": 0.5})) as desk:
        finder = load(model=desk)
        assert isinstance(finder, Finder) and isinstance(finder, Asking)
        source = finder.source
        assert (source.verb, source.model, source.settings["temperature"]) == ("find", "scripted", 0.5)
        assert sorted(source.settings["prompts"]) == ["moments-check.1", "moments-see.1"]
        assert list(load(model=desk, text=True).source.settings["prompts"]) == ["moments-read.1"]


def test_progress_goes_up_to_all_that_was_asked(film: str) -> None:
    told_: list[tuple[float, float]] = []
    model = ScriptedModel(Watcher((20.0, 26.0), off=3.0), context=32_000)
    load(model=model, window=24.0).find(
        told((), path=film, duration=60.0), "red", progress=lambda done, total: told_.append((done, total))
    )
    assert [done for done, _ in told_] == list(range(1, len(told_) + 1))
    assert all(done <= total for done, total in told_) and told_[-1][0] == told_[-1][1] == len(model.asked)


def test_a_server_is_asked_with_a_time_before_each_image(film: str) -> None:
    with FakeServer() as server:
        server.answer = lambda body: Answer("Yes." if "yes or no" in server.text_of(body) else "[[20, 30, 0.8]]")
        model = open_chat_model(f"{server.address}#tiny", settings={"video": "images"})
        (hit,) = load(model=model, refine=False, frames=40).find(told((), path=film, duration=60.0), "it turns red")
        assert hit.span == Span(20.0, 30.0) and hit.score == 0.8
        text = server.text_of(server.bodies[-1])
        assert "<0.0 seconds>" in text and "these seconds" not in text


def test_a_tiny_checkpoint_is_asked_about_pictures_and_lines(film: str, tmp_path: Path) -> None:
    """Random weights say nothing that can be read: all that is asked must then be told as unanswered."""
    model = open_chat_model(str(qwen2_vl(tmp_path / "tiny")), settings={"max_new_tokens": 4})
    for text in (True, False):
        finder = load(model=model, text=text, frames=4, window=60.0, step=15.0)
        try:
            hits = finder.find(told(path=film, duration=60.0), "the moon")
        except ModelError as error:
            assert "questions about the video was answered" in str(error)
        else:
            assert all(0 <= hit.score <= 1 for hit in hits)

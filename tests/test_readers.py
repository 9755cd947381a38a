"""Text on screen: which pictures are read, and how readings become captions. All but one engine are scripted."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from longshot import registry
from longshot.contracts import Frames, Glance, TextReader
from longshot.errors import LongshotError, UsageError
from longshot.readers import rapidocr
from longshot.readers._gating import Changes, Template, edges_of
from longshot.readers._merging import Box, Line, Moment, Reading, captions_of, plain, same_text
from longshot.timeline import Caption

HEIGHT, WIDTH = 270, 480
WHOLE = Box(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Words:
    """A line that a scripted video shows from `start` to `end`, at a place that may depend on time (pixels)."""

    text: str
    start: float
    end: float
    left: int = 40
    top: int = 100
    rise: float = 0.0

    def place(self, second: float) -> tuple[int, int]:
        return self.left, round(self.top - self.rise * (second - self.start))


def glyph(letter: str) -> NDArray[np.bool_]:
    """A made-up letter, 14 x 10 pixels with the strokes of one; equal letters look equal."""
    bits = np.random.default_rng(ord(letter)).random((7, 4)) < 0.55
    return np.pad(np.kron(bits, np.ones((2, 2), bool)), ((0, 0), (1, 1)))


def paint(picture: NDArray[np.uint8], words: Words, second: float) -> Box | None:
    """Write the words into the picture; None when nothing of them is inside."""
    left, top = words.place(second)
    if top < 0 or top + 14 > HEIGHT:
        return None
    for i, letter in enumerate(words.text.replace(" ", "")):
        area = picture[top : top + 14, left + 12 * i : left + 12 * i + 10]
        area[glyph(letter)] = 250
    right = left + 12 * len(words.text.replace(" ", ""))
    return Box(left / WIDTH, (top - 2) / HEIGHT, right / WIDTH, (top + 16) / HEIGHT)


@dataclass
class Screenplay:
    """A video of words on a background, and the engine that reads exactly what is painted."""

    words: Sequence[Words]
    length: float
    rate: float = 25.0
    every: float = 0.5
    background: Callable[[float], NDArray[np.uint8]] | None = None

    def __post_init__(self) -> None:
        self.reads: list[float] = []
        self.slips: dict[str, list[tuple[str, float]]] = {}

    def picture(self, second: float) -> NDArray[np.uint8]:
        grey = self.background(second) if self.background else np.full((HEIGHT, WIDTH), 30, np.uint8)
        for words in self.words:
            if words.start <= second < words.end:
                paint(grey, words, second)
        rgb = np.repeat(grey[:, :, None], 3, 2)
        rgb[0, 0] = (round(second * 100) // 65536, round(second * 100) // 256 % 256, round(second * 100) % 256)
        return rgb

    def engine(self, pixels: NDArray[np.uint8]) -> list[Reading]:
        high, middle, low = (int(value) for value in pixels[0, 0])
        second = (high * 65536 + middle * 256 + low) / 100
        self.reads.append(second)
        found = []
        for words in self.words:
            box = paint(np.zeros((HEIGHT, WIDTH), np.uint8), words, second)
            if words.start <= second < words.end and box:
                text, score = self.slips[words.text].pop(0) if self.slips.get(words.text) else (words.text, 0.98)
                found.append(Reading(text, score, box))
        return found

    def glances(self) -> Iterator[Glance]:
        """Stretches of one second, as a scan gives them."""
        count = round(self.length * self.rate)
        due = 0.0
        for first in range(0, count, max(1, round(self.rate))):
            times = np.arange(first, min(count, first + max(1, round(self.rate)))) / self.rate
            pictures = [self.picture(float(time)) for time in times]
            chosen = []
            for i, time in enumerate(times):
                if time >= due - 1e-9:
                    chosen.append(i)
                    due += self.every
            yield Glance(
                times,
                np.stack([coarse(picture) for picture in pictures]),
                np.zeros((len(times), 18, 32, 2), np.float32),
                Frames(np.stack(pictures)[chosen], times[chosen]),
            )

    def captions(self) -> list[Caption]:
        watcher = rapidocr.ScreenWatcher(self.engine)
        for glance in self.glances():
            watcher.see(glance)
        self.cost = watcher.cost
        return watcher.finish(self.length)


def coarse(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The luma of a Glance, float32 (36, 64)."""
    rows = np.linspace(0, HEIGHT, 37).astype(int)[:-1]
    columns = np.linspace(0, WIDTH, 65).astype(int)[:-1]
    sums = np.add.reduceat(np.add.reduceat(picture[..., 1].astype(np.float32), rows, 0), columns, 1)
    area = np.outer(np.diff([*rows, HEIGHT]), np.diff([*columns, WIDTH]))
    luma: NDArray[np.float32] = (sums / area).astype(np.float32)
    return luma


def texture(seed: int) -> NDArray[np.uint8]:
    """Soft bright and dark patches of a few pixels, 270 x 1200."""
    noise = np.random.default_rng(seed).normal(0.0, 1.0, (HEIGHT, 1200))
    for axis in (0, 1):
        noise = np.sum([np.roll(noise, shift, axis) for shift in range(5)], axis=0)
    return np.clip(110 + 5 * noise, 0, 220).astype(np.uint8)


def texts(captions: Sequence[Caption]) -> list[str]:
    return [caption.text for caption in captions]


# Which pictures are read ------------------------------------------------------------------------------------------


def test_a_slide_of_ten_minutes_is_read_once_or_twice() -> None:
    play = Screenplay([Words("Tides and the moon", 0, 600)], 600, rate=2)
    opening = next(play.glances())
    watcher = rapidocr.ScreenWatcher(play.engine)
    for second in range(600):
        times = opening.times + second
        watcher.see(Glance(times, opening.luma, opening.chroma, Frames(opening.frames.pixels, times)))
    (caption,) = watcher.finish(600.0)
    assert (caption.span.start, caption.span.end, caption.text) == (0.0, 600.0, "Tides and the moon")
    assert watcher.cost.seen == 1200
    assert watcher.cost.read == len(play.reads) <= 2


def test_nothing_is_read_where_nothing_is_written() -> None:
    play = Screenplay([], 20)
    assert play.captions() == []
    assert play.reads == []


def test_the_engine_is_started_by_the_first_picture_with_something_on_it() -> None:
    started: list[int] = []

    def start() -> rapidocr.Engine:
        started.append(1)
        return play.engine

    reader = rapidocr.Reader(start)
    play = Screenplay([Words("Hello", 2, 4)], 5)
    watcher = reader.watch(None)  # type: ignore[arg-type]
    assert not started
    for glance in play.glances():
        watcher.see(glance)
    assert texts(watcher.finish(5.0)) == ["Hello"]
    assert started == [1]


def test_not_every_picture_of_a_moving_texture_is_read() -> None:
    wide = texture(1)
    play = Screenplay([], 60, rate=10, background=lambda t: wide[:, int(t * 53) % 700 :][:, :WIDTH].copy())
    assert play.captions() == []
    assert len(play.reads) <= 48  # of 120 samples, all of them full of edges


def test_every_text_of_one_second_is_found_over_a_moving_background() -> None:
    wide = texture(2)
    script = [Words(f"line {name}", 2.0 + 2 * i, 3.0 + 2 * i, top=230) for i, name in enumerate("abcdef")]
    background = lambda t: (wide[:, int(t * 60) % 700 :][:, :WIDTH] // 2).astype(np.uint8)  # noqa: E731
    play = Screenplay(script, 15, background=background)
    captions = play.captions()
    assert texts(captions) == [words.text for words in script]
    for caption, words in zip(captions, script, strict=True):
        assert caption.span.start == pytest.approx(words.start, abs=0.5)
        assert caption.span.end == pytest.approx(words.end, abs=0.5)


def test_a_slide_show_with_one_frame_for_each_slide() -> None:
    script = [Words("First slide", 0, 4), Words("Second slide", 4, 8), Words("Third slide", 8, 12)]
    captions = Screenplay(script, 12, rate=0.25).captions()
    assert texts(captions) == ["First slide", "Second slide", "Third slide"]
    assert [(c.span.start, c.span.end) for c in captions] == [(0.0, 4.0), (4.0, 8.0), (8.0, 12.0)]


def test_a_video_of_one_frame_is_read() -> None:
    (caption,) = Screenplay([Words("Only this", 0, 1)], 1, rate=1).captions()
    assert (caption.text, caption.span.start, caption.span.end) == ("Only this", 0.0, 1.0)


def test_no_pictures_give_no_captions() -> None:
    watcher = rapidocr.ScreenWatcher(lambda _: pytest.fail("nothing to read"))
    assert watcher.finish(0.0) == []
    assert watcher.finish(5.0) == []


# When -------------------------------------------------------------------------------------------------------------


def test_starts_and_ends_are_exact_to_the_frame_when_one_frame_changes() -> None:
    captions = Screenplay([Words("Beneath the waves", 2.04, 4.88)], 8).captions()
    (caption,) = captions
    assert caption.span.start == pytest.approx(2.04)
    assert caption.span.end == pytest.approx(4.88)
    assert caption.details["start_within"] == caption.details["end_within"] == 0.04


def test_a_text_that_is_hidden_for_a_while_is_two_captions() -> None:
    captions = Screenplay([Words("Low tide", 1, 3), Words("Low tide", 6, 9)], 10).captions()
    assert [(c.text, round(c.span.start, 3), round(c.span.end, 3)) for c in captions] == [
        ("Low tide", 1.0, 3.0),
        ("Low tide", 6.0, 9.0),
    ]


def test_texts_that_follow_in_one_place_stay_apart() -> None:
    script = [Words("Step 1", 0, 2), Words("Step 2", 2, 4), Words("Step 3", 4, 6)]
    captions = Screenplay(script, 6).captions()
    assert texts(captions) == ["Step 1", "Step 2", "Step 3"]
    for caption, second in zip(captions, (0, 2, 4), strict=True):
        assert abs(caption.span.start - second) <= caption.details["start_within"]


def test_points_that_are_added_to_a_slide_have_their_own_times() -> None:
    script = [Words("Heading", 0, 12, top=40), Words("1 moon", 3, 12, top=120), Words("2 sun", 6, 12, top=200)]
    captions = Screenplay(script, 12).captions()
    assert [(c.text, round(c.span.start, 2), c.span.end) for c in captions] == [
        ("Heading", 0.0, 12.0),
        ("1 moon", 3.0, 12.0),
        ("2 sun", 6.0, 12.0),
    ]


def test_typed_text_is_reported_when_it_is_complete() -> None:
    whole = "typed letter by letter"
    script = [Words(whole[: 4 * i], 0.5 * i, 0.5 * i + 0.5) for i in range(1, 6)] + [Words(whole, 3.0, 8)]
    (caption,) = Screenplay(script, 8).captions()
    assert caption.text == whole
    assert 2.0 <= caption.span.start <= 3.5


@given(
    st.lists(
        st.tuples(st.floats(1.0, 4.0), st.floats(1.2, 3.0), st.sampled_from([30, 120, 220])), min_size=1, max_size=4
    )
)
@settings(max_examples=15, deadline=None)
def test_what_is_shown_for_a_second_is_found_and_nothing_else(stays: list[tuple[float, float, int]]) -> None:
    names = ["harbour lights", "tidal pools", "northern cliffs", "evening ferry"]
    script, now = [], 0.0
    for name, (length, pause, top) in zip(names, stays, strict=False):
        start = round((now + pause) * 25) / 25
        now = round((start + length) * 25 + 0.5) / 25
        script.append(Words(name, start, now, top=top))
    captions = Screenplay(script, now + 1.0).captions()
    assert texts(captions) == [words.text for words in script]
    for caption, words in zip(captions, script, strict=True):
        assert abs(caption.span.start - words.start) <= caption.details["start_within"] + 1e-6
        assert abs(caption.span.end - words.end) <= caption.details["end_within"] + 1e-6


# What stays, what scrolls -----------------------------------------------------------------------------------------


def test_a_watermark_is_one_caption_through_all_scenes() -> None:
    scenes = [texture(seed)[:, :WIDTH] // 2 for seed in range(6)]
    play = Screenplay([Words("SEA TV", 0, 24, left=380, top=20)], 24, background=lambda t: scenes[int(t / 4)].copy())
    (caption,) = play.captions()
    assert (caption.text, caption.span.start, caption.span.end) == ("SEA TV", 0.0, 24.0)


def test_rolling_credits_are_one_caption_in_their_own_order() -> None:
    names = ["Directed by", "Anna Seaman", "Camera", "Boris Lund", "Music", "Clara Wave"]
    script = [Words(name, 0.9 * i, 0.9 * i + 6.2, top=HEIGHT - 16, rise=40) for i, name in enumerate(names)]
    (caption,) = Screenplay(script, 14).captions()
    assert caption.text.split("\n") == names
    assert caption.details["scrolls"] == "up"
    assert caption.span.start < 1.5
    assert caption.span.end > 8


# Voting and doubt -------------------------------------------------------------------------------------------------


def line(*readings: tuple[str, float], start: float = 0.0, end: float = 5.0, box: Box | None = None) -> Line:
    place = box or Box(0.1, 0.1, 0.5, 0.15)
    given = [(start + 0.1 * i, Reading(text, score, place)) for i, (text, score) in enumerate(readings)]
    return Line(Moment(start, 0.04), Moment(end, 0.04), given)


def merged(*lines: Line) -> list[Caption]:
    return captions_of(lines, end=60.0, interval=0.5, aspect=16 / 9, reach=2.5)


def test_the_best_voted_reading_wins() -> None:
    (caption,) = merged(line(("Tidal pooIs", 0.8), ("Tidal pools", 0.9), ("TIDALPOOLS", 0.85), ("Tidal pool5", 0.7)))
    assert caption.text == "Tidal pools"
    assert caption.details["readings"] == 4


@pytest.mark.parametrize(
    ("readings", "kept"),
    [
        ([("Harbour", 0.95)], True),
        ([("Harbour", 0.7)], False),
        ([("Harbour", 0.7), ("Harbour", 0.7)], True),
        ([("Harbour", 0.55), ("Harbour", 0.55)], False),
        ([("|", 0.99)], False),
        ([("— · —", 0.99), ("— · —", 0.99)], False),
        ([("X", 0.85)], False),
        ([("3", 0.97)], True),
        ([("T", 0.94)], False),
        ([("T", 0.94)] * 2, True),
        ([("II", 0.97)], False),
        ([("10", 0.97)] * 3, True),
        ([("海", 0.97)], True),
    ],
)
def test_doubtful_lines_go(readings: list[tuple[str, float]], kept: bool) -> None:
    assert bool(merged(line(*readings))) is kept


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Tidal pools", "TidalpooIs", True),
        ("Tidal pools", "tidal  pools.", True),
        ("Step 1", "Step 2", False),
        ("Step 1", "Step l", True),
        ("cat", "car", False),
        ("Low tide", "High tide at noon", False),
        ("", "", False),
        ("...", "!!", False),
    ],
)
def test_same_text(one: str, other: str, same: bool) -> None:
    assert same_text(one, other) is same
    assert same_text(other, one) is same


@given(st.text(max_size=30))
def test_plain_keeps_only_letters_and_digits_and_is_stable(text: str) -> None:
    assert all(letter.isalnum() for letter in plain(text))
    assert same_text(text, text) is bool(plain(text))


def test_a_doubtful_line_that_stays_is_read_again() -> None:
    play = Screenplay([Words("Harbour lights", 0, 10)], 10)
    play.slips = {"Harbour lights": [("Harb0ur lghts", 0.7), ("Harbour lights", 0.97)]}
    (caption,) = play.captions()
    assert len(play.reads) == 2
    assert caption.text == "Harbour lights"


def test_flicker_of_one_sample_does_not_divide_a_caption() -> None:
    (caption,) = merged(
        line(("Low tide", 0.9), start=1.0, end=3.0),
        line(("Low tlde", 0.9), start=3.5, end=6.0),
    )
    assert (caption.span.start, caption.span.end) == (1.0, 6.0)


# Lines to blocks --------------------------------------------------------------------------------------------------


def row(text: str, top: float, *, left: float = 0.1, right: float = 0.5, start: float = 0.0, end: float = 5.0) -> Line:
    return line((text, 0.95), start=start, end=end, box=Box(left, top, right, top + 0.05))


def test_wrapped_lines_join_with_a_space_and_points_with_a_line_break() -> None:
    wrapped = merged(row("Twice a day the sea", 0.10), row("comes and goes.", 0.16, right=0.4))
    assert texts(wrapped) == ["Twice a day the sea comes and goes."]
    points = merged(row("1. Moon", 0.10, right=0.3), row("2. Sun", 0.16, right=0.3), row("3. Wind", 0.22, right=0.3))
    assert texts(points) == ["1. Moon\n2. Sun\n3. Wind"]


def test_a_row_reads_from_left_to_right_and_far_columns_stay_apart() -> None:
    assert texts(merged(row("sea", 0.11, left=0.32, right=0.4), row("by the", 0.10, left=0.1, right=0.3))) == [
        "by the sea"
    ]
    assert texts(merged(row("left", 0.1, right=0.2), row("right", 0.1, left=0.7, right=0.8))) == ["left", "right"]


def test_lines_with_other_times_or_sizes_are_not_one_block() -> None:
    assert len(merged(row("Heading", 0.1), row("shown later", 0.16, start=2.0))) == 2
    tall = line(("Heading", 0.95), box=Box(0.1, 0.02, 0.5, 0.13))
    assert len(merged(tall, row("small print", 0.14))) == 2


def test_captions_say_where_they_stood() -> None:
    (caption,) = merged(row("Twice a day the sea", 0.10), row("comes and goes.", 0.16, right=0.4))
    assert caption.details["box"] == [0.1, 0.1, 0.5, 0.21]
    assert [part["text"] for part in caption.details["lines"]] == ["Twice a day the sea", "comes and goes."]
    assert caption.score == pytest.approx(0.95)


# The parts --------------------------------------------------------------------------------------------------------


def test_a_template_finds_its_line_and_no_other() -> None:
    shown = Screenplay([Words("Evening ferry", 0, 1)], 1)
    other = Screenplay([Words("Bright window", 0, 1)], 1)
    box = paint(np.zeros((HEIGHT, WIDTH), np.uint8), shown.words[0], 0.0)
    assert box
    template = Template(edges_of(shown.picture(0.0)), box)
    assert template.found_in(edges_of(shown.picture(0.5))) == 1.0
    assert template.found_in(edges_of(other.picture(0.0))) == 0.0
    assert template.found_in(edges_of(np.full((HEIGHT, WIDTH, 3), 30, np.uint8))) == 0.0


def test_a_slow_fade_is_dated_to_the_middle_and_says_so() -> None:
    changes = Changes()
    times = np.arange(11) / 10
    changes.add(times, np.linspace(0, 100, 11, dtype=np.float32)[:, None, None] * np.ones((36, 64), np.float32))
    assert changes.between(0.0, 1.0, WHOLE) == Moment(0.5, 0.5)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 500, 3), (500, 2, 3), (7, 9, 3), (121, 213, 3)])
def test_odd_pictures_are_looked_at(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    edges = edges_of(picture)
    assert edges.strong.shape[0] == 2
    assert Template(edges, WHOLE).found_in(edges) <= 1.0
    watcher = rapidocr.ScreenWatcher(lambda _: [])
    times = np.zeros(1)
    luma, chroma = np.zeros((1, 36, 64), np.float32), np.zeros((1, 18, 32, 2), np.float32)
    watcher.see(Glance(times, luma, chroma, Frames(picture[None], times)))
    assert watcher.finish(1.0) == []


# The shelf --------------------------------------------------------------------------------------------------------


def test_it_stands_on_the_shelf() -> None:
    choice = registry.choices("readers")["rapidocr"]
    assert choice.needs == ("rapidocr", "onnxruntime")
    assert choice.extra == "ocr"
    reader = rapidocr.load(height=720)
    assert isinstance(reader, TextReader)
    assert reader.height == 720
    assert (reader.source.verb, reader.source.model, reader.source.settings) == ("read", "rapidocr", {"height": 720})


def test_a_height_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(UsageError, match="height=30"):
        rapidocr.load(height=30)


def test_a_package_without_models_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rapidocr")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(LongshotError, match="carries no det model"):
        rapidocr.bundled_engine()


@pytest.mark.slow
def test_the_bundled_models_read_offline(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    cv2 = pytest.importorskip("cv2")
    pytest.importorskip("rapidocr")
    pytest.importorskip("onnxruntime")
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, lambda *_: pytest.fail("the network was used"))
    page = np.full((540, 960, 3), 235, np.uint8)
    cv2.putText(page, "A day by the sea", (120, 150), 0, 1.6, (20, 40, 90), 3, cv2.LINE_AA)
    cv2.putText(page, "Longshot reads 123 words", (120, 400), 0, 1.0, (20, 20, 20), 2, cv2.LINE_AA)
    read = rapidocr.bundled_engine(height=540, threads=1)
    found = sorted(read(page), key=lambda reading: reading.box.top)
    assert [plain(reading.text) for reading in found] == ["adaybythesea", "longshotreads123words"]
    assert all(reading.score > 0.9 for reading in found)
    assert found[0].box.left == pytest.approx(0.125, abs=0.03)
    assert read(np.zeros((540, 960, 3), np.uint8)) == []
    assert capfd.readouterr() == ("", "")

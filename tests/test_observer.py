from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from longshot.contracts import Description, Frames, Glance, Scene
from longshot.describers._phrases import quote, seconds_words, shorten
from longshot.describers.observer import Observer, load
from longshot.errors import UsageError
from longshot.places import SAME, likeness, returns, thumbnail
from longshot.timeline import Caption, Span
from tests.moving import Shot, View, film, look_at, pictures, plane

Picture = NDArray[np.uint8]
FPS = 25.0


def still(_: float) -> View:
    return View(1.0, 1.0)


def watched(frames: Iterable[Picture]) -> Observer:
    observer = load()
    for glance in film(frames):
        observer.see(glance)
    return observer


def told(frames: Iterable[Picture], seconds: float = 3.0) -> Description:
    (description,) = watched(frames).describe([Scene(Span(0.0, seconds))])
    return description


def kinds(description: Description) -> dict[str, dict[str, object]]:
    return {statement["kind"]: statement for statement in description.details["statements"]}


def filmed(shot: Shot, seconds: float = 3.0, *, seed: int = 5, colour: tuple[int, int, int] = (120, 120, 120)) -> str:
    return told(pictures(plane(seed, colour=colour), shot, seconds), seconds).text


def flat(colour: tuple[int, int, int], seconds: float = 2.0) -> list[Picture]:
    return [np.full((144, 256, 3), colour, np.uint8)] * round(seconds * FPS)


# The camera


@pytest.mark.parametrize(
    ("shot", "words"),
    [
        (lambda t: View(1 + 0.1 * t, 1), r"pan.* to the right"),
        (lambda t: View(1 - 0.03 * t, 1), r"(pans slowly|slow pan) to the left"),
        (lambda t: View(1 + 0.6 * t, 1), r"(pans quickly|quick pan) to the right"),
        (lambda t: View(1, 1 - 0.1 * t), r"tilts? up"),
        (lambda t: View(1, 1 + 0.1 * t), r"tilts? down"),
        (lambda t: View(1, 1, zoom=np.exp(0.15 * t)), r"(zooms|closes|zoom) in"),
        (lambda t: View(1, 1, zoom=2 * np.exp(-0.15 * t)), r"zooms? out|pulls back"),
        (lambda t: View(1, 1, roll=15 * t), r"turning clockwise"),
        (lambda t: View(1, 1, roll=-15 * t), r"turning anticlockwise"),
        (lambda t: View(1 + 0.1 * t, 1 - 0.09 * t), r"(right and up|up and to the right)"),
        (lambda t: View(1 + 0.1 * t, 1, zoom=np.exp(0.3 * t)), r"panning right|while closing in"),
        (lambda t: View(1 + 0.15 * max(0.0, t - 1.5), 1), r"holds still, then pans to the right"),
        (lambda t: View(1 + 0.15 * min(1.5, t), 1), r"pans to the right, then (stops|comes to rest)"),
        (still, r"fixed view|holds still|does not move|stays where it is"),
    ],
)
def test_the_camera_is_told_as_it_was_moved(shot: Shot, words: str) -> None:
    assert re.search(words, filmed(shot), re.IGNORECASE)


def test_speeds_are_measured() -> None:
    description = told(pictures(plane(1), lambda t: View(1 + 0.12 * t, 1), 3.0))
    (leg,) = kinds(description)["camera"]["measured"]["legs"]  # type: ignore[index]
    assert leg["pan_widths_per_second"] == pytest.approx(0.12, abs=0.004)
    assert leg["zoom_factor_per_second"] == pytest.approx(1.0, abs=0.004)


def test_a_shaking_camera_is_not_a_moving_one() -> None:
    def shake(t: float) -> View:
        return View(1 + 0.006 * np.sin(11 * t) + 0.004 * np.sin(17 * t), 1 + 0.006 * np.sin(13 * t + 1))

    text = filmed(shake)
    assert re.search(r"sways a little|not quite steady|shakes|shaky", text)
    assert not re.search(r"pan|tilt|zoom", text)


def crossing(picture: NDArray[np.float64], second: float) -> NDArray[np.float64]:
    left = int(10 + 60 * second)
    picture = picture.copy()
    picture[30:120, left : left + 60] = SUBJECT[:90, :60]
    return picture


SUBJECT = plane(9, size=256, colour=(210, 205, 200))


def test_a_subject_crossing_the_picture_is_not_a_pan() -> None:
    description = told(pictures(plane(2), still, 3.0, paint=crossing))
    assert not re.search(r"pan|tilt|zoom", description.text)
    assert re.search(r"moves|movement|move\b", description.text)


def test_a_camera_following_a_subject_is_a_pan() -> None:
    def followed(picture: NDArray[np.float64], _: float) -> NDArray[np.float64]:
        picture = picture.copy()
        picture[40:110, 100:160] = SUBJECT[:70, :60]
        return picture

    text = told(pictures(plane(2), lambda t: View(1 + 0.15 * t, 1), 3.0, paint=followed)).text
    assert re.search(r"pans? to the right", text)


@pytest.mark.parametrize(("left", "place"), [(8, "on the left"), (196, "on the right")])
def test_movement_is_told_where_it_is(left: int, place: str) -> None:
    def wave(picture: NDArray[np.float64], second: float) -> NDArray[np.float64]:
        picture = picture.copy()
        top = int(50 + 25 * np.sin(5 * second))
        picture[top : top + 45, left : left + 50] = SUBJECT[:45, :50]
        return picture

    assert place in told(pictures(plane(2), still, 3.0, paint=wave)).text


def test_a_picture_that_does_not_change() -> None:
    (one,) = pictures(plane(2), still, 1 / FPS)
    description = told([one] * 75)
    assert re.search(r"does not change|stands still", description.text)
    assert "camera" not in description.text


def test_drawings_shown_twice_are_not_called_still() -> None:
    shown = [np.asarray(look_at(plane(2), View(1 + 0.02 * (k // 2), 1)), np.uint8) for k in range(75)]
    assert not re.search(r"does not change|stands still|nothing changes", told(shown).text)


# Light and colours


@pytest.mark.parametrize(
    ("colour", "name"),
    [((30, 60, 160), "blue"), ((150, 40, 30), "red"), ((110, 80, 45), "brown"), ((40, 120, 50), "green")],
)
def test_the_colour_of_a_picture_is_named(colour: tuple[int, int, int], name: str) -> None:
    assert name in filmed(still, 1.0, colour=colour)


def test_two_halves_are_told_with_their_places() -> None:
    def halves(picture: NDArray[np.float64], _: float) -> NDArray[np.float64]:
        grain = picture - picture.mean()
        return np.concatenate([[70, 120, 210] + grain[:72] * 0.3, [130, 90, 50] + grain[72:] * 0.3])

    text = told(pictures(plane(2), still, 1.0, paint=halves), 1.0).text
    assert re.search(r"blue (above|over)|below, (light )?blue at the top", text, re.IGNORECASE)
    assert "brown" in text


def test_a_small_lively_thing_is_an_accent_with_its_place() -> None:
    def spot(picture: NDArray[np.float64], _: float) -> NDArray[np.float64]:
        picture = picture * 0.5 + 60
        picture[56:90, 190:250] = (220, 30, 30)
        return picture

    assert re.search(
        r"(touch|bit|little) (of )?red on the right", told(pictures(plane(2), still, 1.0, paint=spot), 1.0).text
    )


def test_black_and_white_is_told_and_no_colour_is_named() -> None:
    assert "black and white" in filmed(still)


def test_a_black_screen_and_a_plain_one() -> None:
    assert "black" in told(flat((2, 2, 2)), 2.0).text
    assert re.search(r"plain dark blue|nothing but dark blue", told(flat((10, 10, 90)), 2.0).text, re.IGNORECASE)


def faded(seconds: float, first: float, last: float) -> list[Picture]:
    """A picture whose brightness goes evenly from one factor to another within a second, then stays."""
    shown = []
    for k, picture in enumerate(pictures(plane(4, colour=(130, 120, 100)), still, seconds, grain=0)):
        factor = first + (last - first) * min(1.0, k / FPS)
        shown.append((picture * factor).astype(np.uint8))
    return shown


def test_fades_from_and_to_black() -> None:
    assert "fades in from black" in told(faded(3, 0, 1)).text
    assert "fades out to black" in told(faded(3, 0, 1)[::-1]).text
    both = faded(2, 0, 1) + faded(2, 0, 1)[::-1]
    assert "fades in from black and out to black" in told(both, 4.0).text


def test_a_cut_from_black_is_no_fade() -> None:
    frames = flat((0, 0, 0), 0.4) + list(pictures(plane(4), still, 2.6))
    assert "fade" not in told(frames).text


def test_growing_darker_and_brighter() -> None:
    assert "gets darker" in told(faded(3, 1, 0.5)).text
    assert "gets brighter" in told(faded(3, 0.5, 1)).text


def test_a_flash_is_told_with_its_time() -> None:
    frames = list(pictures(plane(4), still, 4.0))
    for k in (50, 51):
        frames[k] = np.clip(frames[k].astype(int) + 100, 0, 255).astype(np.uint8)
    description = told(frames, 4.0)
    assert "flash of light at 0:02" in description.text
    assert kinds(description)["flash"]["measured"] == {"seconds": [2.0]}


def test_letterbox_bars_are_not_a_colour() -> None:
    def bars(picture: NDArray[np.float64], _: float) -> NDArray[np.float64]:
        picture = picture.copy()
        picture[:24] = picture[-24:] = 0
        return picture

    description = told(pictures(plane(4, colour=(70, 110, 190)), still, 1.0, paint=bars), 1.0)
    assert "black" not in kinds(description)["look"]["measured"]["colours"]  # type: ignore[index]


# Settings that return


def places(*order: int, seconds: float = 1.6) -> tuple[list[Picture], list[Scene]]:
    """Scenes of different places; the camera of a place stands nearly, not exactly, where it stood before."""
    shots = []
    for index, seed in enumerate(order):
        view = View(1 + 0.008 * index, 1)
        colour = [(130, 90, 60), (70, 90, 140), (90, 130, 80), (120, 120, 120)][seed % 4]
        shots.append(list(pictures(plane(20 + seed, colour=colour), lambda t, view=view: view, seconds, seed=index)))  # type: ignore[misc]
    scenes = [Scene(Span(k * seconds, (k + 1) * seconds)) for k in range(len(order))]
    return list(chain.from_iterable(shots)), scenes


def test_a_returning_setting_is_named_by_its_first_scene() -> None:
    frames, scenes = places(0, 1, 0, 2, 1, 0)
    texts = [description.text for description in watched(frames).describe(scenes)]
    back = [re.search(r"[Bb]ack to the setting of (\d:\d\d)", text) for text in texts]
    assert [match and match[1] for match in back] == [None, None, "0:00", None, "0:01", "0:00"]


def test_the_next_shot_of_the_same_setting_is_no_return() -> None:
    frames, scenes = places(0, 0, 0)
    assert not any("back to" in d.text.lower() for d in watched(frames).describe(scenes))


def test_different_places_are_never_taken_for_one() -> None:
    thumbs = []
    for seed in range(24):
        luma = look_at(plane(40 + seed, size=512), still(0))[..., 0].reshape(36, 4, 64, 4).mean(axis=(1, 3))
        thumbs.append(thumbnail(luma.astype(np.float32), np.zeros((18, 32, 2), np.float32)))
    pairs = [likeness(a, b) for i, a in enumerate(thumbs) for b in thumbs[:i]]
    assert max(pairs) < SAME - 0.15
    assert likeness(thumbs[0], thumbs[0]) > 0.99
    assert returns([thumb[None] for thumb in thumbs]) == [None] * 24


def test_black_scenes_do_not_return() -> None:
    frames = flat((0, 0, 0)) + list(pictures(plane(1), still, 2.0)) + flat((0, 0, 0))
    descriptions = watched(frames).describe([Scene(Span(k * 2.0, k * 2.0 + 2)) for k in range(3)])
    assert "back to" not in descriptions[2].text.lower()


# Text and speech


def caption(start: float, end: float, text: str, **details: object) -> Caption:
    return Caption(Span(start, end), text, details=details)


def spoken(speech: Sequence[Caption] = (), screen: Sequence[Caption] = (), end: float = 2.0) -> str:
    observer = watched(pictures(plane(1), still, end))
    (description,) = observer.describe([Scene(Span(0, end), speech=tuple(speech), screen_text=tuple(screen))])
    return description.text


def test_what_is_heard_and_what_is_subtitled_are_kept_apart() -> None:
    heard = spoken([caption(0, 1, "Hello there.", words=[{"text": "Hello"}])])
    assert re.search(r"(Heard|Someone says|A voice says): “Hello there\.”", heard)
    subtitled = spoken([caption(0, 1, "Hello there.")])
    assert re.search(r"(Subtitle|The subtitles read|Subtitled): “Hello there\.”", subtitled)


def test_rough_hearing_says_so() -> None:
    line = Caption(Span(0, 1), "hullo bear", 0.31, {"words": []})
    assert "Heard, roughly: “hullo bear”" in spoken([line])


def test_screen_text_is_quoted_and_burnt_in_subtitles_are_not_told_twice() -> None:
    assert re.search(r": “EXIT”", spoken(screen=[caption(0, 2, "EXIT")]))
    twice = spoken([caption(0, 1, "Over here!")], [caption(0, 1, "OVER HERE")])
    assert "OVER" not in twice


def test_speech_belongs_to_the_scene_that_holds_most_of_it() -> None:
    assert "later" not in spoken([caption(1.8, 4.0, "much later")])


@pytest.mark.parametrize(
    ("text", "most", "short"),
    [
        ("Short.", 20, "Short."),
        ("One sentence here. Another one follows it.", 30, "One sentence here."),
        ("no stops in this one at all, just words", 20, "no stops in this one…"),
        ("unbreakable" * 5, 20, "unbreakableunbreakab…"),
        ("a, b", 3, "a…"),
    ],
)
def test_long_quotations_are_cut_between_words(text: str, most: int, short: str) -> None:
    assert shorten(text, most) == short


def test_quotations_join_lines_and_drop_repeats() -> None:
    assert quote([caption(0, 1, "A\nB"), caption(1, 2, "A B"), caption(2, 3, "“C”"), caption(3, 4, "  ")]) == "A B C"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "less than a second"), (1.0, "1 second"), (12.4, "12 seconds"), (150, "2 minutes"), (3600, "60 minutes")],
)
def test_lengths_in_words(seconds: float, words: str) -> None:
    assert seconds_words(seconds) == words


# The whole


def test_every_statement_carries_numbers_and_is_in_the_text_or_set_aside() -> None:
    frames, scenes = places(0, 1, 0, 2)
    for description in watched(frames).describe(scenes):
        json.dumps(dict(description.details))
        statements = description.details["statements"]
        assert statements
        assert all(statement["measured"] and statement["says"] for statement in statements)
        assert any(statement["kind"] == "length" for statement in description.details["also"])


def test_texts_are_one_to_three_plain_sentences() -> None:
    frames, scenes = places(0, 1, 2, 3, 0, 1)
    for description in watched(frames).describe(scenes):
        assert re.fullmatch(r"[A-Z].*[.…”]", description.text)
        assert 1 <= len(re.findall(r"[.…]”?(?= |$)", description.text)) <= 3
        assert not re.search(r"  | [,.;:]|nan|None|\.\.", description.text)


def test_the_same_facts_are_not_always_told_in_the_same_words() -> None:
    frames, scenes = places(*range(8), seconds=1.0)
    shapes = [
        re.sub(r"[a-z]+ly|\b(dark|light|brown|blue|green|grey)\b", "", d.text) for d in watched(frames).describe(scenes)
    ]
    assert len(set(shapes)) >= 5
    assert all(a != b for a, b in pairwise(shapes))


def test_a_fact_that_stays_is_not_repeated_in_every_line() -> None:
    frames = list(pictures(plane(1), still, 8.0))
    texts = [d.text for d in watched(frames).describe([Scene(Span(k, k + 1.0)) for k in range(8)])]
    assert sum("black and white" in text for text in texts) <= 3
    assert all(texts)


def test_two_runs_say_the_same() -> None:
    runs = []
    for _ in range(2):
        frames, scenes = places(0, 1, 0)
        runs.append(watched(frames).describe(scenes))
    assert runs[0] == runs[1]


def test_how_the_pass_is_cut_into_stretches_changes_nothing() -> None:
    frames = list(pictures(plane(1), lambda t: View(1 + 0.1 * t, 1), 3.0))
    texts = set()
    for stretch in (1, 7, 75):
        observer = load()
        for glance in film(frames, stretch=stretch):
            observer.see(glance)
        texts.add(observer.describe([Scene(Span(0, 3.0))])[0].text)
    assert len(texts) == 1


def test_scenes_out_of_order_are_refused() -> None:
    with pytest.raises(UsageError, match="time order"):
        load().describe([Scene(Span(2, 3)), Scene(Span(0, 1))])


@pytest.mark.parametrize("span", [Span(0, 0), Span(0, 0.01), Span(90, 100), Span(1, 1)])
def test_scenes_that_show_nothing_still_get_a_line(span: Span) -> None:
    (description,) = watched(pictures(plane(1), still, 1.0)).describe([Scene(span)])
    assert description.text
    (unseen,) = load().describe([Scene(span)])
    assert unseen.text


def test_no_scenes_no_lines() -> None:
    assert load().describe([]) == []


def test_an_hour_takes_little_memory() -> None:
    observer = load()
    random = np.random.default_rng(0)
    luma = random.uniform(0, 255, (20, 36, 64)).astype(np.float32)
    picture = random.integers(0, 255, (1, 96, 168, 3), dtype=np.uint8)
    for k in range(60):
        times = k + np.arange(20) / 20
        observer.see(Glance(times, luma, np.zeros((20, 18, 32, 2), np.float32), Frames(picture, times[:1])))
    seen = observer._seen
    tables = (seen.frames(), seen.samples(), seen.tracker.steps(), seen.tracker.strides())
    kept = sum(getattr(table, name).nbytes for table in tables for name in table.__slots__)
    assert kept / 60 < 6000  # bytes per second of video: 65 MB for three hours

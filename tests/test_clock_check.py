from __future__ import annotations

import numpy as np
import pytest

from longshot.asking import Unreadable
from longshot.clock_check import clock_check, paint_clock, read_seconds, summary
from longshot.contracts import Prompt
from tests.fakes import ScriptedModel, refused


def eye(prompt: Prompt) -> str:
    """Knows the time: of a single frame by its stamp, of the red frame by looking."""
    assert prompt.frames is not None
    if len(prompt.frames) == 1:
        return f"It shows {prompt.frames.times[0]:.1f}."
    red = [bool((picture[100, 100] == (220, 20, 20)).all()) for picture in prompt.frames.pixels]
    return f"{prompt.frames.times[red.index(True)]} seconds"


def counting(prompt: Prompt) -> str:
    """Takes frames for one second apart, as a model does that is told no times."""
    assert prompt.frames is not None
    red = [bool((picture[100, 100] == (220, 20, 20)).all()) for picture in prompt.frames.pixels]
    return str(float(red.index(True))) if any(red) else "I see no clock"


def test_a_model_that_knows_the_time_has_no_error() -> None:
    readings = clock_check(ScriptedModel(eye, slots=4))
    assert len(readings) == 16
    assert [one.error for one in readings] == [0.0] * 16
    assert summary(readings, "place") == "median error 0.0 s, worst 0.0 s, 8 of 8 answered"


def test_a_model_that_counts_frames_is_found_out() -> None:
    readings = clock_check(ScriptedModel(counting))
    assert summary(readings, "read").startswith("0 of 8 answered (unreadable")
    assert summary(readings, "place") == "median error 1.9 s, worst 11.4 s, 8 of 8 answered"


def test_a_model_that_refuses_is_said_to() -> None:
    readings = clock_check(ScriptedModel(lambda prompt: refused("not today")))
    assert summary(readings, "read") == "0 of 8 answered (refused: not today)"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12.4", 12.4), ("At about 12,4 seconds.", 12.4), ("0:12", 12.0), ("1:02.5", 62.5), ("3", 3.0), ("none", None)],
)
def test_seconds_are_read(text: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(Unreadable):
            read_seconds(text)
    else:
        assert read_seconds(text) == seconds


def test_clocks_differ_and_stay_inside_their_picture() -> None:
    pictures = [paint_clock(second) for second in (0.0, 3.1, 8.8, 18.4)]
    assert all(picture.shape == (224, 448, 3) for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 4
    for picture in pictures:
        lit = np.argwhere(picture[..., 0] == 240)
        assert lit.min() > 20 and lit[:, 1].max() < 430

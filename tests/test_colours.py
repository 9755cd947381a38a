from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from longshot.colours import FAMILIES, NAMES, is_dark, name_of, oklab, palette, survey
from longshot.errors import UsageError

# What people call these, from well-known colours of paint, cloth, food and screens.
PEOPLE_SAY = [
    ((0, 0, 0), "black"), ((18, 18, 20), "black"), ((54, 55, 55), "dark grey"), ((128, 128, 128), "grey"),
    ((200, 200, 198), "light grey"), ((250, 250, 248), "white"),
    ((229, 0, 0), "red"), ((132, 0, 0), "dark red"), ((101, 0, 33), "dark red"), ((200, 50, 30), "red"),
    ((249, 115, 6), "orange"), ((198, 81, 2), "orange"),
    ((101, 55, 0), "dark brown"), ((52, 28, 2), "dark brown"), ((139, 107, 74), "brown"),
    ((173, 129, 80), "light brown"),
    ((255, 255, 20), "yellow"), ((219, 180, 12), "yellow"), ((110, 117, 14), "olive"),
    ((21, 176, 26), "green"), ((3, 53, 0), "dark green"), ((92, 172, 45), "green"), ((150, 249, 123), "light green"),
    ((2, 147, 134), "teal"), ((1, 77, 78), "dark teal"),
    ((3, 67, 223), "blue"), ((70, 130, 180), "blue"), ((0, 0, 91), "dark blue"), ((149, 208, 252), "light blue"),
    ((126, 30, 156), "purple"), ((53, 6, 62), "dark purple"), ((206, 162, 253), "light purple"),
    ((255, 129, 192), "pink"), ((255, 2, 141), "pink"),
    ((224, 172, 144), "beige"), ((230, 218, 166), "light beige"),
]  # fmt: skip


@pytest.mark.parametrize(("rgb", "name"), PEOPLE_SAY)
def test_colours_have_the_names_people_use(rgb: tuple[int, int, int], name: str) -> None:
    assert name_of(rgb) == name


@given(st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255)))
def test_every_colour_has_a_known_name(rgb: tuple[int, int, int]) -> None:
    assert name_of(rgb) in NAMES


@given(st.integers(0, 255))
def test_greys_are_never_coloured(level: int) -> None:
    assert FAMILIES[NAMES.index(name_of((level, level, level)))] in {"black", "grey", "white"}


@pytest.mark.parametrize("rgb", [(0, 0), (0, 0, 256), (-1, 0, 0), ()])
def test_what_is_no_colour_is_refused(rgb: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"three numbers 0\.\.255"):
        name_of(rgb)


def test_oklab_agrees_with_its_published_values() -> None:
    # Reference values of the author's own table (sRGB white, red, green, blue).
    for rgb, lab in [
        ((255, 255, 255), (1.0, 0.0, 0.0)),
        ((255, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 255, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 255), (0.45201, -0.03246, -0.31153)),
    ]:
        assert oklab(np.array(rgb, np.uint8)) == pytest.approx(lab, abs=2e-4)


def picture(upper: tuple[int, int, int], lower: tuple[int, int, int], *, grain: float = 0.0) -> NDArray[np.uint8]:
    made = np.zeros((96, 168, 3))
    made[:64], made[64:] = upper, lower
    noisy = made + np.random.default_rng(0).normal(0, grain, made.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("grain", [0.0, 12.0])
def test_a_survey_knows_what_is_where(grain: float) -> None:
    counts = survey(picture((60, 110, 200), (140, 95, 45), grain=grain))
    assert counts.shape == (3, 3, len(NAMES))
    assert [s.name for s in palette(counts[:2].sum(axis=(0, 1)), least=0.05)] == ["blue"]
    assert [s.name for s in palette(counts[2].sum(axis=0), least=0.05)] == ["brown"]
    whole = palette(counts.astype(int).sum(axis=(0, 1)), least=0.05)
    assert [s.name for s in whole] == ["blue", "brown"]
    assert [s.share for s in whole] == pytest.approx([2 / 3, 1 / 3], abs=0.02)


@given(st.integers(1, 40), st.integers(1, 40))
def test_any_size_of_picture_can_be_surveyed(height: int, width: int) -> None:
    counts = survey(np.full((height, width, 3), 200, np.uint8))
    assert set(np.flatnonzero(counts.astype(int).sum(axis=(0, 1)))) == {NAMES.index("light grey")}


def test_grain_on_grey_stays_grey() -> None:
    counts = survey(picture((120, 120, 120), (120, 120, 120), grain=15.0)).astype(int).sum(axis=(0, 1))
    assert palette(counts)[0].name == "grey"
    assert palette(counts)[0].share > 0.9


def test_a_family_in_all_its_shades_goes_by_its_plain_name() -> None:
    counts = np.zeros(len(NAMES))
    counts[[NAMES.index("dark blue"), NAMES.index("blue"), NAMES.index("light blue")]] = 10
    assert [(s.name, s.share) for s in palette(counts)] == [("blue", 1.0)]
    counts[NAMES.index("dark blue")] = 100
    assert palette(counts)[0].name == "dark blue"


def test_dark_names() -> None:
    assert is_dark("black")
    assert is_dark("dark red")
    assert not is_dark("red")

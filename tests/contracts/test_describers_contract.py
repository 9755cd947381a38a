"""What every describer must keep, whatever is inside. New files on the shelf join by existing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.fakes import ScriptedModel

from longshot import registry
from longshot.contracts import Describer, Description, Frames, Glance, Scene
from longshot.timeline import Caption, Source, Span

NAMES = sorted(registry.choices("describers"))
# What a describer cannot be made without.
OPTIONS: dict[str, dict[str, Any]] = {"chat": {"model": ScriptedModel(lambda prompt: "Somebody waves.", name="chat")}}


def describer_called(name: str) -> Describer:
    choice = registry.choices("describers")[name]
    if choice.missing:
        pytest.skip(choice.install)
    describer = registry.load("describers", name, **OPTIONS.get(name, {}))
    assert isinstance(describer, Describer)
    return describer


def stretch(first: float) -> Glance:
    """Half a second of a shaded picture, with one RGB sample."""
    times = first + np.arange(5) / 10
    shades = np.linspace(20, 230, 64, dtype=np.float32)
    luma = np.broadcast_to(shades, (5, 36, 64)).copy()
    picture = np.broadcast_to(np.linspace(20, 230, 160), (90, 160)).astype(np.uint8)
    frames = Frames(np.stack([picture] * 3, axis=-1)[None], times[:1])
    return Glance(times, luma, np.zeros((5, 18, 32, 2), np.float32), frames)


def scene(start: float, end: float) -> Scene:
    picture = np.full((2, 90, 160, 3), 120, np.uint8)
    return Scene(
        Span(start, end),
        frames=Frames(picture, np.array([start, (start + end) / 2])),
        speech=(Caption(Span(start, end), "Good morning."),),
        screen_text=(Caption(Span(start, end), "NEWS"),),
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    choice = registry.choices("describers")[name]
    assert choice.summary.endswith(".")
    assert not choice.needs or choice.extra
    source = describer_called(name).source
    assert isinstance(source, Source)
    assert source.verb == "describe"
    assert source.model == name
    json.dumps(dict(source.settings))


@pytest.mark.parametrize("name", NAMES)
def test_each_scene_gets_one_description_in_order(name: str) -> None:
    describer = describer_called(name)
    for k in range(8):
        describer.see(stretch(k / 2))
    scenes = [scene(0.0, 1.5), scene(1.5, 2.0), scene(2.0, 4.0)]
    descriptions = describer.describe(scenes)
    assert len(descriptions) == len(scenes)
    for description in descriptions:
        assert isinstance(description, Description)
        assert description.text == description.text.strip()
        assert description.text
        assert "\n" not in description.text
        assert description.score is None or 0 <= description.score <= 1
        assert json.loads(json.dumps(dict(description.details))) == dict(description.details)


@pytest.mark.parametrize("name", NAMES)
def test_no_scenes_give_no_descriptions(name: str) -> None:
    assert describer_called(name).describe([]) == []


@pytest.mark.parametrize("name", NAMES)
def test_it_copes_with_having_seen_nothing(name: str) -> None:
    assert describer_called(name).describe([Scene(Span(0.0, 1.0))])[0].text


@pytest.mark.parametrize("name", NAMES)
def test_asked_twice_it_says_the_same(name: str) -> None:
    describer = describer_called(name)
    for k in range(4):
        describer.see(stretch(k / 2))
    assert describer.describe([scene(0.0, 2.0)]) == describer.describe([scene(0.0, 2.0)])

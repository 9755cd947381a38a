"""What every finder promises, whatever it goes by. New files on the shelf join by existing.

Finders that ask a model are given one that finds nothing.
"""

from __future__ import annotations

import inspect
import json

import pytest
from tests.fakes import ScriptedModel

from longshot import registry
from longshot.contracts import Finder, Told
from longshot.errors import UsageError
from longshot.timeline import Caption, Source, Span, Track

LINES = {
    "speech": [
        (0.5, 4.0, "Good morning."),
        (10.0, 14.0, "The moon pulls the water."),
        (50.0, 54.0, "The moon is grey."),
    ],
    "screen": [(12.0, 15.0, "THE MOON")],
    "clip": [(0.0, 30.0, "A blue picture."), (30.0, 60.0, "A grey ball on black.")],
    "shot": [(0.0, 30.0, "Shot 1"), (30.0, 60.0, "Shot 2")],
}


def told(video: str = "v", **lines: list[tuple[float, float, str]]) -> Told:
    tracks = [
        Track(video, level, Source("x"), tuple(Caption(Span(start, end), text) for start, end, text in some))
        for level, some in lines.items()
    ]
    return Told(video, "day.mp4", 60.0, tuple(tracks))


@pytest.fixture(params=sorted(registry.choices("finders")))
def finder(request: pytest.FixtureRequest) -> Finder:
    choice = registry.choices("finders")[request.param]
    if choice.missing:
        pytest.skip(f"{choice.missing[0]} is not installed: {choice.install}")
    loading = inspect.signature(registry.module("finders", request.param).load)
    options = {"model": ScriptedModel(lambda prompt: "[]")} if "model" in loading.parameters else {}
    made: Finder = registry.load("finders", request.param, **options)
    return made


def test_keeps_the_contract(finder: Finder) -> None:
    assert isinstance(finder, Finder)
    assert isinstance(finder.source, Source) and finder.source.model
    json.dumps(dict(finder.source.settings))


@pytest.mark.parametrize("query", ["", " \n", "?!"])
def test_a_query_without_a_word_is_refused(finder: Finder, query: str) -> None:
    with pytest.raises(UsageError):
        finder.find(told(**LINES), query)


def test_a_video_without_a_line_has_no_moment(finder: Finder) -> None:
    assert finder.find(told(), "the moon") == []


def test_hits_are_moments_of_the_video_with_what_made_them_so(finder: Finder) -> None:
    about = told(**LINES)
    hits = finder.find(about, "the moon")
    ids = {track.id_of(i): caption for track in about.tracks for i, caption in enumerate(track)}
    for hit in hits:
        assert hit.video == "v" and 0 <= hit.span.start < hit.span.end <= 60 and 0 <= hit.score <= 1
        for caption in hit.evidence:
            assert caption.text == ids[caption.details["id"]].text
            assert caption.details["level"] == caption.details["id"].rpartition("-")[0]
            assert all(0 <= start < end <= len(caption.text) for start, end in caption.details.get("matched", []))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_the_same_question_has_the_same_answer(finder: Finder) -> None:
    first = finder.find(told(**LINES), "the moon")
    finder.find(told("w", speech=[(0.0, 3.0, "A moon.")]), "moon")
    assert finder.find(told(**LINES), "the moon") == first


def test_what_is_nowhere_is_not_found(finder: Finder) -> None:
    assert finder.find(told(**LINES), "an elephant in a circus") == []

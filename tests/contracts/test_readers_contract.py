"""What every reader of on-screen text must keep, whatever engine is inside. New files on the shelf join by existing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from longshot import registry
from longshot.contracts import Frames, Glance, TextReader
from longshot.timeline import Source, Span

NAMES = sorted(registry.choices("readers"))


def reader_called(name: str) -> TextReader:
    choice = registry.choices("readers")[name]
    if choice.missing:
        pytest.skip(choice.install)
    reader = registry.load("readers", name)
    assert isinstance(reader, TextReader)
    return reader


def glance(first: float, value: int, *, height: int, count: int = 5) -> Glance:
    """Half a second of one grey, with one RGB picture."""
    times = first + np.arange(count) / 10
    return Glance(
        times,
        np.full((count, 36, 64), value, np.float32),
        np.zeros((count, 18, 32, 2), np.float32),
        Frames(np.full((1, height, height * 16 // 9, 3), value, np.uint8), times[:1]),
    )


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    choice = registry.choices("readers")[name]
    assert choice.summary.endswith(".")
    assert not choice.needs or choice.extra
    reader = reader_called(name)
    assert isinstance(reader.source, Source)
    assert reader.source.verb == "read"
    assert reader.source.model == name
    json.dumps(dict(reader.source.settings))
    assert reader.height >= 120


@pytest.mark.parametrize("name", NAMES)
def test_it_finds_no_words_on_empty_pictures(name: str) -> None:
    reader = reader_called(name)
    watcher = reader.watch(None)  # type: ignore[arg-type]
    for i in range(4):
        watcher.see(glance(i / 2, 40 * i, height=reader.height))
    assert watcher.finish(2.0) == []


@pytest.mark.parametrize("name", NAMES)
def test_it_takes_stretches_without_pictures_and_videos_without_stretches(name: str) -> None:
    reader = reader_called(name)
    bare = glance(0.0, 90, height=120)
    empty = Frames(np.zeros((0, 120, 213, 3), np.uint8), np.zeros(0))
    watcher = reader.watch(None)  # type: ignore[arg-type]
    watcher.see(Glance(bare.times, bare.luma, bare.chroma, empty))
    assert watcher.finish(0.5) == []
    assert reader.watch(None).finish(0.0) == []  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_reads_a_plain_title_into_captions_inside_the_video(name: str) -> None:
    cv2 = pytest.importorskip("cv2")
    reader = reader_called(name)
    watcher = reader.watch(None)  # type: ignore[arg-type]
    for i in range(8):
        stretch = glance(i / 2, 20, height=reader.height)
        if 2 <= i < 6:
            cv2.putText(stretch.frames.pixels[0], "HARBOUR", (200, 280), 0, 2.5, (255, 255, 255), 6, cv2.LINE_AA)
        watcher.see(stretch)
    captions = watcher.finish(4.0)
    assert [caption.text for caption in captions] == ["HARBOUR"]
    (caption,) = captions
    assert caption.span.iou(Span(1.0, 3.0)) > 0.6
    assert caption.score is not None
    assert 0 < caption.score <= 1
    left, top, right, bottom = caption.details["box"]
    assert 0 <= left < right <= 1
    assert 0 <= top < bottom <= 1
    json.dumps(dict(caption.details))

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from longshot.arrays import as_clips, as_texts, read_clip, read_frames
from longshot.contracts import Frames
from longshot.errors import NoPictures, UsageError
from longshot.timeline import Span
from tests.videos import read_number, write_video


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(path, count=40)
    return path


def test_frames_are_those_in_the_middle_of_equal_parts(film: Path) -> None:
    frames = read_frames(film, num_frames=4)
    assert frames.dtype == np.uint8 and frames.shape[0] == 4 and frames.shape[3] == 3
    # 40 frames in 4 parts of 10: the 5th of each is on screen at its middle.
    assert [read_number(picture) for picture in frames] == [5, 15, 25, 35]


def test_a_span_and_a_height_are_kept_to(film: Path) -> None:
    whole = read_clip(film, num_frames=40)
    step = float(whole.times[1] - whole.times[0])
    part = read_clip(film, num_frames=2, span=Span(10 * step, 20 * step), height=60)
    assert part.pixels.shape[1] == 60
    assert ((part.times >= 10 * step - 1e-9) & (part.times < 20 * step)).all()


def test_sound_has_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 8000)
    with pytest.raises(NoPictures, match="sound but no pictures"):
        read_frames(path)


@pytest.mark.parametrize(
    ("shape", "clips"),
    [((5, 8, 6, 3), 1), ((5, 3, 8, 6), 1), ((2, 5, 8, 6, 3), 2), ((2, 5, 3, 8, 6), 2)],
)
def test_every_layout_gives_the_same_clips(shape: tuple[int, ...], clips: int) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint32).astype(np.uint8).reshape(shape)
    found = as_clips(array)
    assert [clip.pixels.shape for clip in found] == [(5, 8, 6, 3)] * clips
    first = array if array.ndim == 4 else array[0]
    last = first if first.shape[-1] == 3 else np.moveaxis(first, 1, -1)
    np.testing.assert_array_equal(found[0].pixels, last)
    assert found[0].times.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_tensors_lists_and_frames_mix(film: Path) -> None:
    import torch

    array = np.zeros((2, 8, 6, 3), np.uint8)
    own = Frames(np.zeros((1, 4, 4, 3), np.uint8), np.array([7.5]))
    found = as_clips([torch.zeros(3, 3, 8, 6, dtype=torch.uint8), array, own, str(film)])
    assert [len(clip) for clip in found] == [3, 2, 1, 32]
    assert found[2] is own


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), "pixels are uint8"),
        (np.zeros((4, 4, 3), np.uint8), r"\(T, H, W, 3\).*got \(4, 4, 3\)"),
        (np.zeros((2, 4, 4, 4), np.uint8), r"3 colours.*\(2, 4, 4, 4\)"),
        (np.zeros((0, 4, 4, 3), np.uint8), r"got \(0, 4, 4, 3\)"),
    ],
)
def test_what_is_no_video_is_refused(value: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        as_clips(value)


def test_texts_are_texts() -> None:
    assert as_texts("one") == ["one"]
    assert as_texts(["one", "two"]) == ["one", "two"]
    with pytest.raises(UsageError, match="got bytes"):
        as_texts([b"one"])  # type: ignore[list-item]

"""Frames decoded later: the same pixels as `Video.frames`, in order, with bounded memory."""

from __future__ import annotations

import os
import pickle
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from longshot import looks
from longshot.contracts import Frames
from longshot.errors import MediaError, NoPictures, UsageError
from longshot.looks import Eye, Look, ahead
from longshot.video import open_video
from tests.videos import paint_number, read_number, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("looks") / "numbers.mp4"
    write_video(path, count=50, size=(160, 96))
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("looks") / "more numbers.mp4"
    write_video(path, count=30, size=(96, 160), pictures=[paint_number(k + 500, (96, 160)) for k in range(30)])
    return path


def numbers(frames: Frames | MediaError) -> list[int | None]:
    assert isinstance(frames, Frames)
    return [read_number(picture) for picture in frames.pixels]


def test_a_look_shows_what_the_video_shows_then(video: Path) -> None:
    look = Look(str(video), (1.0, 0.2, 1.0), 48)
    seen, expected = look.frames(), open_video(video).frames([1.0, 0.2, 1.0], height=48)
    assert np.array_equal(seen.pixels, expected.pixels)
    assert np.array_equal(seen.times, expected.times)
    assert numbers(seen) == [25, 5, 25]


def test_pictures_are_never_scaled_up(video: Path) -> None:
    assert Look(video, (0.0,), 480).frames().pixels.shape == (1, 96, 160, 3)
    assert Look(video, (0.0,)).frames().pixels.shape == (1, 96, 160, 3)
    with Eye() as eye:
        assert eye.size(Look(video, (0.0, 1.0), 48)) == Look(video, (0.0, 1.0), 48).frames().pixels.nbytes


def test_a_look_is_a_value(video: Path) -> None:
    with open_video(video) as opened:
        look = Look(opened, (1, 2), 48)  # type: ignore[arg-type]
    assert look == Look(str(video), (1.0, 2.0), 48) == Look(video, (1.0, 2.0), 48)
    assert len({look, Look(str(video), (1.0, 2.0), 48)}) == 1
    assert pickle.loads(pickle.dumps(look)) == look
    with pytest.raises(AttributeError):
        look.height = 3  # type: ignore[misc]


def test_a_list_of_pictures_is_looked_at_by_its_paths(tmp_path: Path) -> None:
    paths = []
    for number in range(3):
        paths.append(tmp_path / f"{number}.png")
        write_video(paths[-1], count=1, codec="png", pixel_format="rgb24", pictures=[paint_number(number, (160, 96))])
    pictures = open_video(paths, fps=2.0)
    look = Look(pictures, (0.0, 1.2, 0.5))
    assert numbers(look.frames()) == [0, 2, 1]
    assert look.frames().times.tolist() == [0.0, 1.0, 0.5]
    assert look.key.startswith(pictures.id)
    assert look.key != Look(open_video(paths, fps=4.0), (0.0, 1.2, 0.5)).key
    assert pickle.loads(pickle.dumps(look)).key == look.key


def test_the_key_is_made_of_content_times_and_height(video: Path, other: Path, tmp_path: Path) -> None:
    look = Look(video, (0.5, 1.0), 48)
    moved = tmp_path / "elsewhere.mkv"
    moved.write_bytes(video.read_bytes())
    assert Look(moved, (0.5, 1.0), 48).key == look.key
    assert Look(video, (0.5000000001, 1.0), 48).key == look.key
    different = [
        Look(video, (0.500001, 1.0), 48),
        Look(video, (1.0, 0.5), 48),
        Look(video, (0.5,), 48),
        Look(video, (0.5, 1.0), 50),
        Look(video, (0.5, 1.0)),
        Look(other, (0.5, 1.0), 48),
    ]
    assert len({look.key, *(one.key for one in different)}) == 7


def test_a_file_is_read_once_for_its_key_until_it_changes(
    video: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "changing.mp4"
    path.write_bytes(video.read_bytes())
    opened = []
    real = looks.open_video
    monkeypatch.setattr(looks, "open_video", lambda *args, **options: opened.append(args) or real(*args, **options))
    first = Look(path, (0.0,)).key
    assert Look(path, (0.0,)).key == first
    assert Look(path, (1.0,)).key.split(":")[0] == first.split(":")[0]
    assert len(opened) == 1
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(1, 1))
    assert Look(path, (0.0,)).key != first
    assert len(opened) == 2


def test_senseless_looks_are_refused(video: Path) -> None:
    with pytest.raises(UsageError, match="finite"):
        Look(video, (0.0, float("nan")))
    with pytest.raises(UsageError, match="height"):
        Look(video, (0.0,), 0)
    with pytest.raises(UsageError, match="threads"):
        next(ahead([Look(video, (0.0,))], threads=0))


def test_what_cannot_be_decoded_is_a_media_error(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    for name, kind in (("none.mp4", MediaError), ("text.mp4", MediaError), ("sound.wav", NoPictures)):
        with pytest.raises(kind, match=name):
            Look(tmp_path / name, (0.0,)).frames()
    for name in ("none.mp4", "text.mp4", "nul\0byte"):
        with pytest.raises(MediaError):
            _ = Look(tmp_path / name, (0.0,)).key


def test_a_file_that_goes_away_while_it_is_read_is_a_media_error(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "here.mp4"
    path.write_bytes(video.read_bytes())
    with Eye() as eye:
        assert eye.size(Look(path, (0.0,))) == 160 * 96 * 3
        path.unlink()
        with pytest.raises(MediaError, match=r"here\.mp4: cannot be read \(No such file"):
            eye.frames(Look(path, (0.0,)))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_ahead_keeps_the_order_and_puts_errors_in_their_place(
    video: Path, other: Path, tmp_path: Path, threads: int
) -> None:
    wanted = []
    for number in range(40):
        file, tall = [(video, 96), (other, 160), (tmp_path / "none.mp4", 10)][number % 3]
        wanted.append(Look(file, (number / 25,), tall))
    seen = list(ahead(wanted, threads=threads, bytes=200_000))
    assert len(seen) == 40
    for number, frames in enumerate(seen):
        if number % 3 == 2:
            assert isinstance(frames, MediaError)
        else:
            assert numbers(frames) == [number if number % 3 == 0 else 500 + min(number, 29)]


class Living:
    """Counts the pixel arrays that `Eye.frames` made and that still exist."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = self.most = self.made = 0
        self._lock = threading.Lock()
        real = Eye.frames

        def counted(eye: Eye, look: Look) -> Frames:
            frames = real(eye, look)
            size = frames.pixels.nbytes
            with self._lock:
                self.made += 1
                self.bytes += size
                self.most = max(self.most, self.bytes)
            weakref.finalize(frames.pixels, self._gone, size)
            return frames

        monkeypatch.setattr(Eye, "frames", counted)

    def _gone(self, size: int) -> None:
        with self._lock:
            self.bytes -= size


def test_ahead_holds_no_more_bytes_than_allowed(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    living = Living(monkeypatch)
    one = 160 * 96 * 3
    for frames in ahead((Look(video, (0.1,)) for _ in range(60)), threads=4, bytes=5 * one):
        assert isinstance(frames, Frames)
    assert living.made == 60
    assert one * 2 <= living.most <= 6 * one  # with the one that the loop holds while it asks for the next


def test_a_look_that_needs_more_than_all_room_goes_alone(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    living = Living(monkeypatch)
    one = 160 * 96 * 3
    wanted = [Look(video, (0.1,) * (1 + 9 * (k % 2))) for k in range(12)]
    assert [len(frames) for frames in ahead(wanted, threads=3, bytes=3 * one) if isinstance(frames, Frames)] == [
        len(look.times) for look in wanted
    ]
    assert living.most <= 11 * one  # and the one that the loop above still holds


def test_ahead_takes_looks_as_it_needs_them_and_ends_its_threads(video: Path) -> None:
    taken = []

    def endless() -> Iterator[Look]:
        while True:
            taken.append(1)
            yield Look(video, (0.0,))

    before = set(threading.enumerate())
    frames = ahead(endless(), threads=2, bytes=100_000)
    for _ in range(5):
        assert numbers(next(frames)) == [0]
    frames.close()  # type: ignore[attr-defined]
    assert len(taken) < 100
    assert set(threading.enumerate()) <= before


def test_a_failing_source_of_looks_is_the_callers_error(video: Path) -> None:
    def broken() -> Iterator[Look]:
        yield Look(video, (0.0,))
        raise RuntimeError("no more looks")

    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="no more looks"):
        list(ahead(broken()))
    assert set(threading.enumerate()) <= before

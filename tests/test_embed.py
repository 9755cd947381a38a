from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from longshot import VideoEncoder, checkpoints
from longshot.cli import NOTHING_USABLE, OK, SOME_FAILED, USAGE, run
from longshot.contracts import Frames, PictureEncoder
from longshot.errors import MediaError, NoPictures, UsageError
from longshot.pooling import pool, unit
from longshot.searching.embed import embed, encode, source_of
from longshot.timeline import Source, Span
from longshot.vectors import read_vectors
from longshot.video import open_video
from tests.videos import read_number, write_video

QUICK = ["--json", "--quiet"]


class Numbers:
    """A picture encoder whose vector is the painted number: (1, number), made unit."""

    source = Source("", "numbers", "1", {"pooling": "mean"})
    dimension, frames, height = 2, 4, 96

    def __init__(self) -> None:
        self.calls: list[int] = []

    def encode_pictures(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        self.calls.append(len(pixels))
        return unit(np.array([[1.0, read_number(picture) or 0] for picture in pixels]).reshape(-1, 2))

    def encode_frames(self, clips: Sequence[Frames]) -> np.ndarray:
        rows = [pool(self.encode_pictures(list(clip.pixels)), "mean") for clip in clips]
        return np.stack(rows) if rows else np.zeros((0, 2), np.float32)

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        return unit(np.array([[1.0, float(text)] for text in texts]).reshape(-1, 2))


class Bright(VideoEncoder):
    """An encoder of one's own, which the command line can open."""

    ARCHITECTURE = "BrightForTests"

    def __init__(self, folder: Path, *, loading: object) -> None:
        self.folder = folder

    def encode_vision(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        with open(self.folder / "calls.log", "a", encoding="ascii") as file:
            file.write(f"{len(videos)}\n")
        return np.array([[video.mean() + 1, 7.0, len(video)] for video in videos])

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 3))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(path, count=100, fps=10)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoints.find.cache_clear()
    home = tmp_path / "bright"
    home.mkdir()
    (home / "config.json").write_text(json.dumps({"architectures": ["BrightForTests"]}))
    return home


def test_each_stretch_has_the_vector_of_its_own_frames(film: Path) -> None:
    made = embed(film, encoder=Numbers(), every=2.0)
    assert made.spans == tuple(Span(2.0 * i, 2.0 * i + 2) for i in range(5))
    for row, span, times in zip(made.rows, made.spans, made.times, strict=True):
        # Four frames at the middles of equal parts: 2, 7, 12, 17 frames after the start, 10 frames a second.
        numbers = [round(span.start * 10) + k for k in (2, 7, 12, 17)]
        np.testing.assert_allclose(times, [number / 10 for number in numbers], atol=1e-6)
        expected = unit(np.mean([unit(np.array([1.0, number])) for number in numbers], axis=0))
        np.testing.assert_allclose(row, expected, atol=1e-6)
    assert made.videos == (open_video(film).id,) * 5 and made.names == ("film.mp4",) * 5
    assert made.source.settings == {"encoder": {"pooling": "mean"}, "every": 2.0, "frames": 4}


def test_an_upright_film_is_shown_as_large_as_a_wide_one(tmp_path: Path) -> None:
    shown: list[tuple[int, ...]] = []

    class Seeing(Numbers):
        height = 32

        def encode_frames(self, clips: Sequence[Frames]) -> np.ndarray:
            shown.extend(clip.pixels.shape[1:3] for clip in clips)
            return super().encode_frames(clips)

    for name, size in (("wide", (128, 64)), ("upright", (64, 128))):
        write_video(tmp_path / f"{name}.mp4", count=10, size=size)
        embed(tmp_path / f"{name}.mp4", encoder=Seeing(), every="video")
    assert shown == [(32, 64), (64, 32)]


def test_the_best_frame_needs_one_row_a_frame(film: Path) -> None:
    assert isinstance(Numbers(), PictureEncoder)
    made = embed(film, encoder=Numbers(), every=5.0, frames=3, pooling="max")
    assert made.rows.shape == (6, 2) and [len(times) for times in made.times] == [1] * 6
    assert [span.start for span in made.spans] == [0.0] * 3 + [5.0] * 3
    assert made.times[0][0] == pytest.approx(0.8)

    class Whole(Numbers):
        encode_pictures = property()  # type: ignore[assignment]

    with pytest.raises(UsageError, match="as a whole"):
        embed(film, encoder=Whole(), every=5.0, pooling="max")


@pytest.mark.parametrize(("every", "count"), [("video", 1), ("shot", 1), ("clip", 1), (3, 4)])
def test_what_has_a_vector_of_its_own(film: Path, every: str | float, count: int) -> None:
    made = embed(film, encoder=Numbers(), every=every)
    assert len(made) >= count
    assert made.spans[0].start == 0.0 and made.spans[-1].end == pytest.approx(10.0)


@pytest.mark.parametrize("every", ["scene", 0, -1.0, True])
def test_an_every_that_cannot_be_meant(film: Path, every: object) -> None:
    with pytest.raises(UsageError, match="a vector can be of every"):
        embed(film, encoder=Numbers(), every=every)  # type: ignore[arg-type]


def test_clips_of_many_videos_share_a_batch(film: Path) -> None:
    encoder = Numbers()
    items = [(open_video(film), [Span(0, 10)]) for _ in range(40)]
    source = source_of(encoder, every="video", frames=0, pooling="max", segmenter="shots")
    found = list(encode(items, encoder, source, pooling="max"))
    assert [made.vectors is not None and len(made.vectors) for made in found] == [4] * 40
    assert encoder.calls == [128, 32]


def test_a_video_that_breaks_off_leaves_the_others_alone(film: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone.mp4"
    gone.write_bytes(film.read_bytes())
    broken = open_video(gone)
    broken.close()
    gone.unlink()
    items = [(open_video(film), [Span(0, 2), Span(2, 4)]), (broken, [Span(0, 2)]), (open_video(film), [Span(4, 6)])]
    source = source_of(Numbers(), every=2.0, frames=0, pooling="", segmenter="shots")
    found = list(encode(items, Numbers(), source))
    assert [len(made.vectors) if made.vectors else made.reason for made in found] == [2, found[1].reason, 1]
    assert "gone.mp4" in found[1].reason


def test_files_that_cannot_be_used(film: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        embed(tmp_path / "missing.mp4", encoder=Numbers())
    torn = tmp_path / "tone.wav"
    import wave

    with wave.open(str(torn), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 4000)
    with pytest.raises(NoPictures):
        embed(torn, encoder=Numbers(), every=2.0)


def test_the_command_writes_one_file_a_video_and_does_none_twice(
    film: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.mp4"
    write_video(other, count=30, fps=10)
    (tmp_path / "bad.mp4").write_bytes(b"bad")
    command = ["embed", str(film), str(tmp_path / "bad.mp4"), str(other), "-e", str(folder), "--every", "2"]
    command += ["-o", str(tmp_path / "out"), *QUICK]
    assert run(command) == SOME_FAILED
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["state"] for row in rows] == ["done", "unreadable", "done"]
    assert [row.get("vectors") for row in rows] == [5, None, 2]
    assert read_vectors(rows[0]["file"]).rows.shape == (5, 3)
    calls = (folder / "calls.log").read_text()
    assert run(command) == SOME_FAILED
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows
    assert (folder / "calls.log").read_text() == calls
    assert run([*command, "--frames", "2"]) == SOME_FAILED
    assert (folder / "calls.log").read_text() != calls


def test_the_command_writes_one_file_for_all(
    film: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["embed", str(film), "-e", str(folder), "--every", "video", "-o", str(tmp_path / "all.parquet")]
    assert run(command) == OK
    assert "all.parquet" in capsys.readouterr().err
    assert len(read_vectors(tmp_path / "all.parquet")) == 1
    assert not (tmp_path / "all.parquet.parts").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-e", "FOLDER"], USAGE, "say where, with -o DIR"),
        (["-o", "OUT"], USAGE, "say which, with --encoder"),
        (["-e", "/nowhere/at/all", "-o", "OUT"], USAGE, "no such folder"),
        (["-e", "http://127.0.0.1:1/v1", "-o", "OUT"], USAGE, "an encoder is a folder or a hub id"),
        (["-e", "FOLDER", "-o", "OUT", "--every", "never"], USAGE, "--every is video"),
        (["-e", "FOLDER", "-o", "OUT", "--set", "temperature=1"], USAGE, "no setting 'temperature'"),
    ],
)
def test_flags_that_cannot_be_meant(
    film: Path,
    folder: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"FOLDER": str(folder), "OUT": str(tmp_path / "out")}
    assert run(["embed", str(film), *(places.get(word, word) for word in arguments), *QUICK]) == code
    errors = capsys.readouterr().err
    assert said in errors and len(errors.splitlines()) == 1


def test_nothing_usable_is_said_so(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"bad")
    command = ["embed", str(tmp_path / "bad.mp4"), "-e", str(folder), "-o", str(tmp_path / "out"), *QUICK]
    assert run(command) == NOTHING_USABLE

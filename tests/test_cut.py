from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from longshot.captioning.cut import Piece, cut, place
from longshot.errors import MediaError, NoPictures, UsageError
from longshot.timeline import Caption, Source, Span, Track
from longshot.video import open_video
from tests.videos import paint_number, read_number, write_video


def track_of(path: Path, edges: Sequence[float]) -> Track:
    spans = [Span(start, stop) for start, stop in itertools.pairwise(edges)]
    captions = tuple(Caption(span, "") for span in spans)
    return Track(open_video(path).id, "shot", Source("segment"), captions)


def numbers_and_times(path: Path) -> tuple[list[int | None], list[float]]:
    with open_video(path) as video:
        batches = list(video.stream())
    numbers = [read_number(pixels) for batch in batches for pixels in batch.pixels]
    return numbers, [float(second) for batch in batches for second in batch.times]


def picture_bytes(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]


def assert_same_frames(source: Path, clips: Sequence[Path], edges: Sequence[float], *, slack: float = 1e-4) -> None:
    """All clips together show the source's frames, each once, at the source's times."""
    numbers, times = numbers_and_times(source)
    seen: list[int | None] = []
    for clip, edge in zip(clips, edges, strict=False):
        found, found_times = numbers_and_times(clip)
        asked = [second for second in times if second >= edge - 1e-3][: len(found)]
        assert found_times[0] == 0
        assert np.allclose(np.array(found_times), np.array(asked) - asked[0], atol=slack)
        seen += found
    assert seen == numbers
    assert None not in seen


VIDEOS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("plain.mp4", {}),
    "short groups with B-frames": ("groups.mp4", {"options": {"g": "10", "bf": "3", "sc_threshold": "0"}}),
    "open groups": ("open.mp4", {"options": {"g": "10", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}}),
    "every frame a keyframe": ("intra.mp4", {"options": {"g": "1"}}),
    "transport stream": ("stream.ts", {"options": {"g": "10"}}),
    "matroska": ("plain.mkv", {"options": {"g": "10"}}),
    "matroska at 29.97": ("ntsc.mkv", {"fps": Fraction(30000, 1001), "options": {"g": "10"}}),
    "first frame not at 0": ("offset.mp4", {"times": [Fraction(3) + Fraction(k, 25) for k in range(50)]}),
    "first frame of a stream not at 0": (
        "offset.ts",
        {"times": [Fraction(7, 2) + Fraction(k, 25) for k in range(50)], "options": {"g": "10"}},
    ),
    "variable rate": (
        "variable.mp4",
        {"times": [Fraction(k, 25) if k < 20 else Fraction(8, 10) + Fraction(k - 20, 10) for k in range(50)]},
    ),
    "variable rate in matroska": (
        "variable.mkv",
        {
            "times": [Fraction(k, 20) + Fraction(k % 3, 100) for k in range(50)],
            "time_base": Fraction(1, 1000),
            "options": {"g": "10"},
        },
    ),
    "rotated": ("rotated.mp4", {"rotation": 90, "options": {"g": "10"}}),
    "upside down": ("upside.mp4", {"rotation": 180}),
    "wide pixels": ("wide.mp4", {"pixel_shape": Fraction(16, 11)}),
    "ten bits": ("ten.mp4", {"pixel_format": "yuv420p10le"}),
    "4:4:4": ("full.mp4", {"pixel_format": "yuv444p"}),
    "VP9": ("vp9.webm", {"codec": "libvpx-vp9", "options": {"g": "10", "cpu-used": "8"}}),
    "VP8": ("vp8.webm", {"codec": "libvpx", "options": {"g": "10"}}),
    "AVI": ("old.avi", {"codec": "mpeg4", "options": {"g": "10", "qscale": "2"}}),
    "AVI with B-frames": ("older.avi", {"codec": "mpeg4", "options": {"g": "10", "bf": "2", "qscale": "2"}}),
    "HEVC": ("new.mp4", {"codec": "libx265", "options": {"x265-params": "keyint=10:open-gop=0:log-level=0"}}),
    "HEVC, open groups": ("new.mkv", {"codec": "libx265", "options": {"x265-params": "keyint=10:log-level=0"}}),
    "odd size": ("odd.mkv", {"codec": "ffv1", "size": (161, 97), "pixel_format": "yuv444p"}),
    "GIF": ("moving.gif", {"codec": "gif", "pixel_format": "rgb8", "fps": 25}),
    "lossless": ("lossless.mkv", {"codec": "ffv1"}),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_clips_show_every_frame_once(tmp_path: Path, name: str) -> None:
    file, settings = VIDEOS[name]
    source = tmp_path / file
    write_video(source, **settings)
    with open_video(source) as video:
        times = video.packets().times
        shown, end = video.size, float(times[-1]) + 0.04
    edges = [0.0, float(times[10]), float(times[17]), float(times[18]), float(times[30]), end]
    clips = cut(source, track_of(source, edges), tmp_path / "clips")
    assert_same_frames(source, clips, edges, slack=1.1e-3)
    assert all(open_video(clip).size == shown for clip in clips)
    assert all(not open_video(clip).damage for clip in clips)
    lengths = [open_video(clip).duration for clip in clips]
    assert lengths == pytest.approx([stop - start for start, stop in itertools.pairwise(edges)], abs=0.003)


def test_what_lies_on_keyframes_is_copied_byte_for_byte(tmp_path: Path) -> None:
    source = tmp_path / "groups.mp4"
    write_video(source, options={"g": "10", "bf": "3", "sc_threshold": "0"})
    clips = cut(source, track_of(source, [0, 0.4, 0.8, 1.0, 2.0]), tmp_path / "clips")
    packets = picture_bytes(source)
    assert picture_bytes(clips[0]) == packets[:10]
    assert picture_bytes(clips[1]) == packets[10:20]
    # It begins on a keyframe, but where it ends is open: then it depends on what the frames lean on.
    assert len(picture_bytes(clips[2])) == 5
    assert not set(picture_bytes(clips[3])) & set(packets)


def test_hevc_keeps_the_tag_that_players_want(tmp_path: Path) -> None:
    source = tmp_path / "new.mkv"
    write_video(source, codec="libx265", options={"x265-params": "keyint=10:open-gop=0:scenecut=0:log-level=0"})
    (clip, _) = cut(source, track_of(source, [0, 0.4, 2.0]), tmp_path / "clips")
    with av.open(str(clip)) as container:
        assert container.streams.video[0].codec_context.name == "hevc"
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_colours_shape_and_depth_are_kept(tmp_path: Path) -> None:
    source = tmp_path / "tagged.mp4"
    tags = {"color_range": 1, "colorspace": 9, "color_primaries": 9, "color_trc": 16}
    write_video(source, pixel_format="yuv420p10le", pixel_shape=Fraction(4, 3), colour=tags)
    clips = cut(source, track_of(source, [0, 0.52, 2.0]), tmp_path / "clips")
    for clip in clips:
        with av.open(str(clip)) as container:
            context = container.streams.video[0].codec_context
            assert context.pix_fmt == "yuv420p10le"
            assert context.sample_aspect_ratio == Fraction(4, 3)
            assert {name: getattr(context, name) for name in tags} == tags


def test_names_carry_id_number_and_times(tmp_path: Path) -> None:
    source = tmp_path / "my talk?.mp4"
    write_video(source, options={"g": "10"})
    names = [clip.name for clip in cut(source, track_of(source, [0, 0.4, 2.0]), tmp_path / "clips")]
    short = open_video(source).id[:8]
    assert names == [
        f"my talk_-{short}-0001-00m00.000s-00m00.400s.mp4",
        f"my talk_-{short}-0002-00m00.400s-00m02.000s.mp4",
    ]


def test_times_read_back_in_milliseconds_cut_the_same_frames(tmp_path: Path) -> None:
    source = tmp_path / "ntsc.mp4"
    write_video(source, fps=Fraction(30000, 1001), count=60)
    edges = [0.0, round(13 * 1001 / 30000, 3), round(40 * 1001 / 30000, 3), 2.002]
    clips = cut(source, track_of(source, edges), tmp_path / "clips")
    assert [len(picture_bytes(clip)) for clip in clips] == [13, 27, 20]


def test_cuts_off_the_frames_still_share_every_frame_once(tmp_path: Path) -> None:
    source = tmp_path / "plain.mp4"
    write_video(source)
    clips = cut(source, track_of(source, [0, 0.41, 0.83, 1.27, 2.0]), tmp_path / "clips")
    numbers = [number for clip in clips for number in numbers_and_times(clip)[0]]
    assert numbers == list(range(50))


def test_not_exact_copies_whole_groups(tmp_path: Path) -> None:
    source = tmp_path / "groups.mp4"
    write_video(source, options={"g": "10", "bf": "3", "sc_threshold": "0"})
    clips = cut(source, track_of(source, [0, 0.5, 1.1, 2.0]), tmp_path / "clips", exact=False)
    assert [packet for clip in clips for packet in picture_bytes(clip)] == picture_bytes(source)
    assert [len(picture_bytes(clip)) for clip in clips] == [10, 20, 20]
    assert clips[1].name.endswith("0002-00m00.400s-00m01.200s.mp4")


def test_not_exact_gives_a_span_inside_a_group_the_whole_group(tmp_path: Path) -> None:
    source = tmp_path / "groups.mp4"
    write_video(source, options={"g": "10", "sc_threshold": "0"})
    (clip,) = cut(source, track_of(source, [0.44, 0.52]), tmp_path / "clips", exact=False)
    assert numbers_and_times(clip)[0] == list(range(10, 20))


def test_a_picture_that_stays_is_shown_in_each_clip(tmp_path: Path) -> None:
    source = tmp_path / "slides.mp4"
    write_video(source, times=[0, 5, 10, 10.04], container_options={"movflags": "+faststart"})
    clips = cut(source, track_of(source, [0, 3, 4, 7, 10, 10.08]), tmp_path / "clips")
    shown = [numbers_and_times(clip) for clip in clips]
    assert shown == [
        ([0], [0.0]),
        ([0], [0.0]),
        ([0, 1], [0.0, 1.0]),
        ([1], [0.0]),
        ([2, 3], [0.0, pytest.approx(0.04)]),
    ]
    lengths = [open_video(clip).duration for clip in clips]
    assert lengths == pytest.approx([3, 1, 3, 3, 0.08], abs=0.002)


@pytest.mark.parametrize(
    ("begin", "end", "piece"),
    [
        (Fraction(399, 100), Fraction(801, 100), Piece(1, 100, 201)),  # the rows of the docstring
        (Fraction(4), Fraction(8), Piece(1, 100, 200)),
        (Fraction(40004, 10000), Fraction(8), Piece(1, 100, 200)),  # half a millisecond late is the same frame
        (Fraction(401, 100), Fraction(402, 100), Piece(1, 100, 101, held=True)),  # no frame begins in it
        (Fraction(0), Fraction(10), Piece(1, 0, 250)),
    ],
)
def test_where_a_clip_lies(begin: Fraction, end: Fraction, piece: Piece) -> None:
    assert place(range(250), Fraction(1, 25), begin, end) == piece


def test_where_a_clip_lies_among_pictures_that_stay() -> None:
    assert place([0, 5, 10], Fraction(1), Fraction(3), Fraction(7)) == Piece(1, 3, 7, held=True)


@given(
    st.lists(st.integers(1, 3000), min_size=2, max_size=40),
    st.lists(st.floats(0, 1), min_size=1, max_size=6),
)
def test_touching_spans_share_each_frame_once(spacings: list[int], cuts: list[float]) -> None:
    base = Fraction(1, 1000)
    ticks = [0, *itertools.accumulate(spacings)][:-1]
    end = Fraction(sum(spacings), 1000)
    edges = [Fraction(0), *sorted({Fraction(cut).limit_denominator(10000) * end for cut in cuts} - {0, end}), end]
    pieces = [place(ticks, base, begin, stop) for begin, stop in itertools.pairwise(edges)]
    began = [tick for piece in pieces for tick in ticks if piece.begin + piece.held <= tick < piece.end]
    assert sorted(set(began)) == ticks
    whole = [piece for piece in pieces if not piece.held]
    assert all(piece.begin in ticks for piece in whole)


# Sound


def write_film(path: Path, *, sound: str, codec: str = "libx264", offset: float = 0.0) -> None:
    """Four seconds at 25 fps with painted numbers, and a beep of 0.2 s at 2.0 s."""
    seconds, rate = 4, 48000
    second = np.arange(rate * seconds) / rate
    wave = ((second >= 2) & (second < 2.2)) * np.sin(2 * np.pi * 1000 * second) * 16000
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25, options={"g": "25"})
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        audio = container.add_stream(sound, rate=rate, layout="stereo")
        for number in range(seconds * 25):
            picture = av.VideoFrame.from_ndarray(paint_number(number, (160, 96)), format="rgb24")
            picture = picture.reformat(format="yuv420p")
            picture.pts, picture.time_base = number + round(offset * 25), Fraction(1, 25)
            container.mux(video.encode(picture))
            part = wave[number * rate // 25 : (number + 1) * rate // 25]
            samples = np.repeat(part.astype(np.int16), 2).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = number * rate // 25 + round(offset * rate)
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def loud_seconds(path: Path) -> NDArray[np.float64]:
    """The seconds, on the clock of the first shown frame, at which the sound is loud."""
    origin = open_video(path).origin
    loud: list[NDArray[np.float64]] = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[0]):
            samples = frame.to_ndarray().astype(np.float64)
            samples = samples if frame.format.is_planar else samples.reshape(-1, 2).T
            scale = 16384 if frame.format.name.startswith("s16") else 0.5
            places = np.nonzero(np.abs(samples[0]) > 0.3 * scale)[0]
            loud.append(float(frame.time or 0) - origin + places / frame.sample_rate)
    return np.concatenate(loud)


@pytest.mark.parametrize(
    ("file", "sound", "codec", "kept", "offset"),
    [
        ("aac.mp4", "aac", "libx264", "aac", 0.0),
        ("mp3.mp4", "libmp3lame", "libx264", "mp3", 0.0),
        ("opus.mkv", "libopus", "libx264", "opus", 0.0),
        ("opus.webm", "libopus", "libvpx", "opus", 0.0),
        ("pcm.mov", "pcm_s16le", "libx264", "aac", 0.0),
        ("flac.mkv", "flac", "libx264", "aac", 0.0),
        ("mp2.ts", "mp2", "libx264", "aac", 0.0),
        ("aac.ts", "aac", "libx264", "aac", 3.2),
        ("offset.mp4", "aac", "libx264", "aac", 3.2),
        ("offset.mkv", "aac", "libx264", "aac", 3.2),
    ],
)
def test_sound_stays_with_the_pictures(
    tmp_path: Path, file: str, sound: str, codec: str, kept: str, offset: float
) -> None:
    source = tmp_path / file
    write_film(source, sound=sound, codec=codec, offset=offset)
    edges = [0.0, 1.0, 1.48, 4.0]
    clips = cut(source, track_of(source, edges), tmp_path / "clips")
    assert_same_frames(source, clips, edges, slack=1.1e-3)
    assert len(loud_seconds(clips[0])) == len(loud_seconds(clips[1])) == 0
    in_source, in_clip = loud_seconds(source), loud_seconds(clips[2]) + 1.48
    assert in_clip[0] == pytest.approx(in_source[0], abs=0.002)
    assert in_clip[-1] == pytest.approx(in_source[-1], abs=0.002)
    for clip, length in zip(clips, [1.0, 0.48, 2.52], strict=True):
        with av.open(str(clip)) as container:
            assert container.streams.audio[0].codec_context.codec.canonical_name == kept
            packets = list(container.demux(container.streams.audio[0]))
            ends = max(float((p.pts + p.duration) * p.time_base) for p in packets if p.pts is not None)
            assert ends == pytest.approx(length, abs=0.06)


def test_a_video_without_sound_gives_clips_without_sound(tmp_path: Path) -> None:
    source = tmp_path / "silent.mp4"
    write_video(source)
    (clip,) = cut(source, track_of(source, [0.4, 1.0]), tmp_path / "clips")
    assert not open_video(clip).has_audio


def test_sound_that_begins_late_is_silence_until_then(tmp_path: Path) -> None:
    source = tmp_path / "late.mkv"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        audio = container.add_stream("flac", rate=48000, layout="mono")
        for number in range(50):
            picture = av.VideoFrame.from_ndarray(paint_number(number, (160, 96)), format="rgb24")
            picture = picture.reformat(format="yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(video.encode(picture))
        for part in range(10):
            samples = np.full((1, 4800), 16000, np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 48000 + part * 4800, Fraction(1, 48000)
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    (clip,) = cut(source, track_of(source, [0.4, 2.0]), tmp_path / "clips")
    with av.open(str(clip)) as container:
        frames = list(container.decode(container.streams.audio[0]))
    line = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    first = int(np.nonzero(np.abs(line) > 0.2)[0][0])
    assert float(frames[0].time or 0) + first / 48000 == pytest.approx(0.6, abs=0.01)


def test_turning_pictures_of_a_gif_into_what_players_take(tmp_path: Path) -> None:
    source = tmp_path / "moving.gif"
    red = np.full((96, 160, 3), (182, 36, 85), np.uint8)
    write_video(source, codec="gif", pixel_format="rgb8", pictures=[red] * 50)
    (clip,) = cut(source, track_of(source, [0, 2.0]), tmp_path / "clips")
    with av.open(str(clip)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    with open_video(source) as before, open_video(clip) as after:
        colours = [one.frames([0.5]).pixels.mean(axis=(0, 1, 2)) for one in (before, after)]
    assert colours[1] == pytest.approx(colours[0], abs=3)


# Going on, and going wrong


def test_a_finished_clip_is_kept_and_a_broken_one_made_again(tmp_path: Path) -> None:
    source = tmp_path / "plain.mp4"
    write_video(source, options={"g": "10"})
    track = track_of(source, [0, 0.4, 1.0, 2.0])
    clips = cut(source, track, tmp_path / "clips")
    before = [clip.stat().st_mtime_ns for clip in clips]
    good = clips[1].read_bytes()
    clips[1].write_bytes(good[: len(good) // 2])
    clips[2].unlink()
    assert cut(source, track, tmp_path / "clips") == clips
    after = [clip.stat().st_mtime_ns for clip in clips]
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert numbers_and_times(clips[1])[0] == list(range(10, 25))
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == sorted(clip.name for clip in clips)


def test_what_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    source = tmp_path / "plain.mp4"
    write_video(source)
    track = track_of(source, [0, 2.0])
    (clip,) = cut(source, track, tmp_path / "clips")
    clip.unlink()
    clip.with_name(f".{clip.name}.part").write_bytes(b"half")
    assert cut(source, track, tmp_path / "clips") == [clip]
    assert [path.name for path in (tmp_path / "clips").iterdir()] == [clip.name]


def test_a_failure_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "plain.mp4"
    write_video(source)

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("longshot.captioning.cut.os.replace", fail)
    with pytest.raises(MediaError, match=r"could not be written .*No space left"):
        cut(source, track_of(source, [0, 2.0]), tmp_path / "clips")
    assert list((tmp_path / "clips").iterdir()) == []


def test_a_file_cut_off_is_cut_as_far_as_it_goes(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.mkv", tmp_path / "half.mkv"
    write_video(whole, count=250, options={"g": "10"})
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with open_video(half) as video:
        times = video.packets().times
    edges = [0.0, 1.0, 2.2, float(times[-1]) + 0.04]
    clips = cut(half, track_of(half, edges), tmp_path / "clips")
    numbers = [number for clip in clips for number in numbers_and_times(clip)[0]]
    assert numbers[: len(times) - 3] == list(range(len(times) - 3))


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    source = tmp_path / "plain.mp4"
    write_video(source)
    told: list[tuple[float, float]] = []
    cut(source, track_of(source, [0, 0.4, 2.0]), tmp_path / "clips", progress=lambda *now: told.append(now))
    assert told[-1] == (pytest.approx(2.0), pytest.approx(2.0))
    assert all(0 <= done <= total for done, total in told)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_track_of_another_video(tmp_path: Path) -> None:
    write_video(tmp_path / "one.mp4")
    write_video(tmp_path / "two.mp4", count=30)
    with pytest.raises(UsageError, match=r"but two\.mp4 is"):
        cut(tmp_path / "two.mp4", track_of(tmp_path / "one.mp4", [0, 1]), tmp_path / "clips")


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (Span(1, 1), "no length to cut"),
        (Span(-1, 1), "no length to cut"),
        (Span(30, 31), r"starts at 30 s, after the end of plain\.mp4"),
    ],
)
def test_spans_without_pictures(tmp_path: Path, span: Span, words: str) -> None:
    source = tmp_path / "plain.mp4"
    write_video(source)
    track = Track(open_video(source).id, "shot", Source("x"), (Caption(span, ""),))
    with pytest.raises(UsageError, match=words):
        cut(source, track, tmp_path / "clips")
    assert not (tmp_path / "clips").exists()


def test_sound_alone_cannot_be_cut(tmp_path: Path) -> None:
    source = tmp_path / "sound.mp3"
    with av.open(str(source), "w") as container:
        audio = container.add_stream("libmp3lame", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    with pytest.raises(NoPictures):
        cut(source, track_of(source, [0, 0.5]), tmp_path / "clips")

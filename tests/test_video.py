"""The clock: whatever the file, the frame on screen at a second is the one whose number is painted there."""

from __future__ import annotations

import bisect
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from longshot import open_video
from longshot.errors import MediaError, NoPictures, UsageError
from tests.videos import paint_number, read_number, write_video

REALTIME = {"deadline": "realtime", "cpu-used": "8"}
HIDDEN_FRAMES = {"cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "12"}
QUIET_X265 = {"x265-params": "log-level=none:keyint=20:bframes=3"}


def numbers(pixels):
    return [read_number(picture) for picture in pixels]


def shown_at(times, second):
    """Independent expectation: index of the greatest presentation time at or before a second."""
    return max(0, bisect.bisect_right(times, second + 1e-6) - 1)


def check_clock(path: Path, times: list[float], *, first: int = 0, off: float = 5e-4) -> None:
    """Every way of looking agrees with the painted numbers. `times` start at 0; `off`: the container's rounding."""
    with open_video(path) as video:
        looked = video.frames(np.array(times) + 2 * off)
        assert numbers(looked.pixels) == [first + k for k in range(len(times))]
        assert np.abs(looked.times - times).max() <= off + 1e-6
        exact = looked.times.tolist()

        generator = np.random.default_rng(5)
        asked = [*generator.uniform(-1, exact[-1] + 1, 12), exact[-1], 0.0, exact[len(exact) // 2], 1e6]
        wanted = [shown_at(exact, second) for second in asked]
        found = video.frames(asked)
        assert numbers(found.pixels) == [first + k for k in wanted]
        assert found.times.tolist() == [exact[k] for k in wanted]

        whole = [frames for frames in video.stream()]
        assert np.concatenate([f.times for f in whole]).tolist() == exact
        assert [n for f in whole for n in numbers(f.pixels)] == [first + k for k in range(len(times))]

        # Half-open, so a moment at the very end is not looked at; np.arange(0, 2.1, 0.3) would hold 2.1.
        grid = [k * 0.3 for k in range(int(video.duration / 0.3) + 2) if k * 0.3 < video.duration - 1e-9]
        strided = [n for f in video.stream(every=0.3) for n in numbers(f.pixels)]
        assert strided[: len(grid)] == [first + shown_at(exact, second) for second in grid]

        glances = list(video.scan(every=0.3, height=None))
        assert np.concatenate([g.times for g in glances]).tolist() == exact
        painted = [n for g in glances for n in numbers(g.frames.pixels)]
        on_grid = {shown_at(exact, k * 0.3) for k in range(int(exact[-1] / 0.3 + 1e-6) + 1)}
        assert painted == [first + k for k in sorted(on_grid)]
        assert not video.damage


@pytest.mark.parametrize(
    ("name", "made_of"),
    [
        ("plain.mp4", {}),
        ("b-pyramid.mp4", {"options": {"bf": "6", "b-pyramid": "normal", "g": "24", "keyint_min": "24"}}),
        ("open-gop.mp4", {"options": {"x264-params": "open-gop=1:keyint=15:min-keyint=15:bframes=3:scenecut=0"}}),
        ("no-b.mp4", {"options": {"bf": "0", "g": "10"}}),
        ("only-keys.mp4", {"options": {"g": "1"}}),
        ("intra-refresh.mp4", {"options": {"x264-params": "intra-refresh=1:keyint=20"}}),
        ("matroska.mkv", {"options": {"g": "20"}}),
        ("transport.ts", {"options": {"g": "20"}}),
        ("avi-b.avi", {}),
        ("avi.avi", {"codec": "mpeg4"}),
        ("quicktime.mov", {"codec": "mpeg4", "options": {"g": "12"}}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": REALTIME}),
        ("vp9-hidden.webm", {"codec": "libvpx-vp9", "options": HIDDEN_FRAMES}),
        ("vp8-hidden.webm", {"codec": "libvpx", "options": HIDDEN_FRAMES}),
        ("hevc.mp4", {"codec": "libx265", "options": QUIET_X265}),
        ("av1.mp4", {"codec": "libsvtav1", "options": {"preset": "9", "crf": "12", "svtav1-params": "lp=1"}}),
        ("mpeg2.mpg", {"codec": "mpeg2video", "options": {"bf": "2"}}),
        ("mpeg2.ts", {"codec": "mpeg2video", "options": {"bf": "2"}}),
        ("raw.h264", {}),
        ("raw.m2v", {"codec": "mpeg2video", "container_format": "mpeg2video"}),
        ("motion-jpeg.avi", {"codec": "mjpeg", "pixel_format": "yuvj420p"}),
        ("animation.gif", {"codec": "gif", "pixel_format": "rgb8"}),
        ("lossless.mkv", {"codec": "ffv1"}),
        ("prores.mov", {"codec": "prores_ks", "pixel_format": "yuv422p10le"}),
        ("deep.mkv", {"codec": "ffv1", "pixel_format": "yuv420p10le"}),
        ("deeper.mkv", {"codec": "ffv1", "pixel_format": "yuv444p12le"}),
        ("four-four-four.mp4", {"pixel_format": "yuv444p"}),
        ("odd.mp4", {"pixel_format": "yuv444p", "size": (161, 91)}),
        ("odd-420.mkv", {"codec": "ffv1", "size": (101, 67)}),
        ("tiny.mkv", {"codec": "ffv1", "size": (16, 16)}),
    ],
)  # fmt: skip
def test_containers_and_codecs(tmp_path, name, made_of):
    times = write_video(tmp_path / name, count=60, **made_of)
    check_clock(tmp_path / name, times)


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(30000, 1001), 60, Fraction(25, 2), 1])
@pytest.mark.parametrize("name", ["rate.mp4", "rate.mkv"])
def test_frame_rates(tmp_path, fps, name):
    times = write_video(tmp_path / name, count=40, fps=fps, options={"g": "13"})
    check_clock(tmp_path / name, times)


@pytest.mark.parametrize("name", ["variable.mp4", "variable.mkv", "variable.mov", "variable.ts"])
def test_variable_frame_rate(tmp_path, name):
    gaps = [1, 1, 40, 1, 3, 1, 1, 200, 7, 1, 1, 1, 25, 2, 2, 2, 90, 1, 1] * 2
    times = [Fraction(sum(gaps[:k]), 30) for k in range(len(gaps))]
    write_video(tmp_path / name, times=times, fps=30, options={"g": "12"})
    check_clock(tmp_path / name, [float(t) for t in times])


def test_variable_frame_rate_gif(tmp_path):
    delays = [4, 10, 100, 4, 50, 7]
    times = [Fraction(sum(delays[:k]), 100) for k in range(len(delays))]
    write_video(tmp_path / "a.gif", times=times, codec="gif", pixel_format="rgb8", time_base=Fraction(1, 100), fps=100)
    check_clock(tmp_path / "a.gif", [float(t) for t in times])


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts", "late.mov"])
def test_a_first_frame_that_is_not_at_zero(tmp_path, name):
    times = [Fraction(3, 2) + Fraction(k, 25) for k in range(40)]
    write_video(tmp_path / name, times=times, options={"g": "15"})
    check_clock(tmp_path / name, [float(t - times[0]) for t in times])


def test_an_edit_list_that_hides_the_first_frames(tmp_path):
    write_video(tmp_path / "whole.mp4", count=60, options={"g": "30", "bf": "2"})
    hidden = 10
    with av.open(str(tmp_path / "whole.mp4")) as source, av.open(str(tmp_path / "cut.mp4"), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        shift = int(hidden * Fraction(1, 25) / stream.time_base)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                target.mux(packet)
    check_clock(tmp_path / "cut.mp4", [k / 25 for k in range(50)], first=hidden)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_undone(tmp_path, rotation):
    times = write_video(tmp_path / "turned.mp4", rotation=rotation)
    check_clock(tmp_path / "turned.mp4", times)
    with open_video(tmp_path / "turned.mp4") as video:
        assert video.size == ((96, 160) if rotation % 180 else (160, 96))
        glance = next(video.scan(every=None))
        upright = video.frames([0.0]).pixels[0].mean(axis=2)
        rows, columns = np.arange(36) * upright.shape[0] // 36, np.arange(64) * upright.shape[1] // 64
        assert np.corrcoef(glance.luma[0].ravel(), upright[rows][:, columns].ravel())[0, 1] > 0.8


def test_pixel_shape_widens_the_picture(tmp_path):
    write_video(tmp_path / "wide.mp4", pixel_shape=Fraction(16, 11), count=3)
    video = open_video(tmp_path / "wide.mp4")
    assert video.size == (233, 96)
    assert video.frames([0]).pixels.shape == (1, 96, 233, 3)
    assert video.frames([0], height=48).pixels.shape == (1, 48, 116, 3)
    assert video.frames([0], width=100).pixels.shape == (1, 41, 100, 3)
    assert video.frames([0], width=100, height=10).pixels.shape == (1, 10, 100, 3)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(gaps=st.lists(st.integers(1, 30), min_size=1, max_size=40), gop=st.integers(1, 20), depth=st.integers(0, 4))
@example(gaps=[1, 1, 30, 30, 1], gop=1, depth=0)
def test_any_rhythm_reads_back(tmp_path, gaps, gop, depth):
    times = [Fraction(sum(gaps[:k]), 30) for k in range(len(gaps))]
    write_video(tmp_path / "any.mp4", times=times, fps=30, options={"g": str(gop), "bf": str(depth)}, size=(64, 64))
    check_clock(tmp_path / "any.mp4", [float(t) for t in times])


def test_a_long_file_is_divided_among_threads_and_stays_in_order(tmp_path):
    times = write_video(tmp_path / "long.mp4", count=1000, fps=25, size=(64, 64), options={"g": "50", "bf": "3"})
    with open_video(tmp_path / "long.mp4") as video:
        glances = list(video.scan(every=0.5, height=None))
        assert len(glances) > 5
        assert np.abs(np.concatenate([g.times for g in glances]) - times).max() < 1e-4
        assert [n for g in glances for n in numbers(g.frames.pixels)] == [shown_at(times, k / 2) for k in range(80)]
        part = np.concatenate([g.times for g in video.scan(every=None, start=10.0, end=30.0)])
        assert len(part) == 500 and part[0] == 10.0 and part[-1] < 30.0
        looked = video.frames(np.arange(0, 40, 0.7))
        assert numbers(looked.pixels) == [shown_at(times, s) for s in np.arange(0, 40, 0.7)]


def test_coarse_brightness_is_the_area_average(tmp_path):
    picture = np.random.default_rng(1).integers(0, 255, (144, 256, 3)).astype(np.uint8)
    picture[:, :128] //= 3
    write_video(tmp_path / "n.mkv", pictures=[picture], times=[0], codec="ffv1", size=(256, 144))
    video = open_video(tmp_path / "n.mkv")
    glance = next(video.scan(every=None))
    pixels = video.frames([0]).pixels[0].astype(float)
    weights = [0.299, 0.587, 0.114]  # BT.601, what an untagged file of this size means
    expected = (pixels @ weights).reshape(36, 4, 64, 4).mean((1, 3))
    assert np.abs(glance.luma[0] - expected).max() < 3
    assert glance.luma.shape == (1, 36, 64) and glance.chroma.shape == (1, 18, 32, 2)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "yuv422p", "yuv444p12le", "bgr0", "nv12"])
def test_coarse_colours_agree_between_layouts(tmp_path, pixel_format):
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[:45], picture[45:] = (220, 40, 30), (20, 90, 200)
    codec = "rawvideo" if pixel_format == "nv12" else "ffv1"
    write_video(
        tmp_path / "c.mkv", pictures=[picture], times=[0], codec=codec, pixel_format=pixel_format, size=(160, 90)
    )
    glance = next(open_video(tmp_path / "c.mkv").scan(every=None))
    red_luma, blue_luma = 0.299 * 220 + 0.587 * 40 + 0.114 * 30, 0.299 * 20 + 0.587 * 90 + 0.114 * 200
    tolerance = 24 if pixel_format in ("bgr0", "nv12") else 4  # through RGB, weighed by BT.709
    assert abs(glance.luma[0, :16].mean() - red_luma) < tolerance
    assert abs(glance.luma[0, -16:].mean() - blue_luma) < tolerance
    assert glance.chroma[0, :8, :, 1].mean() > 60 and glance.chroma[0, :8, :, 0].mean() < -20
    assert glance.chroma[0, -8:, :, 0].mean() > 50 and glance.chroma[0, -8:, :, 1].mean() < -20


def test_packets_tell_times_and_keys_without_decoding(tmp_path):
    times = write_video(tmp_path / "p.mp4", count=60, options={"g": "20", "bf": "2", "sc_threshold": "0"})
    packets = open_video(tmp_path / "p.mp4").packets()
    assert np.abs(packets.times - times).max() < 1e-4
    assert np.flatnonzero(packets.keys).tolist() == [0, 20, 40]
    assert (packets.sizes > 0).all() and packets.sizes.sum() < (tmp_path / "p.mp4").stat().st_size
    assert open_video(tmp_path / "p.mp4").keyframes().tolist() == pytest.approx([0, 0.8, 1.6])


def test_header_of_a_video_with_sound_and_chapters(tmp_path):
    path = tmp_path / "full.mkv"
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 96, "yuv420p"
        sound = container.add_stream("aac", rate=16000)
        container.set_chapters(
            [
                {"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}},
                {"id": 2, "start": 400, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "Two"}},
            ]
        )
        for k in range(25):
            frame = av.VideoFrame.from_ndarray(paint_number(k, (160, 96)), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(pictures.encode(frame))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
        silence.sample_rate, silence.pts = 16000, 0
        container.mux(sound.encode(silence))
        container.mux(pictures.encode(None))
        container.mux(sound.encode(None))
    video = open_video(path)
    assert video.has_audio and video.has_video and video.codec == "h264"
    assert video.fps == 25 and video.size == (160, 96)
    assert video.duration == pytest.approx(1.0, abs=0.05)
    assert [(c.text, c.span.start, c.span.end) for c in video.chapters] == [("One", 0.0, 0.4), ("Two", 0.4, 1.0)]


def test_a_still_picture_is_a_video_of_one_frame(tmp_path):
    for name, codec, pixel_format in (
        ("a.png", "png", "rgb24"),
        ("a.jpg", "mjpeg", "yuvj444p"),
        ("a.webp", "libwebp", "yuv420p"),
    ):
        write_video(
            tmp_path / name,
            count=1,
            codec=codec,
            pixel_format=pixel_format,
            container_format="image2",
            container_options={"update": "1"},
        )
        video = open_video(tmp_path / name)
        assert numbers(video.frames([0, 5, -1]).pixels) == [0, 0, 0]
        assert sum(len(g) for g in video.scan()) == 1
        assert video.duration > 0


def test_a_list_of_pictures_is_a_video(tmp_path):
    paths = []
    for k in range(5):
        size = (160, 96) if k != 3 else (80, 48)
        picture = paint_number(k, size)
        write_video(
            tmp_path / f"{k}.png",
            pictures=[picture],
            times=[0],
            codec="png",
            pixel_format="rgb24",
            size=size,
            container_format="image2",
            container_options={"update": "1"},
        )
        paths.append(tmp_path / f"{k}.png")
    video = open_video(paths, fps=2)
    assert (video.duration, video.size) == (2.5, (160, 96))
    assert numbers(video.frames([0, 0.49, 0.5, 1.7, 9]).pixels) == [0, 0, 1, 3, 4]
    assert [n for f in video.stream() for n in numbers(f.pixels)] == [0, 1, 2, 3, 4]
    assert [n for g in video.scan(every=1.0, height=None) for n in numbers(g.frames.pixels)] == [0, 2, 4]
    assert [n for f in video.stream(start=0.6, end=1.6) for n in numbers(f.pixels)] == [2, 3]
    assert video.packets().times.tolist() == [0, 0.5, 1.0, 1.5, 2.0]
    assert video.id != open_video(paths[:4], fps=2).id


def test_the_id_survives_renaming_and_follows_content(tmp_path):
    write_video(tmp_path / "a.mp4", count=5)
    first = open_video(tmp_path / "a.mp4").id
    shutil.copy(tmp_path / "a.mp4", tmp_path / "renamed.bin")
    assert open_video(tmp_path / "renamed.bin").id == first
    write_video(tmp_path / "b.mp4", count=6)
    assert open_video(tmp_path / "b.mp4").id != first
    assert len(first) == 16 and int(first, 16) >= 0


def test_the_id_of_a_huge_file_is_quick_and_sees_both_ends(tmp_path):
    from longshot.video import content_id

    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(5 << 30)  # sparse
    before = content_id(path)
    with path.open("r+b") as file:
        file.seek((5 << 30) - 1)
        file.write(b"x")
    assert content_id(path) != before


def test_the_largest_stream_is_the_one_that_is_seen(tmp_path):
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        streams = []
        for size in ((64, 48), (160, 96)):
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            streams.append((stream, size))
        for k in range(10):
            for stream, size in streams:
                frame = av.VideoFrame.from_ndarray(paint_number(k, size), format="rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream, _ in streams:
            container.mux(stream.encode(None))
    video = open_video(tmp_path / "two.mkv")
    assert video.size == (160, 96)
    assert numbers(video.frames([0.2]).pixels) == [5]


def write_sound(path: Path, codec: str = "flac") -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_sound_alone_opens_and_says_that_it_has_no_pictures(tmp_path):
    write_sound(tmp_path / "a.flac")
    video = open_video(tmp_path / "a.flac")
    assert video.has_audio and not video.has_video and video.duration == pytest.approx(1.0)
    for look in (lambda: video.frames([0]), lambda: next(video.stream()), lambda: next(video.scan()), video.packets):
        with pytest.raises(NoPictures, match="sound but no pictures"):
            look()


def test_a_truncated_file_is_used_as_far_as_it_goes(tmp_path):
    times = write_video(
        tmp_path / "whole.mp4",
        count=250,
        size=(320, 192),
        options={"g": "25"},
        container_options={"movflags": "faststart"},
    )
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "torn.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    video = open_video(tmp_path / "torn.mp4")
    seen = np.concatenate([g.times for g in video.scan(every=None)])
    assert 60 < len(seen) < 230
    assert np.abs(seen - times[: len(seen)]).max() < 1e-3
    assert video.damage.ends_early == pytest.approx(seen[-1] + 0.04, abs=0.05)
    assert "pictures end at" in str(video.damage) and "10.00 s" in str(video.damage)
    looked = video.frames([1.0, 9.9, 500.0])
    assert looked.times.tolist() == pytest.approx([1.0, seen[-1], seen[-1]], abs=0.1)


def test_a_truncated_transport_stream(tmp_path):
    write_video(tmp_path / "whole.ts", count=250, options={"g": "25"})
    whole = (tmp_path / "whole.ts").read_bytes()
    (tmp_path / "torn.ts").write_bytes(whole[: len(whole) // 2])
    video = open_video(tmp_path / "torn.ts")
    seen = [n for f in video.stream() for n in numbers(f.pixels)]
    assert seen[:100] == list(range(100)) and len(seen) < 200


def test_damage_in_the_middle_is_skipped_counted_and_said(tmp_path):
    write_video(tmp_path / "whole.mkv", count=200, size=(320, 192), codec="mjpeg", pixel_format="yuvj420p")
    data = bytearray((tmp_path / "whole.mkv").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60_000] = os.urandom(60_000)
    (tmp_path / "hurt.mkv").write_bytes(data)
    video = open_video(tmp_path / "hurt.mkv")
    times = np.concatenate([f.times for f in video.stream()])
    assert len(times) < 200 and times[-1] == pytest.approx(199 / 25, abs=0.05)
    good = video.frames([0.5, 7.5])
    assert numbers(good.pixels) == [12, 187]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"this is only text\n" * 200, "not a video"),
        ("noise.mkv", bytes(range(256)) * 40, "not a video"),
        ("zeros.mp4", bytes(5000), "not a video"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nother.ts\n", "."),
        ("concat.txt", b"ffconcat version 1.0\nfile other.mp4\n", "."),
        ("notes.txt", b"some notes\n" * 50, "."),
        ("half.mp4", b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2", "not a video"),
    ],
)
def test_what_is_not_a_video_is_refused_in_one_line(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=says) as caught:
        open_video(tmp_path / name).frames([0])
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_what_is_not_a_file_is_refused_in_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, says in (
        (tmp_path, "folder"),
        (tmp_path / "pipe", "regular file"),
        (tmp_path / "gone.mp4", "no such"),
        (Path("/dev/null"), "regular file"),
    ):
        with pytest.raises(MediaError, match=says):
            open_video(path)
    with pytest.raises(UsageError, match="at least one picture"):
        open_video([])


def test_an_mp4_without_its_table_is_refused(tmp_path):
    write_video(tmp_path / "whole.mp4", count=50)
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "torn.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError):
        open_video(tmp_path / "torn.mp4")


def test_a_file_that_grows_while_it_is_read_is_said(tmp_path):
    write_video(tmp_path / "grows.ts", count=50)
    video = open_video(tmp_path / "grows.ts")
    with (tmp_path / "grows.ts").open("ab") as file:
        file.write(b"\x47" + bytes(187))
    list(video.scan())
    assert "changed while it was read" in str(video.damage)


@pytest.mark.parametrize(
    "ask",
    [
        lambda v: v.frames([float("nan")]),
        lambda v: v.frames([float("inf")]),
        lambda v: v.frames([0], height=0),
        lambda v: v.frames([0], width=-4),
        lambda v: next(v.stream(every=0)),
        lambda v: next(v.stream(every=-1)),
        lambda v: next(v.stream(start=-1)),
        lambda v: next(v.stream(start=2, end=1)),
        lambda v: next(v.scan(every=float("nan"))),
    ],
)
def test_impossible_asks_are_refused(tmp_path, ask):
    write_video(tmp_path / "a.mp4", count=3)
    with pytest.raises(UsageError, match="got"):
        ask(open_video(tmp_path / "a.mp4"))


def test_nothing_asked_gives_nothing(tmp_path):
    write_video(tmp_path / "a.mp4", count=3)
    frames = open_video(tmp_path / "a.mp4").frames([])
    assert frames.pixels.shape == (0, 96, 160, 3) and frames.times.shape == (0,)


@pytest.mark.slow
def test_mutated_files_never_crash_hang_or_lie(tmp_path):
    """500 files with random bytes changed, read in a child process: errors are ours, times rise, frames are whole."""
    script = Path(__file__).with_name("read_mutants.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "500"], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "500 files read" in done.stdout


def test_an_encrypted_file_is_refused(tmp_path):
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "0123456789abcdef" * 2, "encryption_kid": "ab" * 16}
    write_video(tmp_path / "locked.mp4", count=10, container_options=key)
    with pytest.raises(MediaError, match="encrypted"):
        open_video(tmp_path / "locked.mp4")


@pytest.mark.parametrize("box", [b"mvhd", b"mdhd", b"tkhd", b"elst"])
def test_absurd_header_durations_do_not_mislead(tmp_path, box):
    write_video(tmp_path / "a.mp4", count=50)
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    at = data.index(box) + 4
    where = {b"mvhd": 16, b"mdhd": 16, b"tkhd": 20, b"elst": 8}[box]
    data[at + where : at + where + 4] = b"\x7f\xff\xff\xff"
    (tmp_path / "b.mp4").write_bytes(data)
    video = open_video(tmp_path / "b.mp4")
    assert [n for f in video.stream(every=0.4) for n in numbers(f.pixels)][:5] == [0, 10, 20, 30, 40]
    assert sum(len(f) for f in video.stream(every=0.4)) <= 6
    assert sum(len(g) for g in video.scan(every=None)) == 50
    assert video.pictures_end() == pytest.approx(2.0, abs=0.05)


def test_a_table_without_frames_is_refused(tmp_path):
    with av.open(str(tmp_path / "none.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    with pytest.raises(MediaError):
        open_video(tmp_path / "none.mp4").frames([0])

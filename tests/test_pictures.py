"""Colours, light, alpha, fields and pixel shapes, against values worked out by the standards' own formulas."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshot import open_video
from longshot.pictures import Painter, Turn, fit, shown_size, shrink
from tests.videos import write_video

# Red and blue weights of the luma of each standard.
WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
COLOURS = [(200, 30, 40), (20, 160, 60), (30, 60, 210), (128, 128, 128), (255, 255, 255), (0, 0, 0), (240, 200, 30)]


def yuv_frame(rgb, *, matrix, full, size=(64, 64), tag=True):
    """A yuv444p frame of one colour, made by the definition of Y'CbCr."""
    red, green, blue = (value / 255 for value in rgb)
    weight_red, weight_blue = WEIGHTS[matrix]
    luma = weight_red * red + (1 - weight_red - weight_blue) * green + weight_blue * blue
    cb, cr = (blue - luma) / (2 * (1 - weight_blue)), (red - luma) / (2 * (1 - weight_red))
    values = (luma * 255, cb * 255 + 128, cr * 255 + 128) if full else (16 + luma * 219, 128 + cb * 224, 128 + cr * 224)
    planes = np.stack([np.full(size[::-1], np.clip(round(value), 0, 255), np.uint8) for value in values])
    frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
    if tag:
        frame.colorspace = matrix
    frame.color_range = 2 if full else 1
    return frame


@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("rgb", COLOURS)
def test_colours_come_back_by_their_matrix_and_range(matrix, full, rgb):
    pixels = Painter().paint(yuv_frame(rgb, matrix=matrix, full=full))
    assert np.abs(pixels.reshape(-1, 3).mean(0) - rgb).max() < 4


def test_untagged_video_follows_the_convention_of_its_size():
    small = Painter().paint(yuv_frame((200, 30, 40), matrix=5, full=False, tag=False))
    large = Painter(height=64).paint(yuv_frame((200, 30, 40), matrix=1, full=False, size=(1280, 720), tag=False))
    assert np.abs(small.reshape(-1, 3).mean(0) - (200, 30, 40)).max() < 4
    assert np.abs(large.reshape(-1, 3).mean(0) - (200, 30, 40)).max() < 4


def deep_frame(coded, transfer):
    """A grey (or RGB triple) 10-bit BT.2020 frame with a coded value 0..1 and a transfer function."""
    red, green, blue = coded if isinstance(coded, tuple) else (coded, coded, coded)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    values = (64 + luma * 876, 512 + (blue - luma) / 1.8814 * 896, 512 + (red - luma) / 1.4746 * 896)
    frame = av.VideoFrame(32, 32, "yuv444p10le")
    for plane, value in zip(frame.planes, values, strict=True):
        plane.update(np.full(plane.buffer_size // 2, round(value), np.uint16).tobytes())
    frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range = 9, 9, transfer, 1
    return frame


def pq(nits):
    """SMPTE ST 2084: light to coded value."""
    y = (nits / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


@pytest.mark.parametrize(
    ("coded", "transfer", "low", "high"),
    [
        (pq(0.001), 16, 0, 8),
        (pq(203 * 0.18), 16, 110, 125),  # mid grey: 0.18 of white is 118 in sRGB
        (pq(203), 16, 225, 250),  # reference white
        (pq(1000), 16, 250, 255),
        (0.75, 18, 215, 250),  # HLG reference white
        (0.0, 18, 0, 3),
        (1.0, 18, 250, 255),
    ],
)
def test_high_dynamic_range_gets_a_sane_tone(coded, transfer, low, high):
    pixels = Painter().paint(deep_frame(coded, transfer))
    assert pixels.dtype == np.uint8
    assert low <= pixels.mean() <= high
    assert np.ptp(pixels.reshape(-1, 3).mean(0)) < 4


def test_wide_gamut_red_stays_red():
    red, green, blue = Painter().paint(deep_frame((pq(200), pq(2), pq(2)), 16)).reshape(-1, 3).mean(0)
    assert red > 200 and green < 60 and blue < 60


@given(st.floats(0, 1), st.floats(0, 1))
def test_tone_never_turns_brightness_round(one, other):
    darker, brighter = sorted((one, other))
    low, high = (Painter().paint(deep_frame(value, 16)).mean() for value in (darker, brighter))
    assert low <= high + 1


def test_alpha_is_laid_over_white():
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[:4] = (200, 0, 0, 255)
    picture[4:] = (0, 0, 200, 51)
    pixels = Painter().paint(av.VideoFrame.from_ndarray(picture, format="rgba"))
    assert pixels[0, 0].tolist() == [200, 0, 0]
    assert pixels[7, 7].tolist() == [204, 204, 244]


def test_interlaced_frames_show_no_combing(tmp_path):
    combed = np.full((96, 160, 3), 60, np.uint8)
    combed[0::2, 40:80] = 220  # the bar is elsewhere in the second field
    combed[1::2, 60:100] = 220
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1:qp=4"}
    write_video(tmp_path / "i.mp4", pictures=[combed] * 4, times=[k / 25 for k in range(4)], options=options)
    pixels = open_video(tmp_path / "i.mp4").frames([0.04]).pixels[0].astype(int).mean(axis=2)
    assert pixels.shape == (96, 160)
    assert np.abs(np.diff(pixels[8:-8], axis=0)).max() < 40
    assert pixels[48, 50] > 180 and pixels[48, 90] < 100


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (Turn(), [[1, 2, 3], [4, 5, 6]]),
        (Turn(True, False, True), [[3, 6], [2, 5], [1, 4]]),
        (Turn(False, True, True), [[6, 5, 4], [3, 2, 1]]),
        (Turn(True, True, False), [[4, 1], [5, 2], [6, 3]]),
        (Turn(False, True, False), [[3, 2, 1], [6, 5, 4]]),
    ],
)
def test_turns_are_quarter_turns_and_mirrors(matrix, expected):
    assert matrix.apply(np.array([[1, 2, 3], [4, 5, 6]])).tolist() == expected


def test_sizes_follow_shape_and_turn():
    assert shown_size(720, 576, Fraction(16, 11), Turn()) == (1047, 576)
    assert shown_size(1920, 1080, None, Turn(True)) == (1080, 1920)
    assert shown_size(100, 50, Fraction(0), Turn()) == (100, 50)
    assert fit((1920, 1080), width=None, height=256) == (455, 256)
    assert fit((1920, 1080), width=480, height=None) == (480, 270)
    assert fit((3, 1000), width=None, height=10) == (1, 10)


@given(st.integers(1, 200), st.integers(1, 300), st.integers(1, 40), st.integers(1, 70))
def test_shrinking_keeps_the_mean_and_the_range(height, width, rows, columns):
    plane = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width)).astype(np.uint8)
    small = shrink(plane, rows, columns)
    assert small.shape == (rows, columns)
    assert plane.min() - 0.01 <= small.min() and small.max() <= plane.max() + 0.01
    if height % rows == 0 and width % columns == 0:
        exact = plane.reshape(rows, height // rows, columns, width // columns).astype(float).mean((1, 3))
        assert np.abs(small - exact).max() < 0.01
        assert abs(small.mean() - plane.mean()) < 0.01


def gif(frames):
    """A GIF of 8 x 8 pixels; frames: (left, top, rows of colour indices, disposal, transparent index or None)."""
    palette = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 10, 10])
    data = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x91, 0, 0) + palette
    for left, top, rows, disposal, transparent in frames:
        flags = disposal << 2 | (transparent is not None)
        data += b"\x21\xf9\x04" + struct.pack("<BHB", flags, 10, transparent or 0) + b"\x00"
        data += b"\x2c" + struct.pack("<HHHHB", left, top, len(rows[0]), len(rows), 0)
        bits, codes = [], []
        for index in (i for row in rows for i in row):
            codes += [4, index]  # a clear code before each pixel keeps every code 3 bits long
        for code in [*codes, 5]:
            bits += [(code >> k) & 1 for k in range(3)]
        packed = np.packbits(bits, bitorder="little").tobytes()
        data += b"\x02" + b"".join(
            bytes([len(c)]) + c for c in (packed[k : k + 255] for k in range(0, len(packed), 255))
        )
        data += b"\x00"
    return data + b"\x3b"


def test_gif_frames_are_laid_over_one_another_as_told(tmp_path):
    whole = [[0] * 8 for _ in range(8)]
    patch = [[1, 1], [1, 1]]
    holes = [[2, 3], [3, 2]]
    (tmp_path / "a.gif").write_bytes(
        gif([(0, 0, whole, 1, None), (2, 2, patch, 3, None), (4, 4, patch, 2, None), (0, 0, holes, 1, 3)])
    )
    pixels = open_video(tmp_path / "a.gif").frames([0, 0.1, 0.2, 0.3]).pixels
    red, green, blue = [255, 0, 0], [0, 255, 0], [0, 0, 255]
    assert (pixels[0] == red).all()
    assert pixels[1, 2, 2].tolist() == green and pixels[1, 0, 0].tolist() == red
    assert pixels[2, 2, 2].tolist() == red  # the patch was to be taken back
    assert pixels[2, 4, 4].tolist() == green
    assert pixels[3, 4, 4].tolist() != green  # cleared to the background
    assert pixels[3, 0, 0].tolist() == blue and pixels[3, 0, 1].tolist() == red  # a hole shows what was there

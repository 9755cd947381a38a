"""Videos made on the spot, with the frame's number painted into its pixels so that it can be read back.

The number is painted as a 4 x 4 board of dark and light cells: 10 bits of number, 6 bits of check. A frame that
is turned, mirrored, torn or mixed with another does not read as a number at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

DARK, LIGHT = 40, 215


def board(number: int) -> NDArray[np.bool_]:
    """The 4 x 4 board of a number 0..1023."""
    check = (number * 37 + 11) % 64
    bits = [(number >> k) & 1 for k in range(10)] + [(check >> k) & 1 for k in range(6)]
    return np.array(bits, bool).reshape(4, 4)


def paint_number(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) of a number; size is (width, height)."""
    width, height = size
    rows = np.arange(height) * 4 // height
    columns = np.arange(width) * 4 // width
    shade = np.where(board(number)[rows][:, columns], LIGHT, DARK).astype(np.uint8)
    return np.repeat(shade[..., None], 3, axis=2)


def read_number(pixels: NDArray[np.uint8]) -> int | None:
    """The painted number, or None when the picture shows no valid board."""
    height, width = pixels.shape[:2]
    bits = []
    for row in range(4):
        for column in range(4):
            y, x = int((row + 0.5) * height / 4), int((column + 0.5) * width / 4)
            dy, dx = max(1, height // 16), max(1, width // 16)
            cell = pixels[max(0, y - dy) : y + dy, max(0, x - dx) : x + dx].mean()
            if abs(cell - (DARK + LIGHT) / 2) < 30:
                return None
            bits.append(cell > (DARK + LIGHT) / 2)
    number = sum(int(bit) << k for k, bit in enumerate(bits[:10]))
    return number if (board(number).reshape(-1) == np.array(bits)).all() else None


def write_video(
    path: Path,
    *,
    times: Sequence[Fraction | float] | None = None,
    count: int = 50,
    fps: Fraction | int = 25,
    size: tuple[int, int] = (160, 96),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    container_format: str | None = None,
    rotation: int = 0,
    pixel_shape: Fraction | None = None,
    time_base: Fraction | None = None,
    pictures: Sequence[NDArray[np.uint8]] | None = None,
    colour: dict[str, int] | None = None,
) -> list[float]:
    """Write a video whose k-th shown frame carries number k; returns the asked presentation times.

    times: seconds for each frame (variable rate); None gives a constant `fps` over `count` frames.
    """
    rate = Fraction(fps)
    if times is None:
        times = [Fraction(k) / rate for k in range(count)]
    base = time_base or (Fraction(1, 90000) if any(Fraction(t) * rate % 1 for t in times) else 1 / rate)
    with av.open(str(path), "w", format=container_format, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.time_base = base
        stream.codec_context.time_base = base
        if pixel_shape is not None:
            stream.codec_context.sample_aspect_ratio = pixel_shape
        if rotation:
            stream.set_display_rotation(rotation)
        for name, value in (colour or {}).items():
            setattr(stream.codec_context, name, value)
        for number, second in enumerate(times):
            upright = size[::-1] if rotation % 180 else size
            picture = pictures[number] if pictures is not None else paint_number(number, upright)
            picture = np.rot90(picture, -rotation // 90)  # stored lying, so that the display matrix raises it
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format=pixel_format)
            frame.time_base = base
            frame.pts = round(Fraction(second) / base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return [float(second) for second in times]

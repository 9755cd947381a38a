"""Frames as a server takes them: JPEGs in one data address, a small MP4, or images with their times.

Times go along in every way: as metadata of the JPEGs, as presentation times of the MP4, as text before each image.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from longshot.contracts import Frames
from longshot.pictures import fit

# Frame numbers that are sent count milliseconds: number / rate is then the frame's time, however irregular.
_RATE = 1000
_MICROSECOND = Fraction(1, 1_000_000)

# The digits of the probe, five columns by seven rows, one number for each row.
_DIGITS = {
    "2": (0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111),
    "4": (0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010),
    "7": (0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000),
}


@dataclass(frozen=True, slots=True)
class Pictures:
    """Frames as parts of a message, and the fields of the request body that belong to them."""

    parts: list[dict[str, Any]]
    fields: dict[str, Any] = field(default_factory=dict)


def pictures_of(frames: Frames, *, way: str, quality: int, side: int, marked: bool) -> Pictures:
    """Frames in one of the ways of `WAYS`; a single frame is one image in all of them.

    marked: whether each part carries a `uuid`, by which vLLM knows again what it has prepared before.
    """
    pixels = _shrunk(frames.pixels, side)
    times = [float(second) for second in frames.times]
    mark = {"uuid": _mark(pixels, times, way)} if marked else {}
    if len(frames) == 1:
        return Pictures([_image(jpegs(pixels, quality=quality)[0]) | mark])
    if way == "images":
        parts: list[dict[str, Any]] = []
        for k, (second, picture) in enumerate(zip(times, jpegs(pixels, quality=quality), strict=True)):
            own = {"uuid": _mark(pixels[k : k + 1], [], way)} if marked else {}
            parts += [{"type": "text", "text": f"<{_seconds(second)} seconds>"}, _image(picture) | own]
        return Pictures(parts)
    if way == "mp4":
        film = "data:video/mp4;base64," + _base64(mp4(pixels, times))
        # One field erases the other in vLLM, so only the number of frames is given: all of them.
        sampling = {"media_io_kwargs": {"video": {"num_frames": len(frames)}}}
        return Pictures([_video(film) | mark, *_time_line(times)], sampling)
    film = "data:video/jpeg;base64," + ",".join(map(_base64, jpegs(pixels, quality=quality)))
    return Pictures([_video(film) | mark], {"media_io_kwargs": {"video": metadata(times)}})


def metadata(times: Sequence[float]) -> dict[str, Any]:
    """What vLLM is told of frames that were picked before: frames_indices / fps is each one's time in seconds.

    [600.0, 602.5] gives indices [600000, 602500] at 1000 a second, of a video of 605 s: the last frame is taken to
    stay as long as the frames are apart. vLLM reads the first 32 pictures unless `num_frames` says how many there are.
    """
    apart = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
    duration = round(max(times[-1] + apart, 1 / _RATE), 3)
    return {
        "num_frames": len(times),
        "frames_indices": [round(second * _RATE) for second in times],
        "total_num_frames": max(round(duration * _RATE), round(times[-1] * _RATE) + 1, len(times)),
        "duration": duration,
        "fps": float(_RATE),
        "do_sample_frames": False,
    }


def jpegs(pixels: NDArray[np.uint8], *, quality: int) -> list[bytes]:
    """Each picture of (T, H, W, 3) as a JPEG file.

    FFmpeg's scale of 1 to 31 multiplies a table about five times coarser than the one of the usual 1 to 100, whose
    factor is (200 - 2 q) / 100 from 50 upwards and 50 / q below: 90 becomes 2, 80 becomes 3, 50 becomes 8.
    """
    factor = (200 - 2 * quality) / 100 if quality >= 50 else 50 / quality
    scale = min(31, max(1, round(8 * factor)))
    height, width = pixels.shape[1:3]
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "yuvj420p", Fraction(1, 25)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = scale
    files: list[bytes] = []
    for k, picture in enumerate(pixels):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format="yuvj420p")
        frame.pts = k
        files += map(bytes, encoder.encode(frame))
    return [*files, *map(bytes, encoder.encode(None))]


def mp4(pixels: NDArray[np.uint8], times: Sequence[float]) -> bytes:
    """The pictures (T, H, W, 3) as an H.264 file whose frames are shown at `times`, to the microsecond.

    H.264 wants even sides: an odd one grows by a pixel.
    """
    height, width = (length + length % 2 for length in pixels.shape[1:3])
    file = io.BytesIO()
    # No frames out of order: the first frame's decoding time would otherwise move its presentation time.
    options = {"crf": "18", "preset": "veryfast", "bf": "0", "threads": "1"}
    # The first frame's time is written in the file's own unit, a millisecond unless it is asked for finer.
    with av.open(file, "w", format="mp4", options={"movie_timescale": str(_MICROSECOND.denominator)}) as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = _MICROSECOND
        last = -1
        for picture, second in zip(pixels, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(width=width, height=height, format="yuv420p")
            frame.time_base = _MICROSECOND
            frame.pts = last = max(round(second / _MICROSECOND), last + 1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def probe_clip() -> tuple[Frames, str]:
    """Four seconds that show a 4, then a 7, then a 2, two frames each, and what should be read there."""
    shown = "472"
    pixels = np.stack([_digit_picture(digit) for digit in shown for _ in range(2)])
    return Frames(pixels, np.arange(len(pixels), dtype=np.float64) * 0.5), shown


def _digit_picture(digit: str) -> NDArray[np.uint8]:
    """A black digit on white, 168 x 168."""
    cells = np.array([[row >> (4 - column) & 1 for column in range(5)] for row in _DIGITS[digit]], np.uint8)
    picture = np.full((168, 168), 255, np.uint8)
    picture[14:154, 34:134] = 255 * (1 - np.kron(cells, np.ones((20, 20), np.uint8)))
    return np.repeat(picture[..., None], 3, axis=2)


def _shrunk(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Frames whose longest side has at most so many pixels; 0 leaves them."""
    height, width = pixels.shape[1:3]
    if not side or max(height, width) <= side:
        return pixels
    small = fit((width, height), width=side if width >= height else None, height=side if height > width else None)
    scaled = [
        av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        .reformat(width=small[0], height=small[1], format="rgb24", interpolation="AREA")
        .to_ndarray()
        for picture in pixels
    ]
    return np.stack(scaled)


def _time_line(times: Sequence[float]) -> list[dict[str, Any]]:
    """The times in words, where a server that divides frame numbers by a mean rate would get them wrong."""
    apart = (times[-1] - times[0]) / (len(times) - 1)
    if all(abs(second - k * apart) < 0.001 for k, second in enumerate(times)):
        return []
    return [{"type": "text", "text": f"The frames are at {', '.join(map(_seconds, times))} seconds."}]


def _seconds(second: float) -> str:
    """12.4, or 12.433 where a tenth would not be the time; no trailing zeros beyond the first."""
    whole, _, rest = f"{second:.3f}".partition(".")
    return f"{whole}.{rest.rstrip('0') or '0'}"


def _mark(pixels: NDArray[np.uint8], times: Sequence[float], way: str) -> str:
    """A name for prepared pictures: by pixels, times and way, since a server keeps the times with them."""
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16)
    digest.update(f"{pixels.shape}{way}{times}".encode())
    return digest.hexdigest()


def _image(file: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + _base64(file)}}


def _video(address: str) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": address}}


def _base64(file: bytes) -> str:
    return base64.b64encode(file).decode("ascii")

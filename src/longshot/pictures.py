"""A decoded frame as upright RGB pixels, or as a coarse thumbnail.

What stands between a decoder's planes and what a person would see: colour matrix and range, wide-gamut tone,
alpha, interlacing, rotation, pixel shape. Scaling happens in the decoder library's own scaler, before anything
reaches Python; thumbnails skip it and average the brightness plane directly, which costs a tenth as much.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorRange, Colorspace, Interpolation

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

COARSE_ROWS, COARSE_COLUMNS = 36, 64

# Numbers of ITU-T H.273, as decoders report them.
_MATRIX_RGB, _MATRIX_BT709, _MATRIX_UNSPECIFIED, _MATRIX_FCC, _MATRIX_240M, _MATRIX_BT2020 = 0, 1, 2, 4, 7, 9
_TRANSFER_PQ, _TRANSFER_HLG = 16, 18
_FULL_RANGE = 2

# What the coarse path reads straight from the planes, with its bits per sample.
_PLANAR = {
    "yuv420p": 8,
    "yuvj420p": 8,
    "yuv422p": 8,
    "yuvj422p": 8,
    "yuv444p": 8,
    "yuvj444p": 8,
    "yuv420p10le": 10,
    "yuv422p10le": 10,
    "yuv444p10le": 10,
    "yuv420p12le": 12,
    "yuv422p12le": 12,
    "yuv444p12le": 12,
}


@dataclass(frozen=True, slots=True)
class Turn:
    """How stored pixels are turned to stand upright: transpose first, then mirror."""

    transpose: bool = False
    mirror_columns: bool = False
    mirror_rows: bool = False

    def apply(self, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
        """Turn an array of (H, W, ...) by views alone."""
        if self.transpose:
            pixels = pixels.swapaxes(0, 1)
        if self.mirror_rows:
            pixels = pixels[::-1]
        if self.mirror_columns:
            pixels = pixels[:, ::-1]
        return pixels


def turn_of(frame: VideoFrame) -> Turn:
    """The turn that the frame's display matrix asks for, snapped to quarter turns and mirrors.

    The matrix maps stored (x, y) to shown (a·x + c·y, b·x + d·y); y points down. A phone's portrait video has
    a = d = 0, b = -1, c = 1: the stored right edge is shown at the top. Ask once for a stream, not for each
    frame: PyAV ties a frame that was asked into a reference cycle, and its pixels stay until the next collection.
    """
    matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)  # type: ignore[call-overload]
    if matrix is None:
        return Turn()
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(False, a < 0, d < 0)
    return Turn(True, c < 0, b < 0)


def shown_size(width: int, height: int, pixel_shape: Fraction | None, turn: Turn) -> tuple[int, int]:
    """(width, height) of the picture as shown: square pixels, upright.

    The height of the stored picture is kept and the width follows the pixel shape: 720x576 with 16:11 pixels is
    shown as 1047x576.
    """
    shape = pixel_shape if pixel_shape is not None and pixel_shape > 0 else Fraction(1)
    wide = max(1, round(width * shape))
    return (height, wide) if turn.transpose else (wide, height)


def fit(shown: tuple[int, int], *, width: int | None, height: int | None) -> tuple[int, int]:
    """The asked size: one side follows the other's scale, none asked keeps the shown size."""
    shown_width, shown_height = shown
    if width is not None and height is not None:
        return width, height
    if height is not None:
        return max(1, round(shown_width * height / shown_height)), height
    if width is not None:
        return width, max(1, round(shown_height * width / shown_width))
    return shown


class Painter:
    """Turns decoded frames into RGB of one size; the first frame settles it.

    A stream that changes its size half-way is scaled to the size it began with, so that batches stay arrays.
    """

    def __init__(
        self,
        *,
        width: int | None = None,
        height: int | None = None,
        pixel_shape: Fraction | None = None,
        turn: Turn | None = None,
        threads: int = 0,
    ) -> None:
        self._asked = (width, height)
        self._turn = turn or Turn()
        self._pixel_shape = pixel_shape
        self._threads = threads
        self._size: tuple[int, int] | None = None
        self._fields: dict[tuple[int, int, str], Graph] = {}

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of what `paint` returns; None before the first frame."""
        return self._size

    def paint(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The frame as uint8 (H, W, 3) RGB, upright; a fresh array."""
        if self._size is None:
            shown = shown_size(frame.width, frame.height, self._pixel_shape, self._turn)
            self._size = fit(shown, width=self._asked[0], height=self._asked[1])
        width, height = self._size[::-1] if self._turn.transpose else self._size
        if frame.interlaced_frame:
            frame = self._first_field(frame)
        pixels = self._upright_rgb(frame, width, height)
        return np.ascontiguousarray(self._turn.apply(pixels))

    def _first_field(self, frame: VideoFrame) -> VideoFrame:
        """One field of an interlaced frame: half the rows, no combing, and the right instant."""
        layout = frame.width, frame.height, frame.format.name
        if layout not in self._fields:
            self._fields[layout] = _field_graph(*layout)
        self._fields[layout].push(frame)
        field = self._fields[layout].pull()
        assert isinstance(field, av.VideoFrame)
        return field

    def _upright_rgb(self, frame: VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
        if int(frame.color_trc) in (_TRANSFER_PQ, _TRANSFER_HLG):
            deep = self._scaled(frame, width, height, "rgb48le")
            return _tone_mapped(deep, int(frame.color_trc))
        if any(component.is_alpha for component in frame.format.components):
            return _over_white(self._scaled(frame, width, height, "rgba"))
        return self._scaled(frame, width, height, "rgb24")

    def _scaled(self, frame: VideoFrame, width: int, height: int, pixel_format: str) -> NDArray[np.uint8]:
        smaller = width < frame.width or height < frame.height
        scaled = frame.reformat(
            width=width,
            height=height,
            format=pixel_format,
            src_colorspace=_matrix(frame),
            src_color_range=_range(frame),
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA if smaller else Interpolation.BICUBIC,
            threads=self._threads,
        )
        pixels: NDArray[np.uint8] = scaled.to_ndarray()  # type: ignore[assignment]
        return pixels


class Coarsener:
    """Averages brightness and colour planes down to a fixed small grid, without the scaler."""

    def __init__(self, turn: Turn | None = None) -> None:
        self._turn = turn or Turn()
        self._small = Painter(width=COARSE_COLUMNS * 2, height=COARSE_ROWS * 2, turn=turn, threads=1)

    def coarse(self, frame: VideoFrame) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Brightness float32 (36, 64) in 0..255 and colour differences float32 (18, 32, 2) around 0, upright."""
        turn = self._turn
        if frame.format.name not in _PLANAR:  # palettes, RGB and rarer layouts
            return _coarse_of_rgb(self._small.paint(frame))
        rows, columns = (COARSE_COLUMNS, COARSE_ROWS) if turn.transpose else (COARSE_ROWS, COARSE_COLUMNS)
        bits = _PLANAR[frame.format.name]
        unit = 1 << (bits - 8)
        full = _range(frame) == ColorRange.JPEG
        means = shrink(_plane(frame, 0, bits), rows, columns) / unit
        luma = means if full else (means - 16) * np.float32(255 / 219)
        differences = [shrink(_thinned(_plane(frame, i, bits)), rows // 2, columns // 2) for i in (1, 2)]
        chroma = (np.stack(differences, axis=-1) / unit - 128) * np.float32(1.0 if full else 255 / 224)
        upright = turn.apply(np.clip(luma, 0, 255)), turn.apply(chroma)
        return upright[0].astype(np.float32, copy=False), upright[1].astype(np.float32, copy=False)


def shrink(plane: NDArray[np.unsignedinteger], rows: int, columns: int) -> NDArray[np.float32]:
    """Area average of a plane (H, W) down to float32 (rows, columns).

    Rows are summed as integers in bands: the one pass over every pixel.
    """
    height, width = plane.shape
    if height < rows:
        stretched: NDArray[np.float32] = np.einsum("hr,hw->rw", _area_weights(height, rows), plane.astype(np.float32))
        return _shrunk_across(stretched, columns)
    deepest = np.iinfo(plane.dtype).max if plane.dtype == np.uint8 else (1 << 12) - 1
    tallest = -(-height // rows)
    total: type[np.unsignedinteger] = np.uint16 if tallest * deepest < 1 << 16 else np.uint32
    if height % rows == 0:
        bands = np.add.reduce(plane.reshape(rows, tallest, width), axis=1, dtype=total)
        means = bands.astype(np.float32) / np.float32(tallest)
    else:
        edges = [row * height // rows for row in range(rows + 1)]
        means = np.empty((rows, width), np.float32)
        for row, (top, bottom) in enumerate(pairwise(edges)):
            means[row] = np.add.reduce(plane[top:bottom], axis=0, dtype=total)
            means[row] /= bottom - top
    return _shrunk_across(means, columns)


def _shrunk_across(means: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """Average a few long rows (R, W) down to (R, columns).

    Plain sums rather than a matrix product: products this small wake the linear algebra library's threads, which
    then spin against the decoder's.
    """
    width = means.shape[1]
    if width % columns == 0:
        tight: NDArray[np.float32] = means.reshape(len(means), columns, width // columns).mean(axis=2)
        return tight
    if width < 4 * columns:
        exact: NDArray[np.float32] = np.einsum("rw,wc->rc", means, _area_weights(width, columns))
        return exact
    edges = np.arange(columns + 1) * width // columns
    sums: NDArray[np.float32] = np.add.reduceat(means, edges[:-1], axis=1)
    averages: NDArray[np.float32] = sums / np.diff(edges).astype(np.float32)
    return averages


@functools.lru_cache(maxsize=32)
def _area_weights(size: int, cells: int) -> NDArray[np.float32]:
    """(size, cells) weights that average `size` samples into `cells` equal stretches, fractions included."""
    edges = np.arange(cells + 1) * (size / cells)
    samples = np.arange(size)[:, None]
    shared = np.minimum(samples + 1, edges[1:]) - np.maximum(samples, edges[:-1])
    weights: NDArray[np.float32] = (np.clip(shared, 0, None) * (cells / size)).astype(np.float32)
    return weights


def _plane(frame: VideoFrame, index: int, bits: int) -> NDArray[np.unsignedinteger]:
    plane = frame.planes[index]
    kind: type[np.unsignedinteger] = np.uint8 if bits == 8 else np.uint16
    step = 1 if bits == 8 else 2
    samples: NDArray[np.unsignedinteger] = np.frombuffer(memoryview(plane), kind)
    return samples.reshape(plane.height, plane.line_size // step)[:, : plane.width]


def _thinned(plane: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    # Colour is smooth: every second row halves the cost and changes cell averages by less than noise does.
    return plane[: plane.shape[0] // 2 * 2 : 2] if plane.shape[0] >= 8 * COARSE_ROWS else plane


def _coarse_of_rgb(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    red, green, blue = (pixels[..., i].astype(np.float32) for i in range(3))
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    chroma = np.stack([(blue - luma) / 1.8556, (red - luma) / 1.5748], axis=-1)
    cells = chroma.reshape(COARSE_ROWS // 2, 4, COARSE_COLUMNS // 2, 4, 2).mean((1, 3))
    brightness: NDArray[np.float32] = luma.reshape(COARSE_ROWS, 2, COARSE_COLUMNS, 2).mean((1, 3))
    return brightness, cells


def _matrix(frame: VideoFrame) -> Colorspace | None:
    """The colour matrix: as tagged, or what untagged video of that size uses by convention (BT.601 below HD)."""
    tagged = int(frame.colorspace)
    if tagged == _MATRIX_RGB:
        return None
    if tagged == _MATRIX_UNSPECIFIED:
        return Colorspace.ITU709 if frame.height >= 720 or frame.width >= 1280 else Colorspace.ITU601
    known = {
        _MATRIX_BT709: Colorspace.ITU709,
        _MATRIX_FCC: Colorspace.FCC,
        _MATRIX_240M: Colorspace.SMPTE240M,
        _MATRIX_BT2020: Colorspace.BT2020,
    }
    return known.get(tagged, Colorspace.ITU601)


def _range(frame: VideoFrame) -> ColorRange:
    full = int(frame.color_range) == _FULL_RANGE or frame.format.name.startswith("yuvj") or frame.format.is_rgb
    return ColorRange.JPEG if full else ColorRange.MPEG


def _over_white(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Straight alpha laid over white, as a page shows it; uint8 (H, W, 4) to (H, W, 3)."""
    alpha = pixels[..., 3:].astype(np.uint16)
    mixed = pixels[..., :3] * alpha + 255 * (255 - alpha) + 127
    return (mixed // 255).astype(np.uint8)


def _field_graph(width: int, height: int, pixel_format: str) -> Graph:
    graph = Graph()
    graph.link_nodes(
        graph.add_buffer(width=width, height=height, format=av.VideoFormat(pixel_format), time_base=Fraction(1, 1000)),
        graph.add("field", "top"),
        graph.add("buffersink"),
    ).configure()
    return graph


@functools.lru_cache(maxsize=2)
def _light_table(transfer: int) -> NDArray[np.float32]:
    """Coded value (0..65535) to light, with 1.0 = reference white of 203 nits (ITU-R BT.2408)."""
    coded = np.arange(65536, dtype=np.float64) / 65535
    if transfer == _TRANSFER_PQ:  # SMPTE ST 2084
        root = coded ** (1 / 78.84375)
        nits = 10000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    else:  # ARIB STD-B67, shown on a 1000-nit screen: the system gamma of 1.2 is applied per channel
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
        nits = 1000 * scene**1.2
    return (nits / 203).astype(np.float32)


_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)


def _tone_mapped(pixels: NDArray[np.uint8] | NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """High dynamic range to what an ordinary screen shows: shades below half of white stay as they are.

    Above, the brightest channel is rolled off smoothly towards 1 and the other two follow, so hues stay.
    """
    light = _light_table(transfer)[pixels.astype(np.uint16, copy=False)] @ _BT2020_TO_BT709.T
    light = np.maximum(light, 0)
    peak = light.max(axis=-1, keepdims=True)
    rolled = np.where(peak <= 0.5, peak, 0.5 + 0.5 * np.tanh((peak - 0.5) / 0.5))
    shown = light * (rolled / np.maximum(peak, 1e-6))
    coded = np.where(shown <= 0.0031308, 12.92 * shown, 1.055 * shown ** (1 / 2.4) - 0.055)  # sRGB
    shades: NDArray[np.uint8] = (np.clip(coded, 0, 1) * 255 + 0.5).astype(np.uint8)
    return shades

"""How the picture moves between coarse frames: the camera's part of it, and what moves by itself.

Two coarse luma pictures are laid over each other by one similarity (shift, growth, turn) that most of the picture
agrees on, with a change of light solved along; what does not agree moves by itself. All of it describes the
content: when the camera pans right, the content moves left and `right` is negative.

    tracker = Tracker()
    for glance in scan:                       # every frame's luma, (T, 36, 64)
        tracker.see(glance.times, glance.luma, aspect=16 / 9)
    tracker.steps()                           # one row about every 0.2 s: shake, quick moves
    tracker.strides()                         # one row about every 0.4 s: slow moves, what moves by itself
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from longshot.errors import UsageError
from longshot.timeline import Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

ROWS, COLUMNS = 36, 64
CELL_ROWS, CELL_COLUMNS = 6, 8  # cells per picture; each is 6 x 8 coarse pixels

STEP, STRIDE, LONGEST = 0.19, 0.38, 1.1  # seconds between the two pictures of a row

_ROUGH, _FINE = 4, 3  # most iterations on halved and on whole pictures
_CHUNK = 16
_TEXTURE = 4.0  # mean squared gradient (levels per coarse pixel) from which a cell can show where it went
_HARD = 30.0  # squared gradient at which a pixel has half of the most it can weigh
_DOUBTFUL = 0.6  # share below which other first guesses are tried
_SUPPORT = 0.55  # share of the textured cells that must agree before it is called the camera
_STILL = 0.12  # mean absolute difference (levels) below which two pictures are the same one


@dataclass(frozen=True, slots=True)
class Moves:
    """Rows of measured movement between two pictures, P of them in time order.

    starts, ends: float64 (P,), seconds of the two pictures.
    right, down: float32 (P,), how far the content went, both in picture widths. growth: natural logarithm of its
    scale (0.1: ten per cent larger). turn: degrees clockwise.
    support: float32 (P,), share of the textured cells that this movement explains, 0..1.
    known: bool (P,), whether it may be called the camera's.
    moving: uint8 (P, 6, 8), root-mean-square difference in levels left in each cell after the camera's part.
    textured: bool (P, 6, 8), cells with enough structure to tell.
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    right: Floats
    down: Floats
    growth: Floats
    turn: Floats
    support: Floats
    known: NDArray[np.bool_]
    moving: NDArray[np.uint8]
    textured: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts)

    def within(self, span: Span) -> Moves:
        """The rows whose two pictures both lie inside `span`."""
        first = int(np.searchsorted(self.starts, span.start - 1e-6))
        last = int(np.searchsorted(self.ends, span.end - 1e-6))
        return self[first : max(first, last)]

    def __getitem__(self, which: slice) -> Moves:
        return Moves(*(getattr(self, field.name)[which] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class _Fit:
    """Movement of B pairs: parameters (B, 6) and what speaks for them."""

    parameters: Floats
    support: Floats
    known: NDArray[np.bool_]
    moving: NDArray[np.uint8]
    textured: NDArray[np.bool_]

    def only(self, which: NDArray[np.bool_]) -> _Fit:
        """The pairs where `which` holds."""
        return _Fit(*(getattr(self, field.name)[which] for field in fields(self)))

    def replace(self, where: NDArray[np.bool_], other: _Fit) -> None:
        """Take the rows `where` from `other`, which holds just those rows."""
        for field in fields(self):
            getattr(self, field.name)[where] = getattr(other, field.name)


class _Grid:
    """Coordinates of the coarse pixels in picture widths, the origin at the centre, y pointing down."""

    def __init__(self, aspect: float, rows: int = ROWS, columns: int = COLUMNS) -> None:
        self.rows, self.columns = rows, columns
        self.per_x = float(columns)
        self.per_y = rows * aspect
        column, row = np.meshgrid(np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32))
        self.x = ((column + 0.5 - columns / 2) / self.per_x).astype(np.float32).ravel()
        self.y = ((row + 0.5 - rows / 2) / self.per_y).astype(np.float32).ravel()


def _soften(pictures: Floats) -> Floats:
    """A 3 x 3 binomial blur of (B, 36, 64): gradients of the raw thumbnails are too jagged to follow."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) * np.float32(0.25)
    return np.asarray((rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) * np.float32(0.25))


def _gradients(pictures: Floats) -> tuple[Floats, Floats]:
    """Central differences of (B, 36, 64) along columns and rows, levels per coarse pixel."""
    across, along = np.zeros_like(pictures), np.zeros_like(pictures)
    across[:, :, 1:-1] = (pictures[:, :, 2:] - pictures[:, :, :-2]) * np.float32(0.5)
    along[:, 1:-1] = (pictures[:, 2:] - pictures[:, :-2]) * np.float32(0.5)
    return across, along


def _warp(pictures: Floats, parameters: Floats, grid: _Grid) -> tuple[Floats, Floats]:
    """Look up (B, N) pictures where the movement took each pixel; also 1.0 where that is inside, else 0.0."""
    shift_x, shift_y, growth, turn = (parameters[:, k : k + 1] for k in range(4))
    column = (grid.x * (1 + growth) - grid.y * turn + shift_x) * np.float32(grid.per_x) + np.float32(
        grid.columns / 2 - 0.5
    )
    row = (grid.y * (1 + growth) + grid.x * turn + shift_y) * np.float32(grid.per_y) + np.float32(grid.rows / 2 - 0.5)
    inside = (column >= 0) & (column <= grid.columns - 1) & (row >= 0) & (row <= grid.rows - 1)
    np.clip(column, 0, grid.columns - 1.001, out=column)
    np.clip(row, 0, grid.rows - 1.001, out=row)
    left, top = column.astype(np.int32), row.astype(np.int32)
    column -= left
    row -= top
    index = top * grid.columns + left
    index += (np.arange(len(pictures), dtype=np.int32) * (grid.rows * grid.columns))[:, None]
    flat = pictures.reshape(-1)
    upper = flat.take(index)
    upper += column * (flat.take(index + 1) - upper)
    index += grid.columns
    lower = flat.take(index)
    lower += column * (flat.take(index + 1) - lower)
    upper += row * (lower - upper)
    return upper, inside.astype(np.float32)


def _bars(before: Floats, after: Floats) -> Floats:
    """1.0 for pixels of the picture, 0.0 for black letterbox bars and the row or column next to them, (B, 2304)."""
    dark = np.maximum(before, after) < 24
    rows, columns = np.asarray(dark.all(axis=2)), np.asarray(dark.all(axis=1))
    rows[:, 1:-1] |= rows[:, :-2] | rows[:, 2:]
    columns[:, 1:-1] |= columns[:, :-2] | columns[:, 2:]
    shown = ~(rows[:, :, None] | columns[:, None, :])
    return shown.reshape(len(before), -1).astype(np.float32)


def _cells(values: Floats) -> Floats:
    """Sums over the cells of (B, 2304), giving (B, 6, 8)."""
    shape = (len(values), CELL_ROWS, ROWS // CELL_ROWS, CELL_COLUMNS, COLUMNS // CELL_COLUMNS)
    return np.asarray(values.reshape(shape).sum(axis=(2, 4)), np.float32)


class _Pairs:
    """B pairs of pictures (B, rows, columns) prepared for fitting."""

    def __init__(self, before: Floats, after: Floats, grid: _Grid) -> None:
        count = len(before)
        self.grid = grid
        self.mask = _bars(before, after)
        self.before, self.after = _soften(before).reshape(count, -1), _soften(after).reshape(count, -1)
        across, along = (part.reshape(count, -1) for part in _gradients(self.before.reshape(before.shape)))
        self.energy = (across * across + along * along) * self.mask
        # A few hard edges on a subject must not outweigh the soft rest of the picture.
        self.vote = self.mask * np.float32(_HARD) / (self.energy + np.float32(_HARD))
        across, along = across * np.float32(grid.per_x), along * np.float32(grid.per_y)
        level = self.before - self.before.mean(axis=1, keepdims=True)
        self.slopes = np.stack(
            [across, along, across * grid.x + along * grid.y, along * grid.x - across * grid.y,
             level, np.ones_like(level)],
            axis=1,
        )  # fmt: skip

    def only(self, which: NDArray[np.bool_]) -> _Pairs:
        """The pairs where `which` holds."""
        part = object.__new__(_Pairs)
        part.grid = self.grid
        for name in ("mask", "before", "after", "energy", "vote", "slopes"):
            setattr(part, name, getattr(self, name)[which])
        return part

    def residual(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Difference left after the movement and the change of light, and where it counts, both (B, 2304)."""
        warped, inside = _warp(self.after, parameters, self.grid)
        warped -= self.before
        warped -= parameters[:, 4:5] * self.slopes[:, 4] + parameters[:, 5:6]
        inside *= self.mask
        return warped, inside

    def improve(self, parameters: Floats, iterations: int) -> Floats:
        """Better `parameters` (B, 6) by reweighted least squares (Gauss-Newton, gradients of the first picture)."""
        for _ in range(iterations):
            error, counted = self.residual(parameters)
            spread = np.maximum(np.median(np.abs(error[:, ::5]), axis=1, keepdims=True) * 3.0, 2.0)
            weight = counted * self.vote / (1 + (error / spread) ** 2) ** 2
            weighted = self.slopes * weight[:, None]
            system = weighted @ self.slopes.transpose(0, 2, 1)
            diagonal = np.einsum("bii->bi", system)
            diagonal += diagonal * np.float32(1e-4) + np.float32(1e-2)
            change = np.linalg.solve(system, (weighted @ error[:, :, None]))[:, :, 0]
            change[:, :4] *= -1
            parameters = parameters + change
            np.clip(parameters, _LOWEST, _HIGHEST, out=parameters)
            if (np.abs(change[:, :4]) < _SETTLED).all():
                break
        return parameters

    def judge(self, parameters: Floats) -> _Fit:
        """How much of the picture a movement explains, and what it leaves over."""
        error, counted = self.residual(parameters)
        area = _cells(counted)
        seen = area >= 12
        left = _cells(error * error * counted) / np.maximum(area, 1)
        texture = _cells(self.energy) / (ROWS // CELL_ROWS * (COLUMNS // CELL_COLUMNS))
        textured = (texture > _TEXTURE) & seen
        agrees = textured & (left < 2 + 0.12 * texture)
        total = textured.sum(axis=(1, 2))
        support = agrees.sum(axis=(1, 2)) / np.maximum(total, 1)
        sides = agrees[:, 0].any(1) * 1 + agrees[:, -1].any(1) + agrees[:, :, 0].any(1) + agrees[:, :, -1].any(1)
        known = (total >= 8) & (support >= _SUPPORT) & (sides >= 2)
        moving = np.minimum(np.sqrt(left) * seen, 255).astype(np.uint8)
        return _Fit(parameters, support.astype(np.float32), known, moving, textured)


_HIGHEST = np.array([0.6, 0.45, 0.4, 0.5, 1.0, 80.0], np.float32)
_LOWEST = -_HIGHEST
_SETTLED = np.array([3e-4, 3e-4, 6e-4, 6e-4], np.float32)  # about a fiftieth of a coarse pixel


def _far_shift(before: Floats, after: Floats, grid: _Grid) -> Floats:
    """The shift of each pair by phase correlation, for moves too long to climb to, as parameters (B, 6)."""
    window = (np.hanning(ROWS + 2)[1:-1, None] * np.hanning(COLUMNS + 2)[None, 1:-1]).astype(np.float32)
    first, second = (
        np.fft.rfft2((part - part.mean(axis=1, keepdims=True)).reshape(-1, ROWS, COLUMNS) * window)
        for part in (before, after)
    )
    cross = second * np.conj(first)
    peaks = np.fft.irfft2(cross / (np.abs(cross) + 50.0), s=(ROWS, COLUMNS))
    best = peaks.reshape(len(before), -1).argmax(axis=1)
    row, column = np.divmod(best, COLUMNS)
    parameters = np.zeros((len(before), 6), np.float32)
    parameters[:, 0] = np.where(column > COLUMNS // 2, column - COLUMNS, column) / grid.per_x
    parameters[:, 1] = np.where(row > ROWS // 2, row - ROWS, row) / grid.per_y
    return parameters


def _halve(pictures: Floats) -> Floats:
    """2 x 2 means of (B, rows, columns)."""
    rows = pictures[:, ::2] + pictures[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) * np.float32(0.25)


def _fit_chunk(before: Floats, after: Floats, start: Floats, aspect: float) -> _Fit:
    """Fit pairs (B, 36, 64), coarse to fine, with other first guesses where the first one leads nowhere."""
    rough = _Pairs(_halve(before), _halve(after), _Grid(aspect, ROWS // 2, COLUMNS // 2))
    pairs = _Pairs(before, after, _Grid(aspect))
    fit = _climb(rough, pairs, start)
    if (fit.support < _DOUBTFUL).any():
        far = _far_shift(pairs.before, pairs.after, pairs.grid)
        _retry(rough, pairs, fit, far)
    best = int(fit.support.argmax())
    # A camera seldom changes what it does within a second or two: its best understood moment helps the others.
    if fit.support[best] > _SUPPORT and (fit.support < _SUPPORT).any():
        _retry(rough, pairs, fit, np.repeat(fit.parameters[best : best + 1], len(before), axis=0))
    return fit


def _climb(rough: _Pairs, pairs: _Pairs, start: Floats) -> _Fit:
    return pairs.judge(pairs.improve(rough.improve(start, _ROUGH), _FINE))


def _retry(rough: _Pairs, pairs: _Pairs, fit: _Fit, start: Floats) -> None:
    """Fit the doubtful pairs again from another start and keep what explains clearly more."""
    doubtful = fit.support < _DOUBTFUL
    again = _climb(rough.only(doubtful), pairs.only(doubtful), start[doubtful])
    better = again.support > fit.support[doubtful] + 0.1
    where = np.zeros_like(doubtful)
    where[doubtful] = better
    fit.replace(where, again.only(better))


def register(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    *,
    aspect: float = 16 / 9,
    start: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], _Fit]:
    """Lay pairs of coarse pictures over each other.

    before, after: float32 (B, 36, 64) luma of the earlier and the later picture. aspect: width over height of the
    picture. start: (B, 4) first guesses.

    Returns the movement of the content, float32 (B, 4): right and down in picture widths, growth as a natural
    logarithm, turn in degrees clockwise; and the fit behind it.
    """
    first = np.zeros((len(before), 6), np.float32)
    if start is not None:
        first[:, :4] = start
        first[:, 2] = np.exp(start[:, 2]) * np.cos(np.radians(start[:, 3])) - 1
        first[:, 3] = np.exp(start[:, 2]) * np.sin(np.radians(start[:, 3]))
    parts = [
        _fit_chunk(before[at : at + _CHUNK], after[at : at + _CHUNK], first[at : at + _CHUNK], aspect)
        for at in range(0, len(before), _CHUNK)
    ]
    fit = _Fit(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(_Fit)))
    moves = fit.parameters[:, :4].copy()
    moves[:, 2] = np.log(np.hypot(1 + fit.parameters[:, 2], fit.parameters[:, 3]))
    moves[:, 3] = np.degrees(np.arctan2(fit.parameters[:, 3], 1 + fit.parameters[:, 2]))
    return moves, fit


def _register_changed(before: Floats, after: Floats, changed: NDArray[np.bool_], aspect: float) -> tuple[Floats, _Fit]:
    """As `register`, without work for pairs of the same picture: these are judged at rest."""
    moves = np.zeros((len(before), 4), np.float32)
    fit = _Pairs(before, after, _Grid(aspect)).judge(np.zeros((len(before), 6), np.float32))
    if changed.any():
        moves[changed], found = register(before[changed], after[changed], aspect=aspect)
        fit.replace(changed, found)
    return moves, fit


class _Rows:
    """Grows a table of `Moves` by pieces and keeps it small."""

    def __init__(self) -> None:
        self._pieces: list[Moves] = []

    def add(self, times: NDArray[np.float64], moves: Floats, fit: _Fit) -> None:
        """Append rows; times is (B, 2), moves (B, 4)."""
        if len(times):
            right, down, growth, turn = (np.ascontiguousarray(moves[:, k]) for k in range(4))
            starts, ends = times[:, 0].copy(), times[:, 1].copy()
            self._pieces.append(
                Moves(starts, ends, right, down, growth, turn, fit.support, fit.known, fit.moving, fit.textured)
            )

    def table(self) -> Moves:
        """All rows so far as one table."""
        if len(self._pieces) != 1:
            empty = np.zeros(0, np.float32)
            cells = np.zeros((0, CELL_ROWS, CELL_COLUMNS))
            none = Moves(
                empty.astype(np.float64), empty.astype(np.float64), empty, empty, empty, empty, empty,
                empty.astype(np.bool_), cells.astype(np.uint8), cells.astype(np.bool_),
            )  # fmt: skip
            pieces = [none, *self._pieces]
            columns = (np.concatenate([getattr(piece, field.name) for piece in pieces]) for field in fields(Moves))
            self._pieces = [Moves(*columns)]
        return self._pieces[0]


class Tracker:
    """Follows the movement through one pass of coarse frames, in memory that grows by some 1.2 kB per second."""

    def __init__(self) -> None:
        self._steps, self._strides = _Rows(), _Rows()
        self._last: tuple[float, Floats] | None = None  # the latest picked picture
        self._anchor: tuple[float, Floats] | None = None  # the first picture of the stride under way
        self._gone = np.zeros(4, np.float32)  # movement since the anchor

    def see(self, times: NDArray[np.float64], luma: NDArray[np.float32], *, aspect: float = 16 / 9) -> None:
        """Take the next frames: times (T,) in seconds, luma (T, 36, 64), 0..255."""
        if luma.shape[1:] != (ROWS, COLUMNS) or len(times) != len(luma):
            raise UsageError(f"coarse frames are (T, {ROWS}, {COLUMNS}) with T times, got {luma.shape}, {len(times)}")
        picked = list(self._pick(times))
        if not picked:
            return
        moments = times[picked]
        pictures = luma[picked]
        if self._last is None:
            self._last = self._anchor = (float(moments[0]), pictures[0].copy())
        self._follow(moments, pictures, aspect)
        self._last = (float(moments[-1]), pictures[-1].copy())

    def steps(self) -> Moves:
        """Rows about 0.2 s long (or one frame, where frames are further apart)."""
        return self._steps.table()

    def strides(self) -> Moves:
        """Rows about 0.5 s long, none across a cut."""
        return self._strides.table()

    def _pick(self, times: NDArray[np.float64]) -> Iterator[int]:
        latest = self._last[0] if self._last else -np.inf
        for index, second in enumerate(times.tolist()):
            if second >= latest + STEP:
                latest = second
                yield index

    def _follow(self, moments: NDArray[np.float64], pictures: Floats, aspect: float) -> None:
        assert self._last is not None
        moments = np.concatenate([[self._last[0]], moments])
        pictures = np.concatenate([self._last[1][None], pictures])
        if moments[0] == moments[1]:
            moments, pictures = moments[1:], pictures[1:]
        if len(moments) < 2:
            return
        pairs = np.stack([moments[:-1], moments[1:]], axis=1)
        near = np.diff(moments) <= LONGEST
        changed = np.abs(np.diff(pictures, axis=0)).mean(axis=(1, 2))
        moves, fit = _register_changed(pictures[:-1], pictures[1:], changed > _STILL, aspect)
        self._steps.add(pairs[near], moves[near], fit.only(near))
        # A pair that little explains is a cut or near it: no stride reaches across.
        broken = ~near | (fit.support < 0.3) & (changed > 12)
        self._stride(moments, pictures, moves, broken, aspect)

    def _stride(
        self, moments: NDArray[np.float64], pictures: Floats, moves: Floats, broken: NDArray[np.bool_], aspect: float
    ) -> None:
        assert self._anchor is not None
        times, pairs, guesses = [], [], []
        anchor, gone = self._anchor, self._gone
        for index in range(1, len(moments)):
            here = (float(moments[index]), pictures[index])
            if broken[index - 1]:
                anchor, gone = here, np.zeros(4, np.float32)
                continue
            gone = gone + moves[index - 1]
            if here[0] - anchor[0] >= STRIDE:
                times.append((anchor[0], here[0]))
                pairs.append((anchor[1], here[1]))
                guesses.append(gone)
                anchor, gone = here, np.zeros(4, np.float32)
        self._anchor, self._gone = (anchor[0], anchor[1].copy()), gone
        if times:
            before, after = np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs])
            found, fit = register(before, after, aspect=aspect, start=np.stack(guesses))
            self._strides.add(np.array(times), found, fit)

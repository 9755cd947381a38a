"""Vectors of stretches of video, and their Parquet file.

One row for each stretch (or, where an encoder keeps one a frame, for each frame of it):

    video   string          the content id of the video
    name    string          its file name, for people
    start   double          seconds; the stretch is [start, end)
    end     double
    times   list<double>    the true times of the frames behind the vector
    vector  fixed_size_list<float>[D]   of length 1

The schema's metadata holds, under "longshot", who made them: {"format": 1, "encoder": {"model": ..., "revision": ...,
"settings": {...}}, "settings": {...}}. Any Parquet reader can use the file; a folder of them is one table.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longshot.errors import FormatError, MissingPackage, UsageError
from longshot.timeline import Source, Span

FORMAT = 1


@dataclass(frozen=True)
class Vectors:
    """Unit rows (N, D), float32, with what each stands for.

    videos, names, spans, times: one for each row. source: the encoder, and how the stretches were chosen.
    """

    rows: NDArray[np.float32]
    videos: tuple[str, ...]
    names: tuple[str, ...]
    spans: tuple[Span, ...]
    times: tuple[tuple[float, ...], ...]
    source: Source

    def __post_init__(self) -> None:
        counts = {len(self.rows), len(self.videos), len(self.names), len(self.spans), len(self.times)}
        if self.rows.ndim != 2 or len(counts) != 1:
            raise UsageError(f"vectors need one row for each stretch, got {self.rows.shape} for {len(self.spans)}")

    def __len__(self) -> int:
        return len(self.rows)


def joined(parts: Sequence[Vectors]) -> Vectors:
    """Vectors of several videos as one. Raises UsageError when there are none, or of different encoders."""
    if not parts:
        raise UsageError("no vectors to join")
    sources = {json.dumps(_described(part.source), sort_keys=True) for part in parts}
    if len(sources) > 1:
        raise UsageError("vectors of different encoders or settings do not belong in one file")
    return Vectors(
        np.concatenate([part.rows for part in parts]),
        tuple(one for part in parts for one in part.videos),
        tuple(one for part in parts for one in part.names),
        tuple(one for part in parts for one in part.spans),
        tuple(one for part in parts for one in part.times),
        parts[0].source,
    )


def write_vectors(vectors: Vectors, path: str | os.PathLike[str]) -> Path:
    """Write a Parquet file, whole or not at all. Raises MissingPackage without pyarrow, UsageError for a bad place."""
    pyarrow, parquet = _arrow()
    path = Path(path)
    width = vectors.rows.shape[1]
    flat = pyarrow.array(np.ascontiguousarray(vectors.rows, dtype=np.float32).reshape(-1))
    columns = {
        "video": pyarrow.array(vectors.videos, pyarrow.string()),
        "name": pyarrow.array([_written(name) for name in vectors.names], pyarrow.string()),
        "start": pyarrow.array([span.start for span in vectors.spans], pyarrow.float64()),
        "end": pyarrow.array([span.end for span in vectors.spans], pyarrow.float64()),
        "times": pyarrow.array([list(times) for times in vectors.times], pyarrow.list_(pyarrow.float64())),
        "vector": pyarrow.FixedSizeListArray.from_arrays(flat, width),
    }
    table = pyarrow.table(columns).replace_schema_metadata({"longshot": json.dumps(_described(vectors.source))})
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(
            table, part, compression="zstd", use_byte_stream_split=["vector"], use_dictionary=["video", "name"]
        )
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise UsageError(f"{path}: cannot be written ({error.strerror or error}); name another place") from error
    return path


def read_vectors(path: str | os.PathLike[str]) -> Vectors:
    """Read a file that `write_vectors` wrote. Raises FormatError for another one, MissingPackage without pyarrow."""
    pyarrow, parquet = _arrow()
    path = Path(path)
    try:
        table = parquet.read_table(path)
        said = json.loads((table.schema.metadata or {})[b"longshot"])
        if said["format"] != FORMAT:
            raise FormatError(f"{path}: its format is {said['format']}, and this version reads {FORMAT}")
        column = table.column("vector").combine_chunks()
        rows = np.asarray(column.flatten(), dtype=np.float32).reshape(len(table), column.type.list_size)
        starts, ends = table.column("start").to_pylist(), table.column("end").to_pylist()
        made = Source("embed", said["encoder"]["model"], said["encoder"]["revision"], _settings(said))
        return Vectors(
            rows,
            tuple(table.column("video").to_pylist()),
            tuple(table.column("name").to_pylist()),
            tuple(Span(start, end) for start, end in zip(starts, ends, strict=True)),
            tuple(tuple(times) for times in table.column("times").to_pylist()),
            made,
        )
    except (OSError, KeyError, TypeError, ValueError, UsageError, pyarrow.ArrowException) as error:
        raise FormatError(f"{path}: is no file of vectors ({' '.join(str(error).split())[:200]})") from error


def _described(source: Source) -> dict[str, Any]:
    settings = dict(source.settings)
    own = settings.pop("encoder", {})
    return {
        "format": FORMAT,
        "encoder": {"model": source.model, "revision": source.revision, "settings": own},
        "settings": settings,
    }


def _settings(said: dict[str, Any]) -> dict[str, Any]:
    return {**said["settings"], "encoder": said["encoder"]["settings"]}


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingPackage("pyarrow", "models") from error
    return pyarrow, parquet


def _written(name: str) -> str:
    """A file's name as text: bytes in it that are none, which a disk may hold, become question marks."""
    return name.encode("utf-8", "replace").decode()

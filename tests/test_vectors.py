from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longshot.errors import FormatError, UsageError
from longshot.pooling import unit
from longshot.timeline import Source, Span
from longshot.vectors import Vectors, joined, read_vectors, write_vectors

SOURCE = Source("embed", "tiny", "abc", {"encoder": {"pooling": "mean"}, "every": 4.0, "frames": 8})


def vectors(count: int = 3, source: Source = SOURCE) -> Vectors:
    rows = unit(np.random.default_rng(0).normal(size=(count, 5))) if count else np.zeros((0, 5), np.float32)
    spans = tuple(Span(0.1 * i, 0.1 * i + 1 / 3) for i in range(count))
    return Vectors(rows, ("ab12",) * count, ("füm.mp4",) * count, spans, ((1 / 3, 0.5),) * count, source)


@pytest.mark.parametrize("count", [0, 1, 300])
def test_what_is_written_comes_back_to_the_bit(tmp_path: Path, count: int) -> None:
    made = vectors(count)
    back = read_vectors(write_vectors(made, tmp_path / "deep" / "v.parquet"))
    np.testing.assert_array_equal(back.rows, made.rows)
    assert back.rows.dtype == np.float32 and back.rows.shape == (count, 5)
    assert (back.spans, back.videos, back.names, back.times) == (made.spans, made.videos, made.names, made.times)
    assert back.source == made.source
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["v.parquet"]


def test_another_program_can_read_it(tmp_path: Path) -> None:
    table = pq.read_table(write_vectors(vectors(2), tmp_path / "v.parquet"))
    assert table.column_names == ["video", "name", "start", "end", "times", "vector"]
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 5)


def test_parts_join_when_they_are_of_one_kind() -> None:
    assert len(joined([vectors(2), vectors(3)])) == 5
    with pytest.raises(UsageError, match="different encoders"):
        joined([vectors(2), vectors(2, Source("embed", "other", "abc", SOURCE.settings))])
    with pytest.raises(UsageError, match="no vectors"):
        joined([])


def test_rows_and_spans_must_agree() -> None:
    with pytest.raises(UsageError, match="one row for each"):
        Vectors(np.zeros((2, 5), np.float32), ("a",), ("a",), (Span(0, 1),), ((0.0,),), SOURCE)


def spoil(path: Path, how: str) -> None:
    match how:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("id,vector\n")
        case "torn":
            path.write_bytes(path.read_bytes()[:-20])
        case "gone":
            path.unlink()
        case "not ours":
            pq.write_table(pa.table({"vector": [[1.0]]}), path)
        case "no vectors":
            pq.write_table(pq.read_table(path).drop_columns("vector"), path)
        case "another format":
            table = pq.read_table(path)
            said = table.schema.metadata[b"longshot"].replace(b'"format": 1', b'"format": 9')
            pq.write_table(table.replace_schema_metadata({b"longshot": said}), path)


@pytest.mark.parametrize("how", ["empty", "text", "torn", "gone", "not ours", "no vectors", "another format"])
def test_what_is_no_file_of_vectors_is_refused(tmp_path: Path, how: str) -> None:
    path = write_vectors(vectors(), tmp_path / "v.parquet")
    spoil(path, how)
    with pytest.raises(FormatError, match=r"v\.parquet") as caught:
        read_vectors(path)
    assert "\n" not in str(caught.value)


def test_a_place_inside_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"x")
    with pytest.raises(UsageError, match="cannot be written"):
        write_vectors(vectors(), tmp_path / "picture.png" / "v.parquet")

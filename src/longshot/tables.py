"""The index of a library: one row for each caption, searched by words and by vectors.

    index = Index.open("~/library", create=True)
    index.put(record, tracks, digest="91ab…")          # all captions of one video, in place of what was there
    index.finish()                                      # once after many: compact, bring the search indexes up to date
    index.words("telescope", where=Filter(levels=("speech",)))
    index.near(column, vector, limit=10)

It is a cache: the tracks are the truth, and an index that is lost or damaged is made again from them. Three LanceDB
tables lie in <library>/index (or at any place that LanceDB takes): `captions`, `videos` (which video is in, and what
its tracks were then) and `looks` (fingerprints of frames). A video's line in `videos` is written after its captions,
so a kill in between leaves a video that is not in yet.
"""

from __future__ import annotations

import gc
import hashlib
import inspect
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longshot.errors import Busy, LongshotError, UsageError
from longshot.library import VideoRecord
from longshot.terms import ANALYSIS, asked, fold, lancedb, phrase_at
from longshot.timeline import Source, Span, Track

VERSION = 2
_AT_ONCE = 20_000  # rows that are written together
_KEPT = timedelta(minutes=10)  # a reader that opened the index before a writer finished goes on that long
_TEXTS = "text_idx"
_WAITING = 1000  # rows that a search reads beside its indexes, in about 10 ms
_MANY = 50_000  # rows from which on a search index of vectors is worth its making
_LONG = 256  # numbers in a vector
_PROBES = 32  # clusters that are looked into, of as many as half the root of the rows
_CANDIDATES = 100  # at least so many rows are compared exactly: so 97 of the true nearest 100 are found, in a million
# What rows are chosen by, and `entry`: all that is told of a caption, as JSON. To take ten rows costs half a
# millisecond for each column of theirs.
_FIELDS = ("id", "video", "level", "start", "stop", "text", "entry")


class NoIndex(LongshotError):
    """There is no index where one was looked for."""


class IndexDamaged(LongshotError):
    """The index cannot be read, or was written by another version; the tracks are not touched by that."""


class Entry(NamedTuple):
    """One caption of one level in the index.

    id: its name in the video, "clip-0003". source: who made the track, in words. score: BM25 of words, or the cosine of
    vectors; 0.0 where neither was asked for.
    """

    id: str
    video: str
    level: str
    span: Span
    text: str
    source: str
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Filter:
    """Which captions may be found; empty and None let all pass.

    after, before: seconds of the video between which the caption begins, `before` itself not included. longer_than,
    shorter_than: seconds that the caption lasts.
    """

    levels: Sequence[str] = ()
    videos: Sequence[str] = ()
    after: float | None = None
    before: float | None = None
    longer_than: float | None = None
    shorter_than: float | None = None

    def sql(self) -> str:
        """The condition on a row, "" for none. Raises UsageError for seconds that are no number."""
        parts = [_among("level", self.levels), _among("video", self.videos)]
        for name, left, sign in _LIMITS:
            value = getattr(self, name)
            if value is not None:
                parts.append(f"{left} {sign} {_number(name, value)}")
        return " AND ".join(part for part in parts if part)


_LIMITS = (
    ("after", "start", ">="),
    ("before", "start", "<"),
    ("longer_than", "(stop - start)", ">"),
    ("shorter_than", "(stop - start)", "<"),
)


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the index holds of one video.

    digest: of the tracks it was made from. rows: how many captions. columns: those of vectors that were filled, "looks"
    among them.
    """

    video: str
    digest: str
    rows: int
    name: str = ""
    path: str = ""
    duration: float | None = None
    columns: tuple[str, ...] = ()


class Index:
    """The captions of a library, open for searching and writing. `Index.open` makes one.

    It shows the library as it was when it was opened or last refreshed, with what was put through it since. Errors of
    every method: IndexDamaged for files that cannot be read, LongshotError for a disk that takes nothing.
    """

    def __init__(self, place: str, database: Any, captions: Any, videos: Any) -> None:
        self.place = place
        self._database, self._captions, self._videos = database, captions, videos
        self._looks: Any = None
        self._known: dict[str, Indexed] | None = None

    @classmethod
    def open(cls, place: str | os.PathLike[str], *, create: bool = False) -> Index:
        """The index of a library folder, or of a library at an address that LanceDB takes (s3://…).

        create: make an empty one where there is none. Raises NoIndex, IndexDamaged, and LongshotError for a folder that
        cannot be written.
        """
        return cls._open(str(place), _address(place), create=create)

    @classmethod
    def _open(cls, place: str, address: str, *, create: bool) -> Index:
        if not create and "://" not in address and not Path(address).is_dir():
            raise NoIndex(_absent(place))
        with _said(place):
            database = _connect(address)
            videos = _open_table(database, "videos")
            if videos is None:
                if not create:
                    raise NoIndex(_absent(place))
                _create(database)
                videos = _open_table(database, "videos")
            captions = _Waited(database.open_table("captions"))
            _check_version(captions, place)
            _check_version(videos, place)
        return cls(place, database, captions, videos)

    def refresh(self) -> None:
        """See what other processes have written since."""
        with _said(self.place):
            for table in (self._captions, self._videos, self._looks):
                if table is not None:
                    table.checkout_latest()
        self._known = None

    @property
    def columns(self) -> dict[str, Source]:
        """The columns of vectors, and who made what stands in each."""
        with _said(self.place):
            fields = self._captions.schema()
        return {field.name: _source_of(field.metadata) for field in fields if b"longshot" in (field.metadata or {})}

    def add_column(self, source: Source, kind: str, dimension: int) -> str:
        """The column for vectors of this source, made when there is none. kind: "text" or "frames"."""
        if kind not in ("text", "frames"):
            raise UsageError(f"kind {kind!r}: vectors are of 'text' or of 'frames'")
        name = _column_name(source, kind)
        with _said(self.place):
            if name not in self._captions.schema().names:
                arrow = _arrow()
                kept = {"longshot": json.dumps(asdict(source), sort_keys=True, default=dict)}
                row = arrow.list_(arrow.float32(), dimension)
                self._captions.add_columns(arrow.field(name, row, nullable=True, metadata=kept))
            found = self._captions.schema().field(name).type.list_size
        if found != dimension:
            raise UsageError(f"column {name} holds vectors of {found} numbers, got {dimension}")
        return name

    def videos(self) -> dict[str, Indexed]:
        """The videos that are in, by id."""
        if self._known is None:
            self._known = self._read_videos()
        return dict(self._known)

    def _read_videos(self) -> dict[str, Indexed]:
        """The lines of `videos`, held against how many captions there are: a lost file can leave fewer."""
        for _ in range(5):
            with _said(self.place):
                rows = self._videos.to_arrow().to_pylist()
                if self._captions.count_rows() >= sum(row["rows"] for row in rows):
                    return {row["video"]: Indexed(**{**row, "columns": tuple(row["columns"].split())}) for row in rows}
            self.refresh()  # between two tables that another process is writing now
        raise _told(self.place, "captions are missing")

    def levels(self) -> dict[str, int]:
        """How many captions there are of each level."""
        with _said(self.place):
            rows = _rows_of(self._captions.query().select(["level"]))
            counts = rows.column("level").value_counts().to_pylist()
        return {row["values"]: row["counts"] for row in sorted(counts, key=lambda row: str(row["values"]))}

    def put(
        self,
        record: VideoRecord,
        tracks: Iterable[Track],
        *,
        digest: str,
        vectors: Mapping[str, Mapping[str, NDArray[np.float32]]] | None = None,
    ) -> int:
        """Write all captions of one video, in place of those that were there; how many.

        digest: of the tracks, to tell later whether they have changed. vectors: by column, unit rows by caption id.
        """
        return self.put_all([Putting(record, tuple(tracks), digest, vectors or {})])

    def put_all(self, videos: Iterable[Putting]) -> int:
        """Write the captions of many videos, some thousands at a time; how many rows. Memory stays bounded."""
        total = 0
        for batch in _batches(videos):
            total += self._put(batch)
        return total

    def _put(self, batch: Sequence[Putting]) -> int:
        ids = [putting.record.id for putting in batch]
        rows = [_rows(putting) for putting in batch]
        with _said(self.place):
            arrow = _arrow()
            known = [id for id in ids if id in self.videos()]
            if known:
                self._videos.delete(_among("video", known))
            # Rows without a line in `videos` are those of a writer that was killed.
            if self._captions.count_rows(_among("video", ids)):
                self._captions.delete(_among("video", ids))
            table = _table(arrow, self._captions.schema(), batch, rows)
            if len(table):
                self._captions.add(table)
            if looks := {putting.record.id: putting.looks for putting in batch if putting.looks is not None}:
                self._put_looks(looks)
            lines = [_indexed(putting, len(own)) for putting, own in zip(batch, rows, strict=True)]
            said = [{**asdict(line), "columns": " ".join(line.columns)} for line in lines]
            self._videos.add(arrow.Table.from_pylist(said, schema=self._videos.schema()))
        if self._known is not None:
            self._known.update({line.video: line for line in lines})
        return len(table)

    def drop(self, video: str) -> None:
        """Take a video out; nothing happens when it is not in."""
        condition = _among("video", [video])
        with _said(self.place):
            self._videos.delete(condition)
            self._captions.delete(condition)
            if self._open_looks():
                self._looks.delete(condition)
        if self._known is not None:
            self._known.pop(video, None)

    def finish(self) -> None:
        """Compact, bring the search indexes up to date, let go of old versions. Once after many puts.

        All of that writes the whole index anew, so a few new rows in a large one wait for more of them: until then
        every search reads them from end to end.
        """
        with _said(self.place):
            self._videos.optimize(cleanup_older_than=_KEPT)
            if not _is_behind(self._captions):
                return
            self._captions.optimize(cleanup_older_than=_KEPT)
            _train(self._captions, self.columns)
            if self._open_looks():
                self._looks.optimize(cleanup_older_than=_KEPT)
                _train(self._looks, ["look"])

    def words(self, query: str, *, where: Filter = Filter(), limit: int = 100) -> list[Entry]:
        """Captions with any word of the query, the best by BM25 first; of a very long query its first 64 words."""
        found = asked(query)
        if not found.terms:
            return []
        from lancedb.query import MatchQuery

        return self._matching(MatchQuery(fold(found.text), "text"), where, limit)

    def phrase(self, text: str, *, where: Filter = Filter(), limit: int = 100) -> list[Entry]:
        """Captions in which the exact phrase stands, as `terms.phrase_at` sees it, the best by BM25 first."""
        found = asked(text)
        if not found.terms:
            return []
        from lancedb.query import PhraseQuery

        most = limit
        while True:
            # The index knows stems, so some of what it finds has other endings than the phrase.
            entries = self._matching(PhraseQuery(fold(found.text), "text"), where, most)
            exact = [entry for entry in entries if phrase_at(entry.text, text)]
            if len(exact) >= limit or len(entries) < most:
                return exact[:limit]
            most *= 4

    def near(
        self, column: str, vector: NDArray[np.float32], *, where: Filter = Filter(), limit: int = 100
    ) -> list[Entry]:
        """Captions whose vector in `column` is nearest to this one by cosine, the nearest first."""
        with _said(self.place):
            if column not in self._captions.schema().names:
                raise UsageError(f"column {column!r}: the index has {', '.join(self.columns) or 'no vectors'}")
            query = self._captions.query().nearest_to(np.asarray(vector, np.float32)).column(column)
            query = query.distance_type("cosine").select(["entry", "_distance"]).limit(limit)
            if condition := where.sql():
                query = query.where(condition)
            query = query.bypass_vector_index() if where.videos else _approximate(query, limit, bool(condition))
            rows = _rows_of(query)
            return _ranked(rows, 1.0 - np.asarray(rows.column("_distance"), np.float64))

    def entries(self, video: str, levels: Sequence[str] = ()) -> list[Entry]:
        """The captions of one video in order of time."""
        where = Filter(levels=levels, videos=(video,)).sql()
        with _said(self.place):
            rows = _rows_of(self._captions.query().where(where).select(["entry"]))
            return sorted(_entries(rows, np.zeros(len(rows))), key=lambda one: (one.span, one.level, one.id))

    def put_looks(self, video: str, times: Sequence[float], rows: NDArray[np.float32]) -> None:
        """Keep fingerprints of a video's frames, in place of those that were there. rows: unit, (N, D)."""
        with _said(self.place):
            self._put_looks({video: (times, rows)})

    def _put_looks(self, looks: Mapping[str, tuple[Sequence[float], NDArray[np.float32]]]) -> None:
        arrow = _arrow()
        width = next(iter(looks.values()))[1].shape[1]
        kind = arrow.list_(arrow.float32(), width)
        if self._open_looks() and self._looks.schema().field("look").type != kind:
            self._database.drop_table("looks")
            self._looks = None
        if self._looks is None:
            fields = [("video", arrow.string()), ("second", arrow.float64()), ("look", kind)]
            self._looks = _Waited(self._database.create_table("looks", schema=arrow.schema(fields)))
        elif self._looks.count_rows(_among("video", list(looks))):
            self._looks.delete(_among("video", list(looks)))
        flat = np.concatenate([np.ascontiguousarray(rows, np.float32).reshape(-1) for _, rows in looks.values()])
        if not len(flat):
            return
        seconds = [(video, float(second)) for video, (times, _) in looks.items() for second in times]
        videos, times = (list(column) for column in zip(*seconds, strict=True))
        look = arrow.FixedSizeListArray.from_arrays(arrow.array(flat), width)
        self._looks.add(arrow.table({"video": videos, "second": times, "look": look}))

    def near_looks(
        self, row: NDArray[np.float32], *, where: Filter = Filter(), limit: int = 100
    ) -> list[tuple[str, float, float]]:
        """Frames that look nearest to this fingerprint: video, second, cosine, the nearest first."""
        with _said(self.place):
            if not self._open_looks():
                return []
            query = self._looks.query().nearest_to(np.asarray(row, np.float32)).column("look")
            query = query.distance_type("cosine").select(["video", "second", "_distance"]).limit(limit)
            if condition := _looks_sql(where):
                query = query.where(condition)
            query = _approximate(query, limit, bool(condition))
            found = _rows_of(query).to_pylist()
        return [(one["video"], one["second"], 1.0 - one["_distance"]) for one in found]

    def _open_looks(self) -> bool:
        if self._looks is None:
            self._looks = _open_table(self._database, "looks")
        return self._looks is not None

    def _matching(self, query: Any, where: Filter, limit: int) -> list[Entry]:
        with _said(self.place):
            search = self._captions.query().nearest_to_text(query).select(["entry", "_score"]).limit(limit)
            if condition := where.sql():
                search = search.where(condition)
            rows = _rows_of(search)
            return _ranked(rows, np.asarray(rows.column("_score"), np.float64))


@contextmanager
def made_anew(place: str | os.PathLike[str]) -> Iterator[Index]:
    """An empty index that takes the place of the old one, whatever its state, when the block ends without an error.

    At an address that is no folder nothing can be renamed: there the old one is emptied first.
    """
    address = _address(place)
    if "://" in address:
        with _said(str(place)):
            database = _connect(address)
            for name in sorted(database.list_tables().tables, reverse=True):  # `videos` first: it makes an index whole
                database.drop_table(name)
            _create(database)
        yield Index.open(place)
        return
    old, new = Path(address), Path(f"{address}.new")
    gone = Path(f"{address}.old")
    with _said(str(place)):
        for left in (new, gone):
            _delete(left)
    yield Index._open(str(place), str(new), create=True)
    with _said(str(place)):
        if old.exists():
            old.rename(gone)
        new.rename(old)
        _delete(gone)


def _delete(left: Path) -> None:
    """Delete a folder with all that is in it, or whatever else lies in its place."""
    if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left)
    else:
        left.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Putting:
    """One video on its way into the index: see `Index.put`, and for looks (times, rows) `Index.put_looks`."""

    record: VideoRecord
    tracks: tuple[Track, ...]
    digest: str
    vectors: Mapping[str, Mapping[str, NDArray[np.float32]]]
    looks: tuple[Sequence[float], NDArray[np.float32]] | None = None


def _address(place: str | os.PathLike[str]) -> str:
    text = os.fspath(place)
    return f"{text.rstrip('/')}/index" if "://" in text else str(Path(text).expanduser() / "index")


def _approximate(query: Any, limit: int, filtered: bool) -> Any:
    # Behind a narrow filter the nearest may lie anywhere, so all clusters may be looked into, three times as slowly.
    query = query.nprobes(_PROBES)
    if filtered:
        query = query.maximum_nprobes(0)
    return query.refine_factor(max(2, -(-_CANDIDATES // max(limit, 1))))


def _absent(place: object) -> str:
    return f"{place}: there is no index; make it with `longshot index --rebuild --library {place}`"


class _Waited:
    """A table or database of the engine, whose methods are awaited: its own plain ones take longer, by half a second
    in a fresh process and by milliseconds for every query, over classes that nothing here needs.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            made = method(*args, **named)
            return _wait(made) if inspect.isawaitable(made) else made

        method = getattr(self._engine, name)
        return call


def _connect(address: str) -> _Waited:
    engine = lancedb()
    # The engine makes no folders on the way to its own.
    if "://" not in address:
        Path(address).mkdir(parents=True, exist_ok=True)
    return _Waited(_wait(engine.connect_async(address)))


def _open_table(database: _Waited, name: str) -> _Waited | None:
    """None when there is none. To ask for the names first would take half a second."""
    try:
        return _Waited(database.open_table(name))
    except ValueError:
        if name in database.list_tables().tables:
            raise
        return None


def _rows_of(query: Any) -> Any:
    """What a query finds, as an Arrow table."""
    return _wait(query.to_arrow())


def _wait(coroutine: Any) -> Any:
    from lancedb.background_loop import LOOP

    return LOOP.run(coroutine)


def _create(database: Any) -> None:
    from lancedb.index import FTS

    arrow = _arrow()
    words, numbers = arrow.string(), arrow.float64()
    kinds = {name: numbers if name in ("start", "stop") else words for name in _FIELDS}
    schema = arrow.schema(list(kinds.items()), metadata={"longshot": str(VERSION)})
    captions = _Waited(database.create_table("captions", schema=schema, mode="overwrite"))
    captions.create_index("text", config=FTS(with_position=True, **ANALYSIS), name=_TEXTS)
    lines = {**dict.fromkeys(("video", "digest", "name", "path", "columns"), words), "rows": arrow.int64()}
    lines["duration"] = numbers
    # Made last: an index without this table was never finished.
    database.create_table("videos", schema=arrow.schema(list(lines.items()), metadata=schema.metadata))


def _check_version(table: Any, place: object) -> None:
    version = (table.schema().metadata or {}).get(b"longshot", b"?").decode("utf-8", "replace")
    if version != str(VERSION):
        raise IndexDamaged(
            f"{place}: its index has format {version}, and this longshot reads {VERSION}; make it again with "
            f"`longshot index --rebuild --library {place}`"
        )


def _column_name(source: Source, kind: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", source.model.rsplit("/", 1)[-1].lower()).strip("_")[:40] or "vectors"
    made = json.dumps([source.model, source.revision, source.settings], sort_keys=True, default=dict)
    return f"{kind}_{slug}_{hashlib.sha256(made.encode()).hexdigest()[:8]}"


def _source_of(metadata: Mapping[bytes, bytes]) -> Source:
    return Source(**json.loads(metadata[b"longshot"]))


def _is_behind(captions: Any) -> bool:
    """Whether so many rows are in no search index that finding them there costs more than bringing them in."""
    stats = captions.index_stats(_TEXTS)
    if stats is None:
        return True
    waiting = int(stats.num_unindexed_rows)
    # With none waiting, what is left to do are files of old versions and of rows that were taken out.
    return waiting == 0 or waiting > _WAITING or waiting * 20 > captions.count_rows()


def _train(table: Any, columns: Iterable[str]) -> None:
    """Make the search indexes that a table of many rows needs; small ones are searched from end to end."""
    rows = table.count_rows()
    if rows < _MANY:
        return
    from lancedb.index import BTree, IvfFlat, IvfRq

    trained = {index.columns[0]: index.name for index in table.list_indices()}
    if "video" not in trained:
        table.create_index("video", config=BTree())
    for column in columns:
        before = trained.get(column, "")
        # The name tells how many rows its clusters were made for: four times as many need more clusters.
        if before and rows < 4 * int(before.rpartition("_")[2]):
            continue
        filled = table.count_rows(f"{column} IS NOT NULL")
        if filled < _MANY:
            continue
        width = table.schema().field(column).type.list_size
        # A bit for each number says enough of long vectors, whose nearest are then compared exactly.
        kind = IvfRq if width >= _LONG and width % 8 == 0 else IvfFlat
        clusters = kind(
            distance_type="cosine", num_partitions=max(round(filled**0.5 / 2), 64), sample_rate=64, max_iterations=10
        )
        table.create_index(column, config=clusters, name=f"{column}_{rows}")
        if before:
            table.drop_index(before)


def _batches(videos: Iterable[Putting]) -> Iterator[list[Putting]]:
    batch: dict[str, Putting] = {}
    rows = 0
    for putting in videos:
        batch[putting.record.id] = putting
        rows += sum(len(track) for track in putting.tracks)
        if rows >= _AT_ONCE:
            yield list(batch.values())
            batch, rows = {}, 0
    if batch:
        yield list(batch.values())


def _rows(putting: Putting) -> list[tuple[Any, ...]]:
    """The rows of one video in the order of `_FIELDS`."""
    rows: list[tuple[Any, ...]] = []
    video = putting.record.id
    for track in putting.tracks:
        source = str(track.source)
        for index, caption in enumerate(track.captions):
            text, span, level = fold(caption.text), caption.span, track.level
            written = text if text == caption.text else caption.text.encode("utf-8", "replace").decode()
            start, stop = float(span.start), float(span.end)
            id = track.id_of(index)
            entry = json.dumps([id, video, level, start, stop, written, source], ensure_ascii=False)
            rows.append((id, video, level, start, stop, text, entry))
    return rows


def _table(arrow: Any, schema: Any, batch: Sequence[Putting], rows: Sequence[Sequence[tuple[Any, ...]]]) -> Any:
    every = [row for own in rows for row in own]
    values = list(zip(*every, strict=True)) or [()] * len(_FIELDS)
    columns = {name: arrow.array(column, schema.field(name).type) for name, column in zip(_FIELDS, values, strict=True)}
    for name in dict.fromkeys(name for putting in batch for name in putting.vectors):
        if name not in schema.names:
            raise UsageError(f"column {name!r}: make it first with add_column")
        columns[name] = _vectors(arrow, schema.field(name).type.list_size, name, batch, rows)
    return arrow.table(columns)


def _vectors(
    arrow: Any, width: int, name: str, batch: Sequence[Putting], rows: Sequence[Sequence[tuple[Any, ...]]]
) -> Any:
    count = sum(len(own) for own in rows)
    flat, missing = np.zeros((count, width), np.float32), np.ones(count, bool)
    at = 0
    for putting, own in zip(batch, rows, strict=True):
        known = putting.vectors.get(name, {})
        for row in own:
            vector = known.get(row[0])
            if vector is not None:
                flat[at], missing[at] = vector, False
            at += 1
    return arrow.FixedSizeListArray.from_arrays(arrow.array(flat.reshape(-1)), width, mask=arrow.array(missing))


def _indexed(putting: Putting, rows: int) -> Indexed:
    record = putting.record
    filled = tuple(sorted(putting.vectors)) + (("looks",) if putting.looks is not None else ())
    return Indexed(record.id, putting.digest, rows, record.name, record.path, record.duration, filled)


def _ranked(rows: Any, scores: NDArray[np.float64]) -> list[Entry]:
    return sorted(_entries(rows, scores), key=lambda one: (-one.score, one.video, one.span, one.id))


def _entries(rows: Any, scores: NDArray[np.float64]) -> list[Entry]:
    # Looking for rubbish among the new objects takes as long as making them, and there is none.
    collects = gc.isenabled()
    gc.disable()
    try:
        told = json.loads(f"[{','.join(rows.column('entry').to_pylist())}]")
        return [
            Entry(id, video, level, Span(start, stop), text, source, score)
            for (id, video, level, start, stop, text, source), score in zip(told, scores.tolist(), strict=True)
        ]
    finally:
        if collects:
            gc.enable()


def _among(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(_quoted(value) for value in values)})" if values else ""


def _quoted(value: str) -> str:
    return "'" + value.encode("utf-8", "replace").decode().replace("'", "''") + "'"


def _number(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise UsageError(f"{name} is {value!r:.60}: a number of seconds was meant")
    return repr(float(value))


def _looks_sql(where: Filter) -> str:
    parts = [_among("video", where.videos)]
    if where.after is not None:
        parts.append(f"second >= {_number('after', where.after)}")
    if where.before is not None:
        parts.append(f"second < {_number('before', where.before)}")
    return " AND ".join(part for part in parts if part)


def _arrow() -> Any:
    import pyarrow

    return pyarrow


@contextmanager
def _said(place: str) -> Iterator[None]:
    """Says in one line what the engine, whose errors are of many kinds, could not do."""
    try:
        yield
    except LongshotError:
        raise
    except BaseException as error:
        # A panic of the engine's own code is no Exception, and comes of damaged files as other errors do.
        if not (isinstance(error, (OSError, RuntimeError, ValueError)) or type(error).__name__ == "PanicException"):
            raise
        raise _told(place, " ".join(str(error).split())) from error


def _told(place: str, reason: str) -> LongshotError:
    for sign, said in _DISK.items():
        if sign in reason:
            return LongshotError(f"{place}: its index cannot be written ({said})")
    if any(sign in reason for sign in _ELSEWHERE):
        return Busy(f"{place}: its index is being written by another process; wait for it, and repeat the command")
    reason = re.split(r"[\s,(]*/\S+\.rs:\d+", reason)[0]  # where in the engine's own source it was noticed
    return IndexDamaged(
        f"{place}: its index cannot be used ({reason[:160]}); make it again with "
        f"`longshot index --rebuild --library {place}`"
    )


_DISK = {
    "No space left": "the disk is full: make room and repeat the command",
    "os error 28": "the disk is full: make room and repeat the command",
    "Disk quota": "your share of the disk is full: make room and repeat the command",
    "os error 122": "your share of the disk is full: make room and repeat the command",
    "Permission denied": "permission denied: use a library that you may write",
    "os error 13": "permission denied: use a library that you may write",
    "Read-only file system": "the disk is read-only: use a library that you may write",
    "os error 30": "the disk is read-only: use a library that you may write",
}
_ELSEWHERE = ("ommit conflict", "oncurrent modif", "TooMuchWriteContention", "Retryable")

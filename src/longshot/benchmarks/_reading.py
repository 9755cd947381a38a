"""Reading annotation files: what came, what was looked for, and where it stands when it is wrong.

    path = find_file(data, ("metadata.json", "json/metadata.json"))      # the file itself, or a folder that holds it
    for record in read_records(path, known=("video", "caption", "category")):
        item(record.text("video"), record.texts("caption"), record.text("category", ""))

Files may be JSON, JSON lines, CSV, TSV or Parquet, with a byte order mark, and compressed with gzip; which they are is
seen from their bytes. Every error is one line that names the file, the line (or the number of the record), the field
and, where a name is nearly right, the right one:

    metadata.json, record 3: no field 'caption'; is 'captoin' it?

A field that is not known is let pass, because official files hold more than is read here, unless its name is so close
to a known one that is absent that it must be a slip: gold would be lost unseen. `strict=True` refuses all of them.
"""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import io
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from longshot.errors import FormatError, MissingPackage, UsageError
from longshot.items import Item

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
# A pickle of protocol 2 or later begins so; older ones are told by the ending of their name.
_PICKLE = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_PICKLE_SUFFIXES = (".pkl", ".pickle", ".p")
_REQUIRED = object()


@dataclass(frozen=True)
class Record:
    """One record of an annotation: its fields, and where it stands ("metadata.json, record 3").

    The readers below raise FormatError for a field that is absent and has no `default`, or has another type.
    """

    fields: Mapping[str, Any]
    where: str

    def __contains__(self, name: str) -> bool:
        return self.fields.get(name) is not None

    def wrong(self, message: str) -> FormatError:
        """The error to raise about this record."""
        return FormatError(f"{self.where}: {message}")

    def value(self, name: str, default: Any = _REQUIRED) -> Any:
        """Whatever the field holds; null is as good as absent."""
        value = self.fields.get(name)
        if value is not None:
            return value
        if default is not _REQUIRED:
            return default
        filled = [other for other, it in self.fields.items() if it is not None]
        close = nearest(name, filled)
        hint = f"is {close[0]!r} it?" if close else f"there are {', '.join(map(repr, filled)) or 'none'}"
        raise self.wrong(f"no field {name!r}; {hint}")

    def text(self, name: str, default: Any = _REQUIRED) -> str:
        """A text, stripped; a whole number is taken for the text of it, as ids are often written so.

        An empty text is as good as absent, unless "" is the default.
        """
        value = self.value(name, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise self.wrong(f"{name!r} is a text, got {shown(value)}")
        if not value.strip() and default is _REQUIRED:
            raise self.wrong(f"{name!r} is empty")
        return value.strip()

    def texts(self, name: str, default: Any = _REQUIRED) -> list[str]:
        """A list of texts, stripped and without empty ones; one text alone is a list of one."""
        value = self.value(name, default)
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, Sequence) or not all(isinstance(one, str) for one in given):
            raise self.wrong(f"{name!r} is a list of texts, got {shown(value)}")
        return [one.strip() for one in given if one.strip()]

    def number(self, name: str, default: Any = _REQUIRED) -> float:
        """A finite number, which may be written as a text."""
        value = self.value(name, default)
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise self.wrong(f"{name!r} is a number, got {shown(value)}")
        return number

    def whole(self, name: str, default: Any = _REQUIRED) -> int:
        """A whole number, which may be written as a text or as 3.0."""
        number = self.number(name, default)
        if number != int(number):
            raise self.wrong(f"{name!r} is a whole number, got {shown(self.value(name, default))}")
        return int(number)

    def records(self, name: str, *, known: Sequence[str] = (), strict: bool = False) -> list[Record]:
        """A list of objects, each a record of its own."""
        return as_records(self.value(name), f"{self.where}, {name}", known=known, strict=strict)


def find_file(data: Path, names: Sequence[str], *, what: str = "annotation") -> Path:
    """The annotation: `data` itself when it is a file, else the first of `names` below that folder, also with .gz.

    Raises UsageError naming what was looked for.
    """
    if data.is_file():
        return data
    if not data.is_dir():
        raise UsageError(f"{data}: there is no such file or folder; give the {what}, {listed(names)}")
    for name in names:
        for path in (data / name, data / f"{name}.gz"):
            if path.is_file():
                return path
    raise UsageError(f"{data}: this folder holds no {listed(names)}; give the {what} by its path")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, uncompressed. Raises FormatError, also for a pickle, which is never opened."""
    try:
        data = path.read_bytes()
        if data.startswith(GZIP):
            data = gzip.decompress(data)
    except OSError as error:
        reason = error.strerror or "torn gzip"
        raise FormatError(f"{path}: cannot be read ({reason})") from error
    except (EOFError, zlib.error) as error:
        raise FormatError(f"{path}: torn gzip; fetch the file again") from error
    if data.startswith(_PICKLE) or path.suffix.lower() in _PICKLE_SUFFIXES:
        raise FormatError(
            f"{path}: a pickle, which can run any code and is never opened; take the JSON form of this file, or have "
            "whoever you trust it from write it with json.dump"
        )
    return data


def read_text(path: Path) -> str:
    """The text of a file without a byte order mark, of UTF-8 or, where the mark says so, UTF-16."""
    data = read_bytes(path)
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FormatError(f"{path}, line {line}: not text in UTF-8; save the file as UTF-8") from error
    if not text.strip():
        raise FormatError(f"{path}: empty")
    return text


def fingerprint(*paths: Path) -> str:
    """16 hex digits over the uncompressed bytes of some files, in this order."""
    digest = hashlib.sha256()
    for path in paths:
        data = read_bytes(path)
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def read_json(path: Path) -> Any:
    """The whole of a JSON file. Raises FormatError with the line of the fault."""
    return parse_json(read_text(path), str(path))


def parse_json(text: str, where: str, *, line: int = 0) -> Any:
    """What a JSON text says; NaN and Infinity are no JSON. where: the file; line: that the text stands on, if one."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        at = line or error.lineno
        raise FormatError(f"{where}, line {at}: not JSON ({error.msg}, column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}{f', line {line}' if line else ''}: not JSON ({error})") from error


def read_records(path: Path, *, known: Sequence[str] = (), strict: bool = False) -> list[Record]:
    """Every record of a file, at least one: a JSON list of objects, JSON lines, CSV or TSV with a header, or Parquet.

    known: the names of the fields that are read. strict: refuse all other names.
    """
    return list(_checked(_records(path), known, strict, str(path)))


def read_table(path: Path, *, delimiter: str = "", names: Sequence[str] = ()) -> list[Record]:
    """The rows of a CSV or TSV file. delimiter: told by the ending when "". names: of the columns, where no header is.

    Raises FormatError for a row that has not as many columns as the header.
    """
    text = read_text(path)
    delimiter = delimiter or ("\t" if ".tsv" in (suffix.lower() for suffix in path.suffixes) else ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records = []
    columns = list(names)
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not columns:
                columns = [cell.strip() for cell in row]
                continue
            where = f"{path}, line {reader.line_num}"
            if len(row) != len(columns):
                raise FormatError(f"{where}: {len(row)} columns, {len(columns)} wanted: {', '.join(columns)}")
            records.append(Record(dict(zip(columns, row, strict=True)), where))
    except csv.Error as error:
        raise FormatError(f"{path}, line {reader.line_num}: not a table ({error})") from error
    return records


def read_lines(path: Path) -> list[Record]:
    """The objects of a file of JSON lines."""
    return _lines(read_text(path), path)


def read_parquet(path: Path, *, columns: Sequence[str] = ()) -> list[Record]:
    """The rows of a Parquet file. columns: only these, as far as they are there. Raises MissingPackage, FormatError."""
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError as error:
        raise MissingPackage("pyarrow", "models") from error
    try:
        with parquet.ParquetFile(path) as file:
            wanted = [name for name in file.schema_arrow.names if not columns or name in columns]
            rows = file.read(wanted).to_pylist()
    except (ArrowException, OSError) as error:
        raise FormatError(f"{path}: not a Parquet file ({' '.join(str(error).split())})") from error
    return [Record(row, f"{path}, row {number}") for number, row in enumerate(rows, 1)]


def as_records(value: Any, where: str, *, known: Sequence[str] = (), strict: bool = False) -> list[Record]:
    """The objects of a list that was read from JSON, at least one."""
    if not isinstance(value, list):
        raise FormatError(f"{where}: a list of records is wanted, got {shown(value)}")
    return list(
        _checked((_record(one, f"{where}, record {n}") for n, one in enumerate(value, 1)), known, strict, where)
    )


def object_of(value: Any, where: str) -> Record:
    """The one object that a JSON file holds, as a record."""
    return _record(value, where)


def check_names(record: Record, known: Sequence[str], *, strict: bool = False) -> None:
    """Raise FormatError for a field whose name is nearly one of `known` that is absent; of any other if `strict`."""
    absent = tuple(name for name in known if name not in record.fields)
    for name in record.fields:
        if name in known:
            continue
        meant = _meant(name, absent)
        if meant:
            raise record.wrong(f"no field {name!r} is known; is it {meant!r}?")
        if strict:
            raise record.wrong(f"no field {name!r} is known: there are {', '.join(known)}")


@functools.cache  # records of one file have the same names
def _meant(name: str, absent: tuple[str, ...]) -> str:
    """The absent name that this one is nearly, "" for none."""
    return next(iter(nearest(name, absent, cutoff=0.8)), "")


def unique_items(made: Iterable[tuple[Record, Item]]) -> tuple[Item, ...]:
    """The items, once it is sure that no two have one id. Raises FormatError naming both places."""
    seen: dict[str, str] = {}
    items = []
    for record, item in made:
        if item.id in seen:
            raise record.wrong(f"the id {item.id!r} stands twice, before at {seen[item.id].rpartition(', ')[2]}")
        seen[item.id] = record.where
        items.append(item)
    return tuple(items)


def choose(options: Mapping[str, Any], allowed: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The options of a benchmark with their defaults: `allowed` names each with its values, the default first.

    A type among the values stands for every value of it: {"task": ("caption", "retrieval"), "only": ("", str)}. Raises
    UsageError, with the nearest right name or value.
    """
    for name, value in options.items():
        if name not in allowed:
            raise UsageError(f"no option {name!r}: {_offer(name, list(allowed)) or 'this benchmark has none'}")
        # 1 == True: the type counts too.
        if not any(type(value) is one or (value == one and type(value) is type(one)) for one in allowed[name]):
            raise UsageError(f"{name} cannot be {value!r}: {_offer(str(value), list(map(_plain, allowed[name])))}")
    return {name: options.get(name, values[0]) for name, values in allowed.items()}


def nearest(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> list[str]:
    """The names like this one, best first."""
    plain = {other.casefold(): other for other in names}
    return [plain[close] for close in get_close_matches(name.casefold(), plain, n=3, cutoff=cutoff)]


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "a", "a or b", "a, b or c"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "nothing"


def shown(value: Any) -> str:
    """A value as an error says it: short, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "…"


def _offer(name: str, names: Sequence[str]) -> str:
    close = nearest(name, names, cutoff=0.5)
    return (f"there are {', '.join(names)}" + (f"; did you mean {close[0]!r}?" if close else "")) if names else ""


def _plain(value: Any) -> str:
    if isinstance(value, type):
        return {str: "a text", int: "a whole number", float: "a number"}.get(value, value.__name__)
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _records(path: Path) -> list[Record]:
    data = read_bytes(path)
    if data.startswith(PARQUET):
        return read_parquet(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if ".csv" in suffixes or ".tsv" in suffixes:
        return read_table(path)
    text = read_text(path)
    if text.lstrip().startswith("["):
        value = parse_json(text, str(path))
        return [_record(one, f"{path}, record {number}") for number, one in enumerate(value, 1)]
    return _lines(text, path)


def _lines(text: str, path: Path) -> list[Record]:
    return [
        _record(parse_json(line, str(path), line=number), f"{path}, line {number}")
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]


def _record(value: Any, where: str) -> Record:
    if not isinstance(value, Mapping):
        raise FormatError(f"{where}: an object with named fields is wanted, got {shown(value)}")
    return Record(value, where)


def _checked(records: Iterable[Record], known: Sequence[str], strict: bool, where: str) -> Iterator[Record]:
    count = 0
    for record in records:
        count += 1
        if known:
            check_names(record, known, strict=strict)
        yield record
    if not count:
        raise FormatError(f"{where}: empty, not one record")

"""Parquet files as input: which columns hold the photos and their ids, and the rows of a unit.

A column of texts names files; a column of bytes, or of `datasets`' structs of bytes and path, holds them. No other types are read: types
that libraries add to Arrow may unpickle what a file holds.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from showattend.bulk.stores import open_store, store_errors
from showattend.data.readers.arrow import PICTURE_COLUMNS
from showattend.data.tables import PHOTO_COLUMNS
from showattend.errors import InputError

NAME_COLUMNS = ("url", *PHOTO_COLUMNS)
BATCH = 64  # rows of a table that are in memory together


class Columns(NamedTuple):
    """The columns of the photos and of their ids that a user names; None: the first one of a known name, and no ids."""

    photo: str | None = None
    id: str | None = None


class TableInfo(NamedTuple):
    """Number of rows, the column of the photos, and whether it names them (or else holds them)."""

    rows: int
    photo: str
    names_photos: bool


class Photo(NamedTuple):
    """A row: the id, None where no column has it; the name of the photo's file; its bytes, None where the table does not hold them."""

    id: str | None
    name: str | None
    content: bytes | None


def inspect_table(url: str, columns: Columns) -> TableInfo:
    """What the footer of a Parquet file says.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    with _open_table(url) as table:
        return _inspect(table, url, columns)


def read_rows(url: str, columns: Columns, start: int, stop: int) -> Iterator[Photo]:
    """Some rows of a Parquet file.

    Raises:
        InputError: the file cannot be read, or lacks a column.
    """
    with _open_table(url) as table:
        photo = _inspect(table, url, columns).photo
        groups, first = _row_groups(table.metadata, start, stop)
        for batch in table.iter_batches(batch_size=BATCH, row_groups=groups, columns=[name for name in (photo, columns.id) if name]):
            begin, end = max(0, start - first), min(stop - first, batch.num_rows)
            first += batch.num_rows
            rows = batch.slice(begin, max(0, end - begin))
            ids = rows.column(columns.id).to_pylist() if columns.id else [None] * rows.num_rows
            yield from (_photo(*row) for row in zip(ids, rows.column(photo).to_pylist(), strict=True))


def require_pyarrow() -> Any:
    """The library of Parquet.

    Raises:
        InputError: it is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise InputError("Parquet needs a library of its own: pip install 'showattend[arrow]'; --format jsonl writes without it") from error
    return pyarrow


@contextmanager
def _open_table(url: str) -> Iterator[Any]:
    require_pyarrow()
    from pyarrow.parquet import ParquetFile

    system, path = open_store(url)
    with store_errors(url), system.open(path, "rb") as file, ParquetFile(file) as table:
        yield table


def _inspect(table: Any, url: str, columns: Columns) -> TableInfo:
    types = require_pyarrow().types
    schema = table.schema_arrow
    photo = columns.photo or next((name for name in (*PICTURE_COLUMNS, *NAME_COLUMNS) if name in schema.names), None)
    has = f"it has {', '.join(schema.names) or 'none'}"
    if photo is None:
        raise InputError(f"{url} has no column of photos named {' or '.join(PICTURE_COLUMNS[:3])}: name one with --column; {has}")
    for option, name in (("--column", photo), ("--id-column", columns.id)):
        if name is not None and schema.names.count(name) != 1:
            raise InputError(f"{url} has no column '{name}': name another with {option}; {has}")
    kind, texts = schema.field(photo).type, (types.is_string, types.is_large_string)
    held, named = _holds_photos(types, kind), any(fits(kind) for fits in texts)
    if not (held or named):
        raise InputError(f"{url}: the column {photo} holds {kind}, neither photos nor their names: name another with --column")
    if columns.id and not any(fits(schema.field(columns.id).type) for fits in (*texts, types.is_integer)):
        raise InputError(f"{url}: the column {columns.id} holds {schema.field(columns.id).type}, no ids: name another with --id-column")
    return TableInfo(table.metadata.num_rows, photo, named)


def _holds_photos(types: Any, kind: Any) -> bool:
    """Whether a column holds bytes, or structs of bytes and perhaps the file's name."""
    if kind is None:
        return False
    if types.is_struct(kind):
        fields = {field.name: field.type for field in kind}
        return _holds_photos(types, fields.pop("bytes", None)) and all(map(types.is_string, fields.values())) and fields.keys() <= {"path"}
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _photo(key: object, value: Any) -> Photo:
    name, content = (value.get("path"), value["bytes"]) if isinstance(value, dict) else (None, value)
    if isinstance(content, str):
        name, content = content, None
    return Photo(None if key is None else str(key), name, content)


def _row_groups(metadata: Any, start: int, stop: int) -> tuple[list[int], int]:
    """The row groups that hold these rows, and the first row of the first of them."""
    groups: list[int] = []
    first, begin = start, 0
    for index in range(metadata.num_row_groups):
        end = begin + metadata.row_group(index).num_rows
        if begin < stop and end > start:
            first = first if groups else begin
            groups.append(index)
        begin = end
    return groups, first

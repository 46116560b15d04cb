"""The units of an input: a folder, a glob, a list of names, Parquet files or WebDataset's shards, listed in an order that never changes."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from showattend.batching import in_batches
from showattend.bulk.stores import has_suffix, join, open_store, protocol_of, store_errors
from showattend.bulk.tables import Columns, inspect_table, read_rows
from showattend.bulk.units import Unit
from showattend.data.images import has_photo_suffix
from showattend.data.photos import LINKED, NOT_A_FILE, unreadable
from showattend.errors import InputError
from showattend.files import check_readable

KINDS = ("files", "list", "parquet", "webdataset")
TABLES, SHARDS, LISTS = (".parquet", ".pq"), (".tar", ".tar.gz", ".tgz"), (".txt", ".lst", ".list")
MAX_LINE = 2**16  # characters of a name in a list


class Source(NamedTuple):
    """What a user names as input.

    name: folder, file or glob, on this machine or as a URL
    kind: one of KINDS; auto: by the suffix of the first file that has one of ours
    columns: of Parquet files
    unit_size: photos of a unit, but for shards, each of which is one
    """

    name: str
    kind: str
    columns: Columns
    unit_size: int


def list_units(source: Source, left_out: Counter[str]) -> Iterator[Unit]:
    """The units, as they are found: the names of one folder are in memory together, and not those of all.

    Args:
        left_out: counts the files that are none of the input's kind, by their suffix, and folders that are not looked into

    Raises:
        InputError: there is no such input, it holds nothing, a store cannot be reached, or a table lacks the column.
    """
    names = _files(source.name, left_out)
    first = next(names, None)
    skipped = []
    while first is not None and source.kind == "auto" and not _kind_of(first):
        skipped.append(first)
        first = next(names, None)
    if first is None:
        raise InputError(f"no input at {source.name}: there are no photos, .parquet, .tar or .txt files; --kind files takes any name")
    kind = source.kind if source.kind != "auto" else _kind_of(first)
    left_out.update(map(_suffix_of, skipped))
    yield from _UNITS[kind](_of_kind(chain([first], names), kind, source, left_out), source)


def _of_kind(names: Iterable[str], kind: str, source: Source, left_out: Counter[str]) -> Iterator[str]:
    """The files of one kind; all of them where the user has named the kind."""
    for name in names:
        if source.kind == kind or _kind_of(name) == kind:
            yield name
        else:
            left_out[_suffix_of(name)] += 1


def _suffix_of(name: str) -> str:
    return os.path.splitext(name)[1].lower() or "no suffix"


def _kind_of(name: str) -> str:
    kinds = {"parquet": has_suffix(name, TABLES), "webdataset": has_suffix(name, SHARDS), "list": has_suffix(name, LISTS)}
    return next((kind for kind, fits in kinds.items() if fits), "files" if has_photo_suffix(name) else "")


def _files(name: str, left_out: Counter[str]) -> Iterator[str]:
    """All files below a folder, of a glob, or the one of that name."""
    return _remote_files(name) if protocol_of(name) else _local_files(os.path.expanduser(name), left_out)


def _local_files(name: str, left_out: Counter[str]) -> Iterator[str]:
    if os.path.isdir(name):
        for parent, folders, files in os.walk(name, onerror=lambda error: left_out.update([unreadable(error)])):
            folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
            left_out.update([LINKED] * sum(os.path.islink(os.path.join(parent, folder)) for folder in folders))
            for file in sorted(file for file in files if not file.startswith(".")):
                path = os.path.join(parent, file)
                if os.path.isfile(path):
                    yield path
                else:
                    left_out[NOT_A_FILE] += 1
    elif os.path.exists(name):
        check_readable(Path(name))
        yield name
    else:
        yield from filter(os.path.isfile, sorted(glob.glob(name, recursive=True)))


def _remote_files(url: str) -> Iterator[str]:
    system, path = open_store(url)
    with store_errors(url):
        if protocol_of(url) in ("http", "https"):
            yield url  # a web server has no folders, and may answer a name with a page
        elif glob.has_magic(path):
            yield from (system.unstrip_protocol(name) for name in sorted(system.glob(path)))
        elif system.isdir(path):
            yield from _walk(system, path)
        elif system.exists(path):
            yield system.unstrip_protocol(path)


def _walk(system: Any, folder: str) -> Iterator[str]:
    """The files below a folder of a store, folder after folder."""
    entries = sorted(system.ls(folder, detail=True), key=lambda entry: str(entry["name"]))
    visible = [entry for entry in entries if not str(entry["name"]).rstrip("/").rpartition("/")[2].startswith(".")]
    yield from (str(system.unstrip_protocol(entry["name"])) for entry in visible if entry["type"] == "file")
    for entry in visible:
        if entry["type"] == "directory" and entry["name"].rstrip("/") != folder.rstrip("/"):
            yield from _walk(system, entry["name"])


def _file_units(names: Iterable[str], source: Source) -> Iterator[Unit]:
    return _named(((name, None) for name in names), os.getcwd(), source.unit_size)


def _list_units(lists: Iterable[str], source: Source) -> Iterator[Unit]:
    """Names in text files, one a line: relative ones count from the working folder, in a list on a store from the list's own."""
    for url in lists:
        base = url.rpartition("/")[0] if protocol_of(url) else os.getcwd()
        yield from _named(((name, None) for name in _lines(url)), base, source.unit_size)


def _lines(url: str) -> Iterator[str]:
    system, path = open_store(url)
    with store_errors(url), system.open(path, "rb") as file:
        while line := file.readline(MAX_LINE):
            if b"\0" in line or len(line) == MAX_LINE:
                raise InputError(f"{url} is no list of photos, one path or URL a line: see --kind for other inputs")
            if name := os.fsdecode(line).lstrip("\ufeff").strip():
                yield name


def _table_units(tables: Iterable[str], source: Source) -> Iterator[Unit]:
    for url in tables:
        info = inspect_table(url, source.columns)
        if info.names_photos:
            base = url.rpartition("/")[0] if protocol_of(url) else os.getcwd()
            yield from _named(_named_rows(url, source.columns, info.rows), base, source.unit_size)
            continue
        for start in range(0, info.rows, source.unit_size):
            yield Unit("table", join(os.getcwd(), url), [url], rows=(start, min(start + source.unit_size, info.rows)))


def _named_rows(url: str, columns: Columns, rows: int) -> Iterator[tuple[str, str | None]]:
    """Names and ids in a table that does not hold its photos; a row without a name is called by its number."""
    for index, photo in enumerate(read_rows(url, columns, 0, rows)):
        yield photo.name or "", photo.id if photo.id is not None or photo.name else f"{url}#{index}"


def _shard_units(shards: Iterable[str], source: Source) -> Iterator[Unit]:
    return (Unit("shard", join(os.getcwd(), url), [url]) for url in shards)


def _named(names: Iterable[tuple[str, str | None]], base: str, size: int) -> Iterator[Unit]:
    """Units of photos that are called by their names, or by ids of their own."""
    for group in in_batches(names, size):
        has_ids = any(key is not None for _, key in group)
        ids = [name if key is None else key for name, key in group] if has_ids else None
        yield Unit("files", base, [name for name, _ in group], ids)


_UNITS = {"files": _file_units, "list": _list_units, "parquet": _table_units, "webdataset": _shard_units}

"""The photos of a unit, one after the other: ids, and the path or the bytes of each, or the reason why there are none."""

import os
import tarfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from showattend.batching import in_batches
from showattend.bulk.stores import LOCAL, PROTOCOLS, join, local_path, open_store, protocol_of
from showattend.bulk.tables import Columns, read_rows, require_pyarrow
from showattend.bulk.units import Unit
from showattend.data.images import MAX_BYTES, has_photo_suffix
from showattend.data.tar_headers import DAMAGE, read_tar
from showattend.errors import InputError, one_line

THREADS = 16  # that read photos of a store at the same time: each of them mostly waits
ATTEMPTS, PAUSE = 3, 1.0  # to read from a store, and seconds after the first; each pause is four times the one before


class Found(NamedTuple):
    """A photo: its id, and where its file is, the file's bytes, or an error."""

    id: str
    path: Path | None = None
    content: bytes | None = None
    error: str = ""


def read_unit(unit: Unit, columns: Columns) -> Iterator[Found]:
    """The photos of a unit, each once, in an order that never changes; broken ones with their errors.

    Raises:
        InputError: a store cannot be reached.
    """
    yield from {"files": _files, "shard": _shard, "table": _table}[unit.kind](unit, columns)


def _files(unit: Unit, columns: Columns) -> Iterator[Found]:
    names = zip(unit.ids or unit.names, unit.names, strict=True)
    with ThreadPoolExecutor(THREADS) as pool:  # which starts threads when there is something to do
        for group in in_batches(names, THREADS):
            remote = any(protocol_of(join(unit.source, name)) for _, name in group)
            read = partial(_file, unit.source)
            yield from pool.map(read, group) if remote else map(read, group)


def _file(base: str, named: tuple[str, str]) -> Found:
    key, name = named
    if not name or "\0" in name:
        return Found(key, error=f"{key}: no photo is named")
    url = join(base, name)
    protocol = protocol_of(url)
    if not protocol or protocol in LOCAL:
        return Found(key, Path(os.path.expanduser(name) if name.startswith("~") else local_path(url)))
    if protocol not in PROTOCOLS or "::" in url:
        return Found(key, error=f"{name}: photos may lie in files or at {', '.join(sorted(PROTOCOLS))}")
    return _download(key, url)


def _download(key: str, url: str) -> Found:
    """A photo of a store; on the web, where each may lie elsewhere, what cannot be reached is that photo's error."""
    for attempt in range(ATTEMPTS):
        try:
            system, path = open_store(url)
            with system.open(path, "rb") as file:
                content = file.read(MAX_BYTES + 1)
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            return Found(key, error=f"{url}: {error.strerror or 'there is no such file'}")
        except InputError:
            raise
        except Exception as error:  # libraries of stores let errors of many kinds through
            problem = error
            time.sleep(PAUSE * 4**attempt if attempt + 1 < ATTEMPTS else 0)
        else:
            return _checked(Found(key, content=content))
    if protocol_of(url) in ("http", "https"):
        return Found(key, error=f"{url}: cannot be read ({one_line(problem)})")
    raise _unreachable(url, problem)


def _shard(unit: Unit, columns: Columns) -> Iterator[Found]:
    """The photos of a tar file; where it is damaged, those before, and the file itself as one that is broken.

    Raises:
        InputError: its store cannot be reached.
    """
    (name,) = unit.names
    try:
        system, path = open_store(unit.source)
        with system.open(path, "rb") as file, read_tar(file) as tar:
            for member in tar:
                # macOS puts a file ._NAME of its own beside each photo.
                if member.isfile() and has_photo_suffix(member.name) and not PurePosixPath(member.name).name.startswith("."):
                    yield _member(tar, member, f"{name}/{member.name}")
    except DAMAGE as error:
        yield Found(name, error=f"{name}: the shard is damaged ({one_line(error)})")
    except FileNotFoundError:
        yield Found(name, error=f"{name}: there is no such file")
    except InputError:
        raise
    except Exception as error:  # see _download
        if not protocol_of(unit.source) and isinstance(error, OSError):
            yield Found(name, error=f"{name}: cannot be read ({one_line(error)})")
        else:
            raise _unreachable(unit.source, error) from error


def _unreachable(url: str, error: Exception) -> InputError:
    return InputError(f"cannot read {url} ({one_line(error)}): see the network and your keys for the store")


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo, key: str) -> Found:
    if member.size > MAX_BYTES:
        return Found(key, error=f"{key}: the file has {member.size / 1e9:.1f} GB, and photos of at most {MAX_BYTES / 1e9:.1f} GB are read")
    file = tar.extractfile(member)
    return Found(key, content=file.read() if file else b"")


def _table(unit: Unit, columns: Columns) -> Iterator[Found]:
    """Rows of a table that holds its photos, called by their ids, else by the table and their number; after damage all are broken.

    Raises:
        InputError: its store cannot be reached.
    """
    (name,), (start, stop) = unit.names, unit.rows
    done = start
    try:
        for photo in read_rows(unit.source, columns, start, stop):
            key = photo.id if photo.id is not None else f"{name}#{done}"
            yield _checked(Found(key, content=photo.content))
            done += 1
    except InputError as error:
        if protocol_of(unit.source) and not isinstance(error.__cause__, require_pyarrow().ArrowException):
            raise
        yield from (Found(f"{name}#{row}", error=str(error)) for row in range(done, stop))


def _checked(found: Found) -> Found:
    """A photo whose bytes are in memory, or its error where they are too many or none."""
    if found.content is None:
        return Found(found.id, error=f"{found.id}: the row holds no photo")
    if len(found.content) > MAX_BYTES:
        return Found(found.id, error=f"{found.id}: the file has more than {MAX_BYTES / 1e9:.1f} GB")
    return found


def in_groups(found: Iterable[Found], size: int) -> Iterator[tuple[list[Found], bool]]:
    """Photos in groups of one size, and whether a group is the last; a unit without photos is one empty group."""
    groups = in_batches(found, size)
    group = next(groups, [])
    for following in groups:
        yield group, False
        group = following
    yield group, True

"""Any number of photos, in order and each once, in a database on the disk: memory does not grow with their number."""

import os
import sqlite3
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from showattend.errors import InputError

CACHE_KIB = 8192  # of the database in memory; a few thousand photos never reach the disk
# The order of `sorted`: a folder's name is compared whole, before the names in it.
SEPARATOR = b"\0"
SCHEMA = f"""
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE; PRAGMA cache_size = -{CACHE_KIB};
CREATE TABLE photos (path BLOB PRIMARY KEY, rank INTEGER) WITHOUT ROWID;
"""


class PhotoIndex(Collection[Path]):
    """Photos in the order in which they were added, in a temporary database that has no name and ends with the process.

    Raises:
        InputError: also of the methods: the disk of temporary files is full, say.
    """

    def __init__(self, photos: Iterable[Path] = ()) -> None:
        with _disk_errors():
            self._database = sqlite3.connect("")
            weakref.finalize(self, self._database.close)
            self._database.executescript(SCHEMA)
        self._next_rank = 0
        self._insert((photo, rank) for rank, photo in enumerate(photos))

    def add_sorted(self, photos: Iterable[Path]) -> int:
        """Add photos behind those before, sorted among themselves.

        Returns:
            how many were given, those included that are in the index already
        """
        given = 0

        def ranked() -> Iterator[tuple[Path, int]]:
            nonlocal given
            for given, photo in enumerate(photos, 1):  # noqa: B007 (counts)
                yield photo, self._next_rank

        self._insert(ranked())
        return given

    def groups(self, key: Callable[[Path], object]) -> Iterator[list[Path]]:
        """The photos that share a key, which is compared as text, with others; those whose key is their own are left out."""
        with _disk_errors():
            self._database.create_function("key", 1, lambda raw: os.fsencode(str(key(_decode(raw)))), deterministic=True)
            rows = self._database.execute("SELECT key(path) AS own, path FROM photos ORDER BY own, rank, path")
            for _, sharing in groupby(rows, key=lambda row: row[0]):
                group = [_decode(path) for _, path in sharing]
                if len(group) > 1:
                    yield group

    def __iter__(self) -> Iterator[Path]:
        with _disk_errors():
            for (path,) in self._database.execute("SELECT path FROM photos ORDER BY rank, path"):
                yield _decode(path)

    def __len__(self) -> int:
        return self._database.total_changes

    def __contains__(self, photo: object) -> bool:
        found = self._database.execute("SELECT 1 FROM photos WHERE path = ?", [_encode(photo)]) if isinstance(photo, Path) else ()
        return any(found)

    def _insert(self, photos: Iterable[tuple[Path, int]]) -> None:
        with _disk_errors():
            rows = ((_encode(photo), rank) for photo, rank in photos)
            self._database.executemany("INSERT OR IGNORE INTO photos VALUES (?, ?)", rows)
        self._next_rank = 1 + self._database.execute("SELECT max(rank) FROM photos").fetchone()[0] if len(self) else 0


def _encode(photo: Path) -> bytes:
    return os.fsencode(photo).replace(b"/", SEPARATOR)


def _decode(path: bytes) -> Path:
    return Path(os.fsdecode(path.replace(SEPARATOR, b"/")))


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(f"the photos cannot be listed on the disk of temporary files ({error}): name another by TMPDIR") from error

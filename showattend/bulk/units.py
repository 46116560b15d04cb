"""Units of work, and the plan: the file that numbers them once for all runs and all machines that fill one output folder.

A plan never changes: what is finished is known by the numbers alone, although photos are added to the input meanwhile.
"""

import errno
import gzip
import json
import os
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from showattend.errors import InputError, one_line
from showattend.files import HOST, atomic_write, check_readable, writable

END = b'"end"\n'  # of a plan: without this line it is cut off
NO_HARD_LINKS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK}  # answers of such file systems


class Unit(NamedTuple):
    """Photos that become one part of the output.

    kind: files, shard (a whole tar file) or table (rows of a Parquet file)
    source: folder or URL below which the names of files lie; the path or URL of the shard or the table
    names: of files; the one of the shard or the table as the user gave it, by which its photos are called
    ids: of files, where these are not their names
    rows: first row of a table, and the one behind the last
    """

    kind: str
    source: str
    names: list[str] = []  # noqa: RUF012 (never changed)
    ids: list[str] | None = None
    rows: tuple[int, int] = (0, 0)

    @classmethod
    def from_json(cls, line: bytes | str) -> "Unit":
        """A unit from its line.

        Raises:
            InputError: it is none.
        """
        try:
            kind, source, names, ids, (start, stop) = json.loads(line)
        except (ValueError, TypeError) as error:
            raise InputError(f"the plan of the output folder is damaged ({one_line(error)}): choose another output folder") from error
        return cls(kind, source, names, ids, (start, stop))

    @property
    def num_photos(self) -> int | None:
        """How many photos it has; None: of a shard, which was not read yet."""
        return None if self.kind == "shard" else len(self.names) if self.kind == "files" else self.rows[1] - self.rows[0]


class Plan:
    """The units of an output folder, read from its file each time that they are needed.

    Raises:
        InputError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = sum(1 for _ in self.lines())

    def lines(self) -> Iterator[bytes]:
        """The units as lines of JSON, in order."""
        check_readable(self.path)
        try:
            with gzip.open(self.path, "rb") as file:
                for line in file:
                    if line == END:
                        return
                    yield line
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged() from error
        raise self._damaged()

    def remaining(self, finished: Collection[int], shard: tuple[int, int] = (1, 1)) -> "RemainingUnits":
        """The units of one of several equal shares of the plan that are not finished."""
        part, parts = shard
        return RemainingUnits(self, [index for index in range(part - 1, self.count, parts) if index not in finished])

    def _damaged(self) -> InputError:
        return InputError(f"{self.path} is damaged: choose another output folder")


def write_plan(path: Path, units: Iterable[Unit]) -> None:
    """Write a plan, unless another process was faster: the first one holds for all.

    Raises:
        InputError: it cannot be written.
    """
    draft = path.with_name(f"{path.name}.{HOST}-{os.getpid()}")
    try:
        with atomic_write(draft) as temporary, gzip.open(temporary, "wb", compresslevel=5) as file:
            for unit in units:
                file.write(json.dumps(unit).encode() + b"\n")  # a name that is no UTF-8 is escaped, and comes back exact
            file.write(END)
        with writable(path):
            try:
                os.link(draft, path)
            except FileExistsError:
                return
            except OSError as error:
                if error.errno not in NO_HARD_LINKS:
                    raise
                draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


class RemainingUnits:
    """Numbers and lines of some units of a plan, read from its file as they are needed, and again by each process."""

    def __init__(self, plan: Plan, indices: Sequence[int]) -> None:
        self.plan, self.indices = plan, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        remaining = set(self.indices)
        return ((index, line) for index, line in enumerate(self.plan.lines()) if index in remaining)

    def num_photos(self, unit_size: int) -> int:
        """How many photos there are, if all units are as large as the first one, and a shard has `unit_size`."""
        first = next((Unit.from_json(line).num_photos for _, line in self), 0)
        return len(self) * (unit_size if first is None else first)

    def share(self, first: int, step: int) -> "RemainingUnits":
        """Every step-th of these units, from the first one on."""
        return RemainingUnits(self.plan, self.indices[first::step])

"""The output folder: which run it belongs to, its plan, its locks, and its parts.

run.json says what the captions depend on; a run that differs is refused. Processes that work on different shares of the plan (--shard)
fill one folder together; any other two are kept apart by locks, which end with the process that holds them.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from showattend.bulk.begun import BegunUnits
from showattend.bulk.chunks import Row
from showattend.bulk.listing import Source, list_units
from showattend.bulk.parts import finished_units, part_name, write_part
from showattend.bulk.units import Plan, write_plan
from showattend.config_checks import flatten
from showattend.errors import InputError, shorten
from showattend.files import check_readable, lock_for_process, writable, write_text

RUN, PLAN, LOCK, PARTS, BEGUN = "run.json", "plan.jsonl.gz", "lock", "parts", "begun"
FORMATS = ("parquet", "jsonl")
SHARE_LOCK = re.compile(rf"{LOCK}-\d+-of-(\d+)")
FORMAT = 1  # of run.json


class BulkOutput:
    """An output folder that this process holds until `close`.

    Args:
        settings: all that the captions depend on, as JSON holds it
        shard: which of how many equal shares of the plan

    Raises:
        InputError: it is the folder of another run, another process works in it, or it cannot be written to.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], shard: tuple[int, int] = (1, 1)) -> None:
        self.folder, self.shard = folder, shard
        self.parts = folder / PARTS
        self.begun = BegunUnits(folder / BEGUN)
        self.settings = json.loads(json.dumps({"version": FORMAT, **settings}))
        self._locks: list[int] = []
        self._check_new_or_same()
        with writable(folder):
            self.parts.mkdir(parents=True, exist_ok=True)
            self._lock()
        self._check_new_or_same()
        if not (folder / RUN).exists() or self._is_empty():
            write_text(folder / RUN, json.dumps(self.settings, indent=1) + "\n")

    def plan(self, source: Source, note: Callable[[str], None]) -> Plan:
        """The plan of the folder, which the first process makes.

        Args:
            note: takes a line about files that are left out

        Raises:
            InputError: see `list_units`; or the plan is damaged.
        """
        path = self.folder / PLAN
        if not path.exists():
            left_out: Counter[str] = Counter()
            write_plan(path, list_units(source, left_out))
            if left_out:
                note(f"files left out: {', '.join(f'{name} ({count})' for name, count in left_out.most_common(8))}")
        return Plan(path)

    def finished(self) -> set[int]:
        """The numbers of the units that have their part."""
        return finished_units(self.parts)

    def write(self, index: int, rows: list[Row]) -> None:
        """Write the part of a unit.

        Raises:
            InputError: see `write_part`.
        """
        path = self.parts / part_name(index, self.settings["format"])
        write_part(path, rows, self.settings["model"], alphas=self.settings["alphas"])
        self.begun.end(index)

    def close(self) -> None:
        """Let others work in the folder."""
        while self._locks:
            os.close(self._locks.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_new_or_same(self) -> None:
        path = self.folder / RUN
        if not path.exists():
            if self.folder.is_dir() and any(name not in (PARTS, LOCK) for name in self._names()):
                raise InputError(f"{self.folder} holds other files: give --output a new folder")
            return
        check_readable(path)
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{path} is damaged: give --output another folder") from error
        if before == self.settings or self._is_empty():
            return
        old = dict(flatten(before)) if isinstance(before, dict) else {}
        for name, value in flatten(self.settings):
            if old.get(name) != value:
                raise InputError(
                    f"{self.folder} holds another run: its {re.sub('[._]', ' ', name)} is {_short(old.get(name, '?'))}, and not "
                    f"{_short(value)}: give --output another folder, or the same input, model and options"
                )

    def _is_empty(self) -> bool:
        """Whether an earlier run, which was alone, ended before it had found any input: another one may take its place."""
        return self.shard[1] == 1 and not (self.folder / PLAN).exists()

    def _names(self) -> list[str]:
        return [name for name in os.listdir(self.folder) if not name.startswith((".", f"{LOCK}-"))]

    def _lock(self) -> None:
        """A run of its own holds the folder alone; shares of one plan hold it together, and each of them its own lock."""
        part, parts = self.shard
        self._hold(LOCK, shared=parts > 1)
        if parts > 1:
            self._hold(f"{LOCK}-{part}-of-{parts}", shared=False)
            for name in os.listdir(self.folder):  # shares of another number would overlap with ours, which share what those have left
                match = SHARE_LOCK.fullmatch(name)
                if match and int(match[1]) != parts:
                    self._hold(name, shared=True)

    def _hold(self, name: str, *, shared: bool) -> None:
        descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        self._locks.append(descriptor)
        if not lock_for_process(descriptor, shared=shared):
            self.close()
            raise InputError(f"another process works in {self.folder}: wait until it ends, or give --output another folder")


def _short(value: object) -> str:
    return shorten(str(value))[:100]

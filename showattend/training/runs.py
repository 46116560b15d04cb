"""Folders of training runs: a fresh one for each, so that nothing is ever overwritten, and never two processes in one."""

import itertools
import os
from contextlib import suppress
from pathlib import Path

from showattend.errors import InputError
from showattend.files import lock_for_process, writable
from showattend.training.checkpoints import LAST


def make_run_folder(path: Path) -> Path:
    """Make the folder `path`, or path-2, path-3, … where that exists; two runs that start at once get two folders.

    Raises:
        InputError: it cannot be made, or has no name.
    """
    if not path.name:
        raise InputError(f"the folder of a run needs a name, and '{path}' has none: give one, such as {path / 'runs' / 'demo'}")
    for number in itertools.count(1):
        folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
        with writable(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir()  # atomic: of two processes one makes it
            except FileExistsError:
                continue
        lock_run_folder(folder)
        return folder
    raise AssertionError("there is always a next number")


def lock_run_folder(folder: Path) -> None:
    """Keep other processes from training in a folder until this one ends, however it ends.

    Raises:
        InputError: another process trains in it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    if not lock_for_process(descriptor):
        os.close(descriptor)
        raise InputError(f"another process trains in {folder}: wait for its end, or give another --name")
    _locks[folder.resolve()] = descriptor


def unlock_run_folders() -> None:
    """Let go of all folders: at the end of a run, and in worker processes, which outlive a killed run by seconds."""
    while _locks:
        with suppress(OSError):
            os.close(_locks.popitem()[1])


def last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint of a run; None where it was killed before its first."""
    path = folder / "checkpoints" / LAST
    return path if path.exists() else None


_locks: dict[Path, int] = {}  # open descriptors of the folders in which this process trains
os.register_at_fork(after_in_child=unlock_run_folders)

"""Folders of training runs: a fresh one for each, so that nothing is ever overwritten."""

import itertools
from pathlib import Path

from showattend.errors import InputError
from showattend.files import writable
from showattend.training.checkpoints import LAST


def make_run_folder(path: Path) -> Path:
    """Make the folder `path`, or path-2, path-3, … where that exists; two runs that start at once get two folders.

    Raises:
        InputError: it cannot be made.
    """
    for number in itertools.count(1):
        folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
        with writable(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir()  # atomic: of two processes one makes it
            except FileExistsError:
                continue
        return folder
    raise AssertionError("there is always a next number")


def last_checkpoint(folder: Path) -> Path:
    """The last checkpoint of a run.

    Raises:
        InputError: there is none.
    """
    path = folder / "checkpoints" / LAST
    if not path.exists():
        raise InputError(f"no checkpoints/{LAST} in {folder}: give the --name of the run to resume")
    return path

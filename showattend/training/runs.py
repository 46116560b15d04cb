"""Folders of training runs: a fresh one for each, so that nothing is ever overwritten."""

import itertools
from pathlib import Path

from showattend.errors import InputError
from showattend.files import writable


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


def resumed_folder(folder: Path) -> Path:
    """The folder of an earlier run that is resumed.

    Raises:
        InputError: there is no checkpoint to resume from.
    """
    if not (folder / "checkpoints" / "last.ckpt").exists():
        raise InputError(f"no checkpoints/last.ckpt in {folder}: give the --name of the run to resume")
    return folder


def keep_metrics(folder: Path) -> None:
    """Rename the metrics of a resumed run's earlier part, because the logger starts a new file."""
    metrics = folder / "metrics.csv"
    if metrics.exists():
        number = next(n for n in itertools.count(1) if not (folder / f"metrics-{n}.csv").exists())
        metrics.rename(folder / f"metrics-{number}.csv")

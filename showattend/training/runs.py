"""Where a training run lies: one fresh folder for each, so that nothing is ever overwritten."""

import itertools
from pathlib import Path

from showattend.errors import InputError
from showattend.files import writable


def make_run_folder(wanted: Path) -> Path:
    """Make `wanted`, or wanted-2, wanted-3, … where that holds something already.

    Raises:
        InputError: it cannot be made.
    """
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            continue
        with writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder
    raise AssertionError("there is always a next number")


def resumed_folder(folder: Path) -> Path:
    """The folder of an earlier run that goes on.

    Raises:
        InputError: there is no checkpoint to go on from.
    """
    if not (folder / "checkpoints" / "last.ckpt").exists():
        raise InputError(f"no checkpoints/last.ckpt in {folder}: give the --name of the run that is to go on")
    return folder


def keep_metrics(folder: Path) -> None:
    """Give the metrics of an earlier part of the run another name: the logger begins its file anew."""
    metrics = folder / "metrics.csv"
    if metrics.exists():
        number = next(n for n in itertools.count(1) if not (folder / f"metrics-{n}.csv").exists())
        metrics.rename(folder / f"metrics-{number}.csv")

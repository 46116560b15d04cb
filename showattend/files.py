"""Writing without half-written files: everything goes to a temporary name beside the target and is renamed when complete."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from showattend.errors import InputError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path in the target's folder; rename it to the target at the end, or remove it after an error.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    path = Path(path)
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix is kept: writers of pictures and arrays choose the format by it.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; a result is as readable as any other file of the user's.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one line.

    Raises:
        InputError: with the path and the system's reason.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}: choose a folder that you may write to") from error


def check_writable(path: Path) -> None:
    """Find out before the work, without touching anything, whether a file can be written.

    Raises:
        InputError: it is a folder, or its folder can neither be written to nor be made.
    """
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder: give the name of a file")
    nearest = next(parent for parent in path.absolute().parents if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"cannot write {path}: {nearest} is no folder that you may write to")

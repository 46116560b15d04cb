"""A file of results that grows while the work goes on, so that whatever ends the work, what was found until then is on the disk."""

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from showattend.errors import InputError
from showattend.files import check_writable, copy_into, is_written_through, lock_for_process, rename_durably, writable
from showattend.inference.caption_formats import Layout

SUFFIX = ".partial"
MAX_NAME = 255  # bytes of a file's name on most file systems


def partial_path(path: Path) -> Path:
    """The file beside a target in which its rows are collected: its name with .partial; a very long name is cut and hashed."""
    target = Path(os.path.realpath(path))
    name = os.fsencode(target.name)
    if len(name) + len(SUFFIX) > MAX_NAME:
        name = name[: MAX_NAME - 40] + hashlib.sha256(name).hexdigest()[:16].encode()
    return target.with_name(os.fsdecode(name) + SUFFIX)


class GrowingFile:
    """Rows are added to a partial file, which is valid after each of them and becomes the target at the end.

    After an interruption the partial file becomes the target too, unless that would replace a file of another run. A killed process leaves
    the partial file. A device or a pipe gets all rows at the end.

    Raises:
        InputError: the target cannot be written.
    """

    def __init__(self, path: Path, layout: Layout) -> None:
        check_writable(path)
        self.path, self.layout = path, layout
        self.through = is_written_through(path)
        self.partial = partial_path(path)
        self.rows = 0  # blocks of rows that were added, one for each photo
        self.end = 0  # bytes without the tail
        # Whether an interruption leaves the target as it is, because it holds what another run found.
        self.keeps_target = not self.through and os.path.isfile(path) and os.path.getsize(path) > 0
        self.descriptor: int | None = None

    def resume(self, source: Path, end: int, rows: int) -> None:
        """Go on behind the first `end` bytes of an earlier file, the partial one or the target.

        Raises:
            InputError: another process is writing it, or the disk is full.
        """
        self.descriptor = self._open_partial()
        with writable(self.path):
            if source != self.partial:
                with source.open("rb") as old, os.fdopen(os.dup(self.descriptor), "wb") as new:
                    shutil.copyfileobj(old, new)
            os.pwrite(self.descriptor, self.layout.tail, end)
            os.ftruncate(self.descriptor, end + len(self.layout.tail))
        self.end, self.rows, self.keeps_target = end, rows, False

    def add(self, rows: list[bytes]) -> None:
        """Add the rows of one photo; they are on their way to the disk when this returns.

        Raises:
            InputError: the disk is full, say; the rows before stay, and the file is valid.
        """
        self._open()
        block = (self.layout.separator if self.rows else self.layout.first) + self.layout.separator.join(rows) + self.layout.tail
        self._write(block, len(block) - len(self.layout.tail))
        self.rows += 1

    def finish(self) -> None:
        """Make the partial file the target.

        Raises:
            InputError: the target cannot be written; the partial file stays.
        """
        self._open()
        self._publish()

    def keep(self) -> str:
        """After an interruption: keep the rows that were found.

        Returns:
            where they are, for a message; empty if there are none
        """
        if not self.rows:
            self._discard()
            return ""
        if self.keeps_target:
            self._close()
            return f"the captions of {self.rows} photos are kept in {self.partial}"
        try:
            self._publish()
        except InputError:
            return f"the captions of {self.rows} photos are kept in {self.partial}"
        return f"the captions of {self.rows} photos are kept in {self.path}"

    def _open(self) -> int:
        """The descriptor of the partial file, which is made with the first row, so that an early error leaves nothing."""
        if self.descriptor is not None:
            return self.descriptor
        self.descriptor = self._open_partial()
        with writable(self.path):
            os.ftruncate(self.descriptor, 0)
        self._write(self.layout.head + self.layout.tail, len(self.layout.head))
        return self.descriptor

    def _open_partial(self) -> int:
        with writable(self.path):
            if self.through:
                descriptor, name = tempfile.mkstemp(prefix="showattend-", suffix=SUFFIX)
                self.partial = Path(name)
            else:
                self.partial.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self.partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        self._lock(descriptor)
        return descriptor

    def _lock(self, descriptor: int) -> None:
        if not lock_for_process(descriptor):
            os.close(descriptor)
            raise InputError(f"cannot write {self.path}: another process writes it: choose another file, or wait")

    def _write(self, block: bytes, length: int) -> None:
        """Write a block over the old tail; `length` of its bytes come before the new tail."""
        descriptor = self._open()
        try:
            written = 0
            while written < len(block):
                written += os.pwrite(descriptor, block[written:], self.end + written)
        except OSError as error:
            self._restore_tail(descriptor)
            with writable(self.path):
                raise error from None
        self.end += length

    def _restore_tail(self, descriptor: int) -> None:
        # The old tail's bytes have their place on the disk already.
        with suppress(OSError):
            os.pwrite(descriptor, self.layout.tail, self.end)
            os.ftruncate(descriptor, self.end + len(self.layout.tail))

    def _publish(self) -> None:
        self._restore_tail(self._open())
        with writable(self.path):
            if self.through:
                copy_into(self.partial, self.path)
                self._discard()
            else:
                rename_durably(self.partial, Path(os.path.realpath(self.path)))
                self._close()

    def _discard(self) -> None:
        if self.descriptor is not None:
            self.partial.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

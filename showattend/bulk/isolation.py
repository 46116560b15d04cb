"""Work in a process of its own, which it may kill: libraries of pictures crash, and memory runs out.

A unit is decoded so after a process has died at it, whoever has killed that one. It costs a fork for each batch.
"""

import faulthandler
import os
import pickle
import resource
import signal
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")
MAX_BYTES = 2**33  # of memory that a child may take beside its parent's


class ChildDied(Exception):
    """The process has ended without a result; the message says how."""


def run_in_child(function: Callable[[Argument], Result], argument: Argument) -> Result:
    """The result of a function in a fork of this process.

    Raises:
        ChildDied: there is none.
    """
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, of which the child needs none
        child = os.fork()
    if child == 0:
        _run(function, argument, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        content = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        result: Result = pickle.loads(content)  # of our own fork
        return result
    raise ChildDied(signal.Signals(-status).name if status < 0 else "its memory is used up")


def _run(function: Callable[[Argument], Result], argument: Argument, writer: int) -> NoReturn:
    """In the child: write the result, and end without what the parent has to do at its end."""
    status = 1
    try:
        _prepare()
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(function(argument), pipe)
        status = 0
    finally:
        os._exit(status)


def _prepare() -> None:
    """No dump of a crash, and a limit on memory: what takes more is the photo's fault and not the machine's."""
    faulthandler.disable()  # the parent says what has happened
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # no Linux, or a lower limit
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (taken + MAX_BYTES, hard))


class BegunUnits:
    """A file for each unit that a process is at work on; one that is there before says that the process has died, or was stopped.

    Args:
        folder: of these files; None: nothing is remembered
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def begin(self, unit: int) -> bool:
        """Remember a unit.

        Returns:
            whether it was begun before
        """
        if self.folder is None:
            return False
        try:
            self.folder.mkdir(exist_ok=True)
            (self.folder / str(unit)).touch(exist_ok=False)
        except FileExistsError:
            return True
        except OSError:  # a full disk stops the work elsewhere
            return False
        return False

    def end(self, unit: int) -> None:
        """Forget a unit whose part is written, and the folder with the last one."""
        if self.folder is not None:
            with suppress(OSError):
                (self.folder / str(unit)).unlink(missing_ok=True)
                self.folder.rmdir()

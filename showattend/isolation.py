"""Work in a process of its own, which it may kill: libraries of pictures crash, and memory runs out.

Photos are decoded so after a process has died at them, whoever has killed that one. It costs a fork for each batch.
"""

import faulthandler
import os
import pickle
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")
FAILED, OUT_OF_MEMORY = 1, 2  # exit statuses of a child
MAX_BYTES = 2**33  # of memory that a child may take beside its parent's


class ChildDied(Exception):
    """The process has ended without a result; the message says how."""


def run_in_children(
    function: Callable[[Sequence[Argument]], list[Result]], items: Sequence[Argument], died: Callable[[Argument, str], Result]
) -> list[Result]:
    """The results of a function for some items, in a fork of this process, and after its death in one for each of them.

    Args:
        function: gives a result for each item
        died: the result for an item that kills its process, and how that dies
    """
    try:
        return run_in_child(function, items)
    except ChildDied as death:
        if len(items) == 1:
            return [died(items[0], f"the process that decodes it dies ({death})")]
    return [result for item in items for result in run_in_children(function, [item], died)]


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
    raise ChildDied(signal.Signals(-status).name if status < 0 else "its memory is used up" if status == OUT_OF_MEMORY else "of an error")


def _run(function: Callable[[Argument], Result], argument: Argument, writer: int) -> NoReturn:
    """In the child: write the result, and end without what the parent has to do at its end."""
    status = FAILED
    try:
        _prepare()
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(function(argument), pipe)
        status = 0
    except MemoryError:
        status = OUT_OF_MEMORY
    finally:
        os._exit(status)


def _prepare() -> None:
    """No dump of a crash, and a limit on memory: what takes more is the photo's fault and not the machine's."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)  # a fork has none of its parent's threads, and would wait for them for ever
    faulthandler.disable()  # the parent says what has happened
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # no Linux, or a lower limit
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (taken + MAX_BYTES, hard))

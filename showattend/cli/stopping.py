"""How a command ends before its end: signals as exceptions, and what the system refuses in one line."""

import os
import re
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from showattend.console import discard_output, writable_output
from showattend.errors import InputError
from showattend.files import DISK_ERRORS

NESTED = "folders, or the contents of a file, are nested too deeply: give what is less deep"
MEMORY = "memory is used up: take a smaller --batch-size, or --workers 0"
# What torch, its threads and worker processes say where memory, threads, processes or open files are used up; and what to do.
# Compiled before there is need: where memory is used up, they could not be.
LIMITS = [
    (re.compile(pattern, re.IGNORECASE), advice)
    for pattern, advice in (
        (r"alloc|out of memory|not enough memory|failed to map segment|could not create a primitive", MEMORY),
        (r"can't start new thread|resource temporarily unavailable", "no more threads or processes may be started: raise ulimit -u"),
        (r"too many open files", "too few files may be open: raise ulimit -n, or take --workers 0"),
        (
            r"unable to (?:resize|mmap|open shared memory)",
            "shared memory is refused: raise ulimit -f, give /dev/shm more, or take --workers 0",
        ),
        (
            r"dataloader worker .* (?:exited|is killed)",
            "a process that reads photos was killed, perhaps for want of memory: take --workers 0",
        ),
    )
]
# Given back as soon as an error is to be put into words: where memory is used up, even the message needs some.
RESERVE = bytearray(2**20)


class Terminated(KeyboardInterrupt):
    """A signal other than Ctrl-C's ends the process."""

    signal: int = signal.SIGTERM


class HungUp(Terminated):
    """The terminal was closed."""

    signal = signal.SIGHUP


@contextmanager
def termination_as_exception() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP raise Terminated, so that files are finished and temporary ones removed."""
    before = {}
    with suppress(ValueError):  # not the main thread
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores SIGHUP, and that is to stay so
                before[number] = signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _: FrameType | None) -> NoReturn:
    raise HungUp() if number == signal.SIGHUP else Terminated()


def check_memory_limit() -> None:
    """Where address space is limited (ulimit -v), try in a process of its own whether the libraries fit: some abort where they do not.

    Raises:
        InputError: they do not fit.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return
    process = os.fork()
    if process == 0:
        _import_libraries()
    if os.waitpid(process, 0)[1]:
        raise InputError(f"the limit on memory, {limit / 2**30:.1f} GiB, is too low to load the libraries: raise ulimit -v")


def _import_libraries() -> NoReturn:
    """In a fork: import what commands need, without a word; the exit status is 0 if that worked."""
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        import showattend.inference.captioner  # noqa: F401

        status = 0
    finally:
        os._exit(status)


def in_one_line(error: BaseException) -> str | None:
    """The message of an error that is no fault of the program: bad input, or what the system refuses.

    Returns:
        the message; an empty one where the reader of our output has gone; None for any other error
    """
    RESERVE.clear()
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, BrokenPipeError) and error.filename is None:
        # The reader of our output has closed it (caption … | head): no error of ours, and nobody to report it to.
        return ""
    # The error of a worker process holds that process's traceback; its own message is the last line.
    text = str(error).strip().rpartition("\n")[2]
    for pattern, advice in LIMITS:
        if isinstance(error, OSError | RuntimeError | ImportError | MemoryError) and pattern.search(text):
            return f"{advice} ({' '.join(text.split())[:200]})"
    if isinstance(error, MemoryError):
        return MEMORY
    if isinstance(error, RecursionError):
        return NESTED
    if isinstance(error, OSError) and error.errno is not None:
        if error.filename is None:  # our files' errors have names, so it is most probably standard output
            place = "cannot write standard output" if error.errno in DISK_ERRORS else "the system refused"
        else:
            place = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
        return f"{place}: {error.strerror}"
    return None


def flush_output() -> None:
    """Write what standard output still holds.

    Raises:
        InputError: it refuses to be written to.
        BrokenPipeError: its reader has ended.
    """
    with writable_output():
        sys.stdout.flush()


def discard_unwritten_output() -> None:
    """Where standard output refuses what it still holds, drop that, so that Python does not try again at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            discard_output(stream)
        except ValueError:  # closed
            continue

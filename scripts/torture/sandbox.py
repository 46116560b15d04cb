"""Running an attempt in a forked process, with limits of time and memory, and reading its outcome from what it printed.

A fork of this process has everything imported already, so that an attempt takes milliseconds where a new process takes seconds.
"""

import contextlib
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from scripts.torture.outcome import Outcome, Result

MEMORY = 6 * 2**30  # address space beyond what the parent has
CRASHED = 70  # status of a fork whose action raised
MAX_OUTPUT = 2**24  # bytes of output that are kept
LONGEST_PAUSE = 1.0  # seconds between two looks at a process; what is beyond that was not its fault
patience = 1.0  # factor of all time limits, more than 1 on a busy machine; set once, before the first attempt


class Ended(NamedTuple):
    """How a forked process ended: its exit status, or minus the signal that killed it."""

    status: int
    stdout: str
    stderr: str
    timed_out: bool
    seconds: float


def run_command(arguments: Sequence[str], folder: Path, **options: float) -> Ended:
    """Run `showattend ARGUMENTS` in a fork."""

    def action() -> None:
        from showattend.cli.main import run

        sys.argv = ["showattend", *arguments]
        run()

    return run_forked(action, folder, **options)  # type: ignore[arg-type]


def run_forked(
    action: Callable[[], object],
    folder: Path,
    *,
    timeout: float = 60.0,
    kill_after: float | None = None,
    memory: int = MEMORY,
    prepare: Callable[[], None] | None = None,
) -> Ended:
    """Run an action in a fork whose working folder is `folder`, and wait for its end.

    Args:
        kill_after: seconds until it is killed as part of the attempt
        prepare: further limits, set in the fork before the action
    """
    pipes = [os.pipe(), os.pipe()]
    process = os.fork()
    if process == 0:
        _become_child(action, folder, memory, prepare, [writer for _, writer in pipes])
    for reader, writer in pipes:
        os.close(writer)
        os.set_blocking(reader, False)
    readers = {reader: bytearray() for reader, _ in pipes}
    status, timed_out, seconds = _wait(process, timeout, kill_after, readers)
    for reader in readers:
        os.close(reader)
    stdout, stderr = (bytes(text).decode(errors="backslashreplace") for text in readers.values())
    return Ended(status, stdout, stderr, timed_out, seconds)


def _become_child(
    action: Callable[[], object], folder: Path, memory: int, prepare: Callable[[], None] | None, outputs: Sequence[int]
) -> None:
    """Run the action with its own standard streams and limits, and never return."""
    status = CRASHED
    try:
        os.setsid()
        os.chdir(folder)
        for number, opened in enumerate((os.open(os.devnull, os.O_RDONLY), *outputs)):
            os.dup2(opened, number)
        # The parent's own may have been files, which can seek.
        sys.stdin, sys.stdout, sys.stderr = (open(number, mode, closefd=False) for number, mode in enumerate("rww"))  # noqa: SIM115
        status = _status_of(action, memory, prepare)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:
        os.write(2, repr(error).encode(errors="backslashreplace"))
    finally:
        os._exit(status)


def _status_of(action: Callable[[], object], memory: int, prepare: Callable[[], None] | None) -> int:
    try:
        _limit_memory(memory)
        if prepare:
            prepare()
        action()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        os.write(2, traceback.format_exc().encode(errors="backslashreplace")[-50_000:])
        return CRASHED
    return 0


def _limit_memory(memory: int) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if Path("/proc/self/statm").exists() else 0
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))


def _wait(process: int, timeout: float, kill_after: float | None, readers: dict[int, bytearray]) -> tuple[int, bool, float]:
    """Wait for a process, which is killed at its time; its outputs are read meanwhile.

    Returns:
        its status, whether that was the time limit, and its seconds; those in which this process was stopped itself do not count
    """
    limit = timeout * patience if kill_after is None else min(timeout * patience, kill_after)
    seconds, before = 0.0, time.monotonic()
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        now = time.monotonic()
        seconds, before = seconds + min(now - before, LONGEST_PAUSE), now
        timed_out = not ended and seconds > limit
        if timed_out:
            _kill_group(process)
            _, status = os.waitpid(process, 0)
        for reader, text in readers.items():
            _read_all(reader, text)
        if ended or timed_out:
            _kill_group(process)
            return os.waitstatus_to_exitcode(status), timed_out and kill_after is None, seconds
        select.select(list(readers), [], [], 0.005)
        time.sleep(0.002)


def _read_all(reader: int, text: bytearray) -> None:
    """Read what lies in a pipe; of endless output only the beginning is kept."""
    with contextlib.suppress(BlockingIOError):
        while block := os.read(reader, 2**16):
            if len(text) < MAX_OUTPUT:
                text += block


def _kill_group(process: int) -> None:
    """Kill a process and those that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)


def classify(ended: Ended) -> Result:
    """The outcome of a command by its status and what it printed."""
    if ended.timed_out:
        return Result(Outcome.HANG, ended.stderr[-2000:])
    if "Traceback (most recent call last)" in ended.stderr or ended.status not in (0, 1, 2):
        return Result(Outcome.TRACEBACK, f"{ended.stderr[-6000:]}\nstatus {ended.status}")
    if ended.status == 0:
        return Result(Outcome.GOOD)
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    if not lines:
        return Result(Outcome.TRACEBACK, f"status {ended.status} without a message")
    errors = [line for line in lines if line.startswith("showattend") and ": " in line]
    if ended.status == 2 and len(errors) != 1:
        return Result(Outcome.TRACEBACK, f"status 2 with {len(errors)} lines of error: {ended.stderr[-2000:]}")
    return Result(Outcome.ONE_LINE, (errors or lines)[-1])

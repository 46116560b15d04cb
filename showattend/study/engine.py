"""Runs jobs of a study, in this process or in several, and stores each row as soon as it is there."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for_any
from typing import Any

from tqdm import tqdm

from showattend.console import printable
from showattend.errors import InputError, one_line
from showattend.ops.threads import torch_threads
from showattend.study.trials import COMPLETE, DIVERGED, FAILED, DivergedError, Job, Row, Status, TrialStore, is_finite

MAX_DEATHS = 5  # processes that single runs may kill before the study ends: something else is wrong then
Work = Callable[[Job], dict[str, Any]]  # measures a job; picklable where there are several processes


def run_job(work: Work, job: Job) -> Row:
    """Measure a job on one thread; what goes wrong is the reason of its row and not an end of the study."""
    started = time.perf_counter()
    status: Status
    with torch_threads(1):
        try:
            values = work(job)
            status, reason = (COMPLETE, "") if is_finite(values) else (DIVERGED, "a measured value is not finite")
        except DivergedError as error:
            status, reason, values = DIVERGED, one_line(error), {}
        except Exception as error:
            status, reason, values = FAILED, f"{type(error).__name__}: {one_line(error)}", {}
    return Row(job, status, reason, values if status == COMPLETE else {}, round(time.perf_counter() - started, 3))


def missing_jobs(jobs: Iterable[Job], rows: Mapping[str, Row]) -> list[Job]:
    """The jobs without a row. A row of another setting or seed does not count, nor one that failed: memory or disk may have been full."""
    return [job for job in jobs if job.id not in rows or rows[job.id].job != job or rows[job.id].status == FAILED]


def run_jobs(jobs: Sequence[Job], work: Work, store: TrialStore, processes: int, task: str, finished: int = 0) -> None:
    """Run jobs, and store their rows.

    Args:
        processes: 1 runs them in this process
        task: what the progress bar says
        finished: jobs of the task that have a row already

    Raises:
        InputError: several runs have killed their processes; the rows so far are stored.
    """
    with tqdm(total=finished + len(jobs), initial=finished, desc=task, unit=" runs", smoothing=0.05) as bar:
        rows = (run_job(work, job) for job in jobs) if processes == 1 else _in_processes(jobs, work, processes)
        for row in rows:
            store.add(row)
            bar.update()
            if row.reason:
                bar.write(printable(f"{row.job.id}: {row.status}: {row.reason}"))


def _in_processes(jobs: Iterable[Job], work: Work, processes: int) -> Iterator[Row]:
    """Rows as they are finished; at most one job a process is under way, so that an interruption loses little.

    Where a process dies, for want of memory perhaps, the jobs under way are repeated one at a time: one that kills its process has failed.
    """
    waiting, deaths = iter(jobs), 0
    while suspects := (yield from _until_a_process_dies(waiting, work, processes)):
        for job in suspects:
            if (yield from _until_a_process_dies(iter([job]), work, 1)):
                deaths += 1
                if deaths == MAX_DEATHS:
                    raise InputError(f"{deaths} runs have killed their processes, for want of memory perhaps: see to that, and start again")
                yield Row(job, FAILED, "it kills its process, for want of memory perhaps")


def _until_a_process_dies(waiting: Iterator[Job], work: Work, processes: int) -> Generator[Row, None, list[Job]]:
    """Rows of jobs that are taken one after another.

    Returns:
        the jobs that were under way when a process died; none if all are done
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_start_worker, initargs=(work,)) as pool:
        running: dict[Future[Row], Job] = {}  # under way
        taken = list(islice(waiting, processes))  # to be so next
        try:
            while running or taken:
                while taken:
                    running[pool.submit(_run_in_worker, taken[0])] = taken[0]
                    del taken[0]
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    row = future.result()
                    del running[future]
                    yield row
                    taken += islice(waiting, 1)
        except BrokenProcessPool:
            return [*running.values(), *taken]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return []


# What a worker process measures jobs with: handed over once, so that what it has read is not read again for every job.
_worker: dict[str, Work] = {}


def _start_worker(work: Work) -> None:
    _worker["work"] = work
    _end_with_parent()


def _run_in_worker(job: Job) -> Row:
    return run_job(_worker["work"], job)


def _end_with_parent() -> None:
    """Let a worker process end with the study, also when that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait_for_any([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

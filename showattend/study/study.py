"""Runs a study in its folder from its first run, or from where it was interrupted, to its report."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from showattend.console import print_line
from showattend.errors import InputError
from showattend.files import write_text
from showattend.inference.device import stop_looking_for_gpus
from showattend.registry import check_trusted
from showattend.study.caption_study import OBJECTIVE, CaptionWork, distributions, final_jobs, planned_runs, search_jobs, selection_jobs
from showattend.study.config import CaptionStudy, MemoryStudy, StudyConfig, check_sizes
from showattend.study.config_file import plain_config, read_config
from showattend.study.engine import Work, missing_jobs, run_job, run_jobs
from showattend.study.memory_study import GRADIENTS, MemoryWork, is_cut_short, memory_jobs
from showattend.study.memory_summary import planned_memory_runs
from showattend.study.report import write_results
from showattend.study.row_values import SETTINGS, CaptionValues, GradientValues, TaskValues, check_row
from showattend.study.summary import Summary
from showattend.study.trials import FINAL, JOURNAL, SEARCH, SELECTION, Job, Row, TrialStore, locked
from showattend.study.trials_table import published_trials, rounded

CONFIG = "study.json"
# What a study may be given more of later: more runs change none of those that are there.
GROWING = ("cells", "tracks", "trials", "candidates", "candidate_seeds", "seeds")
# What the encoder and the caches in a folder depend on, also before the first run.
MATERIAL = ("kind", "data", "encoder", "encoder_recipe", "preprocessing", "seed")
TIMED = ("seconds_a_step",)  # measured, but never the same twice


class Plan(NamedTuple):
    """How much of a study is left, how long a run took that was timed, and what went wrong in it, if anything did."""

    planned: int
    finished: int
    seconds_a_run: float
    problem: str

    @property
    def hours_left(self) -> float:
        """With one process."""
        return (self.planned - self.finished) * self.seconds_a_run / 3600


def run_study(config: StudyConfig, folder: Path, processes: int = 1, work: Work | None = None, trusted: Collection[str] = ()) -> Summary:
    """Do all runs that are missing, and write the results; after an interruption too.

    Args:
        work: measures a job; None: as the configuration says
        trusted: modules and dotted paths that the study in the folder may name besides those of the configuration

    Raises:
        InputError: the folder holds a study of another configuration, is in use, or cannot be written to; or the data are bad.
    """
    with locked(folder):
        store = _make_store(config, folder)
        rows = _stored_rows(config, folder, store, trusted)
        check_sizes(config)
        _write_config(config, folder)
        if rows and not store.rows():
            store.restore(rows.values())
            print_line(f"going on from the {len(rows)} runs in the table of {folder}")
        try:
            for task in _tasks(config):
                rows = store.rows()
                jobs = _jobs(config, task, rows)
                if missing := _missing_jobs(config, jobs, rows):  # a finished study needs neither data nor encoder
                    work = work or _work(config, folder, rows)
                    run_jobs(missing, work, store, processes, task, finished=len(jobs) - len(missing))
        finally:
            summary = write_results(config, store.rows(), folder)
    return summary


def _tasks(config: StudyConfig) -> tuple[str, ...]:
    """The parts of a study, one after another."""
    return (SEARCH, SELECTION, FINAL) if isinstance(config, CaptionStudy) else ("memory",)


def _jobs(config: StudyConfig, task: str, rows: Mapping[str, Row]) -> list[Job]:
    """Those of one part of a study; each part depends on the rows of those before it."""
    if not isinstance(config, CaptionStudy):
        return memory_jobs(config)
    if task == SEARCH:
        return search_jobs(config)
    return selection_jobs(config, rows) if task == SELECTION else final_jobs(config, rows)


def _missing_jobs(config: StudyConfig, jobs: Sequence[Job], rows: Mapping[str, Row]) -> list[Job]:
    if isinstance(config, MemoryStudy):
        rows = {name: row for name, row in rows.items() if not is_cut_short(row, config)}
    return missing_jobs(jobs, rows)


def plan_study(config: StudyConfig, folder: Path, work: Work | None = None, trusted: Collection[str] = ()) -> Plan:
    """Count the runs, and time one of those that are left; its result is not kept.

    Raises:
        InputError: see `run_study`.
    """
    with locked(folder):
        rows = _stored_rows(config, folder, _make_store(config, folder), trusted)
        check_sizes(config)
        if not rows:
            _write_config(config, folder)  # what is timed prepares the encoder and the caches
        planned = planned_runs(config, rows) if isinstance(config, CaptionStudy) else planned_memory_runs(config)
        left, finished = list[Job](), 0
        for task in _tasks(config):
            unsettled = {(job.track, job.cell) for job in left}  # what is missing may choose another setting for the runs after it
            jobs = [job for job in _jobs(config, task, rows) if (job.track, job.cell) not in unsettled]
            missing = _missing_jobs(config, jobs, rows)
            left += missing
            finished += len(jobs) - len(missing)
        seconds, problem = 0.0, ""
        if left:
            work = work or _work(config, folder, rows)
            started = time.perf_counter()
            row = run_job(work, left[0])
            seconds, problem = time.perf_counter() - started, f"{row.status}: {row.reason}" if row.reason else ""
    return Plan(planned, finished, seconds, problem)


def rerun(config: StudyConfig, folder: Path, trial: str, work: Work | None = None, trusted: Collection[str] = ()) -> tuple[Row, Row]:
    """Repeat a trial from its row.

    Returns:
        the stored row and the new one, which is not stored

    Raises:
        InputError: there is no such trial, or see `run_study`.
    """
    stored_config_path(folder)
    with locked(folder):
        rows = _stored_rows(config, folder, _make_store(config, folder), trusted)
        if trial not in rows:
            near = next(iter(rows), "equal_size/search/lstm/0")
            raise InputError(f"no trial '{trial}' in {folder}: give one of the column `trial` of trials.csv, such as {near}")
        stored = rows[trial]
        check_trusted("cell", stored.job.cell, [*_named_code(config), *trusted])
        return stored, run_job(work or _work(config, folder, {}), stored.job)


def differences(stored: Row, repeated: Row) -> dict[str, tuple[Any, Any]]:
    """The values in which a repeated trial differs from its stored row, each as (stored, repeated).

    They are compared to six digits, within lists to four: published tables have no more. Times are left out, and values that only one of
    the two has, which another version wrote.
    """
    one, other = (
        {"status": row.status, "reason": row.reason, **{name: _six_digits(value) for name, value in row.values.items()}}
        for row in (stored, repeated)
    )
    names = sorted((one.keys() & other.keys()) - set(TIMED))
    return {name: (one[name], other[name]) for name in names if one[name] != other[name]}


def _six_digits(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else rounded(value)


def stored_config_path(folder: Path) -> Path:
    """The file with the configuration of a folder's study.

    Raises:
        InputError: there is no study in it.
    """
    path = folder / CONFIG
    if not path.exists():
        raise InputError(f"no study in {folder}: give the --out of a study, or start one with --config")
    return path


def _stored_rows(config: StudyConfig, folder: Path, store: TrialStore, trusted: Collection[str]) -> dict[str, Row]:
    """The rows of the journal, or, of a published study, which has none, those of its table.

    Raises:
        InputError: the configuration does not go with what lies in the folder.
    """
    if not (folder / CONFIG).exists():
        return store.rows()
    # Read as a configuration: an older version may have written fewer options.
    stored = read_config(folder / CONFIG, trusted=[*_named_code(config), *trusted])
    _refuse_changes(config, stored, folder, MATERIAL)
    rows = store.rows() or {row.job.id: row for row in published_trials(folder)}
    for row in rows.values():
        if isinstance(config, CaptionStudy):
            check_row(row, SETTINGS, CaptionValues)
        else:
            check_row(row, (), GradientValues if row.job.phase == GRADIENTS else TaskValues)
    if rows:
        _refuse_changes(config, stored, folder, [name for name in plain_config(config) if name not in GROWING])
    return rows


def _refuse_changes(config: StudyConfig, stored: StudyConfig, folder: Path, fixed: Collection[str]) -> None:
    """Refuse a configuration that differs in some options from that of the folder's study."""
    if isinstance(config, MemoryStudy) and isinstance(stored, MemoryStudy):
        shorter = stored.probe.delays
        if config.probe.delays[: len(shorter)] == shorter:  # longer delays go on from these
            stored = replace(stored, probe=replace(stored.probe, delays=config.probe.delays))
    if isinstance(config, CaptionStudy) and isinstance(stored, CaptionStudy) and not (folder / "cache").exists():
        # A published study: where photos and weights lie is for each machine to say.
        stored = replace(stored, data=replace(stored.data, root=config.data.root))
        stored = replace(stored, encoder=replace(stored.encoder, weights=config.encoder.weights))
    requested, present = plain_config(config), plain_config(stored)
    changed = [name for name in fixed if present.get(name) != requested.get(name)]
    if changed:
        name = changed[0]
        raise InputError(f"{folder} holds a study with another {name} ({present.get(name)}, not {requested.get(name)}): give another --out")


def _named_code(config: StudyConfig) -> list[str]:
    """What a configuration names that may be code: cells, and for captions encoder, attention, layout and the encoder's recipe."""
    if not isinstance(config, CaptionStudy):
        return config.cells
    attention = str(config.decoder.get("attention", ""))
    return [*config.cells, *config.references, config.encoder.name, attention, config.data.layout, config.encoder_recipe or ""]


def _write_config(config: StudyConfig, folder: Path) -> None:
    write_text(folder / CONFIG, json.dumps(plain_config(config), indent=1) + "\n")


def _make_store(config: StudyConfig, folder: Path) -> TrialStore:
    if isinstance(config, CaptionStudy):
        return TrialStore(folder / JOURNAL, OBJECTIVE, distributions(config.space))
    return TrialStore(folder / JOURNAL, "longest_delay", {})


def _work(config: StudyConfig, folder: Path, rows: Mapping[str, Row]) -> Work:
    stop_looking_for_gpus()  # inherited by the processes
    if isinstance(config, CaptionStudy):
        work = CaptionWork(config, folder)
        _ = work.material  # it is prepared once, before several processes want it
        return work
    return MemoryWork(config, rows)

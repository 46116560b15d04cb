"""Jobs in several processes, some of which die."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from showattend.errors import InputError
from showattend.study.engine import run_jobs
from showattend.study.trials import Job, TrialStore


class CountingWork:
    """Says how many jobs it has measured in its process."""

    def __init__(self) -> None:
        self.jobs = 0

    def __call__(self, job: Job) -> dict[str, Any]:
        self.jobs += 1
        return {"val_nll": 1.0, "jobs": self.jobs}


def deadly(job: Job) -> dict[str, Any]:
    """Kills its process at one job."""
    if job.number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"val_nll": 1.0}


def test_a_job_that_kills_its_process_is_a_row_with_its_reason_and_the_others_are_done(tmp_path: Path) -> None:
    store = TrialStore(tmp_path / "journal", "val_nll", {})
    jobs = [Job("t", "search", "lstm", number, number) for number in range(6)]
    run_jobs(jobs, deadly, store, processes=2, task="test")
    rows = store.rows()
    assert {trial: row.status for trial, row in rows.items()} == {job.id: "failed" if job.number == 2 else "complete" for job in jobs}
    assert "kills its process" in rows["t/search/lstm/2"].reason


def fatal(job: Job) -> dict[str, Any]:
    """Kills its process at every job."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def test_a_study_ends_where_one_run_after_another_kills_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("showattend.study.engine.MAX_DEATHS", 2)
    store = TrialStore(tmp_path / "journal", "val_nll", {})
    jobs = [Job("t", "search", "lstm", number, number) for number in range(4)]
    with pytest.raises(InputError, match="2 runs have killed their processes"):
        run_jobs(jobs, fatal, store, processes=2, task="test")
    assert [row.status for row in store.rows().values()] == ["failed"]


def test_a_process_keeps_what_it_has_read_for_its_next_job(tmp_path: Path) -> None:
    store = TrialStore(tmp_path / "journal", "val_nll", {})
    jobs = [Job("t", "search", "lstm", number, number) for number in range(6)]
    run_jobs(jobs, CountingWork(), store, processes=2, task="test")
    assert sorted(store.rows()) == sorted(job.id for job in jobs)
    assert max(row.values["jobs"] for row in store.rows().values()) > 1

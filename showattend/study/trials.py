"""Trials of a study: what a run is (Job), what came of it (Row), and where Optuna keeps them (TrialStore).

Only finished trials are stored, one line of Optuna's journal file each. A job depends on nothing but the configuration and the rows of
the phases before its own. So an interrupted study goes on with the jobs that have no row, in any order and in any number of processes, and
ends with the same rows.
"""

import hashlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from showattend.data.json_files import check_schema
from showattend.errors import InputError, one_line
from showattend.files import atomic_write, check_readable, lock_for_process, writable

Status = Literal["complete", "diverged", "failed"]
COMPLETE: Final = "complete"
DIVERGED: Final = "diverged"
FAILED: Final = "failed"
SEARCH, SELECTION, FINAL = "search", "selection", "final"  # the phases of a study of captions
JOURNAL = "trials.journal"


@dataclass(frozen=True)
class Job:
    """One run: its place in the study, its seed, and its setting.

    Attributes:
        track: equal_size or equal_parameters; `memory` for the probe
        phase: search, selection or final; the task, or `gradients`, for the probe
        number: search: index of the setting; selection: 100 * index of the setting + index of the seed; else: index of the seed
        params: learning_rate, dropout, clip, hidden_size; none for the probe
    """

    track: str
    phase: str
    cell: str
    number: int
    seed: int
    params: dict[str, int | float] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """What `--rerun` takes."""
        return f"{self.track}/{self.phase}/{self.cell}/{self.number}"


def seed_of(*parts: object) -> int:
    """A seed that depends on nothing but what it is for, 63 bits."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


@dataclass(frozen=True)
class Row:
    """A finished run.

    Attributes:
        status: complete, diverged (loss or gradient no longer finite), or failed (an error)
        reason: of a run that is not complete
        values: what was measured, by name; empty if the run is not complete
        seconds: how long it took
    """

    job: Job
    status: Status
    reason: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class DivergedError(RuntimeError):
    """Loss or gradient is no longer finite."""


class TrialStore:
    """The finished trials of a study, in Optuna's journal; each track and phase is one Optuna study.

    The journal is read when the rows are first asked for, and begun with the first row that is added.

    Args:
        path: of the journal
        objective: the value that Optuna minimises
        distributions: of the parameters
    """

    def __init__(self, path: Path, objective: str, distributions: Mapping[str, BaseDistribution]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.path, self.objective, self.distributions = path, objective, dict(distributions)
        self._storage: JournalStorage | None = None
        self._studies: dict[str, optuna.Study] = {}

    def restore(self, rows: Iterable[Row]) -> None:
        """Begin the journal with the rows of a published study; an interruption leaves no half of one.

        Raises:
            InputError: see `add`.
        """
        with atomic_write(self.path) as temporary:
            draft = TrialStore(temporary, self.objective, self.distributions)
            for row in rows:
                draft.add(row)
        self._storage = None
        self._studies.clear()

    def add(self, row: Row) -> None:
        """Store a row; it is on the disk when this returns.

        Raises:
            InputError: the row is from elsewhere, and of another search space or without the objective.
        """
        complete = row.status == COMPLETE
        try:
            trial = create_trial(
                state=TrialState.COMPLETE if complete else TrialState.FAIL,
                value=row.values[self.objective] if complete else None,
                params=row.job.params,
                distributions={name: self.distributions[name] for name in row.job.params},
                user_attrs={"row": asdict(row)},
            )
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise InputError(
                f"the run {row.job.id} is none of this study ({one_line(error)}): take the table that lay beside its study.json"
            ) from error
        with writable(self.path):
            self._study(f"{row.job.track} {row.job.phase}").add_trial(trial)

    def rows(self) -> dict[str, Row]:
        """All rows by the ids of their jobs; of two with one id, the later."""
        rows: dict[str, Row] = {}
        if not self.path.exists():
            return rows
        storage = self._open()
        for study in storage.get_all_studies():
            for trial in storage.get_all_trials(study._study_id, deepcopy=False):
                row = check_schema(
                    trial.user_attrs.get("row"),
                    Row,
                    f"{self.path}: a row is damaged: move the file away, and the study goes on from its trials.csv",
                )
                rows[row.job.id] = row
        return rows

    def _study(self, name: str) -> optuna.Study:
        if name not in self._studies:
            self._studies[name] = optuna.create_study(storage=self._open(), study_name=name, load_if_exists=True)
        return self._studies[name]

    def _open(self) -> JournalStorage:
        if self._storage is None:
            _repair(self.path)
            try:
                with writable(self.path):
                    self._storage = JournalStorage(JournalFileBackend(str(self.path)))
            except InputError:
                raise
            except Exception as error:  # Optuna replays whatever stands there
                reason = one_line(error)
                raise InputError(f"{self.path} is damaged ({reason}): move it away, and the study goes on from its trials.csv") from error
        return self._storage


def _repair(path: Path) -> None:
    """Cut off a last line that a kill left unfinished, and remove the lock of a dead process; the caller holds the folder's lock."""
    for lock in path.parent.glob(f"{path.name}.lock*"):
        lock.unlink(missing_ok=True)
    if not path.exists():
        return
    check_readable(path)
    with writable(path), os.fdopen(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW), "rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a study's folder for this process.

    Raises:
        InputError: another process holds it, or it cannot be written to.
    """
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.rglob("*"):
            check_readable(path)
            if path.is_symlink() and not path.name.startswith(f"{JOURNAL}.lock"):  # Optuna's own lock is a link
                raise InputError(f"{path} is a link, and what it leads to would be written over: delete it")
        # Not through a link, and nothing is cut off: the folder may come from elsewhere.
        file = os.fdopen(os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666), "r+")
    with file:
        if not lock_for_process(file.fileno()):
            raise InputError(f"another process is working on the study in {folder}: wait for it, or give another --out")
        yield


def is_finite(values: Any) -> bool:
    """Whether all numbers among measured values are finite, those in lists and dictionaries too."""
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, list | tuple):
        return all(map(is_finite, values))
    return not isinstance(values, float) or math.isfinite(values)

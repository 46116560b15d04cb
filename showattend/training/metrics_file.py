"""metrics.csv: one file for a run, continued without gap or repetition when the run is resumed."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment

from showattend.errors import InputError, one_line
from showattend.files import atomic_write, writable, write_table

NAME = "metrics.csv"


class MetricsFile(CSVLogger):
    """Lightning's CSV logger, which keeps the rows of a resumed run.

    Args:
        folder: of the run
        kept_rows: rows of the file that the resumed checkpoint knows of; those after them are written again; 0: a new run
    """

    def __init__(self, folder: Path, kept_rows: int = 0) -> None:
        super().__init__(save_dir=folder, name="", version="")
        self.path = folder / NAME
        self.kept_rows = kept_rows

    @property
    @rank_zero_experiment
    def experiment(self) -> "_Writer":
        """The writer of the file, made at the first use."""
        if self._experiment is None:
            self._experiment = _Writer(self.path, self.kept_rows)
        return self._experiment  # type: ignore[return-value]

    def flush(self) -> int:
        """Write what is in memory, and return the number of rows in the file."""
        writer: _Writer = self.experiment
        writer.save()
        return writer.rows


class _Writer(ExperimentWriter):
    """Rows in memory, and the file that they are appended to."""

    def __init__(self, path: Path, kept_rows: int) -> None:
        self.path = path
        super().__init__(log_dir=str(path.parent))
        rows = _read(path)[:kept_rows]
        self.rows = len(rows)
        self.metrics_keys = sorted({key for row in rows for key, value in row.items() if value})
        if rows:
            write_table(path, self.metrics_keys, [[row.get(key, "") for key in self.metrics_keys] for row in rows])
        else:
            path.unlink(missing_ok=True)

    def _check_log_dir_exists(self) -> None:
        """Nothing: Lightning's would delete the file of the resumed run."""

    def save(self) -> None:
        """Append the rows in memory; where they have new columns, write the file anew."""
        if not self.metrics:
            return
        if self._record_new_keys() or not self.path.exists():
            with atomic_write(self.path) as temporary:
                self._write(temporary, [*_read(self.path), *self.metrics], header=True)
        else:
            with writable(self.path):
                self._write(self.path, self.metrics, header=False)
        self.rows += len(self.metrics)
        self.metrics = []

    def _write(self, path: Path, rows: Sequence[Mapping[str, object]], *, header: bool) -> None:
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
            if header:
                writer.writeheader()
            writer.writerows(rows)


def _read(path: Path) -> list[dict[str, str]]:
    """The rows of a file; none where there is no file.

    Raises:
        InputError: it is damaged.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{key: value or "" for key, value in row.items() if key is not None} for row in csv.DictReader(file)]
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({one_line(error)}): move it away, and the run goes on with a new one") from error

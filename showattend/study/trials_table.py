"""trials.csv, the table of a study's runs: written after them, and read again where a published study is gone on with."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from showattend.data.json_files import check_schema
from showattend.errors import InputError
from showattend.files import check_readable, write_table
from showattend.study.trials import Job, Row

TABLE = "trials.csv"
MAX_BYTES = 2**27  # of a table to read: some hundred thousand runs
LEADING = ("trial", "track", "phase", "cell", "number", "seed")
SETTING = "set_"  # begins the columns of a run's setting


def write_trials(path: Path, rows: Iterable[Row]) -> None:
    """A row for each run, in the order of their ids; numbers as they were measured, lists as JSON with four digits of their numbers.

    Raises:
        InputError: it cannot be written.
    """
    rows = sorted(rows, key=lambda row: (row.job.track, row.job.phase, row.job.cell, row.job.number))
    params = sorted({name for row in rows for name in row.job.params})
    values = sorted({name for row in rows for name in row.values})
    header = [*LEADING, *(f"{SETTING}{name}" for name in params), "status", "reason", *values, "seconds"]
    write_table(path, header, ([*_leading(row.job), *_entries(row, params, values)] for row in rows))


def _leading(job: Job) -> list[object]:
    return [job.id, job.track, job.phase, job.cell, job.number, job.seed]


def _entries(row: Row, params: Sequence[str], values: Sequence[str]) -> list[object]:
    measured = [row.values.get(name, "") for name in values]
    texts = [json.dumps(rounded(value), separators=(",", ":")) if isinstance(value, list | bool) else value for value in measured]
    return [*(row.job.params.get(name, "") for name in params), row.status, row.reason, *texts, row.seconds]


def rounded(value: Any) -> Any:
    """A value with four digits of the numbers within a list, as the table holds them; the journal has all digits."""
    if isinstance(value, list | tuple):
        return [_four_digits(entry) for entry in value]
    return value


def _four_digits(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _four_digits(entry) for name, entry in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else rounded(value)


def published_trials(folder: Path) -> list[Row]:
    """The rows of `trials.csv` or `trials.csv.gz` in a study's folder; none if neither is there.

    Raises:
        InputError: the table is damaged or too large.
    """
    for path in (folder / TABLE, folder / f"{TABLE}.gz"):
        if path.exists():
            try:
                records = list(csv.DictReader(io.StringIO(_read_text(path), newline="")))
            except csv.Error as error:
                raise InputError(f"{path} is no table of a study's runs: {error}") from error
            if records:  # a study that was stopped before its first run leaves a table of no rows
                return [_read_row(record, f"{path}: row {number}") for number, record in enumerate(records, 2)]
    return []


def _read_text(path: Path) -> str:
    check_readable(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"{path} has more than {MAX_BYTES / 1e6:.0f} MB: this is no table of a study's runs")
        return content.decode()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"cannot read {path} ({error}): move it away, or take the whole file") from error


def _read_row(record: Mapping[str | None, Any], where: str) -> Row:
    own = {*LEADING, "status", "reason", "seconds"}
    try:
        texts = {str(name): text for name, text in record.items() if text}
        params = {name.removeprefix(SETTING): json.loads(text) for name, text in texts.items() if name.startswith(SETTING)}
        values = {name: _parse(text) for name, text in texts.items() if name not in own and not name.startswith(SETTING)}
        job = {name: record[name] for name in ("track", "phase", "cell")} | {name: json.loads(record[name]) for name in ("number", "seed")}
        row = {"job": job | {"params": params}, "values": values, "seconds": json.loads(record["seconds"])}
        row |= {name: record[name] for name in ("status", "reason")}
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{where} is no run of a study: take the table as `showattend study` wrote it") from error
    return check_schema(row, Row, where)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # a digest, say

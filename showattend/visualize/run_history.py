"""Reads the folder of a training run: figures of each epoch, seconds and memory, and captions as they grew."""

import csv
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from showattend.data.json_files import check_schema
from showattend.errors import InputError
from showattend.files import check_readable

EPOCH_FILE = re.compile(r"epoch-(\d+)\.json")
MAX_FILE = 2**26  # bytes; what a run writes is far smaller
STEP_COLUMNS = ("epoch", "step")
LESS_IS_BETTER = "loss"  # ends the names of such metrics


class _Grown(msgspec.Struct):
    """A photo and its caption at an epoch, as the viewer takes it."""

    file: str
    name: str
    width: int
    height: int
    caption: dict[str, Any]


class _Epoch(msgspec.Struct):
    """What history/epoch-NNNN.json holds."""

    seconds: float = 0
    memory: float = 0
    gpu_memory: float = 0
    photos: list[_Grown] = []


class _About(msgspec.Struct):
    """What history/about.json holds."""

    photos: dict[str, int] = {}
    parameters: int = 0


@dataclass(frozen=True)
class RunHistory:
    """A run.

    Attributes:
        name: of its folder
        epochs: for each epoch, the first is 0, the metrics that were logged; those of training are means over the logged steps
        seconds, memory, gpu_memory: by the epoch; empty for runs that did not record them
        grown: by the epoch, the viewer's data of some validation photos, each with its file
        about: what the figures were measured on, see `training.history`
        config: the text of config.yaml
    """

    name: str
    epochs: dict[int, dict[str, float]]
    seconds: dict[int, float] = field(default_factory=dict)
    memory: dict[int, int] = field(default_factory=dict)
    gpu_memory: dict[int, int] = field(default_factory=dict)
    grown: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    config: str = ""

    @property
    def monitor(self) -> str:
        """The metric that selected the best checkpoint."""
        monitor = self.about.get("monitor", "val_bleu4")
        return monitor if isinstance(monitor, str) else "val_bleu4"

    @property
    def validated(self) -> list[int]:
        """The epochs that ended with a validation."""
        return [epoch for epoch, metrics in self.epochs.items() if self.monitor in metrics]

    @property
    def best(self) -> int | None:
        """The best validated epoch."""
        sign = -1 if self.monitor.endswith(LESS_IS_BETTER) else 1
        return max(self.validated, key=lambda epoch: sign * self.epochs[epoch][self.monitor], default=None)


def read_run(folder: Path) -> RunHistory:
    """Read a run's folder.

    Raises:
        InputError: it is no such folder, or a file of it is damaged.
    """
    metrics = folder / "metrics.csv"
    if not metrics.is_file():
        raise InputError(f"{folder} holds no metrics.csv: give the folder of a run of showattend fit or refine, such as runs/NAME")
    config, about = folder / "config.yaml", folder / "history" / "about.json"
    files = sorted(path for path in (folder / "history").glob("epoch-*.json") if EPOCH_FILE.fullmatch(path.name))
    records = {int(path.stem.removeprefix("epoch-")): _read_json(path, _Epoch) for path in files}
    logged = _read_metrics(metrics)
    return RunHistory(
        name=folder.resolve().name,
        epochs={epoch: logged.get(epoch, {}) for epoch in sorted({*logged, *records})},
        **{key: {epoch: row[key] for epoch, row in records.items() if key in row} for key in ("seconds", "memory", "gpu_memory")},
        grown={epoch: row["photos"] for epoch, row in records.items() if row.get("photos")},
        about=_read_json(about, _About) if about.is_file() else {},
        config=_read_text(config) if config.is_file() else "",
    )


def _read_metrics(path: Path) -> dict[int, dict[str, float]]:
    sums: dict[int, dict[str, list[float]]] = {}
    try:
        rows = list(csv.DictReader(_read_text(path).splitlines()))
        for row in rows:
            if not row.get("epoch"):
                continue
            logged = sums.setdefault(int(row["epoch"]), {})
            for name, text in row.items():
                if text and name not in STEP_COLUMNS and math.isfinite(value := float(text)):
                    logged.setdefault(name, []).append(value)
    except (ValueError, TypeError, csv.Error) as error:
        raise InputError(f"{path} is no such table as showattend fit writes: {error}") from error
    means = {"train": lambda values: sum(values) / len(values), "val": lambda values: values[-1]}
    return {
        epoch: {name: means.get(name.partition("_")[0], means["val"])(values) for name, values in logged.items()}
        for epoch, logged in sorted(sums.items())
    }


def _read_json(path: Path, schema: type[msgspec.Struct]) -> dict[str, Any]:
    try:
        content = json.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON as showattend fit writes it: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no JSON as showattend fit writes it: not an object")
    check_schema(content, schema, f"{path} is no JSON as showattend fit writes it")
    return content


def _read_text(path: Path) -> str:
    check_readable(path)
    try:
        if path.stat().st_size > MAX_FILE:
            raise InputError(f"{path} has more than {MAX_FILE >> 20} MB: no run writes such a file")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error

"""`showattend caption` with files of every kind, what they hold, and how to stop it."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from showattend.inference import Captioner

KINDS = ("json", "csv", "coco")
NAMES = [f"{number}.png" for number in range(6)]


def command(photos: object, model: Path, outputs: dict[str, Path], *more: str) -> list[str]:
    files = [argument for kind, path in outputs.items() for argument in (f"--{kind}", str(path))]
    return ["caption", str(photos), "--model", str(model), "--workers", "0", "--batch-size", "1", *files, *more]


def files_of(outputs: dict[str, Path]) -> list[list[str]]:
    """The photos in the JSON, the CSV and the COCO file."""
    with outputs["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        [Path(row["file"]).name for row in json.loads(outputs["json"].read_text())],
        [Path(row["file"]).name for row in rows],
        [row["image_id"] for row in json.loads(outputs["coco"].read_text())],
    ]


def without_scores(path: Path) -> str:
    """A file's content with all numbers that batches and threads may round otherwise replaced."""
    return re.sub(r"-?\d+\.\d+(?:e-?\d+)?", "#", path.read_text())


def interrupt_after(count: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let captioning fail behind so many photos."""
    real = Captioner.caption_files

    def interrupted(self: Captioner, paths: Any, *args: Any, **options: Any) -> Iterator[Any]:
        for number, result in enumerate(real(self, paths, *args, **options)):
            if number == count:
                raise error
            yield result

    monkeypatch.setattr(Captioner, "caption_files", interrupted)

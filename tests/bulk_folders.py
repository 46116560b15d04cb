"""What tests of `showattend bulk` share: photos, the command, the rows of its output, and the captions of `caption`."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from showattend.cli.main import main

PHOTOS = 11
WORDS = ("--min-length", "3")  # an untrained model would rather say nothing


def jpeg(index: int) -> bytes:
    pixels = np.random.default_rng(index).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer := io.BytesIO(), "JPEG")
    return buffer.getvalue()


def bulk(source: object, model: Path, *more: object, out: object = "out") -> int:
    options = ("--model", model, "--output", out, "--shard", "1/1", "--unit-size", 4, "--batch-size", 2, "--workers", 0, *WORDS)
    return main([str(one) for one in ("bulk", source, *options, *more)])


def rows(out: object = "out") -> list[dict[str, Any]]:
    """All rows of the parts, in their order."""
    found: list[dict[str, Any]] = []
    for path in sorted(Path(str(out)).glob("parts/part-*")):
        if path.suffix == ".jsonl":
            found += map(json.loads, path.read_text().splitlines())
        else:
            parquet = pytest.importorskip("pyarrow.parquet")
            found += parquet.read_table(path).to_pylist()
    return found


def captions_of_caption(photos: object, model: Path, batch_size: int = 2) -> dict[str, tuple[str, str]]:
    """Caption and score of each photo by `showattend caption`."""
    main(["caption", str(photos), "--model", str(model), "--workers", "0", "--batch-size", str(batch_size), *WORDS, "--csv", "oracle.csv"])
    with open("oracle.csv", newline="") as file:
        return {row["file"]: (row["caption"], row["score"]) for row in csv.DictReader(file)}


def as_oracle(found: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return {row["id"]: (row["caption"], f"{row['score']:.4f}") for row in found if row["error"] is None}

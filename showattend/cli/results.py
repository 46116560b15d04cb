"""Files of captions: JSON, CSV, and the result format of the COCO captions server."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from showattend.data.captions import image_id
from showattend.files import write_table, write_text
from showattend.inference import Caption

Captioned = list[tuple[Path, Caption]]


def coco_results(captions: Iterable[tuple[int | str, str]]) -> str:
    """COCO's result format: a list of image_id and caption."""
    return json.dumps([{"image_id": i, "caption": caption} for i, caption in captions], ensure_ascii=False, indent=0) + "\n"


def write_coco(path: Path, done: Captioned) -> None:
    """Captions as the COCO captions server takes them: the best one of each photo."""
    write_text(path, coco_results((image_id(photo.name), str(found)) for photo, found in done))


def write_json(path: Path, done: Captioned) -> None:
    """Captions with words, scores, grid shape and boxes, and alphas; of several for one photo the best has rank 1."""
    rows: list[dict[str, Any]] = [
        {
            "file": str(photo),
            "rank": rank,
            "caption": str(found),
            "words": found.words,
            "score": found.score,
            "grid_shape": found.grid_shape,
            "crop_box": found.crop_box,
            "grid_box": found.grid_box,
            "alphas": [[round(weight, 5) for weight in alpha] for alpha in found.alphas.tolist()],
        }
        for photo, rank, found in _ranked(done)
    ]
    write_text(path, json.dumps(rows, ensure_ascii=False) + "\n")


def write_csv(path: Path, done: Captioned) -> None:
    """File, caption, score and rank."""
    rows = ((photo, found, f"{found.score:.4f}", rank) for photo, rank, found in _ranked(done))
    write_table(path, ("file", "caption", "score", "rank"), rows)


def _ranked(done: Captioned) -> Iterator[tuple[Path, int, Caption]]:
    """Every caption with its photo and its place among the captions of that photo."""
    for photo, found in done:
        for rank, one in enumerate((found, *found.alternatives), 1):
            yield photo, rank, one

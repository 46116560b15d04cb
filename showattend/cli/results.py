"""Files of captions: JSON, CSV, and the result format of the COCO captions server."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from showattend.data.captions import image_id
from showattend.files import write_table, write_text
from showattend.inference import Caption

PhotoCaptions = list[tuple[Path, Caption]]


def coco_results(captions: Iterable[tuple[int | str, str]]) -> str:
    """COCO's result format: a list of image_id and caption."""
    return json.dumps([{"image_id": i, "caption": caption} for i, caption in captions], ensure_ascii=False, indent=0) + "\n"


def write_coco(path: Path, captioned: PhotoCaptions) -> None:
    """Captions as the COCO captions server takes them: the best one of each photo."""
    write_text(path, coco_results((image_id(photo.name), str(caption)) for photo, caption in captioned))


def write_json(path: Path, captioned: PhotoCaptions) -> None:
    """Captions with words, scores, grid shape and boxes, and alphas; of several for one photo the best has rank 1."""
    rows: list[dict[str, Any]] = [
        {
            "file": str(photo),
            "rank": rank,
            "caption": str(caption),
            "words": caption.words,
            "score": caption.score,
            "grid_shape": caption.grid_shape,
            "crop_box": caption.crop_box,
            "grid_box": caption.grid_box,
            "alphas": [[round(weight, 5) for weight in alpha] for alpha in caption.alphas.tolist()],
        }
        for photo, rank, caption in _ranked(captioned)
    ]
    write_text(path, json.dumps(rows, ensure_ascii=False) + "\n")


def write_csv(path: Path, captioned: PhotoCaptions) -> None:
    """File, caption, score and rank."""
    rows = ((photo, caption, f"{caption.score:.4f}", rank) for photo, rank, caption in _ranked(captioned))
    write_table(path, ("file", "caption", "score", "rank"), rows)


def _ranked(captioned: PhotoCaptions) -> Iterator[tuple[Path, int, Caption]]:
    """Every caption with its photo and its place among the captions of that photo."""
    for photo, caption in captioned:
        for rank, ranked in enumerate((caption, *caption.alternatives), 1):
            yield photo, rank, ranked

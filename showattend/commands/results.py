"""Files of captions: JSON, CSV, and the result format of the COCO captions server."""

import csv
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from showattend.data.captions import image_id
from showattend.errors import InputError
from showattend.files import replacing
from showattend.inference import Caption

Captioned = list[tuple[Path, Caption]]


def write_text(path: Path, text: str) -> None:
    """Write a text file that is whole or not there."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def coco_results(captions: Iterable[tuple[int | str, Sequence[str]]]) -> str:
    """COCO's result format: a list of image_id and caption."""
    return json.dumps([{"image_id": i, "caption": " ".join(words)} for i, words in captions], ensure_ascii=False, indent=0) + "\n"


def read_coco_results(path: Path, ids: Collection[int | str]) -> dict[int | str, str]:
    """One caption for each of these photos, from a file in COCO's result format.

    Raises:
        InputError: the file is no such list, or a photo has no caption, two, or is not among these.
    """
    try:
        rows = [(row["image_id"], str(row["caption"])) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no list of image_id and caption: {error!r}") from error
    found = dict(rows)
    for kind, odd in (
        ("has two captions for", [i for i, count in Counter(i for i, _ in rows).items() if count > 1]),
        ("has no caption for", [i for i in ids if i not in found]),
        ("names photos that are not in the split, namely", [i for i in found if i not in ids]),
    ):
        if odd:
            raise InputError(f"{path} {kind} {len(odd)} photos, such as {odd[0]}: nothing is compared on a part of them")
    return found


def write_coco(path: Path, done: Captioned) -> None:
    """Captions as the COCO captions server takes them: the best one of each photo."""
    write_text(path, coco_results((image_id(photo.name), found.words) for photo, found in done))


def write_json(path: Path, done: Captioned) -> None:
    """Captions with words, scores, grid and alphas; of several for one photo the best has rank 1."""
    rows: list[dict[str, Any]] = [
        {
            "file": str(photo),
            "rank": rank,
            "caption": str(found),
            "words": found.words,
            "score": found.score,
            "grid": found.grid,
            "visible": found.visible,
            "area": found.area,
            "alphas": [[round(weight, 5) for weight in alpha] for alpha in found.alphas.tolist()],
        }
        for photo, rank, found in _ranked(done)
    ]
    write_text(path, json.dumps(rows, ensure_ascii=False) + "\n")


def write_csv(path: Path, done: Captioned) -> None:
    """File, caption, score and rank."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "caption", "score", "rank"))
        writer.writerows((photo, found, f"{found.score:.4f}", rank) for photo, rank, found in _ranked(done))


def _ranked(done: Captioned) -> Iterator[tuple[Path, int, Caption]]:
    """Every caption with its photo and its place among the captions of that photo."""
    for photo, found in done:
        for rank, one in enumerate((found, *found.others), 1):
            yield photo, rank, one

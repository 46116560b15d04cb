"""Files that list photos with what people said of them: COCO's JSON, Karpathy's JSON, Flickr's tokens, CSV. No photo is needed."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from showattend.data.coco import read_coco
from showattend.errors import InputError


class Listed(NamedTuple):
    """One photo as a file lists it."""

    id: int | str  # a number in COCO, the file's name elsewhere
    name: str  # of the photo's file
    captions: list[str]
    split: str = ""  # empty where the file names none
    folder: str = ""  # of the photo, where the file says it


def read_text(path: Path) -> str:
    """A text file.

    Raises:
        InputError: it cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def read_tokens(path: Path) -> list[Listed]:
    """Flickr8k's and Flickr30k's own: NAME.jpg#N<TAB>caption, one a line.

    Raises:
        InputError: a line is none such.
    """
    captions: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        key, tab, caption = line.partition("\t")
        if not tab:
            raise InputError(f"{path} line {number}: expected NAME.jpg#N<TAB>caption, found {line[:60]!r}")
        captions[key.strip().rpartition("#")[0]].append(caption)
    return [Listed(name, name, said) for name, said in captions.items()]


def read_table(path: Path) -> list[Listed]:
    """A CSV of photos and captions, one caption a row, with a split column or without.

    Raises:
        InputError: a column is missing.
    """
    captions: dict[str, list[str]] = defaultdict(list)
    split_of: dict[str, str] = {}
    for row in _rows(path):
        name = _column(path, row, ("image", "image_name", "file_name", "filename", "photo")).strip()
        captions[name].append(_column(path, row, ("caption", "comment", "text")))
        if "split" in row:
            split_of[name] = {"dev": "val", "valid": "val", "restval": "train"}.get(row["split"].strip(), row["split"].strip()) or "none"
    return [Listed(name, name, said, split_of.get(name, "")) for name, said in captions.items()]


def read_karpathy(path: Path) -> list[Listed]:
    """Karpathy & Fei-Fei's JSON of flickr8k, flickr30k or coco; `restval` joins train.

    Raises:
        InputError: it is none.
    """
    try:
        return [
            Listed(
                image.get("cocoid", image["filename"]),
                image["filename"],
                [sentence["raw"] for sentence in image["sentences"]],
                "train" if image["split"] == "restval" else image["split"],
                image.get("filepath", ""),
            )
            for image in json.loads(read_text(path))["images"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not in Karpathy's format (images, each with filename, split, sentences): {error!r}") from error


def read_coco_captions(path: Path) -> list[Listed]:
    """COCO's annotations of captions.

    Raises:
        InputError: it is none, or it has captions of a photo that it does not list.
    """
    coco = read_coco(path)
    unlisted = [photo for photo in coco.imgToAnns if photo not in coco.imgs]
    if unlisted:
        raise InputError(
            f"{path} has captions of {len(unlisted)} photos that its images do not list, such as {unlisted[0]}: add or remove them"
        )
    try:
        return [
            Listed(image["id"], image["file_name"], [annotation["caption"] for annotation in coco.imgToAnns[image["id"]]])
            for image in coco.imgs.values()
        ]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is not in COCO's captions format: {error!r}") from error


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, by lower-case column; a file of tab-separated or piped columns is understood too."""
    text = read_text(path)
    header = text.partition("\n")[0]
    delimiter = max(",\t|;", key=header.count)
    for row in csv.DictReader(text.splitlines(), delimiter=delimiter, skipinitialspace=True):
        yield {key.strip().lower(): value or "" for key, value in row.items() if key}


def _column(path: Path, row: dict[str, str], names: tuple[str, ...]) -> str:
    name = next((name for name in names if name in row), None)
    if name is None:
        raise InputError(f"{path} needs a column named {' or '.join(names)}; it has {', '.join(row)}")
    return row[name]

"""Captions in COCO's result format, held against the photos that they should be about."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from showattend.data.captions import PhotoId
from showattend.data.listings import read_text
from showattend.data.references import References
from showattend.errors import InputError

Rows = list[tuple[PhotoId, str]]
NAMED = 3  # how many ids of a kind of problem are named


class Results(NamedTuple):
    """One caption for each photo that has references and a result, in the order of the references, and what is wrong."""

    captions: dict[PhotoId, str]
    problems: dict[str, str]  # missing, double, unknown or empty, and a line with the count and the first ids
    note: str = ""  # how ids were understood, if not as they are


def read_results(path: Path, references: References) -> Results:
    """The captions of a file in COCO's result format, by the references' ids.

    Ids are taken as they are; if none of them is one of the references' ids, photos are looked up by their ids as text or by the names
    of their files, and a note says so.

    Raises:
        InputError: the file is no such list, or no id in it is known.
    """
    rows, note = _rows(path), ""
    if rows and not any(photo in references.captions for photo, _ in rows):
        names = references.names()
        looks = f"its ids look like {_some(photo for photo, _ in rows)}, those of the references like {_some(references.captions)}"
        if not any(str(photo) in names for photo, _ in rows):
            raise InputError(f"no photo of {path} has references: {looks}")
        note = f"{path} names photos otherwise, and they are looked up by the names of their files or their ids as text: {looks}"
        rows = [(names.get(str(photo), photo), caption) for photo, caption in rows]
    return check_results(rows, references, str(path))._replace(note=note)


def check_results(rows: Rows, references: References, name: str) -> Results:
    """Keep the first caption of each photo with references; count and name what is missing, double, unknown or empty."""
    first: dict[PhotoId, str] = {}
    for photo, caption in rows:
        first.setdefault(photo, caption)
    known = references.captions
    found = {
        "missing": ("has no caption for", "the scores leave them out", [photo for photo in known if photo not in first]),
        "double": (
            "has several captions for",
            "the first one counts",
            [i for i, count in Counter(i for i, _ in rows).items() if count > 1],
        ),
        "unknown": ("has captions without references for", "they are left out", [photo for photo in first if photo not in known]),
        "empty": ("says no word about", "that scores 0", [photo for photo in known if not any(map(str.isalnum, first.get(photo, "x")))]),
    }
    problems = {kind: f"{name} {says} {len(odd)} photos, such as {_some(odd)}: {then}" for kind, (says, then, odd) in found.items() if odd}
    return Results({photo: first[photo] for photo in known if photo in first}, problems)


def _rows(path: Path) -> Rows:
    try:
        rows = [(row["image_id"], row["caption"]) for row in json.loads(read_text(path))]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no list of image_id and caption: {error!r}") from error
    for row in rows:
        if type(row[0]) not in (int, str) or not isinstance(row[1], str):  # true is an int to isinstance
            raise InputError(f"{path} is no list of image_id and caption: {row!r} is no number or text with a text")
    return rows


def _some(photos: Iterable[PhotoId]) -> str:
    return ", ".join(map(repr, list(photos)[:NAMED]))

"""Captions in COCO's result format, matched with the photos that have references."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from showattend.data.folders import normalise
from showattend.data.json_files import check_schema, check_texts, read_json
from showattend.data.listings import PhotoId
from showattend.data.references import References
from showattend.errors import InputError

Rows = list[tuple[PhotoId, str]]
MAX_NAMED = 3  # ids that a message names


class ResultRow(msgspec.Struct):
    """One caption of one photo."""

    image_id: PhotoId
    caption: str

    def __post_init__(self) -> None:
        check_texts(self.image_id, self.caption)


class Results(NamedTuple):
    """One caption for each photo that has references and a result, in the order of the references, and what is wrong."""

    captions: dict[PhotoId, str]
    problems: dict[str, str]  # missing, double, unknown or empty, and a line with the count and the first ids
    note: str = ""  # how ids were matched, if not as they are


def read_results(path: Path, references: References) -> Results:
    """The captions of a file in COCO's result format, by the references' ids.

    Ids are taken as they are; if none of them is one of the references' ids, photos are looked up by their ids as text or by the names
    of their files, and a note says so.

    Raises:
        InputError: the file is no such list, or no id in it is known.
    """
    rows, note = read_rows(path), ""
    if rows and not any(photo in references.captions for photo, _ in rows):
        exact, similar = references.names(), references.names(normalise)
        names = {str(photo): exact.get(str(photo), similar.get(normalise(str(photo)))) for photo, _ in rows}
        examples = f"its ids look like {_some(photo for photo, _ in rows)}, those of the references like {_some(references.captions)}"
        if all(found is None for found in names.values()):
            raise InputError(f"no photo of {path} has references: {examples}")
        note = f"{path} names photos otherwise, and they are looked up by the names of their files or their ids as text: {examples}"
        rows = [(photo if (found := names[str(photo)]) is None else found, caption) for photo, caption in rows]
    return check_results(rows, references, str(path))._replace(note=note)


def check_results(rows: Rows, references: References, name: str) -> Results:
    """Keep the first caption of each photo with references; count and name what is missing, double, unknown or empty."""
    first: dict[PhotoId, str] = {}
    for photo, caption in rows:
        first.setdefault(photo, caption)
    known = references.captions
    affected = {
        "missing": ("has no caption for", "the scores leave them out", [photo for photo in known if photo not in first]),
        "double": (
            "has several captions for",
            "the first one counts",
            [i for i, count in Counter(i for i, _ in rows).items() if count > 1],
        ),
        "unknown": ("has captions without references for", "they are left out", [photo for photo in first if photo not in known]),
        "empty": (
            "has a caption without a word for",
            "that scores 0",
            [photo for photo in known if not any(map(str.isalnum, first.get(photo, "x")))],
        ),
    }
    problems = {
        kind: f"{name} {problem} {len(photos)} photos, such as {_some(photos)}: {effect}"
        for kind, (problem, effect, photos) in affected.items()
        if photos
    }
    return Results({photo: first[photo] for photo in known if photo in first}, problems)


def read_rows(path: Path) -> Rows:
    """All captions of a file in COCO's result format.

    Raises:
        InputError: it is no such list.
    """
    rows = check_schema(read_json(path), list[ResultRow], f"{path} is no list of image_id and caption")
    return [(row.image_id, row.caption) for row in rows]


def _some(photos: Iterable[PhotoId]) -> str:
    return ", ".join(map(repr, list(photos)[:MAX_NAMED]))

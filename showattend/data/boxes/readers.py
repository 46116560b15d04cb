"""Boxes of a data set, read by name, by dotted path, or by what lies in the folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from showattend.data.boxes.base import BOX_READERS, ObjectBoxes
from showattend.data.boxes.coco import CocoBoxes
from showattend.data.boxes.entities import EntitiesBoxes
from showattend.data.boxes.nouns import NounsWithoutBoxes
from showattend.data.boxes.shapes import ShapesBoxes
from showattend.data.captions import Photo
from showattend.data.folders import SIGN_DEPTH
from showattend.errors import InputError, unknown_name

# The first whose files lie in the folder reads it.
ORDER = ("shapes", "entities", "coco")
NO_BOXES = "none"  # a kind that no folder is recognised as
__all__ = ["ORDER", "CocoBoxes", "EntitiesBoxes", "NounsWithoutBoxes", "ShapesBoxes", "read_boxes"]


def read_boxes(root: Path, photos: Sequence[Photo], kind: str = "auto") -> ObjectBoxes:
    """Read the boxes of a data set's photos.

    Args:
        root: the data set's folder, in one of the layouts of data/README.md
        kind: `auto`, a registered name, or a dotted path; `none`: nouns, without boxes

    Raises:
        InputError: an unknown kind, no such annotation in the folder, or one that is not in its format.
    """
    root = Path(os.path.expanduser(root))
    if kind == NO_BOXES:
        return NounsWithoutBoxes(root, photos)
    if kind != "auto" and ":" not in kind and kind not in BOX_READERS.entries:
        raise unknown_name("kind of boxes", kind, ["auto", NO_BOXES, *BOX_READERS.entries])
    readers = {name: BOX_READERS.find(name) for name in (ORDER if kind == "auto" else [kind])}
    for reader in readers.values():
        if folder := _folder_with(reader.signs, root):
            return reader(folder, photos)
    signs = ", ".join(f"{name} ({' or '.join(reader.signs)})" for name, reader in readers.items())
    raise InputError(f"{root} holds no boxes of objects: looked for {signs}; --boxes none measures without any")


def _folder_with(signs: Sequence[str], root: Path) -> Path | None:
    """The folder, or the nearest below it, in which a file matches one of some patterns; captions are sought as deep."""
    for depth in range(SIGN_DEPTH + 1):
        for folder in sorted(root.glob("*/" * depth)) if depth else [root]:
            if any(path for sign in signs for path in folder.glob(sign)):
                return folder
    return None

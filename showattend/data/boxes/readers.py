"""The annotations that are known, picked by name or recognised by what lies in the folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from showattend.data.boxes.base import ObjectBoxes
from showattend.data.boxes.coco import CocoBoxes
from showattend.data.boxes.entities import EntitiesBoxes
from showattend.data.boxes.shapes import ShapesBoxes
from showattend.data.captions import Photo
from showattend.data.shapes import INDEX
from showattend.errors import InputError, unknown_name


class Reader(NamedTuple):
    """How to know an annotation (files of which at least one is there) and how to read it for some photos."""

    signs: tuple[str, ...]
    read: Callable[[Path, Sequence[Photo]], ObjectBoxes]


READERS: dict[str, Reader] = {
    "shapes": Reader((INDEX,), ShapesBoxes),
    "entities": Reader(("Sentences/*.txt", "*/Sentences/*.txt"), EntitiesBoxes),
    "coco": Reader(("annotations/instances_*.json",), CocoBoxes),
}


def read_boxes(root: Path, photos: Sequence[Photo], kind: str = "auto") -> ObjectBoxes:
    """Read the boxes of a data set's photos.

    Args:
        root: the data set's folder, laid out as data/README.md says
        kind: `auto`, or a name of READERS

    Raises:
        InputError: an unknown kind, no such annotation in the folder, or one that is not in its format.
    """
    root = Path(root).expanduser()
    if kind != "auto" and kind not in READERS:
        raise unknown_name("kind of boxes", kind, ["auto", *READERS])
    for name in READERS if kind == "auto" else [kind]:
        if any(found for sign in READERS[name].signs for found in root.glob(sign)):
            return READERS[name].read(root, photos)
    signs = ", ".join(f"{name} ({READERS[name].signs[0]})" for name in (READERS if kind == "auto" else [kind]))
    raise InputError(f"{root} holds no boxes of objects: looked for {signs}; see data/README.md")

"""What people said of photos, from one file or from a data set: all that scores need, without a photo."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from showattend.data.captions import SPLITS, Photo, PhotoId
from showattend.data.listings import Listed, read_coco_captions, read_karpathy, read_table, read_text, read_tokens
from showattend.errors import InputError


@dataclass
class References:
    """The captions of each photo by its id, and the photo's file: its path, or only its name."""

    captions: dict[PhotoId, tuple[str, ...]] = field(default_factory=dict)
    files: dict[PhotoId, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # one line for each kind of thing left out, with its count

    def names(self) -> dict[str, PhotoId]:
        """What else a photo may be called, if it is no other's name: its id as text, and the name of its file."""
        names: dict[str, PhotoId] = {}
        shared = set()
        for photo, file in self.files.items():
            for name in {str(photo), file.name}:
                shared |= {name} & names.keys()
                names[name] = photo
        return {name: photo for name, photo in names.items() if name not in shared}


def references_of(photos: Iterable[Photo]) -> References:
    """The references of a data set's photos."""
    photos = list(photos)
    return References({photo.id: photo.captions for photo in photos}, {photo.id: photo.path for photo in photos})


def read_references(path: Path, split: str | None = None) -> References:
    """References from one file, whose format is told by its content: COCO's, Karpathy's, Flickr's tokens or a CSV.

    Args:
        split: of a file that names splits (Karpathy's, a CSV with the column) the one to take, `val` if it is not said; all others
            are taken whole

    Raises:
        InputError: no such format, a photo that is listed twice, no photo in that split, or a split of a file that names none.
    """
    listed = _listed(path)
    if any(photo.split for photo in listed):
        wanted = split or "val"
        found = {photo.split for photo in listed}
        listed = [photo for photo in listed if photo.split == wanted]
        if not listed:
            raise InputError(f"{path} holds no photo of the split '{wanted}': choose from {', '.join(s for s in SPLITS if s in found)}")
    elif split:
        raise InputError(f"{path} names no splits, all its photos are taken: leave out --split {split}")
    return _keep_captioned(listed, path)


def _listed(path: Path) -> list[Listed]:
    text = read_text(path).lstrip()
    if text.startswith("{"):
        return read_coco_captions(path) if _is_coco(text, path) else read_karpathy(path)
    key, tab, _ = text.partition("\n")[0].partition("\t")
    return read_tokens(path) if tab and key.strip().rpartition("#")[2].isdecimal() and "#" in key else read_table(path)


def _is_coco(text: str, path: Path) -> bool:
    try:
        return "annotations" in json.loads(text)
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}") from error


def _keep_captioned(listed: Iterable[Listed], path: Path) -> References:
    """By id; photos without a caption are counted and left out."""
    found = References()
    silent = []
    for photo in listed:
        captions = tuple(caption for raw in photo.captions if (caption := " ".join(str(raw).split())))
        if photo.id in found.captions:
            raise InputError(f"{path}: the photo {photo.id} is listed twice: take one of the two out")
        if captions:
            found.captions[photo.id], found.files[photo.id] = captions, Path(photo.name)
        else:
            silent.append(photo.id)
    if silent:
        found.notes.append(f"{len(silent)} photos without a caption in {path}, left out (such as {silent[0]})")
    if not found.captions:
        raise InputError(f"{path} holds no photo with a caption: give COCO's captions, Karpathy's JSON, Flickr's tokens or a CSV")
    return found

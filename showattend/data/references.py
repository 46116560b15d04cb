"""Reference captions from one file or from a data set: scores need them, and need no photo."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from showattend.data.captions import Photo
from showattend.data.listings import SPLITS, ListedPhoto, Listing, PhotoId, clean_captions
from showattend.data.readers import read_listing_file
from showattend.errors import InputError


@dataclass
class References:
    """The captions of each photo by its id, and the photo's file: its path, or only its name."""

    captions: dict[PhotoId, tuple[str, ...]] = field(default_factory=dict)
    files: dict[PhotoId, Path] = field(default_factory=dict)  # without photos whose file is not named
    notes: list[str] = field(default_factory=list)  # one line for each reason to leave something out, with its count

    def names(self, form: Callable[[str], str] = str) -> dict[str, PhotoId]:
        """Other names of the photos, as far as they are unique: the id as text, and the name of the file.

        Args:
            form: the form in which names are compared; by default as they are
        """
        names: dict[str, PhotoId] = {}
        shared = set()
        for photo in self.captions:
            for name in {form(name) for name in (str(photo), *([self.files[photo].name] if photo in self.files else []))}:
                shared |= {name} & names.keys()
                names[name] = photo
        return {name: photo for name, photo in names.items() if name not in shared}


def references_of(photos: Iterable[Photo]) -> References:
    """The references of a data set's photos."""
    photos = list(photos)
    return References({photo.id: photo.captions for photo in photos}, {photo.id: photo.path for photo in photos})


def read_references(path: Path, split: str | None = None) -> References:
    """References from one file, whose format is recognised by its content: COCO's, Karpathy's, Flickr's tokens or a CSV.

    Args:
        split: the split to take from a file that names splits (Karpathy's, a CSV with the column), `val` if it is None;
            other files are taken whole

    Raises:
        InputError: no such format, a photo that is listed twice, no photo in that split, or a split of a file that names none.
    """
    listing = read_listing_file(path)
    splits = {photo.split for photo in listing.photos if photo.split}
    if split and not splits:
        raise InputError(f"{path} names no splits, all its photos are taken: leave out --split {split}")
    if splits:
        split = split or "val"
        listing = listing._replace(photos=[photo for photo in listing.photos if photo.split == split])
        if not listing.photos:
            names = ", ".join(name for name in SPLITS if name in splits) or f"none (it has {', '.join(sorted(splits)[:4])})"
            raise InputError(f"{path} holds no photo of the split '{split}': choose from {names}")
    return _keep_captioned(listing, path)


def _keep_captioned(listing: Listing, path: Path) -> References:
    """By id; photos without a caption are counted and left out."""
    references = References(notes=list(listing.notes))
    without_caption: list[PhotoId] = []
    empty = 0
    for photo in listing.photos:
        captions = clean_captions(photo.captions)
        if photo.id in references.captions:
            raise InputError(f"{path}: the photo {photo.id} is listed twice: take one of the two out")
        if captions:
            _add(references, photo, captions)
            empty += len(photo.captions) - len(captions)
        else:
            without_caption.append(photo.id)
    if without_caption:
        references.notes.append(f"{len(without_caption)} photos without a caption in {path}, left out (such as {without_caption[0]})")
    if empty:
        references.notes.append(f"{empty} empty captions of photos that have others in {path}, left out")
    if not references.captions:
        raise InputError(f"{path} holds no photo with a caption: give COCO's captions, Karpathy's JSON, Flickr's tokens or a CSV")
    return references


def _add(references: References, photo: ListedPhoto, captions: tuple[str, ...]) -> None:
    references.captions[photo.id] = captions
    if photo.file is not None:
        references.files[photo.id] = photo.file

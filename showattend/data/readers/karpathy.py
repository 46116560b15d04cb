"""Karpathy and Fei-Fei's JSON (2015) of Flickr8k, Flickr30k or COCO, with splits and captions in one file."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from showattend.data.json_files import check_file_names, check_schema, check_texts
from showattend.data.listings import ListedPhoto, Listing, ListingFile, PhotoId, split_name
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, first_folder, one_file

PHOTO_FOLDERS = ("images", "Images", "Flicker8k_Dataset", "flickr30k-images")


class Sentence(msgspec.Struct):
    """One caption."""

    raw: str | None

    def __post_init__(self) -> None:
        check_texts(self.raw)


class Image(msgspec.Struct):
    """One photo; `cocoid` and `filepath` stand in COCO's file only."""

    filename: str
    split: str
    sentences: list[Sentence]
    cocoid: PhotoId | None = None
    filepath: str = ""

    def __post_init__(self) -> None:
        check_file_names(self.filename, self.filepath, self.cocoid, self.split)


class Content(msgspec.Struct):
    """The whole file."""

    images: list[Image]


@CAPTION_READERS.register("karpathy")
class KarpathyReader(CaptionReader):
    """dataset*.json, and photos in the folders that it names or in one folder."""

    signs = ("dataset*.json",)
    file_format = "Karpathy's JSON"

    def read(self, root: Path) -> Listing:
        """Photos in the folders that the file names, else in the folder of photos."""
        folder = first_folder(root, PHOTO_FOLDERS) or root

        def locate(image: Image) -> Path:
            return root / image.filepath / image.filename if image.filepath else folder / image.filename

        return _read(ListingFile(one_file(root, self.signs[0])), locate)

    def recognises_file(self, file: ListingFile) -> bool:
        """Whether the file is a JSON object; COCO's captions, which are one too, must be tried before."""
        return file.starts_as_json and isinstance(file.json, dict)

    def read_file(self, file: ListingFile) -> Listing:
        """Photos by `cocoid`, else by their file's name."""
        return _read(file, lambda image: Path(image.filename))


def _read(file: ListingFile, locate: Callable[[Image], Path]) -> Listing:
    """The photos of a file, with the paths that `locate` gives them."""
    photos = []
    for image in check_schema(file.json, Content, f"{file.path} is not in Karpathy's format").images:
        captions = [sentence.raw for sentence in image.sentences]
        photo_id = image.filename if image.cocoid is None else image.cocoid
        photos.append(ListedPhoto(photo_id, locate(image), captions, split_name(image.split)))
    return Listing(photos)

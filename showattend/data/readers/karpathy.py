"""Karpathy and Fei-Fei's JSON (2015) of Flickr8k, Flickr30k or COCO, with splits and captions in one file."""

from pathlib import Path

import msgspec

from showattend.data.folders import DataFolder
from showattend.data.json_files import check_file_names, check_schema, check_texts
from showattend.data.listings import ListedPhoto, Listing, ListingFile, PhotoId, split_name
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, place_photos

OTHER_FILES = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json")


class KarpathySentence(msgspec.Struct):
    """One caption."""

    raw: str | None

    def __post_init__(self) -> None:
        check_texts(self.raw)


class KarpathyImage(msgspec.Struct):
    """One photo; `cocoid` and `filepath` stand in COCO's file only."""

    filename: str
    split: str
    sentences: list[KarpathySentence]
    cocoid: PhotoId | None = None
    filepath: str = ""

    def __post_init__(self) -> None:
        check_file_names(self.filename, self.filepath, self.cocoid, self.split)


class KarpathyFile(msgspec.Struct):
    """The whole file."""

    images: list[KarpathyImage]


@CAPTION_READERS.register("karpathy")
class KarpathyReader(CaptionReader):
    """dataset*.json, and photos in the folders that it names or in one folder."""

    signs = ("dataset*.json",)
    example = "dataset_NAME.json and images/NAME.jpg"
    file_format = "Karpathy's JSON"

    def find(self, root: DataFolder) -> list[Path]:
        """Files of that name, but for those of Hugging Face's `datasets`."""
        return root.find(self.signs, lambda path: path.name.lower() not in OTHER_FILES)

    def read(self, root: DataFolder) -> Listing:
        """Photos in the folders that the file names, else in the folder of photos."""
        return place_photos(root, self.read_file(ListingFile(self.only_file(root))))

    def recognises_file(self, file: ListingFile) -> bool:
        """Whether the file is a JSON object; COCO's captions, which are one too, must be tried before."""
        return file.starts_as_json and not file.is_json_lines and isinstance(file.json, dict) and "images" in file.json

    def read_file(self, file: ListingFile) -> Listing:
        """Photos by `cocoid`, else by their file's name."""
        photos = []
        for image in check_schema(file.json, KarpathyFile, f"{file.path} is not in Karpathy's format").images:
            captions = [sentence.raw for sentence in image.sentences]
            photo_id = image.filename if image.cocoid is None else image.cocoid
            photos.append(ListedPhoto(photo_id, Path(image.filepath) / image.filename, captions, split_name(image.split)))
        return Listing(photos, file.notes)

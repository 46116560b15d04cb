"""TextCaps (Sidorov et al. 2020): a JSON for each split, a record for each caption."""

from collections import defaultdict
from pathlib import Path

import msgspec

from showattend.data.folders import DataFolder
from showattend.data.json_files import check_file_names, check_schema, check_texts, sample_of
from showattend.data.listings import ListedPhoto, Listing, ListingFile, split_in_name, split_name
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, place_photos, split_by_tenths


class Record(msgspec.Struct):
    """One caption of one photo; the photo's file is named after its id."""

    image_id: str
    caption_str: str | None = None
    reference_strs: list[str] = []
    set_name: str = ""

    def __post_init__(self) -> None:
        check_file_names(self.image_id)
        check_texts(self.caption_str, *self.reference_strs)


class Content(msgspec.Struct):
    """The whole file."""

    data: list[Record]


@CAPTION_READERS.register("textcaps")
class TextCapsReader(CaptionReader):
    """TextCaps_0.1_SPLIT.json, and photos in `train_images` and `test_images`."""

    signs = ("TextCaps*.json",)
    example = "TextCaps_0.1_train.json and train_images/ID.jpg"
    file_format = "TextCaps"

    def find(self, root: DataFolder) -> list[Path]:
        """Files of that name that have captions; those of the test have none."""
        return root.find(self.signs, lambda path: _has_captions(sample_of(path)))

    def read(self, root: DataFolder) -> Listing:
        """Photos of all files."""
        listings = [self.read_file(ListingFile(path)) for path in self.find(root)]
        photos = [photo for listing in listings for photo in listing.photos]
        notes = [note for listing in listings for note in listing.notes]
        return split_by_tenths(place_photos(root, Listing(photos, notes), "train_images"))

    def recognises_file(self, file: ListingFile) -> bool:
        """Whether the file is an object with records in `data`."""
        return file.starts_as_json and not file.is_json_lines and isinstance(file.json, dict) and isinstance(file.json.get("data"), list)

    def read_file(self, file: ListingFile) -> Listing:
        """Photos by their ids, in the order of the file."""
        captions: dict[str, list[str | None]] = defaultdict(list)
        split_of: dict[str, str] = {}
        for record in check_schema(file.json, Content, f"{file.path} is not in TextCaps' format").data:
            captions[record.image_id] += record.reference_strs if record.caption_str is None else [record.caption_str]
            split_of[record.image_id] = split_name(record.set_name) or split_in_name(file.path.stem)
        return Listing([ListedPhoto(photo, Path(f"{photo}.jpg"), texts, split_of[photo]) for photo, texts in captions.items()], file.notes)


def _has_captions(sample: str) -> bool:
    return '"caption_str"' in sample or '"reference_strs"' in sample

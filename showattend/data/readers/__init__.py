"""Readers of captioned data sets, one file a format, chosen by name or dotted path, or recognised by the files of a folder."""

from pathlib import Path

from showattend.data.listings import Listing, ListingFile
from showattend.data.readers.base import CAPTION_READERS, CaptionReader
from showattend.data.readers.coco import CocoReader
from showattend.data.readers.csv_table import CsvReader
from showattend.data.readers.flickr8k import Flickr8kReader
from showattend.data.readers.images_csv import ImagesCsvReader
from showattend.data.readers.karpathy import KarpathyReader
from showattend.errors import InputError, unknown_name

# The first that recognises a folder or a file reads it: formats that others could be mistaken for come first.
FOLDER_ORDER = ("flickr8k", "karpathy", "coco", "images-csv", "csv")
FILE_ORDER = ("flickr8k", "coco", "karpathy", "csv")

__all__ = [
    "CAPTION_READERS",
    "FILE_ORDER",
    "FOLDER_ORDER",
    "CaptionReader",
    "CocoReader",
    "CsvReader",
    "Flickr8kReader",
    "ImagesCsvReader",
    "KarpathyReader",
    "find_reader",
    "read_listing_file",
]


def find_reader(root: Path, layout: str = "auto") -> CaptionReader:
    """The reader of a data set.

    Args:
        root: the data set's folder
        layout: `auto` recognises it by the files in the folder; else a registered name or a dotted path

    Raises:
        InputError: an unknown name, or a folder that no reader recognises.
    """
    if layout != "auto":
        if ":" not in layout and layout not in CAPTION_READERS.entries:
            raise unknown_name("layout", layout, ["auto", *CAPTION_READERS.entries])
        return CAPTION_READERS.find(layout)()
    readers = {name: CAPTION_READERS.find(name)() for name in FOLDER_ORDER}
    reader = next((reader for reader in readers.values() if reader.recognises(root)), None)
    if reader is None:
        signs = ", ".join(f"{' or '.join(reader.signs)} ({name})" for name, reader in readers.items())
        raise InputError(f"{root.absolute()} is laid out like no data set that is known: looked in it for {signs}; see data/README.md")
    return reader


def read_listing_file(path: Path) -> Listing:
    """Photos with their captions from a single file, whose format is recognised by its content.

    Raises:
        InputError: no reader recognises the file, or it is not in the format of the one that does.
    """
    file = ListingFile(path)
    readers = [CAPTION_READERS.find(name)() for name in FILE_ORDER]
    reader = next((reader for reader in readers if reader.recognises_file(file)), None)
    if reader is None:
        formats = ", ".join(reader.file_format for reader in readers)
        raise InputError(f"{path} holds no photo with a caption in a known format: looked for {formats}")
    return reader.read_file(file)

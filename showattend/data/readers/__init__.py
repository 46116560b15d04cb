"""Readers of captioned data sets, one file a format, chosen by name or dotted path, or recognised by the files of a folder."""

import difflib
from pathlib import Path, PurePosixPath

from showattend.data.folders import SIGN_DEPTH, DataFolder
from showattend.data.images import has_photo_suffix
from showattend.data.listings import Listing, ListingFile
from showattend.data.readers.arrow import ArrowReader
from showattend.data.readers.base import CAPTION_READERS, CaptionReader
from showattend.data.readers.coco import CocoReader
from showattend.data.readers.coco_like import CocoLikeReader
from showattend.data.readers.csv_table import CsvReader
from showattend.data.readers.flickr8k import Flickr8kReader
from showattend.data.readers.flickr30k import Flickr30kReader
from showattend.data.readers.imagefolder import ImageFolderReader
from showattend.data.readers.images_csv import ImagesCsvReader
from showattend.data.readers.json_records import JsonRecordsReader
from showattend.data.readers.karpathy import KarpathyReader
from showattend.data.readers.text_files import TextFilesReader
from showattend.data.readers.textcaps import TextCapsReader
from showattend.data.readers.webdataset import WebDatasetReader
from showattend.errors import InputError, unknown_name

# Of the readers that recognise the files nearest to the folder the first one reads it: what others could be mistaken for comes first.
FOLDER_ORDER = (
    *("flickr8k", "flickr30k", "karpathy", "coco", "textcaps", "coco-like"),
    *("imagefolder", "images-csv", "json", "csv", "webdataset", "arrow", "text-files"),
)
FILE_ORDER = ("flickr8k", "coco", "karpathy", "textcaps", "json", "csv")

__all__ = [
    "CAPTION_READERS",
    "FILE_ORDER",
    "FOLDER_ORDER",
    "ArrowReader",
    "CaptionReader",
    "CocoLikeReader",
    "CocoReader",
    "CsvReader",
    "DataFolder",
    "Flickr8kReader",
    "Flickr30kReader",
    "ImageFolderReader",
    "ImagesCsvReader",
    "JsonRecordsReader",
    "KarpathyReader",
    "TextCapsReader",
    "TextFilesReader",
    "WebDatasetReader",
    "find_reader",
    "read_listing_file",
]


def find_reader(root: DataFolder | Path, layout: str = "auto") -> CaptionReader:
    """The reader of a data set.

    Args:
        root: the data set's folder
        layout: `auto` recognises it by the files in the folder; else a registered name or a dotted path

    Raises:
        InputError: an unknown name, or a folder that no reader recognises.
    """
    folder = root if isinstance(root, DataFolder) else DataFolder(root)
    if layout != "auto":
        if ":" not in layout and layout not in CAPTION_READERS.entries:
            raise unknown_name("layout", layout, ["auto", *CAPTION_READERS.entries])
        return CAPTION_READERS.find(layout)()
    readers = [CAPTION_READERS.find(name)() for name in FOLDER_ORDER]
    depths = [(min(map(folder.depth, files)), index) for index, reader in enumerate(readers) if (files := reader.find(folder))]
    if not depths:
        raise InputError(_unrecognised(folder, dict(zip(FOLDER_ORDER, readers, strict=True))))
    return readers[min(depths)[1]]


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


def _unrecognised(folder: DataFolder, readers: dict[str, CaptionReader]) -> str:
    """The error for an unknown layout: the files that readers search, those in the folder, and an example of the nearest layout."""
    where = Path(folder).absolute()
    signs = ", ".join(f"{' or '.join(reader.signs)} ({name})" for name, reader in readers.items())
    nearest = _nearest(folder, readers)
    return (
        f"{where} is laid out like no data set that is known: looked in it, and in folders up to {SIGN_DEPTH} below it, for {signs}; "
        f"it holds {_content(folder)}; the nearest layout is '{nearest}', which would lie as {where}: {readers[nearest].example}; "
        "`showattend data --layouts` lists all of them"
    )


def _content(folder: DataFolder) -> str:
    """The number of photos in a folder and the first other files, in words."""
    photos = [name for name in folder.files if has_photo_suffix(name)]
    others = [name for name in folder.files if not has_photo_suffix(name)]
    some = f" (such as {photos[0]})" if photos else ""
    return f"{len(photos)} photos{some} and {len(others)} other files{f' (such as {chr(44).join(others[:2])})' if others else ''}"


def _nearest(folder: DataFolder, readers: dict[str, CaptionReader]) -> str:
    """The layout one of whose signs is most like the name of a file in the folder."""
    names = {PurePosixPath(name).name.lower() for name in folder.files if not has_photo_suffix(name)}
    plain = {sign.rpartition("/")[2].replace("*", "").lower(): name for name, reader in readers.items() for sign in reader.signs}
    near = [match for name in sorted(names)[:50] for match in difflib.get_close_matches(name, plain, n=1, cutoff=0.7)]
    return plain[near[0]] if near else "csv"

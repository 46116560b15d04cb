"""Hugging Face's imagefolder: metadata.csv or metadata.jsonl in the folder of the photos, for each split a folder of its own."""

from pathlib import Path

from showattend.data.folders import DataFolder
from showattend.data.listings import JSON_LINES_SUFFIXES, ListedPhoto, Listing, ListingFile, split_in_path
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, split_by_tenths
from showattend.data.readers.csv_table import CsvReader
from showattend.data.readers.json_records import JsonRecordsReader


@CAPTION_READERS.register("imagefolder")
class ImageFolderReader(CaptionReader):
    """`file_name` is relative to the folder of the metadata; a folder named after a split holds the photos of that split."""

    signs = ("metadata.csv", "metadata.jsonl", "metadata.tsv")
    example = "train/metadata.csv with file_name,text and train/NAME.jpg"

    def read(self, root: DataFolder) -> Listing:
        """Photos by their paths in the folder; without splits every tenth is for validation and every tenth for the test."""
        photos: list[ListedPhoto] = []
        notes: list[str] = []
        for path in self.find(root):
            reader = JsonRecordsReader() if path.suffix.lower() in JSON_LINES_SUFFIXES else CsvReader()
            listing = reader.read_file(ListingFile(path))
            photos += [_place(photo, path.parent, root.root) for photo in listing.photos]
            notes += listing.notes
        return split_by_tenths(Listing(photos, notes))


def _place(photo: ListedPhoto, folder: Path, root: Path) -> ListedPhoto:
    """A photo of one file of metadata: the same name may stand in the file of another split, for another photo."""
    file = folder / str(photo.file).replace("\\", "/")
    inside = file.relative_to(root) if file.is_relative_to(root) else file
    split = split_in_path(inside.parts[:-1])
    return photo._replace(id=inside.as_posix(), file=file, split=photo.split or split)

"""A table of one's own photos: a CSV with a caption a row, and a column of splits if there is one."""

from collections import defaultdict
from pathlib import Path

from showattend.data.listings import ListedPhoto, Listing, ListingFile, split_name
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, first_folder, one_file
from showattend.data.tables import CAPTION_COLUMNS, PHOTO_COLUMNS, find_column, read_table
from showattend.errors import InputError

PHOTO_FOLDERS = ("images", "Images", "photos")


@CAPTION_READERS.register("csv")
class CsvReader(CaptionReader):
    """One CSV, and photos in `images`, in `photos` or in the CSV's own folder."""

    signs = ("*.csv",)
    file_format = "a CSV"

    def read(self, root: Path) -> Listing:
        """Photos of the table; without a column of splits every tenth photo is for validation and every tenth for the test."""
        return read_photos(self.read_file(ListingFile(one_file(root, self.signs[0]))), first_folder(root, PHOTO_FOLDERS) or root)

    def recognises_file(self, file: ListingFile) -> bool:
        """Whether the file is not JSON; readers of other formats are tried before this one."""
        return not file.starts_as_json

    def read_file(self, file: ListingFile) -> Listing:
        """Photos by their names, in the order of the rows."""
        table = read_table(file)
        if not table.rows:
            return Listing([])
        photo_column, caption_column = find_column(file, table, PHOTO_COLUMNS), find_column(file, table, CAPTION_COLUMNS)
        captions: dict[str, list[str]] = defaultdict(list)
        split_of: dict[str, str] = {}
        for line, row in table.rows:
            name = row[photo_column].strip()
            if not name or "\0" in name:
                raise InputError(f"{file.path} line {line}: the column {photo_column} holds no name of a file")
            captions[name].append(row[caption_column])
            if "split" in row:
                split = split_name(row["split"]) or "none"
                if split_of.setdefault(name, split) != split:
                    raise InputError(f"{file.path} line {line}: {name} is in the splits {split_of[name]} and {split}: give it one")
        photos = [ListedPhoto(name, Path(name), texts, split_of.get(name, "")) for name, texts in captions.items()]
        lines = table.short_lines
        notes = [f"{len(lines)} rows of {file.path} with too few columns, left out (such as line {lines[0]})"] if lines else []
        return Listing(photos, notes)


def read_photos(listing: Listing, folder: Path) -> Listing:
    """Photos of a table in the order of their names, in a folder; without splits in it every tenth is for val, every tenth for test."""
    photos = sorted(listing.photos, key=lambda photo: str(photo.id))
    has_splits = any(photo.split for photo in photos)
    tenths = {8: "val", 9: "test"}
    return Listing(
        [
            photo._replace(file=folder / str(photo.id), split=photo.split if has_splits else tenths.get(number % 10, "train"))
            for number, photo in enumerate(photos)
        ],
        listing.notes,
    )

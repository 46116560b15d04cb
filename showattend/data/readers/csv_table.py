"""Tables of one's own photos: CSV or TSV files with a row for each caption or each photo, and a column of splits if there is one."""

import json
from collections import defaultdict
from pathlib import Path

from showattend.data.folders import DataFolder
from showattend.data.listings import ListedPhoto, Listing, ListingFile, split_in_name, split_name
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, place_photos, split_by_tenths
from showattend.data.tables import PHOTO_COLUMNS, SPLIT_COLUMNS, Table, find_caption_columns, find_column, read_table
from showattend.errors import InputError


@CAPTION_READERS.register("csv")
class CsvReader(CaptionReader):
    """One table, or one for each split (train.csv, val.csv …), and photos in `images`, in `photos` or in the folder of the tables."""

    signs = ("*.csv", "*.tsv")
    example = "captions.csv with image,caption and images/NAME.jpg"
    file_format = "a CSV"

    def read(self, root: DataFolder) -> Listing:
        """Photos of the tables; without splits every tenth photo is for validation and every tenth for the test."""
        return split_by_tenths(place_photos(root, read_by_split(self, root)))

    def recognises_file(self, file: ListingFile) -> bool:
        """Whether the file is not JSON; readers of other formats are tried before this one."""
        return not file.starts_as_json

    def read_file(self, file: ListingFile) -> Listing:
        """Photos by their names, in the order of the rows."""
        table = read_table(file)
        if not table.rows:
            return Listing([])
        photo_column, caption_columns = find_column(file, table, PHOTO_COLUMNS), find_caption_columns(file, table)
        split_column = next((name for name in SPLIT_COLUMNS if name in table.columns), None)
        captions: dict[str, list[str | None]] = defaultdict(list)
        split_of: dict[str, str] = {}
        for line, row in table.rows:
            name = row[photo_column].strip()
            if not name or "\0" in name:
                raise InputError(f"{file.path} line {line}: the column {photo_column} holds no name of a file")
            for column in caption_columns:
                captions[name] += _captions_in(row[column])
            if split_column:
                split = split_name(row[split_column]) or "none"
                if split_of.setdefault(name, split) != split:
                    raise InputError(f"{file.path} line {line}: {name} is in the splits {split_of[name]} and {split}: give it one")
        photos = [ListedPhoto(name, Path(name), texts, split_of.get(name, "")) for name, texts in captions.items()]
        return Listing(photos, [*file.notes, *_short_lines(file, table)])


def read_by_split(reader: CaptionReader, root: DataFolder) -> Listing:
    """The photos of the only list in a folder, or of one list for each split, named after it.

    Raises:
        InputError: there are several lists, and a name says no split.
    """
    paths = reader.find(root)
    if len(paths) == 1 or not all(split_in_name(path.stem) for path in paths):
        return reader.read_file(ListingFile(reader.only_file(root)))
    listings = [(reader.read_file(ListingFile(path)), split_in_name(path.stem)) for path in paths]
    return Listing(
        [photo._replace(split=photo.split or split) for listing, split in listings for photo in listing.photos],
        [note for listing, _ in listings for note in listing.notes],
    )


def _captions_in(field: str) -> list[str | None]:
    """The captions of a field: one, or those of a list that is written as JSON."""
    if field.lstrip().startswith("[") and field.rstrip().endswith("]"):
        try:
            values = json.loads(field)
        except (ValueError, RecursionError):
            return [field]
        if values and all(isinstance(value, str | None) for value in values):
            return list(values)
    return [field]


def _short_lines(file: ListingFile, table: Table) -> list[str]:
    lines = table.short_lines
    return [f"{len(lines)} rows of {file.path} with too few columns, left out (such as line {lines[0]})"] if lines else []

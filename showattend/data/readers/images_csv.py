"""The widespread repackaging of Flickr8k and Flickr30k: captions.txt, a CSV, next to a folder Images."""

from pathlib import Path

from showattend.data.listings import Listing, ListingFile
from showattend.data.readers.base import CAPTION_READERS, CaptionReader
from showattend.data.readers.csv_table import CsvReader, read_photos


@CAPTION_READERS.register("images-csv")
class ImagesCsvReader(CaptionReader):
    """captions.txt is a table as `csv` reads it; as a file of references it is read there."""

    signs = ("captions.txt",)

    def read(self, root: Path) -> Listing:
        """Photos of the table in the folder Images."""
        return read_photos(CsvReader().read_file(ListingFile(root / self.signs[0])), root / "Images")

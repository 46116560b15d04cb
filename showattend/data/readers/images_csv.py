"""The widespread repackaging of Flickr8k and Flickr30k: captions.txt, a table, next to a folder of photos."""

from showattend.data.folders import DataFolder
from showattend.data.listings import Listing, ListingFile
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, place_photos, split_by_tenths
from showattend.data.readers.csv_table import CsvReader


@CAPTION_READERS.register("images-csv")
class ImagesCsvReader(CaptionReader):
    """captions.txt is a table as `csv` reads it; as a file of references it is read there."""

    signs = ("captions.txt",)
    example = "captions.txt with image,caption and Images/NAME.jpg"

    def read(self, root: DataFolder) -> Listing:
        """Photos of the table in the folder Images."""
        return split_by_tenths(place_photos(root, CsvReader().read_file(ListingFile(self.only_file(root))), "Images"))

"""Flickr30k's own release (Young et al. 2014): a file of tokens beside a folder of photos, and perhaps lists of the splits."""

from showattend.data.folders import DataFolder
from showattend.data.listings import Listing, ListingFile
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, place_photos, split_by_tenths
from showattend.data.readers.flickr import read_split_lists, read_tokens

SPLIT_LISTS = (("train", "train.txt"), ("val", "val.txt"), ("test", "test.txt"))  # those of Flickr30k Entities, without suffixes


@CAPTION_READERS.register("flickr30k")
class Flickr30kReader(CaptionReader):
    """results_20130124.token, and photos in a folder of their own; the format is that of Flickr8k's tokens."""

    signs = ("*.token",)
    example = "results_20130124.token and flickr30k-images/NAME.jpg"

    def read(self, root: DataFolder) -> Listing:
        """Photos of the tokens, with the splits of the lists or, without any list, by tenths."""
        listing = read_tokens(ListingFile(self.only_file(root)))
        split_of = read_split_lists(root, SPLIT_LISTS, suffix=".jpg")
        if split_of:
            photos = [photo._replace(split=split_of.get(str(photo.id), "none")) for photo in listing.photos]
            listing = listing._replace(photos=photos)
        return split_by_tenths(place_photos(root, listing, "flickr30k-images"))

"""Flickr8k's official layout (Hodosh et al. 2013): a file of tokens, and a list of names for each split."""

from pathlib import Path

from showattend.data.folders import DataFolder
from showattend.data.listings import ListedPhoto, Listing, ListingFile
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, place_photos
from showattend.data.readers.flickr import is_token_file, read_split_lists, read_tokens

TOKEN_FILE = "Flickr8k.token.txt"
PHOTO_FOLDER = "Flicker8k_Dataset"  # as the zip has it
SPLIT_LISTS = (("train", "Flickr_8k.trainImages.txt"), ("val", "Flickr_8k.devImages.txt"), ("test", "Flickr_8k.testImages.txt"))


@CAPTION_READERS.register("flickr8k")
class Flickr8kReader(CaptionReader):
    """Flickr8k.token.txt, the lists of splits, and photos in folders of their own, as the two zips unpack."""

    signs = (TOKEN_FILE,)
    example = f"{TOKEN_FILE} and {PHOTO_FOLDER}/NAME.jpg"
    file_format = "Flickr's tokens"

    def read(self, root: DataFolder) -> Listing:
        """Photos of the tokens and of the lists of splits; a list may be missing."""
        split_of = read_split_lists(root, SPLIT_LISTS)
        tokens = self.read_file(ListingFile(self.only_file(root)))
        listed = {str(photo.id): photo for photo in tokens.photos}
        photos = [
            ListedPhoto(name, Path(name), listed[name].captions if name in listed else (), split_of.get(name, "none"))
            for name in dict.fromkeys([*split_of, *listed])
        ]
        return place_photos(root, tokens._replace(photos=photos), PHOTO_FOLDER)

    def recognises_file(self, file: ListingFile) -> bool:
        """Whether the first line is `NAME#N<TAB>…`."""
        return is_token_file(file)

    def read_file(self, file: ListingFile) -> Listing:
        """Each photo with its captions, in the order of the file."""
        return read_tokens(file)

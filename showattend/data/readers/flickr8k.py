"""Flickr8k's official layout (Hodosh et al. 2013): a file of tokens, and a list of names for each split."""

from collections import defaultdict
from pathlib import Path

from showattend.data.listings import ListedPhoto, Listing, ListingFile
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, first_folder
from showattend.data.text_files import read_text, split_lines
from showattend.errors import InputError

TOKENS = "Flickr8k.token.txt"
PHOTO_FOLDERS = ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images")
SPLIT_LISTS = {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "test": "Flickr_8k.testImages.txt"}


@CAPTION_READERS.register("flickr8k")
class Flickr8kReader(CaptionReader):
    """Flickr8k.token.txt with a caption a line, `NAME.jpg#N<TAB>caption`; Flickr30k's own file of tokens is alike."""

    signs = (TOKENS,)
    file_format = "Flickr's tokens"

    def read(self, root: Path) -> Listing:
        """Photos of the tokens and of the lists of splits; a list may be missing."""
        folder = first_folder(root, PHOTO_FOLDERS)
        if folder is None:
            raise InputError(f"{root} has {TOKENS} but no photos: put them into {root / PHOTO_FOLDERS[0]}")
        split_of: dict[str, str] = {}
        for split, name in SPLIT_LISTS.items():
            path = root / name
            if path.is_file():
                split_of |= {line.strip(): split for line in split_lines(read_text(path)) if line.strip()}
        listed = {str(photo.id): photo.captions for photo in self.read_file(ListingFile(root / TOKENS)).photos}
        captions = dict.fromkeys(split_of, ()) | listed
        return Listing([ListedPhoto(name, folder / name, captions[name], split_of.get(name, "none")) for name in captions])

    def recognises_file(self, file: ListingFile) -> bool:
        """Whether the first line is `NAME#N<TAB>…`."""
        key, tab, _ = file.first_line.partition("\t")
        return bool(tab) and "#" in key and key.strip().rpartition("#")[2].isdecimal()

    def read_file(self, file: ListingFile) -> Listing:
        """Each photo with its captions, in the order of the file."""
        captions: dict[str, list[str]] = defaultdict(list)
        for number, line in enumerate(split_lines(file.text), 1):
            if line.strip():
                name, caption = self._parse_line(line, f"{file.path} line {number}")
                captions[name].append(caption)
        return Listing([ListedPhoto(name, Path(name), texts) for name, texts in captions.items()])

    @staticmethod
    def _parse_line(line: str, where: str) -> tuple[str, str]:
        key, tab, caption = line.partition("\t")
        name, mark, number = key.strip().rpartition("#")
        if not (tab and mark and name and number.isdecimal()) or "\0" in name:
            raise InputError(f"{where}: expected NAME.jpg#N<TAB>caption, found {line[:60]!r}")
        return name, caption

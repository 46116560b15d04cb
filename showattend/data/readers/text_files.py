"""A text file beside each photo: photo.txt, a caption a line, beside photo.jpg, as programs that prepare training data write them."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from showattend.data.folders import DataFolder
from showattend.data.images import has_photo_suffix
from showattend.data.listings import ListedPhoto, Listing, ListingFile, split_in_path
from showattend.data.readers.base import CAPTION_READERS, CaptionReader, split_by_tenths
from showattend.data.text_files import split_lines

TEXT_SUFFIXES = (".txt", ".caption")


@CAPTION_READERS.register("text-files")
class TextFilesReader(CaptionReader):
    """Photos anywhere in the folder, each with a text file of the same name; a folder named after a split holds photos of that split."""

    signs = ("NAME.txt beside NAME.jpg",)
    example = "NAME.jpg and NAME.txt, a caption a line"

    def find(self, root: DataFolder) -> list[Path]:
        """The texts that lie beside a photo of the same name."""
        return [root / text for _, text in _pairs(root)]

    def read(self, root: DataFolder) -> Listing:
        """Photos by their paths in the folder; those without a text have no caption."""
        texts = dict(_pairs(root))
        photos = [_read_photo(root, name, texts.get(name)) for name in root.files if has_photo_suffix(name)]
        return split_by_tenths(Listing(photos))


def _read_photo(root: DataFolder, name: str, text: str | None) -> ListedPhoto:
    captions = [line for line in split_lines(ListingFile(root / text).text) if line.strip()] if text else []
    split = split_in_path(PurePosixPath(name).parts[:-1])
    return ListedPhoto(name, root / name, captions, split)


def _pairs(root: DataFolder) -> Iterator[tuple[str, str]]:
    """Photos and the texts of the same name."""
    texts = {name.rpartition(".")[0]: name for name in root.files if PurePosixPath(name).suffix.lower() in TEXT_SUFFIXES}
    for name in root.files:
        stem = name.rpartition(".")[0]
        if stem in texts and has_photo_suffix(name):
            yield name, texts[stem]

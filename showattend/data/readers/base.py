"""The contract of a reader of captioned data sets, and the registry of readers.

A reader knows one layout of a folder. It names the files by which the layout is recognised, and it returns the photos of the folder with
their captions and splits. Many layouts keep their captions in a single file; a reader of such a layout also reads the file alone, as
references for scores, without any photo.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from showattend.data.folders import DataFolder
from showattend.data.listings import SPLITS, ListedPhoto, Listing, ListingFile
from showattend.errors import InputError
from showattend.registry import Registry

# Folders of photos in the data sets as they are downloaded.
PHOTO_FOLDERS = (
    *("images", "photos", "Flicker8k_Dataset", "Flickr8k_Dataset", "flickr30k-images", "flickr30k_images"),
    *("train_images", "train_val_images", "test_images"),
)


class CaptionReader(ABC):
    """One layout of captioned data sets.

    signs: glob patterns, relative to the folder; a folder in which one of them matches, or up to two folders below it, has this layout
    example: how a folder of this layout lies, for the message about a folder that no reader recognises
    file_format: the name of the captions' file in messages; empty: captions cannot be read without the folder
    """

    signs: ClassVar[tuple[str, ...]] = ()
    example: ClassVar[str] = ""
    file_format: ClassVar[str] = ""

    def find(self, root: DataFolder) -> list[Path]:
        """The files by which a folder is recognised as of this layout; none: it has another one."""
        return root.find(self.signs)

    @abstractmethod
    def read(self, root: DataFolder) -> Listing:
        """All photos that the folder lists, with the paths where their files should lie; whether they do is not checked here.

        Args:
            root: `root / "name"` is a path in the folder, `Path(root)` the folder's own

        Raises:
            InputError: a file is not in the format; the message names file, record and field.
        """

    def recognises_file(self, file: ListingFile) -> bool:
        """Whether a single file, by its content, is the captions' file of this layout."""
        return False

    def read_file(self, file: ListingFile) -> Listing:
        """The photos that a single file lists, with the names of their files as it gives them.

        Raises:
            InputError: the file is not in the format.
        """
        raise InputError(f"{file.path}: {type(self).__name__} reads folders only")

    def all_files(self, root: DataFolder) -> list[Path]:
        """The files by which the folder is recognised.

        Raises:
            InputError: there is none.
        """
        paths = self.find(root)
        if not paths:
            raise InputError(f"{root} holds no file {' or '.join(self.signs)} of this layout, which would lie as: {self.example}")
        return paths

    def only_file(self, root: DataFolder) -> Path:
        """The only file by which the folder is recognised.

        Raises:
            InputError: there is none, or several.
        """
        paths = self.find(root)
        if len(paths) != 1:
            names = f": {', '.join(path.name for path in paths[:4])}" if paths else ""
            raise InputError(f"{root} needs one file {' or '.join(self.signs)}, and it holds {len(paths)}{names}: leave one")
        return paths[0]


CAPTION_READERS: Registry[CaptionReader] = Registry("layout", CaptionReader)  # type: ignore[type-abstract]


def place_photos(root: DataFolder, listing: Listing, *usual: str) -> Listing:
    """The photos of a list with the paths of their files in a folder; see `DataFolder.locate`.

    Args:
        usual: folders that come before PHOTO_FOLDERS in this layout
    """
    splits = {str(photo.file): photo.split for photo in listing.photos if photo.split in SPLITS}
    paths = root.locate([str(photo.file) for photo in listing.photos], (*usual, *PHOTO_FOLDERS), splits)
    return listing._replace(photos=[photo._replace(file=paths[str(photo.file)]) for photo in listing.photos])


def split_by_tenths(listing: Listing) -> Listing:
    """Photos in the order of their names; where no photo has a split, every tenth is for val and every tenth for test."""
    photos = sorted(listing.photos, key=lambda photo: str(photo.id))
    if not any(photo.split for photo in photos):
        photos = [_with_split(photo, index) for index, photo in enumerate(photos)]
    return listing._replace(photos=photos)


def _with_split(photo: ListedPhoto, index: int) -> ListedPhoto:
    return photo._replace(split={8: "val", 9: "test"}.get(index % 10, "train"))

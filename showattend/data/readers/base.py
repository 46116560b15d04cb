"""The contract of a reader of captioned data sets, and the registry of readers.

A reader knows one layout of a folder. It names the files by which the layout is recognised, and it returns the photos of the folder with
their captions and splits. Many layouts keep their captions in a single file; a reader of such a layout also reads the file alone, as
references for scores, without any photo.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from showattend.data.listings import Listing, ListingFile
from showattend.errors import InputError
from showattend.registry import Registry


class CaptionReader(ABC):
    """One layout of captioned data sets.

    signs: glob patterns, relative to the folder; a folder in which one of them matches has this layout
    file_format: the name of the captions' file in messages; empty: captions cannot be read without the folder
    """

    signs: ClassVar[tuple[str, ...]] = ()
    file_format: ClassVar[str] = ""

    def recognises(self, root: Path) -> bool:
        """Whether a folder has this layout."""
        return any(path for sign in self.signs for path in root.glob(sign))

    @abstractmethod
    def read(self, root: Path) -> Listing:
        """All photos that the folder lists, with the paths where their files should lie; whether they do is not checked here.

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


CAPTION_READERS: Registry[CaptionReader] = Registry("layout", CaptionReader)  # type: ignore[type-abstract]


def one_file(root: Path, sign: str) -> Path:
    """The only file of a folder that matches a pattern.

    Raises:
        InputError: there is none, or several.
    """
    paths = sorted(root.glob(sign))
    if len(paths) != 1:
        names = f": {', '.join(path.name for path in paths[:4])}" if paths else ""
        raise InputError(f"{root} needs one file {sign}, and it holds {len(paths)}{names}: leave one")
    return paths[0]


def first_folder(root: Path, names: Iterable[str]) -> Path | None:
    """The first of some folders that exists; None: none does."""
    return next((path for name in names if (path := root / name).is_dir()), None)

"""A text file beside each photo, as programs that prepare training data keep captions."""

from collections.abc import Iterable
from pathlib import Path

from showattend.console import printable
from showattend.errors import InputError
from showattend.files import write_text
from showattend.inference import Caption

SUFFIX = ".txt"


class TextFiles:
    """The captions of photos, each in a file of the photo's name with .txt; one that exists is never replaced.

    Raises:
        InputError: two photos would share a file.
    """

    def __init__(self, photos: Iterable[Path]) -> None:
        self.kept = 0  # files that were there before
        owners: dict[Path, Path] = {}
        for photo in photos:
            other = owners.setdefault(path := photo.with_suffix(SUFFIX), photo)
            if other is not photo:
                raise InputError(f"{other} and {photo} would share the text file {path}: caption them one at a time, or rename one")
            self.kept += self.has(photo)

    def has(self, photo: Path) -> bool:
        """Whether there is a text beside a photo."""
        return photo.with_suffix(SUFFIX).exists()

    def add(self, photo: Path, caption: Caption) -> None:
        """Write a photo's captions, the best in the first line.

        Raises:
            InputError: the file cannot be written.
        """
        if not self.has(photo):
            write_text(photo.with_suffix(SUFFIX), "".join(f"{printable(one)}\n" for one in (caption, *caption.alternatives)))

"""A text file beside each photo, as programs that prepare training data keep captions."""

import os
from pathlib import Path

from showattend.console import printable
from showattend.data.photo_index import PhotoIndex
from showattend.errors import InputError
from showattend.files import write_text
from showattend.inference import Caption

SUFFIX = ".txt"


class TextFiles:
    """The captions of photos, each in a file of the photo's name with .txt; one that exists is never replaced.

    Raises:
        InputError: two photos would share a file.
    """

    def __init__(self, photos: PhotoIndex) -> None:
        for one, other, *_ in photos.groups(lambda photo: photo.with_suffix(SUFFIX)):
            path = one.with_suffix(SUFFIX)
            raise InputError(f"{one} and {other} would share the text file {path}: caption them one at a time, or rename one")
        self.kept = sum(map(self.has, photos))  # files that were there before

    def has(self, photo: Path) -> bool:
        """Whether there is a text beside a photo."""
        return os.path.lexists(photo.with_suffix(SUFFIX))  # a link too, wherever it leads

    def add(self, photo: Path, caption: Caption) -> None:
        """Write a photo's captions, the best in the first line.

        Raises:
            InputError: the file cannot be written.
        """
        if not self.has(photo):
            write_text(photo.with_suffix(SUFFIX), "".join(f"{printable(one)}\n" for one in (caption, *caption.alternatives)))

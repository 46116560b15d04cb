"""The contract of a reader of boxes: which words of a caption name objects of a photo, and where these lie."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from showattend.data.captions import Photo
from showattend.data.images import BrokenImage, photo_size
from showattend.geometry import Box
from showattend.vocabulary import tokenize


class ObjectWord(NamedTuple):
    """A word of a caption that names objects.

    position: index of the word among the caption's words
    noun: the name under which the word is counted
    boxes: of the objects that it may name: left, upper, right, lower, in the pixels of the photo as it is displayed, upright;
        none: it names nothing that has a box in this photo
    """

    position: int
    noun: str
    boxes: tuple[Box, ...]


class ObjectBoxes(ABC):
    """The objects of some photos, by the words that name them."""

    @abstractmethod
    def size(self, photo: Photo) -> tuple[int, int] | None:
        """Width and height of the photo on which the boxes were drawn; None: the photo is not annotated."""

    @abstractmethod
    def object_words(self, photo: Photo, words: Sequence[str]) -> list[ObjectWord]:
        """The words of any caption, in order, that name objects."""

    def references(self, photo: Photo) -> list[tuple[list[str], list[ObjectWord]]]:
        """The data set's own captions of a photo, at least one, in words, and which of these name objects."""
        return [(words, self.object_words(photo, words)) for words in map(tokenize, photo.captions)]

    def problem(self, photo: Photo) -> str | None:
        """Why it is not known where the photo's objects lie, in one line; None if it is.

        Boxes of another size than the photo's, as it is displayed, would lie anywhere: a photo that was reduced since, or
        boxes that were drawn on a photo before its EXIF rotation.
        """
        drawn = self.size(photo)
        if drawn is None:
            return f"{photo.path}: no annotation names it"
        try:
            size = photo_size(photo.path)
        except BrokenImage as error:
            return str(error)
        if size != drawn:
            return f"{photo.path}: its boxes are for {drawn[0]} x {drawn[1]} pixels, and upright it has {size[0]} x {size[1]}"
        return None

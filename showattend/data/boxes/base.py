"""The contract of a reader of boxes: which words of a caption name objects of a photo, and where these lie."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

from showattend.data.captions import Photo
from showattend.data.images import BrokenImage, photo_size
from showattend.geometry import Box
from showattend.registry import Registry
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
    """The objects of some photos, by the words that name them.

    signs: glob patterns; a folder in which a file matches one of them has such boxes
    has_boxes: False: words name objects whose boxes are not known

    Args:
        root: the folder in which a sign matches: the data set's, or one below it
        photos: the photos whose boxes are needed

    Raises:
        InputError: a file is not in the format.
    """

    signs: ClassVar[tuple[str, ...]] = ()
    has_boxes: ClassVar[bool] = True

    @abstractmethod
    def __init__(self, root: Path, photos: Sequence[Photo]) -> None: ...

    @abstractmethod
    def size(self, photo: Photo) -> tuple[int, int] | None:
        """Width and height of the photo on which the boxes were drawn; None: the photo is not annotated."""

    @abstractmethod
    def object_words(self, photo: Photo, words: Sequence[str]) -> list[ObjectWord]:
        """The words of any caption that name objects, in their order."""

    def references(self, photo: Photo) -> list[tuple[list[str], list[ObjectWord]]]:
        """The data set's own captions of a photo, at least one: the words of each, and those of them that name objects."""
        return [(words, self.object_words(photo, words)) for words in map(tokenize, photo.captions)]

    def problem(self, photo: Photo) -> str | None:
        """Why the boxes of a photo cannot be used, in one line; None: they can.

        Boxes that were drawn on a photo of another size would be misplaced: the photo may have been reduced since, or the
        boxes may have been drawn before its EXIF rotation.
        """
        annotated = self.size(photo)
        if annotated is None:
            return f"{photo.path}: no annotation names it"
        try:
            size = photo_size(photo.path)
        except BrokenImage as error:
            return str(error)
        if size != annotated:
            return f"{photo.path}: its boxes are for {annotated[0]} x {annotated[1]} pixels, and upright it has {size[0]} x {size[1]}"
        return None


BOX_READERS: Registry[ObjectBoxes] = Registry("kind of boxes", ObjectBoxes)  # type: ignore[type-abstract]

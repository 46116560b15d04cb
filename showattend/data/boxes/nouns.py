"""A data set without boxes: the nouns of its captions name things, and nothing is known of where these lie."""

from collections.abc import Sequence
from pathlib import Path

from showattend.data.boxes.base import ObjectBoxes, ObjectWord
from showattend.data.captions import Photo
from showattend.vocabulary import tokenize
from showattend.vocabulary.word_classes import NOUN, WordClasses


class NounsWithoutBoxes(ObjectBoxes):
    """Nouns of English captions, found by `WordClasses` from the captions of these photos."""

    has_boxes = False

    def __init__(self, root: Path, photos: Sequence[Photo]) -> None:
        self.class_of = WordClasses(tokenize(caption) for photo in photos for caption in photo.captions)

    def size(self, photo: Photo) -> None:
        """No photo is annotated."""

    def problem(self, photo: Photo) -> None:
        """Every photo can be used; one that cannot be read is skipped when it is captioned."""

    def object_words(self, photo: Photo, words: Sequence[str]) -> list[ObjectWord]:
        """The nouns."""
        return [ObjectWord(position, word, ()) for position, word in enumerate(words) if self.class_of(word) == NOUN]

"""Boxes of the embedded data set: its grammar finds the shape that a noun names, colour and size included."""

from collections.abc import Sequence
from pathlib import Path

from showattend.data.boxes.base import BOX_READERS, ObjectBoxes, ObjectWord
from showattend.data.captions import Photo
from showattend.data.shapes import ENGLISH, INDEX_FILE, SIZE, ParsedCaption, parse_caption, read_language, read_scenes
from showattend.errors import InputError


def shape_words(parsed: ParsedCaption) -> list[ObjectWord]:
    """The nouns of a caption; a noun names a shape only if its adjectives are true of that shape."""
    return [
        ObjectWord(noun.position, noun.kind, (noun.shape.box,) if noun.shape is not None and noun.exists else ()) for noun in parsed.nouns
    ]


@BOX_READERS.register("shapes")
class ShapesBoxes(ObjectBoxes):
    """Shapes of scenes, see `showattend shapes`.

    Raises:
        InputError: the data set's JSON holds no scenes.
    """

    signs = (INDEX_FILE,)

    def __init__(self, root: Path, photos: Sequence[Photo]) -> None:
        if (language := read_language(root)) != ENGLISH:
            raise InputError(f"{root} holds shapes that are described in '{language}', and nouns are known in English only (--language en)")
        try:
            self.scenes = read_scenes(root)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{root} holds no scenes of shapes: write it anew with showattend shapes ({error!r})") from error

    def size(self, photo: Photo) -> tuple[int, int] | None:
        """All pictures have one size."""
        return (SIZE, SIZE) if photo.path.name in self.scenes else None

    def object_words(self, photo: Photo, words: Sequence[str]) -> list[ObjectWord]:
        """Nouns, as the grammar parses them."""
        return shape_words(parse_caption(words, self.scenes[photo.path.name]))

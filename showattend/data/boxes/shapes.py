"""The boxes of the embedded data set: what a noun names is read by its grammar, colour and size included."""

from collections.abc import Sequence
from pathlib import Path

from showattend.data.boxes.base import ObjectBoxes, ObjectWord
from showattend.data.captions import Photo
from showattend.data.shapes import SIZE, ParsedCaption, parse_caption, read_scenes
from showattend.errors import InputError


def shape_words(parsed: ParsedCaption) -> list[ObjectWord]:
    """The nouns of a caption; one of which more is said than is true of any shape names nothing."""
    return [
        ObjectWord(mention.noun, mention.kind, (mention.shape.box,) if mention.shape is not None and mention.exists else ())
        for mention in parsed.mentions
    ]


class ShapesBoxes(ObjectBoxes):
    """Shapes of scenes, see `showattend shapes`.

    Raises:
        InputError: the data set's JSON holds no scenes.
    """

    def __init__(self, root: Path, photos: Sequence[Photo]) -> None:
        try:
            self.scenes = read_scenes(root)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{root} holds no scenes of shapes: write it anew with showattend shapes ({error!r})") from error

    def size(self, photo: Photo) -> tuple[int, int] | None:
        """All pictures have one size."""
        return (SIZE, SIZE) if photo.path.name in self.scenes else None

    def object_words(self, photo: Photo, words: Sequence[str]) -> list[ObjectWord]:
        """Nouns, as the grammar reads them."""
        return shape_words(parse_caption(words, self.scenes[photo.path.name]))

"""Lists of photos with their captions, as every reader returns them; the photos' files may be missing."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from showattend.data.json_files import is_json_lines, parse_json
from showattend.data.text_files import DecodedText, read_decoded, split_lines

SPLITS = ("train", "val", "test")
PhotoId = int | str  # as in the data set: a number in COCO, the file's name elsewhere
# Common names of the splits; Karpathy's restval is the part of COCO's validation photos that everybody trains on.
SPLIT_NAMES = {
    "train": ("train", "training", "restval"),
    "val": ("val", "valid", "validation", "dev", "devel", "development"),
    "test": ("test", "testing"),
}
JSON_LINES_SUFFIXES = (".jsonl", ".ndjson", ".jsonlines")
SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}


class ListedPhoto(NamedTuple):
    """One photo as a file lists it.

    file: its path in a data set; in a list alone its name, perhaps with folders; None: the list does not name it
    captions: as they are written; None stands for a caption that is null
    split: empty where the list names none
    """

    id: PhotoId
    file: Path | None
    captions: Sequence[str | None]
    split: str = ""


class Listing(NamedTuple):
    """Photos in the order of the list; each note is one line about what was left out of it."""

    photos: list[ListedPhoto]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class ListingFile:
    """A file that may list photos; it is read once for all readers."""

    path: Path

    @cached_property
    def decoded(self) -> DecodedText:
        """The file's text with its encoding."""
        return read_decoded(self.path)

    @property
    def text(self) -> str:
        """All of the file."""
        return self.decoded.text

    @property
    def notes(self) -> list[str]:
        """A line that names an encoding which could only be guessed."""
        guessed = self.decoded.encoding == "windows-1252"
        return (
            [f"{self.path} is not UTF-8 and was read as Latin-1 (windows-1252): save it as UTF-8 if letters are wrong"] if guessed else []
        )

    @cached_property
    def first_line(self) -> str:
        """The first line."""
        return split_lines(self.text[:100_000])[0]

    @property
    def starts_as_json(self) -> bool:
        """Whether the first character is that of a JSON list or object."""
        return self.text.lstrip()[:1] in ("{", "[")

    @cached_property
    def is_json_lines(self) -> bool:
        """Whether every line is a JSON object of its own."""
        return self.starts_as_json and (self.path.suffix.lower() in JSON_LINES_SUFFIXES or is_json_lines(self.text))

    @cached_property
    def json(self) -> Any:
        """The file's content as JSON.

        Raises:
            InputError: it is none.
        """
        return parse_json(self.text, self.path)


def split_name(name: str) -> str:
    """`train`, `val` or `test` for their common names; any other name as it is.

    >>> [split_name(name) for name in ("Train", "validation", "restval", "extra")]
    ['train', 'val', 'train', 'extra']
    """
    name = name.strip()
    return SPLIT_OF.get(name.lower(), name)


def split_in_name(name: str) -> str:
    """The split that a file or folder is named after, perhaps with more words around it; empty: none.

    >>> [split_in_name(name) for name in ("train2017", "flickr_valid", "Test", "latest")]
    ['train', 'val', 'test', '']
    """
    return next((split for word in re.findall(r"[^\W\d_]+", name) if (split := SPLIT_OF.get(word.lower()))), "")


def split_in_path(parts: Sequence[str]) -> str:
    """The split after which the last part of a path, or the nearest one above it, is named; empty: none.

    >>> split_in_path(("val", "train2017", "photos"))
    'train'
    """
    return next((split for part in reversed(parts) if (split := split_in_name(part))), "")


def clean_captions(captions: Iterable[str | None]) -> tuple[str, ...]:
    """Captions with single spaces between words, without those that are null or empty."""
    return tuple(clean for caption in captions if caption and (clean := " ".join(caption.split())))

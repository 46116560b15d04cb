"""Files of tokens, a caption a line as `NAME.jpg#N<TAB>caption`, and lists of the photos of each split: Flickr8k and Flickr30k."""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from showattend.data.folders import DataFolder
from showattend.data.listings import ListedPhoto, Listing, ListingFile
from showattend.data.text_files import read_text, split_lines
from showattend.errors import InputError


def is_token_file(file: ListingFile) -> bool:
    """Whether the first line is `NAME#N<TAB>…`."""
    key, tab, _ = file.first_line.partition("\t")
    return bool(tab) and "#" in key and key.strip().rpartition("#")[2].isdecimal()


def read_tokens(file: ListingFile) -> Listing:
    """Each photo with its captions, in the order of the file.

    Raises:
        InputError: a line has another format; the message names it.
    """
    captions: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(split_lines(file.text), 1):
        if line.strip():
            name, caption = _parse_line(line, f"{file.path} line {number}")
            captions[name].append(caption)
    return Listing([ListedPhoto(name, Path(name), texts) for name, texts in captions.items()], file.notes)


def read_split_lists(root: DataFolder, lists: Sequence[tuple[str, str]], suffix: str = "") -> dict[str, str]:
    """The split of each photo that a list names.

    Args:
        lists: splits and the names of their lists, of which some may be missing
        suffix: appended to the names in the lists

    Raises:
        InputError: a photo is in two splits.
    """
    split_of: dict[str, str] = {}
    for split, name in lists:
        for path in root.find([name])[:1]:
            for number, line in enumerate(split_lines(read_text(path)), 1):
                photo = unicodedata.normalize("NFC", line.strip()) + suffix
                if line.strip() and split_of.setdefault(photo, split) != split:
                    raise InputError(f"{path} line {number}: {photo} is in the splits {split_of[photo]} and {split}: give it one")
    return split_of


def _parse_line(line: str, where: str) -> tuple[str, str]:
    key, tab, caption = line.partition("\t")
    name, mark, number = key.strip().rpartition("#")
    if not (tab and mark and name and number.isdecimal()) or "\0" in name:
        raise InputError(f"{where}: expected NAME.jpg#N<TAB>caption, found {line[:60]!r}")
    return unicodedata.normalize("NFC", name), caption

"""Captioned data sets: the photos of each split that have a file and a caption, and what was left out."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from showattend.data.folders import DataFolder, normalise
from showattend.data.images import has_photo_suffix
from showattend.data.listings import SPLITS, ListedPhoto, Listing, PhotoId, clean_captions
from showattend.data.readers import CAPTION_READERS, find_reader
from showattend.errors import InputError

TEXTS = (".txt", ".xml")  # lists of splits, notes and annotations
NO_FILE = "listed without a file"


@dataclass(frozen=True)
class Photo:
    """A photo with its reference captions."""

    id: PhotoId
    path: Path
    captions: tuple[str, ...]


@dataclass
class CaptionedPhotos:
    """The photos of each split, what was left out of them, and the layout in which they were recognised, with the files of captions."""

    splits: dict[str, list[Photo]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # one line for each reason to leave something out, with its count
    layout: str = ""
    lists: list[Path] = field(default_factory=list)

    def split(self, name: str) -> list[Photo]:
        """The photos of one split.

        Raises:
            InputError: there is no such split, or no photo in it.
        """
        if not self.splits.get(name):
            filled = [split for split, photos in self.splits.items() if photos]
            raise InputError(f"the split '{name}' holds no photo with a caption: choose from {', '.join(filled) or 'none'}")
        return self.splits[name]


def read_captions(root: Path, layout: str = "auto") -> CaptionedPhotos:
    """Read a captioned data set.

    Args:
        root: its folder, in one of the layouts of data/README.md
        layout: `auto`, a registered layout, or the dotted path of a reader

    Raises:
        InputError: no such folder, an unknown or unrecognised layout, or no captioned photo in it.
    """
    root = Path(os.path.expanduser(root))
    if not root.is_dir():
        raise InputError(
            f"no folder at {root}: give the data set's with --data.root DIR (`showattend data --layouts` lists what it may hold)"
        )
    folder = DataFolder(root)
    reader = find_reader(folder, layout)
    data = _keep_complete(reader.read(folder), root)
    data.layout = next((name for name, entry in CAPTION_READERS.entries.items() if type(reader) is entry), layout)
    data.lists = reader.find(folder)
    return data


def data_files(root: Path, layout: str = "auto") -> Iterator[Path]:
    """The files that a data set consists of: those that list its captions, all other texts, and photos.

    Raises:
        InputError: see `read_captions`.
    """
    folder = DataFolder(Path(os.path.expanduser(root)))
    yield from find_reader(folder, layout).find(folder)
    yield from (folder / name for name in folder.files if has_photo_suffix(name) or name.lower().endswith(TEXTS))


def _keep_complete(listing: Listing, root: Path) -> CaptionedPhotos:
    """Sort photos into splits; count and leave out those without a file, a caption or a split."""
    data = CaptionedPhotos({split: [] for split in SPLITS}, list(listing.notes))
    left_out: dict[str, list[ListedPhoto]] = {}
    folders = _Folders()
    ids: set[PhotoId] = set()
    empty = 0
    for listed in listing.photos:
        captions = clean_captions(listed.captions)
        path = folders.find(listed.file) if listed.file else None
        reason = _reason_to_leave_out(listed, path, captions)
        if reason:
            left_out.setdefault(reason, []).append(listed)
        elif listed.id in ids:
            raise InputError(f"{root}: the photo {listed.id} is listed twice: take one of the two out")
        else:
            assert path is not None
            ids.add(listed.id)
            empty += len(listed.captions) - len(captions)
            data.splits[listed.split].append(Photo(listed.id, path, captions))
    data.notes += [f"{len(photos)} photos {reason}, left out (such as {_name(photos[0])})" for reason, photos in left_out.items()]
    if empty:
        data.notes.append(f"{empty} empty captions of photos that have others, left out")
    if not ids:
        sought = [f"looked for {photo.file}" for photo in left_out.get(NO_FILE, ())[:1]]
        reasons = "; ".join([*data.notes, *sought]) or "it lists none"
        raise InputError(f"{root} holds no photo with both a file and a caption: {reasons}")
    return data


def _name(photo: ListedPhoto) -> str:
    return photo.file.name if photo.file else str(photo.id)


def _reason_to_leave_out(listed: ListedPhoto, path: Path | None, captions: tuple[str, ...]) -> str:
    """Why a photo cannot be used; empty: it can."""
    if path is None:
        return NO_FILE
    if not captions:
        return "without a caption"
    if listed.split in SPLITS:
        return ""
    if listed.split in ("", "none"):
        return "captioned, but in no list of train, val or test"
    return f"captioned, but in the split '{listed.split}', which is none of train, val or test"


class _Folders:
    """The regular files of folders, and links to them, each folder read once."""

    def __init__(self) -> None:
        self.known: dict[Path, dict[str, str]] = {}

    def find(self, path: Path) -> Path | None:
        """The file that a path names: exactly, or but for capitals and composed accents; None: there is no such file."""
        names = self._names(path.parent)
        name = path.name if names.get(path.name) == path.name else names.get(normalise(path.name))
        return path.with_name(name) if name else None

    def _names(self, folder: Path) -> dict[str, str]:
        """The names of the files in a folder by themselves and by their normal form; none where there is no such folder."""
        if folder not in self.known:
            try:
                names = sorted(entry.name for entry in os.scandir(folder) if _is_file(entry))
            except OSError:
                names = []
            self.known[folder] = {normalise(name): name for name in names} | {name: name for name in names}
        return self.known[folder]


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads in a circle
        return False

"""Captioned photos on disk: one reader for each layout, picked by name or recognised by what lies in the folder."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from showattend.data.listings import read_coco_captions, read_karpathy, read_table, read_text, read_tokens
from showattend.errors import InputError, unknown_name

SPLITS = ("train", "val", "test")
PhotoId = int | str  # as in the data set: a number in COCO, the file's name elsewhere
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


@dataclass(frozen=True)
class Photo:
    """A photo and what people said of it."""

    id: PhotoId
    path: Path
    captions: tuple[str, ...]


@dataclass
class CaptionedPhotos:
    """The photos of each split, and what was left out on the way."""

    splits: dict[str, list[Photo]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # one line for each kind of thing left out, with its count

    def split(self, name: str) -> list[Photo]:
        """The photos of one split.

        Raises:
            InputError: there is no such split, or no photo in it.
        """
        if not self.splits.get(name):
            filled = [split for split, photos in self.splits.items() if photos]
            raise InputError(f"the split '{name}' holds no photo with a caption: choose from {', '.join(filled) or 'none'}")
        return self.splits[name]


class Entry(NamedTuple):
    """One photo as a layout lists it, whether or not its file is there."""

    id: PhotoId
    path: Path
    captions: Iterable[str]
    split: str


def read_captions(root: Path, layout: str = "auto") -> CaptionedPhotos:
    """Read a captioned data set.

    Args:
        root: its folder, laid out as data/README.md says
        layout: `auto`, or a name of LAYOUTS

    Raises:
        InputError: no such folder, an unknown or unrecognised layout, or no captioned photo in it.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise InputError(f"no folder at {root}: give the data set's folder with --data.root DIR (data/README.md shows the layouts)")
    if layout == "auto":
        layout = _recognise(root)
    if layout not in LAYOUTS:
        raise unknown_name("layout", layout, LAYOUTS)
    return _keep_complete(LAYOUTS[layout].read(root), root)


def image_id(name: str) -> PhotoId:
    """The id that COCO's result format wants: the number in COCO_val2014_000000391895.jpg, else the file's name."""
    number = re.fullmatch(r"(?:COCO_\w+?_)?(\d{12})\.\w+", name)
    return int(number.group(1)) if number else name


def is_image(path: Path) -> bool:
    """Whether a file's name is that of a picture, hidden files not counted."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _recognise(root: Path) -> str:
    for name, layout in LAYOUTS.items():
        if any(root.glob(layout.sign)):
            return name
    signs = ", ".join(f"{name} ({layout.sign})" for name, layout in LAYOUTS.items())
    raise InputError(f"{root} is laid out like none of: {signs}; see data/README.md")


def _keep_complete(entries: Iterable[Entry], root: Path) -> CaptionedPhotos:
    """Sort entries into splits; count and leave out those without a file or without a caption."""
    found = CaptionedPhotos({split: [] for split in SPLITS})
    without_file, without_caption, other_split = [], [], []
    present: dict[Path, set[str]] = {}
    seen: set[PhotoId] = set()
    for entry in entries:
        captions = tuple(caption for raw in entry.captions if (caption := " ".join(str(raw).split())))
        folder = entry.path.parent
        if folder not in present:
            present[folder] = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if entry.path.name not in present[folder]:
            without_file.append(entry.path.name)
        elif not captions:
            without_caption.append(entry.path.name)
        elif entry.split not in SPLITS:
            other_split.append(entry.path.name)
        elif entry.id in seen:
            raise InputError(f"{root}: the photo {entry.id} is listed twice: take one of the two out")
        else:
            seen.add(entry.id)
            found.splits[entry.split].append(Photo(entry.id, entry.path, captions))
    for names, what in (
        (without_file, "listed without a file"),
        (without_caption, "without a caption"),
        (other_split, "captioned, but in no list of train, val or test"),
    ):
        if names:
            found.notes.append(f"{len(names)} photos {what}, left out (such as {names[0]})")
    if not seen:
        raise InputError(f"{root} holds no photo with both a file and a caption: {'; '.join(found.notes) or 'it lists none'}")
    return found


def _flickr(root: Path) -> Iterable[Entry]:
    """Flickr8k's official layout: NAME.jpg#N<TAB>caption, and a list of names for each split."""
    folder = next((root / name for name in ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images") if (root / name).is_dir()), None)
    if folder is None:
        raise InputError(f"{root} has Flickr8k.token.txt but no photos: put them into {root / 'Flicker8k_Dataset'}")
    split_of: dict[str, str] = {}
    for split, name in (("train", "train"), ("val", "dev"), ("test", "test")):
        path = root / f"Flickr_8k.{name}Images.txt"
        if path.is_file():
            split_of |= {line.strip(): split for line in read_text(path).splitlines() if line.strip()}
    listed = {photo.name: photo.captions for photo in read_tokens(root / "Flickr8k.token.txt")}
    captions = dict.fromkeys(split_of, ()) | listed
    return (Entry(name, folder / name, said, split_of.get(name, "none")) for name, said in captions.items())


def _table(path: Path, folder: Path) -> Iterable[Entry]:
    """A CSV with a split column; without one, every tenth photo is for val and for test."""
    listed = sorted(read_table(path))
    named = any(photo.split for photo in listed)
    tenths = {8: "val", 9: "test"}
    for place, photo in enumerate(listed):
        split = photo.split if named else tenths.get(place % 10, "train")
        yield Entry(photo.id, folder / photo.name, photo.captions, split)


def _images_csv(root: Path) -> Iterable[Entry]:
    return _table(root / "captions.txt", root / "Images")


def _own_csv(root: Path) -> Iterable[Entry]:
    tables = sorted(root.glob("*.csv"))
    if len(tables) > 1:
        raise InputError(f"{root} holds {len(tables)} CSV files ({', '.join(path.name for path in tables)}): leave one")
    folder = next((root / name for name in ("images", "Images", "photos") if (root / name).is_dir()), root)
    return _table(tables[0], folder)


def _karpathy(root: Path) -> Iterable[Entry]:
    """Karpathy & Fei-Fei's JSON of flickr8k, flickr30k or coco."""
    for photo in read_karpathy(_one(root, LAYOUTS["karpathy"].sign)):
        folder = root / photo.folder if photo.folder else _photo_folder(root)
        yield Entry(photo.id, folder / photo.name, photo.captions, photo.split)


def _coco(root: Path) -> Iterable[Entry]:
    """COCO's own: annotations/captions_{train,val}*.json, photos in a folder named like the part (train2017)."""
    for path in sorted(root.glob(LAYOUTS["coco"].sign)):
        part = path.stem.removeprefix("captions_")
        split = next((split for split in SPLITS if part.startswith(split)), None)
        if split is not None:
            yield from (Entry(photo.id, root / part / photo.name, photo.captions, split) for photo in read_coco_captions(path))


def _one(root: Path, sign: str) -> Path:
    paths = sorted(root.glob(sign))
    if len(paths) != 1:
        raise InputError(f"{root} needs one {sign}, it holds {len(paths)}")
    return paths[0]


def _photo_folder(root: Path) -> Path:
    return next((path for name in ("images", "Images", "Flicker8k_Dataset", "flickr30k-images") if (path := root / name).is_dir()), root)


class Layout(NamedTuple):
    """How to know a layout (a file that only it has) and how to read it."""

    sign: str
    read: Callable[[Path], Iterable[Entry]]


LAYOUTS: dict[str, Layout] = {
    "flickr8k": Layout("Flickr8k.token.txt", _flickr),
    "karpathy": Layout("dataset*.json", _karpathy),
    "coco": Layout("annotations/captions_*.json", _coco),
    "images-csv": Layout("captions.txt", _images_csv),
    "csv": Layout("*.csv", _own_csv),
}

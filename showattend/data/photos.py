"""The photos that a user names by files, folders and globs."""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from showattend.data.images import has_photo_suffix, photo_suffixes
from showattend.data.listings import PhotoId
from showattend.data.photo_index import PhotoIndex
from showattend.errors import InputError

MAX_NAMED = 8  # suffixes that a note names
NOT_A_FILE = "pipes, sockets, devices and links to nowhere"
LINKED = "links to folders"


class FoundPhotos(NamedTuple):
    """Photos in order, each once, and a line about entries of folders that were not taken for photos, or an empty one."""

    paths: list[Path]
    note: str


def find_photos(patterns: Iterable[str]) -> FoundPhotos:
    """The photos that files, folders and globs name, see `index_photos`, in a list.

    Raises:
        InputError: see `index_photos`.
    """
    photos, note = index_photos(patterns)
    return FoundPhotos(list(photos), note)


def index_photos(patterns: Iterable[str]) -> tuple[PhotoIndex, str]:
    """The photos that files, folders (searched to the bottom) and globs name, however many, and the note of `FoundPhotos`.

    In a folder those files are photos that have the suffix of a format that is read; a file that is named is a photo by its content,
    whatever its suffix. Hidden files and folders do not count, and links to folders are not followed.

    Raises:
        InputError: a pattern names nothing, or a folder holds no photo.
    """
    photos = PhotoIndex()
    skipped: Counter[str] = Counter()
    for pattern in patterns:
        _match(pattern, photos, skipped)
    return photos, _note(skipped)


def image_id(name: str) -> PhotoId:
    """The id for COCO's result format: the number in COCO_val2014_000000391895.jpg, else the file's name."""
    number = re.fullmatch(r"(?:COCO_\w+?_)?(\d{12})\.\w+", name)
    return int(number.group(1)) if number else name


def photo_ids(photos: Sequence[Path]) -> dict[Path, PhotoId]:
    """An id for each photo, see `image_id`; those of one name in several folders are called by as many of their folders as differ."""
    ids = {photo: image_id(photo.name) for photo in photos}
    for depth in range(2, max((len(photo.parts) for photo in photos), default=0) + 1):
        counts = Counter(ids.values())
        shared = [photo for photo in photos if counts[ids[photo]] > 1]
        ids |= {photo: "/".join(photo.parts[-depth:]) for photo in shared}
        if not shared:
            break
    return ids


def _match(pattern: str, photos: PhotoIndex, skipped: Counter[str]) -> None:
    """Add the photos that a pattern names."""
    if not pattern:
        raise InputError("no photo at '': a name is empty, perhaps that of an unset variable; give files, folders or globs")
    path = Path(os.path.expanduser(pattern))  # which leaves names such as ~a.jpg as they are
    if os.path.isdir(path):
        if not os.access(path, os.R_OK | os.X_OK):
            raise InputError(f"the folder {path} may not be read: change its permissions")
        if not photos.add_sorted(_photos_in(path, skipped)):
            raise InputError(f"the folder {path} holds no photo: looked for {', '.join(sorted(photo_suffixes()))}")
    elif os.path.isfile(path):
        photos.add_sorted([path])
    elif not photos.add_sorted(Path(name) for name in glob.iglob(str(path), recursive=True) if os.path.isfile(name)):
        reason = "it is no regular file" if os.path.exists(path) else "there is no such file"
        raise InputError(f"no photo at {pattern}: {reason}; give files, folders or globs")


def _photos_in(folder: Path, skipped: Counter[str]) -> Iterator[Path]:
    """The photos below a folder, in no order, entry by entry: a folder may hold millions. Of all other files the suffixes are counted."""
    folders = [str(folder)]  # not by recursion, which very deep folders would end
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    is_link = entry.is_symlink()
                    if os.path.isdir(entry.path) if is_link else entry.is_dir():
                        if is_link:  # which might lead in circles
                            skipped[LINKED] += 1
                        else:
                            folders.append(entry.path)
                    elif not has_photo_suffix(entry.name):
                        skipped[Path(entry.name).suffix.lower() or "no suffix"] += 1
                    elif os.path.isfile(entry.path) if is_link else entry.is_file():
                        yield Path(entry.path)
                    else:
                        skipped[NOT_A_FILE] += 1
        except OSError as error:
            skipped[unreadable(error)] += 1


def unreadable(error: OSError) -> str:
    """What a note calls a folder that could not be read."""
    return f"the folder {error.filename}: {error.strerror}"


def _note(skipped: Counter[str]) -> str:
    if not skipped:
        return ""
    frequent = sorted(skipped.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{suffix} ({count})" for suffix, count in frequent[:MAX_NAMED]]
    more = ["…"] if len(skipped) > MAX_NAMED else []
    return f"not taken for photos, of what folders hold: {', '.join([*named, *more])}; name a photo itself to have it read"

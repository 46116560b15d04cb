"""The photos that a user names by files, folders and globs."""

import glob
from collections.abc import Iterable
from pathlib import Path

from showattend.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


def find_photos(patterns: Iterable[str]) -> list[Path]:
    """The photos that files, folders (searched to the bottom) and globs name, in order, each once.

    Raises:
        InputError: a pattern names nothing, or a folder holds no photo.
    """
    photos: dict[Path, None] = {}
    for pattern in patterns:
        photos |= dict.fromkeys(_match(pattern))
    return list(photos)


def _match(pattern: str) -> list[Path]:
    path = Path(pattern).expanduser()
    if path.is_dir():
        photos = sorted(inner for inner in path.rglob("*") if _is_photo(inner))
        if not photos:
            raise InputError(f"the folder {path} holds no photo: looked for {', '.join(sorted(SUFFIXES))}")
        return photos
    if path.is_file():
        return [path]
    photos = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]
    if not photos:
        reason = "it is no regular file" if path.exists() else "there is no such file"
        raise InputError(f"no photo at {pattern}: {reason}; give files, folders or globs")
    return photos


def _is_photo(path: Path) -> bool:
    """Whether a file's name is that of a picture, hidden files not counted, and the file is a regular one."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()

"""Photos that a user names."""

import glob
from collections.abc import Iterable
from pathlib import Path

from showattend.data.captions import is_image
from showattend.errors import InputError


def find_photos(patterns: Iterable[str]) -> list[Path]:
    """The photos that files, folders (searched to the bottom) and globs name, in order, each once.

    Raises:
        InputError: a pattern names nothing, or a folder holds no photo.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            photos = sorted(inner for inner in path.rglob("*") if is_image(inner) and inner.is_file())
            if not photos:
                raise InputError(f"the folder {path} holds no photo")
        elif path.is_file():
            photos = [path]
        else:
            photos = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]
            if not photos:
                raise InputError(f"no photo at {pattern}: give files, folders or globs")
        found |= dict.fromkeys(photos)
    return list(found)

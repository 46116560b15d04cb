"""The files of a data set's folder, listed once, and found by the names that lists give them.

Names in lists and names on disk differ: a Mac decomposes accents, cameras write .JPG, tables come from Windows (`images\\\\1.jpg`) or from
another machine (`/home/anna/images/1.jpg`), and downloads unpack into folders within folders.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from showattend.data.images import has_photo_suffix
from showattend.data.listings import split_in_path
from showattend.errors import InputError

MAX_LISTS = 100  # files of one folder that may be lists of captions
DEPTH = 4  # folders below the data set's own in which files are sought
SIGN_DEPTH = 2  # folders below it in which the file that a layout is recognised by may lie


class DataFolder(os.PathLike[str]):
    """A folder, and all regular files in it and in the folders below it, hidden ones not counted.

    What a `Path` can do it can do too: `folder / "name"`, `folder.glob("*.txt")`.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def __fspath__(self) -> str:
        return os.fspath(self.root)

    def __str__(self) -> str:
        return str(self.root)

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return self.root / name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.root, name)

    @cached_property
    def files(self) -> list[str]:
        """Paths relative to the folder, with slashes, in order."""
        return sorted(_walk(self.root, DEPTH, ()))

    def find(self, signs: Sequence[str], accepts: Callable[[Path], bool] = lambda path: True, *, most: int = MAX_LISTS) -> list[Path]:
        """The files that match one of some patterns, such as `annotations/*.json`, in the folder or, if none does, as near to it as any.

        Letters match in capitals or not.

        Args:
            accepts: whether a file counts whose name matches
            most: if more files match, none counts
        """
        for depth in range(SIGN_DEPTH + 1):
            patterns = ["*/" * depth + normalise(sign) for sign in signs]
            found = [name for name in self._other_files if any(_matches(normalise(name), pattern) for pattern in patterns)]
            # Thousands of lists are one file a photo, and no list.
            paths = [self.root / name for name in found] if len(found) <= most else []
            if accepted := [path for path in paths if accepts(path)]:
                return accepted
        return []

    def depth(self, path: Path) -> int:
        """How many folders lie between the folder and a file in it."""
        return len(path.relative_to(self.root).parts) - 1

    def locate(self, names: Iterable[str], preferred: Sequence[str] = (), splits: Mapping[str, str] | None = None) -> dict[str, Path]:
        """The file of each name.

        Names may begin with folders. Where not one file lies as the names say, the first folders of all names are left out, one after
        the other. Of several files the one that is written exactly so counts, then that in a folder named after the photo's split,
        then that in a preferred folder, then that in the folder with the most files. A name without a file gets the path where it was
        sought first.

        Args:
            preferred: names of folders that usually hold the photos, the most usual first
            splits: the split of each name, where it is known

        Raises:
            InputError: files of one name lie in folders of several splits, and the split is not known.
        """
        splits = splits or {}
        parts = {name: _parts(name) for name in names}
        paths: dict[str, Path] = {}
        for dropped in range(max(map(len, parts.values()), default=0)):
            for name, folders in parts.items():
                kept = folders[min(dropped, len(folders) - 1) :]
                if path := self._best(name, kept, preferred, splits.get(name, "")):
                    paths[name] = path
            if paths:
                break
        usual = next((name for name in preferred if (self.root / name).is_dir()), next(iter(preferred), ""))
        return {name: paths.get(name) or self.root / usual / name for name in parts}

    def _best(self, written: str, parts: Sequence[str], preferred: Sequence[str], split: str) -> Path | None:
        """The best of the files whose paths end with some folders and a name."""
        ending = "/" + "/".join(parts)
        found = [name for name in self._by_name.get(parts[-1], ()) if ("/" + normalise(name)).endswith(ending)]
        if not found and "." not in parts[-1]:  # listed without its suffix
            found = [name for name in self._by_stem.get(parts[-1], ()) if ("/" + normalise(name)).rpartition(".")[0].endswith(ending)]
        if len(found) <= 1:
            return self.root / found[0] if found else None
        order = [normalise(name) for name in preferred]

        def rank(name: str) -> tuple[bool, bool, int, int, int, str]:
            folder = PurePosixPath(normalise(name)).parent
            place = min((order.index(part) for part in folder.parts if part in order), default=len(order))
            other_split = bool(split) and _split_of(name) not in ("", split)
            return not written.endswith(PurePosixPath(name).name), other_split, place, -self._sizes[_parent(name)], len(folder.parts), name

        best, second, *_ = sorted(found, key=rank)
        if rank(best)[:3] == rank(second)[:3] and _split_of(best) != _split_of(second):
            raise InputError(f"{written} may be {self.root / best} or {self.root / second}: write their folders into the list")
        return self.root / best

    @cached_property
    def _other_files(self) -> list[str]:
        """The files that are no photos by their names."""
        return [name for name in self.files if not has_photo_suffix(name)]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        files = defaultdict(list)
        for name in self.files:
            files[normalise(name).rpartition("/")[2]].append(name)
        return files

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        files = defaultdict(list)
        for name in self.files:
            if has_photo_suffix(name):
                files[normalise(name).rpartition("/")[2].rpartition(".")[0]].append(name)
        return files

    @cached_property
    def _sizes(self) -> Counter[str]:
        """How many files each folder holds."""
        return Counter(_parent(name) for name in self.files)


def normalise(name: str) -> str:
    """A name in the form in which names are compared: composed accents, small letters."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def _parts(name: str) -> list[str]:
    """Folders and file of a name as lists give it."""
    parts = [part for part in normalise(name).replace("\\", "/").split("/") if part not in ("", ".")]
    return parts or [""]


def _parent(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _split_of(name: str) -> str:
    """The split after which the folder of a file, or one above it, is named; empty: none."""
    return split_in_path(PurePosixPath(name).parts[:-1])


def _matches(name: str, pattern: str) -> bool:
    """Whether a path matches a pattern folder by folder."""
    names, patterns = name.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))


def _walk(folder: Path, depth: int, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Relative paths of regular files, links followed, but no folder again below itself."""
    try:
        status = folder.stat()
        entries = list(os.scandir(folder))
    except OSError:
        return
    own = (status.st_dev, status.st_ino)
    for entry in entries if own not in above else ():
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        try:
            if entry.is_file():
                yield entry.name
            elif depth and entry.is_dir():
                for name in _walk(Path(entry.path), depth - 1, (*above, own)):
                    yield f"{entry.name}/{name}"
        except OSError:  # a link that leads in a circle
            continue

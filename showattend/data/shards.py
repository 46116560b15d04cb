"""Photos inside shards (tar, parquet, Arrow) are unpacked once into the cache folder, and are files from then on.

So whatever reads photos reads them there, at any position and from several processes; a shard can only be read from its beginning. The
folder's name is a digest of the shards' paths, splits, sizes and times of change. It holds the photos and one list, whose names are ours:
no name that a shard holds becomes a path.
"""

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec
from tqdm import tqdm

from showattend.data.images import has_photo_suffix
from showattend.data.json_files import check_schema, read_json
from showattend.data.listings import ListedPhoto, Listing, split_in_path
from showattend.errors import InputError
from showattend.files import atomic_folder, default_cache_dir, waiting_lock

LIST = "list.json"


class PackedPhoto(NamedTuple):
    """One photo of a shard: its name there, the bytes of its file (None: it has none), its captions and its split, if they are known."""

    name: str
    content: bytes | None
    captions: list[str | None]
    split: str = ""


ReadShard = Callable[[Path, str], Iterator[PackedPhoto]]


class _Unpacked(msgspec.Struct):
    """One photo of the list."""

    file: str | None
    name: str
    captions: list[str | None]
    split: str


def unpack(root: Path, shards: Sequence[Path], read: ReadShard) -> Listing:
    """The photos of shards, unpacked unless they were before; photos with the same bytes in one split are one, with all their captions.

    Args:
        root: the data set's folder; a shard's own name, or that of a folder around it, says its split
        read: the photos of one shard, which are of a split; "" where that is not known

    Raises:
        InputError: a shard is damaged, or the cache folder cannot be written to.
    """
    splits = {shard: split_in_path(shard.relative_to(root).with_suffix("").parts) for shard in shards}
    folder = default_cache_dir() / "unpacked" / _digest(splits)
    if not (folder / LIST).exists():
        with waiting_lock(folder.with_suffix(".lock")):  # another process may unpack them now
            if not (folder / LIST).exists():
                _unpack_into(folder, splits, read)
    content = check_schema(read_json(folder / LIST), list[_Unpacked], f"{folder / LIST} is damaged: delete its folder")
    listed = [
        ListedPhoto(photo.file or photo.name, folder / photo.file if photo.file else None, photo.captions, photo.split) for photo in content
    ]
    return Listing(listed, [f"the photos of {len(shards)} shards are unpacked in {folder}"])


def _unpack_into(folder: Path, splits: Mapping[Path, str], read: ReadShard) -> None:
    with atomic_folder(folder, ()) as temporary:
        photos = _write_photos(splits, read, temporary)
        (temporary / LIST).write_text(json.dumps([msgspec.structs.asdict(photo) for photo in photos]))


def _write_photos(splits: Mapping[Path, str], read: ReadShard, folder: Path) -> list[_Unpacked]:
    """Write the photos' files."""
    photos: dict[tuple[str, bytes], _Unpacked] = {}
    names: Counter[str] = Counter()
    for shard, split in tqdm(splits.items(), "Unpacking", unit=" shards", disable=len(splits) < 2 or not sys.stderr.isatty()):
        for number, photo in enumerate(read(shard, split)):
            if photo.content is None:
                nameless = f"{shard} {number}".encode(errors="surrogateescape")
                photos[photo.split, nameless] = _Unpacked(None, photo.name, photo.captions, photo.split)
                continue
            key = photo.split, hashlib.sha256(photo.content).digest()
            if key not in photos:
                name = _file_name(photo, names)
                (folder / name).write_bytes(photo.content)
                photos[key] = _Unpacked(name, photo.name, [], photo.split)
            photos[key].captions.extend(photo.captions)
    if not names:
        first = next(iter(splits))
        raise InputError(f"{first.parent} holds {len(splits)} shards without any photo in them: look into {first.name}")
    return list(photos.values())


def _file_name(photo: PackedPhoto, names: Counter[str]) -> str:
    """A new file's name that is like the photo's in its shard.

    Args:
        names: those given so far, in lower case, and how often each was asked for
    """
    path = PurePosixPath(photo.name.replace("\\", "/"))
    stem = re.sub(r"[^\w-]+", "_", path.stem, flags=re.ASCII)[:80] or "photo"
    suffix = path.suffix.lower() if has_photo_suffix(path.name) else ".jpg"
    base = name = f"{stem}{suffix}"
    while name.lower() in names:  # file systems may not tell cases apart
        names[base.lower()] += 1
        name = f"{stem}-{names[base.lower()]}{suffix}"
    names[name.lower()] = 1
    return name


def _digest(splits: Mapping[Path, str]) -> str:
    digest = hashlib.sha256()
    for shard, split in splits.items():
        status = shard.stat()
        digest.update(f"{split} {shard.resolve()} {status.st_size} {status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]

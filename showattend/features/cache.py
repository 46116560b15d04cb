"""The cache: each photo is decoded once, and a frozen encoder computes its features once.

The rows of all photos lie in one .npy file, see `row_formats`: features (N,L,D), or, for an encoder that is trained, pixels (N,3,S,S).
A JSON manifest next to it records what they were computed from, and the digest of the file. Rows are read with plain file reads: mapped
pages would count as the process's own memory, and an epoch touches them all.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from showattend.batching import in_batches
from showattend.console import print_error
from showattend.data.captions import Photo
from showattend.data.json_files import read_json
from showattend.data.transforms import Preprocessing
from showattend.errors import InputError, one_line
from showattend.features.decoded_photos import DecodedPhotos
from showattend.features.extraction import Payload, join_payloads, write_payload
from showattend.features.manifest import RowOptions
from showattend.features.row_formats import decode_row, row_type
from showattend.files import sha256_of, waiting_lock, write_text
from showattend.isolation import run_in_children
from showattend.models.inputs import Features, Pixels


@dataclass(frozen=True)
class PhotoCache:
    """Rows on disk; row i belongs to the i-th of the photos that they were computed from."""

    path: Path  # the .npy file
    offset: int  # bytes before the first row
    shape: tuple[int, ...]  # (N,L,D) or (N,3,S,S)
    row_type: np.dtype[Any]
    broken: dict[int, str]  # rows of photos that could not be read, with the reason; they are zero

    @property
    def input_type(self) -> type[Pixels] | type[Features]:
        """What a batch of rows is."""
        return Pixels if self.row_type.base == np.uint8 else Features

    @property
    def nbytes(self) -> int:
        """Size of all rows on the disk."""
        return self.shape[0] * self.row_type.itemsize

    def read(self, row: int) -> Tensor:
        """The features (L,D) in half precision, or the pixels (3,S,S), of one photo."""
        return decode_row(np.fromfile(self.path, self.row_type, 1, offset=self.offset + row * self.row_type.itemsize)[0])

    def read_ahead(self, first: int, count: int) -> None:
        """Let the system read `count` rows into memory, in the background, where it can."""
        if not hasattr(os, "posix_fadvise"):
            return
        with self.path.open("rb") as file:
            size = self.row_type.itemsize
            os.posix_fadvise(file.fileno(), self.offset + first * size, count * size, os.POSIX_FADV_WILLNEED)


def open_or_build_cache(photos: Sequence[Photo], rows: RowOptions, folder: Path, *, batch_size: int = 32, workers: int = 1) -> PhotoCache:
    """Open the cache of these photos, or build it where there is none or it is damaged.

    Of several processes that need it at once, one builds it, and the others wait for that.

    Raises:
        InputError: the folder cannot be written to, the disk is too small, or no photo can be read.
    """

    def write(path: Path, manifest: dict[str, Any]) -> Payload:
        return write_payload(path, manifest["shape"], photos, rows, batch_size, workers)

    manifest, path = _place(photos, rows, folder)

    def open_if_usable(*, report: bool) -> PhotoCache | None:
        cache = _open_if_whole(path, manifest, report=report)
        if cache and can_be_read_now(photos, cache.broken, rows.preprocessing):
            if report:
                print_error("a photo that could not be read before can be read now: all are read again")
            return None
        return cache

    if cache := open_if_usable(report=False):
        return cache
    with waiting_lock(path.with_suffix(".lock")):
        return open_if_usable(report=True) or _build(path, manifest, write)


def can_be_read_now(photos: Sequence[Photo], broken: Iterable[int], preprocessing: Preprocessing) -> bool:
    """Whether a photo that was broken is so no longer, because more pixels are allowed, a library was installed, or rights were given.

    Args:
        broken: rows of the photos
    """
    decoded = DecodedPhotos(preprocessing)

    def reasons(paths: Sequence[Path]) -> list[str]:
        return [photo.reason for photo in decoded.decode(paths)]

    for batch in in_batches((photos[row].path for row in broken), 32):
        # In isolation: one of them may have killed the process that decoded it.
        found = run_in_children(reasons, batch, lambda path, how: how)
        if not all(found):
            return True
    return False


def open_or_join_caches(photos: Sequence[Photo], rows: RowOptions, folder: Path, *, shares: Sequence[tuple[int, int]]) -> PhotoCache:
    """Open the cache of these photos, or join those of its shares, whose files are removed then.

    Args:
        shares: first photo of each, and the one after its last; their caches exist

    Raises:
        InputError: see `open_or_build_cache`.
    """
    parts: list[PhotoCache] = []

    def write(path: Path, manifest: dict[str, Any]) -> Payload:
        parts.extend(open_or_build_cache(photos[slice(*share)], rows, folder) for share in shares)
        files = [(part.path, part.offset) for part in parts]
        broken = {begin + row: reason for (begin, _), part in zip(shares, parts, strict=True) for row, reason in part.broken.items()}
        return join_payloads(path, manifest["shape"], rows.format, files, broken)

    manifest, path = _place(photos, rows, folder)
    with waiting_lock(path.with_suffix(".lock")):
        cache = _open_if_whole(path, manifest, report=True) or _build(path, manifest, write)
    for part in parts:
        for suffix in (".json", ".checked", ".npy"):
            part.path.with_suffix(suffix).unlink(missing_ok=True)
    return cache


def is_cached(photos: Sequence[Photo], rows: RowOptions, folder: Path) -> bool:
    """Whether the cache of these photos is there and whole."""
    manifest, path = _place(photos, rows, folder)
    return _open_if_whole(path, manifest, report=False) is not None


def _place(photos: Sequence[Photo], rows: RowOptions, folder: Path) -> tuple[dict[str, Any], Path]:
    """The manifest of a cache, and its file."""
    manifest = rows.manifest(photos)
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    name = re.sub(r"\W+", "-", rows.encoder.config.name) if rows.encoder else "pixels"
    return manifest, folder / f"{name}-{digest}.npy"


def _build(path: Path, manifest: dict[str, Any], write: Callable[[Path, dict[str, Any]], Payload]) -> PhotoCache:
    """Write a cache; the manifest comes last, and without it the file counts for nothing."""
    payload = write(path, manifest)
    _remember(path, payload.sha256)
    write_text(path.with_suffix(".json"), json.dumps({**manifest, **payload._asdict()}, indent=1))
    return _open(path, manifest)


def read_broken(content: Any, photos: int) -> dict[int, str]:
    """The reasons of photos that could not be read, by their rows, from a file.

    Raises:
        ValueError, AttributeError: it holds anything else, or a row that none of the photos has.
    """
    broken = {int(row): str(reason) for row, reason in content.items()}
    if any(not 0 <= row < photos for row in broken):
        raise ValueError(f"it names a photo beyond the {photos} that there are")
    return broken


def _open_if_whole(path: Path, manifest: dict[str, Any], *, report: bool) -> PhotoCache | None:
    """The cache of a file; None where there is none or, with a line if `report` is true, a damaged one."""
    if not path.with_suffix(".json").exists():
        return None
    try:
        return _open(path, manifest)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        if report:
            print_error(f"the cache {path} is damaged ({one_line(error)}): it is built again")
        return None


def _open(path: Path, manifest: dict[str, Any]) -> PhotoCache:
    """The cache of a file whose content fits its manifest.

    Raises:
        OSError, ValueError, TypeError, KeyError, AttributeError: it is damaged.
    """
    content = read_json(path.with_suffix(".json"))
    broken = read_broken(content.pop("broken"), manifest["shape"][0])
    _check_payload(path, content.pop("sha256"))
    array = np.load(path, mmap_mode="r")
    shape = tuple(manifest["shape"])
    row = row_type(manifest["rows"], shape[1:])
    if content != manifest or array.shape != shape[:1] + row.shape or array.dtype != row.base:
        raise ValueError("its content does not fit its manifest")
    return PhotoCache(path, array.offset, shape, row, broken)


def _check_payload(path: Path, sha256: str) -> None:
    """Compare the digest of a file, unless it was compared before and the file has not changed since.

    Raises:
        ValueError: it is another one.
    """
    record = _record(path, sha256)
    with suppress(OSError, ValueError):
        if read_json(path.with_suffix(".checked")) == record:
            return
    if sha256_of(path) != sha256:
        raise ValueError("its content is not what was written")
    _remember(path, sha256)


def _remember(path: Path, sha256: str) -> None:
    """Record that the digest of the file as it is now was compared; where nothing can be written, it is compared each time."""
    with suppress(OSError, InputError):
        write_text(path.with_suffix(".checked"), json.dumps(_record(path, sha256)))


def _record(path: Path, sha256: str) -> dict[str, Any]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino, "sha256": sha256}

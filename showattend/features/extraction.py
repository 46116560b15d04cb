"""Fills a cache file with the rows of all photos, one batch after another."""

import hashlib
import io
import itertools
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from showattend.data.captions import Photo
from showattend.encoders.feature_extractor import FeatureExtractor, prefetch_one
from showattend.errors import InputError
from showattend.features.decoded_photos import DecodedBatch, decoded_batches
from showattend.features.manifest import RowOptions
from showattend.features.row_formats import encode_rows, row_type
from showattend.files import atomic_write, writable


class Payload(NamedTuple):
    """The record of a written file: reasons of photos that could not be read, by row, and the digest of the file."""

    broken: dict[int, str]
    sha256: str


def write_payload(
    path: Path,
    shape: Sequence[int],
    photos: Sequence[Photo],
    rows: RowOptions,
    batch_size: int,
    workers: int,
) -> Payload:
    """Write the pixels or features of all photos to an .npy file, with a progress bar; rows of broken photos are zero.

    Args:
        shape: of all pixels (N,3,S,S) or features (N,L,D)

    Raises:
        InputError: the folder cannot be written to, the disk is too small, or no photo can be read.
    """
    row, preprocessing, extractor = row_type(rows.format, tuple(shape[1:])), rows.preprocessing, rows.make_extractor()
    _check_space(path.parent, shape[0] * row.itemsize)
    # A generator of its own: whether the cache was there already must not change the random numbers of training.
    decoded = decoded_batches([photo.path for photo in photos], preprocessing, batch_size, workers, torch.Generator())
    broken: dict[int, str] = {}
    task = "Reading pixels" if extractor is None else "Computing features"

    def blocks() -> Iterator[bytes]:
        done = 0
        with tqdm(total=len(photos), desc=task + " (mirrored)" * preprocessing.flip, unit=" photos") as bar:
            for values, reasons in _batches(decoded, extractor):
                for index, reason in enumerate(reasons):
                    if reason:
                        values[index] = 0
                        broken[done + index] = reason
                yield encode_rows(rows.format, values).tobytes()
                done += len(values)
                bar.update(len(values))
        check_not_all_broken(broken, len(photos))

    return Payload(broken, _write_rows(path, shape[0], row, blocks()))


def check_not_all_broken(broken: dict[int, str], count: int) -> None:
    """Refuse photos of which none can be read.

    Raises:
        InputError: the reasons in `broken` are as many as the photos.
    """
    if len(broken) == count:
        raise InputError(f"none of the {count} photos can be read: {next(iter(broken.values()))}")


def join_payloads(path: Path, shape: Sequence[int], rows_as: str, parts: Sequence[tuple[Path, int]], broken: dict[int, str]) -> Payload:
    """Write the rows of several files, one after another, to one .npy file.

    Args:
        shape: as of `write_payload`, of all rows together
        rows_as: the format of a row, see `row_formats`
        parts: the files, with the bytes before the first row of each

    Raises:
        InputError: the folder cannot be written to, or the disk is too small.
    """
    row = row_type(rows_as, tuple(shape[1:]))
    _check_space(path.parent, shape[0] * row.itemsize)
    blocks = itertools.chain.from_iterable(itertools.starmap(_blocks, parts))
    return Payload(broken, _write_rows(path, shape[0], row, blocks))


def _write_rows(path: Path, count: int, row: np.dtype[Any], blocks: Iterable[bytes]) -> str:
    """Write an .npy file from the bytes of its rows; the digest of the file."""
    digest = hashlib.sha256()
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        for block in itertools.chain([_header(count, row)], blocks):
            digest.update(block)
            with writable(path):
                file.write(block)
    return digest.hexdigest()


def _blocks(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(2**24):
            yield block


def _header(count: int, row: np.dtype[Any]) -> bytes:
    header = io.BytesIO()
    content = {"descr": np.lib.format.dtype_to_descr(row.base), "fortran_order": False, "shape": (count, *row.shape)}
    np.lib.format.write_array_header_1_0(header, content)
    return header.getvalue()


def _batches(decoded: Iterable[DecodedBatch], extractor: FeatureExtractor | None) -> Iterator[tuple[Tensor, list[str]]]:
    """Pixels or features of each batch, and the reason why a photo is broken, or an empty one."""
    if extractor is None:
        yield from ((pixels, reasons) for pixels, _, reasons in decoded)
        return
    started = ((reasons, extractor.submit(pixels)) for pixels, _, reasons in decoded)
    for reasons, wait in prefetch_one(started):
        yield wait().features, reasons


def _check_space(folder: Path, size: int) -> None:
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(f"the cache needs {size / 1e9:.1f} GB in {folder}, {free / 1e9:.1f} GB are free: choose --data.cache_dir DIR")

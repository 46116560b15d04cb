"""The cache: each photo is decoded once, ever, and a frozen encoder looks at it once, ever.

What was made of the photos lies row by row in one .npy file, annotations as float16 (N,L,D) or, for an encoder that
learns, bytes (N,3,S,S); a JSON manifest beside it says what made them. Rows are read with plain file reads: mapped pages
would count as the process's own memory, and an epoch touches them all.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from showattend.data.captions import Photo
from showattend.data.images import BrokenImage
from showattend.data.transforms import Preprocessing
from showattend.encoders import Encoder
from showattend.encoders.feature_extractor import FeatureExtractor, prefetch_one
from showattend.errors import InputError
from showattend.files import atomic_write, writable, write_text
from showattend.models.inputs import Features, Pixels


@dataclass(frozen=True)
class PhotoCache:
    """Rows on disk; row i belongs to the i-th of the photos that they were made of."""

    path: Path  # the .npy file
    offset: int  # bytes before the first row
    shape: tuple[int, ...]  # (N,L,D) or (N,3,S,S)
    dtype: np.dtype[Any]
    broken: dict[int, str]  # rows of photos that could not be read, with the reason; they are zero

    @property
    def input_type(self) -> type[Pixels] | type[Features]:
        """What a batch of rows is: pixels are kept as bytes, features in half precision."""
        return Pixels if self.dtype == np.uint8 else Features

    def read(self, row: int) -> Tensor:
        """The annotations (L,D) in half precision, or the bytes (3,S,S), of one photo."""
        count = math.prod(self.shape[1:])
        numbers = np.fromfile(self.path, self.dtype, count, offset=self.offset + row * count * self.dtype.itemsize)
        return torch.from_numpy(numbers.reshape(self.shape[1:]))


def default_cache_dir() -> Path:
    """`$SHOWATTEND_CACHE`, or the folder showattend in the user's cache folder."""
    chosen = os.environ.get("SHOWATTEND_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "showattend"


def open_or_build_cache(
    photos: Sequence[Photo],
    preprocessing: Preprocessing,
    encoder: Encoder | None,
    folder: Path,
    *,
    batch_size: int = 32,
    workers: int = 1,
) -> PhotoCache:
    """Open what was made of these photos before, or make it now, with a progress bar.

    Args:
        encoder: frozen; None keeps the photos' bytes

    Raises:
        InputError: the folder cannot be written to, the disk is too small, a cache file is damaged, or no photo can be read.
    """
    manifest = _manifest(photos, preprocessing, encoder)
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{encoder.config.name if encoder else 'bytes'}-{digest}.npy"
    if not path.with_suffix(".json").exists():
        broken = _fill(path, manifest, photos, preprocessing, encoder, batch_size, workers)
        write_text(path.with_suffix(".json"), json.dumps({**manifest, "broken": broken}, indent=1))
    return _open(path, manifest)


def _manifest(photos: Sequence[Photo], preprocessing: Preprocessing, encoder: Encoder | None) -> dict[str, Any]:
    """All that the rows depend on; a photo counts as the same while its path, size and time of change are."""
    files = hashlib.sha256()
    for photo in photos:
        status = photo.path.stat()
        files.update(f"{photo.id} {photo.path.resolve()} {status.st_size} {status.st_mtime_ns}\n".encode())
    size = preprocessing.image_size
    made: dict[str, Any] = {"preprocessing": asdict(preprocessing), "files": files.hexdigest()}
    if encoder is None:
        return {**made, "shape": [len(photos), 3, size, size], "dtype": "|u1"}
    weights = hashlib.sha256()
    for name, tensor in encoder.state_dict().items():
        weights.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    blank = torch.zeros(1, 3, size, size, dtype=torch.uint8, device=encoder.mean.device)
    with torch.inference_mode():
        shape = [len(photos), *encoder.eval()(blank)[0].shape[1:]]
    return {
        **made,
        "shape": shape,
        "dtype": "<f2",
        "encoder": [encoder.config.name, encoder.config.layer, encoder.config.stride],
        "weights": weights.hexdigest(),
    }


def _open(path: Path, manifest: dict[str, Any]) -> PhotoCache:
    try:
        found = json.loads(path.with_suffix(".json").read_text())
        array = np.load(path, mmap_mode="r")
        broken = {int(row): reason for row, reason in found.pop("broken").items()}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"the cache {path} is damaged ({error}): delete it and run again") from error
    if found != manifest or list(array.shape) != manifest["shape"] or array.dtype.str != manifest["dtype"]:
        raise InputError(f"the cache {path} does not hold what its name says: delete it and run again")
    return PhotoCache(path, array.offset, array.shape, array.dtype, broken)


class Decoded(NamedTuple):
    """A photo as bytes (3,S,S) with its own width and height; of a broken one zeros, with the reason."""

    image: Tensor
    size: tuple[int, int]
    reason: str


class DecodedPhotos(Dataset[Decoded]):
    """Photo files, preprocessed; never raises for a broken one."""

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing) -> None:
        self.paths = paths
        self.preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Decoded:
        try:
            return Decoded(*self.preprocessing.load(self.paths[index]), "")
        except BrokenImage as error:
            side = self.preprocessing.image_size
            return Decoded(torch.zeros(3, side, side, dtype=torch.uint8), (side, side), str(error))


def _fill(
    path: Path,
    manifest: dict[str, Any],
    photos: Sequence[Photo],
    preprocessing: Preprocessing,
    encoder: Encoder | None,
    batch_size: int,
    workers: int,
) -> dict[int, str]:
    """Write the rows of all photos to `path`; the rows of photos that cannot be read, with the reasons."""
    header = {"descr": manifest["dtype"], "fortran_order": False, "shape": tuple(manifest["shape"])}
    _check_space(path.parent, math.prod(manifest["shape"]) * np.dtype(manifest["dtype"]).itemsize)
    # A generator of its own: whether the cache was there already must not change what training draws by chance.
    decoded = DecodedPhotos([photo.path for photo in photos], preprocessing)
    loader = DataLoader(decoded, batch_size, num_workers=workers, generator=torch.Generator())
    broken: dict[int, str] = {}
    what = "Reading each photo once" if encoder is None else "Looking at each photo once"
    bar = tqdm(total=len(photos), desc=what + " (mirrored)" * preprocessing.flip, unit=" photos")
    with atomic_write(path) as temporary, temporary.open("wb") as file, bar:
        np.lib.format.write_array_header_1_0(file, header)
        for rows, reasons in _rows(loader, encoder):
            for row, reason in enumerate(reasons):
                if reason:
                    rows[row] = 0
                    broken[bar.n + row] = reason
            with writable(path):
                file.write(rows.tobytes())
            bar.update(len(rows))
        if len(broken) == len(photos):
            raise InputError(f"none of the {len(photos)} photos can be read: {next(iter(broken.values()))}")
    return broken


def _rows(loader: Iterable[tuple[Tensor, Any, list[str]]], encoder: Encoder | None) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Of each batch what is to be written, and what is wrong with each photo."""
    if encoder is None:
        yield from ((images.numpy(), reasons) for images, _, reasons in loader)
        return
    extractor = FeatureExtractor(encoder)
    for reasons, end in prefetch_one((reasons, extractor.submit(images.to(encoder.mean.device))) for images, _, reasons in loader):
        encoder_features, _ = end()
        yield encoder_features.half().contiguous().cpu().numpy(), reasons


def _check_space(folder: Path, needed: int) -> None:
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(f"the cache needs {needed / 1e9:.1f} GB in {folder}, {free / 1e9:.1f} GB are free: choose --data.cache_dir DIR")

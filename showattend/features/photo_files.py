"""Photos without a cache: each is decoded again whenever it is visited. They are all read once before, to know which are broken."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from showattend.data.captions import Photo
from showattend.data.json_files import read_json
from showattend.data.transforms import Preprocessing
from showattend.errors import InputError
from showattend.features.cache import can_be_read_now, read_broken
from showattend.features.decoded_photos import decoded_batches
from showattend.features.extraction import check_not_all_broken
from showattend.features.manifest import files_digest
from showattend.files import write_text
from showattend.models.inputs import Pixels

BATCH = 32


@dataclass(frozen=True)
class PhotoFiles:
    """Row i is the i-th photo, decoded at each read."""

    photos: Sequence[Photo]
    preprocessing: Preprocessing
    broken: dict[int, str]  # rows of photos that could not be read, with the reason
    input_type: type[Pixels] = Pixels
    nbytes: int = 0

    def read(self, row: int) -> Tensor:
        """The pixels (3,S,S) of one photo."""
        return self.preprocessing.load(self.photos[row].path)[0]

    def read_ahead(self, first: int, count: int) -> None:
        """Nothing: the photos lie anywhere on the disk."""


def open_photo_files(photos: Sequence[Photo], preprocessing: Preprocessing, folder: Path, *, workers: int = 1) -> PhotoFiles:
    """Read all photos once, unless a file in `folder` remembers which of them are broken.

    Raises:
        InputError: the folder cannot be written to, or no photo can be read.
    """
    path = folder / f"read-{files_digest(photos)[:16]}.json"
    broken = _remembered(path, len(photos))
    if broken is None or can_be_read_now(photos, broken, preprocessing):
        broken = _broken_photos(photos, preprocessing, workers)
        write_text(path, json.dumps(broken))
    return PhotoFiles(photos, preprocessing, broken)


def _remembered(path: Path, photos: int) -> dict[int, str] | None:
    """The broken photos by a file of an earlier run; None where there is none, or a damaged one."""
    try:
        return read_broken(read_json(path), photos)
    except (InputError, ValueError, AttributeError):
        return None


def _broken_photos(photos: Sequence[Photo], preprocessing: Preprocessing, workers: int) -> dict[int, str]:
    broken: dict[int, str] = {}
    done = 0
    batches = decoded_batches([photo.path for photo in photos], preprocessing, BATCH, workers, torch.Generator())
    with tqdm(total=len(photos), desc="Checking photos", unit=" photos") as bar:
        for _, _, reasons in batches:
            broken |= {done + index: reason for index, reason in enumerate(reasons) if reason}
            done += len(reasons)
            bar.update(len(reasons))
    check_not_all_broken(broken, len(photos))
    return broken

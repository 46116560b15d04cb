"""Photo files as a data set of pixels, for the cache and for captioning."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from showattend.data.images import BrokenImage
from showattend.data.transforms import Preprocessing


class Decoded(NamedTuple):
    """Pixels (3,S,S) of a photo with its own width and height; of a broken one zeros, with the reason."""

    image: Tensor
    size: tuple[int, int]
    reason: str


class DecodedPhotos(Dataset[Decoded]):
    """Photo files, preprocessed; a broken file is an item with a reason, not an exception."""

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

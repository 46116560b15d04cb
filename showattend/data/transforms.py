"""Preprocessing: from a picture to the pixels that the network gets, the same in training, captioning and heatmaps."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from showattend.config_checks import check_choice, check_range, check_types
from showattend.data.images import open_photo
from showattend.geometry import Box

RESIZES = ("stretch", "crop")
# The short side before a crop, as a share of the crop: the paper's 256 for 224 (Xu et al. 2015, section 4.1).
MARGIN = 256 / 224


@dataclass(frozen=True)
class Preprocessing:
    """How a photo is brought to the network's square.

    `stretch` shows the network all of the photo and gives up its proportions; `crop` keeps them and cuts off the margins,
    as the paper does.

    Args:
        image_size: S, pixels
        resize: stretch or crop
        flip: mirror the photos; in training data.flip adds mirrored photos to the others

    Raises:
        InputError: a size below 1 or an unknown way to resize.
    """

    smallest: ClassVar[int] = 1

    image_size: int = 224
    resize: str = "stretch"
    flip: bool = False

    def __post_init__(self) -> None:
        check_types(self)
        check_range(self, "image_size", minimum=self.smallest)
        check_choice(self, "resize", RESIZES)

    def __call__(self, image: Image.Image) -> Tensor:
        """A picture to bytes (3,S,S)."""
        size = (self.image_size, self.image_size)
        image = image.resize(size, Image.Resampling.BICUBIC, box=self.crop_box(*image.size), reducing_gap=3.0)
        if self.flip:
            image = ImageOps.mirror(image)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()

    def load(self, path: Path) -> tuple[Tensor, tuple[int, int]]:
        """A file to bytes (3,S,S), and the photo's own width and height.

        Raises:
            BrokenImage: see `open_photo`.
        """
        image, size = open_photo(path, size_hint=2 * self.image_size)
        return self(image), size

    def mirrored(self) -> "Preprocessing":
        """The same, with left and right exchanged."""
        return replace(self, flip=not self.flip)

    def crop_box(self, width: int, height: int) -> Box:
        """The part of a photo that the network sees: left, upper, right, lower, in the photo's pixels."""
        if self.resize == "stretch":
            return 0.0, 0.0, float(width), float(height)
        side = min(width, height) / MARGIN
        left, upper = (width - side) / 2, (height - side) / 2
        return left, upper, left + side, upper + side

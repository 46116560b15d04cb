"""Preprocessing: from a picture to the pixels that the network gets, the same in training, captioning and heatmaps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from showattend.config_checks import check_choice, check_range, check_types
from showattend.data.images import open_content, open_photo
from showattend.data.resizing import resize
from showattend.geometry import Box

if TYPE_CHECKING:
    from torch import Tensor

RESIZES = ("stretch", "crop")
# The short side before a crop, as a share of the crop: the paper's 256 for 224 (Xu et al. 2015, section 4.1).
MARGIN = 256 / 224
MAX_IMAGE_SIZE = 2**13  # a batch of larger ones would fill the memory


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
        check_range(self, "image_size", minimum=self.smallest, maximum=MAX_IMAGE_SIZE)
        check_choice(self, "resize", RESIZES)

    def __call__(self, image: Image.Image) -> Tensor:
        """A picture to bytes (3,S,S)."""
        return _to_tensor(self.to_array(image))

    def to_array(self, image: Image.Image) -> NDArray[np.uint8]:
        """A picture to bytes (3,S,S), as NumPy has them."""
        pixels = resize(image, self.image_size, self.crop_box(*image.size))
        if self.flip:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def load(self, path: Path) -> tuple[Tensor, tuple[int, int]]:
        """A file to bytes (3,S,S), and the photo's own width and height.

        Raises:
            BrokenImage: see `open_photo`.
        """
        pixels, size = self.load_array(path)
        return _to_tensor(pixels), size

    def load_array(self, path: Path) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """As `load`, with the bytes as NumPy has them.

        Raises:
            BrokenImage: see `open_photo`.
        """
        image, size = open_photo(path, size_hint=2 * self.image_size)
        return self.to_array(image), size

    def content_to_array(self, content: bytes, name: object) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """As `load_array`, from the bytes of a file that is called `name` in errors.

        Raises:
            BrokenImage: see `open_content`.
        """
        image, size = open_content(content, name, size_hint=2 * self.image_size)
        return self.to_array(image), size

    def mirrored(self) -> Preprocessing:
        """The same, with left and right exchanged."""
        return replace(self, flip=not self.flip)

    def crop_box(self, width: int, height: int) -> Box:
        """The part of a photo that the network sees: left, upper, right, lower, in the photo's pixels."""
        if self.resize == "stretch":
            return 0.0, 0.0, float(width), float(height)
        side = min(width, height) / MARGIN
        left, upper = (width - side) / 2, (height - side) / 2
        return left, upper, left + side, upper + side


def _to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    import torch  # here, because exported models run without it

    return torch.from_numpy(pixels)

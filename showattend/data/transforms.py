"""From a file to the bytes that the network sees: one preprocessing for training, captioning and the heatmaps' alignment."""

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from showattend.errors import InputError, unknown_name
from showattend.geometry import Box

RESIZES = ("stretch", "crop")
# The short side before a crop, as a share of the crop: the paper's 256 for 224 (Xu et al. 2015, section 4.1).
MARGIN = 256 / 224


class BrokenImage(InputError):
    """A file that does not hold a readable picture."""


def open_photo(path: Path, *, size_hint: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """Read a picture by its content, whatever its name says: upright (EXIF), RGB.

    Args:
        size_hint: shortest side that is needed; a larger JPEG is decoded at a fraction of its size, which saves most of the time

    Returns:
        the picture, and the width and height of the whole

    Raises:
        BrokenImage: no such file, or no readable picture in it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BrokenImage(f"{path}: {error.strerror}") from error
    if not content:
        raise BrokenImage(f"{path}: the file is empty")
    try:
        image = Image.open(io.BytesIO(content))
        size = _upright_size(image)
        if size_hint is not None:
            image.draft("RGB", (size_hint, size_hint))
        ImageOps.exif_transpose(image, in_place=True)
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB"), size
    except UnidentifiedImageError as error:
        raise BrokenImage(f"{path}: not a picture in a known format") from error
    except Exception as error:  # whatever a decoder stumbles over in a damaged file
        raise BrokenImage(f"{path}: cannot be read ({error})") from error


def photo_size(path: Path) -> tuple[int, int]:
    """Width and height of a photo, upright, from the first bytes of its file.

    Raises:
        BrokenImage: no such file, or no picture in it.
    """
    try:
        with Image.open(path) as image:
            return _upright_size(image)
    except Exception as error:  # whatever a decoder stumbles over in a damaged file
        raise BrokenImage(f"{path}: cannot be read ({error})") from error


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5  # a quarter turn exchanges the sides
    return (height, width) if turned else (width, height)


@dataclass(frozen=True)
class Preprocessing:
    """How a photo is brought to the network's square.

    `stretch` shows the network all of the photo and gives up its proportions; `crop` keeps them and cuts off the margins,
    as the paper does.

    Raises:
        InputError: a size below 1 or an unknown way to resize.
    """

    image_size: int = 224  # S, pixels
    resize: str = "stretch"  # stretch or crop
    flip: bool = False  # mirrored, to double the training data

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise InputError(f"image_size is {self.image_size}: give at least 1")
        if self.resize not in RESIZES:
            raise unknown_name("resize", self.resize, RESIZES)

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

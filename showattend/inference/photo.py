"""Loads photos, given as files or as open pictures, as the network's pixels."""

from pathlib import Path
from typing import NamedTuple

from PIL import Image
from torch import Tensor

from showattend.data.images import upright_rgb
from showattend.data.transforms import Preprocessing
from showattend.inference.caption import PhotoGrid
from showattend.pretrained import Pretrained

PhotoLike = Path | str | Image.Image


class LoadedPhoto(NamedTuple):
    """A photo for the network.

    pixels: uint8 (3,S,S)
    size: width and height of the whole photo, upright
    """

    pixels: Tensor
    size: tuple[int, int]


def load_photo(photo: PhotoLike, preprocessing: Preprocessing) -> LoadedPhoto:
    """Preprocess a file or an open picture.

    A large JPEG file is decoded at a fraction of its size, an open picture is resized whole: the pixels differ slightly.

    Raises:
        InputError: the file holds no readable picture.
    """
    if isinstance(photo, Image.Image):
        image = upright_rgb(photo)
        return LoadedPhoto(preprocessing(image), image.size)
    return LoadedPhoto(*preprocessing.load(Path(photo)))


def photo_grid(model: Pretrained, size: tuple[int, int], grid_shape: tuple[int, int]) -> PhotoGrid:
    """Where the locations of a model's grid lie on a photo of this width and height."""
    crop_box = model.preprocessing.crop_box(*size)
    grid_box = model.network.encoder.grid_geometry.grid_box(grid_shape, model.preprocessing.image_size, crop_box)
    return PhotoGrid(grid_shape, crop_box, grid_box)

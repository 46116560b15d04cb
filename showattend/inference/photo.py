"""Loads photos, given as files or as open pictures, as the network's pixels."""

from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from showattend.data.images import decode_photo, upright_rgb
from showattend.data.transforms import Preprocessing
from showattend.errors import InputError, one_line
from showattend.inference.caption import PhotoGrid
from showattend.pretrained import Pretrained

PhotoLike = Path | str | Image.Image | np.ndarray | bytes | BinaryIO


class LoadedPhoto(NamedTuple):
    """A photo for the network.

    pixels: uint8 (3,S,S)
    size: width and height of the whole photo, upright
    source: the file's path, or the picture: what it was read from can be read only once
    """

    pixels: Tensor
    size: tuple[int, int]
    source: Path | str | Image.Image


def load_photo(photo: PhotoLike, preprocessing: Preprocessing) -> LoadedPhoto:
    """Preprocess a file, by its path, its bytes or opened, an open picture, or its pixels: uint8, (H,W), (H,W,3) or (H,W,4).

    A large JPEG file is decoded at a fraction of its size, an open picture is resized whole: the pixels differ slightly.

    Raises:
        InputError: the file holds no readable picture.
    """
    if isinstance(photo, Path | str):
        return LoadedPhoto(*preprocessing.load(Path(photo)), photo)
    image = _open_image(photo)
    return LoadedPhoto(preprocessing(image), image.size, photo if isinstance(photo, Image.Image) else image)


def _open_image(photo: object) -> Image.Image:
    if isinstance(photo, Image.Image):
        try:
            upright = upright_rgb(photo)
            upright.load()
            return upright
        except (OSError, ValueError) as error:  # a truncated or closed file is noticed when its pixels are read
            raise InputError(f"the open picture cannot be read: {one_line(error)}") from error
    if isinstance(photo, bytes | bytearray | memoryview):
        return decode_photo(bytes(photo))
    if isinstance(photo, np.ndarray):
        return _from_array(photo)
    if callable(read := getattr(photo, "read", None)) and isinstance(content := read(), bytes):
        return decode_photo(content)
    raise InputError(f"a photo of type {type(photo).__name__} cannot be read: give a path, bytes, a binary file, an array or a PIL picture")


def _from_array(values: NDArray[Any]) -> Image.Image:
    if values.dtype != np.uint8 or not (values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (3, 4))) or not values.size:
        raise InputError(f"an array of {values.dtype} and shape {values.shape} is no photo: give uint8, (H,W), (H,W,3) or (H,W,4)")
    return upright_rgb(Image.fromarray(values))


def photo_grid(model: Pretrained, size: tuple[int, int], grid_shape: tuple[int, int]) -> PhotoGrid:
    """Where the locations of a model's grid lie on a photo of this width and height."""
    crop_box = model.preprocessing.crop_box(*size)
    image_size = model.preprocessing.image_size
    grid_box = model.network.encoder.geometry_at(image_size).grid_box(grid_shape, image_size, crop_box)
    return PhotoGrid(grid_shape, crop_box, grid_box)

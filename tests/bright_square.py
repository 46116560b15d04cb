"""Photos with one bright square, and a stub whose alpha is the brightness of each cell that the network would get."""

from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image

from showattend.data.images import UPRIGHT
from showattend.data.transforms import Preprocessing
from showattend.geometry import Box, GridGeometry
from showattend.inference import Caption

BRIGHT_SQUARE = (0.6, 0.38)  # its centre, as shares of width and height; inside of every crop
SQUARE_SIDE = 0.14  # as a share of the shorter side
DARK = 60
BRIGHT = 130


def square_of(size: tuple[int, int]) -> Box:
    """The square's box in a photo of this width and height."""
    (x, y), half = BRIGHT_SQUARE, SQUARE_SIDE * min(size) / 2
    return x * size[0] - half, y * size[1] - half, x * size[0] + half, y * size[1] + half


def bright_square_photo(path: Path, size: tuple[int, int], orientation: int = 1) -> Path:
    """A photo that is upright with this size once its EXIF orientation is followed."""
    pixels = np.full((size[1], size[0], 3), DARK, dtype=np.uint8)
    left, upper, right, lower = (round(edge) for edge in square_of(size))
    pixels[upper:lower, left:right] = BRIGHT
    image = Image.fromarray(pixels)
    inverse = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    if orientation > 1:
        image = image.transpose(inverse.get(orientation, UPRIGHT.get(orientation)))  # type: ignore[arg-type]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(path, exif=exif, quality=95)
    return path


def brightness_caption(path: Path, resize: str, words: int = 1) -> Caption:
    """What a stub that looks at bright cells would return, on a grid of 7 by 7."""
    preprocessing = Preprocessing(112, resize)
    pixels, size = preprocessing.load(path)
    cells = torch.nn.functional.avg_pool2d(pixels.float().mean(0, keepdim=True), 16).flatten() - DARK
    alpha = cells.clamp(min=0.1) / cells.clamp(min=0.1).sum()
    crop_box = preprocessing.crop_box(*size)
    grid_box = GridGeometry(8.0, 16.0).grid_box((7, 7), 112, crop_box)
    names = [f"word{n}" for n in range(1, words + 1)]
    return Caption(names, -1.0, alpha.expand(words, -1).clone(), (7, 7), crop_box, grid_box, photo=path)

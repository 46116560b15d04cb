"""From the weights of locations to weights of pixels, and from these to pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from showattend.data.images import open_photo, upright_rgb
from showattend.errors import InputError
from showattend.geometry import Box
from showattend.inference import Caption
from showattend.visualize.options import DrawingOptions

DARKEST = 0.3  # brightness of the photo where alpha is zero
HIGHLIGHT = (0.45, 0.30, 0.0)  # added to red, green and blue where alpha is largest
BLUR = 0.6  # standard deviation of the Gaussian that a location becomes, in cells

Pixels = NDArray[np.float32]


def photo_of(caption: Caption) -> Image.Image:
    """The photo of a caption, upright, RGB.

    Raises:
        InputError: the caption holds no photo, or its file can no longer be read.
    """
    if caption.photo is None:
        raise InputError("this caption holds no photo: call visualize.attention_figure(photo, caption)")
    return upright_rgb(caption.photo) if isinstance(caption.photo, Image.Image) else open_photo(Path(caption.photo))[0]


def fit_within(photo: Image.Image, side: int) -> Image.Image:
    """The photo with at most `side` pixels per side."""
    scale = min(1.0, side / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    return photo if size == photo.size else photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def scale_boxes(caption: Caption, scale_x: float, scale_y: float) -> Caption:
    """The caption with its boxes in the pixels of a resized photo."""

    def scaled(box: Box) -> Box:
        left, upper, right, lower = box
        return left * scale_x, upper * scale_y, right * scale_x, lower * scale_y

    return replace(caption, crop_box=scaled(caption.crop_box), grid_box=scaled(caption.grid_box))


def attention_map(caption: Caption, word: int, size: tuple[int, int], upsample: str = "bicubic") -> Pixels:
    """Alpha of one word at every pixel of the photo.

    The weight of a location is placed at the centre of its grid cell, and interpolated between the centres. What the network does
    not see is zero.

    Args:
        word: index of the word in the caption
        size: width and height of the photo in pixels
        upsample: see `DrawingOptions`

    Returns:
        (height, width), from 0 to 1 where alpha is largest
    """
    width, height = size
    rows, columns = caption.grid_shape
    left, upper, right, lower = caption.grid_box
    across = _interpolation(width, left, right, columns, upsample)
    down = _interpolation(height, upper, lower, rows, upsample)
    weights: Pixels = (down @ np.asarray(caption.alphas[word], np.float32).reshape(rows, columns) @ across.T).clip(min=0)
    left, upper, right, lower = (round(edge) for edge in caption.crop_box)
    weights[:upper] = weights[lower:] = weights[:, :left] = weights[:, right:] = 0.0
    weights /= max(float(weights.max()), 1e-12)
    return weights


def _interpolation(pixels: int, start: float, end: float, cells: int, upsample: str) -> Pixels:
    """How much of each cell is in each pixel, (pixels,cells); a row sums to 1.

    Args:
        start, end: of all cells, in pixels
    """
    position = (np.arange(pixels) + 0.5 - start) / (end - start) * cells - 0.5  # in cells, 0 is the centre of the first
    if upsample == "gaussian":
        distance = position.clip(0, cells - 1)[:, None] - np.arange(cells)
        blurred = np.exp(-(distance**2) / (2 * BLUR**2)).astype(np.float32)
        blurred /= blurred.sum(1, keepdims=True)
        return blurred
    weights: Pixels = np.zeros((pixels, cells), dtype=np.float32)
    everywhere = np.arange(pixels)
    if upsample == "none":
        weights[everywhere, np.floor(position + 0.5).astype(int).clip(0, cells - 1)] = 1.0
        return weights
    first = np.floor(position).astype(int)
    for offset in (-1, 0, 1, 2):
        cell = first + offset
        np.add.at(weights, (everywhere, cell.clip(0, cells - 1)), _cubic(np.abs(position - cell)))
    return weights


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The kernel of bicubic interpolation with a = -0.75, as in torch (Keys 1981)."""
    near = (1.25 * distance - 2.25) * distance**2 + 1
    far = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
    return np.where(distance <= 1, near, far)


def overlay(photo: Image.Image, weights: Pixels, options: DrawingOptions) -> Pixels:
    """The photo with a map over it, (height, width, 3) from 0 to 1; contours and boxes are lines, and leave the photo as it is."""
    colors: Pixels = np.asarray(photo, dtype=np.float32) / np.float32(255)
    share = weights[..., None]
    if options.style == "spotlight":
        lit: Pixels = colors * (DARKEST + (1 - DARKEST) * share) + np.array(HIGHLIGHT, dtype=np.float32) * share
        return lit.clip(0, 1)
    if options.style == "heat":
        palette = np.array(options.colors(), dtype=np.float32) / 255
        heat = palette[(weights * (len(palette) - 1)).round().astype(int)]
        grey = 0.25 * colors + 0.75 * colors.mean(-1, keepdims=True)
        cover = 0.3 + 0.5 * share
        mixed: Pixels = 0.85 * grey * (1 - cover) + heat * cover
        return mixed
    return colors


def cell_box(caption: Caption, location: int) -> Box:
    """Left, upper, right and lower edge of a location's cell, in the pixels of the caption's boxes."""
    rows, columns = caption.grid_shape
    left, upper, right, lower = caption.grid_box
    width, height = (right - left) / columns, (lower - upper) / rows
    x, y = left + location % columns * width, upper + location // columns * height
    return x, y, x + width, y + height


def main_cells(alpha: NDArray[np.float32]) -> list[int]:
    """The fewest locations that hold half of alpha, the largest first."""
    order = alpha.argsort()[::-1]
    before = alpha[order].cumsum() - alpha[order]
    return [int(cell) for cell in order[before < alpha.sum() / 2]]


def unseen_boxes(caption: Caption, size: tuple[int, int]) -> list[Box]:
    """The parts of a photo of this width and height that the network did not see: above, below, left and right of the crop."""
    width, height = size
    left, upper, right, lower = (round(edge) for edge in caption.crop_box)
    boxes: list[Box] = [(0, 0, width, upper), (0, lower, width, height), (0, upper, left, lower), (right, upper, width, lower)]
    return [box for box in boxes if box[2] > box[0] and box[3] > box[1]]

"""Alpha on the photo: where the model looked for each word."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from showattend.geometry import Box
from showattend.inference import Caption
from showattend.visualize.figures import figure_file

COLUMNS = 6
PANEL = 2.1  # inches
GLOW = (0.45, 0.30, 0.0)  # added to red, green and blue where alpha is largest
# A photo is shown with at most this many pixels a side: more than a panel can show only makes the file large.
LONGEST = 640


def attention_map(caption: Caption, word: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Alpha of one word over the whole photo.

    Each location's weight is laid where that location looks, with bicubic values between; what the network did not see is
    zero.

    Args:
        word: place of the word in the caption
        size: width and height of the photo in pixels

    Returns:
        (height, width), from 0 to 1 where alpha is largest
    """
    rows, columns = caption.grid_shape
    width, height = size
    left, upper, right, lower = caption.grid_box
    # The middles of the pixels as grid_sample counts: the grid's area from -1 to 1.
    x = (2 * (torch.arange(width) + 0.5) - left - right) / (right - left)
    y = (2 * (torch.arange(height) + 0.5) - upper - lower) / (lower - upper)
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    alpha = caption.alphas[word].float().view(1, 1, rows, columns)
    light = F.grid_sample(alpha, places[None], mode="bicubic", padding_mode="border", align_corners=False)[0, 0].clamp(min=0)
    left, upper, right, lower = (round(edge) for edge in caption.crop_box)
    light[:upper] = light[lower:] = light[:, :left] = light[:, right:] = 0.0
    return (light / light.max().clamp(min=1e-12)).numpy()


def attention_figure(photo: Image.Image, caption: Caption, path: Path) -> None:
    """Draw the photo, and for each word the photo with alpha over it, and write the figure.

    Raises:
        InputError: the format is not known, or the file cannot be written.
    """
    panels = len(caption.words) + 1
    columns = min(COLUMNS, panels)
    rows = math.ceil(panels / columns)
    shown, caption = _reduce(photo, caption)
    aspect = shown.height / shown.width
    size = (columns * PANEL, rows * (PANEL * aspect + 0.34) + 0.45)
    with figure_file(path, rows, columns, size) as (figure, axes):
        for axis in axes.flat:
            axis.axis("off")
        axes.flat[0].imshow(shown)
        for word, axis in zip(range(len(caption.words)), axes.flat[1:], strict=False):
            _panel(axis, shown, caption, word)
        figure.suptitle(str(caption) or "(no words)", fontsize=12, wrap=True)


def _reduce(photo: Image.Image, caption: Caption) -> tuple[Image.Image, Caption]:
    """Photo and caption at a size for the screen."""
    scale = min(1.0, LONGEST / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    x, y = size[0] / photo.width, size[1] / photo.height

    def reduced(box: Box) -> Box:
        left, upper, right, lower = box
        return left * x, upper * y, right * x, lower * y

    caption = replace(caption, crop_box=reduced(caption.crop_box), grid_box=reduced(caption.grid_box))
    return photo.resize(size, Image.Resampling.LANCZOS), caption


def _panel(axis: Axes, photo: Image.Image, caption: Caption, word: int) -> None:
    """One word: the photo, dark where the model did not look, with a glow where it looked most."""
    light = attention_map(caption, word, photo.size)[..., None]
    colors = np.asarray(photo, dtype=np.float32) / 255
    lit = colors * (0.3 + 0.7 * light) + np.array(GLOW, dtype=np.float32) * light
    axis.imshow(lit.clip(0, 1))
    axis.set_title(caption.words[word], fontsize=12, pad=3)

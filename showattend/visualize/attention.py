"""Attention maps: alpha over the photo, for each word of a caption."""

import math
from dataclasses import replace

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from showattend.geometry import Box
from showattend.inference import Caption
from showattend.visualize.figures import make_figure

COLUMNS = 6
PANEL_WIDTH = 2.1  # inches
MAX_PANEL_HEIGHT = 4 * PANEL_WIDTH  # a taller photo is drawn narrower: a figure as high as it is long would fill the memory
DARKEST = 0.3  # brightness of the photo where alpha is zero
HIGHLIGHT = (0.45, 0.30, 0.0)  # added to red, green and blue where alpha is largest
MAX_SIDE = 640  # pixels; a panel cannot show more, and more only makes the file larger


def attention_map(caption: Caption, word: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Alpha of one word at every pixel of the photo.

    The weight of a location is placed at the centre of its grid cell, with bicubic interpolation between the centres. What the
    network does not see is zero.

    Args:
        word: index of the word in the caption
        size: width and height of the photo in pixels

    Returns:
        (height, width), from 0 to 1 where alpha is largest
    """
    rows, columns = caption.grid_shape
    width, height = size
    left, upper, right, lower = caption.grid_box
    # Pixel centres in the coordinates of grid_sample: -1 and 1 are the edges of the grid.
    x = (2 * (torch.arange(width) + 0.5) - left - right) / (right - left)
    y = (2 * (torch.arange(height) + 0.5) - upper - lower) / (lower - upper)
    pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    alpha = caption.alphas[word].float().view(1, 1, rows, columns)
    weights = F.grid_sample(alpha, pixels[None], mode="bicubic", padding_mode="border", align_corners=False)[0, 0].clamp(min=0)
    left, upper, right, lower = (round(edge) for edge in caption.crop_box)
    weights[:upper] = weights[lower:] = weights[:, :left] = weights[:, right:] = 0.0
    return (weights / weights.max().clamp(min=1e-12)).numpy()


def attention_figure(photo: Image.Image, caption: Caption) -> Figure:
    """The photo, and for each word the photo with alpha over it."""
    panels = len(caption.words) + 1
    columns = min(COLUMNS, panels)
    rows = math.ceil(panels / columns)
    photo, caption = _downscale(photo, caption)
    panel_height = min(PANEL_WIDTH * photo.height / photo.width, MAX_PANEL_HEIGHT) + 0.34
    figure, axes = make_figure(rows, columns, (columns * PANEL_WIDTH, rows * panel_height + 0.45))
    for axis in axes.flat:
        axis.axis("off")
    axes.flat[0].imshow(photo)
    for word, axis in zip(range(len(caption.words)), axes.flat[1:], strict=False):
        _draw_word(axis, photo, caption, word)
    figure.suptitle(str(caption) or "(no words)", fontsize=12, wrap=True)
    figure.tight_layout(pad=0.5)
    return figure


def _downscale(photo: Image.Image, caption: Caption) -> tuple[Image.Image, Caption]:
    """The photo with at most MAX_SIDE pixels per side, and the caption with its boxes in those pixels."""
    scale = min(1.0, MAX_SIDE / max(photo.size))
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    scale_x, scale_y = size[0] / photo.width, size[1] / photo.height

    def scaled(box: Box) -> Box:
        left, upper, right, lower = box
        return left * scale_x, upper * scale_y, right * scale_x, lower * scale_y

    caption = replace(caption, crop_box=scaled(caption.crop_box), grid_box=scaled(caption.grid_box))
    return photo.resize(size, Image.Resampling.LANCZOS), caption


def _draw_word(axis: Axes, photo: Image.Image, caption: Caption, word: int) -> None:
    """One panel: the photo, dark where alpha is small and highlighted where it is large."""
    weights = attention_map(caption, word, photo.size)[..., None]
    colors = np.asarray(photo, dtype=np.float32) / 255
    overlaid = colors * (DARKEST + (1 - DARKEST) * weights) + np.array(HIGHLIGHT, dtype=np.float32) * weights
    axis.imshow(overlaid.clip(0, 1))
    axis.set_title(caption.words[word], fontsize=12, pad=3)

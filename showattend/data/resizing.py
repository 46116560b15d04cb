"""Bicubic resizing with antialiasing: Pillow's, or torch's kernel for it, which takes a fifth of the time.

Three in a thousand of the bytes that torch gives differ from Pillow's, by one or two. torch scales whole pictures only, and
takes no part in processes that have not loaded it: exported models, and Ray's tasks that decode.
"""

import sys

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from showattend.geometry import Box

REDUCING_GAP = 3.0  # Pillow first takes means of blocks where the picture is larger than twice this


def resize(image: Image.Image, side: int, box: Box) -> NDArray[np.uint8]:
    """A part of an RGB picture, its box in pixels, as a square (side,side,3)."""
    is_whole = box == (0.0, 0.0, *image.size)
    if "torch" in sys.modules and is_whole and max(image.size) < 2 * REDUCING_GAP * side:
        return _resize_by_torch(image, side)
    return np.array(image.resize((side, side), Image.Resampling.BICUBIC, box, REDUCING_GAP))


def _resize_by_torch(image: Image.Image, side: int) -> NDArray[np.uint8]:
    import torch
    from torch.nn import functional as F

    with torch.inference_mode():
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).unsqueeze(0)  # channels last, for which the kernel was made
        resized = F.interpolate(pixels, (side, side), mode="bicubic", antialias=True)
        array: NDArray[np.uint8] = resized[0].permute(1, 2, 0).numpy()
    return array

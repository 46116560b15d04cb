"""Random crops, so that a network sees no photo twice in the same way."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_ASPECT = 4 / 3  # of a crop's sides in a square photo, either way round


def random_crop(pixels: Tensor, smallest: float, rng: torch.Generator) -> Tensor:
    """A part of a photo, its area and its aspect drawn at random, at the photo's own size (Szegedy et al. 2015, section 6).

    Args:
        pixels: bytes (3,S,S)
        smallest: share of the area that a crop has at least

    Returns:
        bytes (3,S,S)
    """
    size = pixels.shape[-1]
    area, aspect, x, y = torch.rand(4, generator=rng).tolist()
    area = smallest + (1 - smallest) * area
    # Uniform in the logarithm: a wide crop is as likely as a tall one. No side may be longer than the photo's.
    stretch = math.exp(min(math.log(MAX_ASPECT), -math.log(area)) * (2 * aspect - 1))
    height, width = (max(1, round(size * math.sqrt(area * ratio))) for ratio in (1 / stretch, stretch))
    top, left = round(y * (size - height)), round(x * (size - width))
    crop = pixels[None, :, top : top + height, left : left + width].float()
    resized = F.interpolate(crop, (size, size), mode="bilinear", antialias=True)
    return resized[0].round().to(torch.uint8)

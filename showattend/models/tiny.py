"""A small convolutional network for small pictures, trained from nothing with the decoder."""

from itertools import pairwise

import torch
from torch import Tensor, nn


class TinyCNN(nn.Module):
    """Four convolutions with batch normalisation; a quarter of a million weights; stride 8.

    Two channels of the grid are the location itself, from -1 to 1 (Liu et al. 2018, CoordConv), so that "left of" and
    "above" can be learned from few pictures.
    """

    stride = 8

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        widths = (3, 32, 64, channels, channels)
        layers: list[nn.Module] = []
        for i, (narrow, wide) in enumerate(pairwise(widths)):
            layers += [
                nn.Conv2d(narrow, wide, 3, stride=2 if i < 3 else 1, padding=1, bias=False),
                nn.BatchNorm2d(wide),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Normalised images (N,3,S,S) to {"grid": (N,channels+2,S/8,S/8)}, as torchvision's extractors answer."""
        grid = self.layers(images)
        n, _, height, width = grid.shape
        y = torch.linspace(-1, 1, height, device=grid.device).view(1, 1, -1, 1).expand(n, 1, -1, width)
        x = torch.linspace(-1, 1, width, device=grid.device).view(1, 1, 1, -1).expand(n, 1, height, -1)
        return {"grid": torch.cat((grid, y.to(grid.dtype), x.to(grid.dtype)), 1)}

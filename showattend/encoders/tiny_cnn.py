"""A small convolutional network for small pictures, trained from nothing with the decoder."""

import torch
from torch import Tensor, nn


class TinyCNN(nn.Module):
    """Four convolutions with batch normalisation; a third of a million weights; stride 8.

    The last one also hears where it is: two channels that run from -1 to 1 across and down the grid (Liu et al. 2018,
    CoordConv), so that "left of" and "above" can be learned from few pictures.
    """

    stride = 8
    channels = 128

    def __init__(self) -> None:
        super().__init__()
        channels = self.channels
        self.layers = nn.Sequential(_layer(3, 32, stride=2), _layer(32, 64, stride=2), _layer(64, channels, stride=2))
        self.last = _layer(channels + 2, channels, stride=1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Normalised images (N,3,S,S) to {"grid": (N,channels,S/8,S/8)}, as torchvision's extractors answer."""
        seen = self.layers(images)
        n, _, height, width = seen.shape
        y = torch.linspace(-1, 1, height, device=seen.device, dtype=seen.dtype).view(1, 1, -1, 1)
        x = torch.linspace(-1, 1, width, device=seen.device, dtype=seen.dtype).view(1, 1, 1, -1)
        where = torch.cat((y.expand(n, 1, height, width), x.expand(n, 1, height, width)), 1)
        return {"grid": self.last(torch.cat((seen, where), 1))}


def _layer(narrow: int, wide: int, stride: int) -> nn.Sequential:
    # Strided kernels are even: an odd one looks half a pixel up and left of its cell's middle, three of them almost half a cell.
    convolution = nn.Conv2d(narrow, wide, 4 if stride == 2 else 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(wide), nn.ReLU())

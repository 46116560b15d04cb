"""A small convolutional encoder for small pictures, trained from random weights with the decoder."""

import torch
from torch import Tensor, nn

from showattend.encoders.base import RANDOM_WEIGHTS, Encoder, EncoderConfig
from showattend.encoders.registry import register
from showattend.errors import InputError
from showattend.geometry import GridGeometry

CHANNELS, STRIDE = 128, 8


@register("tiny")
class TinyCNN(Encoder):
    """Four convolutions with batch normalisation; a third of a million weights; stride 8.

    The last convolution also takes coordinates: two channels that run from -1 to 1 across and down the grid (Liu et al. 2018,
    CoordConv), so that "left of" and "above" can be learned from few pictures.

    Raises:
        InputError: the configuration asks for weights, a layer or another stride.
    """

    trains_from_scratch = True

    def __init__(self, config: EncoderConfig) -> None:
        if config.layer or config.stride not in (None, STRIDE):
            raise InputError(f"the tiny encoder has one grid, of stride {STRIDE}: give null as --model.encoder.layer and .stride")
        if config.weights != RANDOM_WEIGHTS:
            raise InputError(f"there are no weights for the tiny encoder, so '{config.weights}' cannot be loaded: give none")
        super().__init__(config, _TinyNetwork(), channels=CHANNELS, grid_geometry=GridGeometry(STRIDE / 2, STRIDE))

    def feature_map(self, normalized: Tensor) -> Tensor:
        """Normalised photos (N,3,S,S) to the feature map (N,128,S/8,S/8)."""
        grid: Tensor = self.network(normalized)
        return grid


class _TinyNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(_conv_block(3, 32, stride=2), _conv_block(32, 64, stride=2), _conv_block(64, CHANNELS, stride=2))
        self.last = _conv_block(CHANNELS + 2, CHANNELS, stride=1)

    def forward(self, photos: Tensor) -> Tensor:
        grid = self.layers(photos)
        n, _, height, width = grid.shape
        y = torch.linspace(-1, 1, height, device=grid.device, dtype=grid.dtype).view(1, 1, -1, 1)
        x = torch.linspace(-1, 1, width, device=grid.device, dtype=grid.dtype).view(1, 1, 1, -1)
        coordinates = torch.cat((y.expand(n, 1, height, width), x.expand(n, 1, height, width)), 1)
        output: Tensor = self.last(torch.cat((grid, coordinates), 1))
        return output


def _conv_block(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    # Strided kernels are even: an odd one looks half a pixel up and left of its cell's centre, three of them almost half a cell.
    convolution = nn.Conv2d(in_channels, out_channels, 4 if stride == 2 else 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU())

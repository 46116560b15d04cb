"""From photos to a grid of annotations: any of torchvision's classification CNNs, or a tiny one of our own.

The grid is the last feature map that is larger than one location and is no pooling's output: conv5_4 of VGG-19 (14x14x512,
as in the paper), the last block of a ResNet, the last convolution of a MobileNet. Another one can be had by its name (`layer`), and
a finer one by its stride; see `models/cnns.py`, which only those who build such a network need to import.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, symbolic_trace
from torch.fx.experimental.optimization import fuse

from showattend.encoders.graph_spec import GraphSpec, build, draw
from showattend.encoders.grid_geometry import GridGeometry, lattice
from showattend.encoders.tiny_cnn import TinyCNN
from showattend.errors import InputError, unknown_name

# Mean and deviation of ImageNet's photos, channels from 0 to 1.
IMAGENET: tuple[Sequence[float], Sequence[float]] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TINY = "tiny"


def encoder_names() -> list[str]:
    """`tiny` and the names of torchvision's classification CNNs."""
    from showattend.encoders.torchvision_cnn import cnn_names

    return [TINY, *cnn_names()]


@dataclass(frozen=True)
class EncoderConfig:
    """Which network, and which of its feature maps."""

    name: str = "mobilenet_v2"  # see encoder_names()
    layer: str | None = None  # node of the network's graph, such as features.13; none: the last feature map
    stride: int | None = None  # pixels per location, such as 16; none: the network's own


class Encoder(nn.Module):
    """Photos as bytes to annotations a_1..a_L (Xu et al. 2015, section 3.1.1)."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig, *, weights: str = "none", blueprint: GraphSpec | None = None) -> None:
        """Build the network.

        Args:
            weights: `default` (torchvision's, downloaded once), the path of a safetensors or state-dict file with torchvision's
                parameter names, or `none` for random ones
            blueprint: what `blueprint` gave of an encoder with this config, whose state is about to be loaded; none: torchvision is asked

        Raises:
            InputError: the name is not known, the weights cannot be had or do not fit, or there is no such layer or stride.
        """
        super().__init__()
        self.config = config
        self.network: nn.Module
        mean, std = IMAGENET
        if blueprint is not None:
            self.network, self.channels = build(blueprint), int(blueprint["channels"])
        elif config.name == TINY:
            self.network, self.channels = _tiny(config, weights), TinyCNN.channels
        elif config.name not in encoder_names():
            raise unknown_name("encoder", config.name, encoder_names())
        else:
            from showattend.encoders.torchvision_cnn import feature_extractor, normalisation

            self.network, self.channels = feature_extractor(config.name, config.layer, config.stride, weights)
            mean, std = normalisation(config.name)
        # In place: on the meta device another tensor would be torch's compiler's work, which takes a second to import.
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1).mul_(255))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1).mul_(255))
        self.lattice = lattice(self.network) if isinstance(self.network, GraphModule) else GridGeometry(TinyCNN.stride / 2, TinyCNN.stride)

    def blueprint(self) -> GraphSpec | None:
        """What builds this encoder again without torchvision, see `draw`; None: it needs no torchvision, or cannot do without."""
        network = draw(self.network) if isinstance(self.network, GraphModule) else None
        return network and {"channels": self.channels, **network}

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Normalise and look.

        Args:
            images: RGB bytes, (N,3,S,S)

        Returns:
            annotations: row by row from the top left, (N,L,D)
            grid: rows and columns, L = rows * columns
        """
        normalised = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        grid: Tensor = self.network(normalised)["grid"]
        return grid.flatten(2).transpose(1, 2), (grid.shape[2], grid.shape[3])

    def with_folded_batchnorm(self) -> "Encoder":
        """A copy that only looks, in eval mode, and does not learn: batch normalisation is part of the convolution before it.

        Its annotations are this encoder's up to float tolerance.
        """
        copied = copy.deepcopy(self).eval()
        if isinstance(copied.network, GraphModule):
            copied.network = fuse(symbolic_trace(copied.network).eval(), inplace=True, no_trace=True)
        return copied.requires_grad_(False)

    def freeze(self, trainable: str | None = None) -> list[nn.Parameter]:
        """Stop the gradient everywhere (None), nowhere (`all`), or before the stage whose parameters begin with a name.

        Returns:
            the parameters that still learn

        Raises:
            InputError: no parameter begins with that name.
        """
        names = [name for name, _ in self.network.named_parameters()]
        first = {None: len(names), "all": 0}.get(trainable)
        if first is None:
            first = next((i for i, name in enumerate(names) if name.startswith(f"{trainable}.")), None)
        if first is None:
            from showattend.encoders.torchvision_cnn import stages

            raise unknown_name("encoder stage", str(trainable), stages(names) | {"all"})
        for i, parameter in enumerate(self.network.parameters()):
            parameter.requires_grad_(i >= first)
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]


def _tiny(config: EncoderConfig, weights: str) -> TinyCNN:
    if config.layer or config.stride not in (None, TinyCNN.stride):
        raise InputError(f"the tiny encoder has one grid, of stride {TinyCNN.stride}: leave out layer and stride")
    if weights != "none":
        raise InputError(f"there are no weights for the tiny encoder, so '{weights}' cannot be loaded: give none")
    return TinyCNN()

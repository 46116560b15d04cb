"""From photos to a grid of annotations: any of torchvision's classification CNNs, or a tiny one of our own.

The grid is the last feature map that is larger than one location and is no pooling's output: conv5_4 of VGG-19 (14x14x512,
as in the paper), the last block of a ResNet, the last convolution of a MobileNet. Another one can be had by its name (`layer`), and
a finer one by its stride, which removes the last strides and dilates what follows (Yu & Koltun 2016), so that the pretrained weights
see what they saw in training, at more places.
"""

import copy
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.fx import GraphModule, symbolic_trace
from torch.fx.experimental.optimization import fuse
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from showattend.errors import InputError, unknown_name
from showattend.models.lattice import Lattice, lattice
from showattend.models.tiny import TinyCNN

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
TINY = "tiny"
# torchvision gives these another normalisation inside the network, but only along with its weights.
TRANSFORM_INPUT = ("googlenet", "inception_v3")
NOT_CONVOLUTIONAL = ("vit_", "swin", "maxvit")
# Photos that a CPU looks at together: the maps of more would not stay in its caches.
TOGETHER = 8
# Any size at which every stride of every torchvision CNN divides; only ratios are read from it.
PROBE = 224


def encoder_names() -> list[str]:
    """`tiny` and the names of torchvision's classification CNNs."""
    names = torchvision.models.list_models(module=torchvision.models)
    return [TINY, *(name for name in names if not name.startswith(NOT_CONVOLUTIONAL))]


@dataclass(frozen=True)
class EncoderConfig:
    """Which network, and which of its feature maps.

    Raises:
        InputError: the name is not known.
    """

    name: str = "mobilenet_v2"  # see encoder_names()
    layer: str | None = None  # node of the network's graph, such as features.13; none: the last feature map
    stride: int | None = None  # pixels per location, such as 16; none: the network's own

    def __post_init__(self) -> None:
        if self.name not in encoder_names():
            raise unknown_name("encoder", self.name, encoder_names())


class Encoder(nn.Module):
    """Photos as bytes to annotations a_1..a_L (Xu et al. 2015, section 3.1.1)."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig, *, weights: str = "none") -> None:
        """Build the network.

        Args:
            weights: `default` (torchvision's, downloaded once), the path of a safetensors or state-dict file with torchvision's
                parameter names, or `none` for random ones

        Raises:
            InputError: the weights cannot be had or do not fit, or there is no such layer or stride.
        """
        super().__init__()
        self.config = config
        mean, std = _normalisation(config.name)
        self.together: int | None = None  # photos that go through the network at once; none: all
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1) * 255)
        self.network: nn.Module = _tiny(config, weights) if config.name == TINY else _torchvision(config, weights)
        self.lattice = lattice(self.network) if isinstance(self.network, GraphModule) else Lattice(TinyCNN.stride / 2, TinyCNN.stride)
        with torch.inference_mode():
            self.eval()
            self.channels = self(torch.zeros(1, 3, PROBE, PROBE, dtype=torch.uint8))[0].shape[-1]
            self.train()

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Normalise and look.

        Args:
            images: RGB bytes, (N,3,S,S)

        Returns:
            annotations: row by row from the top left, (N,L,D)
            grid: rows and columns, L = rows * columns
        """
        grid = torch.cat([self._look(some) for some in images.split(self.together or len(images))])
        return grid.flatten(2).transpose(1, 2), (grid.shape[2], grid.shape[3])

    def _look(self, images: Tensor) -> Tensor:
        normalised = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        grid: Tensor = self.network(normalised)["grid"]
        return grid

    def folded(self) -> "Encoder":
        """A copy that only looks, in eval mode, and does not learn: batch normalisation is part of the convolution before it.

        Its annotations are this encoder's up to float tolerance. On CPUs, where it looks at a few photos at a time, MobileNetV2's come 2.3
        times as fast.
        """
        copied = copy.deepcopy(self).eval()
        copied.together = TOGETHER if self.mean.device.type == "cpu" else None
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
            raise unknown_name("encoder stage", str(trainable), _stages(names) | {"all"})
        for i, parameter in enumerate(self.network.parameters()):
            parameter.requires_grad_(i >= first)
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]


def _stages(names: Iterable[str]) -> set[str]:
    return {".".join(name.split(".")[:2]) for name in names}


def _tiny(config: EncoderConfig, weights: str) -> nn.Module:
    if config.layer or config.stride not in (None, TinyCNN.stride):
        raise InputError(f"the tiny encoder has one grid, of stride {TinyCNN.stride}: leave out layer and stride")
    if weights != "none":
        raise InputError(f"there are no weights for the tiny encoder, so '{weights}' cannot be loaded: give none")
    return TinyCNN()


def _torchvision(config: EncoderConfig, weights: str) -> nn.Module:
    network = _pretrained(config.name) if weights == "default" else _untrained(config.name)
    if config.stride is not None:
        _dilate(network, config.stride)
    network.eval()
    maps = _feature_maps(network)
    # A block stands for its last map, as it does in torchvision's extractors.
    layer = next((name for name in reversed(maps) if f"{name}.".startswith(f"{config.layer}.")), None) if config.layer else list(maps)[-1]
    if layer is None:
        raise unknown_name(f"{config.name} layer", str(config.layer), _stages(maps))
    if config.stride is not None and config.layer is None and maps[layer] != PROBE // config.stride:
        raise InputError(
            f"{config.name} has no grid of stride {config.stride} by dilation: "
            f"choose another stride, an earlier layer, or a larger image_size"
        )
    extractor = create_feature_extractor(network, {layer: "grid"}, suppress_diff_warning=True)
    if weights not in ("default", "none"):
        _load(extractor, Path(weights))
    return extractor


def _normalisation(name: str) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and deviation of the photos that torchvision's weights were trained on, channels from 0 to 1."""
    if name == TINY:
        return IMAGENET_MEAN, IMAGENET_STD
    weights: Any = torchvision.models.get_model_weights(name)
    transform = weights.DEFAULT.transforms()
    return transform.mean, transform.std


def _untrained(name: str) -> nn.Module:
    with warnings.catch_warnings():
        # inception_v3 and googlenet announce a future change of their random initialisation, which is replaced here anyway.
        warnings.simplefilter("ignore", FutureWarning)
        return torchvision.models.get_model(name, weights=None, **({"transform_input": True} if name in TRANSFORM_INPUT else {}))


def _pretrained(name: str) -> nn.Module:
    try:
        return torchvision.models.get_model(name, weights="DEFAULT")
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"cannot download torchvision's weights of {name} ({error}): give a file with --model.weights PATH "
            f"(safetensors or a state dict), or --model.weights none for random ones"
        ) from error


def _feature_maps(network: nn.Module) -> dict[str, int]:
    """Names of the nodes that give a map (N,D,height,width) of more than one location, no pooling, in order, with the height."""
    train, evaluation = get_graph_node_names(network, suppress_diff_warning=True)
    names = [name for name in evaluation if name in train]
    with torch.inference_mode():
        values = create_feature_extractor(network, names, suppress_diff_warning=True)(torch.zeros(1, 3, PROBE, PROBE))
    modules = dict(network.named_modules())
    return {
        name: values[name].shape[-2]
        for name in names
        if isinstance(values[name], Tensor) and values[name].dim() == 4 and min(values[name].shape[-2:]) > 1
        # SqueezeNet's classifier is a map too. A pooling may be a module, known by its type, or a function, known by its name.
        if not name.startswith("classifier") and "pool" not in f"{type(modules.get(name)).__name__} {name}".lower()
    }


def _dilate(network: nn.Module, stride: int) -> None:
    """Let no convolution reduce the map below PROBE / stride: stride 1 there, and the reach that follows dilated instead."""
    sizes: dict[nn.Conv2d, int] = {}
    hooks = [
        module.register_forward_pre_hook(lambda module, inputs: sizes.__setitem__(module, inputs[0].shape[-1]))
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    network.eval()
    with torch.inference_mode():
        network(torch.zeros(1, 3, PROBE, PROBE))
    for hook in hooks:
        hook.remove()
    finest = PROBE // stride
    for conv, size in sizes.items():
        if 1 < size <= finest:
            dilation = finest // size
            conv.stride = (1, 1)
            conv.dilation = (dilation, dilation)
            conv.padding = tuple(dilation * (k - 1) // 2 for k in conv.kernel_size)


def _load(extractor: nn.Module, path: Path) -> None:
    """Fill the extractor from a file of the whole network; what lies behind the grid is left out."""
    if not path.is_file():
        raise InputError(f"no weights at {path}: give default, none, or the path of a safetensors or state-dict file")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each library raises its own
        raise InputError(f"cannot read weights from {path}: {error}") from error
    wanted = extractor.state_dict()
    for name, tensor in wanted.items():
        if name not in state:
            raise InputError(f"{path} has no '{name}': these are the weights of another network")
        if state[name].shape != tensor.shape:
            raise InputError(f"'{name}' in {path} has the shape {tuple(state[name].shape)}, the network needs {tuple(tensor.shape)}")
    extractor.load_state_dict({name: state[name] for name in wanted})

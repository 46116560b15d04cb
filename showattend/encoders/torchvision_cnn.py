"""torchvision's classification CNNs up to a feature map. This is the one module that imports torchvision, which takes over a second.

The map is the last one that is larger than one location and is no pooling's output: conv5_4 of VGG-19 (14x14x512, as in the paper), the
last block of a ResNet, the last convolution of a MobileNet. Another one is chosen by its name (`layer`). A finer one is had by its stride:
the last strides are removed and what follows is dilated (Yu & Koltun 2016), so that the pretrained weights keep their inputs of training,
at more places.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.fx import GraphModule
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from showattend.encoders.base import DEFAULT_WEIGHTS, RANDOM_WEIGHTS, Encoder, EncoderConfig, Normalization, unknown_layer
from showattend.encoders.graph_encoder import GraphEncoder
from showattend.encoders.graph_spec import to_graph
from showattend.encoders.grid_geometry import receptive_field_grid
from showattend.encoders.registry import encoder_names
from showattend.encoders.weights_file import load_weights
from showattend.errors import InputError, unknown_name

# torchvision gives these another normalisation inside the network, but only along with its weights.
TRANSFORM_INPUT = ("googlenet", "inception_v3")
NOT_CONVOLUTIONAL = ("vit_", "swin", "maxvit")
# Any size at which every stride of every torchvision CNN divides; only ratios are read from it.
PROBE = 224
GRID = "grid"  # the extractor's name for its output


def cnn_names() -> list[str]:
    """The names of torchvision's classification CNNs."""
    names = torchvision.models.list_models(module=torchvision.models)
    return [name for name in names if not name.startswith(NOT_CONVOLUTIONAL)]


class TorchvisionCNN(Encoder):
    """A classification CNN of torchvision, up to one of its feature maps.

    Raises:
        InputError: the name is not known, the weights cannot be had or do not fit, or there is no such layer or stride.
    """

    def __init__(self, config: EncoderConfig) -> None:
        network, channels = _feature_extractor(config)
        self.graph = to_graph(network, channels)
        super().__init__(
            config,
            network,
            channels=channels,
            grid_geometry=receptive_field_grid(self.graph),
            normalization=_normalization(config.name),
        )

    def feature_map(self, normalized: Tensor) -> Tensor:
        """Normalised photos (N,3,S,S) to the feature map (N,D,rows,columns)."""
        grid: Tensor = self.network(normalized)[GRID]
        return grid

    def spec(self) -> dict[str, Any]:
        """The graph as JSON."""
        return self.graph.to_spec()

    def with_folded_batchnorm(self) -> Encoder:
        """A frozen copy in eval mode, in which batch normalisation is part of the convolution before it."""
        return self._as_graph().with_folded_batchnorm()

    def for_inference(self, dtype: torch.dtype | None = None) -> Encoder:
        """A copy with folded batch normalisation and packed convolutions, see `Encoder.for_inference`."""
        return self._as_graph().for_inference(dtype)

    def _as_graph(self) -> GraphEncoder:
        return GraphEncoder.from_graph(self.config, self.graph, self.state_dict())


def _normalization(name: str) -> Normalization:
    """Of the photos that torchvision's weights were trained on."""
    weights: Any = torchvision.models.get_model_weights(name)
    transform = weights.DEFAULT.transforms()
    return Normalization(tuple(transform.mean), tuple(transform.std))


def _feature_extractor(config: EncoderConfig) -> tuple[GraphModule, int]:
    """A network from normalised images to {GRID: the map}, in training mode, and the map's channels."""
    if config.name not in cnn_names():
        raise unknown_name("encoder", config.name, encoder_names())
    network = _pretrained(config.name) if config.weights == DEFAULT_WEIGHTS else _untrained(config.name)
    if config.stride is not None:
        _dilate(network, config.stride)
    network.eval()
    maps = _feature_maps(network)
    layer = _choose_layer(config, maps)
    extractor = create_feature_extractor(network, {layer: GRID}, suppress_diff_warning=True)
    if config.weights not in (DEFAULT_WEIGHTS, RANDOM_WEIGHTS):
        load_weights(extractor, Path(config.weights))
    return extractor.train(), maps[layer][0]


def _choose_layer(config: EncoderConfig, maps: dict[str, tuple[int, int]]) -> str:
    """The name of the feature map that a configuration means, of those that the network has."""
    if config.layer is not None:
        # A block stands for its last map, as it does in torchvision's extractors.
        layer = next((name for name in reversed(maps) if f"{name}.".startswith(f"{config.layer}.")), None)
        if layer is None:
            raise unknown_layer(config, {".".join(name.split(".")[:2]) for name in maps})
        return layer
    last = list(maps)[-1]
    if config.stride is not None and (PROBE % config.stride or maps[last][1] != PROBE // config.stride):
        raise InputError(
            f"{config.name} has no grid of stride {config.stride} by dilation: "
            "choose another stride, an earlier layer, or a larger image_size"
        )
    return last


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
            f"cannot download torchvision's weights of {name} ({error}): give a file with --model.encoder.weights PATH "
            f"(safetensors or a state dict), or --model.encoder.weights none for random ones"
        ) from error


def _feature_maps(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Names of the nodes that give a map (N,D,height,width) of more than one location, no pooling, in order, with D and height."""
    train, evaluation = get_graph_node_names(network, suppress_diff_warning=True)
    names = [name for name in evaluation if name in train]
    with torch.inference_mode():
        values = create_feature_extractor(network, names, suppress_diff_warning=True)(torch.zeros(1, 3, PROBE, PROBE))
    modules = dict(network.named_modules())
    return {
        name: tuple(values[name].shape[1:3])
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

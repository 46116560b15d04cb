"""timm's image models as encoders, `timm/NAME`: CNNs with their feature map, transformers with their patch tokens as a grid.

The map is the network's last one, of `forward_features`. `layer` chooses the end of an earlier stage by its name, such as blocks.4, or
joins the channels of several maps of one grid, such as blocks.5+blocks.6+last. Class and register tokens are left out. Weights,
normalisation and the size of the photos are those of timm's own configuration of the name. timm is imported only when one of its networks
is built: it is an extra of this package, and takes seconds.

A saved model needs timm, but no network: the architecture is built again from its registered name, and nothing else in the file chooses
what is built. It is built without memory first, and compared with the saved weights.
"""

import inspect
import math
import re
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from showattend.encoders.base import DEFAULT_WEIGHTS, RANDOM_WEIGHTS, Encoder, EncoderConfig, Normalization, unknown_layer
from showattend.encoders.graph_encoder import NETWORK
from showattend.encoders.grid_trace import GridTrace
from showattend.encoders.packing import pack_modules
from showattend.encoders.registry import register_family
from showattend.encoders.timm_folding import fold_batchnorm_modules, on_meta_device
from showattend.encoders.weights_file import load_weights
from showattend.errors import InputError, one_line, unknown_name
from showattend.geometry import GridGeometry

PREFIX = "timm/"
# A registered name and a tag of its weights; no path and no address of a hub, which timm would take too.
NAME = re.compile(r"[A-Za-z0-9_]{1,100}(\.[A-Za-z0-9_]{1,100})?")
# What lets transformers take photos of any size; CNNs refuse it.
ANY_SIZE = {"dynamic_img_size": True}
LAST = "last"  # the name of a network's last map
EPSILON = 1e-6


class Layout(NamedTuple):
    """How a network's features become a grid, and which of its weights it needs for them.

    layers: the stages whose ends are joined, or LAST
    channels: of the map
    geometry: of the map, for photos of the size of `image_size`
    weights: the names of the parameters and buffers that the map depends on
    """

    layers: tuple[str, ...]
    channels: int
    geometry: GridGeometry
    weights: frozenset[str]


class TimmEncoder(Encoder):
    """An image model of timm, up to one of its feature maps.

    Args:
        saved: the weights of a saved model, which must fit; None: weights as the configuration says

    Raises:
        InputError: timm or such a model, layer or stride is missing, it has no grid, or the weights cannot be had or do not fit.
    """

    def __init__(self, config: EncoderConfig, saved: Mapping[str, Tensor] | None = None) -> None:
        name = config.name.removeprefix(PREFIX)
        pretrained_cfg = _pretrained_cfg(name)
        size: int = pretrained_cfg.input_size[-1]
        with torch.device("meta"):
            skeleton = _create(name, config)
        layout = _trace(skeleton, config, size)
        _prune(skeleton, layout)
        if saved is not None:
            _check_saved(config, skeleton, saved)
        with torch.device("cpu"):
            network = _create(name, config, pretrained=config.weights == DEFAULT_WEIGHTS and saved is None)
        _prune(network, layout)
        if saved is None and config.weights not in (DEFAULT_WEIGHTS, RANDOM_WEIGHTS):
            load_weights(network, Path(config.weights))
        super().__init__(
            config,
            network,
            channels=layout.channels,
            grid_geometry=layout.geometry,
            normalization=Normalization(tuple(pretrained_cfg.mean), tuple(pretrained_cfg.std)),
        )
        self.image_size = size
        self.layers = layout.layers
        self.geometries = {size: layout.geometry}  # by the size of the photos

    @classmethod
    def rebuild(cls, config: EncoderConfig, spec: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Encoder:
        """The encoder of a saved model, see `Encoder.rebuild`."""
        return cls(config, weights)

    def feature_map(self, normalized: Tensor) -> Tensor:
        """Normalised photos (N,3,S,S) to the feature map (N,D,rows,columns)."""
        return _feature_map(self.network, normalized, self.layers, self.config.name)

    def with_folded_batchnorm(self) -> Encoder:
        """A frozen copy in eval mode, in which batch normalisation is part of the convolution before it."""
        folded = super().with_folded_batchnorm()
        image = torch.zeros(1, 3, self.image_size, self.image_size, device="meta")
        fold_batchnorm_modules(folded.network, partial(_feature_map, image=image, layers=self.layers, name=self.config.name))
        return folded

    def for_inference(self, dtype: torch.dtype | None = None) -> Encoder:
        """A copy with folded batch normalisation and packed convolutions, see `Encoder.for_inference`."""
        encoder = self.with_folded_batchnorm()
        pack_modules(encoder.network, dtype)
        return encoder

    def geometry_at(self, image_size: int) -> GridGeometry:
        """Where the grid looks in photos of a size: TensorFlow's padding, of the networks tf_…, depends on it."""
        if image_size not in self.geometries:
            self.geometries[image_size] = _trace(on_meta_device(self.network), self.config, image_size).geometry
        return self.geometries[image_size]


class TimmFamily:
    """The image models of timm."""

    pattern = re.compile(f"{PREFIX}.*")

    def names(self) -> list[str]:
        """One for all: there are over a thousand, which `timm.list_models()` lists."""
        return [f"{PREFIX}NAME"]

    def build(self, config: EncoderConfig) -> Encoder:
        """See `TimmEncoder`."""
        return TimmEncoder(config)

    def rebuild(self, config: EncoderConfig, spec: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Encoder:
        """See `TimmEncoder.rebuild`."""
        return TimmEncoder.rebuild(config, spec, weights)


register_family(TimmFamily())


def _timm() -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise InputError("encoders of timm need timm: pip install 'showattend[timm]'") from error
    return timm


def _pretrained_cfg(name: str) -> Any:
    """timm's configuration of a name and of the tag of its weights."""
    timm = _timm()
    architecture, _, tag = name.partition(".")
    if not NAME.fullmatch(name) or not timm.is_model(architecture):
        near = timm.list_models(f"*{re.sub(r'[^A-Za-z0-9]+', '*', architecture[:100])}*")
        raise unknown_name("model of timm", name[:100], near[:20] or timm.list_models("resnet*")[:5])
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise unknown_name(f"weights of {architecture}", tag, tags)
    return timm.models.get_pretrained_cfg(name)


def _create(name: str, config: EncoderConfig, *, pretrained: bool = False) -> nn.Module:
    """The network without its classifier; for photos of any size, and with a finer grid by dilation, where it can."""
    timm = _timm()
    stride = {} if config.stride is None else {"output_stride": config.stride}
    for options in ({**ANY_SIZE, **stride}, stride, ANY_SIZE, {}):
        try:
            network = timm.create_model(name, pretrained=pretrained, **options)
            network.reset_classifier(0, "")
            return network  # type: ignore[no-any-return]
        except TypeError as error:  # how a network refuses an option
            refused = error
        except Exception as error:  # each library between timm and the file has its own
            if pretrained:
                raise InputError(
                    f"cannot download timm's weights of {name} ({one_line(error)}): give a file with --model.encoder.weights FILE "
                    "(safetensors, timm's names), or --model.encoder.weights none for random ones"
                ) from error
            if options.get("output_stride"):
                raise _no_stride(config, error) from error
            raise InputError(f"timm cannot build {name} as an encoder: {one_line(error)}") from error
    raise InputError(f"timm cannot build {name} as an encoder: {one_line(refused)}") from refused


def _no_stride(config: EncoderConfig, error: Exception) -> InputError:
    return InputError(
        f"{config.name} has no grid of stride {config.stride} by dilation ({one_line(error)}): "
        "choose another stride, an earlier layer, or a larger image_size"
    )


def _trace(network: nn.Module, config: EncoderConfig, size: int) -> Layout:
    """Follow a photo of a size through a network on the meta device, in eval mode."""
    layers = _find_layers(network, config)
    network.eval()
    image = torch.zeros(1, 3, size, size, device="meta")
    try:
        with torch.no_grad(), GridTrace(image) as trace:
            grid = _feature_map(network, image, layers, config.name)
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{config.name} gives no features that are a grid: {one_line(error)}") from error
    geometry = trace.geometry(grid)
    if config.stride is not None and geometry.step != config.stride and layers == (LAST,):
        raise _no_stride(config, ValueError(f"its stride is {geometry.step:g}"))
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    used = frozenset(name for name, tensor in tensors.items() if id(tensor) in trace.used)
    return Layout(layers, grid.shape[1], geometry, used)


def _find_layers(network: nn.Module, config: EncoderConfig) -> tuple[str, ...]:
    """The maps that the configuration names."""
    layers = tuple((config.layer or LAST).split("+"))
    known = [*_stages(network), LAST]
    for layer in layers:
        if layer not in known or layers.count(layer) > 1:
            raise unknown_layer(config, known)
    return layers


def _stages(network: Any) -> dict[str, int]:
    """The names of the stages whose ends are feature maps, with their indices as `forward_intermediates` takes them."""
    if _counts_all_blocks(network.__class__):
        return {f"blocks.{i}": i + 1 for i in range(len(network.blocks))}
    return {info["module"]: i for i, info in enumerate(getattr(network, "feature_info", []))}


@cache
def _counts_all_blocks(network: type[Any]) -> bool:
    """Whether networks of a class can return the ends of all groups of blocks, as EfficientNet can, not only those before a stride."""
    return "extra_blocks" in inspect.signature(getattr(network, "forward_intermediates", lambda: None)).parameters


def _feature_map(network: Any, image: Tensor, layers: tuple[str, ...], name: str) -> Tensor:
    """The feature map (N,D,rows,columns) of normalised photos (N,3,S,S)."""
    try:
        maps = _maps(network, image, layers, name)
    except AssertionError as error:  # a transformer's size of photos
        raise InputError(
            f"{name} does not take photos of {image.shape[-1]} pixels: {one_line(error)} (see --model.preprocessing.image_size)"
        ) from error
    return maps[0] if len(maps) == 1 else _join(maps, layers, name)


def _maps(network: Any, image: Tensor, layers: tuple[str, ...], name: str) -> list[Tensor]:
    if layers == (LAST,):
        return [_as_grid(network, network.forward_features(image), name)]
    stages = {layer: index for layer, index in _stages(network).items() if layer in layers}
    needs_last = LAST in layers
    options = {"extra_blocks": True} if _counts_all_blocks(network.__class__) else {}
    result = network.forward_intermediates(
        image, indices=list(stages.values()), stop_early=not needs_last, output_fmt="NCHW", intermediates_only=not needs_last, **options
    )
    last, ends = result if needs_last else (None, result)
    maps = dict(zip(stages, ends, strict=True))
    return [_as_grid(network, last, name) if layer == LAST else maps[layer] for layer in layers]


def _join(maps: list[Tensor], layers: tuple[str, ...], name: str) -> Tensor:
    """The channels of several maps; each map's features have a root mean square of 1, so that none outweighs the others."""
    grids = [tuple(grid.shape[2:]) for grid in maps]
    if len(set(grids)) > 1:
        sizes = ", ".join(f"{layer} {rows}x{columns}" for layer, (rows, columns) in zip(layers, grids, strict=True))
        raise InputError(f"the maps of {name} have different grids ({sizes}): join layers of one grid")
    return torch.cat([grid * (grid.square().mean(1, keepdim=True) + EPSILON).rsqrt() for grid in maps], 1)


def _as_grid(network: Any, output: Any, name: str) -> Tensor:
    """What `forward_features` returns as a map (N,D,rows,columns)."""
    if not isinstance(output, Tensor) or output.dim() not in (3, 4):
        raise InputError(f"{name} gives no features that are a grid: choose another model of timm")
    if output.dim() == 4:
        return output.permute(0, 3, 1, 2) if getattr(network, "output_fmt", "NCHW") == "NHWC" else output
    tokens = output[:, getattr(network, "num_prefix_tokens", 0) :].transpose(1, 2)
    side = math.isqrt(tokens.shape[2])
    if side**2 != tokens.shape[2]:
        raise InputError(f"{name} gives {tokens.shape[2]} tokens, which are no grid: choose another model of timm")
    patches: Tensor = tokens.unflatten(2, (side, side))
    return patches


def _prune(network: nn.Module, layout: Layout) -> None:
    """Take out the weights that the map does not depend on: those of later stages and of heads."""
    for path, module in network.named_modules():
        prefix = f"{path}." if path else ""
        own = [name for name, _ in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))]
        used = {name for name in own if prefix + name in layout.weights}
        for name in list(module._parameters):
            if name not in used:
                module._parameters[name] = None
        if not used:
            for name in list(module._buffers):
                module._buffers[name] = None
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.track_running_stats = False  # or torch would add the number of its batches to the weights that are loaded


def _check_saved(config: EncoderConfig, skeleton: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Compare a saved model's weights with what would be built, before it takes memory.

    Raises:
        InputError: they are not those of this network.
    """
    shapes = {name.removeprefix(NETWORK): tensor.shape for name, tensor in saved.items() if name.startswith(NETWORK)}
    for name, tensor in skeleton.state_dict().items():
        if shapes.get(name) != tensor.shape:
            raise InputError(f"the encoder's weights are not those of {config.name}: '{name}' is missing or has another shape")

"""Geometry of a network's feature map, and the weights that it uses, from one run on the meta device: nothing is computed."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from showattend.geometry import GridGeometry

# The parameters of the functions that have a kernel, by the functions' names.
WINDOWED = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding"),
}
PADDING = ("input", "pad")


class GridTrace(TorchFunctionMode):
    """Follow the geometry of every result from the image on (Dumoulin & Visin 2016), and note which tensors are used.

    It sees what torch is called with, so that a network needs no graph: convolutions, poolings and paddings change the geometry, all
    else keeps that of its coarsest operand, and the mean of several such.

    Args:
        image: the input, (1,3,S,S)
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.size = image.shape[-1]
        self.used: set[int] = set()
        # With the tensors themselves: the id of one that is gone would be given again.
        self._geometries: dict[int, tuple[Tensor, GridGeometry]] = {id(image): (image, GridGeometry(0.5, 1.0))}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        operands = list(_tensors([args, list(kwargs.values())]))
        self.used |= {id(tensor) for tensor in operands}
        known = [self._geometries[id(tensor)][1] for tensor in operands if id(tensor) in self._geometries]
        if known:
            geometry = _behind(getattr(function, "__name__", "").lstrip("_"), _coarsest(known), args, kwargs)
            self._geometries |= {id(tensor): (tensor, geometry) for tensor in _tensors([result])}
        return result

    def geometry(self, grid: Tensor) -> GridGeometry:
        """That of a feature map (1,D,rows,columns) that was computed from the image.

        Patches that are joined by reshaping, as in Swin, are no operation with a kernel: the size of the map tells how many they are.
        """
        first, step = self._geometries[id(grid)][1]
        joined = 2 ** max(0, round(math.log2(self.size / step / grid.shape[-1])))
        return GridGeometry(first + (joined - 1) / 2 * step, joined * step)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _coarsest(geometries: list[GridGeometry]) -> GridGeometry:
    step = max(geometry.step for geometry in geometries)
    firsts = [geometry.first for geometry in geometries if geometry.step == step]
    return GridGeometry(sum(firsts) / len(firsts), step)


def _behind(name: str, geometry: GridGeometry, args: tuple[Any, ...], kwargs: dict[str, Any]) -> GridGeometry:
    """The geometry of what a function returns, from that of its input."""
    first, step = geometry
    if name == "pad" and len(pad := _options(PADDING, args, kwargs)["pad"]) == 4:
        return GridGeometry(first - pad[0] * step, step)
    if name not in WINDOWED:
        return geometry
    options = _options(WINDOWED[name], args, kwargs)
    kernel = options["weight"].shape[-1] if name == "conv2d" else _side(options["kernel_size"])
    # A pooling's stride is its kernel unless it is given.
    stride = _side(options.get("stride") or (1 if name == "conv2d" else kernel))
    reach = _side(options.get("dilation", 1)) * (kernel - 1)
    padding = options.get("padding", 0)
    before = reach // 2 if padding == "same" else 0 if padding == "valid" else _side(padding)
    return GridGeometry(first + (reach / 2 - before) * step, step * stride)


def _options(names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(names, args, strict=False)) | kwargs


def _side(value: Any) -> int:
    return int(value[-1] if isinstance(value, list | tuple) else value)

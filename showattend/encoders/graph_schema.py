"""Whitelist of modules and operations for the graph of a saved encoder, each with the types and bounds of its arguments.

Names are looked up in these tables and are never evaluated. To allow another module or function, add it here with its arguments.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from showattend.encoders.graph_arguments import Check, choice, either, integer, number, result_ref, sequence, slice_of

_MAX_CHANNELS = 2**16
_MAX_KERNEL = 64  # kernels, strides, paddings and dilations
PARAMETER = "Parameter"  # a part that is no module


class Operation(NamedTuple):
    """A function or method with its parameters: the first `required` must be given, `rest` checks further positional ones."""

    run: Callable[..., Any]
    parameters: Mapping[str, Check]
    required: int
    rest: Check | None = None


_NONE = choice(None)
_BOOLEAN = choice(False, True)
CHANNELS = integer(1, _MAX_CHANNELS)
_DIMENSION = integer(-8, 8)
_EPSILON = number(0, 1)
_MOMENTUM = either(_NONE, number(0, 1))
_KERNEL = either(integer(1, _MAX_KERNEL), sequence(integer(1, _MAX_KERNEL), 2, 2))
_PADDING = either(integer(0, _MAX_KERNEL), sequence(integer(0, _MAX_KERNEL), 2, 2))
_RESULT_OR_NUMBER = either(result_ref, number(-1e6, 1e6))
_SIZE = either(result_ref, integer(-1, _MAX_CHANNELS))
_INDEX = either(integer(-_MAX_CHANNELS, _MAX_CHANNELS), slice_of)
SHAPE = sequence(CHANNELS, 1, 4)

_POOL = {"kernel_size": _KERNEL, "stride": either(_NONE, _KERNEL), "padding": _PADDING}
_MAX_POOL = {**_POOL, "dilation": _KERNEL, "ceil_mode": _BOOLEAN, "return_indices": choice(False)}
_AVG_POOL = {**_POOL, "ceil_mode": _BOOLEAN, "count_include_pad": _BOOLEAN, "divisor_override": either(_NONE, integer(1, _MAX_CHANNELS))}
_INPLACE = {"inplace": _BOOLEAN}

MODULES: dict[str, tuple[type[nn.Module], Mapping[str, Check]]] = {
    "Conv2d": (
        nn.Conv2d,
        {"in_channels": CHANNELS, "out_channels": CHANNELS, "kernel_size": _KERNEL, "stride": _KERNEL, "padding": _PADDING}
        | {"dilation": _KERNEL, "groups": CHANNELS, "bias": _BOOLEAN, "padding_mode": choice("zeros")},
    ),
    "Linear": (nn.Linear, {"in_features": CHANNELS, "out_features": CHANNELS, "bias": _BOOLEAN}),
    "BatchNorm2d": (
        nn.BatchNorm2d,
        {"num_features": CHANNELS, "eps": _EPSILON, "momentum": _MOMENTUM, "affine": _BOOLEAN, "track_running_stats": _BOOLEAN},
    ),
    "LayerNorm": (
        nn.LayerNorm,
        {"normalized_shape": SHAPE, "eps": _EPSILON, "elementwise_affine": _BOOLEAN, "bias": _BOOLEAN},
    ),
    "MaxPool2d": (nn.MaxPool2d, _MAX_POOL),
    "AvgPool2d": (nn.AvgPool2d, _AVG_POOL),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d, {"output_size": _KERNEL}),
    "GELU": (nn.GELU, {"approximate": choice("none", "tanh")}),
    "Sigmoid": (nn.Sigmoid, {}),
    **{kind.__name__: (kind, _INPLACE) for kind in (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.Hardsigmoid)},
}
FUNCTIONS: dict[str, Operation] = {
    "add": Operation(operator.add, {"a": result_ref, "b": _RESULT_OR_NUMBER}, 2),
    "mul": Operation(operator.mul, {"a": result_ref, "b": _RESULT_OR_NUMBER}, 2),
    "floordiv": Operation(operator.floordiv, {"a": result_ref, "b": CHANNELS}, 2),
    "getitem": Operation(operator.getitem, {"a": result_ref, "b": either(_INDEX, sequence(_INDEX, 1, 4))}, 2),
    "cat": Operation(torch.cat, {"tensors": sequence(result_ref, 1, 256), "dim": _DIMENSION}, 1),
    "permute": Operation(torch.permute, {"input": result_ref, "dims": sequence(_DIMENSION, 1, 8)}, 2),
    "transpose": Operation(torch.transpose, {"input": result_ref, "dim0": _DIMENSION, "dim1": _DIMENSION}, 3),
    "unsqueeze": Operation(torch.unsqueeze, {"input": result_ref, "dim": _DIMENSION}, 2),
    "relu": Operation(F.relu, {"input": result_ref, **_INPLACE}, 1),
    "layer_norm": Operation(
        F.layer_norm,
        {"input": result_ref, "normalized_shape": SHAPE, "weight": result_ref, "bias": result_ref, "eps": _EPSILON},
        2,
    ),
    "avg_pool2d": Operation(F.avg_pool2d, {"input": result_ref, **_AVG_POOL}, 2),
    "max_pool2d": Operation(F.max_pool2d, {"input": result_ref, **_MAX_POOL}, 2),
}
METHODS: dict[str, Operation] = {
    "chunk": Operation(Tensor.chunk, {"self": result_ref, "chunks": integer(1, 256), "dim": _DIMENSION}, 2),
    "contiguous": Operation(Tensor.contiguous, {"self": result_ref}, 1),
    "permute": Operation(Tensor.permute, {"self": result_ref}, 1, rest=_DIMENSION),
    "size": Operation(Tensor.size, {"self": result_ref}, 1),
    "view": Operation(Tensor.view, {"self": result_ref}, 1, rest=_SIZE),
}

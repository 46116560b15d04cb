"""A convolution for inference: its weights lie as oneDNN's kernels read them, and the activation behind it costs no pass of its own."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from showattend.ops import onednn

_lock = Lock()  # several threads may compute the first photos
# What oneDNN computes along with a convolution: its names, and their arguments.
_ACTIVATIONS: dict[Any, tuple[str, tuple[float, ...]]] = {
    nn.ReLU: ("relu", ()),
    F.relu: ("relu", ()),
    nn.ReLU6: ("hardtanh", (0.0, 6.0)),
    nn.Hardswish: ("hardswish", ()),
    nn.SiLU: ("swish", ()),
    nn.Sigmoid: ("sigmoid", ()),
}


def is_activation(function: Callable[..., Any]) -> bool:
    """Whether a module or function is an activation that `PackedConv2d` takes."""
    return _find(function) is not None


def _find(function: Callable[..., Any] | None) -> tuple[str, tuple[float, ...]] | None:
    """An activation as oneDNN names it: a module by its class, a function by itself."""
    return _ACTIVATIONS.get(type(function)) or _ACTIVATIONS.get(function)


def can_pack(module: nn.Module | None, dtype: torch.dtype | None) -> bool:
    """Whether a module is a convolution that oneDNN computes on this processor.

    Args:
        dtype: of the operands; None: that of the weights
    """
    # Subclasses compute something else before they convolve.
    if type(module) is not nn.Conv2d or module.weight is None or module.padding_mode != "zeros" or isinstance(module.padding, str):
        return False
    return onednn.packs_convolutions(module.weight.new_empty(0, dtype=dtype))


class PackedConv2d(nn.Module):
    """Convolution and activation in one pass, without gradients.

    The weights are packed for the size of the first photos; photos of other sizes have the same results, but take longer.

    Args:
        conv: one that `can_pack`
        activation: one that `is_activation`; None: none
        dtype: of the operands and of the result; None: that of the weights
    """

    def __init__(self, conv: nn.Conv2d, activation: Callable[..., Any] | None = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.out_channels, self.kernel_size = conv.out_channels, conv.kernel_size
        self.padding, self.stride, self.dilation = conv.padding, conv.stride, conv.dilation
        name, arguments = _find(activation) or ("none", ())
        self.convolution = onednn.Convolution(conv.padding, conv.stride, conv.dilation, conv.groups, name, arguments)  # type: ignore[arg-type]
        self.dtype = dtype or conv.weight.dtype
        self.bias = None if conv.bias is None else conv.bias.detach().to(self.dtype)
        self.weight: Tensor | None = conv.weight.detach().to(self.dtype)  # until it is packed
        self.packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Photos or maps (N,C,rows,columns) to maps (N,D,rows,columns)."""
        x = x.to(self.dtype)
        if self.packed is None:
            with _lock:
                if self.weight is not None:
                    self.packed, self.weight = self.convolution.pack(self.weight, x.shape), None
        assert self.packed is not None
        return self.convolution(x, self.packed, self.bias)

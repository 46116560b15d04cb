"""Matrix products as fast as the processor can.

On the CPU torch multiplies float32 matrices with MKL. oneDNN, which comes with torch too, is up to half as fast again on AMD's processors,
and takes weights that have been laid out once for many products. On other devices and in other precisions these are torch's own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from showattend.errors import InputError

TINY = 1e-12


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias, as `torch.nn.functional.linear`.

    Args:
        x: (..., K)
        weight: (N,K)
        bias: (N,)

    Returns:
        (..., N)
    """
    if not _suits(x) or torch.is_autocast_enabled(x.device.type):
        return F.linear(x, weight, bias)
    flat: Tensor = _Product.apply(x.flatten(0, -2), weight, bias)
    return flat.view(*x.shape[:-1], -1)


class PackedLinear:
    """A weight laid out once for many products with it, without gradients.

    Args:
        weight: (N,K)
        bias: (N,)
        int8: keep each row in 8 bits with a scale of its own, and round what it multiplies to 8 bits: up to four times as fast

    Raises:
        InputError: 8 bits are asked for where there are no such products.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, int8: bool = False) -> None:
        weight, bias = weight.detach(), None if bias is None else bias.detach()
        self.multiply: Callable[[Tensor], Tensor]
        if int8:
            self.multiply = _in_8_bits(weight, bias)
        elif _suits(weight):
            self.multiply = partial(_multiply, weight=torch.ops.mkldnn._reorder_linear_weight(weight), bias=bias)
        else:
            self.multiply = partial(F.linear, weight=weight, bias=bias)

    def __call__(self, x: Tensor) -> Tensor:
        """x weight^T + bias, (M,K) to (M,N)."""
        return self.multiply(x)


def _in_8_bits(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    if not _suits(weight):
        raise InputError("products in 8 bits are for float32 on the CPU: leave --int8 out")
    scales = weight.abs().amax(1).clamp(min=TINY) / 127
    rows = torch.ops.onednn.qlinear_prepack((weight / scales.unsqueeze(1)).round().to(torch.int8), None)
    zeros = torch.zeros(len(weight), dtype=torch.int32)

    def multiply(x: Tensor) -> Tensor:
        # Counted from 128: oneDNN is slow where what comes in has a sign.
        scale = max(float(x.abs().amax()), TINY) / 127
        steps = (x * (1 / scale)).round_().add_(128).to(torch.uint8)
        result: Tensor = torch.ops.onednn.qlinear_pointwise(
            steps, scale, 128, rows, scales, zeros, bias, 1.0, 0, torch.float32, "none", [], ""
        )
        return result

    return multiply


class _Product(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad
        return (
            _multiply(grad, weight.t(), None) if to_x else None,
            weight_grad(grad, x) if to_weight else None,
            grad.sum(0) if to_bias else None,
        )


def weight_grad(left: Tensor, right: Tensor) -> Tensor:
    """left^T right, the gradient of a weight: (M,N) and (M,K) to (N,K)."""
    return _multiply(left.t().contiguous(), right.t(), None) if _suits(left) else left.t() @ right


def _suits(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available()


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # A slice of a matrix, which is neither it nor its transpose, would fall to a loop that is hundreds of times as slow.
    x, weight = _whole(x), _whole(weight)
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result


def _whole(matrix: Tensor) -> Tensor:
    return matrix if matrix.is_mkldnn or matrix.is_contiguous() or matrix.t().is_contiguous() else matrix.contiguous()

"""Linear layers by the fastest product that torch has, with gradients and with weights that are packed once for many products.

On a CPU large products of float32 matrices and packed weights are left to oneDNN, see `onednn`; on Intel's processors packed weights
alone, because there torch's default, MKL, is the faster one without packing. Small products, other devices, other
precisions and a torch without these operators have `torch.nn.functional.linear`.

In mixed precision the operands of a product are rounded to 16 bits. Sums inside it are float32, its result is rounded to 16 bits, and
everything else (sums of products, states, softmax, losses) stays in float32.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from showattend.errors import InputError
from showattend.ops import onednn

# A call of oneDNN takes 20 microseconds longer than one of torch's default: products with fewer multiplications than this, or of packed
# weights with fewer elements, are no faster for it (scripts/bench_products.py).
SMALL_PRODUCT, SMALL_WEIGHT = 1 << 23, 1 << 17
# For every number of rows oneDNN compiles a kernel of its own, in a millisecond or more, and keeps it, with up to some megabytes. Therefore
# rows of zeros are added until their number is one of few: SIZES_PER_OCTAVE between a power of two and the next, and none below MIN_ROWS.
# Matrices of more than MAX_COPIED elements stay as they are: the copy would take longer than the kernel.
SIZES_PER_OCTAVE, MIN_ROWS, MAX_COPIED = 16, 16, 1 << 23


def product_dtype(x: Tensor) -> torch.dtype:
    """The precision in which a matrix like this one is multiplied here: that of autocast if it is on, else the matrix's own."""
    mixed = torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64
    return torch.get_autocast_dtype(x.device.type) if mixed else x.dtype


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias, as `torch.nn.functional.linear`.

    Args:
        x: (..., K)
        weight: (N,K)
        bias: (N,)

    Returns:
        (..., N)
    """
    dtype = product_dtype(x)
    if x.device.type != "cpu" or not (dtype.itemsize == 2 or onednn.is_usable(x)):
        return F.linear(x, weight, bias)
    x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    *leading, channels = x.shape
    flat: Tensor = _CpuLinear.apply(x.reshape(math.prod(leading), channels), weight, bias)
    return flat.view(*leading, len(weight))


def weight_grad(grad_output: Tensor, x: Tensor) -> Tensor:
    """grad_output^T x, the gradient of a linear layer's weight: (M,N) and (M,K) to (N,K)."""
    if _onednn_pays(grad_output, x.numel() * grad_output.shape[1]):
        grad_output, x = fill_rows(grad_output, x)
        return onednn.linear(grad_output.t().contiguous(), x.t())
    if not torch_takes_onednn(x.device, x.dtype):
        return grad_output.t() @ x
    grad_output, x = fill_rows(grad_output, x)
    # In 16 bits oneDNN takes almost twice as long for a transposed first matrix.
    return (grad_output.t().contiguous() if grad_output.dtype.itemsize == 2 else grad_output.t()) @ x


class PackedLinear:
    """x weight^T + bias, (M,K) to (M,N), with a weight whose memory layout is prepared once; without gradients.

    Args:
        weight: (N,K)
        bias: (N,)
        dtype: of the product's operands, the result has that of x; int8: each row of the weight is rounded with a scale of its own
        exact_result: in bfloat16 the result is not rounded, which takes longer; without such products operands are not rounded either

    Raises:
        InputError: int8 with a weight that is not float32 on a CPU.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, dtype: torch.dtype | None = None, exact_result: bool = False) -> None:
        weight, bias = weight.detach(), None if bias is None else bias.detach()
        self._linear: Callable[[Tensor], Tensor]
        self.operand_dtype = weight.dtype if dtype in (None, torch.int8) else dtype
        if dtype == torch.int8:
            if weight.device.type != "cpu" or weight.dtype != torch.float32:
                raise InputError(
                    f"int8 needs float32 weights on the CPU, these are {weight.dtype} on {weight.device}: give --precision auto"
                )
            self._linear = partial(_run_filled, onednn.int8_linear(weight, bias))
            return
        if exact_result and self.operand_dtype.itemsize == 2:
            self.operand_dtype = weight.dtype
            if onednn.is_usable(weight) and onednn.multiplies_bfloat16():
                self._linear = partial(_run_filled, partial(onednn.linear_rounding_operands, weight=onednn.pack(weight), bias=bias))
                return
        weight = weight.to(self.operand_dtype)
        if weight.numel() >= SMALL_WEIGHT and onednn.packs(weight):
            self._linear = partial(_run_filled, partial(onednn.linear, weight=onednn.pack(weight), bias=bias))
        else:
            self._linear = partial(multiply, weight=weight, bias=None if bias is None else bias.to(weight.dtype))

    def __call__(self, x: Tensor) -> Tensor:
        """The product, (M,K) to (M,N)."""
        return self._linear(x.to(self.operand_dtype)).to(x.dtype)


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias, (M,K) to (M,N), as `linear` in the precision of the operands and without gradients."""
    if _onednn_pays(x, len(x) * weight.numel()):
        return _run_filled(onednn.linear, x, weight, bias)
    if torch_takes_onednn(x.device, x.dtype):
        return _run_filled(F.linear, x, weight, bias)
    return F.linear(x, weight, bias)


def _run_filled(run: Callable[..., Tensor], x: Tensor, *operands: Tensor | None) -> Tensor:
    """A product of x (M,K) by a function that gets it with filled rows, (M,N)."""
    (filled,) = fill_rows(x)
    return run(filled, *operands)[: len(x)]


def _onednn_pays(x: Tensor, multiplications: int) -> bool:
    # In this order: a comparison of sizes would fix them while torch.export records a graph.
    return onednn.is_usable(x) and not onednn.mkl_is_faster() and multiplications >= SMALL_PRODUCT


def torch_takes_onednn(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether torch itself leaves products of such operands to oneDNN: in 16 bits, and of float32 that may be rounded."""
    if device.type != "cpu" or torch.compiler.is_exporting():
        return False
    return dtype.itemsize == 2 or (dtype == torch.float32 and onednn.rounds_float32())


def filled_count(rows: int) -> int:
    """The number of rows that so many are filled up to, see SIZES_PER_OCTAVE."""
    step = max(MIN_ROWS, (1 << max(rows, 1).bit_length() - 1) // SIZES_PER_OCTAVE)
    return rows + -rows % step


def fill_rows(*matrices: Tensor) -> tuple[Tensor, ...]:
    """Matrices (M, ·), with rows of zeros at their ends up to the `filled_count`, unless that copies too much."""
    rows = filled_count(len(matrices[0]))
    if rows == len(matrices[0]) or max(matrix.numel() for matrix in matrices) > MAX_COPIED:
        return matrices
    return tuple(_fill_to(matrix, rows) for matrix in matrices)


def _fill_to(matrix: Tensor, rows: int) -> Tensor:
    filled = matrix.new_empty(rows, matrix.shape[1])
    filled[: len(matrix)], filled[len(matrix) :] = matrix, 0
    return filled


class _CpuLinear(Function):
    """Applied to x (M,K), weight (N,K) and bias (N,) or None, all in one precision; returns (M,N)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            multiply(grad, weight.t()) if needs_x else None,
            weight_grad(grad, x) if needs_weight else None,
            grad.sum(0) if needs_bias else None,
        )

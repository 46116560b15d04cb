"""oneDNN's matrix products and convolutions, through operators that torch does not document, each behind a fallback to public ones.

On a CPU torch multiplies float32 matrices with MKL, which is made for Intel's processors. oneDNN, which torch's wheels contain too, is
up to 1.5 times as fast on those of AMD, takes weights whose layout was prepared once, and multiplies matrices of bfloat16 and int8. torch
offers it only through the operators that its compiler generates, and these may change or disappear with any version. This is the only
module that calls them. The first use probes them with small matrices; where they are missing, fail or give other results,
torch's own `linear` and `conv2d` take their place.
"""

import platform
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_lock = Lock()  # held while products of float32 are rounded
# Keeps the scale of a row of zeros above zero.
MIN_MAGNITUDE = 1e-12


def is_usable(x: Tensor) -> bool:
    """Whether oneDNN multiplies this tensor: float32 on a CPU, with a torch whose operators passed the probe.

    Not while torch.export records a graph, which other runtimes are to run, or torch.compile one, which has ways of its own.
    """
    if torch.compiler.is_compiling():
        return False
    return x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available() and _float32_works()


@cache
def mkl_is_faster() -> bool:
    """Whether MKL multiplies float32 matrices faster than oneDNN does, unless their layout was prepared: on Intel's processors."""
    info = Path("/proc/cpuinfo")  # Linux
    vendor = info.read_text() if info.exists() else platform.processor()
    return "GenuineIntel" in vendor and torch.backends.mkl.is_available()


@cache
def multiplies_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16, with a torch whose operators passed the probe."""

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
        if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            raise RuntimeError("this processor has no products of bfloat16")
        return [linear(x.bfloat16(), pack(weight.bfloat16()), bias).float()]

    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        return torch.backends.mkldnn.is_available() and _probe(run, atol=0.05)


def packs(weight: Tensor) -> bool:
    """Whether `pack` and `linear` take this weight: where `is_usable`, or bfloat16 on a CPU that multiplies it."""
    return is_usable(weight) or (weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and multiplies_bfloat16())


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias; only where `is_usable` or, for packed weights, `packs`; without gradients.

    Args:
        x: (M,K)
        weight: (N,K), or the result of `pack`
        bias: (N,)

    Returns:
        (M,N)
    """
    result: Tensor = torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(weight), bias, "none", [], "")
    return result


def linear_rounding_operands(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `linear` of float32, with operands that are rounded to bfloat16 inside of the product: sums and result are float32.

    torch has one switch for it, for the whole process: what other threads multiply in this moment may be rounded too. On a Xeon with AMX
    it takes 12 to 15 ms for 320 rows and 10,000 columns where float32 takes 27 to 38; two products of bfloat16, the second one of what the
    first has rounded off, are no faster than float32.
    """
    switch = _rounding()
    with _lock:
        before, switch.fp32_precision = switch.fp32_precision, "bf16"
        try:
            return linear(x, weight, bias)
        finally:
            switch.fp32_precision = before


def rounds_float32() -> bool:
    """Whether the operands of all float32 products are rounded so, by `torch.set_float32_matmul_precision("medium")` or its successor."""
    # The older function refuses to answer where the newer one was used.
    return bool(_rounding().fp32_precision == "bf16")


def _rounding() -> Any:
    """torch's options of float32 products on oneDNN, whose `fp32_precision` is a switch for the whole process."""
    return torch.backends.mkldnn.matmul  # type: ignore[attr-defined]  # torch puts it there when it is imported


def pack(weight: Tensor) -> Tensor:
    """A copy of weight (N,K) in the memory layout of oneDNN's kernels; only where `packs`."""
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return packed


class Convolution(NamedTuple):
    """The arguments of a convolution of two dimensions, and the activation behind it as oneDNN names it, with its own arguments."""

    padding: tuple[int, ...] = (0, 0)
    stride: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    activation: str = "none"
    activation_arguments: tuple[float, ...] = ()

    def pack(self, weight: Tensor, input_shape: Sequence[int]) -> Tensor:
        """A copy of weight (D,C/groups,rows,columns) in the memory layout of oneDNN's kernels; only where `packs_convolutions`.

        Args:
            input_shape: (N,C,rows,columns), for which it will be fastest
        """
        packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            weight, self.padding, self.stride, self.dilation, self.groups, list(input_shape)
        )
        return packed

    def __call__(self, x: Tensor, packed: Tensor, bias: Tensor | None = None) -> Tensor:
        """The activation of the convolution of x (N,C,rows,columns), without gradients; weight and bias have the type of x."""
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, packed, bias, self.padding, self.stride, self.dilation, self.groups, self.activation, self.activation_arguments, ""
        )
        return result


def packs_convolutions(weight: Tensor) -> bool:
    """Whether oneDNN takes the weight of a convolution: where it `packs` matrices of this type, and its convolutions passed their probe."""
    return packs(weight) and _convolution_works(weight.dtype)


def int8_linear(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    """x weight^T + bias with both operands rounded to int8, as a function of x (M,K).

    Each row of weight has a scale of its own, x one scale for each call. The fallback rounds in the same way and multiplies
    in float32, so that it gives the same results without the speed.

    Args:
        weight: float32 on a CPU, (N,K)
        bias: (N,)
    """
    scales = weight.abs().amax(1).clamp(min=MIN_MAGNITUDE) / 127
    rows = (weight / scales.unsqueeze(1)).round()
    multiply = _int8_onednn(rows, scales, bias) if _int8_works() else _int8_emulated(rows, scales, bias)

    def quantize_and_multiply(x: Tensor) -> Tensor:
        # The zero point is 128: oneDNN is slow with signed inputs.
        scale = max(float(x.abs().amax()), MIN_MAGNITUDE) / 127
        return multiply((x * (1 / scale)).round_().add_(128), scale)

    return quantize_and_multiply


def _int8_onednn(rows: Tensor, scales: Tensor, bias: Tensor | None) -> Callable[[Tensor, float], Tensor]:
    packed = torch.ops.onednn.qlinear_prepack(rows.to(torch.int8), None)
    zero_points = torch.zeros(len(rows), dtype=torch.int32)

    def multiply(levels: Tensor, scale: float) -> Tensor:
        result: Tensor = torch.ops.onednn.qlinear_pointwise(
            levels.to(torch.uint8), scale, 128, packed, scales, zero_points, bias, 1.0, 0, torch.float32, "none", [], ""
        )
        return result

    return multiply


def _int8_emulated(rows: Tensor, scales: Tensor, bias: Tensor | None) -> Callable[[Tensor, float], Tensor]:
    weight = rows * scales.unsqueeze(1)
    return lambda levels, scale: F.linear((levels - 128) * scale, weight, bias)


def _dense(matrix: Tensor) -> Tensor:
    """The matrix, copied if it is a slice of another: for those oneDNN falls back to a loop that is hundreds of times as slow."""
    return matrix if matrix.is_mkldnn or matrix.is_contiguous() or matrix.t().is_contiguous() else matrix.contiguous()


def _probe(run: Callable[[Tensor, Tensor, Tensor], list[Tensor]], atol: float) -> bool:
    """Whether an operator runs on this version of torch and multiplies correctly."""
    x, weight, bias = torch.linspace(-1, 1, 12).view(3, 4), torch.linspace(1, -2, 8).view(2, 4), torch.tensor([0.5, -0.25])
    try:
        return all(torch.allclose(result, F.linear(x, weight, bias), atol=atol) for result in run(x, weight, bias))
    except (AttributeError, RuntimeError, TypeError):  # missing; failed; called with other arguments in this version
        return False


@cache
def _float32_works() -> bool:
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        return _probe(lambda x, weight, bias: [linear(x, weight, bias), linear(x, pack(weight), bias)], atol=1e-5)


@cache
def _convolution_works(dtype: torch.dtype) -> bool:
    """Whether a convolution of two groups, with holes and an activation, is torch's own."""
    convolution = Convolution((1, 1), (2, 1), (1, 2), 2, "hardtanh", (0.0, 6.0))
    x, weight, bias = torch.linspace(-2, 2, 160).view(1, 4, 8, 5), torch.linspace(3, -2, 72).view(4, 2, 3, 3), torch.linspace(-1, 1, 4)
    expected = F.relu6(F.conv2d(x, weight, bias, convolution.stride, convolution.padding, convolution.dilation, convolution.groups))
    x, weight, bias = (tensor.to(dtype) for tensor in (x, weight, bias))
    try:
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            result = convolution(x, convolution.pack(weight, x.shape), bias).float()
        return torch.allclose(result, expected, atol=1e-4 if dtype == torch.float32 else 0.1)
    except (AttributeError, RuntimeError, TypeError):
        return False


@cache
def _int8_works() -> bool:
    def run(x: Tensor, weight: Tensor, bias: Tensor) -> list[Tensor]:
        scales = torch.full((len(weight),), 2 / 127)
        levels = (x * 127).round() + 128
        return [_int8_onednn((weight / scales.unsqueeze(1)).round(), scales, bias)(levels, 1 / 127)]

    return torch.backends.mkldnn.is_available() and _probe(run, atol=0.05)

"""Packed convolutions against torch's own, and where there are none."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from showattend.encoders.packing import pack_modules
from showattend.ops import onednn
from showattend.ops.packed_convolution import PackedConv2d, can_pack, is_activation

ACTIVATIONS = {
    "none": None,
    "relu": nn.ReLU(),
    "F.relu": F.relu,
    "relu6": nn.ReLU6(),
    "hardswish": nn.Hardswish(),
    "silu": nn.SiLU(),
    "sigmoid": nn.Sigmoid(),
}
SHAPES: dict[str, dict[str, Any]] = {
    "pointwise": {"kernel_size": 1},
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1},
    "dilated": {"kernel_size": (3, 1), "padding": (2, 0), "dilation": 2, "bias": False},
    "depthwise": {"kernel_size": 5, "padding": 2, "groups": 8},
}


@pytest.fixture(autouse=True)
def _without_gradients() -> Any:
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)], ids=str)
def test_convolution_and_activation_are_torch_s(shape: str, activation: Any, dtype: torch.dtype, tolerance: float) -> None:
    conv = nn.Conv2d(8, 16, **SHAPES[shape])
    if not can_pack(conv, dtype):
        pytest.skip(f"no packed convolutions of {dtype} here")
    packed = PackedConv2d(conv, activation, dtype)
    for size in ((3, 8, 9, 12), (1, 8, 20, 7)):  # packed for the first
        x = 3 * torch.randn(size).contiguous(memory_format=torch.channels_last)
        expected = activation(conv(x)) if activation else conv(x)
        torch.testing.assert_close(packed(x).float(), expected, atol=tolerance, rtol=tolerance)


def test_what_is_no_plain_convolution_is_left_alone() -> None:
    class Scaled(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    odd = [Scaled(3, 4, 1), nn.Conv2d(3, 4, 3, padding="same"), nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.Linear(3, 4)]
    assert not any(can_pack(module, None) for module in odd)
    assert not can_pack(nn.Conv2d(3, 4, 1).double(), None)
    assert not any(map(is_activation, (nn.GELU(), torch.tanh, None)))


def test_only_what_follows_in_a_sequence_is_joined() -> None:
    shared = nn.ReLU6()
    network = nn.Sequential(nn.Conv2d(3, 4, 3), shared, nn.Conv2d(4, 4, 1), nn.Tanh(), nn.Sequential(nn.Conv2d(4, 4, 1)), shared)
    x = 20 * torch.randn(2, 3, 8, 8)
    expected = network(x)
    pack_modules(network, None)
    torch.testing.assert_close(network(x), expected, atol=1e-4, rtol=1e-4)
    if isinstance(network[0], PackedConv2d):
        assert isinstance(network[1], nn.Identity)
        assert network[-1] is shared


@pytest.mark.parametrize("operator", [None, lambda *_: torch.zeros(1, 4, 4, 2)], ids=["missing", "wrong"])
def test_without_onednn_s_operators_nothing_is_packed(operator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"_convolution_pointwise": operator, "_reorder_convolution_weight": lambda weight, *_: weight} if operator else {}
    monkeypatch.setattr(torch, "ops", SimpleNamespace(mkldnn=SimpleNamespace(**broken)))
    onednn._convolution_works.cache_clear()
    try:
        assert not can_pack(nn.Conv2d(3, 4, 1), None)
    finally:
        onednn._convolution_works.cache_clear()

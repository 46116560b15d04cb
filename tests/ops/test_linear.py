"""Linear layers on oneDNN against torch's own, and their fallback where the private operators are missing."""

import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from factories import make_decoder, random_captions, random_features
from torch import Tensor
from torch.nn import functional as F

from showattend.errors import InputError
from showattend.models.teacher_forcing import flatten_tokens
from showattend.ops import linear as linear_module
from showattend.ops import onednn
from showattend.ops.linear import PackedLinear, linear, multiply, weight_grad
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.vocabulary import PAD

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)


def forget_probes() -> None:
    onednn._float32_works.cache_clear()
    onednn._int8_works.cache_clear()


def missing_operator(*_: object) -> Tensor:
    raise AttributeError("'_OpNamespace' object has no attribute '_linear_pointwise'")


def failing_operator(*_: object) -> Tensor:
    raise RuntimeError("expected 7 arguments")


def wrong_operator(x: Tensor, weight: Tensor, *_: object) -> Tensor:
    return torch.zeros(len(x), 2)


BROKEN = {"missing": missing_operator, "failing": failing_operator, "wrong": wrong_operator}


@pytest.fixture(params=BROKEN)
def broken_operators(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A torch whose private operators are missing, fail, or multiply wrongly."""
    operator = BROKEN[request.param]
    broken = SimpleNamespace(
        mkldnn=SimpleNamespace(_linear_pointwise=operator, _reorder_linear_weight=lambda weight: weight),
        onednn=SimpleNamespace(qlinear_prepack=lambda weight, _: weight, qlinear_pointwise=operator),
    )
    monkeypatch.setattr(torch, "ops", broken)
    forget_probes()
    yield
    forget_probes()


@pytest.fixture(autouse=True, params=[True, False], ids=["all_on_onednn", "as_it_pays"])
def smallest_products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the operands of these tests are multiplied, which are below the sizes from which oneDNN pays."""
    if request.param:
        monkeypatch.setattr(linear_module, "SMALL_PRODUCT", 0)
        monkeypatch.setattr(linear_module, "SMALL_WEIGHT", 0)
        monkeypatch.setattr(onednn, "mkl_is_faster", lambda: False)


def operands(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """x (6,20), weight (9,20), bias (9,)."""
    return tuple(torch.randn(*shape).to(dtype) for shape in ((6, 20), (9, 20), (9,)))  # type: ignore[return-value]


def tolerance(dtype: torch.dtype) -> float:
    return {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 0.1}[dtype]


def gradients(function: Callable[..., Tensor], *inputs: Tensor) -> tuple[Tensor, ...]:
    leaves = [entry.detach().clone().requires_grad_() for entry in inputs]
    return torch.autograd.grad(function(*leaves).square().sum(), leaves)


@DTYPES
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_and_its_gradients_equal_torch_s(dtype: torch.dtype, with_bias: bool) -> None:
    x, weight, bias = operands(dtype)
    inputs = (x, weight, bias) if with_bias else (x, weight)
    assert torch.allclose(linear(*inputs), F.linear(*inputs), atol=tolerance(dtype))
    for one, other in zip(gradients(linear, *inputs), gradients(F.linear, *inputs), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=10 * tolerance(dtype))


def test_linear_computes_only_the_gradients_that_are_needed() -> None:
    x, weight, bias = operands()
    weight.requires_grad_()
    linear(x, weight, bias).sum().backward()
    assert weight.grad is not None
    assert torch.allclose(weight.grad, x.sum(0).expand(9, -1), atol=1e-5)


@pytest.mark.parametrize("leading", [(6,), (2, 3), (), (0,), (2, 0, 3)], ids=str)
def test_linear_keeps_leading_axes(leading: tuple[int, ...]) -> None:
    _, weight, bias = operands()
    x = torch.randn(*leading, 20)
    result, expected = linear(x, weight, bias), F.linear(x, weight, bias)
    assert result.shape == expected.shape
    assert torch.allclose(result, expected, atol=1e-5)


def test_linear_multiplies_slices_and_transposes() -> None:
    x, weight, bias = operands()
    wide, tall = torch.randn(6, 50), torch.randn(20, 9)
    assert torch.allclose(linear(wide[:, 7:27], weight, bias), F.linear(wide[:, 7:27], weight, bias), atol=1e-5)
    assert torch.allclose(linear(x, tall.t()), x @ tall, atol=1e-5)


def test_linear_in_a_user_s_compiled_function_is_one_graph() -> None:
    x, weight = torch.randn(5, 3, requires_grad=True), torch.randn(4, 3)
    compiled = torch.compile(linear, backend="aot_eager", fullgraph=True)
    (grad,) = torch.autograd.grad(compiled(x, weight).square().sum(), x)
    assert torch.allclose(grad, 2 * (x @ weight.t()) @ weight, atol=1e-5)


def test_linear_follows_autocast() -> None:
    x, weight, bias = operands()
    with torch.autocast("cpu", torch.bfloat16):
        result, expected = linear(x, weight, bias), F.linear(x, weight, bias)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result, expected, rtol=0.02, atol=0.1)


@DTYPES
def test_weight_grad_is_the_gradient_of_a_linear_layer_s_weight(dtype: torch.dtype) -> None:
    x, weight, _ = operands(dtype)
    grad_output = torch.randn(6, 9).to(dtype)
    weight.requires_grad_()
    (expected,) = torch.autograd.grad(F.linear(x, weight), weight, grad_output)
    assert torch.allclose(weight_grad(grad_output, x), expected, rtol=1e-4, atol=10 * tolerance(dtype))


@DTYPES
def test_a_packed_linear_equals_torch_s_and_has_no_gradients(dtype: torch.dtype) -> None:
    x, weight, bias = operands(dtype)
    for packed, expected in ((PackedLinear(weight, bias), F.linear(x, weight, bias)), (PackedLinear(weight), F.linear(x, weight))):
        assert torch.allclose(packed(x), expected, atol=tolerance(dtype))
    assert not PackedLinear(weight.requires_grad_(), bias)(x).requires_grad


def test_few_numbers_of_rows_reach_onednn_which_compiles_a_kernel_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, bias = torch.randn(9, 20), torch.randn(9)
    seen, native = set(), onednn.linear

    def recorded(x: Tensor, *rest: Tensor, **named: Tensor) -> Tensor:
        seen.add(tuple(x.shape))
        return native(x, *rest, **named)

    monkeypatch.setattr(onednn, "linear", recorded)
    packed = PackedLinear(weight, bias)
    for rows in range(1, 900, 3):
        x, grad_output = torch.randn(rows, 20), torch.randn(rows, 9)
        for result in (packed(x), multiply(x, weight, bias)):
            assert torch.allclose(result, F.linear(x, weight, bias), atol=1e-4)
        assert torch.allclose(weight_grad(grad_output, x), grad_output.t() @ x, atol=1e-3)
    assert len(seen) <= 2 * 16 * math.log2(900 / 16)


def test_int8_is_exact_up_to_the_rounding_of_both_operands() -> None:
    x, weight, bias = operands()
    x_scale, weight_scales = x.abs().max() / 127, weight.abs().amax(1) / 127
    rounded_x, rounded_weight = (x / x_scale).round() * x_scale, (weight / weight_scales[:, None]).round() * weight_scales[:, None]
    result = PackedLinear(weight, bias, dtype=torch.int8)(x)
    assert torch.allclose(result, F.linear(rounded_x, rounded_weight, bias), atol=1e-4)
    assert torch.allclose(result, F.linear(x, weight, bias), atol=0.3)


def test_int8_takes_zeros_and_very_different_rows() -> None:
    x, weight, bias = operands()
    weight[0], weight[1] = 0, 1e4 * weight[1]
    result, expected = PackedLinear(weight, bias, dtype=torch.int8)(x), F.linear(x, weight, bias)
    assert torch.equal(result[:, 0], bias[0].expand(6))
    assert torch.allclose(result[:, 2:], expected[:, 2:], atol=0.3)
    assert torch.allclose(result[:, 1] / 1e4, expected[:, 1] / 1e4, atol=0.3)
    assert torch.equal(PackedLinear(weight, bias, dtype=torch.int8)(torch.zeros(6, 20)), bias.expand(6, 9))


def test_int8_refuses_other_precisions_and_names_the_remedy() -> None:
    with pytest.raises(InputError, match=r"int8 needs float32 weights on the CPU, these are torch\.float64 on cpu: give --precision auto"):
        PackedLinear(torch.zeros(2, 3).double(), dtype=torch.int8)


@pytest.mark.usefixtures("broken_operators")
def test_the_fallback_is_torch_s_linear_to_the_last_bit() -> None:
    x, weight, bias = operands()
    assert not onednn.is_usable(x)
    assert torch.equal(linear(x, weight, bias), F.linear(x, weight, bias))
    assert torch.equal(PackedLinear(weight, bias)(x), F.linear(x, weight, bias))
    grad_output = torch.randn(6, 9)
    assert torch.equal(weight_grad(grad_output, x), grad_output.t() @ x)
    for one, other in zip(gradients(linear, x, weight, bias), gradients(F.linear, x, weight, bias), strict=True):
        assert torch.equal(one, other)


def test_the_int8_fallback_gives_what_onednn_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight, bias = operands()
    if not onednn._int8_works():
        pytest.skip("no int8 operators: the fallback would be compared with itself")
    native = PackedLinear(weight, bias, dtype=torch.int8)(x)
    monkeypatch.setattr(onednn, "_int8_works", lambda: False)
    assert torch.allclose(PackedLinear(weight, bias, dtype=torch.int8)(x), native, atol=1e-4)


@pytest.mark.usefixtures("broken_operators")
def test_int8_works_where_the_operators_do_not() -> None:
    x, weight, bias = operands()
    assert not onednn._int8_works()
    assert torch.allclose(PackedLinear(weight, bias, dtype=torch.int8)(x), F.linear(x, weight, bias), atol=0.3)


def loss_and_gradients(use_fused_loop: bool) -> list[Tensor]:
    """Of one training step of a small decoder in float32."""
    torch.manual_seed(0)
    decoder, features, token_ids = make_decoder(dropout=0.0).float().train(), random_features().float(), random_captions()
    decoder.use_fused_loop = use_fused_loop
    targets = torch.where(token_ids != PAD, token_ids.flip(-1).clamp(min=4), PAD)
    output = decoder(features, token_ids)
    loss = caption_loss(output.hidden, output.output, flatten_tokens(targets, token_ids != PAD))
    return [loss.detach(), *torch.autograd.grad(loss, list(decoder.parameters()), allow_unused=True)]


@pytest.mark.parametrize("use_fused_loop", [True, False])
def test_a_training_step_is_the_same_with_the_fallback(monkeypatch: pytest.MonkeyPatch, use_fused_loop: bool) -> None:
    native = loss_and_gradients(use_fused_loop)
    monkeypatch.setattr(onednn, "_float32_works", lambda: False)
    for one, other in zip(native, loss_and_gradients(use_fused_loop), strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=1e-5)


def test_an_exact_result_has_rounded_operands_and_float32_sums() -> None:
    x, weight, bias = operands()
    bias = bias + 100  # a result of this size would be rounded to halves in bfloat16
    expected = F.linear(x.bfloat16().float(), weight.bfloat16().float(), bias)
    before = torch.backends.mkldnn.matmul.fp32_precision
    result = PackedLinear(weight, bias, dtype=torch.bfloat16, exact_result=True)(x)
    assert torch.allclose(result, expected, atol=0.1)
    assert not torch.equal(result, result.bfloat16().float())
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def round_by_the_newer_switch(rounds: bool) -> None:
    torch.backends.mkldnn.matmul.fp32_precision = "bf16" if rounds else "none"


def round_by_the_older_switch(rounds: bool) -> None:
    torch.set_float32_matmul_precision("medium" if rounds else "highest")


@pytest.mark.parametrize("switch", [round_by_the_newer_switch, round_by_the_older_switch])
def test_products_of_float32_may_be_rounded_by_either_of_torch_s_switches(switch: Callable[[bool], None]) -> None:
    x, weight, bias = operands()
    expected = F.linear(x, weight, bias)
    switch(True)
    try:
        assert torch.allclose(linear(x, weight, bias), expected, atol=0.1)
    finally:
        switch(False)
    assert torch.allclose(linear(x, weight, bias), expected, atol=1e-5)

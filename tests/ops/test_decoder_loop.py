"""The fused loop over time against the plain one: equal losses and equal gradients, in mixed precision up to its rounding."""

import copy

import pytest
import torch
from factories import make_decoder, random_captions, random_features
from torch import Tensor

from showattend.cells import cell_names
from showattend.models.decoder import Decoder
from showattend.models.teacher_forcing import flatten_tokens
from showattend.ops import onednn
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.training.losses import doubly_stochastic_penalty
from showattend.vocabulary import PAD

FALLS_BACK = {"ligru", "sru"}  # batch statistics; a step that reads its input as well as the projection of it


OPTIONS: list[dict[str, object]] = [
    {"gate": "vector"},
    {"gate": "none"},
    {"deep_output": False},
    {"layers": 3},
    {"layers": 2, "cell": "layer_norm_lstm"},
    {"projection_dim": 4, "attention_options": {"layers": 2, "gain": 3.0}},
    {"cell_options": {"peepholes": ["o"]}, "cell": "peephole"},
]
PLAIN: list[dict[str, object]] = [  # for which there is the plain loop alone
    {"attention": "hard", "attention_options": {"expected": 1.0}},
    {"attention": "adaptive"},
    {"attention": "dot"},
]
LossAndGradients = tuple[Tensor, list[Tensor]]


def loss_and_gradients(
    decoder: Decoder, encoder_features: Tensor, input_ids: Tensor, *, fused: bool, mixed: torch.dtype | None = None
) -> LossAndGradients:
    """Likelihood and penalty, and the gradients of features and parameters, in one of the loops and precisions."""
    twin, features = copy.deepcopy(decoder).train(), encoder_features.clone().requires_grad_()
    twin.use_fused_loop = fused
    with torch.autocast("cpu", mixed, enabled=mixed is not None):
        output = twin(features, input_ids)
        targets = torch.where(input_ids != PAD, input_ids.flip(-1).clamp(min=4), PAD)
        loss = caption_loss(output.hidden, output.output, flatten_tokens(targets, input_ids != PAD)) + doubly_stochastic_penalty(
            output.alphas, input_ids != PAD
        )
    return loss, list(torch.autograd.grad(loss, [features, *twin.parameters()]))


def error(one: LossAndGradients, other: LossAndGradients) -> float:
    """The norm of the difference of all gradients together, as a share of the other's norm."""
    flat, flat_other = (torch.cat([gradient.flatten().double() for gradient in gradients]) for _, gradients in (one, other))
    return float((flat - flat_other).norm() / flat_other.norm())


def agree(decoder: Decoder, encoder_features: Tensor, input_ids: Tensor, *, atol: float = 1e-10) -> None:
    assert decoder.supports_fused_loop, "the plain loop would be compared with itself"
    (fused_loss, fused_gradients), (plain_loss, plain_gradients) = (
        loss_and_gradients(decoder, encoder_features, input_ids, fused=fused) for fused in (True, False)
    )
    assert torch.allclose(fused_loss, plain_loss, atol=atol)
    for one, other in zip(fused_gradients, plain_gradients, strict=True):
        assert torch.allclose(one, other, atol=atol)


@pytest.mark.parametrize("cell", [*(cell for cell in cell_names() if cell not in FALLS_BACK), "factories:ClockCell"])
def test_every_cell_has_equal_loss_and_gradients_in_both_loops(cell: str) -> None:
    agree(make_decoder(cell=cell, dropout=0.0), random_features(), random_captions())


@pytest.mark.parametrize("options", [*PLAIN, *({"cell": cell} for cell in sorted(FALLS_BACK))], ids=str)
def test_what_has_the_plain_loop_alone_says_so(options: dict[str, object]) -> None:
    assert not make_decoder(**options).supports_fused_loop


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_has_equal_loss_and_gradients_in_both_loops(options: dict[str, object]) -> None:
    agree(make_decoder(**{"dropout": 0.0, **options}), random_features(), random_captions())


def test_dropout_between_layers_needs_the_plain_loop_and_other_dropout_fits_both() -> None:
    assert not make_decoder(layers=2, dropout=0.5).train().cell.supports_fused_loop
    assert make_decoder(layers=2, dropout=0.5).eval().cell.supports_fused_loop
    decoder, encoder_features, input_ids = make_decoder(dropout=0.3).train(), random_features(), random_captions()
    logits = []
    for use_fused_loop in (True, False):
        decoder.use_fused_loop = use_fused_loop
        torch.manual_seed(1)
        logits.append(decoder(encoder_features, input_ids).logits)
    assert torch.allclose(*logits)


def test_an_image_without_captions_changes_nothing() -> None:
    decoder, input_ids = make_decoder(dropout=0.0), torch.zeros(2, 3, 4, dtype=torch.long)
    input_ids[1, 2, :2] = 5
    agree(decoder, random_features()[:2], input_ids)


def test_a_second_backward_is_refused() -> None:
    output = make_decoder()(random_features(), random_captions())
    output.alphas.square().sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="called twice"):
        output.alphas.square().sum().backward()


def test_both_loops_agree_in_single_precision() -> None:
    decoder = make_decoder(dropout=0.0, gate="vector").float()
    agree(decoder, random_features().float(), random_captions(), atol=2e-5)


def check_mixed(decoder: Decoder, tolerance: float = 0.01) -> None:
    """Mixed precision rounds operands and results of products to 8 bits of mantissa: errors of 2^-9 each, in both loops."""
    torch.manual_seed(0)
    inputs = decoder.float(), random_features().float(), random_captions()
    exact = loss_and_gradients(*inputs, fused=True)
    fused, plain = (loss_and_gradients(*inputs, fused=fused, mixed=torch.bfloat16) for fused in (True, False))
    assert fused[0].dtype == torch.float32
    assert fused[0].item() == pytest.approx(exact[0].item(), abs=2e-3)
    assert error(fused, exact) < tolerance
    assert error(fused, plain) < tolerance


@pytest.mark.parametrize("cell", [*cell_names(), "factories:ClockCell"])
def test_every_cell_has_the_gradients_of_float32_and_of_the_plain_loop_in_mixed_precision(cell: str) -> None:
    # The memory of ClockCell multiplies h with itself and so the errors: autograd's loop has up to 3% too.
    check_mixed(make_decoder(cell=cell, dropout=0.0), 0.05 if cell == "factories:ClockCell" else 0.01)


@pytest.mark.parametrize("options", [*OPTIONS, *PLAIN], ids=str)
def test_every_option_has_the_gradients_of_float32_in_mixed_precision(options: dict[str, object]) -> None:
    check_mixed(make_decoder(**{"dropout": 0.0, **options}))


def test_mixed_precision_on_a_processor_without_bfloat16_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "multiplies_bfloat16", lambda: False)
    check_mixed(make_decoder(dropout=0.0))


def test_float16_has_smaller_errors_than_bfloat16() -> None:
    inputs = make_decoder(dropout=0.0).float(), random_features().float(), random_captions()
    exact = loss_and_gradients(*inputs, fused=True)
    errors = [error(loss_and_gradients(*inputs, fused=True, mixed=dtype), exact) for dtype in (torch.float16, torch.bfloat16)]
    assert errors[0] < errors[1] / 3


def test_weights_of_bfloat16_have_the_gradients_of_mixed_precision() -> None:
    decoder, features, input_ids = make_decoder(dropout=0.0).bfloat16(), random_features().bfloat16(), random_captions()
    rounded = loss_and_gradients(decoder, features, input_ids, fused=True)
    mixed = loss_and_gradients(copy.deepcopy(decoder).float(), features.float(), input_ids, fused=True, mixed=torch.bfloat16)
    assert {gradient.dtype for gradient in rounded[1]} == {torch.bfloat16}
    assert error(rounded, mixed) < 0.02


def test_in_mixed_precision_states_and_alphas_are_float32_and_products_are_rounded() -> None:
    decoder, seen = make_decoder(dropout=0.0).float(), []
    update = decoder.cell.update

    def spy(activations: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen.extend((activations.dtype, *(entry.dtype for entry in state)))
        return update(activations, state)

    decoder.cell.update = spy  # type: ignore[method-assign]
    features, ids = random_features().float(), random_captions()
    with torch.autocast("cpu", torch.bfloat16):
        output = decoder(features, ids)
    decoder.cell.update = update  # type: ignore[method-assign]
    assert 0 < (output.hidden - decoder(features, ids).hidden).abs().max() < 0.05
    assert set(seen) == {torch.float32}
    assert output.alphas.dtype == torch.float32
    assert torch.allclose(output.alphas.sum(-1), (ids != PAD).float(), atol=1e-5)

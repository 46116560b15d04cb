"""The fused loop over time against the plain one: equal losses and equal gradients."""

import copy

import pytest
import torch
from factories import make_decoder, random_captions, random_features
from torch import Tensor

from showattend.cells import cell_names
from showattend.models.decoder import Decoder
from showattend.models.teacher_forcing import flatten_tokens
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.training.losses import doubly_stochastic_penalty
from showattend.vocabulary import PAD

FALLS_BACK = {"ligru", "sru"}  # batch statistics; a step that reads its input as well as the projection of it


def fused_and_plain(decoder: Decoder, encoder_features: Tensor, input_ids: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
    """Loss (likelihood and penalty) and gradients of the fused loop, then of the plain one."""
    results = []
    for use_fused_loop in (True, False):
        twin, features = copy.deepcopy(decoder).train(), encoder_features.clone().requires_grad_()
        twin.use_fused_loop = use_fused_loop
        output = twin(features, input_ids)
        targets = torch.where(input_ids != PAD, input_ids.flip(-1).clamp(min=4), PAD)
        loss = caption_loss(output.hidden, output.output, flatten_tokens(targets, input_ids != PAD)) + doubly_stochastic_penalty(
            output.alphas, input_ids != PAD
        )
        inputs = [features, *twin.parameters()]
        results.append((loss, list(torch.autograd.grad(loss, inputs))))
    return results


def agree(decoder: Decoder, encoder_features: Tensor, input_ids: Tensor, *, atol: float = 1e-10) -> None:
    (fused_loss, fused_gradients), (plain_loss, plain_gradients) = fused_and_plain(decoder, encoder_features, input_ids)
    assert torch.allclose(fused_loss, plain_loss, atol=atol)
    for one, other in zip(fused_gradients, plain_gradients, strict=True):
        assert torch.allclose(one, other, atol=atol)


@pytest.mark.parametrize("cell", [*cell_names(), "factories:ClockCell"])
def test_every_cell_has_equal_loss_and_gradients_in_both_loops(cell: str) -> None:
    decoder = make_decoder(cell=cell, dropout=0.0)
    assert decoder.cell.supports_fused_loop == (cell not in FALLS_BACK)
    agree(decoder, random_features(), random_captions())


@pytest.mark.parametrize(
    "options",
    [
        {"gate": "vector"},
        {"gate": "none"},
        {"deep_output": False},
        {"layers": 3},
        {"layers": 2, "cell": "layer_norm_lstm"},
        {"projection_dim": 4, "attention_options": {"layers": 2, "gain": 3.0}},
        {"cell_options": {"peepholes": ["o"]}, "cell": "peephole"},
        {"attention": "hard", "attention_options": {"expected": 1.0}},
        {"attention": "adaptive"},
        {"attention": "dot"},
    ],
    ids=str,
)
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

"""The fast way of teacher forcing against the plain one: the same numbers and the same gradients."""

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

FALLS_BACK = {"ligru", "sru"}  # batch statistics; x that goes past the matrix


def both_ways(decoder: Decoder, encoder_features: Tensor, words: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
    """Loss and gradients of the fast way and of the plain one, likelihood and penalty together."""
    found = []
    for use_fused_loop in (True, False):
        twin, seen = copy.deepcopy(decoder).train(), encoder_features.clone().requires_grad_()
        twin.use_fused_loop = use_fused_loop
        spoken = twin(seen, words)
        targets = torch.where(words != PAD, words.flip(-1).clamp(min=4), PAD)
        loss = caption_loss(spoken.hidden, spoken.output, flatten_tokens(targets, words != PAD)) + doubly_stochastic_penalty(
            spoken.alphas, words != PAD
        )
        wanted = [seen, *twin.parameters()]
        found.append((loss, list(torch.autograd.grad(loss, wanted))))
    return found


def agree(decoder: Decoder, encoder_features: Tensor, words: Tensor, *, atol: float = 1e-10) -> None:
    (use_fused_loop, fast_grads), (plain, plain_grads) = both_ways(decoder, encoder_features, words)
    assert torch.allclose(use_fused_loop, plain, atol=atol)
    for one, other in zip(fast_grads, plain_grads, strict=True):
        assert torch.allclose(one, other, atol=atol)


@pytest.mark.parametrize("cell", [*cell_names(), "factories:ClockCell"])
def test_every_cell_has_the_same_loss_and_gradients_either_way(cell: str) -> None:
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
def test_so_has_every_choice(options: dict[str, object]) -> None:
    agree(make_decoder(**{"dropout": 0.0, **options}), random_features(), random_captions())


def test_dropout_between_layers_goes_the_plain_way_and_elsewhere_either() -> None:
    assert not make_decoder(layers=2, dropout=0.5).train().cell.supports_fused_loop
    assert make_decoder(layers=2, dropout=0.5).eval().cell.supports_fused_loop
    decoder, encoder_features, words = make_decoder(dropout=0.3).train(), random_features(), random_captions()
    logits = []
    for use_fused_loop in (True, False):
        decoder.use_fused_loop = use_fused_loop
        torch.manual_seed(1)
        logits.append(decoder(encoder_features, words).logits)
    assert torch.allclose(*logits)


def test_one_caption_or_none_at_all() -> None:
    decoder, words = make_decoder(dropout=0.0), torch.zeros(2, 3, 4, dtype=torch.long)
    words[1, 2, :2] = 5
    agree(decoder, random_features()[:2], words)


def test_it_goes_back_once_and_says_so() -> None:
    spoken = make_decoder()(random_features(), random_captions())
    spoken.alphas.square().sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="called twice"):
        spoken.alphas.square().sum().backward()


def test_in_single_precision_too() -> None:
    decoder = make_decoder(dropout=0.0, gate="vector").float()
    agree(decoder, random_features().float(), random_captions(), atol=2e-5)

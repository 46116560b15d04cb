"""The cross-entropy that never makes all logits, against torch's, which does."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from showattend.ops import linear_cross_entropy as module
from showattend.ops.linear_cross_entropy import caption_loss
from showattend.vocabulary import PAD

M, V = 6, 23


@pytest.fixture(autouse=True)
def narrow_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", 1)
    monkeypatch.setattr(module, "NARROWEST", 7)


def problem(channels: int = 5) -> tuple[Tensor, nn.Linear, Tensor]:
    torch.manual_seed(0)
    return torch.randn(M, channels).double().requires_grad_(), nn.Linear(channels, V).double(), torch.tensor([1, 2, PAD, 22, 7, PAD])


def of_logits(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The loss where words are spoken from logits themselves."""
    output = nn.Linear(logits.shape[1], logits.shape[1]).to(logits.dtype)
    with torch.no_grad():
        output.weight.copy_(torch.eye(logits.shape[1]))
        output.bias.zero_()
    return caption_loss(logits, output, targets, label_smoothing=smoothing)


@pytest.mark.parametrize("channels", [M - 2, M, M + 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_and_its_gradients_are_torch_s(smoothing: float, channels: int) -> None:
    hidden, output, targets = problem(channels)
    mine = caption_loss(hidden, output, targets, label_smoothing=smoothing)
    theirs = cross_entropy(output(hidden), targets, ignore_index=PAD, label_smoothing=smoothing)
    assert torch.allclose(mine, theirs)
    wanted = (hidden, output.weight, output.bias)
    for one, other in zip(*(torch.autograd.grad(3 * loss, wanted) for loss in (mine, theirs)), strict=True):
        assert torch.allclose(one, other)


def test_large_logits_overflow_nowhere() -> None:
    hidden, output, targets = problem()
    large = (1e4 * hidden).float().detach().requires_grad_()
    loss = caption_loss(large, output.float(), targets)
    assert torch.allclose(loss, cross_entropy(output(large), targets, ignore_index=PAD))
    loss.backward()
    assert large.grad is not None
    assert large.grad.isfinite().all()


def test_without_gradients_it_is_the_same() -> None:
    hidden, output, targets = problem()
    with torch.no_grad():
        quiet = caption_loss(hidden, output, targets)
    assert torch.equal(quiet, caption_loss(hidden, output, targets))


def test_it_goes_back_once_and_says_so() -> None:
    loss = caption_loss(*problem())
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="goes back once"):
        loss.backward()


def test_in_mixed_precision_it_is_torch_s() -> None:
    hidden, output, targets = problem()
    hidden, output = hidden.detach().float(), output.float()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = caption_loss(hidden, output, targets)
    assert mixed.dtype == torch.float32
    assert torch.allclose(mixed, caption_loss(hidden, output, targets), rtol=0.02)


def test_the_loss_of_equal_logits_is_the_log_of_the_vocabulary() -> None:
    assert of_logits(torch.zeros(3, 7), torch.tensor([1, 2, 6])).item() == pytest.approx(math.log(7))


def test_padding_changes_no_loss() -> None:
    logits, targets = torch.randn(4, 7), torch.tensor([1, 2, 3, 4])
    padded = torch.cat((logits, torch.randn(2, 7))), torch.cat((targets, torch.tensor([PAD, PAD])))
    assert torch.allclose(of_logits(logits, targets, 0.1), of_logits(*padded, 0.1))


def test_label_smoothing_is_the_mixture_with_the_uniform_distribution() -> None:
    logits, targets = torch.randn(5, 7), torch.randint(1, 7, (5,))
    log_probs = logits.log_softmax(-1)
    picked = log_probs[torch.arange(5), targets]
    expected = -(0.8 * picked + 0.2 * log_probs.mean(-1)).mean()
    assert of_logits(logits, targets, 0.2).item() == pytest.approx(expected.item(), rel=1e-6)

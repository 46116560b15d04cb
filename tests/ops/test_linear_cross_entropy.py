"""The cross-entropy in vocabulary chunks against torch's, which makes all logits."""

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
def narrow_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four chunks, the last one narrower."""
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 1)
    monkeypatch.setattr(module, "MIN_CHUNK", 7)


def random_problem(channels: int = 5) -> tuple[Tensor, nn.Linear, Tensor]:
    """Hidden vectors, output layer and targets, of which two are padding."""
    torch.manual_seed(0)
    return torch.randn(M, channels).double().requires_grad_(), nn.Linear(channels, V).double(), torch.tensor([1, 2, PAD, 22, 7, PAD])


def loss_of_logits(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The loss for an output layer that passes its input on as logits."""
    output = nn.Linear(logits.shape[1], logits.shape[1]).to(logits.dtype)
    with torch.no_grad():
        output.weight.copy_(torch.eye(logits.shape[1]))
        output.bias.zero_()
    return caption_loss(logits, output, targets, label_smoothing=smoothing)


@pytest.mark.parametrize("channels", [M - 2, M, M + 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("min_chunk", [1, 7, V, 1000])
def test_loss_and_gradients_equal_torch_s(monkeypatch: pytest.MonkeyPatch, min_chunk: int, smoothing: float, channels: int) -> None:
    monkeypatch.setattr(module, "MIN_CHUNK", min_chunk)
    hidden, output, targets = random_problem(channels)
    loss = caption_loss(hidden, output, targets, label_smoothing=smoothing)
    expected = cross_entropy(output(hidden), targets, ignore_index=PAD, label_smoothing=smoothing)
    assert torch.allclose(loss, expected)
    inputs = (hidden, output.weight, output.bias)
    for one, other in zip(*(torch.autograd.grad(3 * result, inputs) for result in (loss, expected)), strict=True):
        assert torch.allclose(one, other)


@pytest.mark.parametrize("channels", [M - 2, M + 3])
def test_gradients_equal_finite_differences(channels: int) -> None:
    hidden, output, targets = random_problem(channels)

    def loss(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        result: Tensor = module._LinearCrossEntropy.apply(hidden, weight, bias, targets, 0.1, True, torch.float64)
        return result

    inputs = [x.detach().requires_grad_() for x in (hidden, output.weight, output.bias)]
    # Not torch's gradcheck: it runs several backward passes on one loss.
    analytic = torch.autograd.grad(loss(*inputs), inputs)
    for x, gradient in zip(inputs, analytic, strict=True):
        direction = torch.randn_like(x)
        plus, minus = (loss(*(y + step * direction if y is x else y for y in inputs)) for step in (1e-6, -1e-6))
        assert ((plus - minus) / 2e-6).item() == pytest.approx((gradient * direction).sum().item(), rel=1e-5, abs=1e-9)


def test_large_logits_do_not_overflow() -> None:
    hidden, output, targets = random_problem()
    large = (1e4 * hidden).float().detach().requires_grad_()
    loss = caption_loss(large, output.float(), targets)
    assert torch.allclose(loss, cross_entropy(output(large), targets, ignore_index=PAD))
    loss.backward()
    assert large.grad is not None
    assert large.grad.isfinite().all()


def test_hidden_vectors_of_zeros_give_the_loss_of_the_bias() -> None:
    _, output, targets = random_problem()
    loss = caption_loss(torch.zeros(M, 5).double(), output, targets)
    assert torch.allclose(loss, cross_entropy(output.bias.expand(M, -1), targets, ignore_index=PAD))


def test_without_gradients_the_loss_is_bit_equal() -> None:
    hidden, output, targets = random_problem()
    with torch.no_grad():
        loss = caption_loss(hidden, output, targets)
    assert torch.equal(loss, caption_loss(hidden, output, targets))


def test_a_second_backward_pass_is_refused() -> None:
    loss = caption_loss(*random_problem())
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match=r"backward\(\) was called twice"):
        loss.backward()


def test_the_weight_s_gradient_keeps_no_larger_buffer_alive() -> None:
    hidden, output, targets = random_problem(M - 2)
    (gradient,) = torch.autograd.grad(caption_loss(hidden, output, targets), output.weight)
    assert gradient.untyped_storage().nbytes() == gradient.numel() * gradient.element_size()


def test_mixed_precision_gives_a_float32_loss_near_the_exact_one() -> None:
    hidden, output, targets = random_problem()
    hidden, output = hidden.detach().float(), output.float()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = caption_loss(hidden, output, targets)
    assert mixed.dtype == torch.float32
    assert torch.allclose(mixed, caption_loss(hidden, output, targets), rtol=0.02)


def test_the_loss_of_equal_logits_is_the_log_of_the_vocabulary_size() -> None:
    assert loss_of_logits(torch.zeros(3, 7), torch.tensor([1, 2, 6])).item() == pytest.approx(math.log(7))


def test_padding_does_not_change_the_loss() -> None:
    logits, targets = torch.randn(4, 7), torch.tensor([1, 2, 3, 4])
    padded = torch.cat((logits, torch.randn(2, 7))), torch.cat((targets, torch.tensor([PAD, PAD])))
    assert torch.allclose(loss_of_logits(logits, targets, 0.1), loss_of_logits(*padded, 0.1))


def test_label_smoothing_mixes_the_target_with_the_uniform_distribution() -> None:
    logits, targets = torch.randn(5, 7), torch.randint(1, 7, (5,))
    log_probs = logits.log_softmax(-1)
    target_log_probs = log_probs[torch.arange(5), targets]
    expected = -(0.8 * target_log_probs + 0.2 * log_probs.mean(-1)).mean()
    assert loss_of_logits(logits, targets, 0.2).item() == pytest.approx(expected.item(), rel=1e-6)

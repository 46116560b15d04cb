import math

import pytest
import torch

from showattend.errors import InputError
from showattend.losses import caption_loss, doubly_stochastic_penalty
from showattend.vocabulary import PAD


def test_the_loss_of_equal_logits_is_the_log_of_the_vocabulary() -> None:
    assert caption_loss(torch.zeros(3, 7), torch.tensor([1, 2, 6])).item() == pytest.approx(math.log(7))


def test_padding_changes_no_loss() -> None:
    logits, targets = torch.randn(4, 7), torch.tensor([1, 2, 3, 4])
    padded = torch.cat((logits, torch.randn(2, 7))), torch.cat((targets, torch.tensor([PAD, PAD])))
    assert torch.allclose(caption_loss(logits, targets, label_smoothing=0.1), caption_loss(*padded, label_smoothing=0.1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_and_its_gradient_are_torch_s(smoothing: float) -> None:
    logits, targets = torch.randn(6, 7).double().requires_grad_(), torch.tensor([1, 2, PAD, 4, 6, PAD])
    mine = caption_loss(logits, targets, label_smoothing=smoothing)
    theirs = torch.nn.functional.cross_entropy(logits, targets, ignore_index=PAD, label_smoothing=smoothing)
    assert torch.allclose(mine, theirs)
    grads = [torch.autograd.grad(3 * loss, logits)[0] for loss in (mine, theirs)]
    assert torch.allclose(*grads)


def test_label_smoothing_is_the_mixture_with_the_uniform_distribution() -> None:
    logits, targets = torch.randn(5, 7), torch.randint(1, 7, (5,))
    log_probs = logits.log_softmax(-1)
    picked = log_probs[torch.arange(5), targets]
    expected = -(0.8 * picked + 0.2 * log_probs.mean(-1)).mean()
    assert caption_loss(logits, targets, label_smoothing=0.2).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("target", [1.0, None])
def test_the_penalty_is_the_paper_s_sum_for_each_caption_and_ignores_padding(target: float | None) -> None:
    lengths, locations = (3, 5, 0), 4
    alphas = torch.rand(3, 6, locations).softmax(-1)
    mask = torch.arange(6) < torch.tensor(lengths).unsqueeze(1)
    expected = 0.0
    for caption, length in enumerate(lengths):
        tau = length / locations if target is None else target
        for i in range(locations):
            if length:
                expected += (tau - sum(alphas[caption, t, i].item() for t in range(length))) ** 2
    assert doubly_stochastic_penalty(alphas, mask, target=target).item() == pytest.approx(expected / sum(lengths), rel=1e-5)


def test_the_reductions_divide_the_same_sum() -> None:
    alphas, mask = torch.rand(3, 6, 4).softmax(-1), torch.arange(6) < torch.tensor([[3], [5], [0]])
    by = {name: doubly_stochastic_penalty(alphas, mask, reduction=name).item() for name in ("word", "caption", "location")}
    assert by["word"] * 8 == pytest.approx(by["caption"] * 2)
    assert by["caption"] == pytest.approx(by["location"] * 4)
    with pytest.raises(InputError, match="caption"):
        doubly_stochastic_penalty(alphas, mask, reduction="captions")


def test_attention_that_meets_its_target_everywhere_costs_nothing() -> None:
    alphas = torch.full((2, 8, 4), 0.25)
    mask = torch.ones(2, 8, dtype=torch.bool)
    assert doubly_stochastic_penalty(alphas, mask, target=None).item() == pytest.approx(0.0, abs=1e-10)
    assert doubly_stochastic_penalty(alphas, mask, target=2.0).item() == pytest.approx(0.0, abs=1e-10)

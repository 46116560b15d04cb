"""What training minimises beside the cross-entropy: the doubly stochastic penalty, and what cannot be derived (REINFORCE)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from showattend.errors import unknown_name
from showattend.models.teacher_forcing import unflatten_tokens

REDUCTIONS = ("word", "caption", "location")


def caption_log_likelihoods(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """log p(y | a) of every caption: the sum over its words, in nats.

    Args:
        logits: of the M words at the places of `mask`, in the order of `pack`, (M,V)
        targets: these words, (M,)
        mask: where in the captions they stand, (N,G,T)

    Returns:
        (N,G); 0 for a caption without words
    """
    return unflatten_tokens(-F.cross_entropy(logits.float(), targets, reduction="none"), mask).sum(-1)


def doubly_stochastic_penalty(alphas: Tensor, mask: Tensor, *, target: float | None = 1.0, reduction: str = "word") -> Tensor:
    """How far the attention that each location receives over a caption is from `target`.

    sum_i (tau - sum_t alpha_ti)^2 for each caption (Xu et al. 2015, eq. 14), summed over the captions. Padding does not
    count, and neither does a caption that is all padding.

    Args:
        alphas: weights on the locations at each word, (..., T, L)
        mask: true where there is a word, (..., T)
        target: tau; None means T / L with the caption's own T, which the authors say would be more principled
        reduction: what the sum is divided by: the captions' `word`s, as the likelihood is, so that a weight means what it means
            in the paper; the number of `caption`s; or that of captions times `location`s

    Returns:
        a scalar

    Raises:
        InputError: no such reduction.
    """
    if reduction not in REDUCTIONS:
        raise unknown_name("penalty reduction", reduction, REDUCTIONS)
    words = mask.sum(-1)
    received = (alphas * mask.unsqueeze(-1)).sum(-2)
    tau = words.unsqueeze(-1) / alphas.shape[-1] if target is None else target
    per_caption = (tau - received).square().sum(-1) * (words > 0)
    captions = (words > 0).sum()
    divisor = {"word": words.sum(), "caption": captions, "location": captions * alphas.shape[-1]}[reduction]
    penalty: Tensor = per_caption.sum() / divisor.clamp(min=1)
    return penalty


def attention_entropy(alphas: Tensor, mask: Tensor) -> Tensor:
    """Mean entropy of alpha over the words, in nats (Xu et al. 2015, eq. 11).

    Args:
        alphas: weights on the locations at each word, (..., T, L)
        mask: true where there is a word, (..., T)

    Returns:
        a scalar
    """
    entropies: Tensor = torch.special.entr(alphas).sum(-1) * mask
    return entropies.sum() / mask.sum().clamp(min=1)


def leave_one_out(rewards: Tensor, sizes: Tensor | None = None) -> Tensor:
    """For each of S draws the mean reward of the others: a baseline that owes nothing to the draw itself (Kool et al. 2019).

    Where the draws are captions of unlike size, such as a photo's captions, what is averaged is the reward per word, and the
    baseline is that mean times the caption's own words.

    Args:
        rewards: (..., S)
        sizes: words of each caption, 0 where there is none, (..., S); None: all alike

    Returns:
        baselines (..., S); the draw's own reward, and so no advantage, where there is no other
    """
    sizes = torch.ones_like(rewards) if sizes is None else sizes.to(rewards.dtype)
    there = sizes > 0
    rates = torch.where(there, rewards / sizes.clamp(min=1), 0.0)
    others = there.sum(-1, keepdim=True) - 1
    baselines = sizes * (rates.sum(-1, keepdim=True) - rates) / others.clamp(min=1)
    return torch.where(others > 0, baselines, rewards)


def reinforce_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """A quantity whose gradient is REINFORCE's (Williams 1992): minus the sum of advantage times log-probability of what was drawn.

    Args:
        log_probs: of all that was drawn for a caption, with gradient, (N,G)
        advantages: reward less baseline, (N,G)

    Returns:
        a scalar
    """
    loss: Tensor = -(advantages.detach() * log_probs).sum()
    return loss

"""Losses beside the cross-entropy: the doubly stochastic penalty, and the score-function (REINFORCE) loss with its baselines."""

import torch
from torch import Tensor
from torch.nn import functional as F

from showattend.errors import unknown_name
from showattend.models.teacher_forcing import unflatten_tokens

REDUCTIONS = ("word", "caption", "location")


def caption_log_likelihoods(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """log p(y | a) of every caption: the sum over its words, in nats.

    Args:
        logits: of the M tokens where `mask` is true, in the order of `flatten_tokens`, (M,V)
        targets: their ids, (M,)
        mask: true where there is a token, (N,G,T)

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
        mask: true where there is a token, (..., T)
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
        mask: true where there is a token, (..., T)

    Returns:
        a scalar
    """
    entropies: Tensor = torch.special.entr(alphas).sum(-1) * mask
    return entropies.sum() / mask.sum().clamp(min=1)


def leave_one_out(rewards: Tensor, lengths: Tensor | None = None) -> Tensor:
    """For each of S samples the mean reward of the others: a baseline independent of the sample itself (Kool et al. 2019).

    For captions of different lengths, such as a photo's references, the reward per token is averaged, and the baseline is that
    mean times the caption's own length.

    Args:
        rewards: (..., S)
        lengths: tokens of each caption, 0 where there is none, (..., S); None: all alike

    Returns:
        baselines (..., S); the sample's own reward, and so no advantage, where there is no other
    """
    lengths = torch.ones_like(rewards) if lengths is None else lengths.to(rewards.dtype)
    mask = lengths > 0
    rates = torch.where(mask, rewards / lengths.clamp(min=1), 0.0)
    others = mask.sum(-1, keepdim=True) - 1
    baselines = lengths * (rates.sum(-1, keepdim=True) - rates) / others.clamp(min=1)
    return torch.where(others > 0, baselines, rewards)


def reinforce_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Score-function loss (Williams 1992): minus the sum of advantage times log-probability of the samples.

    Args:
        log_probs: of a caption's samples, with gradient, (N,G)
        advantages: reward less baseline, (N,G)

    Returns:
        a scalar
    """
    loss: Tensor = -(advantages.detach() * log_probs).sum()
    return loss

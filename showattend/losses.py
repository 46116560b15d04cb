"""What training minimises: the captions' negative log-likelihood and the doubly stochastic penalty (Xu et al. 2015, eq. 14)."""

from torch import Tensor
from torch.nn import functional as F

from showattend.vocabulary import PAD


def caption_loss(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Mean negative log-likelihood of the words that are no padding, in nats per word.

    Args:
        logits: unnormalised log-probabilities, (M,V)
        targets: the words that should have come, (M,); `<pad>` is masked out
        label_smoothing: share of the probability that goes to all words alike (Szegedy et al. 2016)

    Returns:
        a scalar
    """
    return F.cross_entropy(logits, targets, ignore_index=PAD, label_smoothing=label_smoothing)


def doubly_stochastic_penalty(alphas: Tensor, mask: Tensor, *, target: float | None = 1.0) -> Tensor:
    """How far the attention that each location receives over a caption is from `target`.

    sum_i (tau - sum_t alpha_ti)^2 over each caption (Xu et al. 2015, eq. 14), summed over the captions and divided by their
    words: the likelihood is a mean over words too, so that a weight means what it means in the paper. Padding does not
    count, and neither does a caption that is all padding.

    Args:
        alphas: weights on the locations at each word, (..., T, L)
        mask: true where there is a word, (..., T)
        target: tau; None means T / L with the caption's own T, which the authors say would be more principled

    Returns:
        a scalar
    """
    words = mask.sum(-1)
    received = (alphas * mask.unsqueeze(-1)).sum(-2)
    tau = words.unsqueeze(-1) / alphas.shape[-1] if target is None else target
    per_caption = (tau - received).square().sum(-1) * (words > 0)
    return per_caption.sum() / words.sum().clamp(min=1)

"""The captions' cross-entropy, from what words are spoken from, without the logits of all words at once.

Over a large vocabulary the logits, their log-probabilities, the probabilities and the gradients of logits and weights are most of a
training step's memory. Here a slice of the vocabulary is made at a time, small enough for a core's cache. What the way back needs of it,
the exponentials of its logits, lies where the gradient of the slice's weights will lie: each is made of the other.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from showattend.ops.linear import linear, weight_grad
from showattend.vocabulary import PAD

# Logits in one slice: two megabytes of float32, but at least so many words, or products would be too narrow.
SLICE, NARROWEST = 1 << 19, 256


def caption_loss(hidden: Tensor, output: nn.Linear, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Mean negative log-likelihood of the words that are no padding, in nats per word.

    Its gradient can be asked for once: what it is made of is used up.

    Args:
        hidden: what the words are spoken from, (M,E)
        output: makes logits of it, the vocabulary's unnormalised log-probabilities, (M,V)
        targets: the words that should have come, (M,); `<pad>` is masked out
        label_smoothing: share of the probability that goes to all words alike (Szegedy et al. 2016)

    Returns:
        a scalar
    """
    # Slices pay in a processor's caches; in half precision their sums would not be exact enough.
    if hidden.device.type != "cpu" or torch.is_autocast_enabled("cpu") or hidden.dtype.itemsize < 4:
        logits = output(hidden)
        logits = logits.float() if logits.dtype.itemsize < 4 else logits
        return F.cross_entropy(logits, targets, ignore_index=PAD, label_smoothing=label_smoothing)
    loss: Tensor = _CrossEntropy.apply(hidden, output.weight, output.bias, targets, label_smoothing, torch.is_grad_enabled())
    return loss


def _slices(words: int, vocabulary: int) -> Iterator[slice]:
    width = max(NARROWEST, SLICE // max(1, words))
    return (slice(start, min(start + width, vocabulary)) for start in range(0, vocabulary, width))


class _GradBuffer:
    """Where the exponentials of all slices lie, and then, one after the other from the first, the gradients of their weights."""

    def __init__(self, hidden: Tensor, weight: Tensor) -> None:
        (self.words, self.channels), self.vocabulary = hidden.shape, len(weight)
        # A slice's gradient begins no later than its exponentials, and ends before the next slice's.
        self.step = max(self.words, self.channels)
        self.numbers = hidden.new_empty(self.vocabulary * self.step)

    def raised(self, words: slice) -> Tensor:
        """A slice's exponentials, (M, its words)."""
        count = words.stop - words.start
        return self.numbers[words.start * self.step :][: self.words * count].view(self.words, count)

    def to_weight(self) -> Tensor:
        """The gradient of the weights, (V,E)."""
        return self.numbers[: self.vocabulary * self.channels].view(self.vocabulary, self.channels)


class _CrossEntropy(Function):
    """Applied to hidden (M,E), weight (V,E), bias (V,), targets (M,), the label smoothing, and whether there will be a way back."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float, returns: bool) -> Tensor:
        ctx.room = _GradBuffer(hidden, weight) if returns else None
        peaks, sums = [], []
        for words in _slices(len(hidden), len(weight)):
            logits = linear(hidden, weight[words], bias[words])
            peaks.append(logits.amax(1, keepdim=True))
            raised = torch.sub(logits, peaks[-1], out=ctx.room.raised(words) if returns else logits).exp_()
            sums.append(raised.sum(1))
        # The logarithm of what the exponentials of all logits add up to.
        whole = (torch.cat(peaks, 1) + torch.stack(sums, 1).log()).logsumexp(1)
        wanted = (hidden * weight[targets]).sum(1) + bias[targets]
        if smoothing:
            wanted = torch.lerp(wanted, hidden @ weight.mean(0) + bias.mean(), smoothing)
        there = (targets != PAD).to(whole.dtype)
        share = there / there.sum()
        ctx.save_for_backward(hidden, weight, targets, share, *(peak.squeeze(1) - whole for peak in peaks))
        ctx.smoothing = smoothing
        return (whole - wanted) @ share

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.room is None:
            raise RuntimeError("this loss goes back once: its probabilities have become the gradient")
        hidden, weight, targets, share, *scales = ctx.saved_tensors
        room, ctx.room = ctx.room, None
        share = (share * grad).unsqueeze(1)
        to_hidden, to_weight, to_bias = torch.zeros_like(hidden), room.to_weight(), weight.new_empty(len(weight))
        for words, scale in zip(_slices(len(hidden), len(weight)), scales, strict=True):
            to_logits = room.raised(words)
            to_logits *= scale.exp().unsqueeze(1) * share
            if ctx.smoothing:
                to_logits -= ctx.smoothing / len(weight) * share
            (here,) = ((targets >= words.start) & (targets < words.stop)).nonzero(as_tuple=True)
            to_logits[here, targets[here] - words.start] -= (1 - ctx.smoothing) * share[here, 0]
            to_hidden += linear(to_logits, weight[words].t())
            to_bias[words] = to_logits.sum(0)
            to_weight[words] = weight_grad(to_logits, hidden)
        # Of a room that is larger than the gradient nobody should keep the rest.
        return to_hidden, to_weight if room.step == room.channels else to_weight.clone(), to_bias, None, None, None

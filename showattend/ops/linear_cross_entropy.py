"""Linear layer and cross-entropy in vocabulary chunks, so that logits and their gradients never exist side by side.

With a large vocabulary the logits, their log-probabilities, the probabilities and the gradients of logits and weights take most
of a training step's memory. Here the logits of one chunk of the vocabulary are computed at a time, small enough for a core's
cache. exp(logits) of a chunk is stored in the buffer that the backward pass overwrites with the gradient of that chunk's weights.

torch 2.14 brings `torch.nn.functional.linear_cross_entropy`, which works in chunks of rows. Against this module it takes, on one
core of a Xeon with E 512 and V 10,000, 1.5 times as long and 0.7 of the memory at M 480, 0.8 and 0.3 at M 2,000; with chunks of
256 rows 0.8 of the time at both, and as much memory at M 480 (`scripts/bench_linear_cross_entropy.py`). This module stays because
torch's has no label smoothing in chunks, which most of our recipes use, and older versions of torch do not have it.

M rows (tokens), E channels of the hidden vectors, V tokens in the vocabulary.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from showattend.ops.linear import filled_count, multiply, product_dtype, torch_takes_onednn, weight_grad
from showattend.vocabulary import PAD

# Logits in one chunk: two megabytes of float32. A chunk has at least MIN_CHUNK tokens: narrower matrix products are slow.
CHUNK_ELEMENTS, MIN_CHUNK = 1 << 19, 256


def caption_loss(hidden: Tensor, output: nn.Linear, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the tokens that are no padding, in nats per token.

    Its backward pass can run once: it overwrites what the forward pass saved.

    Args:
        hidden: input of the output layer, (M,E)
        output: makes logits of it, the unnormalised log-probabilities of the vocabulary, (M,V)
        targets: the right token ids, (M,); `<pad>` is masked out
        label_smoothing: probability that is spread evenly over the vocabulary (Szegedy et al. 2016)

    Returns:
        a scalar
    """
    # Chunks pay because of a processor's caches.
    if hidden.device.type != "cpu":
        logits = output(hidden)
        logits = logits.float() if logits.dtype.itemsize < 4 else logits
        return F.cross_entropy(logits, targets, ignore_index=PAD, label_smoothing=label_smoothing)
    needs_grad = torch.is_grad_enabled()
    dtype, hidden = product_dtype(hidden), hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    if torch_takes_onednn(hidden.device, dtype):
        # Here once, instead of in the products of every chunk; rows with <pad> count for nothing.
        missing = filled_count(len(hidden)) - len(hidden)
        hidden, targets = F.pad(hidden, (0, 0, 0, missing)), F.pad(targets, (0, missing), value=PAD)
    with torch.autocast("cpu", enabled=False):
        loss: Tensor = _LinearCrossEntropy.apply(hidden, output.weight, output.bias, targets, label_smoothing, needs_grad, dtype)
    return loss


def _chunks(rows: int, vocabulary_size: int) -> Iterator[slice]:
    """Slices of the vocabulary."""
    width = max(MIN_CHUNK, CHUNK_ELEMENTS // max(1, rows))
    return (slice(start, min(start + width, vocabulary_size)) for start in range(0, vocabulary_size, width))


class _GradBuffer:
    """Memory that holds exp(logits) of all chunks, and then, chunk by chunk from the first, the gradient of the weights."""

    def __init__(self, hidden: Tensor, weight: Tensor) -> None:
        (self.rows, self.channels), self.vocabulary_size = hidden.shape, len(weight)
        # With this many elements per token the gradient of a chunk starts no later than its exp(logits), and ends before the
        # exp(logits) of the next chunk start.
        self.stride = max(self.rows, self.channels)
        self.storage = hidden.new_empty(self.vocabulary_size * self.stride)

    def exp_logits(self, chunk: slice) -> Tensor:
        """exp(logits) of a chunk, (M, tokens of the chunk)."""
        count = chunk.stop - chunk.start
        return self.storage[chunk.start * self.stride :][: self.rows * count].view(self.rows, count)

    def grad_weight(self) -> Tensor:
        """The gradient of the weights, (V,E)."""
        return self.storage[: self.vocabulary_size * self.channels].view(self.vocabulary_size, self.channels)


class _LinearCrossEntropy(Function):
    """Applied to hidden (M,E), weight (V,E), bias (V,), targets (M,), label smoothing, needs_grad, and the precision of products.

    `needs_grad` says whether a backward pass may follow. In mixed precision hidden and the gradients are float32, and the operands of
    products have 16 bits.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        smoothing: float,
        needs_grad: bool,
        dtype: torch.dtype,
    ) -> Tensor:
        rounded = hidden.to(dtype), weight.to(dtype)
        ctx.buffer = _GradBuffer(hidden, weight) if needs_grad else None
        maxima, sums = [], []
        for chunk in _chunks(len(hidden), len(weight)):
            logits = multiply(rounded[0], rounded[1][chunk], bias[chunk].to(dtype)).to(hidden.dtype)
            maxima.append(logits.amax(1, keepdim=True))
            exp_logits = torch.sub(logits, maxima[-1], out=ctx.buffer.exp_logits(chunk) if needs_grad else logits).exp_()
            sums.append(exp_logits.sum(1))
        logsumexp = (torch.cat(maxima, 1) + torch.stack(sums, 1).log()).logsumexp(1)
        target_logit = (hidden * weight[targets]).sum(1) + bias[targets]
        if smoothing:
            target_logit = torch.lerp(target_logit, hidden @ weight.mean(0) + bias.mean(), smoothing)
        mask = (targets != PAD).to(logsumexp.dtype)
        row_weight = mask / mask.sum()
        ctx.save_for_backward(*rounded, targets, row_weight, *(maximum.squeeze(1) - logsumexp for maximum in maxima))
        ctx.smoothing = smoothing
        return (logsumexp - target_logit) @ row_weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.buffer is None:
            raise RuntimeError("backward() was called twice: the saved buffer is freed after the first call, compute the loss again")
        hidden, weight, targets, row_weight, *log_scales = ctx.saved_tensors
        buffer, ctx.buffer = ctx.buffer, None
        row_weight = (row_weight * grad).unsqueeze(1)
        grad_weight = buffer.grad_weight()
        grad_hidden, grad_bias = torch.zeros_like(hidden, dtype=grad_weight.dtype), grad_weight.new_empty(len(weight))
        for chunk, log_scale in zip(_chunks(len(hidden), len(weight)), log_scales, strict=True):
            # Softmax minus the (smoothed) one-hot target, in place.
            grad_logits = buffer.exp_logits(chunk)
            grad_logits *= log_scale.exp().unsqueeze(1) * row_weight
            if ctx.smoothing:
                grad_logits -= ctx.smoothing / len(weight) * row_weight
            (rows,) = ((targets >= chunk.start) & (targets < chunk.stop)).nonzero(as_tuple=True)
            grad_logits[rows, targets[rows] - chunk.start] -= (1 - ctx.smoothing) * row_weight[rows, 0]
            grad_bias[chunk], grad_logits = grad_logits.sum(0), grad_logits.to(hidden.dtype)
            grad_hidden += multiply(grad_logits, weight[chunk].t())
            grad_weight[chunk] = weight_grad(grad_logits, hidden)
        # A view would keep all of a buffer that is larger than the gradient.
        grad_weight = grad_weight if buffer.stride == buffer.channels else grad_weight.clone()
        return grad_hidden, grad_weight, grad_bias, None, None, None, None

"""The attention's energies without the memory: e = w . tanh(k + q) for all locations and rows of a photo.

Written plainly, every word of every caption leaves an activation of size (L,A) for the backward pass. Here the tanh is
made again when its gradient is needed, a few photos at a time, so that it never leaves the processor's cache.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# Numbers in one block: 2 MB of float32, the second-level cache of a present-day core.
BLOCK = 1 << 19


class AdditiveEnergy(Function):
    """e_ngl = w . tanh(k_nl + q_ng), the energies of additive attention (Bahdanau et al. 2015; Xu et al. 2015, eq. 4).

    Applied to keys (N,L,A), queries (N,G,A) and w (A,), gives (N,G,L).
    """

    @staticmethod
    def forward(ctx: Any, keys: Tensor, queries: Tensor, weight: Tensor) -> Tensor:
        """The energies, (N,G,L)."""
        ctx.save_for_backward(keys, queries, weight)
        return torch.cat([_tanh(k, q) @ weight for k, q in zip(*_blocks(keys, queries), strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From the gradient of the energies, (N,G,L), to those of keys, queries and weight."""
        keys, queries, weight = ctx.saved_tensors
        grad_keys, grad_queries = torch.empty_like(keys), torch.empty_like(queries)
        grad_weight = torch.zeros_like(weight)
        parts = zip(*_blocks(keys, queries), *_blocks(grad_keys, grad_queries), grad.split(_photos(keys, queries)), strict=True)
        for k, q, to_k, to_q, e in parts:
            activation = _tanh(k, q)
            grad_weight += e.flatten() @ activation.flatten(0, 2)
            # d tanh = 1 - tanh^2: the 1 sums to the sum of e, the square is one small product for each side.
            square = activation.square_()
            torch.sub(e.sum(2, keepdim=True), (e.unsqueeze(2) @ square).squeeze(2), out=to_q)
            torch.sub(e.sum(1).unsqueeze(2), square.mul_(e.unsqueeze(3)).sum(1), out=to_k)
        return grad_keys.mul_(weight), grad_queries.mul_(weight), grad_weight


def _tanh(keys: Tensor, queries: Tensor) -> Tensor:
    return (keys.unsqueeze(1) + queries.unsqueeze(2)).tanh_()


def _photos(keys: Tensor, queries: Tensor) -> int:
    """How many photos make one block."""
    return max(1, BLOCK // (keys[0].numel() * queries.shape[1]))


def _blocks(keys: Tensor, queries: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    photos = _photos(keys, queries)
    return keys.split(photos), queries.split(photos)

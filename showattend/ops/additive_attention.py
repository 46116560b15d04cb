"""The attention's energies without the memory and without the tanh: e = w . tanh(k + q) for all locations and rows of a photo.

Written plainly, every word of every caption makes a tanh of size (L,A) and keeps it for the backward pass. But
tanh(k + q) = 1 - 2 r with r = 1 / (1 + exp(2k) exp(2q)), and exp(2k) is made once for a photo: what is left for each word is one
division, so cheap that it is made again when the gradient is needed.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from showattend.errors import InputError

# Numbers in one block where nothing is compiled: half a megabyte of float32, half of the second-level cache of a present-day core, or
# what keeps a GPU busy.
BLOCK, LARGE_BLOCK = 1 << 17, 1 << 25


def exp_2x(x: Tensor) -> Tensor:
    """exp(2x), held where the product of two is finite: in float32 |x| counts up to 21, where tanh has long been 1."""
    limit = math.log(torch.finfo(x.dtype).max) / 2 - 0.5
    return (2 * x).clamp_(-limit, limit).exp_()


class Kernels(NamedTuple):
    """What passes over all locations and units, for keys exp(2k) (N,L,A) and queries exp(2q) (N,G,A), with r as above.

    weigh: sum of w r over units; takes w (A,), gives (N,G,L)
    look: softmax of that, and by it the mean of features; takes w and features (N,L,D), gives (N,G,L) and (N,G,D)
    to_queries: sum of e (r - r^2) over locations; takes e (N,G,L), gives (N,G,A)
    to_keys: sums of e r and of e r^2 over rows; takes e (N,G,L), gives (N,L,A) twice
    """

    weigh: Callable[[Tensor, Tensor, Tensor], Tensor]
    look: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    to_queries: Callable[[Tensor, Tensor, Tensor], Tensor]
    to_keys: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _reciprocal(keys: Tensor, queries: Tensor) -> Tensor:
    """r for every photo, row, location and unit, (N,G,L,A)."""
    return torch.addcmul(keys.new_ones(()), keys.unsqueeze(1), queries.unsqueeze(2)).reciprocal_()


def _weigh(keys: Tensor, queries: Tensor, weight: Tensor) -> Tensor:
    return (_reciprocal(keys, queries) * weight).sum(-1)


def _look(
    weigh: Callable[[Tensor, Tensor, Tensor], Tensor], keys: Tensor, queries: Tensor, weight: Tensor, features: Tensor
) -> tuple[Tensor, Tensor]:
    alpha = weigh(keys, queries, weight).softmax(-1)
    return alpha, torch.bmm(alpha.to(features.dtype), features).to(alpha.dtype)


def _look_fused(weigh: Callable[[Tensor, Tensor, Tensor], Tensor], *given: Tensor) -> tuple[Tensor, Tensor]:
    if not given[0].is_cuda:
        return _look(weigh, *given)
    from showattend.ops import additive_attention_triton as fused  # Triton is there only where torch was built for GPUs

    return fused.look(*given)


def _to_queries(keys: Tensor, queries: Tensor, grad: Tensor) -> Tensor:
    r = _reciprocal(keys, queries)
    return ((r - r * r) * grad.unsqueeze(3)).sum(2)


def _to_keys(keys: Tensor, queries: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    r = _reciprocal(keys, queries)
    weighed = r * grad.unsqueeze(3)
    return weighed.sum(1), (weighed * r).sum(1)


def _active_batch_shapes(keys: Tensor, queries: Tensor) -> Iterator[tuple[slice, slice]]:
    """Photos and locations that are small enough to stay in the cache."""
    photos, places, size = keys.shape
    size *= queries.shape[1]
    block = BLOCK if keys.device.type == "cpu" else LARGE_BLOCK
    many, span = max(1, block // (places * size)), max(1, block // size)
    for photo in range(0, photos, many):
        for place in range(0, places, span):
            yield slice(photo, photo + many), slice(place, place + span)


def _weigh_in_blocks(keys: Tensor, queries: Tensor, weight: Tensor) -> Tensor:
    found = keys.new_empty(*queries.shape[:2], keys.shape[1])
    for n, places in _active_batch_shapes(keys, queries):
        found[n, :, places] = _reciprocal(keys[n, places], queries[n]) @ weight
    return found


def _to_queries_in_blocks(keys: Tensor, queries: Tensor, grad: Tensor) -> Tensor:
    found = torch.zeros_like(queries)
    for n, places in _active_batch_shapes(keys, queries):
        r = _reciprocal(keys[n, places], queries[n])
        found[n] += (grad[n, :, places].unsqueeze(2) @ torch.addcmul(r, r, r, value=-1)).squeeze(2)
    return found


def _to_keys_in_blocks(keys: Tensor, queries: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    first, second = torch.empty_like(keys), torch.empty_like(keys)
    for n, places in _active_batch_shapes(keys, queries):
        first[n, places], second[n, places] = _to_keys(keys[n, places], queries[n], grad[n, :, places])
    return first, second


EAGER = Kernels(_weigh_in_blocks, partial(_look, _weigh_in_blocks), _to_queries_in_blocks, _to_keys_in_blocks)


@cache
def compiled() -> Kernels:
    """The kernels as one loop each: three to eight times as fast, after seconds of compiling, once in a process.

    Raises:
        InputError: they cannot be compiled here.
    """
    weigh: Any = torch.compile(_weigh, dynamic=True)
    to_queries: Any = torch.compile(_to_queries, dynamic=True)
    to_keys: Any = torch.compile(_to_keys, dynamic=True)
    kernels = Kernels(weigh, partial(_look_fused, weigh), to_queries, to_keys)
    try:
        kernels.weigh(torch.ones(2, 3, 4), torch.ones(2, 5, 4), torch.ones(4))
    except Exception as error:  # whatever a missing or unsuitable compiler leads to
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"the attention cannot be compiled ({reason}): install g++, or leave fusing out") from error
    return kernels


class AdditiveEnergy(Function):
    """e_ngl = w . tanh(k_nl + q_ng), the energies of additive attention (Bahdanau et al. 2015; Xu et al. 2015, eq. 4).

    Applied to kernels, keys (N,L,A), their exponentials, queries (N,G,A) and w (A,), gives (N,G,L).
    """

    @staticmethod
    def forward(ctx: Any, kernels: Kernels, keys: Tensor, raised: Tensor, queries: Tensor, weight: Tensor) -> Tensor:
        """The energies, (N,G,L)."""
        asked = exp_2x(queries)
        ctx.kernels = kernels
        ctx.save_for_backward(raised, asked, weight)
        return weight.sum() - 2 * kernels.weigh(raised, asked, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None, Tensor, Tensor]:
        """From the gradient of the energies, (N,G,L), to those of keys, queries and weight; the derivative of tanh is 4 (r - r^2)."""
        raised, asked, weight = ctx.saved_tensors
        first, second = ctx.kernels.to_keys(raised, asked, grad)
        to_queries = ctx.kernels.to_queries(raised, asked, grad)
        return None, (first - second) * (4 * weight), None, to_queries * (4 * weight), grad.sum() - 2 * first.sum((0, 1))

"""Additive attention energies, e = w . tanh(k + q), without storing a tanh of size (L,A) for each query.

A plain implementation computes a tanh of size (L,A) for every word of every caption, and keeps it for the backward pass. Here
tanh(k + q) = 1 - 2 r with r = 1 / (1 + exp(2k) exp(2q)). exp(2k) is computed once per image. Each word then costs one division
per element, which is so cheap that the backward pass recomputes r instead of storing it.

N images, G queries per image, L locations, A attention units, D feature channels.
"""

import logging
import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from showattend.errors import InputError

# Elements of r in one block of the eager kernels. On a CPU: half a megabyte of float32, half of a core's second-level cache.
# On a GPU: enough to keep all of it busy.
BLOCK_ELEMENTS, GPU_BLOCK_ELEMENTS = 1 << 17, 1 << 25

EnergiesKernel = Callable[[Tensor, Tensor, Tensor], Tensor]
RowEnergiesKernel = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def exp_2x(x: Tensor) -> Tensor:
    """exp(2x), clamped so that a product of two results is finite.

    In float32 the clamp acts from |x| = 21.9 on, where tanh has long rounded to 1.

    Args:
        x: keys or queries, any shape

    Returns:
        the same shape
    """
    limit = math.log(torch.finfo(x.dtype).max) / 2 - 0.5
    return (2 * x).clamp_(-limit, limit).exp_()


class Kernels(NamedTuple):
    """The passes over all locations and units, for exp_keys = exp(2k) (N,L,A), exp_queries = exp(2q) (N,G,A), and r as above.

    energies: (exp_keys, exp_queries, weight (A,)) -> sum over units of weight * r, (N,G,L)
    row_energies: (exp_keys, images (P,), exp_queries (P,A), weight) -> the same for P queries, each of the image with this index, (P,L);
        the indices are in ascending order
    attend: (exp_keys, exp_queries, weight, features (N,L,D)) -> alpha, the softmax of these energies over locations, (N,G,L),
        and context, the mean of the features weighted by alpha, (N,G,D)
    grad_queries: (exp_keys, exp_queries, grad_energies (N,G,L)) -> sum over locations of grad_energies * (r - r^2), (N,G,A)
    grad_keys: (exp_keys, exp_queries, grad_energies) -> sums over queries of grad_energies * r and of grad_energies * r^2,
        (N,L,A) each
    """

    energies: EnergiesKernel
    row_energies: RowEnergiesKernel
    attend: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    grad_queries: Callable[[Tensor, Tensor, Tensor], Tensor]
    grad_keys: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _reciprocal(exp_keys: Tensor, exp_queries: Tensor) -> Tensor:
    """r for every image, query, location and unit, (N,G,L,A)."""
    return torch.addcmul(exp_keys.new_ones(()), exp_keys.unsqueeze(1), exp_queries.unsqueeze(2)).reciprocal_()


def _energies(exp_keys: Tensor, exp_queries: Tensor, weight: Tensor) -> Tensor:
    return (_reciprocal(exp_keys, exp_queries) * weight).sum(-1)


def _row_energies(exp_keys: Tensor, images: Tensor, exp_queries: Tensor, weight: Tensor) -> Tensor:
    """Compiled, the keys are read in place; eager, they would be copied for each query."""
    r = torch.addcmul(exp_keys.new_ones(()), exp_keys[images], exp_queries.unsqueeze(1)).reciprocal()
    return (r * weight).sum(-1)


def _padded_row_energies(energies: EnergiesKernel, exp_keys: Tensor, images: Tensor, exp_queries: Tensor, weight: Tensor) -> Tensor:
    """As many queries for each image as the one with the most queries has."""
    counts = images.bincount(minlength=len(exp_keys))
    position = torch.arange(len(images)) - (counts.cumsum(0) - counts)[images]  # among the queries of the same image
    queries = exp_queries.new_ones(len(exp_keys), int(counts.max()), exp_queries.shape[1])
    queries[images, position] = exp_queries
    return energies(exp_keys, queries, weight)[images, position]


def _attend(energies: EnergiesKernel, exp_keys: Tensor, exp_queries: Tensor, weight: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    alpha = energies(exp_keys, exp_queries, weight).softmax(-1)
    return alpha, _weighted_mean(alpha.to(features.dtype), features).to(alpha.dtype)


def _weighted_mean(alpha: Tensor, features: Tensor) -> Tensor:
    """alpha (N,G,L) times features (N,L,D)."""
    if alpha.shape[1] > 1 or features.dtype != torch.bfloat16 or features.device.type != "cpu":
        return torch.bmm(alpha, features)
    # A row times a matrix of bfloat16 is three times as slow in oneDNN, which first changes the matrix's layout.
    locations = torch.arange(alpha.numel()).view(-1, alpha.shape[2])
    return F.embedding_bag(locations, features.flatten(0, 1), mode="sum", per_sample_weights=alpha.flatten(0, 1)).unsqueeze(1)


def _energies_by_triton_on_gpu(energies: EnergiesKernel, exp_keys: Tensor, exp_queries: Tensor, weight: Tensor) -> Tensor:
    if not exp_keys.is_cuda:
        return energies(exp_keys, exp_queries, weight)
    from showattend.ops import additive_attention_triton  # builds of torch for CPUs come without Triton

    return additive_attention_triton.energies(exp_keys, exp_queries, weight)


def _grad_queries(exp_keys: Tensor, exp_queries: Tensor, grad_energies: Tensor) -> Tensor:
    r = _reciprocal(exp_keys, exp_queries)
    return ((r - r * r) * grad_energies.unsqueeze(3)).sum(2)


def _grad_keys(exp_keys: Tensor, exp_queries: Tensor, grad_energies: Tensor) -> tuple[Tensor, Tensor]:
    r = _reciprocal(exp_keys, exp_queries)
    weighted = r * grad_energies.unsqueeze(3)
    return weighted.sum(1), (weighted * r).sum(1)


def _blocks(exp_keys: Tensor, exp_queries: Tensor) -> Iterator[tuple[slice, slice]]:
    """Slices of images and locations whose r is small enough to stay in the cache."""
    images, locations, units = exp_keys.shape
    per_location = units * exp_queries.shape[1]
    budget = BLOCK_ELEMENTS if exp_keys.device.type == "cpu" else GPU_BLOCK_ELEMENTS
    image_step = max(1, budget // max(1, locations * per_location))
    location_step = max(1, budget // max(1, per_location))
    for image in range(0, images, image_step):
        for location in range(0, locations, location_step):
            yield slice(image, image + image_step), slice(location, location + location_step)


def _energies_in_blocks(exp_keys: Tensor, exp_queries: Tensor, weight: Tensor) -> Tensor:
    if torch.compiler.is_exporting():  # the number of blocks would be fixed in the graph
        return _energies(exp_keys, exp_queries, weight)
    energies = exp_keys.new_empty(*exp_queries.shape[:2], exp_keys.shape[1])
    for n, span in _blocks(exp_keys, exp_queries):
        energies[n, :, span] = _reciprocal(exp_keys[n, span], exp_queries[n]) @ weight
    return energies


def _grad_queries_in_blocks(exp_keys: Tensor, exp_queries: Tensor, grad_energies: Tensor) -> Tensor:
    grad = torch.zeros_like(exp_queries)
    for n, span in _blocks(exp_keys, exp_queries):
        r = _reciprocal(exp_keys[n, span], exp_queries[n])
        grad[n] += (grad_energies[n, :, span].unsqueeze(2) @ torch.addcmul(r, r, r, value=-1)).squeeze(2)
    return grad


def _grad_keys_in_blocks(exp_keys: Tensor, exp_queries: Tensor, grad_energies: Tensor) -> tuple[Tensor, Tensor]:
    first, second = torch.empty_like(exp_keys), torch.empty_like(exp_keys)
    for n, span in _blocks(exp_keys, exp_queries):
        first[n, span], second[n, span] = _grad_keys(exp_keys[n, span], exp_queries[n], grad_energies[n, :, span])
    return first, second


EAGER_KERNELS = Kernels(
    _energies_in_blocks,
    partial(_padded_row_energies, _energies_in_blocks),
    partial(_attend, _energies_in_blocks),
    _grad_queries_in_blocks,
    _grad_keys_in_blocks,
)


class CompiledKernels(Kernels):
    """Kernels that another process, which gets them in a pickle, compiles for itself if it can."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Not the functions, which no pickle takes."""
        return _compiled_or_eager, ()


def _compiled_or_eager() -> Kernels:
    try:
        return compiled_kernels()
    except InputError:
        return EAGER_KERNELS


@cache
def compiled_kernels() -> Kernels:
    """The kernels, each compiled to one loop: three to five times as fast as eager.

    Compiling takes half a minute, in later processes four seconds, because torch keeps what it has compiled.

    Raises:
        InputError: torch.compile fails on this machine.
    """
    # It warns of an installation of CUDA without a GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    try:
        loops: list[Any] = [torch.compile(loop, dynamic=True) for loop in (_energies, _row_energies, _grad_queries, _grad_keys)]
        energies, row_energies, grad_queries, grad_keys = loops
        energies = partial(_energies_by_triton_on_gpu, energies)
        # On the GPU if there is one: the kernels of the CPU, which take a minute there, are compiled when they are needed.
        device = "cuda" if torch.cuda.is_available() else "cpu"
        energies(*(torch.ones(shape, device=device) for shape in ((2, 3, 4), (2, 5, 4), (4,))))
    except Exception as error:  # a missing or unsuitable compiler raises errors of many types
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"the attention cannot be compiled ({reason}): install g++, or give `fuse` as auto or never") from error
    return CompiledKernels(energies, row_energies, partial(_attend, energies), grad_queries, grad_keys)


class AdditiveEnergy(Function):
    """e_ngl = w . tanh(k_nl + q_ng), the energies of additive attention (Bahdanau et al. 2015; Xu et al. 2015, eq. 4).

    Applied to kernels, keys (N,L,A), exp_2x(keys), queries (N,G,A) and weight w (A,). Returns (N,G,L).
    """

    @staticmethod
    def forward(ctx: Any, kernels: Kernels, keys: Tensor, exp_keys: Tensor, queries: Tensor, weight: Tensor) -> Tensor:
        """The energies, (N,G,L)."""
        exp_queries = exp_2x(queries)
        ctx.kernels = kernels
        ctx.save_for_backward(exp_keys, exp_queries, weight)
        return weight.sum() - 2 * kernels.energies(exp_keys, exp_queries, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None, Tensor, Tensor]:
        """Gradients of keys, queries and weight from that of the energies, (N,G,L); the derivative of tanh is 4 (r - r^2)."""
        exp_keys, exp_queries, weight = ctx.saved_tensors
        first, second = ctx.kernels.grad_keys(exp_keys, exp_queries, grad)
        grad_queries = ctx.kernels.grad_queries(exp_keys, exp_queries, grad)
        return None, (first - second) * (4 * weight), None, grad_queries * (4 * weight), grad.sum() - 2 * first.sum((0, 1))

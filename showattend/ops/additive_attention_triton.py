"""Additive attention on a GPU as two Triton kernels: energies, then softmax and the weighted mean of the features.

`additive_attention` defines what they compute. r, of size (G,L,A) per image, never leaves the registers. The first kernel runs
over images, tiles of locations and tiles of queries in parallel, the second one over images, tiles of channels and tiles of queries.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# Largest tile, in queries, locations, units and channels: what the registers of one thread block hold.
QUERIES, LOCATIONS, UNITS, CHANNELS = 8, 16, 64, 64


@triton.jit
def _energies_kernel(exp_keys, exp_queries, weight, energies, L, A, G, QUERIES: tl.constexpr, LOCATIONS: tl.constexpr, UNITS: tl.constexpr):
    """Energies of one image for a tile of queries and locations."""
    image = tl.program_id(0).to(tl.int64)
    queries, locations = tl.program_id(2) * QUERIES + tl.arange(0, QUERIES), tl.program_id(1) * LOCATIONS + tl.arange(0, LOCATIONS)
    # Units are summed after the loop, because a sum over units makes the threads exchange data.
    partial_sums = tl.zeros((QUERIES, LOCATIONS, UNITS), energies.dtype.element_ty)
    for start in range(0, A, UNITS):
        units = start + tl.arange(0, UNITS)
        mask = units < A
        key = tl.load(
            exp_keys + (image * L + locations[:, None]) * A + units[None, :], mask=(locations[:, None] < L) & mask[None, :], other=0.0
        )
        query = tl.load(
            exp_queries + (image * G + queries[:, None]) * A + units[None, :], mask=(queries[:, None] < G) & mask[None, :], other=0.0
        )
        w = tl.load(weight + units, mask=mask, other=0.0)
        key, query = key.to(partial_sums.dtype), query.to(partial_sums.dtype)
        partial_sums += w[None, None, :] / (1.0 + key[None, :, :] * query[:, None, :])
    tl.store(
        energies + (image * G + queries[:, None]) * L + locations[None, :],
        tl.sum(partial_sums, 2),
        mask=(queries[:, None] < G) & (locations[None, :] < L),
    )


@triton.jit
def _context_kernel(
    energies,
    features,
    alphas,
    contexts,
    L,
    D,
    G,
    QUERIES: tl.constexpr,
    ALL_LOCATIONS: tl.constexpr,
    LOCATIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Softmax over the locations of one image for a tile of queries, and a tile of the context's channels."""
    image = tl.program_id(0).to(tl.int64)
    queries, span = tl.program_id(2) * QUERIES + tl.arange(0, QUERIES), tl.arange(0, ALL_LOCATIONS)
    channels = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    row_starts, query_mask = (image * G + queries[:, None]) * L, queries[:, None] < G
    all_energies = tl.load(energies + row_starts + span[None, :], mask=query_mask & (span[None, :] < L), other=-float("inf"))
    # Queries beyond G have no energies, only -inf: a finite maximum and sum keep NaN out.
    peak = tl.where(queries < G, tl.max(all_energies, 1), 0.0)
    total = tl.where(queries < G, tl.sum(tl.exp(all_energies - peak[:, None]), 1), 1.0)
    if tl.program_id(1) == 0:
        alpha = tl.exp(all_energies - peak[:, None]) / total[:, None]
        tl.store(alphas + row_starts + span[None, :], alpha, mask=query_mask & (span[None, :] < L))
    partial_sums = tl.zeros((QUERIES, LOCATIONS, CHANNELS), energies.dtype.element_ty)
    for start in range(0, L, LOCATIONS):
        locations = start + tl.arange(0, LOCATIONS)
        mask = locations < L
        energy = tl.load(energies + row_starts + locations[None, :], mask=query_mask & mask[None, :], other=-float("inf"))
        alpha = tl.exp(energy - peak[:, None]) / total[:, None]
        offsets = (image * L + locations[:, None]) * D + channels[None, :]
        feature = tl.load(features + offsets, mask=mask[:, None] & (channels[None, :] < D), other=0.0).to(partial_sums.dtype)
        partial_sums += alpha[:, :, None] * feature[None, :, :]
    tl.store(
        contexts + (image * G + queries[:, None]) * D + channels[None, :],
        tl.sum(partial_sums, 1),
        mask=query_mask & (channels[None, :] < D),
    )


def attend(exp_keys: Tensor, exp_queries: Tensor, weight: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Attention weights and contexts, as `additive_attention.Kernels.attend`; without gradients.

    Args:
        exp_keys: exp(2k), (N,L,A)
        exp_queries: exp(2q), (N,G,A)
        weight: of r in the energies, (A,)
        features: in any precision, (N,L,D)

    Returns:
        alpha (N,G,L) and context (N,G,D)
    """
    (images, locations, units), queries, channels = exp_keys.shape, exp_queries.shape[1], features.shape[2]
    exp_keys, exp_queries, weight, features = (x.contiguous() for x in (exp_keys, exp_queries, weight, features))
    energies = exp_keys.new_empty(images, queries, locations, dtype=torch.promote_types(exp_keys.dtype, torch.float32))
    alphas, contexts = exp_keys.new_empty(images, queries, locations), exp_keys.new_empty(images, queries, channels)
    tile = min(QUERIES, triton.next_power_of_2(queries))
    tiles, all_locations = triton.cdiv(queries, tile), triton.next_power_of_2(locations)
    _energies_kernel[images, triton.cdiv(locations, LOCATIONS), tiles](
        exp_keys, exp_queries, weight, energies, locations, units, queries, tile, LOCATIONS, UNITS
    )
    _context_kernel[images, triton.cdiv(channels, CHANNELS), tiles](
        energies, features, alphas, contexts, locations, channels, queries, tile, all_locations, LOCATIONS, CHANNELS
    )
    return alphas, contexts

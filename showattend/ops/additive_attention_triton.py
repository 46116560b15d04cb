"""Additive attention on a GPU as two kernels in Triton, from keys, queries and features to where one looks and what one sees.

See `energy` for what is computed. Nothing of size (G,L,A) leaves the processors; the energies of all photos and places are made side by
side, then softmax and mixing for all photos and channels.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

# Rows, places, units and channels of one tile at most: what a thread block's registers hold.
ROWS, PLACES, UNITS, CHANNELS = 8, 16, 64, 64


@triton.jit
def _weigh(raised, asked, weight, energies, L, A, G, ROWS: tl.constexpr, PLACES: tl.constexpr, UNITS: tl.constexpr):
    """Energies of some places of one photo."""
    photo = tl.program_id(0).to(tl.int64)
    rows, places = tl.program_id(2) * ROWS + tl.arange(0, ROWS), tl.program_id(1) * PLACES + tl.arange(0, PLACES)
    # Summed over units at the very end, where threads have to tell one another.
    parts = tl.zeros((ROWS, PLACES, UNITS), energies.dtype.element_ty)
    for begin in range(0, A, UNITS):
        units = begin + tl.arange(0, UNITS)
        there = units < A
        keys = tl.load(raised + (photo * L + places[:, None]) * A + units[None, :], mask=(places[:, None] < L) & there[None, :], other=0.0)
        queries = tl.load(asked + (photo * G + rows[:, None]) * A + units[None, :], mask=(rows[:, None] < G) & there[None, :], other=0.0)
        w = tl.load(weight + units, mask=there, other=0.0)
        keys, queries = keys.to(parts.dtype), queries.to(parts.dtype)
        parts += w[None, None, :] / (1.0 + keys[None, :, :] * queries[:, None, :])
    tl.store(
        energies + (photo * G + rows[:, None]) * L + places[None, :], tl.sum(parts, 2), mask=(rows[:, None] < G) & (places[None, :] < L)
    )


@triton.jit
def _mix(
    energies, features, alphas, contexts, L, D, G, ROWS: tl.constexpr, SPAN: tl.constexpr, PLACES: tl.constexpr, CHANNELS: tl.constexpr
):
    """Softmax over the places of one photo, and some channels of the mixtures."""
    photo = tl.program_id(0).to(tl.int64)
    rows, span = tl.program_id(2) * ROWS + tl.arange(0, ROWS), tl.arange(0, SPAN)
    channels = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    begins, here = (photo * G + rows[:, None]) * L, rows[:, None] < G
    whole = tl.load(energies + begins + span[None, :], mask=here & (span[None, :] < L), other=-float("inf"))
    # Rows that there are not have no energy at all: any finite peak keeps them out of trouble.
    peak = tl.where(rows < G, tl.max(whole, 1), 0.0)
    total = tl.where(rows < G, tl.sum(tl.exp(whole - peak[:, None]), 1), 1.0)
    if tl.program_id(1) == 0:
        alpha = tl.exp(whole - peak[:, None]) / total[:, None]
        tl.store(alphas + begins + span[None, :], alpha, mask=here & (span[None, :] < L))
    parts = tl.zeros((ROWS, PLACES, CHANNELS), energies.dtype.element_ty)
    for begin in range(0, L, PLACES):
        places = begin + tl.arange(0, PLACES)
        there = places < L
        energy = tl.load(energies + begins + places[None, :], mask=here & there[None, :], other=-float("inf"))
        alpha = tl.exp(energy - peak[:, None]) / total[:, None]
        seen = (photo * L + places[:, None]) * D + channels[None, :]
        feature = tl.load(features + seen, mask=there[:, None] & (channels[None, :] < D), other=0.0).to(parts.dtype)
        parts += alpha[:, :, None] * feature[None, :, :]
    tl.store(contexts + (photo * G + rows[:, None]) * D + channels[None, :], tl.sum(parts, 1), mask=here & (channels[None, :] < D))


def look(raised: Tensor, asked: Tensor, weight: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
    """Where one looks and what one sees, see `energy.Kernels.look`; without gradients.

    Args:
        raised: exp(2k), (N,L,A)
        asked: exp(2q), (N,G,A)
        weight: of r in the energies, (A,)
        features: (N,L,D), in any precision

    Returns:
        alpha (N,G,L) and context (N,G,D)
    """
    (photos, places, units), rows, channels = raised.shape, asked.shape[1], features.shape[2]
    raised, asked, weight, features = (entry.contiguous() for entry in (raised, asked, weight, features))
    energies = raised.new_empty(photos, rows, places, dtype=torch.promote_types(raised.dtype, torch.float32))
    alphas, contexts = raised.new_empty(photos, rows, places), raised.new_empty(photos, rows, channels)
    height = min(ROWS, triton.next_power_of_2(rows))
    tiles = triton.cdiv(rows, height)
    _weigh[photos, triton.cdiv(places, PLACES), tiles](raised, asked, weight, energies, places, units, rows, height, PLACES, UNITS)
    _mix[photos, triton.cdiv(channels, CHANNELS), tiles](
        energies, features, alphas, contexts, places, channels, rows, height, triton.next_power_of_2(places), PLACES, CHANNELS
    )
    return alphas, contexts

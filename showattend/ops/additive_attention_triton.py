"""Energies of additive attention on a GPU, as a Triton kernel.

`additive_attention` defines what it computes. r, of size (G,L,A) per image, never leaves the registers: each block of threads keeps the
keys of a few locations there, and reads one query of the image after another.
"""

import triton
import triton.language as tl
from torch import Tensor

# Keys in one block: 32 registers of each of its threads.
KEYS_PER_BLOCK = 4096


@triton.jit
def _energies_kernel(exp_keys, exp_queries, weight, energies, L, A, G, LOCATIONS: tl.constexpr, UNITS: tl.constexpr):
    """Energies of all queries of one image at a tile of its locations."""
    image = tl.program_id(0).to(tl.int64)
    locations, units = tl.program_id(1) * LOCATIONS + tl.arange(0, LOCATIONS), tl.arange(0, UNITS)
    location_mask, unit_mask = locations < L, units < A
    offsets = (image * L + locations[:, None]) * A + units[None, :]
    dtype = energies.dtype.element_ty
    keys = tl.load(exp_keys + offsets, mask=location_mask[:, None] & unit_mask[None, :], other=0.0).to(dtype)
    w = tl.load(weight + units, mask=unit_mask, other=0.0).to(dtype)
    for row in range(image * G, image * G + G):
        query = tl.load(exp_queries + row * A + units, mask=unit_mask, other=0.0).to(dtype)
        r = w[None, :] / (1.0 + keys * query[None, :])
        tl.store(energies + row * L + locations, tl.sum(r, 1), mask=location_mask)


def energies(exp_keys: Tensor, exp_queries: Tensor, weight: Tensor) -> Tensor:
    """Sums over units of weight * r, as `additive_attention.Kernels.energies`.

    Args:
        exp_keys: exp(2k), (N,L,A)
        exp_queries: exp(2q), (N,G,A)
        weight: of r in the energies, (A,)

    Returns:
        (N,G,L)
    """
    (images, locations, units), queries = exp_keys.shape, exp_queries.shape[1]
    result = exp_keys.new_empty(images, queries, locations)
    tile = triton.next_power_of_2(units)
    block = max(1, KEYS_PER_BLOCK // tile)
    operands = (x.contiguous() for x in (exp_keys, exp_queries, weight))
    _energies_kernel[images, triton.cdiv(locations, block)](*operands, result, locations, units, queries, block, tile)
    return result

"""Weights of one decoder step, and the active rows at each time step, for the fused decoder loop and the fused decoder step.

Captions end at different times. As in torch's `PackedSequence`, a time step computes only rows whose captions have not ended.
Here rows have two axes, N images and G captions of each, and the active rows of a time step are the block
[:images, :captions] of that grid: with long captions sorted first, little of a block is padding.

Shapes: N images with G rows each, M rows of all time steps together, S*H pre-activations of the cell, H hidden units,
E embedding channels, D feature channels, L locations, A attention units.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from showattend.ops.additive_attention import Kernels

State = tuple[Tensor, ...]
# A GPU multiplies matrices several times as fast where their rows begin at multiples of 16 bytes.
ROW_MULTIPLE = 8
# The active rows of a time step: how many images, and how many rows of each.
BatchShape = tuple[int, int]


class AttentionParts(NamedTuple):
    """The kernels and weights of an additive attention that the fused loop needs.

    kernels: the loops over locations
    energy_weight: w, (A,)
    query_weight: W_h, (A,H)
    key_weight, key_bias: W_a, (A,D) and (A,)
    key_mlp: further layers of the keys, (..., A) to (..., A)
    """

    kernels: Kernels
    energy_weight: Tensor
    query_weight: Tensor
    key_weight: Tensor
    key_bias: Tensor
    key_mlp: Callable[[Tensor], Tensor]


class StepWeights(NamedTuple):
    """The weights of one decoder step, except those that only the cell's `update` uses.

    energy: w of the attention, (A,)
    query: from h to the attention's query, (A,H)
    beta, beta_bias: from h to the gate on the context, (1 or D, H) and (1 or D,); None: there is no gate
    input: from embedding and context to the cell's pre-activations, (S*H,E+D)
    bias: of the pre-activations, (S*H,); None: `update` adds it
    hidden: from h to the pre-activations, (S*H,H); None: `update` applies it
    """

    energy: Tensor
    query: Tensor
    beta: Tensor | None
    beta_bias: Tensor | None
    input: Tensor
    bias: Tensor | None
    hidden: Tensor | None

    def recurrent_sizes(self) -> list[int]:
        """Rows of `recurrent_weight` for pre-activations, query and gate, as far as they exist, and of zeros, see ROW_MULTIPLE."""
        sizes = [0 if weight is None else len(weight) for weight in (self.hidden, self.query, self.beta)]
        return [*sizes, -sum(sizes[1:]) % ROW_MULTIPLE]

    def recurrent_weight(self) -> Tensor:
        """All weights that multiply h, one below the other, (sum of `recurrent_sizes`, H)."""
        zeros = self.query.new_zeros(self.recurrent_sizes()[-1], self.query.shape[1])
        return torch.cat([weight for weight in (self.hidden, self.query, self.beta, zeros) if weight is not None])


NUM_WEIGHTS = len(StepWeights._fields)


class TimeStep(NamedTuple):
    """One time step: the active rows before it, its own, and where its rows lie among the M rows of all time steps."""

    previous: BatchShape
    shape: BatchShape
    rows: slice


@dataclass(frozen=True)
class UnrollPlan:
    """The part of a loop over time that has no gradient.

    update: one step of the cell, from pre-activations (B,S*H) and state to the new state
    kernels: of the attention
    num_state_tensors: length of a state
    product_dtype: of the operands of matrix products; 16 bits with all else in float32 is mixed precision
    images, rows_per_image: N and G of the first state
    batch_shapes: for each time step the active rows; none is larger than the one before
    """

    update: Callable[[Tensor, State], State]
    kernels: Kernels
    num_state_tensors: int
    product_dtype: torch.dtype
    images: int
    rows_per_image: int
    batch_shapes: list[BatchShape]

    @cached_property
    def steps(self) -> list[TimeStep]:
        """The time steps in order."""
        ends = list(accumulate(n * g for n, g in self.batch_shapes))
        rows = [slice(end - n * g, end) for end, (n, g) in zip(ends, self.batch_shapes, strict=True)]
        previous = [(self.images, self.rows_per_image), *self.batch_shapes]
        return [TimeStep(*step) for step in zip(previous, self.batch_shapes, rows, strict=False)]

    def rows_by_image(self, device: torch.device) -> list[tuple[slice, Tensor]]:
        """The M rows grouped by image, so that a gradient of an image is one product over all its rows.

        Returns:
            pairs of a slice of images and indices (images, rows): one pair if all rows are active at every time step, else one per image
        """
        if len(set(self.batch_shapes)) == 1:
            indices = torch.arange(len(self.batch_shapes) * self.images * self.rows_per_image, device=device)
            return [(slice(self.images), indices.view(-1, self.images, self.rows_per_image).transpose(0, 1).flatten(1))]
        image_of_row = torch.cat([torch.arange(n).repeat_interleave(g) for n, g in self.batch_shapes])
        counts = image_of_row.bincount(minlength=self.images).tolist()
        rows = image_of_row.argsort(stable=True).to(device).split(counts)
        return [(slice(image, image + 1), indices.unsqueeze(0)) for image, indices in enumerate(rows)]


def with_products_in(dtype: torch.dtype, device_type: str, update: Callable[[Tensor, State], State]) -> Callable[[Tensor, State], State]:
    """A step of a cell whose own matrix products have operands of this precision; the state keeps its precision."""

    def mixed(preactivations: Tensor, state: State) -> State:
        # Without the cache: it would keep weights that were rounded in the forward pass, where there are no gradients.
        with torch.autocast(device_type, dtype, cache_enabled=False):
            new_state = update(preactivations, state)
        return tuple(entry.to(old.dtype) for entry, old in zip(new_state, state, strict=True))

    return mixed


def keep_active_rows(entry: Tensor, previous: BatchShape, shape: BatchShape) -> Tensor:
    """The rows of the previous time step, flat, that are still active: (n*g, ...) to (n'*g', ...)."""
    return entry if previous == shape else entry.unflatten(0, previous)[: shape[0], : shape[1]].flatten(0, 1)


def pad_inactive_rows(grad: Tensor, previous: BatchShape, shape: BatchShape) -> Tensor:
    """The backward pass of `keep_active_rows`: the gradient of rows that were dropped is zero."""
    if previous == shape:
        return grad
    padded = grad.new_zeros(*previous, *grad.shape[1:])
    padded[: shape[0], : shape[1]] = grad.unflatten(0, shape)
    return padded.flatten(0, 1)

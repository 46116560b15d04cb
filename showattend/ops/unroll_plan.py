"""What the loop over words goes by: which rows are left at each word, and with which weights a word is made."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from showattend.ops.additive_attention import Kernels

State = tuple[Tensor, ...]
# How many photos, and rows of each, are not yet at their end.
BatchShape = tuple[int, int]


class StepWeights(NamedTuple):
    """The weights of a word's step, but for those that `move` holds.

    energy: w of the attention, (A,)
    query: of h to the attention, (A,H)
    beta: of h to the gate on the context, and its bias, (1 or D, H) and (1 or D,); None: there is no gate
    input: of embedding and context to the cell's activations, (S*H,E+D)
    bias: of the cell's activations, (S*H,); None: the cell has it in its `step`
    hidden: of h to the cell's activations, (S*H,H); None: the cell has it in its `step`
    """

    energy: Tensor
    query: Tensor
    beta: Tensor | None
    beta_bias: Tensor | None
    input: Tensor
    bias: Tensor | None
    hidden: Tensor | None

    def recurrent_weights(self) -> list[Tensor]:
        """All that multiply h: activations, query and gate, those that there are."""
        return [*([] if self.hidden is None else [self.hidden]), *self.query_weights()]

    def query_weights(self) -> list[Tensor]:
        """Those of them that look: query and gate."""
        return [self.query, *([] if self.beta is None else [self.beta])]


WEIGHTS = len(StepWeights._fields)


@dataclass(frozen=True)
class UnrollPlan:
    """What has no gradient.

    move: one step of the cell, from its activations (or projected parts) and state to a new state
    kernels: of the attention
    entries: tensors of a state
    photos, rows: N and G of the first state
    blocks: for each word how much is left, none larger than the one before
    """

    update: Callable[[Tensor, State], State]
    kernels: Kernels
    entries: int
    photos: int
    rows: int
    blocks: list[BatchShape]

    @cached_property
    def words(self) -> list[tuple[BatchShape, BatchShape, slice]]:
        """For each word the block before it, its own, and where its rows lie among the M of all words."""
        ends = list(accumulate(n * g for n, g in self.blocks))
        rows = [slice(end - n * g, end) for end, (n, g) in zip(ends, self.blocks, strict=True)]
        return list(zip([(self.photos, self.rows), *self.blocks], self.blocks, rows, strict=False))

    def rows_by_image(self, device: torch.device) -> list[tuple[slice, Tensor]]:
        """Which of the M rows are about which photos: some photos, and the rows about each of them, (photos, rows).

        All photos at once where no row ends before the others, else one at a time.
        """
        if len(set(self.blocks)) == 1:
            numbers = torch.arange(len(self.blocks) * self.photos * self.rows, device=device)
            return [(slice(self.photos), numbers.view(-1, self.photos, self.rows).transpose(0, 1).flatten(1))]
        photo_of = torch.cat([torch.arange(n).repeat_interleave(g) for n, g in self.blocks])
        rows = photo_of.argsort(stable=True).to(device).split(photo_of.bincount(minlength=self.photos).tolist())
        return [(slice(photo, photo + 1), numbers.unsqueeze(0)) for photo, numbers in enumerate(rows)]


def keep_active_rows(entry: Tensor, before: BatchShape, block: BatchShape) -> Tensor:
    """What is left of the rows of a block, flat."""
    return entry if before == block else entry.unflatten(0, before)[: block[0], : block[1]].flatten(0, 1)


def pad_inactive_rows(entry: Tensor, before: BatchShape, block: BatchShape) -> Tensor:
    """The way back of `shrink`: zero for the rows that had ended."""
    if before == block:
        return entry
    whole = entry.new_zeros(*before, *entry.shape[1:])
    whole[: block[0], : block[1]] = entry.unflatten(0, block)
    return whole.flatten(0, 1)

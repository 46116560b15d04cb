"""The contract of a recurrent cell, and what all cells share.

A cell maps x_t = [word embedding, gated context] and its state to a new state. Its pre-activations are
a = W x + U h + b; the share W x + b is linear in the parts of x, so `project` gives it part by part: the words' share is one
product for a whole caption, outside the loop over words, and only the context's share is made inside.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, ...]


class RecurrentCell(nn.Module, ABC):
    """h_t from h_{t-1} and x_t.

    B rows, H hidden units, I = sum of `input_sizes`, S = len(gates) blocks of pre-activations. A subclass names its blocks
    in `gates`, its state in `state_names`, and writes its equations in `step`, without a branch on a tensor's value.

    Attributes:
        weight_ih: W, the blocks below one another in the order of `gates`, (S*H, I)
        weight_hh: U, likewise, (S*H, H)
        bias: b, (S*H,)
    """

    gates: ClassVar[tuple[str, ...]]
    state_names: ClassVar[tuple[str, ...]] = ("h",)
    # The gate whose bias decides how long the cell remembers, and the sign that makes it remember longer.
    retention: ClassVar[tuple[str, int] | None] = None

    def __init__(self, input_sizes: Sequence[int], hidden_size: int) -> None:
        super().__init__()
        self.input_sizes = tuple(input_sizes)
        self.hidden_size = hidden_size
        blocks = len(self.gates) * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(blocks, sum(self.input_sizes)))
        self.weight_hh = nn.Parameter(torch.empty(blocks, hidden_size))
        self.bias = nn.Parameter(torch.empty(blocks))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Orthogonal U and Xavier W for each gate by itself, b = 0 but 1 towards remembering (Jozefowicz et al. 2015)."""
        for weight in (*self.weight_ih.chunk(len(self.gates)), *self.weight_hh.chunk(len(self.gates))):
            initialise = nn.init.orthogonal_ if weight.shape[0] == weight.shape[1] else nn.init.xavier_uniform_
            initialise(weight)
        self.bias.zero_()
        if self.retention is not None:
            gate, sign = self.retention
            self.bias.chunk(len(self.gates))[self.gates.index(gate)].fill_(float(sign))

    def project(self, x: Tensor, part: int) -> Tensor:
        """The share of input part `part` in the pre-activations; the bias is counted once, with part 0.

        Args:
            x: one part of the input, (..., input_sizes[part])

        Returns:
            (..., S*H)
        """
        end = list(accumulate(self.input_sizes))[part]
        weight = self.weight_ih[:, end - self.input_sizes[part] : end]
        return F.linear(x, weight, self.bias if part == 0 else None)

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        """The state before the first word, from what the decoder makes of the photo: h and c, (B,H) each."""
        return (h, c)[: len(self.state_names)]

    @abstractmethod
    def step(self, projected: Tensor, state: State) -> State:
        """One step in time.

        Args:
            projected: W x + b, the sum of the projected parts, (B, S*H)
            state: the tensors of `state_names`, each (B, ...)

        Returns:
            the new state; its first entry is the output h, (B,H)
        """

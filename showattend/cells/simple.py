"""The plain recurrent network, and its clockwork: without gates."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn, tanh
from torch.nn import functional as F

from showattend.cells.base import RecurrentCell, State
from showattend.cells.registry import register
from showattend.errors import InputError


@register("elman")
class Elman(RecurrentCell):
    """The plain recurrent network.

    h = tanh(W x + U h + b)

    Elman 1990; torch.nn.RNNCell.
    """

    gates = ("h",)
    equation = "h = tanh(W x + U h)"
    source = "Elman 1990"

    def update(self, activations: Tensor, state: State) -> State:
        return (tanh(activations),)


@register("clockwork")
class Clockwork(RecurrentCell):
    """Modules that move at different periods: the slow ones remember, and nobody hears a faster module.

    module i of g, when t mod T_i = 0:       h_i = tanh(W_i x + sum over T_j >= T_i of U_ij h_j + b_i)
    otherwise:                               h_i stays

    Koutnik et al. 2014, eq. 1-6. Option `periods`: T_1 <= ... <= T_g (1, 2, 4, 8), as many as divide H. U[i] is the block of
    rows of module i over the modules that it hears, which are the last ones. The state keeps the clock t.
    """

    gates = ("h",)
    recurrent = ()
    state_names = ("h", "t")
    hidden_size_multiple = 4
    periods: Tensor
    equation = "h_i = tanh(W_i x + sum_{T_j >= T_i} U_ij h_j) when t mod T_i = 0, else h_i stays"
    source = "Koutnik et al. 2014"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, *, periods: Sequence[int] = (1, 2, 4, 8), **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        if not periods or sorted(periods) != list(periods) or periods[0] < 1:
            raise InputError(f"the clock's periods are {list(periods)}: give whole numbers from 1 on, the smallest first")
        if hidden_size % len(periods):
            raise InputError(
                f"a hidden size of {hidden_size} cannot be shared by {len(periods)} periods: "
                f"give {hidden_size // len(periods) * len(periods) or len(periods)}, or other periods in cell_options"
            )
        self.module_size = size = hidden_size // len(periods)
        self.heard = tuple(size * list(periods).index(period) for period in periods)  # from which unit on each module hears
        self.U = nn.ParameterList(nn.Parameter(torch.empty(size, hidden_size - first)) for first in self.heard)
        with torch.no_grad():
            for block in self.U:
                self.scheme.recurrent(block)
        self.register_buffer("periods", torch.tensor(periods))

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        return h, torch.zeros_like(h[:, :1], dtype=torch.long)

    def step(self, projected: Tensor, state: State) -> State:
        h, t = state
        # One product, zeros and all, is what compilers make fast: they fold the filling-in where weights are frozen.
        weight_hh = torch.cat([F.pad(block, (first, 0)) for first, block in zip(self.heard, self.U, strict=True)])
        heard = F.linear(h, weight_hh)
        moves = (t % self.periods == 0).repeat_interleave(self.module_size, -1)
        self.record_gates(moves=moves.to(h))
        return torch.where(moves, tanh(projected + heard), h), t + 1

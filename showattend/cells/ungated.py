"""Recurrent networks without gates: Elman's, and the clockwork network."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn, tanh
from torch.nn import functional as F

from showattend.cells.base import ParameterRoles, RecurrentCell, State
from showattend.cells.registry import register
from showattend.errors import InputError


@register("elman")
class Elman(RecurrentCell):
    """Plain recurrent network with one tanh layer.

        h = tanh(W x + U h + b)

    Source: Elman 1990; the same as torch.nn.RNNCell.
    """

    gates = ("h",)
    equation = "h = tanh(W x + U h)"
    source = "Elman 1990"

    def update(self, activations: Tensor, state: State) -> State:
        return (tanh(activations),)


@register("clockwork")
class Clockwork(RecurrentCell):
    """Groups of units, called modules, that are updated at different periods, so that slow modules keep long memories.

        h~_k = tanh(W_k x + sum_j U_kj h_j + b_k)
        h_k = where(t mod T_k == 0, h~_k, h_k)
        t = t + 1

    k runs over the modules, j over the modules with T_j >= T_k: no module reads from a faster one. The entry t of the state
    counts the steps. Option `periods`: T_1 <= T_2 <= ..., by default (1, 2, 4, 8); their number must divide H.

    Source: Koutnik et al. 2014, eq. 1-6.
    """

    gates = ("h",)
    recurrent = ()
    state_names = ("h", "t")
    hidden_size_multiple = 4
    periods: Tensor
    equation = "h_k = tanh(W_k x + sum_{T_j >= T_k} U_kj h_j) when t mod T_k = 0, else h_k stays"
    source = "Koutnik et al. 2014"
    parameter_roles: ClassVar[ParameterRoles] = {
        "U.*": "the rows of U for one module, over the modules that it reads from (the last columns of U)"
    }

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, *, periods: Sequence[int] = (1, 2, 4, 8), **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        if not periods or sorted(periods) != list(periods) or periods[0] < 1 or any(int(period) != period for period in periods):
            raise InputError(f"the clock's periods are {list(periods)}: give whole numbers from 1 on, the smallest first")
        if hidden_size % len(periods):
            raise InputError(
                f"a hidden size of {hidden_size} cannot be shared by {len(periods)} periods: "
                f"give {hidden_size // len(periods) * len(periods) or len(periods)}, or other periods in cell_options"
            )
        self.module_size = size = hidden_size // len(periods)
        self.first_columns = tuple(size * list(periods).index(period) for period in periods)  # the first unit that a module reads
        self.U = nn.ParameterList(nn.Parameter(torch.empty(size, hidden_size - first)) for first in self.first_columns)
        with torch.no_grad():
            for block in self.U:
                self.scheme.recurrent(block)
        self.register_buffer("periods", torch.tensor(periods))

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        return h, torch.zeros_like(h[:, :1], dtype=torch.long)

    def step(self, projected: Tensor, state: State) -> State:
        h, t = state
        # One product over a matrix with zeros is faster than a product for each module; a compiler folds the padding of frozen weights.
        weight_hh = torch.cat([F.pad(block, (first, 0)) for first, block in zip(self.first_columns, self.U, strict=True)])
        candidate = tanh(projected + F.linear(h, weight_hh))
        active = (t % self.periods == 0).repeat_interleave(self.module_size, -1)
        self.record_gates(active=active.to(h))
        return torch.where(active, candidate, h), t + 1

"""Cells whose matrices see x only: what depends on the past is elementwise, so that a sequence could be scanned in parallel."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, sigmoid
from torch.nn import functional as F

from showattend.cells.base import RecurrentCell, State
from showattend.cells.registry import register


@register("min_gru")
class MinGRU(RecurrentCell):
    """The GRU without what made it sequential.

    z = s(W x + b)
    h~ = W x + b
    h = (1 - z) * h + z * h~

    Feng et al. 2024, section 3.1.
    """

    gates = ("z", "h~")
    recurrent = ()
    forget_bias = ("z", -1)
    equation = "z = s(W x);  h = (1-z)*h + z*(W x)"
    source = "Feng et al. 2024"

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        z, candidate = projected.chunk(2, -1)
        z = sigmoid(z)
        self.record_gates(z=z)
        return (h + z * (candidate - h),)


@register("min_lstm")
class MinLSTM(RecurrentCell):
    """The LSTM without what made it sequential; its gates share 1 between them.

    f, i = s(W x + b), s(W x + b)
    h~ = W x + b
    h = (f * h + i * h~) / (f + i)

    Feng et al. 2024, section 3.2.
    """

    gates = ("f", "i", "h~")
    recurrent = ()
    forget_bias = ("f", +1)
    equation = "f, i = s(W x);  h = (f*h + i*(W x)) / (f + i)"
    source = "Feng et al. 2024"

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        f, i, candidate = projected.chunk(3, -1)
        f, i = sigmoid(f), sigmoid(i)
        share = f / (f + i)
        self.record_gates(f=share, i=1 - share)
        return (candidate + share * (h - candidate),)


@register("sru")
class SRU(RecurrentCell):
    """The simple recurrent unit, second version: gates see x and, unit by unit, the memory; a highway leads x past it.

    f, r = s(W x + v_f * c + b), s(W x + v_r * c + b)       (the old c)
    c = f * c + (1 - f) * (W x)
    h = r * c + (1 - r) * x

    Lei et al. 2018, eq. 1-4. Where x is not as wide as h, the highway has a matrix of its own, the block "x".
    """

    gates: tuple[str, ...] = ("f", "r", "c~")
    recurrent = ()
    biased = ("f", "r")
    state_names = ("h", "c")
    forget_bias = ("f", +1)
    equation = "f, r = s(W x + v*c);  c = f*c + (1-f)*(W x);  h = r*c + (1-r)*x"
    source = "Lei et al. 2018"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        self.as_wide = sum(input_sizes) == hidden_size
        if not self.as_wide:
            self.gates = (*type(self).gates, "x")
        super().__init__(input_sizes, hidden_size, **options)
        self.v_f = self.new_vector()
        self.v_r = self.new_vector()

    def project(self, x: Tensor, part: int) -> Tensor:
        projected = super().project(x, part)
        if not self.as_wide:
            return projected
        end = list(accumulate(self.input_sizes))[part]
        itself = F.pad(x, (end - self.input_sizes[part], self.hidden_size - end))
        return torch.cat((projected, itself), -1)

    def step(self, projected: Tensor, state: State) -> State:
        _, c = state
        f, r, candidate, x = projected.chunk(4, -1)
        f, r = sigmoid(f + self.v_f * c), sigmoid(r + self.v_r * c)
        self.record_gates(f=f, r=r)
        c = f * c + (1 - f) * candidate
        return r * c + (1 - r) * x, c

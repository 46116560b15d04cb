"""Cells whose matrices multiply x only. The recurrence is elementwise, so a sequence could be scanned in parallel."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, sigmoid
from torch.nn import functional as F

from showattend.cells.base import ParameterRoles, RecurrentCell, State, interpolate
from showattend.cells.registry import register


@register("min_gru")
class MinGRU(RecurrentCell):
    """GRU without reset gate, tanh and U: gate and candidate depend on x alone.

        z = s(W_z x + b_z)
        h~ = W_h x + b_h
        h = (1 - z) * h + z * h~

    Source: Feng et al. 2024, section 3.1.
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
        return (interpolate(h, candidate, z),)


@register("min_lstm")
class MinLSTM(RecurrentCell):
    """LSTM without output gate, tanh and U; its two gates are scaled to sum to 1.

        f = s(W_f x + b_f)
        i = s(W_i x + b_i)
        h~ = W_h x + b_h
        h = (f * h + i * h~) / (f + i)

    Source: Feng et al. 2024, section 3.2.
    """

    gates = ("f", "i", "h~")
    recurrent = ()
    forget_bias = ("f", +1)
    equation = "f, i = s(W x);  h = (f*h + i*(W x)) / (f + i)"
    source = "Feng et al. 2024"

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        f, i, candidate = projected.chunk(3, -1)
        kept = sigmoid(F.logsigmoid(f) - F.logsigmoid(i))  # s(f) / (s(f) + s(i)), also where both are 0 in the numbers' precision
        self.record_gates(f=kept, i=1 - kept)
        return (interpolate(candidate, h, kept),)


@register("sru")
class SRU(RecurrentCell):
    """Simple recurrent unit, version 2: the gates read x and, unit by unit, c; a highway connection carries x to the output.

        f = s(W_f x + v_f * c + b_f)
        r = s(W_r x + v_r * c + b_r)
        c = f * c + (1 - f) * (W_c x)
        h = r * c + (1 - r) * (W_x x)

    W_x is the block "x" of W. Where x is as wide as h, there is no such block, and the highway carries x itself.

    Source: Lei et al. 2018, eq. 1-4.
    """

    gates: tuple[str, ...] = ("f", "r", "c~")
    recurrent = ()
    biased = ("f", "r")
    state_names = ("h", "c")
    forget_bias = ("f", +1)
    equation = "f, r = s(W x + v*c);  c = f*c + (1-f)*(W x);  h = r*c + (1-r)*x"
    source = "Lei et al. 2018"
    parameter_roles: ClassVar[ParameterRoles] = {"v_*": "the weight of c in the gate *, one for each unit"}

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        self.equal_widths = sum(input_sizes) == hidden_size
        if not self.equal_widths:
            self.gates = (*type(self).gates, "x")
        super().__init__(input_sizes, hidden_size, **options)
        self.v_f = self.new_vector()
        self.v_r = self.new_vector()

    def project(self, x: Tensor, part: int) -> Tensor:
        projected = super().project(x, part)
        if not self.equal_widths:
            return projected
        columns = self.input_columns(part)
        highway = F.pad(x, (columns.start, self.hidden_size - columns.stop))
        return torch.cat((projected, highway), -1)

    def step(self, projected: Tensor, state: State) -> State:
        _, c = state
        f, r, candidate, x = projected.chunk(4, -1)
        f, r = sigmoid(f + self.v_f * c), sigmoid(r + self.v_r * c)
        self.record_gates(f=f, r=r)
        c = f * c + (1 - f) * candidate
        return r * c + (1 - r) * x, c

"""The depth-gated LSTM, which has at least two layers."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

from showattend.cells.base import ParameterRoles, RecurrentCell, State
from showattend.cells.lstm import LSTM
from showattend.cells.registry import register


@register("depth_gated")
class DepthGatedLSTM(LSTM):
    """Stacked LSTMs in which a gate d adds the c of the layer below to the c of a layer.

        i = s(a_i)
        f = s(a_f)
        o = s(a_o)
        d = s(W_d x + w_cd * c + w_ld * c_below + b_d)
        c = f * c + i * tanh(a_g) + d * c_below
        h = o * tanh(c)

    These are the equations of the upper layers; x is the h of the layer below, and c_below is its new c. The lowest layer is
    `lstm`. There are at least two layers.

    Source: Yao et al. 2015, eq. 6-7, without peepholes.
    """

    min_layers = 2
    equation = "lstm, two layers at least;  above the first c += d*c_lower, d = s(W x + w_c*c + w_l*c_lower)"
    source = "Yao et al. 2015"
    parameter_roles: ClassVar[ParameterRoles] = {
        "w_cd": "the weight of c in the gate d, one for each unit",
        "w_ld": "the weight of c_below in the gate d, one for each unit",
    }

    @classmethod
    def upper(cls, hidden_size: int, **options: Any) -> RecurrentCell:
        return _UpperLayer((hidden_size,), hidden_size, **options)


class _UpperLayer(RecurrentCell):
    gates = ("i", "f", "g", "o", "d")
    recurrent = ("i", "f", "g", "o")
    state_names = ("h", "c")
    forget_bias = ("f", +1)

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.w_cd = self.new_vector()
        self.w_ld = self.new_vector()

    def project_lower_layer(self, h: Tensor, below: State) -> Tensor:
        return torch.cat((self.project(h, 0), below[1]), -1)

    def step(self, projected: Tensor, state: State) -> State:
        h, c = state
        lstm_gates, d, c_below = projected.split((4 * self.hidden_size, self.hidden_size, self.hidden_size), -1)
        i, f, g, o = (lstm_gates + F.linear(h, self.weight_hh)).chunk(4, -1)
        i, f, o = sigmoid(i), sigmoid(f), sigmoid(o)
        d = sigmoid(d + self.w_cd * c + self.w_ld * c_below)
        self.record_gates(i=i, f=f, o=o, d=d)
        c = f * c + i * tanh(g) + d * c_below
        return o * tanh(c), c

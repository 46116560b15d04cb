"""The gated recurrent unit."""

import torch
from torch import Tensor
from torch.nn import functional as F

from showattend.cells.base import RecurrentCell, State
from showattend.cells.registry import register


@register("gru")
class GRU(RecurrentCell):
    """z, r = s(a);  h~ = tanh(W x + U (r * h) + b);  h = (1 - z) * h + z * h~  (Cho et al. 2014, the reset before the product)."""

    gates = ("z", "r", "h~")
    retention = ("z", -1)

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        size = 2 * self.hidden_size
        z, r = torch.sigmoid(projected[:, :size] + F.linear(h, self.weight_hh[:size])).chunk(2, -1)
        candidate = torch.tanh(projected[:, size:] + F.linear(r * h, self.weight_hh[size:]))
        return (h + z * (candidate - h),)

"""The long short-term memory."""

import torch
from torch import Tensor
from torch.nn import functional as F

from showattend.cells.base import RecurrentCell, State
from showattend.cells.registry import register


@register("lstm")
class LSTM(RecurrentCell):
    """c = s(f) * c + s(i) * tanh(g);  h = s(o) * tanh(c)  (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""

    gates = ("i", "f", "g", "o")
    state_names = ("h", "c")
    retention = ("f", +1)

    def step(self, projected: Tensor, state: State) -> State:
        h, c = state
        i, f, g, o = (projected + F.linear(h, self.weight_hh)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

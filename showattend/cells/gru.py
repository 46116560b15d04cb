"""Gated recurrent units: the whole state is memory, and one gate mixes the old with a candidate."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

from showattend.cells.base import RecurrentCell, State
from showattend.cells.registry import register


@register("gru")
class GRU(RecurrentCell):
    """The gated recurrent unit, the reset before the product.

    z, r = s(a_z), s(a_r)
    h~ = tanh(W x + U (r * h) + b)
    h = (1 - z) * h + z * h~

    Cho et al. 2014, eq. 5-8, with z as in Olah 2015 (torch's z is 1 - z). weight_rh is the U that hears r * h.
    """

    gates = ("z", "r", "h~")
    recurrent = ("z", "r")
    forget_bias = ("z", -1)
    equation = "z, r = s(a);  h~ = tanh(W x + U(r*h));  h = (1-z)*h + z*h~"
    source = "Cho et al. 2014"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.weight_rh = self.new_matrix(1)

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        gates, candidate = projected.split((2 * self.hidden_size, self.hidden_size), -1)
        z, r = sigmoid(gates + F.linear(h, self.weight_hh)).chunk(2, -1)
        self.record_gates(z=z, r=r)
        candidate = tanh(candidate + F.linear(r * h, self.weight_rh))
        return (h + z * (candidate - h),)


@register("gru_reset_after")
class GRUResetAfter(RecurrentCell):
    """The gated recurrent unit of torch and cuDNN: the reset after the product, so that one product serves all gates.

    r, z = s(a_r), s(a_z)
    n = tanh(W x + b + r * (U h + b_hn))
    h = (1 - z) * n + z * h

    Cho et al. 2014 in the form of cuDNN; torch.nn.GRUCell.
    """

    gates = ("r", "z", "n")
    forget_bias = ("z", +1)
    equation = "n = tanh(W x + r*(U h + b_hn));  h = (1-z)*n + z*h"
    source = "cuDNN; torch.nn.GRUCell"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.b_hn = self.new_vector()

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        sizes = (2 * self.hidden_size, self.hidden_size)
        gates, heard = projected.split(sizes, -1)
        from_h, memory = F.linear(h, self.weight_hh).split(sizes, -1)
        r, z = sigmoid(gates + from_h).chunk(2, -1)
        self.record_gates(r=r, z=z)
        n = tanh(heard + r * (memory + self.b_hn))
        return (n + z * (h - n),)


@register("mgu")
class MGU(RecurrentCell):
    """The minimal gated unit: one gate forgets and resets.

    f = s(a_f)
    h~ = tanh(W x + U (f * h) + b)
    h = (1 - f) * h + f * h~

    Zhou et al. 2016, eq. 7. weight_fh is the U that hears f * h.
    """

    gates = ("f", "h~")
    recurrent = ("f",)
    forget_bias = ("f", -1)
    equation = "f = s(a);  h~ = tanh(W x + U(f*h));  h = (1-f)*h + f*h~"
    source = "Zhou et al. 2016"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.weight_fh = self.new_matrix(1)

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        gate, candidate = projected.chunk(2, -1)
        f = sigmoid(gate + F.linear(h, self.weight_hh))
        self.record_gates(f=f)
        candidate = tanh(candidate + F.linear(f * h, self.weight_fh))
        return (h + f * (candidate - h),)


@register("mut1")
class MUT1(RecurrentCell):
    """The first of three cells that a search over ten thousand found.

    z = s(W x + b)
    r = s(W x + U h + b)
    h~ = tanh(U (r * h) + tanh(W x) + b)
    h = z * h~ + (1 - z) * h

    Jozefowicz, Zaremba & Sutskever 2015, MUT1; there the candidate hears x itself where it is as wide as h, here W x.
    weight_rh is the U that hears r * h, b_h the candidate's bias.
    """

    gates = ("z", "r", "h~")
    recurrent = ("r",)
    biased = ("z", "r")
    forget_bias = ("z", -1)
    equation = "z = s(W x);  r = s(a);  h~ = tanh(U(r*h) + tanh(W x) + b);  h = (1-z)*h + z*h~"
    source = "Jozefowicz et al. 2015, MUT1"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.weight_rh = self.new_matrix(1)
        self.b_h = self.new_vector()

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        z, r, heard = projected.chunk(3, -1)
        z, r = sigmoid(z), sigmoid(r + F.linear(h, self.weight_hh))
        self.record_gates(z=z, r=r)
        candidate = tanh(F.linear(r * h, self.weight_rh) + tanh(heard) + self.b_h)
        return (h + z * (candidate - h),)


@register("mut2")
class MUT2(GRU):
    """The second cell of the search; with x projected, as it must be where x and h differ in width, it is the GRU.

    z = s(W x + U h + b)
    r = s(W x + U h + b)                     (the paper: x + U h + b)
    h~ = tanh(U (r * h) + W x + b)
    h = z * h~ + (1 - z) * h

    Jozefowicz, Zaremba & Sutskever 2015, MUT2.
    """

    equation = "r = s(W x + U h), for the paper's s(x + U h);  else gru"
    source = "Jozefowicz et al. 2015, MUT2"


@register("mut3")
class MUT3(RecurrentCell):
    """The third cell of the search: a GRU whose update gate hears tanh(h).

    z = s(W x + U tanh(h) + b)
    r = s(W x + U h + b)
    h~ = tanh(U (r * h) + W x + b)
    h = z * h~ + (1 - z) * h

    Jozefowicz, Zaremba & Sutskever 2015, MUT3. weight_zh is the U that hears tanh(h), weight_rh the one that hears r * h.
    """

    gates = ("z", "r", "h~")
    recurrent = ("r",)
    forget_bias = ("z", -1)
    equation = "gru with z = s(W x + U tanh(h))"
    source = "Jozefowicz et al. 2015, MUT3"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.weight_zh = self.new_matrix(1)
        self.weight_rh = self.new_matrix(1)

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        z, r, candidate = projected.chunk(3, -1)
        z = sigmoid(z + F.linear(self.squash(h), self.weight_zh))
        r = sigmoid(r + F.linear(h, self.weight_hh))
        self.record_gates(z=z, r=r)
        candidate = tanh(candidate + F.linear(r * h, self.weight_rh))
        return (h + z * (candidate - h),)

    squash = staticmethod(torch.tanh)  # of h for the update gate: without it the cell is the GRU

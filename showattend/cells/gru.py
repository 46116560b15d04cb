"""The GRU and its relatives: the whole state is h, and a gate interpolates between h and a candidate."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

from showattend.cells.base import ParameterRoles, RecurrentCell, State, interpolate
from showattend.cells.registry import register


@register("gru")
class GRU(RecurrentCell):
    """Gated recurrent unit that multiplies h by the reset gate before the matrix product.

        z = s(a_z)
        r = s(a_r)
        h~ = tanh(W_h x + U_h (r * h) + b_h)
        h = (1 - z) * h + z * h~

    Torch's z is 1 - z.

    Source: Cho et al. 2014, eq. 5-8, with z as in Olah 2015.
    """

    gates = ("z", "r", "h~")
    recurrent = ("z", "r")
    forget_bias = ("z", -1)
    equation = "z, r = s(a);  h~ = tanh(W x + U(r*h));  h = (1-z)*h + z*h~"
    source = "Cho et al. 2014"
    parameter_roles: ClassVar[ParameterRoles] = {"weight_rh": "U_h, which multiplies r * h"}

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.weight_rh = self.new_matrix(1)

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        gates, candidate = projected.split((2 * self.hidden_size, self.hidden_size), -1)
        z, r = sigmoid(gates + F.linear(h, self.weight_hh)).chunk(2, -1)
        self.record_gates(z=z, r=r)
        candidate = tanh(candidate + F.linear(r * h, self.weight_rh))
        return (interpolate(h, candidate, z),)


@register("gru_reset_after")
class GRUResetAfter(RecurrentCell):
    """Gated recurrent unit of torch and cuDNN: the reset gate acts after the product, so one product serves all gates.

        r = s(a_r)
        z = s(a_z)
        n = tanh(W_n x + b_n + r * (U_n h + b_hn))
        h = (1 - z) * n + z * h

    Source: Cho et al. 2014 in the form of cuDNN; the same as torch.nn.GRUCell.
    """

    gates = ("r", "z", "n")
    forget_bias = ("z", +1)
    equation = "n = tanh(W x + r*(U h + b_hn));  h = (1-z)*n + z*h"
    source = "cuDNN; torch.nn.GRUCell"
    parameter_roles: ClassVar[ParameterRoles] = {"b_hn": "second bias of the candidate n, inside the reset"}

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.b_hn = self.new_vector()

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        sizes = (2 * self.hidden_size, self.hidden_size)
        gates_x, n_x = projected.split(sizes, -1)
        gates_h, n_h = F.linear(h, self.weight_hh).split(sizes, -1)
        r, z = sigmoid(gates_x + gates_h).chunk(2, -1)
        self.record_gates(r=r, z=z)
        n = tanh(n_x + r * (n_h + self.b_hn))
        return (interpolate(n, h, z),)


@register("mgu")
class MGU(RecurrentCell):
    """Minimal gated unit: a GRU with one gate for both update and reset.

        f = s(a_f)
        h~ = tanh(W_h x + U_h (f * h) + b_h)
        h = (1 - f) * h + f * h~

    Source: Zhou et al. 2016, eq. 7.
    """

    gates = ("f", "h~")
    recurrent = ("f",)
    forget_bias = ("f", -1)
    equation = "f = s(a);  h~ = tanh(W x + U(f*h));  h = (1-f)*h + f*h~"
    source = "Zhou et al. 2016"
    parameter_roles: ClassVar[ParameterRoles] = {"weight_fh": "U_h, which multiplies f * h"}

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.weight_fh = self.new_matrix(1)

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        gate, candidate = projected.chunk(2, -1)
        f = sigmoid(gate + F.linear(h, self.weight_hh))
        self.record_gates(f=f)
        candidate = tanh(candidate + F.linear(f * h, self.weight_fh))
        return (interpolate(h, candidate, f),)


@register("mut1")
class MUT1(RecurrentCell):
    """First of the three best cells of an architecture search over ten thousand; its update gate reads x alone.

        z = s(W_z x + b_z)
        r = s(a_r)
        h~ = tanh(U_h (r * h) + tanh(W_h x) + b_h)
        h = (1 - z) * h + z * h~

    In the paper the candidate reads x itself, which must be as wide as h; here it reads W_h x.

    Source: Jozefowicz, Zaremba & Sutskever 2015, MUT1.
    """

    gates = ("z", "r", "h~")
    recurrent = ("r",)
    biased = ("z", "r")
    forget_bias = ("z", -1)
    equation = "z = s(W x);  r = s(a);  h~ = tanh(U(r*h) + tanh(W x) + b);  h = (1-z)*h + z*h~"
    source = "Jozefowicz et al. 2015, MUT1"
    parameter_roles: ClassVar[ParameterRoles] = {
        "weight_rh": "U_h, which multiplies r * h",
        "b_h": "bias of the candidate, outside its inner tanh",
    }

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.weight_rh = self.new_matrix(1)
        self.b_h = self.new_vector()

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        z, r, candidate = projected.chunk(3, -1)
        z, r = sigmoid(z), sigmoid(r + F.linear(h, self.weight_hh))
        self.record_gates(z=z, r=r)
        candidate = tanh(F.linear(r * h, self.weight_rh) + tanh(candidate) + self.b_h)
        return (interpolate(h, candidate, z),)


@register("mut2")
class MUT2(GRU):
    """Second cell of the architecture search; with x projected it is the GRU.

        z = s(a_z)
        r = s(a_r)
        h~ = tanh(W_h x + U_h (r * h) + b_h)
        h = (1 - z) * h + z * h~

    In the paper r = s(x + U_r h + b_r), which needs x and h of equal width.

    Source: Jozefowicz, Zaremba & Sutskever 2015, MUT2.
    """

    equation = "r = s(W x + U h), for the paper's s(x + U h);  else gru"
    source = "Jozefowicz et al. 2015, MUT2"


@register("mut3")
class MUT3(RecurrentCell):
    """Third cell of the architecture search: a GRU whose update gate reads tanh(h).

        z = s(W_z x + U_z tanh(h) + b_z)
        r = s(a_r)
        h~ = tanh(W_h x + U_h (r * h) + b_h)
        h = (1 - z) * h + z * h~

    Source: Jozefowicz, Zaremba & Sutskever 2015, MUT3.
    """

    gates = ("z", "r", "h~")
    recurrent = ("r",)
    forget_bias = ("z", -1)
    equation = "gru with z = s(W x + U tanh(h))"
    source = "Jozefowicz et al. 2015, MUT3"
    parameter_roles: ClassVar[ParameterRoles] = {
        "weight_zh": "U_z, which multiplies tanh(h)",
        "weight_rh": "U_h, which multiplies r * h",
    }

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.weight_zh = self.new_matrix(1)
        self.weight_rh = self.new_matrix(1)

    def step(self, projected: Tensor, state: State) -> State:
        (h,) = state
        z, r, candidate = projected.chunk(3, -1)
        z = sigmoid(z + F.linear(self.update_gate_activation(h), self.weight_zh))
        r = sigmoid(r + F.linear(h, self.weight_hh))
        self.record_gates(z=z, r=r)
        candidate = tanh(candidate + F.linear(r * h, self.weight_rh))
        return (interpolate(h, candidate, z),)

    update_gate_activation = staticmethod(torch.tanh)  # of h for the update gate; with the identity the cell is the GRU

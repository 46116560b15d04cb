"""LSTMs whose gates see the memory, and Greff's variants: each is `peephole` with one change."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn, sigmoid, tanh
from torch.nn import functional as F

from showattend.cells.base import RecurrentCell, State
from showattend.cells.initialisation import ForgetBias
from showattend.cells.registry import register
from showattend.errors import unknown_name


@register("peephole")
class Peephole(RecurrentCell):
    """The LSTM whose gates see the memory through one weight per unit; Greff's "vanilla" V.

    i, f = s(a_i + p_i * c), s(a_f + p_f * c)
    c = f * c + i * tanh(a_g)
    o = s(a_o + p_o * c)                     (the new c)
    h = o * tanh(c)

    Gers & Schmidhuber 2000; Graves 2013, eq. 7-11. Option `peepholes`: the gates that see, such as [i, f].
    """

    gates: tuple[str, ...] = ("i", "f", "g", "o")
    state_names: ClassVar[tuple[str, ...]] = ("h", "c")
    forget_bias: ClassVar[ForgetBias] = ("f", +1)
    p_i: Tensor
    p_f: Tensor
    p_o: Tensor
    seeing: ClassVar[tuple[str, ...]] = ("i", "f", "o")
    equation = "lstm with p*c added: to i and f the old c, to o the new"
    source = "Gers & Schmidhuber 2000; Graves 2013"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, *, peepholes: Sequence[str] | None = None, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        chosen = self.seeing if peepholes is None else peepholes
        for gate in chosen:
            if gate not in self.seeing:
                raise unknown_name("peephole", gate, self.seeing)
        for gate in self.seeing:
            if gate in chosen:
                self.register_parameter(f"p_{gate}", self.new_vector())
            else:  # blind: a constant, so that the equations need not know
                self.register_buffer(f"p_{gate}", torch.zeros(hidden_size))

    def update(self, activations: Tensor, state: State) -> State:
        _, c = state
        i, f, g, o = activations.chunk(4, -1)
        i, f = sigmoid(i + self.p_i * c), sigmoid(f + self.p_f * c)
        c = f * c + i * tanh(g)
        o = sigmoid(o + self.p_o * c)
        self.record_gates(i=i, f=f, o=o)
        return o * tanh(c), c


@register("peephole_full")
class PeepholeFull(RecurrentCell):
    """Peepholes by whole matrices, as drawn in Olah 2015: the gates hear [c, h, x].

    i, f = s(a_i + P_i c), s(a_f + P_f c)
    c = f * c + i * tanh(a_g)
    o = s(a_o + P_o c)                       (the new c)
    h = o * tanh(c)

    Olah 2015, "Understanding LSTM Networks". P_if holds P_i above P_f.
    """

    gates = ("i", "f", "g", "o")
    state_names = ("h", "c")
    forget_bias = ("f", +1)
    equation = "peephole with matrices P instead of p*"
    source = "Olah 2015"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.P_if = self.new_matrix(2)
        self.P_o = self.new_matrix(1)

    def step(self, projected: Tensor, state: State) -> State:
        h, c = state
        i, f, g, o = (projected + F.linear(h, self.weight_hh)).chunk(4, -1)
        seen_by_i, seen_by_f = F.linear(c, self.P_if).chunk(2, -1)
        i, f = sigmoid(i + seen_by_i), sigmoid(f + seen_by_f)
        c = f * c + i * tanh(g)
        o = sigmoid(o + F.linear(c, self.P_o))
        self.record_gates(i=i, f=f, o=o)
        return o * tanh(c), c


@register("nig")
class NoInputGate(Peephole):
    """Greff's variant without input gate: i = 1.

    f = s(a_f + p_f * c)
    c = f * c + tanh(a_g)
    o = s(a_o + p_o * c)
    h = o * tanh(c)

    Greff et al. 2015, NIG.
    """

    gates = ("f", "g", "o")
    seeing = ("f", "o")
    equation = "peephole with i = 1"
    source = "Greff et al. 2015, NIG"

    def update(self, activations: Tensor, state: State) -> State:
        _, c = state
        f, g, o = activations.chunk(3, -1)
        f = sigmoid(f + self.p_f * c)
        c = f * c + tanh(g)
        o = sigmoid(o + self.p_o * c)
        self.record_gates(f=f, o=o)
        return o * tanh(c), c


@register("nfg")
class NoForgetGate(Peephole):
    """Greff's variant without forget gate: f = 1, the memory of 1997.

    i = s(a_i + p_i * c)
    c = c + i * tanh(a_g)
    o = s(a_o + p_o * c)
    h = o * tanh(c)

    Greff et al. 2015, NFG.
    """

    gates = ("i", "g", "o")
    seeing = ("i", "o")
    forget_bias = None
    equation = "peephole with f = 1"
    source = "Greff et al. 2015, NFG"

    def update(self, activations: Tensor, state: State) -> State:
        _, c = state
        i, g, o = activations.chunk(3, -1)
        i = sigmoid(i + self.p_i * c)
        c = c + i * tanh(g)
        o = sigmoid(o + self.p_o * c)
        self.record_gates(i=i, o=o)
        return o * tanh(c), c


@register("nog")
class NoOutputGate(Peephole):
    """Greff's variant without output gate: o = 1.

    i, f = s(a_i + p_i * c), s(a_f + p_f * c)
    c = f * c + i * tanh(a_g)
    h = tanh(c)

    Greff et al. 2015, NOG.
    """

    gates = ("i", "f", "g")
    seeing = ("i", "f")
    equation = "peephole with o = 1"
    source = "Greff et al. 2015, NOG"

    def update(self, activations: Tensor, state: State) -> State:
        _, c = state
        i, f, g = activations.chunk(3, -1)
        i, f = sigmoid(i + self.p_i * c), sigmoid(f + self.p_f * c)
        self.record_gates(i=i, f=f)
        c = f * c + i * tanh(g)
        return tanh(c), c


@register("niaf")
class NoInputActivation(Peephole):
    """Greff's variant without input activation: what is written is linear.

    i, f = s(a_i + p_i * c), s(a_f + p_f * c)
    c = f * c + i * a_g
    o = s(a_o + p_o * c)
    h = o * tanh(c)

    Greff et al. 2015, NIAF.
    """

    equation = "peephole with c = f*c + i*g"
    source = "Greff et al. 2015, NIAF"

    def update(self, activations: Tensor, state: State) -> State:
        _, c = state
        i, f, g, o = activations.chunk(4, -1)
        i, f = sigmoid(i + self.p_i * c), sigmoid(f + self.p_f * c)
        c = f * c + i * g
        o = sigmoid(o + self.p_o * c)
        self.record_gates(i=i, f=f, o=o)
        return o * tanh(c), c


@register("noaf")
class NoOutputActivation(Peephole):
    """Greff's variant without output activation: the memory is read as it stands.

    i, f = s(a_i + p_i * c), s(a_f + p_f * c)
    c = f * c + i * tanh(a_g)
    o = s(a_o + p_o * c)
    h = o * c

    Greff et al. 2015, NOAF.
    """

    equation = "peephole with h = o*c"
    source = "Greff et al. 2015, NOAF"

    def update(self, activations: Tensor, state: State) -> State:
        _, c = state
        i, f, g, o = activations.chunk(4, -1)
        i, f = sigmoid(i + self.p_i * c), sigmoid(f + self.p_f * c)
        c = f * c + i * tanh(g)
        o = sigmoid(o + self.p_o * c)
        self.record_gates(i=i, f=f, o=o)
        return o * c, c


@register("cifg")
class CoupledGates(Peephole):
    """Greff's variant with coupled input and forget gate: f = 1 - i.

    i = s(a_i + p_i * c)
    c = (1 - i) * c + i * tanh(a_g)
    o = s(a_o + p_o * c)
    h = o * tanh(c)

    Greff et al. 2015, CIFG.
    """

    gates = ("i", "g", "o")
    seeing = ("i", "o")
    forget_bias = ("i", -1)
    equation = "peephole with f = 1 - i"
    source = "Greff et al. 2015, CIFG"

    def update(self, activations: Tensor, state: State) -> State:
        _, c = state
        i, g, o = activations.chunk(3, -1)
        i = sigmoid(i + self.p_i * c)
        c = (1 - i) * c + i * tanh(g)
        o = sigmoid(o + self.p_o * c)
        self.record_gates(i=i, o=o)
        return o * tanh(c), c


@register("fgr")
class FullGateRecurrence(Peephole):
    """Greff's variant with full gate recurrence, as in 1997: every gate also hears what all gates did one step before.

    u_i, u_f, u_o = R [i, f, o]              (the old gates; all begin at 0)
    i, f = s(a_i + u_i + p_i * c), s(a_f + u_f + p_f * c)
    c = f * c + i * tanh(a_g)
    o = s(a_o + u_o + p_o * c)
    h = o * tanh(c)

    Greff et al. 2015, FGR; Hochreiter & Schmidhuber 1997.
    """

    state_names = ("h", "c", "i", "f", "o")
    equation = "peephole with R [i, f, o] of the step before added to every gate"
    source = "Greff et al. 2015, FGR"

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.R: nn.Parameter = self.new_matrix(3, 3 * hidden_size)

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        return (h, c, *(torch.zeros_like(h) for _ in range(3)))

    def step(self, projected: Tensor, state: State) -> State:
        h, c, *gates = state
        i, f, g, o = (projected + F.linear(h, self.weight_hh)).chunk(4, -1)
        heard_by_i, heard_by_f, heard_by_o = F.linear(torch.cat(gates, -1), self.R).chunk(3, -1)
        i, f = sigmoid(i + heard_by_i + self.p_i * c), sigmoid(f + heard_by_f + self.p_f * c)
        c = f * c + i * tanh(g)
        o = sigmoid(o + heard_by_o + self.p_o * c)
        self.record_gates(i=i, f=f, o=o)
        return o * tanh(c), c, i, f, o

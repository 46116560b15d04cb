"""LSTMs whose gates also read the cell state c."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn, sigmoid, tanh
from torch.nn import functional as F

from showattend.cells.base import Gates, ParameterRoles, RecurrentCell, State
from showattend.cells.initialisation import ForgetBias
from showattend.cells.registry import register
from showattend.errors import unknown_name


@register("peephole")
class Peephole(RecurrentCell):
    """LSTM whose gates read c through one weight per unit; Greff's "vanilla" LSTM, V.

        i = s(a_i + p_i * c)
        f = s(a_f + p_f * c)
        c = f * c + i * tanh(a_g)
        o = s(a_o + p_o * c)
        h = o * tanh(c)

    Option `peepholes`: the gates that have one, such as [i, f]; by default all. Subclasses leave out gates or activations.

    Source: Gers & Schmidhuber 2000; Graves 2013, eq. 7-11.
    """

    gates: tuple[str, ...] = ("i", "f", "g", "o")
    state_names: ClassVar[tuple[str, ...]] = ("h", "c")
    forget_bias: ClassVar[ForgetBias] = ("f", +1)
    equation = "lstm with p*c added: to i and f the old c, to o the new"
    source = "Gers & Schmidhuber 2000; Graves 2013"
    parameter_roles: ClassVar[ParameterRoles] = {"p_*": "peephole: the weight of c in the gate *, one for each unit"}

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, *, peepholes: Sequence[str] | None = None, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        possible = [gate for gate in self.gates if gate != "g"]
        chosen = possible if peepholes is None else peepholes
        for gate in chosen:
            if gate not in possible:
                raise unknown_name("peephole", gate, possible)
        for gate in possible:
            if gate in chosen:
                self.register_parameter(f"p_{gate}", self.new_vector())
            else:  # a constant zero, so that the equations stay the same
                self.register_buffer(f"p_{gate}", torch.zeros(hidden_size))

    def update(self, activations: Tensor, state: State) -> State:
        return self.apply_gates(self.split_activations(activations), state[1])[:2]

    def split_activations(self, activations: Tensor) -> Gates:
        """The pre-activations of each gate by its name, (B,H) each."""
        blocks = activations.chunk(len(self.gates), -1)
        return {gate: blocks[index] for index, gate in enumerate(self.gates)}

    def apply_gates(self, activations: Gates, c: Tensor) -> tuple[Tensor, Tensor, Gates]:
        """The equations of the class docstring, for the gates that the cell has.

        Returns:
            h, c and the values of the gates
        """
        gates: Gates = {gate: self._gate(gate, activations, c) for gate in ("i", "f") if gate in activations}
        c = self.next_cell_state(c, self.input_activation(activations["g"]), gates)
        if "o" in activations:
            gates["o"] = self._gate("o", activations, c)
        self.record_gates(**gates)
        h = self.output_activation(c)
        return gates["o"] * h if "o" in gates else h, c, gates

    def _gate(self, gate: str, activations: Gates, c: Tensor) -> Tensor:
        peephole: Tensor = getattr(self, f"p_{gate}")
        return sigmoid(activations[gate] + peephole * c)

    def next_cell_state(self, c: Tensor, written: Tensor, gates: Gates) -> Tensor:
        """The new c from the old one, the activated input `written`, and the gates."""
        return gates["f"] * c + gates["i"] * written

    def input_activation(self, a_g: Tensor) -> Tensor:
        """The activated input, before the input gate."""
        return tanh(a_g)

    def output_activation(self, c: Tensor) -> Tensor:
        """The activated cell state, before the output gate."""
        return tanh(c)


@register("fgr")
class FullGateRecurrence(Peephole):
    """Greff's variant with full gate recurrence, as in the LSTM of 1997: every gate also reads all gates of the step before.

        u_i = R_ii i + R_if f + R_io o
        u_f = R_fi i + R_ff f + R_fo o
        u_o = R_oi i + R_of f + R_oo o
        i = s(a_i + u_i + p_i * c)
        f = s(a_f + u_f + p_f * c)
        c = f * c + i * tanh(a_g)
        o = s(a_o + u_o + p_o * c)
        h = o * tanh(c)

    The values of the gates are part of the state and begin at 0.

    Source: Greff et al. 2015, FGR; Hochreiter & Schmidhuber 1997.
    """

    state_names = ("h", "c", "i", "f", "o")
    equation = "peephole with R [i, f, o] of the step before added to every gate"
    source = "Greff et al. 2015, FGR"
    parameter_roles: ClassVar[ParameterRoles] = {
        **Peephole.parameter_roles,
        "R": "rows for the gates i, f, o; columns for their values one step before",
    }

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.R: nn.Parameter = self.new_matrix(3, 3 * hidden_size)

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        return (h, c, *(torch.zeros_like(h) for _ in range(3)))

    def step(self, projected: Tensor, state: State) -> State:
        h, c, *old_gates = state
        activations = self.split_activations(projected + F.linear(h, self.weight_hh))
        u_i, u_f, u_o = F.linear(torch.cat(old_gates, -1), self.R).chunk(3, -1)
        activations |= {"i": activations["i"] + u_i, "f": activations["f"] + u_f, "o": activations["o"] + u_o}
        h, c, gates = self.apply_gates(activations, c)
        return h, c, gates["i"], gates["f"], gates["o"]


@register("peephole_full")
class PeepholeFull(RecurrentCell):
    """LSTM whose gates read c through whole matrices.

        i = s(a_i + P_i c)
        f = s(a_f + P_f c)
        c = f * c + i * tanh(a_g)
        o = s(a_o + P_o c)
        h = o * tanh(c)

    Source: Olah 2015, "Understanding LSTM Networks", whose gates read [c, h, x].
    """

    gates = ("i", "f", "g", "o")
    state_names = ("h", "c")
    forget_bias = ("f", +1)
    equation = "peephole with matrices P instead of p*"
    source = "Olah 2015"
    parameter_roles: ClassVar[ParameterRoles] = {"P_if": "P_i above P_f, which multiply the old c", "P_o": "multiplies the new c"}

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.P_if = self.new_matrix(2)
        self.P_o = self.new_matrix(1)

    def step(self, projected: Tensor, state: State) -> State:
        h, c = state
        i, f, g, o = (projected + F.linear(h, self.weight_hh)).chunk(4, -1)
        peephole_i, peephole_f = F.linear(c, self.P_if).chunk(2, -1)
        i, f = sigmoid(i + peephole_i), sigmoid(f + peephole_f)
        c = f * c + i * tanh(g)
        o = sigmoid(o + F.linear(c, self.P_o))
        self.record_gates(i=i, f=f, o=o)
        return o * tanh(c), c

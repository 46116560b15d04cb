"""The variants of "LSTM: A Search Space Odyssey" (Greff et al. 2015): `peephole` with one change each.

`np` is in lstm.py, because without peepholes it is the LSTM, and `fgr` in peephole.py, because it has a step of its own.
"""

from torch import Tensor

from showattend.cells.base import Gates
from showattend.cells.peephole import Peephole
from showattend.cells.registry import register


@register("nig")
class NoInputGate(Peephole):
    """Greff's variant without input gate: i = 1.

        f = s(a_f + p_f * c)
        c = f * c + tanh(a_g)
        o = s(a_o + p_o * c)
        h = o * tanh(c)

    Source: Greff et al. 2015, NIG.
    """

    gates = ("f", "g", "o")
    equation = "peephole with i = 1"
    source = "Greff et al. 2015, NIG"

    def next_cell_state(self, c: Tensor, written: Tensor, gates: Gates) -> Tensor:
        return gates["f"] * c + written


@register("nfg")
class NoForgetGate(Peephole):
    """Greff's variant without forget gate, as in the LSTM of 1997: f = 1.

        i = s(a_i + p_i * c)
        c = c + i * tanh(a_g)
        o = s(a_o + p_o * c)
        h = o * tanh(c)

    Source: Greff et al. 2015, NFG.
    """

    gates = ("i", "g", "o")
    forget_bias = None
    equation = "peephole with f = 1"
    source = "Greff et al. 2015, NFG"

    def next_cell_state(self, c: Tensor, written: Tensor, gates: Gates) -> Tensor:
        return c + gates["i"] * written


@register("nog")
class NoOutputGate(Peephole):
    """Greff's variant without output gate: o = 1.

        i = s(a_i + p_i * c)
        f = s(a_f + p_f * c)
        c = f * c + i * tanh(a_g)
        h = tanh(c)

    Source: Greff et al. 2015, NOG.
    """

    gates = ("i", "f", "g")
    equation = "peephole with o = 1"
    source = "Greff et al. 2015, NOG"


@register("niaf")
class NoInputActivation(Peephole):
    """Greff's variant without input activation: the input of c is linear.

        i = s(a_i + p_i * c)
        f = s(a_f + p_f * c)
        c = f * c + i * a_g
        o = s(a_o + p_o * c)
        h = o * tanh(c)

    Source: Greff et al. 2015, NIAF.
    """

    equation = "peephole with c = f*c + i*g"
    source = "Greff et al. 2015, NIAF"

    def input_activation(self, a_g: Tensor) -> Tensor:
        return a_g


@register("noaf")
class NoOutputActivation(Peephole):
    """Greff's variant without output activation: the output is linear in c.

        i = s(a_i + p_i * c)
        f = s(a_f + p_f * c)
        c = f * c + i * tanh(a_g)
        o = s(a_o + p_o * c)
        h = o * c

    Source: Greff et al. 2015, NOAF.
    """

    equation = "peephole with h = o*c"
    source = "Greff et al. 2015, NOAF"

    def output_activation(self, c: Tensor) -> Tensor:
        return c


@register("cifg")
class CoupledGates(Peephole):
    """Greff's variant with coupled input and forget gates: f = 1 - i.

        i = s(a_i + p_i * c)
        c = (1 - i) * c + i * tanh(a_g)
        o = s(a_o + p_o * c)
        h = o * tanh(c)

    Source: Greff et al. 2015, CIFG.
    """

    gates = ("i", "g", "o")
    forget_bias = ("i", -1)
    equation = "peephole with f = 1 - i"
    source = "Greff et al. 2015, CIFG"

    def next_cell_state(self, c: Tensor, written: Tensor, gates: Gates) -> Tensor:
        return (1 - gates["i"]) * c + gates["i"] * written

"""The long short-term memory and those variants that leave its memory out of the gates' sight."""

import torch
from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

from showattend.cells.base import RecurrentCell, State
from showattend.cells.registry import register


@register("lstm")
class LSTM(RecurrentCell):
    """The long short-term memory with a forget gate, as torch has it.

    i, f, o = s(a_i), s(a_f), s(a_o)
    c = f * c + i * tanh(a_g)
    h = o * tanh(c)

    Hochreiter & Schmidhuber 1997; the forget gate by Gers, Schmidhuber & Cummins 2000.
    """

    gates = ("i", "f", "g", "o")
    state_names = ("h", "c")
    forget_bias = ("f", +1)
    equation = "c = s(f)*c + s(i)*tanh(g);  h = s(o)*tanh(c)"
    source = "Hochreiter & Schmidhuber 1997; Gers et al. 2000"

    def update(self, activations: Tensor, state: State) -> State:
        _, c = state
        i, f, g, o = activations.chunk(4, -1)
        i, f, o = sigmoid(i), sigmoid(f), sigmoid(o)
        self.record_gates(i=i, f=f, o=o)
        c = f * c + i * tanh(g)
        return o * tanh(c), c


@register("np")
class NoPeepholes(LSTM):
    """Greff's variant without peepholes, which is the LSTM.

    i, f, o = s(a_i), s(a_f), s(a_o)
    c = f * c + i * tanh(a_g)
    h = o * tanh(c)

    Greff et al. 2015, NP.
    """

    equation = "peephole without p, which is lstm"
    source = "Greff et al. 2015, NP"


@register("coupled")
class Coupled(RecurrentCell):
    """Forget only what is written over.

    f, o = s(a_f), s(a_o)
    c = f * c + (1 - f) * tanh(a_g)
    h = o * tanh(c)

    Drawn in Olah 2015, "Understanding LSTM Networks"; with peepholes it is Greff's CIFG.
    """

    gates = ("f", "g", "o")
    state_names = ("h", "c")
    forget_bias = ("f", +1)
    equation = "lstm with i = 1 - f"
    source = "Olah 2015; Greff et al. 2015"

    def update(self, activations: Tensor, state: State) -> State:
        _, c = state
        f, g, o = activations.chunk(3, -1)
        f, o = sigmoid(f), sigmoid(o)
        self.record_gates(f=f, o=o)
        c = f * c + (1 - f) * tanh(g)
        return o * tanh(c), c


@register("janet")
class JANET(RecurrentCell):
    """Just another network: the forget gate alone, and it writes a little more than it forgets.

    c = s(a_f) * c + (1 - s(a_f - beta)) * tanh(a_g),  beta = 1
    h = c

    van der Westhuizen & Lasenby 2018, eq. 4.
    """

    gates = ("f", "g")
    forget_bias = ("f", +1)
    equation = "h = c = s(f)*c + (1 - s(f-1))*tanh(g)"
    source = "van der Westhuizen & Lasenby 2018"

    def update(self, activations: Tensor, state: State) -> State:
        (c,) = state
        f, g = activations.chunk(2, -1)
        keep = sigmoid(f)
        self.record_gates(f=keep)
        return (keep * c + (1 - sigmoid(f - 1)) * tanh(g),)


@register("slstm")
class SLSTM(RecurrentCell):
    """The scalar LSTM of xLSTM with one head: an exponential input gate, and a normaliser n that counts what was written.

    m' = max(a_i, log s(a_f) + m)            (keeps the exponentials in range; nothing else depends on it)
    i = exp(a_i - m'),  f = exp(log s(a_f) + m - m')
    c = f * c + i * tanh(a_z)
    n = f * n + i
    h = s(a_o) * c / n

    Beck et al. 2024, eq. 8-17. Begins with n = 1 and m = 0: the photo's c counts as one memory written with i = 1.
    """

    gates = ("i", "f", "z", "o")
    state_names = ("h", "c", "n", "m")
    forget_bias = ("f", +1)
    equation = "c = f*c + i*tanh(z);  n = f*n + i;  h = s(o)*c/n;  i = exp(a_i), f = s(a_f), both times exp(-m)"
    source = "Beck et al. 2024, xLSTM"

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        return h, c, torch.ones_like(c), torch.zeros_like(c)

    def update(self, activations: Tensor, state: State) -> State:
        _, c, n, m = state
        i, f, z, o = activations.chunk(4, -1)
        kept = F.logsigmoid(f) + m
        m = torch.maximum(i, kept)
        i, f, o = torch.exp(i - m), torch.exp(kept - m), sigmoid(o)
        self.record_gates(i=i, f=f, o=o)
        c = f * c + i * tanh(z)
        n = f * n + i
        return o * c / n, c, n, m

"""The LSTM, and variants whose gates do not read the cell state c."""

import torch
from torch import Tensor, sigmoid, tanh
from torch.nn import functional as F

from showattend.cells.base import RecurrentCell, State
from showattend.cells.registry import register


@register("lstm")
class LSTM(RecurrentCell):
    """Long short-term memory with a forget gate and without peepholes.

        i = s(a_i)
        f = s(a_f)
        o = s(a_o)
        c = f * c + i * tanh(a_g)
        h = o * tanh(c)

    Source: Hochreiter & Schmidhuber 1997; the forget gate by Gers, Schmidhuber & Cummins 2000; the same as torch.nn.LSTMCell.
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
    """Greff's variant of the peephole LSTM without peepholes, which is the LSTM.

        i = s(a_i)
        f = s(a_f)
        o = s(a_o)
        c = f * c + i * tanh(a_g)
        h = o * tanh(c)

    Source: Greff et al. 2015, NP.
    """

    equation = "peephole without p, which is lstm"
    source = "Greff et al. 2015, NP"


@register("coupled")
class Coupled(RecurrentCell):
    """LSTM with coupled input and forget gates: c is overwritten by as much as is forgotten.

        f = s(a_f)
        o = s(a_o)
        c = f * c + (1 - f) * tanh(a_g)
        h = o * tanh(c)

    With peepholes it is `cifg`.

    Source: Olah 2015, "Understanding LSTM Networks"; Greff et al. 2015, CIFG.
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
    """LSTM with the forget gate alone, which writes a little more than it forgets.

        f = s(a_f)
        h = f * h + (1 - s(a_f - 1)) * tanh(a_g)

    h and c are the same vector. The paper's beta is 1.

    Source: van der Westhuizen & Lasenby 2018, eq. 4.
    """

    gates = ("f", "g")
    forget_bias = ("f", +1)
    equation = "h = c = s(f)*c + (1 - s(f-1))*tanh(g)"
    source = "van der Westhuizen & Lasenby 2018"

    def update(self, activations: Tensor, state: State) -> State:
        (h,) = state
        a_f, a_g = activations.chunk(2, -1)
        f = sigmoid(a_f)
        self.record_gates(f=f)
        return (f * h + (1 - sigmoid(a_f - 1)) * tanh(a_g),)


@register("slstm")
class SLSTM(RecurrentCell):
    """Scalar LSTM of xLSTM with one head: an exponential input gate, and a normaliser n that sums what was written.

        k = log(s(a_f)) + m
        m = max(a_i, k)
        i = exp(a_i - m)
        f = exp(k - m)
        o = s(a_o)
        c = f * c + i * tanh(a_z)
        n = f * n + i
        h = o * c / n

    m keeps the exponentials in range and cancels in h. The state begins with n = 1 and m = 0: the image's c counts as one
    vector that was written with i = 1.

    Source: Beck et al. 2024, xLSTM, eq. 8-17.
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
        a_i, a_f, a_z, a_o = activations.chunk(4, -1)
        k = F.logsigmoid(a_f) + m
        m = torch.maximum(a_i, k)
        i, f, o = torch.exp(a_i - m), torch.exp(k - m), sigmoid(a_o)
        self.record_gates(i=i, f=f, o=o)
        c = f * c + i * tanh(a_z)
        n = f * n + i
        return o * c / n, c, n, m

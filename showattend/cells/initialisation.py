"""How the tensors of a cell begin: named schemes, the same for every cell."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from showattend.errors import InputError, unknown_name

ForgetBias = tuple[str, int] | None


class Default:
    """Orthogonal U and Xavier W for each gate by itself; b = 0, but 1 towards remembering (Jozefowicz et al. 2015)."""

    def __init__(self, hidden_size: int, max_time: int) -> None:
        self.hidden_size = hidden_size
        self.max_time = max_time

    def input(self, weight: Tensor) -> None:
        """A matrix that multiplies x: blocks of H rows, (S*H, I)."""
        for block in weight.split(self.hidden_size):
            nn.init.xavier_uniform_(block)

    def recurrent(self, weight: Tensor) -> None:
        """A matrix that multiplies something of the state: blocks of at most H rows, (S*H, ·)."""
        for block in weight.split(self.hidden_size):
            nn.init.orthogonal_(block)

    def vector(self, vector: Tensor, value: float) -> None:
        """A bias, a peephole, a gain: `value` is where it changes nothing."""
        nn.init.constant_(vector, value)

    def bias(self, bias: Tensor, gates: Sequence[str], forget_bias: ForgetBias) -> None:
        """The gates' biases, (S*H,), when `retention` names the gate that keeps the memory and the sign towards keeping."""
        self.vector(bias, 0.0)
        if forget_bias is not None:
            gate, sign = forget_bias
            bias.chunk(len(gates))[gates.index(gate)].fill_(float(sign))


class Xu2015(Default):
    """The authors' code of Show, Attend and Tell: orthogonal U for each gate, W ~ N(0, 0.01), b = 0."""

    def input(self, weight: Tensor) -> None:
        nn.init.normal_(weight, std=0.01)

    def bias(self, bias: Tensor, gates: Sequence[str], forget_bias: ForgetBias) -> None:
        self.vector(bias, 0.0)


class Chrono(Default):
    """b_f = log U(1, max_time - 1) and b_i = -b_f, so that memories last from one word to max_time (Tallec & Ollivier 2018, eq. 16)."""

    def bias(self, bias: Tensor, gates: Sequence[str], forget_bias: ForgetBias) -> None:
        self.vector(bias, 0.0)
        # Where there are no numbers to draw (torch.device("meta")), torch's compiler would be imported to draw none.
        if forget_bias is not None and not bias.is_meta:
            gate, sign = forget_bias
            blocks = bias.chunk(len(gates))
            times = torch.empty_like(blocks[0]).uniform_(1, self.max_time - 1).log_()
            blocks[gates.index(gate)].copy_(sign * times)
            if gate == "f" and "i" in gates:
                blocks[gates.index("i")].copy_(-times)


class Torch(Default):
    """Everything that torch's own cells draw is from U(-1/sqrt(H), 1/sqrt(H)); gains stay 1."""

    def input(self, weight: Tensor) -> None:
        bound = 1 / math.sqrt(self.hidden_size)
        nn.init.uniform_(weight, -bound, bound)

    recurrent = input

    def vector(self, vector: Tensor, value: float) -> None:
        if value:
            super().vector(vector, value)
        else:
            self.input(vector)

    def bias(self, bias: Tensor, gates: Sequence[str], forget_bias: ForgetBias) -> None:
        self.input(bias)


SCHEMES: dict[str, type[Default]] = {"default": Default, "xu2015": Xu2015, "chrono": Chrono, "torch": Torch}


def find_scheme(name: str, hidden_size: int, max_time: int) -> Default:
    """The scheme of a name, for a cell of H units.

    Raises:
        InputError: no such scheme, or a time that leaves nothing to draw from.
    """
    if name not in SCHEMES:
        raise unknown_name("initialisation", name, SCHEMES)
    if max_time < 3:
        raise InputError(f"max_time is {max_time}: give at least 3, the words of a long caption")
    return SCHEMES[name](hidden_size, max_time)

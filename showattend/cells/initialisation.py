"""Initialisation schemes of cells, by name; every cell takes every scheme."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from showattend.errors import InputError, unknown_name

ForgetBias = tuple[str, int] | None


class DefaultScheme:
    """Orthogonal U and Xavier W for each gate, b = 0 except 1 towards remembering (Jozefowicz et al. 2015)."""

    def __init__(self, hidden_size: int, max_time: int) -> None:
        self.hidden_size = hidden_size
        self.max_time = max_time

    def input(self, weight: Tensor) -> None:
        """Fill a matrix that multiplies x, in blocks of H rows, (S*H, I)."""
        for block in weight.split(self.hidden_size):
            nn.init.xavier_uniform_(block)

    def recurrent(self, weight: Tensor) -> None:
        """Fill a matrix that multiplies a part of the state, in blocks of at most H rows, (S*H, ·)."""
        for block in weight.split(self.hidden_size):
            nn.init.orthogonal_(block)

    def vector(self, vector: Tensor, value: float) -> None:
        """Fill a bias, peephole or gain with `value`, at which it has no effect."""
        nn.init.constant_(vector, value)

    def bias(self, bias: Tensor, gates: Sequence[str], forget_bias: ForgetBias) -> None:
        """Fill the biases of the gates.

        Args:
            bias: (S*H,)
            gates: names of the S blocks
            forget_bias: the gate that keeps the memory, and the sign of the bias that keeps more of it
        """
        self.vector(bias, 0.0)
        if forget_bias is not None:
            gate, sign = forget_bias
            bias.chunk(len(gates))[gates.index(gate)].fill_(float(sign))


class Xu2015Scheme(DefaultScheme):
    """The authors' code of Show, Attend and Tell: orthogonal U for each gate, W normal with std 0.01, b = 0."""

    def input(self, weight: Tensor) -> None:
        nn.init.normal_(weight, std=0.01)

    def bias(self, bias: Tensor, gates: Sequence[str], forget_bias: ForgetBias) -> None:
        self.vector(bias, 0.0)


class ChronoScheme(DefaultScheme):
    """b_f = log U(1, max_time - 1) and b_i = -b_f: memories last 1 to max_time words (Tallec & Ollivier 2018, eq. 16)."""

    def bias(self, bias: Tensor, gates: Sequence[str], forget_bias: ForgetBias) -> None:
        self.vector(bias, 0.0)
        # On the meta device nothing is drawn: uniform_ there would import torch's compiler.
        if forget_bias is not None and not bias.is_meta:
            gate, sign = forget_bias
            blocks = bias.chunk(len(gates))
            log_times = torch.empty_like(blocks[0]).uniform_(1, self.max_time - 1).log_()
            blocks[gates.index(gate)].copy_(sign * log_times)
            if gate == "f" and "i" in gates:
                blocks[gates.index("i")].copy_(-log_times)


class TorchScheme(DefaultScheme):
    """U(-1/sqrt(H), 1/sqrt(H)) for all parameters, as in torch's own cells; gains stay 1."""

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


SCHEMES: dict[str, type[DefaultScheme]] = {
    "default": DefaultScheme,
    "xu2015": Xu2015Scheme,
    "chrono": ChronoScheme,
    "torch": TorchScheme,
}


def find_scheme(name: str, hidden_size: int, max_time: int) -> DefaultScheme:
    """The scheme of a name, for a cell of H units.

    Raises:
        InputError: an unknown scheme, or a max_time that leaves no interval to draw from.
    """
    if name not in SCHEMES:
        raise unknown_name("initialisation", name, SCHEMES)
    if max_time < 3:
        raise InputError(f"max_time is {max_time}: give at least 3, the number of words in a long caption")
    return SCHEMES[name](hidden_size, max_time)

"""Cells one above the other, and the cell that only exists so: the depth-gated LSTM."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn, sigmoid, tanh
from torch.nn import functional as F

from showattend.cells.base import RecurrentCell, State
from showattend.cells.lstm import LSTM
from showattend.cells.registry import cells, register
from showattend.errors import InputError


class Stack(nn.Module):
    """Layers of cells: each hears the h of the one below, after dropout. To the decoder it is a cell like any other.

    Its state is the layers' states, the top one first, so that state[0] is the output. The decoder makes an h and a c of the
    photo for each layer.
    """

    def __init__(self, layers: Sequence[RecurrentCell], dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.dropout = nn.Dropout(dropout)
        self.hidden_size = layers[-1].hidden_size
        self.initial_size = sum(layer.initial_size for layer in layers)
        self.state_names = tuple(f"{name}{depth}" for depth in range(len(layers), 0, -1) for name in layers[depth - 1].state_names)

    def project(self, x: Tensor, part: int) -> Tensor:
        """The share of an input part in the lowest layer's pre-activations, as `RecurrentCell.project`."""
        projected: Tensor = self._layers()[0].project(x, part)
        return projected

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        """The state before the first word from h and c, (B, layers*H) each, the top layer's share first."""
        layers = self._layers()[::-1]
        sizes = [layer.initial_size for layer in layers]
        shares = zip(layers, h.split(sizes, -1), c.split(sizes, -1), strict=True)
        return tuple(entry for layer, one, other in shares for entry in layer.initial_state(one, other))

    def step(self, projected: Tensor, state: State) -> State:
        """One step of every layer, from the bottom up, as `RecurrentCell.step`."""
        below: State = ()
        after: State = ()
        for layer in self._layers():
            split = len(state) - len(layer.state_names)
            state, before = state[:split], state[split:]
            if below:
                projected = layer.project_lower_layer(self.dropout(below[0]), below)
            below = layer.step(projected, before)
            after = below + after
        return after

    def input_weight(self, part: int) -> Tensor:
        """The columns of the lowest layer's W for an input part, as `RecurrentCell.matrix`."""
        return self._layers()[0].input_weight(part)

    def fused_step_parts(self) -> tuple[Callable[[Tensor, State], State], None]:
        """All products are its own, as in `RecurrentCell.recurrence`."""
        return self.step, None

    @property
    def supports_fused_loop(self) -> bool:
        """As `RecurrentCell.supports_fused_loop`; dropout between the layers draws."""
        return all(layer.supports_fused_loop for layer in self._layers()) and not (self.training and self.dropout.p)

    def input_weight_and_bias(self) -> tuple[nn.Parameter, Tensor | None]:
        """Those of the lowest layer, as `RecurrentCell.projection`."""
        return self._layers()[0].input_weight_and_bias()

    def _layers(self) -> list[RecurrentCell]:
        return [layer for layer in self.layers if isinstance(layer, RecurrentCell)]


@register("depth_gated")
class DepthGatedLSTM(LSTM):
    """Layers of LSTMs whose memories are joined by a gate: what a layer remembers can rise to the next.

    the lowest layer: lstm; every other:
    i, f, o = s(a_i), s(a_f), s(a_o)
    d = s(W_xd x + w_cd * c + w_ld * c_lower + b_d)         (the old c, the lower layer's new one)
    c = f * c + i * tanh(a_g) + d * c_lower
    h = o * tanh(c)

    Yao et al. 2015, eq. 6-7, without peepholes. Needs two layers at least.
    """

    min_layers = 2
    equation = "lstm, two layers at least;  above the first c += d*c_lower, d = s(W x + w_c*c + w_l*c_lower)"
    source = "Yao et al. 2015"

    @classmethod
    def upper(cls, hidden_size: int, **options: Any) -> RecurrentCell:
        return _DepthGate((hidden_size,), hidden_size, **options)


class _DepthGate(RecurrentCell):
    gates = ("i", "f", "g", "o", "d")
    recurrent = ("i", "f", "g", "o")
    state_names = ("h", "c")
    forget_bias = ("f", +1)

    def __init__(self, input_sizes: Sequence[int], hidden_size: int, **options: Any) -> None:
        super().__init__(input_sizes, hidden_size, **options)
        self.w_cd = self.new_vector()
        self.w_ld = self.new_vector()

    def project_lower_layer(self, h: Tensor, below: State) -> Tensor:
        return torch.cat((self.project(h, 0), below[1]), -1)

    def step(self, projected: Tensor, state: State) -> State:
        h, c = state
        gates, d, lower = projected.split((4 * self.hidden_size, self.hidden_size, self.hidden_size), -1)
        i, f, g, o = (gates + F.linear(h, self.weight_hh)).chunk(4, -1)
        i, f, o = sigmoid(i), sigmoid(f), sigmoid(o)
        d = sigmoid(d + self.w_cd * c + self.w_ld * lower)
        self.record_gates(i=i, f=f, o=o, d=d)
        c = f * c + i * tanh(g) + d * lower
        return o * tanh(c), c


def make_cell(
    name: str,
    input_sizes: Sequence[int],
    hidden_size: int,
    *,
    layers: int = 1,
    dropout: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> RecurrentCell | Stack:
    """A cell of a name or dotted path, or a stack of them.

    Args:
        name: of the table of cells, or my_package.cells:MyCell
        input_sizes: channels of the parts of x
        hidden_size: H
        layers: cells one above the other
        dropout: of h between layers
        options: of the cell's constructor, such as {"initialisation": "chrono"}

    Raises:
        InputError: an unknown name or option, too few layers, or a value that the cell refuses.
    """
    cell = cells.find(name)
    options = dict(options or {})
    cells.check_options(name, options)
    if layers < cell.min_layers:
        raise InputError(f"the cell '{name}' with {layers} layers: give at least {cell.min_layers} (--model.layers {cell.min_layers})")
    bottom = cell(input_sizes, hidden_size, **options)
    if layers == 1:
        return bottom
    return Stack([bottom, *(cell.upper(hidden_size, **options) for _ in range(layers - 1))], dropout)

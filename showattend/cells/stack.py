"""Builds cells by name, and stacks them in layers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from showattend.cells.base import RecurrentCell, State
from showattend.cells.registry import cells
from showattend.errors import InputError


class Stack(nn.Module):
    """Layers of cells with the interface of one cell; each layer's input is the h of the layer below, after dropout.

    Its state holds the layers' states, the top one first, so that state[0] is the output. The decoder computes an initial h and
    c for each layer.
    """

    def __init__(self, layers: Sequence[RecurrentCell], dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.dropout = nn.Dropout(dropout)
        self.hidden_size = layers[-1].hidden_size
        self.initial_size = sum(layer.initial_size for layer in layers)
        self.state_names = tuple(f"{name}{depth}" for depth in range(len(layers), 0, -1) for name in layers[depth - 1].state_names)

    def project(self, x: Tensor, part: int) -> Tensor:
        """Project an input part for the lowest layer, as `RecurrentCell.project`."""
        projected: Tensor = self._layers()[0].project(x, part)
        return projected

    def initial_state(self, h: Tensor, c: Tensor) -> State:
        """The state before the first word.

        Args:
            h: one block of columns for each layer, the top layer first, (B, layers*H)
            c: likewise
        """
        layers = self._layers()[::-1]
        sizes = [layer.initial_size for layer in layers]
        blocks = zip(layers, h.split(sizes, -1), c.split(sizes, -1), strict=True)
        return tuple(entry for layer, layer_h, layer_c in blocks for entry in layer.initial_state(layer_h, layer_c))

    def step(self, projected: Tensor, state: State) -> State:
        """One step of every layer, from the bottom up, as `RecurrentCell.step`."""
        below: State = ()
        new_state: State = ()
        for layer in self._layers():
            split = len(state) - len(layer.state_names)
            state, layer_state = state[:split], state[split:]
            if below:
                projected = layer.project_lower_layer(self.dropout(below[0]), below)
            below = layer.step(projected, layer_state)
            new_state = below + new_state
        return new_state

    def input_weight(self, part: int) -> Tensor:
        """Of the lowest layer, as `RecurrentCell.input_weight`."""
        return self._layers()[0].input_weight(part)

    def input_weight_and_bias(self) -> tuple[nn.Parameter, Tensor | None]:
        """Of the lowest layer, as `RecurrentCell.input_weight_and_bias`."""
        return self._layers()[0].input_weight_and_bias()

    def fused_step_parts(self) -> tuple[Callable[[Tensor, State], State], None]:
        """`step` alone, which makes all products, as `RecurrentCell.fused_step_parts`."""
        return self.step, None

    @property
    def supports_fused_loop(self) -> bool:
        """As `RecurrentCell.supports_fused_loop`; dropout between the layers cannot be recomputed."""
        return all(layer.supports_fused_loop for layer in self._layers()) and not (self.training and self.dropout.p)

    def _layers(self) -> list[RecurrentCell]:
        return [layer for layer in self.layers if isinstance(layer, RecurrentCell)]


def make_cell(
    name: str,
    input_sizes: Sequence[int],
    hidden_size: int,
    *,
    layers: int = 1,
    dropout: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> RecurrentCell | Stack:
    """Build a cell, or a stack of them.

    Args:
        name: a registered name, or a dotted path such as my_package.cells:MyCell
        input_sizes: width of each part of x
        hidden_size: H
        layers: number of layers
        dropout: probability of dropping a unit of h between layers
        options: keyword arguments of the cell's constructor, such as {"initialisation": "chrono"}

    Raises:
        InputError: an unknown name or option, too few layers, or a value that the cell refuses.
    """
    cell = cells.find(name)
    options = dict(options or {})
    cells.check_options(name, options)
    if layers < cell.min_layers:
        raise InputError(
            f"the cell '{name}' with {layers} layers: give at least {cell.min_layers} (--model.decoder.layers {cell.min_layers})"
        )
    with cells.refused_options(name, options):
        bottom = cell(input_sizes, hidden_size, **options)
        upper = [cell.upper(hidden_size, **options) for _ in range(layers - 1)]
    return Stack([bottom, *upper], dropout) if upper else bottom

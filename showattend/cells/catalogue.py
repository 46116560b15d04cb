"""What can be said of the cells without training one: their size, and the sizes at which they are equal."""

import inspect
from typing import Any

import torch

from showattend.cells.base import RecurrentCell
from showattend.cells.registry import cell_names, cells, find_cell
from showattend.cells.stack import Stack, make_cell


def count_parameters(name: str, input_size: int, hidden_size: int) -> int:
    """Parameters of the recurrence alone (no initial state), of as few layers as the cell allows.

    Raises:
        InputError: no such cell, or a hidden size that it refuses.
    """
    return _count(_make(name, input_size, hidden_size))


def _count(cell: RecurrentCell | Stack) -> int:
    return sum(parameter.numel() for parameter in cell.parameters())


def _make(name: str, input_size: int, hidden_size: int) -> RecurrentCell | Stack:
    """A cell of as few layers as it allows, without numbers in it."""
    with torch.device("meta"):
        return make_cell(name, (input_size,), hidden_size, layers=find_cell(name).min_layers)


def describe(name: str, input_size: int, hidden_size: int) -> dict[str, Any]:
    """A cell as a dictionary: name, equation, source, state, options, layers, parameters, and whether it has the fast way."""
    cell, made = find_cell(name), _make(name, input_size, hidden_size)
    return {
        "name": name,
        "parameters": _count(made),
        "equation": cell.equation,
        "source": cell.source,
        "state": list(cell.state_names),
        "gates": list(cell.gates),
        "options": cells.option_names(cell),
        "layers": cell.min_layers,
        "fast": made.supports_fused_loop,
        "input_size": input_size,
        "hidden_size": hidden_size,
    }


def equations(name: str) -> str:
    """All equations of a cell and its reference, as its docstring has them."""
    return inspect.getdoc(find_cell(name)) or ""


def match_sizes(reference: str, input_size: int, hidden_size: int) -> dict[str, int]:
    """For every cell the hidden size at which it has nearly as many parameters as the reference at `hidden_size`.

    Raises:
        InputError: no such reference, or a hidden size that it refuses.
    """
    wanted = count_parameters(reference, input_size, hidden_size)
    return {name: _nearest(name, input_size, wanted) for name in cell_names()}


def _nearest(name: str, input_size: int, wanted: int) -> int:
    """Parameters grow with the hidden size: double it until they are enough, then halve the interval."""
    step = find_cell(name).hidden_size_multiple
    high = 1
    while count_parameters(name, input_size, high * step) < wanted:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count_parameters(name, input_size, middle * step) < wanted else (low, middle)
    around = [size * step for size in (low, high) if size]
    return min(around, key=lambda size: abs(count_parameters(name, input_size, size) - wanted))

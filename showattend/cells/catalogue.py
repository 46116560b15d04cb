"""Describes the cells without training them: equations, parameter counts, and sizes at which parameter counts match."""

import inspect
from typing import Any

import torch

from showattend.cells.base import RecurrentCell
from showattend.cells.registry import cell_names, cells, find_cell
from showattend.cells.stack import Stack, make_cell


def equations(name: str) -> str:
    """The docstring of a cell: mechanism, equations, explanations, source.

    The equations are the first indented block, one `lhs = rhs` a line:

    - Lines are assignments, read from top to bottom. On the right, the name of a state entry (`state_names`) means the
      previous step's value until a line assigns it, and the new value after that.
    - a_f is the pre-activation of the gate f, W_f x + U_f h + b_f; a is that of all gates, or of the only one.
    - Capital letters are matrices, and a space between a matrix and a vector is their product: W x, U_h (r * h).
      Small letters are vectors of H units; `*`, `/`, `+` and `-` are elementwise.
    - An underscore begins a subscript: W_x, b_hn, c_below, U_kj. A tilde after a letter marks a candidate: h~, h~_k.
    - Functions: s (sigmoid), tanh, relu, exp, log, max(a, b), where(condition, a, b), sum_j (over the index j), and LN, LN_c,
      BN (layer and batch normalisation).
    """
    return inspect.getdoc(find_cell(name)) or ""


def equation_lines(name: str) -> list[str]:
    """The lines of the equations of a cell, in the notation of `equations`; none if its docstring has no indented block."""
    lines: list[str] = []
    for line in equations(name).splitlines()[1:]:
        if line.startswith("    "):
            lines.append(line.strip())
        elif lines:
            break
    return lines


def describe_cell(name: str, input_size: int, hidden_size: int) -> dict[str, Any]:
    """A cell as a dictionary, ready for JSON.

    Raises:
        InputError: an unknown cell, or a hidden size that it refuses.
    """
    cell_class, cell = find_cell(name), _build_on_meta(name, input_size, hidden_size)
    return {
        "name": name,
        "parameters": _count(cell),
        "equation": cell_class.equation,
        "equations": equation_lines(name),
        "source": cell_class.source,
        "state": list(cell_class.state_names),
        "gates": list(cell_class.gates),
        "parameter_roles": dict(cell_class.parameter_roles),
        "options": cells.option_names(cell_class),
        "layers": cell_class.min_layers,
        "supports_fused_loop": cell.supports_fused_loop,
        "input_size": input_size,
        "hidden_size": hidden_size,
    }


def count_parameters(name: str, input_size: int, hidden_size: int) -> int:
    """Parameters of the recurrence alone (without the initial state), with as few layers as the cell allows.

    Raises:
        InputError: an unknown cell, or a hidden size that it refuses.
    """
    return _count(_build_on_meta(name, input_size, hidden_size))


def _count(cell: RecurrentCell | Stack) -> int:
    return sum(parameter.numel() for parameter in cell.parameters())


def _build_on_meta(name: str, input_size: int, hidden_size: int) -> RecurrentCell | Stack:
    """A cell with as few layers as it allows, on the meta device, where its parameters take no memory."""
    with torch.device("meta"):
        return make_cell(name, (input_size,), hidden_size, layers=find_cell(name).min_layers)


def match_hidden_sizes(reference: str, input_size: int, hidden_size: int) -> dict[str, int]:
    """For every cell, the hidden size whose parameter count is nearest to that of the reference at `hidden_size`.

    Raises:
        InputError: an unknown reference, or a hidden size that it refuses.
    """
    target = count_parameters(reference, input_size, hidden_size)
    return {name: _nearest_hidden_size(name, input_size, target) for name in cell_names()}


def matched_hidden_size(name: str, reference: str, input_size: int, hidden_size: int) -> int:
    """The same for one cell, which may be a dotted path.

    Raises:
        InputError: an unknown cell, or a hidden size that the reference refuses.
    """
    return _nearest_hidden_size(name, input_size, count_parameters(reference, input_size, hidden_size))


def _nearest_hidden_size(name: str, input_size: int, target: int) -> int:
    """Parameters grow with the hidden size, but for one: `sru` has a block less where h is as wide as x. That one is tried at the end."""
    multiple = find_cell(name).hidden_size_multiple

    def parameters(hidden_size: int) -> int:
        return count_parameters(name, input_size, hidden_size)

    def is_below(number: int) -> bool:
        size = number * multiple
        return parameters(size + multiple if size == input_size else size) < target

    high = 1
    while is_below(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    sizes = {low * multiple, high * multiple, (high + 1) * multiple, input_size // multiple * multiple} - {0}
    return min(sorted(sizes), key=lambda size: abs(parameters(size) - target))

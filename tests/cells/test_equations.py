"""The equations in the docstrings of cells, evaluated as they are written, give what the code gives."""

import re
from collections.abc import Mapping

import pytest
import torch
from factories import HIDDEN, projected, random_cell, random_inputs, random_state
from torch import Tensor

from showattend.cells import RecurrentCell, Stack, cell_names, find_cell, recording_gates
from showattend.cells.catalogue import equation_lines

FUNCTIONS = {"s": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu, "exp": torch.exp, "log": torch.log, "max": torch.maximum}
# Names of the equations that are not names of parameters or blocks of W, U and b.
ALIASES = {"weight_rh": "U_h", "weight_fh": "U_h", "weight_zh": "U_z", "gain_x": "LN_x", "gain_h": "LN_h"}
# In clockwork the index k runs over modules, and in ligru BN differs between the gates.
NOT_EVALUATED = ("clockwork", "ligru")


def to_python(expression: str) -> str:
    """`U_h (r * h~)` becomes `U_h @ (r * h_tilde)`."""
    with_products = re.sub(r"\b([A-Z](?:_[a-z]+)?) (?=[A-Za-z(])", r"\1 @ ", expression)
    return with_products.replace("~", "_tilde")


def layer_norm(gain: Tensor, shift: Tensor | None = None) -> object:
    return lambda v: torch.nn.functional.layer_norm(v, v.shape, gain, shift)


def symbols(cell: RecurrentCell, x: Tensor, state: Mapping[str, Tensor]) -> dict[str, object]:
    """What each symbol of the equations stands for at the beginning of a step, in which h and x are vectors."""
    values: dict[str, object] = {**FUNCTIONS, **state, "x": x, "W": cell.weight_ih, "b": cell.bias}
    for key, value in cell.named_parameters():
        values[ALIASES.get(key, key)] = layer_norm(value) if key in ("gain_x", "gain_h") else value
    _add_blocks(values, "W", cell.weight_ih, cell.gates)
    _add_blocks(values, "b", cell.bias, cell.gates if cell.biased is None else cell.biased)
    recurrent = cell.gates if cell.recurrent is None else cell.recurrent
    if recurrent:
        values["U"] = cell.weight_hh
        _add_blocks(values, "U", cell.weight_hh, recurrent)
    for gate in (gate.rstrip("~") for gate in recurrent):
        if f"b_{gate}" in values:
            values[f"a_{gate}"] = values[f"W_{gate}"] @ x + values[f"U_{gate}"] @ state["h"] + values[f"b_{gate}"]
    if "P_if" in values:
        _add_blocks(values, "P", values["P_if"], ("i", "f"))
    if "R" in values:
        for gate, rows in zip("ifo", values["R"].split(HIDDEN), strict=True):
            values.update({f"R_{gate}{old}": block for old, block in zip("ifo", rows.split(HIDDEN, -1), strict=True)})
    if "gain_c" in values:
        values["LN_c"] = layer_norm(values["gain_c"], values["shift_c"])
    return values


def _add_blocks(values: dict[str, object], letter: str, tensor: Tensor, gates: tuple[str, ...]) -> None:
    values.update({f"{letter}_{gate.rstrip('~')}": block for gate, block in zip(gates, tensor.split(HIDDEN), strict=True)})


def evaluate(lines: list[str], values: dict[str, object], gates: tuple[str, ...]) -> None:
    """Read the lines as assignments; a is the pre-activations of all gates."""
    for line in lines:
        name, expression = line.split(" = ")
        values[name.replace("~", "_tilde")] = eval(to_python(expression), {}, values)
        if name == "a":
            _add_blocks(values, "a", values["a"], gates)


@pytest.mark.parametrize("name", [name for name in cell_names() if name not in NOT_EVALUATED])
def test_the_equations_as_written_give_the_step(name: str) -> None:
    cell, xs = random_cell(name), random_inputs(1)[0]
    before = random_state(cell)
    with recording_gates(cell) as records:
        after = cell.step(projected(cell, xs), before)
    for row in range(len(xs)):
        x, old, new = xs[row], [entry[row] for entry in before], [entry[row] for entry in after]
        if isinstance(cell, Stack):  # depth_gated: the equations are those of the upper layer
            layer, x, given = cell.layers[1], new[2], {"c_below": new[3]}
        else:
            layer, given = cell, {}
        values = symbols(layer, x, dict(zip(layer.state_names, old, strict=False))) | given
        evaluate(equation_lines(name), values, layer.gates)
        for key, expected in zip(layer.state_names, new, strict=False):
            assert torch.allclose(values[key], expected, atol=1e-10), key
        for gate, recorded in records[-1][0].items() if records[-1] else ():
            total = values["f"] + values["i"] if name == "min_lstm" else 1.0  # which are recorded as shares
            assert torch.allclose(values[gate] / total, recorded[row], atol=1e-10), gate


@pytest.mark.parametrize("name", cell_names())
def test_every_entry_of_the_state_is_assigned_and_h_has_one_equation(name: str) -> None:
    assigned = [line.split(" = ")[0].removesuffix("_k") for line in equation_lines(name)]
    assert set(find_cell(name).state_names) <= set(assigned)
    assert assigned.count("h") == 1

"""The contract of cells/base.py, checked for every registered cell.

A new cell adds its equations to tests/numpy_cells.py and its parameter count here.
"""

import copy
import inspect
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch
from factories import HIDDEN, PARTS, projected, random_cell, random_inputs, random_state, unroll
from numpy_cells import STEPS
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch._dynamo import lookup_backend

from showattend.cells import RecurrentCell, cell_names, find_cell, make_cell, recording_gates
from showattend.errors import InputError

I = sum(PARTS)  # noqa: E741  (the literature's letter)
G = I + HIDDEN + 1
PARAMETERS = {
    "elman": HIDDEN * G,
    "lstm": 4 * HIDDEN * G,
    "peephole": 4 * HIDDEN * G + 3 * HIDDEN,
    "peephole_full": 4 * HIDDEN * G + 3 * HIDDEN**2,
    "coupled": 3 * HIDDEN * G,
    "gru": 3 * HIDDEN * G,
    "gru_reset_after": 3 * HIDDEN * G + HIDDEN,
    "nig": 3 * HIDDEN * G + 2 * HIDDEN,
    "nfg": 3 * HIDDEN * G + 2 * HIDDEN,
    "nog": 3 * HIDDEN * G + 2 * HIDDEN,
    "niaf": 4 * HIDDEN * G + 3 * HIDDEN,
    "noaf": 4 * HIDDEN * G + 3 * HIDDEN,
    "cifg": 3 * HIDDEN * G + 2 * HIDDEN,
    "np": 4 * HIDDEN * G,
    "fgr": 4 * HIDDEN * G + 3 * HIDDEN + 9 * HIDDEN**2,
    "mut1": 3 * HIDDEN * I + 2 * HIDDEN**2 + 3 * HIDDEN,
    "mut2": 3 * HIDDEN * G,
    "mut3": 3 * HIDDEN * G,
    "depth_gated": 4 * HIDDEN * G + 4 * HIDDEN * (2 * HIDDEN + 1) + HIDDEN * (HIDDEN + 3),
    "clockwork": HIDDEN * I + HIDDEN + HIDDEN**2 * 3 // 4,  # with two periods
    "layer_norm_lstm": 4 * HIDDEN * G + 10 * HIDDEN,
    "mgu": 2 * HIDDEN * G,
    "min_gru": 2 * HIDDEN * (I + 1),
    "min_lstm": 3 * HIDDEN * (I + 1),
    "sru": 3 * HIDDEN * I + 4 * HIDDEN + HIDDEN * I,
    "slstm": 4 * HIDDEN * G,
    "ligru": 2 * HIDDEN * G + 2 * HIDDEN,  # the bias is the shift of the normalisation
    "janet": 2 * HIDDEN * G,
}


def close(one: tuple[Tensor, ...], other: tuple[Tensor, ...], atol: float = 1e-12) -> bool:
    return all(torch.allclose(a, b, atol=atol) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", cell_names())
class TestContract:
    def test_a_step_equals_the_equations_in_numpy(self, name: str) -> None:
        cell, xs = random_cell(name), random_inputs()
        start = random_state(cell)
        weights = {key: value.numpy() for key, value in cell.state_dict().items()}
        for row in range(xs.shape[1]):
            state = tuple(entry[row].numpy() for entry in start)
            for x, actual in zip(xs[:, row].numpy(), unroll(cell, xs, start), strict=True):
                state = STEPS[name](weights, x, *state)
                for entry, expected in zip(actual, state, strict=True):
                    assert entry[row].tolist() == pytest.approx(expected.tolist(), abs=1e-10)

    def test_a_step_keeps_the_shapes_of_the_state_and_its_first_entry_is_h(self, name: str) -> None:
        cell = random_cell(name)
        state = random_state(cell)
        after = cell.step(projected(cell, random_inputs(1)[0]), state)
        assert cell.state_names[0] == ("h" if isinstance(cell, RecurrentCell) else "h2")
        assert len(state) == len(after) == len(cell.state_names)
        assert all(one.shape == other.shape and one.dtype == other.dtype for one, other in zip(state, after, strict=True))
        assert after[0].shape == (random_inputs().shape[1], HIDDEN)

    def test_the_projection_is_affine_and_a_sum_over_the_input_parts(self, name: str) -> None:
        cell = random_cell(name)
        one, other = random_inputs(2)
        bias = projected(cell, torch.zeros_like(one))
        assert torch.allclose(projected(cell, one) + projected(cell, other) - bias, projected(cell, one + other))
        first = projected(cell, torch.cat((one[:, : PARTS[0]], torch.zeros_like(one[:, PARTS[0] :])), -1))
        second = projected(cell, torch.cat((torch.zeros_like(one[:, : PARTS[0]]), one[:, PARTS[0] :]), -1))
        assert torch.allclose(first + second - bias, projected(cell, one))

    def test_the_parts_for_the_fused_loop_give_the_same_step(self, name: str) -> None:
        cell, x = random_cell(name), random_inputs(1)[0]
        state = random_state(cell)
        assert cell.supports_fused_loop is (name not in ("ligru", "sru"))
        if cell.supports_fused_loop:
            weight, bias = cell.input_weight_and_bias()
            assert torch.equal(weight, torch.cat([cell.input_weight(part) for part in range(len(PARTS))], -1))
            function, recurrent_weight = cell.fused_step_parts()
            activations = nn.functional.linear(x, weight, bias)
            if recurrent_weight is not None:
                activations = activations + nn.functional.linear(state[0], recurrent_weight)
            assert close(function(activations, state), cell.step(projected(cell, x), state))

    def test_rows_of_a_batch_are_independent(self, name: str) -> None:
        cell, xs = random_cell(name), random_inputs()
        state = random_state(cell)
        batched = unroll(cell, xs, state)[-1]
        single = unroll(cell, xs[:, 1:2], tuple(entry[1:2] for entry in state))[-1]
        assert close(tuple(entry[1:2] for entry in batched), single)

    def test_reordering_the_rows_of_the_state_reorders_the_output(self, name: str) -> None:
        """Beam search does nothing else to a state."""
        cell, x = random_cell(name), random_inputs(1)[0]
        state, order = random_state(cell), torch.tensor([2, 0, 0])
        reordered = cell.step(projected(cell, x[order]), tuple(entry[order] for entry in state))
        assert close(reordered, tuple(entry[order] for entry in cell.step(projected(cell, x), state)))

    def test_gradients_equal_finite_differences(self, name: str) -> None:
        cell = random_cell(name)
        gates = projected(cell, random_inputs(1)[0]).detach().requires_grad_()
        state = tuple(entry.requires_grad_(entry.is_floating_point()) for entry in random_state(cell))
        parameters = dict(cell.named_parameters())

        def step(gates: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
            weights = dict(zip(parameters, rest[len(state) :], strict=True))
            after = torch.func.functional_call(
                _Step(cell), {f"cell.{key}": value for key, value in weights.items()}, (gates, rest[: len(state)])
            )
            return tuple(entry for entry in after if entry.is_floating_point())

        assert torch.autograd.gradcheck(step, (gates, *state, *parameters.values()))

    def test_every_parameter_gets_a_gradient(self, name: str) -> None:
        cell = random_cell(name)
        sum((entry**2).sum() for entry in unroll(cell, random_inputs(3), random_state(cell))[-1] if entry.is_floating_point()).backward()
        assert [key for key, value in cell.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0] == []

    def test_the_parameter_count_is_that_of_the_literature(self, name: str) -> None:
        assert sum(p.numel() for p in random_cell(name).parameters()) == PARAMETERS[name]

    def test_a_step_compiles_to_one_graph(self, name: str) -> None:
        cell = random_cell(name)
        x, state = projected(cell, random_inputs(1)[0]).detach(), random_state(cell)
        torch.compiler.reset()  # cells share `step`, and torch limits how often one function is compiled
        graphs = []

        def counting_backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
            graphs.append(graph)
            return lookup_backend("aot_eager")(graph, inputs)

        compiled = torch.compile(cell.step, backend=counting_backend, fullgraph=True)  # a graph break is an error
        assert close(compiled(x, state), cell.step(x, state))
        assert len(graphs) == 1

    def test_a_step_can_be_exported(self, name: str) -> None:
        cell = random_cell(name).eval()
        x, state = projected(cell, random_inputs(1)[0]).detach(), random_state(cell)
        rows = torch.export.Dim("rows", min=2, max=64)
        program = torch.export.export(_Step(cell), (x, state), dynamic_shapes=({0: rows}, tuple({0: rows} for _ in state)))
        twice_x, twice_state = torch.cat((x, x)), tuple(torch.cat((entry, entry)) for entry in state)
        assert close(program.module()(twice_x, twice_state), cell.step(twice_x, twice_state))

    def test_a_step_can_be_traced_by_torch_fx(self, name: str) -> None:
        """The documentation draws the data flow of a cell, or of the top layer of a stack, from this trace."""
        cell = random_cell(name).eval()
        step = _Step(cell if isinstance(cell, RecurrentCell) else cell.layers[-1])
        graph = torch.fx.Tracer().trace(step, {"state": tuple(torch.fx.PH for _ in step.cell.state_names)})
        assert sum(node.op == "placeholder" for node in graph.nodes) == 1 + len(step.cell.state_names)

    def test_a_saved_and_loaded_cell_is_equal(self, name: str, tmp_path: Path) -> None:
        cell, other = random_cell(name), random_cell(name)
        save_file(cell.state_dict(), tmp_path / "cell.safetensors")
        other.load_state_dict(load_file(tmp_path / "cell.safetensors"))
        state = random_state(cell)
        xs = random_inputs(3)
        assert close(unroll(cell, xs, state)[-1], unroll(other, xs, state)[-1], atol=0)

    def test_a_step_in_bfloat16_is_near_the_one_in_float64(self, name: str) -> None:
        cell, x = random_cell(name), random_inputs(1)[0]
        state = random_state(cell)
        bfloat16_cell = copy.deepcopy(cell).bfloat16()
        bfloat16_state = tuple(entry.bfloat16() if entry.is_floating_point() else entry for entry in state)
        after = bfloat16_cell.step(projected(bfloat16_cell, x.bfloat16()), bfloat16_state)
        assert all(one.dtype == other.dtype for one, other in zip(after, bfloat16_state, strict=True))
        assert close(
            tuple(entry.double() for entry in after), tuple(entry.double() for entry in cell.step(projected(cell, x), state)), atol=0.1
        )

    def test_training_mode_changes_a_step_only_with_batch_normalisation(self, name: str) -> None:
        cell, x = random_cell(name), random_inputs(1)[0]
        state = random_state(cell)
        in_eval = cell.eval().step(projected(cell, x), state)
        in_training = cell.train().step(projected(cell, x), state)
        assert close(in_eval, in_training) is (name != "ligru")

    def test_recording_gates_keeps_their_values_and_changes_no_result(self, name: str) -> None:
        cell, xs = random_cell(name), random_inputs(3)
        state = random_state(cell)
        unrecorded = unroll(cell, xs, state)[-1]
        with recording_gates(cell) as records:
            assert close(unroll(cell, xs, state)[-1], unrecorded, atol=0)
        for layer in records:
            assert len(layer) == (0 if name == "elman" else 3)
            assert all(value.shape == (3, HIDDEN) and (value >= 0).all() for gates in layer for value in gates.values())
        cell.step(projected(cell, xs[0]), state)
        assert all(len(layer) in (0, 3) for layer in records)

    def test_the_message_for_an_unknown_option_lists_the_known_ones(self, name: str) -> None:
        with pytest.raises(
            InputError, match=rf"unknown option of the cell '{name}' 'initialization': did you mean 'initialisation'\? known"
        ):
            make_cell(name, PARTS, HIDDEN, layers=2, options={"initialization": "torch"})

    @pytest.mark.parametrize("layers", [2, 3])
    def test_a_stack_runs_its_layers_one_after_another(self, name: str, layers: int) -> None:
        stack = random_cell(name, layers=layers)
        state = random_state(stack)
        x = random_inputs(1)[0]
        after = stack.step(projected(stack, x), state)
        size = len(state) // layers
        layer_input, below = projected(stack, x), ()
        for depth, layer in enumerate(stack.layers):
            entries = slice((layers - 1 - depth) * size, (layers - depth) * size)
            if below:
                layer_input = layer.project_lower_layer(below[0], below)
            below = layer.step(layer_input, state[entries])
            assert close(after[entries], below)

    def test_it_states_its_equation_and_source(self, name: str) -> None:
        cell = find_cell(name)
        assert cell.equation
        assert cell.source
        assert cell.source.split()[0].rstrip(";") in (cell.__doc__ or "")
        assert "=" in (cell.__doc__ or "")

    def test_its_docstring_is_a_mechanism_then_equations_then_a_source(self, name: str) -> None:
        paragraphs = (inspect.getdoc(find_cell(name)) or "").split("\n\n")
        assert paragraphs[0].endswith(".")
        assert all(line.startswith("    ") for line in paragraphs[1].splitlines())
        assert paragraphs[-1].startswith("Source: ")

    def test_every_unusual_parameter_has_a_role(self, name: str) -> None:
        roles = find_cell(name).parameter_roles
        names = {key.split(".", 2)[-1] if key.startswith("layers.") else key for key, _ in random_cell(name).named_parameters()}
        unusual = names - {"weight_ih", "weight_hh", "bias"}
        assert [key for key in unusual if not any(fnmatch(key, pattern) for pattern in roles)] == []
        assert [pattern for pattern in roles if not any(fnmatch(key, pattern) for key in unusual)] == []


def test_a_cell_that_defines_neither_update_nor_step_raises() -> None:
    class Empty(RecurrentCell):
        gates = ("f",)

    cell = Empty(PARTS, HIDDEN)
    with pytest.raises(NotImplementedError, match="Empty defines neither step nor update"):
        cell.step(torch.zeros(1, HIDDEN), cell.initial_state(torch.zeros(1, HIDDEN), torch.zeros(1, HIDDEN)))


def test_gates_are_no_longer_recorded_after_an_error() -> None:
    cell = random_cell("lstm")
    with pytest.raises(ZeroDivisionError), recording_gates(cell) as records:
        raise ZeroDivisionError
    unroll(cell, random_inputs(1), random_state(cell))
    assert records == [[]]


class _Step(nn.Module):
    """A cell's step as the forward of a module, for torch.export and functional_call."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, gates: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self.cell.step(gates, state)

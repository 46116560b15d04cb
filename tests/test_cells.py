"""Every registered cell against its contract, and its numbers against something that we did not write."""

import math

import pytest
import torch
from torch import Tensor, nn

from showattend.cells import RecurrentCell, cell_names, find_cell, register
from showattend.errors import InputError

B, H, PARTS = 3, 4, (5, 2)


def make(name: str) -> RecurrentCell:
    cell = find_cell(name)(PARTS, H).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(torch.randn_like(parameter) / 2)
    return cell


def start(cell: RecurrentCell) -> tuple[Tensor, ...]:
    return cell.initial_state(torch.rand(B, H).double() - 0.5, torch.rand(B, H).double() - 0.5)


def projected(cell: RecurrentCell, x: Tensor) -> Tensor:
    first, second = x.split(PARTS, -1)
    return cell.project(first, 0) + cell.project(second, 1)


def unroll(cell: RecurrentCell, xs: Tensor, state: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    states = []
    for x in xs:
        state = cell.step(projected(cell, x), state)
        states.append(state)
    return states


def inputs(steps: int = 5) -> Tensor:
    return torch.randn(steps, B, sum(PARTS)).double()


@pytest.mark.parametrize("name", cell_names())
class TestContract:
    def test_the_state_has_its_names_and_shapes_and_begins_with_the_output(self, name: str) -> None:
        cell = make(name)
        state = start(cell)
        after = cell.step(projected(cell, inputs(1)[0]), state)
        assert cell.state_names[0] == "h"
        assert len(state) == len(after) == len(cell.state_names)
        assert all(one.shape == other.shape for one, other in zip(state, after, strict=True))
        assert after[0].shape == (B, H)

    def test_projection_is_linear_and_adds_up_over_the_parts(self, name: str) -> None:
        cell = make(name)
        one, other = inputs(2)
        bias = projected(cell, torch.zeros_like(one))
        assert torch.allclose(projected(cell, one) + projected(cell, other) - bias, projected(cell, one + other))
        assert torch.allclose(projected(cell, one), nn.functional.linear(one, cell.weight_ih, cell.bias))

    def test_rows_do_not_hear_each_other(self, name: str) -> None:
        cell = make(name)
        xs, state = inputs(), start(cell)
        together = unroll(cell, xs, state)[-1]
        alone = unroll(cell, xs[:, 1:2], tuple(entry[1:2] for entry in state))[-1]
        assert all(torch.allclose(one[1:2], other) for one, other in zip(together, alone, strict=True))

    def test_gradients_are_right(self, name: str) -> None:
        cell = make(name)
        state = tuple(entry.requires_grad_() for entry in start(cell))
        gates = torch.randn(B, cell.bias.numel()).double().requires_grad_()
        assert torch.autograd.gradcheck(lambda g, *s: cell.step(g, s), (gates, *state))

    def test_the_parameters_count_as_the_literature_counts(self, name: str) -> None:
        gates = {"lstm": 4, "gru": 3}[name]
        assert sum(p.numel() for p in make(name).parameters()) == gates * H * (sum(PARTS) + H + 1)

    def test_it_compiles_to_one_graph(self, name: str) -> None:
        cell = make(name)
        x, state = projected(cell, inputs(1)[0]).detach(), start(cell)
        explained = torch._dynamo.explain(cell.step)(x, state)
        assert explained.graph_count == 1
        assert explained.graph_break_count == 0

    def test_it_starts_out_remembering(self, name: str) -> None:
        cell = find_cell(name)(PARTS, H)
        assert cell.retention is not None
        gate, sign = cell.retention
        block = cell.bias.chunk(len(cell.gates))[cell.gates.index(gate)]
        assert torch.equal(block, torch.full((H,), float(sign)))
        for recurrent in cell.weight_hh.chunk(len(cell.gates)):
            assert torch.allclose(recurrent @ recurrent.t(), torch.eye(H), atol=1e-5)


def test_lstm_is_torch_s() -> None:
    cell, oracle = make("lstm"), nn.LSTMCell(sum(PARTS), H).double()
    with torch.no_grad():
        for mine, theirs in ((cell.weight_ih, oracle.weight_ih), (cell.weight_hh, oracle.weight_hh), (cell.bias, oracle.bias_ih)):
            theirs.copy_(mine)
        oracle.bias_hh.zero_()
    xs, (h, c) = inputs(), start(cell)
    for x, mine in zip(xs, unroll(cell, xs, (h, c)), strict=True):
        h, c = oracle(x, (h, c))
        assert torch.allclose(mine[0], h, atol=1e-12)
        assert torch.allclose(mine[1], c, atol=1e-12)


def test_gru_is_the_equations_of_cho_et_al_number_by_number() -> None:
    cell = make("gru")
    xs, (h,) = inputs(3), start(cell)
    weight, recurrent, bias = (p.tolist() for p in (cell.weight_ih, cell.weight_hh, cell.bias))

    def s(a: float) -> float:
        return 1 / (1 + math.exp(-a))

    for b in range(B):
        state = h[b].tolist()
        for x in xs[:, b].tolist():

            def a(block: int, unit: int, heard: list[float], x: list[float] = x) -> float:
                row = block * H + unit
                return sum(map(float.__mul__, weight[row], x)) + sum(map(float.__mul__, recurrent[row], heard)) + bias[row]

            z = [s(a(0, j, state)) for j in range(H)]
            r = [s(a(1, j, state)) for j in range(H)]
            candidate = [math.tanh(a(2, j, [r[k] * state[k] for k in range(H)])) for j in range(H)]
            state = [(1 - z[j]) * state[j] + z[j] * candidate[j] for j in range(H)]
        assert unroll(cell, xs, (h,))[-1][0][b].tolist() == pytest.approx(state, abs=1e-12)


def test_an_unknown_cell_is_answered_with_the_nearest_known_one() -> None:
    with pytest.raises(InputError, match="unknown cell 'lstmm': did you mean 'lstm'"):
        find_cell("lstmm")


def test_a_dotted_path_leads_to_a_cell_of_one_s_own() -> None:
    assert find_cell("showattend.cells.lstm:LSTM") is find_cell("lstm")


@pytest.mark.parametrize("path", ["no_such_module:Cell", "showattend.cells:Nothing", "torch.nn:LSTMCell"])
def test_a_dotted_path_that_leads_nowhere_is_refused(path: str) -> None:
    with pytest.raises(InputError, match=path.replace(".", r"\.")):
        find_cell(path)


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="taken"):
        register("lstm")(find_cell("gru"))

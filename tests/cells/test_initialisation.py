"""How the parameters of cells are initialised, by every scheme."""

import math

import pytest
import torch
from factories import HIDDEN, PARTS, projected, random_cell, random_inputs, random_state
from torch import Tensor

from showattend.cells import cell_names, find_cell, make_cell
from showattend.cells.initialisation import SCHEMES, find_scheme


def blocks(weight: Tensor) -> tuple[Tensor, ...]:
    return weight.split(HIDDEN)


@pytest.mark.parametrize("name", cell_names())
class TestInitialisation:
    def test_by_default_u_is_orthogonal_and_the_bias_is_1_towards_remembering(self, name: str) -> None:
        cell = find_cell(name)(PARTS, HIDDEN, **({"periods": (1, 2)} if name == "clockwork" else {}))
        for key, value in cell.named_parameters():
            if value.dim() == 2 and key != "weight_ih":
                for block in blocks(value):
                    assert torch.allclose(block @ block.t(), torch.eye(len(block)), atol=1e-5), key
        gates = cell.gates if cell.biased is None else cell.biased
        for gate, block in zip(gates, cell.bias.chunk(len(gates)), strict=True):
            expected = float(cell.forget_bias[1]) if cell.forget_bias and gate == cell.forget_bias[0] else 0.0
            assert torch.equal(block, torch.full((HIDDEN,), expected)), gate

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_every_scheme_fills_every_parameter(self, name: str, scheme: str) -> None:
        options = {"initialisation": scheme, **({"periods": (1, 2)} if name == "clockwork" else {})}
        torch.use_deterministic_algorithms(True)  # new memory is full of NaN then
        try:
            with torch.random.fork_rng():
                cells = [make_cell(name, PARTS, HIDDEN, layers=2, options=options) for _ in range(2)]
        finally:
            torch.use_deterministic_algorithms(False)
        for cell in cells:
            assert all(value.isfinite().all() and value.abs().max() < 5 for value in cell.parameters())
        assert not torch.equal(cells[0].layers[0].weight_ih, cells[1].layers[0].weight_ih)


@pytest.mark.parametrize("name", [name for name in cell_names() if find_cell(name).forget_bias])
def test_a_large_bias_with_the_sign_of_forget_bias_keeps_the_state(name: str) -> None:
    cell = random_cell(name, layers=1) if name != "depth_gated" else random_cell("lstm")
    gates = cell.gates if cell.biased is None else cell.biased
    gate, sign = cell.forget_bias
    with torch.no_grad():
        cell.bias.zero_().chunk(len(gates))[gates.index(gate)].fill_(60.0 * sign)
        if "i" in gates and gate == "f":
            cell.bias.chunk(len(gates))[gates.index("i")].fill_(-60.0)
        if name == "nig":  # it has no gate that stops writing: make what it writes zero
            for weight in (cell.weight_ih, cell.weight_hh):
                weight.chunk(3)[1].zero_()
    before = random_state(cell)
    after = cell.step(projected(cell, random_inputs(1)[0]), before)
    entry = 1 if "c" in cell.state_names else 0
    if name == "slstm":
        ratios = [state[1] / state[2] for state in (before, after)]
        assert torch.allclose(*ratios, atol=1e-8)
    else:
        assert torch.allclose(after[entry], before[entry], atol=1e-8)


def test_chrono_draws_times_from_1_to_max_time() -> None:
    bias = torch.empty(4 * 4000)
    find_scheme("chrono", 4000, max_time=12).bias(bias, ("i", "f", "g", "o"), ("f", +1))
    i, f, g, o = bias.chunk(4)
    assert torch.equal(i, -f)
    assert f.exp().min().item() == pytest.approx(1, abs=0.05)
    assert f.exp().max().item() == pytest.approx(11, abs=0.05)
    assert f.exp().mean().item() == pytest.approx(6, abs=0.2)
    assert not g.any()
    assert not o.any()


def test_chrono_reaches_the_bias_of_a_cell() -> None:
    i, f, _, _ = make_cell("lstm", PARTS, 50, options={"initialisation": "chrono", "max_time": 12}).bias.chunk(4)
    assert torch.equal(i, -f)
    assert 0 <= f.min() < f.max() <= math.log(11)
    assert (make_cell("gru", PARTS, 50, options={"initialisation": "chrono"}).bias.chunk(3)[0] < 0).all()


def test_xu2015_draws_small_weights_and_no_biases() -> None:
    cell = make_cell("lstm", (200, 200), 100, options={"initialisation": "xu2015"})
    assert cell.weight_ih.std().item() == pytest.approx(0.01, rel=0.05)
    assert not cell.bias.any()


def test_the_torch_scheme_stays_in_the_bounds_of_torch() -> None:
    cell = make_cell("layer_norm_lstm", PARTS, 100, options={"initialisation": "torch"})
    for key, value in cell.named_parameters():
        if key.startswith("gain"):
            assert torch.equal(value, torch.ones_like(value))
        else:
            assert value.abs().max() <= 0.1
            assert value.std() > 0.04

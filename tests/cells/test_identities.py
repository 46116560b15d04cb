"""Cells that become equal to each other for certain weights, as the literature says."""

import pytest
import torch
from factories import HIDDEN, PARTS, random_cell, random_inputs, random_state, unroll

from showattend.cells import RecurrentCell, Stack, make_cell

Cell = RecurrentCell | Stack


def copy_blocks(source: Cell, target: Cell) -> None:
    """Give `target` the weights of `source`, gate by gate; gates and parameters that only `source` has are ignored."""
    source_parameters = dict(source.named_parameters())
    with torch.no_grad():
        for key, value in target.named_parameters():
            if key not in source_parameters:
                continue
            if value.shape == source_parameters[key].shape:
                value.copy_(source_parameters[key])
            else:
                blocks = dict(zip(source.gates, source_parameters[key].split(HIDDEN), strict=True))
                value.copy_(torch.cat([blocks[gate] for gate in target.gates]))


def block(cell: Cell, tensor: torch.Tensor, gate: str) -> torch.Tensor:
    return tensor.chunk(len(cell.gates))[cell.gates.index(gate)]


def assert_equal(one: Cell, other: Cell, outputs: int = 1) -> None:
    """Both give the same first `outputs` entries of the state for the same input and initial state."""
    xs, h, c = random_inputs(6), *(torch.rand(3, HIDDEN).double() - 0.5 for _ in range(2))
    states = zip(unroll(one, xs, one.initial_state(h, c)), unroll(other, xs, other.initial_state(h, c)), strict=True)
    for one_state, other_state in states:
        for entry in range(outputs):
            assert torch.allclose(one_state[entry], other_state[entry], atol=1e-12)


@pytest.mark.parametrize("name", ["peephole", "peephole_full"])
def test_a_peephole_lstm_with_zero_peepholes_is_the_lstm(name: str) -> None:
    cell, lstm = random_cell(name), random_cell("lstm")
    copy_blocks(cell, lstm)
    with torch.no_grad():
        for key, value in cell.named_parameters():
            if key.lower().startswith("p_"):
                value.zero_()
    assert_equal(cell, lstm, outputs=2)


def test_the_option_peepholes_chooses_the_gates_that_have_one() -> None:
    cell, lstm = random_cell("peephole", peepholes=[]), random_cell("lstm")
    copy_blocks(cell, lstm)
    assert sum(p.numel() for p in cell.parameters()) == sum(p.numel() for p in lstm.parameters())
    assert_equal(cell, lstm, outputs=2)
    assert [key for key, _ in random_cell("peephole", peepholes=["f"]).named_parameters() if key.startswith("p_")] == ["p_f"]


def test_np_is_the_lstm() -> None:
    cell, lstm = random_cell("np"), random_cell("lstm")
    copy_blocks(cell, lstm)
    assert_equal(cell, lstm, outputs=2)


def test_fgr_with_r_zero_is_peephole() -> None:
    cell, peephole = random_cell("fgr"), random_cell("peephole")
    copy_blocks(cell, peephole)
    with torch.no_grad():
        cell.R.zero_()
    assert_equal(cell, peephole, outputs=2)


@pytest.mark.parametrize(("name", "gate"), [("nig", "i"), ("nfg", "f"), ("nog", "o")])
def test_a_gate_held_open_equals_the_variant_without_it(name: str, gate: str) -> None:
    full, without = random_cell("peephole"), random_cell(name)
    copy_blocks(full, without)
    with torch.no_grad():
        block(full, full.bias, gate).fill_(80.0)
    assert_equal(full, without, outputs=2)


def test_cifg_without_peepholes_is_coupled_with_the_gate_negated() -> None:
    cifg, coupled = random_cell("cifg", peepholes=[]), random_cell("coupled")
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias"):
            i, g, o = getattr(cifg, name).split(HIDDEN)
            getattr(coupled, name).copy_(torch.cat((-i, g, o)))
    assert_equal(cifg, coupled, outputs=2)


def test_a_clockwork_network_with_all_periods_1_is_elman() -> None:
    clockwork, elman = random_cell("clockwork", periods=(1, 1)), random_cell("elman")
    with torch.no_grad():
        elman.weight_ih.copy_(clockwork.weight_ih)
        elman.weight_hh.copy_(torch.cat(list(clockwork.U)))
        elman.bias.copy_(clockwork.bias)
    assert_equal(clockwork, elman)


def test_a_module_changes_only_at_multiples_of_its_period() -> None:
    cell = random_cell("clockwork", periods=(1, 2, 3, 4))
    states = unroll(cell, random_inputs(13), cell.initial_state(torch.zeros(3, HIDDEN).double(), torch.zeros(3, HIDDEN).double()))
    for module, period in enumerate((1, 2, 3, 4)):
        changed = [bool((states[t][0][:, module] != states[t - 1][0][:, module]).all()) for t in range(1, 13)]
        assert changed == [t % period == 0 for t in range(1, 13)]


def test_mut2_is_the_gru_and_so_is_mut3_without_its_inner_tanh(monkeypatch: pytest.MonkeyPatch) -> None:
    gru, mut2, mut3 = random_cell("gru"), random_cell("mut2"), random_cell("mut3")
    copy_blocks(gru, mut2)
    assert_equal(gru, mut2)
    with torch.no_grad():
        for key in ("weight_ih", "bias", "weight_rh"):
            getattr(mut3, key).copy_(getattr(gru, key))
        mut3.weight_zh.copy_(gru.weight_hh[:HIDDEN])
        mut3.weight_hh.copy_(gru.weight_hh[HIDDEN:])
    monkeypatch.setattr(type(mut3), "update_gate_activation", staticmethod(lambda h: h))
    assert_equal(gru, mut3)


def test_one_bias_equals_the_sum_of_torch_s_two() -> None:
    cell, oracle = make_cell("lstm", PARTS, HIDDEN).double(), torch.nn.LSTMCell(sum(PARTS), HIDDEN).double()
    with torch.no_grad():
        oracle.weight_ih.copy_(cell.weight_ih)
        oracle.weight_hh.copy_(cell.weight_hh)
        for bias in (oracle.bias_ih, oracle.bias_hh):
            bias.copy_(cell.bias / 2)
    x, state = random_inputs(1), random_state(cell)
    assert torch.allclose(unroll(cell, x, state)[0][0], oracle(x[0], state)[0], atol=1e-12)


def test_a_closed_depth_gate_leaves_two_lstms() -> None:
    gated, plain = random_cell("depth_gated"), random_cell("lstm", layers=2)
    with torch.no_grad():
        for target, source in zip(plain.layers, gated.layers, strict=True):
            for key, value in target.named_parameters():
                value.copy_(dict(source.named_parameters())[key][: len(value)])
        upper = gated.layers[1]
        upper.bias[4 * HIDDEN :].fill_(-1000.0)
    h, c, xs = torch.rand(3, 2 * HIDDEN).double(), torch.rand(3, 2 * HIDDEN).double(), random_inputs()
    states = zip(unroll(gated, xs, gated.initial_state(h, c)), unroll(plain, xs, plain.initial_state(h, c)), strict=True)
    for one, other in states:
        assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(one, other, strict=True))


def test_training_equals_evaluation_with_the_batch_statistics_as_running_statistics() -> None:
    cell = random_cell("ligru")
    x, state = random_inputs(1)[0], random_state(cell)
    projected = torch.nn.functional.linear(x, cell.weight_ih)
    in_training = cell.train().step(projected, state)
    with torch.no_grad():
        t = int(state[1][0])
        cell.running_mean[t] = projected.mean(0)
        cell.running_var[t] = projected.var(0, unbiased=False)
    assert torch.allclose(cell.eval().step(projected, state)[0], in_training[0], atol=1e-12)


def test_each_step_is_normalised_as_by_a_batchnorm1d_of_its_own() -> None:
    cell, oracles = random_cell("ligru", max_time=3).train(), [torch.nn.BatchNorm1d(2 * HIDDEN).double() for _ in range(3)]
    with torch.no_grad():
        for t, oracle in enumerate(oracles):
            oracle.weight.copy_(cell.gain)
            oracle.bias.copy_(cell.bias)
            oracle.running_mean.copy_(cell.running_mean[t])
            oracle.running_var.copy_(cell.running_var[t])
    h, t = cell.initial_state(torch.rand(3, HIDDEN).double(), torch.rand(3, HIDDEN).double())
    for step, x in enumerate(random_inputs(5)):
        projected = torch.nn.functional.linear(x, cell.weight_ih)
        z, candidate = (oracles[min(step, 2)](projected) + torch.nn.functional.linear(h, cell.weight_hh)).chunk(2, -1)
        z = torch.sigmoid(z)
        expected = z * h + (1 - z) * torch.relu(candidate)
        h, t = cell.step(projected, (h, t))
        assert torch.allclose(h, expected, atol=1e-12)
    for t, oracle in enumerate(oracles):
        assert torch.allclose(cell.running_mean[t], oracle.running_mean, atol=1e-12)
        assert torch.allclose(cell.running_var[t], oracle.running_var, atol=1e-12)


def test_a_single_row_in_training_is_normalised_by_the_running_statistics() -> None:
    cell = random_cell("ligru")
    x, state = random_inputs(1)[0][:1], random_state(cell, rows=1)
    projected = torch.nn.functional.linear(x, cell.weight_ih)
    assert torch.equal(cell.train().step(projected, state)[0], cell.eval().step(projected, state)[0])

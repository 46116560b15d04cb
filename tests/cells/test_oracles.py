"""Cells against independent implementations: torch, Keras and torchrecurrent."""

import os

import pytest
import torch
from factories import HIDDEN, PARTS, random_cell, random_inputs, random_state, unroll
from torch import Tensor, nn

from showattend.cells import RecurrentCell, load_torch_weights, make_cell
from showattend.errors import InputError

I = sum(PARTS)  # noqa: E741  (the literature's letter)


@pytest.mark.parametrize(("name", "torch_class"), [("lstm", nn.LSTMCell), ("gru_reset_after", nn.GRUCell), ("elman", nn.RNNCell)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_cell_with_the_weights_of_torch_s_cell_gives_its_results(name: str, torch_class: type[nn.RNNCellBase], bias: bool) -> None:
    cell, oracle = random_cell(name), torch_class(I, HIDDEN, bias=bias).double()
    assert isinstance(cell, RecurrentCell)
    load_torch_weights(cell, oracle)
    xs, state = random_inputs(), random_state(cell)
    expected = state
    for x, actual in zip(xs, unroll(cell, xs, state), strict=True):
        after = oracle(x, expected if len(expected) > 1 else expected[0])
        expected = after if isinstance(after, tuple) else (after,)
        for one, other in zip(actual, expected, strict=True):
            assert torch.allclose(one, other, atol=1e-12)


def test_weights_of_a_different_cell_or_size_are_refused() -> None:
    with pytest.raises(InputError, match=r"cannot copy the weights of GRUCell into GRU: .*GRUCell fits gru_reset_after"):
        load_torch_weights(random_cell("gru"), nn.GRUCell(I, HIDDEN))
    with pytest.raises(InputError, match="give both the same sizes"):
        load_torch_weights(random_cell("lstm"), nn.LSTMCell(I, HIDDEN + 1))
    with pytest.raises(InputError, match="RNNCell with tanh fits elman"):
        load_torch_weights(random_cell("elman"), nn.RNNCell(I, HIDDEN, nonlinearity="relu"))


def test_the_gru_equals_the_one_of_keras_with_reset_after_false(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="pip install showattend[oracles]")
    cell = random_cell("gru")
    oracle = keras.layers.GRUCell(HIDDEN, reset_after=False, dtype="float64")
    oracle.build((None, I))
    matrices = (cell.weight_ih, torch.cat((cell.weight_hh, cell.weight_rh)), cell.bias)
    # Keras' z is 1 - z of Cho et al.: the same gate with its weights negated.
    weights = [torch.cat((-tensor[:HIDDEN], tensor[HIDDEN:])).detach() for tensor in matrices]
    oracle.set_weights([weights[0].t().numpy(), weights[1].t().numpy(), weights[2].numpy()])
    xs, (h,) = random_inputs(), random_state(cell)
    for x, (actual,) in zip(xs, unroll(cell, xs, (h,)), strict=True):
        h, _ = oracle(x, [h])
        assert torch.allclose(actual, h, atol=1e-6)  # Keras computes in part in single precision


def torchrecurrent_weights(cell: RecurrentCell, recurrent: list[Tensor], bias: Tensor, recurrent_bias: Tensor) -> dict[str, Tensor]:
    return {"weight_ih": cell.weight_ih, "weight_hh": torch.cat(recurrent), "bias_ih": bias, "bias_hh": recurrent_bias}


@pytest.mark.parametrize("name", ["peephole", "mut1", "mut2", "mut3", "mgu", "janet"])
def test_a_cell_of_torchrecurrent_with_the_same_weights_gives_the_same_results(name: str) -> None:
    package = pytest.importorskip("torchrecurrent", reason="pip install showattend[oracles]")
    names = {
        "peephole": "PeepholeLSTMCell",
        "mut1": "MUT1Cell",
        "mut2": "MUT2Cell",
        "mut3": "MUT3Cell",
        "mgu": "MGUCell",
        "janet": "JANETCell",
    }
    cell, oracle = random_cell(name), getattr(package, names[name])(I, HIDDEN).double()
    recurrent = [value for key, value in cell.named_parameters() if key in ("weight_zh", "weight_hh", "weight_rh", "weight_fh")]
    if name == "mut3":  # U_z, U_r, U
        recurrent = [cell.weight_zh, cell.weight_hh, cell.weight_rh]
    weights = torchrecurrent_weights(cell, recurrent, cell.bias, torch.zeros_like(oracle.bias_hh))
    if name == "mut1":
        weights["bias_ih"] = torch.cat((cell.bias, torch.zeros(HIDDEN)))
        weights["bias_hh"] = torch.cat((torch.zeros(HIDDEN), cell.b_h))
    if name == "peephole":
        weights["weight_ph"] = torch.cat((cell.p_i, cell.p_f, cell.p_o))
    with torch.no_grad():
        for key, value in weights.items():
            getattr(oracle, key).copy_(value.reshape_as(getattr(oracle, key)))
    xs, state = random_inputs(), random_state(cell)
    expected: tuple[Tensor, ...] = (state[0], state[0]) if name == "janet" else state
    for x, actual in zip(xs, unroll(cell, xs, state), strict=True):
        after = oracle(x, expected if len(expected) > 1 else expected[0])
        expected = after if isinstance(after, tuple) else (after,)
        for one, other in zip(actual, expected, strict=False):
            assert torch.allclose(one, other, atol=1e-12)


def test_slstm_does_not_overflow_where_exp_of_a_gate_would() -> None:
    cell = make_cell("slstm", PARTS, HIDDEN)
    with torch.no_grad():
        cell.bias.chunk(4)[0].fill_(200.0)  # e^200 is beyond float32
    xs = torch.randn(50, 3, I)
    state = unroll(cell, xs, cell.initial_state(torch.zeros(3, HIDDEN), torch.zeros(3, HIDDEN)))[-1]
    assert all(entry.isfinite().all() for entry in state)
    assert (state[0].abs() <= 1).all()  # c/n is a mean of tanh

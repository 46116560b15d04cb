"""Stacks of cells: dropout between the layers, and initial states. The contract test checks the order of the layers."""

import torch
from factories import HIDDEN, PARTS, projected, random_inputs, random_state

from showattend.cells import Stack, make_cell


def lstm_stack(dropout: float) -> Stack:
    torch.manual_seed(0)
    stack = make_cell("lstm", PARTS, HIDDEN, layers=2, dropout=dropout).double()
    assert isinstance(stack, Stack)
    return stack


def test_dropout_acts_on_the_input_of_the_upper_layer_only() -> None:
    plain, dropped = lstm_stack(0.0), lstm_stack(0.5)
    x, state = random_inputs(1)[0], random_state(plain)
    expected, actual = (stack.train().step(projected(stack, x), state) for stack in (plain, dropped))
    assert not torch.equal(actual[0], expected[0])
    assert torch.equal(actual[2], expected[2])
    assert torch.equal(actual[3], expected[3])


def test_dropout_has_no_effect_in_evaluation() -> None:
    plain, dropped = lstm_stack(0.0).eval(), lstm_stack(0.5).eval()
    x, state = random_inputs(1)[0], random_state(plain)
    for expected, actual in zip(plain.step(projected(plain, x), state), dropped.step(projected(dropped, x), state), strict=True):
        assert torch.equal(actual, expected)


def test_a_stack_with_dropout_supports_the_fused_loop_in_evaluation_only() -> None:
    assert lstm_stack(0.5).eval().supports_fused_loop
    assert not lstm_stack(0.5).train().supports_fused_loop
    assert lstm_stack(0.0).train().supports_fused_loop


def test_a_stack_with_a_layer_that_does_not_support_the_fused_loop_does_not_either() -> None:
    assert not make_cell("ligru", PARTS, HIDDEN, layers=2).eval().supports_fused_loop


def test_the_initial_state_takes_one_block_of_columns_for_each_layer_the_top_one_first() -> None:
    stack = lstm_stack(0.0)
    h, c = torch.randn(3, 2 * HIDDEN), torch.randn(3, 2 * HIDDEN)
    state = stack.initial_state(h, c)
    assert stack.state_names == ("h2", "c2", "h1", "c1")
    for entry, expected in zip(state, (h[:, :HIDDEN], c[:, :HIDDEN], h[:, HIDDEN:], c[:, HIDDEN:]), strict=True):
        assert torch.equal(entry, expected)

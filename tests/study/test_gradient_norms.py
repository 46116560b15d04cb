"""Norms of dh_T/ds_t, against a product of hand-made Jacobians and against torch.autograd.functional.jacobian."""

import pytest
import torch
from factories import HIDDEN, Integrator
from torch import Tensor

from showattend.cells import RecurrentCell, Stack, cell_names, find_cell, make_cell
from showattend.study.gradient_norms import gradient_norms

STEPS, ROWS, INPUTS = 5, 3, 7


def inputs() -> Tensor:
    return torch.randn(STEPS, ROWS, INPUTS).double()


def cell_with_random_weights(name: str) -> RecurrentCell | Stack:
    cell = make_cell(name, (INPUTS,), HIDDEN, layers=find_cell(name).min_layers).double()
    with torch.no_grad():
        for value in cell.parameters():
            value.normal_(std=0.5)
    return cell


def test_elman_has_the_product_of_its_jacobians() -> None:
    cell, xs = cell_with_random_weights("elman"), inputs()
    h = torch.zeros(ROWS, HIDDEN).double()
    jacobians = []
    for x in xs:
        h = torch.tanh(x @ cell.weight_ih.t() + cell.bias + h @ cell.weight_hh.t())
        jacobians.append((1 - h.square()).unsqueeze(2) * cell.weight_hh)
    product, expected = torch.eye(HIDDEN).double(), []
    for jacobian in reversed(jacobians):
        product = product @ jacobian
        expected.append((product.square().sum((1, 2)).mean() / HIDDEN).sqrt().item())
    assert gradient_norms(cell, xs) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", ["lstm", "peephole", "slstm", "depth_gated"])
def test_a_state_of_several_parts_counts_each_way_once(name: str) -> None:
    cell, xs = cell_with_random_weights(name), inputs()
    zeros = torch.zeros(ROWS, cell.initial_size).double()
    states = [cell.initial_state(zeros, zeros)]
    for x in xs:
        states.append(cell.step(cell.project(x, 0), states[-1]))

    def norm(start: int) -> float:
        def last_h(*state: Tensor) -> Tensor:
            for x in xs[start:]:
                state = cell.step(cell.project(x, 0), state)
            return state[0]

        blocks = torch.autograd.functional.jacobian(last_h, tuple(entry.detach() for entry in states[start]))
        return (sum(block.square().sum() for block in blocks) / ROWS / HIDDEN).sqrt().item()

    assert gradient_norms(cell, xs) == pytest.approx([norm(start) for start in reversed(range(STEPS))], rel=1e-9)


@pytest.mark.parametrize("name", cell_names())
def test_every_cell_is_measured_at_every_distance(name: str) -> None:
    cell = make_cell(name, (INPUTS,), 16, layers=find_cell(name).min_layers).double()
    norms = gradient_norms(cell, inputs())
    assert len(norms) == STEPS
    assert all(0 < norm < 100 for norm in norms[:-1])  # the last one, at a state of zeros, is large behind layer normalisation
    assert cell.training


def test_a_sum_over_time_has_norm_one_at_every_distance() -> None:
    assert gradient_norms(Integrator((INPUTS,), 8), inputs().float()) == pytest.approx([1.0] * STEPS)

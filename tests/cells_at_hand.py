"""Small cells with random weights, and what the tests of cells do with them."""

import torch
from torch import Tensor

from showattend.cells import RecurrentCell, Stack, find_cell, make_cell

B, H, PARTS = 3, 4, (5, 2)


def make(name: str, layers: int | None = None, **options: object) -> RecurrentCell | Stack:
    """A cell in double precision, every tensor of it random, normalisers' statistics too."""
    if name == "clockwork":
        options.setdefault("periods", (1, 2))
    cell = make_cell(name, PARTS, H, layers=layers or find_cell(name).min_layers, options=options).double().eval()
    with torch.no_grad():
        for value in cell.parameters():
            value.copy_(torch.randn_like(value) / 2)
        for key, value in cell.named_buffers():
            if key.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif key.endswith("running_mean"):
                value.normal_()
    return cell


def random_state(cell: RecurrentCell | Stack, rows: int = B) -> tuple[Tensor, ...]:
    """A state as after some steps: the initial one, then two steps on random input."""
    h, c = (torch.rand(rows, cell.initial_size).double() - 0.5 for _ in range(2))
    return tuple(entry.detach() for entry in unroll(cell, inputs(2)[:, :rows], cell.initial_state(h, c))[-1])


def inputs(steps: int = 5) -> Tensor:
    return torch.randn(steps, B, sum(PARTS)).double()


def projected(cell: RecurrentCell | Stack, x: Tensor) -> Tensor:
    first, second = x.split(PARTS, -1)
    return cell.project(first, 0) + cell.project(second, 1)


def unroll(cell: RecurrentCell | Stack, xs: Tensor, state: tuple[Tensor, ...]) -> list[tuple[Tensor, ...]]:
    """The states after each input of xs, (T,B,I)."""
    states = []
    for x in xs:
        state = cell.step(projected(cell, x), state)
        states.append(state)
    return states

"""The norm of dh_T/ds_t over the distance T - t: vanishing and exploding gradients, measured and not argued.

s_t is the whole state that step t hands to step t + 1: h alone for `elman` and `gru`, h and c for `lstm`. The norm is Frobenius over the
square root of H, so that the identity has norm 1, and the root mean square over the rows of a batch.

Source: Hochreiter 1991; Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013, section 2.1.
"""

import torch
from torch import Tensor

from showattend.cells import RecurrentCell, Stack, State


def gradient_norms(cell: RecurrentCell | Stack, inputs: Tensor) -> list[float]:
    """Unroll a cell from a zero state and differentiate its last output by each earlier state.

    Args:
        inputs: (T,B,I)

    Returns:
        for each distance 1, 2, …, T the norm of dh_T/ds_{T - distance}; beyond the range of single precision its largest number
    """
    was_training = cell.training
    cell.eval()  # a normaliser that looks at the batch would make rows depend on each other
    states, h = _unroll(cell, inputs)
    entries = [entry for state in states for entry in state]
    squares = [torch.zeros(inputs.shape[1], dtype=torch.float64) for _ in states]
    for unit in range(h.shape[1]):
        # Rows are independent: the gradient of the sum over the rows holds each row's own.
        grads = iter(torch.autograd.grad(h[:, unit].sum(), entries, retain_graph=True, allow_unused=True))
        for square, state in zip(squares, states, strict=True):
            for _ in state:
                if (grad := next(grads)) is not None:
                    square += grad.double().square().flatten(1).sum(1)
    cell.train(was_training)
    largest = torch.finfo(torch.float32).max
    return [min((square.mean() / h.shape[1]).sqrt().item(), largest) for square in reversed(squares)]


def _unroll(cell: RecurrentCell | Stack, inputs: Tensor) -> tuple[list[State], Tensor]:
    """The differentiable entries of the states s_0 … s_{T-1} that the steps read, and h_T."""
    zeros = inputs.new_zeros(inputs.shape[1], cell.initial_size)
    state = tuple(entry.detach().clone().requires_grad_(entry.is_floating_point()) for entry in cell.initial_state(zeros, zeros))
    states = []
    for projected in cell.project(inputs, 0).unbind(0):
        # Views cut the ways from one entry of a state to another: h_t is computed of c_t, but here both are inputs of the next step.
        state = tuple(entry.view_as(entry) for entry in state)
        states.append(tuple(entry for entry in state if entry.requires_grad))
        state = cell.step(projected, state)
    return states, state[0]

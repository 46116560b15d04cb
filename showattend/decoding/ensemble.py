"""An ensemble: several models as one step function that averages their probabilities."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from showattend.decoding.generation import State, StepFunction


def ensemble_step(members: Sequence[tuple[StepFunction, State]]) -> tuple[StepFunction, State]:
    """One step function that averages the probabilities of its members, and the concatenation of their states.

    Alpha is the average too where all grids have the same size, else alpha of the first member. A single member is returned as it is.

    Args:
        members: the step function of each model over the same photos, and its state before the first word
    """
    if len(members) == 1:
        return members[0]
    member_steps = [step for step, _ in members]
    state_sizes = [len(state) for _, state in members]

    def step(input_ids: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
        entries = iter(state)
        states = [tuple(next(entries) for _ in range(size)) for size in state_sizes]
        outputs = [member(input_ids, own) for member, own in zip(member_steps, states, strict=True)]
        log_probs, new_states, alphas = zip(*outputs, strict=True)
        same_grid = len({alpha.shape for alpha in alphas}) == 1
        return (
            torch.stack(log_probs).logsumexp(0) - math.log(len(member_steps)),
            tuple(entry for own in new_states for entry in own),
            torch.stack(alphas).mean(0) if same_grid else alphas[0],
        )

    return step, tuple(entry for _, state in members for entry in state)

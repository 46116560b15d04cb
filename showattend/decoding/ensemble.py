"""Several models that speak as one."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from showattend.decoding.generation import State, StepFunction


def ensemble_step(decoders: Sequence[tuple[StepFunction, State]]) -> tuple[StepFunction, State]:
    """Step functions as one that gives the mean of their probabilities, and their states as one.

    Alpha is the mean of theirs where all grids are alike, else the first one's. One alone is what it was.

    Args:
        speakers: of each model the step function over the same photos, and its state before the first word
    """
    if len(decoders) == 1:
        return decoders[0]
    steps = [step for step, _ in decoders]
    sizes = [len(state) for _, state in decoders]

    def step(words: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
        states, begin = [], 0
        for size in sizes:
            states.append(state[begin : begin + size])
            begin += size
        log_probs, after, alphas = zip(*(one(words, own) for one, own in zip(steps, states, strict=True)), strict=True)
        alike = len({alpha.shape for alpha in alphas}) == 1
        return (
            torch.stack(log_probs).logsumexp(0) - math.log(len(steps)),
            tuple(entry for own in after for entry in own),
            torch.stack(alphas).mean(0) if alike else alphas[0],
        )

    return step, tuple(entry for _, state in decoders for entry in state)

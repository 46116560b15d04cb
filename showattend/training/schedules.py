"""How the learning rate falls after the warm-up: share of the training done to share of the peak."""

import math
from collections.abc import Callable

SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * min(done, 1.0))),
    "linear": lambda done: 1 - min(done, 1.0),
    "constant": lambda done: 1.0,
}


def learning_rate_factor(schedule: str, warmup: float, step: int, steps: int) -> float:
    """The learning rate at a step, as a share of its peak: a linear warm-up, then the schedule.

    Args:
        warmup: share of the steps in which the rate rises
        step: from 0
        steps: of the whole training
    """
    rising: int = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return SCHEDULES[schedule]((step - rising) / max(1, steps - rising))

"""How the learning rate falls after the warm-up: share of the training done to share of the peak."""

import math
from collections.abc import Callable

SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * min(done, 1.0))),
    "linear": lambda done: 1 - min(done, 1.0),
    "constant": lambda done: 1.0,
}

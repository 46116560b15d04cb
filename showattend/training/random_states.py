"""The states of all random generators of a training process, as plain values that a checkpoint can hold."""

import hashlib
import random
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor


class RandomStates(TypedDict):
    """What `get_random_states` returns."""

    torch: Tensor
    cuda: list[Tensor]
    numpy: list[Any]
    python: list[Any]


def get_random_states() -> RandomStates:
    """The states of PyTorch's (CPU and GPU), NumPy's and Python's global generators."""
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "numpy": [str(name), torch.from_numpy(np.asarray(keys, np.int64)), int(position), int(has_gauss), float(cached)],
        "python": [version, list(internal), gauss],
    }


def set_random_states(states: RandomStates) -> None:
    """Restore what `get_random_states` returned."""
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count() and states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))


def seed_process(seed: int, process: int) -> None:
    """Give one of several processes, which all begin with the same seed, random numbers of its own (PyTorch's: nothing else draws)."""
    digest = hashlib.sha256(f"{seed} process {process}".encode()).digest()
    torch.manual_seed(int.from_bytes(digest[:8]) >> 1)

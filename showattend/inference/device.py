"""The device that a captioner works on, by its name; and what torch spares where there is no GPU."""

import os

import torch

from showattend.errors import InputError


def choose_device(name: str | torch.device | None) -> torch.device:
    """The device of a name such as cpu, cuda, cuda:1 or mps; None and `auto`: a CUDA GPU where there is one, else the CPU.

    Raises:
        InputError: there is no such device here.
    """
    if name is None or name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"unknown device '{name}': give cpu, cuda, mps or auto") from error
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if device.type not in counts:
        raise InputError(f"captions cannot be generated on the device '{name}': give cpu, cuda, mps or auto")
    if (device.index or 0) >= counts[device.type]:
        raise InputError(f"there is no device '{name}' here: give cpu or auto")
    return device


def stop_looking_for_gpus() -> None:
    """Tell torch that there is no GPU, where there is none.

    Otherwise each step of an optimiser loads the driver's library, in vain, for up to 9 ms (`torch.optim.Optimizer` checks whether a CUDA
    graph is recorded).
    """
    if not torch.cuda.is_available():
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

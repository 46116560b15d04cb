"""Pretrained weights from a file: a state dict, alone or wrapped as training programs save it, by the names of a network."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from showattend.errors import InputError, one_line

WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net", "module", "weights")
COUNTER = "num_batches_tracked"  # of batch normalisation; nothing is computed from it here


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network from a file; what the file holds beyond the network is left out.

    The state dict may lie in one of WRAPPERS, its names may begin with a prefix (DataParallel writes `module.`), and counters of batches
    may be missing.

    Raises:
        InputError: there is no such file, it holds no tensors, or it is that of another network.
    """
    state = _read(path)
    expected = network.state_dict()
    prefix = _find_prefix(state, expected)
    found: dict[str, Tensor] = {}
    for name, tensor in expected.items():
        value = state.get(prefix + name)
        if value is None and name.endswith(COUNTER):
            value = tensor
        if value is None:
            raise InputError(f"{path} has no '{name}': these are the weights of another network")
        if value.shape != tensor.shape:
            raise InputError(f"'{name}' in {path} has the shape {tuple(value.shape)}, the network needs {tuple(tensor.shape)}")
        found[name] = value
    network.load_state_dict(found)


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by their names."""
    if not path.is_file():
        raise InputError(f"no weights at {path}: give default, none, or the path of a safetensors or state-dict file")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # its text proposes to run what the file holds
        raise InputError(
            f"cannot read weights from {path}: it is no file of torch.save, or holds other things than tensors, numbers and texts: "
            "save the network's state_dict() alone"
        ) from error
    except Exception as error:  # each library raises its own
        raise InputError(f"cannot read weights from {path}: {one_line(error)}") from error
    state = {str(name): value for name, value in _unwrap(content).items() if isinstance(value, Tensor)}
    if not state:
        raise InputError(f"{path} holds no state dict: save the network's state_dict() alone")
    return state


def _unwrap(content: object) -> Mapping[Any, Any]:
    """The state dict in what was saved, which is wrapped once or more; empty: there is none."""
    if not isinstance(content, Mapping):
        return {}
    inner = next((content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
    return content if inner is None else _unwrap(inner)


def _find_prefix(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """What stands before the network's names in a state dict: of all that occur, the one with most of the names."""
    first = next(iter(expected))
    prefixes = [name.removesuffix(first) for name in state if name == first or name.endswith(f".{first}")]
    return max(prefixes, key=lambda prefix: sum(prefix + name in state for name in expected), default="")

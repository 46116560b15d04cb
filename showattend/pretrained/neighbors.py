"""The neighbors in a model folder: read from a file that is not trusted."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor

from showattend.decoding.neighbors import Neighbors
from showattend.errors import InputError
from showattend.generation_config import MAX_LENGTH, MAX_NEIGHBORS
from showattend.model_files import COPY_AGAIN
from showattend.pretrained.folder import FolderConfig, is_finite

# The features have length 1, but for the rounding to float16.
LONGEST = 1.01


def neighbors_from_tensors(tensors: Mapping[str, Tensor], config: FolderConfig, path: Path) -> Neighbors:
    """The neighbors of a model, from the tensors of their file.

    Raises:
        InputError: the tensors are not those of neighbors, or not of this model.
    """
    if set(tensors) != {field.name for field in fields(Neighbors)}:
        raise InputError(f"{path} holds no neighbors: {COPY_AGAIN}")
    neighbors = Neighbors(**tensors)
    described = {name: (tensor.dtype, *tensor.shape) for name, tensor in tensors.items()}
    photos, captions, length = neighbors.token_ids.shape if neighbors.token_ids.dim() == 3 else (0, 0, 0)
    expected = {
        "features": (torch.float16, photos, config.encoder_dim),
        "mean": (torch.float32, config.encoder_dim),
        "scale": (torch.float32, config.encoder_dim),
        "token_ids": (torch.int32, photos, captions, length),
    }
    if described != expected or not neighbors.token_ids.numel() or length > MAX_LENGTH or photos > MAX_NEIGHBORS:
        raise InputError(f"{path} does not fit the model's encoder of {config.encoder_dim} channels, or is too large: {COPY_AGAIN}")
    if neighbors.token_ids.min() < 0 or neighbors.token_ids.max() >= config.vocabulary_size:
        raise InputError(f"{path} has captions with words that are not in the vocabulary: {COPY_AGAIN}")
    finite = all(map(is_finite, (neighbors.features, neighbors.mean, neighbors.scale)))
    if not finite or not bool((neighbors.scale > 0).all()):
        raise InputError(f"{path} has features that are not finite, or a scale that is not above zero: {COPY_AGAIN}")
    if neighbors.features.float().norm(dim=1).max() > LONGEST:
        raise InputError(f"{path} has features that are longer than 1: {COPY_AGAIN}")
    return neighbors

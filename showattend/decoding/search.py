"""Captions for photos: a search, and, where the settings ask for one, another ranking of what it found."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from showattend.decoding.consensus import rank_by_consensus
from showattend.decoding.generation import Hypotheses, StepFunction, generate
from showattend.decoding.mutual_information import rank_by_mutual_information
from showattend.decoding.neighbors import Neighbors, check_neighbors, rank_by_neighbors
from showattend.generation_config import GenerationConfig
from showattend.ops.unroll_plan import State

# From features of photos (N,L,D), one tensor for each model, to the arguments of `generate`.
MakeStep = Callable[[Sequence[Tensor]], tuple[StepFunction, State]]


def search(
    make_step: MakeStep,
    features: Sequence[Tensor],
    config: GenerationConfig,
    keys: Sequence[int] | None = None,
    neighbors: Neighbors | None = None,
) -> Hypotheses:
    """Search for captions of N photos, or sample them, see `generate`; where the settings ask for it all beams are ranked anew.

    Scores remain those of `generate`, so that they need not fall from the first caption to the last.

    Args:
        neighbors: photos by the features of the first model

    Raises:
        InputError: the settings ask for neighbors, and there are none.
    """
    check_neighbors(config, neighbors)
    if not config.rankings:
        return generate(*make_step(features), config, keys)
    photos = make_step(features)
    found = generate(*photos, replace(config, num_captions=config.beam), keys)
    if config.neighbors:
        assert neighbors is not None
        return rank_by_neighbors(found, features[0], neighbors, config)
    if config.consensus:
        return rank_by_consensus(found, config)
    no_photo = make_step([torch.zeros_like(each[:1]) for each in features])
    return rank_by_mutual_information(found, *no_photo, config)

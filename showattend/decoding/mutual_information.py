"""Captions ranked by what they say of their photo: maximum mutual information (Li et al. 2016, "A diversity-promoting objective").

log p(caption | photo) - lambda log p(caption): a caption that would fit any photo has a high log p(caption). This is what the model itself
says when it sees no photo, that is with features that are zero everywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from showattend.decoding.generation import Hypotheses, StepFunction, generate
from showattend.generation_config import GenerationConfig
from showattend.ops.unroll_plan import State
from showattend.vocabulary import END, PAD, START

# From features of photos (N,L,D), one tensor for each model, to the arguments of `generate`.
MakeStep = Callable[[Sequence[Tensor]], tuple[StepFunction, State]]


def search(make_step: MakeStep, features: Sequence[Tensor], config: GenerationConfig, keys: Sequence[int] | None = None) -> Hypotheses:
    """Search for captions of N photos, or sample them, see `generate`; with `mutual_information` all beams are ranked by it.

    Scores remain those of `generate`, so that they need not fall from the first caption to the last.
    """
    if not config.mutual_information:
        return generate(*make_step(features), config, keys)
    found = generate(*make_step(features), replace(config, num_captions=config.beam), keys)
    no_photo = make_step([torch.zeros_like(each[:1]) for each in features])
    return rank_by_mutual_information(found, *no_photo, config)


def rank_by_mutual_information(found: Hypotheses, step: StepFunction, state: State, config: GenerationConfig) -> Hypotheses:
    """The best `num_captions` of the captions that were found; those that have not ended stay behind all others.

    Args:
        step, state: of one photo, which shows nothing
    """
    lengths = (found.token_ids != PAD).sum(-1)
    log_probs = _log_probs(step, state, found.token_ids.flatten(0, 1)).view_as(found.scores)
    information = found.scores - config.mutual_information * log_probs / lengths.clamp(min=1) ** config.length_penalty
    information = information.masked_fill(~(found.token_ids == END).any(-1), -torch.inf)
    order = information.sort(descending=True, stable=True).indices[:, : config.num_captions]
    rows = torch.arange(len(order), device=order.device).unsqueeze(1)
    return Hypotheses(*(values[rows, order] for values in found))


def _log_probs(step: StepFunction, state: State, token_ids: Tensor) -> Tensor:
    """Log-probability of each of R captions (R,T) of one photo, up to and with `<end>`, (R,)."""
    rows = len(token_ids)
    state = tuple(entry.repeat_interleave(rows, 0) for entry in state)
    input_ids = torch.full((rows,), START, device=token_ids.device)
    total = torch.zeros(rows, device=token_ids.device)
    for target_ids in token_ids.unbind(1):
        log_probs, state, _ = step(input_ids, state)
        chosen = log_probs.gather(1, target_ids.unsqueeze(1)).squeeze(1)
        total = total + chosen.masked_fill(target_ids == PAD, 0.0)
        input_ids = target_ids
    return total

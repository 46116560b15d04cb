"""Captions ranked by what they say of their photo: maximum mutual information (Li et al. 2016, "A diversity-promoting objective").

log p(caption | photo) - lambda log p(caption): a caption that would fit any photo has a high log p(caption). This is what the model itself
says when it sees no photo, that is with features that are zero everywhere.
"""

import torch
from torch import Tensor

from showattend.decoding.generation import Hypotheses, StepFunction
from showattend.generation_config import GenerationConfig
from showattend.ops.unroll_plan import State
from showattend.vocabulary import PAD, START


def rank_by_mutual_information(found: Hypotheses, step: StepFunction, state: State, config: GenerationConfig) -> Hypotheses:
    """The best `num_captions` of the captions that were found; those that have not ended stay behind all others.

    Args:
        step, state: of one photo, which shows nothing
    """
    lengths = (found.token_ids != PAD).sum(-1)
    log_probs = _log_probs(step, state, found.token_ids.flatten(0, 1)).view_as(found.scores)
    information = found.scores - config.mutual_information * log_probs / lengths.clamp(min=1) ** config.length_penalty
    return found.best(information, config.num_captions)


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

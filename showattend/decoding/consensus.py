"""Captions ranked by how well they agree with the others that the search found: minimum Bayes risk (Kumar and Byrne 2004).

The most probable caption need not be like the others, and is often a short one. What the beams found stands for all that the model might
say of the photo, each caption with a weight that grows with its score.
"""

import torch
from torch import Tensor

from showattend.decoding.cider_d import cider_d
from showattend.decoding.generation import Hypotheses
from showattend.generation_config import GenerationConfig
from showattend.vocabulary import END

# Weights are the softmax of the scores over this: at 1 the beams count almost alike, at 0 the best one alone.
TEMPERATURE = 0.3


def rank_by_consensus(found: Hypotheses, config: GenerationConfig) -> Hypotheses:
    """The best `num_captions` of the captions that were found, by agreement; those that have not ended stay behind all others."""
    agreement = torch.stack([_agreement(*photo) for photo in zip(found.token_ids, found.scores, strict=True)])
    return found.best(agreement, config.num_captions)


def _agreement(captions: Tensor, scores: Tensor) -> Tensor:
    """The weighted mean of the CIDEr-D of captions (K,T) against those of them that have ended, (K,)."""
    has_ended = (captions == END).any(-1)
    weights = (scores.masked_fill(~has_ended, -torch.inf) / TEMPERATURE).softmax(-1).nan_to_num()  # where none has ended: 0
    # All n-grams weigh the same: how many photos' captions have each is not known here.
    return cider_d(captions) @ weights.float()

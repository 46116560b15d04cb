"""Captions ranked by how well they agree with all that the model might say of the photo: minimum Bayes risk (Kumar and Byrne 2004).

Captions are sampled beside the search, and of those that were found the one that is most like the samples is the best. The most
probable caption need not be like the others, and is often a short one.
"""

from dataclasses import replace

import torch
from torch import Tensor

from showattend.decoding.cider_d import cider_d
from showattend.decoding.generation import Hypotheses
from showattend.generation_config import GenerationConfig

# A tenth of a caption's score is added to its agreement: some forty samples leave much to chance, and the score decides near ties.
SCORE_WEIGHT = 0.1
# At 1 a model that was trained with label smoothing samples too much nonsense to agree with.
TEMPERATURE = 0.7


def sampling_config(config: GenerationConfig) -> GenerationConfig:
    """The settings of the samples: those of the search that hold for them too."""
    return replace(
        config,
        beam=1,
        groups=1,
        must_include=(),
        consensus=0,
        sample=True,
        temperature=TEMPERATURE,
        num_captions=config.consensus,
    )


def rank_by_agreement(found: Hypotheses, samples: Tensor, config: GenerationConfig) -> Hypotheses:
    """The best `num_captions` of the captions that were found, by agreement and score; those that have not ended stay behind all others.

    Args:
        samples: token ids (N,S,U)
    """
    # All n-grams weigh the same: how many photos' captions have each is not known here.
    agreement = torch.stack([cider_d(*photo).mean(-1) for photo in zip(found.token_ids, samples, strict=True)])
    return found.best(agreement + SCORE_WEIGHT * found.scores, config.num_captions)

"""Captions ranked by how well they agree with all that the model might say of the photo: minimum Bayes risk (Kumar and Byrne 2004).

Captions are sampled beside the search, and of those that were found the one that is most like the samples is the best. The most
probable caption need not be like the others, and is often a short one.
"""

from dataclasses import replace

import torch
from torch import Tensor

from showattend.decoding.generation import Hypotheses
from showattend.generation_config import GenerationConfig
from showattend.vocabulary import END, PAD

# A tenth of a caption's score is added to its agreement: some forty samples leave much to chance, and the score decides near ties.
SCORE_WEIGHT = 0.1
# At 1 a model that was trained with label smoothing samples too much nonsense to agree with.
TEMPERATURE = 0.7
# CIDEr-D's (Vedantam et al. 2015): 1-grams to 4-grams, and by how many words lengths may differ.
ORDERS, SIGMA = 4, 6.0


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
    agreement = torch.stack([_similarity(*photo).mean(-1) for photo in zip(found.token_ids, samples, strict=True)])
    return found.best(agreement + SCORE_WEIGHT * found.scores, config.num_captions)


def _similarity(captions: Tensor, samples: Tensor) -> Tensor:
    """CIDEr-D of each of C captions (C,T) against each of S samples (S,U) of a photo, from 0 to 1, (C,S).

    Each n-gram weighs the same, for how many photos' captions have it is not known here; `<end>` does not count.
    """
    positions = _same_words(captions.unsqueeze(1), samples)  # (C,S,T,U)
    own, samples_own = _same_words(captions, captions), _same_words(samples, samples)  # (C,T,T), (S,U,U)
    similarity = torch.zeros(len(captions), len(samples), device=captions.device)
    ngrams, own_ngrams, samples_own_ngrams = positions, own, samples_own
    for order in range(ORDERS):
        if order:
            ngrams, own_ngrams = _longer(ngrams, positions, order), _longer(own_ngrams, own, order)
            samples_own_ngrams = _longer(samples_own_ngrams, samples_own, order)
        # How often the n-gram at each position of a caption is in the caption itself, and in a sample: (C,1,T), (C,S,T).
        times, times_in_sample = _count(own_ngrams).unsqueeze(1), _count(ngrams)
        # Clipped as CIDEr-D does. The sum over positions meets an n-gram as often as the caption has it, and should count it once.
        products = (torch.minimum(times, times_in_sample) * times_in_sample / times.clamp(min=1)).sum(-1)
        squared_norms = _count(own_ngrams).sum(-1).unsqueeze(1) * _count(samples_own_ngrams).sum(-1)
        similarity += products / squared_norms.clamp(min=1).sqrt()
    difference = _count(own).clamp(max=1).sum(-1).unsqueeze(1) - _count(samples_own).clamp(max=1).sum(-1)
    return similarity / ORDERS * torch.exp(-(difference**2) / (2 * SIGMA**2))


def _same_words(one: Tensor, other: Tensor) -> Tensor:
    """Whether the words at each two positions of two captions are the same, (…,T,U)."""
    words = (one != PAD) & (one != END)
    return (one.unsqueeze(-1) == other.unsqueeze(-2)) & words.unsqueeze(-1)


def _longer(ngrams: Tensor, words: Tensor, order: int) -> Tensor:
    """From where n-grams of `order` words are the same to where those of one word more are."""
    return ngrams[..., :-1, :-1] & words[..., order:, order:]


def _count(matches: Tensor) -> Tensor:
    """How many positions of the other caption match each position, (…,T)."""
    return matches.sum(-1, dtype=torch.float32)

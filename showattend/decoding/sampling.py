"""Words drawn by their probabilities."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from showattend.decoding.beam_search import Extension
from showattend.decoding.config import GenerationConfig
from showattend.vocabulary import PAD


class Sampling:
    """Every hypothesis goes its own way; see `BeamSearch` for the interface.

    A photo's chances come from the seed and the photo's key alone, so that neither the size of a batch nor the photos
    beside it change what is drawn.

    Args:
        keys: a number for each photo
    """

    def __init__(self, search: GenerationConfig, keys: Sequence[int]) -> None:
        self.search = search
        self.width = search.num_captions
        shape = (search.max_length, search.num_captions)
        self.chances = iter(np.stack([np.random.default_rng((search.seed, key)).random(shape) for key in keys], 1))

    def init_scores(self, photos: int, device: torch.device) -> Tensor:
        """All hypotheses are alive."""
        return torch.zeros(photos, self.width, device=device)

    def extend(self, total: Tensor, frozen: Tensor, log_probs: Tensor) -> Extension:
        """One word for each hypothesis, by the inverse of the distribution function."""
        tempered, words = self._candidates(log_probs / self.search.temperature)
        reached = tempered.double().softmax(-1).cumsum(-1)
        chance = torch.from_numpy(next(self.chances)).to(reached.device).unsqueeze(-1)
        place = torch.searchsorted(reached, chance * reached[..., -1:], right=True).clamp(max=reached.shape[-1] - 1)
        word = words.gather(-1, place) if words is not None else place
        said = log_probs.gather(-1, word).squeeze(-1)
        word = word.squeeze(-1).masked_fill(frozen, PAD)
        parent = torch.arange(self.width, device=total.device).expand_as(total)
        return Extension(torch.where(frozen, total, total + said), parent, word)

    def _candidates(self, log_probs: Tensor) -> tuple[Tensor, Tensor | None]:
        """The words to draw from: their log-probabilities, -inf for those left out, and their numbers; None: all in order."""
        if not self.search.top_k and self.search.top_p == 1:
            return log_probs, None
        best, words = log_probs.topk(min(self.search.top_k or log_probs.shape[-1], log_probs.shape[-1]))
        if self.search.top_p < 1:
            probabilities = best.softmax(-1)
            # The word that brings the sum to top_p still belongs to the nucleus.
            best = best.masked_fill(probabilities.cumsum(-1) - probabilities >= self.search.top_p, -torch.inf)
        return best, words

    def settled(self, scores: Tensor, hopes: Tensor) -> Tensor:
        """A caption is settled when it has ended."""
        return hopes == -torch.inf

    def order(self, scores: Tensor, ended: Tensor) -> Tensor:
        """As they were drawn."""
        return torch.arange(self.width, device=scores.device).expand_as(scores)

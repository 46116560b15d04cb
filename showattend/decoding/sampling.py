"""Sampling: captions drawn from the model's distribution, with temperature, top-k and top-p (nucleus) truncation."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from showattend.decoding.strategy import Extension
from showattend.generation_config import GenerationConfig
from showattend.vocabulary import PAD


class Sampling:
    """W independent samples per photo; see `SearchStrategy` for the interface.

    The random numbers of a photo depend on the seed and the photo's key alone. So neither the batch size nor the other
    photos of the batch change what is drawn.

    Args:
        keys: an integer for each photo
    """

    def __init__(self, config: GenerationConfig, keys: Sequence[int]) -> None:
        self.config = config
        self.width = config.num_captions
        shape = (config.max_length, config.num_captions)
        # Uniform numbers in [0,1), one (N,W) array per step.
        self.uniforms = iter(np.stack([np.random.default_rng((config.seed, key)).random(shape) for key in keys], 1))

    def init_scores(self, num_photos: int, device: torch.device) -> Tensor:
        """All W hypotheses exist from the start."""
        return torch.zeros(num_photos, self.width, device=device)

    def extend(self, log_probs: Tensor, frozen: Tensor, next_log_probs: Tensor) -> Extension:
        """Draw one token for each hypothesis by inverting the cumulative distribution function."""
        # Less the largest first, which then remains 0 whatever the temperature is.
        scaled = (next_log_probs - next_log_probs.amax(-1, keepdim=True)) / self.config.temperature
        candidate_log_probs, candidate_ids = self._truncate(scaled)
        if candidate_log_probs.device.type == "mps":  # it has no double precision
            candidate_log_probs = candidate_log_probs.cpu()
        cumulative = candidate_log_probs.double().softmax(-1).cumsum(-1)
        uniform = torch.from_numpy(next(self.uniforms)).to(cumulative.device).unsqueeze(-1)
        drawn = torch.searchsorted(cumulative, uniform * cumulative[..., -1:], right=True).clamp(max=cumulative.shape[-1] - 1)
        drawn = drawn.to(next_log_probs.device)
        token_ids = candidate_ids.gather(-1, drawn) if candidate_ids is not None else drawn
        token_log_probs = next_log_probs.gather(-1, token_ids).squeeze(-1)
        token_ids = token_ids.squeeze(-1).masked_fill(frozen, PAD)
        parents = torch.arange(self.width, device=log_probs.device).expand_as(log_probs)
        return Extension(torch.where(frozen, log_probs, log_probs + token_log_probs), parents, token_ids)

    def _truncate(self, log_probs: Tensor) -> tuple[Tensor, Tensor | None]:
        """The candidates of top-k and top-p: log-probabilities, -inf for tokens left out, and token ids; None: 0 to V-1 in order."""
        if not self.config.top_k and self.config.top_p == 1:
            return log_probs, None
        vocabulary_size = log_probs.shape[-1]
        best, token_ids = log_probs.topk(min(self.config.top_k or vocabulary_size, vocabulary_size))
        if self.config.top_p < 1:
            probabilities = best.softmax(-1)
            # The token that brings the sum to top_p still belongs to the nucleus.
            best = best.masked_fill(probabilities.cumsum(-1) - probabilities >= self.config.top_p, -torch.inf)
        return best, token_ids

    def is_done(self, scores: Tensor, upper_bounds: Tensor) -> Tensor:
        """A sample is done when it has ended."""
        return upper_bounds == -torch.inf

    def ranking(self, scores: Tensor, ended: Tensor) -> Tensor:
        """The order in which they were drawn."""
        return torch.arange(self.width, device=scores.device).expand_as(scores)

"""The contract of a search strategy: how hypotheses are extended, when a photo is done, how results are ranked.

N photos have W hypotheses each. All strategies see the log-probabilities of these hypotheses as one (N,W) tensor.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Extension(NamedTuple):
    """The W hypotheses that a step keeps, each tensor (N,W).

    log_probs: of the hypotheses, with their new token
    parents: index of the hypothesis that each one continues
    token_ids: the new token; `<pad>` for a frozen hypothesis
    """

    log_probs: Tensor
    parents: Tensor
    token_ids: Tensor


class SearchStrategy(Protocol):
    """Beam search, one of its variants, or sampling."""

    @property
    def width(self) -> int:
        """W, hypotheses per photo."""

    def init_scores(self, num_photos: int, device: torch.device) -> Tensor:
        """Log-probabilities of the empty hypotheses, (N,W); -inf for a hypothesis that does not exist yet."""

    def extend(self, log_probs: Tensor, frozen: Tensor, next_log_probs: Tensor) -> Extension:
        """Choose the continuations to keep.

        Args:
            log_probs: of the hypotheses, (N,W)
            frozen: hypotheses that have ended or whose photo is done; they stay as they are, (N,W)
            next_log_probs: of the next tokens, -inf where a token is not allowed, (N,W,V)
        """

    def is_done(self, scores: Tensor, upper_bounds: Tensor) -> Tensor:
        """Which hypotheses (N,W) need no further step, because no step can change the result.

        Args:
            scores: of the ended hypotheses, -inf for the others, (N,W)
            upper_bounds: best score that an unfinished hypothesis can still reach, -inf for the ended ones, (N,W)
        """

    def ranking(self, scores: Tensor, ended: Tensor) -> Tensor:
        """Indices of the hypotheses in the order in which they are returned, (N,W)."""

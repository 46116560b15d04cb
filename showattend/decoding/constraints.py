"""Tokens that may not come next, whatever their probability."""

from functools import cache

import torch
from torch import Tensor

from showattend.generation_config import GenerationConfig
from showattend.vocabulary import END, FORBIDDEN_IDS


class TokenConstraints:
    """Forbids special and banned tokens, `<end>` before `min_length`, and repeated n-grams, for W hypotheses of N photos."""

    def __init__(self, config: GenerationConfig, num_photos: int, width: int, device: torch.device) -> None:
        self.min_length = config.min_length
        self.ngram = config.no_repeat_ngram
        self.forbidden_ids = _on_device((*FORBIDDEN_IDS, *config.ban), device)
        self.length = 0
        # (N,W,T), reordered at every step: kept only where n-grams are checked.
        self.token_history = torch.zeros(num_photos, width, 0, dtype=torch.long, device=device) if self.ngram else None

    def apply(self, log_probs: Tensor) -> Tensor:
        """Log-probabilities of the next tokens (N,W,V) with -inf for what is not allowed; may write into its argument.

        `<end>` is allowed before `min_length` where no other token is left.
        """
        log_probs.index_fill_(-1, self.forbidden_ids, -torch.inf)
        if self.token_history is not None and self.length >= self.ngram:
            log_probs = log_probs.masked_fill(self._repeated(self.token_history, log_probs), -torch.inf)
        if self.length < self.min_length:
            end = log_probs[..., END].clone()
            log_probs[..., END] = -torch.inf
            log_probs[..., END] = torch.where(log_probs.amax(-1) == -torch.inf, end, -torch.inf)
        return log_probs

    def update(self, parents: Tensor, token_ids: Tensor) -> None:
        """Append the new tokens to the histories of the hypotheses that they continue, both (N,W)."""
        self.length += 1
        if self.token_history is not None:
            continued = self.token_history.gather(1, parents.unsqueeze(-1).expand(-1, -1, self.token_history.shape[-1]))
            self.token_history = torch.cat((continued, token_ids.unsqueeze(-1)), -1)

    def _repeated(self, history: Tensor, log_probs: Tensor) -> Tensor:
        """Tokens that would complete an n-gram of the history, (N,W,V)."""
        # Where the last n-1 tokens occurred before, the token that followed them there is forbidden now.
        context = history[..., history.shape[-1] - self.ngram + 1 :].unsqueeze(-2)
        matches = (history[..., :-1].unfold(-1, self.ngram - 1, 1) == context).all(-1)
        counts = torch.zeros_like(log_probs)
        return counts.scatter_add(-1, history[..., self.ngram - 1 :], matches.to(counts.dtype)) > 0


@cache
def _on_device(token_ids: tuple[int, ...], device: torch.device) -> Tensor:
    """Token ids as a tensor, copied to the device once: a CUDA graph under capture must not wait for a copy."""
    with torch.inference_mode(False):
        return torch.tensor(token_ids, device=device)

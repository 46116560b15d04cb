"""Which words may not come next, whatever their probability."""

from functools import cache

import torch
from torch import Tensor

from showattend.decoding.config import GenerationConfig
from showattend.vocabulary import END, PAD, START, UNKNOWN

FORBIDDEN_IDS = (PAD, START, UNKNOWN)


class TokenConstraints:
    """Special and banned words, an early `<end>` and repeated n-grams, over W hypotheses of N photos.

    Args:
        photos: N
        width: W
    """

    def __init__(self, search: GenerationConfig, photos: int, width: int, device: torch.device) -> None:
        self.min_length = search.min_length
        self.ngram = search.no_repeat_ngram
        self.never = _numbers((*FORBIDDEN_IDS, *search.ban), device)
        self.length = 0
        # All that was said, moved with every step: only where it is needed.
        self.said = torch.zeros(photos, width, 0, dtype=torch.long, device=device) if self.ngram else None

    def apply(self, log_probs: Tensor) -> Tensor:
        """Log-probabilities (N,W,V), with -inf written in for what may not come next; `<end>` always may where nothing else is left."""
        log_probs.index_fill_(-1, self.never, -torch.inf)
        if self.said is not None and self.length >= self.ngram:
            log_probs = log_probs.masked_fill(self._repeats(self.said, log_probs), -torch.inf)
        if self.length < self.min_length:
            end = log_probs[..., END].clone()
            log_probs[..., END] = -torch.inf
            log_probs[..., END] = torch.where(log_probs.amax(-1) == -torch.inf, end, -torch.inf)
        return log_probs

    def follow(self, parent: Tensor, word: Tensor) -> None:
        """Take note of the words said, (N,W), each after the hypothesis of that number before."""
        self.length += 1
        if self.said is not None:
            before = self.said.gather(1, parent.unsqueeze(-1).expand(-1, -1, self.said.shape[-1]))
            self.said = torch.cat((before, word.unsqueeze(-1)), -1)

    def _repeats(self, said: Tensor, log_probs: Tensor) -> Tensor:
        """Words that would end an n-gram that has been said before, (N,W,V)."""
        # Every earlier place at which the last n-1 words stood already, and the word that followed there.
        context = said[..., said.shape[-1] - self.ngram + 1 :].unsqueeze(-2)
        matches = (said[..., :-1].unfold(-1, self.ngram - 1, 1) == context).all(-1)
        counts = torch.zeros_like(log_probs)
        return counts.scatter_add(-1, said[..., self.ngram - 1 :], matches.to(counts.dtype)) > 0


@cache
def _numbers(words: tuple[int, ...], device: torch.device) -> Tensor:
    """Brought to the device once: what is captured there cannot wait for it."""
    with torch.inference_mode(False):
        return torch.tensor(words, device=device)

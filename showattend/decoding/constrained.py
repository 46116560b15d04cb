"""Beam search in which required words must occur (Anderson et al. 2017, without alternatives for a word)."""

import torch
from torch import Tensor

from showattend.decoding.beam_search import BeamSearch, Candidates, argsort_with_priority, best_continuations, restore_frozen_log_probs
from showattend.decoding.strategy import Extension
from showattend.generation_config import GenerationConfig
from showattend.vocabulary import END


class ConstrainedBeamSearch(BeamSearch):
    """A bank of K beams for every subset of the C required words: bit i of a bank's index means that word i has occurred.

    A hypothesis competes only inside its bank. So a probable caption without a required word cannot push out a less
    probable one with it. `<end>` is allowed only in the last bank, where all required words have occurred.
    """

    def __init__(self, config: GenerationConfig) -> None:
        super().__init__(config, 2 ** len(config.must_include))
        self.required = list(enumerate(config.must_include))

    def init_scores(self, num_photos: int, device: torch.device) -> Tensor:
        """One empty hypothesis, in the bank of the empty subset."""
        log_probs = super().init_scores(num_photos, device)
        log_probs[:, 1:] = -torch.inf
        return log_probs

    def extend(self, log_probs: Tensor, frozen: Tensor, next_log_probs: Tensor) -> Extension:
        """Keep the best continuations of each bank: those that stay in it, and those that reach it by a required word."""
        grouped = self._by_group(log_probs, frozen, next_log_probs)
        candidates = [self._staying(*grouped), *(self._moving(bit, token_id, *grouped) for bit, token_id in self.required)]
        merged = Candidates(*(torch.cat(parts, -1) for parts in zip(*candidates, strict=True)))
        return restore_frozen_log_probs(merged.best(self.beams), log_probs)

    def _staying(self, log_probs: Tensor, frozen: Tensor, next_log_probs: Tensor) -> Candidates:
        """The best continuations without a required word that is new, (N,banks,K)."""
        next_log_probs = next_log_probs.clone()
        next_log_probs[:, :-1, :, END] = -torch.inf
        for bit, token_id in self.required:
            next_log_probs[..., token_id].masked_fill_(~self._has_word(bit, next_log_probs.device), -torch.inf)
        return best_continuations(log_probs, frozen, next_log_probs)

    def _moving(self, bit: int, token_id: int, log_probs: Tensor, frozen: Tensor, next_log_probs: Tensor) -> Candidates:
        """All continuations by one required word, as candidates of the banks that they reach, (N,banks,K)."""
        continued = (log_probs + next_log_probs[..., token_id]).masked_fill(frozen, -torch.inf)
        hypothesis = torch.arange(self.width, device=log_probs.device).view(1, self.num_groups, self.beams).expand(continued.shape)
        # Which bank a bank is reached from; one without the word is reached from none, and its index here means nothing.
        sources = (torch.arange(self.num_groups, device=log_probs.device) - 2**bit).clamp(min=0)
        has_word = self._has_word(bit, log_probs.device)
        keys = continued.index_select(1, sources).masked_fill(~has_word, -torch.inf)
        parents = torch.where(has_word, hypothesis.index_select(1, sources), hypothesis)
        return Candidates(keys, parents, torch.full_like(parents, token_id))

    def _has_word(self, bit: int, device: torch.device) -> Tensor:
        """The banks in which a required word has occurred, (banks,1)."""
        return (torch.arange(self.num_groups, device=device) >> bit & 1).bool().unsqueeze(-1)

    def is_done(self, scores: Tensor, upper_bounds: Tensor) -> Tensor:
        """As in plain search; ended hypotheses are in the last bank, and unfinished ones of every bank may overtake them."""
        last = scores[:, -self.beams :].topk(self.config.num_captions).values[:, -1:]
        return (last >= upper_bounds.amax(1, keepdim=True)).expand_as(scores)

    def ranking(self, scores: Tensor, ended: Tensor) -> Tensor:
        """The last bank first, in it the ended hypotheses first: an unfinished caption with all words precedes one without."""
        complete = torch.zeros_like(ended)
        complete[:, -self.beams :] = True
        return argsort_with_priority(scores, ended, complete)

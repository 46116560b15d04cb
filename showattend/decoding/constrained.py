"""Beam search in which required words must occur (Anderson et al. 2017, without alternatives for a word)."""

from typing import NamedTuple

import torch
from torch import Tensor

from showattend.decoding.beam_search import BeamSearch, Candidates, argsort_with_priority, best_continuations, restore_finished
from showattend.decoding.strategy import Extension
from showattend.generation_config import GenerationConfig
from showattend.vocabulary import END


class Transition(NamedTuple):
    """A required token, the banks whose hypotheses lack it, and the bank that each of these reaches with it."""

    token_id: int
    source_banks: list[int]
    target_banks: list[int]


class ConstrainedBeamSearch(BeamSearch):
    """A bank of K beams for every subset of the C required words: bit i of a bank's index means that word i has occurred.

    A hypothesis competes only inside its bank. So a probable caption without a required word cannot push out a less
    probable one with it. `<end>` is allowed only in the last bank, where all required words have occurred.
    """

    def __init__(self, config: GenerationConfig) -> None:
        super().__init__(config, 2 ** len(config.must_include))
        self.transitions = []
        for bit, token_id in enumerate(config.must_include):
            sources = [bank for bank in range(self.num_groups) if not bank >> bit & 1]
            self.transitions.append(Transition(token_id, sources, [bank + (1 << bit) for bank in sources]))

    def init_scores(self, num_photos: int, device: torch.device) -> Tensor:
        """One empty hypothesis, in the bank of the empty subset."""
        log_probs = super().init_scores(num_photos, device)
        log_probs[:, 1:] = -torch.inf
        return log_probs

    def extend(self, log_probs: Tensor, frozen: Tensor, next_log_probs: Tensor) -> Extension:
        """Keep the best continuations of each bank: those that stay in it, and those that reach it by a required word."""
        grouped = self._by_group(log_probs, frozen, next_log_probs)
        candidates = [self._staying(*grouped), *(self._moving(transition, *grouped) for transition in self.transitions)]
        merged = Candidates(*(torch.cat(parts, -1) for parts in zip(*candidates, strict=True)))
        return restore_finished(merged.best(self.beams), log_probs)

    def _staying(self, log_probs: Tensor, frozen: Tensor, next_log_probs: Tensor) -> Candidates:
        """The best continuations without a required word that is new, (N,banks,K)."""
        next_log_probs = next_log_probs.clone()
        next_log_probs[:, :-1, :, END] = -torch.inf
        for token_id, sources, _ in self.transitions:
            next_log_probs[:, sources, :, token_id] = -torch.inf
        return best_continuations(log_probs, frozen, next_log_probs)

    def _moving(self, transition: Transition, log_probs: Tensor, frozen: Tensor, next_log_probs: Tensor) -> Candidates:
        """All continuations by one required word, as candidates of the banks that they reach, (N,banks,K)."""
        token_id, sources, targets = transition
        continued = (log_probs + next_log_probs[..., token_id]).masked_fill(frozen, -torch.inf)
        hypothesis = torch.arange(self.width, device=log_probs.device).view(1, self.num_groups, self.beams).expand(continued.shape)
        keys, parents = torch.full_like(continued, -torch.inf), hypothesis.clone()
        keys[:, targets], parents[:, targets] = continued[:, sources], hypothesis[:, sources]
        return Candidates(keys, parents, torch.full_like(parents, token_id))

    def is_done(self, scores: Tensor, upper_bounds: Tensor) -> Tensor:
        """As in plain search; ended hypotheses are in the last bank, and unfinished ones of every bank may overtake them."""
        last = scores[:, -self.beams :].topk(self.config.num_captions).values[:, -1:]
        return (last >= upper_bounds.amax(1, keepdim=True)).expand_as(scores)

    def ranking(self, scores: Tensor, ended: Tensor) -> Tensor:
        """The last bank first, in it the ended hypotheses first: an unfinished caption with all words precedes one without."""
        complete = torch.zeros_like(ended)
        complete[:, -self.beams :] = True
        return argsort_with_priority(scores, ended, complete)

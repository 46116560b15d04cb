"""Diverse beam search: groups of beams that avoid each other's tokens (Vijayakumar et al. 2018)."""

import math

import torch
from torch import Tensor

from showattend.decoding.beam_search import BeamSearch, Candidates, argsort_with_priority, best_continuations, restore_frozen_log_probs
from showattend.decoding.strategy import Extension
from showattend.generation_config import GenerationConfig
from showattend.vocabulary import PAD


class DiverseBeamSearch(BeamSearch):
    """Beam search in groups with a Hamming penalty on tokens that earlier groups choose at the same step.

    The penalty counts when beams are chosen. It is no part of the scores, which stay log-probabilities.
    """

    def __init__(self, config: GenerationConfig) -> None:
        super().__init__(config, config.groups, config.beam // config.groups)

    def extend(self, log_probs: Tensor, frozen: Tensor, next_log_probs: Tensor) -> Extension:
        """Keep the best continuations of one group after another, each penalised by the tokens of the groups before it."""
        grouped = self._by_group(log_probs, frozen, next_log_probs)
        counts = torch.zeros_like(next_log_probs[:, 0])  # of each token in the groups so far, (N,V)
        chosen = []
        for group in range(self.num_groups):
            group_log_probs, group_frozen, group_next = (tensor[:, group : group + 1] for tensor in grouped)
            penalty = self.config.diversity * counts
            keys, parents, token_ids = best_continuations(group_log_probs, group_frozen, group_next - penalty[:, None, None])
            # Without the penalty again: keys are log-probabilities.
            keys = keys + penalty.gather(1, token_ids[:, 0]).unsqueeze(1)
            chosen.append((keys, parents + group * self.beams, token_ids))
            counts = counts.scatter_add(1, token_ids[:, 0], (token_ids[:, 0] != PAD).to(counts.dtype))
        return restore_frozen_log_probs(Candidates(*(torch.cat(parts, 1) for parts in zip(*chosen, strict=True))), log_probs)

    def is_done(self, scores: Tensor, upper_bounds: Tensor) -> Tensor:
        """As in plain search, for each group and its share of the captions."""
        return self._is_group_done(scores, upper_bounds, math.ceil(self.config.num_captions / self.num_groups))

    def ranking(self, scores: Tensor, ended: Tensor) -> Tensor:
        """The best hypothesis of every group comes first, sorted by score, then the second of every group, and so on."""
        group_scores, group_ended = self._by_group(scores, ended)
        rank_in_group = argsort_with_priority(group_scores, group_ended).argsort(-1).flatten(1)
        order = argsort_with_priority(scores, ended)
        return order.gather(1, rank_in_group.gather(1, order).argsort(dim=1, stable=True))
